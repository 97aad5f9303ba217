"""The workbook `optimizers`: seven ways to use the same gradient, step by step, and at several rates.

    SGD        w ← w - lr·g
    momentum   m ← momentum·m + (1 - dampening)·g, the first m is g (torch)      w ← w - lr·m
    averaged   m ← momentum·m + (1 - momentum)·g, from 0                         w ← w - lr·m
    RMSProp    v ← alpha·v + (1 - alpha)·g²                                      w ← w - lr·g / (√v + eps)
    Adam       both averages, each divided by 1 - beta^t                         w ← w - lr·m̂ / (√v̂ + eps)
    AdamW      w ← w·(1 - lr·weight_decay) before that

The problem is a line through 12 points, by the mean squared error of all of them, so that nothing but the
optimizer differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drivetrain.errors import ConfigError
from drivetrain.optim import optimizers as ours
from drivetrain.sheets.layout import central, heads, settings
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

STEPS, SHORT = 100, 40
"""Steps on the sheet of an optimizer; steps of each rate in the comparison."""
TRAIN, HELD = 12, 6
RATES = (0.01, 0.03, 0.1, 0.3)

PROBLEM, COMPARE, RUNS, FIRST = "Problem", "Compare", "All rates", "First steps"
NAMES = {
    "sgd": "SGD",
    "momentum": "Momentum",
    "dampened": "Dampened",
    "averaged": "Averaged",
    "rmsprop": "RMSProp",
    "adam": "Adam",
    "adamw": "AdamW",
}
OWN_RATES = {
    "sgd": 0.05,
    "momentum": 0.02,
    "dampened": 0.1,
    "averaged": 0.1,
    "rmsprop": 0.05,
    "adam": 0.3,
    "adamw": 0.3,
}
SETTINGS = {
    "momentum": 0.9,
    "dampening": 0.9,
    "alpha": 0.99,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.01,
}

_TOP = 5


@dataclass(frozen=True)
class Path:
    """Two weights while they learn, by torch, float64: row t is after t steps."""

    weights: Tensor  # (steps + 1, 2)
    slopes: Tensor  # (steps + 1, 2)
    first: Tensor  # (steps + 1, 2) the average of gradients, 0 where there is none
    second: Tensor  # (steps + 1, 2) of their squares


def optimizer(
    kind: str, params: list[Tensor], lr: float, given: dict[str, float]
) -> torch.optim.Optimizer:
    """The optimizer of a name, with the workbook's settings."""
    match kind:
        case "sgd":
            return torch.optim.SGD(params, lr=lr)
        case "momentum":
            return torch.optim.SGD(params, lr=lr, momentum=given["momentum"])
        case "dampened":
            dampening = given["dampening"]
            return torch.optim.SGD(params, lr=lr, momentum=given["momentum"], dampening=dampening)
        case "averaged":
            return ours.averaged_momentum(params, lr=lr, momentum=given["momentum"])
        case "rmsprop":
            return torch.optim.RMSprop(params, lr=lr, alpha=given["alpha"], eps=given["eps"])
        case "adam":
            betas = given["beta1"], given["beta2"]
            return torch.optim.Adam(params, lr=lr, betas=betas, eps=given["eps"])
        case "adamw":
            betas, decay = (given["beta1"], given["beta2"]), given["weight_decay"]
            return torch.optim.AdamW(
                params, lr=lr, betas=betas, eps=given["eps"], weight_decay=decay
            )
    raise AssertionError(kind)


def trained(
    kind: str, lr: float, given: dict[str, float], x: Tensor, y: Tensor, steps: int, start: Tensor
) -> Path:
    """Two weights trained by an optimizer on the mean squared error of a line."""
    weights = start.clone().requires_grad_()
    made = optimizer(kind, [weights], lr, given)
    rows: list[list[Tensor]] = [[], [], [], []]
    for _ in range(steps + 1):
        made.zero_grad()
        F.mse_loss(weights[0] * x + weights[1], y).backward()
        assert weights.grad is not None
        state = made.state.get(weights, {})
        nothing = torch.zeros(2, dtype=torch.float64)
        first = [
            one for key in ("momentum_buffer", "exp_avg") if (one := state.get(key)) is not None
        ]
        second = [
            one for key in ("square_avg", "exp_avg_sq") if (one := state.get(key)) is not None
        ]
        parts = (weights.detach(), weights.grad, *(s[0] if s else nothing for s in (first, second)))
        for kept, part in zip(rows, parts, strict=True):
            kept.append(part.clone())
        made.step()
    return Path(*(torch.stack(kept) for kept in rows))


