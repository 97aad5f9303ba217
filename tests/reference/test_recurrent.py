"""Recurrent nets by hand beside torch's: cells, layers, gradients that end where they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drivetrain.randomness import seeded
from drivetrain.reference import recurrent as twin


def layers_of(module: nn.RNNBase) -> list[twin.Weights]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [
        tuple(getattr(module, f"{name}_l{number}") for name in names)  # pyright: ignore[reportReturnType]
        for number in range(module.num_layers)
    ]


TORCHS: dict[str, Any] = {
    "rnn": nn.RNN,
    "rnn_relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


def example(kind: str, layers: int) -> tuple[nn.RNNBase, Tensor]:
    generator = torch.Generator().manual_seed(7)
    with seeded(7, "example"):
        module = TORCHS[kind](5, 6, layers, batch_first=True).double()
        if kind == "rnn_relu":  # else all ReLUs of a row may be off, and no gradient goes back
            with torch.no_grad():
                for layer in range(layers):
                    getattr(module, f"bias_hh_l{layer}").add_(1)
    return module, torch.randn(3, 9, 5, generator=generator, dtype=torch.float64)


@pytest.mark.row(145)
@pytest.mark.row(147)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", TORCHS)
def test_cells_and_layers_by_hand_equal_torchs(kind: str, layers: int) -> None:
    module, x = example(kind, layers)
    outputs, end = module(x)
    by_hand, ends = twin.unrolled(kind, x, layers_of(module))
    torch.testing.assert_close(by_hand, outputs, atol=1e-12, rtol=0)
    for part, whole in enumerate(end if isinstance(end, tuple) else (end,)):
        found = torch.stack([state[part] for state in ends])
        torch.testing.assert_close(found, whole, atol=1e-12, rtol=0)
    gradients = [
        torch.autograd.grad(y.square().sum(), list(module.parameters())) for y in (outputs, by_hand)
    ]
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-10, rtol=0)


@pytest.mark.row(147)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gates_by_hand_equal_torchs_in_float32(kind: str) -> None:
    with seeded(5, "example"):
        torch_module = TORCHS[kind](64, 64, batch_first=True)
    x = torch.randn(8, 16, 64, generator=torch.Generator().manual_seed(0))
    by_hand, _ = twin.unrolled(kind, x, layers_of(torch_module))
    torch.testing.assert_close(by_hand, torch_module(x)[0], atol=5e-7, rtol=0)


@pytest.mark.row(143)
def test_three_words_written_out_are_the_loop_with_one_matrix() -> None:
    generator = torch.Generator().manual_seed(1)
    with seeded(1, "example"):
        mix = nn.Linear(8, 8)
    vectors = torch.randn(5, 3, 8, generator=generator)
    out, loop = (f(vectors, mix.weight, mix.bias) for f in (twin.three_words, twin.any_words))
    torch.testing.assert_close(out, loop, atol=1e-6, rtol=0)
    # One Parameter: each step adds its own gradient to the same matrix.
    (whole,) = torch.autograd.grad(out.sum(), mix.weight)
    copies = [mix.weight.detach().clone().requires_grad_() for _ in range(3)]
    h = torch.zeros(5, 8)
    for step, weight in enumerate(copies):
        h = ((h + vectors[:, step]) @ weight.T + mix.bias).relu()
    parts = torch.autograd.grad(h.sum(), copies)
    assert all(bool(part.any()) for part in parts)
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.row(143)
def test_the_shared_matrix_is_torchs_net_with_the_same_matrix_for_words_and_for_what_was() -> None:
    """W (h + e) + b = W e + b + W h: the gradient of W is that of both of torch's, added."""
    generator = torch.Generator().manual_seed(3)
    with seeded(3, "example"):
        mix = nn.Linear(8, 8).double()
        torchs = nn.RNN(8, 8, nonlinearity="relu", batch_first=True).double()
    vectors = torch.randn(5, 3, 8, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        mix.weight.copy_(torch.randn(8, 8, generator=generator) / 2)
        mix.bias.copy_(torch.randn(8, generator=generator))
        for name, value in (
            ("weight_ih_l0", mix.weight), ("weight_hh_l0", mix.weight), ("bias_ih_l0", mix.bias),
            ("bias_hh_l0", torch.zeros(8)),
        ):  # fmt: skip
            getattr(torchs, name).copy_(value)
    outputs, _ = torchs(vectors)
    found = twin.three_words(vectors, mix.weight, mix.bias)
    torch.testing.assert_close(found, outputs[:, -1], atol=1e-10, rtol=0)
    of_w, of_b = torch.autograd.grad(found.square().sum(), [mix.weight, mix.bias])
    of_ih, of_hh, of_bias, _ = torch.autograd.grad(
        outputs[:, -1].square().sum(), list(torchs.parameters())
    )
    torch.testing.assert_close(of_w, of_ih + of_hh, atol=1e-10, rtol=0)
    torch.testing.assert_close(of_b, of_bias, atol=1e-10, rtol=0)


@pytest.mark.row(144)
@pytest.mark.parametrize("kind", TORCHS)
def test_detach_changes_no_value_and_ends_the_gradient(kind: str) -> None:
    steps = 4
    module, x = example(kind, 1)
    x.requires_grad_()
    (weights,) = layers_of(module)
    whole, _ = twin.unrolled(kind, x, [weights])
    cut = twin.truncated(kind, x, weights, steps)
    assert torch.equal(cut, whole)
    for t in range(x.shape[1]):
        (gradient,) = torch.autograd.grad(cut[:, t].sum(), x, retain_graph=True)
        began = t - t % steps
        assert torch.count_nonzero(gradient[:, :began]) == 0  # exactly 0 before the cut
        assert torch.count_nonzero(gradient[:, t + 1 :]) == 0
        assert bool(gradient[:, began : t + 1].any(dim=2).all())
        (full,) = torch.autograd.grad(whole[:, t].sum(), x, retain_graph=True)
        assert bool(full[:, 0].any())


@pytest.mark.row(146)
def test_fifty_products_explode_vanish_or_stay() -> None:
    assert bool(twin.repeated_product(1.0).isnan().any())
    assert torch.count_nonzero(twin.repeated_product(0.01)) == 0
    spreads = [twin.repeated_product(0.1, seed=seed).std().item() for seed in range(10)]
    assert 0.7 < sum(spreads) / 10 < 1.4
    assert all(0.4 < spread < 2.5 for spread in spreads)


@pytest.mark.row(146)
def test_the_spacing_of_floats_grows_with_them() -> None:
    table = twin.float_spacing((1.0, 1e4, 1e8))
    for value, gap in table:
        number = torch.tensor(value)
        assert torch.nextafter(number, torch.tensor(torch.inf)) - number == gap
        assert number + gap / 4 == number  # less than half of it is lost
    assert [gap for _, gap in table] == [2.0**-23, 2.0**-10, 8.0]


def test_regularization_by_hand_on_a_known_answer() -> None:
    raw = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]]])
    assert twin.activation_regularization(raw, 2.0).item() == pytest.approx(2 * 21 / 6)
    assert twin.temporal_regularization(raw, 3.0).item() == pytest.approx(3 * 5 / 4)


def test_a_stream_by_hand() -> None:
    batches = twin.stream_batches([[0, 1, 2], [3, 4, 5, 6]], 2, 2)
    assert batches == [([[0, 1], [3, 4]], [[1, 2], [4, 5]]), ([[2], [5]], [[3], [6]])]
