"""Write docs/corrections.md: where the course's notes are wrong, vague or ask, each point computed.

    python tools/corrections.py            write docs/corrections.md
    python tools/corrections.py --check    say whether it is current; exit code 1 where it is not

A point is a function that returns what is said, what is so, and a table of numbers that it has just
computed. So no number on the page was typed.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "corrections.md"
HEAD = """\
# Where the course errs

Eighteen places where the notes of the course, its book or its sheets are wrong or vague, or ask a
question that they leave open. Every number below was computed when this page was written, by
[tools/corrections.py](../tools/corrections.py); a test holds the page to it.

"""

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Point:
    """One place."""

    title: str
    said: str
    so: str
    columns: Sequence[str] = ()
    rows: Rows = ()


POINTS: list[Callable[[], Point]] = []


def point(function: Callable[[], Point]) -> Callable[[], Point]:
    """Add to the page, in the order of this file."""
    POINTS.append(function)
    return function


@point
def multiplications() -> Point:
    """Of the small net over digits: a grid is counted where it is read, or where it is written."""
    rows, size, channels = [], 28, 1
    for number, out in enumerate((4, 8, 16, 32), start=1):
        smaller = _size(size, kernel=3, padding=1, stride=2)
        per = channels * out * 9
        inside = _taps_inside(size, smaller)
        rows.append(
            (
                f"{number}: {channels} to {out} channels",
                f"{size}² to {smaller}²",
                per * size * size,
                per * smaller * smaller,
                channels * out * inside,
            )
        )
        size, channels = smaller, out
    return Point(
        "56,448 = 56,448",
        "With every stride-2 layer the grid halves and the channels double, so the work stays the "
        "same: both layers are said to take 56,448 multiplications, counted over the grid that a "
        "layer reads.",
        f"A kernel is applied once for each place that is *written*. Counted there, layer 2 takes "
        f"{rows[1][3]:,} and layer 3 {rows[2][3]:,}. Without the multiplications by padding, which "
        f"is zero, layers 2, 3 and 4 take {rows[1][4]:,} each: in that count the sentence is true.",
        (
            "layer, kernel 3, stride 2",
            "grid",
            "over what is read",
            "over what is written",
            "without zeros",
        ),
        rows,
    )


@point
def decay_factor() -> Point:
    """A step with weight decay, as the notes write it and as the libraries do it."""
    start, lr, decay, gradient = 5.0, 0.1, 0.01, 4.0
    by_notes = start - lr * (gradient + 2 * decay * start)
    rows = [("the notes, gradient + 2·wd·a", _digits(by_notes))]
    for name, used in (
        ("`torch.optim.SGD(weight_decay=0.01)`", decay),
        ("the same with twice the decay, 0.02", 2 * decay),
    ):
        weight = nn.Parameter(torch.tensor([start], dtype=torch.float64))
        optimizer = torch.optim.SGD([weight], lr=lr, weight_decay=used)
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        rows.append((name, _digits(weight.item())))
    decoupled = start * (1 - lr * decay) - lr * gradient
    rows.append(("decoupled: a·(1 − lr·wd) − lr·gradient", _digits(decoupled)))
    return Point(
        "The factor 2 of weight decay",
        "a = 5, rate 0.1, decay 0.01, gradient 4: the next a is 4.59.",
        "The derivative of wd·a² is 2·wd·a, and gives 4.59. PyTorch and fastai add wd·a, the "
        "derivative of wd·a²/2, and give 4.595; with a decay of 0.02 they give the notes' number.",
        ("formula", "the next a"),
        rows,
    )


@point
def hidden_state() -> Point:
    """What is kept between words, and what is learnt."""
    generator = torch.Generator().manual_seed(0)
    cell = nn.RNN(3, 4, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.5)
    words = torch.rand(1, 3, 3, generator=generator)
    matrix = dict(cell.named_parameters())["weight_hh_l0"]
    before = matrix.detach().clone()
    states, _ = cell(words)
    rows = [
        (f"word {step + 1}", " ".join(f"{value:.3f}" for value in states[0, step].tolist()))
        for step in range(3)
    ]
    rows.append(
        (
            "largest change of the weight matrix",
            _digits((matrix.detach() - before).abs().max()),
        )
    )
    return Point(
        "“The weight matrix is called hidden state”",
        "The notes give the name to the matrix, and a line later to what it makes.",
        "The hidden state is activations: computed anew at each word, and different for each text. "
        "The matrix is the layer's parameter: the same at every word, changed by training only. A "
        "run over three words:",
        ("after", "hidden state, four numbers"),
        rows,
    )


@point
def gini() -> Point:
    """Two draws from a group."""
    rows = []
    for share in (0.0, 0.25, 0.5, 0.742):
        impurity = 1 - (share**2 + (1 - share) ** 2)
        rows.append((_digits(share), _digits(1 - impurity, 4), _digits(impurity, 4)))
    return Point(
        "Gini: how likely two draws are the same",
        "Gini is said to be the chance of drawing two of the same kind.",
        "The course's own function returns 1 − (p² + (1 − p)²): the chance that two draws "
        "*differ*. It is 0 in a pure group, and largest, a half, where both kinds are as many.",
        ("share of one kind", "two are the same", "two differ: the Gini impurity"),
        rows,
    )


@point
def penalty() -> Point:
    """The penalty is added, whatever the weights are."""
    rows = []
    for weights in ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0)):
        total = sum(w * w for w in weights)
        rows.append((str(weights), _digits(total), _digits(0.5), _digits(0.5 + 0.1 * total)))
    return Point(
        "“The sum of squared weights is below 1, so the loss goes down”",
        "With small weights the penalty is said to make the loss smaller.",
        "A sum of squares is never negative: the penalty is added, and the loss goes *up*, by less "
        "where the weights are small. What falls with smaller weights is the penalty.",
        ("weights", "sum of squares", "loss without it", "loss with decay 0.1"),
        rows,
    )


@point
def logarithm() -> Point:
    """The sheet's five scores, with its logarithm and with the natural one."""
    names = ("cat", "dog", "plane", "fish", "building")
    scores = torch.tensor([-4.885, 2.597, 0.592, -2.069, -4.569], dtype=torch.float64)
    probs = scores.softmax(0)
    rows = [
        (name, _digits(p, 5), _digits(-math.log10(p), 5), _digits(-math.log(p), 5))
        for name, p in zip(names, probs.tolist(), strict=True)
    ]
    pairs = ((1, 0.5), (1, 0.98), (0, 0.9), (0, 0.5), (1, 0.9))
    binary = [-math.log(p if truth else 1 - p) for truth, p in pairs]
    ten = [-math.log10(p if truth else 1 - p) for truth, p in pairs]
    loss = nn.functional.cross_entropy(scores[None], torch.tensor([1])).item()
    return Point(
        "The sheet's logarithm is to base 10",
        "The course's sheet on entropy gives 0.0589 for the dog, and −1.657 as the total of five "
        "yes-or-no losses.",
        "`LOG` in a sheet is to base 10. With the natural logarithm, PyTorch's, the dog's loss "
        f"(of the scores as the sheet shows them, to three digits) is {loss:.5f}: "
        f"{math.log(10):.6f} times as much. The total negates a column that is negated already, "
        f"and adds where a loss is a mean: base 10 gives {-sum(ten):.4f} in its way, and the mean "
        f"with natural logarithms is {sum(binary) / len(binary):.6f}.",
        ("class", "probability", "−log₁₀", "−ln"),
        rows,
    )


