"""One layer of an LSTM, a GRU or a plain RNN at one time: its gates, its cell, its output.

Papers: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; Cho et al. 2014, arXiv:1406.1078
(in torch's form, where the reset gate acts after the product). Of the state before, what the layer gave
at the time before is the run's own number; an LSTM's cell, which it does not give, is what the same
operation gives when it reads only the times before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from drivetrain.show.ops.look import Line, Look, Worked, grid, of_sum
from drivetrain.show.record import Value

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def recurrent(look: Look) -> Worked | None:
    """A number of the output, of the last state, or of an LSTM's last cell."""
    kind = look.op.name
    source: Value = look.arg("input")
    shape = tuple(source.tensor.shape)
    if len(shape) != 3:
        return None
    batch_first = look.arg("batch_first", False)
    num_times = shape[1 if batch_first else 0]
    if look.output == 0:
        item, time = look.index[:2] if batch_first else look.index[1::-1]
        unit = look.index[2]
    else:  # (1, B, H): after the last time
        time, item, unit = num_times - 1, look.index[1], look.index[2]

    w_ih, w_hh = look.arg("w_ih"), look.arg("w_hh")
    hidden = w_hh.tensor.shape[1]
    gates = GATES[kind]
    rows = [gate * hidden + unit for gate in range(gates)]
    x_places = _at(shape, batch_first, item, time)
    look.take("x", source, x_places, f"what comes in at time {time}")
    w = look.take(
        "w", w_ih, grid(tuple(w_ih.tensor.shape), rows, range(shape[2])), _from("the input")
    )
    _state(look, batch_first, item, time, hidden)
    u = look.take(
        "u", w_hh, grid(tuple(w_hh.tensor.shape), rows, range(hidden)), _from("the state")
    )
    has_biases = look.op.args.get("b_ih") is not None
    if has_biases:
        look.take("b", look.arg("b_ih"), np.asarray(rows), "the biases of the input's part")
        look.take("d", look.arg("b_hh"), np.asarray(rows), "the biases of the state's part")
    x, h = (next(p.term.value for p in look.pieces if p.term.name == n) for n in ("x", "h"))
    off = max(
        of_sum(np.concatenate([w[g] * x, u[g] * h]), look.unit) + 4 * look.unit
        for g in range(gates)
    )
    b, d = (" + b", " + d") if has_biases else ("", "")
    if kind == "lstm":
        return _lstm(look, batch_first, item, time, unit, b + d, off)
    if kind == "gru":
        return _gru(look, unit, b, d, off)
    formula = "y = tanh(W·x + U·h + b)" if kind == "rnn_tanh" else "y = max(0, W·x + U·h + b)"
    lines: list[Line] = [
        ("a", f"matmul(w, x) + matmul(u, h){b}{d}", "input and state together"),
        ("y", "tanh(a[0])" if kind == "rnn_tanh" else "relu(a[0])", "the new state"),
    ]
    return look.done(formula, lines, bound=off)


def _from(what: str) -> str:
    return f"the weights from {what} to each gate of this unit, a row a gate"


def _at(shape: tuple[int, ...], batch_first: bool, item: int, time: int) -> np.ndarray:
    first, second = (item, time) if batch_first else (time, item)
    return grid(shape, first, second, range(shape[2]))


def _state(look: Look, batch_first: bool, item: int, time: int, hidden: int) -> None:
    """The state that the layer is in before this time."""
    if time == 0:
        begin: Value = look.arg("state")[0]
        places = grid(tuple(begin.tensor.shape), 0, item, range(hidden))
        look.take("h", begin, places, "the state at the beginning", role="state")
        return
    given = look.op.outputs[0]
    places = _at(tuple(given.tensor.shape), batch_first, item, time - 1)
    look.take("h", given, places, f"the state after time {time - 1}", role="state")
    # it is this operation's own output, so there is nothing else to follow it to


def _cell(look: Look, batch_first: bool, item: int, time: int, unit: int) -> float:
    state = look.arg("state")
    if time == 0:
        place = grid(tuple(state[1].tensor.shape), 0, item, unit)
        return float(look.take("c", state[1], place, "the cell at the beginning", role="state"))
    source = look.arg("input").tensor
    before = source[:, :time] if batch_first else source[:time]
    weights = [look.arg(n).tensor for n in ("w_ih", "w_hh", "b_ih", "b_hh") if look.op.args.get(n)]
    begin = [part.tensor for part in state]
    options = (len(weights) == 4, 1, 0.0, False, False, batch_first)
    with torch.no_grad():
        _, _, cells = torch.lstm(before, begin, weights, *options)
    words = f"the cell after time {time - 1}: what the same layer gives for the times before {time}"
    return float(look.setting("c", float(cells[0, item, unit]), words, role="state"))


def _lstm(
    look: Look, batch_first: bool, item: int, time: int, unit: int, biases: str, off: float
) -> Worked:
    c = _cell(look, batch_first, item, time, unit)
    lines: list[Line] = [
        ("a", f"matmul(w, x) + matmul(u, h){biases}", "input and state together, for each gate"),
        ("i", "sigmoid(a[0])", "the input gate: how much is written"),
        ("f", "sigmoid(a[1])", "the forget gate: how much of the cell stays"),
        ("g", "tanh(a[2])", "what is written"),
        ("o", "sigmoid(a[3])", "the output gate: how much is shown"),
        ("cell", "f * c + i * g", "the new cell"),
    ]
    formula = "c' = σ(f)·c + σ(i)·tanh(g);  h' = σ(o)·tanh(c')"
    # a gate's slope is at most 1/4, tanh's at most 1; the cell from before is off by what made it
    bound = off * (1.5 + abs(c) / 4) + 8 * look.unit * (1 + abs(c)) + min(time, 50) * look.unit
    if look.output == 2:
        return look.done(formula, lines, bound=bound)
    lines.append(("y", "o * tanh(cell)", "the new state, which is the output"))
    return look.done(formula, lines, bound=bound)


def _gru(look: Look, unit: int, b: str, d: str, off: float) -> Worked:
    lines: list[Line] = [
        ("a", f"matmul(w, x){b}", "the input's part, for each gate"),
        ("s", f"matmul(u, h){d}", "the state's part, for each gate"),
        ("r", "sigmoid(a[0] + s[0])", "the reset gate: how much of the state counts"),
        ("z", "sigmoid(a[1] + s[1])", "the update gate: how much of the state stays"),
        ("n", "tanh(a[2] + r * s[2])", "the new proposal"),
        ("y", f"(1 - z) * n + z * h[{unit}]", "between the proposal and the state before"),
    ]
    h = next(p.term.value for p in look.pieces if p.term.name == "h")
    bound = off * (2 + abs(float(h[unit]))) + 16 * look.unit
    return look.done("h' = (1 − σ(z))·tanh(n + σ(r)·s) + σ(z)·h", lines, bound=bound)


HANDLERS: Mapping[str, Callable[[Look], Any]] = dict.fromkeys(GATES, recurrent)
"""Name -> what explains it."""
