"""The table of metrics, and what every metric in it promises."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.metrics import F1, METRICS, Accuracy, metric


def pair(name: str, count: int = 24, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, 8, generator=generator)
    if name in ("mae", "mse", "rmse", "r2"):
        return scores[:, 0], scores[:, 1]
    if name == "binary_accuracy":
        return scores[:, 0], (scores[:, 1] > 0).long()
    return scores, torch.randint(8, (count,), generator=generator)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_name_in_the_table_is_its_own_name(name):
    assert metric(name).name == name


@pytest.mark.parametrize("name", sorted(METRICS))
def test_declares_its_direction(name):
    assert metric(name).higher_is_better is (name not in ("error_rate", "mae", "mse", "rmse"))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_direction_is_true_of_perfect_predictions(name):
    preds, targets = pair(name)
    exact = torch.nn.functional.one_hot(targets, 8).float() if preds.ndim == 2 else targets.float()
    found, best = metric(name), metric(name)
    found.update(preds, targets)
    best.update(exact - 0.5 if name == "binary_accuracy" else exact, targets)
    if found.higher_is_better:
        assert best.compute() == 1.0
        assert found.compute() < 1.0
    else:
        assert best.compute() == 0.0
        assert found.compute() > 0.0


@pytest.mark.parametrize("name", sorted(METRICS))
def test_is_nan_before_any_item_and_after_reset(name):
    found = metric(name)
    assert math.isnan(found.compute())
    found.update(*pair(name))
    assert not math.isnan(found.compute())
    found.reset()
    assert math.isnan(found.compute())


@pytest.mark.parametrize("name", sorted(METRICS))
def test_reset_forgets_all(name):
    fresh, used = metric(name), metric(name)
    used.update(*pair(name, seed=5))
    used.reset()
    for one in (fresh, used):
        one.update(*pair(name))
    assert used.compute() == fresh.compute()


@pytest.mark.parametrize("name", sorted(METRICS))
def test_uneven_batches_and_order_change_nothing(name):
    preds, targets = pair(name, count=25)
    whole, parts = metric(name), metric(name)
    whole.update(preds, targets)
    for rows in (slice(17, 25), slice(0, 0), slice(0, 16), slice(16, 17)):
        parts.update(preds[rows], targets[rows])
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-12)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_looking_twice_gives_the_same_and_goes_on(name):
    found = metric(name)
    found.update(*pair(name))
    first = found.compute()
    assert isinstance(first, float)
    assert found.compute() == first
    found.update(*pair(name))
    assert found.compute() == pytest.approx(first, rel=1e-12)  # every item counted twice


@pytest.mark.parametrize("name", sorted(METRICS))
def test_keeps_no_graph_and_crosses_inference_mode(name):
    preds, targets = pair(name)
    found = metric(name)
    with torch.inference_mode():
        found.update(preds.clone(), targets.clone())
    found.update(preds.clone().requires_grad_(), targets)
    kept = [value for value in vars(found).values() if isinstance(value, torch.Tensor)]
    assert not any(value.requires_grad for value in kept)
    assert math.isfinite(found.compute())


@pytest.mark.parametrize("name", sorted(METRICS))
def test_update_never_asks_the_device_for_a_number(name, monkeypatch):
    """On a GPU `.item()`, `float(tensor)` and `bool(tensor)` wait for all queued work."""
    preds, targets = pair(name)
    found = metric(name)

    def waits(*args):
        raise AssertionError("update waits for the device")

    for way in ("item", "tolist", "__float__", "__int__", "__bool__", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, way, waits)
    found.update(preds, targets)
    found.update(preds, targets)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_does_not_change_what_it_is_given(name):
    preds, targets = pair(name)
    before = preds.clone(), targets.clone()
    metric(name).update(preds, targets)
    assert torch.equal(preds, before[0])
    assert torch.equal(targets, before[1])


@pytest.mark.parametrize("name", sorted(METRICS))
def test_half_precision_outputs_are_counted_exactly(name):
    preds, targets = pair(name, count=3000)
    preds = preds.bfloat16()
    low, high = metric(name), metric(name)
    low.update(preds, targets)
    high.update(preds.double(), targets)
    assert low.compute() == pytest.approx(high.compute(), rel=1e-12)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_two_metrics_share_no_state(name):
    one = metric(name)
    one.update(*pair(name))
    assert math.isnan(metric(name).compute())
    other = copy.deepcopy(one)
    other.update(*pair(name, seed=3))
    fresh = metric(name)
    fresh.update(*pair(name))
    assert one.compute() == fresh.compute()


def test_unknown_name_is_answered():
    with pytest.raises(UnknownNameError) as caught:
        metric("acuracy")
    assert str(caught.value) == (
        "Unknown metric 'acuracy'. Did you mean 'accuracy'? Known: accuracy, binary_accuracy, "
        "error_rate, f1, mae, mse, r2, rmse, top_5_accuracy."
    )


def test_a_metric_of_ones_own_is_handed_back():
    own = F1()
    assert metric(own) is own


def test_a_class_is_answered():
    with pytest.raises(ConfigError) as caught:
        metric(Accuracy)  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "The metric `Accuracy` is a class. Give an object of it: `Accuracy()`."
    )


def test_an_object_that_is_no_metric_is_answered():
    class Half:
        name = "half"

        def update(self, preds, targets):
            pass

    with pytest.raises(ConfigError) as caught:
        metric(Half())  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "A metric has the methods reset, update and compute; this `Half` lacks reset and compute. "
        "Known by name: accuracy, binary_accuracy, error_rate, f1, mae, mse, r2, rmse, "
        "top_5_accuracy."
    )


def test_a_metric_without_a_name_is_answered():
    class Nameless(Accuracy):
        name = None  # pyright: ignore[reportAssignmentType]

    with pytest.raises(ConfigError) as caught:
        metric(Nameless())
    assert str(caught.value) == (
        "The metric `Nameless` has no name for its column in the history. "
        "Give it one: `your_metric.name = 'auc'`."
    )
