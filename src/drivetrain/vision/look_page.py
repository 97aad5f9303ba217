"""Grids of pictures as one page: what training is given, what each way to resize loses.

Each cell is a PNG file within the page, bit for bit the pixels of the grid.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivetrain.report.html import Block, Section, image, paragraph
from drivetrain.report.page import Head, page
from drivetrain.report.svg import safe
from drivetrain.vision.grids import SEEN, PictureGrid, png


def look_page(title: str, over: str, grids: Sequence[PictureGrid]) -> str:
    """The whole file.

    Args:
        title: what is looked at.
        over: a line above it.
        grids: one after the other.
    """
    sections = [
        Section(f"part{place}", grid.title, [grid_block(grid)])
        for place, grid in enumerate(grids, 1)
    ]
    head = Head(title, over, "", [], kind="look")
    return page(head, sections)


def grid_block(grid: PictureGrid) -> Block:
    """A card with the cells of a grid, and what is to be known of them."""
    notes = "".join(paragraph(note, "quiet") for note in grid.notes)
    is_row = len(grid.cells) > 12 and len(grid.cells) % grid.columns == 0 and grid.inputs is None
    cells = []
    for cell in grid.cells:
        is_tiny = max(cell.pixels.shape[1:]) < SEEN
        # a name is cut, not broken
        kind = "id" if grid.facts and "id" in grid.facts[0] else "quiet"
        told = f"<p><b>{safe(cell.title)}</b></p>" if cell.title else ""
        if cell.said:
            told += f"<p class='{kind}' title='{safe(cell.said)}'>{safe(cell.said)}</p>"
        alt = f"{cell.title} {cell.said}".strip() or grid.title
        picture = image(png(cell.pixels), alt, pixels=is_tiny)
        cells.append(f"<li><div class='looks'><span>{picture}</span></div>{told}</li>")
    kind = (
        f"lines' style='--columns:{grid.columns}"
        if is_row
        else "few"
        if len(cells) <= 4
        else "small"
    )
    return Block("", f"{notes}<ul class='pictures {kind}'>{''.join(cells)}</ul>", wide=True)