@point
def norms() -> Point:
    """Norms are sums; what the course uses are means."""
    left = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    right = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    apart = left - right
    rows = [
        ("L1 norm: Σ abs(x)", _digits(torch.linalg.vector_norm(apart, 1), 4)),
        ("mean absolute error: Σ abs(x) / n", _digits(nn.functional.l1_loss(left, right), 4)),
        ("L2 norm: √Σx²", _digits(torch.linalg.vector_norm(apart, 2), 4)),
        (
            "root mean squared error: √(Σx² / n)",
            _digits(nn.functional.mse_loss(left, right).sqrt(), 4),
        ),
    ]
    return Point(
        "“L1 norm: the mean of absolute differences”",
        "The two distances between pictures are called L1 and L2 norm.",
        "A norm is a sum. Divided by the number of values it is the mean absolute error, and the "
        "root mean squared error. For one size of picture both order pictures alike; between sizes "
        "the norms do not.",
        ("of [1, 2, 4] and [1, 0, 1]", "value"),
        rows,
    )


@point
def slips() -> Point:
    """Words that stand for others."""
    return Point(
        "Slips of the pen",
        "“levels”, `prob_eight`, “reactified linear”.",
        "The second question of the Drivetrain approach is about *levers*: what one can set. A net "
        "that tells 3 from 7 gives the probability of a 3, or of a 7. And it is a *rectified* "
        "linear unit: its negative half is made zero.",
        ("x", "rectified: max(0, x)"),
        [(_digits(x), _digits(max(0.0, x))) for x in (-2.0, -0.5, 0.0, 1.5)],
    )


