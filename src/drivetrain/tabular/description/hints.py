"""What a table asks you to look at, a plain sentence each, with the figure that says so.

    leak   may give the target away: a column that is not known when the model is to be used
    care   wants a decision: repeated rows, constant columns, codes for unknown …
    note   good to know: long tails, columns that go together …

A hint is a question. Only who knows how the table came about can answer it, and nothing is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.interpret import text
from drivetrain.interpret.association import centred_ranks, correlation_ratio, cramers_v
from drivetrain.tabular.columns.schema import Schema
from drivetrain.tabular.description.alone import Alone
from drivetrain.tabular.description.sums import MadeUp
from drivetrain.tabular.description.views import NumberView, WordView, figure, percent
from drivetrain.tabular.target import Target

LEVELS = ("leak", "care", "note")

CAUTION = (
    "Going together is not causing. Of two columns that go together a model may lean on either, and what "
    "one of them would get is shared out between both: read importances and partial dependence with that "
    "in mind."
)

ALONE = {"AUC": 0.95, "R²": 0.9}
"""Score from which on a column tells the target almost by itself."""
IN_ORDER = {"AUC": 0.6, "R²": 0.1}
"""Score from which on an id, or the order of the rows, is related to the target."""
FEWEST_IN_ORDER = 200
"""Rows, below which an order tells by chance."""
TELLING, VERY_TELLING = 0.25, 0.6
"""Link of what is missing with the target, from 0 to 1, from which on it is told, or is a leak."""
FEWEST_MISSING = 20
"""Rows with a value, and without one, that a link of what is missing asks for."""
NEAR_UNIQUE = 0.5
"""Share of different words among a category's cells above which little can be learnt from each."""
MOSTLY = 0.5
"""Share of missing cells from which on a column is called mostly empty."""
MANY_ZEROS = 0.75
RARE_CLASS = 10
"""Rows of a class, below which it can hardly be learnt."""
SAME_END = 5
"""Rows with the very least, or largest, value that make it look like a code, where it is far away."""
SHOWN = 5
"""Columns that a sentence names."""


@dataclass(frozen=True)
class Hint:
    """Something to look at."""

    code: str
    """What it is: alone, constant, contradictions, copies, copy, far-end, left-out, long-tail, missing,
    mostly-missing, near-unique, order, rare-class, repeated-rows, sum, target-missing, unbalanced or
    zeros."""
    level: str
    """One of `LEVELS`."""
    columns: tuple[str, ...]
    """Those it is about; empty where it is about whole rows."""
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers behind it, plain JSON."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**self.__dict__, "columns": list(self.columns), "figures": dict(self.figures)}


@dataclass(frozen=True, eq=False)
class Looked:
    """What is known of a table when the hints are made."""

    frame: Frame
    """All columns that are no plain text, whatever their kind."""
    schema: Schema
    numbers: Sequence[NumberView]
    words: Sequence[WordView]
    target: Target | None
    targets: np.ndarray | None
    """(N,) as `Target.values` gives it."""
    alone: Sequence[Alone]
    order: Sequence[Alone]
    """The same of the ids by their order, and of the order of the rows, which is called ''."""
    made_up: Sequence[MadeUp]
    """Of the target."""
    among: Sequence[MadeUp]
    """Of the other columns."""
    logs: Mapping[str, tuple[float, float]]

    @property
    def goal(self) -> str:
        """The target's name; empty where there is none."""
        return self.target.names[0] if self.target is not None else ""

    @cached_property
    def others(self) -> list[str]:
        """All columns but the target."""
        return [name for name in self.schema.names if name != self.goal]


def hints_of(looked: Looked) -> tuple[Hint, ...]:
    """All hints, the gravest first."""
    groups = twins(looked)
    found = [
        *_made_up(looked),
        *_copies(looked, groups),
        *_among(looked, groups),
        *_alone(looked),
        *_in_order(looked),
        *_missing_tells(looked),
        *_of_target(looked),
        *_repeated_rows(looked),
        *_of_columns(looked),
        *_far_ends(looked),
        *_tails(looked),
    ]
    return tuple(sorted(found, key=lambda hint: LEVELS.index(hint.level)))


# ---- what may give the target away


def _made_up(looked: Looked) -> Iterable[Hint]:
    for one in looked.made_up:
        yield Hint(
            "sum",
            "leak",
            one.names,
            f"'{looked.goal}' is {one.formula} in {_rows(one)}. "
            + (
                "That column is known when the target is, and not before: drop it."
                if len(one.names) == 1
                else "If these are known only once it is, a model must not see them: drop them."
            ),
            {"formula": one.formula, "rows": one.num_rows, "exact": one.num_exact},
        )


