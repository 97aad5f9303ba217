"""The table that the scripts beside this file print: published, here, difference.

Not a script itself. `report` prints a script's rows and, with `--write`, puts them into its section of
docs/published.md together with the versions and the time they took.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import drivetrain as dt

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "published.md"

HEAD = """\
# Published numbers, reproduced

Figures printed in the book "Deep Learning for Coders with fastai and PyTorch" and its course, and what
the same experiment gives here, through the public API: `dt.Learner`, `fit`, `fit_one_cycle`, and losses
and optimizers by name. Each section is written by the script it names, with `--write`; nothing on this
page is typed by hand.

"published" lists what was printed: the book's own run first, then later runs of the same cells. "here"
is the mean over the seeds in brackets, where there are several, and "difference" is from the book's own
run. A row is met when "here" is no further than "allowed" from the range of the published runs, and
better when it lies on the good side of it.
"""


@dataclass(frozen=True)
class Row:
    """One published figure and what was found here."""

    what: str
    published: tuple[float, ...]
    """The book's own run first, then other runs of the same cells."""
    here: tuple[float, ...]
    """One value for each seed."""
    allowed: float
    """How far outside the range of the published runs is still met."""
    digits: int = 4
    """Decimals to print."""
    higher_is_better: bool = False
    """Lying above the published range is met as well."""
    lower_is_better: bool = False
    """Lying below the published range is met as well."""
    fails: bool = False
    """The published figure is a failure that depends on chance: met when the lowest seed shows it."""

    @property
    def value(self) -> float:
        """What is compared: the mean of `here`, or the lowest where a failure is to be shown."""
        return min(self.here) if self.fails else sum(self.here) / len(self.here)

    @property
    def difference(self) -> float:
        """From the book's own run."""
        return self.value - self.published[0]

    @property
    def verdict(self) -> str:
        """`met`, `better`, or `NOT met`."""
        if self.value > max(self.published) + self.allowed:
            return "better" if self.higher_is_better else "NOT met"
        if self.value < min(self.published) - self.allowed and not self.fails:
            return "better" if self.lower_is_better else "NOT met"
        return "met"

    def cells(self) -> list[str]:
        """The row as text."""
        here = f"{self.value:.{self.digits}f}"
        if len(self.here) > 1:
            each = ", ".join(f"{value:.{self.digits}f}" for value in self.here)
            here += f" (lowest of {each})" if self.fails else f" ({each})"
        return [
            self.what,
            ", ".join(f"{value:.{self.digits}f}" for value in self.published),
            here,
            f"{self.difference:+.{self.digits}f}",
            f"{self.allowed:.2g}",
            self.verdict,
        ]


def as_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table with its columns in line, so that a terminal shows it well too."""
    heading = ["", "published", "here", "difference", "allowed", ""]
    cells = [heading, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heading))]
    lines = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * max(width, 3) for width in widths) + " |")
    return "\n".join(lines)


def report(title: str, how: str, script: str, find_rows: Callable[[], list[Row]]) -> list[Row]:
    """Find the rows, print them, and with `--write` on the command line keep them in the page."""
    parser = argparse.ArgumentParser(description=how)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    clock = time.perf_counter()
    rows = find_rows()
    seconds = time.perf_counter() - clock
    print(title)
    print(as_table(rows))
    missed = sum(row.verdict == "NOT met" for row in rows)
    print(f"{len(rows) - missed} of {len(rows)} met, in {seconds:.0f} s")
    if options.write:
        made = (
            f"Written by `python examples/published/{script} --write` in {seconds:.0f} s; "
            f"{platform.machine()}, one torch thread. drivetrain {dt.__version__}, "
            f"python {platform.python_version()}, torch {torch.__version__}."
        )
        write_section(title, f"{how}\n\n{as_table(rows)}\n\n{made}\n")
    return rows


def write_section(title: str, body: str, page: Path = PAGE) -> None:
    """Replace the section `title` of the page, or add it; sections stand in the order of their titles."""
    sections = {}
    if page.exists():
        for part in page.read_text(encoding="utf-8").split("\n## ")[1:]:
            name, _, text = part.partition("\n\n")
            sections[name] = text.rstrip() + "\n"
    sections[title] = body
    whole = HEAD + "".join(f"\n## {name}\n\n{sections[name]}" for name in sorted(sections))
    page.write_text(whole, encoding="utf-8")


def data_folder(name: str) -> Path:
    """`$DRIVETRAIN_DATA/<name>`, or `shared/data/<name>` beside the repository; else a full stop."""
    base = os.environ.get("DRIVETRAIN_DATA")
    folder = (Path(base) if base else ROOT.parent / "shared" / "data") / name
    if not folder.exists():
        raise SystemExit(f"The data '{name}' is not here. Set DRIVETRAIN_DATA to its folder.")
    return folder
