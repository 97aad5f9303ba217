"""A training step of AWD-LSTM at its usual size, and the stream loader, against fastai and torch alone.

All read the same tokens, 32 rows of 72 at a time, with 400 numbers a word, three layers of 1152 units
(the last of 400), tied weights, the five dropouts of a language model, AR 2 and TAR 1. "torch alone" is
the loop one writes around `nn.LSTM`, which has the same sizes, dropout on its inputs and outputs, and
neither weight drop nor AR and TAR: what a step costs without them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measure import Goal, Result, finish, median, ratio, take_turns
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.data.stream import StreamLoader
from drivetrain.data.tokens import TokenArray
from drivetrain.models.language import create_language_model, language_description
from drivetrain.train.loop import epoch_of

ROWS, TIME, WORDS = 32, 72, 10_000
RATE = 2e-3
OURS, FASTAI = "Drivetrain", "fastai 2.8.12"
UNDROPPED, TORCH = "Drivetrain, without weight drop", "torch alone, without weight drop"


def measure(options: argparse.Namespace) -> Result:
    """Epochs of a few steps, in turn, on one thread."""
    torch.set_num_threads(1)
    steps, rounds = (1, 1) if options.quick else (5, 3)  # a fit begins its optimizer anew
    tokens = corpus(ROWS * TIME * steps)
    variants = {
        TORCH: TorchAlone(tokens),
        OURS: ours_fit(tokens),
        UNDROPPED: ours_fit(tokens, weight_dropout=0.0),
        FASTAI: fastai_fit(tokens),
    }
    times = take_turns(variants, rounds=rounds, clock=time.process_time)
    loading = loader_times(200 if options.quick else 2000)
    step = median(times[OURS]) / steps
    rows = [
        [
            f"a step, {name}",
            f"{median(taken) / steps * 1e3:,.0f} ms",
            f"{ratio(times, name, OURS):.2f}",
        ]
        for name, taken in times.items()
    ]
    rows += [
        [f"a batch, {name}", f"{seconds * 1e6:,.0f} us", f"{100 * seconds / step:.4f}%"]
        for name, seconds in loading.items()
    ]
    return Result(
        case="lstm",
        title=f"AWD-LSTM: batches of {ROWS} x {TIME}, 400-1152-1152-400, {WORDS:,} words",
        columns=["part, program", "median", "of Drivetrain's step"],
        rows=rows,
        how=(
            f"One torch thread, CPU time of the process, epochs of {steps} steps in turn without "
            f"validation, {rounds} rounds; ratios are medians over rounds. A batch: wall time of what "
            "the loop asks of the stream loader for one, over an epoch of a shuffled corpus."
        ),
        goals=[
            Goal("a step, Drivetrain / fastai", 1 / ratio(times, FASTAI, OURS), 1.0),
            Goal(
                "loader in % of a step, the slower of two",
                100 * max(loading.values()) / step,
                2.0,
            ),
        ],
        raw={"step": times, "loading": loading},
    )


def corpus(count: int) -> TokenArray:
    """Documents of 50 to 400 words, as often as words are: the n-th like 1 / n."""
    draw = np.random.default_rng(0)
    shares = 1 / np.arange(1, WORDS + 1)
    ids = draw.choice(WORDS, count, p=shares / shares.sum()).astype(np.uint16)
    lengths = draw.integers(50, 400, count // 50 + 1)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    offsets = np.append(offsets[offsets < count], count).astype(np.int64)
    return TokenArray(ids, offsets)


def ours_fit(tokens: TokenArray, **changes: Any) -> Callable[[], None]:
    """A Learner with its default callbacks, and what a language model has."""
    model = create_language_model(language_description("awd_lstm", WORDS, **changes), seed=0)
    learner = dt.Learner(
        model,
        dt.Loaders(StreamLoader(tokens, batch_size=ROWS, seq_len=TIME, shuffle=True)),
        "token_cross_entropy",
        callbacks=["carry_state", "rnn_regularization"],
        num_threads=1,
        progress=False,
    )
    return lambda: learner.fit(1, RATE)


def fastai_fit(tokens: TokenArray) -> Callable[[], None]:
    """fastai's language model and learner for texts, which brings AR and TAR; nothing is validated."""
    text: Any = importlib.import_module("fastai.text.all")
    documents = [(text.LMTensorText(torch.from_numpy(d.astype(np.int64))),) for d in tokens]
    lengths = [len(d) for (d,) in documents]
    loader = text.LMDataLoader(documents, lens=lengths, bs=ROWS, seq_len=TIME, shuffle=True)
    learner = text.TextLearner(
        text.DataLoaders(loader, loader),
        text.get_language_model(text.AWD_LSTM, WORDS),
        loss_func=text.CrossEntropyLossFlat(),
    )

    class NoValidation(text.Callback):
        def before_validate(self) -> None:
            raise text.CancelValidException

    def fit() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            learner.fit(1, RATE, cbs=NoValidation())

    return fit


class TorchAlone:
    """The loop one writes around torch's fused layers; a call is an epoch."""

    def __init__(self, tokens: TokenArray) -> None:
        self.loader = StreamLoader(tokens, batch_size=ROWS, seq_len=TIME, shuffle=True)
        self.embedding = nn.Embedding(WORDS, 400)
        self.lower = nn.LSTM(400, 1152, 2, batch_first=True, dropout=0.15)
        self.upper = nn.LSTM(1152, 400, batch_first=True)
        self.bias = nn.Parameter(torch.zeros(WORDS))
        modules = (self.embedding, self.lower, self.upper)
        parameters = [p for module in modules for p in module.parameters()]
        self.optimizer = torch.optim.AdamW([*parameters, self.bias], lr=RATE, fused=True)

    def __call__(self) -> None:
        states: Any = (None, None)
        for inputs, targets in self.loader:
            scores, states = self.scores(inputs, states)
            loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten())
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def scores(self, inputs: Tensor, states: Any) -> tuple[Tensor, Any]:
        """(B, T, V), and what the layers carry on."""
        x = F.dropout(self.embedding(inputs), 0.25)
        x, lower = self.lower(x, states[0])
        x, upper = self.upper(F.dropout(x, 0.15), states[1])
        scores = F.linear(F.dropout(x, 0.1), self.embedding.weight, self.bias)
        return scores, tuple([tuple([part.detach() for part in state]) for state in (lower, upper)])


def loader_times(batches: int) -> dict[str, float]:
    """Seconds a batch, the median of five epochs: by itself, and as the training loop draws it."""
    loader = StreamLoader(
        corpus(ROWS * TIME * batches), batch_size=ROWS, seq_len=TIME, shuffle=True
    )
    ways: dict[str, Callable[[int], Any]] = {
        "the loader by itself": loader.batches,
        "as the training loop draws it": lambda epoch: epoch_of(loader, 42, epoch),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(5):
        for name, way in ways.items():
            start = time.perf_counter()
            for _ in way(epoch):
                pass
            found[name].append((time.perf_counter() - start) / batches)
    return {name: statistics.median(taken) for name, taken in found.items()}


if __name__ == "__main__":
    finish(measure, __doc__)
