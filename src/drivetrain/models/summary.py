"""A model as a table: what each layer learns (parameters) and what it calculates (activations).

Parameters are numbers that training changes and that are the same for every picture. Activations
are calculated from the input and are new for each. Below the table stand the two layers that have to
fit the problem: the first one takes the input's channels or columns, and the last one gives
the numbers that the loss compares with the targets. What lies between can stay as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.errors import InputError
from drivetrain.randomness import preserved


@dataclass(frozen=True)
class LayerRow:
    """One layer of a summary."""

    path: str
    """Where it is in the model, as `named_modules` says; "(model)" for the model itself."""
    kind: str
    """Its class."""
    output_shape: tuple[int, ...] | None
    """Shape of its activations for the example, or None where it gives no tensor."""
    parameters: int
    """Numbers it learns; those shared with a layer above count there alone."""
    trainable: int
    """Those of them that training changes; the others are frozen."""


@dataclass(frozen=True)
class Summary:
    """The layers in the order they ran. `str` gives the table and its explanation."""

    rows: tuple[LayerRow, ...]
    """One for each layer."""
    input_shapes: tuple[tuple[int, ...], ...]
    """Shapes of the example's tensors."""
    stem: str
    """One line on the first layer that learns."""
    head: str
    """One line on the last layer that learns."""
    loss: str
    """One line on what the loss makes of the output; empty where no loss was named."""

    @property
    def parameters(self) -> int:
        """All numbers the model learns."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Those of them that are not frozen."""
        return sum(row.trainable for row in self.rows)

    @property
    def activations(self) -> int:
        """All numbers the layers calculate for one item, without the input."""
        return sum(
            _product(row.output_shape[1:]) for row in self.rows if row.output_shape is not None
        )

    def __str__(self) -> str:
        header = ("layer", "kind", "activations (calculated)", "parameters (learned)", "trainable")
        table: list[tuple[str, ...]] = [header]
        for row in self.rows:
            state = "" if row.parameters == 0 else "yes" if row.trainable else "no"
            if 0 < row.trainable < row.parameters:
                state = f"{row.trainable:,} of them"
            table.append(
                (row.path, row.kind, _shape(row.output_shape), f"{row.parameters:,}", state)
            )
        widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if column == 3 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in table
        ]
        frozen = self.parameters - self.trainable
        inputs = ", ".join(map(_shape, self.input_shapes))
        lines += [
            "",
            f"Input: {inputs}; the first number is the batch size.",
            f"Parameters: {self.parameters:,} learned by training, the same for every item; "
            f"{self.trainable:,} trainable, {frozen:,} frozen.",
            f"Activations: {self.activations:,} calculated anew for each item.",
            self.stem,
            self.head,
        ]
        return "\n".join([*lines, self.loss] if self.loss else lines)


def summarize(
    model: nn.Module,
    example: Sequence[Tensor],
    *,
    named: Mapping[str, Any] | None = None,
    loss: str | None = None,
) -> Summary:
    """Run the model once on an example and tell what each layer learns and calculates.

    The run is in evaluation mode and without gradients; afterwards the model, its modes and torch's
    generators are as they were. A row stands for each layer that has no layers inside, and for
    each that has parameters of its own; functions called in a `forward` have no row.

    Args:
        model: any module.
        example: what the model is called with, tensors whose first dimension is the batch.
        named: the same by name, for a model that is called so.
        loss: the loss's name, to say what it makes of the last layer's output.

    Returns: the rows and a few sentences; print it.
    Raises: InputError: the model has no layers and no parameters, or the example is no tensors.
    """
    if isinstance(example, Tensor) or not all(isinstance(part, Tensor) for part in example):
        raise InputError(
            "`summarize` needs the example as a tuple of tensors, one for each input of the model, "
            "such as `(images,)`."
        )
    layers = [
        (path or "(model)", module)
        for path, module in model.named_modules()
        if not any(module.children()) or any(True for _ in module.parameters(recurse=False))
    ]
    shapes = _output_shapes(model, dict(layers), example, named or {})
    # In the order they ran; layers that did not run (a head for training only, say) stand last.
    order = {path: position for position, path in enumerate(shapes)}
    layers.sort(key=lambda entry: order.get(entry[0], len(order)))
    rows = tuple(_rows(layers, shapes))
    learning = {
        row.path: module for row, (_, module) in zip(rows, layers, strict=True) if row.parameters
    }
    if not learning:
        raise InputError(f"`summarize` got a {type(model).__name__}, which has no parameters.")
    first, last = next(iter(learning)), next(reversed(learning))
    return Summary(
        rows=rows,
        input_shapes=tuple(
            tuple(part.shape)
            for part in (*example, *(named or {}).values())
            if isinstance(part, Tensor)
        ),
        stem=f"First layer: {first}, {_explain_first(learning[first])}",
        head=f"Last layer: {last}, {_explain_last(learning[last])}",
        loss=_explain_loss(loss) if loss else "",
    )


