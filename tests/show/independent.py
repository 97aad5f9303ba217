"""A second reader of calculations, written apart: JSON text in, every number worked out again.

It shares nothing with `drivetrain`: its own tokens, its own grammar, its own functions over numpy's
float64. What it is given is the text of `Calculation.to_json()`, and from that only the terms and the
expressions; the values that stand beside them are what it compares with.

    sum     = compare; compare = [relation]; + -; * /; unary; **; index; name, number, call, (…)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|<=|>=|==|!=|[-+*/<>()\[\],:=]))"
)
RELATIONS = {"<", "<=", ">", ">=", "==", "!="}


def tokens_of(text: str) -> list[tuple[str, str]]:
    """Kind and letters of each token."""
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        assert match is not None, f"no token at {text[place:]!r}"
        kind = match.lastgroup
        assert kind is not None
        found.append((kind, match[kind]))
        place = match.end()
    return [*found, ("end", "")]


class Reader:
    """One expression over named arrays."""

    def __init__(self, text: str, names: dict[str, np.ndarray]) -> None:
        self.tokens = tokens_of(text)
        self.names = names
        self.place = 0

    def value(self) -> np.ndarray:
        """Of the whole text."""
        found = self.compared()
        assert self.peek() == "", f"left over: {self.tokens[self.place :]}"
        return np.asarray(found, dtype=np.float64)

    def peek(self) -> str:
        return self.tokens[self.place][1]

    def take(self, expected: str = "") -> str:
        kind, letters = self.tokens[self.place]
        assert not expected or letters == expected, f"{letters!r} where {expected!r} was expected"
        assert kind != "end"
        self.place += 1
        return letters

    def compared(self) -> Any:
        left = self.sums()
        if self.peek() not in RELATIONS:
            return left
        relation, right = self.take(), self.sums()
        answers = {
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
            "==": left == right,
            "!=": left != right,
        }
        return np.where(answers[relation], 1.0, 0.0)

    def sums(self) -> Any:
        left = self.products()
        while self.peek() in ("+", "-"):
            left = left + self.products() if self.take() == "+" else left - self.products()
        return left

    def products(self) -> Any:
        left = self.signed()
        while self.peek() in ("*", "/"):
            left = left * self.signed() if self.take() == "*" else left / self.signed()
        return left

    def signed(self) -> Any:
        if self.peek() == "-":
            self.take()
            return -self.signed()
        if self.peek() == "+":
            self.take()
            return self.signed()
        return self.power()

    def power(self) -> Any:
        base = self.indexed()
        if self.peek() != "**":
            return base
        self.take()
        return (
            np.asarray(base, dtype=np.float64) ** self.signed()
        )  # binds to the right, and over a sign

    def indexed(self) -> Any:
        found = self.atom()
        while self.peek() == "[":
            self.take()
            parts = [self.position()]
            while self.peek() == ",":
                self.take()
                parts.append(self.position())
            self.take("]")
            found = found[tuple(parts)]
        return found

    def position(self) -> int | slice:
        ends: list[int | None] = [None]
        while self.peek() not in ("]", ","):
            if self.peek() == ":":
                self.take()
                ends.append(None)
            else:
                ends[-1] = self.whole()
        return slice(*ends) if len(ends) > 1 else int(ends[0] or 0)

    def whole(self) -> int:
        sign = 1
        if self.peek() == "-":
            self.take()
            sign = -1
        return sign * int(self.take())

    def atom(self) -> Any:
        kind, letters = self.tokens[self.place]
        if kind == "number":
            return np.float64(self.take())
        if letters == "(":
            self.take()
            found = self.compared()
            self.take(")")
            return found
        assert kind == "name", f"{letters!r} where a value was expected"
        self.take()
        if self.peek() != "(":
            return self.names[letters]
        return self.called(letters)

    def called(self, name: str) -> Any:
        self.take("(")
        given: list[Any] = []
        axis: int | None = None
        while self.peek() != ")":
            if self.peek() == "axis" and self.tokens[self.place + 1][1] == "=":
                self.take()
                self.take()
                axis = self.whole()
            elif name in ("reshape", "transpose") and given:
                given.append(self.whole())
            else:
                given.append(self.compared())
            if self.peek() == ",":
                self.take()
        self.take(")")
        return apply(name, given, axis)


def apply(name: str, given: list[Any], axis: int | None) -> Any:
    """The functions of the language, by their definitions."""
    x = np.asarray(given[0], dtype=np.float64)
    match name:
        case "exp" | "log" | "sqrt" | "tanh" | "abs" | "floor" | "sin" | "cos":
            return getattr(np, name)(x)
        case "sigmoid":
            return 0.5 * (1.0 + np.tanh(0.5 * x))
        case "relu":
            return np.maximum(x, 0.0)
        case "rsqrt":
            return x**-0.5
        case "erf":
            return np.reshape([math.erf(one) for one in x.reshape(-1)], x.shape)
        case "sum":
            return np.add.reduce(x, axis=tuple(range(x.ndim)) if axis is None else axis)
        case "mean":
            return x.sum(axis=axis) / (x.size if axis is None else x.shape[axis])
        case "max" | "min":
            if len(given) == 1:
                return getattr(x, name)(axis=axis)
            larger = name == "max"
            for other in given[1:]:
                takes = x >= other if larger else x <= other
                x = np.where(takes | np.isnan(x), x, other)
            return x
        case "where":
            return np.where(x != 0, given[1], given[2])
        case "clip":
            return np.where(x < given[1], given[1], np.where(x > given[2], given[2], x))
        case "dot":
            return np.einsum("i,i->", x, given[1])
        case "matmul":
            return x @ given[1]
        case "transpose":
            return np.transpose(x, given[1:] or None)
        case "reshape":
            return np.reshape(x, given[1:])
        case "concat":
            return np.concatenate([np.asarray(one) for one in given], axis=axis or 0)
    raise AssertionError(f"no function {name}")


def array(entry: dict[str, Any]) -> np.ndarray:
    """An array as the JSON has it; "nan", "inf" and "-inf" are words there."""
    flat: list[float] = []

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for one in part:
                walk(one)
        else:
            flat.append(float(part))

    walk(entry["value"])
    return np.asarray(flat, dtype=np.float64).reshape(entry["shape"])


@dataclass
class Checked:
    """What was found."""

    calculations: int = 0
    numbers: int = 0
    recomputed: float = 0.0
    """Largest difference of a result worked out here from the one that the JSON states, relative."""
    own: float = 0.0
    """Largest difference of a result worked out here from the run's own value."""
    wide: list[str] = field(default_factory=list)
    """Those whose own value is further away than 1e-6."""

    def add(self, other: Checked) -> None:
        """Put two together."""
        self.calculations += other.calculations
        self.numbers += other.numbers
        self.recomputed = max(self.recomputed, other.recomputed)
        self.own = max(self.own, other.own)
        self.wide += other.wide


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b| / max(1, |b|); equal infinities and two NaN are the same."""
    assert a.shape == b.shape, f"{a.shape} is not {b.shape}"
    with np.errstate(all="ignore"):
        off = np.abs(a - b) / np.maximum(1.0, np.abs(b))
    off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, off)
    return float(np.where(np.isnan(off), np.inf, off).max(initial=0.0))


def recalculate(text: str, *, within: float = 1e-6) -> Checked:
    """Work a calculation and all its parts out again, and compare.

    Each step and the result must be what the JSON states to `within`, relative above 1, and the run's own
    value must be that to the tolerance that is stated.
    """
    found = Checked()
    for document in parts_of(json.loads(text, parse_constant=_no_constant)):
        assert document["is_shown"], f"not shown: {document['title']}"
        names = {term["name"]: array(term) for term in document["terms"]}
        result = np.zeros(0)
        for step in document["steps"]:
            with np.errstate(all="ignore"):
                result = Reader(step["expression"], names).value()
            names[step["name"]] = result
            off = apart(result, array(step))
            found.recomputed = max(found.recomputed, off)
            assert off <= within, f"{document['title']}: {step['expression']} is {off} apart"
            found.numbers += result.size
        assert apart(result, array(document["result"])) <= within
        off = apart(result, array(document["own"]))
        assert off <= document["tolerance"], (
            f"{document['title']}: {off} from the run, {document['tolerance']} allowed"
        )
        assert document["agrees"]
        found.own = max(found.own, off)
        if off > 1e-6:
            found.wide.append(f"{document['title']}: {off:.1e}")
        found.calculations += 1
    return found


def parts_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A document and all in it."""
    for part in document["parts"]:
        yield from parts_of(part)
    yield document


def _no_constant(word: str) -> float:
    raise AssertionError(f"{word} is no JSON")
