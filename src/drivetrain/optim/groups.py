"""Layer groups into optimizer groups: which rate each layer gets, and what is not decayed.

A layer group is a list of modules (or bare parameters) that train at one rate; a model made to be
fine-tuned lists its groups from the input to the head. Early layers know the general things
(edges, colours) and need small rates; the head is new and needs large ones: discriminative
learning rates, Howard & Ruder 2018, arXiv:1801.06146, sec. 3.2.

Weight decay pulls weights towards zero to keep the function simple. A norm's scale and any bias
do not make it more complex, so they are left alone, as in fastai.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import nn

from drivetrain.errors import InputError

Layer: TypeAlias = nn.Module | nn.Parameter
LayerGroups: TypeAlias = Sequence[Sequence[Layer]]
Rate: TypeAlias = float | slice | Sequence[float]


def param_groups(
    layer_groups: LayerGroups,
    *,
    lrs: Sequence[float],
    weight_decay: float,
    model: nn.Module | None = None,
    named: bool = True,
) -> list[dict[str, Any]]:
    """Groups for a `torch.optim.Optimizer`: each layer group as what is decayed and what is not.

    Frozen parameters (`requires_grad` False) are left out, and so is a group with none left.

    Args:
        layer_groups: the model's layers, first layers first.
        lrs: one learning rate per layer group; `spread_lrs` makes them.
        weight_decay: for all but norms and biases, whose decay is 0.
        model: when given, each of its parameters must stand in a group.
        named: with `name` and `layer_group`.

    Returns: dicts with `params`, `lr`, `weight_decay`, `name` ("0 decay", "0 no decay", ...) and
        `layer_group`, the index into `layer_groups`.
    Raises: InputError: another number of rates than of groups; a parameter in two groups, or in
        none; nothing to train.
    """
    if len(lrs) != len(layer_groups):
        raise InputError(
            f"`param_groups` got {_count(len(lrs), 'rate')} for "
            f"{_count(len(layer_groups), 'layer group')}, expected one each. "
            "`spread_lrs(lr, num_groups)` makes them."
        )
    _check_partition(layer_groups, model)
    groups: list[dict[str, Any]] = []
    for index, (layers, lr) in enumerate(zip(layer_groups, lrs, strict=True)):
        decayed, kept = split_by_decay(layers)
        for params, decay in ((decayed, weight_decay), (kept, 0.0)):
            if params:
                group = {"params": params, "lr": lr, "weight_decay": decay}
                if named:
                    kind = "decay" if params is decayed else "no decay"
                    group |= {"name": f"{index} {kind}", "layer_group": index}
                groups.append(group)
    if not groups:
        raise InputError(
            "`param_groups` found no parameter to train: all are frozen or there are none. "
            "Unfreeze a layer with `layer.requires_grad_(True)`."
        )
    return groups


def split_by_decay(
    layers: Sequence[Layer], *, bare: bool = True, shared: bool = True
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What is trained of some layers: weights that are decayed; norms and biases, which are not.

    Args:
        layers: modules, or parameters by themselves.
        bare: False where no layer is a parameter by itself.
        shared: False where no parameter is met twice.
    """
    decayed, kept = [], []
    seen: set[nn.Parameter] = set()
    for layer in layers:
        if bare and isinstance(layer, nn.Parameter):
            if layer.requires_grad:
                decayed.append(layer)
            continue
        for module in layer.modules():  # pyright: ignore[reportAttributeAccessIssue]
            for name, param in module.named_parameters(recurse=False):
                if not param.requires_grad or (shared and param in seen):
                    continue
                if shared:
                    seen.add(param)
                is_kept = "bias" in name or _is_norm(module, param)
                (kept if is_kept else decayed).append(param)
    return decayed, kept


def spread_lrs(lr: Rate, num_groups: int) -> list[float]:
    """One learning rate per layer group, first layers first.

    Args:
        lr: a float gives all groups that rate; `slice(low, high)` goes from low (first group) to
            high (last group) by equal ratios; `slice(high)` gives the last group high and the
            others a tenth of it; a list gives each group its own.
        num_groups: how many layer groups the model has, 1 or more.

    Raises: InputError: a list of another length, a rate that is not a finite number from 0 up, or
        a slice that does not fit the forms above.

    >>> spread_lrs(slice(1e-4, 1e-2), 3)
    [0.0001, 0.001, 0.01]
    >>> spread_lrs(slice(1e-2), 3)
    [0.001, 0.001, 0.01]
    """
    if isinstance(lr, str | bytes):
        raise InputError(
            f"`lr` is {lr!r}, expected a number, a list of numbers, or slice(low, high)."
        )
    if isinstance(lr, slice):
        rates = _slice_to_rates(lr, num_groups)
    elif isinstance(lr, Sequence):
        rates = [float(rate) for rate in lr]
        if len(rates) != num_groups:
            raise InputError(
                f"`lr` has {_count(len(rates), 'rate')} for {_count(num_groups, 'layer group')}. "
                "Give one rate per group, one float for all, or slice(low, high)."
            )
    else:
        rates = [float(lr)] * num_groups
    for rate in rates:
        if not (math.isfinite(rate) and rate >= 0):
            raise InputError(f"`lr` holds {rate}, expected a finite number from 0 up.")
    return rates


