"""What cannot become a script is refused: what it is, and what to do, in one sentence each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import drivetrain as dt
from drivetrain import _optional
from drivetrain.errors import EjectError, MissingPackageError, UnknownNameError
from drivetrain.train import journal
from tests.eject import project, replay

OWN = functools.partial(dt.Learner, progress=False, num_threads=1)
LOSS = "cross_entropy"


class StopsAt(dt.Callback):
    """Raises an error after a step."""

    def __init__(self, step: int, error: type[BaseException]) -> None:
        self.step = step
        self.error = error

    def after_batch(self, state: Any) -> None:
        if state.step == self.step:
            raise self.error("here")


class Twice(project.Margin):
    """A metric of one's own with an argument."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor


class Asks(dt.Callback):
    """A callback that hands itself on."""

    def after_backward(self, state: Any) -> None:
        print(self)


class Early(dt.Callback):
    """A callback that returns from a loop."""

    def after_backward(self, state: Any) -> None:
        for parameter in state.model.parameters():
            if parameter.grad is None:
                return
            parameter.grad *= 2


class CancelsValidation(dt.Callback):
    """A callback that cancels where a script has no plain form for it."""

    def before_validate(self, state: Any) -> None:
        if state.epoch == 0:
            raise dt.CancelEpoch


class Told:
    """A loader that wants to be told the epoch."""

    def __init__(self) -> None:
        self.loader = project.loaders()[0]

    def __iter__(self) -> Any:
        return iter(self.loader)

    def set_epoch(self, epoch: int) -> None:
        pass


def told_loaders() -> tuple[Told, Any]:
    return Told(), project.loaders()[1]


def refused(learner: dt.Learner, folder: Path, sentence: str, **options: Any) -> None:
    path = folder / "train.py"
    with pytest.raises(EjectError) as error:
        learner.eject(path, **options)
    assert str(error.value) == sentence
    assert not path.exists()


def lambda_sentence(function: Callable[..., Any]) -> str:
    line = function.__code__.co_firstlineno
    return (
        f"A lambda (line {line} of {__file__}) has no name that a script could use. "
        "Define it by `def` at the top of a module."
    )


def trained(*arguments: Any, **options: Any) -> dt.Learner:
    learner = OWN(*arguments, **options)
    learner.fit(1, 1e-2)
    return learner


# --- the training ---------------------------------------------------------------------------------


def test_nothing_was_trained(tmp_path: Path) -> None:
    sentence = "Nothing was trained yet, so there is nothing to eject. Call `fit` first."
    learner = OWN(project.Net, project.loaders, LOSS)
    refused(learner, tmp_path, sentence)
    learner.freeze()
    refused(learner, tmp_path, sentence)


def test_the_training_is_not_finished(tmp_path: Path) -> None:
    learner = OWN(project.Net, project.loaders, LOSS)
    with pytest.raises(KeyboardInterrupt):
        learner.fit_one_cycle(3, 1e-2, callbacks=[StopsAt(4, KeyboardInterrupt)])
    status = next(stage.status for stage in learner.journal if stage.is_open)
    refused(
        learner,
        tmp_path,
        f"The training is not finished: `fit_one_cycle` is {status}. "
        "Resume it first: drivetrain resume RUN, or `learner.resume()`.",
    )


def test_an_error_ended_a_fit_before_others(tmp_path: Path) -> None:
    learner = OWN(project.Net, project.loaders, LOSS)
    with pytest.raises(RuntimeError):
        learner.fit_one_cycle(3, 1e-2, callbacks=[StopsAt(4, RuntimeError)])
    learner.fit(1, 1e-2)
    assert learner.journal[0].status == journal.BROKEN
    refused(
        learner,
        tmp_path,
        "An error ended `fit_one_cycle`, and how far it had come is not on record. "
        "Train anew, or go on from a checkpoint.",
    )


def test_an_unknown_level(tmp_path: Path) -> None:
    learner = trained(project.Net, project.loaders, LOSS)
    with pytest.raises(UnknownNameError) as error:
        learner.eject(tmp_path / "train.py", level="dta")
    assert str(error.value) == "Unknown level 'dta'. Did you mean 'data'? Known: all, data, loop."


