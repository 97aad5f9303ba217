"""The workbook `factorization`: 15 people, 15 films, three factors each, trained in cells.

    z[u, i] = factors of u · factors of i + bias of u + bias of i
    rating  = low + (high - low) / (1 + exp(-z))
    loss    = mean of (rating - true)² over the ratings that are trained on
    step    = parameter - lr · (gradient + weight_decay · parameter)         torch.optim.SGD's own form

The steps stand one below the other; ratings that are held out show when the fit still gets better
and the predictions get worse.

Paper: Koren, Bell, Volinsky 2009, doi:10.1109/MC.2009.263.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drivetrain.errors import ConfigError
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

SIZE, FACTORS, STEPS = 15, 3, 40
TRAIN, HELD = 110, 20

RATINGS, CURVE, ONE, TRAINED, LOOK_UP = "Ratings", "Curve", "One step", "Steps", "Look-up"

_USERS = (17, 82, 3, 45, 61, 29, 94, 8, 76, 50, 33, 12, 68, 21, 57)
"""Ids as they come from a file: neither sorted nor from 1."""

_FILMS = (204, 118, 377, 15, 290, 63, 341, 156, 88, 233, 19, 305, 141, 72, 266)

_GRID = 7
"""Row of the first person on `Ratings`."""

_ROLES = _GRID + SIZE + 3
_START = _ROLES + SIZE + 4
_BLOCK = 3 * (SIZE + 2) + 2
"""Rows of a step on `Steps`."""


@dataclass(frozen=True)
class Settings:
    """What the cells say."""

    lr: float = 2.0
    weight_decay: float = 0.0
    low: float = 0.0
    high: float = 5.5
    seed: int = 2


@dataclass(frozen=True)
class Data:
    """Ratings, which are trained on, and where training starts, float64."""

    ratings: Tensor  # (15, 15), in steps of a half
    roles: Tensor  # (15, 15): 1 train, 2 held out, 0 not rated
    users: Tensor  # (15, 3)
    films: Tensor  # (15, 3)


@dataclass(frozen=True)
class Moment:
    """One step, before the update: what torch has."""

    parameters: tuple[Tensor, ...]  # factors and biases of users, factors and biases of films
    ratings: Tensor  # (15, 15) predicted
    scores: Tensor  # (15, 15) d loss / d z
    gradients: tuple[Tensor, ...]
    train: float  # RMSE
    held: float


def data(seed: int) -> Data:
    """Ratings made of two hidden tastes, biases and noise; 130 of 225 are there, 20 of them held out."""
    draw = np.random.default_rng(seed)
    tastes = draw.normal(size=(SIZE, 2)), draw.normal(size=(SIZE, 2))
    biases = draw.normal(0, 0.4, SIZE), draw.normal(0, 0.5, SIZE)
    true = 3.3 + 0.6 * tastes[0] @ tastes[1].T + biases[0][:, None] + biases[1]
    ratings = ((true + draw.normal(0, 0.5, (SIZE, SIZE))) * 2).round() / 2
    order, roles = draw.permutation(SIZE * SIZE), np.zeros(SIZE * SIZE)
    roles[order[:TRAIN]], roles[order[TRAIN : TRAIN + HELD]] = 1, 2
    start = (draw.normal(0, 0.2, (2, SIZE, FACTORS))).round(3)
    return Data(
        torch.from_numpy(ratings.clip(0.5, 5)),
        torch.from_numpy(roles.reshape(SIZE, SIZE)),
        *torch.from_numpy(start),
    )


def trained(given: Data, settings: Settings, steps: int = STEPS) -> list[Moment]:
    """Every step from 0 to `steps`, by torch.autograd and torch.optim.SGD in float64."""
    zeros = torch.zeros(SIZE, dtype=torch.float64)
    parameters = [one.clone().requires_grad_() for one in (given.users, zeros, given.films, zeros)]
    optimizer = torch.optim.SGD(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    train, held = given.roles == 1, given.roles == 2
    moments: list[Moment] = []
    for _ in range(steps + 1):
        before = tuple(one.detach().clone() for one in parameters)
        users, user_bias, films, film_bias = parameters
        z = users @ films.T + user_bias[:, None] + film_bias
        z.retain_grad()
        ratings = settings.low + (settings.high - settings.low) * torch.sigmoid(z)
        errors = ratings - given.ratings
        loss = errors[train].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gradients = [one.grad for one in parameters]
        moments.append(
            Moment(
                parameters=before,
                ratings=ratings.detach(),
                scores=z.grad if z.grad is not None else torch.zeros_like(z),
                gradients=tuple(one.clone() for one in gradients if one is not None),
                train=float(loss.detach().sqrt()),
                held=float(errors.detach()[held].square().mean().sqrt()),
            )
        )
    return moments


def build(
    *, lr: float = 2.0, weight_decay: float = 0.0, seed: int = 2, steps: int = STEPS
) -> Workbook:
    """The workbook.

    Args:
        lr: learning rate, above 0.
        weight_decay: times the parameter, added to its gradient, 0 or more.
        seed: of the ratings, of which are held out, and of the first factors.
        steps: how many stand below each other, 1 to 100.
    Raises: ConfigError: a setting is outside its range.
    """
    if not lr > 0:
        raise ConfigError(f"`lr` must be above 0. Got {lr}.")
    if not weight_decay >= 0:
        raise ConfigError(f"`weight_decay` must be 0 or more. Got {weight_decay}.")
    if not 1 <= steps <= 100:
        raise ConfigError(f"`steps` must be 1 to 100. Got {steps}.")
    settings, given = Settings(lr, weight_decay, seed=seed), data(seed)
    moments = trained(given, settings, steps)
    compared = {wd: trained(given, Settings(lr, wd, seed=seed), steps) for wd in (0.0, 0.02)}
    book = Workbook(
        "Ratings by factors: fit, over-fit, weight decay",
        f"Fifteen people and fifteen films, three factors and a bias each, trained for {steps} steps.",
    )
    plain, decayed = (compared[wd][-1] for wd in (0.0, 0.02))
    held = [moment.held for moment in compared[0.0]]
    best = held.index(min(held))
    book.guide(
        what=f"'Ratings' holds the settings, {TRAIN} ratings to train on and {HELD} held out; 'Curve' "
        "the error of both after every step; 'One step' the first step cell by cell, beside the gradient "
        "by differences; 'Steps' all of them; 'Look-up' finds a person's factors twice.",
        change=[
            (
                "weight_decay on 'Ratings': 0 to 0.02",
                f"After {steps} steps: training error {plain.train:.2f} without and {decayed.train:.2f} "
                f"with it, held-out error {plain.held:.2f} without and {decayed.held:.2f} with it. "
                "Factors that are kept small cannot learn single ratings by heart.",
            ),
            (
                "nothing: look at the chart on 'Curve'",
                f"Without weight decay the held-out error is lowest at step {best} "
                f"({min(held):.2f}), while the training error goes on falling: over-fitting.",
            ),
            (
                "lr: 2 to 20",
                "The error grows in place of falling: each step leaps over the valley.",
            ),
            (
                "a held-out rating (2 in the second grid) to 1",
                "It is trained on now: its prediction moves to it, and the held-out error counts one "
                "less.",
            ),
            (
                "user_id and film_id on 'Look-up'",
                "Factors, biases and prediction of that pair; an id that is not there says so.",
            ),
        ],
    )
    _ratings(book.sheet(RATINGS), given, settings)
    _curve(book.sheet(CURVE), moments, compared)
    _one(book.sheet(ONE), given, settings, moments[0])
    _steps(book.sheet(TRAINED), moments)
    _look_up(book.sheet(LOOK_UP), moments[-1], steps)
    return book


# --- where things are -----------------------------------------------------------------------------


def _grid(what: str, sheet: str | None = RATINGS) -> str:
    """The block of the true ratings, of the roles, or of the first factors."""
    if what == "ratings":
        return block(_GRID, 1, SIZE, SIZE, sheet=sheet)
    if what == "roles":
        return block(_ROLES, 1, SIZE, SIZE, sheet=sheet)
    raise AssertionError(what)


_COLUMNS = (1, 4, 9, 12)
"""Columns of the four parameters on `Steps`: users' factors and bias, films' factors and bias."""

_WIDTHS = (FACTORS, 1, FACTORS, 1)


def _top(step: int) -> int:
    return 3 + step * _BLOCK


def _place(step: int, what: str, number: int = 0) -> str:
    """A block on `Steps`: parameter or gradient `number` of a step, its ratings or scores."""
    top = _top(step) + 2
    if what in ("ratings", "scores"):
        down = SIZE + 2 if what == "ratings" else 2 * (SIZE + 2)
        return block(top + down, 1, SIZE, SIZE)
    return block(
        top, _COLUMNS[number] + 4 * ("parameter", "gradient").index(what), SIZE, _WIDTHS[number]
    )


# --- sheets ---------------------------------------------------------------------------------------


def _ratings(sheet: Sheet, given: Data, settings: Settings) -> None:
    sheet.text(0, 0, "Settings, ratings, and where training starts", style="title")
    sheet.widths(0, 17, 6.8)
    entries = (
        ("lr", settings.lr),
        ("weight_decay", settings.weight_decay),
        ("low", settings.low),
        ("high", settings.high),
    )
    for place, (name, value) in enumerate(entries):
        sheet.text(2, 3 * place + 1, name, style="head")
        sheet.input(3, 3 * place + 1, value, name=name)
    for top, title in (
        (_GRID, "Ratings: a person a row, a film a column; blank where there is none"),
        (_ROLES, "What each is for: 1 train, 2 held out, 0 not rated"),
    ):
        sheet.text(top - 2, 0, title, style="head")
        for place in range(SIZE):
            sheet.number(top - 1, 1 + place, _FILMS[place], style="index")
            sheet.number(top + place, 0, _USERS[place], style="index")
    for i in range(SIZE):
        for j in range(SIZE):
            role = int(given.roles[i, j])
            sheet.input(_GRID + i, 1 + j, float(given.ratings[i, j]) if role else None)
            sheet.input(_ROLES + i, 1 + j, role)
    sheet.heat(_GRID, 1, SIZE, SIZE)
    sheet.heat(_ROLES, 1, SIZE, SIZE)
    sheet.text(_START - 2, 0, "Factors before the first step; biases start at 0", style="head")
    for left, ids, title, values in (
        (0, _USERS, "person", given.users),
        (6, _FILMS, "film", given.films),
    ):
        sheet.text(_START - 1, left, title, style="head")
        for factor in range(FACTORS):
            sheet.text(_START - 1, left + 1 + factor, f"f{factor}", style="head")
        for place in range(SIZE):
            sheet.number(_START + place, left, ids[place], style="index")
        sheet.inputs(_START, left + 1, values.tolist())
    sheet.text(2, 16, "ratings: train, held out", style="head")
    for place, role in ((16, 1), (17, 2)):
        count = int((given.roles == role).sum())
        sheet.formula(3, place, f"COUNTIF({_grid('roles', None)},{role})", count)
    sheet.define("num_train", 3, 16)
    sheet.define("num_held", 3, 17)


def _curve(sheet: Sheet, moments: list[Moment], compared: dict[float, list[Moment]]) -> None:
    sheet.text(0, 0, "Error (RMSE) after every step: trained on, and held out", style="title")
    sheet.widths(0, 4, 14)
    words = "The last two columns are torch's held-out errors, written down when the file was made."
    sheet.text(1, 0, words)
    titles = ("step", "train", "held out", *(f"held out, wd {wd:g}" for wd in compared))
    for column, title in enumerate(titles):
        sheet.text(3, column, title, style="head")
    for step, moment in enumerate(moments):
        row = 4 + step
        sheet.number(row, 0, step)
        for column, value in ((1, moment.train), (2, moment.held)):
            sheet.formula(row, column, at(_top(step), 3 + 4 * column, sheet=TRAINED), value)
            sheet.check(f"step {step}, {titles[column]}", at(row, column), value)
        for column, others in enumerate(compared.values(), start=3):
            sheet.number(row, column, others[step].held, format="0.0000")
    rows = len(moments)
    sheet.chart(
        "RMSE by step",
        [(title, block(4, column, rows, 1)) for column, title in enumerate(titles) if column],
        x=block(4, 0, rows, 1),
        place=(3, 7),
    )


def _one(sheet: Sheet, given: Data, settings: Settings, moment: Moment) -> None:
    """The first step, cell by cell, and one person's gradient by central differences."""
    sheet.text(0, 0, "The first step, cell by cell", style="title")
    start_u, start_f = _START, _START
    tops = {"z": 4, "rating": 4 + SIZE + 3, "score": 4 + 2 * (SIZE + 3)}
    users, _, films, _ = moment.parameters
    z = users @ films.T
    titles = {
        "z": "z: factors of the person · factors of the film (biases are still 0)",
        "rating": "rating: low + (high - low) / (1 + exp(-z))",
        "score": "d loss / d z: 2/n · (rating - true) · (rating - low) · (high - rating) / (high - low)",
    }
    values = {"z": z, "rating": moment.ratings, "score": moment.scores}
    for what, top in tops.items():
        sheet.text(top - 2, 0, titles[what], style="head")
        for place in range(SIZE):
            sheet.number(top - 1, 1 + place, _FILMS[place], style="index")
            sheet.number(top + place, 0, _USERS[place], style="index")
        for i in range(SIZE):
            for j in range(SIZE):
                u = block(start_u + i, 1, 1, FACTORS, sheet=RATINGS)
                f = block(start_f + j, 7, 1, FACTORS, sheet=RATINGS)
                own = at(tops["z"] + i, 1 + j)
                rating = at(tops["rating"] + i, 1 + j)
                true, role = (at(first + i, 1 + j, sheet=RATINGS) for first in (_GRID, _ROLES))
                error = f"2/num_train*({rating}-{true})*({rating}-low)*(high-{rating})/(high-low)"
                formula = {
                    "z": f"SUMPRODUCT({u},{f})",
                    "rating": f"low+(high-low)/(1+EXP(-{own}))",
                    "score": f"IF({role}=1,{error},0)",
                }[what]
                sheet.formula(top + i, 1 + j, formula, values[what][i, j])
        sheet.heat(top, 1, SIZE, SIZE)
    scores = block(tops["score"], 1, SIZE, SIZE)
    corner = at(tops["score"] + 4, 1 + 6)
    sheet.check("a cell of d loss / d z", corner, moment.scores[4, 6])
    sheet.check("sum of d loss / d z", f"SUM({scores})", moment.scores.sum())

    top = tops["score"] + SIZE + 3
    words = "The gradient of one person's factors, twice: by the rule, and by moving each by ±h"
    sheet.text(top - 1, 0, words, style="head")
    person = 0
    h = 1e-4
    sheet.text(top, 0, "h")
    sheet.input(top, 1, h, name="h")
    heads = (
        "factor",
        "start",
        "Σ d loss/dz · film's",
        "loss at + h",
        "loss at - h",
        "(… - …) / 2h",
    )
    for place, title in enumerate(heads):
        sheet.text(top + 1, 3 * place, title, style="head")
    train = given.roles[person] == 1

    def loss(factors: Tensor) -> Tensor:
        ratings = settings.low + (settings.high - settings.low) * torch.sigmoid(films @ factors)
        return (ratings - given.ratings[person])[train].square().sum() / (given.roles == 1).sum()

    z_row = block(tops["z"] + person, 1, 1, SIZE)
    true_row, role_row = (
        block(first + person, 1, 1, SIZE, sheet=RATINGS) for first in (_GRID, _ROLES)
    )
    score_row = block(tops["score"] + person, 1, 1, SIZE)
    lines = top + 3 + FACTORS
    sheet.text(lines, 0, "that factor of all films, on its side", style="head")
    for factor in range(FACTORS):
        row = top + 2 + factor
        column = block(start_f, 7 + factor, SIZE, 1, sheet=RATINGS)
        side = block(lines + 1 + factor, 1, 1, SIZE)
        turned = films[:, factor][None].tolist()
        sheet.array(lines + 1 + factor, 1, 1, SIZE, f"TRANSPOSE({column})", turned)
        sheet.number(row, 0, factor, style="index")
        sheet.formula(
            row, 3, at(start_u + person, 1 + factor, sheet=RATINGS), users[person, factor]
        )
        gradient = moment.gradients[0][person, factor]
        sheet.formula(row, 6, f"SUMPRODUCT({score_row},{side})", gradient)
        found: list[float] = []
        for place, sign in ((9, 1), (12, -1)):
            moved = users[person].clone()
            moved[factor] += sign * h
            found.append(float(loss(moved)))
            rating = f"low+(high-low)/(1+EXP(-({z_row}{'+' if sign > 0 else '-'}h*{side})))"
            squares = f"SUMPRODUCT(({role_row}=1)*({rating}-{true_row})^2)/num_train"
            sheet.formula(row, place, squares, found[-1])
        sheet.formula(
            row, 15, f"({at(row, 9)}-{at(row, 12)})/(2*h)", (found[0] - found[1]) / (2 * h)
        )
        sheet.check(f"gradient of factor {factor} by the rule", at(row, 6), gradient)
        sheet.check(
            f"gradient of factor {factor} by differences", at(row, 15), gradient, tolerance=1e-6
        )


