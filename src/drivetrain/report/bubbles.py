"""Models as dots: how long they took to train, how much they err, and how much memory they need.

Time is drawn by its logarithm, since models differ in it by powers of ten. A dot's area is the
memory, its number the place on the board; those that no other beats in all three are filled. A line
joins those that no other beats in the two that the axes show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drivetrain.report.charts import WIDTH
from drivetrain.report.svg import round_numbers, rule, safe, short, svg, words
from drivetrain.train.sweeping import pareto

TALL = 250
WIDEST = 560
"""Pixels that the chart is shown at at most."""
_LEFT, _RIGHT, _TOP, _BELOW = 50, 16, 22, 36
SMALLEST, LARGEST = 7.0, 20.0
"""Radii: a number has to have room in the smallest."""
SPREAD = 8.0
"""How many times the least error the largest one has to be for a logarithmic axis …"""
MOST = 1e6
"""… and from where on even that shows nothing: an error of 0 has no logarithm."""
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Bubble:
    """One model."""

    number: int
    """Its place on the board."""
    name: str
    error: float
    seconds: float
    memory: float
    """In bytes; 0 where it is not known."""
    is_on_front: bool
    said: str
    """What is told where it is pointed at."""


def bubble_chart(title: str, bubbles: Sequence[Bubble], *, below: str, beside: str) -> str:
    """Error over time with memory as area; empty where there is nothing to draw.

    Where the largest error is `SPREAD` times the least or more, it is drawn by its logarithm too: else
    the good ones, which matter, would all lie on the floor.
    """
    if not bubbles:
        return ""
    times = _scale([max(one.seconds, 1e-3) for one in bubbles], is_log=True)
    errors = [one.error for one in bubbles]
    least = min(errors)
    is_log = SPREAD * least <= max(errors) < MOST * least
    heights = _scale(errors, is_log=is_log)
    wide, floor = WIDTH - _RIGHT - _LEFT, _TOP + TALL

    def at(seconds: float, error: float) -> tuple[float, float]:
        return (
            _LEFT + wide * times.place(max(seconds, 1e-3)),
            _TOP + TALL * (1 - heights.place(error)),
        )

    inside = []
    for tick in heights.ticks():
        y = _TOP + TALL * (1 - heights.place(tick))
        inside += [rule(_LEFT, y, WIDTH - _RIGHT, y)]
        inside += [words(_LEFT - 5, y + 4, short(tick), "end", "soft")]
    inside.append(rule(_LEFT, floor, WIDTH - _RIGHT, floor, "axis"))
    for tick in times.ticks():
        x = _LEFT + wide * times.place(tick)
        inside += [rule(x, floor, x, floor + 3, "axis")]
        inside += [words(x, floor + 15, clock(tick), "middle", "soft")]
    inside.append(words((_LEFT + WIDTH - _RIGHT) / 2, floor + 31, below, "middle", "soft cap"))
    said = f"{beside}, logarithmic" if is_log else beside
    inside.append(words(_LEFT, 10, said, kind="soft cap"))
    is_free = pareto([(one.seconds, one.error) for one in bubbles])
    front = [one for one, is_on in zip(bubbles, is_free, strict=True) if is_on]
    front.sort(key=lambda one: one.seconds)
    corners = ["{:.1f},{:.1f}".format(*at(one.seconds, one.error)) for one in front]
    if len(corners) > 1:
        inside.append(f'<polyline class="line c2 faint" points="{" ".join(corners)}"/>')
    most = max(one.memory for one in bubbles) or 1.0
    for one in sorted(
        bubbles, key=lambda one: -one.memory
    ):  # a small dot is never under a large one
        x, y = at(one.seconds, one.error)
        radius = max(SMALLEST, LARGEST * math.sqrt(one.memory / most))
        kind = "bubble front" if one.is_on_front else "bubble"
        inside.append(
            f'<g class="{kind}"><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{safe(one.said)}</title></circle>"
            f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{one.number}</text></g>'
        )
    return svg(WIDTH, floor + _BELOW, title, inside, most=WIDEST)


@dataclass(frozen=True)
class _Scale:
    """Values on an axis from 0 to 1, with room at both ends."""

    low: float
    high: float
    least: float
    """No tick is below it."""
    is_log: bool

    def place(self, value: float) -> float:
        """Where a value is; 0.5 where all are alike."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values between the ends."""
        if self.is_log:
            return log_ticks(self.low, self.high)
        return [tick for tick in round_numbers(self.low, self.high) if tick >= self.least]


def _scale(values: Sequence[float], *, is_log: bool) -> _Scale:
    low, high = min(values), max(values)
    if is_log:
        room = max(1.4, (high / low) ** 0.12)
        return _Scale(low / room, high * room, 0.0, True)
    room = (high - low) * 0.16 or abs(high) * 0.2 or 0.1
    return _Scale(low - room, high + room, 0.0 if low >= 0 else -math.inf, False)


def log_ticks(low: float, high: float) -> list[float]:
    """Up to seven values between two, in equal factors as far as round numbers allow.

    >>> log_ticks(0.7, 70.0)
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    """
    found = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step in STEPS
        if low <= step * 10.0**power <= high
    ]
    if len(found) > 7:
        found = [tick for tick in found if f"{tick:e}".startswith("1")]
        found = found[:: math.ceil(len(found) / 7)]
    return found if len(found) > 1 else [low, high]


def clock(seconds: float) -> str:
    """A time in few letters.

    >>> clock(0.00011), clock(0.02), clock(7.16), clock(104), clock(200), clock(7200)
    ('0.11 ms', '20 ms', '7.2 s', '104 s', '3.3 min', '2 h')
    """
    for unit, of in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= (2 * of if of > 1 else 1):
            return f"{_two(seconds / of)} {unit}"
    return f"{_two(1000 * seconds)} ms"


def _two(number: float) -> str:
    """Two digits, or all before the point."""
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"
