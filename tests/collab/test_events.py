"""Models of events put what users came to later before what they did not; runs of them are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivetrain import store
from drivetrain.collab.data import CollabData, gather
from drivetrain.collab.events import fit
from drivetrain.collab.learner import learner
from drivetrain.collab.model import load
from drivetrain.collab.runs import reopen, resume
from drivetrain.errors import ConfigError, RunError
from drivetrain.train.callback import Callback
from drivetrain.train.run import Run

QUIET: dict[str, Any] = {"progress": False}


def by_taste(
    num_users: int = 90, num_items: int = 60, *, tastes: int = 3, seed: int = 0
) -> dict[str, Any]:
    """Each user has to do with items of one of three kinds, and rarely with others."""
    draw = np.random.default_rng(seed)
    likely = np.where(
        np.arange(num_users)[:, None] % tastes == np.arange(num_items) % tastes, 0.45, 0.02
    )
    users, items = np.nonzero(draw.random((num_users, num_items)) < likely)
    return {"user": [f"u{k}" for k in users], "item": [f"i{k}" for k in items]}


def write(path: Path, columns: dict[str, Any]) -> Path:
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def share_of_own_kind(model: Any, data: CollabData) -> float:
    """Of the first ten items that a user has nothing to do with yet, how many are of the user's kind."""
    own = []
    for code in range(1, len(data.users)):
        scores = model.scores(np.array([code]))[0]
        scores[model.seen[code]] = -np.inf
        scores[0] = -np.inf
        best = np.argsort(-scores)[:10]
        kind = int(data.users.names[code][1:]) % 3
        own.append(np.mean([int(data.items.names[k][1:]) % 3 == kind for k in best.tolist()]))
    return float(np.mean(own))


def test_least_squares_finds_what_users_like(tmp_path: Path) -> None:
    data = gather(by_taste())
    model = fit(data, num_factors=3, rounds=8, out=tmp_path / "run", **QUIET)
    assert share_of_own_kind(model, data) > 0.95
    valid = model.results["metrics"]["valid"]
    assert next(iter(valid)) == "ndcg"
    assert valid["ndcg"] > 1.5 * model.results["baselines"]["popularity"]["ndcg"]
    low, high = model.results["interval"]
    assert low < valid["ndcg"] < high
    kept = load(tmp_path / "run")
    assert np.array_equal(kept.scores(np.arange(5)), model.scores(np.arange(5)))
    assert Run.open(tmp_path / "run").read()["results"]["weights_sha256"] == store.weights_sha256(
        kept.net.state_dict()
    )
    with pytest.raises(RunError, match="was fitted without steps: there is nothing to go on with"):
        reopen(tmp_path / "run", progress=False)


def test_pairs_in_the_right_order_find_what_users_like(tmp_path: Path) -> None:
    path = write(tmp_path / "events.csv", by_taste())
    found = learner(
        path, num_factors=8, epochs=8, batch_size=64, lr=0.05, out=tmp_path / "run", **QUIET
    )
    found.train()
    application: Any = found.application
    assert share_of_own_kind(application.model(found), application.data) > 0.95
    result = found.result()
    assert result["metrics"]["valid"]["ndcg"] > 1.5 * result["baselines"]["popularity"]["ndcg"]
    kept = load(tmp_path / "run")
    assert np.array_equal(kept.scores(np.arange(4)), application.model(found).scores(np.arange(4)))


class Cut(Callback):
    """Ends a fit as a crash would."""

    def after_batch(self, state: Any) -> None:
        if state.step == 25:
            raise RuntimeError("cut")


def test_a_cut_run_of_events_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    path = write(tmp_path / "events.csv", by_taste())
    given: dict[str, Any] = {"num_factors": 4, "epochs": 3, "batch_size": 64, **QUIET}
    whole = learner(path, **given)
    whole.train()
    checkpoint = {"name": "checkpoint", "steps": 2}
    cut = learner(path, out=tmp_path / "run", callbacks=[checkpoint, Cut()], **given)
    with pytest.raises(RuntimeError, match="cut"):
        cut.train()
    assert cut.run is not None
    cut.run.release()
    done = resume(tmp_path / "run", callbacks=[checkpoint], progress=False)
    assert store.weights_sha256(done.model.state_dict()) == store.weights_sha256(
        whole.model.state_dict()
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"model": "dot_bias"},
            "These rows have no rating: each says that something happened. Use the",
        ),
        ({"y_range": (0, 5)}, "`y_range` is for models of ratings, and 'bpr' is one of events."),
        ({"layers": [4]}, "`layers` is for models of ratings, and 'bpr' is one of events."),
    ],
)
def test_what_is_of_ratings_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        learner(gather(by_taste(20, 15)), **options, **QUIET)


def test_ratings_are_not_taken_for_events_in_silence() -> None:
    columns = by_taste(20, 15)
    columns["rating"] = [1 + k % 5 for k in range(len(columns["user"]))]
    made = learner(columns, model="bpr", **QUIET)
    assert made.application is not None
    assert (
        "The ratings in 'rating' are left aside: each row says that something happened."
        in made.application.data.notes
    )
    for options in ({"rating": "rating"}, {"implicit": False}):
        with pytest.raises(
            ConfigError, match=r"'bpr' learns from events\. To leave the ratings aside"
        ):
            learner(columns, model="bpr", **options, **QUIET)
    with pytest.raises(ConfigError, match=r"There is no model 'asl' to fit\. Did you mean 'als'\?"):
        fit(columns, model="asl")
