"""The course's Titanic: nets from scratch (its notebook 05) and trees (its notebook 07).

The nets are trained by the loop that trains all others: a model is anything that can be called and has
parameters, the whole table is one batch, the loss is the mean absolute error, the step is the gradient
times the rate. Each draw is the course's own, from torch's generator with seed 442, so that every loss
that was printed comes out. The trees are `drivetrain.trees` on the course's split of 668 and 223 rows.

    python examples/published/titanic.py [--write]
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from table import Row, data_folder, report
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.trees import grow
from drivetrain.trees.ensemble import TreeEnsemble

COLUMNS = (
    *(
        "Age",
        "SibSp",
        "Parch",
        "LogFare",
        "Sex_male",
        "Sex_female",
        "Pclass_1",
        "Pclass_2",
        "Pclass_3",
    ),
    *("Embarked_C", "Embarked_Q", "Embarked_S"),
)
NAMES = ("Sex", "Embarked", "Age", "SibSp", "Parch", "LogFare", "Pclass")
"""Columns of the trees."""


def table() -> dict[str, list[str]]:
    """The cells, missing ones filled with the commonest one, of equals the smallest."""
    with open(data_folder("titanic") / "train.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for name in rows[0]:
        cells = [row[name] for row in rows]
        counts = Counter(cell for cell in cells if cell)
        most = max(counts.values())
        common = min((c for c, n in counts.items() if n == most), key=_by_size)
        found[name] = [cell or common for cell in cells]
    return found


def _by_size(cell: str) -> tuple[float, str]:
    try:
        return (float(cell), "")
    except ValueError:
        return (0.0, cell)


def columns() -> tuple[Tensor, Tensor]:
    """The course's twelve columns, each divided by its largest value, (891, 12); survivors (891,)."""
    cells = table()

    def column(name: str) -> list[float]:
        if name == "LogFare":
            return [float(np.log1p(float(cell))) for cell in cells["Fare"]]
        what, _, level = name.partition("_")
        if level:
            return [float(cell == level) for cell in cells[what]]
        return [float(cell) for cell in cells[name]]

    inputs = torch.tensor([column(name) for name in COLUMNS], dtype=torch.float64).float().T
    return inputs / inputs.max(dim=0).values, torch.tensor([float(c) for c in cells["Survived"]])


def course_split(count: int) -> tuple[Tensor, Tensor]:
    """Rows to train on and to validate on: the first fifth of a shuffle with seed 42 validates."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(42))
    return order[int(0.2 * count) :], order[: int(0.2 * count)]


class Layers:
    """Weights and constants as plain tensors; ReLU between the layers, what is given after the last."""

    def __init__(
        self, weights: Sequence[Tensor], consts: Sequence[Tensor], last: Callable[[Tensor], Tensor]
    ) -> None:
        self.weights = [nn.Parameter(weight) for weight in weights]
        self.consts = [nn.Parameter(const) for const in consts]
        self.last = last

    def parameters(self) -> list[nn.Parameter]:
        return [*self.weights, *self.consts]

    def __call__(self, inputs: Tensor) -> Tensor:
        outputs = inputs
        for number, weight in enumerate(self.weights):
            outputs = outputs @ weight
            if self.consts:
                outputs = outputs + self.consts[number]
            if number + 1 < len(self.weights):
                outputs = torch.relu(outputs)
        return self.last(outputs).squeeze(1)


class Elementwise:
    """A coefficient a column: multiply and sum, which is a matrix product."""

    def __init__(self, coefficients: Tensor, last: Callable[[Tensor], Tensor]) -> None:
        self.coefficients = nn.Parameter(coefficients)
        self.last = last

    def parameters(self) -> list[nn.Parameter]:
        return [self.coefficients]

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.last((inputs * self.coefficients).sum(dim=1))


def linear(last: Callable[[Tensor], Tensor] = torch.clone) -> Elementwise:
    """Twelve coefficients in ±0.5."""
    return Elementwise(torch.rand(len(COLUMNS), generator=_draws()) - 0.5, last)


def matrix() -> Layers:
    """The same as a matrix product, drawn smaller, with a sigmoid."""
    return Layers([torch.rand(len(COLUMNS), 1, generator=_draws()) * 0.1], [], torch.sigmoid)


def one_hidden() -> Layers:
    """Twenty hidden numbers."""
    draws = _draws()
    first = (torch.rand(len(COLUMNS), 20, generator=draws) - 0.5) / 20
    second = torch.rand(20, 1, generator=draws) - 0.3
    const = torch.rand(1, generator=draws)[0]
    found = Layers([first, second], [], torch.sigmoid)
    found.consts = [nn.Parameter(torch.zeros(()), requires_grad=False), nn.Parameter(const)]
    return found


def deep() -> Layers:
    """Two hidden layers of ten."""
    draws = _draws()
    sizes = [len(COLUMNS), 10, 10, 1]
    weights = [
        (torch.rand(into, out, generator=draws) - 0.3) / out * 4
        for into, out in itertools.pairwise(sizes)
    ]
    consts = [(torch.rand(1, generator=draws)[0] - 0.5) * 0.1 for _ in weights]
    return Layers(weights, consts, torch.sigmoid)


def _draws() -> torch.Generator:
    return torch.Generator().manual_seed(442)


def absolute(preds: Tensor, targets: Tensor) -> Tensor:
    """The mean absolute error, as the course's loss."""
    return (preds - targets).abs().mean()


