"""A recommender in one call: it learns what was planted, keeps its runs, and goes on after a cut."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.collab.data import CollabData, gather
from drivetrain.collab.learner import learner
from drivetrain.collab.model import load
from drivetrain.collab.runs import reopen, resume
from drivetrain.errors import ConfigError, DataError, RunError, UnknownNameError
from drivetrain.train.callback import Callback
from tests.collab.made import Planted, planted, write
from tests.tabular.tables import real

QUIET: dict[str, Any] = {"progress": False, "announce": False}


def as_csv(path: Path, made: Planted) -> Path:
    """The made ratings as a file."""
    lines = [",".join(made.columns)]
    lines += [",".join(map(str, row)) for row in zip(*made.columns.values(), strict=True)]
    return write(path, "\n".join(lines) + "\n")


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation."""
    ranks = [np.argsort(np.argsort(one)) for one in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def known(data: CollabData, side: str) -> np.ndarray:
    """Which of the planted users or items each code is."""
    names = (data.users if side == "user" else data.items).names[1:]
    return np.array([int(name[1:]) for name in names])


# --- known answers --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.row(121)
def test_missing_entries_of_a_table_of_rank_two_are_recovered_within_noise() -> None:
    made = planted(200, 80, factors=2, share=0.4, noise=0.1, bias=0.0)
    data = gather(made.columns)
    found = learner(
        data, model="dot", num_factors=4, y_range=False, batch_size=64, lr=0.02, epochs=30,
        weight_decay=0.005, **QUIET,
    )  # fmt: skip
    # the constant of the made table is a third factor: dot products alone must find it, too
    found.train()
    truth = made.truth()
    users, items = known(data, "user"), known(data, "item")
    scores = found.application.model(found).scores(np.arange(1, len(data.users)))[:, 1:]
    error = scores - truth[np.ix_(users, items)]
    missing = np.ones_like(error, dtype=bool)
    missing[data.table.users - 1, data.table.items - 1] = False
    spread = truth.std()
    assert np.sqrt(np.mean(error[missing] ** 2)) < 0.15  # noise of a single rating is 0.1
    assert spread > 5 * 0.15


@pytest.mark.row(124)
def test_learnt_biases_rank_items_as_they_were_planted() -> None:
    made = planted(300, 60, factors=2, share=0.4, noise=0.3, bias=0.5, taste=0.4)
    data = gather(made.columns)
    found = learner(data, epochs=10, **QUIET)
    found.train()
    factors = found.application.model(found).factors
    assert factors is not None
    assert spearman(factors.item_bias[1:], made.item_bias[known(data, "item")]) > 0.95
    assert spearman(factors.user_bias[1:], made.user_bias[known(data, "user")]) > 0.9


def test_a_result_stands_beside_its_baselines_with_intervals() -> None:
    found = learner(gather(planted(150, 80).columns), epochs=8, **QUIET)
    found.train()
    result = found.result()
    rmse = result["metrics"]["valid"]["rmse"]
    assert result["interval"][0] < rmse < result["interval"][1]
    assert list(result["baselines"]) == ["train_mean", "item_mean", "user_item_mean"]
    assert rmse < result["baselines"]["user_item_mean"]["rmse"]
    assert result["metrics"]["valid"]["mse"] == pytest.approx(rmse**2)
    assert json.dumps(result)


def test_the_unknown_get_the_mean_of_the_known() -> None:
    made = planted(100, 40)
    data = gather(made.columns, split="cold_users")
    found = learner(data, epochs=8, **QUIET)
    found.train()
    cold = found.result()
    # of a user of whom nothing is known, the item's mean is what there is to know
    assert cold["metrics"]["valid"]["rmse"] < 1.05 * cold["baselines"]["item_mean"]["rmse"]


@pytest.mark.parametrize("model", ["dot_bias", "dot", "net"])
def test_every_model_trains_predicts_and_is_kept(tmp_path: Path, model: str) -> None:
    path = as_csv(tmp_path / "r.csv", planted(60, 30))
    found = learner(path, model=model, epochs=2, out=tmp_path / "run", **QUIET)
    found.train()
    kept = load(tmp_path / "run")
    pairs = [{"user": "u001", "item": "i002"}, {"user": "u003", "item": "i004"}]
    answers = kept.predict(pairs)
    assert answers.to_json() == found.predict(pairs).to_json()
    assert answers[0].value == pytest.approx(kept.predict("u001", "i002").value, rel=1e-6)
    scores = kept.scores(kept.users.codes(["u001"]))
    assert scores[0, kept.items.code("i002")] == pytest.approx(answers[0].value, rel=1e-5)


# --- what is chosen -------------------------------------------------------------------------------


def test_what_is_chosen_is_said_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    found = learner(gather(planted(60, 30).columns), progress=False, announce=True)
    said = capsys.readouterr().err
    for name in ("split", "model", "y_range", "batch_size", "weight_decay", "epochs", "seed"):
        assert name in said
        assert found.choices[name].reason


def test_decay_is_of_an_epoch_whatever_the_batch_size() -> None:
    data = gather(planted(150, 80).columns)
    takes = []
    for size in (64, 256):
        made = learner(data, batch_size=size, **QUIET)
        steps = len(made.loaders.train)  # pyright: ignore[reportArgumentType]
        takes.append(
            made.application.settings["weight_decay"] * made.application.plan["lr"] * steps
        )
    assert takes == pytest.approx([0.625, 0.625], rel=0.05)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"model": "dot_bais"},
            "There is no model 'dot_bais' of ratings. Did you mean 'dot_bias'?",
        ),
        ({"layers": [5]}, "`layers`, `batch_norm` and `dropout` are for the model 'net'."),
        ({"y_range": (5, 1)}, "`y_range` is (low, high). Got (5, 1)."),
        ({"titles": "x"}, "`titles` is settled in the data. Give it where they are gathered."),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    data = gather(planted(20, 10).columns)
    with pytest.raises(ConfigError, match=re.escape(said)):
        learner(data, **options, **QUIET)


