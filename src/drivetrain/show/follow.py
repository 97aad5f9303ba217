"""A real training step with somebody looking: the loop itself runs, on a copy, and is recorded.

`follow` makes the step that the Learner would make next, by `drivetrain.train.loop.fit`: its callbacks,
its schedule, its optimizer. What a weight's story needs is kept: the batch, what the layers that use the
weight gave and the gradients there, the weight's own gradient before and after callbacks saw it, and
the optimizer's memory before and after. The Learner is left as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.train import rehearsal
from drivetrain.train.batches import length
from drivetrain.train.callback import FIRST, LAST, Callback, CancelFit
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.journal import Stage
from drivetrain.train.learner import Learner
from drivetrain.train.state import FitState


@dataclass
class Call:
    """One call of a module that uses the weight."""

    path: str
    """Of the module in the model; empty for the model itself."""
    names: tuple[str, ...]
    """What the weight is called within it."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    generator: Tensor
    """State of torch's generator when the call began."""
    outputs: list[Tensor] = field(default_factory=list)
    grads: dict[int, Tensor] = field(default_factory=dict)
    """Gradient of the loss at each output that has one, by its place in `outputs`."""


@dataclass
class Followed:
    """One training step as it was."""

    name: str
    model: nn.Module
    """A copy as it was just before the batch."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    targets: Any = None
    preds: Any = None
    loss_fn: Any = None
    generator: Tensor = field(default_factory=lambda: torch.zeros(0))
    plain_loss: float = 0.0
    """What the loss function gave."""
    loss: float = 0.0
    """What was differentiated: callbacks may have added to it."""
    weight: Tensor = field(default_factory=lambda: torch.zeros(0))
    new_weight: Tensor = field(default_factory=lambda: torch.zeros(0))
    kept_grad: Tensor | None = None
    """What earlier batches of the same step had left in the gradient."""
    grad: Tensor = field(default_factory=lambda: torch.zeros(0))
    """After backward."""
    used_grad: Tensor = field(default_factory=lambda: torch.zeros(0))
    """As the optimizer sees it."""
    norms: list[float] = field(default_factory=list)
    """Of every parameter's gradient after backward."""
    calls: list[Call] = field(default_factory=list)
    """Of the innermost modules that hold the weight and were called."""
    whole: list[Call] = field(default_factory=list)
    """Of the model itself."""
    optimizer: Any = None
    group: dict[str, Any] = field(default_factory=dict)
    """The hyperparameters at the step, without the parameters."""
    state: dict[str, Tensor] = field(default_factory=dict)
    new_state: dict[str, Tensor] = field(default_factory=dict)
    stage: Stage = field(default_factory=lambda: Stage("fit", "fit"))
    progress: float = 0.0
    number: int = 0
    """Of the step in the fit, from 1."""
    epoch: int = 0
    callbacks: list[Callback] = field(default_factory=list)

    def clip(self) -> ClipGradients | None:
        """The callback that clipped, where there is one."""
        return next((one for one in self.callbacks if isinstance(one, ClipGradients)), None)


def follow(learner: Learner, weight: str, *, batch: Any = None, number: int = 1) -> Followed:
    """Make training steps on a copy of the Learner, and record the last of them.

    Args:
        learner: is left as it was: weights, optimizer, callbacks, generators.
        weight: name of a parameter of the model.
        batch: what the step is made on; by default what the training loader gives next.
        number: which step of the fit is recorded, from 1; those before it are made too.

    Raises: UnknownNameError: no such parameter. ConfigError: it is frozen, `number` is below 1, or there
        are fewer steps in the fit.
    """
    check_weight(learner.model, weight)
    if number < 1:
        raise ConfigError(f"`number` is the step of a fit, from 1 up. Got {number}.")
    steps = rehearsal.onward(learner)
    train = learner.loaders.train if batch is None else _Always(batch, learner.loaders.train)
    recorder = _Recorder(steps.model, weight, number)
    steps.fit(train, [recorder.early, recorder.late])
    if recorder.found is None:
        raise ConfigError(
            f"The fit has fewer than {number} steps: there were {recorder.steps}. Ask for one of those, "
            "or train for more epochs."
        )
    found = recorder.found
    found.optimizer, found.stage, found.callbacks = steps.optimizer, steps.stage, steps.callbacks
    return found