def _rows(
    layers: list[tuple[str, nn.Module]], shapes: dict[str, tuple[int, ...] | None]
) -> Iterator[LayerRow]:
    seen: set[int] = set()
    for path, module in layers:
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, own))
        yield LayerRow(
            path=path,
            kind=type(module).__name__,
            output_shape=shapes.get(path),
            parameters=sum(p.numel() for p in own),
            trainable=sum(p.numel() for p in own if p.requires_grad),
        )


def _output_shapes(
    model: nn.Module,
    layers: dict[str, nn.Module],
    example: Sequence[Tensor],
    named: Mapping[str, Any],
) -> dict[str, tuple[int, ...] | None]:
    """The shape each layer gave when it first ran, in that order."""
    shapes: dict[str, tuple[int, ...] | None] = {}

    def note(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            shapes.setdefault(path, tuple(output.shape) if isinstance(output, Tensor) else None)

        return hook

    handles = [module.register_forward_hook(note(path)) for path, module in layers.items()]
    try:
        with preserved(), torch.no_grad(), _evaluating(model):
            model(*example, **named)
    finally:
        for handle in handles:
            handle.remove()
    return shapes


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and each layer's own mode back afterwards: a frozen part may be in it already."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _explain_first(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        height, width = layer.kernel_size
        return (
            f"the input stem: a {height}x{width} window over {_count(layer.in_channels, 'channel')} "
            f"of the picture, {layer.out_channels} features out, stride {layer.stride[0]}. "
            "Pictures with another number of channels need another first layer."
        )
    if isinstance(layer, nn.Linear):
        return (
            f"takes {_count(layer.in_features, 'number')} an item and gives {layer.out_features}. "
            "Items with more or fewer columns need another first layer."
        )
    if isinstance(layer, nn.Embedding):
        return (
            f"looks up {layer.embedding_dim} learned numbers for each of "
            f"{layer.num_embeddings} words or categories; others need other rows."
        )
    return f"a {type(layer).__name__}: it has to fit the input."


def _explain_last(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        outputs = _count(layer.out_features, "number")
        return (
            f"the end of the head: {layer.in_features} features in, {outputs} an item out, one for "
            "each class or target. Another set of classes needs another last layer."
        )
    return f"a {type(layer).__name__}: its output is what the loss is given."


_LOSSES = {
    "cross_entropy": (
        "softmax turns the outputs into probabilities that sum to 1, and the loss is -log of the "
        "true class's. So the model itself ends in plain scores, without a softmax."
    ),
    "binary_cross_entropy_with_logits": (
        "a sigmoid turns each output into a probability of its own, and the loss is -log of what "
        "the truth got. So the model itself ends in plain scores, without a sigmoid."
    ),
    "mse": "the square of output minus target, averaged. So the output is the prediction itself.",
    "mae": "the size of output minus target, averaged. So the output is the prediction itself.",
    "mnist_loss": (
        "a sigmoid turns each output into a probability, and the loss is its distance from 0 or 1. "
        "So the model itself ends in plain scores, without a sigmoid."
    ),
    "token_cross_entropy": (
        "cross_entropy of the next token at each position. So the model itself ends in plain scores of "
        "all words, without a softmax."
    ),
    "soft_cross_entropy": (
        "as cross_entropy, against shares of the classes instead of one class. So the model itself "
        "ends in plain scores, without a softmax."
    ),
    "focal": (
        "cross_entropy in which an item counts the less, the surer the model is of its true class. So "
        "the model itself ends in plain scores, without a softmax."
    ),
    "binary_focal": (
        "binary_cross_entropy_with_logits in which an answer counts the less, the surer and righter it "
        "is. So the model itself ends in plain scores, without a sigmoid."
    ),
    "dice": (
        "softmax turns the outputs into probabilities, and the loss is 1 minus how much the predicted "
        "and the true area of a class overlap. So the model itself ends in plain scores."
    ),
    "huber": (
        "the square of a small output minus target and the size of a large one, averaged. So the "
        "output is the prediction itself."
    ),
    "quantile": (
        "output minus target, weighed by its sign so that a given share of the targets comes to lie "
        "below the output. So the output is the prediction itself."
    ),
}


def _explain_loss(name: str) -> str:
    return f"Loss: {name}, {_LOSSES.get(name, 'which compares the outputs with the targets.')}"


def _shape(shape: tuple[int, ...] | None) -> str:
    return "-" if shape is None else "x".join(map(str, shape)) or "one number"


def _product(numbers: Sequence[int]) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
