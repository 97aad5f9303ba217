"""What scripts of tables have in common: reading, splitting, and what is learnt of the columns.

The functions are the library's own, lifted; what stands between them is written here, for the columns
that the table has. A shorter form of a library function is put in only where it was compared with the
long one over the run's own columns.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from drivetrain.data import split as splits
from drivetrain.data.frame import Factor
from drivetrain.eject.inline import Setting
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Import, Lifter
from drivetrain.eject.parts import Written
from drivetrain.errors import EjectError
from drivetrain.tabular import preprocess
from drivetrain.tabular.columns import date_text, dates
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.ejecting.reading import PLAIN, TRIMMED, WORDS, Reading, find_reading

MOST_ROWS = 5000
"""Positions of validation rows that a script lists."""
PREPROCESS = "drivetrain.tabular.preprocess"
SPLIT = "drivetrain.data.split"


class TableWriter:
    """Writes the part of a script that is about a table.

    Args:
        data: read from a file.
        lifter: for what the text calls.
        reads: whether the script reads the table by itself; else the library does it for it.

    Raises: EjectError: the table came from memory, was streamed, or a short script cannot read it.
    """

    def __init__(self, data: TabularData, lifter: Lifter, *, reads: bool = True) -> None:
        if data.report.format == "frame" or not isinstance(data.recipe["source"], str):
            raise EjectError(
                "The run was trained on a data frame, and a script needs a file to read. Write the frame "
                "to a file (`frame.to_parquet('table.parquet')`), and train on that."
            )
        self.data, self.lifter = data, lifter
        self.settings: list[Setting] = []
        self.known: dict[str, dict[str, Known]] = {}
        self.instead: dict[str, str] = {}
        self.schema, self.goal = data.schema, data.target
        features = data.reader.features
        self.dates = tuple(name for name in features if data.schema[name].kind == "date")
        self.categories = tuple(column.name for column in data.preprocess.categories)
        self.numbers = tuple(name for name in features if name not in self.categories)
        """Of the file: dates among them, which become numbers."""
        method = data.split.method
        by = data.recipe["time"] or (self.dates[0] if self.dates else None)
        self.time = by if method == "time" else None
        self.groups = data.recipe["groups"] if method == "group" else None
        self.bases = self._bases()
        used = {name for members in self.bases.values() for name in members}
        names = [column.name for column in data.schema.columns if column.name in used]
        if reads and data.stream is not None:
            raise EjectError(
                "The run streamed its table, and a script reads a table whole. Train with `stream=False` "
                "(--set stream=false) where the table fits into memory; or eject a net with `--level "
                "loop`, whose script leaves the reading to Drivetrain."
            )
        if reads and data.recipe.get("patch") is not None:
            raise EjectError(
                "Labels were changed by a patch, and a script would read those of the table. Write the "
                "table anew (drivetrain clean RUN --in-place), and train on it; or eject with `--level "
                "loop`, whose script leaves the reading to Drivetrain."
            )
        if reads and data.sealed is not None and data.sealed.path is None:
            raise EjectError(
                "Rows of the table are sealed for a test, and a script would read them with the others. "
                "Give them as a file of their own (--test FILE); or eject with `--level loop`, whose "
                "script leaves the reading to Drivetrain."
            )
        self.reading = find_reading(data, names) if reads else Reading(False, {})
        self.scales = True
        """Whether `numbers` holds what scales a column; else what stands for missing ones."""
        reasons = {entry.reason for entry in data.quarantined}
        self.has_no_target = "no-target" in reasons
        self.has_new_classes = "class-not-in-training" in reasons
        self.is_ragged = bool(reasons & {"too-few-fields", "too-many-fields"})
        self.is_of_words = self.goal.kind == "class" and (
            data.schema[self.goal.names[0]].kind != "number"
        )

    # --- settings ---------------------------------------------------------------------------------

    def setting(self, name: str, value: Any, reason: str) -> str:
        """A constant of the script; returns its name."""
        assert self.lifter.constants.get(name, value) == value, f"{name} is another setting's name"
        self.settings.append(Setting(name, value, reason))
        self.lifter.constants[name] = value
        return name

    def reason(self, choice: str) -> str:
        """Why something was chosen."""
        choices = self.data.choices
        return choices[choice].reason if choice in choices else "as asked"

    def _bases(self) -> dict[str, tuple[str, ...]]:
        """Constants that name the columns, each column in one of them."""
        goal = self.goal.names
        found = {
            "NUMBERS": self.numbers,
            "CATEGORIES": self.categories,
            "TARGET" if len(goal) == 1 else "TARGETS": goal,
        }
        for constant, name in (("TIME", self.time), ("GROUPS", self.groups)):
            if name is not None and not any(name in members for members in found.values()):
                found[constant] = (name,)
        return {constant: members for constant, members in found.items() if members}

    def _name_columns(self) -> None:
        goal = self.goal
        if goal.kind == "class":
            self.setting("TARGET", goal.names[0], f"what is predicted: {goal.reason}")
            words = goal.classes
            classes = words if self.is_of_words else tuple(map(_number, words))
            self.setting("CLASSES", classes, "in the order of the scores")
        elif len(goal.names) == 1:
            self.setting("TARGET", goal.names[0], f"what is predicted: {goal.reason}")
        else:
            self.setting("TARGETS", goal.names, "what is predicted")
        if self.numbers:
            of_dates = (
                "; a date stands where the numbers that it becomes will" if self.dates else ""
            )
            self.setting("NUMBERS", self.numbers, f"columns of numbers{of_dates}")
        if self.dates:
            self.setting("DATES", self.dates, "columns of dates")
        if self.categories:
            self.setting("CATEGORIES", self.categories, "columns of words or codes")
        if self.time is not None:
            self.setting("TIME", self.time, "the column that rows are split by")
        if self.groups is not None:
            self.setting("GROUPS", self.groups, "rows with the same value here stay together")

    # --- reading ----------------------------------------------------------------------------------

    def read(self) -> Written:
        """The function `read`, and the constants that name the columns."""
        self._name_columns()
        reading, uses = self.reading, dict[str, Any]()
        extra = self._extra_settings()
        texts = {way.text for way in reading.ways.values()}
        for way in reading.ways.values():
            uses |= {function.__name__: function for function in way.uses}
        self._know_dates()
        self.lifter.add_import(Import("numpy", "", "np"))
        self.lifter.add_import(Import("pathlib", "Path"))
        self.lifter.add_import(Import("typing", "Any"))
        if reading.is_parquet:
            self.lifter.add_import(Import("pyarrow", "parquet"))
            names = f"[{_starred(self.bases)}]"
            lines = [f"names = {names}", "table = parquet.read_table(path, columns=names)"]
            if any("MISSING" in text for text in texts):
                self.setting("MISSING", reading.missing, "words that mean a value is missing")
        else:
            self.lifter.add_import(Import("pyarrow", "csv"))
            self.setting("MISSING", reading.missing, "words that mean a value is missing")
            lines = [
                f"types = {self._types(extra)}",
                f"table = csv.read_csv({self._csv_options()})",
            ]
        lines += self._values(extra, "names" if reading.is_parquet else "types")
        if any("compute." in text for text in texts):
            self.lifter.add_import(Import("pyarrow", "compute"))
        self.lifter.add_import(Import("pyarrow", "", "pa"))
        what = [
            *(["numbers as float64 (NaN: missing)"] if PLAIN in texts else []),
            *(["dates as datetime64"] if self.dates else []),
            *(["words as codes into levels"] if "as_words" in uses else []),
        ]
        return Written(
            _READ.format(what=_capital(", ".join(what)), body=indented(lines, 1)), "data", uses
        )

    def _know_dates(self) -> None:
        """The patterns of dates that are read as words are made now."""
        ways = self.reading.ways.values()
        forms = sorted({way.written for way in ways if way.written})
        patterns = {form: date_text._pattern(form) for form in forms}
        found = repr(patterns[forms[0]]) if len(forms) == 1 else f"{patterns!r}[date_format]"
        if not set(forms) & date_text.EPOCHS.keys():
            self.known["drivetrain.tabular.columns.date_text:parse_dates"] = {
                "date_format in EPOCHS": Known(False)
            }
        self.instead["drivetrain.tabular.columns.date_text:_pattern"] = (
            f"def _pattern(date_format):\n    return {found}\n"
        )

    def _extra_settings(self) -> dict[str, str]:
        """Constants for columns that are read in a way of their own, by the text of it."""
        found: dict[str, str] = {}
        for way in self.reading.ways.values():
            if way.setting and way.text not in found:
                members = tuple(n for n, w in self.reading.ways.items() if w.text == way.text)
                count = sum(name.startswith(way.setting) for name in found.values())
                name = f"{way.setting}_{count + 1}" if count else way.setting
                found[way.text] = self.setting(name, members, way.reason)
        return found

    def _types(self, extra: dict[str, str]) -> str:
        """What `pyarrow` reads each column as, an expression."""
        types = {name: way.type for name, way in self.reading.ways.items()}
        by_type: dict[str, list[str]] = {}
        said: dict[str, str] = {}
        for constant, members in self.bases.items():
            plain = [name for name in members if name not in self.dates]
            usual = "string" if constant == "CATEGORIES" else types[(plain or list(members))[0]]
            usual = "float64" if constant == "NUMBERS" and plain else usual
            by_type.setdefault(usual, []).append(constant)
            said |= dict.fromkeys(members, usual)
        parts = [_types_of(by, constants) for by, constants in by_type.items()]
        if self.dates and any(said[name] != "timestamp" for name in self.dates):
            parts.append(_types_of("timestamp", ["DATES"]))
            said |= dict.fromkeys(self.dates, "timestamp")
        for text, constant in extra.items():
            members = [n for n, w in self.reading.ways.items() if w.text == text]
            if any(said[name] != types[name] for name in members):
                parts.append(_types_of(types[members[0]], [constant]))
                said |= {name: types[name] for name in members}
        assert said == types, "each column is read as its way says"
        return " | ".join(parts)

    def _csv_options(self) -> str:
        reading = self.reading
        options = ["path"]
        for name, values in (("Read", reading.read), ("Parse", reading.parse)):
            if values:
                listed = ", ".join(f"{key}={_option(key, one)}" for key, one in values.items())
                options.append(f"{name.lower()}_options=csv.{name}Options({listed})")
        if "column_names" in reading.read:
            self.setting(
                "COLUMN_NAMES", tuple(reading.read["column_names"]), "of all columns, in order"
            )
        forms = f", timestamp_parsers={reading.forms!r}" if reading.forms else ""
        options.append(
            "convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types), "
            f"null_values=MISSING, strings_can_be_null=True{forms})"
        )
        return ", ".join(options)

    def _values(self, extra: dict[str, str], names: str) -> list[str]:
        """Statements that give the columns as arrays."""
        ways = self.reading.ways
        chain = [(f"name in {constant}", text) for text, constant in extra.items()]
        rest = {name: way.text for name, way in ways.items() if way.text not in extra}
        others = [[n for n in of if n not in self.dates] for of in self.bases.values()]
        for of in (self.dates, *others):
            texts = {rest[name] for name in of if name in rest}
            assert len(texts) <= 1, "what is not read as the others of its kind has a constant"
        for text in (WORDS.text, TRIMMED.text, *dict.fromkeys(rest.values())):
            members = [name for name, one in rest.items() if one == text]
            if members and text != PLAIN:
                chain.append((self._is_one_of(members), text))
                rest = {name: one for name, one in rest.items() if one != text}
        if rest:
            default = PLAIN
        else:
            default = chain.pop()[1]
        if len(chain) <= 1:
            value = _of(default, "table[name]")
            if chain:
                value = f"{_of(chain[0][1], 'table[name]')} if {chain[0][0]} else {value}"
            return [f"return {{name: {value} for name in {names}}}"]
        lines = ["", "def values(name: str) -> Any:", "    column = table[name]"]
        for condition, text in chain:
            lines += [f"    if {condition}:", f"        return {_of(text, 'column')}"]
        lines += [f"    return {_of(default, 'column')}", ""]
        return [*lines, f"return {{name: values(name) for name in {names}}}"]

    def _is_one_of(self, members: Sequence[str]) -> str:
        """Whether `name` is one of these columns, an expression."""
        if set(members) == set(self.dates):
            return "name in DATES"
        bases = {
            constant: tuple(name for name in of if name in members)
            for constant, of in self.bases.items()
            if set(of) & set(members)
        }
        whole = {c: m for c, m in bases.items() if set(m) == set(self.bases[c]) or c != "NUMBERS"}
        names = list(whole)
        if len(names) == 1:
            return f"name in {names[0]}" if names[0] in _MANY else f"name == {names[0]}"
        return f"name in ({_starred(names)})"

    # --- splitting --------------------------------------------------------------------------------

    def targets(self, uses: dict[str, Any]) -> list[str]:
        """Statements that make `targets` of `columns`, and leave out rows that have none."""
        goal, lines = self.goal, list[str]()
        if goal.kind == "class":
            labels = "columns.pop(TARGET)"
            if self.has_no_target:
                known = "labels.codes >= 0" if self.is_of_words else "~np.isnan(labels)"
                lines += [f"labels = {labels}", *self._with_target(known, "labels")]
                labels = "labels"
            if self.is_of_words:
                uses["level_codes"] = preprocess.level_codes
                return [*lines, f"targets = level_codes({labels}, CLASSES) - 1"]
            found = f"np.searchsorted(CLASSES, {labels})"
            if self.has_new_classes:
                if labels != "labels":
                    lines.append(f"labels = {labels}")
                found = "np.searchsorted(CLASSES, labels)"
                found = f"np.where(np.isin(labels, CLASSES), {found}, -1)"
            return [*lines, f"targets = {found}"]
        is_one = len(goal.names) == 1
        taken = (
            "columns.pop(TARGET)"
            if is_one
            else "np.stack([columns.pop(name) for name in TARGETS], axis=1)"
        )
        why = "  # what is learnt is log(1 + y)"
        if self.has_no_target:
            known = "~np.isnan(targets)" if is_one else "~np.isnan(targets).any(axis=1)"
            lines += [f"targets = {taken}", *self._with_target(known, "targets")]
            return [*lines, f"targets = np.log1p(targets){why}"] if goal.is_log else lines
        return [f"targets = np.log1p({taken}){why}" if goal.is_log else f"targets = {taken}"]

    def _with_target(self, known: str, name: str) -> list[str]:
        return [
            f"is_known = {known}  # rows without a target are left out",
            "columns = {name: values[is_known] for name, values in columns.items()}",
            f"{name} = {name}[is_known]",
        ]

    def split(self, uses: dict[str, Any]) -> list[str]:
        """Statements that make `train` and `valid`, positions of rows."""
        data = self.data
        method, share = data.split.method, data.recipe["valid"]
        why = self.reason("split")
        self.instead[f"{SPLIT}:split_by_mask"] = (  # a script goes on with the mask
            "def split_by_mask(is_valid, method='given'):\n    return is_valid\n"
        )
        lines = []
        if method == "given":
            rows = self._given_rows()
            self.setting("VALID_ROWS", rows, "positions of the rows that validate, from 0")
            places = "np.flatnonzero(is_known)" if self.has_no_target else "np.arange(len(targets))"
            lines.append(f"is_valid = np.isin({places}, VALID_ROWS)")
        elif isinstance(share, str):
            self.setting("VALID_FROM", share, why)
            lines.append("is_valid = columns[TIME] >= np.datetime64(VALID_FROM)")
        else:
            self.setting("VALID", share, why)
            options = "valid=VALID, seed=SEED"
            made = {
                "stratified": f"stratified_codes(targets, {options})",
                "random": f"random_split(len(targets), {options})",
                "time": "time_split(columns[TIME], valid=VALID)",
                "group": f"group_split(groups, {options})",
            }[method]
            function = getattr(splits, made.partition("(")[0])
            uses[function.__name__] = function
            self._know_split()
            if method == "group":
                lines += self._group_codes()
            lines.append(f"is_valid = {made}")
        for constant in ("TIME", "GROUPS"):
            if constant in self.bases and not (constant == "GROUPS" and method == "group"):
                lines.append(f"del columns[{constant}]")
        new = " & (targets >= 0)" if self.has_new_classes else ""
        comment = "  # no model can name a class that training has not" if new else ""
        lines.append(
            f"train, valid = np.flatnonzero(~is_valid), np.flatnonzero(is_valid{new}){comment}"
        )
        return lines

    def _given_rows(self) -> Any:
        asked = sorted(set(self.data.recipe["valid"]))
        if self.is_ragged:
            raise EjectError(
                "The validation rows were given by their positions, and rows that cannot be read are "
                "among those that are counted. Take these out of the file, and train anew."
            )
        if asked and asked == list(range(asked[0], asked[-1] + 1)):
            return range(asked[0], asked[-1] + 1)
        if len(asked) > MOST_ROWS:
            raise EjectError(
                f"The {len(asked):,} validation rows were given by their positions, which are too many "
                "to write into a script. Split by a date, a group or a share."
            )
        return tuple(asked)

    def _group_codes(self) -> list[str]:
        """Statements that give each group its number, the same as in the run."""
        name = self.groups
        assert name is not None, "the run was split by group"
        column = self.reading.frame[name]
        taken = "columns.pop(GROUPS)" if "GROUPS" in self.bases else "columns[GROUPS]"
        is_words = isinstance(column, Factor)
        if (column.codes < 0 if is_words else column != column).any():
            raise EjectError(
                f"Rows without a '{name}' are a group each, which a script does not do yet. Fill the "
                "column, and train anew."
            )
        if not is_words:
            return [f"groups = np.unique({taken}, return_inverse=True)[1]"]
        for key in ("", ", key=float"):
            try:
                order = sorted(column.levels, key=float if key else None)
            except ValueError:
                continue
            if order == list(column.levels):
                made = f"groups.recoded(sorted(groups.levels{key})).codes.astype(np.int64)"
                return [f"groups = {taken}", f"groups = {made}"]
        raise EjectError(
            f"A script cannot number the groups of '{name}' as the run did. Split by another column."
        )

    def _know_split(self) -> None:
        """What is known of the library's functions that split."""
        plain = {
            "    codes = np.asarray(codes)\n": "",
            "    times = np.asarray(times)\n": "",
            "-> Split:": "-> np.ndarray:",
        }
        for function, words in _SAID.items():
            self.instead[f"{SPLIT}:{function.__name__}"] = edited(function, plain, words)
        targets = self.data.targets
        if (
            self.data.split.method == "stratified"
            and np.unique(targets, return_counts=True)[1].min() > 1
        ):
            self.known[f"{SPLIT}:stratified_codes"] = {"len(members) > 1": Known(True)}
        if self.time is not None:
            times = self.reading.frame[self.time]
            is_date = not isinstance(times, Factor) and times.dtype.kind == "M"
            self.known[f"{SPLIT}:distinct_times"] = {"times.dtype.kind == 'M'": Known(is_date)}

    # --- learning ---------------------------------------------------------------------------------

    def expand(self, uses: dict[str, Any]) -> list[str]:
        """Statements that make numbers of dates, in their place."""
        if not self.dates:
            return []
        uses["date_parts"] = dates._parts
        self.lifter.called_as["drivetrain.tabular.columns.dates:_parts"] = "date_parts"
        times = self.data.reader.dates
        told = {times[name] for name in self.dates}
        has_time, changes = str(told == {True}), {_BY_NAME: _ALL_PARTS}
        if told == {False}:
            changes |= {_OF_DAY: "", _MINUTES: ""}
        elif len(told) > 1:
            timed = tuple(name for name in self.dates if times[name])
            self.setting("TIMED", timed, "those of them that tell the time of day")
            has_time = "name in TIMED"
            changes |= {_BY_NAME: _IF_TOLD + _ALL_PARTS, _OF_DAY: ""}
        self.instead["drivetrain.tabular.columns.dates:_parts"] = edited(
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

    def learn(self, uses: dict[str, Any], *, scales: bool = True) -> list[str]:
        """Statements that learn from the training rows: `numbers` and `levels`, by column.

        Args:
            uses: gets what the text calls.
            scales: whether numbers are scaled; else `numbers` is what stands for missing ones.
        """
        self._know_columns()
        lines = []
        learnt, recipe = self.data.preprocess, self.data.recipe
        self.scales = scales
        if learnt.numbers:
            options = f"fill={recipe['fill']!r}, constant={self._constant()}"
            of = "column[train]" if self.dates else "columns[name][train]"
            if scales:
                uses["learn_number"] = preprocess.learn_number
                made = f"learn_number(name, {of}, {options}, is_log={self._is_log()})"
            else:
                uses["learn_fill"] = preprocess.learn_fill
                made = f"learn_fill({of}, {options})"
            names = "name in NUMBERS"
            if self.dates:
                names = "name, column in columns.items()"
                names += " if name not in CATEGORIES" if self.categories else ""
            if scales or self.has_gaps:
                lines.append(f"{'numbers' if scales else 'fills'} = {{name: {made} for {names}}}")
            elif self.dates:
                only = " if name not in CATEGORIES" if self.categories else ""
                lines.append(f"numbers = [name for name in columns{only}]")
            if not scales and self.has_flags:
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
            self.setting("ORDERS", orders, "levels that have an order of their own")
        if recipe["rare"] is not None:
            self.setting(
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

    def codes(self, uses: dict[str, Any], rows: str = "rows") -> str:
        """An expression: a list with the codes of each category."""
        name = "mode_codes" if self.takes_mode else "level_codes"
        uses[name] = getattr(preprocess, name)
        return f"[{name}(columns[name][{rows}], levels[name]) for name in CATEGORIES]"

    def scaled(self, uses: dict[str, Any], how: str, rows: str = "rows") -> str:
        """An expression: a list with the numbers, `filled`, `standardised` or `by_largest`."""
        values = f"columns[name][{rows}]"
        if not self.scales:
            if not self.has_gaps:
                return f"[{values} for name in {'numbers' if self.dates else 'NUMBERS'}]"
            uses["filled"] = preprocess.filled
            return f"[filled({values}, fills[name]) for name in fills]"
        uses[how] = getattr(preprocess, how)
        column = "numbers[name].fill" if how == "filled" else "numbers[name]"
        return f"[{how}({values}, {column}) for name in numbers]"

    def flags(self, rows: str = "rows") -> str:
        """An expression: a list with flags of missing numbers; empty where there are none."""
        if not self.has_flags:
            return ""
        if not self.scales:
            return f"[np.isnan(columns[name][{rows}]) for name in flagged]"
        all_have = all(column.has_flag for column in self.data.preprocess.numbers)
        some = "" if all_have else " if numbers[name].has_flag"
        return f"[np.isnan(columns[name][{rows}]) for name in numbers{some}]"

    def _constant(self) -> str:
        recipe = self.data.recipe
        if recipe["fill"] != "constant":
            return "0.0"
        return self.setting("FILL", recipe["constant"], "stands for missing numbers")

    def _is_log(self) -> str:
        logs = tuple(self.data.recipe["log"])
        if not logs:
            return "False"
        self.setting("LOGS", logs, "columns of which log(1 + x) is taken")
        return "name in LOGS"

    def _know_columns(self) -> None:
        """What is the same in all columns of the run, and what it makes needless."""
        data, learnt = self.data, self.data.preprocess
        train, _ = data.part("train")
        if not self.has_gaps:
            self.instead[f"{PREPROCESS}:filled"] = (
                "def filled(values, stand_in):\n    return values\n"
            )
            self.instead[f"{PREPROCESS}:learn_fill"] = (
                "def learn_fill(values, *, fill, constant):\n    return 0.0\n"
            )
        known: dict[str, Known] = {}
        columns = [train.numbers(c.name) for c in learnt.numbers]
        if all((~np.isnan(values)).any() for values in columns):
            known |= {"len(present)": Known(1), "len(full)": Known(1)}
            self.known[f"{PREPROCESS}:learn_fill"] = {"len(present)": Known(1)}
        self.known[f"{PREPROCESS}:learn_number"] = known
        if not data.recipe["log"]:
            self.known[f"{PREPROCESS}:_logged"] = {"column.is_log": Known(False)}
        if not any(column.rare for column in learnt.categories):
            self.instead[f"{PREPROCESS}:not_rare"] = (
                "def not_rare(counts, rare):\n    return counts\n"
            )
        if not data.recipe["levels"]:
            is_plain = all(c.levels == tuple(sorted(c.levels)) for c in learnt.categories)
            self.instead[f"{PREPROCESS}:in_order"] = _PLAIN_ORDER if is_plain else _NATURAL_ORDER
        self.instead["drivetrain.data.frame:Factor"] = edited(Factor, {_LENGTH: ""})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def edited(thing: Any, changes: Mapping[str, str], said: str = "") -> str:
    """The source of a function or class with some of its text changed.

    Args:
        thing: of the library.
        changes: what stands there -> what shall. What does not stand there is passed over.
        said: another docstring.
    """
    text = inspect.getsource(thing)
    for old, new in changes.items():
        text = text.replace(old, new)
    if said:
        text = re.sub(r'""".*?"""', f'"""{said}"""', text, count=1, flags=re.DOTALL)
    return text


_SAID = {
    splits.stratified_codes: "The same share of every class validates: (N,) bool.",
    splits.random_split: "A share of the rows validates: (N,) bool.",
    splits.time_split: "The last rows in time validate: (N,) bool. Rows of one time stay together.",
    splits.group_split: "A share of the rows validates, groups as a whole: (N,) bool.",
    splits.distinct_times: "Times in order, the rows of each, and where a row stands: -1 without one.",
}
"""What functions that split give in a script."""

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
_MANY = ("NUMBERS", "CATEGORIES", "TARGETS", "DATES")
"""Constants that name several columns."""

_READ = '''
def read(path: Path) -> dict[str, Any]:
    """{what}."""
{body}
'''


def _of(text: str, column: str) -> str:
    """The expression of a way for a column. No `format`: signs of a date's form may be in it."""
    return text.replace("{}", column)


def indented(lines: Sequence[str], depth: int) -> str:
    """Statements as the body of something."""
    space = "    " * depth
    return "\n".join(
        f"{space}{line}" if line else "" for one in lines for line in one.splitlines() or [""]
    )


def _starred(constants: Any) -> str:
    """`*NUMBERS, TARGET`."""
    return ", ".join(f"*{name}" if name in _MANY else name for name in constants)


def _types_of(by: str, constants: Sequence[str]) -> str:
    arrow = 'pa.timestamp("us")' if by == "timestamp" else f"pa.{by}()"
    if len(constants) == 1 and constants[0] not in ("TARGET", "TIME", "GROUPS"):
        return f"dict.fromkeys({constants[0]}, {arrow})"
    if len(constants) == 1:
        return f"{{{constants[0]}: {arrow}}}"
    return f"dict.fromkeys(({_starred(constants)}), {arrow})"


def _option(key: str, value: Any) -> str:
    if key == "invalid_row_handler":
        return 'lambda row: "skip"'
    return "COLUMN_NAMES" if key == "column_names" else repr(value)


def _number(word: str) -> int | float:
    """A class that is a number, as one."""
    number = float(word)
    return int(number) if number.is_integer() and "." not in word else number
