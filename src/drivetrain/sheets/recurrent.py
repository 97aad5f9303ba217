"""The workbook `recurrent`: a small RNN that learns in cells, an LSTM cell, and what depth does.

    h[t] = tanh(W x[t] + U h[t-1] + b)        y[t] = V h[t] + c

A token says double (1) or halve (-1); the net is to say how large the number is by now, in quarters of
a doubling: y[t] = (x[1] + … + x[t]) / 4. Its gradient is written out backwards through time:

    δ[t] = (1 - h[t]²) · (V e[t] + Uᵀ δ[t+1])     e[t] = d loss / d y[t]

Papers: Werbos 1990, doi:10.1109/5.58337 (backpropagation through time); Hochreiter and Schmidhuber
1997, doi:10.1162/neco.1997.9.8.1735 (LSTM, here with torch's forget gate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.randomness import preserved
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

TIME, HIDDEN, STEPS, DEPTH = 4, 2, 30, 32
TOKENS = (
    (1, 1, 1, 1),
    (1, -1, 1, -1),
    (-1, -1, -1, 1),
    (-1, 1, 1, -1),
    (1, 1, -1, -1),
    (-1, -1, 1, 1),
)
"""Six sequences: four are trained on, two are held out."""

TRAIN = 4
NAMES: tuple[str, ...] = ("w0", "w1", "u00", "u01", "u10", "u11", "b0", "b1", "v0", "v1", "c")
"""The eleven parameters: W (2, 1), U (2, 2), b (2,), V (1, 2), c (1,)."""

DATA, CURVE, TRAINED, NUDGED, LSTM, DEEP = (
    *("Sequences", "Curve", "Steps", "By differences", "LSTM cell", "32 steps"),
)

_DATA = 7
"""Row of the first sequence on `Sequences`."""

_START = _DATA + len(TOKENS) + 3
_BLOCK = 16
"""Rows of a step on `Steps`."""


@dataclass(frozen=True)
class Moment:
    """One step before the update: what torch has, float64."""

    parameters: Tensor  # (11,)
    hidden: Tensor  # (6, 4, 2)
    outputs: Tensor  # (6, 4)
    deltas: Tensor  # (4, 4, 2): d loss / d (what goes into tanh)
    errors: Tensor  # (4, 4): d loss / d y
    gradient: Tensor  # (11,)
    norm: float
    train: float  # mean squared error
    held: float


def start(seed: int) -> Tensor:
    """The eleven parameters before the first step, two decimals; biases are 0."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(11, generator=generator, dtype=torch.float64).mul(0.4).round(decimals=2)
    drawn[[6, 7, 10]] = 0
    return drawn


@preserved()  # torch's layers draw their first weights
def trained(
    parameters: Tensor, *, lr: float, clip: float, tokens: Tensor | None = None, steps: int = STEPS
) -> list[Moment]:
    """Every step from 0 to `steps`, by torch's RNN, autograd, clip_grad_norm_ and SGD."""
    x = torch.tensor(TOKENS, dtype=torch.float64) if tokens is None else tokens
    target = x.cumsum(1) / 4
    rnn, head = nn.RNN(1, HIDDEN, batch_first=True).double(), nn.Linear(HIDDEN, 1).double()
    own = [rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, head.weight, head.bias]
    with torch.no_grad():
        rnn.get_parameter("bias_hh_l0").zero_()  # torch's second bias stays 0: one is enough
        for part, values in zip(own, parameters.split([2, 4, 2, 2, 1]), strict=True):
            part.copy_(values.reshape(part.shape))
    optimizer = torch.optim.SGD(own, lr=lr)
    moments: list[Moment] = []
    for _ in range(steps + 1):
        before = torch.cat([part.detach().flatten() for part in own])
        hidden = rnn(x[..., None])[0]
        outputs = head(hidden)[..., 0]
        loss = (outputs[:TRAIN] - target[:TRAIN]).square().mean()
        held = (outputs[TRAIN:] - target[TRAIN:]).square().mean()
        deltas, errors = _through_time(rnn, head, x[:TRAIN], target[:TRAIN])
        optimizer.zero_grad()
        loss.backward()
        gradient = torch.cat([part.grad.flatten() for part in own if part.grad is not None])
        norm = nn.utils.clip_grad_norm_(own, clip)
        optimizer.step()
        moments.append(
            Moment(
                *(before, hidden.detach(), outputs.detach(), deltas, errors, gradient.clone()),
                *(float(norm), float(loss.detach()), float(held.detach())),
            )
        )
    return moments


