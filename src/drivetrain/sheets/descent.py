"""The workbook `descent`: a line through 29 points by gradient descent, with x and with scaled x.

    y = a·x + b        error = (a·x + b - y)²        a ← a - lr · 2·(a·x + b - y)·x
    scaled: z = (x - mean) / sd, and the same with z

The points lie on y = 2x + 30, so the right answer is known. With x as it is, the loss is 8,490 times as
curved in one direction as in the other, and one rate cannot serve both; scaled, the two are alike. Points
and start are those of the spreadsheet of fastai's course, whose first pass ends at a = 2.6131.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivetrain.errors import ConfigError
from drivetrain.sheets.layout import MODULUS, central, heads, next_state, settings, state_formula
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

X = (
    14,
    86,
    28,
    51,
    28,
    29,
    72,
    62,
    84,
    15,
    42,
    62,
    47,
    35,
    9,
    38,
    44,
    99,
    13,
    21,
    28,
    20,
    8,
    64,
    99,
    70,
    27,
    17,
    8,
)
HELD = (5, 25, 45, 65, 85, 105)
"""x of the points that are held out."""
PASSES, FULL = 20, 30
"""Passes over the points one at a time; steps with all points at once."""

POINTS, CURVE, STEPS, ALL = "Points", "Passes", "Updates", "All at once"
SHEETS = {"raw": "Raw x", "scaled": "Scaled x"}

_TOP = 6
"""First row of a table of points or of updates."""
_COUNT = len(X)
_LEFT = {"raw": 6, "scaled": 11}
"""Of the columns a, b, prediction, error² on the sheet of updates."""


@dataclass(frozen=True)
class Path:
    """A line while it learns, by torch, float64."""

    line: Tensor  # (updates + 1, 2): a and b, from the start on
    errors: Tensor  # (updates,): the loss of each update before it
    slopes: Tensor  # (updates, 2)


def descended(x: Tensor, y: Tensor, order: Tensor, lr: float, start: tuple[float, float]) -> Path:
    """A line trained by torch's SGD.

    Args:
        x, y: (N,) points.
        order: (updates, size) which points each update sees.
    """
    layer = nn.Linear(1, 1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.fill_(start[0])
        layer.bias.fill_(start[1])
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr)
    line, errors, slopes = [torch.tensor(start, dtype=torch.float64)], [], []
    for chosen in order:
        loss = F.mse_loss(layer(x[chosen][:, None])[:, 0], y[chosen])
        optimizer.zero_grad()
        loss.backward()
        assert layer.weight.grad is not None and layer.bias.grad is not None
        slopes.append(torch.cat([layer.weight.grad[0], layer.bias.grad]))
        optimizer.step()
        errors.append(loss.detach())
        line.append(torch.cat([layer.weight.detach()[0], layer.bias.detach()]))
    return Path(torch.stack(line), torch.stack(errors), torch.stack(slopes))


def random_states(seed: int) -> list[int]:
    """The states that the cells make, one for each update."""
    states, state = [], seed
    for _ in range(PASSES * _COUNT):
        state = next_state(state)
        states.append(state)
    return states


def order_of(states: list[int], *, shuffle: bool) -> Tensor:
    """(updates, 1) the point of each update."""
    if not shuffle:
        return torch.arange(_COUNT).repeat(PASSES)[:, None]
    passes = torch.tensor(states).reshape(PASSES, _COUNT)
    return passes.argsort(dim=1).flatten()[:, None]


def rmse(line: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """() the root of the mean squared error of a line (2,)."""
    return (line[0] * x + line[1] - y).square().mean().sqrt()


def build(
    *, lr: float = 1e-4, lr_scaled: float = 0.02, shuffle: bool = False, seed: int = 42
) -> Workbook:
    """The workbook.

    Args:
        lr: rate with x as it is, above 0.
        lr_scaled: rate with x scaled, above 0.
        shuffle: another order of the points in each pass.
        seed: of that order, 1 to 2,147,483,646.

    Raises: ConfigError: a rate or the seed is outside its range.
    """
    if not (lr > 0 and lr_scaled > 0):
        raise ConfigError(f"`lr` and `lr_scaled` must be above 0. Got {lr} and {lr_scaled}.")
    if not 0 < seed < MODULUS:
        raise ConfigError(f"`seed` must be 1 to {MODULUS - 1}. Got {seed}.")
    book = Workbook(
        "Gradient descent on a line",
        "y = a·x + b learns 29 points of y = 2x + 30 in 20 passes, once from x, once from scaled x.",
    )
    book.guide(
        what="'Points' holds the points and every setting. 'Passes' compares both ways after "
        "each pass, with a chart and held-out points. 'Raw x' and 'Scaled x' show the first "
        "pass update by update, each slope beside the same slope by differences. 'Updates' has "
        "all 580 of them. 'All at once' uses all points in every step, and shows how curved the "
        "loss is.",
        change=[
            (
                "lr_raw: 0.0001 to 0.0002",
                "Raw x becomes worse, not better: a swings past 2 and b hardly moves. The rate is held "
                "down by a, which meets x up to 99; b would need a rate thousands of times larger.",
            ),
            (
                "lr_scaled: 0.02 to 0.05",
                "Three passes suffice. Held-out error falls to 0 as well, since the points lie "
                "on a line.",
            ),
            (
                "lr_all_raw: 0.0001 to 0.0004",
                "Just above 2 / curvature, 0.000397 on 'All at once': every step makes it worse, the "
                "error grows from 76 to 110 in 30 steps.",
            ),
            (
                "shuffle: 0 to 1",
                "Each pass takes the points in another order, which the seed decides. Raw x now "
                "ends its passes anywhere from 15 to 26: the last points pull a their way.",
            ),
            (
                "line_b: 30 to 300",
                "Scaled x finds it in two or three passes more; raw x is as good as nowhere, at 169.",
            ),
        ],
    )
    start = (1.0, 1.0)
    x = torch.tensor(X, dtype=torch.float64)
    y, held = 2 * x + 30, torch.tensor(HELD, dtype=torch.float64)
    mean, sd = x.mean(), x.std(correction=0)
    states = random_states(seed)
    order = order_of(states, shuffle=shuffle)
    xs = {"raw": x, "scaled": (x - mean) / sd}
    held_xs = {"raw": held, "scaled": (held - mean) / sd}
    rates = {"raw": lr, "scaled": lr_scaled}
    paths = {kind: descended(xs[kind], y, order, rates[kind], start) for kind in xs}
    points, curve = book.sheet(POINTS), book.sheet(CURVE)
    _points(points, xs, y, held_xs, rates, shuffle, seed)
    _curve(curve, xs, y, held_xs, paths, (float(mean), float(sd)))
    for kind, name in SHEETS.items():
        _first_pass(book.sheet(name), kind, xs[kind], y, paths[kind], order)
    _updates(book.sheet(STEPS), xs, y, paths, order, states)
    _all(book.sheet(ALL), xs, y, start)
    return book


def _points(
    sheet: Sheet,
    xs: dict[str, Tensor],
    y: Tensor,
    held: dict[str, Tensor],
    rates: dict[str, float],
    shuffle: bool,
    seed: int,
) -> None:
    sheet.text(0, 0, "The points, and every setting", style="title")
    heads(sheet, _TOP - 1, 0, ("point", "x", "y", "z: scaled x"))
    sheet.text(_TOP - 2, 0, "To learn from", style="head")
    where = block(_TOP, 1, _COUNT, 1)
    for k in range(_COUNT):
        row = _TOP + k
        sheet.number(row, 0, k + 1, style="index")
        sheet.input(row, 1, X[k])
        sheet.formula(row, 2, f"line_a*{at(row, 1)}+line_b", y[k])
        sheet.formula(row, 3, f"({at(row, 1)}-mean_x)/sd_x", xs["scaled"][k])
    sheet.text(_TOP - 2, 5, "Held out", style="head")
    heads(sheet, _TOP - 1, 5, ("x", "y", "z"))
    for k in range(len(HELD)):
        row = _TOP + k
        sheet.input(row, 5, HELD[k])
        sheet.formula(row, 6, f"line_a*{at(row, 5)}+line_b", 2 * HELD[k] + 30)
        sheet.formula(row, 7, f"({at(row, 5)}-mean_x)/sd_x", held["scaled"][k])
    sheet.text(_TOP - 2, 9, "Settings", style="head")
    settings(
        *(sheet, _TOP, 9),
        [
            ("lr_raw: one point at a time, x as it is", "lr_raw", rates["raw"], "above 0"),
            ("lr_scaled: one point at a time, scaled", "lr_scaled", rates["scaled"], "above 0"),
            ("lr_all_raw: all points at once, x as it is", "lr_all_raw", 1e-4, "above 0"),
            ("lr_all_scaled: all points at once, scaled", "lr_all_scaled", 0.1, "above 0"),
            ("start of a", "start_a", 1.0, "any number"),
            ("start of b", "start_b", 1.0, "any number"),
            ("line_a: the slope of the points", "line_a", 2.0, "any number"),
            ("line_b: where they meet the axis", "line_b", 30.0, "any number"),
            ("shuffle the points in each pass", "shuffle", float(shuffle), "0 or 1"),
            ("seed of the order", "seed", float(seed), "1 to 2147483646"),
            ("h: step of the slopes by differences", "h", 0.01, "small, not 0"),
        ],
    )
    row = _TOP + 13
    sheet.text(row, 9, "mean of x")
    sheet.formula(row, 10, f"AVERAGE({where})", xs["raw"].mean())
    sheet.define("mean_x", row, 10)
    sheet.text(row + 1, 9, "sd of x (divides by N)")
    sheet.formula(row + 1, 10, f"SQRT(DEVSQ({where})/{_COUNT})", xs["raw"].std(correction=0))
    sheet.define("sd_x", row + 1, 10)
    sheet.check("mean of z", f"AVERAGE({block(_TOP, 3, _COUNT, 1)})", 0.0)
    sheet.check("mean square of z", f"SUMSQ({block(_TOP, 3, _COUNT, 1)})/{_COUNT}", 1.0)


def _inputs_of(kind: str) -> tuple[str, str, str]:
    """x or z of the points, their y, and the rate's name."""
    column = 1 if kind == "raw" else 3
    return (
        block(_TOP, column, _COUNT, 1, sheet=POINTS),
        block(_TOP, 2, _COUNT, 1, sheet=POINTS),
        f"lr_{kind}",
    )


