"""The domain flag: its rate of false alarms, what it sees, and features that are awkward."""

from __future__ import annotations

import csv
from math import inf

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from drivetrain.bundle.domain import (
    CANDIDATES,
    COMPONENTS,
    REFERENCES,
    bounds_without_each,
    coordinates,
    fit_domain,
    group_means,
    main_directions,
    whitening_within,
)
from drivetrain.errors import ConfigError, InputError, ShapeError
from drivetrain.randomness import seeded
from tests.bundle.digits import foreign, parts, through


def blobs(n, seed, features=12, classes=3):
    r = np.random.default_rng(seed)
    targets = r.integers(classes, size=n)
    centres = 4 * np.random.default_rng(1).normal(size=(classes, features))
    rows = centres[targets] + r.normal(size=(n, features)) * np.linspace(0.1, 2, features)
    return torch.tensor(rows), torch.tensor(targets)


@pytest.mark.parametrize(("n", "rate"), [(39, 0.05), (39, 0.2), (300, 0.05)])
def test_the_rate_of_false_alarms_holds_over_many_fits(n, rate):
    """Also for few items, although the two bounds come from the items that the threshold comes from."""
    train, targets = blobs(150, 0)
    found = []
    for seed in range(1, 120):
        rows, _ = blobs(n + 200, seed)
        domain = fit_domain(rows[:n], train_features=train, train_targets=targets, false_alarm=rate)
        found.append(float((~domain.is_inside(domain.score(rows[n:]))).double().mean()))
    assert np.mean(found) == pytest.approx(rate, abs=0.01)


@pytest.mark.row(18)
@pytest.mark.parametrize("seed", [0, 1])
def test_letters_and_noise_are_flagged_and_digits_are_not(seed):
    net, train, valid, test = parts(seed)
    domain = fit_domain(
        valid.features, train_features=train.features, train_targets=train.targets, false_alarm=0.05
    )
    flagged = 1 - float(domain.is_inside(domain.score(test.features)).double().mean())
    assert flagged == pytest.approx(0.05, abs=0.02)
    for kind, pictures in foreign(seed).items():
        score = domain.score(through(net, pictures).features)
        assert float((~domain.is_inside(score)).double().mean()) > 0.8, kind


@pytest.mark.row(18)
def test_rows_of_another_table_are_flagged(shared_data):
    """A net on numbers of census rows, shown hours of bicycle hire in the same six columns."""
    census = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
    hire = ("temp", "cnt", "hum", "windspeed", "casual", "registered")
    with open(shared_data("adult") / "adult.csv", newline="") as file:
        rows = [next(reader) for reader in [csv.DictReader(file)] for _ in range(8_000)]
    with open(shared_data("bike_sharing") / "hour.csv", newline="") as file:
        others = list(csv.DictReader(file))[::20]
    x = torch.tensor([[float(row[name]) for name in census] for row in rows])
    y = torch.tensor([row["salary"].strip() == ">50K" for row in rows]).long()
    z = torch.tensor([[float(row[name]) for name in hire] for row in others])
    mean, std = x[:4_000].mean(dim=0), x[:4_000].std(dim=0)
    with seeded(0, "census"):
        body = nn.Sequential(
            *(nn.Linear(6, 32), nn.ReLU(), nn.BatchNorm1d(32)),
            *(nn.Linear(32, 32), nn.ReLU(), nn.BatchNorm1d(32)),
        )
        head = nn.Linear(32, 2)
        optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=5e-3)
        for _ in range(3):
            for batch in torch.randperm(4_000).split(200):
                loss = F.cross_entropy(head(body((x[batch] - mean) / std)), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    body.eval()
    with torch.no_grad():
        known, new = body((x - mean) / std), body((z - mean) / std)
    domain = fit_domain(known[4_000:6_000], train_features=known[:4_000], train_targets=y[:4_000])
    flagged = ~domain.is_inside(domain.score(known[6_000:]))
    assert float(flagged.double().mean()) == pytest.approx(0.05, abs=0.02)
    assert float((~domain.is_inside(domain.score(new))).double().mean()) > 0.8


def test_each_of_the_two_distances_sees_what_the_other_does_not():
    r = np.random.default_rng(0)
    train, valid = (torch.tensor(np.abs(r.normal(size=(n, 6)) + 5)) for n in (300, 200))
    domain = fit_domain(valid, train_features=train)
    direction, whitened = domain.bounds
    turned = torch.tensor([[5.0, 5, 5, 5, 0, 0]])
    turned, far = turned.double(), 3 * train[:1]
    assert domain._distances(turned)[0, 0] > 2 * direction
    assert domain._distances(far)[0, 0] < direction
    assert domain._distances(far)[0, 1] > 2 * whitened
    assert domain.score(train[:1]) < 0.01 < 1 < domain.score(far)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 20, 41])
