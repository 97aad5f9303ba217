"""Every random draw, derived from what it is for, never from hidden state.

A draw is a function of (seed, purpose, epoch, item id) or (seed, purpose, step). So shuffling,
augmentation, initialisation and dropout do not depend on how many workers there are, on what was
drawn before, or on where a run was cut: a resumed run needs no generator state, and looking at a
batch changes nothing that follows.

Two forms: `seeded` sets torch's own generator for code that draws from it (dropout, `nn.init`), and
`uniforms` is counter based, SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195) over
(key, counter), for one row of numbers an item, whichever batch the item is in.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Keys = npt.NDArray[np.uint64]


@functools.lru_cache(maxsize=4096)
def derive(seed: int, purpose: str, *ids: int | str) -> int:
    """A 63-bit number that depends on all its arguments and on nothing else.

    >>> derive(42, "shuffle", 0) == derive(42, "shuffle", 0) != derive(42, "shuffle", 1)
    True
    """
    text = "\x1f".join((str(seed), purpose, *map(str, ids)))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def item_keys(ids: Sequence[str]) -> Keys:
    """One 64-bit key an item, (N,) uint64, from the item's id alone."""
    digests = b"".join(
        hashlib.blake2b(i.encode("utf-8", "surrogateescape"), digest_size=8).digest() for i in ids
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def uniforms(keys: Keys, count: int, *, seed: int, purpose: str, epoch: int = 0) -> Tensor:
    """`count` numbers an item, (B, count) float32 in [0, 1), the same in whichever batch it stands.

    Args:
        keys: (B,) uint64 from `item_keys`.
        count: numbers for each item; the first k do not change when `count` grows.
    """
    start = np.uint64(derive(seed, purpose, epoch))
    with np.errstate(over="ignore"):  # wrapping round at 2**64 is the algorithm
        streams = _mix(np.asarray(keys, dtype=np.uint64) ^ start)  # (B,)
        counters = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN  # (count,)
        bits = _mix(streams[:, None] + counters[None, :])  # (B, count)
    return torch.from_numpy((bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24))


def permutation(n: int, *, seed: int, epoch: int, purpose: str = "shuffle") -> Tensor:
    """The order of `n` items in an epoch: (n,) int64, each index once."""
    generator = torch.Generator().manual_seed(derive(seed, purpose, epoch))
    return torch.randperm(n, generator=generator)


def set_generators(seed: int, purpose: str, step: int) -> None:
    """Set torch's global generators (CPU, and CUDA where in use) to the state of a step.

    Costs two microseconds, so that a loop can afford it at every step; `torch.manual_seed`, which
    does the same for every back-end, costs hundreds.
    """
    seed_generators(mixed(derive(seed, purpose) + step * 0x9E3779B97F4A7C15))


def set_all_generators(seed: int, purpose: str, *ids: int | str) -> None:
    """Set the global generators of torch, numpy and Python, for code of others that draws from them."""
    value = derive(seed, purpose, *ids)
    seed_generators(value)
    random.seed(value)
    np.random.seed(value & 0xFFFFFFFF)  # noqa: NPY002, TID251 - what others draw from


@contextmanager
def preserved() -> Iterator[None]:
    """Leave the global generators of torch, numpy and Python as they were found."""
    cpu = torch.default_generator.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    legacy, python = np.random.get_state(), random.getstate()  # noqa: NPY002 - as above
    try:
        yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002 - as above
        random.setstate(python)
        torch.default_generator.set_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def seeded(seed: int, purpose: str, *ids: int | str) -> Iterator[None]:
    """Run a block with torch's global generators derived; they are put back afterwards."""
    with preserved():
        seed_generators(derive(seed, purpose, *ids))
        yield


def seed_generators(value: int) -> None:
    """Set torch's global generators (CPU, and CUDA where in use) to one state."""
    torch.default_generator.manual_seed(value)
    if _cuda_in_use():
        torch.cuda.manual_seed_all(value)


_cuda_in_use = torch.cuda.is_initialized


def mixed(z: int) -> int:
    """A 63-bit number of which every bit depends on every bit of `z`."""
    z &= _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return (z ^ (z >> 31)) >> 1


_WORD = 0xFFFFFFFFFFFFFFFF
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: Keys) -> Keys:
    """SplitMix64's finaliser: every input bit changes every output bit with probability near 1/2."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
