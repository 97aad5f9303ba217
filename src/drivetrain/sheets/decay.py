"""The workbook `decay`: three ways to write weight decay, one switch, and what decay does to a fit.

    1  in the loss, as it is written     loss + wd·w²        gradient + 2·wd·w
    2  torch's and fastai's L2           gradient + wd·w
    3  decoupled (AdamW)                 w ← w·(1 - lr·wd) - lr·gradient

One step from 5 with gradient 4, lr 0.1 and wd 0.01 gives 4.59 the first way and 4.595 the other two. For
plain descent the last two are the same; under Adam they are not. Paper: Loshchilov and Hutter 2017,
arXiv:1711.05101.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drivetrain.errors import ConfigError
from drivetrain.sheets.layout import central, heads, settings
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

FORMS = {1: "in the loss: + wd · w²", 2: "L2 of torch and fastai", 3: "decoupled"}
FEATURES, TRAIN, HELD, STEPS = 8, 10, 24, 60

ONE, DATA, PLAIN, DECAYED, CURVE = "One step", "Rows", "Without decay", "With decay", "Curve"

_TOP = 6


@dataclass(frozen=True)
class Path:
    """Weights while they learn, by torch, float64: row k is after k steps."""

    weights: Tensor  # (STEPS + 1, FEATURES)
    losses: Tensor  # (STEPS + 1,) of the data alone
    held: Tensor  # (STEPS + 1,)


def stepped(
    form: int,
    weight: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    lr: float,
    wd: float,
    *,
    adam: bool = False,
) -> Tensor:
    """A weight after one step by torch; `adam` with its usual settings, else plain descent."""
    moved = weight.clone().requires_grad_()
    kinds: dict[int, Callable[[], torch.optim.Optimizer]] = {
        1: lambda: (torch.optim.Adam if adam else torch.optim.SGD)([moved], lr=lr),
        2: lambda: (torch.optim.Adam if adam else torch.optim.SGD)([moved], lr=lr, weight_decay=wd),
        3: lambda: torch.optim.AdamW([moved], lr=lr, weight_decay=wd),
    }
    loss = loss_of(moved)
    if form == 1:
        loss = loss + wd * moved.square().sum()
    loss.backward()
    if form == 3 and not adam:  # torch has no SGDW: shrink, then step
        with torch.no_grad():
            moved.mul_(1 - lr * wd)
        torch.optim.SGD([moved], lr=lr).step()
    else:
        kinds[form]().step()
    return moved.detach()


def rows(seed: int) -> tuple[Tensor, Tensor]:
    """(34, 8) features and (34,) targets, of which two features decide; the last 24 are held out."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(TRAIN + HELD, FEATURES, generator=generator, dtype=torch.float64).round(
        decimals=2
    )
    noise = torch.randn(TRAIN + HELD, generator=generator, dtype=torch.float64)
    return x, (1.5 * x[:, 0] - x[:, 1] + 0.8 * noise).round(decimals=2)


def trained(form: int, x: Tensor, y: Tensor, lr: float, wd: float) -> Path:
    """Weights trained on the first rows by full-batch descent from 0."""
    weights = torch.zeros(FEATURES, dtype=torch.float64)
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(STEPS + 1):
        train, held = (
            F.mse_loss(x[part] @ weights, y[part]) for part in (slice(TRAIN), slice(TRAIN, None))
        )
        kept.append((weights, train, held))
        weights = stepped(form, weights, lambda w: F.mse_loss(x[:TRAIN] @ w, y[:TRAIN]), lr, wd)
    return Path(*(torch.stack(column) for column in zip(*kept, strict=True)))


