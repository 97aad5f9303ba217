"""Arithmetic over a model's prediction, as a person writes it in a problem file: read, checked, worked
out.

    (price - cost) * prediction
    200 * probability.yes - 3 * (channel == "letter")
    min(column["Machine Hours"], 100) ** 2

What there is: numbers; the model's `prediction`, or `probability.CLASS` (`probability["very good"]` where
the class is no plain word); levers and columns by name, or as `column["any name"]`; + - * / **; one
comparison of two values, which is 1 or 0; and `abs exp log max min sqrt`. A column of words can only be
compared with a word.

Python's parser makes the tree, and nothing of it is ever run by Python: a walk over a closed list of
nodes refuses the rest, and numpy works out what is left, in float64. So no text can do anything but
fail: powers overflow to infinity instead of filling the memory, and length, depth and number of parts
have bounds.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain._strict import shown
from drivetrain.data.frame import Factor, Values
from drivetrain.errors import ConfigError

LETTERS = 1000
"""Of an expression."""
PARTS = 256
"""Numbers, names, signs and calls of an expression."""
DEPTH = 64
"""Parts inside one another; a sum of n terms is n deep."""
EXPONENT = 100
"""A larger one is a slip of the hand: what it makes of 10 is no number any more."""
LARGEST = 1e15
"""A number written out."""

_OPERATORS: Mapping[type[ast.operator], Callable[..., np.ndarray]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: np.float_power,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[..., np.ndarray]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_FUNCTIONS: Mapping[str, tuple[Callable[..., np.ndarray], int, int]] = {
    "abs": (np.abs, 1, 1),
    "exp": (np.exp, 1, 1),
    "log": (np.log, 1, 1),
    "max": (np.maximum, 2, PARTS),
    "min": (np.minimum, 2, PARTS),
    "sqrt": (np.sqrt, 1, 1),
}
"""Name -> function, fewest and most values that it takes."""
_LANGUAGE = (
    "An expression holds numbers, names, + - * / **, comparisons of two values, and the functions "
    f"{', '.join(_FUNCTIONS)}."
)


@dataclass(frozen=True)
class Expression:
    """A checked expression. Made by `parse`."""

    text: str
    """As it was written."""
    names: frozenset[str]
    """The levers and columns that it uses."""
    classes: frozenset[str]
    """The classes whose probability it uses."""
    uses_prediction: bool
    """Whether `prediction` stands in it."""
    _tree: ast.expr = field(repr=False, compare=False)

    @property
    def needs_model(self) -> bool:
        """Whether the model has to be asked."""
        return self.uses_prediction or bool(self.classes)

    def evaluate(
        self,
        columns: Mapping[str, Values],
        *,
        prediction: np.ndarray | None = None,
        probability: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """The value for each row.

        Args:
            columns: name -> (N,) numbers or a Factor of N words; those that `names` lists are needed.
            prediction: (N,) of the model, where `uses_prediction`.
            probability: class -> (N,), where `classes` lists some.

        Returns: (N,) float64, or () where no column is used; NaN and infinities where arithmetic has no
            answer, such as log(-1).
        Raises: ConfigError: words stand where a number has to, or are compared with a word
            that they never are; a name is not there.
        """
        known = _Known(columns, prediction, probability or {})
        with np.errstate(all="ignore"):
            return np.asarray(known.value(self._tree), dtype=np.float64)

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Expression:
    """Read an expression; see the module for what it may hold.

    Args:
        text: such as `(price - cost) * prediction`.

    Returns: the checked expression; it is called with columns.
    Raises: ConfigError: it is not one, with what is wrong and what to write.

    >>> sorted(parse("(price - cost) * prediction").names)
    ['cost', 'price']
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError("An expression is a text such as '(price - cost) * prediction'.")
    if len(text) > LETTERS:
        raise ConfigError(
            f"The expression {shown(text)} has {len(text)} letters, more than the {LETTERS} allowed."
        )
    tree = _tree_of(text)
    walk = _Walk(text)
    walk.check(tree)
    return Expression(
        text=text.strip(),
        names=frozenset(walk.names),
        classes=frozenset(walk.classes),
        uses_prediction=walk.uses_prediction,
        _tree=tree,
    )


