"""What everything that is registered promises; a new entry is tested by being in its table.

Losses, metrics, schedules and models come from their tables, callbacks and transforms from the folders
they live in. Nothing is named here twice: what a thing needs to be called with is found by trying
(losses, metrics) or filled in by the name of the argument (schedules, callbacks, transforms).
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
import pickle  # only to see that a thing is plain data; nothing is stored with it
import pkgutil
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import drivetrain
import drivetrain.train.callbacks
import drivetrain.vision
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.errors import DrivetrainError, InputError
from drivetrain.losses import LOSSES, per_item
from drivetrain.metrics import METRICS, metric
from drivetrain.models import MODELS, build_from, create_model, summarize
from drivetrain.models.language import create_language_model, language_description
from drivetrain.models.resnet import ResidualBlock
from drivetrain.optim import SCHEDULES, schedule
from drivetrain.train.callback import EVENTS, Callback
from drivetrain.train.callbacks.record import Record
from drivetrain.train.callbacks.rnn_regularization import RNNRegularization
from drivetrain.train.history import History

B, C = 9, 7


def through_bytes(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - bytes of our own


def example_pairs(dtype: torch.dtype = torch.float32) -> dict[str, tuple[Tensor, Tensor]]:
    """Predictions and targets of each kind of problem."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(B, C, generator=generator, dtype=torch.float64).to(dtype)
    yes_or_no = (torch.rand(B, generator=generator) < 0.5).to(dtype)
    return {
        "classes": (scores, torch.arange(B) % C),
        "one number each": (scores[:, 0].clone(), yes_or_no),
        "a class for each pixel": (
            torch.stack([scores, scores.flip(0), -scores], dim=2),
            (torch.arange(3 * B) % C).reshape(B, 3),
        ),
    }


