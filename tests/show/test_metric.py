"""Every metric worked out equals the metric itself, from the numbers put in; and by a second reader."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.errors import ConfigError, InputError
from drivetrain.metrics import METRICS, metric
from drivetrain.show.measures.scored import PAIRS
from drivetrain.show.metric import metric_of
from tests.show.independent import recalculate


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def whole(high: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


QUESTIONS: dict[str, tuple[Tensor, Tensor]] = {
    "classes": (draw(40, 7), whole(7, 40)),
    "two classes": (draw(40, 2), whole(2, 40)),
    "yes or no": (draw(40).round(decimals=1), whole(2, 40).float()),
    "a column": (draw(40, 1), whole(2, 40).float()),
    "labels": (draw(40, 3), whole(2, 40, 3).float()),
    "pixels": (draw(3, 4, 5, 5), whole(4, 3, 5, 5)),
    "numbers": (draw(40), draw(40, seed=2).abs()),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"average": "micro"},
    {"average": "weighted"},
    {"weights": "quadratic"},
    {"background": False},
    {"k": 2},
    {"bins": 4},
    {"ignore_index": 1},
    {"beta": 0.5},
]


def cases(name: str) -> list[tuple[Any, Tensor, Tensor]]:
    """A metric with each option that it has, on all that it takes."""
    found = []
    for options in OPTIONS:
        try:
            made = metric(name, **options)
        except dt.DrivetrainError:
            continue
        for preds, targets in QUESTIONS.values():
            try:
                made.reset()
                made.update(preds, targets)
                if not np.isnan(made.compute()):
                    found.append((metric(name, **options), preds, targets))
            except dt.DrivetrainError:
                continue
    return found


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_worked_out_is_the_metric(name: str) -> None:
    listed = cases(name)
    assert listed
    for made, preds, targets in listed:
        found = metric_of(made, preds, targets)
        made.reset()
        made.update(preds, targets)
        assert abs(float(found.result) - made.compute()) < 1e-9
    recalculate(json.dumps(metric_of(*listed[0]).to_json()))


def test_f1_shows_the_counts_of_the_confusion() -> None:
    preds = torch.tensor([2.0, 1.0, -1.0, 3.0, -2.0])
    found = metric_of("f1", preds, torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0]))
    steps = {step.name: float(step.value) for step in found.steps if step.value.ndim == 0}
    assert (steps["tp"], steps["fp"], steps["fn"]) == (2, 1, 1)
    assert abs(float(found.result) - 2 / 3) < 1e-12


def test_the_area_under_the_curve_is_a_share_of_ordered_pairs() -> None:
    preds, truth = QUESTIONS["yes or no"]
    found = metric_of("roc_auc", preds, truth)
    yes, no = preds[truth > 0.5], preds[truth <= 0.5]
    won = sum(float(a > b) + 0.5 * float(a == b) for a in yes for b in no)
    assert abs(float(found.result) - won / (len(yes) * len(no))) < 1e-12
    assert next(s for s in found.steps if s.name == "pairs").value == len(yes) * len(no)


def test_many_pairs_are_counted_by_ranks() -> None:
    count = 2200
    preds, truth = draw(count).round(decimals=2), whole(2, count).float()
    assert float(truth.sum()) * float((1 - truth).sum()) > PAIRS
    found = metric_of("roc_auc", preds, truth)
    assert found.agrees
    assert [term.name for term in found.terms] == ["rank", "true"]


def test_several_classes_are_parts() -> None:
    preds, targets = QUESTIONS["classes"]
    found = metric_of("roc_auc", preds, targets, classes=list("abcdefg"))
    assert [part.title for part in found.parts][:2] == ["a against the rest", "b against the rest"]
    assert found.agrees_throughout


def test_what_is_not_defined_or_not_ours_is_refused() -> None:
    class Mine:
        name, higher_is_better = "mine", True

        def reset(self) -> None: ...

        def update(self, preds: Tensor, targets: Tensor) -> None: ...

        def compute(self) -> float:
            return 0.0

    with pytest.raises(
        ConfigError, match=r"^The metric `mine` is not one whose formula is written "
    ):
        metric_of(Mine(), draw(3), draw(3))
    with pytest.raises(InputError) as error:
        metric_of("r2", torch.ones(3), torch.ones(3))
    assert str(error.value) == (
        "`r2` is not defined on these 3 items: it gives NaN, so there is nothing to work out."
    )


def test_of_a_learner_over_all_validation_items() -> None:
    data = dt.BatchLoader(dt.TensorData(draw(21, 3), whole(2, 21)), batch_size=4)
    made = {"metrics": ["error_rate", metric("f_beta", beta=0.5)], "progress": False}
    learner = dt.Learner(nn.Linear(3, 2), (data, data), "cross_entropy", **made)
    expected = learner.evaluate().metrics
    assert float(dt.show.metric(learner).result) == pytest.approx(expected["error_rate"], abs=1e-12)
    own = dt.show.metric(learner, "f_beta_0.5")
    assert float(own.result) == pytest.approx(expected["f_beta_0.5"], abs=1e-12)
    other = dt.show.metric(learner, "log_loss")
    assert float(other.result) == pytest.approx(learner.evaluate().loss, rel=1e-6)
    bare = dt.Learner(nn.Linear(3, 2), (data, data), "cross_entropy", progress=False)
    with pytest.raises(ConfigError) as error:
        dt.show.metric(bare)
    assert str(error.value) == (
        "The Learner has no metrics. Name one, such as `metric(learner, 'accuracy')`."
    )


def test_sequences_of_several_lengths_and_outputs_without_end() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.table(x).transpose(1, 2)

    batches = [(whole(5, 2, size, seed=size), whole(5, 2, size, seed=9)) for size in (4, 4, 3)]
    learner = dt.Learner(
        Words(), (batches, batches), "token_cross_entropy", metrics=["perplexity"], progress=False
    )
    found = dt.show.metric(learner)
    assert found.title == "perplexity over 22 items"
    assert float(found.result) == pytest.approx(learner.evaluate().metrics["perplexity"], rel=1e-6)


def test_very_many_outputs_are_cut_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["drivetrain.show.metric"], "MOST", 10)
    data = dt.BatchLoader(dt.TensorData(draw(21, 3), whole(2, 21)), batch_size=4)
    learner = dt.Learner(nn.Linear(3, 2), (data, data), "cross_entropy", progress=False)
    found = dt.show.metric(learner, "accuracy")
    assert found.title == "accuracy over 8 items: the first 2 batches"