def unknown_names(expression: Expression, columns: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that is neither the model's nor one of these."""
    known = sorted({*columns})
    for name in sorted(expression.names.difference(known)):
        near = did_you_mean(name, [*known, "prediction", "probability"])
        yield (
            f"The expression {shown(expression.text)} names {shown(name)}, which is no lever, context "
            f"or column.{near}"
        )


def unknown_classes(expression: Expression, classes: Iterable[str]) -> Iterator[str]:
    """A sentence for each class that the model does not have."""
    known = [*classes]
    for name in sorted(expression.classes.difference(known)):
        yield (
            f"The expression {shown(expression.text)} asks for the probability of {shown(name)}, which "
            f"is no class of the model.{did_you_mean(name, known)} Its classes: "
            f"{', '.join(known) or 'none, it predicts a number'}."
        )


def _tree_of(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about "\d" in a quoted name
            return ast.parse(text.strip().replace("\n", " "), mode="eval").body
    except SyntaxError as error:
        place = "" if error.offset is None else f", at letter {error.offset}"
        raise ConfigError(
            f"The expression {shown(text)} cannot be read{place}. {_LANGUAGE}"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL; too many brackets
        raise ConfigError(
            f"The expression {shown(text)} cannot be read: it is nested too deep, or holds what is no "
            f"text. {_LANGUAGE}"
        ) from error


class _Walk:
    """Goes through a tree, refuses what is not in the language, and collects the names."""

    def __init__(self, text: str) -> None:
        self.text = text.strip().replace("\n", " ")
        self.names: set[str] = set()
        self.classes: set[str] = set()
        self.uses_prediction = False
        self._parts = 0

    def check(self, node: ast.expr, depth: int = 1) -> None:
        self._parts += 1
        if depth > DEPTH or self._parts > PARTS:
            raise ConfigError(
                f"The expression {shown(self.text)} is too large: at most {PARTS} parts, {DEPTH} inside "
                "one another."
            )
        for inner in self._inner(node):
            self.check(inner, depth + 1)

    def _inner(self, node: ast.expr) -> list[ast.expr]:
        """The parts of a node that have to be checked in turn."""
        match node:
            case ast.Constant():
                self._check_number(node)
                return []
            case ast.Name(id=name):
                if name == "prediction":
                    self.uses_prediction = True
                elif name in ("probability", "column"):
                    say = "probability.yes" if name == "probability" else 'column["Machine Hours"]'
                    raise self._refused(node, f"stands alone. Say which: {say}.")
                elif name in _FUNCTIONS:
                    raise self._refused(node, "is a function: give it its values in brackets.")
                else:
                    self.names.add(name)
                return []
            case ast.Attribute(value=ast.Name(id="probability"), attr=name):
                self.classes.add(name)
                return []
            case ast.Subscript(
                value=ast.Name(id="probability" | "column" as kind),
                slice=ast.Constant(value=str(name)),
            ):
                (self.classes if kind == "probability" else self.names).add(name)
                return []
            case ast.BinOp(left=left, op=op, right=right):
                if isinstance(op, ast.BitXor):
                    raise self._refused(node, "has a ^. Write a power with **.")
                if type(op) not in _OPERATORS:
                    raise self._refused(node, f"is not in the language. {_LANGUAGE}")
                if isinstance(op, ast.Pow) and _size_of(right) > EXPONENT:
                    raise self._refused(node, f"has an exponent above {EXPONENT}.")
                return [left, right]
            case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
                return [operand]
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                if _is_word(left) or _is_word(right):
                    return self._word_comparison(node, left, op, right)
                return [left, right]
            case ast.Compare(ops=[_, _, *_]):
                raise self._refused(
                    node, "compares more than two values. Multiply comparisons: (a < b) * (b < c)."
                )
            case ast.BoolOp():
                raise self._refused(
                    node, "joins with a word. A comparison is 1 or 0: for 'and' multiply, for 'or' "
                    "use max."
                )  # fmt: skip
            case ast.Call(func=ast.Name(id=name), args=values, keywords=[]) if not any(
                isinstance(value, ast.Starred) for value in values
            ):
                self._check_call(node, name, len(values))
                return list(values)
            case ast.Attribute() | ast.Subscript():
                raise self._refused(
                    node,
                    'is none of probability.CLASS, probability["any class"] and column["any name"].',
                )
        raise self._refused(node, f"is not in the language. {_LANGUAGE}")

    def _check_number(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str):
            raise self._refused(
                node, "is a word. It can be compared with a column of words, as in channel == \"web\"; a "
                'name with spaces is column["Machine Hours"].'
            )  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refused(node, "is not a number.")
        if not abs(value) <= LARGEST:
            raise self._refused(node, f"is larger than {LARGEST:g}.")

    def _word_comparison(
        self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr
    ) -> list[ast.expr]:
        column = right if _is_word(left) else left
        if not isinstance(op, ast.Eq | ast.NotEq) or _column_of(column) is None:
            raise self._refused(
                node,
                "compares a word. What there is: a column, == or !=, a word, as in "
                'channel == "web".',
            )
        return [column]

    def _check_call(self, node: ast.expr, name: str, count: int) -> None:
        if name not in _FUNCTIONS:
            near = did_you_mean(name, _FUNCTIONS)
            raise self._refused(node, f"calls {shown(name)}, which is no function here.{near}")
        _, fewest, most = _FUNCTIONS[name]
        if not fewest <= count <= most:
            takes = "one value" if most == 1 else f"{fewest} values or more"
            raise self._refused(node, f"gives {name} {count} values; it takes {takes}.")

    def _refused(self, node: ast.expr, why: str) -> ConfigError:
        piece = ast.get_source_segment(self.text, node) or self.text
        where = "" if piece == self.text else f" It stands in the expression {shown(self.text)}."
        return ConfigError(f"{shown(piece)} {why}{where}")


@dataclass(frozen=True)
class _Known:
    """What the names of an expression stand for."""

    columns: Mapping[str, Values]
    prediction: np.ndarray | None
    probability: Mapping[str, np.ndarray]

    def value(self, node: ast.expr) -> np.ndarray | float:
        match node:
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.Name(id="prediction"):
                return self._given(self.prediction, "prediction")
            case (
                ast.Attribute(attr=name)
                | ast.Subscript(
                    value=ast.Name(id="probability"), slice=ast.Constant(value=str(name))
                )
            ):
                return self._given(self.probability.get(name), f"probability of {name!r}")
            case ast.Name() | ast.Subscript():
                return self._numbers(_column_of(node) or "")
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](self.value(left), self.value(right))
            case ast.UnaryOp(op=op, operand=operand):
                return (
                    np.negative(self.value(operand))
                    if isinstance(op, ast.USub)
                    else self.value(operand)
                )
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                if _is_word(left):
                    left, right = right, left
                if isinstance(right, ast.Constant) and isinstance(right.value, str):
                    same = self._is_word(_column_of(left) or "", right.value)
                    return (same if isinstance(op, ast.Eq) else ~same).astype(np.float64)
                return _COMPARISONS[type(op)](self.value(left), self.value(right)).astype(
                    np.float64
                )
            case ast.Call(func=ast.Name(id=name), args=values):
                function, _, most = _FUNCTIONS[name]
                first, *others = (self.value(value) for value in values)
                if most == 1:
                    return function(first)
                for other in others:
                    first = function(first, other)
                return first
        raise AssertionError(f"{type(node).__name__} got through the check")

    def _given(self, values: np.ndarray | None, what: str) -> np.ndarray:
        if values is None:
            raise ConfigError(f"The model gives no {what}.")
        return values

    def _numbers(self, name: str) -> np.ndarray:
        values = self._column(name)
        if isinstance(values, Factor):
            raise ConfigError(
                f"{shown(name)} holds words, which have no arithmetic. Compare it: {name} == "
                f'"{values.levels[0] if values.levels else "word"}" is 1 or 0.'
            )
        if values.dtype.kind != "f":
            raise ConfigError(f"{shown(name)} holds dates, which have no arithmetic here.")
        return values

    def _is_word(self, name: str, word: str) -> np.ndarray:
        values = self._column(name)
        if not isinstance(values, Factor):
            raise ConfigError(
                f"{shown(name)} does not hold words, and is compared with {shown(word)}."
            )
        if word not in values.levels:
            raise ConfigError(
                f"{shown(name)} is never {shown(word)}.{did_you_mean(word, values.levels)} It is one of: "
                f"{', '.join(values.levels[:10])}."
            )
        return values.codes == values.levels.index(word)

    def _column(self, name: str) -> Values:
        if name not in self.columns:
            raise ConfigError(f"There is no {shown(name)}.{did_you_mean(name, self.columns)}")
        return self.columns[name]


def _is_word(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _column_of(node: ast.expr) -> str | None:
    """The column that a node names; None where it is something else."""
    match node:
        case ast.Name(id=name) if name not in ("prediction", "probability", "column"):
            return name
        case ast.Subscript(value=ast.Name(id="column"), slice=ast.Constant(value=str(name))):
            return name
    return None


def _size_of(node: ast.expr) -> float:
    """Of a number with or without signs; 0 of anything else."""
    while isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return abs(node.value)
    return 0.0
