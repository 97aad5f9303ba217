"""Which way to learn effects ranks best: six methods with the same forests, on simulated experiments.

A number is the area between a method's ranking of new rows and one by chance, as a share of that of the
ranking by the true effects: 1 is perfect, 0 is chance. The X-learner is what `levers.fit_uplift` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from measure import Goal, Result, finish
from sklearn.ensemble import RandomForestRegressor

ROWS, NEW_ROWS, SEEDS, TREES, COLUMNS = 2000, 4000, 6, 60, 8

Forest = RandomForestRegressor
Experiment = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""(N, 8) columns, (N,) treated, (N,) outcome, (N,) true effect."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def of_chances(
    draw: np.random.Generator, x: np.ndarray, if_not: np.ndarray, effect: np.ndarray, share: float
) -> Experiment:
    """Yes or no."""
    treated = (draw.random(len(x)) < share).astype(float)
    if_treated = np.clip(if_not + effect, 0, 1)
    outcome = draw.random(len(x)) < np.where(treated > 0, if_treated, if_not)
    return x, treated, outcome.astype(float), if_treated - if_not


def of_numbers(
    draw: np.random.Generator,
    x: np.ndarray,
    mean: np.ndarray,
    effect: np.ndarray,
    share: float,
    noise: float,
) -> Experiment:
    """A number."""
    treated = (draw.random(len(x)) < share).astype(float)
    outcome = mean + treated * effect + draw.normal(0, noise, len(x))
    return x, treated, outcome, effect


def two_kinds(draw: np.random.Generator, count: int) -> Experiment:
    x = draw.normal(size=(count, COLUMNS))
    if_not = sigmoid(-1 + 1.5 * x[:, 0] + x[:, 1])
    effect = 0.15 * (x[:, 2] > 0) * (1 - if_not) + 0.05 * np.tanh(x[:, 3]) * if_not
    return of_chances(draw, x, if_not, effect, 0.5)


def sure_buyers(draw: np.random.Generator, count: int) -> Experiment:
    x = draw.normal(size=(count, COLUMNS))
    if_not = sigmoid(-1 + 2 * x[:, 0])
    effect = 0.25 * sigmoid(-3 * x[:, 0]) * sigmoid(2 * x[:, 1]) * (1 - if_not)
    return of_chances(draw, x, if_not, effect, 0.5)


def few_treated(draw: np.random.Generator, count: int) -> Experiment:
    x = draw.normal(size=(count, COLUMNS))
    if_not = sigmoid(-2 + x[:, 0] + 0.5 * x[:, 1])
    return of_chances(draw, x, if_not, 0.2 * sigmoid(2 * x[:, 2]) * (1 - if_not), 0.15)


def simple_effect(draw: np.random.Generator, count: int) -> Experiment:
    x = draw.normal(size=(count, COLUMNS))
    effect = x[:, 2] + (x[:, 3] > 0)
    return of_numbers(draw, x, 3 * x[:, 0] + 2 * x[:, 1] ** 2, effect, 0.5, 3.0)


def interaction(draw: np.random.Generator, count: int) -> Experiment:
    x = draw.normal(size=(count, COLUMNS))
    effect = np.where(x[:, 0] * x[:, 2] > 0, 1.0, -0.5)
    return of_numbers(draw, x, np.sin(2 * x[:, 0]) * 3 + x[:, 1], effect, 0.3, 2.0)


EXPERIMENTS: dict[str, Callable[[np.random.Generator, int], Experiment]] = {
    "two kinds of customers": two_kinds,
    "those who buy anyway": sure_buyers,
    "15% treated": few_treated,
    "a number, simple effect": simple_effect,
    "a number, interaction": interaction,
}


def grown(x: np.ndarray, y: np.ndarray, seed: int, weight: np.ndarray | None = None) -> Forest:
    leaf = max(5, round(0.5 * len(y) ** 0.5))
    forest = Forest(
        TREES, min_samples_leaf=leaf, max_features=0.5, random_state=seed, oob_score=True
    )
    return forest.fit(x, y, sample_weight=weight)


def rankings(experiment: Experiment, new: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Each method's scores of the new rows."""
    x, t, y, _ = experiment
    share, yes = t.mean(), t > 0
    if_treated, if_not = grown(x[yes], y[yes], seed), grown(x[~yes], y[~yes], seed + 1)
    # On rows of its own group a forest is asked without the trees that saw them.
    mean1, mean0 = if_treated.predict(x), if_not.predict(x)
    mean1[yes], mean0[~yes] = if_treated.oob_prediction_, if_not.oob_prediction_
    of_treated = grown(x[yes], y[yes] - mean0[yes], seed + 2)
    of_others = grown(x[~yes], mean1[~yes] - y[~yes], seed + 3)
    robust = mean1 - mean0 + t * (y - mean1) / share - (1 - t) * (y - mean0) / (1 - share)
    whole = grown(x, y, seed + 4).oob_prediction_
    residual = grown(x, (y - whole) / (t - share), seed + 5, (t - share) ** 2)
    single = grown(np.column_stack([x, t]), y, seed + 6)
    both = [np.column_stack([new, np.full(len(new), value)]) for value in (1.0, 0.0)]
    turned = grown(x, t * y / share - (1 - t) * y / (1 - share), seed + 7)
    return {
        "score": if_treated.predict(new),
        "two models": if_treated.predict(new) - if_not.predict(new),
        "one model": single.predict(both[0]) - single.predict(both[1]),
        "turned outcome": turned.predict(new),
        "R": residual.predict(new),
        "doubly robust": grown(x, robust, seed + 8).predict(new),
        "X": (1 - share) * of_treated.predict(new) + share * of_others.predict(new),
    }


