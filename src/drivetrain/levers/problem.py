"""A decision written down: what to maximise, what can be set, what is as it is. From TOML or a dict.

    [objective]
    maximise = "(price - cost) * prediction"

    [levers.price]
    low = 1
    high = 20

    [context]
    cost = 3

The objective, the levers and the data are the first three steps of "objective, levers, data, models"
(Howard, Zwemer and Loukides 2012, "Designing great data products"); the model is the fourth.
docs/levers.md has every key. A file is read whole, and all its mistakes are named at once.
"""

from __future__ import annotations

import datetime
import math
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain._strict import shown
from drivetrain.errors import ConfigError, DataError
from drivetrain.levers.expression import Expression, parse

Setting: TypeAlias = float | str
"""A value of a lever: a number or a word."""
ContextValue: TypeAlias = float | str | datetime.datetime
StrPath: TypeAlias = str | os.PathLike[str]

FILE_BYTES = 1 << 20
MOST_LEVERS = 20
MOST_VALUES = 10_000
"""Values of a lever that has steps or choices."""
MOST_CONTEXT = 1000
MOST_LIMITS = 50

_EXPERIMENT = ("rows", "treated", "outcome", "features")
_SECTIONS = ("objective", "levers", "context", "today", "limits", "search", "model")


@dataclass(frozen=True)
class Lever:
    """What can be set, and to what."""

    name: str
    """Of the column that it sets."""
    low: float = -math.inf
    """The lowest number; `-inf` for a lever of choices."""
    high: float = math.inf
    """The highest number; `inf` for a lever of choices."""
    step: float | None = None
    """Only `low`, `low + step` … are possible; 1 for a lever of whole numbers."""
    choices: tuple[Setting, ...] = ()
    """The only values, all numbers (ascending) or all words; empty for a lever with bounds."""

    @property
    def holds_words(self) -> bool:
        """Whether it is set to a word."""
        return bool(self.choices) and isinstance(self.choices[0], str)

    @property
    def grid(self) -> np.ndarray | None:
        """(V,) the numbers it can be set to, ascending; None for words, and where it is continuous."""
        if self.choices:
            return None if self.holds_words else np.array(self.choices, dtype=np.float64)
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        values = (self.low + self.step * np.arange(count)).tolist()
        return np.array([float(f"{value:.15g}") for value in values])  # 1.2, not 1.2000000000000002

    def to_json(self) -> dict[str, Any]:
        """As a problem file has it."""
        if self.choices:
            return {"choices": list(self.choices)}
        bounds: dict[str, Any] = {"low": self.low, "high": self.high}
        return bounds if self.step is None else bounds | {"step": self.step}


@dataclass(frozen=True)
class Limit:
    """A bound on an expression, taken over the rows as the objective is."""

    expression: Expression
    """What is bounded."""
    at_least: float | None = None
    """The lower bound; None for none."""
    at_most: float | None = None
    """The upper bound; None for none."""

    def margins(self, values: np.ndarray) -> list[np.ndarray]:
        """How much room (M,) values leave: one (M,) a bound, below 0 where it is broken.

        In units of the bound where that is above 1; what rounding can do is no break.
        """
        found = []
        for bound, sign in ((self.at_least, 1.0), (self.at_most, -1.0)):
            if bound is not None:
                found.append(sign * (values - bound) / max(1.0, abs(bound)) + 1e-9)
        return found

    def to_json(self) -> dict[str, Any]:
        """As a problem file has it."""
        bounds = {"at_least": self.at_least, "at_most": self.at_most}
        return {"expression": self.expression.text} | {
            k: v for k, v in bounds.items() if v is not None
        }

    def __str__(self) -> str:
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        return f"{self.expression} {' and '.join(bounds)}"


@dataclass(frozen=True)
class ModelSource:
    """Which model answers: a run that is there, or one to be trained first."""

    run: str = ""
    """A run's folder, or empty."""
    source: str = ""
    """The table to train on, where there is no run; with `target`."""
    target: str = ""
    name: str = ""
    """Of the model to train; empty for the default."""

    def to_json(self) -> dict[str, Any]:
        """As a problem file has it."""
        return {k: v for k, v in vars(self).items() if v}


