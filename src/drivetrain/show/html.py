"""Answers and calculations as HTML: a stand-alone page, and the same within a notebook.

A page loads nothing and runs nothing: parts open and close by the browser's own means, it is read in
light and dark, on a phone and on paper. Numbers are blue where they are above 0 and orange below, deeper
the larger they are. A large array shows its beginning, and the rest of it one click away as far as a page
should hold it; `full` shows all at once.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain import store
from drivetrain.show.render import number, sampled

if TYPE_CHECKING:  # they show themselves by this module
    from drivetrain.show.answer import Answer
    from drivetrain.show.calculation import Calculation
    from drivetrain.show.layers import LayerTable

ON_PAGE = 4096
"""Numbers of an array up to which a page holds all of them, folded away."""


def page(shown: Any, *, full: bool = False) -> str:
    """The whole page.

    Args:
        shown: a `Calculation`, an `Answer`, or whatever prints as a table.
        full: all numbers of every array, and everything open.
    """
    title = html.escape(getattr(shown, "title", "") or "Drivetrain: show")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}
body{{margin:0;background:var(--dt-page)}}@media (prefers-color-scheme:dark){{body{{background:#141516}}}}
.dt-show{{max-width:62rem;margin:0 auto;padding:1rem}}</style>
</head>
<body><div class="dt-show">
{_body(shown, full=full)}
</div></body>
</html>
"""


def write(shown: Any, path: store.StrPath, *, full: bool = False) -> Path:
    """Write the page as one file; one that is there is replaced.

    Args:
        shown: a calculation, an answer or a table.
        path: of the file.
        full: all numbers of every array, and everything open.

    Returns: the path.
    Raises: StorageError: it cannot be written.
    """
    store.write_text(path, page(shown, full=full))
    return Path(path)


def fragment(shown: Any, *, full: bool = False) -> str:
    """What a notebook shows: the page without its head."""
    return f'<style>{STYLE}</style><div class="dt-show">{_body(shown, full=full)}</div>'


def _body(shown: Any, *, full: bool) -> str:
    if hasattr(shown, "steps"):
        return _calculation(shown, full=full)
    if hasattr(shown, "header"):
        return _answer(shown)
    if hasattr(shown, "num_items"):
        return _layers(shown)
    return f"<pre>{html.escape(str(shown))}</pre>"


# --- layers ---------------------------------------------------------------------------------------

_SIZES = ("layer", "kind", "in", "out", "how the size comes about", "parameters", "learns")
_VALUES = (
    "layer",
    "× over input",
    "× over output",
    "× no padding",
    "sees",
    "mean",
    "std",
    "near 0",
)


def _layers(table: LayerTable) -> str:
    """Two tables, so that each fits beside nothing else: sizes, and work and values."""
    sizes: list[tuple[str, ...]] = [_SIZES]
    values: list[tuple[str, ...]] = [_VALUES]
    for row in table.rows:
        learns = "" if not row.parameters else "yes" if row.trainable else "frozen"
        sizes.append(
            (
                *(row.path, row.kind, _times(row.input_shape), _times(row.output_shape), row.size),
                *(row.parameters_formula or "0", learns),
            )
        )
        counts = (row.over_input_grid, row.over_output_grid, row.without_padding)
        values.append(
            (
                row.path,
                *("-" if count is None else f"{count:,}" for count in counts),
                "all" if row.sees_everything else _times(row.receptive_field),
                "-" if row.mean is None else f"{row.mean:.3g}",
                "-" if row.std is None else f"{row.std:.3g}",
                "-" if row.near_zero is None else f"{row.near_zero:.1%}",
            )
        )
    frozen = table.parameters - table.trainable
    work = " / ".join(f"{count:,}" for count in table.multiplications)
    notes = [
        f"Parameters: {table.parameters:,}; {table.trainable:,} trainable, {frozen:,} frozen.",
        f"Multiplications an item: {work}: over the input grids, over the output grids (what is "
        "computed), and without those with padded zeros.",
        f"Mean, std and the share near 0 are of {table.num_items:,} items, as in evaluation.",
        *(f"{row.path}: {row.advice}." for row in table.rows if row.advice),
    ]
    return (
        f"<h1>The layers of the network</h1>{_table(sizes)}"
        f"<h4>work and values</h4>{_table(values)}{_paragraphs(notes)}"
    )


def _times(shape: tuple[int, ...] | None) -> str:
    return "-" if shape is None else "×".join(map(str, shape)) or "one number"


# --- answers --------------------------------------------------------------------------------------


