"""What a checkpoint holds: named tensors, and plain numbers as JSON.

    model.<name>                      the state dict
    optimizer.<parameter>|<entry>     what the optimizer remembers of a parameter
    gradient.<parameter>              gradients that wait for their step
    callback.<name>|<entry>           what a callback remembers, where it is a tensor; else in the JSON

Everything of a parameter is stored by its name, never by position, so that it is found again even where
layers are grouped differently.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from drivetrain.errors import RunError
from drivetrain.optim.composed import Composed
from drivetrain.train.callback import Callback, named

MODEL, OPTIMIZER, GRADIENT, CALLBACK = "model.", "optimizer.", "gradient.", "callback."
MOMENTS = frozenset(
    "exp_avg exp_avg_sq max_exp_avg_sq momentum_buffer square_avg acc_delta grad_avg sum prev".split()
)
"""What torch's optimizers remember in the shape of the parameter."""
_NOT_FINITE = "not_finite"
"""JSON has no NaN and no infinity: `{"not_finite": "nan"}`."""


def pack(model: nn.Module, optimizer: Optimizer, *, pending: bool = False) -> dict[str, Tensor]:
    """The tensors of model and optimizer, by name; with `pending`, the gradients too."""
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for entry, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{OPTIMIZER}{name}|{entry}"] = torch.as_tensor(value)
        if pending and parameter.grad is not None:
            tensors[GRADIENT + name] = parameter.grad
    return tensors


def pack_callbacks(
    callbacks: Iterable[Callback],
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """What callbacks remember: the tensors by name, and all else as JSON by callback."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, dict[str, Any]] = {}
    for name, callback in named(callbacks).items():
        for entry, value in callback.state_dict().items():
            if isinstance(value, Tensor):
                tensors[f"{CALLBACK}{name}|{entry}"] = value
            else:
                values.setdefault(name, {})[entry] = _to_json(value)
    return tensors, values


def unpack_callbacks(
    tensors: Mapping[str, Tensor], values: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """By callback, the state that `pack_callbacks` took apart.

    Raises: RunError: it is not such a state.
    """
    are_objects = isinstance(values, Mapping) and all(
        isinstance(entries, Mapping) for entries in values.values()
    )
    if not are_objects:
        raise RunError("The checkpoint does not say what callbacks remember. Train anew.")
    found: dict[str, dict[str, Any]] = {
        name: _Remembered((k, _from_json(v)) for k, v in entries.items())
        for name, entries in values.items()
    }
    for key, value in tensors.items():
        if key.startswith(CALLBACK):
            name, _, entry = key[len(CALLBACK) :].partition("|")
            found.setdefault(name, _Remembered())[entry] = value.clone()
    return found


def unpack_gradients(tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    """Put back the gradients that waited for their step; all others are cleared."""
    for name, parameter in model.named_parameters():
        kept = tensors.get(GRADIENT + name)
        if kept is not None and kept.shape != parameter.shape:
            raise RunError(
                f"The checkpoint has a gradient of another shape for {name!r}. Train anew."
            )
        parameter.grad = None if kept is None else torch.empty_like(parameter).copy_(kept).detach()


def unpack_model(tensors: Mapping[str, Tensor], model: nn.Module, *, what: str) -> None:
    """Load the weights of a checkpoint.

    Raises: RunError: they are not this model's: other names or shapes.
    """
    load_weights(
        model, {k[len(MODEL) :]: v for k, v in tensors.items() if k.startswith(MODEL)}, what=what
    )


def unpack_optimizer(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: Optimizer) -> None:
    """Give the optimizer back what it remembered of each parameter.

    A moment gets its parameter's memory format: a fused optimizer walks both as they lie in memory, and
    in different orders it would pair the wrong numbers.

    Raises: RunError: there is state of a parameter that the model does not have.
    """
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        if key.startswith(OPTIMIZER):
            name, _, entry = key[len(OPTIMIZER) :].rpartition("|")
            if name not in parameters:
                raise RunError(
                    f"The checkpoint remembers {(name or key)[:100]!r}, which the model does not have. "
                    "Build the model as it was when the checkpoint was written."
                )
            parameter = parameters[name]
            if entry in MOMENTS and (
                value.shape != parameter.shape or not value.is_floating_point()
            ):
                raise RunError(
                    f"The checkpoint remembers {entry} of {name!r} as {value.dtype} of shape "
                    f"{tuple(value.shape)}, expected floats of shape {tuple(parameter.shape)}. "
                    "Train anew."
                )
            kept = value.clone()
            if entry != "step" and value.shape == parameter.shape:  # torch keeps `step` on the CPU
                kept = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            optimizer.state[parameter][entry] = kept.detach()
    remembered: dict[object, frozenset[str]] = {}
    for parameter, kind in _kinds(optimizer):
        if parameter not in optimizer.state:
            continue
        entries = frozenset(optimizer.state[parameter])
        if remembered.setdefault(kind, entries) != entries:
            raise RunError(
                "The checkpoint remembers other things of one parameter than of another of its kind, "
                "as no optimizer does. Train anew."
            )


def _kinds(optimizer: Optimizer) -> Iterator[tuple[Tensor, object]]:
    """Parameters, each with what those have in common of which the same is remembered.

    Of our optimizers that is the chain: Muon has one for matrices and another for all else. Of torch's it
    is the group. What a person's own does nobody knows, so each of its parameters is a kind of its own.
    """
    of_torch = type(optimizer).__module__.startswith("torch.optim")
    for number, group in enumerate(optimizer.param_groups):
        for parameter in group["params"]:
            if isinstance(optimizer, Composed):
                yield parameter, optimizer.chain.of(parameter, group).name
            else:
                yield parameter, number if of_torch else id(parameter)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, what: str) -> None:
    """`load_state_dict`, strict, with a message a person can act on.

    Args:
        what: names the source of the weights in the message.
    Raises: RunError: names, shapes or kinds of number differ.
    """
    check_fit(model, weights, what=what)
    model.load_state_dict(dict(weights))


def check_fit(model: nn.Module, weights: Mapping[str, Tensor], *, what: str) -> None:
    """Whether weights are this model's, which may be on the device `meta`; as `load_weights`."""
    own: Mapping[str, Any] = model.state_dict()
    missing = [name for name in own if name not in weights]
    unknown = [name for name in weights if name not in own]
    both = [name for name in own if name in weights]
    other = [n for n in both if own[n].shape != weights[n].shape]
    kind = [n for n in both if own[n].is_floating_point() != weights[n].is_floating_point()]
    if missing or unknown or other or kind:
        parts = []
        for label, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("other shape", other),
            ("other kind of number", kind),
        ):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                parts.append(f"{label}: {', '.join(name[:100] for name in names[:3])}{more}")
        raise RunError(
            f"{what} holds the weights of another model ({'; '.join(parts)}). "
            "Build the model with the same name and number of classes."
        )


class _Remembered(dict[str, Any]):
    """What a callback remembers; what is missing is the checkpoint's fault."""

    def __missing__(self, key: str) -> Any:
        raise RunError(
            f"The checkpoint does not hold {key!r} of a callback, so it was not written by this version "
            "of Drivetrain. Train anew."
        )


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_NOT_FINITE: str(value)}
    if isinstance(value, Mapping):
        return {key: _to_json(entry) for key, entry in value.items()}
    return [_to_json(entry) for entry in value] if isinstance(value, list | tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {_NOT_FINITE}:
            return float(value[_NOT_FINITE])
        return {key: _from_json(entry) for key, entry in value.items()}
    return [_from_json(entry) for entry in value] if isinstance(value, list) else value
