"""The workbook `dropout`: masks from a column of random numbers that cells make, seed included.

    train: y = a · m / (1 - p),  m = 0 where u < p, else 1        test: y = a

The random numbers come from a linear congruential generator, x' = 16807·x mod (2³¹ - 1) (Park and
Miller 1988, doi:10.1145/63039.63042), whose products stay below 2⁵³ and so are exact in a spreadsheet.
A mask stays as it is until the seed changes, and the same seed brings it back.

Paper: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html; that paper scales at test
time, and torch, as here, at training time ("inverted").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.randomness import preserved, seeded
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

UNITS, MASKS = 40, 20
_FACTOR, _MODULUS = 16807, 2**31 - 1
_THROWN_AWAY = 3

ONE, MANY, DRAWS = "One mask", "20 masks", "Random numbers"

_FIRST = 6
"""Row of the first unit, on the sheets of masks."""


def draws(seed: int) -> Tensor:
    """The generator's whole numbers, (800,) int64: mask 0's 40 units first, then mask 1's."""
    state, found = seed, []
    for place in range(_THROWN_AWAY + UNITS * MASKS):
        state = state * _FACTOR % _MODULUS
        if place >= _THROWN_AWAY:
            found.append(state)
    return torch.tensor(found)


def masked(activations: Tensor, drop: Tensor, p: float) -> Tensor:
    """What `torch.nn.Dropout(p)` in training gives where it drops what `drop` says.

    Args:
        activations: (U,) float64.
        drop: (..., U) bool.

    The factor of what is kept is asked of the real layer, since its mask cannot be chosen.
    """
    ones = torch.ones(10_000, dtype=torch.float64)
    with seeded(0, "dropout"):
        kept = nn.Dropout(p)(ones).max()
    return torch.where(drop, torch.zeros_like(activations), activations * kept)


def build(*, p: float = 0.5, seed: int = 42) -> Workbook:
    """The workbook.

    Args:
        p: share of activations that are dropped, 0 to 0.95.
        seed: of the masks, a whole number from 1 to 2147483646.
    Raises: ConfigError: `p` or `seed` is outside its range.
    """
    if not 0 <= p <= 0.95:
        raise ConfigError(f"`p` must be 0 to 0.95. Got {p}.")
    if not 1 <= seed < _MODULUS:
        raise ConfigError(f"`seed` must be 1 to {_MODULUS - 1}. Got {seed}.")
    generator = torch.Generator().manual_seed(7)
    activations = (
        torch.randn(UNITS, generator=generator, dtype=torch.float64).abs().round(decimals=2)
    )
    weights = (
        torch.randn(UNITS, generator=generator, dtype=torch.float64).mul(0.5).round(decimals=2)
    )
    states = draws(seed)
    drop = (states.double() / _MODULUS < p).reshape(MASKS, UNITS)
    book = Workbook(
        "Dropout: masks, scaling, training and test",
        "A layer of 40 activations under 20 masks; what is kept is scaled up, so that means agree.",
    )
    book.guide(
        what="'One mask' shows one of the 20 masks with every step; '20 masks' all of "
        "them, with the true share of zeros and the mean activation of each; 'Random numbers' where the "
        "masks come from.",
        change=[
            (
                "p_drop on 'One mask': 0.5 to 0.9",
                "Means under single masks jump about, since few units carry ten times their weight; the "
                "mean over all masks stays near the one at test time.",
            ),
            (
                "seed on 'One mask'",
                "Other masks, other means, the same conclusion. The old seed brings the old masks back.",
            ),
            (
                "p_drop to 0",
                "Nothing is dropped or scaled: training and test are equal to the last digit.",
            ),
            (
                "the column 'kept, not scaled' on '20 masks'",
                "Without 1 / (1 - p) the mean falls to 1 - p of the one at test time, which the next "
                "layer has never seen.",
            ),
        ],
    )
    _one(book.sheet(ONE), activations, weights, drop, p, seed)
    _many(book.sheet(MANY), activations, weights, drop, p)
    _draws(book.sheet(DRAWS), states, seed)
    return book


