"""The gate for tables: what is wrong with one before a model learns from it.

    found = check("adult.csv", "salary")
    print(found)

Rows are compared in all columns but running numbers, whether a model sees them or not: two people of one
age and one job are two, where their names say so. Rows that are equal by chance are no copies either. A
row counts as one where so few rows like it were to be expected, from how often each of its values comes,
that hardly one of those counted is equal by chance; and none does where rows that are equal in all else
have different classes about as often as strangers: copies have one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivetrain.clean.duplicates import Duplicates, NearPairs, same_content
from drivetrain.clean.near_rows import label_conflicts as torn_rows, near_rows
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.data.tables.reading import DEFAULT_MISSING, open_table
from drivetrain.gate.columns import TableWorth, entity_overlap, time_order
from drivetrain.gate.findings import Finding, Findings
from drivetrain.gate.items import (
    alike_classes,
    duplicates_across,
    duplicates_within,
    label_conflicts,
    unreadable,
)
from drivetrain.gate.telling import before_training
from drivetrain.gate.worth import Worth
from drivetrain.interpret.association import as_numbers
from drivetrain.tabular.columns.kinds import parse_frame
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.describe import describe
from drivetrain.tabular.description.alone import alone
from drivetrain.tabular.description.hints import ALONE, Hint
from drivetrain.tabular.gathering import gather

BY_CHANCE = 0.001
"""Share of those called copies that are to be expected equal by chance, at most. It is small, since
columns that go together make the chance larger than it is counted here."""
SURE = {"AUC": 0.98, "R²": 0.97}
"""Score of a column alone from which on it stops a training; below that, and from `ALONE` on, only where
no other column can stand in for it. A measurement that goes with the target, such as the length of a
petal with the kind of iris, has others beside it."""
MISSED = {"accuracy": 0.05, "mean absolute error": 0.5}
"""What the trees lose without a column that no other can stand in for: accuracy, and error as a share of
it."""
LIKE_STRANGERS = 0.5
"""Share of the disagreement of any two rows from which on equal rows are no copies of each other."""
MEASURED = 4
"""Columns that may give the target away of which it is measured what they are worth."""
_OF_HINTS = {
    "alone": "target-proxy",
    "copy": "target-proxy",
    "sum": "target-proxy",
    "order": "order-tells",
    "missing": "missing-tells",
    "constant": "constant-column",
    "copies": "copied-column",
    "unbalanced": "imbalance",
    "rare-class": "imbalance",
}
_LEVELS = {"leak": "critical", "care": "warning", "note": "note"}


def check(
    source: Any,
    target: str | Sequence[str],
    *,
    kinds: Mapping[str, str] | None = None,
    target_kind: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    missing: Sequence[str] = DEFAULT_MISSING,
    seed: int = 42,
    **options: Any,
) -> Findings:
    """Look at a table before a model learns from it.

    Args:
        source: a CSV or Parquet file; a frame; a dict of columns. See `tabular.gather` for it and
            the options, such as `drop`, `split`, `groups`.
        target: the column to predict.
        kinds: column -> kind, as of `gather`.
        target_kind: `class` or `number`.
        delimiter: of a CSV; by default it is found.
        encoding: of a CSV; by default it is found.
        missing: what stands for a missing value.
        seed: of the split, and of what is drawn.
        options: others of `gather`.

    Returns: the findings, the gravest first; print them.
    Raises: what reading raises.
    """
    reading: dict[str, Any] = {"delimiter": delimiter, "encoding": encoding, "missing": missing}
    data = gather(
        source, target, kinds=kinds, target_kind=target_kind, seed=seed, **reading, **options
    )
    hints: tuple[Hint, ...] = ()
    left_out = []
    names = data.target.names
    if data.stream is not None:
        left_out.append("all rows but a sample: the table is read batch by batch.")
        every = _with_goal(data)
    else:
        if len(names) == 1:
            hints = describe(
                source, names[0], kinds=kinds, target_kind=target_kind, seed=seed, **reading
            ).hints
        else:
            left_out.append("columns that tell the target: there are several targets.")
        every = _whole(data, source)
    return _checked(data, every, hints, left_out)


def check_quickly(data: TabularData) -> Findings:
    """The same of a table that is read already, by the columns that a model sees, without measuring.

    Where rows are equal in those, the source is read once more: what a model does not see, such as a
    name, may tell them apart. A table that is not there to be read has no copies that are critical.
    """
    left_out = ["what columns that no model sees tell, and what a leak is worth."]
    findings = _checked(data, _with_goal(data), (), left_out, measured=False)
    found = findings.found
    doubtful = ("duplicates-across", "duplicates-within", "label-conflict")
    if any(one.name in doubtful and one.level != "note" for one in found):
        source = data.recipe["source"]
        if source is not None and data.stream is None:
            findings = _checked(data, _whole(data, source), (), left_out, measured=False)
            found = findings.found
        else:
            found = tuple(
                replace(one, level="warning") if one.name == "duplicates-across" else one
                for one in found
            )
    return Findings.of(
        findings.source,
        [*found, *_alone(data)],
        counts=findings.counts,
        looked=findings.looked,
        left_out=left_out,
    )


def warned(data: TabularData) -> str:
    """What `learner` and `leaderboard` write of a table before a training; see `gate.telling`."""
    names = data.target.names
    target = repr(names[0] if len(names) == 1 else list(names))
    source = data.recipe["source"]
    shown = repr(source) if source is not None else "frame"
    return before_training(check_quickly(data), f"dt.tabular.check({shown}, {target})")


def _whole(data: TabularData, source: Any) -> Frame:
    """All columns of the rows that are used."""
    reading = {name: data.recipe[name] for name in ("delimiter", "encoding", "missing")}
    opened = open_table(source, **reading)
    table = opened.read()
    every, _ = parse_frame(table, data.schema, names=data.schema.names, row_ids=opened.row_ids)
    return every.take(np.searchsorted(every.ids, data.frame.ids))


def _alone(data: TabularData) -> Iterator[Finding]:
    """Columns that tell the target almost by themselves; sums of columns are not tried."""
    goal, *others = data.target.names
    if others:
        return
    rows = np.concatenate([data.rows["train"], data.rows["valid"]])
    frame = data.frame.take(rows)
    for one in alone(frame, frame.names, data.target, data.targets[rows], seed=data.seed):
        if one.score >= ALONE[one.metric]:
            name = "R² of ranks" if one.metric == "R²" else one.metric
            yield Finding(
                "target-proxy",
                "critical" if one.score >= SURE[one.metric] else "warning",
                f"'{one.name}' tells '{goal}' almost by itself ({name} {one.score:.3f}).",
                f"column '{one.name}'",
                _SAID["target-proxy"].fix.replace("COLUMN", one.name),
                _SAID["target-proxy"].accepting,
                subject=one.name,
            )


def _checked(
    data: TabularData,
    every: Frame,
    hints: Sequence[Hint],
    left_out: Sequence[str],
    *,
    measured: bool = True,
) -> Findings:
    """The findings of a table.

    Args:
        every: the rows of `data.frame`, with columns that a model does not see as well, and the target.
        hints: of `describe`.
    """
    names, options = data.target.names, data.recipe
    dropped = set(options["drop"])
    worth = (
        TableWorth(data.frame, data.targets, data.split, num_classes=len(data.classes))
        if measured and data.targets.ndim == 1
        else None
    )
    parts = [""] * len(data.frame)
    for part in ("train", "valid", "test"):
        for at in data.rows[part].tolist():
            parts[at] = part
    running = running_numbers(every, names)
    pairs, by_chance = copies_of(every, running)
    inputs = every.drop({*names, *dropped})
    torn: list[np.ndarray] = []
    if data.target.kind == "class":
        torn = torn_rows(inputs, data.targets, ignore=[n for n in running if n in inputs])
        if _like_strangers(torn, data.targets, len(pairs.first)):
            by_chance += len(pairs.first)
            pairs = same_content([])
    found = Duplicates.of(pairs, data.ids, parts=parts)
    of_copies = worth.of_copies if worth is not None else None
    findings: list[Finding] = [
        *duplicates_across(found, what="rows", worth=of_copies),
        *duplicates_within(found, what="rows"),
        *unreadable(data.quarantined, len(data.frame), what="rows"),
    ]
    words: list[str] = []
    if data.target.kind == "class":
        words = [data.classes[code] if code >= 0 else "" for code in data.targets.tolist()]
        findings += alike_classes(words, parts, what="rows")
    if torn:
        findings += label_conflicts([one.tolist() for one in torn], words, data.ids, what="rows")
    findings += entity_overlap(
        every.drop({*running, *names}),  # who is dropped is in the rows all the same
        data.split,
        by=options["groups"] or "",
        worth=worth,
        seed=data.seed,
    )
    dates = [c.name for c in data.schema.columns if c.kind == "date" and c.name in inputs]
    time = options["time"] or (dates[0] if dates else None)
    if time is not None and time in inputs:
        because = options["because"]
        findings += time_order(inputs[time], time, data.split, worth=worth, because=because)
    findings += _of_hints(hints, dropped, data, every, worth)
    looked = [
        f"{len(every):,} rows for equal ones, in {len(every.names) - len(running):,} columns"
        + (f" (not {_named(running)}, which count rows)" if running else "")
        + ("." if not by_chance else f"; {by_chance:,} are equal as chance would have it.")
    ]
    return Findings.of(
        data.source, findings, counts=data.counts(), looked=looked, left_out=left_out
    )


def running_numbers(frame: Frame, targets: Sequence[str] = ()) -> list[str]:
    """Columns that have another value in every row and are codes or whole numbers: they count rows.

    Names of people are none: a word with a blank in it is not a code.
    """
    return [name for name in frame.names if name not in targets and _counts_rows(frame[name])]


def _counts_rows(values: Values) -> bool:
    if len(values) < 2:
        return False
    if isinstance(values, Factor):
        there = values.codes[values.codes >= 0]
        if len(np.unique(there)) < len(values):
            return False
        return sum(" " in word.strip() for word in values.levels) < 0.5 * len(values.levels)
    if values.dtype.kind != "f" or np.isnan(values).any():
        return False
    return bool((values == np.floor(values)).all() and len(np.unique(values)) == len(values))


def copies_of(frame: Frame, running: Sequence[str]) -> tuple[NearPairs, int]:
    """Pairs of rows that are copies, and how many rows are equal as chance would have it.

    Args:
        frame: N rows.
        running: columns that count rows, in which copies differ; see `running_numbers`.
    """
    names = [name for name in frame.names if name not in running]
    pairs = near_rows(frame, ignore=[name for name in running if name in frame])
    expected = np.full(len(frame), np.log(max(len(frame), 1)))
    once = np.ones(len(frame), dtype=bool)
    once[pairs.second] = False
    for name in names:
        expected += np.log(_shares(frame[name], once))
    is_copy = expected[pairs.second] <= _limit(expected, expected[pairs.second])
    kept = NearPairs(
        pairs.first[is_copy],
        pairs.second[is_copy],
        pairs.score[is_copy],
        pairs.exact[is_copy],
        pairs.compared,
    )
    return kept, int((~is_copy).sum())


def _like_strangers(torn: Sequence[np.ndarray], targets: np.ndarray, copies: int) -> bool:
    """Whether equal rows have different classes about as often as any two rows.

    Args:
        torn: groups of rows that are equal in all else, and are not of one class.
        copies: rows that are equal to an earlier one in their class too.
    """
    shares = np.bincount(targets[targets >= 0]) / max(int((targets >= 0).sum()), 1)
    strangers = 1 - float((shares**2).sum())
    # of a group the rows that differ from its first one
    apart = sum(int((targets[rows] != targets[rows[0]]).sum()) for rows in torn)
    return apart > 0 and apart / (apart + copies) >= LIKE_STRANGERS * strangers


def _limit(expected: np.ndarray, of_pairs: np.ndarray) -> float:
    """The largest number of expected rows at which at most `BY_CHANCE` of the pairs up to it are chance.

    As Benjamini & Hochberg 1995 limit false discoveries.

    Args:
        expected: (N,) logarithm of how many rows like each are to be expected.
        of_pairs: (P,) the same of the pairs that were found.
    """
    every, some = np.sort(expected), np.sort(of_pairs)
    by_chance = np.cumsum(np.exp(every)) / 2  # a pair is two rows
    up_to = by_chance[np.searchsorted(every, some, side="right") - 1]
    fits = up_to <= BY_CHANCE * np.arange(1, len(some) + 1)
    return float(some[fits][-1]) if fits.any() else -np.inf


def _shares(values: Values, once: np.ndarray) -> np.ndarray:
    """(N,) chance that another row has the same value, by the rows that are counted.

    That of a value which comes once is not 1 in N: it is small where no value comes twice (Good 1953,
    doi:10.1093/biomet/40.3-4.237).

    Args:
        once: (N,) bool, the rows that are counted: of equal rows one.
    """
    codes = values.codes if isinstance(values, Factor) else values
    place = np.unique(codes, return_inverse=True, equal_nan=True)[1]
    counts = np.bincount(place[once], minlength=int(place.max(initial=-1)) + 1)
    singles, doubles = int((counts == 1).sum()), int((counts == 2).sum())
    single = 2 * max(doubles, 0.5) / max(singles, 1)
    return np.where(counts > 1, counts, min(single, 1.0))[place] / max(int(once.sum()), 1)


def _with_goal(data: TabularData) -> Frame:
    """What a model sees, and the targets as numbers."""
    frame = data.frame
    for place, name in enumerate(data.target.names):
        column = data.targets.reshape(len(frame), -1)[:, place]
        frame = frame.with_column(name, column.astype(np.float64))
    return frame


@dataclass(frozen=True)
class _Said:
    fix: str
    accepting: str


_SAID = {
    "target-proxy": _Said(
        "drop it where it is known only once the target is: --drop COLUMN.",
        "You say that it is known before the target is.",
    ),
    "order-tells": _Said(
        "split by time or by group, as the rows came about.",
        "You say that the rows to come stand in the same order.",
    ),
    "missing-tells": _Said(
        "drop it where cells were filled in once the target was known: --drop COLUMN.",
        "You say that it is missing before the target is known.",
    ),
    "constant-column": _Said("nothing: it is left out.", "Nothing needs to be said."),
    "copied-column": _Said("drop all but one of them.", "You say that both are wanted."),
    "imbalance": _Said(
        "look at more than accuracy, or collect more of the small classes.",
        "You say that the score heeds the small classes.",
    ),
}


def _is_missed(worth: Worth) -> bool:
    """Whether no other column can stand in for the one that this was measured of."""
    scale = 1.0 if worth.metric == "accuracy" else worth.with_it
    return worth.is_clear and worth.difference >= MISSED[worth.metric] * scale


def _is_sorted(data: TabularData, every: Frame, columns: Sequence[str]) -> bool:
    """Whether the rows, in the order of a column or as they stand, are sorted by the target to the last.

    Then somebody has sorted them, and their order says nothing of how they came about.
    """
    targets = data.targets
    if columns and columns[0] in every:
        targets = targets[np.argsort(as_numbers(every[columns[0]]), kind="stable")]
    if data.target.kind == "class":
        changes = int(np.count_nonzero(np.diff(targets)))
        return changes == len(np.unique(targets)) - 1
    steps = np.diff(targets)
    return bool((steps >= 0).all() or (steps <= 0).all())


_SORTED = "nothing, where they were only sorted: a model does not see the order."


def _of_hints(
    hints: Sequence[Hint],
    dropped: set[str],
    data: TabularData,
    every: Frame,
    worth: TableWorth | None,
) -> Iterator[Finding]:
    """What `describe` has seen in the columns, as findings; those dropped are not told of."""
    goal = data.target.names[0]
    measured = 0
    told: set[str] = set()
    for hint in hints:
        name = _OF_HINTS.get(hint.code)
        if name is None or set(hint.columns) & dropped:
            continue
        if hint.code == "sum" and hint.level != "leak":
            name = "copied-column"
        if name == "target-proxy":
            if set(hint.columns) <= told:  # what is a copy tells the target by itself as well
                continue
            told |= set(hint.columns)
        is_leak = hint.level == "leak"
        found = None
        if is_leak and worth is not None and measured < MEASURED:
            found = worth.of_columns(hint.columns)
            measured += 1
        where = f"column {_named(hint.columns)}" if hint.columns else "rows"
        columns = [column for column in hint.columns if column != goal]
        said = _SAID[name]
        drops = " ".join(f"--drop {shlex.quote(one)}" for one in columns)
        fix = said.fix.replace("--drop COLUMN", drops)
        level, what = _LEVELS[hint.level], hint.sentence
        if name in ("constant-column", "copied-column"):
            level = "note"
        elif name == "order-tells" and data.split.method in ("time", "last"):
            level, fix = "note", "nothing: it is split by time."
        elif name == "order-tells" and _is_sorted(data, every, hint.columns):
            level, fix = "note", _SORTED
            what = f"{what.partition('). ')[0]}): they are sorted by it."
        elif hint.code == "alone" and hint.figures["score"] < SURE[hint.figures["metric"]]:
            level = "critical" if found is not None and _is_missed(found) else "warning"
        yield Finding(
            name,
            level,
            what,
            where,
            fix,
            said.accepting,
            subject=",".join(columns) if columns else hint.code if name == "imbalance" else "",
            worth=found,
        )


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
