"""Schedules as a picture: value against the share of training done.

    >>> figure = plot_schedule("one_cycle", "flat_cosine")
    >>> figure.axes[0].get_xlabel()
    'share of training done'

The figure is matplotlib's, made without pyplot: nothing global is touched, no window opens, and it is
forgotten when the last reference to it is. A notebook shows it, `figure.savefig("rates.png")` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drivetrain._optional import require
from drivetrain.errors import ConfigError
from drivetrain.optim.schedules import PER_GROUP, Record, as_schedule_record, of_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_schedule(
    *schedules: str | Record | Sequence[str | Record],
    lr: float | Sequence[float] | None = None,
    num_points: int = 1001,
    log: bool = False,
    **options: Any,
) -> Figure:
    """Draw schedules over training, one line each.

    Momentum is another quantity than a rate, so `one_cycle_momentum` is drawn below the others.

    Args:
        schedules: names, records `{"name": ..., ...}`, or what `Learner.fit` takes for layer groups: a
            list or a `per_group` record, drawn as a line a group.
        lr: highest rate, or one a layer group; what is drawn is then the rate and not a factor on it.
        num_points: points a line, from progress 0 to 1, at least 2.
        log: logarithmic values; zeros are left out of the line.
        options: of the schedule, where there is one and it is given by name.

    Returns: a `matplotlib.figure.Figure`.
    Raises: MissingPackageError: there is no matplotlib. UnknownNameError, ConfigError: as `schedule`.
    """
    lines = _lines(schedules, options, lr)
    if num_points < 2:
        raise ConfigError(f"`plot_schedule` needs `num_points` from 2 up. Got {num_points}.")
    require("matplotlib", extra="plot")
    from matplotlib.figure import Figure

    kinds = [
        is_momentum for is_momentum in (False, True) if any(m is is_momentum for *_, m in lines)
    ]
    figure = Figure(figsize=(7, 1.2 + 2.8 * len(kinds)), layout="constrained")
    all_axes = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    progress = [step / (num_points - 1) for step in range(num_points)]
    for axes, kind in zip(all_axes, kinds, strict=True):
        for label, record, scale, is_momentum in lines:
            if is_momentum is kind:
                curve = of_record(record)
                axes.plot(progress, [scale * curve(t) for t in progress], label=label)
        if log:
            axes.set_yscale("log")
        elif not kind:
            axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.set_ylabel(
            "momentum" if kind else "factor on the highest rate" if lr is None else "learning rate"
        )
        axes.grid(alpha=0.3)
        if len(axes.lines) > 3:
            axes.legend(
                loc="center left", bbox_to_anchor=(1.01, 0.5)
            )  # beside: it would hide lines
        elif len(axes.lines) > 1:
            axes.legend()
        else:
            axes.set_title(axes.lines[0].get_label())
    all_axes[-1].set_xlabel("share of training done")
    return figure


def _lines(
    schedules: Sequence[Any], options: Mapping[str, Any], lr: float | Sequence[float] | None
) -> list[tuple[str, dict[str, Any], float, bool]]:
    """For each line to draw: its label, its record, what its values are multiplied by, is it momentum."""
    if not schedules:
        raise ConfigError('`plot_schedule` needs a schedule to draw: `plot_schedule("one_cycle")`.')
    if options:
        if len(schedules) > 1 or not isinstance(schedules[0], str):
            raise ConfigError(
                f"`plot_schedule` got the options {', '.join(options)}, which belong to one schedule "
                "given by name. Give each schedule as a dict: {'name': ..., ...}."
            )
        schedules = [{"name": schedules[0], **options}]
    lines: list[tuple[str, dict[str, Any], float, bool]] = []
    for value in schedules:
        one_a_group = isinstance(value, Mapping) and value.get("name") == PER_GROUP
        groups = value["schedules"] if one_a_group and "schedules" in value else value
        record = as_schedule_record(value, len(groups) if isinstance(groups, list | tuple) else 1)
        if record["name"] == PER_GROUP:
            found = [(f"group {i}: ", one) for i, one in enumerate(record["schedules"])]
        elif isinstance(lr, Sequence):
            found = [(f"group {i}: ", record) for i in range(len(lr))]
        else:
            found = [("", record)]
        if isinstance(lr, Sequence) and len(lr) != len(found):
            raise ConfigError(
                f"`plot_schedule` got {len(lr)} rates for {len(found)} layer groups. Give one each."
            )
        for index, (prefix, one) in enumerate(found):
            is_momentum = one["name"] == "one_cycle_momentum"
            rate = lr[index] if isinstance(lr, Sequence) else lr
            scale = 1.0 if is_momentum or rate is None else float(rate)
            lines.append((prefix + _label(one), one, scale, is_momentum))
    return lines


def _label(record: Record) -> str:
    """The name and the plain options, such as `linear (end=0.1)`; what is nested is named only."""
    parts = []
    for key, value in record.items():
        if key == "pieces":
            parts.append(" + ".join(piece["name"] for piece in value))
        elif key == "then":
            parts.append(f"then {value if isinstance(value, str) else value['name']}")
        elif key != "name":
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            parts.append(f"{key}={shown}")
    return record["name"] + (f" ({', '.join(parts)})" if parts else "")
