"""The workbook `softmax`: from outputs to probabilities, to a loss, to gradients, and a fit that learns.

    p = exp(z - max z) / sum of exp(z - max z)        loss = -sum of target · ln p
    gradient of the loss at z = p - target

Logarithms are natural, as everywhere in torch; base 10 stands beside them once, as the slip that it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivetrain.errors import ConfigError
from drivetrain.sheets.layout import central, heads, settings
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

CLASSES = ("cat", "dog", "plane", "fish", "building")
OUTPUTS = (-4.885, 2.597, 0.592, -2.069, -4.569)
BINARY = ((1, 0.5), (1, 0.98), (0, 0.9), (0, 0.5), (1, 0.9))
"""Is it a cat, and the probability that was said."""
MIXED, TRAIN, HELD, STEPS = 10, 12, 6, 30

ONE, SOFT, YES_NO, BOOK, CURVE, LEARN = (
    "Softmax",
    "Soft targets",
    "Yes or no",
    "Six rows",
    "Curve",
    "Steps",
)


@dataclass(frozen=True)
class Fit:
    """A softmax regression while it learns, by torch, float64: row k is after k steps."""

    weights: Tensor  # (STEPS + 1, 3, 2)
    biases: Tensor  # (STEPS + 1, 3)
    losses: Tensor  # (STEPS + 1, 2) of the rows learnt from, and held out
    slopes: Tensor  # (STEPS + 1, 3, 3): of the two weights and the bias of each class


def rows(seed: int) -> tuple[Tensor, Tensor]:
    """(18, 2) points around three corners, and (18,) their classes; the last six are held out."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(TRAIN + HELD) % 3
    corners = torch.tensor([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]], dtype=torch.float64)
    noise = torch.randn(TRAIN + HELD, 2, generator=generator, dtype=torch.float64)
    return (corners[labels] + 0.6 * noise).round(decimals=2), labels


def trained(x: Tensor, labels: Tensor, lr: float) -> Fit:
    """The regression trained from 0 by torch's SGD."""
    layer = nn.Linear(2, 3, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr)
    kept: list[tuple[Tensor, ...]] = []
    for _ in range(STEPS + 1):
        loss = F.cross_entropy(layer(x[:TRAIN]), labels[:TRAIN])
        held = F.cross_entropy(layer(x[TRAIN:]), labels[TRAIN:])
        optimizer.zero_grad()
        loss.backward()
        assert layer.weight.grad is not None and layer.bias.grad is not None
        slopes = torch.cat([layer.weight.grad, layer.bias.grad[:, None]], dim=1)
        losses = torch.stack([loss, held]).detach()
        kept.append((layer.weight.detach().clone(), layer.bias.detach().clone(), losses, slopes))
        optimizer.step()
    return Fit(*(torch.stack(column) for column in zip(*kept, strict=True)))


