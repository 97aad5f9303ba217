"""Models of ratings: what they compute, how they begin, what an unknown user or item gets."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from drivetrain.errors import ConfigError
from drivetrain.models.factorization import (
    DotProduct,
    RatingNet,
    create_factorization,
    factorization_shapes,
)

DOT: dict[str, Any] = {
    "kind": "dot", "num_users": 6, "num_items": 5, "num_factors": 3, "bias": True, "y_range": [0.0, 5.5],
}  # fmt: skip
NET: dict[str, Any] = {
    "kind": "net", "num_users": 6, "num_items": 5, "user_dim": 3, "item_dim": 2, "layers": [8, 4],
    "batch_norm": True, "dropout": 0.0, "y_range": None,
}  # fmt: skip


def numbered(model: nn.Module) -> nn.Module:
    """With weights that are all different."""
    with torch.no_grad():
        for place, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(-1, 1 + place, parameter.numel()).view_as(parameter))
    return model


@pytest.mark.row(123)
@pytest.mark.parametrize("codes", [torch.int32, torch.int64])
def test_a_prediction_is_the_dot_product_with_both_biases_in_the_range(codes: torch.dtype) -> None:
    model = DotProduct(6, 5, 3, y_range=(0, 5.5))
    numbered(model)
    pairs = torch.tensor([[1, 2], [5, 4], [0, 0]], dtype=codes)
    for (user, item), found in zip(pairs.tolist(), model(pairs), strict=True):
        score = model.user_factors.weight[user] @ model.item_factors.weight[item]
        score = score + model.user_bias.weight[user, 0] + model.item_bias.weight[item, 0]
        torch.testing.assert_close(found, torch.sigmoid(score) * 5.5)


@given(st.floats(-1e4, 1e4), st.floats(0.5, 10))
@settings(max_examples=30, deadline=None)
@pytest.mark.row(123)
def test_no_prediction_leaves_the_range(size: float, width: float) -> None:
    model = DotProduct(3, 3, 2, y_range=(1.0, 1.0 + width))
    with torch.no_grad():
        model.user_factors.weight.fill_(size)
        model.item_factors.weight.fill_(1.0)
    found = model(torch.tensor([[1, 1], [2, 1]])).detach().numpy()
    # A float32 beside an end may be the number nearest to it, on either side.
    low = np.nextafter(np.float32(1.0), np.float32(-np.inf))
    high = np.nextafter(np.float32(1.0 + width), np.float32(np.inf))
    assert ((found >= low) & (found <= high)).all()


@pytest.mark.row(131)
def test_the_net_reads_both_vectors_side_by_side() -> None:
    model = create_factorization({**NET, "batch_norm": False})
    assert isinstance(model, RatingNet)
    numbered(model)
    pairs = torch.tensor([[1, 2], [4, 3]])
    vectors = torch.cat([model.user_factors.weight[[1, 4]], model.item_factors.weight[[2, 3]]], 1)
    hidden = vectors
    for layer in (model.hidden[0], model.hidden[2]):
        hidden = torch.relu(layer(hidden))
    torch.testing.assert_close(model(pairs), model.head(hidden)[:, 0])


@pytest.mark.parametrize("description", [DOT, {**DOT, "bias": False}, NET])
def test_a_model_begins_small_and_the_same_from_the_same_seed(description: dict[str, Any]) -> None:
    first, second, other = (create_factorization(description, seed=s) for s in (1, 1, 2))
    for (name, one), two in zip(
        first.state_dict().items(), second.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name
    assert not torch.equal(first.user_factors.weight, other.user_factors.weight)
    assert first.user_factors.weight.abs().max() <= 0.02
    assert not first.user_factors.weight[0].any()
    shapes = {name: (t.dtype, tuple(t.shape)) for name, t in first.state_dict().items()}
    assert factorization_shapes(description) == shapes


@pytest.mark.parametrize("description", [DOT, NET])
def test_the_row_for_unknown_becomes_the_mean_by_how_often_each_was_rated(
    description: dict[str, Any],
) -> None:
    model = create_factorization(description, seed=1)
    numbered(model)
    pairs = torch.tensor([[1, 1], [1, 2], [2, 1], [5, 4], [0, 4]], dtype=torch.int32)
    model.count(pairs)
    assert model.user_counts.tolist() == [0, 2, 1, 0, 0, 1]
    before = {name: t.clone() for name, t in model.state_dict().items()}
    model.fill_unknown()
    after = model.state_dict()
    known = pairs[:, 0][pairs[:, 0] > 0].long()
    expected = before["user_factors.weight"][known].mean(0)
    torch.testing.assert_close(after["user_factors.weight"][0], expected)
    for name, tensor in after.items():
        if name.endswith(("factors.weight", "bias.weight")) and name[:4] in ("user", "item"):
            assert torch.equal(tensor[1:], before[name][1:]), name
        else:
            assert torch.equal(tensor, before[name]), name


def test_without_ratings_the_row_for_unknown_is_zero() -> None:
    model = create_factorization(DOT, seed=1)
    model.fill_unknown()
    assert not model.user_factors.weight[0].any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "svd"}, "A model of ratings is of the kind 'dot' or 'net'. Got svd."),
        ({"num_users": 0}, "A model of ratings got num_users 0, expected 1 to 2,147,483,648."),
        (
            {"num_users": True},
            "A model of ratings got num_users True, expected 1 to 2,147,483,648.",
        ),
        (
            {"num_factors": 10**9},
            "A model of ratings got num_factors 1000000000, expected 1 to 65,536.",
        ),
        ({"bias": 1}, "A model of ratings got bias 1, expected true or false."),
        ({"y_range": [5, 1]}, "A model of ratings got y_range [5, 1], expected (low, high)."),
        (
            {"y_range": [0, float("inf")]},
            "A model of ratings got y_range [0, inf], expected (low, high).",
        ),
        (
            {"more": 1},
            "The description of a model of ratings, kind 'dot', needs the entries num_users, num_items, "
            "num_factors, bias, y_range.",
        ),
    ],
)
def test_a_description_that_is_none_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        create_factorization({**DOT, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": []}, "A model of ratings got layers [], expected widths of at least one."),
        ({"layers": "ab"}, "A model of ratings got layers ab, expected widths of at least one."),
        ({"dropout": 1}, "A model of ratings got dropout 1, expected 0 to below 1."),
    ],
)
def test_a_net_that_is_none_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        create_factorization({**NET, **change})
