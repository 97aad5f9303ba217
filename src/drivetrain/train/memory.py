"""How much memory training takes: one batch, forward, backward and step, and everything is put back.

    print(dry_run(learner))
    peak 412.0 MB at batch 64 (58.0 MB + 5.5 MB an item); this machine has 18.2 GB free: the largest
    batch is about 1,600

Two sizes of batch are run, and a line is laid through their peaks: what is there for any batch, and
what an item adds (inputs, activations). The optimizer's step has a peak of its own, which does not grow
with the batch. On CUDA the peak is torch's own counter. Elsewhere every tensor that an operation makes
is followed until its storage is freed; what a kernel uses inside itself and what the allocator keeps in
pieces is not seen. Beside the growth of the process (Linux) the count of a small convolution net was
right to 0.3 percent where the C library gives freed tensors back (MALLOC_MMAP_THRESHOLD_=65536). With
glibc's own settings an item took 0 to 37 percent more, and for a ResNet that was not in channels-last
order 2.0 times as much. Hence the half of the free memory that is left.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from drivetrain.data.loaders import Loaders
from drivetrain.errors import ConfigError
from drivetrain.models.device import threads
from drivetrain.optim.groups import spread_lrs
from drivetrain.randomness import preserved
from drivetrain.train import loop, optimizing
from drivetrain.train.callback import Callback
from drivetrain.train.journal import Stage
from drivetrain.train.lr_find import unchanged, undone, unmoved
from drivetrain.train.state import FitState

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

USED = {"cuda": 0.9}
USED_ELSEWHERE = 0.5
"""Share of the free memory that the largest batch may take, as it is counted here."""

RATE = 1e-6
"""Learning rate of the step that is taken back."""


@dataclass(frozen=True)
class MemoryReport:
    """What a dry run found; bytes throughout. Printed, it is one sentence."""

    peak: int
    """At the batch size that was asked for; the weights included."""
    batch_size: int
    weights: int
    """Parameters and buffers, which are there already."""
    fixed: int
    """Of the peak of forward and backward, what does not depend on the batch."""
    per_item: int
    """What each item of a batch adds."""
    step: int
    """The peak of the optimizer's step, at any batch."""
    free: int | None
    """What this process may still take; None where the system does not say."""
    largest_batch: int | None
    """Items that fit, about; 0 where not one does; None where the free memory is not known."""
    device: str

    def at(self, batch_size: int) -> int:
        """The peak at another batch size, by the line."""
        return max(self.fixed + self.per_item * batch_size, self.step)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        parts = f"({size(self.fixed)} + {size(self.per_item)} an item"
        if self.step > self.fixed + self.per_item * self.batch_size:
            parts += f"; the optimizer's step {size(self.step)}"
        parts += ")"
        found = f"peak {size(self.peak)} at batch {self.batch_size:,} {parts}"
        if self.free is None or self.largest_batch is None:
            return f"{found}; how much memory is free is not known here"
        where = "this machine" if self.device == "cpu" else f"the device {self.device}"
        if not self.largest_batch:
            return f"{found}; {where} has {size(self.free)} free: not even one item fits"
        return (
            f"{found}; {where} has {size(self.free)} free: "
            f"the largest batch is about {_rounded(self.largest_batch):,}"
        )


