"""A run that is opened again: what its record has to say, and where its Learner stands then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from drivetrain import store
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.data.task import Task
from drivetrain.errors import RunError
from drivetrain.optim import optimizer as optimizer_by_name
from drivetrain.train.application import DataApplication
from drivetrain.train.choice import Choices
from drivetrain.train.factory import chosen, introduced, parts_record, say_seed, usual_first
from drivetrain.train.learner import Learner
from drivetrain.train.reopening import Recorded, form_of_run, went_on
from drivetrain.train.run import Run

SEED = 3
RECORD = form_of_run(model={"name": str}, data={"slope": float}, settings={"depth": int})


class Line:
    """Items of a line whose slope is the recipe."""

    def __init__(self, slope: float) -> None:
        self.choices = Choices()
        self.slope = slope
        self.recipe: dict[str, Any] = {"slope": slope}
        self.task = Task("line", "number", "number")

    def fingerprint(self) -> str:
        return f"slope {self.slope}"

    def counts(self) -> dict[str, int]:
        return {"train": 32, "valid": 32}

    def __str__(self) -> str:
        return "A line."


class LineApplication(DataApplication[Line]):
    classes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        return self.recorded({"name": "line"})

    def begin_run(self, run: Run) -> None:
        run.write_split({})

    def model_record(self) -> dict[str, Any]:
        return {}

    def results(self, learner: Learner) -> dict[str, Any]:
        return {"metrics": {"valid": {"loss": learner.evaluate().loss}}}

    def export(self, learner: Learner, folder: Any, **options: Any) -> Any:
        raise NotImplementedError

    def predict(self, learner: Learner, source: Any) -> Any:
        raise NotImplementedError

    def evaluate(self, learner: Learner, source: Any) -> dict[str, Any]:
        raise NotImplementedError


def learner_of(
    data: Line,
    *,
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    num_threads: int | None = None,
    seed: int = SEED,
    first: float = 0.0,
    metrics: Any = ("mae",),
    optimizer: Any = None,
    weight_decay: float = 0.0,
    callbacks: Any = (),
    progress: bool = False,
    announce: bool = False,
    out: Path | None = None,
) -> Learner:
    """A factory as the applications have them, of a number that is learnt."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, first)
    asked = usual_first(("mae",), ())
    settings = {
        "batch_size": chosen("batch_size", batch_size, data.choices, usual=16, reason="few"),
        "weight_decay": weight_decay,
        "depth": 1,
        "num_threads": chosen("num_threads", num_threads, data.choices, usual=1, reason="small"),
        **parts_record(asked, nn.functional.mse_loss, optimizer_by_name("sgd")),
        "initial_sha256": store.weights_sha256(net.state_dict()),
    }
    plan = {
        "method": "fit",
        "epochs": chosen("epochs", epochs, data.choices, usual=2, reason="enough"),
        "lr": chosen("lr", lr, data.choices, usual=0.1, reason="suits"),
    }
    say_seed(seed, data.choices)
    x = torch.linspace(-1, 1, 32).unsqueeze(1)
    train = BatchLoader(TensorData(x, data.slope * x), batch_size=16, shuffle=True)
    found = Learner(
        net,
        Loaders(train, train),
        "mse",
        optimizer_by_name("sgd"),
        metrics=asked,
        callbacks=callbacks,
        lr=plan["lr"],
        weight_decay=weight_decay,
        seed=seed,
        device="cpu",
        progress=progress,
        application=LineApplication(data, settings, plan),
    )
    return introduced(found, data, lambda _: "No warning.", announce=announce, out=out)


