"""What is asked of the columns of a table: who is in the rows, and when they are from.

somebody     a column whose values come again, in rows on both sides of the split: the model may know
             the person and not the matter
when         rows with dates that are not split by them
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.data.split import Split, group_split, time_split
from drivetrain.errors import DataError
from drivetrain.gate.findings import MOST_ITEMS, Finding
from drivetrain.gate.worth import (
    CONFIDENCE,
    Worth,
    metric_of,
    trees_are_right,
    worth_of_column,
    worth_of_copies,
    worth_of_split,
)
from drivetrain.interpret import text

FEWEST_ENTITIES = 20
ROWS_EACH = (1.2, 100.0)
"""Mean rows of a value between which a column may name somebody: with fewer it counts rows, with more it
is a kind."""
MANY_OVER = 0.2
"""Share of validation rows whose somebody training knows, from which on it is told."""
MEASURED = 3
"""Columns of which it is measured what they are worth: each asks for two models."""
TELLING = 0.01
"""Difference in accuracy, or of the error as a share of it, from which on an overlap is critical."""
_NAMED = re.compile(
    r"(^|[^a-z])(id|ids|uid|uuid|nr|no|num|number|user|patient|customer|client|person|subject|member|"
    r"employee|student|player|driver|account|device|machine|vehicle|session|household|name|email|phone)"
    r"([^a-z]|$)"
)
MODEL = "small boosted trees"


class TableWorth:
    """What things are worth on one table, by small tree models; the one on all columns is fitted once.

    Args:
        frame: the columns that a model sees.
        targets: (N,) int64 classes or float64 numbers.
        split: as it is.
        num_classes: 0 for numbers.
    """

    def __init__(
        self, frame: Frame, targets: np.ndarray, split: Split, *, num_classes: int
    ) -> None:
        self.frame, self.targets, self.split = frame, targets, split
        self.num_classes = num_classes
        self.metric = metric_of(targets)
        self._as_it_is: np.ndarray | None = None
        self._was_fitted = False

    @property
    def as_it_is(self) -> np.ndarray | None:
        """(M,) of each validation row whether it is right, or the error."""
        if not self._was_fitted:
            self._as_it_is = self._right(self.frame, self.split)
            self._was_fitted = True
        return self._as_it_is

    def of_copies(self, rows: np.ndarray) -> Worth | None:
        """Of validation rows, by position in the frame, that training has too."""
        if self.as_it_is is None:
            return None
        is_copy = np.isin(np.array(self.split.valid, dtype=np.int64), rows)
        return worth_of_copies(self.as_it_is, is_copy, metric=self.metric, model=MODEL)

    def of_columns(self, names: Sequence[str]) -> Worth | None:
        """Of columns that are in the frame."""
        known = [name for name in names if name in self.frame]
        if not known or self.as_it_is is None:
            return None
        without = self._right(self.frame.drop(known), self.split)
        if without is None:
            return None
        return worth_of_column(self.as_it_is, without, metric=self.metric, model=MODEL)

    def of_split(self, other: Split, *, confidence: float = CONFIDENCE) -> Worth | None:
        """Of the split as it is, against another one."""
        if self.as_it_is is None:
            return None
        apart = self._right(self.frame, other)
        if apart is None:
            return None
        return worth_of_split(
            self.as_it_is, apart, metric=self.metric, model=MODEL, confidence=confidence
        )

    def _right(self, frame: Frame, split: Split) -> np.ndarray | None:
        return trees_are_right(frame, self.targets, split, num_classes=self.num_classes)


def entity_overlap(
    frame: Frame,
    split: Split,
    *,
    by: str = "",
    worth: TableWorth | None = None,
    seed: int = 42,
) -> Iterator[Finding]:
    """Columns that name somebody, or something, who has rows on both sides.

    A column counts where its values come again but not too often, and it is of words or is called like a
    name or a number of somebody. What it is worth makes it critical where it is called so, or no model
    sees it: a model that knows somebody by other columns knows them by heart. Splits by time are not
    asked: who comes again later is meant to.

    Args:
        frame: all columns, whether a model sees them or not, in the rows of `split`.
        by: the column that the split keeps together, which is not asked.
        worth: measures what the overlap adds to the score, of the first `MEASURED` columns.
    """
    if split.method in ("time", "last"):
        return
    train = np.array(split.train, dtype=np.int64)
    valid = np.array(split.valid, dtype=np.int64)
    asked = np.concatenate([train, valid])
    found = []
    for name in frame.names:
        if name == by:
            continue
        codes = _entities(frame[name], name)
        if codes is None:
            continue
        there = codes[asked][codes[asked] >= 0]
        count = len(np.unique(there))
        if count < FEWEST_ENTITIES or not ROWS_EACH[0] <= len(there) / count <= ROWS_EACH[1]:
            continue
        known = np.isin(codes[valid], np.unique(codes[train])) & (codes[valid] >= 0)
        if known.mean() >= MANY_OVER:
            found.append((float(known.mean()), name, codes, known, len(there) / count))
    found.sort(key=lambda one: (_NAMED.search(one[1].lower()) is None, -one[0]))
    for place, (share, name, codes, known, each) in enumerate(found):
        measured = None
        if worth is not None and place < MEASURED:
            # at 95% for all that are measured together (Bonferroni): a training stops for one of them
            at = 1 - (1 - CONFIDENCE) / min(len(found), MEASURED)
            measured = worth.of_split(_by_entity(codes, split, seed), confidence=at)
        is_named = _NAMED.search(name.lower()) is not None
        level = "warning" if is_named else "note"
        if measured is not None:
            if measured.is_clear and _is_telling(measured):
                # a column that the model is given, and that is not called like somebody, may be a kind
                # of row, such as a place: rows to come are of known ones too
                is_kind = not is_named and worth is not None and name in worth.frame
                level = "warning" if is_kind else "critical"
            elif not is_named:
                continue  # a kind of row, and no somebody that helped
            else:
                level = "note"
        values = frame[name]
        yield Finding(
            "entity-overlap",
            level,
            f"'{name}' has {each:.1f} rows a value, and {int(known.sum()):,} of {len(valid):,} "
            f"validation rows ({text.share(share, 1)}) are of one that training has rows of. If it names "
            "somebody, the model is asked about those it knows.",
            f"column '{name}'",
            f"keep each one's rows together: --set groups={name}.",
            "You say that the model will be used on the same ones again.",
            items=_shown(values, valid[known]),
            count=len(np.unique(codes[valid[known]])),
            subject=name,
            worth=measured,
        )


def time_order(
    times: Values | None,
    name: str,
    split: Split,
    *,
    worth: TableWorth | None = None,
    because: str | None = None,
) -> Iterator[Finding]:
    """Rows with times, of which validation is not the later part.

    Args:
        times: (N,) dates or numbers; None or words are not asked.
        because: why the split is as it is, where that was said.
    """
    if times is None or isinstance(times, Factor) or split.method in ("time", "last"):
        return
    train = times[np.array(split.train, dtype=np.int64)]
    valid = times[np.array(split.valid, dtype=np.int64)]
    lost = np.isnat if times.dtype.kind == "M" else np.isnan
    train, valid = train[~lost(train)], valid[~lost(valid)]
    if not len(train) or not len(valid) or valid.min() >= train.max():
        return
    later = float((train > np.median(valid.astype(np.float64)).astype(times.dtype)).mean())
    measured = None
    if worth is not None:
        try:
            share = len(split.valid) / max(len(split.valid) + len(split.train), 1)
            measured = worth.of_split(_in_time(times, split, share))
        except DataError:  # all at one time
            measured = None
    yield Finding(
        "time-order",
        "critical",
        f"The rows have times ('{name}'), and {text.share(later, 1)} of training is later than the "
        "middle of validation. A model is used on rows that come later: so it has seen the future.",
        f"column '{name}'",
        "split by time: --split time.",
        "You say that time changes nothing here.",
        count=len(valid),
        worth=measured,
        because=because,
    )


def _entities(values: Values, name: str) -> np.ndarray | None:
    """(N,) int64 a number a value, -1 where missing; None of a column that names nobody."""
    if isinstance(values, Factor):
        return values.codes.astype(np.int64)
    if values.dtype.kind != "f" or _NAMED.search(name.lower()) is None:
        return None
    there = ~np.isnan(values)
    if not (values[there] == np.floor(values[there])).all():
        return None
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[there] = np.unique(values[there], return_inverse=True)[1]
    return codes


def _by_entity(codes: np.ndarray, split: Split, seed: int) -> Split:
    """About as many rows for either part, each value's rows on one side."""
    asked = np.concatenate([np.array(split.train), np.array(split.valid)]).astype(np.int64)
    groups = codes[asked].copy()
    alone = groups < 0
    groups[alone] = codes.max(initial=0) + 1 + np.arange(int(alone.sum()))
    inner = group_split(groups, valid=len(split.valid) / len(asked), seed=seed)
    return Split(
        tuple(asked[list(inner.train)].tolist()),
        tuple(asked[list(inner.valid)].tolist()),
        (),
        "group",
    )


def _in_time(times: np.ndarray, split: Split, share: float) -> Split:
    asked = np.concatenate([np.array(split.train), np.array(split.valid)]).astype(np.int64)
    inner = time_split(times[asked], valid=share)
    return Split(
        tuple(asked[list(inner.train)].tolist()),
        tuple(asked[list(inner.valid)].tolist()),
        (),
        "time",
    )


def _is_telling(worth: Worth) -> bool:
    """Whether the difference is `TELLING` or more."""
    scale = 1.0 if worth.metric == "accuracy" else max(worth.without, 1e-12)
    return worth.difference >= TELLING * scale


def _shown(values: Values, rows: np.ndarray) -> tuple[str, ...]:
    few = values[rows[:1000]]
    words = few.values() if isinstance(few, Factor) else [f"{one:g}" for one in few.tolist()]
    return tuple(dict.fromkeys(str(word) for word in words if word is not None))[:MOST_ITEMS]
