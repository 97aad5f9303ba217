"""What a layer does, and what its gradient is, as formulas of single cells.

Each operation of `own_graph` has a formula for each number that it gives, and one for what each number
that it takes contributes to the gradient. Layers and rules are those of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from drivetrain.errors import ConfigError
from drivetrain.sheets.own_graph import WOULD_DO, Node
from drivetrain.sheets.places import at, block


@dataclass(frozen=True)
class Area:
    """A table of cells: where it begins, and how large it is."""

    sheet: str
    row: int
    left: int
    rows: int
    columns: int

    def at(self, r: int, c: int) -> str:
        """One cell; the only row or column stands for all."""
        row = self.row + (r if self.rows > 1 else 0)
        return at(row, self.left + (c if self.columns > 1 else 0), sheet=self.sheet)

    def line(self, r: int) -> str:
        """A row."""
        return block(self.row + r, self.left, 1, self.columns, sheet=self.sheet)

    def column(self, c: int) -> str:
        """A column."""
        return block(self.row, self.left + c, self.rows, 1, sheet=self.sheet)

    @property
    def all(self) -> str:
        """Every cell."""
        return block(self.row, self.left, self.rows, self.columns, sheet=self.sheet)


@dataclass
class Places:
    """Where everything stands."""

    values: dict[Node, Area]
    grads: dict[Node, Area]
    params: dict[str, Area]
    """Name of a parameter -> its cells before the step."""
    extra: dict[tuple[Node, str], Area]
    """Of batchnorm `mean`, `var`, `normal`; of dropout `mask`."""


def _ref(given: Any, places: Places, r: int, c: int) -> str:
    if isinstance(given, float):
        return repr(given) if given >= 0 else f"({given!r})"
    return places.values[given].at(r, c)


def _param(node: Node, name: str, places: Places) -> Area:
    return places.params[f"{node.path}.{name}" if node.path else name]


def value_formula(node: Node, places: Places, r: int, c: int) -> str:
    """The formula of one number that an operation gives."""
    x = node.parts[0]
    match node.kind:
        case "linear":
            assert isinstance(node.module, nn.Linear)
            weights = _param(node, "weight", places).line(c)
            product = f"SUMPRODUCT({places.values[x].line(r)},{weights})"
            bias = (
                f"+{_param(node, 'bias', places).at(0, c)}" if node.module.bias is not None else ""
            )
            return product + bias
        case "relu":
            return f"MAX(0,{_ref(x, places, r, c)})"
        case "sigmoid":  # as torch computes it, without overflow
            return f"(1+TANH({_ref(x, places, r, c)}/2))/2"
        case "tanh":
            return f"TANH({_ref(x, places, r, c)})"
        case "batchnorm":
            gamma, beta = (_param(node, name, places).at(0, c) for name in ("weight", "bias"))
            return f"{gamma}*{places.extra[node, 'normal'].at(r, c)}+{beta}"
        case "dropout":
            mask = places.extra.get((node, "mask"))
            return _ref(x, places, r, c) + (f"*{mask.at(r, c)}" if mask is not None else "")
        case "embedding":
            table = _param(node, "weight", places).all
            return f"INDEX({table},{_ref(x, places, r, 0)}+1,{c + 1})"
        case "column":
            return places.values[x].at(r, node.column)
        case "same":
            return _ref(x, places, r, c)
        case "row sum":
            return f"SUM({places.values[x].line(r)})"
        case "cat":
            part, place = _part_of(node, c)
            return places.values[part].at(r, place)
        case "add" | "sub" | "mul":
            sign = {"add": "+", "sub": "-", "mul": "*"}[node.kind]
            one, two = (_ref(part, places, r, c) for part in node.parts)
            return f"{one}{sign}{two}"
    raise AssertionError(node.kind)


def batchnorm_formulas(node: Node, places: Places, r: int, c: int) -> dict[str, str]:
    """Mean, variance (divides by the rows) and the normalised number, of what goes into a batchnorm."""
    module = node.module
    assert isinstance(module, nn.BatchNorm1d)
    x = places.values[node.parts[0]]
    mean, var = (places.extra[node, name].at(0, c) for name in ("mean", "var"))
    return {
        "mean": f"AVERAGE({x.column(c)})",
        "var": f"DEVSQ({x.column(c)})/{x.rows}",
        "normal": f"({x.at(r, c)}-{mean})/SQRT({var}+{module.eps!r})",
    }


def _part_of(node: Node, c: int) -> tuple[Node, int]:
    """Which of the joined tables a column comes from, and its place there."""
    for part in node.parts:
        width = part.value.shape[1]
        if c < width:
            return part, c
        c -= width
    raise AssertionError("the joined tables have as many columns")


def grad_formula(node: Node, places: Places, r: int, c: int) -> str:
    """How the loss moves with one number: the sum of what each user of it hands back."""
    terms = [
        term
        for user in node.users
        if user in places.grads
        for index, part in enumerate(user.parts)
        if part is node and (term := _handed_back(user, index, places, r, c))
    ]
    return "+".join(terms) if terms else "0"


def _handed_back(user: Node, index: int, places: Places, r: int, c: int) -> str:
    part, grads, values = user.parts[index], places.grads[user], places.values
    match user.kind:
        case "linear":
            weights = _param(user, "weight", places)
            if weights.rows == 1:
                return f"{grads.at(r, 0)}*{weights.at(0, c)}"
            return f"SUMPRODUCT(MMULT({grads.line(r)},{weights.column(c)}))"
        case "relu":
            return f"IF({values[part].at(r, c)}>0,{grads.at(r, c)},0)"
        case "sigmoid":
            y = values[user].at(r, c)
            return f"{grads.at(r, c)}*{y}*(1-{y})"
        case "tanh":
            return f"{grads.at(r, c)}*(1-{values[user].at(r, c)}^2)"
        case "batchnorm":
            return _batchnorm_back(user, places, r, c)
        case "dropout":
            mask = places.extra.get((user, "mask"))
            return grads.at(r, c) + (f"*{mask.at(r, c)}" if mask is not None else "")
        case "column":
            return grads.at(r, 0) if c == user.column else ""
        case "same":
            return grads.at(r, c)
        case "row sum":
            return grads.at(r, 0)
        case "cat":
            before = sum(one.value.shape[1] for one in user.parts[:index])
            return grads.at(r, before + c)
        case "add" | "sub" | "mul":
            if part.value.shape != user.value.shape:
                raise ConfigError(
                    f"`{user.title}` spreads {tuple(part.value.shape)} numbers over "
                    f"{tuple(user.value.shape)}, "
                    f"whose gradient is not written into cells. {WOULD_DO}"
                )
            other = _ref(user.parts[1 - index], places, r, c)
            sign = "-" if user.kind == "sub" and index == 1 else ""
            times = f"*{other}" if user.kind == "mul" else ""
            return f"({sign}{grads.at(r, c)}{times})"
    return ""


def _batchnorm_back(user: Node, places: Places, r: int, c: int) -> str:
    module = user.module
    assert isinstance(module, nn.BatchNorm1d)
    grads, normal = places.grads[user], places.extra[user, "normal"]
    gamma, var = _param(user, "weight", places).at(0, c), places.extra[user, "var"].at(0, c)
    factor = f"{gamma}/SQRT({var}+{module.eps!r})"
    if not module.training:
        return f"{factor}*{grads.at(r, c)}"
    column = grads.column(c)
    means = f"AVERAGE({column})", f"SUMPRODUCT({column},{normal.column(c)})/{normal.rows}"
    return f"{factor}*({grads.at(r, c)}-{means[0]}-{normal.at(r, c)}*{means[1]})"


def param_formula(users: Mapping[Node, str], places: Places, r: int, c: int) -> str:
    """The gradient of one number of a parameter; `users` are its layers and what it is called there."""
    terms: list[str] = []
    for node, name in users.items():
        grads = places.grads[node]
        x = places.values[node.parts[0]]
        if node.kind == "linear" and name == "weight":
            terms.append(f"SUMPRODUCT({grads.column(r)},{x.column(c)})")
        elif node.kind == "embedding":
            terms.append(f"SUMPRODUCT(({x.column(0)}={r})*{grads.column(c)})")
        elif node.kind == "batchnorm" and name == "weight":
            terms.append(f"SUMPRODUCT({grads.column(c)},{places.extra[node, 'normal'].column(c)})")
        else:
            terms.append(f"SUM({grads.column(c)})")
    return "+".join(terms)


# --- losses -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss:
    """A loss: the number of a row (or of each cell), and the slope at each output, before the mean."""

    name: str
    words: str
    per_row: bool
    value: Callable[[str, str, str], str]
    """(output, target, row of outputs) -> formula"""
    slope: Callable[[str, str, str], str]


def cross_entropy_loss(classes: int, smoothing: float) -> Loss:
    """The loss of classes; targets are numbers from 0."""

    def log_sum(line: str) -> str:
        return f"(MAX({line})+LN(SUMPRODUCT(EXP({line}-MAX({line})))))"

    def value(_: str, target: str, line: str) -> str:
        own = f"{log_sum(line)}-INDEX({line},{target}+1)"
        if not smoothing:
            return own
        return f"{1 - smoothing!r}*({own})+{smoothing!r}*({log_sum(line)}-AVERAGE({line}))"

    def slope(output: str, target: str, line: str) -> str:
        share = f"EXP({output}-{log_sum(line)})"
        if not smoothing:
            return f"({share}-{target})"
        return f"({share}-{1 - smoothing!r}*{target}-{smoothing / classes!r})"

    return Loss("cross_entropy", "mean of ln(sum of exp z) - z of the class", True, value, slope)


def _wrong(output: str, target: str) -> str:
    return f"({output}-{target})"


BY_CELL = {
    "mse": Loss(
        *("mse", "mean of (output - target)²", False),
        lambda z, t, _: f"({z}-{t})^2",
        lambda z, t, _: f"2*({z}-{t})",
    ),
    "mae": Loss(
        *("mae", "mean of |output - target|", False),
        lambda z, t, _: f"ABS({z}-{t})",
        lambda z, t, _: f"SIGN({z}-{t})",
    ),
    "binary_cross_entropy_with_logits": Loss(
        *(
            "binary_cross_entropy_with_logits",
            "mean of ln(1 + exp(-|z|)) + max(0, z) - z · target",
            False,
        ),
        lambda z, t, _: f"LN(1+EXP(-ABS({z})))+MAX(0,{z})-{z}*{t}",
        lambda z, t, _: f"((1+TANH({z}/2))/2-{t})",
    ),
}
