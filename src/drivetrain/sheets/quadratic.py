"""The workbook `quadratic`: a, b and c of a parabola learn from 20 points, and why they seem to stop.

    speed = a·t² + b·t + c        loss = mean of (speed - measured)²

The points are those of chapter 4 of fastai's book (seed 42): ten steps end at 676.95 and look as if they
had arrived, but least squares gives 7.305. With t centred and scaled the same descent gets there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drivetrain.errors import ConfigError
from drivetrain.sheets.layout import central, heads, settings
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

COUNT, HELD, STEPS = 20, 10, 60
POINTS, CURVE = "Points", "Curve"
SHEETS = {"raw": "t as it is", "scaled": "t scaled"}
NAMES = "abc"

_TOP = 6
_COLUMN = {"raw": 1, "scaled": 3}
"""Of t, and of scaled t, on the sheet of points; the held-out ones stand eight columns further right."""
_RIGHT = 5


@dataclass(frozen=True)
class Path:
    """Three numbers while they learn, by torch, float64: row k is after k steps."""

    params: Tensor  # (STEPS + 1, 3)
    losses: Tensor  # (STEPS + 1,)
    slopes: Tensor  # (STEPS + 1, 3)


def measured() -> tuple[Tensor, Tensor, Tensor]:
    """t (20,), the measured speeds (20,), and the start of a, b, c (3,): as in the book, to the bit."""
    generator = torch.Generator().manual_seed(42)
    t = torch.arange(COUNT).float()
    speed = torch.randn(COUNT, generator=generator) * 3 + 0.75 * (t - 9.5) ** 2 + 1
    return t.double(), speed.double(), torch.randn(3, generator=generator).double()


def curve(params: Tensor, t: Tensor) -> Tensor:
    """a·t² + b·t + c."""
    return params[0] * t**2 + params[1] * t + params[2]


def descended(t: Tensor, y: Tensor, start: Tensor, lr: float) -> Path:
    """a, b, c trained by torch's SGD on the mean squared error."""
    params = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([params], lr=lr)
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(STEPS + 1):
        loss = F.mse_loss(curve(params, t), y)
        optimizer.zero_grad()
        loss.backward()
        assert params.grad is not None
        rows.append((params.detach().clone(), loss.detach(), params.grad.clone()))
        optimizer.step()
    return Path(*(torch.stack(column) for column in zip(*rows, strict=True)))


def build(*, lr: float = 1e-5, lr_scaled: float = 0.2) -> Workbook:
    """The workbook.

    Args:
        lr: rate with t as it is.
        lr_scaled: rate with t centred and divided by its standard deviation.

    Raises: ConfigError: a rate is not above 0.
    """
    if not (lr > 0 and lr_scaled > 0):
        raise ConfigError(f"`lr` and `lr_scaled` must be above 0. Got {lr} and {lr_scaled}.")
    t, speed, start = measured()
    held = t[:HELD] * 2 + 0.5
    truth = 0.75 * (held - 9.5) ** 2 + 1
    mean, sd = t.mean(), t.std(correction=0)
    ts = {"raw": t, "scaled": (t - mean) / sd}
    held_ts = {"raw": held, "scaled": (held - mean) / sd}
    rates = {"raw": lr, "scaled": lr_scaled}
    paths = {kind: descended(ts[kind], speed, start, rates[kind]) for kind in ts}
    book = Workbook(
        "A parabola learns",
        "Chapter 4's 20 speeds: ten steps end at 676.95, least squares at 7.305, and scaling "
        "gets there.",
    )
    book.guide(
        what="'Points' holds the measured speeds, the settings, and the best parabola by least "
        "squares. 'Curve' compares both ways after each step, held-out points too. The other "
        "two sheets show every step: a, b, c, loss, slopes by hand and by differences.",
        change=[
            (
                "look at lr_raw: 0.00001",
                "The loss falls from 25,824 to 677 in ten steps and then stands still. It is "
                "not at the bottom, which is 7.305: a has arrived, but b and c would take "
                "millions of steps.",
            ),
            (
                "lr_raw: 0.00001 to 0.00004",
                "Too large: the loss grows with each step, since 2 / the largest curvature is "
                "0.0000354. The rates that b and c need, 0.1 and 8, are out of reach.",
            ),
            (
                "lr_scaled: 0.2 to 0.5",
                "Above 2 / curvature as well, here 0.404, and the loss grows. At 0.05 it "
                "falls, slower.",
            ),
            (
                "one speed, by 100",
                "Least squares moves, and the scaled descent moves to the same place. The "
                "held-out error rises: those points lie on the true curve.",
            ),
        ],
    )
    sheet = book.sheet(POINTS)
    _points(sheet, ts, speed, held_ts, truth, rates, start)
    both = book.sheet(CURVE)
    for kind, name in SHEETS.items():
        _steps(book.sheet(name), kind, ts[kind], speed, paths[kind])
    _curve(both, paths, held_ts, truth)
    return book


