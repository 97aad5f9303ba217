"""What the last layer of a net is given: the vectors in which it tells items apart.

    with head_inputs(learner.model) as caught:
        predictions = learner.predictions()
    caught.vectors()                                     # (N, F), in the order of the predictions

The last layer is the linear one that is used last; another layer may be named, and then it is its output
that is kept. The hooks come off whatever happens, and the model's mode, weights and gradients are left
as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain._registry import did_you_mean
from drivetrain.errors import DataError, ShapeError, UnknownNameError


class Caught:
    """The vectors of the items that went through a model, batch by batch."""

    def __init__(self, layer: str | None) -> None:
        self.layer = layer
        """Whose output is kept; None: what the last linear layer is given."""
        self.last = ""
        """The name of that last layer, once something went through."""
        self.pooled = 0
        """Places of which the mean was taken, of a layer that gives maps; 0 of one that gives vectors."""
        self._parts: list[Tensor] = []

    def vectors(self) -> np.ndarray:
        """(N, F) float32, in the order in which the items came.

        Raises: DataError: nothing went through. ShapeError: the layer gives no vector an item.
        """
        if not self._parts:
            what = "no linear layer is used in it" if self.layer is None else "it is not used"
            raise DataError(
                f"No activations were caught: nothing went through the model, or {what}. Name a layer "
                "that it uses."
            )
        widths = {part.shape[1:] for part in self._parts}
        if len(widths) > 1 or len(self._parts[0].shape) != 2:
            shape = "x".join(map(str, self._parts[0].shape))
            raise ShapeError(
                f"A map needs one vector an item, (B, F), or maps, (B, C, h, w). Layer "
                f"'{self.layer or self.last}' has {shape}. Choose another layer."
            )
        return torch.cat(self._parts).numpy()

    def add(self, values: Tensor) -> None:
        """Keep those of one batch."""
        found = values.detach().to("cpu", torch.float32)
        if found.ndim == 4:  # maps of places: their mean is one vector
            self.pooled = found.shape[2] * found.shape[3]
            found = found.mean(dim=(2, 3))
        self._parts.append(found.clone())


@contextmanager
def head_inputs(
    model: nn.Module, layer: str | None = None, *, within: str = ""
) -> Iterator[Caught]:
    """Inside, what goes through the model leaves its vectors in the record that is given.

    Args:
        model: any net; it is called as ever inside.
        layer: the name of a layer whose output is wanted; by default what the linear layer that is used
            last is given.
        within: the name of a part of the model; only linear layers in it count. Of a model with several
            heads that is one of them.

    Raises: UnknownNameError: the model has no such layer.
    """
    layers = {name: module for name, module in model.named_modules() if name}
    if layer is not None and layer not in layers:
        raise UnknownNameError(
            f"The model has no layer '{layer}'.{did_you_mean(layer, layers)} `drivetrain summary` lists "
            "its layers."
        )
    caught = Caught(layer)
    latest: list[tuple[str, Tensor]] = []

    def given(name: str) -> Any:
        def keep(module: nn.Module, args: Any) -> None:
            if args and isinstance(args[0], Tensor):
                latest[:] = [(name, args[0])]

        return keep

    def gave(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            latest[:] = [("", output)]

    def done(module: nn.Module, args: Any, output: Any) -> None:
        if latest:
            name, values = latest.pop()
            caught.last = name
            caught.add(values)

    handles = []
    try:
        if layer is None:
            for name, module in model.named_modules():
                if isinstance(module, nn.Linear) and _is_in(name, within):
                    handles.append(module.register_forward_pre_hook(given(name)))
        else:
            handles.append(layers[layer].register_forward_hook(gave))
        handles.append(model.register_forward_hook(done))
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _is_in(name: str, part: str) -> bool:
    return not part or name == part or name.startswith(f"{part}.")
