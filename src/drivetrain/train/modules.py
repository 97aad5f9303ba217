"""A model as the loop needs it: an `nn.Module` with layer groups.

What a person brings may be less: any callable with parameters trains, be it a net, a parabola, a mean
image or a dot product.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor, nn

from drivetrain.errors import ConfigError

LayerGroup = Sequence[nn.Module | nn.Parameter]


class CallableModel(nn.Module):
    """Any callable that answers `parameters()`, as a module.

    >>> import torch
    >>> class Line:
    ...     def __init__(self):
    ...         self.slope = nn.Parameter(torch.tensor(2.0))
    ...
    ...     def parameters(self):
    ...         return [self.slope]
    ...
    ...     def __call__(self, x):
    ...         return self.slope * x
    >>> CallableModel(Line())(torch.tensor(3.0))
    tensor(6., grad_fn=<MulBackward0>)
    """

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.values = nn.ParameterList(_parameters_of(function))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the callable answers."""
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        """The name of what was wrapped."""
        return type(self.function).__name__


def as_module(model: nn.Module | Callable[..., Any]) -> nn.Module:
    """The model itself where it is an `nn.Module`, else a `CallableModel` around it.

    Raises: ConfigError: it cannot be called, or has no parameters that an optimizer could move.
    """
    if not isinstance(model, nn.Module):
        return CallableModel(model)
    plain = plain_tensors(model)
    if next(model.parameters(), None) is None:
        also = f" {_PLAIN.format(names=_listed(plain))}" if plain else ""
        raise ConfigError(
            f"`{type(model).__name__}` has no parameters, so there is nothing to train.{also}"
        )
    if plain:
        warnings.warn(_PLAIN.format(names=_listed(plain)), stacklevel=3)
    return model


_PLAIN = (
    "{names}: a tensor attribute is not a parameter, so it is not trained, nor saved with the weights. "
    "Wrap what is to be trained in `nn.Parameter`, and what is to be kept in `nn.Buffer`."
)


def plain_tensors(model: nn.Module) -> list[str]:
    """Attributes of a model that are tensors of floats and neither parameters nor buffers, by name.

    Views and results with a graph are left out: what a layer keeps of its last batch.
    """
    return [
        f"{name}.{key}" if name else key
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, Tensor) and value.is_floating_point() and value.grad_fn is None
    ]


def _listed(names: Sequence[str]) -> str:
    some = ", ".join(f"`{name}`" for name in names[:3])
    return some + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def layer_groups_of(model: nn.Module) -> list[LayerGroup]:
    """`model.layer_groups()` where the model answers it, else one group with everything.

    The first group is nearest to the input; the last one is the head.
    """
    if not hasattr(model, "layer_groups"):
        return [[model]]
    layer_groups: Callable[[], Sequence[LayerGroup]] = cast(Any, model).layer_groups
    return [list(group) for group in layer_groups()]


def freeze_groups(groups: Sequence[LayerGroup], frozen: int) -> None:
    """Let the first `frozen` groups need no gradient, and all others need one."""
    for index, group in enumerate(groups):
        for layer in group:
            layer.requires_grad_(index >= frozen)


def batchnorms(groups: Sequence[LayerGroup]) -> list[nn.Module]:
    """The layers of `groups` that keep running statistics."""
    return [
        module
        for group in groups
        for layer in group
        if isinstance(layer, nn.Module)
        for module in layer.modules()
        if getattr(module, "running_mean", None) is not None
    ]


def have_statistics(groups: Sequence[LayerGroup]) -> bool:
    """Whether every batchnorm of `groups` has learnt statistics; new ones have a mean of 0 throughout."""
    return all(bool(cast(Any, module).running_mean.any()) for module in batchnorms(groups))


def _parameters_of(function: Any) -> list[nn.Parameter]:
    name = type(function).__name__
    if not callable(function):
        raise ConfigError(
            f"The model must be an `nn.Module` or a callable with parameters. Got {name}."
        )
    if not hasattr(function, "parameters"):
        raise ConfigError(
            f"`{name}` can be called but has no `parameters()`, so there is nothing to train. "
            "Make it an `nn.Module`, or add a method that lists its `nn.Parameter`s."
        )
    parameters: list[Any] = list(cast(Any, function).parameters())
    wrong = [type(p).__name__ for p in parameters if not isinstance(p, nn.Parameter)]
    if wrong or not parameters:
        got = f"{wrong[0]}" if wrong else "an empty list"
        raise ConfigError(
            f"`{name}.parameters()` must list `nn.Parameter`s. Got {got}. "
            "Wrap each tensor that is to be learnt: `nn.Parameter(tensor)`."
        )
    return parameters


def detached(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the tensors of a state dict, so that training on does not change them."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}