def points(seed: int) -> tuple[Tensor, Tensor]:
    """(18,) x and y near y = 2x + 3; the last six are held out."""
    generator = torch.Generator().manual_seed(seed)
    x = (4 * torch.rand(TRAIN + HELD, generator=generator, dtype=torch.float64)).round(decimals=2)
    noise = torch.randn(TRAIN + HELD, generator=generator, dtype=torch.float64)
    return x, (2 * x + 3 + 0.5 * noise).round(decimals=2)


def build(*, seed: int = 42, **rates: float) -> Workbook:
    """The workbook.

    Args:
        seed: of the points.
        rates: the rate of an optimizer by its name, such as `adam=0.1`.

    Raises: ConfigError: a rate is not above 0, or is of no optimizer here.
    """
    for name, rate in rates.items():
        if name not in NAMES or not rate > 0:
            raise ConfigError(f"A rate is one of {', '.join(NAMES)}, above 0. Got {name}={rate}.")
    own = {**OWN_RATES, **rates}
    x, y = points(seed)
    start = torch.zeros(2, dtype=torch.float64)
    book = Workbook(
        "Optimizers",
        "One line, 12 points, seven optimizers: what each remembers, and what it makes of a gradient.",
    )
    book.guide(
        what="'Problem' holds the points and every setting. 'Compare' has the loss of every "
        "optimizer, and a table of its last loss at four rates. Then a sheet for each optimizer "
        "with 100 steps: loss, slopes by hand and by differences, what it remembers, its move. "
        "'First steps' are the sums that a book does by hand. 'All rates' is what the table is "
        "made from.",
        change=[
            (
                "lr_momentum and lr_averaged: both to 0.5",
                "Undamped momentum adds gradients up, as far as ten in one direction, so it "
                "stands for ten times the rate: its loss runs away. The averaged one ends at "
                "the best loss, 0.144.",
            ),
            (
                "eps: 0.00000001 to 10",
                "RMSProp is slow, 1.35 after 100 steps: the root is small beside eps, so it is "
                "gradient descent at lr / 10. Adam slows as well, and stops swinging.",
            ),
            (
                "beta2: 0.999 to 0.5",
                "The size of a step follows the last gradients alone: Adam swings, and is at "
                "0.42 after 100 steps where it was at 0.145.",
            ),
            (
                "weight_decay: 0.01 to 0.5",
                "AdamW pulls a to 1.6 and b to 1.7, and ends with a loss of 3.7. Adam does not "
                "read this cell.",
            ),
            (
                "a rate in the table of 'Compare'",
                "Its column is trained anew. SGD runs away above 2 / curvature; Adam moves about lr in "
                "each step, whatever the size of the gradient.",
            ),
        ],
    )
    _problem(book.sheet(PROBLEM), x, y, own)
    compare = book.sheet(COMPARE)
    paths = {
        kind: trained(kind, own[kind], SETTINGS, x[:TRAIN], y[:TRAIN], STEPS, start)
        for kind in NAMES
    }
    for kind in NAMES:
        _steps(book.sheet(NAMES[kind]), kind, paths[kind], x, y)
    _first(book.sheet(FIRST))
    runs = {
        (kind, lr): trained(kind, lr, SETTINGS, x[:TRAIN], y[:TRAIN], SHORT, start)
        for kind in NAMES
        for lr in RATES
    }
    _runs(book.sheet(RUNS), runs)
    _compare(compare, paths, runs, x, y)
    return book


# --- formulas of an update --------------------------------------------------------------------------


def state_formulas(kind: str, m: str, v: str, g: str, *, first: bool) -> tuple[str, str]:
    """The two averages after a step, from those before it and the gradient; empty where there is none."""
    average = {
        "momentum": g if first else f"momentum*{m}+{g}",
        "dampened": g if first else f"momentum*{m}+(1-dampening)*{g}",
        "averaged": f"momentum*{m}+(1-momentum)*{g}",
        "adam": f"beta1*{m}+(1-beta1)*{g}",
        "adamw": f"beta1*{m}+(1-beta1)*{g}",
    }
    square = {
        "rmsprop": f"alpha*{v}+(1-alpha)*{g}^2",
        "adam": f"beta2*{v}+(1-beta2)*{g}^2",
        "adamw": f"beta2*{v}+(1-beta2)*{g}^2",
    }
    return average.get(kind, ""), square.get(kind, "")


