"""train/within.py, eject/share.py: nets that end in time, and the scripts of their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain import collab, store, tabular, text
from drivetrain.data.loaders import BatchLoader, TensorData
from drivetrain.data.padded import LengthLoader, PaddedData
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, EjectError
from drivetrain.train import budget, timing
from drivetrain.train.budget import share_of
from drivetrain.train.callbacks.time_budget import TimeBudget
from drivetrain.train.within import FRACTION, plan_within, take_share
from tests.collab.ejecting.runs import watched
from tests.eject import replay
from tests.tabular.tables import passengers, write
from tests.text.ejecting.films import folder as films

# --- learners ---------------------------------------------------------------------------------------

QUIET: dict[str, Any] = {"progress": False}


def net(where: Path, **options: Any) -> dt.Learner:
    data = tabular.gather(write(where / "t.csv", passengers()), "lives")
    return tabular.learner(data, layers=[8, 4], batch_size=16, **QUIET, **options)


def numbers(where: Path, **options: Any) -> dt.Learner:
    data = tabular.gather(write(where / "t.csv", passengers()), "age")
    return tabular.learner(data, layers=[8, 4], batch_size=16, **QUIET, **options)


def classifier(where: Path, **options: Any) -> dt.Learner:
    sizes = {"embedding_dim": 6, "hidden_dim": 6}
    data = text.gather(films(where / "films", 80))
    return text.learner(data, model="gru", sizes=sizes, batch_size=8, **QUIET, **options)


def recommender(where: Path, **options: Any) -> dt.Learner:
    data = collab.gather(write(where / "t.csv", watched()))
    return collab.learner(data, num_factors=3, batch_size=32, **QUIET, **options)


def events(where: Path, **options: Any) -> dt.Learner:
    data = collab.gather(write(where / "t.csv", watched()), implicit=True)
    return collab.learner(data, num_factors=3, batch_size=32, **QUIET, **options)


LEARNERS = {one.__name__: one for one in (net, numbers, classifier, recommender, events)}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that are said to take a second, and nothing else any time."""
    monkeypatch.setattr(timing, "seconds_a_step", lambda *args, **more: 1.0)
    monkeypatch.setattr(timing, "seconds_a_validation", lambda *args, **more: 0.0)
    monkeypatch.setattr(timing, "seconds_a_checkpoint", lambda *args, **more: 0.0)


# --- the plan ---------------------------------------------------------------------------------------


@pytest.mark.row(105)
@pytest.mark.row(106)
@pytest.mark.parametrize(
    "name",
    [
        "net",
        "recommender",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("numbers", "classifier", "events")
        ),
    ],
)
def test_what_does_not_fit_is_cut_recorded_and_trained_so_by_the_run_that_goes_on(
    tmp_path: Path, slow: None, name: str
) -> None:
    learner = LEARNERS[name](tmp_path)
    application: Any = learner.application
    application.baselines()  # what is imported for them takes a time of its own
    steps = len(learner.loaders.train)
    found = plan_within(learner, 0.6 * steps / 60)
    assert found.epochs == 1 and 0.3 < found.fraction < 0.6
    assert len(learner.loaders.train) == round(steps * found.fraction)
    learner.start_run(dt.train.run.Run.create(tmp_path / "run"))
    record = learner.run.read()
    said = {one["what"]: one for one in record["choices"]}
    assert record["settings"][FRACTION] == found.fraction and record["plan"]["epochs"] == 1
    assert said["epochs"]["reason"].startswith("cut from ")
    assert said["fraction"]["reason"].startswith(
        "cut: not even one epoch on all training items fits"
    )
    assert ("of every class alike" in said["fraction"]["reason"]) == bool(application.classes)
    assert record["items"]["train"] > len(learner.loaders.train.data)
    homes: dict[str, Any] = {"tabular": tabular, "text": text, "collab": collab}
    learner.run.release()
    again = homes[record["task"]["application"]].reopen(tmp_path / "run", progress=False)
    pairs = zip(again.loaders.train.batches(3), learner.loaders.train.batches(3), strict=True)
    for ours, theirs in pairs:
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert any(isinstance(one, TimeBudget) for one in again.callbacks)
    weights = [store.weights_sha256(one.model.state_dict()) for one in (again, learner)]
    assert weights[0] == weights[1]


@pytest.mark.row(105)
def test_a_budget_never_makes_more_epochs_than_are_usual(tmp_path: Path, slow: None) -> None:
    learner = net(tmp_path)
    application: Any = learner.application
    usual, said = application.plan["epochs"], application.choices["epochs"]
    found = plan_within(learner, 600.0)
    assert (found.epochs, found.fraction) == (usual, 1.0)
    assert application.choices["epochs"] == said  # the reason stays that of the choice
    assert FRACTION not in application.settings and "usual_epochs" not in application.settings
    assert application.choices["budget"].reason.startswith("about ")


