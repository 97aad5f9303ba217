"""From a problem and a fitted model to a decision.

    problem = Problem.from_dict({
        "objective": {"maximise": "(price - cost) * prediction"},
        "levers": {"price": {"low": 1, "high": 20}},
        "context": {"cost": 3},
    })
    decision = optimise(problem, model.predict_frame, model.train_frame(), spread=model.spread)
    print(decision)

The rows that a decision is for are searched with a few drawn from them, then with more, and the
numbers that are told come from all (at most 20,000). For the same arguments the decision is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivetrain._strict import shown
from drivetrain.data.frame import Factor, Frame
from drivetrain.errors import ConfigError, NonFiniteError
from drivetrain.levers.decision import Beyond, Curve, Decision, LeverRange, Reach, listed
from drivetrain.levers.domain import place_of
from drivetrain.levers.gain import Gain, gain_of
from drivetrain.levers.measure import what_to_measure
from drivetrain.levers.problem import Problem, Setting
from drivetrain.levers.ranges import Range, equal_score, nearest_to_data, ranges, scan
from drivetrain.levers.rows import read_rows
from drivetrain.levers.search import Archive, Judge, polish, refine, search
from drivetrain.levers.simulate import Bound, Model, Predict, Simulation

SEARCH_ROWS = 32
REFINE_ROWS = 256
POLISH_ROWS = 5_000
ALL_ROWS = 20_000
_STARTS = 256
_NEARLY = 0.05


def optimise(
    problem: Problem,
    predict: Predict,
    data: Frame,
    *,
    rows: Frame | None = None,
    classes: Sequence[str] = (),
    spread: Predict | None = None,
    members: Predict | None = None,
    residuals: Sequence[float] | np.ndarray | None = None,
    seed: int = 42,
) -> Decision:
    """The settings of the levers with which the objective is best, within bounds, limits and data.

    Args:
        problem: objective, levers, context; see `Problem`.
        predict: the fitted model: a frame with the columns of `data` -> (N,) numbers, or (N, C)
            probabilities.
        data: the rows that the model was trained on, with its feature columns and no other.
        rows: the rows that the decision is for, in place of the file that the problem names; by default
            the data's own. Columns that the context fixes need not be there, nor do levers.
        classes: the names of the C probabilities; empty where the model predicts a number.
        spread: a frame -> (N,) or (N, C) standard deviations of the prediction: the model's doubt.
        members: a frame -> (T, N) or (T, N, C) predictions of T models that learnt from other draws of
            the data, such as the trees of a forest or a bootstrap; used in place of `spread`.
        residuals: (V,) outcome - prediction on validation rows, for a model of a number.
        seed: what is drawn depends on it alone.

    Raises: ConfigError: the problem does not fit data and model, or nothing within its bounds is allowed.
        DataError: rows or data cannot be used. ShapeError, NonFiniteError: the model's answers cannot.
    """
    model = Model(predict, tuple(classes), spread, members)
    if problem.caution > 0 and not model.knows_doubt:
        raise ConfigError(
            f"`caution` is {problem.caution:g}, and the model does not say how sure it is. Give "
            "spread= or members=, or leave `caution` out."
        )
    if rows is None and problem.rows is not None:
        rows = read_rows(problem.rows, like=data)
    simulation = Simulation(problem, model, data, rows, seed=seed)
    starts = _starts(simulation)
    simulation.keep_to_data(starts)
    axes = simulation.axes

    few, more = simulation.drawn(SEARCH_ROWS), simulation.drawn(REFINE_ROWS)
    archive = search(axes, simulation.judge_with(few), starts=starts, seed=seed)
    tried = len(archive)
    judge = simulation.judge_with(more)
    if len(more) > len(few):
        wider = Archive(judge)
        wider(_best(archive, 64))
        if tried > 64 or any(axis.grid is None for axis in axes):
            refine(axes, wider, step=0.05, seed=seed)
    else:
        wider = archive
    best, score, violation = wider.best()
    if violation > 0:
        raise _nothing_allowed(simulation, wider, best)
    best, equal = nearest_to_data(simulation, wider, judge, best, score, equal_score(wider))
    everything, many = simulation.drawn(ALL_ROWS), simulation.drawn(POLISH_ROWS)
    if len(many) > len(more):
        last = Archive(simulation.judge_with(many))
        last(best[None, :])
        polish(axes, last, best)
        best, _, violation = last.best()
        score = float(judge(best[None, :]).score[0])

    gain = gain_of(simulation, best, everything, residuals=residuals)
    notes = list(simulation.notes)
    if len(simulation.rows) > len(many):
        notes.append(
            f"The settings were found with {len(many):,} rows drawn from the {len(simulation.rows):,}; "
            f"the numbers are of {len(everything):,}."
        )
    settings = _settings(simulation.bounds, best)
    candidates, values = _within_limits(simulation, archive, few)
    return Decision(
        problem=problem,
        settings=settings,
        today=simulation.today,
        gain=gain,
        places=tuple(place_of(data, name, value) for name, value in settings.items()),
        reach=_reach(simulation, best),
        equal=tuple(_told(simulation.bounds, equal, only_wide=True)),
        nearly=tuple(_nearly(simulation, judge, best, score, gain, more)),
        limits=tuple(zip(problem.limits, simulation.limit_values(best, everything), strict=True)),
        beyond=_beyond(simulation, candidates, values, best, gain, more),
        measure=what_to_measure(simulation, candidates, values, best, few),
        curves=tuple(_curves(simulation, best, more)),
        tried=tried,
        notes=tuple(notes),
    )


def _starts(simulation: Simulation) -> np.ndarray:
    """(S, L) settings that the data itself holds, and today's, as far as they are within the bounds."""
    columns = []
    for j, bound in enumerate(simulation.bounds):
        if not bound.is_column:
            columns.append(np.full(len(simulation.data), simulation.today_setting[j]))
            continue
        values = simulation.data[bound.name]
        if isinstance(values, Factor):
            choices = bound.words[: len(bound.axis.grid if bound.axis.grid is not None else ())]
            codes = values.recoded(choices).codes
            columns.append(np.where(codes < 0, np.nan, codes))
        else:
            near, grid = bound.axis.nearest(values), bound.axis.grid
            step = float(np.diff(grid).max()) if grid is not None and len(grid) > 1 else 0.0
            columns.append(np.where(np.abs(near - values) <= step / 2, near, np.nan))
    settings = np.concatenate([simulation.today_setting[None, :], np.stack(columns, axis=1)])
    inside = ~np.isnan(settings).any(axis=1)
    for j, axis in enumerate(simulation.axes):
        inside &= (settings[:, j] >= axis.low) & (settings[:, j] <= axis.high)
        if axis.grid is not None:
            inside &= np.isin(settings[:, j], axis.grid)
    settings = np.unique(settings[inside], axis=0)
    if len(settings) > _STARTS:
        settings = settings[np.linspace(0, len(settings) - 1, _STARTS).astype(np.int64)]
    return settings


