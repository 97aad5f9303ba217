"""The dropouts of recurrent language models: of words, of features over all time, of weights.

Paper: Merity, Keskar & Socher 2017, arXiv:1708.02182, sec. 4; the first two are Gal & Ghahramani
2015, arXiv:1512.05287. Each does nothing in evaluation or where `p` is 0, and scales what stays by
1 / (1 - p), so that the mean is as without it. All draw from torch's global generator, as
`nn.Dropout` does, but a uniform number for each value: on a CPU that takes a third of the time of
`bernoulli_`, and in a net whose largest matrices are dropped this is 2% of a step.

Letters: B batch, T time, E features, V words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError


class VariationalDropout(nn.Module):
    """Drops features of a sequence: what is dropped at one time is dropped at all times.

    Shapes: (B, T, E) -> (B, T, E).

    Args:
        p: share of the features that is dropped, in [0, 1).

    Raises: ConfigError: `p` is outside.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        check_share("VariationalDropout", p)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """One mask for each sequence."""
        if not self.training or self.p == 0:
            return x
        return x * dropping_mask((x.shape[0], 1, x.shape[2]), self.p, x)

    def extra_repr(self) -> str:
        """The share."""
        return f"p={self.p:g}"


class EmbeddingDropout(nn.Module):
    """Drops whole words: the vectors of a dropped word are 0 wherever it stands in the batch.

    Shapes: vectors (B, T, E), tokens (B, T) int64 -> (B, T, E). The mask is over the vocabulary and
    is read where the words are, so that the matrix of all vectors is never copied.

    Args:
        num_words: V.
        p: share of the words that is dropped, in [0, 1).

    Raises: ConfigError: `p` is outside.
    """

    def __init__(self, num_words: int, p: float = 0.1) -> None:
        super().__init__()
        check_share("EmbeddingDropout", p)
        self.num_words = num_words
        self.p = p

    def forward(self, vectors: Tensor, tokens: Tensor) -> Tensor:
        """The vectors of these tokens without the words that are dropped."""
        if not self.training or self.p == 0:
            return vectors
        mask = dropping_mask((self.num_words,), self.p, vectors)
        return vectors * mask[tokens].unsqueeze(2)

    def extra_repr(self) -> str:
        """Words and share."""
        return f"{self.num_words}, p={self.p:g}"


class WeightDrop(nn.Module):
    """A recurrent layer some of whose weights are dropped, the same ones at every time step.

    DropConnect (Wan et al. 2013) of the matrix from state to state: the one dropout of a recurrence
    that leaves torch's fused loop as it is, since it is done once before the loop. The parameters
    are those of `module`; where `p` is 0, and in evaluation, the module is called as it is.

    Shapes: (B, T, in), state or None -> (B, T, out), state, as the module's.

    Args:
        module: an `nn.LSTM`, `nn.GRU` or `nn.RNN` of one layer, one direction and with biases, made
            with `batch_first=True`.
        names: which of its parameters are dropped.
        p: share of their values that is dropped, in [0, 1).

    Raises: ConfigError: `p` is outside, or another kind of module or name.
    """

    def __init__(
        self, module: nn.RNNBase, names: Sequence[str] = ("weight_hh_l0",), p: float = 0.5
    ) -> None:
        super().__init__()
        check_share("WeightDrop", p)
        check_droppable(module, names)
        self.module = module
        self.names = tuple(names)
        self.p = p

    def forward(
        self, x: Tensor, state: Tensor | tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, Tensor]]:
        """Outputs at each time, and the state after the last."""
        if not self.training or self.p == 0:
            return self.module(x, state)
        weights = [self._weight(name) for name in WEIGHTS]
        if state is None:
            zeros = x.new_zeros(1, x.shape[0], self.module.hidden_size)
            state = (zeros, zeros) if self.module.mode == "LSTM" else zeros
        # What torch's modules call themselves: weights, biases, layers, dropout between layers,
        # training, both directions, batch first.
        options = (weights, True, 1, 0.0, True, False, True)
        if isinstance(state, tuple):
            outputs, hidden, cell = torch.lstm(x, state, *options)
            return outputs, (hidden, cell)
        fused = {"GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}
        return fused[self.module.mode](x, state, *options)

    def _weight(self, name: str) -> Tensor:
        weight = getattr(self.module, name)
        if name not in self.names:
            return weight
        return weight * dropping_mask(weight.shape, self.p, weight)

    def extra_repr(self) -> str:
        """Names and share."""
        return f"{', '.join(self.names)}, p={self.p:g}"


def dropping_mask(shape: Sequence[int], p: float, like: Tensor) -> Tensor:
    """0 where something is dropped and 1 / (1 - p) elsewhere; of the dtype and device of a tensor."""
    kept = torch.rand(tuple(shape), device=like.device).ge_(p)  # float32: half would round p
    return kept.div_(1 - p).to(like.dtype)


WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
"""The parameters of a recurrent layer, in the order in which torch's functions take them."""


def check_share(owner: str, p: float) -> None:
    """Raises: ConfigError: `p` is no share to drop."""
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p < 1:
        raise ConfigError(f"`{owner}` got p {p!r}, expected a share from 0 to below 1.")


def check_droppable(module: nn.Module, names: Sequence[str]) -> None:
    """Raises: ConfigError: no recurrent layer that `WeightDrop` can call, or a name it has not."""
    plain = isinstance(module, nn.RNNBase) and (
        module.num_layers == 1
        and module.bias
        and module.batch_first
        and not module.bidirectional
        and not module.proj_size
    )
    if not plain:
        raise ConfigError(
            f"`WeightDrop` got {module}, expected an `nn.LSTM`, `nn.GRU` or `nn.RNN` of one layer and "
            "one direction, with biases and `batch_first=True`."
        )
    unknown = [name for name in names if name not in WEIGHTS]
    if unknown:
        raise ConfigError(
            f"`WeightDrop` got the name '{unknown[0]}', expected some of {', '.join(WEIGHTS)}."
        )