def direction(kind: str, g: str, m: str, v: str, t: str) -> str:
    """What is multiplied with the rate, from the averages after the step."""
    if kind == "sgd":
        return g
    if kind == "rmsprop":
        return f"{g}/(SQRT({v})+eps)"
    if kind in ("adam", "adamw"):
        return f"({m}/(1-beta1^{t}))/(SQRT({v}/(1-beta2^{t}))+eps)"
    return m


def weight_formula(kind: str, w: str, lr: str, move: str) -> str:
    """The new weight."""
    return f"{w}*(1-{lr}*weight_decay)-{lr}*{move}" if kind == "adamw" else f"{w}-{lr}*{move}"


def _data(column: int, first: int, count: int) -> str:
    return block(_TOP + first, column, count, 1, sheet=PROBLEM)


_X, _Y = _data(1, 0, TRAIN), _data(2, 0, TRAIN)
_HELD_X, _HELD_Y = _data(1, TRAIN, HELD), _data(2, TRAIN, HELD)


def _loss(a: str, b: str, x: str = _X, y: str = _Y, count: int = TRAIN) -> str:
    return f"SUMPRODUCT(({a}*{x}+{b}-{y})^2)/{count}"


# --- sheets -----------------------------------------------------------------------------------------


def _problem(sheet: Sheet, x: Tensor, y: Tensor, own: dict[str, float]) -> None:
    sheet.text(0, 0, "The points, and every setting", style="title")
    sheet.text(
        1,
        0,
        "Points near y = 2x + 3. The loss is the mean squared error of y = a·x + b over the "
        "first 12; six are held out.",
    )
    heads(sheet, _TOP - 1, 0, ("point", "x", "y", "used to"))
    for k in range(TRAIN + HELD):
        sheet.number(_TOP + k, 0, k + 1, style="index")
        sheet.text(_TOP + k, 3, "learn" if k < TRAIN else "hold out")
    sheet.inputs(_TOP, 1, torch.stack([x, y], dim=1).tolist())
    sheet.text(_TOP - 1, 5, "Rates on the sheet of each optimizer", style="head")
    settings(
        *(sheet, _TOP, 5),
        [(f"lr of {NAMES[kind]}", f"lr_{kind}", own[kind], "above 0") for kind in NAMES],
    )
    notes = {
        "momentum": "0 to 1: what is kept of the old",
        "dampening": "0 to 1: of Dampened",
        "alpha": "0 to 1: RMSProp's average of squares",
        "beta1": "0 to 1: Adam's average of gradients",
        "beta2": "0 to 1: Adam's average of squares",
        "eps": "above 0: added to the root",
        "weight_decay": "0 or more: AdamW alone",
    }
    top = _TOP + len(NAMES) + 2
    sheet.text(top - 1, 5, "What they share", style="head")
    shared = [(name, name, SETTINGS[name], notes[name]) for name in SETTINGS]
    shared += [("start of a", "start_a", 0.0, ""), ("start of b", "start_b", 0.0, "")]
    shared += [("h, of differences", "h", 1e-4, "small, not 0")]
    settings(sheet, top, 5, shared)
    a, b = torch.linalg.lstsq(
        torch.stack([x, torch.ones_like(x)], 1)[:TRAIN], y[:TRAIN, None]
    ).solution[:, 0]
    row = _TOP + TRAIN + HELD + 1
    sheet.text(row, 0, "least squares:")
    for line, (name, formula, value) in enumerate(
        (("a", f"SLOPE({_Y},{_X})", a), ("b", f"INTERCEPT({_Y},{_X})", b)), start=row
    ):
        sheet.text(line, 2, name)
        sheet.formula(line, 3, formula, value)
        sheet.check(f"{name} by least squares", at(line, 3), value)
    best = F.mse_loss(a * x[:TRAIN] + b, y[:TRAIN])
    sheet.text(row + 2, 2, "loss")
    sheet.formula(row + 2, 3, _loss(at(row, 3), at(row + 1, 3)), best)
    sheet.define("best_loss", row + 2, 3)


_COLUMNS = ("a", "b", "loss", "held out", "slope a", "slope b", "by differences", "by differences")