def test_events_are_not_taken_for_ratings() -> None:
    columns = {k: v for k, v in planted(20, 10).columns.items() if k != "rating"}
    found = learner(columns, **QUIET)
    assert found.choices["model"].value == "bpr"
    assert found.choices["model"].reason.startswith("there are no ratings")


def test_a_slip_in_a_loss_is_answered() -> None:
    with pytest.raises(UnknownNameError, match="mea"):
        learner(gather(planted(20, 10).columns), loss_fn="mea", **QUIET)


# --- runs -----------------------------------------------------------------------------------------


class Cut(Callback):
    """Ends a fit as a crash would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_batch(self, state: Any) -> None:
        if state.step == self.step:
            raise RuntimeError("cut")


@pytest.mark.parametrize("step", [3, 20])
def test_a_cut_run_goes_on_to_the_same_bits(tmp_path: Path, step: int) -> None:
    path = as_csv(tmp_path / "r.csv", planted(60, 30))
    whole = learner(path, epochs=3, batch_size=64, **QUIET)
    whole.train()
    checkpoint = {"name": "checkpoint", "steps": 2}
    cut = learner(
        path,
        epochs=3,
        batch_size=64,
        out=tmp_path / "run",
        callbacks=[checkpoint, Cut(step)],
        **QUIET,
    )
    with pytest.raises(RuntimeError, match="cut"):
        cut.train()
    assert cut.run is not None
    cut.run.release()
    done = resume(tmp_path / "run", callbacks=["unknown_rows", checkpoint], progress=False)
    assert store.weights_sha256(done.model.state_dict()) == store.weights_sha256(
        whole.model.state_dict()
    )
    assert load(tmp_path / "run").predict("u001", "i001").value == pytest.approx(
        whole.predict({"user": "u001", "item": "i001"}).value
    )


def test_a_run_of_other_ratings_is_not_gone_on_with(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "r.csv", planted(60, 30))
    found = learner(path, epochs=1, out=tmp_path / "run", **QUIET)
    found.train()
    assert found.run is not None
    found.run.release()
    again = reopen(tmp_path / "run", progress=False)
    assert again.run is not None
    again.run.release()
    for one, two in zip(
        again.model.state_dict().values(), found.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two)
    as_csv(path, planted(60, 30, seed=1))
    with pytest.raises(RunError, match=r"are not those that .* began with"):
        reopen(tmp_path / "run", progress=False)


def test_a_run_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "r.csv", planted(40, 20))
    run = tmp_path / "run"
    learner(path, epochs=1, out=run, **QUIET).train()
    shutil.copytree(run, tmp_path / "other")
    (tmp_path / "other/model/ratings.safetensors").unlink()
    with pytest.raises(RunError, match=r"ratings\.safetensors is missing: what users rated before"):
        load(tmp_path / "other")
    second = as_csv(tmp_path / "s.csv", planted(40, 20, seed=5))
    learner(second, epochs=1, out=tmp_path / "second", **QUIET).train()
    shutil.copy(tmp_path / "second/model/ratings.safetensors", run / "model/ratings.safetensors")
    with pytest.raises(RunError, match="does not belong to the model beside it"):
        load(run)
    record = json.loads((tmp_path / "second/model/model.json").read_text("utf-8"))
    for change in (
        {"items": [*record["items"][:-1], record["items"][0]]},
        {"titles": record["titles"][1:]},
        {"users": record["users"][1:]},
        {"model": {**record["model"], "num_factors": 3}},
        {"seen_sha256": "0"},
    ):
        (tmp_path / "second/model/model.json").write_text(json.dumps(record | change), "utf-8")
        with pytest.raises(RunError):
            load(tmp_path / "second")


# --- asking ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of made ratings."""
    path = as_csv(tmp_path_factory.mktemp("asked") / "r.csv", planted(60, 30))
    titles = {f"i{k:03d}": f"Film {k}" for k in range(30)}
    found = learner(path, epochs=2, titles=titles, **QUIET)
    found.train()
    return found.application.model(found)


