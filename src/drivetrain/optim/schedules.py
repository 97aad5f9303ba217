"""Schedules: how a hyperparameter moves while training moves from its start (0) to its end (1).

A schedule is a pure function of progress in [0, 1], both ends included. It knows neither the
optimizer nor the number of steps, so it can be plotted, tested and called by any loop:

    for step, batch in enumerate(batches):
        factor = one_cycle(step / num_steps)
        for group in optimizer.param_groups:
            group["lr"] = factor * group["max_lr"]

The loop calls one per step, so they are plain Python on floats (a microsecond or two). Where a
schedule turns or jumps, the turn itself belongs to what comes after it.

A schedule with its options is a *record*, `{"name": "cosine", "end": 0.1}`: JSON, which is how a
journal keeps it and how `warmup` and `piecewise` name the schedules they are made of.

Papers: Smith & Topin 2017, arXiv:1708.07120 (1cycle); its triangle became two half cosines, as in
fastai. Loshchilov & Hutter 2016, arXiv:1608.03983 (cosine, SGDR). Goyal et al. 2017,
arXiv:1706.02677, sec. 2.2 (warmup). Twin: drivetrain.reference.schedules.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

from drivetrain._registry import did_you_mean, lookup
from drivetrain.errors import ConfigError, InputError

Record: TypeAlias = Mapping[str, Any]
"""A schedule as JSON: its `name` and its options."""

PER_GROUP = "per_group"
"""Name of the record that holds one schedule a layer group, under `schedules`."""

ROUNDING = 1e-9
"""Progress this close below a turn that had to be computed counts as at the turn."""


def constant(progress: float, *, value: float = 1.0) -> float:
    """The same `value` from start to end.

    Args:
        progress: share of training done, in [0, 1].
        value: at every moment.
    """
    _check_progress("constant", progress)
    return float(value)


def linear(progress: float, *, start: float = 1.0, end: float = 0.0) -> float:
    """A straight line from `start` to `end`.

    Args:
        progress: share of training done, in [0, 1].
        start: value at 0.
        end: value at 1.
    """
    _check_progress("linear", progress)
    return start * (1.0 - progress) + end * progress


def cosine(progress: float, *, start: float = 1.0, end: float = 0.0) -> float:
    """Half a cosine from `start` to `end`: flat at both ends, steepest in the middle.

    Paper: Loshchilov & Hutter 2016, arXiv:1608.03983, without the restarts.

    Args:
        progress: share of training done, in [0, 1].
        start: value at 0.
        end: value at 1.

    >>> cosine(0.0), cosine(0.5), cosine(1.0)
    (1.0, 0.5, 0.0)
    """
    _check_progress("cosine", progress)
    return _half_cosine(progress, start, end)


def exponential(progress: float, *, start: float, end: float) -> float:
    """Equal ratios in equal time, from `start` to `end`: what a learning rate finder sweeps with.

    Args:
        progress: share of training done, in [0, 1].
        start: value at 0, above zero.
        end: value at 1, above zero.

    Raises: ConfigError: `start` or `end` is not above zero, so no ratio joins them.
    """
    _check_progress("exponential", progress)
    if start <= 0 or end <= 0:
        raise ConfigError(
            f"`exponential` needs `start` and `end` above 0, got start={start} and end={end}. "
            "Use `linear` or `cosine` to reach zero."
        )
    return start ** (1.0 - progress) * end**progress


def polynomial(
    progress: float, *, start: float = 1.0, end: float = 0.0, power: float = 1.0
) -> float:
    """From `start` to `end` as what is left of training to the `power`; torch's PolynomialLR.

    Power 1 is a straight line; above it the fall is steep first and flat at the end, below it the
    other way round (semantic segmentation uses 0.9).

    Args:
        progress: share of training done, in [0, 1].
        start: value at 0.
        end: value at 1.
        power: above zero.

    Raises: ConfigError: `power` is not above zero.
    """
    _check_progress("polynomial", progress)
    if power <= 0:
        raise ConfigError(f"`polynomial` needs `power` above 0, got {power}.")
    weight = (1.0 - progress) ** power
    return start * weight + end * (1.0 - weight)


def flat_cosine(progress: float, *, pct_start: float = 0.75, div_final: float = 1e5) -> float:
    """The full rate for the first `pct_start` of training, then half a cosine to 1/`div_final`.

    What suits optimizers that find their own pace at the start, such as RAdam and Ranger; fastai's
    `fit_flat_cos`.

    Args:
        progress: share of training done, in [0, 1].
        pct_start: share that is flat.
        div_final: by which the last rate is smaller.

    >>> flat_cosine(0.0), flat_cosine(0.75), flat_cosine(1.0)
    (1.0, 1.0, 1e-05)
    """
    _check_progress("flat_cosine", progress)
    if div_final <= 0:
        raise ConfigError(
            "`flat_cosine` divides the highest rate by `div_final`, so it must be above 0, "
            f"got {div_final}."
        )
    return _two_cosines("flat_cosine", progress, pct_start, 1.0, 1.0, 1 / div_final)


def sgdr(
    progress: float,
    *,
    num_cycles: int = 3,
    mult: float = 2.0,
    start: float = 1.0,
    end: float = 0.0,
) -> float:
    """Half cosines from `start` to `end`, one after the other: cosine with warm restarts.

    Each cycle is `mult` times as long as the one before, and the last one ends with training, so
    that training ends on a low rate: the first takes (`mult` - 1) / (`mult`^`num_cycles` - 1) of it,
    a seventh by default. Train a multiple of 7 epochs and each restart is at the start of an epoch.
    Paper: Loshchilov & Hutter 2016, arXiv:1608.03983, sec. 3; torch's CosineAnnealingWarmRestarts.

    Args:
        progress: share of training done, in [0, 1].
        num_cycles: whole number of cycles, at least 1.
        mult: length of a cycle in lengths of the one before, at least 1.
        start: value at the start of each cycle.
        end: value that each cycle falls to, and reaches at the end of the last.
    Raises: ConfigError: `num_cycles` or `mult` is out of range.

    >>> [round(sgdr(step / 7), 3) for step in range(8)]
    [1.0, 1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    _check_progress("sgdr", progress)
    if not (num_cycles >= 1 and mult >= 1) or num_cycles != int(num_cycles):
        raise ConfigError(
            "`sgdr` needs a whole number of cycles from 1 up and `mult` from 1 up, "
            f"got num_cycles={num_cycles} and mult={mult}."
        )
    total = num_cycles if mult == 1 else (mult**num_cycles - 1) / (mult - 1)  # in first cycles
    position, length = progress * total, 1.0
    for _ in range(int(num_cycles) - 1):
        if position < length - ROUNDING:
            break
        position -= length
        length *= mult
    return _half_cosine(min(max(position / length, 0.0), 1.0), start, end)


def step_decay(progress: float, *, num_drops: int = 2, gamma: float = 0.1) -> float:
    """A staircase: `num_drops` times, in equal time, the rate is multiplied by `gamma`.

    Torch's StepLR, with the number of drops in place of the steps between them.

    Args:
        progress: share of training done, in [0, 1].
        num_drops: steps down, 1 or more.
        gamma: what a step multiplies by.

    Raises: ConfigError: `num_drops` is not a whole number from 1 up, or `gamma` is not above zero.

    >>> step_decay(0.3), step_decay(0.5), step_decay(1.0) == 0.1**2
    (1.0, 0.1, True)
    """
    _check_progress("step_decay", progress)
    if not (num_drops >= 1 and gamma > 0) or num_drops != int(num_drops):
        raise ConfigError(
            "`step_decay` needs a whole number of drops from 1 up and `gamma` above 0, "
            f"got num_drops={num_drops} and gamma={gamma}."
        )
    drops = min(int(progress * (num_drops + 1) + ROUNDING), int(num_drops))
    return float(gamma) ** drops


def multi_step(
    progress: float, *, milestones: Sequence[float] = (0.5, 0.75), gamma: float = 0.1
) -> float:
    """A staircase: at each of `milestones` the rate is multiplied by `gamma`; torch's MultiStepLR.

    The defaults are those of He et al. 2015, arXiv:1512.03385, sec. 4.2.

    Args:
        progress: share of training done, in [0, 1].
        milestones: shares of training, rising, each above 0 and below 1.
        gamma: above 0.
    Raises: ConfigError: an option is out of range.
    """
    _check_progress("multi_step", progress)
    if gamma <= 0:
        raise ConfigError(f"`multi_step` needs `gamma` above 0, got {gamma}.")
    drops, before = 0, 0.0
    for milestone in milestones:
        if not before < milestone < 1:
            raise ConfigError(
                "`multi_step` needs `milestones` that are shares of training: rising, above 0 and "
                f"below 1, got {list(milestones)}."
            )
        drops += progress >= milestone
        before = milestone
    return float(gamma) ** drops


def warmup(
    progress: float, *, pct_start: float = 0.1, start: float = 0.0, then: str | Record = "cosine"
) -> float:
    """A straight line up in the first `pct_start` of training, then another schedule in the rest.

    Paper: Goyal et al. 2017, arXiv:1706.02677, sec. 2.2. Transformers train under it with "linear"
    or "cosine".

    Args:
        progress: share of training done, in [0, 1].
        pct_start: share of training spent going up, above 0 and below 1.
        start: where the line starts, as a share of the first value of `then`, where it ends.
        then: name of the schedule that follows, or its record; its own progress is that of the rest.
    Raises: ConfigError: `pct_start` is out of range. UnknownNameError: no such schedule.

    >>> warmup(0.05), warmup(0.1), warmup(0.55, then={"name": "linear", "end": 0.5})
    (0.5, 1.0, 0.75)
    """
    _check_progress("warmup", progress)
    _check_pct_start("warmup", pct_start)
    function, options = _opened(then)
    if progress < pct_start:
        peak = function(0.0, **options)
        return linear(progress / pct_start, start=start * peak, end=peak)
    return function((progress - pct_start) / (1 - pct_start), **options)


def piecewise(progress: float, *, pieces: Sequence[Record]) -> float:
    """Schedules one after the other, each over its share of training.

    Args:
        progress: share of training done, in [0, 1].
        pieces: records with a `share` each, above 0 and 1 together. A piece may be any schedule,
            `warmup` and `piecewise` among them; its own progress is that of its share. `schedule`
            checks them; a direct call does not.

    >>> up = {"share": 0.2, "name": "linear", "start": 0.0, "end": 1.0}
    >>> flat = {"share": 0.3, "name": "constant"}
    >>> down = {"share": 0.5, "name": "cosine"}
    >>> [piecewise(t, pieces=[up, flat, down]) for t in (0.0, 0.1, 0.4, 0.75, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    _check_progress("piecewise", progress)
    begin = 0.0
    for piece in pieces[:-1]:
        end = begin + piece["share"]
        if progress < end - ROUNDING:
            break
        begin = end
    else:
        piece, end = pieces[-1], 1.0
    function, options = _opened(piece)
    # Shares that add up, as 0.1 + 0.2 does, may miss the turn by a rounding.
    return function(min(max((progress - begin) / (end - begin), 0.0), 1.0), **options)


def one_cycle(
    progress: float, *, pct_start: float = 0.25, div: float = 25.0, div_final: float = 1e5
) -> float:
    """The 1cycle policy for the learning rate, as a factor on the highest rate.

    Up by half a cosine from 1/`div` to 1 in the first `pct_start` of training, which lets the
    weights leave their start gently; then down to 1/`div_final`. Both divide the highest rate
    (torch's OneCycleLR divides the first rate by its `final_div_factor` instead).

    Args:
        progress: share of training done, in [0, 1].
        pct_start: share of training spent going up, above 0 and below 1.
        div: the first rate is the highest divided by this, above 0.
        div_final: the last rate is the highest divided by this, above 0.

    Returns: the factor, in [1/`div_final`, 1] for the defaults.
    Raises: InputError: `progress` is outside [0, 1]. ConfigError: another argument is.

    >>> one_cycle(0.0), one_cycle(0.25), one_cycle(1.0)
    (0.04, 1.0, 1e-05)
    """
    _check_progress("one_cycle", progress)
    if div <= 0 or div_final <= 0:
        raise ConfigError(
            f"`one_cycle` divides the highest rate by `div` and `div_final`, so both must be "
            f"above 0, got div={div} and div_final={div_final}."
        )
    return _two_cosines("one_cycle", progress, pct_start, 1 / div, 1.0, 1 / div_final)


def one_cycle_momentum(
    progress: float,
    *,
    pct_start: float = 0.25,
    moms: tuple[float, float, float] = (0.95, 0.85, 0.95),
) -> float:
    """The 1cycle policy for momentum: low while the rate is high, and the other way round.

    Args:
        progress: share of training done, in [0, 1].
        pct_start: the same as for `one_cycle`, so that the two turn together.
        moms: momentum at the start, at `pct_start` and at the end.

    Returns: the momentum itself (beta1 of Adam), not a factor.
    """
    _check_progress("one_cycle_momentum", progress)
    return _two_cosines("one_cycle_momentum", progress, pct_start, *moms)


SCHEDULES: Mapping[str, Callable[..., float]] = MappingProxyType(
    {
        "constant": constant,
        "cosine": cosine,
        "exponential": exponential,
        "flat_cosine": flat_cosine,
        "linear": linear,
        "multi_step": multi_step,
        "one_cycle": one_cycle,
        "one_cycle_momentum": one_cycle_momentum,
        "piecewise": piecewise,
        "polynomial": polynomial,
        "sgdr": sgdr,
        "step_decay": step_decay,
        "warmup": warmup,
    }
)
"""Name -> function of progress in [0, 1], with options by name; see `schedule`."""


def schedule(name: str, **options: Any) -> partial[float]:
    """The schedule `name` with its options filled in; name and options are all a journal stores.

    Every option is checked here, before training: by name, by asking for both ends, and so on for
    the schedules that it is made of.

    Raises: UnknownNameError: no such schedule. ConfigError: an option is unknown, missing or
        out of range.

    >>> schedule("linear", start=1.0, end=0.5)(0.5)
    0.75
    """
    function = lookup(SCHEDULES, name, what="schedule")
    accepted = {
        key: parameter
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in options:
        if key not in accepted:
            raise ConfigError(
                f"Schedule '{name}' has no option '{key}'.{did_you_mean(key, accepted)} "
                f"Options: {', '.join(accepted)}."
            )
    required = [key for key, p in accepted.items() if p.default is inspect.Parameter.empty]
    missing = [key for key in required if key not in options]
    if missing:
        raise ConfigError(
            f"Schedule '{name}' needs the option{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(missing)}: schedule('{name}', "
            f"{', '.join(f'{key}=...' for key in required)})."
        )
    if name == "piecewise":
        _check_pieces(options["pieces"])
    if name == "warmup":
        of_record(options.get("then", "cosine"))
    filled = partial(function, **options)
    for end in (0.0, 1.0):
        _check_value(name, options, filled, end)
    return filled


def of_record(record: str | Record) -> partial[float]:
    """The schedule that a record describes; a name alone stands for its defaults.

    Raises: as `schedule`; ConfigError: there is no name in it.
    """
    return schedule(**_named(record))


def as_schedule_record(value: Any, num_groups: int) -> dict[str, Any]:
    """What a person may give as a schedule, checked, as the record that a journal keeps.

    Args:
        value: None for a constant rate; a name; a record; or a list of those, one a layer group from
            the input to the head.
        num_groups: how many layer groups there are.

    Returns: a record of plain dicts, lists, strings and numbers that shares nothing with `value`. One
        schedule a group is `{"name": "per_group", "schedules": [...]}`, which is accepted as well.
    Raises: ConfigError: another number of schedules than of groups; something that is neither name
        nor record; an option is wrong. UnknownNameError: no such schedule.

    >>> as_schedule_record("cosine", 2)
    {'name': 'cosine'}
    >>> as_schedule_record([None, {"name": "linear", "end": 0.1}], 2)["schedules"]
    [{'name': 'constant'}, {'name': 'linear', 'end': 0.1}]
    """
    if isinstance(value, Mapping) and value.get("name") == PER_GROUP:
        unknown = [key for key in value if key not in ("name", "schedules")]
        if unknown or not isinstance(value.get("schedules"), list | tuple):
            raise ConfigError(
                "A `per_group` schedule holds `schedules`, a list with one a layer group, and nothing "
                f"else. Got {dict(value)}."
            )
        value = value["schedules"]
    if not isinstance(value, list | tuple):
        return _plain_record(value)
    if len(value) != num_groups:
        raise ConfigError(
            f"Got {len(value)} schedules for {num_groups} layer groups. Give one schedule for all, or "
            "a list with one a group, from the input to the head."
        )
    return {"name": PER_GROUP, "schedules": [_plain_record(one) for one in value]}


def _plain_record(value: Any) -> dict[str, Any]:
    record = _plain(_named("constant" if value is None else value))
    schedule(**record)
    return record


def _named(record: Any) -> dict[str, Any]:
    """A name or a record as a record of its own."""
    if isinstance(record, str):
        return {"name": record}
    if isinstance(record, Mapping) and isinstance(record.get("name"), str):
        return dict(record)
    raise ConfigError(
        f"A schedule is a name, or a dict with `name` and options. Got {record!r}. "
        f"Names: {', '.join(SCHEDULES)}."
    )


def _plain(value: Any) -> Any:
    """The same in what JSON gives back: dicts, lists, strings, numbers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    try:
        return float(value)  # numpy's and torch's scalars among them
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "The options of a schedule are numbers, strings, lists and dicts, so that a journal can "
            f"keep them. Got {value!r}."
        ) from error


def _opened(record: str | Record) -> tuple[Callable[..., float], Record]:
    """Function and options of a record, or of a piece."""
    if isinstance(record, str):
        return lookup(SCHEDULES, record, what="schedule"), {}
    options = dict(record)
    options.pop("share", None)
    return lookup(SCHEDULES, options.pop("name"), what="schedule"), options


def _check_pieces(pieces: Any) -> None:
    """Each a record with a share, each schedule right, and the shares 1 together."""
    if not isinstance(pieces, list | tuple) or not pieces:
        raise ConfigError(
            "`piecewise` needs `pieces`, a list of one or more such as "
            f'{{"share": 1.0, "name": "cosine"}}. Got {pieces!r}.'
        )
    for piece in pieces:
        share = piece.get("share") if isinstance(piece, Mapping) else None
        if not isinstance(share, int | float) or not share > 0:
            raise ConfigError(
                f"Each piece of `piecewise` needs a `share` of training above 0. Got {piece!r}."
            )
        of_record({key: value for key, value in piece.items() if key != "share"})
    shares = [piece["share"] for piece in pieces]
    if not abs(sum(shares) - 1) < ROUNDING:
        raise ConfigError(
            "The shares of `piecewise` must add up to 1, the whole training. "
            f"Got {' + '.join(f'{share:g}' for share in shares)} = {sum(shares):g}."
        )


def _check_value(
    name: str, options: Mapping[str, Any], curve: Callable[[float], float], progress: float
) -> None:
    given = ", ".join(f"{key}={value!r}" for key, value in options.items())
    try:
        finite = math.isfinite(curve(progress))
    except InputError:  # an option out of range, which says so itself
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"Schedule '{name}' cannot work with {given}: {error}.") from error
    if not finite:
        raise ConfigError(f"Schedule '{name}' with {given} is not finite at progress {progress:g}.")


def _two_cosines(
    name: str, progress: float, pct_start: float, start: float, middle: float, end: float
) -> float:
    _check_pct_start(name, pct_start)
    if progress < pct_start:
        return _half_cosine(progress / pct_start, start, middle)
    return _half_cosine((progress - pct_start) / (1 - pct_start), middle, end)


def _half_cosine(progress: float, start: float, end: float) -> float:
    # Two weights that sum to 1, because this form gives `start` and `end` themselves at the ends;
    # start + weight * (end - start) would miss them by a rounding.
    weight = (1 - math.cos(math.pi * progress)) / 2
    return start * (1 - weight) + end * weight


def _check_progress(name: str, progress: float) -> None:
    if not 0 <= progress <= 1:  # written so that NaN fails too
        raise InputError(
            f"`{name}` got progress {progress}, expected the share of training done, "
            "from 0 (start) to 1 (end). Divide the step by the number of steps."
        )


def _check_pct_start(name: str, pct_start: float) -> None:
    if not 0 < pct_start < 1:
        raise ConfigError(
            f"`{name}` needs `pct_start`, the share of training before the turn, "
            f"above 0 and below 1, got {pct_start}."
        )