def _points(
    sheet: Sheet,
    ts: dict[str, Tensor],
    speed: Tensor,
    held: dict[str, Tensor],
    truth: Tensor,
    rates: dict[str, float],
    start: Tensor,
) -> None:
    sheet.text(0, 0, "The measured speeds, and every setting", style="title")
    sheet.text(
        1,
        0,
        "speed = 0.75·(t - 9.5)² + 1, and noise of spread 3. The held-out points lie on that "
        "curve without noise.",
    )
    sheet.text(_TOP - 2, 0, "To learn from", style="head")
    heads(sheet, _TOP - 1, 0, ("point", "t", "speed", "scaled t"))
    sheet.text(_TOP - 2, _RIGHT, "Held out", style="head")
    heads(sheet, _TOP - 1, _RIGHT, ("t", "speed", "scaled t"))
    for k in range(COUNT):
        row = _TOP + k
        sheet.number(row, 0, k + 1, style="index")
        sheet.number(row, 1, ts["raw"][k])
        sheet.formula(row, 3, f"({at(row, 1)}-mean_t)/sd_t", ts["scaled"][k])
    sheet.inputs(_TOP, 2, speed[:, None].tolist())
    for k in range(HELD):
        row = _TOP + k
        sheet.number(row, _RIGHT, held["raw"][k])
        sheet.number(row, _RIGHT + 1, truth[k])
        sheet.formula(row, _RIGHT + 2, f"({at(row, _RIGHT)}-mean_t)/sd_t", held["scaled"][k])
    lines = [
        ("lr_raw: t as it is", "lr_raw", rates["raw"], "above 0"),
        ("lr_scaled: t scaled", "lr_scaled", rates["scaled"], "above 0"),
        *(
            (f"start of {name}", f"start_{name}", float(start[i]), "")
            for i, name in enumerate(NAMES)
        ),
        ("h: step of the slopes by differences", "h", 1e-3, "small, not 0"),
    ]
    sheet.text(_TOP - 2, 9, "Settings", style="head")
    settings(sheet, _TOP, 9, lines)
    inputs, row = block(_TOP, 1, COUNT, 1), _TOP + len(lines) + 1
    means = (
        ("mean of t", "mean_t", f"AVERAGE({inputs})", ts["raw"].mean()),
        (
            "sd of t (divides by N)",
            "sd_t",
            f"SQRT(DEVSQ({inputs})/{COUNT})",
            ts["raw"].std(correction=0),
        ),
    )
    for line, (words, name, formula, value) in enumerate(means, start=row):
        sheet.text(line, 9, words)
        sheet.formula(line, 10, formula, value)
        sheet.define(name, line, 10)
    _least_squares(sheet, ts["raw"], speed)


def _least_squares(sheet: Sheet, t: Tensor, speed: Tensor) -> None:
    """The three equations in which every slope is 0, solved: (XᵀX)⁻¹ Xᵀy."""
    top = _TOP + COUNT + 2
    powers = torch.stack([t**2, t, torch.ones_like(t)], dim=1)
    best = torch.linalg.lstsq(powers, speed[:, None]).solution[:, 0]
    sheet.text(
        top - 1, 0, "The best parabola, by least squares: where every slope is 0", style="head"
    )
    inputs, outputs = block(_TOP, 1, COUNT, 1), block(_TOP, 2, COUNT, 1)
    normal = powers.T @ powers
    for i in range(3):
        for j in range(3):
            power = 4 - i - j
            formula = f"SUMPRODUCT({inputs}^{power})" if power else f"COUNT({inputs})"
            sheet.formula(top + i, j, formula, normal[i, j])
        right = f"SUMPRODUCT({inputs}^{2 - i},{outputs})" if i < 2 else f"SUM({outputs})"
        sheet.formula(top + i, 4, right, (powers.T @ speed)[i])
        sheet.text(top + i, 5, NAMES[i])
    solved = f"MMULT(MINVERSE({block(top, 0, 3, 3)}),{block(top, 4, 3, 1)})"
    sheet.array(top, 6, 3, 1, solved, best[:, None].tolist())
    for i in range(3):
        sheet.check(f"{NAMES[i]} by least squares", at(top + i, 6), best[i])
    loss = F.mse_loss(curve(best, t), speed)
    sheet.text(top + 3, 5, "loss")
    a, b, c = (at(top + i, 6) for i in range(3))
    sheet.formula(
        top + 3, 6, f"SUMPRODUCT(({a}*{inputs}^2+{b}*{inputs}+{c}-{outputs})^2)/{COUNT}", loss
    )
    sheet.define("best_loss", top + 3, 6)
    sheet.check("loss by least squares", at(top + 3, 6), loss)