@dataclass(frozen=True)
class Problem:
    """A decision to be made; `read_problem` and `Problem.from_dict` make one."""

    objective: Expression
    """What is to be large or small."""
    levers: tuple[Lever, ...]
    """What can be set."""
    direction: Literal["maximise", "minimise"] = "maximise"
    """Which way is good."""
    over: Literal["mean", "sum"] = "mean"
    """How the objective's values at the rows of the context become one number."""
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    """Columns and names that have one value in every row."""
    rows: Path | None = None
    """A CSV file of the rows that the decision is for; None takes those of the data."""
    today: Mapping[str, Setting] = field(default_factory=dict)
    """Today's settings, to compare with; where absent the data's median or most frequent word."""
    limits: tuple[Limit, ...] = ()
    """What has to hold."""
    stay_within: float | None = 0.95
    """Only settings as near to the data as this share of its own rows; None allows all within bounds."""
    caution: float = 0.0
    """So many standard deviations of the model's doubt are taken off the objective."""
    model: ModelSource | None = None
    """What predicts, as a problem file names it; None where it is given to `optimise`."""

    @property
    def sign(self) -> float:
        """1 for maximise, -1 for minimise."""
        return 1.0 if self.direction == "maximise" else -1.0

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], *, where: str = "The problem") -> Problem:
        """The problem of a document with the keys of a problem file.

        Args:
            document: nested dicts, lists, numbers and strings, as TOML and JSON have them.
            where: what messages call it.
        Raises: ConfigError: whatever is wrong, all of it in one message.
        """
        return _Reader(where).problem(document)

    def to_json(self) -> dict[str, Any]:
        """The document that `from_dict` reads back to an equal problem."""
        context: dict[str, Any] = dict(self.context)
        search: dict[str, Any] = {"caution": self.caution}
        search["stay_within"] = False if self.stay_within is None else self.stay_within
        document: dict[str, Any] = {
            "objective": {self.direction: self.objective.text, "over": self.over},
            "levers": {lever.name: lever.to_json() for lever in self.levers},
            "context": {
                name: value.isoformat() if isinstance(value, datetime.datetime) else value
                for name, value in context.items()
            },
            "today": dict(self.today),
            "limits": [limit.to_json() for limit in self.limits],
            "search": search,
        }
        if self.rows is not None:
            document["context"]["rows"] = str(self.rows)
        if self.model is not None:
            document["model"] = self.model.to_json()
        return document


@dataclass(frozen=True)
class Experiment:
    """The rows of an experiment, and what they say; of a file with an [experiment] table."""

    rows: Path
    """A table of rows, each treated or not."""
    treated: str
    """The column of 1 and 0, or yes and no."""
    outcome: str
    """The column of what came of it."""
    features: tuple[str, ...] = ()
    """Columns to learn from; empty for all others."""

    @classmethod
    def from_dict(
        cls,
        document: Mapping[str, Any],
        *,
        where: str = "The experiment",
        folder: Path | None = None,
    ) -> Experiment:
        """The experiment of a document `{"experiment": {…}}`.

        Args:
            where: what messages call the document.
            folder: where its file is looked for; by default where the process stands.
        Raises: ConfigError: whatever is wrong, all of it in one message.
        """
        return _Reader(where, folder=folder).experiment(document)


