"""Models of ratings: a learnt vector for each user and each item, and what is made of the two.

- `DotProduct`: the rating is their dot product: how far the tastes of the user and the traits of the
  item point the same way; with biases for users who are generous and items that everybody likes.
  Paper: Koren, Bell & Volinsky 2009, "Matrix Factorization Techniques for Recommender Systems",
  doi:10.1109/MC.2009.263, eqs. 1 to 4. Twin: drivetrain.reference.factorization.
- `RatingNet`: dense layers over the two vectors side by side.

Row 0 of each table stands for a user or an item that training did not see. No rating trains it;
`fill_unknown` makes it the mean of the other rows, each as often as training has ratings of it, which
the callback `unknown_rows` asks for before each validation.

    >>> model = DotProduct(5, 4, 3, y_range=(0.0, 5.5))
    >>> model(torch.tensor([[1, 2], [4, 3]])).shape
    torch.Size([2])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.nn.ranges import sigmoid_range
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded

MOST_ROWS = 1 << 31
MOST_WIDTH = 65_536
MOST_LAYERS = 64


class DotProduct(nn.Module):
    """The dot product of two vectors, with a bias each.

    Args:
        num_users, num_items: rows of the tables, the one for unknown counted.
        num_factors: numbers in a vector.
        bias: learn a number for each user and item as well.
        y_range: (low, high) that predictions stay within; None: no limit.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_factors: int = 50,
        *,
        bias: bool = True,
        y_range: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.user_factors = factor_table(num_users, num_factors)
        self.item_factors = factor_table(num_items, num_factors)
        self.has_bias = bias
        if bias:
            self.user_bias = factor_table(num_users, 1)
            self.item_bias = factor_table(num_items, 1)
        self.user_counts = nn.Buffer(torch.zeros(num_users, dtype=torch.int64))
        self.item_counts = nn.Buffer(torch.zeros(num_items, dtype=torch.int64))
        self.has_range = y_range is not None
        self.low, self.high = (0.0, 0.0) if y_range is None else (y_range[0], y_range[1])

    def forward(self, pairs: Tensor) -> Tensor:
        """Predicted ratings.

        Args:
            pairs: (B, 2) int32 or int64, a user and an item a row.

        Returns: (B,) float32.
        """
        users, items = pairs[:, 0], pairs[:, 1]
        scores = (self.user_factors(users) * self.item_factors(items)).sum(1)  # (B,)
        if self.has_bias:
            scores = scores + (self.user_bias(users) + self.item_bias(items)).squeeze(1)
        return sigmoid_range(scores, self.low, self.high) if self.has_range else scores

    def count(self, pairs: Tensor) -> None:
        """Learn how often each user and item stands in the training pairs, (N, 2)."""
        count_rows_(self.user_counts, pairs[:, 0])
        count_rows_(self.item_counts, pairs[:, 1])

    def fill_unknown(self) -> None:
        """Make the rows for unknown the mean of the others, weighted by how often each was rated."""
        mean_row_(self.user_factors, self.user_counts)
        mean_row_(self.item_factors, self.item_counts)
        if self.has_bias:
            mean_row_(self.user_bias, self.user_counts)
            mean_row_(self.item_bias, self.item_counts)