def test_a_budget_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^A time budget must be above 0 seconds\. Got 0\.0\.$"):
        plan_within(net(tmp_path), 0.0)


def test_the_thawing_of_an_encoder_counts_its_two_first_epochs(tmp_path: Path, slow: None) -> None:
    learner = classifier(tmp_path)
    application: Any = learner.application
    application.plan |= {"method": "gradual_unfreeze", "epochs": 5}
    steps = len(learner.loaders.train)
    assert plan_within(learner, 4.5 * steps / 60).epochs in (2, 3)
    assert "after 2 of the head alone fit" in application.choices["epochs"].reason


@pytest.mark.slow
def test_a_language_model_is_cut_in_epochs_alone(tmp_path: Path, slow: None) -> None:
    data = text.gather(films(tmp_path / "films", 80), labelled=False)
    sizes = {"embedding_dim": 6, "hidden_dim": 6}
    learner = text.language_learner(data, sizes=sizes, batch_size=4, seq_len=10, epochs=5, **QUIET)
    application: Any = learner.application
    application.baselines()
    steps = len(learner.loaders.train)
    found = plan_within(learner, 2.5 * steps / 60)
    assert (found.epochs, found.fraction, application.plan["epochs"]) == (2, 1.0, 2)


def test_texts_are_timed_by_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = TokenArray.from_lists([[7] * n for n in (40, 30, 20, 10, 5, 1, 1, 1)])
    data = PaddedData(tokens, torch.zeros(8, dtype=torch.int64), pad_id=1)
    loader = LengthLoader(data, batch_size=2)
    assert loader.work(0) == [80.0, 40.0, 10.0, 2.0]
    # each token took half a second: an epoch of 132 of them takes 66, and not 4 times the longest batch
    assert 4 * timing._typical([9.0, 20.0, 5.0], loader, 1) == pytest.approx(66.0)


# --- a share of the items ---------------------------------------------------------------------------


def test_a_share_is_cut_out_once_and_keeps_the_class_of_its_loader() -> None:
    tokens = TokenArray.from_lists([[n] * (1 + n % 3) for n in range(12)])
    targets = torch.tensor([0, 0, 1] * 4)
    data = PaddedData(tokens, targets, pad_id=0, ids=[f"t{n}" for n in range(12)])
    loader = LengthLoader(data, batch_size=2, shuffle=True)
    half = share_of(loader, 0.5, seed=1)
    assert type(half) is LengthLoader and len(half.data) == 6 and len(loader.data) == 12
    batches = list(half.batches(0))
    assert sorted(int(t) for _, _, t in batches for t in t) == [0, 0, 0, 0, 1, 1]
    seen = {half.item_ids(0, number)[0] for number in range(3)}
    assert seen <= set(data.ids or ())
    rows = TensorData(torch.arange(10.0))
    part = share_of(BatchLoader(rows, batch_size=5), 0.3, seed=1).data
    assert type(part) is TensorData and len(part) == 3


# --- scripts ----------------------------------------------------------------------------------------


@pytest.mark.row(88)
@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("recommender", "all"),
        *(
            pytest.param(name, level, marks=pytest.mark.slow)
            for name, level in [
                *((name, "all") for name in ("net", "numbers", "classifier", "events")),
                *((name, "loop") for name in ("net", "classifier", "recommender")),
            ]
        ),
    ],
)
def test_a_script_trains_on_the_very_same_share(tmp_path: Path, name: str, level: str) -> None:
    learner = LEARNERS[name](tmp_path)
    application: Any = learner.application
    application.settings[FRACTION] = 0.4
    take_share(learner)
    learner.fit_one_cycle(1, 1e-2)
    learner.eject(tmp_path / "ejected.py", level=level)
    run = replay.replayed_here if level == "all" else replay.replayed_with_drivetrain
    answer = run(tmp_path / "ejected.py", tmp_path / "out", Path(application.data.recipe["source"]))
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    assert "FRACTION = 0.4" in (tmp_path / "ejected.py").read_text()


def test_a_share_of_events_is_ejected_whole(tmp_path: Path) -> None:
    learner = events(tmp_path)
    application: Any = learner.application
    application.settings[FRACTION] = 0.4
    take_share(learner)
    learner.fit_one_cycle(1, 1e-2)
    with pytest.raises(
        EjectError,
        match=r"^A run of events that trained on a share of them, to end in time, is ejected whole\. "
        r"Use --level all\.$",
    ):
        learner.eject(tmp_path / "ejected.py", level="loop")


def test_the_limit_of_a_plan_leaves_time_for_the_result() -> None:
    planned = budget.Budget(100.0, 3, predicted_seconds=90.0, after_seconds=20.0)
    assert planned.limit(elapsed=30.0) == pytest.approx(60.0)  # a tenth more, less 30 and 20
    assert planned.limit(elapsed=130.0) == pytest.approx(1.0)