def area(scores: np.ndarray, effect: np.ndarray) -> float:
    """Between the ranking's curve and the line of chance, with the true effects."""
    order = np.argsort(-scores, kind="stable")
    gain = np.concatenate([[0.0], np.cumsum(effect[order])]) / len(effect)
    return float(np.mean((gain[1:] + gain[:-1]) / 2) - gain[-1] / 2)


def measure(options: argparse.Namespace) -> Result:
    seeds = 1 if options.quick else SEEDS
    rows, means, raw = [], [], {}
    names: list[str] = []
    for title, make in EXPERIMENTS.items():
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            experiment = make(np.random.default_rng(seed), ROWS)
            new, _, _, effect = make(np.random.default_rng(1000 + seed), NEW_ROWS)
            best = area(effect, effect)
            for name, scores in rankings(experiment, new, 10 * seed).items():
                found.setdefault(name, []).append(area(scores, effect) / best)
        names = list(found)
        means.append({name: float(np.mean(values)) for name, values in found.items()})
        raw[title] = found
        rows.append([title, *(f"{means[-1][name]:.2f}" for name in names)])
    overall = {name: float(np.mean([each[name] for each in means])) for name in names}
    rows.append(["mean", *(f"{overall[name]:.2f}" for name in names)])
    others = max(value for name, value in overall.items() if name != "X")
    return Result(
        case="uplift",
        title="Rankings by estimated effects, as a share of the ranking by true ones",
        columns=["experiment", *names],
        rows=rows,
        how=(
            f"{ROWS:,} rows to learn from, {NEW_ROWS:,} new ones to rank, {COLUMNS} columns, {seeds} "
            f"seeds; forests of {TREES} trees with leaves of half the root of the rows. 1 is perfect, 0 "
            "is chance."
        ),
        goals=[
            Goal(
                "the X-learner's mean is that of the best of the others",
                overall["X"] / others,
                1.0,
                True,
            )
        ],
        raw=raw,
    )


if __name__ == "__main__":
    finish(measure, __doc__)
