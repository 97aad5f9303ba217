"""Values against scikit-learn, scipy and torchmetrics, on inputs with ties, in uneven batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from drivetrain.metrics import metric

sk = pytest.importorskip("sklearn.metrics")
scipy_stats = pytest.importorskip("scipy.stats")

SEEDS = range(4)


@pytest.fixture(scope="module")
def torchmetrics():
    """Loaded by the process that runs these tests: it takes seconds, and each process collects them."""
    pytest.importorskip("torchmetrics.functional.segmentation")
    return pytest.importorskip("torchmetrics")


def value(name, preds, targets, **options):
    found = metric(name, **options)
    for start, end in ((0, 17), (17, 17), (17, 18), (18, len(preds))):
        found.update(preds[start:end], targets[start:end])
    return found.compute()


def several(seed, count=80, classes=5):
    """Scores on a grid of quarters: many ties; every class occurs."""
    generator = torch.Generator().manual_seed(seed)
    scores = (torch.randn(count, classes, generator=generator, dtype=torch.float64) * 4).round() / 4
    targets = torch.randint(classes, (count,), generator=generator)
    targets[:classes] = torch.arange(classes)
    return scores, targets


def yes_or_no(seed, count=80):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(count, generator=generator, dtype=torch.float64) * 3).round() / 3
    truth = (torch.rand(count, generator=generator) < logits.sigmoid()).float()
    return logits, truth


def labels(seed, count=80, width=4):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(count, width, generator=generator, dtype=torch.float64) * 3).round() / 3
    truth = (torch.rand(count, width, generator=generator) < logits.sigmoid()).float()
    return logits, truth


def numbers(seed, count=80):
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.randn(count, generator=generator, dtype=torch.float64) * 5).round().abs()
    noise = torch.randn(count, generator=generator, dtype=torch.float64)
    return (truth + noise).abs().mul(2).round() / 2, truth


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize(
    ("name", "oracle", "options"),
    [
        ("precision", "precision_score", {}),
        ("recall", "recall_score", {}),
        ("f1", "f1_score", {}),
        ("f_beta", "fbeta_score", {"beta": 0.5}),
        ("dice", "f1_score", {}),
        ("jaccard", "jaccard_score", {}),
    ],
)
def test_counts_of_classes_and_labels_equal_scikit_learn(name, oracle, options, average, seed):
    of = getattr(sk, oracle)
    scores, targets = several(seed)
    expected = of(targets, scores.argmax(1), average=average, zero_division=0, **options)
    assert value(name, scores, targets, average=average, **options) == pytest.approx(expected)
    logits, truth = labels(seed)
    expected = of(truth, logits > 0, average=average, zero_division=0, **options)
    assert value(name, logits, truth, average=average, **options) == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["precision", "recall", "f1", "jaccard"])
def test_counts_of_yes_or_no_equal_scikit_learn(name, seed):
    logits, truth = yes_or_no(seed)
    expected = getattr(sk, f"{name}_score")(truth, logits > 0)
    assert value(name, logits, truth) == pytest.approx(expected, rel=1e-12)
    assert value(name, logits[:, None], truth[:, None]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_agreement_equals_scikit_learn(seed):
    scores, targets = several(seed)
    decided = scores.argmax(1)
    assert value("matthews", scores, targets) == pytest.approx(
        sk.matthews_corrcoef(targets, decided), rel=1e-12
    )
    for weights in ("none", "linear", "quadratic"):
        expected = sk.cohen_kappa_score(
            targets, decided, weights=None if weights == "none" else weights, labels=range(5)
        )
        assert value("kappa", scores, targets, weights=weights) == pytest.approx(
            expected, rel=1e-12
        )
    logits, truth = yes_or_no(seed)
    assert value("matthews", logits, truth) == pytest.approx(
        sk.matthews_corrcoef(truth, logits > 0), rel=1e-12
    )
    assert value("kappa", logits, truth) == pytest.approx(
        sk.cohen_kappa_score(truth, logits > 0), rel=1e-12
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_orders_equal_scikit_learn(seed):
    logits, truth = yes_or_no(seed)
    assert value("roc_auc", logits, truth) == pytest.approx(sk.roc_auc_score(truth, logits))
    assert value("average_precision", logits, truth) == pytest.approx(
        sk.average_precision_score(truth, logits)
    )
    two = torch.stack([-logits / 2, logits / 2], dim=1)
    assert value("roc_auc", two, truth.long()) == pytest.approx(sk.roc_auc_score(truth, logits))
    scores, targets = several(seed)
    # Rows of equal scores in another order tie; softmax's last bit would part them.
    probs = scores.softmax(1).numpy().round(12)
    of_labels, known = labels(seed)
    for average in ("macro", "micro", "weighted"):
        assert value("roc_auc", scores, targets, average=average) == pytest.approx(
            sk.roc_auc_score(targets, probs, multi_class="ovr", average=average)
        )
        assert value("average_precision", scores, targets, average=average) == pytest.approx(
            sk.average_precision_score(targets, probs, average=average)
        )
        assert value("roc_auc", of_labels, known, average=average) == pytest.approx(
            sk.roc_auc_score(known, of_labels, average=average)
        )
        assert value("average_precision", of_labels, known, average=average) == pytest.approx(
            sk.average_precision_score(known, of_labels, average=average)
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_probabilities_equal_scikit_learn(seed):
    scores, targets = several(seed)
    probs = scores.softmax(1)
    assert value("log_loss", scores, targets) == pytest.approx(sk.log_loss(targets, probs))
    assert value("perplexity", scores, targets) == pytest.approx(
        math.exp(sk.log_loss(targets, probs))
    )
    assert value("brier", scores, targets) == pytest.approx(sk.brier_score_loss(targets, probs))
    logits, truth = yes_or_no(seed)
    assert value("log_loss", logits, truth) == pytest.approx(sk.log_loss(truth, logits.sigmoid()))
    assert value("brier", logits, truth) == pytest.approx(
        sk.brier_score_loss(truth, logits.sigmoid())
    )
    two = torch.stack([-logits / 2, logits / 2], dim=1)
    assert value("brier", two, truth.long()) == pytest.approx(value("brier", logits, truth))


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_equal_scikit_learn_and_scipy(seed):
    preds, targets = numbers(seed)
    expected = {
        "mae": sk.mean_absolute_error(targets, preds),
        "mse": sk.mean_squared_error(targets, preds),
        "rmse": sk.root_mean_squared_error(targets, preds),
        "rmsle": sk.root_mean_squared_log_error(targets, preds),
        "r2": sk.r2_score(targets, preds),
        "pearson": scipy_stats.pearsonr(preds, targets).statistic,
        "spearman": scipy_stats.spearmanr(preds, targets).statistic,
    }
    for name, number in expected.items():
        assert value(name, preds, targets) == pytest.approx(number, rel=1e-12), name


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bins", [5, 15])
def test_calibration_error_equals_torchmetrics(torchmetrics, seed, bins):
    # Not on a grid: torchmetrics' bins hold their lower end, ours (and the paper's) their upper.
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(200, 5, generator=generator) * 2
    targets = torch.randint(5, (200,), generator=generator)
    functional = torchmetrics.functional.classification
    expected = functional.multiclass_calibration_error(scores, targets, num_classes=5, n_bins=bins)
    assert value("calibration_error", scores, targets, bins=bins) == pytest.approx(
        float(expected), rel=1e-5
    )
    truth = (targets > 2).long()
    expected = functional.binary_calibration_error(scores[:, 0], truth, n_bins=bins)
    assert value("calibration_error", scores[:, 0], truth, bins=bins) == pytest.approx(
        float(expected), rel=1e-5
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_overlap_of_areas_equals_torchmetrics_and_scikit_learn(torchmetrics, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(20, 3, 6, 7, generator=generator)
    targets = torch.randint(3, (20, 6, 7), generator=generator)
    decided = scores.argmax(1)
    functional = torchmetrics.functional
    jaccard = functional.classification.multiclass_jaccard_index(decided, targets, num_classes=3)
    assert value("jaccard", scores, targets) == pytest.approx(float(jaccard), rel=1e-6)
    expected = sk.f1_score(targets.flatten(), decided.flatten(), average="macro")
    assert value("dice", scores, targets) == pytest.approx(expected, rel=1e-12)
    front = sk.f1_score(targets.flatten(), decided.flatten(), average="macro", labels=[1, 2])
    assert value("dice", scores, targets, background=False) == pytest.approx(front, rel=1e-12)
    each = torch.tensor(
        [value("dice", scores[i : i + 1].repeat(18, 1, 1, 1), targets[i : i + 1].repeat(18, 1, 1))
         for i in range(20)]
    )  # fmt: skip
    one_by_one = functional.segmentation.dice_score(
        decided, targets, num_classes=3, average="macro", input_format="index"
    )
    assert each.tolist() == pytest.approx(one_by_one.tolist(), rel=1e-5)
    void = targets.clone()
    void[:, 0] = 255
    ignoring = functional.classification.multiclass_jaccard_index(
        decided, void, num_classes=3, ignore_index=255
    )
    assert value("jaccard", scores, void, ignore_index=255) == pytest.approx(
        float(ignoring), rel=1e-6
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_perplexity_equals_torchmetrics(torchmetrics, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(19, 9, 11, generator=generator)  # (B, C, T), as the loss wants it
    targets = torch.randint(9, (19, 11), generator=generator)
    targets[:, 8:] = -100
    oracle = torchmetrics.text.Perplexity(ignore_index=-100)
    oracle.update(logits.transpose(1, 2), targets)
    found = value("perplexity", logits, targets, ignore_index=-100)
    assert found == pytest.approx(float(oracle.compute()), rel=1e-5)


# --- known answers, and where the definitions differ --------------------------------------------------


def test_ties_count_half_in_the_area():
    assert value("roc_auc", torch.zeros(20), torch.tensor([0.0, 1.0] * 10)) == 0.5
    preds, targets = torch.tensor([0.0, 1.0, 1.0, 2.0] * 5), torch.tensor([0, 0, 1, 1] * 5)
    assert value("roc_auc", preds, targets) == (4 - 0.5) / 4


def test_average_precision_of_no_knowledge_is_the_share_of_positives():
    assert (
        value("average_precision", torch.zeros(20), torch.tensor([1.0] + [0.0] * 4).repeat(4))
        == 0.2
    )


def test_area_of_infinite_scores_is_that_of_their_order():
    scores = torch.tensor([-math.inf, -1.0, 0.0, math.inf] * 5)
    assert value("roc_auc", scores, torch.tensor([0, 0, 1, 1] * 5)) == 1.0
    assert value("roc_auc", -scores, torch.tensor([0, 0, 1, 1] * 5)) == 0.0


def test_logits_far_beyond_a_probability_of_one_keep_their_order_for_yes_or_no():
    """sigmoid(40) and sigmoid(50) are both 1.0 in float64; the logits are not equal."""
    logits, truth = torch.tensor([40.0, 50.0] * 10), torch.tensor([0, 1] * 10)
    assert value("roc_auc", logits, truth) == 1.0
    assert sk.roc_auc_score(truth, logits.double().sigmoid()) == 0.5


def test_classes_without_an_item_are_left_out_of_the_area():
    scores, targets = several(0)
    keep = targets != 3
    present = [c for c in range(5) if c != 3]
    probs = scores[keep].softmax(1)
    expected = np.mean([sk.roc_auc_score(targets[keep] == c, probs[:, c]) for c in present])
    assert value("roc_auc", scores[keep], targets[keep]) == pytest.approx(expected)


def test_a_label_nobody_speaks_of_is_left_out_where_scikit_learn_counts_zero():
    logits, truth = (
        torch.tensor([[1.0, -1.0], [-1.0, -1.0]] * 10),
        torch.tensor([[1, 0], [0, 0]] * 10),
    )
    assert value("f1", logits, truth) == 1.0
    assert sk.f1_score(truth, logits > 0, average="macro", zero_division=0) == 0.5


def test_matthews_of_one_answer_for_all_is_zero_and_of_one_target_undefined():
    always = torch.tensor([[2.0, 1.0]] * 20)
    assert value("matthews", always, torch.tensor([0, 1] * 10)) == 0.0
    assert math.isnan(value("matthews", always, torch.zeros(20, dtype=torch.int64)))


def test_kappa_published_example():
    """Cohen 1960, table 1: two judges agree on 0.70, where chance gives 0.41."""
    table = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]  # of 200
    scores, targets = [], []
    for true, row in enumerate(table):
        for said, count in enumerate(row):
            scores += [[float(c == said) for c in range(3)]] * count
            targets += [true] * count
    found = value("kappa", torch.tensor(scores), torch.tensor(targets))
    assert found == pytest.approx((0.70 - 0.41) / (1 - 0.41), abs=1e-12)


def test_calibration_error_known_answer():
    """Sure to 0.8 and right in 3 of 4: off by 0.05; the bin of 0.6 is right in 1 of 2: off by 0.1."""
    probs = torch.tensor([0.8] * 4 + [0.6] * 2, dtype=torch.float64).repeat(4)
    right = torch.tensor([1, 1, 1, 0, 1, 0]).repeat(4)
    scores = torch.stack([probs, 1 - probs], dim=1).log()
    found = value("calibration_error", scores, 1 - right, bins=10)
    assert found == pytest.approx((4 * 0.05 + 2 * 0.1) / 6)


def test_perplexity_of_guessing_is_the_number_of_words():
    assert value("perplexity", torch.zeros(20, 50), torch.arange(20)) == pytest.approx(50)


def test_negative_prediction_counts_as_zero_in_logs():
    preds, targets = torch.tensor([-5.0, 3.0] * 10), torch.tensor([0.0, 3.0] * 10)
    assert value("rmsle", preds, targets) == 0.0
    with pytest.raises(
        ValueError, match=r"^`rmsle` got target -1, expected numbers of 0 or more\.$"
    ):
        value("rmsle", preds, -torch.ones(20))


def test_log_loss_is_the_loss():
    scores, targets = several(1)
    expected = torch.nn.functional.cross_entropy(scores, targets)
    assert value("log_loss", scores, targets) == pytest.approx(float(expected), rel=1e-12)
    logits, truth = labels(1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth.double())
    assert value("log_loss", logits, truth) == pytest.approx(float(expected), rel=1e-12)