def _steps(sheet: Sheet, kind: str, path: Path, x: Tensor, y: Tensor) -> None:
    """100 steps of one optimizer; row t is after t steps, its averages are those that made it."""
    rules = {
        "sgd": "w ← w - lr · g",
        "momentum": "m ← momentum · m + g        w ← w - lr · m",
        "dampened": "m ← momentum · m + (1 - dampening) · g, the first m is g as in torch      "
        "  w ← w - lr · m",
        "averaged": "m ← momentum · m + (1 - momentum) · g, from 0        w ← w - lr · m",
        "rmsprop": "v ← alpha · v + (1 - alpha) · g²        w ← w - lr · g / (√v + eps)",
        "adam": "m̂ = m / (1 - beta1^t),  v̂ = v / (1 - beta2^t)        w ← w - lr · m̂ / (√v̂ + eps)",
        "adamw": "as Adam, after w ← w · (1 - lr · weight_decay)",
    }
    sheet.text(0, 0, NAMES[kind], style="title")
    sheet.text(1, 0, rules[kind])
    sheet.text(
        2,
        0,
        "Row t is after t steps. m and v of a row were made from the slopes of the row above, "
        "and made its a and b.",
    )
    has_m, has_v = (bool(one) for one in state_formulas(kind, "m", "v", "g", first=False))
    titles = ["m of a", "m of b"] * has_m + ["v of a", "v of b"] * has_v
    hats = kind in ("adam", "adamw")
    titles += ["m̂ of a", "m̂ of b", "v̂ of a", "v̂ of b"] * hats
    m_left = 9
    v_left = m_left + 2 * has_m
    hat_left = v_left + 2 * has_v
    check_left = m_left + len(titles)
    heads(sheet, _TOP - 1, 0, ("t", *_COLUMNS, *titles, "torch's a", "", "torch's b", ""))
    lr = f"lr_{kind}"
    for t in range(STEPS + 1):
        row, before = _TOP + t, _TOP + t - 1
        sheet.number(row, 0, t, style="index")
        a, b = at(row, 1), at(row, 2)
        w, g = path.weights[t], path.slopes[t]
        for i in range(2):
            m, v = at(row, m_left + i), at(row, v_left + i)
            old_m, old_v, old_g = (at(before, left + i) for left in (m_left, v_left, 5))
            states = state_formulas(kind, old_m, old_v, old_g, first=t == 1)
            for left, formula, value in (
                (m_left, states[0], path.first[t, i]),
                (v_left, states[1], path.second[t, i]),
            ):
                if formula and t:
                    sheet.formula(row, left + i, formula, value)
                elif formula:
                    sheet.number(row, left + i, 0)
            if hats and t:
                beta = SETTINGS["beta1"], SETTINGS["beta2"]
                sheet.formula(
                    row,
                    hat_left + i,
                    f"{m}/(1-beta1^{at(row, 0)})",
                    path.first[t, i] / (1 - beta[0] ** t),
                )
                sheet.formula(
                    row,
                    hat_left + 2 + i,
                    f"{v}/(1-beta2^{at(row, 0)})",
                    path.second[t, i] / (1 - beta[1] ** t),
                )
            move = direction(kind, old_g, m, v, at(row, 0))
            if hats:
                move = f"{at(row, hat_left + i)}/(SQRT({at(row, hat_left + 2 + i)})+eps)"
            formula = weight_formula(kind, at(before, 1 + i), lr, move) if t else f"start_{'ab'[i]}"
            sheet.formula(row, 1 + i, formula, w[i])
            sheet.check(
                f"{'ab'[i]} after step {t}", at(row, 1 + i), w[i], place=(row, check_left + 2 * i)
            )
        train = F.mse_loss(w[0] * x[:TRAIN] + w[1], y[:TRAIN])
        held = F.mse_loss(w[0] * x[TRAIN:] + w[1], y[TRAIN:])
        sheet.formula(row, 3, _loss(a, b), train)
        sheet.formula(row, 4, _loss(a, b, _HELD_X, _HELD_Y, HELD), held)
        sheet.formula(row, 5, f"2*SUMPRODUCT({a}*{_X}+{b}-{_Y},{_X})/{TRAIN}", g[0])
        sheet.formula(row, 6, f"2*SUMPRODUCT({a}*{_X}+{b}-{_Y})/{TRAIN}", g[1])
        sheet.formula(row, 7, central(_loss(f"({a}+h)", b), _loss(f"({a}-h)", b), "h"), g[0])
        sheet.formula(row, 8, central(_loss(a, f"({b}+h)"), _loss(a, f"({b}-h)"), "h"), g[1])
    sheet.freeze(_TOP, 1)