def _first_pass(sheet: Sheet, kind: str, x: Tensor, y: Tensor, path: Path, order: Tensor) -> None:
    """29 updates: forward, loss, slopes by hand and by differences; the next row has the new a and b."""
    name = "x as it is" if kind == "raw" else "scaled x (z)"
    sheet.text(0, 0, f"The first pass, one point at a time: {name}", style="title")
    sheet.text(
        1,
        0,
        "a and b of a row are those of the row above, less lr times its slopes. A difference "
        "to both sides is exact",
    )
    sheet.text(
        2,
        0,
        "for a parabola; to one side (error at a + h, less the error) it is off by h·x² for a, "
        "by h for b.",
    )
    titles = (
        "update",
        "point",
        "x" if kind == "raw" else "z",
        "y",
        "a",
        "b",
        "prediction",
        "error²",
    )
    slopes = (
        "slope of a",
        "to both sides",
        "to one side",
        "slope of b",
        "to both sides",
        "to one side",
    )
    heads(sheet, _TOP - 1, 0, (*titles, *slopes, "torch's a", "", "torch's b", ""))
    xs, ys, lr = _inputs_of(kind)
    for k in range(_COUNT + 1):
        row = _TOP + k
        for place, name in ((4, "a"), (5, "b")):
            before, slope = at(row - 1, place), at(row - 1, 8 if name == "a" else 11)
            formula = f"{before}-{lr}*{slope}" if k else f"start_{name}"
            value = path.line[k, place - 4]
            sheet.formula(row, place, formula, value)
            sheet.check(
                *(f"{name} before update {k + 1}", at(row, place), value),
                place=(row, 14 + 2 * (place - 4)),
            )
        if k == _COUNT:
            sheet.text(row, 0, "end")
            break
        sheet.number(row, 0, k + 1, style="index")
        point = int(order[k, 0])
        sheet.formula(row, 1, at(_TOP + k, 3, sheet=STEPS), point + 1)
        sheet.formula(row, 2, f"INDEX({xs},{at(row, 1)})", x[point])
        sheet.formula(row, 3, f"INDEX({ys},{at(row, 1)})", y[point])
        xn, yn, a, b = (at(row, column) for column in (2, 3, 4, 5))
        sheet.formula(row, 6, f"{a}*{xn}+{b}", path.line[k, 0] * x[point] + path.line[k, 1])
        sheet.formula(row, 7, f"({at(row, 6)}-{yn})^2", path.errors[k])
        for left, moved, one, slope in (
            (8, "({a}{sign}h)*{x}+{b}", f"2*({at(row, 6)}-{yn})*{xn}", path.slopes[k, 0]),
            (11, "{a}*{x}+({b}{sign}h)", f"2*({at(row, 6)}-{yn})", path.slopes[k, 1]),
        ):
            sheet.formula(row, left, one, slope)
            plus, minus = (
                f"({moved.format(a=a, b=b, x=xn, sign=sign)}-{yn})^2" for sign in ("+", "-")
            )
            sheet.formula(row, left + 1, central(plus, minus, "h"), slope)
            off = 0.01 * (float(x[point]) ** 2 if left == 8 else 1.0)
            sheet.formula(row, left + 2, f"({plus}-{at(row, 7)})/h", slope + off)
    sheet.freeze(_TOP, 2)
    online = f"SQRT(SUM({block(_TOP, 7, _COUNT, 1)})/{_COUNT})"
    value = path.errors[:_COUNT].mean().sqrt()
    row = _TOP + _COUNT + 2
    sheet.text(row, 0, "root of the mean error² of this pass, each taken before its update")
    sheet.formula(row, 8, online, value)
    sheet.check("root of the mean error² of the pass", at(row, 8), value)


