"""A net for tables: a learnt vector for each category, numbers as they are, then dense layers.

Paper: Guo & Berkhahn 2016, arXiv:1604.06737 (entity embeddings). As in fastai's tabular model: the
vectors and the normalised numbers side by side, then for each hidden layer Linear, ReLU, BatchNorm,
Dropout; a last Linear gives the scores.

    >>> net = TabularNet([10, 3], 2, 4, layers=(8,))
    >>> net(torch.zeros(5, 2, dtype=torch.int64), torch.zeros(5, 2)).shape
    torch.Size([5, 4])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded

MOST_LEVELS = 10_000_000
MOST_WIDTH = 65_536
MOST_LAYERS = 64


def embedding_dim(num_levels: int) -> int:
    """Numbers in the vector of a category with so many levels: 1.6 n^0.56, at most 600.

    The rule of fastai, found by trying: it grows a little faster than a square root.

    >>> [embedding_dim(n) for n in (2, 7, 100, 1000)]
    [2, 5, 21, 77]
    """
    return min(600, round(1.6 * num_levels**0.56))


class TabularNet(nn.Module):
    """Scores for rows of a table.

    Args:
        level_counts: levels of each category column, the one for "missing or unknown" included.
        num_numbers: columns of numbers.
        num_outputs: scores a row gets: classes, or numbers that are predicted.
        layers: widths of the hidden layers.
        dropout: after each hidden layer.
        embedding_dropout: of the categories' vectors.
        y_range: (low, high) that predicted numbers stay within, one pair an output; None: no limit.
        squeeze: one number a row is given as (B,) and not as (B, 1).
    """

    def __init__(
        self,
        level_counts: Sequence[int],
        num_numbers: int,
        num_outputs: int,
        *,
        layers: Sequence[int] = (200, 100),
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        y_range: Sequence[tuple[float, float]] | None = None,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList()
        width = num_numbers
        for count in level_counts:
            self.embeddings.append(nn.Embedding(count, embedding_dim(count)))
            width += embedding_dim(count)
        for embedding in self.embeddings:
            assert isinstance(embedding, nn.Embedding)
            nn.init.trunc_normal_(embedding.weight, std=0.01, a=-0.02, b=0.02)
        self.embedding_dropout = (
            nn.Dropout(embedding_dropout) if embedding_dropout else nn.Identity()
        )
        self.has_numbers = num_numbers > 0
        self.normalise = nn.BatchNorm1d(num_numbers) if self.has_numbers else nn.Identity()
        blocks: list[nn.Module] = []
        for size in layers:
            # the batchnorm shifts anyway, so the layer before it needs no bias
            blocks += [nn.Linear(width, size, bias=False), nn.ReLU(), nn.BatchNorm1d(size)]
            if dropout:
                blocks.append(nn.Dropout(dropout))
            width = size
        self.hidden = nn.Sequential(*blocks)
        self.head = nn.Linear(width, num_outputs)
        self.squeezes = squeeze
        self.has_range = y_range is not None
        if y_range is not None:
            self.low = nn.Buffer(torch.tensor([low for low, _ in y_range]))  # (num_outputs,)
            self.span = nn.Buffer(torch.tensor([high - low for low, high in y_range]))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Scores.

        Args:
            codes: (B, C) int64, codes of the categories.
            numbers: (B, D) float32.

        Returns: (B, num_outputs) float32; (B,) with `squeeze`.
        """
        parts = []
        if len(self.embeddings):
            vectors = [embed(codes[:, i]) for i, embed in enumerate(self.embeddings)]
            parts.append(self.embedding_dropout(torch.cat(vectors, 1)))
        if self.has_numbers:
            parts.append(self.normalise(numbers))
        scores = self.head(self.hidden(torch.cat(parts, 1)))  # (B, num_outputs)
        if self.has_range:
            scores = self.low + self.span * torch.sigmoid(scores)
        return scores.squeeze(1) if self.squeezes else scores


def create_tabular_net(description: Mapping[str, Any], *, seed: int | None = None) -> TabularNet:
    """The net that a description stands for, its random weights drawn from the seed.

    Args:
        description: `{level_counts, num_numbers, num_outputs, layers, dropout, embedding_dropout,
            y_range, squeeze}`, plain JSON.
        seed: of the weights; None where they are loaded afterwards.

    Raises: ConfigError: it is not such a description.
    """
    arguments = _checked(description)
    with seeded(0 if seed is None else seed, "init", "tabular"):
        return TabularNet(**arguments)


def tabular_shapes(
    description: Mapping[str, Any],
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor of the net a description stands for; takes no memory."""
    with shapes_only():
        net = create_tabular_net(description)
    return {name: (t.dtype, tuple(t.shape)) for name, t in net.state_dict().items()}


def _checked(description: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `TabularNet`, after everything was looked at: a file may hold anything."""
    names = (
        *("level_counts", "num_numbers", "num_outputs", "layers"),
        *("dropout", "embedding_dropout", "y_range", "squeeze"),
    )
    if not isinstance(description, Mapping) or set(description) != set(names):
        raise ConfigError(f"A tabular net's description needs the entries {', '.join(names)}.")
    found = dict(description)
    _counts(found, "level_counts", low=1, high=MOST_LEVELS, most=MOST_WIDTH)
    _counts(found, "layers", low=1, high=MOST_WIDTH, most=MOST_LAYERS)
    for name, low in (("num_numbers", 0), ("num_outputs", 1)):
        value = found[name]
        if type(value) is not int or not low <= value <= MOST_WIDTH:
            raise ConfigError(
                f"A tabular net got {name} {str(value)[:40]}, expected {low} or more."
            )
    if not found["level_counts"] and not found["num_numbers"]:
        raise ConfigError("A tabular net needs a column to predict from. Got none.")
    for name in ("dropout", "embedding_dropout"):
        value = found[name]
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise ConfigError(f"A tabular net got {name} {str(value)[:40]}, expected 0 to below 1.")
    if type(found["squeeze"]) is not bool or (found["squeeze"] and found["num_outputs"] != 1):
        raise ConfigError(
            "A tabular net's `squeeze` is for one output. Got another number of them."
        )
    if found["y_range"] is not None:
        found["y_range"] = _ranges(found["y_range"], found["num_outputs"])
    return found


def _counts(found: dict[str, Any], name: str, *, low: int, high: int, most: int) -> None:
    values = found[name]
    is_list = isinstance(values, list | tuple) and len(values) <= most
    if not is_list or not all(type(v) is int and low <= v <= high for v in values):
        raise ConfigError(f"A tabular net got {name} {str(values)[:80]}, expected whole numbers.")
    found[name] = list(values)


def _ranges(value: Any, num_outputs: int) -> list[tuple[float, float]]:
    try:
        pairs = [(float(low), float(high)) for low, high in value]
    except (TypeError, ValueError):
        pairs = []
    if len(pairs) != num_outputs or not all(low < high for low, high in pairs):
        raise ConfigError(
            f"A tabular net got y_range {str(value)[:80]}, expected (low, high) for each output."
        )
    return pairs
