"""What a question about shapes is answered with: a heading, a table, notes, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivetrain.show.html import fragment
from drivetrain.show.render import answer_text


@dataclass(frozen=True)
class Answer:
    """A small table with its heading and a few sentences; print it, or ask it for JSON."""

    title: str
    """The heading."""
    header: tuple[str, ...]
    """The names of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells as text."""
    notes: tuple[str, ...] = ()
    """Whole sentences that stand below the table."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the table says, as plain JSON: `result`, `sizes` …"""

    @property
    def result(self) -> Any:
        """What came out: `values["result"]`, a shape or a size."""
        return self.values["result"]

    def to_json(self) -> dict[str, Any]:
        """Heading, notes and all values; plain JSON."""
        return {"title": self.title, **self.values, "notes": list(self.notes)}

    def __str__(self) -> str:
        return answer_text(self)

    def _repr_html_(self) -> str:
        return fragment(self)