def dry_run(learner: Learner, *, batch_size: int | None = None) -> MemoryReport:
    """Train one batch and a half of one, measure the peaks, and take both back.

    Weights, statistics, optimizer, loaders and generators are as they were before. Callbacks are not run.

    Args:
        learner: is left as it was found.
        batch_size: items; by default those of the first training batch. More items than that batch has
            are made by repeating them.
    Raises: ConfigError: the training loader is empty, or its batches hold a single item.
    """
    batch = _first_batch(learner)
    items = loop.num_items(loop.call_of(batch)[2])
    count = items if batch_size is None else batch_size
    if count < 2:
        raise ConfigError(
            f"A dry run needs a batch of at least 2 items, to see what one adds. Got {count}."
        )
    free = free_memory(learner.device)
    less = max(count // 2, 1 if count < 4 else 2)
    with threads(learner.num_threads):
        small = _peaks(learner, _resized(batch, items, less))
        large = _peaks(learner, _resized(batch, items, count))
    return _report(
        learner,
        count,
        less,
        large,
        small,
        weights=sum(_sizes(_tensors_of(learner.model))),
        free=free,
    )


@dataclass(frozen=True)
class Peaks:
    """Bytes at the highest point of each part of a step."""

    forward: int
    backward: int
    step: int


def _report(
    learner: Learner,
    count: int,
    less: int,
    large: Peaks,
    small: Peaks,
    *,
    weights: int,
    free: int | None,
) -> MemoryReport:
    """The line through two points.

    A small batch has its peak at the end of the backward pass, where gradients weigh more than
    activations. What an item adds there says little of a large one, whose activations all live at the
    forward pass's end: so it is at least what it adds there.
    """
    items = count - less
    per_item = max(
        math.ceil((large.forward - small.forward) / items),
        math.ceil((large.backward - small.backward) / items),
        0,
    )
    fixed = max(max(large.forward, large.backward) - per_item * count, 0)
    largest = None
    if free is not None and per_item:
        room = int(USED.get(learner.device.type, USED_ELSEWHERE) * free) + weights
        largest = max((room - fixed) // per_item, 0) if large.step <= room else 0
    return MemoryReport(
        peak=max(large.forward, large.backward, large.step),
        batch_size=count,
        weights=weights,
        fixed=fixed,
        per_item=per_item,
        step=large.step,
        free=free,
        largest_batch=largest,
        device=str(learner.device),
    )


# --- measuring --------------------------------------------------------------------------------------


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of all storages that live, each once, and their peak.

    Args:
        tensors: those that live when it begins.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.bytes = 0
        """Alive now."""
        self.peak = 0
        """Most that lived at one time."""
        self._known: dict[int, Any] = {}
        for tensor in tensors:
            self._note(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, then count what it made."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf)
        return result

    def _note(self, tensor: Tensor) -> None:
        if tensor.layout != torch.strided or tensor.device.type == "meta":
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        count = storage.nbytes()
        if key in self._known:
            before, watch = self._known[key]
            self._known[key] = (count, watch)
            self._add(count - before)  # it was resized
            return
        self._known[key] = (count, weakref.finalize(storage, self._forget, key))
        self._add(count)

    def lap(self) -> int:
        """The peak since the last call; the next starts at what lives now."""
        peak, self.peak = self.peak, self.bytes
        return peak

    def _add(self, count: int) -> None:
        self.bytes += count
        self.peak = max(self.peak, self.bytes)

    def _forget(self, key: int) -> None:
        count, _ = self._known.pop(key, (0, None))
        self.bytes -= count

    def close(self) -> None:
        """Stop watching."""
        for _, watch in self._known.values():
            watch.detach()
        self._known.clear()


class _Laps(Callback):
    """Asks for the peak at the end of each part of the step."""

    def __init__(self, lap: Callable[[], int]) -> None:
        self.lap = lap
        self.found: list[int] = []

    def after_loss(self, state: FitState) -> None:
        """Forward is done, the loss included."""
        self.found.append(self.lap())

    def before_step(self, state: FitState) -> None:
        """Backward is done."""
        self.found.append(self.lap())

    def after_step(self, state: FitState) -> None:
        """The weights have moved."""
        self.found.append(self.lap())


def _peaks(learner: Learner, batch: Any) -> Peaks:
    """The peaks of one step on `batch`, weights and batch included."""
    model, made_by, groups = learner.model, learner.optimizer, learner.layer_groups
    own = isinstance(made_by, torch.optim.Optimizer)
    lrs = optimizing.own_rates(made_by) if own else spread_lrs(RATE, len(groups))
    stage = Stage("fit", "memory", lrs=list(lrs), weight_decay=learner.weight_decay)
    with ExitStack() as stack:
        stack.enter_context(undone(model, made_by))
        if isinstance(learner.loss_fn, nn.Module):
            stack.enter_context(unchanged(learner.loss_fn))
        optimizer = optimizing.optimizer_of(stage, made_by, model, groups)
        remembered = tree_leaves(made_by.state_dict()) if own else []
        leaves = [*_tensors_of(model), *tree_leaves(batch), *remembered]
        there = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if learner.device.type == "cuda":
            others = torch.cuda.memory_allocated(learner.device) - sum(
                _sizes([tensor for tensor in there if tensor.is_cuda])
            )
            laps = _Laps(lambda: _cuda_lap(learner.device) - others)
            laps.lap()
        else:
            live = LiveStorages(there)
            stack.callback(live.close)
            stack.enter_context(live)
            laps = _Laps(live.lap)
        loop.fit(
            FitState(
                model=model,
                loaders=Loaders([batch]),
                loss_fn=learner.loss_fn,
                optimizer=optimizer,
                epochs=1,
                callbacks=[laps],
                seed=learner.seed,
                device=learner.device,
            )
        )
    return Peaks(*laps.found)


def _cuda_lap(device: torch.device) -> int:
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def _first_batch(learner: Learner) -> Any:
    train = learner.loaders.train
    with preserved(), unmoved(train):
        batch = next(iter(loop.epoch_of(train, learner.seed, 0)), None)
    if batch is None:
        raise ConfigError("The training loader is empty: there is nothing to learn from.")
    return batch


def _resized(batch: Any, items: int, count: int) -> Any:
    """The batch with `count` items, repeated where there are fewer; copied, so that nothing is shared."""
    if isinstance(batch, Tensor) and batch.ndim and len(batch) == items:
        return batch[torch.arange(count, device=batch.device) % items]
    if isinstance(batch, dict):
        return {key: _resized(value, items, count) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple([_resized(part, items, count) for part in batch])
    return batch


def _tensors_of(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _sizes(tensors: list[Tensor]) -> Iterator[int]:
    """Bytes of each storage, shared ones once."""
    storages = {t.untyped_storage()._cdata: t.untyped_storage() for t in tensors}
    yield from (storage.nbytes() for storage in storages.values())


# --- what is free -----------------------------------------------------------------------------------


def free_memory(device: torch.device, *, root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take; None where the system does not say.

    The least of what the machine has available, what the process's control group leaves it, and what its
    limit on address space leaves it.

    Args:
        device: a CUDA device is asked itself.
        root: where `/proc` and `/sys` are.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    found = [_available(root), _group_leaves(root), _limit_leaves(root)]
    known = [value for value in found if value is not None]
    return max(min(known), 0) if known else None


def _available(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:  # no Linux: what is free at this moment, or all there is
        pages = os.sysconf(
            "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
        )
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _group_leaves(root: Path) -> int | None:
    """What the control group (a container's limit) leaves, by version 2 or 1, at each level above."""
    left: list[int] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            base, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in kinds.split(","):
            base = root / "sys/fs/cgroup/memory"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        own = base / path.lstrip("/")
        for folder in (own, *own.parents):
            top, now = _text(folder / limit).strip(), _text(folder / usage).strip()
            if top.isdigit() and now.isdigit():
                left.append(int(top) - int(now) + _reclaimable(folder))
            if folder == base:
                break
    return min(left) if left else None


def _reclaimable(folder: Path) -> int:
    """Bytes of the group's files in memory that are not in use: the system gives them up first."""
    for line in _text(folder / "memory.stat").splitlines():
        name, _, count = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and count.isdigit():
            return int(count)
    return 0


def _limit_leaves(root: Path) -> int | None:
    """What RLIMIT_AS (`ulimit -v`) leaves of the address space."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text(root / "proc/self/statm").split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def size(count: float) -> str:
    """Bytes in words, in powers of ten.

    >>> size(412_000_000), size(5_500), size(18.2e9)
    ('412.0 MB', '5.5 kB', '18.2 GB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count:.0f} bytes"


def _rounded(count: int) -> int:
    """To two digits, downwards: more would not be true."""
    unit = 10 ** max(int(math.log10(count)) - 1, 0)
    return count // unit * unit