def build(*, smoothing: float = 0.0, lr: float = 1.0, seed: int = 42) -> Workbook:
    """The workbook.

    Args:
        smoothing: of the labels on the first sheet, 0 to 1.
        lr: rate of the fit, above 0.
        seed: of its points.

    Raises: ConfigError: `smoothing` or `lr` is outside its range.
    """
    if not 0 <= smoothing <= 1:
        raise ConfigError(f"`smoothing` must be 0 to 1. Got {smoothing}.")
    if not lr > 0:
        raise ConfigError(f"`lr` must be above 0. Got {lr}.")
    x, labels = rows(seed)
    fit = trained(x, labels, lr)
    book = Workbook(
        "Softmax and cross-entropy",
        "Outputs become probabilities, probabilities a loss, the loss a gradient: p - target.",
    )
    book.guide(
        what="'Softmax' takes five outputs apart, with the gradient by hand and by differences. 'Soft "
        "targets' has label smoothing and a mix of two pictures. 'Yes or no' is the binary "
        "loss, 'Six rows' the worked example of fastai's book. 'Curve' and 'Steps' train three "
        "classes from two numbers.",
        change=[
            (
                "shift: 0 to 800",
                "Every output grows by 800. The probabilities stay, since the maximum is "
                "subtracted; the column without that has nothing left to divide.",
            ),
            (
                "the output of dog: 2.597 to 10",
                "p of dog goes to 1, the loss to 0.00009, and no gradient is left.",
            ),
            (
                "target: 2 to 4",
                "Fish: its probability is 0.008, the loss 4.80, and its gradient nearly -1.",
            ),
            (
                "smoothing: 0 to 0.1",
                "The target becomes 0.92 and four times 0.02: the loss rises to 0.562, and an "
                "output that is far too sure is pulled back.",
            ),
            (
                "lr: 1 to 5",
                "The loss falls to 0.20, but that of the held-out points turns at 0.47 and "
                "rises to 0.85: the probabilities become too sure.",
            ),
        ],
    )
    _softmax(book.sheet(ONE), smoothing)
    _soft_targets(book.sheet(SOFT))
    _yes_no(book.sheet(YES_NO))
    _six_rows(book.sheet(BOOK))
    curve = book.sheet(CURVE)
    _data(curve, x, labels, lr)
    _steps(book.sheet(LEARN), x, labels, fit)
    _curve(curve, fit)
    return book


