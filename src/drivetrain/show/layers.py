"""The table of a network: what each layer takes and gives, learns, costs, sees, and how its values lie.

    >>> print(
    ...     layers(
    ...         nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1)), torch.zeros(1, 1, 28, 28)
    ...     )
    ...     .rows[0]
    ...     .size
    ... )
    (28+2·1−3)//2+1 = 14

`models.summarize` lists the layers; here stand the formulas and the numbers of a batch besides. Matrix
products and attention that a `forward` calls by itself, outside any layer, have rows of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.models.summary import LayerRow, Summary, summarize
from drivetrain.randomness import preserved
from drivetrain.show.html import fragment
from drivetrain.show.layer import inputs_for
from drivetrain.show.ops.sizes import (
    EVERYTHING,
    Field,
    advice,
    multiplications,
    receptive_fields,
    size_formula,
)
from drivetrain.show.record import WHOLE, Op, Record, Value, record, unchanged
from drivetrain.train.learner import Learner

NEAR_ZERO = 0.05
"""A value whose size is below this counts as near zero, as in the callback `activation_stats`."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerLine:
    """One layer of a network. Shapes and counts are of one item."""

    path: str
    """Where it is; of what a `forward` calls by itself, "path · operation"."""
    kind: str
    """Its class, or "function"."""
    input_shape: Shape | None
    """Of the first tensor that comes in; None where the layer did not run."""
    output_shape: Shape | None
    """Of the first tensor that it gives."""
    size: str
    """How the output's size comes about: "(28+2·1−3)//2+1 = 14"; empty where it is the input's."""
    parameters: int
    """Numbers it learns; those shared with a layer above count there."""
    parameters_formula: str
    """"8·4·3·3 + 8 = 296"; empty where there are none."""
    trainable: int
    """Those of them that are not frozen."""
    over_input_grid: int | None
    """Multiplications, as if they were made at each place that comes in; None: no sum of products."""
    over_output_grid: int | None
    """Multiplications at each place that comes out: what is computed."""
    without_padding: int | None
    """The same without those with padded zeros."""
    receptive_field: Shape | None
    """Places of the input that one output sees, along each axis; None where it is no grid."""
    sees_everything: bool
    """Whether it sees all of the input, whatever its size."""
    mean: float | None
    """Of its outputs over the batch."""
    std: float | None
    near_zero: float | None
    """Share of its outputs that are nearer to 0 than `NEAR_ZERO`."""
    advice: str
    """Where a convolution loses places at the edge, the padding that keeps them."""


