"""Text as one stream: batches that go on, row by row, where the batch before ended.

A language model reads a whole corpus. Its documents stand one after another as one stream of N
tokens, which is cut into B rows of equal length L = N // B; batch k holds columns k·T to (k + 1)·T of
all rows. So row i of a batch goes on where row i of the batch before ended, and the state that a
recurrent model carries fits. Targets are the inputs one token on:

    >>> from drivetrain.data.tokens import TokenArray
    >>> loader = StreamLoader(TokenArray.from_lists([range(12)]), batch_size=2, seq_len=3)
    >>> [(inputs.tolist(), targets.tolist()) for inputs, targets in loader][0]
    ([[0, 1, 2], [6, 7, 8]], [[1, 2, 3], [7, 8, 9]])

Twin: drivetrain.reference.recurrent.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError
from drivetrain.randomness import permutation

BLOCK = 1 << 20
"""Tokens that are fetched at once: many batches' worth, 8 MB, so that a batch costs next to nothing
and a corpus may be larger than memory."""


class StreamLoader:
    """Batches (inputs (B, T), targets (B, T)), both int64, of a corpus as one stream.

    With `shuffle` the documents stand in a new order each epoch, from (seed, epoch); within a
    document the order stays. What follows the last document's last token is the first document. The
    N % B tokens at the stream's end are left out of the epoch; where documents are shuffled these
    are others each time. The last batch has fewer columns where T does not divide L.

    Args:
        tokens: the corpus.
        batch_size: B, rows.
        seq_len: T, tokens of a row in a batch.
        shuffle: documents in a new order each epoch; otherwise the corpus' order.
        drop_last: leave out a last batch with fewer columns.
        seed: of the order.

    Raises: ConfigError: `batch_size` or `seq_len` below 1, or the corpus gives no batch.
    """

    def __init__(
        self,
        tokens: TokenArray,
        *,
        batch_size: int = 64,
        seq_len: int = 72,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 42,
    ) -> None:
        if batch_size < 1 or seq_len < 1:
            raise ConfigError(
                "`StreamLoader` needs `batch_size` and `seq_len` of at least 1. "
                f"Got {batch_size} and {seq_len}."
            )
        self.tokens = tokens
        self.batch_size = batch_size
        self.seq_len = seq_len
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.epoch = 0
        self.num_tokens = int(tokens.lengths().sum())
        """N, of the whole corpus."""
        self.row_length = self.num_tokens // batch_size
        """L, tokens of a row in an epoch."""
        if len(self) == 0:
            needed = batch_size * (seq_len if drop_last else 1)
            raise ConfigError(
                f"`StreamLoader` got {self.num_tokens} tokens for {batch_size} rows, expected "
                f"{needed} or more. Give more text, or a smaller `batch_size`."
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(self.row_length, self.seq_len)
        return full + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.batches(self.epoch)

    def batches(self, epoch: int, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from the `start`-th on; those before it are not fetched."""
        size, count = self.seq_len, len(self)
        stream = Stream(self.tokens, self._order(epoch))
        at_once = max(1, BLOCK // (self.batch_size * size))  # batches
        for first in range(start, count, at_once):
            left = first * size
            right = min(left + min(at_once, count - first) * size, self.row_length)
            block = torch.from_numpy(self._columns(stream, left, right))  # (B, columns + 1)
            for column in range(0, right - left, size):
                end = min(column + size, right - left)
                yield (
                    block[:, column:end].contiguous(),
                    block[:, column + 1 : end + 1].contiguous(),
                )

    def _order(self, epoch: int) -> np.ndarray:
        """The documents as they stand in an epoch's stream, (D,) int64."""
        if self.shuffle:
            return permutation(len(self.tokens), seed=self.seed, epoch=epoch).numpy()
        return np.arange(len(self.tokens))

    def _columns(self, stream: Stream, left: int, right: int) -> np.ndarray:
        """Columns `left` to `right`, the one at `right` included: (B, right - left + 1) int64."""
        rows = np.arange(self.batch_size) * self.row_length
        inner = stream.spans(rows + left, right - left)
        # After the last token of all comes the first: what begins is another document either way.
        after = stream.spans((rows + right) % self.num_tokens, 1)
        return np.concatenate([inner, after], axis=1)


class Stream:
    """The documents of a corpus one after another, in an order of their own, without a copy of them.

    Args:
        tokens: the corpus.
        order: (D,) int64, its documents as they stand in the stream.
    """

    def __init__(self, tokens: TokenArray, order: np.ndarray) -> None:
        self.ids = tokens.ids
        self.begins = np.concatenate([[0], np.cumsum(tokens.lengths()[order])])
        """(D + 1,) int64: where each document begins in the stream."""
        self.shifts = tokens.offsets[:-1][order] - self.begins[:-1]
        """(D,) int64: from a place in the stream to the place in `ids`, for each document."""

    def spans(self, starts: np.ndarray, length: int) -> np.ndarray:
        """The tokens at `starts`, (R,), and after: (R, length) int64. None may pass the stream's end.

        A span is cut where documents meet; within a piece the tokens lie side by side, so one shift
        serves all of them and nothing is looked up token by token.
        """
        ends = starts + length
        first = np.searchsorted(self.begins, starts, "right") - 1  # (R,) the document it begins in
        last = np.searchsorted(self.begins, ends, "left") - 1
        pieces = last - first + 1  # (R,) documents that it touches
        row = np.repeat(np.arange(len(starts)), pieces)  # (P,)
        within = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        document = first[row] + within
        begin = np.maximum(self.begins[document], starts[row])
        end = np.minimum(self.begins[document + 1], ends[row])
        places = (starts[:, None] + np.arange(length)).ravel()
        places += np.repeat(self.shifts[document], end - begin)
        return self.ids[places].astype(np.int64).reshape(len(starts), length)
