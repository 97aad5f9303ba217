"""The small language in which a calculation is written: `sum(x * w) + b`.

It is arithmetic over named arrays, small enough for a reader to write a second evaluator in an hour:

- numbers, names, `+ - * / **`, a sign, comparisons of two values (1 where true, else 0), as in numpy,
  with numpy's broadcasting; all in float64, whole numbers too;
- `x[2]`, `x[0, 3]`, `x[1:4]`, `x[:, 0]`: indexing with written numbers only;
- elementwise: `abs cos erf exp floor log relu rsqrt sigmoid sin sqrt tanh`; `where(condition, a, b)`;
  `clip(x, low, high)`; `max(a, b, …)` and `min(a, b, …)` of two or more;
- of an array: `sum mean max min`, over everything, or with `axis=` over one axis;
- `dot(a, b)` and `matmul(a, b)` as numpy's; `transpose(x)` turns the axes round, and
  `transpose(x, 1, 0)` orders them; `reshape(x, 2, 3)`; `concat(a, b, …, axis=0)`.

Python's parser makes the tree and nothing of it is run by Python: a walk over a closed list of nodes
refuses the rest, and numpy works out what is left.

    >>> float(evaluate("sum(x * w) + b", {"x": [1, 2], "w": [3, 4], "b": 0.5}))
    11.5
"""

from __future__ import annotations

import ast
import functools
import keyword
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError

Array = npt.NDArray[np.float64]

LETTERS = 20_000
"""Of an expression."""
DEPTH = 100
"""Parts inside one another."""


def evaluate(text: str, names: Mapping[str, Any]) -> Array:
    """The value of an expression, float64.

    Args:
        text: in the language of this module.
        names: the arrays (or numbers) that the expression's names stand for.

    Raises: ConfigError: the text is not of the language, a name is not there, or the shapes do not fit.
    """
    tree = _checked(text)
    known = {name: np.asarray(value, dtype=np.float64) for name, value in names.items()}
    try:
        with np.errstate(all="ignore"):
            return np.asarray(_value(tree, known, text), dtype=np.float64)
    except ConfigError:
        raise
    except (ValueError, IndexError, TypeError) as error:
        shapes = ", ".join(f"{name} {known[name].shape}" for name in sorted(names_in(text)))
        raise ConfigError(
            f"The expression '{text[:120]}' cannot be worked out: {error}. Its arrays: {shapes}."
        ) from error


def names_in(text: str) -> frozenset[str]:
    """The names of arrays in an expression.

    >>> sorted(names_in("sum(x * w) + b"))
    ['b', 'w', 'x']
    """
    return frozenset(
        node.id
        for node in ast.walk(_checked(text))
        if isinstance(node, ast.Name) and node.id not in FUNCTIONS
    )


def is_name(text: str) -> bool:
    """Whether something can be called so in an expression."""
    is_plain = text.isidentifier() and text.isascii() and not keyword.iskeyword(text)
    return is_plain and text not in FUNCTIONS


# --- the functions ---------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _erf(x: Array) -> Array:
    return torch.erf(torch.from_numpy(np.array(x))).numpy()


