"""Recurrent nets by hand: cells, unrolling, layers, truncated gradients, the stream, AR and TAR.

Twin of drivetrain.nn.dropouts, drivetrain.models.recurrent, drivetrain.models.document,
drivetrain.data.stream and drivetrain.train.callbacks.rnn_regularization. Everything that happens at
one time step is written out, and time is a Python loop.

Letters: B batch, T time, E inputs, H hidden units; x an input (B, E), h what a cell puts out (B, H).
Weights are torch's: W (H, E), U (H, H), biases b and c (H,); with gates stacked, (G·H, …).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

State = tuple[Tensor, ...]
Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""W, U, b, c."""
Cell = Callable[[Tensor, State, Weights], State]


# --- cells: one step in time ----------------------------------------------------------------------


def rnn_cell(x: Tensor, state: State, weights: Weights) -> State:
    """h' = tanh(W x + b + U h + c)."""
    W, U, b, c = weights
    return (torch.tanh(x @ W.T + b + state[0] @ U.T + c),)


def relu_cell(x: Tensor, state: State, weights: Weights) -> State:
    """h' = max(0, W x + b + U h + c)."""
    W, U, b, c = weights
    return ((x @ W.T + b + state[0] @ U.T + c).clamp(min=0),)


def gru_cell(x: Tensor, state: State, weights: Weights) -> State:
    """A reset gate r says how much of h the proposal n sees; an update gate z how much of h stays."""
    W, U, b, c = weights
    (h,) = state
    from_x, from_h = (x @ W.T + b).chunk(3, dim=1), (h @ U.T + c).chunk(3, dim=1)
    r = torch.sigmoid(from_x[0] + from_h[0])
    z = torch.sigmoid(from_x[1] + from_h[1])
    n = torch.tanh(from_x[2] + r * from_h[2])
    return ((1 - z) * n + z * h,)


def lstm_cell(x: Tensor, state: State, weights: Weights) -> State:
    """The cell s keeps what the forget gate f leaves and takes what the input gate i lets in of the
    proposal g; the output gate o says what of it is shown. State: h, s.
    """
    W, U, b, c = weights
    h, s = state
    gates = (x @ W.T + b + h @ U.T + c).chunk(4, dim=1)
    i, f, o = (torch.sigmoid(gates[k]) for k in (0, 1, 3))
    g = torch.tanh(gates[2])
    s = f * s + i * g
    return o * torch.tanh(s), s


CELLS: dict[str, Cell] = {
    "rnn": rnn_cell,
    "rnn_relu": relu_cell,
    "gru": gru_cell,
    "lstm": lstm_cell,
}


def zero_state(kind: str, rows: int, width: int, like: Tensor) -> State:
    """Where a text begins: zeros (B, H), of an LSTM twice."""
    return tuple(like.new_zeros(rows, width) for _ in range(2 if kind == "lstm" else 1))


# --- time and layers ------------------------------------------------------------------------------


def unrolled(
    kind: str, x: Tensor, layers: Sequence[Weights], states: Sequence[State] | None = None
) -> tuple[Tensor, list[State]]:
    """Layers on top of each other, each a loop over time: (B, T, E) -> (B, T, H), states at the end."""
    ends: list[State] = []
    for number, weights in enumerate(layers):
        width = weights[1].shape[1]
        state = zero_state(kind, len(x), width, x) if states is None else states[number]
        shown: list[Tensor] = []
        for t in range(x.shape[1]):
            state = CELLS[kind](x[:, t], state, weights)
            shown.append(state[0])
        x = torch.stack(shown, dim=1)
        ends.append(state)
    return x, ends


def truncated(kind: str, x: Tensor, weights: Weights, steps: int) -> Tensor:
    """One layer in which the state is cut off from its past every `steps` steps.

    What comes out is the same; gradients go back to the last cut and no further.
    """
    state = zero_state(kind, len(x), weights[1].shape[1], x)
    shown: list[Tensor] = []
    for t in range(x.shape[1]):
        if t % steps == 0:
            state = tuple(part.detach() for part in state)
        state = CELLS[kind](x[:, t], state, weights)
        shown.append(state[0])
    return torch.stack(shown, dim=1)


