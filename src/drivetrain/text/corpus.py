"""A corpus that need not fit into memory: texts stream in, ids stream to the disk.

    tokenizer = train_on_corpus(texts_of_files(paths))                    # the first pass: counting
    tokens = tokenize_corpus(texts_of_files(paths), tokenizer, "corpus")  # the second one

Texts are taken in blocks of some four million letters. Several processes work at once, each on a block;
a few blocks wait at most, and answers come in the order of the texts. So memory is bounded, and neither
ids nor vocabulary depend on how many processes there are. A small corpus is done here: starting a
process takes as long as a million words.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from drivetrain.data.tokens import StrPath, TokenArray, token_writer
from drivetrain.errors import ConfigError, DataError
from drivetrain.text.tokenizer import (
    Counts,
    Tokenizer,
    blocks,
    tokenizer_of_counts,
    training_settings,
)  # fmt: skip
from drivetrain.text.worker import Worker, count_job, encode_job, task_of

BLOCKS_ALONE = 4
"""Blocks that are done in this process before others are started, unless their number is given."""
MOST_WORKERS = 64
LONGEST_LINE = 1 << 24
"""Bytes; a longer line is cut into several texts."""


def tokenize_corpus(
    texts: Iterable[str], tokenizer: Tokenizer, folder: StrPath, *, num_workers: int | None = None
) -> TokenArray:
    """The ids of all texts in a folder, as a TokenArray whose ids stay on the disk.

    Args:
        texts: gone through once.
        tokenizer: of the ids.
        folder: one of that name is replaced whole. It is there whole at the end, or not at all.
        num_workers: processes besides this one; 0 for none. Unless given, one for each core, and only
            where the corpus is large.
    Raises: DataError: a text is no string. StorageError: the disk refused. ConfigError: `num_workers`
        is not in 0..64.
    """
    with token_writer(folder, vocab_size=len(tokenizer.vocab)) as writer:
        for documents in done_in_order(blocks(texts), encode_job(tokenizer), num_workers):
            writer.append(documents)
    return TokenArray.open(folder)


def train_on_corpus(
    texts: Iterable[str],
    kind: str = "word",
    *,
    rules: Collection[str] | None = None,
    vocab_size: int | None = None,
    min_freq: int | None = None,
    num_workers: int | None = None,
) -> Tokenizer:
    """What `train_tokenizer` gives of the same texts, counted by several processes.

    Args:
        texts: gone through once.
        kind: "word", "char", "bpe" or "unigram".
        rules: that texts are cleaned by; see `train_tokenizer`.
        vocab_size: tokens at most; see `train_tokenizer`.
        min_freq: how often a token must occur; see `train_tokenizer`.
        num_workers: as of `tokenize_corpus`.
    """
    chosen, size, freq = training_settings(kind, rules, vocab_size, min_freq)
    counts = Counts()
    for found in done_in_order(blocks(texts), count_job(kind, chosen), num_workers):
        counts.add(found)
    return tokenizer_of_counts(counts.found, kind, chosen, size, freq)


def texts_of_files(paths: Iterable[StrPath], *, lines: bool = False) -> Iterator[str]:
    """The texts of files (UTF-8): each file one, or each line that is not blank.

    Bytes that are not UTF-8 become U+FFFD. A line of more than 16 million bytes is several texts.

    Args:
        paths: read in their order.
        lines: read line by line, for files that memory does not hold.
    Raises: DataError: a file cannot be read.
    """
    for path in paths:
        try:
            with open(path, "rb") as file:
                if not lines:
                    yield file.read().decode("utf-8", "replace")
                    continue
                while line := file.readline(LONGEST_LINE):
                    text = line.decode("utf-8", "replace").strip("\r\n")
                    if text and not text.isspace():
                        yield text
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{Path(path)} cannot be read: {reason}.") from error


def done_in_order(
    waiting: Iterator[list[str]], job: dict[str, Any], num_workers: int | None
) -> Iterator[Any]:
    """What a job makes of each block of texts, in their order."""
    if num_workers is not None and not 0 <= num_workers <= MOST_WORKERS:
        raise ConfigError(f"`num_workers` must be in 0..{MOST_WORKERS}. Got {num_workers}.")
    alone = BLOCKS_ALONE if num_workers is None else 0
    count = num_cores() if num_workers is None else num_workers
    if count <= 1 and num_workers is None:
        count = 0
    task = task_of(job)
    yield from map(task, islice(waiting, alone) if count else waiting)
    if count and (first := next(waiting, None)) is not None:
        yield from _by_workers(first, waiting, job, count)


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return min(os.cpu_count() or 1, MOST_WORKERS)


def _by_workers(
    first: list[str], waiting: Iterator[list[str]], job: dict[str, Any], count: int
) -> Iterator[Any]:
    """Processes do the blocks, each one at a time; twice as many blocks as processes wait at most."""
    idle: SimpleQueue[Worker] = SimpleQueue()
    workers: list[Worker] = []
    asked: deque[Future[Any]] = deque()
    is_done = False

    def ask(block: list[str]) -> Any:
        worker = idle.get()
        try:
            return worker.ask(block)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(count, thread_name_prefix="drivetrain-corpus") as pool:
        try:
            for _ in range(count):
                workers.append(Worker(job))
                idle.put(workers[-1])
            asked.append(pool.submit(ask, first))
            for block in waiting:
                asked.append(pool.submit(ask, block))
                if len(asked) > 2 * count:
                    yield asked.popleft().result()
            while asked:
                yield asked.popleft().result()
            is_done = True
        finally:
            for future in asked:
                future.cancel()
            for worker in workers:
                worker.end(now=not is_done)
