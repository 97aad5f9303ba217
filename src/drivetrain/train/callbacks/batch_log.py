"""The losses of the batches of each epoch, into the run's log, for the curve between two epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from drivetrain.train.callback import LAST, Callback
from drivetrain.train.callbacks.record import Record
from drivetrain.train.state import FitState

PIECES = 50
"""Numbers kept of an epoch: more than a curve shows, and a log of a kilobyte an epoch."""


class BatchLog(Callback):
    """Hands `{"batches_of": epoch, "loss": [mean of each piece]}` to `write` after each epoch.

    It reads what `Record` has kept, so that a step costs nothing more. The row has no `epoch`, by which
    the log tells it from the rows of the history.

    Args:
        record: of the same fit.
        write: makes the row last, such as `Run.log`.
    """

    order = LAST - 1
    only_looks = True
    in_script = False

    def __init__(self, record: Record, write: Callable[[Mapping[str, Any]], None]) -> None:
        self.record = record
        self.write = write

    def after_epoch(self, state: FitState) -> None:
        if self.record.losses:
            losses = torch.stack(self.record.losses).double().cpu().numpy()
            pieces = means_of_pieces(losses, np.array(self.record.counts))
            self.write({"batches_of": state.row["epoch"], "loss": pieces})


def means_of_pieces(losses: np.ndarray, counts: Sequence[int] | np.ndarray) -> list[float | None]:
    """Means over at most `PIECES` runs of consecutive batches, six digits each; None where not finite.

    Args:
        losses: (N,) of the batches.
        counts: (N,) terms that each is the mean of.
    """
    weights = np.asarray(counts, dtype=np.float64)
    parts = np.array_split(np.arange(len(losses)), min(PIECES, len(losses)))
    means = [float(losses[p] @ weights[p] / max(weights[p].sum(), 1)) for p in parts]
    return [float(f"{mean:.6g}") if math.isfinite(mean) else None for mean in means]