def descend(model: Layers | Elementwise, lr: float, steps: int) -> tuple[list[float], float]:
    """The loss before each step, and the accuracy on the validation rows after the last."""
    inputs, targets = columns()
    train, valid = course_split(len(targets))
    learner = dt.Learner(
        model,
        [(inputs[train], targets[train])],  # one batch
        absolute,
        partial(torch.optim.SGD, momentum=0.0),
        weight_decay=0.0,
        num_threads=1,
        progress=False,
    )
    learner.fit(steps, lr)
    with torch.no_grad():
        right = (model(inputs[valid]) > 0.5) == (targets[valid] > 0.5)
    return [row["train_loss"] for row in learner.history], float(right.float().mean())


LINEAR = (
    *(0.536, 0.502, 0.477, 0.454, 0.431, 0.409, 0.388, 0.367, 0.349),
    *(0.336, 0.330, 0.326, 0.329, 0.304, 0.314, 0.296, 0.300, 0.289),
)
SIGMOID = (0.510, 0.327, 0.294, 0.207, 0.201, 0.199, 0.198, 0.197, 0.196)
MATRIX = (0.512, 0.323, 0.290, 0.205, 0.200)
HIDDEN_SLOW = (0.543, 0.532, 0.520, 0.505, 0.487, 0.466, 0.439, 0.407, 0.373, 0.343, 0.319, 0.301)
HIDDEN = (0.543, 0.400, 0.260, 0.390, 0.221, 0.211, 0.197)
DEEP = (0.521, 0.483, 0.427, 0.379)
DEEP_LATE = (*(0.371, 0.333, 0.239, 0.224, 0.208, 0.204, 0.203, 0.203, 0.207, 0.197, 0.196, 0.195),)
ROUNDED = 0.0005 + 1e-6
"""Three digits are printed."""


def of_losses(what: str, printed: Sequence[float], losses: Sequence[float]) -> Row:
    """One row: the largest difference from the losses that were printed, which is to be rounding."""
    worst = max(abs(a - b) for a, b in zip(printed, losses, strict=True))
    return Row(f"{what}, {len(printed)} losses, largest difference", (0.0,), (worst,), ROUNDED)


def net_rows() -> list[Row]:
    """The nets."""
    losses, accuracy = descend(linear(), 0.2, 18)
    found = [
        of_losses("linear", LINEAR, losses),
        Row("linear, accuracy", (0.7865,), (accuracy,), 5e-5),
    ]
    for what, model, lr, printed, final in (
        ("sigmoid", linear(torch.sigmoid), 100.0, SIGMOID, 0.194),
        ("as a matrix product", matrix(), 100.0, MATRIX, 0.194),
        ("one hidden layer", one_hidden(), 20.0, HIDDEN, 0.192),
    ):
        losses, accuracy = descend(model, lr, 30)
        found.append(of_losses(what, (*printed, final), (*losses[: len(printed)], losses[-1])))
        found.append(Row(f"{what}, accuracy", (0.8258,), (accuracy,), 5e-5))
    losses, _ = descend(one_hidden(), 1.4, 30)
    slow = (*losses[: len(HIDDEN_SLOW)], losses[-1])
    found.append(of_losses("one hidden layer, slow", (*HIDDEN_SLOW, 0.220), slow))
    losses, accuracy = descend(deep(), 4.0, 30)
    kept = (*losses[: len(DEEP)], *losses[-len(DEEP_LATE) :])
    found.append(of_losses("deep", (*DEEP, *DEEP_LATE), kept))
    found.append(Row("deep, accuracy", (0.8258,), (accuracy,), 5e-5))
    return found


