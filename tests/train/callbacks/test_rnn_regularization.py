"""AR and TAR: equal to the twin, in training only, and nothing is left behind."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.losses import cross_entropy
from drivetrain.models.document import create_document_classifier, document_description
from drivetrain.reference import recurrent as twin
from drivetrain.train import loop
from drivetrain.train.callbacks.rnn_regularization import RNNRegularization, mean_square
from tests.train.callbacks.cutting import fit_state, history, loaders, net, reading_net


class Losses(dt.Callback):
    """Keeps the loss as it is at this place, and the outputs it is made of."""

    adjusts = ("loss",)

    def __init__(self, outputs: bool = False) -> None:
        self.outputs = outputs
        self.losses: list[float] = []
        self.kept: list[tuple[Tensor, Tensor]] = []

    def after_loss(self, state: Any) -> None:
        self.losses.append(state.loss.item())
        if self.outputs:
            model = state.model
            self.kept.append((model.raw_output.detach(), model.dropped_output.detach()))


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 1.0), (0.0, 1.0), (2.0, 0.0), (0.5, 3.0)])
def test_the_loss_is_the_twins(alpha: float, beta: float) -> None:
    before, after = Losses(outputs=True), Losses()
    state = fit_state(before, RNNRegularization(alpha, beta=beta), after)
    loop.fit(state)
    assert len(before.losses) == 15
    for plain, more, (raw, dropped) in zip(before.losses, after.losses, before.kept, strict=True):
        added = twin.activation_regularization(dropped, alpha)
        added += twin.temporal_regularization(raw, beta)
        assert more == pytest.approx(plain + added.item(), rel=1e-5)
    assert not torch.equal(before.kept[0][0], before.kept[0][1])  # outputs were dropped
    for epoch, row in enumerate(history(state)):  # what is recorded is the loss itself
        plain = before.losses[5 * epoch : 5 * epoch + 5]
        assert row["train_loss"] == pytest.approx(sum(plain) / 5)


def test_with_weights_of_zero_it_changes_nothing_and_validation_never_has_it() -> None:
    states = [
        fit_state(*added, model=reading_net(), loaders=loaders(reading=True))
        for added in ((), (RNNRegularization(0.0, beta=0.0),))
    ]
    for state in states:
        loop.fit(state)
    assert history(states[0])[0]["valid_loss"] == history(states[1])[0]["valid_loss"]
    state = fit_state(RNNRegularization(50.0))
    loop.fit(state)
    plain = loop.evaluate(state.model, state.loaders.valid, state.loss_fn).loss
    assert history(state)[-1]["valid_loss"] == plain


def test_nothing_is_left_in_the_model() -> None:
    state = fit_state(RNNRegularization())
    loop.fit(state)
    model: Any = state.model
    assert (model.keeps_outputs, model.raw_output, model.dropped_output) == (False, None, None)
    copy.deepcopy(model)


def test_of_documents_only_real_positions_count() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens, lengths = (
        torch.randint(30, (8, 11), generator=generator),
        torch.tensor([11, 9, 5, 3] * 2),
    )
    description = document_description(
        "lstm", 30, 2, embedding_dim=8, hidden_dim=8, seq_len=4, max_len=8, drop_mult=0.0
    )
    found = []
    for noise in (0, 7):
        padded = tokens.clone()
        for row, length in enumerate(lengths.tolist()):
            padded[row, length:] = noise
        losses = Losses()
        state = fit_state(
            RNNRegularization(),
            losses,
            model=create_document_classifier(description, seed=0),
            loaders=dt.Loaders([(padded, lengths, torch.arange(8) % 2)]),
            epochs=1,
            metrics=(),
        )
        assert state.loss_fn is cross_entropy
        loop.fit(state)
        found.append(losses.losses)
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_the_mean_over_real_positions_is_that_of_the_rows_alone() -> None:
    values = torch.randn(3, 5, 4)
    real = torch.arange(5) < torch.tensor([[5], [2], [1]])
    alone = torch.cat([values[0], values[1, :2], values[2, :1]])
    torch.testing.assert_close(mean_square(values, real), alone.square().mean())
    torch.testing.assert_close(mean_square(values, None), values.square().mean())


def test_a_model_that_keeps_no_outputs_is_answered() -> None:
    with pytest.raises(ConfigError) as caught:
        loop.fit(fit_state(RNNRegularization(), model=net(), loaders=loaders()))
    assert str(caught.value) == (
        "`RNNRegularization` found no module with `keeps_outputs` in `Sequential`. Drivetrain's language "
        "models and document classifiers have it. Leave it out, or let your model keep `raw_output` and "
        "`dropped_output`, (B, T, E), while `keeps_outputs` is true."
    )
    assert isinstance(net(), nn.Sequential)


@pytest.mark.parametrize(("name", "value"), [("alpha", -1), ("beta", float("nan")), ("alpha", "2")])
def test_a_wrong_weight_is_answered(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        RNNRegularization(**{name: value})
    assert str(caught.value) == f"`RNNRegularization` needs `{name}` of at least 0. Got {value!r}."