def _answer(answer: Answer) -> str:
    table = _table([answer.header, *answer.rows]) if answer.rows else ""
    return f"<h1>{html.escape(answer.title)}</h1>{table}{_paragraphs(answer.notes)}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the heading."""
    lines = [
        "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for tag, row in zip(("th", *("td" for _ in rows[1:])), rows, strict=True)
    ]
    return f'<div class="wide"><table class="rows">{"".join(lines)}</table></div>'


def _paragraphs(notes: Sequence[str]) -> str:
    return "".join(f"<p>{html.escape(note)}</p>" for note in notes)


# --- calculations ---------------------------------------------------------------------------------


def _calculation(calculation: Calculation, *, full: bool, level: int = 1) -> str:
    heading = min(level, 4)
    parts = "".join(
        f"<details class='part'{' open' if full else ''}>"
        f"<summary><b>{number_}.</b> {html.escape(part.title)} "
        f"<span class='brief'>{_brief(part)}</span> {_mark(part)}</summary>"
        f"{_inside(part, full=full, level=level + 1)}</details>"
        for number_, part in enumerate(calculation.parts, start=1)
    )
    return (
        f"<h{heading}>{html.escape(calculation.title)}</h{heading}>"
        f"{_formula(calculation)}{parts}{_own_lines(calculation, full=full)}"
    )


def _inside(calculation: Calculation, *, full: bool, level: int) -> str:
    """A part within its fold, whose summary already has the title."""
    whole = _calculation(calculation, full=full, level=level)
    return whole.partition(f"</h{min(level, 4)}>")[2]


def _formula(calculation: Calculation) -> str:
    return f'<p class="formula">{html.escape(calculation.formula)}</p>'


def _own_lines(calculation: Calculation, *, full: bool) -> str:
    given = "".join(
        _row(term.name, "", term.meaning, term.value, full=full) for term in calculation.terms
    )
    made = "".join(
        _row(step.name, step.expression, step.meaning, step.value, full=full)
        for step in calculation.steps
    )
    check = "".join(f"<p>{line}</p>" for line in _check(calculation))
    return (
        (f"<h4>put in</h4>{given}" if given else "")
        + f"<h4>worked out</h4>{made}"
        + f"<div class='check {'ok' if calculation.agrees else 'bad'}'>{check}</div>"
    )


def _row(name: str, expression: str, meaning: str, value: np.ndarray, *, full: bool) -> str:
    array = np.asarray(value)
    left = f"<b>{html.escape(name)}</b>"
    if expression:
        left += f" = <code>{html.escape(expression)}</code>"
    shape = f" <i>{'×'.join(map(str, array.shape))}</i>" if array.ndim else ""
    meaning = f'<span class="meaning">{html.escape(meaning)}{shape}</span>'
    if array.ndim == 0:
        shown = f"<span class='one'>{html.escape(number(array.item(), 9))}</span>"
        return f"<div class='line'><div>{left}<br>{meaning}</div>{shown}</div>"
    return f"<div class='line many'>{left}<br>{meaning}{''.join(_array(array, full=full))}</div>"


def _array(array: np.ndarray, *, full: bool) -> Iterator[str]:
    rows, shown, total = sampled(array, full=full)
    largest = float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
    is_vector = array.ndim == 1
    yield _grid(rows, largest, is_vector=is_vector)
    if shown < total <= ON_PAGE:
        everything, _, _ = sampled(array, full=True)
        yield (
            f"<details class='all'><summary>{shown:,} of {total:,} shown: open for all</summary>"
            f"{_grid(everything, largest, is_vector=is_vector)}</details>"
        )
    elif shown < total:
        yield f"<p class='more'>{shown:,} of {total:,} shown; --full shows all</p>"


def _grid(rows: list[list[float]], largest: float, *, is_vector: bool) -> str:
    if is_vector:  # it has no columns to keep: it goes on in the next line where the page ends
        cells = "".join(f"<span{_tint(x, largest)}>{number(x, 4)}</span>" for x in rows[0])
        return f"<div class='grid vector'>{cells}</div>"
    cells = "".join(
        "<tr>" + "".join(f"<td{_tint(x, largest)}>{number(x, 4)}</td>" for x in row) + "</tr>"
        for row in rows
    )
    return f"<div class='grid'><table class='numbers'>{cells}</table></div>"


def _tint(value: float, largest: float) -> str:
    if not largest or not np.isfinite(value) or value == 0:
        return ""
    share = abs(value) / largest
    colour = "64,120,210" if value > 0 else "224,132,40"
    return f' style="background:rgba({colour},{0.06 + 0.34 * share:.2f})"'


def _brief(part: Calculation) -> str:
    result = np.asarray(part.result)
    return html.escape(number(result.item())) if result.ndim == 0 else ""


def _mark(part: Calculation) -> str:
    good = part.agrees
    return f"<span class='{'good' if good else 'wrong'}'>{'agrees' if good else 'differs'}</span>"