def _through_time(rnn: nn.RNN, head: nn.Linear, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the loss at each time step, which nn.RNN does not hand out: its cell does."""
    cell = nn.RNNCell(1, HIDDEN).double()
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    with torch.no_grad():
        for name in names:
            getattr(cell, name).copy_(getattr(rnn, f"{name}_l0"))
    h = torch.zeros(len(x), HIDDEN, dtype=torch.float64)
    inner: list[Tensor] = []
    outputs: list[Tensor] = []
    states: list[Tensor] = []
    for t in range(x.shape[1]):
        extra = torch.zeros(len(x), HIDDEN, dtype=torch.float64, requires_grad=True)
        inner.append(extra)
        h = cell(x[:, t, None], h) + extra  # d loss / d extra = d loss / d h
        states.append(h)
        outputs.append(head(h)[:, 0])
    y = torch.stack(outputs, dim=1)
    loss = (y - target).square().mean()
    *found, errors = torch.autograd.grad(loss, [*inner, y])
    deltas = torch.stack(found, dim=1) * (1 - torch.stack(states, dim=1).detach().square())
    return deltas, errors


def build(
    *,
    lr: float = 0.5,
    clip: float = 100.0,
    factor: float = 2.0,
    seed: int = 1,
    steps: int = STEPS,
) -> Workbook:
    """The workbook.

    Args:
        lr: learning rate, above 0.
        clip: length to which a longer gradient is cut, above 0; 100 cuts nothing here.
        factor: what the number on '32 steps' is multiplied by each time.
        seed: of the first parameters, and of the LSTM's.
        steps: of training, 1 to 100.
    Raises: ConfigError: `lr` or `clip` is not above 0, or `steps` is out of its range.
    """
    for name, value in (("lr", lr), ("clip", clip)):
        if not value > 0:
            raise ConfigError(f"`{name}` must be above 0. Got {value}.")
    if not 1 <= steps <= 100:
        raise ConfigError(f"`steps` must be 1 to 100. Got {steps}.")
    moments = trained(start(seed), lr=lr, clip=clip, steps=steps)
    large, cut = (trained(start(seed), lr=1.0, clip=c, steps=steps)[-1].train for c in (100, 0.2))
    book = Workbook(
        "Recurrent nets: through time and back",
        "An RNN with two hidden units learns to count doublings; an LSTM cell gate by gate.",
    )
    first, last = moments[0].train, moments[-1].train
    book.guide(
        what="'Sequences' holds the settings and six sequences of doubling and halving, two held out; "
        "'Curve' the loss; 'Steps' every step of training, forward and backward through time; 'By "
        "differences' the first gradient once more; 'LSTM cell' its four gates; '32 steps' what many "
        "products of one factor do.",
        change=[
            (
                f"lr on 'Sequences': {lr:g} to 1",
                f"At {lr:g} the loss goes from {first:.4f} to {last:.4f} in {steps} steps, at 1 to "
                f"{large:,.4f}: through four time steps the gradient is multiplied by U again and again, "
                "and a large step makes U larger.",
            ),
            (
                "then clip: 100 to 0.2",
                f"Long gradients are cut to that length: at lr 1 the loss goes to {cut:.4f}.",
            ),
            (
                "a token (1 or -1) of the first four sequences",
                "The target and all steps follow, and what the net makes of the others as well.",
            ),
            (
                "factor on '32 steps': 2 to 0.5 or 1",
                "Doubled 32 times: 4,294,967,296; halved: 0.00000000023. A gradient through 32 steps is "
                "multiplied just so. The last column is how far apart float32 numbers are there.",
            ),
            (
                "the forget gate's biases on 'LSTM cell' to 5, the input gate's to -5",
                "f is nearly 1 and i nearly 0: the cell c hardly changes from step to step.",
            ),
        ],
    )
    _data(book.sheet(DATA), lr, clip, seed)
    _curve(book.sheet(CURVE), moments)
    _steps(book.sheet(TRAINED), moments)
    _nudged(book.sheet(NUDGED), moments[0])
    _lstm(book.sheet(LSTM), seed)
    _deep(book.sheet(DEEP), factor)
    return book


def _data(sheet: Sheet, lr: float, clip: float, seed: int) -> None:
    sheet.text(0, 0, "Double (1) or halve (-1): how large is the number by now?", style="title")
    sheet.widths(0, 14, 9)
    for place, (name, value, note) in enumerate(
        (("lr", lr, "learning rate"), ("clip", clip, "the gradient's largest length"))
    ):
        sheet.text(2, 4 * place, name)
        sheet.input(2, 4 * place + 1, value, name=name, note=note)
    sheet.text(_DATA - 2, 1, "x: tokens", style="head")
    sheet.text(_DATA - 2, 6, "target: their sum so far / 4", style="head")
    sheet.text(_DATA - 2, 11, "the number itself, from 1", style="head")
    for left in (1, 6, 11):
        for t in range(TIME):
            sheet.text(_DATA - 1, left + t, f"t = {t + 1}", style="head")
    x = torch.tensor(TOKENS, dtype=torch.float64)
    for row in range(len(TOKENS)):
        line = _DATA + row
        sheet.text(line, 0, f"train {row + 1}" if row < TRAIN else f"held out {row - TRAIN + 1}")
        for t in range(TIME):
            total = float(x[row, : t + 1].sum())
            cells = f"SUM({at(line, 1, fix='column')}:{at(line, 1 + t)})"
            sheet.formula(line, 6 + t, f"{cells}/4", total / 4)
            sheet.formula(line, 11 + t, f"2^{cells}", 2**total)
    sheet.inputs(_DATA, 1, [list(row) for row in TOKENS])
    sheet.text(_START - 1, 0, "Parameters before the first step", style="head")
    for place, name in enumerate(NAMES):
        sheet.text(_START, 1 + place, name, style="head")
    sheet.inputs(_START + 1, 1, [start(seed).tolist()])
    hidden = "h0 = tanh(w0·x + u00·h0' + u01·h1' + b0)    h1 = tanh(w1·x + u10·h0' + u11·h1' + b1)"
    sheet.text(_START + 3, 0, f"{hidden}    y = v0·h0 + v1·h1 + c")
    sheet.text(_START + 4, 0, "with h0', h1' the two of the time step before, 0 before the first.")


def _curve(sheet: Sheet, moments: Sequence[Moment]) -> None:
    sheet.text(0, 0, "Loss (mean squared error) after every step", style="title")
    sheet.widths(0, 3, 17)
    titles = ("step", "train", "held out", "length of gradient")
    for column, title in enumerate(titles):
        sheet.text(2, column, title, style="head")
    for step, moment in enumerate(moments):
        row, top = 3 + step, _top(step)
        sheet.number(row, 0, step)
        for column, place, value in (
            (1, 3, moment.train),
            (2, 6, moment.held),
            (3, 9, moment.norm),
        ):
            sheet.formula(row, column, at(top, place, sheet=TRAINED), value)
            sheet.check(f"step {step}: {titles[column]}", at(row, column), value)
    rows = len(moments)
    series = [
        (title, block(3, column, rows, 1)) for column, title in enumerate(titles[:3]) if column
    ]
    sheet.chart("Loss by step", series, x=block(3, 0, rows, 1), place=(2, 5))


def _top(step: int) -> int:
    return 3 + step * _BLOCK


def _forward(
    sheet: Sheet, top: int, row: int, own: Sequence[str], hidden: Tensor, outputs: Tensor
) -> None:
    """One sequence in one row: h0 and h1 of every time step (columns 1 to 8), then y (9 to 12).

    Args:
        row: of the sequence among the six.
        own: the names of the eleven cells with parameters.
        hidden: (4, 2). outputs: (4,).
    """
    p: dict[str, str] = dict(zip(NAMES, own, strict=True))
    for t in range(TIME):
        x = at(_DATA + row, 1 + t, sheet=DATA)
        h = [at(top, 1 + HIDDEN * t + unit) for unit in range(HIDDEN)]
        for unit in range(HIDDEN):
            past = ""
            if t:
                before = [at(top, 1 + HIDDEN * (t - 1) + other) for other in range(HIDDEN)]
                past = "".join(
                    f"+{p[f'u{unit}{other}']}*{before[other]}" for other in range(HIDDEN)
                )
            formula = f"TANH({p[f'w{unit}']}*{x}{past}+{p[f'b{unit}']})"
            sheet.formula(top, 1 + HIDDEN * t + unit, formula, hidden[t, unit])
        output = f"{p['v0']}*{h[0]}+{p['v1']}*{h[1]}+{p['c']}"
        sheet.formula(top, 1 + HIDDEN * TIME + t, output, outputs[t])


def _heads(sheet: Sheet, row: int, names: tuple[str, str], last: str) -> None:
    for t in range(TIME):
        for unit in range(HIDDEN):
            sheet.text(row, 1 + HIDDEN * t + unit, f"{names[unit]}[{t + 1}]", style="head")
        sheet.text(row, 1 + HIDDEN * TIME + t, f"{last}[{t + 1}]", style="head")


def _steps(sheet: Sheet, moments: Sequence[Moment]) -> None:
    """Every step: parameters, forward, δ backward in time, gradient."""
    title = f"All {len(moments) - 1} steps: forward, backward through time, gradient, update"
    sheet.text(0, 0, title, style="title")
    words = (
        "δ is d loss / d (what goes into tanh), e is d loss / d y; the last time step comes first."
    )
    sheet.text(1, 0, words)
    for step, moment in enumerate(moments):
        top = _top(step)
        own = [at(top + 2, 1 + place, fix="both") for place in range(len(NAMES))]
        sheet.text(top, 0, f"step {step}", style="head")
        for column, title in ((2, "train"), (5, "held out"), (8, "length")):
            sheet.text(top, column, title, style="head")
        for place, name in enumerate(NAMES):
            sheet.text(top + 1, 1 + place, name, style="head")
            if step:
                last = top - _BLOCK
                cut = f"MIN(1,clip/({at(last, 9)}+0.000001))"  # as torch's clip_grad_norm_ has it
                formula = f"{at(last + 2, 1 + place)}-lr*{cut}*{at(last + 14, 1 + place)}"
            else:
                formula = at(_START + 1, 1 + place, sheet=DATA)
            sheet.formula(top + 2, 1 + place, formula, moment.parameters[place])
        _heads(sheet, top + 3, ("h0", "h1"), "y")
        for row in range(len(TOKENS)):
            _forward(sheet, top + 4 + row, row, own, moment.hidden[row], moment.outputs[row])
        for column, first, rows, value in ((3, 0, TRAIN, moment.train), (6, TRAIN, 2, moment.held)):
            outputs = block(top + 4 + first, 1 + HIDDEN * TIME, rows, TIME)
            targets = block(_DATA + first, 6, rows, TIME, sheet=DATA)
            sheet.formula(top, column, f"SUMXMY2({outputs},{targets})/{rows * TIME}", value)
        _backward(sheet, top, own, moment)


def _backward(sheet: Sheet, top: int, own: Sequence[str], moment: Moment) -> None:
    """δ0, δ1 and e of the four training sequences, to the right of nothing: below the forward pass."""
    p: dict[str, str] = dict(zip(NAMES, own, strict=True))
    for row in range(TRAIN):
        line, ahead = top + 10 + row, top + 4 + row
        for t in reversed(range(TIME)):
            target = at(_DATA + row, 6 + t, sheet=DATA)
            y, e = at(ahead, 1 + HIDDEN * TIME + t), at(line, 1 + HIDDEN * TIME + t)
            sheet.formula(
                line,
                1 + HIDDEN * TIME + t,
                f"2/{TRAIN * TIME}*({y}-{target})",
                moment.errors[row, t],
            )
            for unit in range(HIDDEN):
                h = at(ahead, 1 + HIDDEN * t + unit)
                later = ""
                if t < TIME - 1:
                    nexts = [at(line, 1 + HIDDEN * (t + 1) + other) for other in range(HIDDEN)]
                    later = "".join(
                        f"+{p[f'u{other}{unit}']}*{nexts[other]}" for other in range(HIDDEN)
                    )
                formula = f"(1-{h}^2)*({p[f'v{unit}']}*{e}{later})"
                sheet.formula(line, 1 + HIDDEN * t + unit, formula, moment.deltas[row, t, unit])
    sheet.text(top + 10, 0, "δ and e")
    sheet.text(top + 4, 0, "forward")
    sheet.text(top + 4 + TRAIN, 0, "held out")
    sheet.text(top + 2, 0, "parameters")
    sheet.text(top + 14, 0, "gradient")

    def column(first: int, place: int) -> str:
        return block(first, 1 + place, TRAIN, 1)

    forward, back = top + 4, top + 10
    sums: dict[str, list[str]] = {name: [] for name in NAMES}
    for t in range(TIME):
        tokens = block(_DATA, 1 + t, TRAIN, 1, sheet=DATA)
        e = column(back, HIDDEN * TIME + t)
        sums["c"].append(f"SUM({e})")
        for unit in range(HIDDEN):
            delta = column(back, HIDDEN * t + unit)
            sums[f"w{unit}"].append(f"SUMPRODUCT({delta},{tokens})")
            sums[f"b{unit}"].append(f"SUM({delta})")
            sums[f"v{unit}"].append(f"SUMPRODUCT({e},{column(forward, HIDDEN * t + unit)})")
            for other in range(HIDDEN):
                if t:
                    past = column(forward, HIDDEN * (t - 1) + other)
                    sums[f"u{unit}{other}"].append(f"SUMPRODUCT({delta},{past})")
    for place, name in enumerate(NAMES):
        sheet.formula(top + 14, 1 + place, "+".join(sums[name]), moment.gradient[place])
    step = (top - 3) // _BLOCK
    for words, line, values in (
        ("parameters", 2, moment.parameters),
        ("gradient", 14, moment.gradient),
    ):
        squares = f"SUMSQ({block(top + line, 1, 1, len(NAMES))})"
        sheet.check(f"step {step}: squares of the {words}", squares, values.square().sum())
    sheet.formula(top, 9, f"SQRT(SUMSQ({block(top + 14, 1, 1, len(NAMES))}))", moment.norm)


def _nudged(sheet: Sheet, moment: Moment) -> None:
    """The first gradient again: the loss with each parameter a little larger and a little smaller."""
    h = 1e-4
    title = "The first gradient by central differences: (loss at + h - loss at - h) / 2h"
    sheet.text(0, 0, title, style="title")
    sheet.text(1, 0, "h")
    sheet.input(1, 1, h, name="h")
    for column, title in enumerate(
        ("parameter", "loss at + h", "loss at - h", "by differences", "through time")
    ):
        sheet.text(3, 2 * column, title, style="head")
    sheet.text(
        17, 0, "Below: the parameters with one of them moved, then h0 and h1 of every step, and y"
    )
    start_, first = 19, _top(0)
    for place, name in enumerate(NAMES):
        losses: list[float] = []
        for side, sign in enumerate((1, -1)):
            top = start_ + (2 * place + side) * (TRAIN + 3)
            sheet.text(top, 0, f"{name} {'+' if sign > 0 else '-'} h", style="head")
            moved = moment.parameters.clone()
            moved[place] += sign * h
            found = trained(moved, lr=1.0, clip=1.0, steps=0)[0]
            losses.append(found.train)
            for other in range(len(NAMES)):
                here = at(first + 2, 1 + other, sheet=TRAINED)
                nudge = f"{'+' if sign > 0 else '-'}h" if other == place else ""
                sheet.formula(top + 1, 1 + other, f"{here}{nudge}", moved[other])
            own = [at(top + 1, 1 + other, fix="both") for other in range(len(NAMES))]
            for row in range(TRAIN):
                _forward(sheet, top + 2 + row, row, own, found.hidden[row], found.outputs[row])
            outputs = block(top + 2, 1 + HIDDEN * TIME, TRAIN, TIME)
            targets = block(_DATA, 6, TRAIN, TIME, sheet=DATA)
            loss = f"SUMXMY2({outputs},{targets})/{TRAIN * TIME}"
            sheet.formula(4 + place, 2 + 2 * side, loss, losses[-1])
        row = 4 + place
        sheet.text(row, 0, name)
        by_differences = (losses[0] - losses[1]) / (2 * h)
        sheet.formula(row, 6, f"({at(row, 2)}-{at(row, 4)})/(2*h)", by_differences)
        sheet.formula(row, 8, at(first + 14, 1 + place, sheet=TRAINED), moment.gradient[place])
        sheet.check(f"gradient of {name} by differences", at(row, 6), moment.gradient[place])


@preserved()
def _lstm(sheet: Sheet, seed: int) -> None:
    """Four gates over three time steps: i lets in, f keeps, g is what is proposed, o shows."""
    inputs, times = 2, 3
    generator = torch.Generator().manual_seed(seed + 100)

    def drawn(*shape: int) -> Tensor:
        return (
            torch.randn(shape, generator=generator, dtype=torch.float64).mul(0.6).round(decimals=2)
        )

    x, w, u, b = (
        drawn(times, inputs),
        drawn(4 * HIDDEN, inputs),
        drawn(4 * HIDDEN, HIDDEN),
        drawn(4 * HIDDEN),
    )
    lstm = nn.LSTM(inputs, HIDDEN).double()
    cell = nn.LSTMCell(inputs, HIDDEN).double()
    with torch.no_grad():
        for module, end in ((lstm, "_l0"), (cell, "")):
            for name, values in (
                ("weight_ih", w),
                ("weight_hh", u),
                ("bias_ih", b),
                ("bias_hh", 0 * b),
            ):
                getattr(module, f"{name}{end}").copy_(values)
        shown = lstm(x)[0]
        states = [
            (torch.zeros(HIDDEN, dtype=torch.float64), torch.zeros(HIDDEN, dtype=torch.float64))
        ]
        for t in range(times):
            states.append(cell(x[t], states[-1]))
    sheet.text(0, 0, "One LSTM cell over three time steps, gate by gate", style="title")
    gated = "i, f, o = 1 / (1 + exp(-z)), g = tanh(z), z = W x + U h' + b"
    sheet.text(1, 0, f"c = f·c' + i·g    h = o·tanh(c)    gates: {gated}")
    gates = [f"{gate}{unit}" for gate in "ifgo" for unit in range(HIDDEN)]
    top = 4
    for left, title in ((1, "W"), (4, "U"), (7, "b")):
        sheet.text(top - 1, left, title, style="head")
    for place, gate in enumerate(gates):
        sheet.text(top + place, 0, gate, style="head")
    sheet.inputs(top, 1, w.tolist())
    sheet.inputs(top, 4, u.tolist())
    sheet.inputs(top, 7, b[:, None].tolist())
    sheet.text(top - 1, 9, "x, a row a time step", style="head")
    sheet.inputs(top, 9, x.tolist())

    first = 16
    titles = (
        "t",
        *gates,
        *(f"c{unit}" for unit in range(HIDDEN)),
        *(f"h{unit}" for unit in range(HIDDEN)),
    )
    for line, words in (
        (first - 1, "z of each gate: W x + U h' + b"),
        (first + 6, "gates, cell and output"),
    ):
        sheet.text(line - 1, 0, words, style="head")
        for column, title in enumerate(titles if line > first else titles[:9]):
            sheet.text(line, column, title, style="head")
    after = first + 7
    for t in range(times):
        row, out = first + t, after + t
        z = w @ x[t] + u @ states[t][0] + b
        sheet.number(row, 0, t + 1)
        sheet.number(out, 0, t + 1)
        for place in range(4 * HIDDEN):
            line = top + place
            terms = [f"{at(line, 1 + k, fix='both')}*{at(top + t, 9 + k)}" for k in range(inputs)]
            if t:
                terms += [
                    f"{at(line, 4 + k, fix='both')}*{at(out - 1, 11 + k)}" for k in range(HIDDEN)
                ]
            sheet.formula(row, 1 + place, "+".join([*terms, at(line, 7, fix="both")]), z[place])
            own = at(row, 1 + place)
            proposes = place // HIDDEN == 2
            gate = f"TANH({own})" if proposes else f"1/(1+EXP(-{own}))"
            value = z[place].tanh() if proposes else z[place].sigmoid()
            sheet.formula(out, 1 + place, gate, value)
        for unit in range(HIDDEN):
            i, f, g, o = (at(out, 1 + HIDDEN * gate + unit) for gate in range(4))
            past = f"{f}*{at(out - 1, 9 + unit)}+" if t else ""
            sheet.formula(out, 9 + unit, f"{past}{i}*{g}", states[t + 1][1][unit])
            sheet.formula(out, 11 + unit, f"{o}*TANH({at(out, 9 + unit)})", shown[t, unit])
            sheet.check(f"c{unit} at t = {t + 1}", at(out, 9 + unit), states[t + 1][1][unit])
            sheet.check(f"h{unit} at t = {t + 1}", at(out, 11 + unit), shown[t, unit])


def _deep(sheet: Sheet, factor: float) -> None:
    """One number multiplied 32 times, the gradient through it, and how coarse float32 is there."""
    title = "The same factor 32 times: doubling, halving, and what lies between"
    sheet.text(0, 0, title, style="title")
    sheet.text(2, 0, "factor")
    sheet.input(2, 1, factor, name="factor", note="2 doubles, 0.5 halves")
    sheet.widths(0, 5, 17)
    titles = ("step", "the number", "d last / d this", "doubled", "halved", "float32 apart by")
    for column, title in enumerate(titles):
        sheet.text(4, column, title, style="head")
    number = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    path = [number]
    for _ in range(DEPTH):
        path.append(path[-1] * factor)
    gradients = torch.autograd.grad(path[-1], path)
    for step in range(DEPTH + 1):
        row, value = 5 + step, float(path[step].detach())
        sheet.number(row, 0, step)
        before = [at(row - 1, column) for column in range(6)]
        sheet.formula(row, 1, f"{before[1]}*factor" if step else "1", value)
        after = f"{at(row + 1, 2)}*factor" if step < DEPTH else "1"
        sheet.formula(row, 2, after, gradients[step])
        sheet.formula(row, 3, f"{before[3]}*2" if step else "1", 2.0**step)
        sheet.formula(row, 4, f"{before[4]}/2" if step else "1", 0.5**step)
        near = torch.tensor(2.0**step, dtype=torch.float32)
        gap = float(torch.nextafter(near, torch.tensor(torch.inf)).double() - near.double())
        doubled = at(row, 3)
        sheet.formula(row, 5, f"2^(ROUND(LN({doubled})/LN(2),0)-23)", gap)
        sheet.check(f"the number after {step} steps", at(row, 1), value)
        sheet.check(f"gradient from step {step}", at(row, 2), gradients[step])