def _among(looked: Looked, groups: Sequence[tuple[list[str], bool]]) -> Iterable[Hint]:
    """Sums among the columns that are not the target; copies are told of as such.

    Args:
        groups: what `twins` found.
    """
    for one in looked.among:
        names = (one.name, *one.names)
        if any(set(names) <= set(group) for group, _ in groups):
            continue
        yield Hint(
            "sum",
            "care",
            names,
            f"'{one.name}' is {one.formula} in {_rows(one)}: "
            + ("one of them is enough." if len(names) == 2 else "one of them could go."),
            {"formula": one.formula, "rows": one.num_rows, "exact": one.num_exact},
        )


def _rows(one: MadeUp) -> str:
    if one.num_exact == one.num_rows:
        return f"all {one.num_rows:,} rows"
    return f"{one.num_exact:,} of {one.num_rows:,} rows"


def _alone(looked: Looked) -> Iterable[Hint]:
    told = {name for one in looked.made_up if len(one.names) == 1 for name in one.names}
    for one in looked.alone:
        if one.score < ALONE[one.metric] or one.name in told:
            continue
        how = (
            f"(AUC {one.score:.3f}, where 0.5 is a guess and 1 tells all)"
            if one.metric == "AUC"
            else f"(R² of ranks {one.score:.3f}, where 0 is a guess and 1 tells all)"
        )
        yield Hint(
            "alone",
            "leak",
            (one.name,),
            f"'{one.name}' tells '{looked.goal}' almost by itself {how}. Is it known before "
            f"'{looked.goal}' is? If not, drop it.",
            {"metric": one.metric, "score": one.score},
        )


def _in_order(looked: Looked) -> Iterable[Hint]:
    if len(looked.frame) < FEWEST_IN_ORDER:
        return
    dates = [c.name for c in looked.schema.columns if c.kind == "date"]
    found = [one for one in looked.order if one.score >= IN_ORDER[one.metric]]
    if len(found) > 1:  # an id that counts the rows has said it already
        found = [one for one in found if one.name]
    for one in found:
        what = f"'{one.name}' only tells rows apart, yet" if one.name else "The rows stand so that"
        what += " its order" if one.name else " their order"
        figures = {"metric": one.metric, "score": one.score}
        by = (
            f"The rows have dates ({text.listed([repr(d) for d in dates], most=3)}): if they were "
            "put down as they came, that is a drift in time, and a split by time is the honest one."
            if dates
            else "Were rows of one kind put down together? Then split by group or by time, since a "
            "split at random would flatter a model."
        )
        yield Hint(
            "order",
            "care" if one.score < ALONE[one.metric] else "leak",
            (one.name,) if one.name else (),
            f"{what} tells '{looked.goal}' ({_scored(one)}). {by}",
            figures,
        )


def _scored(one: Alone) -> str:
    return f"AUC {one.score:.2f}" if one.metric == "AUC" else f"R² of ranks {one.score:.2f}"


def _missing_tells(looked: Looked) -> Iterable[Hint]:
    """Columns that are missing in the same rows are told of together."""
    if looked.target is None or looked.targets is None:
        return
    is_class = looked.target.kind == "class"
    targets = looked.targets
    known = targets >= 0 if is_class else ~np.isnan(targets)
    truth = targets[known]
    if not len(truth):
        return
    ranks = None if is_class else centred_ranks(truth)
    kinds = np.unique(truth, return_inverse=True)[1] if is_class else truth
    groups: dict[bytes, list[str]] = {}
    flags: dict[bytes, np.ndarray] = {}
    for name in looked.others:
        if not looked.schema[name].missing or name not in looked.frame:
            continue
        flag = is_missing(looked.frame[name])[known]
        if FEWEST_MISSING <= flag.sum() <= len(flag) - FEWEST_MISSING:
            key = np.packbits(flag).tobytes()
            groups.setdefault(key, []).append(name)
            flags[key] = flag
    found = []
    for key, names in groups.items():
        flag = flags[key].astype(np.int64)
        link = (
            correlation_ratio(flag, 2, ranks)
            if ranks is not None
            else cramers_v(flag, 2, kinds, int(kinds.max()) + 1)
        )
        if link >= TELLING:
            found.append((link, names, flags[key]))
    found.sort(key=lambda one: -one[0])
    for link, names, flag in found[:SHOWN]:
        yield _told_by_missing(looked, names, flag, truth, link)
    if len(found) > SHOWN:
        more = [name for _, names, _ in found[SHOWN:] for name in names]
        yield Hint(
            "missing",
            "care",
            tuple(more),
            f"The missing cells of {_named(more)} tell something too, less clearly.",
            {"at_least": TELLING},
        )