class RatingNet(nn.Module):
    """Dense layers over the vectors of user and item, side by side.

    Args:
        num_users, num_items: rows of the tables, the one for unknown counted.
        user_dim, item_dim: numbers in a vector.
        layers: widths of the hidden layers, each followed by ReLU, and by BatchNorm if `batch_norm`.
        batch_norm: normalise the layers; the course's own class does not.
        dropout: after each hidden layer.
        y_range: (low, high) that predictions stay within; None: no limit.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        user_dim: int,
        item_dim: int,
        layers: Sequence[int] = (100, 50),
        batch_norm: bool = False,
        dropout: float = 0.0,
        y_range: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.user_factors = factor_table(num_users, user_dim)
        self.item_factors = factor_table(num_items, item_dim)
        blocks: list[nn.Module] = []
        width = user_dim + item_dim
        for size in layers:
            blocks += [nn.Linear(width, size, bias=not batch_norm), nn.ReLU()]
            if batch_norm:
                blocks.append(nn.BatchNorm1d(size))
            if dropout:
                blocks.append(nn.Dropout(dropout))
            width = size
        self.hidden = nn.Sequential(*blocks)
        self.head = nn.Linear(width, 1)
        self.user_counts = nn.Buffer(torch.zeros(num_users, dtype=torch.int64))
        self.item_counts = nn.Buffer(torch.zeros(num_items, dtype=torch.int64))
        self.has_range = y_range is not None
        self.low, self.high = (0.0, 0.0) if y_range is None else (y_range[0], y_range[1])

    def forward(self, pairs: Tensor) -> Tensor:
        """Predicted ratings.

        Args:
            pairs: (B, 2) int32 or int64, a user and an item a row.

        Returns: (B,) float32.
        """
        users, items = pairs[:, 0], pairs[:, 1]
        vectors = torch.cat([self.user_factors(users), self.item_factors(items)], 1)
        scores = self.head(self.hidden(vectors)).squeeze(1)  # (B,)
        return sigmoid_range(scores, self.low, self.high) if self.has_range else scores

    def count(self, pairs: Tensor) -> None:
        """Learn how often each user and item stands in the training pairs, (N, 2)."""
        count_rows_(self.user_counts, pairs[:, 0])
        count_rows_(self.item_counts, pairs[:, 1])

    def fill_unknown(self) -> None:
        """Make the rows for unknown the mean of the others, weighted by how often each was rated."""
        mean_row_(self.user_factors, self.user_counts)
        mean_row_(self.item_factors, self.item_counts)


def factor_table(num_rows: int, num_factors: int) -> nn.Embedding:
    """Vectors that start close to zero, the row for unknown at zero.

    From a normal distribution of deviation 0.01, cut at two deviations: so small that a prediction
    begins in the middle, and that a vector is made of what its ratings say.
    """
    table = nn.Embedding(num_rows, num_factors)
    nn.init.trunc_normal_(table.weight, std=0.01, a=-0.02, b=0.02)
    with torch.no_grad():
        table.weight[0] = 0.0
    return table


def count_rows_(counts: Tensor, codes: Tensor) -> None:
    """Fill `counts`, (R,) int64, with how often each code stands in `codes`; the unknown one never."""
    counts.copy_(torch.bincount(codes, minlength=len(counts)))
    counts[0] = 0


def mean_row_(table: nn.Embedding, counts: Tensor) -> None:
    """Make row 0 of a table the mean of its rows, weighted by `counts`, (R,) int64."""
    with torch.no_grad():
        shares = counts / counts.sum().clamp(min=1)
        table.weight[0] = shares.to(table.weight.dtype) @ table.weight


def create_factorization(
    description: Mapping[str, Any], *, seed: int | None = None
) -> DotProduct | RatingNet:
    """The model that a description stands for, its random weights drawn from the seed.

    Args:
        description: plain JSON: `kind` ("dot" or "net") and what its class is given.
        seed: of the weights; None where they are loaded afterwards.

    Raises: ConfigError: it is not such a description.
    """
    kind, arguments = _checked(description)
    with seeded(0 if seed is None else seed, "init", "ratings"):
        return DotProduct(**arguments) if kind == "dot" else RatingNet(**arguments)


def factorization_shapes(
    description: Mapping[str, Any],
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor of the model a description stands for; takes no memory."""
    with shapes_only():
        model = create_factorization(description)
    return {name: (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}


_ENTRIES = {
    "dot": ("num_users", "num_items", "num_factors", "bias", "y_range"),
    "net": (
        *("num_users", "num_items", "user_dim", "item_dim"),
        *("layers", "batch_norm", "dropout", "y_range"),
    ),
}


def _checked(description: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Kind and arguments, after everything was looked at: a file may hold anything."""
    kind = description.get("kind") if isinstance(description, Mapping) else None
    if not isinstance(kind, str) or kind not in _ENTRIES:
        raise ConfigError(f"A model of ratings is of the kind 'dot' or 'net'. Got {_short(kind)}.")
    found = {name: value for name, value in description.items() if name != "kind"}
    if set(found) != set(_ENTRIES[kind]):
        raise ConfigError(
            f"The description of a model of ratings, kind '{kind}', needs the entries "
            f"{', '.join(_ENTRIES[kind])}."
        )
    for name, most in (
        *(("num_users", MOST_ROWS), ("num_items", MOST_ROWS)),
        *((name, MOST_WIDTH) for name in ("num_factors", "user_dim", "item_dim")),
    ):
        if name in found and not _is_count(found[name], most):
            raise ConfigError(
                f"A model of ratings got {name} {_short(found[name])}, expected 1 to {most:,}."
            )
    for name in ("bias", "batch_norm"):
        if name in found and type(found[name]) is not bool:
            raise ConfigError(
                f"A model of ratings got {name} {_short(found[name])}, expected true or false."
            )
    if kind == "net":
        layers, dropout = found["layers"], found["dropout"]
        is_list = isinstance(layers, list | tuple) and 1 <= len(layers) <= MOST_LAYERS
        if not is_list or not all(_is_count(width, MOST_WIDTH) for width in layers):
            raise ConfigError(
                f"A model of ratings got layers {_short(layers)}, expected widths of at least one."
            )
        if type(dropout) not in (int, float) or not 0 <= dropout < 1:
            raise ConfigError(
                f"A model of ratings got dropout {_short(dropout)}, expected 0 to below 1."
            )
        found["layers"] = list(layers)
    if found["y_range"] is not None:
        found["y_range"] = _range(found["y_range"])
    return kind, found


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def _range(value: Any) -> tuple[float, float]:
    numbers = isinstance(value, list | tuple) and len(value) == 2
    if numbers and all(type(end) in (int, float) and isfinite(end) for end in value):
        low, high = float(value[0]), float(value[1])
        if low < high:
            return low, high
    raise ConfigError(f"A model of ratings got y_range {_short(value)}, expected (low, high).")


def _short(value: Any) -> str:
    return str(value)[:60]
