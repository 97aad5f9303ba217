"""A log for TensorBoard. Look at it with `tensorboard --logdir FOLDER`.

Two runs in the folder: `steps` over the batches, `epochs` over the epochs. A training that goes on
after a kill writes a purge mark into each, and TensorBoard forgets what stands after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivetrain._optional import require
from drivetrain.store import StrPath
from drivetrain.train.loggers.base import Kind, RunStart, Status


class TensorBoardLogger:
    """Writes scalars as TensorBoard events; the files are TensorBoard's own, written by its writer.

    Args:
        folder: where `steps` and `epochs` are made.
    Raises: MissingPackageError: TensorBoard is not installed.
    """

    def __init__(self, folder: StrPath) -> None:
        require("tensorboard", extra="log")
        self.folder = Path(folder)
        self._writers: dict[Kind, Any] = {}

    def start(self, run: RunStart) -> None:
        """Open the two runs, forgetting what a kill undid."""
        from torch.utils.tensorboard import SummaryWriter

        starts: dict[Kind, int] = {"step": run.step + 1, "epoch": run.epoch + 1}
        for kind, first in starts.items():
            folder = self.folder / f"{kind}s"
            seen = folder.is_dir() and any(folder.iterdir())
            self._writers[kind] = SummaryWriter(folder, purge_step=first if seen else None)

    def log(self, step: int, values: Mapping[str, float], kind: Kind) -> None:
        """One scalar a name, at the step, or at the number of epochs done."""
        at = int(values["epoch"]) + 1 if kind == "epoch" else step
        for name, value in values.items():
            if name != "epoch":
                self._writers[kind].add_scalar(name, value, at)

    def flush(self) -> None:
        """Write what TensorBoard's writer holds back."""
        for writer in self._writers.values():
            writer.flush()

    def finish(self, status: Status) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the folder says all."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take."""