def _first(sheet: Sheet) -> None:
    """The sums that are done by hand: three equal gradients, and the first step of RMSProp and Adam."""
    sheet.text(0, 0, "The sums that are done by hand", style="title")
    settings(
        *(sheet, 2, 0),
        [
            ("the weight", "weight", 5.0, "any number"),
            ("its gradient, three times", "gradient", 4.0, "not 0"),
            ("the rate", "hand_lr", 0.1, "above 0"),
        ],
    )
    heads(sheet, 7, 0, ("three equal gradients", "m 1", "m 2", "m 3", "torch", ""))
    weight = torch.tensor([5.0], dtype=torch.float64, requires_grad=True)
    for row, (name, kind) in enumerate(
        (
            ("momentum as torch has it: it adds up", "momentum"),
            ("averaged: it stays a gradient", "averaged"),
        ),
        start=8,
    ):
        with torch.no_grad():
            weight.fill_(5.0)
        made = optimizer(kind, [weight], 0.1, SETTINGS)
        sheet.text(row, 0, name)
        value = torch.zeros(1)
        for t in range(3):
            weight.grad = torch.full_like(weight, 4.0)
            made.step()
            state = made.state[weight]
            value = state["momentum_buffer"].clone()
            formula, _ = state_formulas(
                kind, at(row, t) if t else "0", "", "gradient", first=t == 0
            )
            sheet.formula(row, 1 + t, formula, value)
        sheet.check(name, at(row, 3), value, place=(row, 4))
    heads(sheet, 12, 0, ("the first step", "move: lr · direction", "new weight", "", "torch", ""))
    for row, kind in enumerate(NAMES, start=13):
        start = torch.tensor([5.0], dtype=torch.float64, requires_grad=True)
        made = optimizer(kind, [start], 0.1, SETTINGS)
        start.grad = torch.full_like(start, 4.0)
        made.step()
        m, v = state_formulas(kind, "0", "0", "gradient", first=True)
        move = direction(kind, "gradient", f"({m})", f"({v})", "1")
        sheet.text(row, 0, NAMES[kind])
        lost = 5.0 * 0.1 * SETTINGS["weight_decay"] if kind == "adamw" else 0.0
        sheet.formula(row, 1, f"hand_lr*{move}", 5.0 - float(start.detach()) - lost)
        sheet.formula(row, 2, weight_formula(kind, "weight", "hand_lr", move), start.detach())
        sheet.check(f"the first step of {NAMES[kind]}", at(row, 2), start.detach(), place=(row, 4))
    sheet.text(
        22,
        0,
        "RMSProp's first move is lr / √(1 - alpha), ten times lr: its average of squares "
        "starts at 0 and nothing corrects that.",
    )
    sheet.text(
        23,
        0,
        "Adam's first move is lr, whatever the gradient: both averages are corrected, and m̂ / "
        "√v̂ is the gradient's sign.",
    )


_WIDTH = 6
"""Columns of one run on `All rates`: a, b, m of both, v of both."""
_STRIP = SHORT + 5


def _run_place(kind: str, rate: int) -> tuple[int, int]:
    """Where a run's first row begins on `All rates`."""
    return 4 + list(NAMES).index(kind) * _STRIP, 1 + rate * _WIDTH


def _runs(sheet: Sheet, runs: dict[tuple[str, float], Path]) -> None:
    """Every optimizer at every rate, 40 steps."""
    sheet.text(
        0,
        0,
        f"Every optimizer at four rates, {SHORT} steps: what the table on 'Compare' is made from",
        style="title",
    )
    for kind in NAMES:
        top, _ = _run_place(kind, 0)
        sheet.text(top - 2, 0, NAMES[kind], style="head")
        for t in range(SHORT + 1):
            sheet.number(top + t, 0, t, style="index")
        for place, rate in enumerate(RATES):
            path = runs[kind, rate]
            _, left = _run_place(kind, place)
            heads(sheet, top - 1, left, ("a", "b", "m a", "m b", "v a", "v b"))
            lr = f"rate_{place + 1}"
            sheet.formula(top - 2, left + 1, f'"lr "&{lr}', f"lr {rate:g}")
            for t in range(SHORT + 1):
                row, before = top + t, top + t - 1
                a, b = at(before, left), at(before, left + 1)
                slopes = (
                    f"(2*({a}*mean_xx+{b}*mean_x-mean_xy))",
                    f"(2*({a}*mean_x+{b}-mean_y))",
                )
                for i in range(2):
                    if not t:
                        sheet.formula(row, left + i, f"start_{'ab'[i]}", path.weights[0, i])
                        for place_ in (2, 4):
                            sheet.number(row, left + place_ + i, 0)
                        continue
                    m, v = at(row, left + 2 + i), at(row, left + 4 + i)
                    old_m, old_v = at(before, left + 2 + i), at(before, left + 4 + i)
                    states = state_formulas(kind, old_m, old_v, slopes[i], first=t == 1)
                    for offset, formula, value in (
                        (2, states[0], path.first[t, i]),
                        (4, states[1], path.second[t, i]),
                    ):
                        if formula:
                            sheet.formula(row, left + offset + i, formula, value)
                    move = direction(kind, slopes[i], m, v, at(row, 0))
                    formula = weight_formula(kind, at(before, left + i), lr, move)
                    sheet.formula(row, left + i, formula, path.weights[t, i])
    sheet.freeze(2, 1)