def _updates(
    sheet: Sheet,
    xs: dict[str, Tensor],
    y: Tensor,
    paths: dict[str, Path],
    order: Tensor,
    states: list[int],
) -> None:
    """All updates of all passes, both ways."""
    sheet.text(
        0, 0, f"All {PASSES * _COUNT} updates: {PASSES} passes over {_COUNT} points", style="title"
    )
    sheet.text(
        1,
        0,
        "The random numbers are made in the cells: next = 16807 · last, modulo 2147483647. "
        "Their order decides which point comes when.",
    )
    heads(sheet, _TOP - 1, 0, ("update", "pass", "random", "point", "y"))
    for kind, left in _LEFT.items():
        sheet.text(_TOP - 2, left - 1, SHEETS[kind], style="head")
        heads(
            sheet,
            _TOP - 1,
            left - 1,
            ("x" if kind == "raw" else "z", "a", "b", "prediction", "error²"),
        )
    for k in range(PASSES * _COUNT + 1):
        row, (number, place) = _TOP + k, divmod(k, _COUNT)
        last = k == PASSES * _COUNT
        point = 0 if last else int(order[k, 0])
        if last:
            sheet.text(row, 0, "end")
        else:
            sheet.number(row, 0, k + 1, style="index")
            sheet.number(row, 1, number + 1, style="index")
            sheet.formula(row, 2, state_formula(at(row - 1, 2) if k else "seed"), states[k])
            top = _TOP + number * _COUNT
            of_pass = block(top, 2, _COUNT, 1)
            chosen = f"IF(shuffle=1,MATCH(SMALL({of_pass},{place + 1}),{of_pass},0),{place + 1})"
            sheet.formula(row, 3, chosen, point + 1)
            sheet.formula(row, 4, f"INDEX({_inputs_of('raw')[1]},{at(row, 3)})", y[point])
        for kind, left in _LEFT.items():
            x, _, lr = _inputs_of(kind)
            line, path = xs[kind], paths[kind]
            before = f"2*({at(row - 1, left + 2)}-{at(row - 1, 4)})"
            a = f"{at(row - 1, left)}-{lr}*{before}*{at(row - 1, left - 1)}" if k else "start_a"
            b = f"{at(row - 1, left + 1)}-{lr}*{before}" if k else "start_b"
            sheet.formula(row, left, a, path.line[k, 0])
            sheet.formula(row, left + 1, b, path.line[k, 1])
            if last:
                continue
            sheet.formula(row, left - 1, f"INDEX({x},{at(row, 3)})", line[point])
            prediction = path.line[k, 0] * line[point] + path.line[k, 1]
            sheet.formula(
                row,
                left + 2,
                f"{at(row, left)}*{at(row, left - 1)}+{at(row, left + 1)}",
                prediction,
            )
            sheet.formula(row, left + 3, f"({at(row, left + 2)}-{at(row, 4)})^2", path.errors[k])
    sheet.freeze(_TOP, 2)