def _told_by_missing(
    looked: Looked, names: Sequence[str], flag: np.ndarray, truth: np.ndarray, link: float
) -> Hint:
    goal, target = looked.goal, looked.target
    assert target is not None, "asked of a table with a target"
    inside, outside = truth[flag], truth[~flag]
    if target.kind == "class":
        shares = [np.bincount(part, minlength=len(target.classes)) for part in (inside, outside)]
        apart = shares[0] / len(inside) - shares[1] / len(outside)
        # of two classes the second, which is the one that is asked about most often
        at = 1 if len(target.classes) == 2 else int(np.abs(apart).argmax())
        first, second = (percent(int(s[at]), int(s.sum())) for s in shares)
        told = f"'{goal}' is {target.classes[at]!r} in {first} of these"
    else:
        first, second = (figure(float(part.mean())) for part in (inside, outside))
        told = f"the mean of '{goal}' is {first} in these"
    together = "" if len(names) == 1 else ", which are missing together,"
    return Hint(
        "missing",
        "leak" if link >= VERY_TELLING else "care",
        tuple(names),
        f"The missing cells of {_named(names)}{together} tell: {told} {text.rows(len(inside))} and "
        f"{second} in the others (link {link:.2f} of 1). Were cells filled in when the target was known?",
        {"link": link, "missing": len(inside), "there": len(outside)},
    )


# ---- the target, and rows


def _of_target(looked: Looked) -> Iterable[Hint]:
    target, targets = looked.target, looked.targets
    if target is None or targets is None:
        return
    is_class = target.kind == "class"
    gone = int((targets < 0).sum() if is_class else np.isnan(targets).sum())
    if gone:
        yield Hint(
            "target-missing",
            "care",
            (looked.goal,),
            f"'{looked.goal}' is missing in {text.rows(gone)}. Models set them aside.",
            {"rows": gone},
        )
    if is_class:
        counts = np.bincount(targets[targets >= 0], minlength=len(target.classes))
        rare = [target.classes[i] for i in np.flatnonzero(counts < RARE_CLASS)]
        if rare and len(targets) >= 10 * RARE_CLASS:
            what = "class has" if len(rare) == 1 else "classes have"
            yield Hint(
                "rare-class",
                "care",
                (looked.goal,),
                f"{len(rare):,} {what} fewer than {RARE_CLASS} rows ({_named(rare)}): hardly enough to "
                "learn from, or to say how well it was learnt.",
                {"classes": rare},
            )
        most, share = int(counts.argmax()), counts.max() / counts.sum()
        if share >= 0.9:
            yield Hint(
                "unbalanced",
                "care",
                (looked.goal,),
                f"{percent(int(counts.max()), int(counts.sum()))} of the rows are "
                f"{target.classes[most]!r}, so a guess is right that often. Look at more than accuracy.",
                {"class": target.classes[most], "share": float(share)},
            )


def _repeated_rows(looked: Looked) -> Iterable[Hint]:
    ids = {c.name for c in looked.schema.columns if c.kind == "id"}
    every = [n for n in looked.schema.names if n in looked.frame]
    whole = repeated(row_hashes(looked.frame, every))
    if whole:
        yield Hint(
            "repeated-rows",
            "care",
            (),
            f"{text.rows(whole)} {_repeat(whole)} an earlier row in every column. On both sides of a "
            "split, they are known before they are asked about.",
            {"rows": whole},
        )
    plain = [name for name in every if name not in ids]
    inputs = [name for name in plain if name != looked.goal]
    if ids & set(every) and len(inputs) > 1:
        again = repeated(row_hashes(looked.frame, plain)) - whole
        if again > 0:
            yield Hint(
                "repeated-rows",
                "care",
                tuple(sorted(ids)),
                f"{text.rows(again)} {_repeat(again)} an earlier row in all but {_named(sorted(ids))}.",
                {"rows": again},
            )
    if looked.target is None or looked.target.kind != "class" or len(inputs) < 2:
        return
    same = row_hashes(looked.frame, inputs)
    both = row_hashes(looked.frame, [*inputs, looked.goal])
    keys, place = np.unique(same, return_inverse=True)
    kinds = np.bincount(place[np.unique(both, return_index=True)[1]], minlength=len(keys))
    torn = int((kinds > 1)[place].sum())
    if torn:
        yield Hint(
            "contradictions",
            "note",
            (looked.goal,),
            f"{text.rows(torn)} {'is' if torn == 1 else 'are'} equal to another in all other columns and "
            f"of another '{looked.goal}': no model can be right on all of them.",
            {"rows": torn},
        )


