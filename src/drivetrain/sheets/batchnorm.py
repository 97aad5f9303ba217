"""The workbook `batchnorm`: a batch of 8 rows and 3 channels, in training and in evaluation.

    train: y = gamma · (x - mean) / sqrt(var + eps) + beta        var divides by N
    running ← (1 - momentum) · running + momentum · batch's       its var divides by N - 1
    eval:  y = gamma · (x - running mean) / sqrt(running var + eps) + beta

Paper: Ioffe and Szegedy 2015, arXiv:1502.03167. torch's two variances, one with N and one with N - 1,
are both there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

ROWS, CHANNELS, BATCHES = 8, 3, 6

ONE, RUNNING, BACK = "One batch", "Running averages", "Backward"

_X, _GAMMA, _BETA = 8, 4, 5
"""Rows on the sheet `One batch`: the first of x, and those of the two learnt numbers of a channel."""


@dataclass(frozen=True)
class Numbers:
    """What torch's layer made of the batches, float64."""

    x: Tensor  # (6, 8, 3)
    gamma: Tensor  # (3,)
    beta: Tensor  # (3,)
    upstream: Tensor  # (8, 3): d loss / d y of the first batch
    outputs: Tensor  # (6, 8, 3) in training
    means: Tensor  # (6, 3) running mean after each batch
    variances: Tensor  # (6, 3)
    evaluated: Tensor  # (8, 3): the first batch in evaluation, after all six
    gradients: tuple[Tensor, Tensor, Tensor]  # of x (8, 3), gamma (3,), beta (3,), first batch