def _check(calculation: Calculation) -> Iterator[str]:
    result, own = np.asarray(calculation.result), np.asarray(calculation.own)
    says = "agrees" if calculation.agrees else "DIFFERS"
    if result.ndim == 0:
        yield f"result <b>{number(result.item(), 9)}</b>, the run itself <b>{number(own.item(), 9)}</b>"
    yield (
        f"{says}: {calculation.difference:.2g} apart, {calculation.tolerance:.2g} allowed"
        f"<br><span class='meaning'>{html.escape(calculation.source)}</span>"
    )


STYLE = """
.dt-show{--dt-page:#f6f5f2;--dt-card:#fff;--dt-ink:#1c1d1f;--dt-soft:#6a6762;--dt-line:#dedbd4;
--dt-good:#1d7a43;--dt-bad:#b3261e;color:var(--dt-ink);font:15px/1.5 system-ui,sans-serif;
overflow-wrap:anywhere}
@media (prefers-color-scheme:dark){.dt-show{--dt-page:#141516;--dt-card:#1d1f21;--dt-ink:#e8e6e2;
--dt-soft:#a29e97;--dt-line:#34373a;--dt-good:#6ecf93;--dt-bad:#ff8a80}}
.dt-show h1{font-size:1.25rem;margin:.4rem 0}.dt-show h2,.dt-show h3{font-size:1.05rem;margin:.4rem 0}
.dt-show h4{font-size:.8rem;margin:.9rem 0 .2rem;color:var(--dt-soft);font-weight:600;
text-transform:uppercase;letter-spacing:.04em}
.dt-show .formula{font:1.35rem/1.4 Georgia,"Times New Roman",serif;margin:.5rem 0;padding:.7rem 1rem;
background:var(--dt-card);border:1px solid var(--dt-line);border-radius:8px}
.dt-show .part .formula{font-size:1.1rem}
.dt-show .wide{overflow-x:auto}
.dt-show table{border-collapse:collapse;width:100%;text-align:left;background:transparent}
.dt-show td,.dt-show th{padding:.35rem .5rem;border-bottom:1px solid var(--dt-line);vertical-align:top;
text-align:left;background:transparent}
.dt-show .rows td,.dt-show .rows th{white-space:nowrap}
.dt-show .rows td:last-child{white-space:normal;min-width:5rem}
.dt-show th{font-weight:600;color:var(--dt-soft)}
.dt-show .line{display:flex;justify-content:space-between;gap:1rem;padding:.35rem .5rem;
border-bottom:1px solid var(--dt-line)}.dt-show .many{display:block}
.dt-show code{font:.85rem/1.4 ui-monospace,monospace;color:inherit;background:transparent}
.dt-show .one{font:600 .95rem ui-monospace,monospace;white-space:nowrap}
.dt-show .meaning,.dt-show .more{color:var(--dt-soft);font-size:.87rem}
.dt-show .meaning i{font-style:normal;opacity:.8}
.dt-show .grid{overflow:auto;max-height:26rem;margin:.35rem 0}
.dt-show .numbers{width:auto}.dt-show .numbers td{font:.8rem ui-monospace,monospace;text-align:right;
padding:.15rem .4rem;border:1px solid var(--dt-line);white-space:nowrap;width:auto}
.dt-show .vector{display:flex;flex-wrap:wrap;padding:0 1px 1px 0}
.dt-show .vector span{font:.8rem ui-monospace,monospace;
padding:.15rem .4rem;border:1px solid var(--dt-line);margin:0 -1px -1px 0}
.dt-show details.part{background:var(--dt-card);border:1px solid var(--dt-line);border-radius:8px;
padding:.5rem .8rem;margin:.5rem 0}
.dt-show summary{cursor:pointer}.dt-show .all summary{color:var(--dt-soft);font-size:.87rem}
.dt-show .brief{font:600 .9rem ui-monospace,monospace;margin:0 .4rem}
.dt-show .good{color:var(--dt-good)}.dt-show .wrong{color:var(--dt-bad);font-weight:600}
.dt-show .check{border-left:4px solid var(--dt-good);padding:.1rem .8rem;margin:1rem 0 .4rem}
.dt-show .check.bad{border-color:var(--dt-bad)}.dt-show .check p{margin:.25rem 0}
.dt-show pre{overflow-x:auto;font:.8rem/1.4 ui-monospace,monospace}
@media print{.dt-show{--dt-page:#fff;--dt-card:#fff;--dt-ink:#000;--dt-soft:#444;--dt-line:#bbb}
.dt-show .grid{max-height:none}.dt-show tr,.dt-show .line{break-inside:avoid}}
"""
"""Only of what stands within `.dt-show`: a notebook has styles of its own."""
