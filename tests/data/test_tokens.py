"""Documents in one flat array: in memory, on the disk, and from a stranger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.tokens import TokenArray, id_dtype, joined, token_writer
from drivetrain.errors import DataError, StorageError

LISTS = st.lists(st.lists(st.integers(0, 70_000), max_size=6), max_size=8)


def lists(tokens: TokenArray) -> list[list[int]]:
    return [document.tolist() for document in tokens]


@given(LISTS)
def test_lists_come_back(documents):
    tokens = TokenArray.from_lists(documents)
    assert lists(tokens) == documents
    assert tokens.lengths().tolist() == list(map(len, documents))
    largest = max((i for document in documents for i in document), default=0)
    assert tokens.ids.dtype == (np.uint16 if largest < 65_536 else np.int32)


@given(LISTS.filter(bool), st.data())
def test_take_is_a_list_of_documents(documents, data):
    chosen = data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=9))
    taken = TokenArray.from_lists(documents).take(np.array(chosen, np.int64))
    assert lists(taken) == [documents[d] for d in chosen]


@given(LISTS, LISTS)
def test_joined_arrays_are_the_documents_of_both(one, other):
    parts = [TokenArray.from_lists(one), TokenArray.from_lists(other)]
    assert lists(joined(parts)) == one + other


@given(documents=LISTS)
@settings(max_examples=25, deadline=None)
def test_folder_gives_the_same_array(documents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens") / "corpus"
    tokens = TokenArray.from_lists(documents)
    tokens.save(folder)
    found = TokenArray.open(folder)
    assert lists(found) == documents and found.ids.dtype == tokens.ids.dtype
    assert {path.name for path in folder.iterdir()} == {"ids.bin", "offsets.bin", "tokens.json"}


def test_opened_ids_stay_on_the_disk(tmp_path):
    TokenArray.from_lists([[1, 2], [3]]).save(tmp_path / "x")
    found = TokenArray.open(tmp_path / "x")
    assert isinstance(found.ids, np.memmap) and not found.ids.flags.writeable
    assert not isinstance(found.take(np.array([0])).ids, np.memmap)
    assert repr(found) == "<TokenArray of 2 documents, 3 ids, uint16>"


def test_documents_are_counted_from_both_ends():
    tokens = TokenArray.from_lists([[1], [2, 3]])
    assert tokens.document(-1).tolist() == [2, 3]
    with pytest.raises(IndexError, match=r"^There are 2 documents\. Got 2\.$"):
        tokens.document(2)
    with pytest.raises(IndexError, match=r"^Documents are 0 to 1\. Got -1 to 2\.$"):
        tokens.take(np.array([-1, 2]))


@pytest.mark.parametrize(
    ("documents", "size", "message"),
    [
        ([[1, -2]], None, "Ids must be in 0... Got -2 to 1."),
        ([[1, 5]], 5, "Ids must be in 0..4. Got 1 to 5."),
    ],
)
def test_ids_out_of_range_are_refused(documents, size, message):
    with pytest.raises(DataError) as caught:
        TokenArray.from_lists(documents, vocab_size=size)
    assert str(caught.value) == message


def test_the_vocabulary_decides_on_the_type():
    assert TokenArray.from_lists([[1]], vocab_size=70_000).ids.dtype == np.int32
    assert id_dtype(65_536) == np.uint16 and id_dtype(65_537) == np.int32


@pytest.mark.parametrize(
    ("ids", "offsets", "message"),
    [
        (np.zeros(2), [0, 2], "`ids` must be (N,) uint16 or int32. Got (2,) float64."),
        (np.zeros(2, np.int32), [], "`offsets` must be (D + 1,) int64. Got (0,) int64."),
        (np.zeros(2, np.int32), [0, 1], "`offsets` must rise from 0 to 2, the number of ids."),
        (
            np.zeros(2, np.int32),
            [0, 2, 1, 2],
            "`offsets` must rise from 0 to 2, the number of ids.",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(ids, offsets, message):
    with pytest.raises(DataError) as caught:
        TokenArray(ids, np.array(offsets, np.int64))
    assert str(caught.value) == message


def test_pieces_are_appended(tmp_path):
    with token_writer(tmp_path / "x", vocab_size=100_000) as writer:
        writer.append(TokenArray.from_lists([[1], []]))
        writer.append(TokenArray.from_lists([]))
        writer.append(TokenArray.from_lists([[70_000, 2]]))
    assert lists(TokenArray.open(tmp_path / "x")) == [[1], [], [70_000, 2]]


def test_an_id_that_does_not_fit_leaves_what_was_there(tmp_path):
    TokenArray.from_lists([[7]]).save(tmp_path / "x")
    large = TokenArray.from_lists([[70_000]])
    with (
        pytest.raises(DataError, match=r"^The id 70000 does not fit into uint16\.$"),
        token_writer(tmp_path / "x", vocab_size=100) as writer,
    ):
        writer.append(large)
    assert lists(TokenArray.open(tmp_path / "x")) == [[7]]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.slow
def test_a_kill_leaves_nothing_that_opens(tmp_path):
    code = (
        "import sys, time\n"
        "from drivetrain.data.tokens import TokenArray, token_writer\n"
        f"with token_writer({str(tmp_path / 'x')!r}, vocab_size=9) as writer:\n"
        "    writer.append(TokenArray.from_lists([[1, 2]]))\n"
        "    print('written', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(DataError, match="holds no token array"):
        TokenArray.open(tmp_path / "x")


FALLING = np.array([0, 9, 3]).tobytes()


def damaged(folder, name, data: bytes):
    TokenArray.from_lists([[1, 2], [3]]).save(folder)
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("ids.bin", b"12345", "ids.bin has 5 bytes, not 6."),
        ("offsets.bin", b"1" * 16, "offsets.bin has 16 bytes, not 24."),
        ("offsets.bin", FALLING, "`offsets` must rise from 0 to 3, the number of ids."),
        ("tokens.json", b"[]", "tokens.json does not hold format, dtype, num_ids, num_documents."),
        ("tokens.json", b"nul", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, name, data, reason):
    folder = damaged(tmp_path / "x", name, data)
    with pytest.raises(DataError) as caught:
        TokenArray.open(folder)
    assert str(caught.value) == f"{folder} is not a sound token array: {reason}"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("format", 2, "its format is 2, and this version reads 1."),
        ("dtype", "float64", "its type is 'float64', not uint16 or int32."),
        ("dtype", ["uint16"], "its type is \"['uint16']\", not uint16 or int32."),
        ("num_ids", -1, "tokens.json holds no sound counts."),
        ("num_ids", 10**30, "tokens.json holds no sound counts."),
        ("num_ids", True, "tokens.json holds no sound counts."),
        ("num_ids", 1 << 40, f"ids.bin has 6 bytes, not {1 << 41}."),
    ],
)
def test_records_of_strangers_are_refused(tmp_path, name, value, reason):
    TokenArray.from_lists([[1, 2], [3]]).save(tmp_path / "x")
    path = tmp_path / "x" / "tokens.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(DataError) as caught:
        TokenArray.open(tmp_path / "x")
    assert str(caught.value) == f"{tmp_path / 'x'} is not a sound token array: {reason}"


def test_links_and_missing_folders_are_refused(tmp_path):
    TokenArray.from_lists([[1]]).save(tmp_path / "x")
    os.rename(tmp_path / "x" / "ids.bin", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / "x" / "ids.bin")
    with pytest.raises(DataError) as caught:
        TokenArray.open(tmp_path / "x")
    assert str(caught.value) == f"{tmp_path / 'x'} is not a sound token array: it is a link"
    with pytest.raises(DataError) as caught:
        TokenArray.open(tmp_path / "y")
    path = tmp_path / "y" / "tokens.json"
    assert str(caught.value) == f"{tmp_path / 'y'} holds no token array: {path} is missing."


def test_ids_of_another_vocabulary_are_refused(tmp_path):
    TokenArray.from_lists([[1, 9], [3]]).save(tmp_path / "x")
    assert len(TokenArray.open(tmp_path / "x", vocab_size=10)) == 2
    with pytest.raises(DataError) as caught:
        TokenArray.open(tmp_path / "x", vocab_size=9)
    assert str(caught.value) == (
        f"{tmp_path / 'x'} holds ids from 0 to 9, and the vocabulary has 9 words."
    )


def test_a_file_in_the_way_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        TokenArray.from_lists([[1]]).save(tmp_path / "file" / "x")


def test_take_is_no_loop():
    """A hundred thousand documents in well under a second: a Python loop takes several."""
    offsets = np.arange(0, 20 * 100_001, 20, dtype=np.int64)
    tokens = TokenArray(np.zeros(offsets[-1], np.uint16), offsets)
    order = np.random.default_rng(0).permutation(100_000)
    start = time.process_time()
    tokens.take(order)
    assert time.process_time() - start < 1.0
