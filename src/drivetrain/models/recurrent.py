"""Recurrent encoders of text: AWD-LSTM, and the same around a GRU or a plain RNN.

Paper: Merity, Keskar & Socher 2017, arXiv:1708.02182. Words become vectors, recurrent layers read
them in order, the last layer is as wide as the vectors so that a language model's output matrix can
be its input matrix. Four of the paper's five dropouts are here; the fifth, of the outputs, belongs to
what stands on top. Vectors begin uniform in ±`initial_range`, in fastai's 0.1, and the layers as
torch's do. Twin: drivetrain.reference.recurrent.

Letters: B batch, T time, E features of the vectors and of the last layer, H of the layers between.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError
from drivetrain.nn.dropouts import EmbeddingDropout, VariationalDropout, WeightDrop

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "lstm": "long short-term memory: a cell that gates write to and read from",
        "gru": "two gates and no cell: a quarter fewer weights",
        "rnn": "plain, with tanh",
        "rnn_relu": "plain, with ReLU",
    }
)
"""Kinds of layers."""


class RecurrentEncoder(nn.Module):
    """Tokens to one vector at each position, made of all tokens up to there.

    It carries its state: a batch goes on where the one before ended, row by row, as a language model
    needs it. What is carried is detached, so gradients end at the batch's first token (truncated
    backpropagation through time). `reset`, `train()` and `eval()` begin anew, as does a batch with
    another number of rows. With `lengths` the rows are whole documents: they begin at zero, and
    nothing is carried.

    Args:
        vocab_size: tokens are in [0, vocab_size).
        embedding_dim: E.
        hidden_dim: H, of all layers but the last.
        num_layers: recurrent layers.
        kind: of layer, one of `KINDS`.
        embedding_dropout: share of the words that is dropped, wherever they stand.
        input_dropout: share of the vectors' features, the same at each time.
        weight_dropout: share of the weights from state to state.
        hidden_dropout: share of the features between layers, the same at each time.
        initial_range: the words' vectors begin uniform in ± this.

    Raises: ConfigError: a number is out of range. UnknownNameError: no such kind.
    """

    context: int | None = None
    """Tokens it can look back over: no limit."""

    def __init__(
        self,
        vocab_size: int,
        embedding_dim: int,
        hidden_dim: int,
        num_layers: int,
        *,
        kind: str = "lstm",
        embedding_dropout: float = 0.0,
        input_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        initial_range: float = 0.1,
    ) -> None:
        super().__init__()
        check_sizes(
            "RecurrentEncoder",
            vocab_size=vocab_size,
            embedding_dim=embedding_dim,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
        )
        self.num_features = embedding_dim
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        nn.init.uniform_(self.embedding.weight, -initial_range, initial_range)
        self.embedding_dropout = EmbeddingDropout(vocab_size, embedding_dropout)
        self.input_dropout = VariationalDropout(input_dropout)
        self.hidden_dropout = VariationalDropout(hidden_dropout)
        self.layers = nn.ModuleList()
        width = embedding_dim
        for number in range(1, num_layers + 1):
            out = hidden_dim if number < num_layers else embedding_dim
            layer = recurrent_layer(kind, width, out)
            self.layers.append(WeightDrop(layer, p=weight_dropout))
            width = out
        self.state: list[Tensor] = []
        """(1, B, …) of each layer, of an LSTM its outputs and then its cell; empty at a beginning."""

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features at each position.

        Args:
            tokens: (B, T) int64.
            lengths: (B,) int64, tokens of each row that are real, where the rows are documents; what
                stands after them changes nothing before.

        Returns: (B, T, E) float.
        """
        if lengths is not None:
            outputs, _ = self.read_on(tokens, [])
            return outputs
        outputs, state = self.read_on(tokens, self._carried(tokens.shape[0]))
        self.state = [part.detach() for part in state]
        return outputs

    def read_on(self, tokens: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Read tokens from a state on: features (B, T, E) and the state after them.

        The state is handed over, with its graph, and nothing is carried. An empty list is the
        beginning of a text.
        """
        x = self.embedding_dropout(self.embedding(tokens), tokens)
        x = self.input_dropout(x)  # (B, T, E)
        after: list[Tensor] = []
        parts = len(state) // len(self.layers)  # 2 of an LSTM, else 1; 0 at a beginning
        for number, layer in enumerate(self.layers):
            if number:
                x = self.hidden_dropout(x)
            before = state[number * parts : (number + 1) * parts]
            if not before:
                x, new = layer(x)
            else:
                x, new = layer(x, before[0] if parts == 1 else tuple(before))
            after += new if isinstance(new, tuple) else [new]
        return x, after

    def reset(self) -> None:
        """The next batch begins other texts."""
        self.state = []

    def train(self, mode: bool = True) -> RecurrentEncoder:
        """Training or evaluation mode; entering either begins other texts."""
        super().train(mode)
        self.reset()
        return self

    def layer_groups(self) -> list[list[nn.Module]]:
        """The words' vectors; then each layer."""
        return [[self.embedding], *([layer] for layer in self.layers)]

    def _carried(self, rows: int) -> list[Tensor]:
        if not self.state or self.state[0].shape[1] != rows:
            return []
        if self.state[0].is_inference() and not torch.is_inference_mode_enabled():
            return [part.clone() for part in self.state]  # such tensors cannot have gradients
        return self.state


def recurrent_layer(kind: str, in_features: int, out_features: int) -> nn.RNNBase:
    """One layer of torch's, batch first.

    Raises: UnknownNameError: no such kind.
    """
    lookup(KINDS, kind, what="kind of recurrent layer")
    if kind == "lstm":
        return nn.LSTM(in_features, out_features, batch_first=True)
    if kind == "gru":
        return nn.GRU(in_features, out_features, batch_first=True)
    nonlinearity = "relu" if kind == "rnn_relu" else "tanh"
    return nn.RNN(in_features, out_features, nonlinearity=nonlinearity, batch_first=True)


def check_sizes(owner: str, **sizes: int) -> None:
    """Raises: ConfigError: a size is no whole number of 1 or more."""
    for name, value in sizes.items():
        if type(value) is not int or value < 1:
            raise ConfigError(
                f"`{owner}` got {name} {value!r}, expected a whole number, 1 or more."
            )
