"""interpret/ensembles.py: the mean of several models, held against Jensen, scikit-learn and hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import log_loss

import drivetrain as dt
from drivetrain.errors import ConfigError, DataError, DrivetrainError, ShapeError
from drivetrain.interpret.ensembles import ensemble
from drivetrain.randomness import seeded
from drivetrain.train.predictions import Predictions
from tests.interpret.records import of_scores

CLASSES = ("ant", "bee", "cow")
SCORES = arrays.arrays(np.float64, (3, 12, 3), elements=st.floats(-30, 30, width=32))
NUMBERS = arrays.arrays(np.float64, (3, 12), elements=st.floats(-1e3, 1e3, width=32))
WEIGHTS = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-3)


def of_classes(scores: np.ndarray, targets: np.ndarray) -> Predictions:
    return of_scores(torch.from_numpy(scores), torch.from_numpy(targets), classes=CLASSES)


def of_numbers(values: np.ndarray, targets: np.ndarray) -> Predictions:
    return of_scores(torch.from_numpy(values), torch.from_numpy(targets))


def some(count: int = 200, skills: tuple[float, ...] = (0.5, 1.0, 1.5)) -> dict[str, Predictions]:
    """Records of models that know more and more, in words."""
    draw = np.random.default_rng(0)
    targets = draw.integers(0, 3, count)
    hints = np.eye(3)[targets]
    names = ("low", "middle", "high")
    return {
        name: of_classes(draw.normal(size=(count, 3)) + skill * hints, targets)
        for name, skill in zip(names, skills, strict=True)
    }


# --- Jensen ---------------------------------------------------------------------------------------


@pytest.mark.row(82)
@pytest.mark.row(119)
@given(
    scores=SCORES, targets=arrays.arrays(np.int64, 12, elements=st.integers(0, 2)), weights=WEIGHTS
)
@settings(max_examples=30, deadline=None)
def test_no_mean_of_probabilities_is_worse_than_the_mean_of_its_members(
    scores: np.ndarray, targets: np.ndarray, weights: list[float]
) -> None:
    found = ensemble([of_classes(one, targets) for one in scores], weights)
    shares = found.weights.values()
    for name in ("squared_error", "loss"):
        bound = sum(
            w * getattr(one, name) for w, one in zip(shares, found.members.values(), strict=True)
        )
        assert getattr(found.score, name) <= bound * (1 + 1e-9) + 1e-12


@pytest.mark.row(82)
@given(
    values=NUMBERS,
    targets=arrays.arrays(np.float64, 12, elements=st.floats(-1e3, 1e3)),
    weights=WEIGHTS,
)
@settings(max_examples=30, deadline=None)
def test_no_mean_of_numbers_is_worse_than_the_mean_of_its_members(
    values: np.ndarray, targets: np.ndarray, weights: list[float]
) -> None:
    found = ensemble([of_numbers(one, targets) for one in values], weights)
    shares = list(found.weights.values())
    members = list(found.members.values())
    for name in ("squared_error", "error"):  # the root too: it is a norm
        bound = sum(w * getattr(one, name) for w, one in zip(shares, members, strict=True))
        assert getattr(found.score, name) <= bound * (1 + 1e-9) + 1e-9


@pytest.mark.row(82)
def test_five_nets_are_better_together_than_the_mean_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 2, generator=generator)
    noise = 0.4 * torch.randn(400, generator=generator)
    targets = ((inputs[:, 0] * inputs[:, 1] + noise) > 0).long()  # no line parts them
    data = [dt.TensorData(inputs[part], targets[part]) for part in (slice(200), slice(200, None))]
    records = []
    for seed in range(5):
        with seeded(seed, "net"):
            net = torch.nn.Sequential(
                torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
            )
        loaders = dt.Loaders(
            dt.BatchLoader(data[0], batch_size=50, shuffle=True, seed=seed),
            dt.BatchLoader(data[1], batch_size=200),
        )
        learner = dt.Learner(net, loaders, "cross_entropy", seed=seed, progress=False)
        learner.fit(3, 0.03)
        records.append(learner.predictions())
    found = ensemble(records)
    assert len({one.loss for one in found.members.values()}) == 5  # they do differ
    assert found.score.squared_error < found.mean.squared_error
    assert found.score.loss < found.mean.loss
    probs = torch.stack([one.outputs.double().softmax(dim=1) for one in records]).mean(dim=0)
    torch.testing.assert_close(found.predictions.probs, probs, rtol=0, atol=1e-6)
    assert found.score.loss == pytest.approx(log_loss(records[0].targets, probs), rel=1e-5)


# --- the mean -------------------------------------------------------------------------------------


def test_by_hand() -> None:
    targets = np.array([0, 1])
    one = of_classes(np.log([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1]]), targets)
    two = of_classes(np.log([[0.4, 0.5, 0.1], [0.1, 0.7, 0.2]]), targets)
    found = ensemble({"one": one, "two": two}, {"two": 1, "one": 3})
    assert found.weights == {"one": 0.75, "two": 0.25} and found.how == "given"
    expected = torch.tensor([[0.7, 0.2, 0.1], [0.475, 0.4, 0.125]], dtype=torch.float64)
    torch.testing.assert_close(found.predictions.probs, expected)
    assert found.score.error == 0.5 and found.members["two"].error == 0.5
    assert found.score.loss == pytest.approx(-(np.log(0.7) + np.log(0.4)) / 2)
    brier = (0.3**2 + 0.2**2 + 0.1**2 + 0.475**2 + 0.6**2 + 0.125**2) / 2
    assert found.score.squared_error == pytest.approx(brier)
    assert found.best == "two"  # as many wrong, and the smaller loss


@pytest.mark.row(119)
def test_neither_the_order_of_items_nor_that_of_classes_matters() -> None:
    records = some()
    plain = ensemble(records, "fitted")
    order = torch.from_numpy(np.random.default_rng(1).permutation(200))
    one = records["middle"]
    turned = Predictions(
        [one.ids[place] for place in order.tolist()],
        torch.tensor([2, 0, 1])[one.targets[order]],
        one.outputs[order][:, [1, 2, 0]],
        one.losses[order],
        ("bee", "cow", "ant"),
    )
    again = ensemble({**records, "middle": turned}, "fitted")
    assert again.weights == pytest.approx(plain.weights, abs=1e-9)
    assert again.members == plain.members
    torch.testing.assert_close(again.predictions.probs, plain.predictions.probs)


def test_two_classes_as_one_score_are_two_probabilities() -> None:
    targets = torch.tensor([0.0, 1.0, 1.0])
    score = torch.tensor([-1.0, 0.5, 2.0])
    binary = of_scores(score, targets, classes=("no", "yes"))
    pair = of_scores(torch.stack([-score, 0 * score], 1), targets.long(), classes=("no", "yes"))
    found = ensemble({"binary": binary, "pair": pair})
    probs = torch.stack([score.sigmoid(), (score).sigmoid()]).mean(0)
    torch.testing.assert_close(found.predictions.probs[:, 1], probs.double(), rtol=0, atol=1e-7)


# --- fitted weights -------------------------------------------------------------------------------


@pytest.mark.row(119)
def test_fitted_weights_prefer_who_knows_and_are_measured_on_items_they_have_not_seen() -> None:
    records = some()
    found, equal = ensemble(records, "fitted"), ensemble(records)
    assert found.weights["high"] > found.weights["middle"] > found.weights["low"]
    assert found.score.loss < equal.score.loss
    assert (found.how, found.folds, equal.folds) == ("fitted", 5, 0)
    flattered = ensemble(records, found.weights)  # the same weights, on what they were fitted on
    assert flattered.score.loss < found.score.loss


@pytest.mark.row(119)
def test_models_of_pure_chance_do_not_look_better_for_having_been_weighted() -> None:
    """Weights of 12 useless models: on their own items the loss seems to fall, crosswise it does not."""
    gains: dict[str, list[float]] = {"flattered": [], "crosswise": []}
    for seed in range(20):
        draw = np.random.default_rng(seed)
        targets = draw.integers(0, 3, 60)
        records = [of_classes(draw.normal(size=(60, 3)), targets) for _ in range(12)]
        equal, fitted = ensemble(records).score.loss, ensemble(records, "fitted", seed=seed)
        seen = ensemble(records, list(fitted.weights.values())).score.loss
        gains["flattered"].append(equal - seen)
        gains["crosswise"].append(equal - fitted.score.loss)
    assert min(gains["flattered"]) >= -1e-6 and np.mean(gains["flattered"]) > 0.01
    assert np.mean(gains["crosswise"]) < 0


@pytest.mark.row(119)
def test_fitted_weights_of_numbers() -> None:
    draw = np.random.default_rng(3)
    truth = draw.normal(size=100)
    records = [of_numbers(truth + noise * draw.normal(size=100), truth) for noise in (0.6, 0.5, 3)]
    found = ensemble(records, "fitted")
    assert found.weights["2"] > found.weights["1"] > found.weights["3"]
    assert found.score.error < min(one.error for one in found.members.values())
    assert found.difference is not None and found.difference.high < 0
    assert found.score.loss == found.score.squared_error == pytest.approx(found.score.error**2)


# --- what is said ---------------------------------------------------------------------------------


def test_it_prints_and_becomes_json() -> None:
    found = ensemble(some(), "fitted")
    lines = str(found).splitlines()
    assert lines[0].split() == ["weight", "error", "rate", "95%", "interval", "log", "loss"]
    assert [line.split()[0] for line in lines[1:6]] == ["low", "middle", "high", "mean", "ensemble"]
    assert lines[6] == (
        "The ensemble is measured in 5 folds, each with weights that were fitted on the others; the "
        "weights above are fitted on all, for new items."
    )
    assert lines[7].startswith("Its error rate minus that of the best member, high: ")
    document = json.loads(json.dumps(found.to_json()))
    assert document["members"]["low"]["error"] == found.members["low"].error
    assert document["difference"]["error"] == pytest.approx(
        found.score.error - found.members["high"].error
    )
    low, high = document["ensemble"]["interval"]
    assert low < document["ensemble"]["error"] < high


def moved(record: Predictions, **fields: Any) -> Predictions:
    return replace(record, **fields)


def test_what_cannot_be_put_together_is_refused() -> None:
    records = some(20)
    low = records["low"]
    number = of_numbers(np.zeros(20), np.zeros(20))
    labels = of_scores(torch.zeros(20, 3), torch.zeros(20, 3), classes=CLASSES)
    other_truth = moved(low, targets=(low.targets + (torch.arange(20) == 4)) % 3)
    infinite = moved(low, outputs=torch.where(torch.arange(20)[:, None] == 7, np.nan, low.outputs))
    cases: list[tuple[type[DrivetrainError], str, Any, Any]] = [
        (DataError, "`ensemble` needs records of two models or more. Got 1.", [low], None),
        (
            DataError,
            "The records of a and b are of other items: 1 are in one of the two only, such as item 19. "
            "Only the same items can be put together.",
            {"a": low, "b": of_classes(low.outputs[:19].numpy(), low.targets[:19].numpy())},
            None,
        ),
        (
            DataError,
            "a and b predict other things: the classes ant, bee and cow, and numbers.",
            {"a": low, "b": number},
            None,
        ),
        (
            DataError,
            "a and b do not agree on what is true of item 4. Their labels were changed in between: train "
            "both on the same.",
            {"a": low, "b": other_truth},
            None,
        ),
        (
            DataError,
            "What b says of item 7 is NaN or infinite. Leave that model out.",
            {"a": low, "b": infinite},
            None,
        ),
        (
            DataError,
            "The record of a has two items of one name, so that none can be found.",
            {"a": moved(low, ids=["x"] * 20), "b": low},
            None,
        ),
        (
            DataError,
            "The record of b is of several targets. Put those of one together, `record.of(NAME)`, or all "
            "of them by `interpret.target_ensemble`.",
            {"a": low, "b": moved(low, parts={"colour": low})},
            None,
        ),
        (
            ConfigError,
            "`weights` are equal, fitted, or a number for each member. Got 'fited'. Did you mean "
            "'fitted'?",
            records,
            "fited",
        ),
        (
            ConfigError,
            "`weights` need 3 numbers, 0 or more, one for each member. Got [1.0, -1.0, 1.0].",
            records,
            [1, -1, 1],
        ),
        (
            ConfigError,
            "`weights` are all 0. Give at least one member a weight above 0.",
            records,
            [0, 0, 0],
        ),
        (
            ConfigError,
            "`weights` need a number for each member, low, middle, high. Missing or unknown: high, tall.",
            records,
            {"low": 1, "middle": 1, "tall": 1},
        ),
        (
            DataError,
            "Weights are fitted on 10 items or more, and there are 8. Take equal weights.",
            some(8),
            "fitted",
        ),
    ]
    for kind, sentence, given_records, weights in cases:
        with pytest.raises(kind) as caught:
            ensemble(given_records, weights)
        assert str(caught.value) == sentence
    with pytest.raises(ShapeError, match="`ensemble` is for one class an item"):
        ensemble([labels, labels])
    with pytest.raises(ConfigError) as caught:
        ensemble(records, "fitted", folds=1)
    assert str(caught.value) == (
        "`folds` is in how many parts fitted weights are measured, 2 or more. Got 1."
    )