ELEMENTWISE: Mapping[str, Callable[[Array], Array]] = {
    "abs": np.abs,
    "cos": np.cos,
    "erf": _erf,
    "exp": np.exp,
    "floor": np.floor,
    "log": np.log,
    "relu": lambda x: np.where(x > 0, x, np.where(np.isnan(x), x, 0.0)),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": _sigmoid,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}
_REDUCING: Mapping[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
}
_PAIRWISE = {"max": np.maximum, "min": np.minimum}
FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    **dict.fromkeys(ELEMENTWISE, (1, 1)),
    "sum": (1, 1),
    "mean": (1, 1),
    "max": (1, None),
    "min": (1, None),
    "where": (3, 3),
    "clip": (3, 3),
    "dot": (2, 2),
    "matmul": (2, 2),
    "transpose": (1, None),
    "reshape": (2, None),
    "concat": (1, None),
}
"""Name -> fewest and most values that it takes (None: any number)."""
_WITH_AXIS = {*_REDUCING, "concat"}
_BINARY: Mapping[type[ast.operator], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: np.float_power,
}
_COMPARING: Mapping[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


# --- reading ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _checked(text: str) -> ast.expr:
    if len(text) > LETTERS:
        raise ConfigError(f"An expression has {len(text):,} letters, at most {LETTERS:,} are read.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"'{text[:120]}' is no expression: {error}.") from error
    _check(tree, text, 0)
    return tree


def _check(node: ast.expr, text: str, depth: int) -> None:
    if depth > DEPTH:
        raise _refused(node, text, f"is nested more than {DEPTH} deep.")
    for part in _parts(node, text):
        _check(part, text, depth + 1)


def _parts(node: ast.expr, text: str) -> list[ast.expr]:
    """The values that a node is made of; refuses what is not in the language."""
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            return []
        case ast.Name(id=name):
            if name in FUNCTIONS:
                raise _refused(node, text, "is a function, and stands without its values.")
            return []
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return [operand]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARING:
            return [left, right]
        case ast.Subscript(value=value, slice=index):
            _index(index, text)
            return [value]
        case ast.Call(func=ast.Name(id=name), args=values, keywords=keywords):
            if name not in FUNCTIONS:
                near = did_you_mean(name, FUNCTIONS)
                raise _refused(node, text, f"calls '{name}', which is no function here.{near}")
            fewest, most = FUNCTIONS[name]
            if len(values) < fewest or (most is not None and len(values) > most):
                raise _refused(node, text, f"gives {name} {len(values)} values.")
            for given in keywords:
                if given.arg != "axis" or name not in _WITH_AXIS:
                    raise _refused(node, text, f"gives {name} '{given.arg}', which it has not.")
                _whole(given.value, text)
            if name in ("transpose", "reshape"):
                for value in values[1:]:
                    _whole(value, text)
                return values[:1]
            return list(values)
    raise _refused(node, text, "is not in the language of calculations.")


def _whole(node: ast.expr, text: str) -> int:
    match node:
        case ast.Constant(value=value) if type(value) is int:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if type(value) is int:
            return -value
    raise _refused(node, text, "is no written whole number.")


def _index(node: ast.expr, text: str) -> Any:
    match node:
        case ast.Tuple(elts=parts):
            return tuple(_index(part, text) for part in parts)
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(
                *(None if end is None else _whole(end, text) for end in (lower, upper, step))
            )
    return _whole(node, text)


def _refused(node: ast.expr, text: str, why: str) -> ConfigError:
    piece = ast.get_source_segment(text.strip(), node) or text
    where = "" if piece == text else f" It stands in '{text[:120]}'."
    return ConfigError(f"'{piece[:120]}' {why}{where}")


# --- working out -----------------------------------------------------------------------------------


def _value(node: ast.expr, names: Mapping[str, Array], text: str) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return np.float64(number)
        case ast.Name(id=name):
            if name not in names:
                raise ConfigError(
                    f"There is no '{name}' for '{text[:120]}'.{did_you_mean(name, names)} "
                    f"There are: {', '.join(sorted(names)) or 'no names'}."
                )
            return names[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, names, text), _value(right, names, text))
        case ast.UnaryOp(op=sign, operand=operand):
            value = _value(operand, names, text)
            return np.negative(value) if isinstance(sign, ast.USub) else value
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            truth = _COMPARING[type(op)](_value(left, names, text), _value(right, names, text))
            return np.asarray(truth, dtype=np.float64)
        case ast.Subscript(value=value, slice=index):
            return np.asarray(_value(value, names, text))[_index(index, text)]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            if name in ("transpose", "reshape"):
                array = np.asarray(_value(arguments[0], names, text))
                sizes = [_whole(size, text) for size in arguments[1:]]
                if name == "reshape":
                    return array.reshape(sizes)
                return array.transpose(sizes or None)
            values = [np.asarray(_value(part, names, text)) for part in arguments]
            axis = _whole(keywords[0].value, text) if keywords else None
            return _call(name, values, axis)
    raise AssertionError(f"{type(node).__name__} got through the check")


def _call(name: str, values: list[Array], axis: int | None) -> Any:
    first = values[0]
    if name in ELEMENTWISE:
        return ELEMENTWISE[name](first)
    if name in _REDUCING and len(values) == 1:
        return _REDUCING[name](first, axis=axis)
    if name in _PAIRWISE:
        return functools.reduce(_PAIRWISE[name], values)
    if name == "where":
        return np.where(first != 0, values[1], values[2])
    if name == "clip":
        return np.minimum(np.maximum(first, values[1]), values[2])
    if name == "concat":
        return np.concatenate(values, axis=axis or 0)
    return np.dot(*values) if name == "dot" else np.matmul(*values)