def read_toml(path: StrPath) -> dict[str, Any]:
    """The document of a TOML file.

    Raises: DataError: it cannot be read. ConfigError: it is not TOML, or larger than 1 MiB.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise DataError(f"{os.fspath(path)} cannot be read: {error.strerror}.") from error
    if len(data) > FILE_BYTES:
        raise ConfigError(
            f"{os.fspath(path)} is larger than the {FILE_BYTES} bytes of a problem file."
        )
    try:
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise ConfigError(
            f"{os.fspath(path)} is not a problem file: it is nested too deep."
        ) from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise ConfigError(
            f"{os.fspath(path)} is not TOML: {error}. A text stands in quotes, as in "
            'maximise = "prediction".'
        ) from error


def read_problem(path: StrPath) -> Problem:
    """The problem of a TOML file; a file that its context names is looked for beside it.

    Args:
        path: of the file.

    Raises: DataError: the file cannot be read. ConfigError: whatever is wrong in it, all in one message.
    """
    path = Path(path)
    return _Reader(str(path), folder=path.parent).problem(read_toml(path))


def read_experiment(path: StrPath) -> Experiment:
    """The experiment of a TOML file; the file of its rows is looked for beside it.

    Args:
        path: of the file.

    Raises: DataError: the file cannot be read. ConfigError: whatever is wrong in it, all in one message.
    """
    path = Path(path)
    return Experiment.from_dict(read_toml(path), where=str(path), folder=path.parent)


class _Reader:
    """Reads a document, and keeps every mistake until the end."""

    def __init__(self, where: str, folder: Path | None = None) -> None:
        self.where = where
        self.folder = folder
        self.mistakes: list[str] = []

    def problem(self, document: Mapping[str, Any]) -> Problem:
        self.known(document, _SECTIONS, "")
        direction, objective, over = self.objective(self.table(document, "objective"))
        named = self.table(document, "levers")
        levers = self.levers(named)
        context, rows = self.context(self.table(document, "context"), named)
        today = self.today(self.table(document, "today"), named, levers)
        limits = self.limits(document.get("limits", []))
        stay_within, caution = self.search(self.table(document, "search"))
        model = self.model(self.table(document, "model")) if "model" in document else None
        self.stop_at_mistakes()
        assert objective is not None
        return Problem(
            objective=objective,
            levers=levers,
            direction=direction,
            over=over,
            context=context,
            rows=rows,
            today=today,
            limits=limits,
            stay_within=stay_within,
            caution=caution,
            model=model,
        )

    def experiment(self, document: Mapping[str, Any]) -> Experiment:
        self.known(document, ("experiment",), "")
        table = self.table(document, "experiment")
        where = "[experiment] "
        self.known(table, _EXPERIMENT, where)
        for key in ("rows", "treated", "outcome"):
            if key not in table:
                self.mistakes.append(f"{where}has no `{key}`.")
            elif not isinstance(table[key], str) or not table[key]:
                self.mistakes.append(f"{where}`{key}` is a text, not {shown(table[key])}.")
        features = table.get("features", [])
        if not isinstance(features, list) or not all(isinstance(each, str) for each in features):
            self.mistakes.append(f"{where}`features` is a list of columns.")
        self.stop_at_mistakes()
        return Experiment(
            self.path(table["rows"]), table["treated"], table["outcome"], tuple(features)
        )

    def path(self, text: str) -> Path:
        """A file that the document names, looked for beside it."""
        found = Path(text).expanduser()
        return found if self.folder is None else self.folder / found

    def stop_at_mistakes(self) -> None:
        if self.mistakes:
            many = "" if len(self.mistakes) == 1 else f" {len(self.mistakes)} mistakes."
            raise ConfigError(f"{self.where}:{many} {' '.join(self.mistakes)}")

    # --- sections ---------------------------------------------------------------------------------------

    def objective(self, table: Mapping[str, Any]) -> tuple[Any, Expression | None, Any]:
        self.known(table, ("maximise", "minimise", "over"), "[objective] ")
        given = [name for name in ("maximise", "minimise") if name in table]
        if len(given) != 1:
            what = (
                "has both maximise and minimise" if given else "says neither maximise nor minimise"
            )
            self.mistakes.append(f'[objective] {what}. Write one: maximise = "prediction".')
            return "maximise", None, "mean"
        expression = self.expression(table[given[0]], "[objective] ")
        over = table.get("over", "mean")
        if over not in ("mean", "sum"):
            self.mistakes.append(f"[objective] `over` is 'mean' or 'sum', not {shown(over)}.")
        return given[0], expression, over

    def levers(self, table: Mapping[str, Any]) -> tuple[Lever, ...]:
        if not table:
            self.mistakes.append(
                "There is no lever. Add one: [levers.price] with low = 1 and high = 20."
            )
        if len(table) > MOST_LEVERS:
            self.mistakes.append(
                f"There are {len(table)} levers, more than the {MOST_LEVERS} allowed."
            )
            return ()
        found = []
        for name, inside in table.items():
            where = f"[levers.{name}] "
            if not isinstance(inside, Mapping):
                self.mistakes.append(
                    f"{where}is {shown(inside)}, and has to be a table with low and high, or choices."
                )
            else:
                lever = self.lever(name, inside, where)
                if lever is not None:
                    found.append(lever)
        return tuple(found)

    def lever(self, name: str, table: Mapping[str, Any], where: str) -> Lever | None:
        before = len(self.mistakes)
        self.known(table, ("low", "high", "step", "whole", "choices"), where)
        if "choices" in table:
            others = [key for key in ("low", "high", "step", "whole") if key in table]
            if others:
                self.mistakes.append(f"{where}has choices, so {' and '.join(others)} have no use.")
            return self.lever_of_choices(name, table["choices"], where)
        low, high = self.number(table, "low", where), self.number(table, "high", where)
        step = self.number(table, "step", where) if "step" in table else None
        whole = table.get("whole", False)
        if not isinstance(whole, bool):
            self.mistakes.append(f"{where}`whole` is true or false, not {shown(whole)}.")
        elif whole and step is not None:
            self.mistakes.append(
                f"{where}has whole and step. A step of 1 is whole; give one of them."
            )
        elif whole and low is not None and high is not None:
            low, high, step = float(math.ceil(low)), float(math.floor(high)), 1.0
        if low is not None and high is not None and not low < high:
            self.mistakes.append(
                f"{where}has no room: `low` is {low:g} and `high` {high:g}. What is fixed belongs into "
                "[context]."
            )
        elif step is not None and low is not None and high is not None:
            if not 0 < step <= high - low:
                self.mistakes.append(
                    f"{where}`step` is {step:g}; it has to be above 0 and at most high - low."
                )
            elif (high - low) / step >= MOST_VALUES:
                self.mistakes.append(
                    f"{where}has more than {MOST_VALUES} steps. Leave `step` out: then every number "
                    "between low and high is possible."
                )
        if len(self.mistakes) > before or low is None or high is None:
            return None
        return Lever(name, low, high, step)

    def lever_of_choices(self, name: str, values: Any, where: str) -> Lever | None:
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            self.mistakes.append(
                f'{where}`choices` is a list, such as ["web", "shop"] or [1, 2, 5].'
            )
            return None
        if len(values) > MOST_VALUES:
            self.mistakes.append(f"{where}has more than {MOST_VALUES} choices.")
            return None
        if all(isinstance(value, str) for value in values):
            return Lever(name, choices=tuple(dict.fromkeys(values)))
        if all(_is_number(value) for value in values):
            return Lever(name, choices=tuple(sorted({float(value) for value in values})))
        self.mistakes.append(f"{where}`choices` are all words or all numbers.")
        return None

    def context(
        self, table: Mapping[str, Any], levers: Iterable[str]
    ) -> tuple[dict[str, ContextValue], Path | None]:
        if len(table) > MOST_CONTEXT:
            self.mistakes.append(f"[context] has more than {MOST_CONTEXT} names.")
            return {}, None
        names = set(levers)
        found: dict[str, ContextValue] = {}
        rows: Path | None = None
        for name, value in table.items():
            if name == "rows" and isinstance(value, str):
                rows = (
                    Path(value) if self.folder is None else self.folder / Path(value).expanduser()
                )
            elif name in names:
                self.mistakes.append(
                    f"[context] fixes {shown(name)}, which is a lever. Take it out of one of the two."
                )
            elif isinstance(value, datetime.date):
                found[name] = _as_datetime(value)
            elif isinstance(value, str):
                found[name] = value
            elif _is_number(value):
                found[name] = float(value)
            else:
                self.mistakes.append(
                    f"[context] {shown(name)} is {shown(value)}, and has to be a number, a word or a "
                    "date."
                )
        return found, rows

    def today(
        self, table: Mapping[str, Any], names: Iterable[str], levers: Sequence[Lever]
    ) -> dict[str, Setting]:
        by_name = {lever.name: lever for lever in levers}
        names = set(names)
        found: dict[str, Setting] = {}
        for name, value in table.items():
            if name not in names:
                self.mistakes.append(
                    f"[today] sets {shown(name)}, which is no lever.{did_you_mean(name, sorted(names))}"
                )
            elif name not in by_name:  # the lever itself has a mistake
                continue
            elif not (isinstance(value, str) if by_name[name].holds_words else _is_number(value)):
                what = "word" if by_name[name].holds_words else "number"
                self.mistakes.append(
                    f"[today] {shown(name)} has to be a {what}, not {shown(value)}."
                )
            else:
                found[name] = value if isinstance(value, str) else float(value)
        return found

    def limits(self, tables: Any) -> tuple[Limit, ...]:
        if not isinstance(tables, list) or not all(isinstance(each, Mapping) for each in tables):
            self.mistakes.append(
                "`limits` is a list of tables: [[limits]] with an expression, at_least, at_most."
            )
            return ()
        if len(tables) > MOST_LIMITS:
            self.mistakes.append(f"There are more than {MOST_LIMITS} limits.")
            return ()
        found = []
        for number, table in enumerate(tables, start=1):
            where = f"[[limits]] {number}: "
            self.known(table, ("expression", "at_least", "at_most"), where)
            expression = self.expression(table.get("expression"), where)
            low, high = (
                self.number(table, key, where) if key in table else None
                for key in ("at_least", "at_most")
            )
            if "at_least" not in table and "at_most" not in table:
                self.mistakes.append(f"{where}has no bound. Add at_most = 10, or at_least.")
            elif low is not None and high is not None and low > high:
                self.mistakes.append(f"{where}`at_least` {low:g} is above `at_most` {high:g}.")
            elif expression is not None:
                found.append(Limit(expression, low, high))
        return tuple(found)

    def search(self, table: Mapping[str, Any]) -> tuple[float | None, float]:
        self.known(table, ("stay_within", "caution"), "[search] ")
        within = table.get("stay_within", 0.95)
        if within is not False and not (_is_number(within) and 0 < within <= 1):
            self.mistakes.append(
                "[search] `stay_within` is a share of the data in (0, 1], or false for no such bound, "
                f"not {shown(within)}."
            )
        caution = self.number(table, "caution", "[search] ") if "caution" in table else 0.0
        if caution is not None and not 0 <= caution <= 10:
            self.mistakes.append(
                f"[search] `caution` counts standard deviations, from 0 to 10, not {caution:g}."
            )
        return None if within is False else within, caution or 0.0

    def model(self, table: Mapping[str, Any]) -> ModelSource | None:
        keys = ("run", "source", "target", "name")
        self.known(table, keys, "[model] ")
        wrong = [key for key in keys if key in table and not isinstance(table[key], str)]
        if wrong:
            self.mistakes.append(f"[model] {' and '.join(f'`{key}`' for key in wrong)} is no text.")
        elif ("run" in table) == ("source" in table or "target" in table or "name" in table):
            self.mistakes.append(
                '[model] names a run (run = "runs/prices"), or what to train on (source = "sales.csv", '
                'target = "demand"), not both.'
            )
        elif "run" not in table and not ("source" in table and "target" in table):
            self.mistakes.append("[model] needs a source and a target to train on.")
        else:
            return ModelSource(**{key: table[key] for key in keys if key in table})
        return None

    # --- values -----------------------------------------------------------------------------------------

    def table(self, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = document.get(name, {})
        if isinstance(value, Mapping):
            return value
        self.mistakes.append(f"`{name}` is {shown(value)}, and has to be a table: [{name}].")
        return {}

    def known(self, table: Mapping[str, Any], names: Sequence[str], where: str) -> None:
        for name in table:
            if name not in names:
                near = did_you_mean(name, names)
                self.mistakes.append(
                    f"{where}{shown(name)} is no key here.{near} There are: {', '.join(names)}."
                )

    def number(self, table: Mapping[str, Any], key: str, where: str) -> float | None:
        if key not in table:
            self.mistakes.append(f"{where}has no `{key}`.")
            return None
        if not _is_number(table[key]):
            self.mistakes.append(f"{where}`{key}` has to be a number, not {shown(table[key])}.")
            return None
        return float(table[key])

    def expression(self, text: Any, where: str) -> Expression | None:
        try:
            return parse(text)
        except ConfigError as error:
            self.mistakes.append(f"{where}{error}")
            return None


def _is_number(value: Any) -> bool:
    """A finite one of a size that arithmetic takes; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e15


def _as_datetime(value: datetime.date) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value
    return datetime.datetime(value.year, value.month, value.day)