def _curve(
    sheet: Sheet,
    xs: dict[str, Tensor],
    y: Tensor,
    held: dict[str, Tensor],
    paths: dict[str, Path],
    scale: tuple[float, float],
) -> None:
    """a, b and the errors after each pass."""
    mean, sd = scale
    sheet.text(0, 0, "After each pass: x as it is, and scaled", style="title")
    sheet.text(
        1,
        0,
        "RMSE: the root of the mean squared error with a and b as they are after the pass; the "
        "last two columns are the scaled line in units of x.",
    )
    titles = ("a", "b", "RMSE", "RMSE, held out")
    sheet.text(_TOP - 2, 1, SHEETS["raw"], style="head")
    sheet.text(_TOP - 2, 5, SHEETS["scaled"], style="head")
    heads(sheet, _TOP - 1, 0, ("pass", *titles, *titles, "slope", "at x = 0"))
    held_y = 2 * held["raw"] + 30
    for number in range(PASSES + 1):
        row = _TOP + number
        sheet.number(row, 0, number, style="index")
        for kind, left in (("raw", 1), ("scaled", 5)):
            line = paths[kind].line[number * _COUNT]
            for place, name in enumerate("ab"):
                cell = at(_TOP + number * _COUNT, _LEFT[kind] + place, sheet=STEPS)
                sheet.formula(row, left + place, cell, line[place])
                sheet.check(
                    f"{SHEETS[kind]}: {name} after pass {number}",
                    at(row, left + place),
                    line[place],
                )
            a, b = at(row, left), at(row, left + 1)
            column, held_column = (1, 5) if kind == "raw" else (3, 7)
            for place, (x, target, first, y_first, count) in enumerate((
                (xs[kind], y, column, 2, _COUNT),
                (held[kind], held_y, held_column, 6, len(HELD)),
            )):  # fmt: skip
                inputs = block(_TOP, first, count, 1, sheet=POINTS)
                targets = block(_TOP, y_first, count, 1, sheet=POINTS)
                formula = f"SQRT(SUMPRODUCT(({a}*{inputs}+{b}-{targets})^2)/{count})"
                value = rmse(line, x, target)
                sheet.formula(row, left + 2 + place, formula, value)
                what = "RMSE" if not place else "held-out RMSE"
                sheet.check(
                    f"{SHEETS[kind]}: {what} after pass {number}", at(row, left + 2 + place), value
                )
        a, b = paths["scaled"].line[number * _COUNT]
        sheet.formula(row, 9, f"{at(row, 5)}/sd_x", a / sd)
        sheet.formula(row, 10, f"{at(row, 6)}-{at(row, 5)}*mean_x/sd_x", b - a * mean / sd)
    rows = PASSES + 1
    names = ("raw", "raw, held out", "scaled", "scaled, held out")
    series = [
        (name, block(_TOP, column, rows, 1))
        for name, column in zip(names, (3, 4, 7, 8), strict=True)
    ]
    passes = block(_TOP, 0, rows, 1)
    sheet.chart(
        "RMSE after each pass", series, x=passes, place=(3, 12), x_title="pass", size=(430, 260)
    )
    sheet.chart(
        *("RMSE, logarithmic", series),
        x=passes,
        place=(17, 12),
        x_title="pass",
        log=True,
        size=(430, 260),
    )
    sheet.freeze(_TOP)