def _best(archive: Archive, most: int) -> np.ndarray:
    """(M, L) the best settings of an archive, those that are allowed first."""
    settings, scores, violations = archive.all()
    order = np.lexsort((-np.where(np.isfinite(scores), scores, -np.inf), violations))
    _, first = np.unique(settings[order], axis=0, return_index=True)
    return settings[order[np.sort(first)[:most]]]


def _nothing_allowed(simulation: Simulation, archive: Archive, best: np.ndarray) -> Exception:
    problem = simulation.problem
    _, scores, _ = archive.all()
    if not np.isfinite(scores).any():
        return NonFiniteError(
            f"The objective {shown(problem.objective.text)} is not a finite number for any setting "
            "that was tried. Look for a division by 0, or a log or root of what is below 0."
        )
    judged = archive.judge(best[None, :])
    margins = [*judged.margins[0], *judged.rough[0]]
    names = [
        f"the limit {shown(limit.expression.text)} "
        f"{'at least' if sign > 0 else 'at most'} {bound:g}"
        for limit in problem.limits
        for bound, sign in ((limit.at_least, 1), (limit.at_most, -1))
        if bound is not None
    ]
    if problem.stay_within is not None:
        names.append(f"stay_within = {problem.stay_within:g}: the levers stay in the data")
        names.append(f"stay_within = {problem.stay_within:g}: whole rows stay in the data")
    broken = [name for name, margin in zip(names, margins, strict=False) if margin < 0]
    places = "; ".join(
        f"{shown(place.lever)} is {place.smallest:g} to {place.largest:g} in the data"
        for place in (
            place_of(simulation.data, b.name, 0.0) for b in simulation.bounds if not b.words
        )
        if place.is_column
    )
    return ConfigError(
        f"No settings within the bounds keep all limits. What is broken by the nearest, "
        f"{listed(_settings(simulation.bounds, best))}: "
        f"{'; '.join(broken) or 'the objective is no number'}. {places + '. ' if places else ''}Widen "
        "the bounds of the levers, loosen the limits, or set stay_within = false to leave the data."
    )


