"""A log as a CSV file that any spreadsheet opens.

kind,step,loss,lr,epoch,train_loss,valid_loss,accuracy,seconds
step,10,0.6931,0.01,,,,,
epoch,12,,,0,0.7012,0.5523,0.81,1.4
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.train.loggers.base import Kind, RunStart, Status, free_name, is_undone

FIXED: tuple[str, ...] = ("kind", "step")
"""The first columns of every row."""


class CSVLogger:
    """Writes one row a step or epoch; a number has all its digits, an empty cell is no number.

    The header has the columns of the rows so far. A row that brings a new one has the file written anew,
    which happens once for each kind of row. A log of another training that is in the place is moved
    aside to `log.1.csv` and never written over.

    Args:
        path: the file.
    """

    def __init__(self, path: store.StrPath) -> None:
        self.path = Path(path)
        self.columns: list[str] = list(FIXED)
        self._new: list[dict[str, Any]] = []
        self._needs_header = True

    def start(self, run: RunStart) -> None:
        """Read the columns of the file that is there; cut what a kill undid."""
        self._new, self.columns, self._needs_header = [], list(FIXED), True
        if not self.path.exists():
            return
        names, rows = _read(self.path)
        undone = [row for row in rows if _is_undone(row, run)]
        if not run.continues and (undone or not run.step):
            store.write_bytes(free_name(self.path), self.path.read_bytes())
            store.remove(self.path)
            return
        self.columns, self._needs_header = names, False
        if undone or not _ends_whole(self.path):
            self._write_all([row for row in rows if not _is_undone(row, run)])

    def log(self, step: int, values: Mapping[str, float], kind: Kind) -> None:
        """Note a row; `flush` writes it."""
        self._new.append({"kind": kind, "step": step, **values})

    def flush(self) -> None:
        """Append the rows noted so far."""
        if not self._new:
            return
        known = len(self.columns)
        self.columns = list(dict.fromkeys([*self.columns, *(n for row in self._new for n in row)]))
        if len(self.columns) > known and not self._needs_header:
            self._write_all([*_read(self.path)[1], *self._new])
        elif self._needs_header:
            self._write_all(self._new)
        else:
            store.append_bytes(self.path, _text(self._cells(self._new)).encode())
        self._new, self._needs_header = [], False

    def finish(self, status: Status) -> None:
        """Write what is left."""
        self.flush()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the file says all."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to take."""

    def _write_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        store.write_text(self.path, _text([self.columns, *self._cells(rows)]))

    def _cells(self, rows: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
        return [[row.get(name, "") for name in self.columns] for row in rows]


def _text(cells: Iterable[Iterable[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(cells)
    return buffer.getvalue()


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows; a last row that a kill tore is left out."""
    text = store.read_bytes(path).decode("utf-8", "surrogateescape")
    whole = text[: text.rfind("\n") + 1]
    lines = list(csv.reader(io.StringIO(whole, newline="")))
    if not lines or tuple(lines[0][:2]) != FIXED:
        raise ValueError(f"{path} is no log of Drivetrain: its first columns are not {FIXED}")
    names = lines[0]
    return names, [dict(zip(names, line, strict=False)) for line in lines[1:] if line]


def _is_undone(row: Mapping[str, str], run: RunStart) -> bool:
    epoch = int(float(row["epoch"])) if row["kind"] == "epoch" and row.get("epoch") else None
    return is_undone(int(row["step"]), epoch, run)


def _ends_whole(path: Path) -> bool:
    return store.read_bytes(path).endswith(b"\n")
