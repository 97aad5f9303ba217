"""What every metric of the table keeps to, on each kind of outputs that it takes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.errors import ConfigError, InputError, ShapeError
from drivetrain.metrics import METRICS, interval_of, metric

CLASSES = 6
BOUNDS = {
    "kappa": (-math.inf, 1.0),
    "log_loss": (0.0, math.inf),
    "mae": (0.0, math.inf),
    "matthews": (-1.0, 1.0),
    "mse": (0.0, math.inf),
    "pearson": (-1.0, 1.0),
    "perplexity": (1.0, math.inf),
    "r2": (-math.inf, 1.0),
    "rmse": (0.0, math.inf),
    "rmsle": (0.0, math.inf),
    "spearman": (-1.0, 1.0),
    "brier": (0.0, 2.0),
}  # [0, 1] for all others


def pairs(count=40, seed=0):
    """Outputs and targets of each kind of question."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, CLASSES, generator=generator)
    labels = (torch.rand(count, CLASSES, generator=generator) < 0.4).float()
    maps = torch.randn(count, 3, 4, 5, generator=generator)
    return {
        "classes": (scores, torch.randint(CLASSES, (count,), generator=generator)),
        "yes or no": (scores[:, 0], (scores[:, 0] + scores[:, 1] > 0).float()),
        "one column": (scores[:, :1], labels[:, :1]),
        "labels": (scores, labels),
        "numbers": (scores[:, 0].abs(), scores[:, 1].abs()),
        "pixels": (maps, torch.randint(3, (count, 4, 5), generator=generator)),
        "yes or no a pixel": (maps[:, :1], (maps[:, 1] > 0.3).float()),
    }


def taken(name):
    """The kinds that a metric takes; what it does not take, it must refuse in words."""
    found = []
    for kind, (preds, targets) in pairs().items():
        made = metric(name)
        try:
            made.update(preds, targets)
            made.compute()
        except (ShapeError, InputError):
            continue
        found.append(kind)
    return found


CASES = [(name, kind) for name in sorted(METRICS) for kind in taken(name)]


def of(name, preds, targets, *sizes):
    made = metric(name)
    for p, t in zip(preds.split(list(sizes)), targets.split(list(sizes)), strict=True):
        made.update(p, t)
    return made


def test_kinds_that_metrics_take():
    kinds = {name: set(taken(name)) for name in METRICS}
    one_of_several = {"classes", "pixels"}
    yes_or_no = {"yes or no", "one column", "yes or no a pixel"}
    for name in ("accuracy", "error_rate", "kappa", "matthews", "calibration_error"):
        assert kinds[name] == one_of_several | yes_or_no, name
    for name in ("f1", "f_beta", "precision", "recall", "dice", "jaccard", "log_loss", "brier"):
        assert kinds[name] == {"labels"} | one_of_several | yes_or_no, name
    for name in ("roc_auc", "average_precision"):
        assert kinds[name] == {"classes", "yes or no", "one column", "labels"}
    assert kinds["binary_accuracy"] == {"labels"} | yes_or_no
    assert kinds["perplexity"] == one_of_several
    assert kinds["top_5_accuracy"] == {"classes"}
    for name in ("pearson", "spearman"):
        assert kinds[name] >= {"numbers", "one column"}
        assert not kinds[name] & {"classes", "labels", "pixels"}


