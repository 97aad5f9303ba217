"""A problem tied to data and a model: settings in, values of the objective out.

R rows of the context, M settings, L levers. Each setting is tried in each row: the model is asked M x
R rows at once, in pieces of at most 100,000.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from drivetrain._registry import did_you_mean
from drivetrain._strict import shown
from drivetrain.data.frame import Factor, Frame, Values
from drivetrain.errors import ConfigError, DataError, NonFiniteError, ShapeError
from drivetrain.levers.domain import Domain
from drivetrain.levers.expression import Expression, unknown_classes, unknown_names
from drivetrain.levers.problem import ContextValue, Lever, Problem, Setting
from drivetrain.levers.search import Axis, Judged
from drivetrain.levers.ties import tied_columns
from drivetrain.randomness import derive

Predict: TypeAlias = Callable[[Frame], np.ndarray]
"""Rows of features -> (N,) numbers, or (N, C) probabilities."""

AT_ONCE = 100_000
"""Rows that the model is asked at once."""
DOMAIN_ROWS = 16
"""Rows of the context whose distance to the data is measured for every setting."""


@dataclass(frozen=True)
class Model:
    """What answers, and how sure it is; all are functions of a frame with the data's columns."""

    predict: Predict
    classes: tuple[str, ...] = ()
    """Of the columns of (N, C) probabilities; empty for a number."""
    spread: Predict | None = None
    """(N,) or (N, C) standard deviations of the prediction."""
    members: Predict | None = None
    """(T, N) or (T, N, C): what each of T models says that were trained on other draws of the data."""

    @property
    def knows_doubt(self) -> bool:
        """Whether it says how sure it is."""
        return self.spread is not None or self.members is not None

    def ask(self, frame: Frame) -> np.ndarray:
        """(N,) or (N, C) predictions."""
        return self._checked(self.predict, frame, "predict")

    def ask_doubt(self, frame: Frame) -> np.ndarray | None:
        """(N,) or (N, C) from `spread`, or None."""
        if self.spread is None:
            return None
        found = self._checked(self.spread, frame, "spread")
        return np.maximum(found, 0.0)

    def ask_members(self, frame: Frame) -> np.ndarray:
        """(T, N) or (T, N, C)."""
        assert self.members is not None
        found = np.asarray(self.members(frame), dtype=np.float64)
        if found.ndim not in (2, 3) or found.shape[1] != len(frame) or len(found) < 2:
            raise ShapeError(
                f"`members` gave an array of shape {found.shape} for {len(frame)} rows, expected "
                f"(T, {len(frame)}) with two or more members first."
            )
        _check_finite(found, "members")
        return found

    def _checked(self, function: Predict, frame: Frame, name: str) -> np.ndarray:
        found = np.asarray(function(frame), dtype=np.float64)
        count = len(self.classes)
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        shapes = [(len(frame),)] if name == "spread" or not count else []
        shapes += [(len(frame), count)] if count else []
        if found.shape not in shapes:
            hint = ""
            if found.ndim == 2 and not count:
                hint = " For probabilities give the names of the classes: classes=."
            raise ShapeError(
                f"`{name}` gave an array of shape {found.shape}, expected "
                f"{' or '.join(map(str, shapes))}.{hint}"
            )
        _check_finite(found, name)
        return found


@dataclass(frozen=True)
class Bound:
    """A lever tied to a column of the data, or to none."""

    lever: Lever
    axis: Axis
    words: tuple[str, ...] = ()
    """The choices in the spelling of the column, then what is done today where that is no choice."""
    levels: tuple[str, ...] = ()
    """Of the column, or the words where there is none."""
    is_column: bool = True

    @property
    def name(self) -> str:
        """Of the lever."""
        return self.lever.name

    def knowing(self, word: Setting) -> Bound:
        """The same with a word more that can be tried out, though it is no choice."""
        if not self.words or word in self.words:
            return self
        levels = self.levels if word in self.levels else (*self.levels, str(word))
        return replace(self, words=(*self.words, str(word)), levels=levels)

    def values(self, numbers: np.ndarray) -> Values:
        """(N,) numbers of the search -> a column."""
        if not self.words:
            return numbers
        codes = np.array([self.levels.index(word) for word in self.words], dtype=np.int32)
        return Factor(codes[numbers.astype(np.int64)], self.levels)

    def setting(self, number: float) -> Setting:
        """A number of the search as the lever's value."""
        return self.words[int(number)] if self.words else float(number)

    def number(self, setting: Setting) -> float:
        """The other way; a word has to be among `words`."""
        return float(self.words.index(str(setting))) if self.words else float(setting)


