"""What a script learns of the columns of a table, and how it prepares them: the library's own functions.

A shorter form of one is put in only where it was compared with the long one over the run's own columns.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from drivetrain.data.frame import Factor
from drivetrain.eject.known import Known
from drivetrain.eject.text import edited
from drivetrain.errors import EjectError
from drivetrain.tabular import preprocess
from drivetrain.tabular.columns import dates
from drivetrain.tabular.ejecting.data import TableWriter

PREPROCESS = "drivetrain.tabular.preprocess"


class Learning:
    """Writes it. What a text calls is added to `uses`.

    Args:
        table: for settings, and for what is known of the columns.
        scales: whether numbers are scaled; else only what stands for missing ones is learnt.
    """

    def __init__(self, table: TableWriter, *, scales: bool) -> None:
        self.table = table
        self.data = table.data
        self.scales = scales

    def expand(self, uses: dict[str, Any]) -> list[str]:
        """Statements that make numbers of dates, in their place."""
        if not self.table.dates:
            return []
        uses["date_parts"] = dates._parts
        self.table.lifter.called_as["drivetrain.tabular.columns.dates:_parts"] = "date_parts"
        times = self.data.reader.dates
        told = {times[name] for name in self.table.dates}
        has_time, changes = str(told == {True}), {_BY_NAME: _ALL_PARTS}
        if told == {False}:
            changes |= {_OF_DAY: "", _MINUTES: ""}
        elif len(told) > 1:
            timed = tuple(name for name in self.table.dates if times[name])
            self.table.setting("TIMED", timed, "those of them that tell the time of day")
            has_time = "name in TIMED"
            changes |= {_BY_NAME: _IF_TOLD + _ALL_PARTS, _OF_DAY: ""}
        self.table.instead["drivetrain.tabular.columns.dates:_parts"] = edited(
            dates._parts,
            changes,
            "A date as numbers, by name: (N,) float64, NaN where it is missing.",
        )
        made = f"date_parts(name, column, {has_time})"
        return [
            "columns = {",
            "    part: values",
            "    for name, column in columns.items()",
            f"    for part, values in ({made} if name in DATES else {{name: column}}).items()",
            "}",
        ]

    def learn(self, uses: dict[str, Any]) -> list[str]:
        """Statements that learn from the training rows: `numbers` and `levels`, by column."""
        self._know_columns()
        lines = []
        learnt, recipe = self.data.preprocess, self.data.recipe
        if learnt.numbers:
            options = f"fill={recipe['fill']!r}, constant={self._constant()}"
            of = "column[train]" if self.table.dates else "columns[name][train]"
            if self.scales:
                uses["learn_number"] = preprocess.learn_number
                made = f"learn_number(name, {of}, {options}, is_log={self._is_log()})"
            else:
                uses["learn_fill"] = preprocess.learn_fill
                made = f"learn_fill({of}, {options})"
            names = "name in NUMBERS"
            if self.table.dates:
                names = "name, column in columns.items()"
                names += " if name not in CATEGORIES" if self.table.categories else ""
            if self.scales or self.has_gaps:
                lines.append(
                    f"{'numbers' if self.scales else 'fills'} = {{name: {made} for {names}}}"
                )
            elif self.table.dates:
                only = " if name not in CATEGORIES" if self.table.categories else ""
                lines.append(f"numbers = [name for name in columns{only}]")
            if not self.scales and self.has_flags:
                is_some = "np.isnan(columns[name][train]).any()"
                lines.append(f"flagged = [name for name in fills if {is_some}]")
        if learnt.categories:
            lines += self._learn_levels(uses)
        return lines

    def _learn_levels(self, uses: dict[str, Any]) -> list[str]:
        recipe = self.data.recipe
        name = "learn_category" if self.takes_mode else "learn_levels"
        uses[name] = getattr(preprocess, name)
        order = "ORDERS.get(name, ())" if recipe["levels"] else "()"
        if recipe["levels"]:
            orders = {column: tuple(levels) for column, levels in recipe["levels"].items()}
            self.table.setting("ORDERS", orders, "levels that have an order of their own")
        if recipe["rare"] is not None:
            self.table.setting(
                "RARE", recipe["rare"], "levels of fewer training rows are taken as unknown"
            )
        rare = "None" if recipe["rare"] is None else "RARE"
        first = "name, " if self.takes_mode else ""
        made = f"{name}({first}columns[name][train], order={order}, rare={rare})"
        return [f"levels = {{name: {made} for name in CATEGORIES}}"]

    @property
    def has_flags(self) -> bool:
        """Whether some number is missing in training."""
        return any(column.has_flag for column in self.data.preprocess.numbers)

    @cached_property
    def has_gaps(self) -> bool:
        """Whether some number is missing in any row."""
        data = self.data
        return any(np.isnan(data.frame.numbers(c.name)).any() for c in data.preprocess.numbers)

    @cached_property
    def takes_mode(self) -> bool:
        """Whether a level that training never saw stands for another one, and some row has one."""
        data = self.data
        if data.preprocess.unseen != "mode":
            return False
        frame, _ = data.part("valid")
        found = False
        for column in data.preprocess.categories:
            is_unseen = preprocess.unseen_rows(frame.factor(column.name), column).any()
            if is_unseen and column.mode is None:
                raise EjectError(
                    f"No training row has a value of '{column.name}', so there is no mode to stand for "
                    "it. Drop the column, and train anew."
                )
            found = found or bool(is_unseen)
        return found

    def codes(self, uses: dict[str, Any]) -> str:
        """An expression: a list with the codes of each category."""
        name = "mode_codes" if self.takes_mode else "level_codes"
        uses[name] = getattr(preprocess, name)
        return f"[{name}(columns[name][rows], levels[name]) for name in CATEGORIES]"

    def scaled(self, uses: dict[str, Any], how: str) -> str:
        """An expression: a list with the numbers, `filled`, `standardised` or `by_largest`."""
        values = "columns[name][rows]"
        if not self.scales:
            if not self.has_gaps:
                return f"[{values} for name in {'numbers' if self.table.dates else 'NUMBERS'}]"
            uses["filled"] = preprocess.filled
            return f"[filled({values}, fills[name]) for name in fills]"
        uses[how] = getattr(preprocess, how)
        column = "numbers[name].fill" if how == "filled" else "numbers[name]"
        return f"[{how}({values}, {column}) for name in numbers]"

    def flags(self) -> str:
        """An expression: a list with flags of missing numbers; empty where there are none."""
        if not self.has_flags:
            return ""
        if not self.scales:
            return "[np.isnan(columns[name][rows]) for name in flagged]"
        all_have = all(column.has_flag for column in self.data.preprocess.numbers)
        some = "" if all_have else " if numbers[name].has_flag"
        return f"[np.isnan(columns[name][rows]) for name in numbers{some}]"

    def _constant(self) -> str:
        recipe = self.data.recipe
        if recipe["fill"] != "constant":
            return "0.0"
        return self.table.setting("FILL", recipe["constant"], "stands for missing numbers")

    def _is_log(self) -> str:
        logs = tuple(self.data.recipe["log"])
        if not logs:
            return "False"
        self.table.setting("LOGS", logs, "columns of which log(1 + x) is taken")
        return "name in LOGS"

    def _know_columns(self) -> None:
        """What is the same in all columns of the run, and what it makes needless."""
        data, learnt = self.data, self.data.preprocess
        train, _ = data.part("train")
        if not self.has_gaps:
            self.table.instead[f"{PREPROCESS}:filled"] = (
                "def filled(values, stand_in):\n    return values\n"
            )
            self.table.instead[f"{PREPROCESS}:learn_fill"] = (
                "def learn_fill(values, *, fill, constant):\n    return 0.0\n"
            )
        known: dict[str, Known] = {}
        columns = [train.numbers(c.name) for c in learnt.numbers]
        if all((~np.isnan(values)).any() for values in columns):
            known |= {"len(present)": Known(1), "len(full)": Known(1)}
            self.table.known[f"{PREPROCESS}:learn_fill"] = {"len(present)": Known(1)}
        self.table.known[f"{PREPROCESS}:learn_number"] = known
        if not data.recipe["log"]:
            self.table.known[f"{PREPROCESS}:_logged"] = {"column.is_log": Known(False)}
        if not any(column.rare for column in learnt.categories):
            self.table.instead[f"{PREPROCESS}:not_rare"] = (
                "def not_rare(counts, rare):\n    return counts\n"
            )
        if not data.recipe["levels"]:
            is_plain = all(c.levels == tuple(sorted(c.levels)) for c in learnt.categories)
            self.table.instead[f"{PREPROCESS}:in_order"] = (
                _PLAIN_ORDER if is_plain else _NATURAL_ORDER
            )
        self.table.instead["drivetrain.data.frame:Factor"] = edited(Factor, {_LENGTH: ""})


_BY_NAME = """    return {
        full: np.where(is_missing, np.nan, parts[full.removeprefix(f"{name}.")])
        for full in date_parts(name, has_time)
    }
"""

_ALL_PARTS = """    return {
        f"{name}.{part}": np.where(is_missing, np.nan, found) for part, found in parts.items()
    }
"""

_IF_TOLD = """    if has_time:
        parts |= {"hour": minute_of_day // 60, "minute": minute_of_day % 60}
"""

_MINUTES = """    minute_of_day = _count(moments.astype("datetime64[m]") - days.astype("datetime64[m]"))
"""

_OF_DAY = """        "hour": minute_of_day // 60,
        "minute": minute_of_day % 60,
"""

_PLAIN_ORDER = """def in_order(levels, order):
    return tuple(sorted(levels))
"""

_NATURAL_ORDER = '''def in_order(levels: Iterable[str], order) -> tuple[str, ...]:
    """Numbers among the words by their size and first, then other words by their letters."""
    return tuple(sorted(levels, key=_natural))
'''

_LENGTH = """    def __len__(self) -> int:
        return len(self.codes)

"""