def build(
    *,
    form: int = 2,
    lr: float = 0.1,
    wd: float = 0.01,
    fit_lr: float = 0.1,
    fit_wd: float = 0.3,
    seed: int = 17,
) -> Workbook:
    """The workbook.

    Args:
        form: 1 in the loss, 2 as torch and fastai, 3 decoupled.
        lr, wd: rate and decay of the one step from 5.
        fit_lr, fit_wd: those of the fit.
        seed: of the rows.

    Raises: ConfigError: `form` is none of the three, a rate is not above 0, or a decay is below 0.
    """
    if form not in FORMS:
        raise ConfigError(f"`form` must be 1, 2 or 3. Got {form}.")
    if not (lr > 0 and fit_lr > 0 and wd >= 0 and fit_wd >= 0):
        raise ConfigError(
            f"Rates must be above 0, decays 0 or more. Got lr={lr}, wd={wd}, fit_lr={fit_lr}, "
            f"fit_wd={fit_wd}."
        )
    book = Workbook(
        "Weight decay",
        "Three ways to write it, which differ by a factor of two and under Adam; and what it "
        "does to a fit.",
    )
    book.guide(
        what="'One step' works 4.59 and 4.595 out, by a switch, and the same under Adam. "
        "'Rows' holds ten rows with eight features, of which two matter, and 24 rows that are "
        "held out. 'Without decay' and 'With decay' train on the ten in 60 steps; 'Curve' "
        "compares them.",
        change=[
            (
                "form: 2 to 1",
                "One step: 4.595 becomes 4.59. The penalty wd·w² has the slope 2·wd·w.",
            ),
            (
                "wd: 0.01 to 0.02, form 2",
                "4.59 as well: twice the decay is the factor that was left out.",
            ),
            (
                "grad: 4 to 400",
                "Under Adam the first two forms hardly change: the size of the gradient is "
                "divided out, and the decay with it. Decoupled decay still takes lr·wd·w.",
            ),
            (
                "fit_wd: 0.3 to 0",
                "Both fits are the same: the loss falls to 0.28, the held-out loss falls to "
                "0.78 and then rises to 2.43, since eight weights learn the noise of ten rows. "
                "With 0.3 it ends at 1.08.",
            ),
            (
                "fit_wd: 0.3 to 3",
                "Too much: the weights that matter are pulled to 0 as well, and both losses "
                "stay at 1.4.",
            ),
        ],
    )
    x, y = rows(seed)
    _one(book.sheet(ONE), form, lr, wd)
    _rows(book.sheet(DATA), x, y, fit_lr, fit_wd)
    curve = book.sheet(CURVE)
    paths = {PLAIN: trained(form, x, y, fit_lr, 0.0), DECAYED: trained(form, x, y, fit_lr, fit_wd)}
    for name, path in paths.items():
        _fit(book.sheet(name), name, path, x, y, 0.0 if name == PLAIN else fit_wd, form)
    _curve(curve, paths)
    return book


def _one(sheet: Sheet, form: int, lr: float, wd: float) -> None:
    sheet.text(0, 0, "One step with weight decay", style="title")
    settings(
        *(sheet, 2, 0),
        [
            ("w, the weight", "w", 5.0, "any number"),
            ("grad, its gradient without decay", "grad", 4.0, "any number"),
            ("lr", "lr", lr, "above 0"),
            ("wd", "wd", wd, "0 or more"),
            ("form", "form", float(form), "1 in the loss, 2 as torch and fastai, 3 decoupled"),
            ("eps of Adam", "eps", 1e-8, "above 0"),
        ],
    )
    sheet.text(9, 0, "new w, by the switch", style="head")
    start = torch.tensor([5.0], dtype=torch.float64)

    def after(number: int, *, adam: bool) -> Tensor:
        return stepped(number, start, lambda one: (4.0 * one).sum(), lr, wd, adam=adam)

    titles = (
        "",
        "gradient that is used",
        "w · (1 - …)",
        "plain: new w",
        "torch",
        "",
        "Adam: new w",
        "torch",
        "",
    )
    heads(sheet, 11, 0, ("all three", *titles[1:]))
    gradients = ("grad+2*wd*w", "grad+wd*w", "grad")
    for number, gradient in enumerate(gradients, start=1):
        row = 11 + number
        extra = (2 * wd * 5, wd * 5, 0.0)[number - 1]
        shrink = 1 - lr * wd if number == 3 else 1.0
        sheet.text(row, 0, f"{number}  {FORMS[number]}")
        sheet.formula(row, 1, gradient, 4 + extra)
        sheet.formula(row, 2, "w*(1-lr*wd)" if number == 3 else "w", 5 * shrink)
        plain, adam = after(number, adam=False), after(number, adam=True)
        sheet.formula(row, 3, f"{at(row, 2)}-lr*{at(row, 1)}", plain)
        sheet.check(f"plain step, form {number}", at(row, 3), plain, place=(row, 4))
        # Adam's first step: m̂ is the gradient, the root of v̂ its size
        sheet.formula(row, 6, f"{at(row, 2)}-lr*{at(row, 1)}/(ABS({at(row, 1)})+eps)", adam)
        sheet.check(f"Adam's first step, form {number}", at(row, 6), adam, place=(row, 7))
    chosen = f"CHOOSE(form,{','.join(at(11 + number, 3) for number in FORMS)})"
    sheet.formula(9, 1, chosen, after(form, adam=False))
    sheet.define("new_w", 9, 1)
    sheet.check("new w", at(9, 1), after(form, adam=False), place=(9, 2))
    sheet.text(17, 0, "The penalty of form 1 by differences, h = 0.001:")
    slope = central("wd*(w+0.001)^2", "wd*(w-0.001)^2", "0.001")
    sheet.formula(17, 4, slope, 2 * wd * 5)
    sheet.text(18, 0, "and 2 · wd · w:")
    sheet.formula(18, 4, "2*wd*w", 2 * wd * 5)


