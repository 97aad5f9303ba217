"""losses: known answers, torch as the oracle, what every loss keeps to, extreme scores, batches."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from drivetrain import losses
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.train.batches import weighted_mean


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def indices(*shape: int, high: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


# --- known answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [2, 3, 10, 37])
def test_equal_scores_cost_the_log_of_the_number_of_classes(num_classes):
    x = torch.zeros(4, num_classes)
    y = torch.arange(4) % num_classes
    torch.testing.assert_close(losses.cross_entropy(x, y), torch.tensor(float(num_classes)).log())


@pytest.mark.row(39)
def test_mnist_loss_of_the_book_with_and_without_sigmoid():
    preds, targets = torch.tensor([0.9, 0.4, 0.2]), torch.tensor([1, 0, 1])
    assert round(losses.mae(preds, targets).item(), 4) == 0.4333
    assert round(losses.mnist_loss(preds, targets).item(), 4) == 0.4460
    torch.testing.assert_close(losses.mnist_loss(preds.logit(), targets), torch.tensor(1.3 / 3))


def test_mse_and_mae_known_answers():
    preds, targets = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 4.0, 2.0])
    assert losses.mse(preds, targets).item() == pytest.approx(20 / 3)
    assert losses.mae(preds, targets).item() == 2.0


@pytest.mark.row(36)
@pytest.mark.parametrize("name", ["mse", "mae"])
def test_gradients_for_the_quadratic_equal_finite_differences(name):
    loss = losses.LOSSES[name]
    x = torch.linspace(-2, 2, 20, dtype=torch.float64)
    y = 3 * x**2 + 2 * x + 1 + 0.3 * noise(20).double()

    def of(abc: torch.Tensor) -> torch.Tensor:
        return loss(abc[0] * x**2 + abc[1] * x + abc[2], y)

    abc = torch.full((3,), 1.1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(of(abc), abc)
    step, point = 1e-6, abc.detach()
    for i, unit in enumerate(torch.eye(3, dtype=torch.float64)):
        slope = (of(point + step * unit) - of(point - step * unit)) / (2 * step)
        assert gradient[i].item() == pytest.approx(slope.item(), abs=1e-4)


def test_label_smoothing_by_hand():
    # 10 classes, smoothing 0.1: the true class is asked for 0.91 and each other for 0.01.
    x = noise(1, 10).double()
    asked = torch.full((1, 10), 0.01, dtype=torch.float64)
    asked[0, 3] = 0.91
    torch.testing.assert_close(
        losses.cross_entropy(x, torch.tensor([3]), label_smoothing=0.1),
        -(asked * x.log_softmax(1)).sum(),
    )


def test_mixed_targets_cost_the_mix_of_the_losses():
    x, y, z = noise(8, 5), indices(8, high=5), indices(8, high=5, seed=2)
    shares = 0.3 * F.one_hot(y, 5) + 0.7 * F.one_hot(z, 5)
    torch.testing.assert_close(
        losses.soft_cross_entropy(x, shares),
        0.3 * losses.cross_entropy(x, y) + 0.7 * losses.cross_entropy(x, z),
    )


def test_dice_is_near_0_for_the_right_mask_and_near_1_for_the_wrong_one():
    mask = (torch.arange(64).reshape(1, 8, 8) % 8 < 4).long()
    scores = 50.0 * F.one_hot(mask, 2).movedim(-1, 1)
    assert losses.dice(scores, mask).item() == pytest.approx(0, abs=1e-6)
    # Nothing of 32 and 32 pixels overlaps: 1 - (0 + 1) / (64 + 1) for both classes.
    assert losses.dice(scores, 1 - mask).item() == pytest.approx(64 / 65, abs=1e-6)


def test_dice_of_a_class_that_is_neither_there_nor_predicted_is_0():
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    scores = torch.zeros(1, 3, 4, 4)
    scores[:, 0] = 100.0
    assert losses.dice(scores, mask, reduction="none").tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_the_lowest_quantile_loss_is_at_the_quantile(q):
    y = noise(1001).double()
    candidates = y.sort().values
    costs = torch.stack([losses.quantile(c.expand(1001), y, q=q) for c in candidates])
    assert candidates[costs.argmin()] == torch.quantile(y, q)


def test_quantile_of_one_half_is_half_the_absolute_error():
    x, y = noise(9), noise(9, seed=1)
    torch.testing.assert_close(losses.quantile(x, y), losses.mae(x, y) / 2)


# --- torch as the oracle --------------------------------------------------------------------------

X, Y = noise(12, 4).double(), indices(12, high=4)
ONE, YES = noise(12).double(), indices(12, high=2)
W = [1.0, 2.0, 0.5, 3.0]


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.1},
        {"weight": W},
        {"ignore_index": 2},
        {"label_smoothing": 0.2, "weight": W, "ignore_index": 0},
    ],
    ids=str,
)
def test_cross_entropy_equals_torch(options, reduction):
    torchs = options | ({"weight": torch.tensor(W).double()} if "weight" in options else {})
    torch.testing.assert_close(
        losses.cross_entropy(X, Y, **options, reduction=reduction),
        F.cross_entropy(X, Y, **torchs, reduction=reduction),
    )


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(
    "options", [{}, {"weight": W}, {"ignore_index": 2}, {"weight": W, "ignore_index": 0}], ids=str
)
def test_focal_without_focus_is_cross_entropy(options, reduction):
    torch.testing.assert_close(
        losses.focal(X, Y, gamma=0.0, **options, reduction=reduction),
        losses.cross_entropy(X, Y, **options, reduction=reduction),
    )


def test_soft_cross_entropy_of_class_indices_is_cross_entropy():
    hard, options = losses.cross_entropy(X, Y), {"label_smoothing": 0.1}
    torch.testing.assert_close(losses.soft_cross_entropy(X, Y), hard)
    torch.testing.assert_close(losses.soft_cross_entropy(X, F.one_hot(Y, 4)), hard)
    torch.testing.assert_close(
        losses.soft_cross_entropy(X, F.one_hot(Y, 4), **options),
        losses.cross_entropy(X, Y, **options),
    )


@pytest.mark.parametrize("pos_weight", [None, 3.0, W])
def test_binary_cross_entropy_equals_torch(pos_weight):
    many = indices(12, 4, high=2)
    weight = None if pos_weight is None else torch.tensor(pos_weight).double()
    torch.testing.assert_close(
        losses.binary_cross_entropy_with_logits(X, many, pos_weight=pos_weight),
        F.binary_cross_entropy_with_logits(X, many.double(), pos_weight=weight),
    )


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (2.0, None), (0.5, 0.7), (0.0, None)])
def test_binary_focal_equals_torchvision(gamma, alpha):
    ops = pytest.importorskip("torchvision.ops")
    torch.testing.assert_close(
        losses.binary_focal(ONE, YES, gamma=gamma, alpha=alpha, reduction="none"),
        ops.sigmoid_focal_loss(
            ONE, YES.double(), gamma=gamma, alpha=-1 if alpha is None else alpha, reduction="none"
        ),
    )


@pytest.mark.parametrize("delta", [0.1, 1.0, 5.0])
def test_huber_equals_torch(delta):
    other = noise(12, seed=2).double()
    torch.testing.assert_close(
        losses.huber(ONE, other, delta=delta), F.huber_loss(ONE, other, delta=delta)
    )


# --- contract: every loss in the table ------------------------------------------------------------

GOOD = {
    "binary_cross_entropy_with_logits": (noise(6), indices(6, high=2)),
    "binary_focal": (noise(6), indices(6, high=2)),
    "cross_entropy": (noise(6, 4), indices(6, high=4)),
    "dice": (noise(6, 4, 3, 3), indices(6, 3, 3, high=4)),
    "focal": (noise(6, 4), indices(6, high=4)),
    "huber": (noise(6), noise(6, seed=1)),
    "mae": (noise(6), noise(6, seed=1)),
    "mnist_loss": (noise(6), indices(6, high=2)),
    "mse": (noise(6), noise(6, seed=1)),
    "quantile": (noise(6), noise(6, seed=1)),
    "soft_cross_entropy": (noise(6, 4), noise(6, 4, seed=1).softmax(1)),
    "token_cross_entropy": (noise(6, 5, 4).transpose(1, 2), indices(6, 5, high=4)),
}
WRONG = {  # targets of another batch, for the predictions above
    name: (preds, targets[:5]) for name, (preds, targets) in GOOD.items()
}
every_loss = pytest.mark.parametrize("name", sorted(losses.LOSSES))


@every_loss
def test_each_loss_is_a_scalar_mean_of_its_items_with_a_gradient(name):
    loss, (preds, targets) = losses.LOSSES[name], GOOD[name]
    preds = preds.clone().requires_grad_()
    value = loss(preds, targets)
    assert value.shape == ()
    assert value.dtype == preds.dtype
    items = loss(preds, targets, reduction="none")
    assert items.shape[0] == 6
    torch.testing.assert_close(items.mean(), value)
    torch.testing.assert_close(losses.per_item(loss, preds, targets).mean(), value)
    value.backward()
    assert preds.grad is not None
    assert bool(preds.grad.abs().sum() > 0)


@every_loss
def test_the_mean_over_equal_batches_is_the_loss_of_all_items(name):
    loss, (preds, targets) = losses.LOSSES[name], GOOD[name]
    halves = torch.stack([loss(preds[:3], targets[:3]), loss(preds[3:], targets[3:])])
    torch.testing.assert_close(halves.mean(), loss(preds, targets))


@every_loss
def test_a_step_against_the_gradient_lowers_each_loss(name):
    loss, (preds, targets) = losses.LOSSES[name], GOOD[name]
    preds = preds.double().requires_grad_()
    targets = targets.double() if targets.is_floating_point() else targets
    before = loss(preds, targets)
    (gradient,) = torch.autograd.grad(before, preds)
    assert loss((preds - 1e-3 * gradient).detach(), targets) < before


@every_loss
def test_the_gradient_of_each_loss_is_that_of_finite_differences(name):
    loss, (preds, targets) = losses.LOSSES[name], GOOD[name]
    preds = preds.double().requires_grad_()
    targets = targets.double() if targets.is_floating_point() else targets
    assert torch.autograd.gradcheck(lambda p: loss(p, targets), (preds,))


@every_loss
def test_each_loss_accepts_its_own_kind_of_pair(name):
    losses.check_pair(losses.LOSSES[name], *GOOD[name])


@every_loss
def test_each_loss_is_known_to_the_check(name):
    with pytest.raises(ShapeError, match=rf"^`{name}` got "):
        losses.check_pair(losses.LOSSES[name], *WRONG[name])


@every_loss
@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_scores_that_would_overflow_have_a_finite_loss_and_gradient(name, scale):
    loss, (preds, targets) = losses.LOSSES[name], GOOD[name]
    preds = (scale * preds).requires_grad_()
    value = loss(preds, targets)
    (gradient,) = torch.autograd.grad(value, preds)
    assert bool(torch.isfinite(value))
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_of_a_certain_answer_has_no_slope(gamma):
    preds = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    losses.focal(preds, torch.tensor([0, 1]), gamma=gamma).backward()
    assert preds.grad.abs().max().item() < 1e-6
    score = torch.tensor([200.0, -200.0], requires_grad=True)
    losses.binary_focal(score, torch.tensor([1, 0]), gamma=gamma).backward()
    assert score.grad.abs().max().item() < 1e-6


# --- what is left out, what counts more -----------------------------------------------------------


def test_ignored_pixels_change_nothing():
    scores, mask = noise(2, 3, 4, 4), indices(2, 4, 4, high=3)
    mask[:, 0] = 255
    for name in ("cross_entropy", "focal", "dice"):
        loss = losses.loss(name, ignore_index=255)
        first = loss(scores, mask)
        moved = scores.clone()
        moved[:, :, 0] += noise(2, 3, 4, seed=3)
        torch.testing.assert_close(loss(moved, mask), first)
        torch.testing.assert_close(
            losses.LOSSES[name](scores[:, :, 1:], mask[:, 1:]), first, msg=name
        )


OUT_OF_RANGE = [
    ("cross_entropy", {"label_smoothing": 1.0}, "from 0 up, below 1. Got 1.0."),
    (
        "cross_entropy",
        {"weight": [1.0, -1.0, 1.0, 1.0]},
        "a number from 0 up for each class, not all 0. Got [1.0, -1.0, 1.0, 1.0].",
    ),
    ("soft_cross_entropy", {"label_smoothing": -0.1}, "from 0 up, below 1. Got -0.1."),
    ("focal", {"gamma": -1}, "from 0 up. Got -1."),
    ("binary_focal", {"alpha": 2.0}, "from 0 to 1. Got 2.0."),
    (
        "binary_cross_entropy_with_logits",
        {"pos_weight": 0.0},
        "a number above 0, or one for each score. Got 0.0.",
    ),
    ("huber", {"delta": 0}, "above 0. Got 0."),
    ("quantile", {"q": 1.0}, "above 0 and below 1. Got 1.0."),
    ("dice", {"smooth": 0.0}, "above 0. Got 0.0."),
    ("cross_entropy", {"label_smoothing": float("nan")}, "from 0 up, below 1. Got nan."),
]


@pytest.mark.parametrize(("name", "options", "words"), OUT_OF_RANGE)
def test_options_out_of_range_are_refused_by_the_function_and_by_name(name, options, words):
    (key,) = options
    for call in (
        lambda: losses.LOSSES[name](*GOOD[name], **options),
        lambda: losses.loss(name, **options),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == f"`{name}` needs `{key}` {words}"


def test_soft_cross_entropy_refuses_targets_of_another_shape():
    with pytest.raises(ShapeError) as caught:
        losses.soft_cross_entropy(noise(4, 3), noise(4))
    assert str(caught.value) == (
        "`soft_cross_entropy` got targets of shape (4,), expected (4, 3): a share for each class, "
        "like the scores; or (4,) with class indices."
    )


def test_dice_refuses_a_class_per_picture():
    with pytest.raises(ShapeError) as caught:
        losses.dice(noise(4, 3), indices(4, high=3))
    assert str(caught.value) == (
        "`dice` got scores of shape (4, 3) and targets of shape (4,), expected (B, C, height, width) "
        "and (B, height, width): a class for each pixel. For a class per picture use `cross_entropy`."
    )


# --- row 41: batches ------------------------------------------------------------------------------


@pytest.mark.row(41)
def test_mean_over_equal_batches_is_the_loss_of_all_items():
    x, y = noise(64, 5).double(), torch.arange(64) % 5
    parts = [losses.cross_entropy(a, b) for a, b in zip(x.split(16), y.split(16), strict=True)]
    torch.testing.assert_close(torch.stack(parts).mean(), losses.cross_entropy(x, y))


@pytest.mark.row(41)
def test_smaller_last_batch_weighs_less():
    x, y = noise(50, 5).double(), torch.arange(50) % 5
    x[48:] *= 20  # the last batch of 2 is very wrong, so a plain mean over batches shows
    parts = [losses.cross_entropy(a, b) for a, b in zip(x.split(16), y.split(16), strict=True)]
    whole = losses.cross_entropy(x, y).item()
    assert weighted_mean(parts, [16, 16, 16, 2]) == pytest.approx(whole, rel=1e-12)
    assert abs(torch.stack(parts).mean().item() - whole) > 0.1