def test_ruff_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = trained(project.Net, project.loaders, LOSS)
    real = _optional.importlib.import_module

    def absent(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "ruff":
            raise ModuleNotFoundError("No module named 'ruff'", name="ruff")
        return real(name, *rest)

    monkeypatch.setattr(_optional.importlib, "import_module", absent)
    with pytest.raises(MissingPackageError) as error:
        learner.eject(tmp_path / "train.py")
    assert str(error.value) == (
        "`ruff` is not installed. Install it with: pip install 'drivetrain[eject]'."
    )
    assert not (tmp_path / "train.py").exists()


# --- model and loaders ----------------------------------------------------------------------------


def test_a_model_that_was_made_already(tmp_path: Path) -> None:
    refused(
        trained(project.Net(), project.loaders, LOSS),
        tmp_path,
        "This Learner was given a model already made, and a script has to make a model again. Give what "
        "makes it, a class or a function at the top of a module: `Learner(Net, …)`.",
    )


def test_loaders_that_were_made_already(tmp_path: Path) -> None:
    refused(
        trained(project.Net, project.loaders(), LOSS),
        tmp_path,
        "This Learner was given loaders already made, and a script has to make loaders again. Give what "
        "makes it, a class or a function at the top of a module: `Learner(Net, make_loaders, …)`.",
    )


def test_lambdas(tmp_path: Path) -> None:
    model = lambda: project.Net()  # noqa: E731
    loaders = lambda: project.loaders()  # noqa: E731
    loss = lambda preds, targets: project.hinge(preds, targets)  # noqa: E731
    optimizer = lambda groups: torch.optim.SGD(groups, lr=0.1)  # noqa: E731
    refused(trained(model, project.loaders, LOSS), tmp_path, lambda_sentence(model))
    refused(trained(project.Net, loaders, LOSS), tmp_path, lambda_sentence(loaders))
    refused(trained(project.Net, project.loaders, loss), tmp_path, lambda_sentence(loss))
    refused(
        trained(project.Net, project.loaders, LOSS, optimizer), tmp_path, lambda_sentence(optimizer)
    )


def test_a_function_within_a_function(tmp_path: Path) -> None:
    def make_net() -> torch.nn.Module:
        return project.Net()

    refused(
        trained(make_net, project.loaders, LOSS),
        tmp_path,
        "`make_net` is defined within `test_a_function_within_a_function`, where a script cannot reach "
        "it. Define it at the top of a module.",
    )


def test_an_argument_that_has_no_text(tmp_path: Path) -> None:
    make = functools.partial(project.Net, hidden=torch.tensor(8))
    refused(
        trained(make, project.loaders, LOSS),
        tmp_path,
        "A script cannot write down tensor(8). Give numbers, texts, lists, tuples and dicts of them.",
    )


def test_a_loader_that_wants_to_be_told_the_epoch(tmp_path: Path) -> None:
    refused(
        trained(project.Net, told_loaders, LOSS),
        tmp_path,
        "The loader `Told` wants to be told the epoch (`set_epoch`), which a script does not do yet. "
        "Derive its order from a generator instead.",
    )


# --- optimizer, loss, metrics ---------------------------------------------------------------------


class Kept:
    """Makes one model and hands it out again, so that an optimizer can hold its parameters."""

    model: torch.nn.Module


def kept_model() -> torch.nn.Module:
    return Kept.model


def test_an_optimizer_that_was_made_already(tmp_path: Path) -> None:
    torch.default_generator.manual_seed(0)
    Kept.model = project.Net()
    optimizer = torch.optim.SGD(Kept.model.parameters(), lr=0.1)
    refused(
        trained(kept_model, project.loaders, LOSS, optimizer),
        tmp_path,
        "The optimizer was given as an object, which a script cannot make again. Give what makes one: "
        "`functools.partial(torch.optim.sgd.SGD, …)`.",
    )


def test_a_metric_with_arguments(tmp_path: Path) -> None:
    refused(
        trained(project.Net, project.loaders, LOSS, metrics=[Twice(2)]),
        tmp_path,
        "The metric `Twice` is an object whose arguments a script cannot tell. Give one of "
        "`metrics.METRICS`, or a class that is made without arguments.",
    )


class Unnamed:
    """A metric that does not say what it is called."""

    higher_is_better = True

    def reset(self) -> None: ...

    def update(self, preds: torch.Tensor, targets: torch.Tensor) -> None: ...

    def compute(self) -> float:
        return 0.5


def test_a_metric_without_a_name_is_called_as_its_class_is(tmp_path: Path) -> None:
    refused(
        trained(project.Net, project.loaders, LOSS, metrics=[Unnamed()]),
        tmp_path,
        "The metric `Unnamed` has no `name` of its own, so that a script cannot hold it. Give one of "
        "`metrics.METRICS`, or a class of yours that has `name`, a word, and `higher_is_better`, True "
        "or False.",
    )


@pytest.mark.parametrize(
    "options",
    [{"label_smoothing": 0.3}, {"weight": torch.tensor([1.0, 2.0, 3.0])}, {"reduction": "sum"}],
    ids=lambda options: next(iter(options)),
)
def test_a_loss_object_with_arguments_is_refused_or_made_with_them(
    options: dict[str, Any], tmp_path: Path
) -> None:
    learner = trained(project.Net, project.loaders, torch.nn.CrossEntropyLoss(**options))
    try:
        learner.eject(tmp_path / "train.py")
    except EjectError as error:
        assert str(error) == (  # noqa: PT017 - either way is right
            "The loss is an object of `CrossEntropyLoss` whose arguments a script cannot tell. Give a "
            "function, or a name of `losses.LOSSES`."
        )
        return
    replay.check(learner, tmp_path)


def test_a_loss_object_without_arguments_is_made_again(tmp_path: Path) -> None:
    text = replay.check(
        trained(project.Net, project.loaders, torch.nn.CrossEntropyLoss()), tmp_path
    )
    assert "LOSS_FN = CrossEntropyLoss()" in text
    assert "python ejected.py --data DATA" in text  # not by the name of the loss


def test_a_partial_of_a_loss_with_a_tensor(tmp_path: Path) -> None:
    loss = functools.partial(torch.nn.functional.cross_entropy, weight=torch.ones(3))
    refused(
        trained(project.Net, project.loaders, loss),
        tmp_path,
        "A script cannot write down tensor([1., 1., 1.]). Give numbers, texts, lists, tuples and dicts "
        "of them.",
    )


# --- callbacks ------------------------------------------------------------------------------------


def test_a_callback_that_only_its_own_script_has(tmp_path: Path) -> None:
    learner = trained(project.Net, project.loaders, LOSS)
    learner.fit(1, 1e-2, callbacks=[project.GradientNoise()])
    learner.given.clear()  # as in a run that was opened again
    refused(
        learner,
        tmp_path,
        "`fit(1)` was given the callback `GradientNoise`, which only its own script has. "
        "Eject there: `learner.eject(path)`.",
    )


def test_a_callback_within_a_function(tmp_path: Path) -> None:
    class Doubles(dt.Callback):
        def after_backward(self, state: Any) -> None:
            for parameter in state.model.parameters():
                parameter.grad *= 2

    refused(
        trained(project.Net, project.loaders, LOSS, callbacks=[Doubles()]),
        tmp_path,
        "The callback `Doubles` is not defined at the top of a module, so a script cannot take its "
        "statements along. Define it there.",
    )


def test_a_callback_that_hands_itself_on(tmp_path: Path) -> None:
    refused(
        trained(project.Net, project.loaders, LOSS, callbacks=[Asks()]),
        tmp_path,
        "The callback `Asks` uses `self`, which a script does not have. Eject without it, or write it "
        "with what the loop has: state.epoch, state.evaluation, state.in_eval, state.loss, state.model, "
        "state.optimizer, state.preds, state.row, state.step, state.targets.",
    )


def test_a_callback_that_returns_in_its_middle(tmp_path: Path) -> None:
    refused(
        trained(project.Net, project.loaders, LOSS, callbacks=[Early()]),
        tmp_path,
        "`Early.after_backward` returns in its middle, so its statements cannot stand in the place of an "
        "event. Give it one `return`, or make a function of it at the top of its module.",
    )


def test_a_callback_that_cancels_where_a_script_cannot(tmp_path: Path) -> None:
    refused(
        trained(project.Net, project.loaders, LOSS, callbacks=[CancelsValidation()]),
        tmp_path,
        "A callback raises `CancelEpoch` at an event where a script has no plain form for it. Cancel a "
        "step at `after_backward`, a batch before its step, a fit after a batch or an epoch.",
    )


def test_an_existing_script_stays_when_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("x = 1\n")
    with pytest.raises(EjectError):
        OWN(project.Net, project.loaders, LOSS).eject(path)
    assert path.read_text() == "x = 1\n"
