"""The Titanic table as the course reads it: 668 rows to train on, 223 to validate on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

NAMES = ("Sex", "Embarked", "Age", "SibSp", "Parch", "LogFare", "Pclass")


@dataclass(frozen=True)
class Titanic:
    X: np.ndarray  # (668, 7), in the order of `NAMES`
    y: np.ndarray  # (668,) int64, 1 survived
    X_valid: np.ndarray  # (223, 7)
    y_valid: np.ndarray

    def column(self, name: str) -> np.ndarray:
        return self.X[:, NAMES.index(name)]


def read_titanic(folder: Path) -> Titanic:
    with open(folder / "train.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    def numbers(name: str) -> np.ndarray:
        return np.array([float(row[name] or "nan") for row in rows])

    def codes(name: str, fill: str) -> np.ndarray:
        words = np.array([row[name] or fill for row in rows])
        return np.unique(words, return_inverse=True)[1].astype(np.float64)

    age = numbers("Age")
    columns = {
        "Sex": codes("Sex", ""),  # female 0, male 1
        "Embarked": codes("Embarked", "S"),
        "Age": np.where(np.isnan(age), 24.0, age),  # the most frequent one
        "SibSp": numbers("SibSp"),
        "Parch": numbers("Parch"),
        "LogFare": np.log1p(numbers("Fare")),
        "Pclass": numbers("Pclass"),
    }
    X = np.stack([columns[name] for name in NAMES], axis=1)
    y = numbers("Survived").astype(np.int64)
    train, valid = train_test_split(np.arange(len(y)), test_size=0.25, random_state=42)
    return Titanic(X[train], y[train], X[valid], y[valid])