def test_bounds_without_each(n):
    values = np.exp(np.random.default_rng(n).normal(size=n)).round(1) + 0.1
    for share in (0.5, 0.9, 0.95):
        bound, without = bounds_without_each(torch.tensor(values), share)
        assert bound == pytest.approx(np.quantile(values, share))
        others = [np.delete(values, i) if n > 1 else values for i in range(n)]
        expected = [np.quantile(rest, share) for rest in others]
        assert without.tolist() == pytest.approx(expected)


def test_without_training_items_half_of_the_others_takes_their_place():
    rows, _ = blobs(400, 0)
    domain = fit_domain(rows)
    assert len(domain.references) == 200 and domain.num_items == 200
    new, _ = blobs(2_000, 1)
    flagged = 1 - float(domain.is_inside(domain.score(new)).double().mean())
    assert flagged == pytest.approx(0.05, abs=0.04)  # 3 standard deviations of 200 items' rank
    assert not bool(domain.is_inside(domain.score(new + 20)).any())


def test_too_few_items_flag_nothing_and_say_so():
    train, _ = blobs(50, 0)
    domain = fit_domain(blobs(18, 1)[0], train_features=train)
    assert domain.threshold == inf and not domain.is_enough
    assert bool(domain.is_inside(domain.score(1e6 + train)).all())
    assert str(domain) == (
        "No input is flagged as foreign: 18 validation items are too few for 5% false alarms; "
        "it takes 19."
    )
    assert fit_domain(blobs(19, 1)[0], train_features=train).is_enough


@pytest.mark.parametrize(
    "train",
    [
        torch.zeros(5, 4),
        torch.ones(5, 4),
        torch.eye(4)[:2].repeat(3, 1),
        torch.cat(
            [torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(40, 5)], 1
        ),
        1e-20 * torch.eye(4),
        1e15 * torch.eye(4),
    ],
    ids=["zeros", "all equal", "two rows", "dead features", "tiny", "huge"],
)
def test_awkward_features_give_finite_scores(train):
    domain = fit_domain(train.repeat(8, 1)[:40] * 1.01, train_features=train)
    new = torch.cat([train, torch.zeros_like(train[:1]), 3 + 2 * train])
    score = domain.score(new)
    assert bool(score.isfinite().all())
    assert bool(domain.is_inside(domain.score(train)).all())


def test_activity_in_features_that_were_always_0_is_foreign():
    r = np.random.default_rng(0)
    known = torch.tensor(np.concatenate([np.abs(r.normal(size=(400, 6))), np.zeros((400, 4))], 1))
    domain = fit_domain(known[:200], train_features=known[200:])
    assert not bool(domain.is_inside(domain.score(known[:50] + torch.eye(10)[9])).any())


def test_more_features_than_items_and_than_components():
    r = np.random.default_rng(0)
    for m in (40, 500):
        train, valid = (torch.tensor(np.abs(r.normal(size=(n, 600)))) for n in (m, 100))
        domain = fit_domain(valid, train_features=train)
        assert domain.basis.shape == (600, min(m, COMPONENTS))
        basis = domain.basis.double()
        torch.testing.assert_close(
            basis.T @ basis, torch.eye(basis.shape[1], dtype=torch.float64), atol=1e-5, rtol=0
        )
        kept = coordinates(valid, basis)
        torch.testing.assert_close(kept.norm(dim=1), valid.norm(dim=1), rtol=1e-5, atol=0)
        assert bool((domain.score(-valid) > domain.threshold).all())


def test_many_items_are_drawn_down():
    train = torch.randn(CANDIDATES + 500, 3, generator=torch.Generator().manual_seed(0))
    domain = fit_domain(train[:100] + 0.01, train_features=train)
    assert domain.references.shape == (REFERENCES, 4)
    again = fit_domain(train[:100] + 0.01, train_features=train)
    assert domain.references.equal(again.references) and domain.threshold == again.threshold


def test_whitening_makes_the_spread_within_classes_even():
    rows, targets = blobs(20_000, 0)
    white = rows @ whitening_within(rows, targets)
    for c in range(3):
        covariance = torch.cov(white[targets == c].T)
        torch.testing.assert_close(
            covariance[1:, 1:], torch.eye(11, dtype=torch.float64), atol=0.1, rtol=0
        )
        assert 0.6 < covariance[0, 0] < 1  # the smallest variance is what shrinking adds most to