@point
def shrinking() -> Point:
    """Weights do not depend on the grid."""
    rows, size, channels = [], 28, 4
    conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
    weights = sum(parameter.numel() for parameter in conv.parameters())
    for _ in range(3):
        smaller = _size(size, kernel=3, padding=1, stride=2)
        rows.append((f"{size}² to {smaller}²", channels * size**2, channels * smaller**2, weights))
        size = smaller
    return Point(
        "“Stride 2 decreases the weights by a factor of 4”",
        "Each layer with stride 2 is said to have a quarter of the weights.",
        "It has a quarter of the *activations*. Its weights are the kernel's, and the kernel does "
        "not know how large the grid is.",
        ("grid", "activations before", "activations after", "weights of the layer"),
        rows,
    )


@point
def single_digit() -> Point:
    """The size formula, and why to go on until one place is left."""
    sizes = [28]
    while sizes[-1] > 1:
        sizes.append(_size(sizes[-1], kernel=3, padding=1, stride=2))
    return Point(
        "“(28 + 2 − 3)//1 + 1 = 27 + 1”, and “we only need a single digit”",
        "The size comes out as 28, which is right; then one number is wanted.",
        "What is wanted at the end is one activation for *each class*, so the grid has to come "
        f"down to 1 × 1: with stride 2 that takes {len(sizes) - 1} layers, and the last has as "
        "many channels as classes.",
        ("layer", "size: (n + 2·1 − 3)//stride + 1"),
        [("stride 1", f"28 to {_size(28, kernel=3, padding=1, stride=1)}")]
        + [
            (f"stride 2, layer {i}", f"{before} to {after}")
            for i, (before, after) in enumerate(itertools.pairwise(sizes), start=1)
        ],
    )


@point
def second_layer() -> Point:
    """relu1 + relu2 is a second layer whose weights are 1."""
    hidden = torch.tensor([[0.2, 0.9], [0.0, 1.4], [1.157, 0.0]], dtype=torch.float64)
    ones = hidden @ torch.ones(2, 1, dtype=torch.float64)
    free = hidden @ torch.tensor([[1.0], [-0.5]], dtype=torch.float64) + 0.1
    rows = [
        (f"{a:g}, {b:g}", _digits(one), _digits(other))
        for (a, b), one, other in zip(
            hidden.tolist(), ones[:, 0].tolist(), free[:, 0].tolist(), strict=True
        )
    ]
    return Point(
        "“w2 are 1s?”",
        "The notes ask it of the sheet's net, which adds its two ReLUs.",
        "Yes: `relu1 + relu2` is a second layer with weights 1, 1 and bias 0, which are not "
        "learnt. Such a net can never give less than 0, and cannot let one neuron speak against "
        "the other. `drivetrain sheet titanic` has the weights and the bias of the second layer in "
        "cells of their own.",
        ("relu1, relu2", "w2 = 1, 1, bias 0", "w2 = 1, −0.5, bias 0.1"),
        rows,
    )