def check_weight(model: nn.Module, name: str) -> nn.Parameter:
    """The parameter of a name.

    Raises: UnknownNameError: there is none. ConfigError: it is frozen.
    """
    known = dict(model.named_parameters(remove_duplicate=False))
    if name not in known:
        listed = list(known)
        more = "" if len(listed) <= 12 else f" … ({len(listed)})"
        raise UnknownNameError(
            f"The model has no weight '{name}'.{did_you_mean(name, listed)} "
            f"It has: {', '.join(listed[:12])}{more}."
        )
    if not known[name].requires_grad:
        raise ConfigError(
            f"The weight '{name}' is frozen, so no step moves it. `learner.unfreeze()` lets it train."
        )
    return known[name]


class _Always:
    """A loader that gives one batch again and again, as often as another has batches."""

    def __init__(self, batch: Any, like: Any) -> None:
        self.batch, self.count = batch, length(like) or 1

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self.count):
            yield self.batch


# --- looking --------------------------------------------------------------------------------------


class _Early(Callback):
    """Sees what the loop made before other callbacks change it."""

    order = FIRST - 1000
    only_looks = True

    def __init__(self, recorder: _Recorder) -> None:
        self.recorder = recorder

    def after_forward(self, state: FitState) -> None:
        self.recorder.after_forward(state)

    def after_loss(self, state: FitState) -> None:
        self.recorder.plain_loss = float(state.loss.detach())

    def after_backward(self, state: FitState) -> None:
        self.recorder.after_backward(state)

    def after_step(self, state: FitState) -> None:
        self.recorder.after_step(state)


class _Late(Callback):
    """Sees what is left when all other callbacks are done."""

    order = LAST + 1000
    only_looks = True

    def __init__(self, recorder: _Recorder) -> None:
        self.recorder = recorder

    def before_batch(self, state: FitState) -> None:
        self.recorder.before_batch(state)

    def after_loss(self, state: FitState) -> None:
        self.recorder.after_loss(state)

    def before_step(self, state: FitState) -> None:
        self.recorder.before_step(state)