def test_an_item_is_asked_for_by_id_or_title(trained: Any) -> None:
    by_id, by_title = trained.predict("u001", "i007"), trained.predict("u001", "Film 7")
    assert by_id.value == by_title.value
    assert str(by_id) == f"user u001, Film 7: {by_id.value:.3g}"


def test_the_unknown_are_answered_and_named(trained: Any) -> None:
    answers = trained.predict(
        [{"user": "nobody", "item": "i007"}, {"user": "u001", "item": "none"}]
    )
    assert answers.is_known.tolist() == [False, False]
    assert answers.notes == (
        "1 user is unknown: what is predicted there is that of a mean user and of the item.",
        "1 item is unknown: what is predicted there is that of a mean item and of the user.",
    )
    assert str(answers[1]).endswith("(user or item unknown)")


def test_a_pair_that_lacks_something_is_refused(trained: Any) -> None:
    with pytest.raises(DataError, match=r"A pair has a 'user' and an 'item'\. Missing: item\."):
        trained.predict({"user": "u001"})


def test_ratings_from_elsewhere_are_measured(trained: Any, tmp_path: Path) -> None:
    made = planted(60, 30).columns
    found = trained.evaluate(made)
    assert found["items"] == len(made["user"])
    assert found["unknown"] == {"users": 0, "items": 0}
    assert found["interval"][0] < found["metrics"]["rmse"] < found["interval"][1]
    other = {"user": ["zed"], "item": ["i001"], "rating": [3.0]}
    assert trained.evaluate(other)["unknown"] == {"users": 1, "items": 0}
    with pytest.raises(DataError, match="has no column of ratings to compare with"):
        trained.evaluate({"user": ["u001"], "item": ["i001"]})


def test_ratings_that_the_model_learnt_from_are_counted(trained: Any) -> None:
    made = planted(60, 30).columns
    count = len(trained.history.ratings)
    assert trained.evaluate(made)["trained_on"] == count < len(made["user"])
    users = [*made["user"], "zed"]
    swapped = {**made, "user": ["zed"] * len(made["user"])}
    assert trained.evaluate(swapped)["trained_on"] == 0
    doubled = {
        "user": users,
        "item": [*made["item"], made["item"][0]],
        "rating": [*made["rating"], 3.0],
    }
    assert trained.evaluate(doubled)["trained_on"] == count


# --- real -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_ratings_are_learnt_as_well_as_is_known_to_be_possible() -> None:
    data = dt.collab.gather(real("ml-100k/u.data"), titles=real("ml-100k/u.item"))
    losses = []
    for seed in (42, 43, 44):
        found = dt.collab.learner(data, seed=seed, **QUIET)
        found.train()
        losses.append(found.history[-1]["valid_loss"])
    assert np.mean(losses) < 0.812
