"""Pictures with captions, such as one picture under each way to resize."""

from __future__ import annotations

from collections.abc import Sequence

from drivetrain.report.evidence import Evidence, Gallery
from drivetrain.report.html import Block, image, paragraph
from drivetrain.report.svg import safe


def gallery_blocks(evidence: Evidence, part: str) -> list[Block]:
    """A card for each gallery that belongs to this part of the report."""
    return [
        Block(one.title, inside(one), wide=not one.columns)
        for one in evidence.galleries
        if one.part == part
    ]


def inside(gallery: Gallery) -> str:
    """The notes, and the pictures side by side."""
    notes = "".join(paragraph(note, "quiet") for note in gallery.notes)
    return notes + pictures_list(
        [
            f"{image(one.data, one.caption or gallery.title, pixels=one.pixels)}"
            + (f"<small>{safe(one.caption)}</small>" if one.caption else "")
            for one in gallery.looks
        ],
        columns=gallery.columns,
    )


def pictures_list(cells: Sequence[str], *, columns: int = 0) -> str:
    """Cells of HTML side by side: so many in a row, or as many as there is room for."""
    kind = (
        f"lines' style='--columns:{columns}" if columns else "few" if len(cells) <= 4 else "small"
    )
    items = "".join(f"<li><div class='looks'><span>{cell}</span></div></li>" for cell in cells)
    return f"<ul class='pictures {kind}'>{items}</ul>"
