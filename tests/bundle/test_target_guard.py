"""The guard of several targets: each part is the guard of its target alone; no file is trusted."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from drivetrain.bundle.guard import fit_guard
from drivetrain.bundle.target_guard import TargetsGuard, fit_targets_guard
from drivetrain.errors import BundleError, ShapeError

pytestmark = pytest.mark.row(118)

NAMES, SIZES = ("disease", "variety"), (2, 3)


def made(count: int = 60) -> tuple[TargetsGuard, dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    targets = torch.stack([torch.arange(count) % 2, torch.arange(count) // 2 % 3], dim=1)
    features = torch.randn(count, 5, generator=draw) + targets.sum(dim=1, keepdim=True)
    logits = torch.randn(count, 5, generator=draw)
    logits[:, :2] += 2 * torch.eye(2)[targets[:, 0]]
    logits[:, 2:] += torch.eye(3)[targets[:, 1]]
    data = {"logits": logits, "targets": targets, "features": features}
    known = {"train_features": features.flip(0), "train_targets": targets.flip(0)}
    return fit_targets_guard(**data, names=NAMES, sizes=SIZES, **known), data | known


def test_each_target_is_judged_as_by_a_guard_of_its_own() -> None:
    guard, data = made()
    judged = guard.judge(data["logits"], data["features"])
    start = 0
    for place, size in enumerate(SIZES):
        span = slice(start, start + size)
        alone = fit_guard(
            data["logits"][:, span],
            data["targets"][:, place],
            data["features"],
            train_features=data["train_features"],
            train_targets=data["train_targets"][:, 0],
        )
        own = alone.judge(data["logits"][:, span], data["features"])
        assert torch.equal(judged.probs[:, span], own.probs)
        assert torch.equal(judged.sets[:, span], own.sets)
        assert torch.equal(judged.domain_score, own.domain_score)
        assert torch.equal(judged.in_domain, own.in_domain)
        start += size
    hits = judged.sets[:, 2:].gather(1, data["targets"][:, 1:]).double().mean()
    assert float(hits) >= guard.coverage
    assert "those of all 2 at once in 80% or more." in guard.text


def test_it_comes_back_from_its_parts_to_the_last_bit() -> None:
    guard, data = made()
    again = TargetsGuard.from_parts(guard.to_json(), guard.tensors(), NAMES, SIZES)
    for own, other in zip(
        vars(guard.judge(data["logits"], data["features"])).values(),
        vars(again.judge(data["logits"], data["features"])).values(),
        strict=True,
    ):
        assert torch.equal(own, other)
    assert guard.shift(data["features"]) == again.shift(data["features"])
    assert again.to_json() == guard.to_json()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda json: json["targets"].pop(), "is of 1 targets, and the bundle is of 2"),
        (lambda json: json["targets"].reverse(), "as `name`, expected one of disease"),
        (lambda json: json["targets"][1].update(more=1), "has the unknown entry 'more'"),
        (lambda json: json.update(format=2), "has 2 as `format`"),
        (lambda json: json["targets"][0]["temperature"].update(value=0), "has 0 as `value`"),
        (lambda json: json.update(targets={}), "has {} as `targets`"),
    ],
)
def test_what_is_not_a_guard_of_these_targets_is_refused(change: Any, why: str) -> None:
    guard, _ = made()
    json = copy.deepcopy(guard.to_json())
    change(json)
    with pytest.raises(BundleError) as caught:
        TargetsGuard.from_parts(json, guard.tensors(), NAMES, SIZES)
    assert why in str(caught.value)
    with pytest.raises(BundleError, match="stands beside the unknown tensor 'x'"):
        TargetsGuard.from_parts(
            guard.to_json(), guard.tensors() | {"x": torch.zeros(1)}, NAMES, SIZES
        )


def test_scores_of_another_width_are_refused() -> None:
    guard, data = made()
    with pytest.raises(ShapeError, match=r"expected \(items, 5\) floats"):
        guard.judge(data["logits"][:, :3], data["features"])
    with pytest.raises(ShapeError, match=r"expected \(60, 2\) and \(60, any\)"):
        fit_targets_guard(
            data["logits"],
            data["targets"][:, :1],
            data["features"],
            names=NAMES,
            sizes=SIZES,
            train_features=data["train_features"],
            train_targets=data["train_targets"],
        )