class Simulation:
    """A problem, a model and the rows it is about.

    Args:
        problem: what to decide.
        model: what answers.
        data: the rows that the model was trained on, with its feature columns and no other.
        rows: the rows that the decision is for; None takes those of the data.
        seed: which rows are drawn where there are many.

    Raises: ConfigError: the problem does not fit data or model, with everything that does not.
    """

    def __init__(
        self, problem: Problem, model: Model, data: Frame, rows: Frame | None, *, seed: int = 42
    ) -> None:
        if not len(data):
            raise DataError("The data has no rows. Give the rows that the model was trained on.")
        self.problem = problem
        self.model = model
        self.data = data
        self.seed = seed
        self._constants: dict[str, Values] = {}
        expressions = [problem.objective, *(limit.expression for limit in problem.limits)]
        self.used = frozenset().union(*(expression.names for expression in expressions))
        self.classes = frozenset().union(*(expression.classes for expression in expressions))
        self.needs_model = any(expression.needs_model for expression in expressions)

        mistakes: list[str] = []
        self.bounds = self._bind_levers(mistakes)
        base = data if rows is None else rows
        context = self._bind_context(base, mistakes)
        self._check_names(base, expressions, mistakes)
        self.today = self._find_today(mistakes)
        if mistakes:
            many = "" if len(mistakes) == 1 else f" {len(mistakes)} mistakes."
            raise ConfigError(f"The problem does not fit the data:{many} {' '.join(mistakes)}")
        self.rows = self._rows(base, context)
        self.axes = [bound.axis for bound in self.bounds]
        self.today_setting = np.array([b.number(self.today[b.name]) for b in self.bounds])  # (L,)
        self.domain = Domain.of(data, [bound.name for bound in self.bounds], seed=seed)
        self._near_rows = self._context_distances(DOMAIN_ROWS)
        self._reach: tuple[float, float] | None = None
        self.context_is_foreign = False
        self.notes: list[str] = [
            f"{bound.name!r} is no column of the data: the model does not see it, it only counts in "
            "the objective."
            for bound in self.bounds
            if not bound.is_column
        ]
        self.notes += self._ties(context)

    def _ties(self, context: Mapping[str, Values]) -> list[str]:
        """A sentence for each column that goes with a lever and does not move with it."""
        levers = [bound.name for bound in self.bounds if bound.is_column]
        free = [name for name in self.data.names if name not in levers and name not in context]
        notes = []
        for lever in levers:
            tied = [shown(name) for name, _ in tied_columns(self.data, lever, free)][:5]
            if tied:
                goes, stays, it, levers_too = (
                    ("goes", "stays as it is", "it", "a lever")
                    if len(tied) == 1
                    else ("go", "stay as they are", "them", "levers")
                )
                notes.append(
                    f"{', '.join(tied)} {goes} with the lever {shown(lever)} in the data, and {stays} "
                    "while that is moved, so that rows arise that cannot be. Train without "
                    f"{it}, or make {it} {levers_too} or part of the context."
                )
        return notes

    # --- rows -------------------------------------------------------------------------------------------

    def drawn(self, most: int) -> Frame:
        """At most so many of the rows, the same for the same seed."""
        if len(self.rows) <= most:
            return self.rows
        draw = np.random.default_rng(derive(self.seed, "levers rows"))
        return self.rows.take(np.sort(draw.permutation(len(self.rows))[:most]))

    def _rows(self, base: Frame, context: Mapping[str, Values]) -> Frame:
        """The rows with what the context fixes; one where no column is left to differ."""
        gone = {bound.name for bound in self.bounds} | context.keys()
        free = [n for n in base.names if n not in gone and (n in self.data or n in self.used)]
        rows = base.select(free)
        for name in free:  # the same words as the data has, and those that are new
            mine, known = rows[name], _column_of(name, self.data)
            if (
                isinstance(mine, Factor)
                and isinstance(known, Factor)
                and mine.levels != known.levels
            ):
                new = [word for word in mine.levels if word not in known.levels]
                rows = rows.with_column(name, mine.recoded([*known.levels, *new]))
        if not free and (base is self.data or self.problem.over == "mean"):
            rows = rows.take([0])
        for name, values in context.items():
            rows = rows.with_column(name, values[np.zeros(len(rows), dtype=np.int64)])
        return rows

    # --- what the search asks ---------------------------------------------------------------------------

    def settings_frame(self, settings: np.ndarray) -> Frame:
        """(M, L) settings as columns, those of levers that the data has."""
        columns = {
            bound.name: bound.values(settings[:, j])
            for j, bound in enumerate(self.bounds)
            if bound.is_column
        }
        return Frame(columns, np.arange(len(settings), dtype=np.int64))

    def judge_with(self, rows: Frame) -> Callable[[np.ndarray], Judged]:
        """What the search asks, worked out on these rows."""

        def judge(settings: np.ndarray) -> Judged:
            values, doubt, limits = self.values(settings, rows, doubt=self.problem.caution > 0)
            score = self.problem.sign * values
            if doubt is not None:
                score = score - self.problem.caution * doubt
            rough = self.domain_margins(settings)
            return Judged(
                score,
                np.where(np.isfinite(limits), limits, -1e6),
                np.stack(rough, axis=1) if rough else np.empty((len(settings), 0)),
            )

        return judge

    def values(
        self, settings: np.ndarray, rows: Frame, *, doubt: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """(M, L) settings -> (M,) objective, (M,) its doubt or None, (M, Q) margins of the limits."""
        at_once = max(1, AT_ONCE // len(rows))
        parts = [
            self._values(settings[start : start + at_once], rows, doubt)
            for start in range(0, len(settings), at_once)
        ]
        values, doubts, limits = zip(*parts, strict=True)
        return (
            np.concatenate(values),
            np.concatenate(doubts) if doubt and self.model.knows_doubt else None,
            np.concatenate(limits),
        )

    def _values(
        self, settings: np.ndarray, rows: Frame, doubt: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frame = self.crossed(settings, rows)
        predicted = self.model.ask(self.features(frame)) if self.needs_model else None
        over = self._over
        value = over(self.worked_out(self.problem.objective, frame, predicted), len(settings))
        limits = [
            margin
            for limit in self.problem.limits
            for margin in limit.margins(
                over(self.worked_out(limit.expression, frame, predicted), len(settings))
            )
        ]
        stacked = np.stack(limits, axis=1) if limits else np.empty((len(settings), 0))
        found = np.zeros(len(settings))
        if doubt and self.model.knows_doubt and predicted is not None:
            found = self._doubt(frame, predicted, len(settings))
        return value, found, stacked

    def limit_values(self, setting: np.ndarray, rows: Frame) -> list[float]:
        """The value of each limit's expression for one setting (L,)."""
        frame = self.crossed(setting[None, :], rows)
        predicted = self.model.ask(self.features(frame)) if self.needs_model else None
        return [
            float(self._over(self.worked_out(limit.expression, frame, predicted), 1)[0])
            for limit in self.problem.limits
        ]

    def member_values(self, settings: np.ndarray, rows: Frame) -> np.ndarray:
        """(T, M) the objective as each member of the model sees it."""
        frame = self.crossed(settings, rows)
        members = self.model.ask_members(self.features(frame))
        return np.stack([
            self._over(self.worked_out(self.problem.objective, frame, one), len(settings))
            for one in members
        ])  # fmt: skip

    def _doubt(self, frame: Frame, predicted: np.ndarray, count: int) -> np.ndarray:
        """(M,) standard deviation of the objective, as if the model erred alike in all rows."""
        objective = self.problem.objective
        if self.model.members is not None:
            members = self.model.ask_members(self.features(frame))
            values = [self._over(self.worked_out(objective, frame, one), count) for one in members]
            return np.std(np.stack(values), axis=0, ddof=1)
        spread = self.model.ask_doubt(self.features(frame))
        assert spread is not None
        total = np.zeros(count)
        for place in [None] if predicted.ndim == 1 else self._class_places():
            high, low = (
                self._over(
                    self.worked_out(objective, frame, _moved(predicted, spread, sign, place)), count
                )
                for sign in (1.0, -1.0)
            )
            total += ((high - low) / 2) ** 2
        return np.sqrt(total)

    def _class_places(self) -> list[int]:
        return [self.model.classes.index(name) for name in sorted(self.problem.objective.classes)]

    # --- the parts of a value ---------------------------------------------------------------------------

    def crossed(self, settings: np.ndarray, rows: Frame) -> Frame:
        """(M, L) settings in R rows: M x R rows, all rows of the first setting first."""
        frame = rows.repeat(len(settings))
        for j, bound in enumerate(self.bounds):
            frame = frame.with_column(
                bound.name, bound.values(np.repeat(settings[:, j], len(rows)))
            )
        return frame

    def features(self, frame: Frame) -> Frame:
        """What the model is shown: the columns of the data, in their order."""
        return frame.select(self.data.names)

    def worked_out(
        self, expression: Expression, frame: Frame, predicted: np.ndarray | None
    ) -> np.ndarray:
        """(N,) the value of an expression in each row."""
        columns = {name: self._column(name, frame) for name in expression.names}
        probability = {}
        if predicted is not None and predicted.ndim == 2:
            places = {name: j for j, name in enumerate(self.model.classes)}
            probability = {name: predicted[:, places[name]] for name in expression.classes}
        value = expression.evaluate(
            columns,
            prediction=predicted if predicted is not None and predicted.ndim == 1 else None,
            probability=probability,
        )
        return np.broadcast_to(value, (len(frame),))

    def _column(self, name: str, frame: Frame) -> Values:
        if name in frame:
            return frame[name]
        return self._constants[name][np.zeros(len(frame), dtype=np.int64)]

    def _over(self, values: np.ndarray, count: int) -> np.ndarray:
        """(M x R,) -> (M,): mean or sum over the rows."""
        table = values.reshape(count, -1)
        return table.mean(axis=1) if self.problem.over == "mean" else table.sum(axis=1)

    # --- the domain -------------------------------------------------------------------------------------

    def _context_distances(self, most: int) -> np.ndarray:
        return self.domain.from_context(self.drawn(most))

    def row_distances(self, settings: np.ndarray, most: int = DOMAIN_ROWS) -> np.ndarray:
        """(M, R) distances of whole rows with the levers so set, for at most so many rows."""
        near = self._near_rows if most == DOMAIN_ROWS else self._context_distances(most)
        return self.domain.row_distances(self.settings_frame(settings), near)

    def keep_to_data(self, known: np.ndarray) -> None:
        """Settle how far from the data settings may lie, where the problem asks to stay within it.

        A context that is itself unusual takes all settings away from the data. Then what counts is how
        much farther a setting takes it than those do that the data holds.

        Args:
            known: (S, L) settings that the data holds; none leaves the bounds at those of the data.
        """
        if self.problem.stay_within is None:
            return
        for_levers, for_rows = self.domain.bound(self.problem.stay_within)
        if len(known):
            nearest = float(self.row_distances(known).mean(axis=1).min())
            _, usual = self.domain.bound(0.5)
            self.context_is_foreign = nearest > for_rows
            for_rows = max(for_rows, nearest + max(for_rows - usual, 0.0))
        self._reach = for_levers, for_rows

    def domain_margins(self, settings: np.ndarray) -> list[np.ndarray]:
        """How far inside the data: (M,) for the levers, (M,) for whole rows; none without a bound."""
        if self._reach is None:
            return []
        for_levers, for_rows = self._reach
        return [
            for_levers - self.domain.lever_distance(self.settings_frame(settings)) + 1e-12,
            for_rows - self.row_distances(settings).mean(axis=1) + 1e-12,
        ]

    # --- checks -----------------------------------------------------------------------------------------

    def _bind_levers(self, mistakes: list[str]) -> list[Bound]:
        found = []
        for lever in self.problem.levers:
            where = f"The lever {shown(lever.name)}"
            if lever.name not in self.data:
                if lever.name not in self.used:
                    near = did_you_mean(lever.name, self.data.names)
                    mistakes.append(
                        f"{where} is no column of the data and is in no expression.{near}"
                    )
                    continue
                words = tuple(str(c) for c in lever.choices) if lever.holds_words else ()
                found.append(Bound(lever, _axis(lever, words), words, words, is_column=False))
                continue
            values = self.data[lever.name]
            if isinstance(values, Factor):
                words = _words_of(lever, values, where, mistakes)
                found.append(Bound(lever, _axis(lever, words), words, values.levels))
            elif values.dtype.kind == "M":
                mistakes.append(f"{where} is a column of dates, which cannot be a lever.")
            elif lever.holds_words:
                mistakes.append(f"{where} has words as choices, and the column holds numbers.")
            else:
                found.append(Bound(lever, _axis(lever, ())))
        return found

    def _bind_context(self, base: Frame, mistakes: list[str]) -> dict[str, Values]:
        """name -> one value, of the columns that the context fixes; the rest becomes constants."""
        fixed: dict[str, Values] = {}
        for name, value in self.problem.context.items():
            column = _column_of(name, self.data, base)
            if column is None and name not in self.used:
                near = did_you_mean(name, [*self.data.names, *self.used])
                mistakes.append(
                    f"[context] {shown(name)} is no column of the data and is in no expression.{near}"
                )
            elif column is None:
                self._constants[name] = _one(value)
            else:
                found = _one_like(column, value)
                if isinstance(found, str):
                    mistakes.append(f"[context] {shown(name)} {found}")
                else:
                    fixed[name] = found
        levers = {lever.name for lever in self.problem.levers}
        asked = [name for name in self.data.names if name not in fixed and name not in levers]
        absent = [name for name in asked if name not in base]
        others = [
            name for name in asked if name in base and _kind(base[name]) != _kind(self.data[name])
        ]
        if absent:
            mistakes.append(
                f"The rows have no {', '.join(map(shown, absent[:10]))}, which the model needs. Add the "
                "columns, or one value for each to [context]."
            )
        mistakes += [
            f"The rows' column {shown(name)} holds {_kind(base[name])}, and that of the data "
            f"{_kind(self.data[name])}."
            for name in others
        ]
        return fixed

    def _check_names(
        self, base: Frame, expressions: Sequence[Expression], mistakes: list[str]
    ) -> None:
        levers = [lever.name for lever in self.problem.levers]
        known = [*levers, *self.problem.context, *self.data.names, *base.names]
        for expression in dict.fromkeys(expressions):
            mistakes += unknown_names(expression, known)
            mistakes += unknown_classes(expression, self.model.classes)
            if expression.uses_prediction and self.model.classes:
                mistakes.append(
                    f"The expression {shown(expression.text)} asks for `prediction`, and the model gives "
                    f"probabilities. Write probability.{self.model.classes[-1]}, or of another of: "
                    f"{', '.join(self.model.classes)}."
                )

    def _find_today(self, mistakes: list[str]) -> dict[str, Setting]:
        """Today's settings: as given, else the data's median or most frequent word."""
        found: dict[str, Setting] = {}
        for place, bound in enumerate(self.bounds):
            given = self.problem.today.get(bound.name)
            if given is None and not bound.is_column:
                mistakes.append(
                    f"[today] has to say what {shown(bound.name)} is now: it is no column of the data."
                )
                continue
            if given is None:
                given = typical(self.data[bound.name], bound.name)
            elif bound.words and bound.is_column and (word := _word_like(given, bound.levels)):
                given = word
            elif bound.words and bound.is_column:
                near = did_you_mean(str(given), bound.levels)
                mistakes.append(
                    f"[today] {shown(bound.name)} is {shown(given)}, which the data never has.{near}"
                )
                continue
            found[bound.name] = given
            self.bounds[place] = bound.knowing(given)
        return found


def typical(values: Values, name: str) -> Setting:
    """The median, as a value that occurs; of words the most frequent, the first of equals.

    Raises: DataError: all are missing.
    """
    if isinstance(values, Factor):
        counts = np.bincount(values.codes[values.codes >= 0], minlength=len(values.levels))
        if counts.sum():
            return values.levels[int(np.argmax(counts))]
    else:
        numbers = values[~np.isnan(values)]
        if len(numbers):
            return float(np.quantile(numbers, 0.5, method="inverted_cdf"))
    raise DataError(f"The column {name!r} of the data is empty. Say in [today] what it is now.")


def _column_of(name: str, *frames: Frame) -> Values | None:
    """The column of the first of these frames that has it."""
    return next((frame[name] for frame in frames if name in frame), None)


def _moved(predicted: np.ndarray, spread: np.ndarray, sign: float, place: int | None) -> np.ndarray:
    """Predictions, one standard deviation up or down; a probability stays in [0, 1]."""
    if place is None:
        return predicted + sign * spread
    moved = predicted.copy()
    by = spread if spread.ndim == 1 else spread[:, place]
    moved[:, place] = np.clip(moved[:, place] + sign * by, 0.0, 1.0)
    return moved


def _axis(lever: Lever, words: tuple[str, ...]) -> Axis:
    if words:
        grid = np.arange(len(words), dtype=np.float64)
        return Axis(0.0, float(len(words) - 1), grid, ordered=False)
    grid = lever.grid
    if grid is None:
        return Axis(lever.low, lever.high)
    return Axis(float(grid[0]), float(grid[-1]), grid)


def _words_of(lever: Lever, values: Factor, where: str, mistakes: list[str]) -> tuple[str, ...]:
    """The choices in the column's spelling: 2 is the word '2' or '2.0'."""
    if not lever.choices:
        mistakes.append(
            f"{where} has bounds, and the column holds words. Give choices, of: "
            f"{', '.join(values.levels[:10])}."
        )
        return ()
    found = {choice: _word_like(choice, values.levels) for choice in lever.choices}
    for choice, word in found.items():
        if word is None:
            near = did_you_mean(str(choice), values.levels)
            mistakes.append(
                f"{where} has the choice {shown(choice)}, which the data never has, so the model knows "
                f"nothing of it.{near}"
            )
    return tuple(word for word in found.values() if word is not None)


def _word_like(value: Setting, levels: Sequence[str]) -> str | None:
    """The level that is this word, or is written as this number; None where there is none."""
    if isinstance(value, str):
        return value if value in levels else None
    return next((level for level in levels if _as_number(level) == value), None)


def _as_number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _kind(values: Values) -> str:
    if isinstance(values, Factor):
        return "words"
    return "numbers" if values.dtype.kind == "f" else "dates"


def _one(value: ContextValue) -> Values:
    """A column of one value."""
    if isinstance(value, str):
        return Factor(np.zeros(1, dtype=np.int32), (value,))
    if isinstance(value, datetime.datetime):
        return np.array([value], dtype="datetime64[us]")
    return np.array([value], dtype=np.float64)


def _one_like(column: Values, value: ContextValue) -> Values | str:
    """One value of the column's kind, or why it is none."""
    if isinstance(column, Factor):
        if isinstance(value, datetime.datetime):
            return "is a date, and the column holds words."
        word = _word_like(value, column.levels)
        if word is None:
            near = did_you_mean(str(value), column.levels)
            return f"is {shown(value)}, which the data never has.{near}"
        return Factor(np.array([column.levels.index(word)], dtype=np.int32), column.levels)
    if column.dtype.kind == "M":
        if isinstance(value, datetime.datetime):
            return np.array([value], dtype="datetime64[us]")
        return "has to be a date, such as 2026-01-31: the column holds dates."
    if isinstance(value, str | datetime.datetime):
        return f"is {shown(value)}, and the column holds numbers."
    return np.array([value], dtype=np.float64)


def _check_finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise NonFiniteError(
            f"`{name}` gave {count:,} values that are NaN or infinite. A decision needs a number for "
            "every setting within the bounds: look at what the model does there."
        )