def _softmax(sheet: Sheet, smoothing: float) -> None:
    """Five outputs; then three, as on the slide."""
    sheet.text(0, 0, "Five outputs, one picture of a dog", style="title")
    settings(
        *(sheet, 2, 0),
        [
            ("target: which class it is, from 1", "target", 2.0, "1 to 5"),
            ("smoothing of the labels", "smoothing", smoothing, "0 to 1"),
            ("shift: added to every output", "shift", 0.0, "any number"),
            ("h: step of the slopes by differences", "h", 1e-3, "small, not 0"),
        ],
    )
    z = torch.tensor(OUTPUTS, dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(z, torch.tensor(1), label_smoothing=smoothing)
    loss.backward()
    assert z.grad is not None
    _worked(
        sheet,
        8,
        CLASSES,
        z.detach(),
        1,
        smoothing,
        loss.detach(),
        z.grad,
        names=("shift", "target", "smoothing"),
    )
    sheet.text(17, 0, "The classic slip, once: LOG is base 10", style="head")
    p = z.detach().softmax(0)[1]
    chosen = f"INDEX({block(9, 4, 5, 1)},target)"
    for row, (words, formula, value) in enumerate(
        (
            ("-LOG(p of the target), base 10", f"-LOG10({chosen})", -p.log10()),
            ("-LN(p of the target)", f"-LN({chosen})", -p.log()),
            (
                "the two differ by ln 10",
                f"{at(19, 1)}/{at(18, 1)}",
                torch.tensor(10.0).double().log(),
            ),
        ),
        start=18,
    ):
        sheet.text(row, 0, words)
        sheet.formula(row, 1, formula, value)
        sheet.check(words, at(row, 1), value)
    sheet.text(22, 0, "Three outputs, the third is right", style="head")
    three = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(three, torch.tensor(2))
    loss.backward()
    assert three.grad is not None
    _worked(
        sheet,
        23,
        ("one", "two", "three"),
        three.detach(),
        2,
        0.0,
        loss.detach(),
        three.grad,
        names=("0", "3", "0"),
    )


def _worked(
    sheet: Sheet,
    top: int,
    labels: tuple[str, ...],
    z: Tensor,
    target: int,
    smoothing: float,
    loss: Tensor,
    gradient: Tensor,
    *,
    names: tuple[str, str, str],
) -> None:
    """Outputs to loss and gradient, a row a class; `names` are of shift, target and smoothing."""
    shift, which, smooth = names
    titles = (
        "output z",
        "z - max",
        "exp(z - max)",
        "p",
        "target t",
        "-t · ln p",
        "gradient p - t",
        "by differences",
        "exp(z) alone",
        "p of that",
    )
    heads(sheet, top, 0, ("class", *titles))
    first, count = top + 1, len(labels)
    sheet.inputs(first, 1, z[:, None].tolist())
    p = z.softmax(0)
    targets = torch.full_like(z, smoothing / count)
    targets[target] += 1 - smoothing
    top_value = z.max()
    column = [block(first, c, count, 1) for c in range(10)]
    for i, label in enumerate(labels):
        row = first + i
        sheet.text(row, 0, label)
        sheet.formula(row, 2, f"{at(row, 1)}+{shift}-(MAX({column[1]})+{shift})", z[i] - top_value)
        sheet.formula(row, 3, f"EXP({at(row, 2)})", (z[i] - top_value).exp())
        sheet.formula(row, 4, f"{at(row, 3)}/SUM({column[3]})", p[i])
        goal = f"(1-{smooth})*IF({which}={i + 1},1,0)+{smooth}/{count}"
        sheet.formula(row, 5, goal, targets[i])
        sheet.formula(
            row, 6, f"-{at(row, 5)}*({at(row, 2)}-LN(SUM({column[3]})))", -targets[i] * p[i].log()
        )
        sheet.formula(row, 7, f"{at(row, 4)}-{at(row, 5)}", gradient[i])
        # the loss is ln(sum of exp) - sum of t · z; only one term of each moves with one output
        plus, minus = (
            f"LN(SUM({column[3]})-{at(row, 3)}+EXP({at(row, 2)}{sign}h))"
            f"-{at(row, 5)}*({at(row, 2)}{sign}h)"
            for sign in "+-"
        )
        sheet.formula(row, 8, central(plus, minus, "h"), gradient[i])
        alone = f'IFERROR(EXP({at(row, 1)}+{shift}),"too large")'
        sheet.formula(row, 9, alone, z[i].exp())
        sheet.formula(row, 10, f'IFERROR({at(row, 9)}/SUM({column[9]}),"nothing")', p[i])
        sheet.check(f"p of {label}", at(row, 4), p[i])
        sheet.check(f"gradient of {label}", at(row, 7), gradient[i])
    last = first + count
    sheet.text(last, 0, "sum")
    for c, value in ((3, (z - top_value).exp().sum()), (4, 1.0), (5, 1.0), (6, loss), (7, 0.0)):
        sheet.formula(last, c, f"SUM({column[c]})", value)
    sheet.check(f"loss of {labels[target]}", at(last, 6), loss)


def _soft_targets(sheet: Sheet) -> None:
    """Label smoothing over ten classes, and the mix of two pictures."""
    sheet.text(0, 0, "Targets that are not one class: ten classes", style="title")
    sheet.text(
        1,
        0,
        "Smoothing 0.1 makes of 1 and nine 0 the targets 0.91 and nine times 0.01. A mix of "
        "two pictures has the mix of their targets.",
    )
    settings(
        *(sheet, 3, 0),
        [
            ("soft_smoothing", "soft_smoothing", 0.1, "0 to 1"),
            ("share of the first picture", "share", 0.3, "0 to 1"),
            ("class of the first, from 0", "first_class", 3.0, "0 to 9"),
            ("class of the second, from 0", "second_class", 7.0, "0 to 9"),
        ],
    )
    generator = torch.Generator().manual_seed(1)
    z = (2 * torch.randn(MIXED, generator=generator, dtype=torch.float64)).round(decimals=2)
    hot = torch.eye(MIXED, dtype=torch.float64)
    smooth = 0.9 * hot[3] + 0.1 / MIXED
    mixed = 0.3 * hot[3] + 0.7 * hot[7]
    top = 9
    heads(
        sheet,
        top - 1,
        0,
        (
            "class",
            "output z",
            "p",
            "ln p",
            "smoothed target",
            "gradient",
            "mixed target",
            "gradient",
        ),
    )
    column = [block(top, c, MIXED, 1) for c in range(8)]
    sheet.inputs(top, 1, z[:, None].tolist())
    p = z.softmax(0)
    for i in range(MIXED):
        row = top + i
        sheet.number(row, 0, i, style="index")
        high = f"MAX({column[1]})"
        sheet.formula(row, 2, f"EXP({at(row, 3)})", p[i])
        sheet.formula(
            row, 3, f"{at(row, 1)}-{high}-LN(SUMPRODUCT(EXP({column[1]}-{high})))", p[i].log()
        )
        is_first, is_second = (
            f"IF({name}={at(row, 0)},1,0)" for name in ("first_class", "second_class")
        )
        sheet.formula(row, 4, f"(1-soft_smoothing)*{is_first}+soft_smoothing/{MIXED}", smooth[i])
        sheet.formula(row, 6, f"share*{is_first}+(1-share)*{is_second}", mixed[i])
        for c, targets in ((5, smooth), (7, mixed)):
            sheet.formula(row, c, f"{at(row, 2)}-{at(row, c - 1)}", p[i] - targets[i])
    last = top + MIXED
    sheet.text(last, 0, "loss")
    smoothed = F.cross_entropy(z, torch.tensor(3), label_smoothing=0.1)
    for c, targets, words in ((4, smooth, "smoothed"), (6, mixed, "mixed")):
        value = F.cross_entropy(z, targets)
        sheet.formula(last, c, f"-SUMPRODUCT({column[c]},{column[3]})", value)
        sheet.check(f"loss with {words} targets", at(last, c), value)
    sheet.check("the same by torch's label_smoothing", at(last, 4), smoothed)
    each = [F.cross_entropy(z, torch.tensor(k)) for k in (3, 7)]
    sheet.text(last + 1, 0, "share · loss of the first + (1 - share) · loss of the second")
    one, two = (f"INDEX({column[3]},{name}+1)" for name in ("first_class", "second_class"))
    sheet.formula(last + 1, 6, f"-share*{one}-(1-share)*{two}", 0.3 * each[0] + 0.7 * each[1])
    sheet.check("the mix of the two losses", at(last + 1, 6), 0.3 * each[0] + 0.7 * each[1])


def _yes_no(sheet: Sheet) -> None:
    """The binary loss of five cases, both ways to write it."""
    sheet.text(0, 0, "Yes or no: binary cross-entropy", style="title")
    sheet.text(
        1,
        0,
        "y is 1 where it is a cat; p is the probability that was said. The mean is torch's; "
        "base 10 beside it is the slip.",
    )
    heads(
        sheet,
        3,
        0,
        (
            "case",
            "y",
            "p",
            "-y·ln p - (1-y)·ln(1-p)",
            "-ln of p, or of 1-p",
            "by base 10",
            "gradient at the output: p - y",
        ),
    )
    y, p = torch.tensor(BINARY, dtype=torch.float64).T
    losses = F.binary_cross_entropy(p, y, reduction="none")
    sheet.inputs(4, 1, torch.tensor(BINARY, dtype=torch.float64).tolist())
    outputs = p.logit().requires_grad_()
    F.binary_cross_entropy_with_logits(outputs, y, reduction="sum").backward()
    assert outputs.grad is not None
    for i in range(len(BINARY)):
        row = 4 + i
        sheet.number(row, 0, i + 1, style="index")
        yes, said = at(row, 1), at(row, 2)
        sheet.formula(row, 3, f"-{yes}*LN({said})-(1-{yes})*LN(1-{said})", losses[i])
        sheet.formula(row, 4, f"-LN(IF({yes}=1,{said},1-{said}))", losses[i])
        sheet.formula(
            row,
            5,
            f"-LOG10(IF({yes}=1,{said},1-{said}))",
            losses[i] / torch.tensor(10.0).double().log(),
        )
        sheet.formula(row, 6, f"{said}-{yes}", outputs.grad[i])
        sheet.check(f"loss of case {i + 1}", at(row, 3), losses[i])
        sheet.check(f"gradient of case {i + 1}", at(row, 6), outputs.grad[i])
    row = 4 + len(BINARY)
    sheet.text(row, 0, "mean")
    for c, value in (
        (3, losses.mean()),
        (4, losses.mean()),
        (5, losses.mean() / torch.tensor(10.0).double().log()),
    ):
        sheet.formula(row, c, f"AVERAGE({block(4, c, len(BINARY), 1)})", value)
    sheet.check("mean loss", at(row, 3), F.binary_cross_entropy(p, y))


def _six_rows(sheet: Sheet) -> None:
    """The worked example of the book: six rows of two outputs."""
    sheet.text(
        0, 0, "The book's six rows: two classes, the loss of each, their mean", style="title"
    )
    generator = torch.Generator().manual_seed(42)
    z = (torch.randn((6, 2), generator=generator) * 2).double()
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    heads(
        sheet,
        2,
        0,
        (
            "row",
            "z of 3",
            "z of 7",
            "target",
            "p of 3",
            "p of 7",
            "p of the target",
            "loss",
            "sigmoid of the difference",
        ),
    )
    sheet.inputs(3, 1, torch.cat([z, labels[:, None].double()], dim=1).tolist())
    p, losses = z.softmax(1), F.cross_entropy(z, labels, reduction="none")
    for i in range(6):
        row = 3 + i
        sheet.number(row, 0, i + 1, style="index")
        one, two = at(row, 1), at(row, 2)
        for c, (own, other) in enumerate(((one, two), (two, one))):
            high = f"MAX({one},{two})"
            total = f"(EXP({own}-{high})+EXP({other}-{high}))"
            sheet.formula(row, 4 + c, f"EXP({own}-{high})/{total}", p[i, c])
        sheet.formula(row, 6, f"INDEX({block(row, 4, 1, 2)},{at(row, 3)}+1)", p[i, labels[i]])
        sheet.formula(row, 7, f"-LN({at(row, 6)})", losses[i])
        sheet.formula(row, 8, f"1/(1+EXP({two}-{one}))", p[i, 0])
        sheet.check(f"loss of row {i + 1}", at(row, 7), losses[i])
    sheet.text(9, 0, "mean")
    sheet.formula(9, 7, f"AVERAGE({block(3, 7, 6, 1)})", losses.mean())
    sheet.check("mean loss", at(9, 7), F.cross_entropy(z, labels))
    sheet.text(
        11,
        0,
        "With two classes, softmax is the sigmoid of the difference of the outputs: the last "
        "column is p of 3 again.",
    )


# --- a fit ------------------------------------------------------------------------------------------

_ROWS = 6
"""First row of the points on the sheet `Curve`."""
_BLOCK = TRAIN + HELD + 4
"""Rows of a step on the sheet `Steps`."""
_SIDE = 14
"""First column of weights and slopes there."""


def _data(sheet: Sheet, x: Tensor, labels: Tensor, lr: float) -> None:
    sheet.text(
        0, 0, "Three classes from two numbers: 12 points to learn from, six held out", style="title"
    )
    sheet.text(2, 0, "lr")
    sheet.input(2, 1, lr, name="lr", note="above 0")
    heads(sheet, _ROWS - 1, 0, ("point", "x1", "x2", "class", "used to"))
    sheet.inputs(_ROWS, 1, x.tolist())
    for i in range(TRAIN + HELD):
        sheet.number(_ROWS + i, 0, i + 1, style="index")
        sheet.number(_ROWS + i, 3, labels[i])
        sheet.text(_ROWS + i, 4, "learn" if i < TRAIN else "hold out")


def _place(step: int) -> int:
    return 3 + step * _BLOCK


def _steps(sheet: Sheet, x: Tensor, labels: Tensor, fit: Fit) -> None:
    """A block a step: outputs, probabilities and losses of all points; weights and slopes beside."""
    sheet.text(0, 0, f"{STEPS} steps of descent, all points in each", style="title")
    sheet.text(
        1,
        0,
        "z = w · x + b for each class; slope of w = mean of (p - target) · x over the 12 "
        "points; w of the next step = w - lr · slope.",
    )
    for k in range(STEPS + 1):
        top = _place(k)
        sheet.text(top, 0, f"step {k}", style="head")
        outputs = (
            "z 0",
            "z 1",
            "z 2",
            "p 0",
            "p 1",
            "p 2",
            "p0 - t0",
            "p1 - t1",
            "p2 - t2",
            "loss",
        )
        heads(sheet, top + 1, 0, ("point", "class", *outputs))
        heads(sheet, top + 1, _SIDE, ("w1", "w2", "b", "slope w1", "slope w2", "slope b"))
        z = x @ fit.weights[k].T + fit.biases[k]
        p = z.softmax(1)
        hot = F.one_hot(labels, 3).double()
        losses = F.cross_entropy(z, labels, reduction="none")
        for i in range(TRAIN + HELD):
            row = top + 2 + i
            points = [at(_ROWS + i, c, sheet=CURVE) for c in (1, 2, 3)]
            sheet.number(row, 0, i + 1, style="index")
            sheet.formula(row, 1, points[2], float(labels[i]))
            high = f"MAX({block(row, 2, 1, 3)})"
            total = f"SUMPRODUCT(EXP({block(row, 2, 1, 3)}-{high}))"
            for c in range(3):
                w1, w2, b = (at(top + 2 + c, _SIDE + j, fix="both") for j in range(3))
                sheet.formula(row, 2 + c, f"{w1}*{points[0]}+{w2}*{points[1]}+{b}", z[i, c])
                sheet.formula(row, 5 + c, f"EXP({at(row, 2 + c)}-{high})/{total}", p[i, c])
                sheet.formula(
                    row, 8 + c, f"{at(row, 5 + c)}-IF({at(row, 1)}={c},1,0)", p[i, c] - hot[i, c]
                )
            sheet.formula(row, 11, f"-LN(INDEX({block(row, 5, 1, 3)},{at(row, 1)}+1))", losses[i])
        for c in range(3):
            row = top + 2 + c
            sheet.text(row, _SIDE - 1, f"class {c}")
            errors = block(top + 2, 8 + c, TRAIN, 1)
            for j in range(3):
                own = torch.cat([fit.weights[k, c], fit.biases[k, c : c + 1]])[j]
                before, slope = at(row - _BLOCK, _SIDE + j), at(row - _BLOCK, _SIDE + 3 + j)
                if k:
                    sheet.formula(row, _SIDE + j, f"{before}-lr*{slope}", own)
                else:
                    sheet.number(row, _SIDE + j, 0)
                inputs = block(_ROWS, 1 + j, TRAIN, 1, sheet=CURVE)
                formula = (
                    f"SUMPRODUCT({errors},{inputs})/{TRAIN}" if j < 2 else f"SUM({errors})/{TRAIN}"
                )
                sheet.formula(row, _SIDE + 3 + j, formula, fit.slopes[k, c, j])
                name = f"w{j + 1}" if j < 2 else "b"
                sheet.check(f"{name} of class {c} after step {k}", at(row, _SIDE + j), own)
    sheet.freeze(3)


def _curve(sheet: Sheet, fit: Fit) -> None:
    heads(sheet, _ROWS - 1, 6, ("step", "loss", "held out"))
    for k in range(STEPS + 1):
        row, top = _ROWS + k, _place(k)
        sheet.number(row, 6, k, style="index")
        for c, (first, count) in enumerate(((0, TRAIN), (TRAIN, HELD))):
            area = block(top + 2 + first, 11, count, 1, sheet=LEARN)
            sheet.formula(row, 7 + c, f"AVERAGE({area})", fit.losses[k, c])
            what = "held-out loss" if c else "loss"
            sheet.check(f"{what} after step {k}", at(row, 7 + c), fit.losses[k, c])
    series = [
        (name, block(_ROWS, 7 + c, STEPS + 1, 1))
        for c, name in enumerate(("learnt from", "held out"))
    ]
    sheet.chart("Loss", series, x=block(_ROWS, 6, STEPS + 1, 1), place=(4, 10), size=(560, 340))