@preserved()  # torch's layer draws its first weights
def _one(
    sheet: Sheet, activations: Tensor, weights: Tensor, drop: Tensor, p: float, seed: int
) -> None:
    number = 1
    trained = masked(activations, drop[number - 1], p)
    sheet.widths(0, 6, 18)
    sheet.widths(8, 8, 34)
    sheet.text(0, 0, "One mask, unit by unit", style="title")
    for column, (name, value, note) in enumerate(
        (
            ("p_drop", p, "share that is dropped, 0 to 0.95"),
            ("seed", seed, "1 to 2147483646"),
            ("mask_number", number, f"1 to {MASKS}"),
        )
    ):
        sheet.text(1 + column, 0, name)
        sheet.input(1 + column, 1, value, name=name, note=note)
    titles = (
        *("unit", "a: activation", "u: 0 to 1", "m: 1 if u ≥ p"),
        *("train: a·m / (1 - p)", "test: a", "w: next layer"),
    )
    for column, title in enumerate(titles):
        sheet.text(_FIRST - 1, column, title, style="head")
    states = draws(seed).double().reshape(MASKS, UNITS)[number - 1]
    for unit in range(UNITS):
        row = _FIRST + unit
        sheet.number(row, 0, unit + 1)
        sheet.number(row, 1, float(activations[unit]))
        place = f"(mask_number-1)*{UNITS}+{at(row, 0)}"
        column = block(4 + _THROWN_AWAY, 2, UNITS * MASKS, 1, sheet=DRAWS)
        sheet.formula(row, 2, f"INDEX({column},{place})", states[unit] / _MODULUS)
        sheet.formula(row, 3, f"IF({at(row, 2)}<p_drop,0,1)", 1 - int(drop[number - 1, unit]))
        sheet.formula(row, 4, f"{at(row, 1)}*{at(row, 3)}/(1-p_drop)", trained[unit])
        sheet.formula(row, 5, at(row, 1), activations[unit])
        sheet.number(row, 6, float(weights[unit]))
    a, m, train, test, w = (block(_FIRST, column, UNITS, 1) for column in (1, 3, 4, 5, 6))
    dense = nn.Linear(UNITS, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        dense.weight.copy_(weights[None])
        outputs = [float(dense(x)) for x in (trained, nn.Dropout(p).eval()(activations))]
    zeros = float(drop[number - 1].double().mean())
    rows = (
        ("true share of zeros in the mask", f"COUNTIF({m},0)/COUNT({m})", zeros),
        ("mean activation, train", f"AVERAGE({train})", trained.mean()),
        ("mean activation, test", f"AVERAGE({test})", activations.mean()),
        ("next layer, train: Σ w·a·m / (1 - p)", f"SUMPRODUCT({train},{w})", outputs[0]),
        ("next layer, test: Σ w·a", f"SUMPRODUCT({a},{w})", outputs[1]),
    )
    top = _FIRST
    for line, (label, formula, value) in enumerate(rows):
        sheet.text(top + 2 * line, 8, label)
        sheet.formula(top + 2 * line + 1, 8, formula, value)
        sheet.check(label, at(top + 2 * line + 1, 8), float(value))


def _many(sheet: Sheet, activations: Tensor, weights: Tensor, drop: Tensor, p: float) -> None:
    trained = masked(activations, drop, p)  # (MASKS, UNITS)
    sheet.text(0, 0, "All 20 masks: a unit a row, a mask a column; 0 is dropped", style="title")
    sheet.text(_FIRST - 2, 1, "mask", style="head")
    for mask in range(MASKS):
        sheet.number(_FIRST - 1, 1 + mask, mask + 1, style="index")
    column = block(4 + _THROWN_AWAY, 2, UNITS * MASKS, 1, sheet=DRAWS)
    for unit in range(UNITS):
        row = _FIRST + unit
        sheet.number(row, 0, unit + 1, style="index")
        a = at(_FIRST + unit, 1, sheet=ONE)
        for mask in range(MASKS):
            place = f"({at(_FIRST - 1, 1 + mask, fix='row')}-1)*{UNITS}+{at(row, 0, fix='column')}"
            formula = f"IF(INDEX({column},{place})<p_drop,0,{a}/(1-p_drop))"
            sheet.formula(row, 1 + mask, formula, trained[mask, unit])
    sheet.heat(_FIRST, 1, UNITS, MASKS)

    top = _FIRST + UNITS + 2
    titles = (
        "mask",
        "share of zeros",
        "mean, train",
        "mean, test",
        "kept, not scaled",
        "output, train",
        "output, test",
    )
    for place, title in enumerate(titles):
        sheet.text(top - 1, 3 * place, title, style="head")
    w = block(_FIRST, 6, UNITS, 1, sheet=ONE)
    test_mean, test_out = at(_FIRST + 5, 8, sheet=ONE), at(_FIRST + 9, 8, sheet=ONE)
    values: list[list[float]] = []
    for mask in range(MASKS):
        row = top + mask
        own = block(_FIRST, 1 + mask, UNITS, 1)
        drawn = f"INDEX({column},({at(row, 0)}-1)*{UNITS}+1):INDEX({column},{at(row, 0)}*{UNITS})"
        sheet.number(row, 0, mask + 1)
        numbers = [
            float(drop[mask].double().mean()),
            float(trained[mask].mean()),
            float(activations.mean()),
            float(trained[mask].mean()) * (1 - p),
            float(trained[mask] @ weights),
            float(activations @ weights),
        ]
        formulas = (
            f'COUNTIF({drawn},"<"&p_drop)/{UNITS}',
            f"AVERAGE({own})",
            test_mean,
            f"{at(row, 6)}*(1-p_drop)",
            f"SUMPRODUCT({own},{w})",
            test_out,
        )
        values.append(numbers)
        for place, (formula, value) in enumerate(zip(formulas, numbers, strict=True), start=1):
            sheet.formula(row, 3 * place, formula, value)
        sheet.check(f"mask {mask + 1}: share of zeros", at(row, 3), numbers[0])
        sheet.check(f"mask {mask + 1}: mean, train", at(row, 6), numbers[1])
        sheet.check(f"mask {mask + 1}: output, train", at(row, 15), numbers[4])
    row = top + MASKS
    sheet.text(row, 0, "mean", style="head")
    for place in range(1, 7):
        mean = sum(numbers[place - 1] for numbers in values) / MASKS
        sheet.formula(row, 3 * place, f"AVERAGE({block(top, 3 * place, MASKS, 1)})", mean)
        sheet.check(f"over all masks: {titles[place]}", at(row, 3 * place), mean)
    lines = [(titles[place], block(top, 3 * place, MASKS, 1)) for place in (2, 3, 4)]
    numbers = block(top, 0, MASKS, 1)
    sheet.chart("Mean activation by mask", lines, x=numbers, place=(row + 2, 1), x_title="mask")


def _draws(sheet: Sheet, states: Tensor, seed: int) -> None:
    title = "Random numbers made by cells: x' = 16807·x mod (2^31 - 1), u = x / (2^31 - 1)"
    sheet.text(0, 0, title, style="title")
    sheet.text(1, 0, "Three are thrown away first: a small seed makes a small first number.")
    for column, title in enumerate(("number", "x", "u")):
        sheet.text(2, column, title, style="head")
    sheet.formula(3, 1, "seed", seed)
    state = seed
    for place in range(_THROWN_AWAY + UNITS * MASKS):
        row = 4 + place
        state = state * _FACTOR % _MODULUS
        if place >= _THROWN_AWAY:
            sheet.number(row, 0, place - _THROWN_AWAY + 1)
            state = int(states[place - _THROWN_AWAY])
        sheet.formula(row, 1, f"MOD({_FACTOR}*{at(row - 1, 1)},{_MODULUS})", state)
        sheet.formula(row, 2, f"{at(row, 1)}/{_MODULUS}", state / _MODULUS)
    last = 3 + _THROWN_AWAY + UNITS * MASKS
    sheet.check("the last random number", at(last, 1), int(states[-1]))
