"""A log as JSON lines: `{"kind": "epoch", "step": 12, "epoch": 0, "valid_loss": 0.55, …}`.

Each line ends with its CRC-32; `store.read_lines` reads the file and leaves out what is damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.train.loggers.base import Kind, RunStart, Status, free_name, is_undone


class JSONLLogger:
    """Writes one line a step or epoch. NaN and infinity, which JSON has not, become "nan" and "inf".

    A log of another training that is in the place is moved aside to `log.1.jsonl`.

    Args:
        path: the file.
    """

    def __init__(self, path: store.StrPath) -> None:
        self.path = Path(path)
        self._new: list[dict[str, Any]] = []

    def start(self, run: RunStart) -> None:
        """Cut what a kill undid."""
        self._new = []
        rows = store.read_lines(self.path)
        undone = [row for row in rows if _is_undone(row, run)]
        if rows and not run.continues and (undone or not run.step):
            store.write_bytes(free_name(self.path), self.path.read_bytes())
            store.remove(self.path)
        elif undone:
            kept = [row for row in rows if not _is_undone(row, run)]
            store.write_bytes(self.path, b"".join(store.json_line(row) for row in kept))

    def log(self, step: int, values: Mapping[str, float], kind: Kind) -> None:
        """Note a line; `flush` writes it."""
        self._new.append({"kind": kind, "step": step, **values})

    def flush(self) -> None:
        """Append the lines noted so far."""
        if self._new:
            store.append_bytes(self.path, b"".join(store.json_line(row) for row in self._new))
            self._new = []

    def finish(self, status: Status) -> None:
        """Write what is left."""
        self.flush()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the file says all."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take."""


def _is_undone(row: Mapping[str, Any], run: RunStart) -> bool:
    epoch = int(row["epoch"]) if row["kind"] == "epoch" and "epoch" in row else None
    return is_undone(int(row["step"]), epoch, run)