def tree_table() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns (668, 7) and classes to grow on, then (223, 7) and classes to validate on."""
    cells = table()
    found = {name: np.array(cells[name]) for name in ("Sex", "Embarked")}
    coded = {
        n: np.unique(words, return_inverse=True)[1].astype(float) for n, words in found.items()
    }
    numbers = {
        n: np.array([float(c) for c in cells[n]]) for n in ("Age", "SibSp", "Parch", "Pclass")
    }
    fares = np.log1p(np.array([float(c) for c in cells["Fare"]]))
    by_name = {**coded, **numbers, "LogFare": fares}
    matrix = np.stack([by_name[name] for name in NAMES], axis=1)
    lives = np.array([int(cell) for cell in cells["Survived"]])
    order = np.random.RandomState(42).permutation(
        len(lives)
    )  # the generator behind the published split
    valid, train = order[:223], order[223:]
    return matrix[train], lives[train], matrix[valid], lives[valid]


SEEDS = tuple(range(42, 52))


def tree_rows() -> list[Row]:
    """The rules, the trees, and the forests; an error is a share of the 223 rows."""
    matrix, lives, valid, truth = tree_table()

    def miss(answers: np.ndarray) -> float:
        return float(np.abs(answers - truth).mean())

    def said_by(trees: TreeEnsemble) -> np.ndarray:
        return trees.predict(valid).argmax(axis=1)

    sex, fare = valid[:, NAMES.index("Sex")], valid[:, NAMES.index("LogFare")]
    four = grow.tree(matrix, lives, num_classes=2, max_leaf_nodes=4).ensemble
    fifty = grow.tree(matrix, lives, num_classes=2, min_samples_leaf=50).ensemble
    votes, bags, forests = [], [], []
    for seed in SEEDS:
        draw = np.random.default_rng(seed)
        said = []
        for number in range(100):
            rows = draw.choice(len(lives), int(0.75 * len(lives)))
            tree = grow.tree(
                matrix[rows], lives[rows], num_classes=2, min_samples_leaf=5, seed=number
            )
            said.append(said_by(tree.ensemble))
        votes.append(miss(np.mean(said, axis=0)))
        bags.append(miss(np.mean(said, axis=0) > 0.5))
        forest = grow.forest(
            matrix, lives, num_classes=2, num_trees=100, min_samples_leaf=5, seed=seed
        )
        forests.append(miss(said_by(forest.ensemble)))

    def mean(values: list[float]) -> tuple[float]:
        return (sum(values) / len(values),)

    return [
        Row("one rule: women survive, error", (0.2152,), (miss(sex == 0),), 5e-5),
        Row("one rule: fares above e^2.7 - 1, error", (0.3363,), (miss(fare > 2.7),), 5e-5),
        Row("tree of 4 leaves, error", (0.2242,), (miss(said_by(four)),), 5e-5),
        Row("tree, 50 rows a leaf, error", (0.1839,), (miss(said_by(fifty)),), 5e-5),
        Row("100 bagged trees, mean of votes, error, 10 seeds", (0.2273,), mean(votes), 0.005),
        Row("100 bagged trees, majority, error, 10 seeds", (0.1794,), mean(bags), 0.01),
        Row("forest of 100, error, 10 seeds", (0.1883,), mean(forests), 0.01, lower_is_better=True),
    ]


HOW = """\
Losses are printed with three digits, accuracies and errors with four. The course averages the votes of
bagged trees and calls the distance to the truth their error; as a majority they err less. Its forest was
not seeded."""


if __name__ == "__main__":
    report(
        "The Titanic, from scratch and by trees",
        HOW,
        "titanic.py",
        lambda: net_rows() + tree_rows(),
    )