def rates_table(layer_groups: LayerGroups, *, lrs: Sequence[float]) -> str:
    """A table to print: for each layer group its layers, parameters, rate, and what is trainable.

    Args:
        layer_groups: from the first layers to the head.
        lrs: one rate a group.

    Raises: InputError: another number of rates than of groups.
    """
    if len(lrs) != len(layer_groups):
        raise InputError(
            f"`rates_table` got {_count(len(lrs), 'rate')} for "
            f"{_count(len(layer_groups), 'layer group')}, expected one each."
        )
    rows = [("group", "layers", "parameters", "rate", "state")]
    for index, (layers, lr) in enumerate(zip(layer_groups, lrs, strict=True)):
        params = [entry.param for entry in _parameters(layers)]
        total = sum(param.numel() for param in params)
        trainable = sum(param.numel() for param in params if param.requires_grad)
        rate = f"{lr:.3g}" if trainable else "-"
        rows.append(
            (str(index), _layer_names(layers), f"{total:,}", rate, _state(trainable, total))
        )
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    is_number = (False, False, True, True, False)
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


class _Entry(NamedTuple):
    """One parameter of a layer group: what to call it, and whether weight decay is for it."""

    name: str
    param: nn.Parameter
    is_decayed: bool


def _parameters(layers: Sequence[Layer]) -> Iterator[_Entry]:
    """Each parameter of a layer group once, in the order it is met."""
    seen: set[int] = set()
    for position, layer in enumerate(layers):
        if isinstance(layer, nn.Parameter):
            found = [_Entry(f"parameter {position}", layer, True)]
        else:
            found = [
                _Entry(".".join(filter(None, (path, name))), param, is_decayed)
                for path, module in layer.named_modules(prefix=type(layer).__name__)
                for name, param in module.named_parameters(recurse=False)
                for is_decayed in (not ("bias" in name or _is_norm(module, param)),)
            ]
        for entry in found:
            if id(entry.param) not in seen:
                seen.add(id(entry.param))
                yield entry


_TORCH_NORMS = (
    nn.modules.batchnorm._NormBase,  # batch and instance norms, of one to three dimensions
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def _is_norm(module: nn.Module | None, param: nn.Parameter) -> bool:
    # The second test is for norms that others wrote (timm has several): called so, and a vector.
    return isinstance(module, _TORCH_NORMS) or (
        param.ndim <= 1 and any("Norm" in cls.__name__ for cls in type(module).__mro__)
    )


def _check_partition(layer_groups: LayerGroups, model: nn.Module | None) -> None:
    """Each parameter in exactly one layer group; in none would leave it untrained, unnoticed."""
    full_names: Mapping[int, str] = (
        {id(param): name for name, param in model.named_parameters()} if model is not None else {}
    )
    group_of: dict[int, int] = {}
    for index, layers in enumerate(layer_groups):
        for entry in _parameters(layers):
            first = group_of.setdefault(id(entry.param), index)
            if first != index:
                name = full_names.get(id(entry.param), entry.name)
                raise InputError(
                    f"Parameter `{name}` stands in layer groups {first} and {index}, so two rates "
                    "would move it. Put the layers that share it into one group."
                )
    missing = [name for key, name in full_names.items() if key not in group_of]
    if missing:
        shown = ", ".join(f"`{name}`" for name in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(
            f"No layer group holds {_count(len(missing), 'parameter')} of the model: {shown}{more}. "
            "Nothing would train them; add their layers to a group in `layer_groups()`."
        )


def _slice_to_rates(lr: slice, num_groups: int) -> list[float]:
    low, high = lr.start, lr.stop
    if high is None or lr.step is not None:
        raise InputError(
            f"`lr` is {lr}, expected slice(low, high), or slice(high) for a tenth of it in all "
            "groups but the last."
        )
    if low is None:
        return [high / 10] * (num_groups - 1) + [float(high)]
    if not (low > 0 and high > 0):
        raise InputError(f"`lr` is {lr}, expected both rates above 0: no ratio leads from or to 0.")
    if num_groups == 1:
        return [float(high)]
    steps = [index / (num_groups - 1) for index in range(num_groups)]
    return [low ** (1 - step) * high**step for step in steps]


def _layer_names(layers: Sequence[Layer], *, shown: int = 3) -> str:
    names = [type(layer).__name__ for layer in layers]
    more = f", +{len(names) - shown}" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _state(trainable: int, total: int) -> str:
    if total == 0:
        return "no parameters"
    if trainable == 0:
        return "frozen"
    return "trainable" if trainable == total else f"trainable: {trainable:,}, rest frozen"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
