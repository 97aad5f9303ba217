"""Bayesian personalised ranking (BPR): what a user had to do with shall score above what not.

An event says nothing of how much, and the absence of one may mean anything. So no score is fitted to
a number: for each event (user, item) an item is drawn that the user had nothing to do with, and the
loss is -log σ(d), d the difference of the two scores. That is the cross-entropy of the question whether
the first is preferred, whose answer is yes: `losses.binary_cross_entropy_with_logits` with targets of
one. The share of triples with d > 0, the metric `accuracy`, estimates the area under the ROC curve of
each event's user.

Paper: Rendle, Freudenthaler, Gantner & Schmidt-Thieme 2009, arXiv:1205.2618. Differs: each event comes
once an epoch instead of by chance, and a batch of triples makes one step of whatever optimizer the
Learner has.
Twin: drivetrain.reference.factorization.

    >>> model = PairwiseScore(3, 5, 4)
    >>> model(torch.tensor([[1, 2, 4], [2, 1, 3]])).shape
    torch.Size([2])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log2

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain.collab.implicit.unseen import Unseen, sorted_pairs
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.data.ratings import RatingTable
from drivetrain.errors import DataError, ShapeError
from drivetrain.models.factorization import DotProduct
from drivetrain.randomness import derive, seeded

FACTORS = 64
LOSS = "binary_cross_entropy_with_logits"
BATCH_SIZE = 1024
STEPS = 48
"""About as many steps an epoch has where no batch size is given."""
EPOCHS = 30
LR = 2e-2
WEIGHT_DECAY = 0.4
"""These three for a one-cycle fit by AdamW. Decay is what keeps vectors from learning the events by
heart; it is the same each step, so it goes with `STEPS`."""


class PairwiseScore(nn.Module):
    """How much higher a user's score of one item is than that of another.

    `scores` is the model that is wanted in the end: a dot product and a bias an item. A bias of the
    user is in both scores alike and falls out, so it stays at zero and is not trained.

    Args:
        num_users, num_items: rows of the tables, the one for unknown counted.
        num_factors: numbers in a vector.
    """

    def __init__(self, num_users: int, num_items: int, num_factors: int = FACTORS) -> None:
        super().__init__()
        self.scores = DotProduct(num_users, num_items, num_factors)
        # a user's bias is in both scores alike, and falls out
        nn.init.zeros_(self.scores.user_bias.weight).requires_grad_(False)

    def forward(self, triples: Tensor) -> Tensor:
        """Differences of scores.

        Args:
            triples: (B, 3) int32 or int64, a user, an item, and the item to compare it with.

        Returns: (B,) float32.
        """
        users, items, others = triples.unbind(1)
        factors, biases = self.scores.item_factors, self.scores.item_bias
        apart = factors(items) - factors(others)  # (B, K)
        differences = (self.scores.user_factors(users) * apart).sum(1)
        return differences + (biases(items) - biases(others)).squeeze(1)

    def count(self, pairs: Tensor) -> None:
        """As `DotProduct.count`."""
        self.scores.count(pairs)

    def fill_unknown(self) -> None:
        """As `DotProduct.fill_unknown`."""
        self.scores.fill_unknown()


class PairwiseLoader(BatchLoader):
    """Batches (triples (B, 3) int32, ones (B,) float32) of events, each with an item not seen.

    What is drawn is a function of (seed, epoch), whichever batch it stands in; so an epoch can begin at
    any batch. Without `shuffle` it is the same each epoch, as it has to be for validation. Events of
    unknown users or items are left out, and those of a user who has seen every item.

    Args:
        table: events.
        batch_size: events a batch, at least 1.
        shuffle: a new order and new draws each epoch.
        seed: of both.
        also_seen: events of the same users that are not to be drawn against either, such as those of
            training in validation.

    Raises: ConfigError: `batch_size` is below 1. DataError: no event is left. ShapeError: the tables
        have other numbers of users or items.
    """

    def __init__(
        self,
        table: RatingTable,
        *,
        batch_size: int = BATCH_SIZE,
        shuffle: bool = False,
        seed: int = 42,
        also_seen: RatingTable | None = None,
    ) -> None:
        seen = table.users, table.items
        if also_seen is not None:
            sizes = table.num_users, table.num_items
            others = also_seen.num_users, also_seen.num_items
            if sizes != others:
                raise ShapeError(
                    "`PairwiseLoader` needs tables of the same users and items. Got "
                    f"{sizes[0]} and {others[0]} users, {sizes[1]} and {others[1]} items."
                )
            seen = (
                np.concatenate([table.users, also_seen.users]),
                np.concatenate([table.items, also_seen.items]),
            )
        self.unseen = Unseen(*seen, table.num_users, table.num_items)
        pairs = sorted_pairs(
            table.users, table.items, table.num_items
        )  # draws are fastest in order
        users, items = (part.astype(np.int32) for part in np.divmod(pairs, table.num_items))
        is_used = (users > 0) & (self.unseen.counts[users] > 0)
        if not is_used.any():
            raise DataError(
                "There is no event to learn an order from: each needs a known user, a known item, and "
                "an item that the user had nothing to do with."
            )
        self._users = users[is_used]
        super().__init__(
            TensorData(torch.from_numpy(np.stack([self._users, items[is_used]], axis=1))),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            transform=self._compared,
        )
        self._drawn: tuple[int, Tensor] | None = None

    def negatives(self, epoch: int) -> Tensor:
        """(N,) int32, the item that each event is compared with in an epoch."""
        epoch = epoch if self.shuffle else 0
        if self._drawn is None or self._drawn[0] != epoch:
            drawn = self.unseen.draw(self._users, seed=derive(self.seed, "negatives", epoch))
            self._drawn = epoch, torch.from_numpy(drawn)
        return self._drawn[1]

    def _compared(self, batch: tuple[Tensor], indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        (pairs,) = batch
        others = self.negatives(epoch)[indices]
        return torch.cat([pairs, others[:, None]], 1), torch.ones(len(pairs))


@dataclass(frozen=True)
class BprParts:
    """What a Learner needs to train by BPR; `model.scores` is the model to keep."""

    model: PairwiseScore
    loaders: Loaders
    loss_fn: str


def bpr_parts(
    train: RatingTable,
    valid: RatingTable | None = None,
    *,
    num_factors: int = FACTORS,
    batch_size: int | None = None,
    seed: int = 42,
) -> BprParts:
    """Model, loaders and loss of BPR.

    Args:
        train: events.
        valid: others, of the same codes.
        num_factors: numbers in a vector.
        batch_size: events a batch; None: `default_batch_size`.
        seed: of the weights, the order and what is drawn.

    Raises: as `PairwiseLoader`.
    """
    if batch_size is None:
        batch_size = default_batch_size(len(train))
    loader: Callable[..., PairwiseLoader] = partial(
        PairwiseLoader, batch_size=batch_size, seed=seed
    )
    loaders = Loaders(
        loader(train, shuffle=True), None if valid is None else loader(valid, also_seen=train)
    )
    with seeded(seed, "init", "bpr"):
        model = PairwiseScore(train.num_users, train.num_items, num_factors)
    return BprParts(model, loaders, LOSS)


def default_batch_size(num_events: int) -> int:
    """A power of two from 64 to 65,536 that makes about 48 steps of an epoch, more of very many events.

    >>> [default_batch_size(n) for n in (0, 44_000, 1_000_000, 20_000_000)]
    [64, 1024, 16384, 65536]
    """
    return 2 ** min(max(round(log2(max(num_events, 1) / STEPS)), 6), 16)