def _steps(sheet: Sheet, kind: str, t: Tensor, speed: Tensor, path: Path) -> None:
    """Row k is after k steps."""
    sheet.text(0, 0, f"{STEPS} steps with {SHEETS[kind]}", style="title")
    sheet.text(
        1,
        0,
        "a, b and c of a row are those of the row above, less lr times its slopes: means of "
        "2·(curve - speed) times t², t and 1.",
    )
    slopes = [f"{what} {name}" for name in NAMES for what in ("slope of", "by differences,")]
    torchs = [title for name in NAMES for title in (f"torch's {name}", "")]
    heads(sheet, _TOP - 1, 0, ("step", *NAMES, "loss", *slopes, *torchs))
    inputs = block(_TOP, _COLUMN[kind], COUNT, 1, sheet=POINTS)
    speeds = block(_TOP, 2, COUNT, 1, sheet=POINTS)
    for k in range(STEPS + 1):
        row = _TOP + k
        sheet.number(row, 0, k, style="index")
        cells = [at(row, 1 + i) for i in range(3)]

        def error(a: str, b: str, c: str) -> str:
            return f"({a}*{inputs}^2+{b}*{inputs}+{c}-{speeds})"

        def loss(a: str, b: str, c: str) -> str:
            return f"SUMPRODUCT({error(a, b, c)}^2)/{COUNT}"

        for i, name in enumerate(NAMES):
            before, slope = at(row - 1, 1 + i), at(row - 1, 5 + 2 * i)
            formula = f"{before}-lr_{kind}*{slope}" if k else f"start_{name}"
            sheet.formula(row, 1 + i, formula, path.params[k, i])
            times = (f",{inputs}^2", f",{inputs}", "")[i]
            sheet.formula(
                row, 5 + 2 * i, f"2*SUMPRODUCT({error(*cells)}{times})/{COUNT}", path.slopes[k, i]
            )
            plus, minus = (
                loss(*(f"({cell}{sign}h)" if j == i else cell for j, cell in enumerate(cells)))
                for sign in "+-"
            )
            sheet.formula(row, 6 + 2 * i, central(plus, minus, "h"), path.slopes[k, i])
            sheet.check(
                *(f"{name} after step {k}", at(row, 1 + i), path.params[k, i]),
                place=(row, 11 + 2 * i),
            )
        sheet.formula(row, 4, loss(*cells), path.losses[k])
    sheet.freeze(_TOP, 1)


def _curve(sheet: Sheet, paths: dict[str, Path], held: dict[str, Tensor], truth: Tensor) -> None:
    sheet.text(0, 0, "The loss after each step, both ways", style="title")
    sheet.text(
        1,
        0,
        "Held out: the mean squared error on points of the true curve. The last column is the "
        "least loss there is.",
    )
    sheet.text(_TOP - 2, 1, SHEETS["raw"], style="head")
    sheet.text(_TOP - 2, 3, SHEETS["scaled"], style="head")
    heads(sheet, _TOP - 1, 0, ("step", "loss", "held out", "loss", "held out", "least squares"))
    for k in range(STEPS + 1):
        row = _TOP + k
        sheet.number(row, 0, k, style="index")
        for kind, left in (("raw", 1), ("scaled", 3)):
            name, path = SHEETS[kind], paths[kind]
            sheet.formula(row, left, at(row, 4, sheet=name), path.losses[k])
            inputs = block(_TOP, _RIGHT if kind == "raw" else _RIGHT + 2, HELD, 1, sheet=POINTS)
            targets = block(_TOP, _RIGHT + 1, HELD, 1, sheet=POINTS)
            a, b, c = (at(row, 1 + i, sheet=name) for i in range(3))
            value = F.mse_loss(curve(path.params[k], held[kind]), truth)
            formula = f"SUMPRODUCT(({a}*{inputs}^2+{b}*{inputs}+{c}-{targets})^2)/{HELD}"
            sheet.formula(row, left + 1, formula, value)
            sheet.check(f"{name}: loss after step {k}", at(row, left), path.losses[k])
            sheet.check(f"{name}: held-out loss after step {k}", at(row, left + 1), value)
        sheet.formula(row, 5, "best_loss", _best(sheet))
    rows = STEPS + 1
    titles = ("as it is", "as it is, held out", "scaled", "scaled, held out", "least squares")
    series = [(title, block(_TOP, 1 + i, rows, 1)) for i, title in enumerate(titles)]
    sheet.chart("Loss", series, x=block(_TOP, 0, rows, 1), place=(3, 7), log=True, size=(600, 380))
    sheet.freeze(_TOP)


def _best(sheet: Sheet) -> float:
    value = sheet.book.value("best_loss")
    assert isinstance(value, float)
    return value