def three_words(vectors: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """Three steps written out: h = max(0, W (h + e) + b), with one matrix W for all of them.

    Args:
        vectors: (B, 3, H), a vector e for each of three words.
        W, b: (H, H), (H,).
    """
    h = ((vectors[:, 0]) @ W.T + b).clamp(min=0)
    h = ((h + vectors[:, 1]) @ W.T + b).clamp(min=0)
    return ((h + vectors[:, 2]) @ W.T + b).clamp(min=0)


def any_words(vectors: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """The same as a loop, for any number of words: (B, T, H) -> (B, H)."""
    h = vectors.new_zeros(len(vectors), W.shape[0])
    for t in range(vectors.shape[1]):
        h = ((h + vectors[:, t]) @ W.T + b).clamp(min=0)
    return h


# --- what goes wrong in depth ---------------------------------------------------------------------


def repeated_product(scale: float, *, times: int = 50, size: int = 100, seed: int = 42) -> Tensor:
    """A normal matrix multiplied `times` times by others of spread `scale`, in float32: (size, size).

    Each product multiplies the spread by scale · sqrt(size). So at 1 it grows tenfold each time and
    passes what a float can hold, at 0.01 it shrinks tenfold and is gone, and at 0.1 it stays.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, size, generator=generator)
    for _ in range(times):
        x = x @ (torch.randn(size, size, generator=generator) * scale)
    return x


def float_spacing(values: Sequence[float] = (1.0, 1e4, 1e8)) -> list[tuple[float, float]]:
    """Rows (value, distance to the next larger float32): the larger, the coarser.

    >>> [(value, round(gap, 10)) for value, gap in float_spacing()]
    [(1.0, 1.192e-07), (10000.0, 0.0009765625), (100000000.0, 8.0)]
    """
    return [(value, float(np.spacing(np.float32(value)))) for value in values]


# --- text -----------------------------------------------------------------------------------------


def stream_batches(
    documents: Sequence[Sequence[int]], batch_size: int, seq_len: int
) -> list[tuple[list[list[int]], list[list[int]]]]:
    """Batches of a stream, token by token: inputs and targets, a list of rows each."""
    stream = [token for document in documents for token in document]
    length = len(stream) // batch_size
    batches = []
    for start in range(0, length, seq_len):
        inputs: list[list[int]] = []
        targets: list[list[int]] = []
        for row in range(batch_size):
            places = [row * length + t for t in range(start, min(start + seq_len, length))]
            inputs.append([stream[place] for place in places])
            targets.append([stream[(place + 1) % len(stream)] for place in places])
        batches.append((inputs, targets))
    return batches


def concat_pool(outputs: Tensor, lengths: Sequence[int]) -> Tensor:
    """Last, largest and mean features of each document's real positions: (B, T, E) -> (B, 3E)."""
    rows = []
    for row, length in zip(outputs, lengths, strict=True):
        real = row[:length]
        rows.append(torch.cat([real[-1], real.max(dim=0).values, real.mean(dim=0)]))
    return torch.stack(rows)


def activation_regularization(dropped: Tensor, alpha: float) -> Tensor:
    """alpha times the mean square of all outputs."""
    return alpha * (dropped * dropped).sum() / dropped.numel()


def temporal_regularization(raw: Tensor, beta: float) -> Tensor:
    """beta times the mean square of how far outputs move from one time to the next."""
    moves = [raw[:, t] - raw[:, t - 1] for t in range(1, raw.shape[1])]
    total = sum((move * move).sum() for move in moves)
    return beta * total / (len(moves) * raw[:, 0].numel())  # pyright: ignore[reportReturnType]