def _repeat(count: int) -> str:
    return "repeats" if count == 1 else "repeat"


# ---- columns


def _copies(looked: Looked, groups: Sequence[tuple[list[str], bool]]) -> Iterable[Hint]:
    for names, is_same in groups:
        figures = {"is_same": is_same}
        others = [name for name in names if name != looked.goal]
        if len(others) < len(names):
            what = "is a copy of" if is_same else "stands for"
            what += f" '{looked.goal}', value for value"
            if len(others) > 1:
                what = what.replace("is a copy", "are copies").replace("stands", "stand")
            sentence = f"{_named(others)} {what}. Drop {'it' if len(others) == 1 else 'them'}."
            yield Hint("copy", "leak", tuple(others), sentence, figures)
        elif is_same:
            sentence = f"{_named(names)} hold the same in every row: one of them is enough."
            yield Hint("copies", "care", tuple(names), sentence, figures)
        else:
            sentence = (
                f"{_named(names)} say the same in other words: each value of one goes with one value of "
                "the other. One of them is enough."
            )
            yield Hint("copies", "care", tuple(names), sentence, figures)


def _of_columns(looked: Looked) -> Iterable[Hint]:
    columns = [looked.schema[name] for name in looked.others]
    constant = [c.name for c in columns if c.kind == "constant"]
    if constant:
        yield Hint(
            "constant",
            "care",
            tuple(constant),
            f"{_named(constant)} {_be(constant)} the same in every row, and {_tell(constant)} nothing.",
        )
    sizes = {view.name: view for view in looked.words if view.kind == "category"}
    near = [v.name for v in sizes.values() if v.count and v.distinct > NEAR_UNIQUE * v.count]
    near = [name for name in near if name != looked.goal]
    if near:
        shown = [f"'{n}' ({sizes[n].distinct:,} in {sizes[n].count:,} rows)" for n in near]
        yield Hint(
            "near-unique",
            "care",
            tuple(near),
            f"Most words of {text.listed(shown, most=SHOWN)} come once or twice: little can be learnt "
            "from each. Is a part of the word what counts?",
            {n: sizes[n].distinct for n in near},
        )
    empty = sorted(
        (c for c in columns if c.kind != "constant" and c.missing >= MOSTLY * c.rows),
        key=lambda column: -column.missing,
    )
    if empty:
        shown = [f"'{c.name}' ({percent(c.missing, c.rows)})" for c in empty]
        what = "1 column is" if len(empty) == 1 else f"{len(empty)} columns are"
        yield Hint(
            "mostly-missing",
            "note",
            tuple(c.name for c in empty),
            f"{what} empty in half of the rows or more: {text.listed(shown, most=SHOWN)}. What an empty "
            "cell means may be worth a column of its own.",
            {c.name: c.missing / c.rows for c in empty},
        )
    unused = [c for c in columns if c.kind in ("id", "text")]
    if unused:
        shown = [f"'{c.name}' ({'an id' if c.kind == 'id' else 'text'})" for c in unused]
        yield Hint(
            "left-out",
            "note",
            tuple(c.name for c in unused),
            f"Models leave out {text.listed(shown, most=SHOWN)}. If that is wrong, say so with `kinds`.",
        )


def _far_ends(looked: Looked) -> Iterable[Hint]:
    for view in looked.numbers:
        if view.name == looked.goal or view.distinct < 10:
            continue
        values = looked.frame.numbers(view.name)
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        with np.errstate(over="ignore"):
            rest = float(distinct[-1] - distinct[1]), float(distinct[-2] - distinct[0])
            gaps = float(distinct[1] - distinct[0]), float(distinct[-1] - distinct[-2])
        for side, at, gap, others in (
            ("least", 0, gaps[0], rest[0]),
            ("largest", -1, gaps[1], rest[1]),
        ):
            rows = int(counts[at])
            is_told = distinct[at] == 0 and rows >= MANY_ZEROS * view.count
            if rows >= SAME_END and gap > 0.5 * others and not is_told:
                value = figure(float(distinct[at]))
                yield Hint(
                    "far-end",
                    "care",
                    (view.name,),
                    f"'{view.name}' is {value} in {text.rows(rows)}, the {side} value, far from all "
                    "others. Is it a code, for unknown or for a limit? Then let it be missing.",
                    {"value": float(distinct[at]), "rows": rows},
                )