_LEFT = 1
_TARGET = _LEFT + FEATURES
_GRAM = _TOP + TRAIN + HELD + 3
"""First row of the matrices on the sheet of rows."""


def _rows(sheet: Sheet, x: Tensor, y: Tensor, lr: float, wd: float) -> None:
    sheet.text(0, 0, "Ten rows to learn from, 24 held out", style="title")
    sheet.text(
        1,
        0,
        "y = 1.5·x1 - x2 and noise of spread 0.8: the other six features say nothing about it.",
    )
    titles = [f"x{j + 1}" for j in range(FEATURES)]
    heads(sheet, _TOP - 1, 0, ("row", *titles, "y", "used to"))
    for k in range(TRAIN + HELD):
        sheet.number(_TOP + k, 0, k + 1, style="index")
        sheet.text(_TOP + k, _TARGET + 1, "learn" if k < TRAIN else "hold out")
    sheet.inputs(_TOP, _LEFT, torch.cat([x, y[:, None]], dim=1).tolist())
    settings(
        *(sheet, _TOP, _TARGET + 3),
        [("fit_lr", "fit_lr", lr, "above 0"), ("fit_wd", "fit_wd", wd, "0 or more")],
    )
    sheet.text(_TOP + 3, _TARGET + 3, "The form of decay is that of 'One step'.")
    for part, (name, first, count) in enumerate(
        (("learnt from", 0, TRAIN), ("held out", TRAIN, HELD))
    ):
        top = _GRAM + part * (FEATURES + 4)
        sheet.text(
            top - 2,
            0,
            f"Means of the products of two features ({name}); then of feature and y; then of "
            f"y²: all that a loss needs of the rows",
            style="head",
        )
        heads(sheet, top - 1, _LEFT, (*titles, "times y", "y²"))
        own, target = x[first : first + count], y[first : first + count]
        ys = block(_TOP + first, _TARGET, count, 1)
        for i in range(FEATURES):
            sheet.text(top + i, 0, titles[i])
            one = block(_TOP + first, _LEFT + i, count, 1)
            for j in range(FEATURES):
                other = block(_TOP + first, _LEFT + j, count, 1)
                value = (own[:, i] * own[:, j]).mean()
                sheet.formula(top + i, _LEFT + j, f"SUMPRODUCT({one},{other})/{count}", value)
            sheet.formula(
                top + i, _TARGET, f"SUMPRODUCT({one},{ys})/{count}", (own[:, i] * target).mean()
            )
        sheet.formula(top, _TARGET + 1, f"SUMSQ({ys})/{count}", target.square().mean())


def _moments(part: int) -> tuple[int, str, str]:
    """Of the rows learnt from (0) or held out (1): first row, the matrix, the mean of y²."""
    top = _GRAM + part * (FEATURES + 4)
    matrix = block(top, _LEFT, FEATURES, FEATURES, sheet=DATA)
    return top, matrix, at(top, _TARGET + 1, sheet=DATA)


