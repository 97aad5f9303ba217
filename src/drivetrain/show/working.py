"""A calculation as it is written down: what is put in, then line after line what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivetrain.show.calculation import Calculation, Term, work

EPS32 = float(torch.finfo(torch.float32).eps)
"""The distance of the float32 numbers around 1: 2^-23."""


class Working:
    """Terms and lines as they come; `done` works the lines out.

    >>> working = Working()
    >>> working.put("x", [1.0, 2.0], "the inputs")
    >>> working.line("s", "sum(x * x)", "their squares, added up")
    >>> float(working.done("squares", "Σ x²", 5.0, source="by hand").result)
    5.0
    """

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.lines: list[tuple[str, str, str]] = []

    def put(self, name: str, value: Any, meaning: str, role: str = "input") -> None:
        """Put a number or an array in under a name."""
        self.terms.append(Term(name, meaning, as_array(value), role))

    def line(self, name: str, expression: str, meaning: str) -> None:
        """Add the line `name = expression`."""
        self.lines.append((name, expression, meaning))

    def done(
        self,
        title: str,
        formula: str,
        own: Any,
        *,
        source: str,
        tolerance: float = 1e-5,
        parts: Sequence[Calculation] = (),
        is_shown: bool = True,
    ) -> Calculation:
        """The calculation, whose result is the last line; see `calculation.work`."""
        return work(
            title,
            formula,
            self.terms,
            self.lines,
            own=as_array(own),
            tolerance=tolerance,
            source=source,
            parts=parts,
            is_shown=is_shown,
        )


def as_array(value: Any) -> np.ndarray:
    """A float64 or int64 copy of a tensor, an array, a number or a list; bools are 0 and 1."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value.long()
        return value.numpy().copy()
    array = np.array(value)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def literal(value: float) -> str:
    """A number as it stands in an expression: in full, and in brackets where it is negative.

    >>> literal(0.1), literal(2.0), literal(-1e-5)
    ('0.1', '2', '(-1e-05)')
    """
    text = repr(float(value)).removesuffix(".0")
    return f"({text})" if text.startswith("-") else text
