"""Corpora larger than memory: the same ids with any number of processes, whole files or none."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, DataError
from drivetrain.text import corpus
from drivetrain.text.corpus import (
    done_in_order,
    num_cores,
    texts_of_files,
    tokenize_corpus,
    train_on_corpus,
)  # fmt: skip
from drivetrain.text.tokenizer import blocks, train_tokenizer
from drivetrain.text.worker import Worker, count_job, encode_job

TEXTS = [f"Text {i}: no no no, {'so ' * (i % 4)}good{i % 13}!!! xxpad" for i in range(300)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of some thousand letters, so that a few hundred texts are many."""
    monkeypatch.setattr(corpus, "blocks", lambda texts: blocks(texts, 1000))


@pytest.mark.parametrize("kind", ["word", "char", "bpe", "unigram"])
def test_folder_holds_what_encode_gives(kind, tmp_path):
    tokenizer = train_on_corpus(iter(TEXTS), kind, vocab_size=400, min_freq=1, num_workers=0)
    expected = train_tokenizer(TEXTS, kind, vocab_size=400, min_freq=1)
    assert tokenizer.to_json() == expected.to_json()
    found = tokenize_corpus(iter(TEXTS), tokenizer, tmp_path / "x", num_workers=0)
    tokens = tokenizer.encode(TEXTS)
    np.testing.assert_array_equal(found.ids, tokens.ids)
    np.testing.assert_array_equal(found.offsets, tokens.offsets)
    assert isinstance(found.ids, np.memmap) and found.ids.dtype == tokens.ids.dtype
    np.testing.assert_array_equal(TokenArray.open(tmp_path / "x").ids, tokens.ids)


@pytest.mark.parametrize("num_workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_processes_move_no_id(num_workers, tmp_path):
    expected = train_tokenizer(TEXTS, min_freq=1)
    tokenizer = train_on_corpus(TEXTS, min_freq=1, num_workers=num_workers)
    assert tokenizer.to_json() == expected.to_json()
    found = tokenize_corpus(TEXTS, tokenizer, tmp_path / "x", num_workers=num_workers)
    np.testing.assert_array_equal(found.ids, expected.encode(TEXTS).ids)


def test_a_small_corpus_starts_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "Worker", None)
    monkeypatch.setattr(corpus, "BLOCKS_ALONE", 1000)
    monkeypatch.setattr(corpus, "num_cores", lambda: 2)
    tokenizer = train_on_corpus(TEXTS)
    assert len(tokenize_corpus(TEXTS, tokenizer, tmp_path / "x")) == len(TEXTS)


@pytest.mark.slow
def test_a_large_corpus_starts_processes_after_some_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "num_cores", lambda: 2)
    tokenizer = train_tokenizer(TEXTS)
    found = tokenize_corpus(TEXTS, tokenizer, tmp_path / "x")
    np.testing.assert_array_equal(found.ids, tokenizer.encode(TEXTS).ids)


def test_an_empty_corpus_is_an_empty_array(tmp_path):
    tokenizer = train_tokenizer(TEXTS)
    for number, num_workers in enumerate((0, 2, None)):
        folder = tmp_path / str(number)
        assert len(tokenize_corpus([], tokenizer, folder, num_workers=num_workers)) == 0
        assert len(TokenArray.open(folder)) == 0


def test_texts_are_taken_as_they_are_needed():
    """Of a stream without end only so many blocks are taken as can be worked on."""
    taken = itertools.count()
    stream = ([f"text {next(taken)}"] for _ in itertools.repeat(None))
    answers = done_in_order(stream, count_job("word", frozenset()), 1)
    for number in range(20):
        assert next(answers)[str(number)] == 1
    assert next(taken) <= 20 + 2 * 1 + 2
    answers.close()


def test_memory_is_bounded(tmp_path):
    tokenizer = train_tokenizer(TEXTS, min_freq=1)
    tokenizer.encode(TEXTS)

    def most(count: int) -> int:
        texts = (TEXTS[i % 300] for i in range(count))
        tracemalloc.start()
        tokenize_corpus(texts, tokenizer, tmp_path / str(count), num_workers=0)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    offsets = 2 * 8 * 1500  # read at the end, and checked
    most(150)
    assert most(1500) < most(300) + 3 * offsets


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_what_is_no_text_leaves_nothing_behind(tmp_path, num_workers):
    tokenizer = train_tokenizer(TEXTS)
    with pytest.raises(DataError, match=r"^Text 200 is no string but int\.$"):
        tokenize_corpus([*TEXTS[:200], 3], tokenizer, tmp_path / "x", num_workers=num_workers)
    assert list(tmp_path.iterdir()) == []


def test_wrong_number_of_processes_is_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        train_on_corpus(TEXTS, num_workers=65)
    assert str(caught.value) == "`num_workers` must be in 0..64. Got 65."
    assert 1 <= num_cores() <= 64


def test_a_process_that_is_killed_is_reported():
    worker = Worker(encode_job(train_tokenizer(TEXTS)))
    assert len(worker.ask(["a", "b"])) == 2
    worker._process.kill()
    with pytest.raises(DataError) as caught:
        worker.ask(["a"])
    assert str(caught.value) == (
        "A process that tokenises ended with code -9. "
        "Use `num_workers=0` to see the cause, or give the machine more memory."
    )
    worker.end()


def test_a_process_says_what_it_refuses_and_goes_on():
    worker = Worker(count_job("word", frozenset()))
    with pytest.raises(DataError, match=r"^Text 0 is no string but int\.$"):
        worker.ask([3])  # pyright: ignore[reportArgumentType]
    assert worker.ask(["\ud800 a"]) == {"\ufffd": 1, "a": 1}
    worker.end()
    assert worker._process.returncode == 0


def test_a_process_needs_no_torch():
    code = (
        "import sys; import drivetrain.text.worker\n"
        "print([m for m in ('torch', 'tokenizers', 'transformers') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


@pytest.mark.slow
def test_a_kill_leaves_no_folder_and_no_process(tmp_path):
    code = (
        "import itertools\n"
        "from drivetrain.text.corpus import tokenize_corpus\n"
        "from drivetrain.text.tokenizer import train_tokenizer\n"
        "tokenizer = train_tokenizer(['a b c'], min_freq=1)\n"
        "print('begun', flush=True)\n"
        "texts = itertools.repeat('a b c ' * 9999)\n"
        f"tokenize_corpus(texts, tokenizer, {str(tmp_path / 'x')!r}, num_workers=1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".x.*/ids.bin*")) + list(tmp_path.glob(".x.*/.ids.bin*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "x").exists()
    while True:  # the worker sees the end of its pipe; the group is then empty
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- files -----------------------------------------------------------------------------------------


def test_files_are_texts_or_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes("one\r\n\n \ntwo é".encode())
    (tmp_path / "b.txt").write_bytes(b"caf\xe9\x00\n")
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    assert list(texts_of_files(paths)) == ["one\r\n\n \ntwo é", "caf\ufffd\x00\n"]
    assert list(texts_of_files(paths, lines=True)) == ["one", "two é", "caf\ufffd\x00"]


def test_long_lines_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_LINE", 4)
    (tmp_path / "a.txt").write_bytes(b"abcdefghij\nk")
    assert list(texts_of_files([tmp_path / "a.txt"], lines=True)) == ["abcd", "efgh", "ij", "k"]


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        list(texts_of_files([tmp_path / "no.txt"]))
    assert str(caught.value) == f"{tmp_path / 'no.txt'} cannot be read: No such file or directory."