def fitting_pair(
    call: Callable[[Tensor, Tensor], Any], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The first pair that `call` takes; what it does not take, it must refuse in words."""
    for preds, targets in example_pairs(dtype).values():
        try:
            call(preds, targets)
        except (DrivetrainError, RuntimeError, ValueError):
            continue
        return preds, targets
    pytest.fail("It takes none of `example_pairs`: add a pair of the kind it is for.")


# --- losses -------------------------------------------------------------------------------------------


@pytest.fixture(params=sorted(LOSSES))
def loss_fn(request: pytest.FixtureRequest) -> Callable[..., Tensor]:
    return LOSSES[request.param]


def test_a_loss_is_listed_under_its_own_name_and_documented(loss_fn: Any) -> None:
    assert LOSSES[loss_fn.__name__] is loss_fn
    assert inspect.getdoc(loss_fn)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_is_one_finite_number_of_the_dtype_of_the_predictions(
    loss_fn: Any, dtype: torch.dtype
) -> None:
    loss = loss_fn(*fitting_pair(loss_fn, dtype))
    assert (loss.shape, loss.dtype) == ((), dtype)
    assert 0 < float(loss) < math.inf


def test_a_loss_has_a_gradient_that_leads_downhill(loss_fn: Any) -> None:
    preds, targets = fitting_pair(loss_fn, torch.float64)
    preds = preds.clone().requires_grad_()
    before = loss_fn(preds, targets)
    (gradient,) = torch.autograd.grad(before, preds)
    assert torch.isfinite(gradient).all()
    assert loss_fn((preds - 1e-3 * gradient).detach(), targets) < before


def test_the_gradient_of_a_loss_is_that_of_finite_differences(loss_fn: Any) -> None:
    preds, targets = fitting_pair(loss_fn, torch.float64)
    # Away from whole differences, where the absolute error has its corner.
    preds = (preds + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss_fn(p, targets), (preds,))


def test_a_loss_is_the_mean_of_the_losses_of_its_items(loss_fn: Any) -> None:
    preds, targets = fitting_pair(loss_fn, torch.float64)
    values = per_item(loss_fn, preds, targets)
    assert values.shape == (B,)
    torch.testing.assert_close(values.mean(), loss_fn(preds, targets))
    torch.testing.assert_close(values[:1].mean(), loss_fn(preds[:1], targets[:1]))


def test_a_loss_is_plain(loss_fn: Any) -> None:
    assert through_bytes(loss_fn) is loss_fn


# --- metrics ------------------------------------------------------------------------------------------


@pytest.fixture(params=sorted(METRICS))
def metric_name(request: pytest.FixtureRequest) -> str:
    return request.param


def pair_for_metric(name: str) -> tuple[Tensor, Tensor]:
    return fitting_pair(lambda p, t: metric(name).update(p, t), torch.float32)


def test_a_metric_has_the_name_it_is_listed_under_and_a_direction(metric_name: str) -> None:
    found = metric(metric_name)
    assert found.name == metric_name
    assert isinstance(found.higher_is_better, bool)
    assert inspect.getdoc(type(found))


def test_a_metric_is_a_finite_python_number(metric_name: str) -> None:
    found = metric(metric_name)
    found.update(*pair_for_metric(metric_name))
    value = found.compute()
    assert type(value) is float
    assert math.isfinite(value)
    assert found.compute() == value  # asking does not change it


def test_a_metric_in_unequal_batches_equals_the_metric_in_one(metric_name: str) -> None:
    preds, targets = pair_for_metric(metric_name)
    whole, parts = metric(metric_name), metric(metric_name)
    whole.update(preds, targets)
    for p, t in zip(preds.split([5, 3, 1]), targets.split([5, 3, 1]), strict=True):
        parts.update(p, t)
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-12)


def test_two_metrics_of_one_name_share_nothing(metric_name: str) -> None:
    one, other = metric(metric_name), metric(metric_name)
    one.update(*pair_for_metric(metric_name))
    assert math.isnan(other.compute())


def test_a_metric_leaves_what_it_is_given_as_it_was(metric_name: str) -> None:
    preds, targets = pair_for_metric(metric_name)
    kept = preds.clone(), targets.clone()
    metric(metric_name).update(preds, targets)
    assert torch.equal(preds, kept[0])
    assert torch.equal(targets, kept[1])


def test_a_metric_is_plain_in_the_middle_of_its_work(metric_name: str) -> None:
    preds, targets = pair_for_metric(metric_name)
    found = metric(metric_name)
    found.update(preds[:4], targets[:4])
    copied = through_bytes(found)
    for each in (found, copied):
        each.update(preds[4:], targets[4:])
    assert copied.compute() == found.compute()


# --- schedules ----------------------------------------------------------------------------------------


def schedule_with_what_it_needs(name: str) -> Callable[[float], float]:
    parameters = inspect.signature(SCHEDULES[name]).parameters.values()
    needed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    values: dict[str, Any] = dict.fromkeys(needed, 0.5)
    if "pieces" in values:
        values["pieces"] = [{"share": 0.5, "name": "linear"}, {"share": 0.5, "name": "constant"}]
    return schedule(name, **values)


JUMPING = {"multi_step", "piecewise", "sgdr", "step_decay"}
"""Schedules that are meant to jump: at a restart, at a step, between pieces."""


@pytest.fixture(params=sorted(SCHEDULES))
def schedule_name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_schedule_is_listed_under_its_own_name_and_documented(schedule_name: str) -> None:
    assert SCHEDULES[schedule_name].__name__ == schedule_name
    assert inspect.getdoc(SCHEDULES[schedule_name])


def test_a_schedule_is_a_pure_function_of_progress_without_jumps(schedule_name: str) -> None:
    function = schedule_with_what_it_needs(schedule_name)
    steps = [step / 1000 for step in range(1001)]
    values = [function(progress) for progress in steps]
    assert all(type(value) is float and math.isfinite(value) for value in values)
    assert [function(progress) for progress in reversed(steps)] == values[::-1]
    jumps = sum(abs(b - a) >= 0.02 for a, b in itertools.pairwise(values))
    assert jumps <= 5 if schedule_name in JUMPING else jumps == 0


@pytest.mark.parametrize("progress", [-0.001, 1.001, math.nan])
def test_a_schedule_refuses_what_is_no_progress(schedule_name: str, progress: float) -> None:
    with pytest.raises(ValueError, match="expected the share of training done"):
        schedule_with_what_it_needs(schedule_name)(progress)


def test_a_schedule_is_plain(schedule_name: str) -> None:
    function = schedule_with_what_it_needs(schedule_name)
    assert through_bytes(function)(0.3) == function(0.3)


# --- models -------------------------------------------------------------------------------------------


def picture_batch(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.fixture(scope="module", params=sorted(MODELS))
def built(request: pytest.FixtureRequest) -> Any:
    return create_model(request.param, num_classes=5, pretrained=False, dropout=0.0)


def test_a_model_is_documented_by_its_record(built: Any) -> None:
    assert built.info == MODELS[built.info.name]
    assert built.info.licence
    assert built.info.note.endswith(".")
    assert len(built.info.mean) == len(built.info.std) == 3


def test_a_model_gives_a_score_for_each_class_and_has_gradients_everywhere(built: Any) -> None:
    built.model.train()
    scores = built.model(picture_batch())
    assert (scores.shape, scores.dtype) == ((2, 5), torch.float32)
    built.model.zero_grad()
    (scores * torch.arange(10.0).view(2, 5)).sum().backward()
    without = [n for n, p in built.model.named_parameters() if p.grad is None]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in built.model.parameters())
    built.model.zero_grad()


def test_a_model_in_evaluation_answers_for_each_picture_by_itself(built: Any) -> None:
    built.model.eval()
    with torch.no_grad():
        both, one = built.model(picture_batch()), built.model(picture_batch()[:1])
    torch.testing.assert_close(both[:1], one, rtol=1e-4, atol=1e-5)


def test_a_model_answers_what_fine_tuning_asks(built: Any) -> None:
    groups = [list(nn.ModuleList(group).parameters()) for group in built.model.layer_groups()]
    assert len(groups) >= 2
    grouped = [id(p) for group in groups for p in group]
    assert sorted(grouped) == sorted(id(p) for p in built.model.parameters())
    assert {id(p) for p in built.model.head.parameters()} <= {id(p) for p in groups[-1]}
    built.model.eval()
    with torch.no_grad():
        features = built.model.forward_features(picture_batch())
        assert features.shape[:2] == (2, built.model.num_features)
        assert torch.equal(built.model.head(features), built.model(picture_batch()))


def test_a_model_keeps_the_dtype_it_is_given(built: Any) -> None:
    model = through_bytes(built.model).double().eval()
    with torch.no_grad():
        assert model(picture_batch(torch.float64)).dtype == torch.float64


def test_a_model_is_built_again_from_its_description(built: Any) -> None:
    again = build_from(built.description)
    again.load_state_dict(built.model.state_dict())
    for model in (again, built.model):
        model.eval()
    with torch.no_grad():
        assert torch.equal(again(picture_batch()), built.model(picture_batch()))


def test_the_same_seed_gives_the_same_model_and_another_seed_another(built: Any) -> None:
    def weights(seed: int) -> Tensor:
        made = create_model(
            built.info.name, num_classes=5, pretrained=False, dropout=0.0, seed=seed
        )
        return torch.cat([p.detach().flatten() for p in made.model.parameters()])

    mine = torch.cat([p.detach().flatten() for p in built.model.parameters()])
    assert torch.equal(weights(42), mine)
    assert not torch.equal(weights(43), mine)


def test_a_model_prints_its_layers(built: Any) -> None:
    text = str(summarize(built.model, (picture_batch(),)))
    count = sum(p.numel() for p in built.model.parameters())
    assert f"{count:,}" in text


# --- callbacks ----------------------------------------------------------------------------------------


def classes_in(package: ModuleType) -> Iterator[type]:
    """Every class that a module of `package` defines itself."""
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield value


CALLBACKS = [
    value for value in classes_in(drivetrain.train.callbacks) if issubclass(value, Callback)
]


def do_nothing(state: Any) -> None:
    """Stands for what a callback is given to call."""


class Silent:
    """A logger that keeps nothing."""

    def start(self, *args: Any, **options: Any) -> None: ...

    def log(self, *args: Any, **options: Any) -> None: ...

    def flush(self) -> None: ...

    def finish(self, *args: Any, **options: Any) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None: ...


def made(cls: type) -> Any:
    """An object of `cls`; arguments without a default are filled in by their name."""
    values: dict[str, Any] = {
        "history": History(),
        "record": Record(History()),
        "save": do_nothing,
        "write": do_nothing,
        "minutes": 60.0,
        "loggers": [Silent()],
        "ids": [f"item-{i}" for i in range(B)],
        "mean": (0.5, 0.4, 0.3),
        "std": (0.5, 0.6, 0.7),
    }
    if "settings" in inspect.signature(cls).parameters:
        # A class's settings stand beside it, named after it.
        values["settings"] = getattr(sys.modules[cls.__module__], f"{cls.__name__}Settings")()
    parameters = inspect.signature(cls).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty]
    unknown = [name for name in needed if name not in values]
    assert not unknown, f"{cls.__name__} needs {unknown}: add values for these to `made`."
    parameters = inspect.signature(cls).parameters
    many = [name for name in needed if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL]
    args = [one for name in many for one in values[name]]
    return cls(*args, **{name: values[name] for name in needed if name not in many})


def weights_after_training(*callbacks: Callback) -> tuple[Tensor, Any]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, 3, generator=generator)
    data = TensorData(inputs, inputs.sum(1, keepdim=True))
    model: nn.Module = nn.Linear(3, 1)
    try:
        return trained(model, data, "mse", callbacks)
    except InputError:  # it is for classes, for pictures, for residual nets, or for texts
        if isinstance(callbacks[0], RNNRegularization):
            return weights_after_reading(generator, callbacks)
        pictures = torch.randn(20, 1, 8, 8, generator=generator)
        data = TensorData(pictures, torch.arange(20) % 3)
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        model = nn.Sequential(ResidualBlock(1, 4), *head)
        return trained(model, data, "cross_entropy", callbacks)


def weights_after_reading(
    generator: torch.Generator, callbacks: tuple[Callback, ...]
) -> tuple[Tensor, Any]:
    words = torch.randint(4, (20, 6), generator=generator)
    description = language_description("rnn", 4, embedding_dim=3, hidden_dim=3)
    model = create_language_model(description, seed=0)
    return trained(model, TensorData(words, words), "token_cross_entropy", callbacks)


def trained(
    model: nn.Module, data: TensorData, loss: str, callbacks: tuple[Callback, ...]
) -> tuple[Tensor, Any]:
    loader = BatchLoader(data, batch_size=8, shuffle=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.linspace(-0.1, 0.2, parameter.numel()).reshape(parameter.shape))
    learner = drivetrain.Learner(
        model, Loaders(loader, loader), loss, callbacks=callbacks, lr=0.01, progress=False
    )
    learner.fit(2)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), learner


def test_there_are_callbacks_to_test() -> None:
    assert {cls.__name__ for cls in CALLBACKS} >= {
        "Checkpoint",
        "CheckFirstBatch",
        "Progress",
        "Record",
    }


@pytest.mark.parametrize("cls", CALLBACKS)
def test_a_callback_is_documented_and_says_when_it_comes(cls: type[Callback]) -> None:
    assert inspect.getdoc(cls) != inspect.getdoc(Callback)
    assert isinstance(cls.order, int)
    assert any(event in vars(cls) for event in EVENTS)


@pytest.mark.parametrize("cls", [cls for cls in CALLBACKS if cls.__name__ != "Record"])
def test_a_callback_works_in_two_fits_and_prints(cls: type[Callback]) -> None:
    callback = made(cls)
    first, learner = weights_after_training(callback)
    assert torch.isfinite(first).all()
    second, _ = weights_after_training(callback)
    assert torch.equal(first, second)
    assert cls.__name__ in repr(callback)
    assert len(learner.history) == 2


@pytest.mark.parametrize("cls", CALLBACKS)
def test_a_callback_is_plain_before_it_is_used(cls: type[Callback]) -> None:
    assert type(through_bytes(made(cls))) is cls


# --- transforms ---------------------------------------------------------------------------------------


def is_transform(cls: type) -> bool:
    """Whether its objects are called with a batch, the indices of its items, and the epoch."""
    call = vars(cls).get("__call__")
    names = list(inspect.signature(call).parameters) if call else []
    return names == ["self", "batch", "indices", "epoch"]


TRANSFORMS = [value for value in classes_in(drivetrain.vision) if is_transform(value)]


def uint8_pictures() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (B, 3, 16, 12), generator=generator, dtype=torch.uint8)


def transformed(transform: Any, indices: list[int], epoch: int = 0) -> tuple[Tensor, Tensor]:
    chosen = torch.tensor(indices)
    # As loaders give it: channels last.
    pictures = uint8_pictures()[chosen].contiguous(memory_format=torch.channels_last)
    return transform((pictures, chosen * 10), chosen, epoch)


def test_there_are_transforms_to_test() -> None:
    assert {cls.__name__ for cls in TRANSFORMS} >= {"Augment", "Normalise"}


@pytest.mark.parametrize("cls", TRANSFORMS)
def test_a_transform_gives_floats_of_the_same_shape_and_leaves_the_targets(cls: type) -> None:
    inputs, targets = transformed(made(cls), list(range(B)))
    assert (inputs.shape, inputs.dtype) == ((B, 3, 16, 12), torch.float32)
    assert torch.isfinite(inputs).all()
    assert torch.equal(targets, torch.arange(B) * 10)


@pytest.mark.parametrize("cls", TRANSFORMS)
def test_a_transform_leaves_the_batch_it_is_given_as_it_was(cls: type) -> None:
    pictures, targets = uint8_pictures(), torch.arange(B)
    made(cls)((pictures, targets), torch.arange(B), 0)
    assert torch.equal(pictures, uint8_pictures())
    assert torch.equal(targets, torch.arange(B))


@pytest.mark.parametrize("cls", TRANSFORMS)
def test_a_transform_does_the_same_to_an_item_in_whichever_batch_it_stands(cls: type) -> None:
    whole, _ = transformed(made(cls), list(range(B)), epoch=3)
    for item in range(B):
        alone, _ = transformed(made(cls), [item], epoch=3)
        assert torch.equal(alone[0], whole[item])


@pytest.mark.parametrize("cls", TRANSFORMS)
def test_a_transform_draws_nothing_from_global_state_and_leaves_it(cls: type) -> None:
    state = torch.get_rng_state()
    before, _ = transformed(made(cls), list(range(B)))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    after, _ = transformed(made(cls), list(range(B)))
    assert torch.equal(before, after)


@pytest.mark.parametrize("cls", TRANSFORMS)
def test_a_transform_is_plain_and_prints(cls: type) -> None:
    transform = made(cls)
    before, _ = transformed(transform, [1, 2])
    after, _ = transformed(through_bytes(transform), [1, 2])
    assert torch.equal(before, after)
    assert cls.__name__ in repr(transform)
    assert inspect.getdoc(cls)