class _Recorder:
    """Keeps what `Followed` holds, of the step that is asked for."""

    def __init__(self, model: nn.Module, weight: str, number: int) -> None:
        self.model, self.name, self.number = model, weight, number
        self.param = dict(model.named_parameters(remove_duplicate=False))[weight]
        self.steps = 0
        self.plain_loss = 0.0
        self.found: Followed | None = None
        self._now: Followed | None = None
        self.early, self.late = _Early(self), _Late(self)
        self._calls: dict[str, list[Call]] = {}
        self._begun: dict[str, list[Tensor]] = {}
        self._switch = {"on": False}
        self._paths = users(model, self.param)
        for path in self._paths:
            self._watch(path)

    def _watch(self, path: str) -> None:
        module = self.model.get_submodule(path)
        # Plain functions and a dict: a copy of the model shares them, and is not recorded.
        switch, calls, begun, names = self._switch, self._calls, self._begun, self._paths[path]

        def before(_: nn.Module, __: tuple[Any, ...], ___: dict[str, Any]) -> None:
            if switch["on"]:
                begun.setdefault(path, []).append(torch.get_rng_state())

        def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            if not switch["on"]:
                return
            call = Call(path, names, args, kwargs, begun[path].pop(), list(tensors_of(out)))
            for place, tensor in enumerate(call.outputs):
                if tensor.requires_grad:
                    tensor.register_hook(_keeping(call, place))
            calls.setdefault(path, []).append(call)

        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after, with_kwargs=True)

    def before_batch(self, state: FitState) -> None:
        self._switch["on"] = False
        self._calls.clear()
        if self.steps + 1 != self.number:
            return
        self._now = Followed(self.name, copy.deepcopy(self.model))
        self._now.generator = torch.get_rng_state()
        self._now.weight = self.param.detach().clone()
        self._switch["on"] = True

    def after_forward(self, state: FitState) -> None:
        self._switch["on"] = False
        if self._now is not None:
            self._now.args, self._now.kwargs = state.args, state.kwargs
            self._now.targets, self._now.preds = state.targets, state.preds

    def after_loss(self, state: FitState) -> None:
        now = self._now
        if now is not None:
            now.loss_fn = state.loss_fn
            now.plain_loss, now.loss = self.plain_loss, float(state.loss.detach())
            grad = self.param.grad
            now.kept_grad = None if grad is None else grad.detach().clone()

    def after_backward(self, state: FitState) -> None:
        now = self._now
        if now is None:
            return
        if self.param.grad is None:
            raise ConfigError(
                f"The weight '{self.name}' got no gradient from this batch: nothing that the loss "
                "depends on uses it."
            )
        now.grad = self.param.grad.detach().clone()
        now.norms = [
            float(p.grad.detach().double().norm())
            for group in state.optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]

    def before_step(self, state: FitState) -> None:
        now = self._now
        if now is None:
            return
        assert self.param.grad is not None, "it had one after backward"
        now.used_grad = self.param.grad.detach().clone()
        group = next(
            g for g in state.optimizer.param_groups if any(p is self.param for p in g["params"])
        )
        now.group = {key: value for key, value in group.items() if key != "params"}
        now.state = _cloned(state.optimizer.state.get(self.param, {}))
        now.progress, now.epoch, now.number = state.progress, state.epoch, self.steps + 1

    def after_step(self, state: FitState) -> None:
        self.steps += 1
        if self._now is None:
            return
        self._now.new_weight = self.param.detach().clone()
        self._now.new_state = _cloned(state.optimizer.state.get(self.param, {}))
        self._now.calls, self._now.whole = self._chosen(), self._calls[""]
        self.found, self._now = self._now, None
        raise CancelFit

    def _chosen(self) -> list[Call]:
        """Of each use of the weight the innermost module that was called, and none twice."""
        chosen: list[str] = []
        for owner in _owners(self.model, self.param):
            path = owner
            while path not in self._calls and path:
                path = path.rpartition(".")[0]
            if path in self._calls and path not in chosen:
                chosen.append(path)
        inner = [p for p in chosen if not any(p != o and _is_within(p, o) for o in chosen)]
        return [call for path in inner for call in self._calls[path]]


def _keeping(call: Call, place: int) -> Any:
    def keep(grad: Tensor) -> None:
        call.grads[place] = grad.detach().clone()

    return keep


def _cloned(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        key: value.detach().clone() for key, value in state.items() if isinstance(value, Tensor)
    }


def _is_within(inner: str, outer: str) -> bool:
    return not outer or inner.startswith(f"{outer}.")


def _owners(model: nn.Module, param: nn.Parameter) -> list[str]:
    """The modules that hold a parameter as their own."""
    return [
        path
        for path, module in model.named_modules()
        if any(own is param for own in module._parameters.values())
    ]


def users(model: nn.Module, param: nn.Parameter) -> dict[str, tuple[str, ...]]:
    """The modules that may use a parameter, its owners and all around them -> its names within them."""
    found: dict[str, tuple[str, ...]] = {}
    for owner in _owners(model, param):
        path = owner
        while True:
            if path not in found:
                inside = model.get_submodule(path).named_parameters(remove_duplicate=False)
                found[path] = tuple(name for name, own in inside if own is param)
            if not path:
                break
            path = path.rpartition(".")[0]
    return found


def tensors_of(value: Any) -> Iterator[Tensor]:
    """The float tensors in outputs: tuples, lists and dicts are looked into."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_of(part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from tensors_of(part)