def _all(sheet: Sheet, xs: dict[str, Tensor], y: Tensor, start: tuple[float, float]) -> None:
    """All points in every step, and the two curvatures of the loss."""
    sheet.text(0, 0, "All 29 points in every step, and how curved the loss is", style="title")
    sheet.text(
        1,
        0,
        "The largest rate that does not run away is 2 / the larger curvature; how slow the "
        "slowest direction is then, says their ratio.",
    )
    settings_of = {"raw": ("lr_all_raw", 1e-4), "scaled": ("lr_all_scaled", 0.1)}
    top = 12
    for kind, left in (("raw", 1), ("scaled", 7)):
        x, ys, _ = _inputs_of(kind)
        values, (lr, rate) = xs[kind], settings_of[kind]
        sheet.text(2, left, SHEETS[kind], style="head")
        square, mean = values.square().mean(), values.mean()
        root = ((square - 1) ** 2 + 4 * mean**2).sqrt()
        labels = (
            "mean of x²",
            "mean of x",
            "larger curvature",
            "smaller curvature",
            "largest rate",
            "ratio",
        )
        q, m, big, small = (at(3 + i, left + 2) for i in range(4))
        split = f"SQRT(({q}-1)^2+4*{m}^2)"
        hessian = 2 * torch.stack(
            [torch.stack([square, mean]), torch.stack([mean, torch.ones_like(mean)])]
        )
        low, high = torch.linalg.eigvalsh(hessian)
        for line, (label, formula, value) in enumerate(
            zip(
                labels,
                (
                    f"SUMSQ({x})/{_COUNT}",
                    f"AVERAGE({x})",
                    f"{q}+1+{split}",
                    f"4*({q}-{m}^2)/{big}",
                    f"2/{big}",
                    f"{big}/{small}",
                ),
                (
                    square,
                    mean,
                    square + 1 + root,
                    4 * (square - mean**2) / (square + 1 + root),
                    2 / high,
                    high / low,
                ),
                strict=True,
            )
        ):
            sheet.text(3 + line, left, label)
            sheet.formula(3 + line, left + 2, formula, value)
        sheet.check(f"{SHEETS[kind]}: larger curvature", big, high)
        sheet.check(f"{SHEETS[kind]}: smaller curvature", small, low)
        heads(sheet, top - 1, left, ("a", "b", "slope of a", "slope of b", "RMSE"))
        every = torch.arange(_COUNT).repeat(FULL + 1, 1)
        path = descended(values, y, every, rate, start)
        for step in range(FULL + 1):
            row = top + step
            a, b = at(row, left), at(row, left + 1)
            before = (f"{at(row - 1, left + i)}-{lr}*{at(row - 1, left + 2 + i)}" for i in (0, 1))
            for place, formula in enumerate(before if step else ("start_a", "start_b")):
                sheet.formula(row, left + place, formula, path.line[step, place])
                name = f"{SHEETS[kind]}, all at once: {'ab'[place]} after step {step}"
                sheet.check(name, at(row, left + place), path.line[step, place])
            error = f"({a}*{x}+{b}-{ys})"
            sheet.formula(
                row, left + 2, f"2*SUMPRODUCT({error},{x})/{_COUNT}", path.slopes[step, 0]
            )
            sheet.formula(
                row, left + 3, f"2*SUM({b}-AVERAGE({ys}),{a}*AVERAGE({x}))", path.slopes[step, 1]
            )
            sheet.formula(
                row, left + 4, f"SQRT(SUMPRODUCT({error}^2)/{_COUNT})", path.errors[step].sqrt()
            )
    heads(sheet, top - 1, 0, ("step",))
    for step in range(FULL + 1):
        sheet.number(top + step, 0, step, style="index")
    series = [("raw", block(top, 5, FULL + 1, 1)), ("scaled", block(top, 11, FULL + 1, 1))]
    sheet.chart(
        "RMSE after each step", series, x=block(top, 0, FULL + 1, 1), place=(2, 13), size=(380, 300)
    )
