"""Desks and servers for tests of the cleaning page: made-up items, in this process or a forked one."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain.clean.desk import Desk
from drivetrain.clean.journal import Journal
from drivetrain.clean.outliers import Outliers
from drivetrain.clean.queue import Item, Queue, row_hash, text_hash
from drivetrain.clean.server import Server
from drivetrain.train.predictions import Predictions

CLASSES = ("beagle", "pug", "tabby")


def item_hash(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def make_items(count: int, kind: str = "picture", classes: Sequence[str] = CLASSES) -> list[Item]:
    found = []
    for at in range(count):
        label = classes[at % len(classes)]
        if kind == "picture":
            found.append(Item(item_hash(at), f"{label}/{at:03d}.png", label, "valid"))
        elif kind == "text":
            text = f"Text {at}. " + "A story that goes on. " * (at % 40)
            found.append(Item(text_hash(text), f"row {at + 1}", label, "valid", text=text))
        else:
            cells = (("age", str(20 + at)), ("job", "clerk"))
            found.append(Item(row_hash(dict(cells)), f"row {at + 1}", label, "valid", cells=cells))
    return found


def predictions_of(items: Sequence[Item], classes: Sequence[str] = CLASSES) -> Predictions:
    """Scores of a model that finds one label in 11 wrong, from a generator of its own."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.tensor([classes.index(item.label) for item in items])
    outputs = torch.randn(len(items), len(classes), generator=generator)
    wrong = torch.arange(len(items)) % 11 == 5
    outputs[range(len(items)), torch.where(wrong, (targets + 1) % len(classes), targets)] += 4
    losses = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    return Predictions([one.name for one in items], targets, outputs, losses, tuple(classes))


def make_queue(count: int = 30, kind: str = "picture", *, odd: Sequence[int] = ()) -> Queue:
    """Items in the order of doubt; some of them are unlike the others, and nearest to the first."""
    items = make_items(count, kind)
    flagged = np.isin(np.arange(count), odd)
    nearest = np.where(flagged, 0, -1)
    outliers = Outliers(6.0 * flagged, flagged, nearest, 6.0, "pixels") if odd else None
    return Queue.of(items, predictions_of(items), outliers=outliers)


KEEPERS = ("home", "shelter")
TARGETS = {"breed": CLASSES, "keeper": KEEPERS}


def make_several(count: int = 12, *, odd: Sequence[int] = ()) -> Queue:
    """Pictures with a breed and a keeper, in one queue; some are unlike the others."""
    items = make_items(count)
    flagged = np.isin(np.arange(count), odd)
    far = Outliers(6.0 * flagged, flagged, np.where(flagged, 0, -1), 6.0, "pixels") if odd else None
    queues = {"breed": Queue.of(items, predictions_of(items), outliers=far)}
    kept = [replace(one, label=KEEPERS[at % 2]) for at, one in enumerate(items)]
    queues["keeper"] = Queue.of(kept, predictions_of(kept, KEEPERS), outliers=far)
    return Queue.joined(queues)


def png_of(hash_: str) -> bytes:
    from PIL import Image

    held = io.BytesIO()
    Image.new("RGB", (24, 16), tuple(bytes.fromhex(hash_[:6]))).save(held, "PNG")
    return held.getvalue()


def make_desk(path: Path, queue: Queue | None = None, **options: Any) -> Desk:
    options = {"by": "ada", "title": "a run", "run": "r1", "picture": png_of, **options}
    return Desk(make_queue() if queue is None else queue, Journal(path), **options)


@contextmanager
def serving(desk: Desk, **options: Any) -> Iterator[Server]:
    """A server in a thread of this process."""
    with Server(desk, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.content)


def ours(server: Server) -> dict[str, str]:
    """The headers that our page sends."""
    return {
        "Host": f"127.0.0.1:{server.port}",
        "Cookie": f"{server.cookie}={server.session}",
        "Sec-Fetch-Site": "same-origin",
        "X-Drivetrain": "clean",
        "Origin": f"http://127.0.0.1:{server.port}",
    }


def request(
    server: Server,
    method: str,
    path: str,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
    body: bytes | None = None,
) -> Answer:
    """One request with just these headers; those that a client adds by itself are not."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = ours(server) if headers is None else headers
        for name, value in given.items() if isinstance(given, Mapping) else given:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        found = connection.getresponse()
        return Answer(found.status, dict(found.getheaders()), found.read())
    finally:
        connection.close()


def post(server: Server, path: str, value: Any) -> Answer:
    headers = {**ours(server), "Content-Type": "application/json"}
    return request(server, "POST", path, headers, json.dumps(value).encode())


class Forked:
    """A server in a process of its own, on one port over all its starts; to be killed."""

    def __init__(self, journal: Path, queue: Queue) -> None:
        self.journal, self.queue = journal, queue
        self.port = 0
        self.start_url = ""
        self.session = ""
        self.process = 0
        self.start()

    def start(self) -> None:
        reader, writer = os.pipe()
        self.process = os.fork()
        if not self.process:
            with suppress(BaseException):
                server = Server(make_desk(self.journal, self.queue), port=self.port)
                said = json.dumps([server.port, server.start_url, server.session]).encode()
                os.write(writer, said)
                os.close(writer)
                server.serve_forever(poll_interval=0.05)
            os._exit(1)
        os.close(writer)
        with open(reader, "rb") as pipe:
            self.port, self.start_url, self.session = json.loads(pipe.read())

    def kill(self) -> None:
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self.process = 0


@contextmanager
def forked(journal: Path, queue: Queue) -> Iterator[Forked]:
    found = Forked(journal, queue)
    try:
        yield found
    finally:
        found.kill()


def until(true: Any, *, seconds: float = 20) -> None:
    """Wait until something holds. Raises: AssertionError: it does not in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)