def _steps(sheet: Sheet, moments: list[Moment]) -> None:
    """All steps, one below the other: parameters, gradients, ratings, d loss / d z."""
    title = f"All {len(moments) - 1} steps: each block reads the one above it"
    sheet.text(0, 0, title, style="title")
    words = "The next step begins with: parameter - lr · (gradient + weight_decay · parameter)"
    sheet.text(1, 0, words)
    true, roles = _grid("ratings"), _grid("roles")
    for step, moment in enumerate(moments):
        top = _top(step)
        sheet.text(top, 0, f"step {step}", style="head")
        sheet.text(top, 5, "RMSE: train", style="head")
        sheet.text(top, 9, "held out", style="head")
        ratings, scores = _place(step, "ratings"), _place(step, "scores")
        for column, role, value in ((7, 1, moment.train), (11, 2, moment.held)):
            count = ("num_train", "num_held")[role - 1]
            formula = f"SQRT(SUMPRODUCT(({roles}={role})*({ratings}-{true})^2)/{count})"
            sheet.formula(top, column, formula, value)
        for number in range(4):
            name = ("person's factors", "b", "film's factors", "b")[number]
            for kind, word in enumerate((name, "gradient" if number % 2 == 0 else "")):
                sheet.text(top + 1, _COLUMNS[number] + 4 * kind, word, style="head")
            first, kinds = top + 2, ("parameter", "gradient")
            before = [_place(step - 1, kind, number) if step else "" for kind in kinds]
            rows, columns = SIZE, _WIDTHS[number]
            values = [
                part[number].reshape(SIZE, -1).tolist()
                for part in (moment.parameters, moment.gradients)
            ]
            if step:
                formula = f"{before[0]}-lr*({before[1]}+weight_decay*{before[0]})"
                sheet.array(first, _COLUMNS[number], rows, columns, formula, values[0])
            elif columns == FACTORS:
                there = block(_START, (1, 7)[number // 2], SIZE, FACTORS, sheet=RATINGS)
                sheet.array(first, _COLUMNS[number], rows, columns, there, values[0])
            else:
                for row in range(SIZE):
                    sheet.number(first + row, _COLUMNS[number], 0)
            users, films = _place(step, "parameter", 0), _place(step, "parameter", 2)
            if columns == FACTORS:
                formula = (
                    f"MMULT(TRANSPOSE({scores}),{users})" if number else f"MMULT({scores},{films})"
                )
                sheet.array(first, _COLUMNS[number] + 4, rows, columns, formula, values[1])
                continue
            corner = top + 2 + 2 * (SIZE + 2)  # of d loss / d z, whose row or column is added up
            for row in range(SIZE):
                line = (corner + row, 1, 1, SIZE) if number == 1 else (corner, 1 + row, SIZE, 1)
                formula = f"SUM({block(*line)})"
                sheet.formula(first + row, _COLUMNS[number] + 4, formula, values[1][row][0])
        parts = [_place(step, "parameter", number) for number in range(4)]
        z = f"MMULT({parts[0]},TRANSPOSE({parts[2]}))+{parts[1]}+TRANSPOSE({parts[3]})"
        down = top + 2 + SIZE + 2
        sheet.text(down - 1, 0, "rating", style="head")
        sheet.array(down, 1, SIZE, SIZE, f"low+(high-low)/(1+EXP(-({z})))", moment.ratings.tolist())
        slope = f"({ratings}-low)*(high-{ratings})/(high-low)"
        formula = f"IF({roles}=1,2/num_train*({ratings}-{true})*{slope},0)"
        down += SIZE + 2
        sheet.text(down - 1, 0, "d loss / d z", style="head")
        sheet.array(down, 1, SIZE, SIZE, formula, moment.scores.tolist())
        for label, cell, value in (
            ("a person's factor", at(top + 2, 1), moment.parameters[0][0, 0]),
            ("a film's bias", at(top + 2 + 3, _COLUMNS[3]), moment.parameters[3][3]),
            ("sum of all ratings", f"SUM({ratings})", moment.ratings.sum()),
        ):
            sheet.check(f"step {step}: {label}", cell, value)


def _look_up(sheet: Sheet, moment: Moment, steps: int) -> None:
    """A person's and a film's factors by an exact match, and by a one-hot row times the table."""
    users, user_bias, films, film_bias = moment.parameters
    person, film = 4, 8
    title = "A person's factors, looked up and by a one-hot product: the same row"
    sheet.text(0, 0, title, style="title")
    for row, name, ids, chosen in ((2, "user_id", _USERS, person), (3, "film_id", _FILMS, film)):
        sheet.text(row, 0, name)
        sheet.input(row, 2, ids[chosen], name=name, note="an id of the sheet 'Ratings'")
    rows = ((2, _GRID, 0, "user_id", person), (3, _GRID - 1, 1, "film_id", film))
    sheet.text(1, 4, "place", style="head")
    for row, first, left, name, chosen in rows:
        ids = (
            block(first, left, SIZE, 1, sheet=RATINGS)
            if left == 0
            else block(first, left, 1, SIZE, sheet=RATINGS)
        )
        missing = f'"no such {name}"'
        sheet.formula(row, 4, f"IFERROR(MATCH({name},{ids},0),{missing})", chosen + 1)
    last = [_other(_place(steps, "parameter", number)) for number in range(4)]
    for place, (row, title, values, bias, index) in enumerate(
        (
            (6, "person", users[person], user_bias[person], at(2, 4)),
            (9, "film", films[film], film_bias[film], at(3, 4)),
        )
    ):
        sheet.text(row - 1, 0, f"{title}, looked up", style="head")
        for factor in range(FACTORS):
            sheet.formula(
                row,
                2 + 2 * factor,
                f"INDEX({last[2 * place]},{index},{factor + 1})",
                values[factor],
            )
        sheet.text(row - 1, 8, "bias", style="head")
        sheet.formula(row, 8, f"INDEX({last[2 * place + 1]},{index},1)", bias)
    sheet.text(11, 0, "one-hot row of the person", style="head")
    for place in range(SIZE):
        person_id = at(_GRID + place, 0, sheet=RATINGS)
        sheet.formula(12, place, f"IF({person_id}=user_id,1,0)", int(place == person))
    sheet.text(13, 0, "one-hot · table (MMULT)", style="head")
    product = f"MMULT({block(12, 0, 1, SIZE)},{last[0]})"
    sheet.array(14, 2, 1, FACTORS, product, users[person][None].tolist())
    for factor in range(FACTORS):
        sheet.check(f"factor {factor}, looked up", at(6, 2 + 2 * factor), users[person, factor])
        sheet.check(f"factor {factor}, one-hot", at(14, 2 + factor), users[person, factor])
    words = "their rating: low + (high - low) / (1 + exp(-(dot product + biases)))"
    sheet.text(16, 0, words, style="head")
    dot = "+".join(f"{at(6, 2 + 2 * f)}*{at(9, 2 + 2 * f)}" for f in range(FACTORS))
    formula = f"low+(high-low)/(1+EXP(-({dot}+{at(6, 8)}+{at(9, 8)})))"
    sheet.formula(17, 2, formula, moment.ratings[person, film])
    sheet.check("their rating", at(17, 2), moment.ratings[person, film])


def _other(cells: str) -> str:
    """The same block of `Steps`, seen from another sheet."""
    return f"{TRAINED}!{cells}"