def test_shrinkage_beside_scikit_learn():
    from sklearn.covariance import ledoit_wolf

    rows = torch.tensor(np.random.default_rng(0).normal(size=(30, 8)) * np.arange(1, 9))
    expected, _ = ledoit_wolf(rows.numpy())
    found = whitening_within(rows, torch.zeros(30, dtype=torch.int64))
    torch.testing.assert_close(torch.linalg.inv(found @ found), torch.tensor(expected))


def test_main_directions_are_those_of_the_singular_values():
    rows = torch.tensor(np.random.default_rng(0).normal(size=(30, 8)) * np.arange(1, 9))
    _, _, expected = torch.linalg.svd(rows, full_matrices=False)
    for part in (rows, rows[:6]):
        _, _, expected = torch.linalg.svd(part, full_matrices=False)
        found = main_directions(part, 3)
        torch.testing.assert_close((expected[:3] @ found).abs(), torch.eye(3, dtype=torch.float64))


def test_a_score_does_not_depend_on_the_batch():
    train, targets = blobs(100, 0)
    domain = fit_domain(blobs(50, 1)[0], train_features=train, train_targets=targets)
    new, _ = blobs(30, 2)
    alone = torch.cat([domain.score(row[None]) for row in new])
    torch.testing.assert_close(domain.score(new), alone)
    assert domain.score(new[:0]).shape == (0,)


def test_refusals():
    rows, targets = blobs(30, 0)
    domain = fit_domain(rows, train_features=rows)
    with pytest.raises(ShapeError, match=r"`score` got features of shape \(30, 5\)"):
        domain.score(rows[:, :5])
    with pytest.raises(InputError, match="with NaN, infinity or more than"):
        domain.score(rows / 0)
    with pytest.raises(ShapeError, match="got 1 training and 0 validation items, expected 2 and 1"):
        fit_domain(rows[:1])
    with pytest.raises(ShapeError, match=r"got targets of shape \(29,\)"):
        fit_domain(rows, train_features=rows, train_targets=targets[:29])
    with pytest.raises(InputError, match=r"got targets from -1 to 2"):
        fit_domain(
            rows, train_features=rows, train_targets=targets.index_fill(0, targets[:1] * 0, -1)
        )
    with pytest.raises(ConfigError, match="got false_alarm 2, expected a share"):
        fit_domain(rows, false_alarm=2)


# --- means of groups in the place of items ----------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "most", "least"), [(400, 300, 5), (60, 8, 5), (23, 300, 5), (3, 9, 5)]
)
def test_each_mean_is_of_as_many_items_as_it_must_be(count, most, least):
    rows, _ = blobs(count, 0)
    marked = torch.cat([rows, torch.eye(count, dtype=rows.dtype)], dim=1)  # tells who is in a mean
    means = group_means(marked, rows, most=most, least=least, seed=1)
    members = means[:, rows.shape[1] :] > 0
    assert members.sum(dim=0).tolist() == [1] * count, "every item is in one group"
    assert int(members.sum(dim=1).min()) >= min(least, count)
    assert 1 <= len(means) <= most
    for mean, member in zip(means, members, strict=True):
        torch.testing.assert_close(mean[: rows.shape[1]], rows[member].mean(dim=0))


def test_items_that_are_all_equal_are_one_group():
    rows = torch.ones(40, 3, dtype=torch.float64)
    assert group_means(rows, rows, most=9, least=5, seed=0).unique(dim=0).tolist() == [[1, 1, 1]]


def test_with_groups_no_item_is_kept_and_the_rate_of_false_alarms_holds():
    train, _ = blobs(600, 0)
    flagged = []
    for seed in range(20):
        features, _ = blobs(119, 10 + seed)
        domain = fit_domain(features, train_features=train, group=5, false_alarm=0.1)
        kept = coordinates(train, domain.basis.double()).float()
        assert float(torch.cdist(domain.references, kept).min()) > 1e-3
        assert len(domain.references) <= 60
        new, _ = blobs(400, 500 + seed)
        flagged.append(float((~domain.is_inside(domain.score(new))).double().mean()))
        far = new + torch.tensor([6.0, -6.0] * 6)
        assert float((~domain.is_inside(domain.score(far))).double().mean()) > 0.9
    assert 0.07 < np.mean(flagged) < 0.11
