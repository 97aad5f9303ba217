"""The device a model runs on, and how many threads it uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from drivetrain.errors import ConfigError

MOST_THREADS = 1024
"""Beyond any machine this is for; the thread pool of torch ends the process at numbers it cannot make."""


def default_device() -> torch.device:
    """CUDA where torch can use it, then Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Run a block with `count` torch threads; None leaves them. Put back afterwards.

    The number is part of a run's record: sums are cut into as many pieces, so the last bits of a result
    can depend on it.

    Raises: ConfigError: not a whole number from 1 to `MOST_THREADS`.
    """
    if count is not None and not (type(count) is int and 1 <= count <= MOST_THREADS):
        raise ConfigError(f"`num_threads` must be from 1 to {MOST_THREADS}. Got {count!r}.")
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