def _compare(
    sheet: Sheet, paths: dict[str, Path], runs: dict[tuple[str, float], Path], x: Tensor, y: Tensor
) -> None:
    """The table of last losses, the means that the runs need, and the curves."""
    sheet.text(0, 0, "Seven optimizers beside one another", style="title")
    sheet.text(
        1,
        0,
        f"The loss after {SHORT} steps at four rates; then that of the held-out points. The "
        f"rates are yours to change.",
    )
    sheet.text(3, 0, "optimizer", style="head")
    sheet.text(2, 1, "loss on the points learnt from", style="head")
    sheet.text(2, 6, "loss on the points held out", style="head")
    for place, rate in enumerate(RATES):
        sheet.input(3, 1 + place, rate, name=f"rate_{place + 1}", note="above 0")
        sheet.formula(3, 6 + place, f"rate_{place + 1}", rate)
    for line, kind in enumerate(NAMES, start=4):
        sheet.text(line, 0, NAMES[kind])
        for place, rate in enumerate(RATES):
            top, left = _run_place(kind, place)
            a, b = (at(top + SHORT, left + i, sheet=RUNS) for i in (0, 1))
            w = runs[kind, rate].weights[-1]
            train = F.mse_loss(w[0] * x[:TRAIN] + w[1], y[:TRAIN])
            held = F.mse_loss(w[0] * x[TRAIN:] + w[1], y[TRAIN:])
            sheet.formula(line, 1 + place, _loss(a, b), train)
            sheet.formula(line, 6 + place, _loss(a, b, _HELD_X, _HELD_Y, HELD), held)
            sheet.check(f"{NAMES[kind]} at {rate:g}: loss", at(line, 1 + place), train)
            sheet.check(f"{NAMES[kind]} at {rate:g}: held-out loss", at(line, 6 + place), held)
    means = (
        ("mean of x", "mean_x", f"AVERAGE({_X})", x[:TRAIN].mean()),
        ("mean of y", "mean_y", f"AVERAGE({_Y})", y[:TRAIN].mean()),
        ("mean of x²", "mean_xx", f"SUMSQ({_X})/{TRAIN}", x[:TRAIN].square().mean()),
        ("mean of x·y", "mean_xy", f"SUMPRODUCT({_X},{_Y})/{TRAIN}", (x * y)[:TRAIN].mean()),
    )
    for line, (words, name, formula, value) in enumerate(means, start=3):
        sheet.text(line, 11, words)
        sheet.formula(line, 12, formula, value)
        sheet.define(name, line, 12)
    top = 13
    sheet.text(
        top - 2, 0, "Loss after each step, each at its own rate (sheet 'Problem')", style="head"
    )
    heads(sheet, top - 1, 0, ("step", *NAMES.values()))
    for t in range(STEPS + 1):
        sheet.number(top + t, 0, t, style="index")
        for place, kind in enumerate(NAMES, start=1):
            w = paths[kind].weights[t]
            value = F.mse_loss(w[0] * x[:TRAIN] + w[1], y[:TRAIN])
            sheet.formula(top + t, place, at(_TOP + t, 3, sheet=NAMES[kind]), value)
    rows = STEPS + 1
    series = [(NAMES[kind], block(top, 1 + k, rows, 1)) for k, kind in enumerate(NAMES)]
    steps = block(top, 0, rows, 1)
    sheet.chart("Loss", series, x=steps, place=(top - 1, 9), size=(520, 300), log=True)
    held = [
        (f"{NAMES[kind]}, {what}", block(_TOP, column, rows, 1, sheet=NAMES[kind]))
        for kind in ("adam", "sgd")
        for what, column in (("learnt from", 3), ("held out", 4))
    ]
    sheet.chart("Learnt from and held out", held, x=steps, place=(top + 17, 9), log=True)
