"""Attention by hand beside torch's: shares, masks, heads, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from drivetrain.randomness import seeded
from drivetrain.reference import attention as twin
from tests.reference.arrays import assert_equal, normal, torchs_gradients


def visible(seed: int, *shape: int) -> np.ndarray:
    """A random mask in which each position sees itself."""
    mask = np.random.default_rng(seed).random(shape) < 0.5
    return mask | np.eye(shape[-2], shape[-1], dtype=bool)


@pytest.mark.parametrize("mask", [None, "random", "causal"])
def test_values_and_gradients_are_torchs(mask: str | None) -> None:
    q, k, v = normal(0, 2, 3, 5, 4), normal(1, 2, 3, 5, 4), normal(2, 2, 3, 5, 4)
    seen = {None: None, "random": visible(3, 2, 1, 5, 5), "causal": twin.causal(5)}[mask]
    pull = normal(4, 2, 3, 5, 4)

    def theirs(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=torch.from_numpy(seen) if mask == "random" else None,
            is_causal=mask == "causal",
        )  # fmt: skip

    output, gradients = torchs_gradients(theirs, (q, k, v), pull)
    assert_equal(twin.attention(q, k, v, seen), output)
    for found, wanted in zip(twin.attention_gradients(q, k, v, pull, seen), gradients, strict=True):
        assert_equal(found, wanted)


def test_fewer_may_ask_than_are_asked() -> None:
    q, k, v = normal(0, 2, 4), normal(1, 5, 4), normal(2, 5, 3)
    output, gradients = torchs_gradients(F.scaled_dot_product_attention, (q, k, v), normal(3, 2, 3))
    assert_equal(twin.attention(q, k, v), output)
    for found, wanted in zip(
        twin.attention_gradients(q, k, v, normal(3, 2, 3)), gradients, strict=True
    ):
        assert_equal(found, wanted)


def test_shares_add_up_and_nothing_is_taken_from_the_hidden() -> None:
    q, k, seen = normal(0, 3, 6, 4), normal(1, 3, 6, 4), visible(2, 3, 6, 6)
    shares = twin.shares(q, k, seen)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-12)
    assert not shares[~seen].any()
    v = normal(3, 3, 6, 4)
    changed = np.where(
        twin.causal(6).all(axis=0)[:, None], v, v + 100
    )  # all but the first position
    by_causal = twin.attention(q, k, v, twin.causal(6))
    assert np.array_equal(twin.attention(q, k, changed, twin.causal(6))[:, 0], by_causal[:, 0])


def test_known_answers() -> None:
    k, v = np.eye(2), np.array([[10.0], [20.0]])
    assert twin.attention(np.zeros((1, 2)), k, v).item() == 15  # asks nothing: the plain mean
    q = np.array(
        [[math.sqrt(2) * math.log(3), 0.0]]
    )  # one score is ln 3, the other 0: 3 parts to 1
    assert twin.shares(q, k)[0] == pytest.approx([0.75, 0.25], abs=1e-12)
    assert twin.attention(q, k, v).item() == pytest.approx(12.5, abs=1e-12)
    far = np.array([[1e4, 0.0]])  # no overflow
    assert twin.attention(far, k, v).item() == 10


def test_order_of_what_is_asked_does_not_matter() -> None:
    q, k, v = normal(0, 3, 4), normal(1, 5, 4), normal(2, 5, 4)
    order = np.random.default_rng(3).permutation(5)
    assert_equal(twin.attention(q, k[order], v[order]), twin.attention(q, k, v))


def test_the_division_by_the_root_keeps_the_spread_of_scores() -> None:
    for size in (4, 64, 1024):
        scores = normal(size, 200, size) @ normal(1, 200, size).T / math.sqrt(size)
        assert scores.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_heads_and_their_gradients_are_torchs(heads: int, masked: bool) -> None:
    with seeded(5, "attention"):
        theirs = nn.MultiheadAttention(8, heads, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_bias.copy_(torch.from_numpy(normal(1, 24)))
        theirs.out_proj.bias.copy_(torch.from_numpy(normal(2, 8)))
    names = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    named = dict(theirs.named_parameters())
    ours = twin.MultiHead(*(named[name].detach().numpy() for name in names), heads)
    x, pull = normal(3, 2, 5, 8), normal(4, 2, 5, 8)
    mask = visible(6, 5, 5) if masked else None
    tensor = torch.tensor(x, requires_grad=True)
    hidden = None if mask is None else torch.from_numpy(~mask)  # torch says what is not seen
    output, _ = theirs(tensor, tensor, tensor, attn_mask=hidden, need_weights=False)
    wanted = torch.autograd.grad(
        (output * torch.from_numpy(pull)).sum(), [tensor, *(named[name] for name in names)]
    )
    assert_equal(ours(x, mask), output)
    found = ours.gradients(x, pull, mask)
    for name, gradient in zip(("x", "w_in", "b_in", "w_out", "b_out"), wanted, strict=True):
        assert_equal(found[name], gradient)


def test_heads_split_and_join_again() -> None:
    x = normal(0, 2, 3, 8)
    assert np.array_equal(twin.joined(twin.split(x, 4)), x)
    assert twin.split(x, 4).shape == (2, 4, 3, 2)
    with pytest.raises(
        ValueError, match=r"^8 numbers cannot be shared out evenly among 3 heads\.$"
    ):
        twin.split(x, 3)


def test_a_position_that_may_look_at_nothing_is_refused() -> None:
    mask = np.array([[True, True], [False, False]])
    with pytest.raises(ValueError) as caught:
        twin.shares(normal(0, 2, 4), normal(1, 2, 4), mask)
    assert str(caught.value) == (
        "The mask leaves a position nothing to look at, and shares of nothing cannot add up to 1. "
        "Let each position see itself at least."
    )
