"""The rows for unknown are filled before each validation, and models without them train as before."""

from __future__ import annotations

import torch
from torch import nn

from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.models.factorization import create_factorization
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks.unknown_rows import UnknownRows
from drivetrain.train.learner import Learner
from drivetrain.train.state import FitState


class Seen(Callback):
    """Keeps the unknown user's row as the validation saw it."""

    def __init__(self) -> None:
        self.rows: list[torch.Tensor] = []

    def after_validate(self, state: FitState) -> None:
        self.rows.append(state.model.get_parameter("user_factors.weight")[0].detach().clone())


def test_what_is_validated_knows_the_mean_user() -> None:
    draw = torch.Generator().manual_seed(0)
    pairs = torch.randint(1, 6, (200, 2), generator=draw)
    targets = torch.rand(200, generator=draw)
    description = {"kind": "dot", "num_users": 6, "num_items": 6, "num_factors": 2, "bias": True}
    model = create_factorization({**description, "y_range": None}, seed=1)
    model.count(pairs)
    loader = BatchLoader(TensorData(pairs, targets), batch_size=32, shuffle=True)
    seen = Seen()
    learner = Learner(
        model, Loaders(loader, loader), "mse", callbacks=[UnknownRows(), seen], progress=False
    )
    learner.fit(2)
    shares = model.user_counts / model.user_counts.sum()
    assert len(seen.rows) == 2
    torch.testing.assert_close(seen.rows[-1], shares @ model.user_factors.weight.detach())
    assert not torch.equal(seen.rows[0], seen.rows[1])


def test_a_model_without_such_rows_trains_to_the_same_bits() -> None:
    x = torch.linspace(-1, 1, 40).view(20, 2)
    loader = BatchLoader(TensorData(x, x.sum(1, keepdim=True)), batch_size=5)
    states = []
    for callbacks in ([], [UnknownRows()]):
        learner = Learner(
            lambda: nn.Linear(2, 1),
            Loaders(loader, loader),
            "mse",
            callbacks=callbacks,
            progress=False,
        )
        learner.fit(2)
        states.append(learner.model.state_dict())
    for one, two in zip(*(state.values() for state in states), strict=True):
        assert torch.equal(one, two)