def reopened(folder: Path, *, first: float = 0.0, **more: Any) -> Learner:
    again = Recorded.of(folder, "line", "a run of a line")
    again.check(RECORD, ("fit",))
    data = again.gathered(lambda recipe: Line(**recipe), lambda data: f"Now {data.slope}.")
    found = learner_of(data, first=first, **again.told(None, progress=False))
    return again.standing(found, lost="it is lost.", **more)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run that was made, and not trained."""
    learner = learner_of(Line(2.0), lr=0.2, out=tmp_path / "run")
    assert learner.run is not None
    learner.run.release()
    return learner.run.folder


def edited(folder: Path, **changes: Any) -> None:
    path = folder / "run.json"
    store.write_json(path, store.read_json(path) | changes)


def weight(learner: Learner) -> float:
    return learner.model.state_dict()["weight"].item()


def test_a_run_that_was_not_trained_is_trained_as_planned(begun: Path) -> None:
    straight = learner_of(Line(2.0), lr=0.2)
    straight.train()
    found = went_on(reopened(begun))
    assert weight(found) == weight(straight)
    assert [stage.call for stage in found.journal] == ["fit(2)"]
    again = went_on(reopened(begun))  # finished: left as it is
    assert weight(again) == weight(straight) and len(again.journal) == 1


def test_a_stage_that_is_open_is_carried_out(begun: Path) -> None:
    found = went_on(reopened(begun))
    recorded = store.read_json(begun / "run.json")
    planned = recorded["journal"][0] | {"status": "planned", "epochs_done": 0, "steps_done": 0}
    for path in (begun / "checkpoints").iterdir():
        path.unlink()
    edited(begun, journal=[planned])
    assert weight(went_on(reopened(begun))) == weight(found)


def test_choices_have_the_reasons_of_the_first_time(begun: Path) -> None:
    reasons = {choice.what: choice.reason for choice in reopened(begun).choices}
    assert reasons == {
        "batch_size": "few",
        "num_threads": "small",
        "epochs": "enough",
        "lr": "as asked",
        "seed": "the same seed gives the same bits",
    }


def test_the_share_that_settings_name_is_taken_before_the_run_is_opened(begun: Path) -> None:
    seen: list[Any] = []

    def take(learner: Learner) -> None:
        application = learner.application
        assert isinstance(application, LineApplication)
        seen.append((application.settings["note"], learner.run))

    edited(begun, settings=store.read_json(begun / "run.json")["settings"] | {"note": "kept"})
    reopened(begun, take=take)
    assert seen == [("kept", None)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": {"application": "text"}}, "{folder} is not a run of a line."),
        (
            {"plan": {"method": "save", "lr": 0.1, "epochs": 1}},
            "{folder}/run.json cannot be used: its 'plan.method' is not one of ours.",
        ),
        (
            {"plan": {"method": "fit", "lr": "0.1", "epochs": 1}},
            "{folder}/run.json cannot be used: its 'plan.lr' is missing, or not what it has to be. "
            "Restore it from a copy.",
        ),
        ({"data": {"slope": 1.5}}, "Now 1.5."),
        (
            {"data": {"slope": 2.0, "more": 1}},
            "{folder}/run.json cannot be used: it holds what Drivetrain does not write (TypeError: "
            "\"Line.__init__() got an unexpected keyword argument 'more'\"). Restore it from a copy.",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_refused(
    begun: Path, changes: dict[str, Any], message: str
) -> None:
    edited(begun, **changes)
    with pytest.raises(RunError) as caught:
        reopened(begun)
    assert str(caught.value) == message.format(folder=begun)


def test_a_run_without_an_entry_of_its_kind_is_of_another(begun: Path) -> None:
    assert Recorded.of(begun, "line", "a run of a line", has=("plan",)).plan["method"] == "fit"
    with pytest.raises(RunError) as caught:
        Recorded.of(begun, "line", "a run of a curve", has=("plan", "curve"))
    assert str(caught.value) == f"{begun} is not a run of a curve."


def test_other_first_weights_are_refused_while_there_is_no_checkpoint(begun: Path) -> None:
    with pytest.raises(RunError) as caught:
        reopened(begun, first=0.5)
    assert str(caught.value) == f"{begun} was cut before its first checkpoint, and it is lost."
    found = went_on(reopened(begun))
    assert weight(reopened(begun, first=0.5)) == weight(found)


def test_tensors_larger_than_what_a_run_holds_are_told(begun: Path) -> None:
    large, small = {"weight": (torch.float32, (1000, 1000))}, {"weight": (torch.float32, (1, 1))}
    again = Recorded.of(begun, "line", "a run of a line")
    assert again.could_hold(large)  # no weights yet: it could be any
    went_on(reopened(begun))
    assert again.could_hold(small) and not again.could_hold(large)


def test_a_run_that_is_not_finished_says_how_it_is_finished(begun: Path) -> None:
    with pytest.raises(RunError) as caught:
        Run.open(begun).read_finished()
    assert str(caught.value) == (
        f"{begun} is not finished. Finish it with: drivetrain resume {begun}"
    )
    went_on(reopened(begun))
    assert Run.open(begun).read_finished()["results"]["epochs"] == 2


def test_what_was_chosen_is_said_before_the_run_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner_of(Line(2.0), announce=True)
    said = capsys.readouterr().err
    assert said.startswith("A line.\nChosen for you\n  batch_size")
    assert said.endswith("the same seed gives the same bits\nNo warning.\n")
    learner = learner_of(Line(2.0), out=tmp_path / "run")
    assert capsys.readouterr().err == "" and (tmp_path / "run" / "run.json").exists()
    assert learner.run is not None
    learner.run.release()


def test_a_metric_that_was_asked_for_takes_the_place_of_the_usual_one() -> None:
    own = usual_first(("mae", "mse"), ())
    found = usual_first(("rmse", "mse"), own)
    assert [metric.name for metric in found] == ["rmse", "mae", "mse"]
    assert found[1:] == own
