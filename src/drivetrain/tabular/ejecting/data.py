"""The table of a run that becomes a script: what is known of its columns, and constants that name them.

The functions of a script are the library's own, lifted; what stands between them is written for the
columns that the table has: reading (`read_function`), targets and the split (`splitting`), and what is
learnt of the columns (`learning`).
"""

from __future__ import annotations

from typing import Any

from drivetrain.eject.corrections import Corrections
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.seeds import order_seed
from drivetrain.eject.settings import Setting
from drivetrain.errors import EjectError
from drivetrain.tabular.data import TabularData
from drivetrain.tabular.ejecting.corrected import correct
from drivetrain.tabular.ejecting.reading import Reading, find_reading


class TableWriter:
    """Writes the part of a script that is about a table.

    Args:
        data: read from a file.
        lifter: for what the text calls.
        reads: whether the script reads the table by itself; else the library does it for it.
        seed: of the training, `SEED` in the script; by default that of the data.

    Raises: EjectError: the table came from memory, was streamed, or a short script cannot read it.
    """

    def __init__(
        self, data: TabularData, lifter: Lifter, *, reads: bool = True, seed: int | None = None
    ) -> None:
        if data.report.format == "frame" or not isinstance(data.recipe["source"], str):
            raise EjectError(
                "The run was trained on a data frame, and a script needs a file to read. Write the frame "
                "to a file (`frame.to_parquet('table.parquet')`), and train on that."
            )
        self.data, self.lifter = data, lifter
        self.settings: list[Setting] = []
        self.known: dict[str, dict[str, Known]] = {}
        self.instead: dict[str, str] = {}
        training = data.seed if seed is None else seed
        said_of_seed = "of the split, and of the order of batches"
        self.seed = order_seed(data.seed, training, self.setting, said_of_seed)
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
        if reads and data.sealed is not None and data.sealed.path is None:
            raise EjectError(
                "Rows of the table are sealed for a test, and a script would read them with the others. "
                "Give them as a file of their own (--test FILE); or eject with `--level loop`, whose "
                "script leaves the reading to Drivetrain."
            )
        self.reading = find_reading(data, names) if reads else Reading(False, {})
        self.corrections = correct(data, self.reading, names) if reads else Corrections()
        self.note = self.corrections.note("row", "rows")
        """A second paragraph for the script's docstring."""
        self.beside: dict[str, str] = {}
        """Files beside the script; see `eject.parts.Part`."""
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

    def name_columns(self) -> None:
        """Constants that name the columns, and the classes."""
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


def _number(word: str) -> int | float:
    """A class that is a number, as one."""
    number = float(word)
    return int(number) if number.is_integer() and "." not in word else number
