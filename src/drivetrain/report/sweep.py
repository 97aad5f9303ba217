"""A sweep as one page: the board, the chart of error, time and memory, and what may be said of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from drivetrain.interpret.text import aligned, listed, number
from drivetrain.report.bubbles import Bubble, bubble_chart, clock
from drivetrain.report.charts import Measure, interval_chart
from drivetrain.report.html import Block, Section, charted, code, paragraph, table
from drivetrain.report.page import Fact, Head, page
from drivetrain.report.record import called
from drivetrain.report.svg import safe, short
from drivetrain.train.sweeping import DONE, FAILED, Board, Row

NOTHING = 0.002
"""Share of the error below which what choosing flatters has no number."""
LONG = 15
"""Letters of a name above which it stands over its bar."""
_ERRORS = {"error_rate": "error", "rmse": "RMSE", "1 - ndcg": "1 - NDCG"}


def called_error(metric: str) -> str:
    """What an error is called where there is little room."""
    return _ERRORS.get(metric, metric)


def time_of(seconds: float | None) -> str:
    """A time in few letters; `-` where it is not known."""
    return "-" if seconds is None else clock(seconds)


def size_of(num_bytes: float | None) -> str:
    """Memory in few letters.

    >>> size_of(812_345_678), size_of(3.2e9), size_of(None)
    ('812 MB', '3.2 GB', '-')
    """
    if num_bytes is None:
        return "-"
    return f"{num_bytes / 1e9:.2g} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def conclusions(board: Board) -> list[str]:
    """What may be said of the board, in sentences; the first is of the best."""
    best = board.best
    if best is None or best.error is None:
        return ["No candidate has a result."]
    error = called_error(best.metric)
    told = [f"{best.name} has the lowest {error}, {number(best.error)}."]
    rules = rules_of(best)
    if rules and rules[0][1] <= best.error:
        told.append(
            f"No model is better than “{rules[0][0]}” ({number(rules[0][1])}): a rule that simple should "
            "not win."
        )
    as_good = board.as_good
    if as_good:
        names = listed([row.name for row in as_good])
        word = "is" if len(as_good) == 1 else "are"
        told.append(
            f"As good within noise {word} {names}: item by item, the difference may be chance."
        )
        quick = min((best, *as_good), key=lambda row: row.seconds or 0.0)
        if quick is not best:
            spent = time_of(quick.seconds)
            told.append(f"The quickest to train of these is {quick.name} ({spent}).")
    elif any(row.behind is None for row in board.done[1:]):
        told.append("Whether others are as good cannot be told: their items were not compared.")
    elif len(board.done) > 1:
        told.append("All others are worse by more than chance.")
    if board.flattery is not None:
        is_much = board.flattery >= NOTHING * best.error
        shift = f", by about {number(board.flattery)} or more" if is_much else ""
        told.append(
            f"Chosen as the best of {len(board.done)} on these very items, its {error} looks lower than "
            f"it is{shift}. {_sealed(best)}"
        )
    return told


def _sealed(best: Row) -> str:
    if best.sealed:
        return "The sealed test is for that: open it once, for the one you choose."
    return "A sealed test would say how good it is: set one aside with --test 0.2."


def rules_of(row: Row) -> list[tuple[str, float]]:
    """Simple rules in words and their error, the best first."""
    found = [(called(name), float(one["error"])) for name, one in row.rules.items()]
    return sorted(found, key=lambda pair: pair[1])


def sweep_page(board: Board, *, folder: str, source: str) -> str:
    """The page, one file.

    Args:
        board: of the sweep.
        folder: where its runs are.
        source: what all were trained on.
    """
    done, best = board.done, board.best
    told = conclusions(board)
    made = [
        _board(board) if done else None,
        _trade(done) if done else None,
        _noise(board) if len(done) > 1 else None,
        _why(board),
        _next(board, folder),
    ]
    sections = [section for section in made if section is not None]
    head = Head(
        folder.rstrip("/").rpartition("/")[2], "Models side by side", told[0], _facts(board)
    )
    notes = [] if best is not None else ["No candidate has a result: see why each failed."]
    foot = f"Trained on {source}."
    return page(head, sections, notes, foot=foot)


def _facts(board: Board) -> list[Fact]:
    best, done = board.best, board.done
    if best is None:
        return []
    low, high = best.low, best.high
    beside = "" if low is None or high is None else f"95% interval {number(low)} to {number(high)}"
    spent = sum(row.seconds or 0.0 for row in done)
    failed = sum(row.state == FAILED for row in board.rows)
    waiting = len(board.rows) - len(done) - failed
    others = [f"{failed} failed"] if failed else []
    others += [f"{waiting} waiting"] if waiting else []
    return [
        Fact(f"lowest {called_error(best.metric)}", number(best.error), beside),
        Fact("as good within noise", str(len(board.as_good)), "besides the best"),
        Fact("models measured", str(len(done)), ", ".join(others) or "all that were asked for"),
        Fact("training in all", clock(spent) if spent else "-", "measuring not counted"),
    ]


def _board(board: Board) -> Section:
    done = board.done
    errors = aligned([row.error for row in done if row.error is not None])
    rows = []
    for place, (row, error) in enumerate(zip(done, errors, strict=True), 1):
        standing = ["the best"] if place == 1 else ["as good"] if row.is_as_good else []
        standing += ["front"] if row.is_on_front else []
        standing += [f"{row.weights} weights"] if row.weights else []
        ends = [end for end in (row.low, row.high) if end is not None]
        rows.append(
            [
                str(place), row.name, error, " to ".join(aligned(ends)) or "-",
                time_of(row.seconds),
                time_of(None if row.predict_ms is None else row.predict_ms / 1000),
                size_of(row.peak_bytes),
                "-" if row.parameters is None else short(row.parameters),
                ", ".join(standing),
            ]
        )  # fmt: skip
    heads = ["", "model", called_error(done[0].metric), "95% interval", "training"]
    heads += ["an item", "memory", "numbers", ""]
    inside = table(heads, rows, left=(0, 1, 8))
    told = "".join(paragraph(line) for line in conclusions(board))
    rules = rules_of(done[0])
    if rules:
        said = ", ".join(f"{name} {number(error)}" for name, error in rules)
        told += paragraph(f"Simple rules on the same items: {said}.", "quiet")
    what = (
        "Error and interval on the validation items. Memory is the most that the process of a training "
        "needed, Python and its libraries included; “an item” is the time of an answer where many are "
        "asked for together; “numbers” are those that the model is made of. “Front”: no other is as good "
        "or better in error, training time and memory at once."
    )
    return Section(
        "board",
        "The board",
        [
            Block("What may be said", told, wide=True),
            Block("All that were measured", inside + paragraph(what, "quiet"), wide=True),
        ],
    )


def _trade(done: Sequence[Row]) -> Section:
    error = called_error(done[0].metric)
    bubbles = [
        Bubble(
            place, row.name, row.error or 0.0, row.seconds or 0.0, float(row.peak_bytes or 0),
            row.is_on_front,
            f"{row.name}: {error} {number(row.error)}, {time_of(row.seconds)}, {size_of(row.peak_bytes)}",
        )
        for place, row in enumerate(done, 1)
    ]  # fmt: skip
    chart = bubble_chart(
        f"{error} over training time, with memory as area",
        bubbles,
        below="training time, logarithmic",
        beside=f"{error}; lower is better",
    )
    keys = "".join(
        f"<li value='{place}'>{'<b>' if row.is_on_front else ''}{safe(row.name)}"
        f"{'</b>' if row.is_on_front else ''}</li>"
        for place, row in enumerate(done, 1)
    )
    rows = [
        [row.name, number(row.error), time_of(row.seconds), size_of(row.peak_bytes)] for row in done
    ]
    said = (
        "A dot's area is its memory. Filled and in bold: the front of error, time and memory. What lies "
        "above the line and to its right takes longer and errs more: if filled, it needs less memory."
    )
    inside = charted(chart, ["model", error, "training", "memory"], rows)
    keyed = f"<ol class='keys'>{keys}</ol>"
    blocks = [
        Block("Each model a dot", inside),
        Block("Their names", keyed + paragraph(said, "quiet")),
    ]
    return Section("trade", "Error against time and memory", blocks)


def _noise(board: Board) -> Section | None:
    """How far each is behind the best, with the interval of the difference."""
    behind = [(row, row.behind) for row in board.done[1:] if row.behind is not None]
    if not behind:
        return None
    measures = [
        Measure(row.name, gap.value, gap.low, gap.high, "own" if gap.may_be_none else "soft")
        for row, gap in behind
    ]
    best = board.done[0]
    chart = interval_chart(
        f"by how much they err more than {best.name}",
        measures,
        below=f"{called_error(best.metric)} above that of {best.name}",
        above=max(len(row.name) for row, _ in behind) > LONG,
    )
    rows = [
        [row.name, number(gap.value), f"{number(gap.low)} to {number(gap.high)}",
         "as good" if gap.may_be_none else "worse"]
        for row, gap in behind
    ]  # fmt: skip
    said = paragraph(
        "Two models meet the same hard items, so their difference is taken item by item. Where the "
        f"interval holds 0, it may be chance. The intervals are of {board.confidence:.1%} each, so that "
        "all of them together hold 95 times in 100.",
        "quiet",
    )
    inside = charted(chart, ["model", "difference", "interval", ""], rows, left=(0, 3), before=said)
    return Section(
        "noise", "How sure the order is", [Block(f"Behind {best.name}", inside, wide=True)]
    )


def _why(board: Board) -> Section:
    rows = [
        [row.name, row.reason, row.note if row.state == DONE else f"{row.state}: {row.note}"]
        for row in board.rows
    ]
    inside = table(["model", "why it was tried", ""], rows, left=(0, 1, 2), kind="stack")
    return Section("why", "What was tried, and why", [Block("All candidates", inside, wide=True)])


def _next(board: Board, folder: str) -> Section:
    said = paragraph(
        f"Each model is a run of its own in {folder}, with everything that a run can do. A minute tells "
        "quick models from slow ones: train the one you choose for longer."
    )
    best = board.best
    if best is not None:
        run = shlex.quote(best.run)
        lines = [f"drivetrain report {run}", f"drivetrain why {run}"]
        lines += [f"drivetrain eject {run} -o train.py"]
        said += code("\n".join(lines))
        if best.sealed:
            said += paragraph(f"{best.sealed:,} items are sealed: each look at them is counted.")
            said += code(f"drivetrain test {run}")
    return Section("next", "What to do next", [Block("With the best", said, wide=True)])