@point
def strides() -> Point:
    """The open question, as a table."""
    rows = []
    for kernel, padding, stride in ((3, 0, 1), (3, 1, 1), (3, 1, 2), (5, 2, 1), (5, 2, 2)):
        conv = nn.Conv2d(1, 1, kernel, stride=stride, padding=padding)
        size = conv(torch.zeros(1, 1, 28, 28)).shape[-1]
        rows.append((f"{kernel}, {padding}, {stride}", size, _growth(kernel, stride)))
    return Point(
        "What do layers of stride 1 and of stride 2 do?",
        "The notes leave it open.",
        "Stride 1 with padding (k − 1)/2 looks further and keeps the grid; stride 2 halves it, so "
        "that every layer after it sees twice as far for the same kernel. “Sees” is how much a "
        "second layer with a kernel of 3 sees of the input after this one.",
        ("kernel, padding, stride", "28 becomes", "sees of the input"),
        rows,
    )


@point
def test_time() -> Point:
    """Averaging over what does not vary."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    plain = logits.softmax(1)
    same = torch.stack([plain] * 4).mean(0)
    varied = torch.stack(
        [
            (logits + 0.5 * torch.randn(5, 3, generator=generator, dtype=torch.float64)).softmax(1)
            for _ in range(4)
        ]
    ).mean(0)
    return Point(
        "Test-time augmentation “only works when there were augmentations in training”",
        "The notes say it cannot be used otherwise.",
        "It runs all the same. Without augmentation the averaged predictions are all alike, so "
        "nothing changes; with one that training did not know, it averages over pictures of a kind "
        "that the net never saw.",
        ("average of 4 predictions", "largest change of a probability"),
        [
            ("not augmented", _digits((same - plain).abs().max(), 4)),
            ("scores varied by 0.5", _digits((varied - plain).abs().max(), 4)),
        ],
    )


@point
def momentum() -> Point:
    """What momentum does to noisy gradients."""
    generator = torch.Generator().manual_seed(0)
    gradients = (1 + torch.randn(2000, generator=generator, dtype=torch.float64)).tolist()
    average, averages = 0.0, []
    for gradient in gradients:
        average = 0.9 * average + 0.1 * gradient
        averages.append(average)
    kept = torch.tensor(averages[100:], dtype=torch.float64)
    raw = torch.tensor(gradients[100:], dtype=torch.float64)
    return Point(
        "“Momentum avoids overfitting small changes in the loss”",
        "The notes give it as a cure for overfitting.",
        "Momentum averages gradients: what they have in common stays, what is noise of single "
        "batches mostly goes (to √((1 − β)/(1 + β)) of it: "
        f"{math.sqrt(0.1 / 1.9):.3f} for β = 0.9). How well a model does on new items is another "
        "matter.",
        ("2,000 gradients of 1 + noise", "mean", "standard deviation"),
        [
            ("as they are", _digits(raw.mean(), 3), _digits(raw.std(), 3)),
            ("averaged, β = 0.9", _digits(kept.mean(), 3), _digits(kept.std(), 3)),
        ],
    )


@point
def three_words() -> Point:
    """One word for each part."""
    sizes = {"train": 0.6, "valid": 0.2, "test": 0.2}
    return Point(
        "“Hugging Face calls this the test set”",
        "The set that a model is compared on while it trains has several names.",
        "Drivetrain has one word for each. `train` is what weights are fitted to; `valid` is "
        "looked at after each epoch and chooses between models; `test` is opened once, at the end, "
        "because whatever has chosen cannot judge any more.",
        ("of 1,000 items, say", "for"),
        [
            (f"{name}: {int(1000 * share)}", use)
            for (name, share), use in zip(
                sizes.items(), ("learning", "choosing", "one honest number"), strict=True
            )
        ],
    )


@point
def accumulation() -> Point:
    """Items or iterations."""
    batch, accum = 64, 4
    small = batch // accum
    return Point(
        "Gradient accumulation: items, or iterations?",
        "`bs = 64 // accum`, and a step “every accum iterations”.",
        f"fastai's `GradientAccumulation(n_acc)` counts *items*: with batches of {small} and n_acc "
        f"= {accum} it steps after each batch, and {batch} has to be asked for. Drivetrain's "
        f"`accumulate` counts batches and says so in its name: `steps={accum}`.",
        ("asked for", "counts", "batches of 16 to a step"),
        [
            (f"n_acc={accum}", "items", math.ceil(accum / small)),
            (f"n_acc={batch}", "items", math.ceil(batch / small)),
            (f"steps={accum}", "batches", accum),
        ],
    )


@point
def base_class() -> Point:
    """A module that forgets its base's constructor."""

    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.factors = nn.Embedding(4, 2)

    try:
        Forgetful()
        told = "no error"
    except AttributeError as error:
        told = str(error)

    class Right(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factors = nn.Embedding(4, 2)

    return Point(
        "DotProductBias without `super().__init__()`",
        "The class of the notes inherits fastai's `Module`, which calls the constructor by itself.",
        "With `nn.Module` the same class fails at its first layer. The line to add is "
        "`super().__init__()`, as the first of the constructor.",
        ("class", "what happens"),
        [
            ("without it", f"`AttributeError`: {told}"),
            ("with it", f"{sum(p.numel() for p in Right().parameters())} parameters are found"),
        ],
    )


@point
def near_zero() -> Point:
    """An activation of 0 costs the gradient."""
    rows = []
    for shift in (0.0, -1.0, -3.0):
        generator = torch.Generator().manual_seed(2)
        inputs = torch.randn(512, 20, generator=generator, dtype=torch.float64)
        weight = (
            torch.randn(20, 30, generator=generator, dtype=torch.float64) / 20**0.5
        ).requires_grad_()
        hidden = (inputs @ weight + shift).relu()
        hidden.sum(1).mean().backward()
        assert weight.grad is not None
        share = (hidden == 0).double().mean()
        rows.append((_digits(shift), f"{100 * share.item():.1f} %", _digits(weight.grad.norm(), 3)))
    return Point(
        "“Activations close to 0 are bad because 0 times anything is 0”",
        "The harm is said to be in the product.",
        "The harm is in the way back: where a ReLU gives 0 its slope is 0, and no gradient reaches "
        "what is below it. So the share near zero is looked at beside the norm of the gradient.",
        ("bias", "activations at zero", "norm of the weights' gradient"),
        rows,
    )


# --- what the points share ------------------------------------------------------------------------


def _size(n: int, *, kernel: int, padding: int, stride: int) -> int:
    return (n + 2 * padding - kernel) // stride + 1


def _taps_inside(size: int, smaller: int) -> int:
    """Multiplications of a kernel of 3 with padding 1 and stride 2 that meet the picture itself."""
    along = sum(0 <= 2 * place + tap - 1 < size for place in range(smaller) for tap in range(3))
    return along * along


def _growth(kernel: int, stride: int) -> str:
    """What one place of a kernel of 3 after this layer sees of the input."""
    seen = kernel + (3 - 1) * stride
    return f"{seen} × {seen}"


def _digits(value: Any, places: int = 6) -> str:
    """A number without the zeros at its end, and without a minus that only rounding left."""
    text = f"{float(value):.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "−")


def page() -> str:
    """The page, computed now."""
    parts = [HEAD]
    for number, make in enumerate(POINTS, start=1):
        found = make()
        parts.append(
            f"## {number}. {found.title}\n\n**Said:** {found.said}\n\n**So:** {found.so}\n"
        )
        if found.columns:
            parts.append(_table(found.columns, found.rows))
    return "\n".join(parts).rstrip() + "\n"


def _table(columns: Sequence[str], rows: Rows) -> str:
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    lines = [list(columns), ["---"] + ["---:"] * (len(columns) - 1), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it."""
    text = page()
    if "--check" not in arguments:
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == text:
        return 0
    print("docs/corrections.md is not what tools/corrections.py computes: run it.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
