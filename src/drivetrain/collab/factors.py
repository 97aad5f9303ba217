"""A fitted factorisation as plain arrays: what is read, searched and recommended from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from drivetrain.errors import ShapeError
from drivetrain.models.factorization import DotProduct


@dataclass(frozen=True)
class Factors:
    """Vectors and biases of users and items; row 0 of each is the unknown one."""

    users: np.ndarray
    """(U, K) float32."""
    items: np.ndarray
    """(I, K) float32."""
    user_bias: np.ndarray
    """(U,) float32, zeros where the model has none."""
    item_bias: np.ndarray
    """(I,) float32, zeros where the model has none."""
    y_range: tuple[float, float] | None = None
    """(low, high) that predictions are squeezed into by a sigmoid; None: they are not."""

    def __post_init__(self) -> None:
        shapes = (self.users.shape[:1], self.items.shape[:1])
        if (
            self.users.ndim != 2
            or self.users.shape[1:] != self.items.shape[1:]
            or (self.user_bias.shape, self.item_bias.shape) != shapes
        ):
            raise ShapeError(
                "`Factors` needs users (U, K), items (I, K), user_bias (U,) and item_bias (I,). Got "
                f"{self.users.shape}, {self.items.shape}, {self.user_bias.shape} and "
                f"{self.item_bias.shape}."
            )

    @property
    def num_factors(self) -> int:
        """K, numbers in a vector."""
        return self.users.shape[1]

    def raw(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Scores before the range.

        Args:
            users: (B,) codes.
            items: (B,) codes, one a user; None for all items.

        Returns: (B,), or (B, I) for all items, float32.
        """
        if items is None:
            found = self.users[users] @ self.items.T
            found += self.user_bias[users][:, None]
            found += self.item_bias
            return found
        found = np.einsum("bk,bk->b", self.users[users], self.items[items])
        return found + self.user_bias[users] + self.item_bias[items]

    def ranged(self, raw: np.ndarray) -> np.ndarray:
        """Predictions from raw scores; see `nn.ranges.sigmoid_range`."""
        if self.y_range is None:
            return raw
        low, high = self.y_range
        return torch.sigmoid(torch.from_numpy(raw)).numpy() * np.float32(high - low) + np.float32(
            low
        )

    def predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(B,) float32 predicted ratings of pairs."""
        return self.ranged(self.raw(users, items))

    def scores(self, users: np.ndarray) -> np.ndarray:
        """(B, I) float32 predicted ratings of all items; ask in blocks of users."""
        return self.ranged(self.raw(users))

    @classmethod
    def of(cls, model: nn.Module) -> Factors | None:
        """The arrays of a model, copied; None where it is more than a dot product."""
        if not isinstance(model, DotProduct):
            return None
        users, items = _array(model.user_factors), _array(model.item_factors)
        if model.has_bias:
            biases = _array(model.user_bias)[:, 0], _array(model.item_bias)[:, 0]
        else:
            biases = np.zeros(len(users), np.float32), np.zeros(len(items), np.float32)
        return cls(users, items, *biases, (model.low, model.high) if model.has_range else None)


def _array(table: nn.Embedding) -> np.ndarray:
    return table.weight.detach().to("cpu", torch.float32, copy=True).numpy()