@dataclass(frozen=True)
class LayerTable:
    """The layers in the order in which they ran. `str` gives two tables: sizes, and work and values."""

    rows: tuple[LayerLine, ...]
    input_shapes: tuple[Shape, ...]
    """Of the inputs, the batch left out."""
    num_items: int
    """Items that mean, std and share near zero are of."""

    @property
    def parameters(self) -> int:
        """All that is learned."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """What is not frozen."""
        return sum(row.trainable for row in self.rows)

    @property
    def multiplications(self) -> tuple[int, int, int]:
        """Of one item: over the input grids, over the output grids, without padding."""
        return (
            sum(row.over_input_grid or 0 for row in self.rows),
            sum(row.over_output_grid or 0 for row in self.rows),
            sum(row.without_padding or 0 for row in self.rows),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "inputs": [list(shape) for shape in self.input_shapes],
            "num_items": self.num_items,
            "rows": [_plain(asdict(row)) for row in self.rows],
            "parameters": self.parameters,
            "trainable": self.trainable,
            "multiplications": dict(
                zip(
                    ("over_input_grid", "over_output_grid", "without_padding"),
                    self.multiplications,
                    strict=True,
                )
            ),
        }

    def _repr_html_(self) -> str:
        return fragment(self)

    def __str__(self) -> str:
        sizes: list[tuple[str, ...]] = [
            ("layer", "kind", "in", "out", "how the size comes about", "parameters", "learns")
        ]
        values: list[tuple[str, ...]] = [
            (
                "layer",
                "× over input",
                "× over output",
                "× no padding",
                "sees",
                "mean",
                "std",
                "near 0",
            )
        ]
        for row in self.rows:
            learns = "" if not row.parameters else "yes" if row.trainable else "frozen"
            if 0 < row.trainable < row.parameters:
                learns = f"{row.trainable:,} of them"
            sizes.append(
                (
                    *(row.path, row.kind, _times(row.input_shape), _times(row.output_shape)),
                    *(row.size, row.parameters_formula or "0", learns),
                )
            )
            counts = (row.over_input_grid, row.over_output_grid, row.without_padding)
            values.append(
                (
                    row.path,
                    *("-" if count is None else f"{count:,}" for count in counts),
                    _sees(row),
                    "-" if row.mean is None else f"{row.mean:.3g}",
                    "-" if row.std is None else f"{row.std:.3g}",
                    "-" if row.near_zero is None else f"{row.near_zero:.1%}",
                )
            )
        work = " / ".join(f"{count:,}" for count in self.multiplications)
        frozen = self.parameters - self.trainable
        tips = [f"{row.path}: {row.advice}." for row in self.rows if row.advice]
        return "\n".join(
            [
                f"One item: {', '.join(map(_times, self.input_shapes))}.",
                "",
                *_aligned(sizes),
                "",
                *_aligned(values, right=range(1, 8)),
                "",
                f"Parameters: {self.parameters:,}; {self.trainable:,} trainable, {frozen:,} frozen.",
                f"Multiplications an item: {work}: over the input grids, over the output grids (what is "
                "computed), and without those with padded zeros.",
                f"mean, std and near 0 (|x| < {NEAR_ZERO:g}) are of {self.num_items} items, as in "
                "evaluation.",
                *tips,
            ]
        )


def layers(model: nn.Module | Learner, inputs: Any = None) -> LayerTable:
    """The table of a network, from one batch; the model is left as it was.

    Args:
        model: any module, or a Learner.
        inputs: what the model is called with: tensors whose first axis is the batch, as one tensor, a
            tuple, or a dict by name; None: the first validation batch of the Learner.

    Raises: InputError: there are no inputs, they are no tensors, or the model has no parameters.
    """
    args, named = inputs_for(model, inputs)
    net = model.model if isinstance(model, Learner) else model
    num_items = next(
        (len(t) for t in (*args, *named.values()) if isinstance(t, Tensor) and t.ndim), 1
    )
    few = min(2, num_items)
    small = tuple(_first(part, few, num_items) for part in args)
    small_named = {name: _first(part, few, num_items) for name, part in named.items()}
    summary = summarize(net, small, named=small_named)
    seen = record(net, small, small_named)
    stats = _statistics(net, args, named)
    given = [t for t in (*args, *named.values()) if isinstance(t, Tensor)]
    return LayerTable(
        rows=tuple(_rows(net, summary, seen, stats, few)),
        input_shapes=tuple(tuple(t.shape[1:]) for t in given),
        num_items=num_items,
    )


def _rows(
    net: nn.Module,
    summary: Summary,
    seen: Record,
    stats: Mapping[str, tuple[float, float, float]],
    items: int,
) -> Iterator[LayerLine]:
    own: dict[str, list[Op]] = {}
    for op in seen.ops:
        own.setdefault(op.path, []).append(op)
    fields = receptive_fields(seen)
    formulas = _parameter_formulas(net, summary)
    first = {call.path: call for call in reversed(seen.calls) if call.is_done}
    listed = {row.path for row in summary.rows}
    found: list[tuple[float, LayerLine]] = []
    for row in summary.rows:
        call = first.get(row.path)
        output = call.outputs[0] if call is not None and call.outputs else None
        source = call.inputs[0] if call is not None and call.inputs else None
        ops, numbers = own.get(row.path, []), stats.get(row.path)
        line = _line(row, formulas[row.path], ops, source, output, fields, numbers, items)
        found.append((call.first if call is not None else float("inf"), line))
    for path, ops in own.items():
        if path in listed:
            continue
        for op in ops:
            if multiplications(op) is not None:
                is_attention = "scaled_dot_product" in op.name  # each back-end has its own name
                name = f"{path} · {'attention' if is_attention else op.name.strip('_')}"
                row = LayerRow(name, "function", None, 0, 0)
                source = next((v for v in op.args.values() if isinstance(v, Value)), None)
                found.append(
                    (op.number, _line(row, "", [op], source, op.outputs[0], fields, None, items))
                )
    found.sort(key=lambda entry: entry[0])
    yield from (line for _, line in found)


def _line(
    row: LayerRow,
    formula: str,
    ops: list[Op],
    source: Value | None,
    output: Value | None,
    fields: Mapping[int, Field],
    stats: tuple[float, float, float] | None,
    items: int,
) -> LayerLine:
    counts = [found for found in map(multiplications, ops) if found is not None]
    totals = tuple(sum(column) // items for column in zip(*counts, strict=True)) or (None,) * 3
    field = fields.get(id(output)) if output is not None else None
    input_shape = None if source is None else tuple(source.tensor.shape[1:])
    output_shape = None if output is None else tuple(output.tensor.shape[1:])
    mean, std, near_zero = stats or (None, None, None)
    return LayerLine(
        path=row.path,
        kind=row.kind,
        input_shape=input_shape,
        output_shape=output_shape,
        size=_size(row, ops, input_shape, output_shape),
        parameters=row.parameters,
        parameters_formula=formula,
        trainable=row.trainable,
        over_input_grid=totals[0],
        over_output_grid=totals[1],
        without_padding=totals[2],
        receptive_field=None if field is None or field is EVERYTHING else field.size,
        sees_everything=field is EVERYTHING,
        mean=mean,
        std=std,
        near_zero=near_zero,
        advice=", ".join(filter(None, map(advice, ops))),
    )


def _size(row: LayerRow, ops: list[Op], before: Shape | None, after: Shape | None) -> str:
    words = list(dict.fromkeys(filter(None, map(size_formula, ops))))
    if words:
        padded = [op for op in ops if op.name == "constant_pad_nd"]
        if padded and before is not None:
            now = tuple(padded[0].outputs[0].tensor.shape[1:])
            words.insert(0, f"padded to {_times(now)}")
        return ", ".join(words)
    if row.kind == "Flatten" and before is not None and after is not None and len(after) == 1:
        return f"{'·'.join(map(str, before))} = {after[0]}"
    return ""


def _parameter_formulas(net: nn.Module, summary: Summary) -> dict[str, str]:
    """ "8·4·3·3 + 8 = 296" of each layer, without the parameters that an earlier one has already."""
    seen: set[int] = set()
    found = {}
    for row in summary.rows:
        module = net.get_submodule("" if row.path == WHOLE else row.path)
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, own))
        parts = ["·".join(map(str, p.shape)) or "1" for p in own]
        found[row.path] = f"{' + '.join(parts)} = {row.parameters:,}" if own else ""
    return found


def _statistics(
    net: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, tuple[float, float, float]]:
    """Mean, std and share near zero of what each layer first gives for the whole batch."""
    found: dict[str, tuple[float, float, float]] = {}

    def note(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple | list) and output else output
            if path in found or not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                return
            numbers = tensor.detach().double()
            if numbers.numel():
                found[path] = (
                    float(numbers.mean()),
                    float(numbers.std(correction=0)),
                    float((numbers.abs() < NEAR_ZERO).double().mean()),
                )

        return hook

    handles = [m.register_forward_hook(note(path or WHOLE)) for path, m in net.named_modules()]
    try:
        with preserved(), unchanged(net), torch.no_grad():
            net(*args, **named)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _first(part: Any, count: int, num_items: int) -> Any:
    is_batch = isinstance(part, Tensor) and part.ndim > 0 and len(part) == num_items
    return part[:count] if is_batch else part


def _sees(row: LayerLine) -> str:
    if row.sees_everything:
        return "all"
    return "-" if row.receptive_field is None else _times(row.receptive_field)


def _times(shape: Shape | None) -> str:
    return "-" if shape is None else "×".join(map(str, shape)) or "one number"


def _aligned(rows: list[tuple[str, ...]], right: range = range(0)) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value if not isinstance(value, float) or value == value else "nan"