def computed(*, momentum: float, eps: float, seed: int, x: Tensor | None = None) -> Numbers:
    """The numbers of the workbook, by `torch.nn.BatchNorm1d`; `x` in place of the batches drawn."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    spread, centre = torch.tensor([[1.0, 5.0, 0.2], [0.0, 20.0, -3.0]], dtype=torch.float64)
    batches = (drawn(BATCHES, ROWS, CHANNELS) * spread + centre).round(decimals=2)
    x = batches if x is None else x
    gamma = torch.tensor([1.0, 1.5, 0.5], dtype=torch.float64)
    beta = torch.tensor([0.0, -1.0, 2.0], dtype=torch.float64)
    upstream = drawn(ROWS, CHANNELS).round(decimals=2)
    layer = nn.BatchNorm1d(CHANNELS, eps=eps, momentum=momentum, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(gamma)
        layer.bias.copy_(beta)
    first = x[0].clone().requires_grad_()
    outputs: list[Tensor] = []
    running: list[tuple[Tensor, Tensor]] = []
    for number in range(BATCHES):
        outputs.append(layer(first if number == 0 else x[number]))
        assert layer.running_mean is not None and layer.running_var is not None
        running.append((layer.running_mean.clone(), layer.running_var.clone()))
    found = torch.autograd.grad(outputs[0], [first, layer.weight, layer.bias], upstream)
    with torch.no_grad():
        evaluated = layer.eval()(x[0])
    means, variances = (torch.stack(part) for part in zip(*running, strict=True))
    return Numbers(
        *(x, gamma, beta, upstream, torch.stack(outputs).detach(), means, variances, evaluated),
        (found[0], found[1], found[2]),
    )


def build(*, momentum: float = 0.1, eps: float = 1e-5, seed: int = 42) -> Workbook:
    """The workbook.

    Args:
        momentum: weight of the newest batch in the running averages, 0 to 1.
        eps: added to the variance before the root, above 0.
        seed: of the batches and of the gradient that comes back.
    Raises: ConfigError: `momentum` or `eps` is outside its range.
    """
    if not 0 <= momentum <= 1:
        raise ConfigError(f"`momentum` must be 0 to 1. Got {momentum}.")
    if not eps > 0:
        raise ConfigError(f"`eps` must be above 0. Got {eps}.")
    numbers = computed(momentum=momentum, eps=eps, seed=seed)
    book = Workbook(
        "Batch normalisation",
        "Eight rows, three channels: normalised by their batch in training, by running averages in use.",
    )
    book.guide(
        what="'One batch' normalises the first batch step by step; 'Running averages' sees six batches "
        "and then uses what it has kept; 'Backward' takes a gradient back through all of it.",
        change=[
            (
                "one number of x on 'One batch' to 100",
                "Every output of that channel changes, not that row's alone: in training a row depends "
                "on its batch. 'Running averages' remembers it for batches to come.",
            ),
            (
                "gamma to the root of var, and beta to mean",
                "The layer gives back x: it can undo itself where that is best.",
            ),
            (
                "momentum: 0.1 to 1",
                "Only the newest batch counts, and evaluation jumps with it. At 0 nothing is ever kept: "
                "mean 0 and variance 1 stay.",
            ),
            (
                "eps: 0.00001 to 1",
                "The third channel, whose variance is near 0.04, shrinks: eps is no longer small "
                "beside it.",
            ),
        ],
    )
    _one(book.sheet(ONE), numbers, momentum, eps)
    _running(book.sheet(RUNNING), numbers)
    _backward(book.sheet(BACK), numbers, eps)
    return book


def _channels(sheet: Sheet, row: int, left: int, title: str) -> None:
    if title:
        sheet.text(row - 1, left, title, style="head")
    for channel in range(CHANNELS):
        sheet.text(row, left + channel, f"ch. {channel}", style="head")


def _one(sheet: Sheet, numbers: Numbers, momentum: float, eps: float) -> None:
    """x, its statistics, the normalised x, and y."""
    x = numbers.x[0]
    sheet.text(0, 0, "One batch in training", style="title")
    for place, (name, value, note) in enumerate(
        (("momentum", momentum, "0 to 1"), ("eps", eps, "above 0"))
    ):
        sheet.text(1, 4 * place, name)
        sheet.input(1, 4 * place + 1, value, name=name, note=note)
    sheet.text(_GAMMA, 0, "gamma")
    sheet.inputs(_GAMMA, 1, numbers.gamma[None].tolist())
    sheet.text(_BETA, 0, "beta")
    sheet.inputs(_BETA, 1, numbers.beta[None].tolist())
    _channels(sheet, _GAMMA - 1, 1, "")
    _channels(sheet, _X - 1, 1, "")
    sheet.text(_X - 1, 0, "x: row", style="head")
    for row in range(ROWS):
        sheet.number(_X + row, 0, row, style="index")
    sheet.inputs(_X, 1, x.tolist())
    centred = x - x.mean(0)
    variance = x.var(0, correction=0)
    normal = centred / (variance + eps).sqrt()
    stats = _X + ROWS
    labels = ("mean", "var: divides by N", "sqrt(var + eps)", "var: divides by N - 1")
    values = (x.mean(0), variance, (variance + eps).sqrt(), x.var(0))
    for line, label in enumerate(labels):
        sheet.text(stats + line, 0, label)
    for channel in range(CHANNELS):
        column = block(_X, 1 + channel, ROWS, 1)
        formulas = (
            f"SUM({column})/{ROWS}",
            f"DEVSQ({column})/{ROWS}",
            f"SQRT({at(stats + 1, 1 + channel)}+eps)",
            f"DEVSQ({column})/({ROWS}-1)",
        )
        for line, formula in enumerate(formulas):
            sheet.formula(stats + line, 1 + channel, formula, values[line][channel])
        for left, title in (
            (5, "x - mean"),
            (9, "(x - mean) / sqrt(var + eps)"),
            (13, "y: gamma · that + beta"),
        ):
            if not channel:
                _channels(sheet, _X - 1, left, title)
        for row in range(ROWS):
            line = _X + row
            mean, root = at(stats, 1 + channel, fix="row"), at(stats + 2, 1 + channel, fix="row")
            gamma, beta = at(_GAMMA, 1 + channel, fix="row"), at(_BETA, 1 + channel, fix="row")
            sheet.formula(
                line, 5 + channel, f"{at(line, 1 + channel)}-{mean}", centred[row, channel]
            )
            sheet.formula(
                line, 9 + channel, f"{at(line, 5 + channel)}/{root}", normal[row, channel]
            )
            y = numbers.outputs[0, row, channel]
            sheet.formula(line, 13 + channel, f"{gamma}*{at(line, 9 + channel)}+{beta}", y)
            sheet.check(f"y[{row}, {channel}] in training", at(line, 13 + channel), y)
        for left, values_ in ((9, normal), (13, numbers.outputs[0])):
            column = block(_X, left + channel, ROWS, 1)
            sheet.formula(stats, left + channel, f"AVERAGE({column})", values_[:, channel].mean())
            spread = values_[:, channel].var(correction=0)
            sheet.formula(stats + 1, left + channel, f"DEVSQ({column})/{ROWS}", spread)
    for left in (8, 12):
        sheet.text(stats, left, "mean")
        sheet.text(stats + 1, left, "var")


def _running(sheet: Sheet, numbers: Numbers) -> None:
    """Six batches one after another, what is kept of them, and the first batch evaluated with it."""
    sheet.text(0, 0, "Running averages over six batches, and evaluation with them", style="title")
    words = "Before the first batch: mean 0, variance 1. Row by row: the batch's own, then what is kept."
    sheet.text(1, 0, words)
    titles = ("batch's mean", "batch's var (N - 1)", "running mean", "running var")
    lefts = (1, 5, 9, 13)
    for left, title in zip(lefts, titles, strict=True):
        _channels(sheet, 4, left, title)
    sheet.text(4, 0, "batch", style="head")
    start = 5
    sheet.text(start, 0, "start")
    batches_top = 27
    for channel in range(CHANNELS):
        sheet.number(start, 9 + channel, 0)
        sheet.number(start, 13 + channel, 1)
    for number in range(BATCHES):
        line = start + 1 + number
        sheet.number(line, 0, number + 1)
        top = batches_top + 2 + (number - 1) * (ROWS + 1)
        for channel in range(CHANNELS):
            column = (
                block(top, 1 + channel, ROWS, 1)
                if number
                else block(_X, 1 + channel, ROWS, 1, sheet=ONE)
            )
            own = numbers.x[number, :, channel]
            sheet.formula(line, 1 + channel, f"AVERAGE({column})", own.mean())
            sheet.formula(line, 5 + channel, f"DEVSQ({column})/({ROWS}-1)", own.var())
            for left, source, kept in ((9, 1, numbers.means), (13, 5, numbers.variances)):
                before = at(line - 1, left + channel)
                formula = f"(1-momentum)*{before}+momentum*{at(line, source + channel)}"
                sheet.formula(line, left + channel, formula, kept[number, channel])
                name = "mean" if left == 9 else "var"
                sheet.check(
                    f"running {name} of channel {channel} after batch {number + 1}",
                    at(line, left + channel),
                    kept[number, channel],
                )
    last = start + BATCHES
    top = 15
    _channels(sheet, top - 1, 1, "the first batch, x")
    _channels(sheet, top - 1, 5, "y in training (by its batch)")
    _channels(sheet, top - 1, 9, "y in evaluation (by what is kept)")
    for row in range(ROWS):
        sheet.number(top + row, 0, row, style="index")
        for channel in range(CHANNELS):
            x = at(_X + row, 1 + channel, sheet=ONE)
            y = at(_X + row, 13 + channel, sheet=ONE)
            sheet.formula(top + row, 1 + channel, x, numbers.x[0, row, channel])
            sheet.formula(top + row, 5 + channel, y, numbers.outputs[0, row, channel])
            gamma, beta = (at(place, 1 + channel, sheet=ONE) for place in (_GAMMA, _BETA))
            mean, var = at(last, 9 + channel, fix="row"), at(last, 13 + channel, fix="row")
            formula = f"{gamma}*({at(top + row, 1 + channel)}-{mean})/SQRT({var}+eps)+{beta}"
            value = numbers.evaluated[row, channel]
            sheet.formula(top + row, 9 + channel, formula, value)
            sheet.check(f"y[{row}, {channel}] in evaluation", at(top + row, 9 + channel), value)
    sheet.text(batches_top - 2, 0, "Batches 2 to 6", style="head")
    for number in range(1, BATCHES):
        first = batches_top + 2 + (number - 1) * (ROWS + 1)
        sheet.text(first - 1, 0, f"batch {number + 1}", style="head")
        sheet.inputs(first, 1, numbers.x[number].tolist())


def _backward(sheet: Sheet, numbers: Numbers, eps: float) -> None:
    """From d loss / d y to the gradients of beta, gamma and x."""
    sheet.text(0, 0, "The gradient back through the first batch", style="title")
    words = "dx = gamma / sqrt(var + eps) · (dy - mean(dy) - n · mean(dy · n)), n the normalised x"
    sheet.text(1, 0, words)
    x = numbers.x[0]
    normal = (x - x.mean(0)) / (x.var(0, correction=0) + eps).sqrt()
    dy = numbers.upstream
    top = 6
    for left, title in ((1, "dy: comes back from the loss"), (5, "dy · n"), (9, "dx")):
        _channels(sheet, top - 1, left, title)
    sheet.inputs(top, 1, dy.tolist())
    sums = top + ROWS
    sheet.text(sums, 0, "sum: d beta, d gamma")
    sheet.text(sums + 1, 0, "mean")
    d_x, d_gamma, d_beta = numbers.gradients
    for channel in range(CHANNELS):
        for left, values in ((1, dy), (5, dy * normal)):
            column = block(top, left + channel, ROWS, 1)
            sheet.formula(sums, left + channel, f"SUM({column})", values[:, channel].sum())
            sheet.formula(sums + 1, left + channel, f"AVERAGE({column})", values[:, channel].mean())
        sheet.check(f"d beta of channel {channel}", at(sums, 1 + channel), d_beta[channel])
        sheet.check(f"d gamma of channel {channel}", at(sums, 5 + channel), d_gamma[channel])
        gamma = at(_GAMMA, 1 + channel, sheet=ONE)
        root = at(_X + ROWS + 2, 1 + channel, sheet=ONE)
        for row in range(ROWS):
            n, line = at(_X + row, 9 + channel, sheet=ONE), top + row
            product = f"{at(line, 1 + channel)}*{n}"
            sheet.formula(line, 5 + channel, product, (dy * normal)[row, channel])
            means = [at(sums + 1, left + channel, fix="row") for left in (1, 5)]
            formula = f"{gamma}/{root}*({at(line, 1 + channel)}-{means[0]}-{n}*{means[1]})"
            sheet.formula(line, 9 + channel, formula, d_x[row, channel])
            sheet.check(f"dx[{row}, {channel}]", at(line, 9 + channel), d_x[row, channel])
    sheet.text(sums + 3, 0, "A batch's dx sums to 0: moving all rows together changes nothing.")
    for channel in range(CHANNELS):
        column = block(top, 9 + channel, ROWS, 1)
        sheet.formula(sums + 4, 9 + channel, f"SUM({column})", 0.0)
