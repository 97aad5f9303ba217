"""Which rows validate where nobody sees all rows at once: drawn from a row's own position or group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from drivetrain._optional import require
from drivetrain.data.frame import Frame
from drivetrain.data.split import Split
from drivetrain.randomness import item_keys, uniforms
from drivetrain.tabular.columns.cells import Cells
from drivetrain.tabular.columns.kinds import Schema, parse_frame
from drivetrain.tabular.columns.number_text import parse_numbers
from drivetrain.tabular.columns.parsing import Unread
from drivetrain.train.split_seed import seed_of

if TYPE_CHECKING:
    import pyarrow as pa


def draws(positions: np.ndarray, *, seed: int, purpose: str) -> np.ndarray:
    """(N,) float64 in [0, 1), drawn from each row's position alone.

    Args:
        positions: (N,) int64 of the rows in their source.
    """
    high, low = uniforms(positions.astype(np.uint64), 2, seed=seed, purpose=purpose).numpy().T
    return high.astype(np.float64) + low.astype(np.float64) * 2.0**-24  # 48 bits


@dataclass(frozen=True)
class Rule:
    """Which rows validate, decided of each row by itself: no memory of other rows is needed.

    random, stratified    a draw from the row's position: of every class about the same share
    group                 a draw from the group's name; a row without one is a group by itself
    time                  rows after `bound` (or from it on: `from_bound`); those without a time train
    given                 the rows at `positions`
    """

    method: str
    valid: float = 0.2
    """Share for validation."""
    seed: int = 42
    column: str | None = None
    """That of the group, or the time."""
    bound: str | float | None = None
    """A date as ISO text, or a number."""
    from_bound: bool = False
    positions: tuple[int, ...] = ()

    def validates(self, ids: np.ndarray, table: pa.Table, schema: Schema | None) -> np.ndarray:
        """(N,) bool, which rows of a batch validate.

        Args:
            ids: (N,) int64 positions of the rows in their source.
            table: their columns, as read.
            schema: how a time is written; not needed for other methods.
        """
        if self.method == "given":
            return np.isin(ids, np.array(self.positions, dtype=np.int64))
        if self.method == "group":
            assert self.column is not None, "a split by group has its column"
            return _group_draws(table[self.column], ids, self.seed) < self.valid
        if self.method == "time":
            assert self.column is not None and schema is not None, "a split by time has its column"
            frame, _ = parse_frame(table, schema, names=[self.column], unread=Unread())
            times: Any = frame[self.column]
            bound = np.datetime64(self.bound, "us") if isinstance(self.bound, str) else self.bound
            return times >= bound if self.from_bound else times > bound
        return draws(ids, seed=self.seed, purpose="split rows") < self.valid

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"positions": list(self.positions)}


def early_rule(options: Mapping[str, Any]) -> Rule:
    """The rule as far as options tell before a row was read: a split by time is found out later."""
    valid, seed = options["valid"], seed_of(options["seed"], options.get("split_seed"))
    if isinstance(valid, list):
        return Rule("given", seed=seed, positions=tuple(valid))
    # Of a date the share is not known yet: what is counted is counted anew.
    share = valid if isinstance(valid, float | int) else 0.5
    by_group = options["split"] in (None, "group") and options["groups"] is not None
    return Rule(
        "group" if by_group else "random",
        valid=share,
        seed=seed,
        column=options["groups"] if by_group else None,
    )


def rule_of(split: Split, frame: Frame, by: str | None, options: Mapping[str, Any]) -> Rule:
    """The rule that does to all rows what a split did to a sample of them.

    Args:
        split: of the sample, as it would be of a whole table.
        frame: the sample.
        by: the column of the time.
        options: those of `gather`.
    """
    early = early_rule(options)
    if split.method != "time":
        return replace(early, method=split.method)
    assert by is not None, "a split by time has its column"
    times: Any = frame[by]
    if isinstance(options["valid"], str):
        bound, from_bound = np.datetime64(options["valid"], "us"), True
    else:
        trained = times[np.array(split.train, dtype=np.int64)]
        is_known = ~(np.isnat(trained) if trained.dtype.kind == "M" else np.isnan(trained))
        bound, from_bound = trained[is_known].max(), False
    told = str(bound) if times.dtype.kind == "M" else float(bound)
    return Rule("time", early.valid, early.seed, by, told, from_bound)


def _group_draws(column: pa.ChunkedArray, ids: np.ndarray, seed: int) -> np.ndarray:
    """(N,) a draw for each row, the same for all rows of a group."""
    pa = require("pyarrow", extra="tabular")
    pc = require("pyarrow.compute", extra="tabular")
    cells = Cells.of(column)
    values = cells.values
    if cells.is_date:  # as text a date looks otherwise in a batch without times of day
        values = values.view(pa.int64())
    words = cells.texts if values is cells.values else pc.cast(values, pa.string())
    numbers, is_number = parse_numbers(words, None)
    names = words.to_pylist()
    for place in np.flatnonzero(is_number & np.isfinite(numbers)).tolist():
        names[place] = repr(float(numbers[place]) + 0.0)  # 3, 3.0 and 03 are one group
    keys = np.append(item_keys(names), np.uint64(0))[cells.codes]
    own = cells.codes == cells.distinct
    found = uniforms(keys, 1, seed=seed, purpose="split groups")[:, 0].numpy().astype(np.float64)
    found[own] = draws(ids[own], seed=seed, purpose="split groups")
    return found
