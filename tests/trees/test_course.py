"""The course's numbers on the Titanic: one question, trees, a forest and what it finds important."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from drivetrain.trees.grow import forest, one_r, tree
from tests.trees.titanic import NAMES, Titanic, read_titanic


@pytest.fixture
def titanic(shared_data) -> Titanic:
    return read_titanic(shared_data("titanic"))


def error(probs: np.ndarray, y: np.ndarray) -> float:
    """The share that is wrong, which is the MAE of answers 0 and 1."""
    return float((probs.argmax(axis=1) != y).mean())


def test_the_split_is_the_courses(titanic):
    assert (len(titanic.X), len(titanic.X_valid)) == (668, 223)


@pytest.mark.row(86)
def test_one_question_is_sex(titanic):
    grown = one_r(titanic.X, titanic.y, num_classes=2)
    assert (NAMES[grown.settings["column"]], grown.settings["threshold"]) == ("Sex", 0.0)
    wrong = error(grown.ensemble.predict(titanic.X_valid), titanic.y_valid)
    assert round(wrong, 5) == 0.21525


@pytest.mark.row(86)
def test_one_question_of_the_fare(titanic):
    grown = one_r(titanic.X, titanic.y, num_classes=2, column=NAMES.index("LogFare"), threshold=2.7)
    # The course calls all on the dear side survivors: more of them lived than of all.
    survives = grown.ensemble.predict(titanic.X_valid)[:, 1] > titanic.y.mean()
    assert round(float((survives != titanic.y_valid).mean()), 5) == 0.33632


@pytest.mark.row(87)
@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"max_leaf_nodes": 4}, 0.22422), ({"min_samples_leaf": 50}, 0.18386)],
)
def test_one_tree(titanic, settings, expected):
    grown = tree(titanic.X, titanic.y, num_classes=2, **settings)
    wrong = error(grown.ensemble.predict(titanic.X_valid), titanic.y_valid)
    # 0.22422 and 0.18386: 50 and 41 of 223.
    assert wrong == pytest.approx(expected, abs=6e-6)


@pytest.mark.row(90)
@pytest.mark.row(92)
@pytest.mark.row(93)
def test_a_forest(titanic):
    grown = forest(titanic.X, titanic.y, num_classes=2, min_samples_leaf=5, seed=42)
    wrong = error(grown.ensemble.predict(titanic.X_valid), titanic.y_valid)
    assert round(wrong, 5) == 0.17937
    assert round(1 - wrong, 4) == 0.8206
    assert round(1 - error(grown.oob, titanic.y), 4) == 0.8114
    importance = dict(zip(NAMES, grown.ensemble.importance(), strict=True))
    assert [round(importance[name], 3) for name in ("Sex", "LogFare", "Age")] == [
        0.446,
        0.193,
        0.141,
    ]
    library = RandomForestClassifier(100, min_samples_leaf=5, random_state=42, oob_score=True)
    library.fit(titanic.X, titanic.y)
    np.testing.assert_array_equal(grown.oob, library.oob_decision_function_)
    # Out of bag is close to the validation error: within two standard errors of 223 rows.
    assert abs(error(grown.oob, titanic.y) - wrong) < 2 * np.sqrt(wrong * (1 - wrong) / 223)