def _within_limits(
    simulation: Simulation, archive: Archive, rows: Frame
) -> tuple[np.ndarray, np.ndarray]:
    """Settings of an archive that keep the limits, in the data or not: (M, L), and (M,) the objective."""
    settings, scores, _ = archive.all()
    settings = np.unique(settings[np.isfinite(scores)], axis=0)
    if len(settings) > 2048:
        settings = settings[np.linspace(0, len(settings) - 1, 2048).astype(np.int64)]
    values, _, margins = simulation.values(settings, rows)
    keeps = np.isfinite(values) & (margins >= 0).all(axis=1)
    return settings[keeps], values[keeps]


def _beyond(
    simulation: Simulation,
    candidates: np.ndarray,
    values: np.ndarray,
    best: np.ndarray,
    gain: Gain,
    rows: Frame,
) -> Beyond | None:
    """The best of the settings outside the data, where more is promised than inside."""
    if simulation.problem.stay_within is None or not len(candidates):
        return None
    sign = simulation.problem.sign
    order = np.argsort(-sign * values, kind="stable")[:256]
    outside = np.any(np.stack(simulation.domain_margins(candidates[order]), axis=1) < 0, axis=1)
    if not outside.any():
        return None
    setting = candidates[order[int(np.argmax(outside))]]
    both, _, _ = simulation.values(np.stack([setting, best]), rows)
    if sign * (both[0] - both[1]) <= 0.01 * max(abs(gain.gain), abs(float(both[1])) * 1e-6):
        return None
    return Beyond(_settings(simulation.bounds, setting), float(both[0]))


def _reach(simulation: Simulation, best: np.ndarray) -> Reach:
    domain, setting = simulation.domain, best[None, :]
    rows = simulation.row_distances(setting, REFINE_ROWS)[0]
    _, usual = domain.bound(0.95)
    levers = domain.lever_distance(simulation.settings_frame(setting))
    return Reach(
        lever_share=float(domain.lever_share(levers)[0]),
        row_share=float(domain.row_share(rows.mean())),
        outside_share=float((rows > usual + 1e-12).mean()),
        context_is_foreign=simulation.context_is_foreign,
        stay_within=simulation.problem.stay_within,
    )


def _nearly(
    simulation: Simulation, judge: Judge, best: np.ndarray, score: float, gain: Gain, rows: Frame
) -> list[LeverRange]:
    """What costs at most a twentieth of the gain, of levers of which more than one setting does."""
    if gain.gain <= 0:
        return []
    both, _, _ = simulation.values(np.stack([best, simulation.today_setting]), rows)
    ahead = simulation.problem.sign * float(both[0] - both[1])
    if ahead <= 0:
        return []
    found = ranges(simulation.axes, judge, best, score - _NEARLY * ahead)
    return _told(simulation.bounds, found, only_wide=False)


def _curves(simulation: Simulation, best: np.ndarray, rows: Frame) -> list[Curve]:
    found = []
    for j, (bound, axis) in enumerate(zip(simulation.bounds, simulation.axes, strict=True)):
        numbers = scan(axis, best[j])
        settings = np.repeat(best[None, :], len(numbers), axis=0)
        settings[:, j] = numbers
        values, doubt, limits = simulation.values(settings, rows, doubt=True)
        margins = simulation.domain_margins(settings)
        inside = np.all(np.stack(margins) >= 0, axis=0) if margins else np.ones(len(numbers), bool)
        found.append(
            Curve(
                lever=bound.name,
                settings=tuple(bound.setting(each) for each in numbers),
                values=values,
                doubt=doubt,
                is_inside=inside,
                is_allowed=np.asarray((limits >= 0).all(axis=1)),
            )
        )
    return found


def _told(bounds: Sequence[Bound], found: Sequence[Range], *, only_wide: bool) -> list[LeverRange]:
    told = []
    for bound, each in zip(bounds, found, strict=True):
        if only_wide and not each.is_wide(bound.axis):
            continue
        values = () if each.values is None else tuple(bound.setting(v) for v in each.values)
        told.append(LeverRange(bound.name, each.low, each.high, values))
    return told


def _settings(bounds: Sequence[Bound], numbers: np.ndarray) -> dict[str, Setting]:
    return {bound.name: bound.setting(numbers[j]) for j, bound in enumerate(bounds)}