def _tails(looked: Looked) -> Iterable[Hint]:
    if looked.logs:
        shown = [
            f"'{name}' (skew {before:.2f}, of its logarithm {after:.2f})"
            for name, (before, after) in looked.logs.items()
        ]
        yield Hint(
            "long-tail",
            "note",
            tuple(looked.logs),
            f"A long tail: {text.listed(shown, most=SHOWN)}. A net or a linear model may do better with "
            "log(1 + x): say so with `log`, or `log_target` for the target. Trees do not mind.",
            {name: list(skews) for name, skews in looked.logs.items()},
        )
    mostly = [v for v in looked.numbers if v.distinct > 2 and v.zeros >= MANY_ZEROS * v.count > 0]
    if mostly:
        shown = [f"'{v.name}' ({percent(v.zeros, v.count)})" for v in mostly]
        yield Hint(
            "zeros",
            "note",
            tuple(v.name for v in mostly),
            f"Mostly 0: {text.listed(shown, most=SHOWN)}. Whether it is 0 may tell more than how much it "
            "is.",
            {v.name: v.zeros / v.count for v in mostly},
        )


# ---- rows and columns compared


def is_missing(values: Values) -> np.ndarray:
    """(N,) bool."""
    if isinstance(values, Factor):
        return values.codes < 0
    return np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)


def row_hashes(frame: Frame, names: Sequence[str]) -> np.ndarray:
    """(N,) uint64: equal where rows are equal in these columns, a missing cell to another.

    Two different rows have the same number by chance once in 2**64 pairs.
    """
    found = np.zeros(len(frame), dtype=np.uint64)
    for place, name in enumerate(names):
        found = _mixed(found ^ _mixed(_bits(frame[name]) + np.uint64(place + 1)))
    return found


def repeated(hashes: np.ndarray) -> int:
    """Rows that are equal to an earlier one."""
    return len(hashes) - len(np.unique(hashes))


def _bits(values: Values) -> np.ndarray:
    if isinstance(values, Factor):
        return values.codes.astype(np.int64).view(np.uint64)
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64).view(np.uint64)
    plain = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, and no -0.0
    return np.ascontiguousarray(plain, dtype=np.float64).view(np.uint64)


def _mixed(bits: np.ndarray) -> np.ndarray:
    """Each bit of the input changes half of the output's (SplitMix64: Steele et al. 2014,
    doi:10.1145/2660193.2660195); multiplications wrap around, as they are to."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def twins(looked: Looked) -> list[tuple[list[str], bool]]:
    """Columns that hold the same in every row, and those each value of which goes with one of the other.

    Returns: their names, and whether the values themselves are equal. Columns most of whose values are
    different go with each other by chance, and are compared by their values alone.
    """
    by_size: dict[tuple[int, int], list[str]] = {}
    for column in looked.schema.columns:
        if column.kind != "constant" and column.distinct > 1 and column.name in looked.frame:
            by_size.setdefault((column.distinct, column.missing), []).append(column.name)
    found = []
    for (distinct, missing), names in by_size.items():
        if len(names) < 2:
            continue
        rows = len(looked.frame) - missing
        same = _grouped(names, [_content(looked.frame[name]) for name in names])
        if distinct <= NEAR_UNIQUE * rows:
            matched = _grouped(names, [_pattern(looked.frame[name]) for name in names])
            found += [(group, group in same) for group in matched]
        else:
            found += [(group, True) for group in same]
    return found


def _grouped(names: Sequence[str], keys: Sequence[bytes]) -> list[list[str]]:
    groups: dict[bytes, list[str]] = {}
    for name, key in zip(names, keys, strict=True):
        groups.setdefault(key, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _content(values: Values) -> bytes:
    digest = hashlib.sha256(_bits(values).tobytes())
    if isinstance(values, Factor):
        for level in values.levels:
            word = level.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(word) + word)
    else:
        digest.update(values.dtype.kind.encode())
    return digest.digest()


def _pattern(values: Values) -> bytes:
    """Which rows hold the same value: values are numbered in the order in which they first come."""
    bits = values.codes if isinstance(values, Factor) else _bits(values)
    _, first, place = np.unique(bits, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    numbered = np.where(is_missing(values), -1, number[place])
    return hashlib.sha256(numbered.tobytes()).digest()


def _named(names: Sequence[str]) -> str:
    return text.listed([f"'{name}'" for name in names], most=SHOWN)


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _tell(names: Sequence[str]) -> str:
    return "tells" if len(names) == 1 else "tell"
