"""Where a NaN or an infinity comes from: looked for when a fit has met one, and only then.

The batch is run once more with its own draws, and each layer's output and gradient is looked at in the
order in which it comes. Weights, gradients, running statistics and generators stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain import losses
from drivetrain.data.loaders import BatchLoader
from drivetrain.randomness import preserved, set_generators
from drivetrain.train.batches import call_of
from drivetrain.train.modules import batchnorms
from drivetrain.train.state import FitState

Rows = tuple[int, ...]


@dataclass
class Cause:
    """What was found, as far as it could be told."""

    kind: str = ""
    """`weights`, `inputs`, `targets`, `layer`, `loss`, `gradient`, or empty where nothing was found."""
    names: list[str] = field(default_factory=list)
    """Parameters, or inputs, that are not finite."""
    layer: str = ""
    """The first layer with such an output or gradient, by `named_modules`; "(model)" for all of it."""
    layer_kind: str = ""
    """Its class."""
    dtype: torch.dtype | None = None
    """Of that output or gradient."""
    before_layer: bool = False
    """Whether it came into the layer already: from a function between two layers."""
    rows: Rows = ()
    """Places in the batch of the items it comes from; empty where all or none stand out."""


def cause_of(state: FitState, *, gradients: bool = False) -> Cause:
    """Why the loss of the batch in `state` is not finite, or with `gradients` its gradients.

    Args:
        state: between `after_loss` and the step.
        gradients: the loss is finite, and gradients of parameters are not.
    """
    wrong = bad_weights(state.model)
    if wrong:
        return Cause("weights", names=wrong)
    for parts in _batches(state):
        found = _bad_data(parts)
        if found is not None:
            return found
    with _as_it_was(state):
        return _bad_gradient(state) if gradients else _bad_output(state)


def bad_weights(model: nn.Module) -> list[str]:
    """Names of parameters and running statistics that hold a number that is not finite."""
    running = {id(b) for module in batchnorms([[model]]) for b in module.buffers(recurse=False)}
    named = [
        *model.named_parameters(),
        *((n, b) for n, b in model.named_buffers() if id(b) in running),
    ]
    return [name for name, tensor in named if not all_finite(tensor)]


def bad_gradients(state: FitState) -> list[str]:
    """Names of the parameters whose gradient holds a number that is not finite."""
    return [
        name
        for name, parameter in state.model.named_parameters()
        if parameter.grad is not None and not all_finite(parameter.grad)
    ]


def all_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite; numbers of a sparse tensor are those that it holds."""
    if tensor.layout is not torch.strided:
        tensor = tensor.coalesce().values()
    return bool(torch.isfinite(tensor).all())


# --- in the data --------------------------------------------------------------------------------------


def _batches(state: FitState) -> Iterator[Mapping[str, Any]]:
    """The batch as the loader gives it, before callbacks mix its items, and as the model saw it."""
    train = state.loaders.train
    if isinstance(train, BatchLoader):
        drawn = next(iter(train.batches(state.epoch, start=state.batches_done)), None)
        if drawn is not None:
            yield _parts(*call_of(drawn))
    yield _parts(state.args, state.kwargs, state.targets)


def _parts(args: tuple[Any, ...], kwargs: Mapping[str, Any], targets: Any) -> dict[str, Any]:
    many = len(args) > 1
    inputs = {f"input {place + 1}" if many else "inputs": part for place, part in enumerate(args)}
    return {
        **inputs,
        **{f"input '{name}'": part for name, part in kwargs.items()},
        "targets": targets,
    }


def _bad_data(parts: Mapping[str, Any]) -> Cause | None:
    bad = {name: rows for name, part in parts.items() if (rows := _bad_rows(part))}
    if not bad:
        return None
    kind = "targets" if set(bad) == {"targets"} else "inputs"
    rows = tuple(sorted({row for found in bad.values() for row in found}))
    return Cause(kind, names=list(bad), rows=rows)


