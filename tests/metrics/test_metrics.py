"""The table of metrics, and what every metric in it promises."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch

from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.metrics import F1, METRICS, Accuracy, metric, record_of

NUMBERS = ("mae", "mse", "pearson", "r2", "rmse", "rmsle", "spearman")
LOWER_IS_BETTER = (
    *("brier", "calibration_error", "error_rate", "log_loss", "mae", "mse", "perplexity"),
    *("rmse", "rmsle"),
)


def pair(name: str, count: int = 24, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, 8, generator=generator)
    if name in NUMBERS:
        return scores[:, 0].abs(), scores[:, 1].abs()  # rmsle is for numbers of 0 or more
    if name == "binary_accuracy":
        return scores[:, 0], (scores[:, 1] > 0).long()
    return scores, torch.randint(8, (count,), generator=generator)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_name_in_the_table_is_its_own_name(name):
    assert metric(name).name == name


@pytest.mark.parametrize("name", sorted(METRICS))
def test_declares_its_direction(name):
    assert metric(name).higher_is_better is (name not in LOWER_IS_BETTER)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_direction_is_true_of_perfect_predictions(name):
    preds, targets = pair(name)
    exact = (
        1000 * torch.nn.functional.one_hot(targets, 8).float()  # a probability of 1
        if preds.ndim == 2
        else targets.float()
    )
    found, best = metric(name), metric(name)
    found.update(preds, targets)
    best.update(exact - 0.5 if name == "binary_accuracy" else exact, targets)
    if found.higher_is_better:
        assert best.compute() == pytest.approx(1.0, rel=1e-12)
        assert found.compute() < 1.0
    else:
        assert best.compute() == (1.0 if name == "perplexity" else 0.0)
        assert found.compute() > best.compute()


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
        f"Unknown metric 'acuracy'. Did you mean 'accuracy'? Known: {', '.join(sorted(METRICS))}."
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
        f"Known by name: {', '.join(sorted(METRICS))}."
    )


def test_an_object_that_does_not_say_which_way_is_good_is_answered():
    class Half:
        name = "half"

        def reset(self):
            pass

        def update(self, preds, targets):
            pass

        def compute(self):
            return 0.5

    with pytest.raises(ConfigError) as caught:
        metric(Half())  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "The metric `Half` does not say which way is good. "
        "Say it: `metric(yours, higher_is_better=True)`."
    )
    said = metric(Half(), name="other", higher_is_better=False)  # pyright: ignore[reportArgumentType]
    assert (said.name, said.higher_is_better) == ("other", False)


def test_an_object_without_a_name_gets_that_of_its_class():
    class HalfTheTruth:
        higher_is_better = True

        def reset(self):
            pass

        def update(self, preds, targets):
            self.last = len(preds)

        def compute(self):
            return self.last

    found = metric(HalfTheTruth())  # pyright: ignore[reportArgumentType]
    assert found.name == "half_the_truth"
    assert math.isnan(found.compute())
    found.update(torch.zeros(3), torch.zeros(3))
    assert (found.compute(), type(found.compute())) == (3.0, float)
    found.reset()
    assert math.isnan(found.compute())


# --- options and records ------------------------------------------------------------------------------


def test_options_are_given_by_name_and_name_the_column():
    expected = {
        "f_beta_0.5": metric("f_beta", beta=0.5),
        "precision_micro": metric("precision", average="micro"),
        "f_beta_3_weighted": metric("f_beta", beta=3, average="weighted"),
        "kappa_quadratic": metric("kappa", weights="quadratic"),
        "top_3_accuracy": metric("top_3_accuracy"),
        "top_2_accuracy": metric("top_k_accuracy", k=2),
        "roc_auc_weighted": metric("roc_auc", average="weighted"),
        "without_void": metric("accuracy", ignore_index=255, name="without_void"),
    }
    assert {found.name for found in expected.values()} == set(expected)
    for name, found in expected.items():
        assert found.name == name


@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        (
            "f_beta",
            {"betta": 2},
            UnknownNameError,
            "Unknown option of `f_beta` 'betta'. Did you mean 'beta'? "
            "Known: average, beta, ignore_index.",
        ),
        ("mae", {"beta": 2}, ConfigError, "The metric `mae` has no options. Got 'beta'."),
        ("f_beta", {"beta": 0}, ConfigError, "`f_beta` needs a beta above 0. Got 0."),
        (
            "f1",
            {"average": "makro"},
            UnknownNameError,
            "Unknown average 'makro'. Did you mean 'macro'? Known: macro, micro, weighted.",
        ),
        (
            "kappa",
            {"weights": "square"},
            UnknownNameError,
            "Unknown weights of kappa 'square'. Known: linear, none, quadratic.",
        ),
        ("top_k_accuracy", {"k": 0}, ConfigError, "`TopK` needs k of 1 or more. Got 0."),
        (
            "calibration_error",
            {"bins": 0.5},
            ConfigError,
            "`calibration_error` needs bins of 1 or more. Got 0.5.",
        ),
        (
            "pr_auc",
            {},
            UnknownNameError,
            f"Unknown metric 'pr_auc'. Did you mean 'average_precision'? "
            f"Known: {', '.join(sorted(METRICS))}.",
        ),
        (
            {"name": "mine", "class": "here.Mine"},
            {},
            ConfigError,
            "This is no record of a metric that can be made again: "
            "{'name': 'mine', 'class': 'here.Mine'}. "
            "It was an object of the class here.Mine: give one again.",
        ),
        (
            {"name": "f1", "options": {}},
            {"average": "micro"},
            ConfigError,
            "A metric's record holds its options. Got another: average.",
        ),
    ],
)
def test_what_cannot_be_made_is_answered(name, options, error, text):
    with pytest.raises(error) as caught:
        metric(name, **options)
    assert str(caught.value) == text


def test_an_option_of_an_object_is_answered():
    with pytest.raises(UnknownNameError) as caught:
        metric(F1(), average="micro")
    assert str(caught.value) == (
        "Unknown option of a metric of your own 'average'. Known: higher_is_better, name."
    )


@pytest.mark.parametrize(
    "made",
    [
        *(metric(name) for name in sorted(METRICS)),
        metric("f_beta", beta=0.5, average="micro", ignore_index=-100),
        metric("dice", background=False),
        metric("top_3_accuracy"),
        metric("kappa", weights="linear", name="agreement"),
    ],
    ids=lambda made: made.name,
)
def test_a_record_is_json_and_makes_the_metric_again(made):
    record = json.loads(json.dumps(record_of(made)))
    again = metric(record)
    assert type(again) is type(made)
    assert again.name == made.name
    assert record_of(again) == record
    assert repr(again) == repr(made)


def test_a_record_of_an_object_of_ones_own_says_what_it_was():
    class Mine:
        name = "mine"
        higher_is_better = True

        def reset(self): ...
        def update(self, preds, targets): ...
        def compute(self): ...

    record = record_of(metric(Mine()))  # pyright: ignore[reportArgumentType]
    assert record["name"] == "mine"
    assert record["class"].endswith("Mine")
    assert "options" not in record