@pytest.mark.parametrize(("name", "kind"), CASES)
@given(
    order=st.permutations(range(40)),
    cuts=st.lists(st.integers(0, 40), max_size=6).map(lambda cuts: sorted({0, *cuts, 40})),
)
@settings(max_examples=4, deadline=None)
def test_neither_batches_nor_order_matter(name, kind, order, cuts):
    preds, targets = pairs()[kind]
    whole = of(name, preds, targets, 40).compute()
    sizes = [b - a for a, b in itertools.pairwise(cuts)]
    assert of(name, preds, targets, *sizes).compute() == pytest.approx(whole, rel=1e-11, abs=1e-14)
    moved = of(name, preds[list(order)], targets[list(order)], *sizes, 0)
    assert moved.compute() == pytest.approx(whole, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_value_and_interval_lie_within_the_bounds(name, kind):
    low, high = BOUNDS.get(name, (0.0, 1.0))
    made = of(name, *pairs()[kind], 40)
    value, ends = made.compute(), made.interval(0.9)
    assert low <= value <= high
    unsaid = {"kappa", "matthews", "calibration_error"}  # of pixels, which are not independent
    if "pixel" in kind and name in unsaid:
        assert ends is None
        return
    assert ends is not None
    assert low <= ends[0] <= value <= ends[1] <= high
    assert ends[0] < ends[1]
    assert made.interval(0.9) == ends  # drawn the same way each time
    wider = made.interval(0.99)
    assert wider is not None and wider[0] <= ends[0] and wider[1] >= ends[1]
    assert made.compute() == value
    assert interval_of(made, 0.9) == ends


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_interval_narrows_with_more_items(name, kind):
    few, many = (of(name, *pairs(n)[kind], n).interval() for n in (40, 640))
    if few is None or many is None:
        assert few is many
        return
    assert many[1] - many[0] < 0.6 * (few[1] - few[0])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_no_items_are_nan_and_have_no_interval(name, kind):
    preds, targets = pairs()[kind]
    for made in (metric(name), of(name, preds[:0], targets[:0], 0)):
        assert math.isnan(made.compute())
        assert made.interval() is None


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_one_output_that_is_nan_makes_the_value_nan(name, kind):
    preds, targets = pairs()[kind]
    preds = preds.clone()
    preds[7].view(-1)[0] = math.nan
    made = of(name, preds, targets, 5, 20, 15)
    assert math.isnan(made.compute())
    assert made.interval() is None
    made.reset()
    made.update(*pairs()[kind])
    assert math.isfinite(made.compute())


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_items_neither_crash_nor_warn(name, kind, count):
    made = of(name, *(part[:count] for part in pairs()[kind]), count)
    value, ends = made.compute(), made.interval()
    if ends is not None:
        assert ends[0] <= value <= ends[1]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_targets_all_alike_neither_crash_nor_warn(name, kind):
    preds, targets = pairs()[kind]
    made = of(name, preds, torch.ones_like(targets), 40)
    value = made.compute()
    undefined = {"pearson", "r2", "roc_auc", "spearman", "matthews"}
    assert math.isnan(value) == (name in undefined)
    ends = made.interval()
    assert ends is None if math.isnan(value) else True


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_type_of_the_targets_does_not_matter(name, kind):
    preds, targets = pairs()[kind]
    if kind == "numbers":
        targets = targets.round()
    expected = of(name, preds, targets, 40).compute()
    types = [torch.uint8, torch.int32, torch.int64]
    if kind in ("yes or no", "one column", "labels", "yes or no a pixel"):
        types += [torch.bool, torch.float64]
    for dtype in types:
        assert of(name, preds, targets.to(dtype), 40).compute() == expected, dtype


IGNORING = [
    (name, kind) for name, kind in CASES if "ignore_index" in metric(name).record()["options"]
]


@pytest.mark.parametrize(("name", "kind"), IGNORING)
@pytest.mark.parametrize("ignore_index", [-100, 255])
def test_targets_that_do_not_count_are_as_if_absent(name, kind, ignore_index):
    preds, targets = pairs()[kind]
    left_out = targets.clone()
    left_out[5:15] = ignore_index
    kept = [*range(5), *range(15, 40)]
    made = metric(name, ignore_index=ignore_index)
    made.update(preds[:8], left_out[:8])
    made.update(preds[8:], left_out[8:])
    expected = of(name, preds[kept], targets[kept], 30)
    assert made.compute() == pytest.approx(expected.compute(), rel=1e-12)
    nothing = metric(name, ignore_index=ignore_index)
    nothing.update(preds, torch.full_like(targets, ignore_index))
    assert math.isnan(nothing.compute())
    assert nothing.interval() is None


@pytest.mark.parametrize(
    ("name", "kind"), [case for case in CASES if case[1] in ("classes", "labels", "yes or no")]
)
def test_targets_that_cannot_be_are_refused_at_the_end(name, kind):
    if name in ("mae", "mse", "rmse", "rmsle", "r2", "pearson", "spearman"):
        return
    preds, targets = pairs()[kind]
    last = CLASSES if kind == "classes" else 2
    for wrong in (last, -100):
        bad = targets.clone()
        bad[3] = wrong
        made = metric(name)
        made.update(preds, bad)
        what = f"class indices in 0..{last - 1}" if kind == "classes" else "0 or 1 for each score"
        advice = ""
        if "ignore_index" in made.record()["options"]:  # pyright: ignore[reportAttributeAccessIssue]
            advice = " Leave out targets that do not count with `ignore_index`."
        for ask in (made.compute, made.interval):  # pyright: ignore[reportAttributeAccessIssue]
            with pytest.raises(InputError) as caught:
                ask()
            assert str(caught.value) == f"`{name}` got target {wrong}, expected {what}.{advice}"


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan])
def test_confidence_outside_zero_and_one_is_refused(name, confidence):
    with pytest.raises(ConfigError) as caught:
        interval_of(metric(name), confidence)
    assert str(caught.value) == (
        f"`confidence` is a probability between 0 and 1, such as 0.95. Got {confidence}."
    )


@pytest.mark.parametrize("name", sorted(METRICS))
def test_shapes_that_fit_nothing_are_refused(name):
    made = metric(name)
    for preds, targets in [
        (torch.zeros(4, 3), torch.zeros(4, 2)),
        (torch.zeros(4), torch.zeros(5)),
        (torch.zeros(4, 1), torch.zeros(4, 3)),
        (torch.zeros(()), torch.zeros(())),
        (torch.zeros(4, 0), torch.zeros(4, dtype=torch.int64)),
    ]:
        if preds.ndim == 0 and name in ("mae", "mse", "rmse", "rmsle", "r2"):
            continue  # one number each is a pair
        with pytest.raises(ShapeError, match=rf"^`{made.name}` got .*, expected "):
            made.update(preds, targets)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_docstring_says_what_the_interval_is(name):
    text = " ".join((type(metric(name)).__doc__ or "").split())
    assert "Interval: " in text
    words = ("Wilson", "t, of a mean", "bootstrap", "Fisher", "DeLong", "ends of", "by exp")
    assert any(word in text.partition("Interval: ")[2] for word in words)
