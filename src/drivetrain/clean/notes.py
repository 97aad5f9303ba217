"""What the server of the cleaning page leaves in the run: its port, and a line for each request.

    with Notes("runs/birds/clean") as notes:
        server = Server(desk, port=notes.last_port(), log=notes.add)
        notes.keep_port(server.port)

The port is kept, since a browser keeps what it could not send under the page's address: with another
port it would not find it again. The log is written every few seconds and not line by line: it is for
looking up, and no decision depends on it. Its lines have no token and no cookie.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.errors import DrivetrainError, StorageError

SECONDS = 2.0
"""Between two writes of the log."""
MOST_BYTES = 8 << 20
"""Of the log; it begins anew above that."""


class Notes:
    """The notes of one folder; a context, inside which the log is written."""

    def __init__(self, folder: store.StrPath) -> None:
        self.folder = Path(folder)
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def last_port(self) -> int:
        """The port of the last time; 0 where there is none."""
        with contextlib.suppress(DrivetrainError):
            found = store.read_json(self.folder / "port.json")
            port = found.get("port") if isinstance(found, dict) else None
            if type(port) is int and 1024 <= port < 65536:
                return port
        return 0

    def keep_port(self, port: int) -> None:
        """For the next time. A full disk does not stop the page from opening: it says so itself."""
        with contextlib.suppress(StorageError):
            store.write_json(self.folder / "port.json", {"port": port})

    def add(self, line: Mapping[str, Any]) -> None:
        """A line for the log."""
        with self._lock:
            self._lines.append(store.json_line(line))

    def write(self) -> None:
        """Write the lines that wait; where the disk refuses them they are gone."""
        with self._lock:
            lines, self._lines = self._lines, []
        if not lines:
            return
        path = self.folder / "log.jsonl"
        with contextlib.suppress(StorageError):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size > MOST_BYTES:
                    store.remove(path)
            store.append_bytes(path, b"".join(lines))

    def __enter__(self) -> Notes:
        self._thread = threading.Thread(target=self._run, daemon=True, name="drivetrain-clean-log")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.write()

    def _run(self) -> None:
        while not self._ended.wait(SECONDS):
            self.write()