def _fit(sheet: Sheet, name: str, path: Path, x: Tensor, y: Tensor, wd: float, form: int) -> None:
    """Row k is after k steps: weights, slopes of the loss without decay, losses."""
    decay = "0" if name == PLAIN else "fit_wd"
    sheet.text(0, 0, f"{name}: {STEPS} steps on ten rows", style="title")
    sheet.text(
        1,
        0,
        "Slope of w = 2 · (row of the matrix · w - mean of feature times y). Loss = w · "
        "(matrix · w) - 2 · w · (means) + mean of y².",
    )
    titles = [f"w{j + 1}" for j in range(FEATURES)]
    slopes = [f"slope {j + 1}" for j in range(FEATURES)]
    heads(
        sheet,
        _TOP - 1,
        0,
        ("step", *titles, *slopes, "loss", "held out", "sum of w²", "torch's loss", ""),
    )
    train_top, train_matrix, train_y = _moments(0)
    held_top, held_matrix, held_y = _moments(1)
    means = [block(top, _TARGET, FEATURES, 1, sheet=DATA) for top in (train_top, held_top)]
    end = 1 + 2 * FEATURES
    for k in range(STEPS + 1):
        row = _TOP + k
        sheet.number(row, 0, k, style="index")
        own = block(row, 1, 1, FEATURES)
        gradient = 2 * x[:TRAIN].T @ (x[:TRAIN] @ path.weights[k] - y[:TRAIN]) / TRAIN
        for j in range(FEATURES):
            w, g = at(row - 1, 1 + j), at(row - 1, 1 + FEATURES + j)
            formula = (
                f"IF(form=3,{w}*(1-fit_lr*{decay}),{w})"
                f"-fit_lr*({g}+IF(form=1,2,IF(form=2,1,0))*{decay}*{w})"
            )
            if k:
                sheet.formula(row, 1 + j, formula, path.weights[k, j])
            else:
                sheet.number(row, 1 + j, 0)
            line = block(train_top + j, _LEFT, 1, FEATURES, sheet=DATA)
            mean = at(train_top + j, _TARGET, sheet=DATA)
            slope = f"2*(SUMPRODUCT({line},{own})-{mean})"
            sheet.formula(row, 1 + FEATURES + j, slope, gradient[j])
            if k % 10 == 0:
                sheet.check(f"w{j + 1} after step {k}", at(row, 1 + j), path.weights[k, j])
        for place, (matrix, mean, square, value) in enumerate(
            (
                (train_matrix, means[0], train_y, path.losses[k]),
                (held_matrix, means[1], held_y, path.held[k]),
            )
        ):
            cross = f"SUMPRODUCT(MMULT({own},{mean}))"
            formula = f"SUMPRODUCT(MMULT({own},{matrix}),{own})-2*{cross}+{square}"
            sheet.formula(row, end + place, formula, value)
        sheet.check(f"held-out loss after step {k}", at(row, end + 1), path.held[k])
        sheet.formula(row, end + 2, f"SUMSQ({own})", path.weights[k].square().sum())
        sheet.check(f"loss after step {k}", at(row, end), path.losses[k], place=(row, end + 3))
    sheet.freeze(_TOP, 1)


def _curve(sheet: Sheet, paths: dict[str, Path]) -> None:
    sheet.text(0, 0, "Without and with decay", style="title")
    sheet.text(1, 0, "The loss is that of the data, without the penalty.")
    sheet.text(_TOP - 2, 1, PLAIN, style="head")
    sheet.text(_TOP - 2, 4, DECAYED, style="head")
    titles = ("loss", "held out", "sum of w²")
    heads(sheet, _TOP - 1, 0, ("step", *titles, *titles))
    end = 1 + 2 * FEATURES
    for k in range(STEPS + 1):
        sheet.number(_TOP + k, 0, k, style="index")
        for left, (name, path) in zip((1, 4), paths.items(), strict=True):
            values = (path.losses[k], path.held[k], path.weights[k].square().sum())
            for place, value in enumerate(values):
                sheet.formula(_TOP + k, left + place, at(_TOP + k, end + place, sheet=name), value)
    count = STEPS + 1
    names = ("without", "without, held out", "with", "with, held out")
    series = [
        (title, block(_TOP, c, count, 1)) for title, c in zip(names, (1, 2, 4, 5), strict=True)
    ]
    steps = block(_TOP, 0, count, 1)
    sheet.chart("Loss", series, x=steps, place=(3, 8), size=(600, 330))
    sizes = [("without", block(_TOP, 3, count, 1)), ("with", block(_TOP, 6, count, 1))]
    sheet.chart("Sum of w²", sizes, x=steps, place=(22, 8), size=(600, 280))
    sheet.freeze(_TOP)