def _bad_rows(value: Any) -> Rows:
    """Indices along the first dimension where a number is not finite."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return tuple(sorted({row for part in value for row in _bad_rows(part)}))
    if not isinstance(value, Tensor) or not _is_float(value) or value.ndim == 0:
        return ()
    finite = (
        torch.isfinite(value.detach()).flatten(start_dim=1)
        if value.ndim > 1
        else (torch.isfinite(value.detach())[:, None])
    )
    return tuple(torch.nonzero(~finite.all(dim=1)).flatten().tolist())


# --- in the model -------------------------------------------------------------------------------------


def _bad_output(state: FitState) -> Cause:
    """The first layer, in the order in which they run, whose output is not finite."""
    found: list[Cause] = []

    def look(name: str, module: nn.Module, args: Any, output: Any) -> None:
        if not found and (rows := _bad_rows(output) or _bad_scalar(output)):
            found.append(_cause("layer", name, module, output, rows))
            found[0].before_layer = bool(_bad_rows(args))

    with torch.no_grad(), _hooks(state.model, look):
        preds = state.model(*state.args, **state.kwargs)
        if found:
            found[0].rows = _some(found[0].rows, state)
            return found[0]
        if not isinstance(preds, Tensor) or not isinstance(state.targets, Tensor):
            return Cause("loss")
        values = losses.per_item(state.loss_fn, preds, state.targets)
    return Cause("loss", rows=_some(_bad_rows(values), state))


def _bad_gradient(state: FitState) -> Cause:
    """The first layer, in the order gradients come back, with a bad gradient of its output."""
    found: list[Cause] = []

    def look(name: str, module: nn.Module, args: Any, output: Any) -> None:
        def arrives(gradient: Tensor) -> None:
            if not found and (rows := _bad_rows(gradient) or _bad_scalar(gradient)):
                found.append(_cause("gradient", name, module, gradient, rows))

        for part in _tensors(output):
            if part.requires_grad:
                part.register_hook(arrives)

    trained = [p for p in state.model.parameters() if p.requires_grad]
    with torch.enable_grad(), _hooks(state.model, look):
        preds = state.model(*state.args, **state.kwargs)
        loss = state.loss_fn(preds, state.targets)
    torch.autograd.grad(loss, trained, allow_unused=True)
    if found:
        found[0].rows = _some(found[0].rows, state)
        return found[0]
    return Cause("gradient")


def _cause(kind: str, name: str, module: nn.Module, value: Any, rows: Rows) -> Cause:
    dtype = next((tensor.dtype for tensor in _tensors(value)), None)
    return Cause(kind, layer=name, layer_kind=type(module).__name__, rows=rows, dtype=dtype)


@contextmanager
def _as_it_was(state: FitState) -> Iterator[None]:
    """The draws of the forward pass; running statistics are put back afterwards."""
    buffers = [buffer for module in batchnorms([[state.model]]) for buffer in module.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    with preserved():
        set_generators(state.seed, "step", state.first_step + state.step)
        try:
            yield
        finally:
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)


@contextmanager
def _hooks(model: nn.Module, look: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for name, module in model.named_modules():

            def hook(
                module: nn.Module, args: Any, output: Any, name: str = name or "(model)"
            ) -> None:
                look(name, module, args, output)

            stack.callback(module.register_forward_hook(hook).remove)
        yield


def _some(rows: Sequence[int], state: FitState) -> Rows:
    """The rows, unless they are all there are: then nothing stands out."""
    parts = [*_tensors(state.args), *_tensors(state.kwargs)]
    count = parts[0].shape[0] if parts and parts[0].ndim else 0
    return tuple(rows) if 0 < len(rows) < count and max(rows) < count else ()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    return []


def _bad_scalar(value: Any) -> Rows:
    """(-1,) for a tensor without dimensions that is not finite: no item, yet not nothing."""
    return tuple(-1 for t in _tensors(value) if t.ndim == 0 and _is_float(t) and not all_finite(t))


def _is_float(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
