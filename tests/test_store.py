"""Durable writes: whole or not at all, read back and checked, refusals in whole sentences."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import store
from drivetrain.errors import RunError, StorageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(code: int):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


# --- atomic writes --------------------------------------------------------------------------------


def test_write_makes_folders_and_answers_the_hash(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    assert store.write_bytes(path, b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert path.read_bytes() == b"abc"
    assert names(path.parent) == ["file.bin"]
    assert store.file_sha256(path) == hashlib.sha256(b"abc").hexdigest()


def test_write_replaces_the_old_file_whole(tmp_path):
    path = tmp_path / "file"
    store.write_bytes(path, b"x" * 1000)
    store.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_failed_write_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch, name):
    path = tmp_path / "file"
    store.write_bytes(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing(errno.EIO))
        with pytest.raises(StorageError):
            store.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_interrupted_write_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch):
    path = tmp_path / "file"
    store.write_bytes(path, b"old")

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Content flushed, then renamed, then the folder flushed: the order that survives a power cut."""
    done = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle):
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "content")
        fsync(handle)

    def note_replace(source, target):
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    store.write_bytes(tmp_path / "file", b"abc")
    assert done == ["content", "rename", "folder"]


def test_temporary_stands_in_the_same_folder(tmp_path, monkeypatch):
    """A rename is atomic only within one file system."""
    seen = []
    replace = os.replace

    def note(source, target):
        seen.append((Path(source).parent, Path(target).parent))
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    store.write_bytes(tmp_path / "deep" / "file", b"abc")
    assert seen == [(tmp_path / "deep", tmp_path / "deep")]


def test_file_has_the_rights_that_any_new_file_has(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    store.write_bytes(tmp_path / "stored", b"")
    assert stat.S_IMODE((tmp_path / "stored").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_longest_possible_name_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    store.write_bytes(path, b"abc")
    assert path.read_bytes() == b"abc"


def test_full_disk_is_said_in_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "file"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(StorageError) as caught:
            store.write_bytes(path, b"abc")
    assert str(caught.value) == (
        f"Could not write {path}: No space left on device. Free space or choose another folder."
    )
    assert caught.value.exit_code == 3
    assert names(tmp_path) == []


def test_full_disk_while_appending_is_said_in_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(StorageError) as caught:
            store.append_line(path, {"epoch": 1})
    assert str(caught.value) == (
        f"Could not append to {path}: No space left on device. Free space or choose another folder."
    )


def test_file_in_a_folders_place_is_refused(tmp_path):
    (tmp_path / "taken").write_bytes(b"")
    path = tmp_path / "taken" / "file"
    with pytest.raises(StorageError) as caught:
        store.write_bytes(path, b"abc")
    assert str(caught.value).startswith(f"Could not write {path}: ")
    assert str(caught.value).endswith(" Free space or choose another folder.")


def test_folder_in_the_files_place_is_refused_and_left(tmp_path):
    path = tmp_path / "taken"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"^Could not write .*taken: Is a directory\."):
        store.write_bytes(path, b"abc")
    assert names(tmp_path) == ["taken"]
    assert names(path) == ["inside"]


def test_a_device_or_a_pipe_is_left_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StorageError) as error:
        store.write_json(pipe, {})
    assert str(error.value) == (
        f"Could not write {pipe}: it is a device or a pipe, and a file would take its place. Give the "
        "name of a file."
    )
    assert stat.S_ISFIFO(os.stat(pipe).st_mode) and names(tmp_path) == ["pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_right_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match=r"^Could not write .*: Permission denied\."):
            store.write_bytes(tmp_path / "file", b"abc")
    finally:
        tmp_path.chmod(0o700)


# --- JSON -----------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON_VALUES)
@settings(max_examples=60, deadline=None)
def test_json_round_trip(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    store.write_json(path, value)
    assert store.read_json(path) == value


def test_json_has_no_nan_but_its_name(tmp_path):
    path = tmp_path / "value.json"
    store.write_json(path, {"loss": math.nan, "rows": [(math.inf, -math.inf)], "path": Path("a/b")})
    assert path.read_text() == (
        '{\n  "loss": "nan",\n  "rows": [\n    [\n      "inf",\n      "-inf"\n    ]\n  ],\n'
        '  "path": "a/b"\n}\n'
    )
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_json_keeps_letters_readable_and_odd_file_names_whole(tmp_path):
    path, odd = tmp_path / "value.json", os.fsdecode(b"caf\xe9.png")
    store.write_json(path, {"é": "日本", odd: 1})
    assert "日本" in path.read_text(encoding="utf-8", errors="surrogateescape")
    assert store.read_json(path) == {"é": "日本", odd: 1}


def test_json_refuses_what_it_cannot_hold():
    with pytest.raises(TypeError, match="Tensor is not JSON serializable"):
        store.to_json({"x": torch.ones(1)})


def test_missing_file_is_said(tmp_path):
    path = tmp_path / "run.json"
    with pytest.raises(RunError) as caught:
        store.read_json(path)
    assert str(caught.value) == f"{path} does not exist."


def test_damaged_json_is_said(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"epoch": ')
    with pytest.raises(RunError) as caught:
        store.read_json(path)
    assert str(caught.value) == (
        f"{path} is not JSON (Expecting value: line 1 column 11 (char 10)). Restore it from a copy."
    )


def test_folder_instead_of_a_file_is_said(tmp_path):
    with pytest.raises(StorageError) as caught:
        store.read_bytes(tmp_path)
    assert str(caught.value).startswith(f"Could not read {tmp_path}: Is a directory.")


# --- lines ----------------------------------------------------------------------------------------


def test_lines_round_trip_in_order(tmp_path):
    path = tmp_path / "runs" / "log.jsonl"
    rows = [{"epoch": i, "loss": 1 / (i + 1), "text": "a\nb\u2028c"} for i in range(3)]
    for row in rows:
        store.append_line(path, row)
    assert store.read_lines(path) == rows


def test_no_file_has_no_lines(tmp_path):
    assert store.read_lines(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize("cut", range(1, 14))
def test_line_cut_by_a_kill_is_left_out_and_written_past(tmp_path, cut):
    path = tmp_path / "log.jsonl"
    store.append_line(path, {"epoch": 0})
    store.append_line(path, {"epoch": 1})
    path.write_bytes(path.read_bytes()[:-cut])
    kept = (
        [{"epoch": 0}] if cut > 1 else [{"epoch": 0}, {"epoch": 1}]
    )  # cut 1: only the newline is gone
    assert store.read_lines(path) == kept
    store.append_line(path, {"epoch": 2})
    assert store.read_lines(path) == [*kept, {"epoch": 2}]


def test_line_cut_inside_a_letter_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    store.append_line(path, {"epoch": 0})
    path.write_bytes(path.read_bytes() + '{"label": "日'.encode()[:-1])
    assert store.read_lines(path) == [{"epoch": 0}]


# --- tensors --------------------------------------------------------------------------------------

TENSORS = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "mask": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "double": torch.tensor([math.pi], dtype=torch.float64),
}


def test_tensors_round_trip_to_the_bit(tmp_path):
    path = tmp_path / "model.safetensors"
    digest = store.write_tensors(path, TENSORS, {"made by": "a test"})
    found = store.read_tensors(path, sha256=digest)
    assert digest == store.file_sha256(path)
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_tied_weights_slices_and_transposes_can_be_written(tmp_path):
    tied = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "encoder": tied,
        "decoder": tied,
        "rows": tied[1:],
        "column": tied[:, 1],
        "turned": tied.T,
        "parameter": torch.nn.Parameter(tied),
    }
    path = tmp_path / "model.safetensors"
    store.write_tensors(path, tensors)
    found = store.read_tensors(path)
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor.detach()), name


def test_part_of_a_larger_memory_is_written_alone(tmp_path):
    large = torch.arange(1000.0)
    path = tmp_path / "model.safetensors"
    store.write_tensors(path, {"part": large[10:13]})
    assert store.read_tensors(path)["part"].tolist() == [10.0, 11.0, 12.0]
    assert path.stat().st_size < 200


def test_same_tensors_are_the_same_bytes(tmp_path):
    digests = {store.write_tensors(tmp_path / f"{i}", TENSORS) for i in range(3)}
    assert len(digests) == 1


def test_changed_byte_is_noticed_by_the_hash(tmp_path):
    path = tmp_path / "model.safetensors"
    digest = store.write_tensors(path, TENSORS)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError) as caught:
        store.read_tensors(path, sha256=digest)
    assert str(caught.value) == (
        f"{path} is damaged: its SHA-256 is not the one recorded. Restore it from a copy."
    )


@pytest.mark.parametrize("data", [b"", b"\x00" * 7, b"not tensors at all, just text"])
def test_file_that_holds_no_tensors_is_said(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(RunError, match=r"model\.safetensors is not a safetensors file: .*\.$"):
        store.read_tensors(path)


def test_cut_file_of_tensors_is_said(tmp_path):
    path = tmp_path / "model.safetensors"
    store.write_tensors(path, TENSORS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"is not a safetensors file"):
        store.read_tensors(path)


# --- the hash of weights --------------------------------------------------------------------------


def test_hash_of_weights_is_what_the_docstring_says():
    digest = hashlib.sha256()
    digest.update(b"a|torch.float32|(1, 1)|" + b"\x00\x00\x00\x3f")
    digest.update(b"b|torch.int64|(2,)|" + (1).to_bytes(8, "little") + (2).to_bytes(8, "little"))
    state = {"b": torch.tensor([1, 2]), "a": torch.tensor([[0.5]])}
    expected = "1a47debd20785e8afe84c89f8991d456efd9635caa2273b8bb17a7513084756f"
    assert store.weights_sha256(state) == digest.hexdigest() == expected


def test_hash_of_weights_does_not_depend_on_order_or_memory():
    square = torch.arange(9.0).reshape(3, 3)
    one = {"a": square.T, "b": torch.ones(1)}
    other = {"b": torch.ones(1, requires_grad=True), "a": square.T.clone()}
    assert store.weights_sha256(one) == store.weights_sha256(other)


@pytest.mark.parametrize(
    "other",
    [
        {"w": torch.tensor([1.0, 2.0000002])},
        {"w": torch.tensor([[1.0, 2.0]])},
        {"w": torch.tensor([1.0, 2.0], dtype=torch.float64)},
        {"v": torch.tensor([1.0, 2.0])},
        {"w": torch.tensor([1.0]), "x": torch.tensor([2.0])},
        {"w": torch.tensor([2.0, 1.0])},
        {},
    ],
)
def test_hash_of_weights_sees_every_difference(other):
    assert store.weights_sha256(other) != store.weights_sha256({"w": torch.tensor([1.0, 2.0])})


def test_hash_of_weights_tells_zero_from_minus_zero():
    zero = store.weights_sha256({"w": torch.tensor([0.0])})
    assert zero != store.weights_sha256({"w": torch.tensor([-0.0])})


def test_hash_of_weights_takes_every_kind_of_tensor():
    assert len(store.weights_sha256(TENSORS)) == 64
    assert len(store.weights_sha256(torch.nn.BatchNorm1d(3).state_dict())) == 64


# --- lines with a checksum, leftovers, and short writes -----------------------------------------------


def test_a_line_carries_its_checksum_and_stays_json(tmp_path):
    store.append_line(tmp_path / "log", {"epoch": 1, "what": "ä", "loss": 0.1})
    line = json.loads((tmp_path / "log").read_text(encoding="utf-8"))
    assert line == {"epoch": 1, "what": "ä", "loss": 0.1, "crc32": line["crc32"]}
    assert store.read_lines(tmp_path / "log") == [{"epoch": 1, "what": "ä", "loss": 0.1}]


def test_every_changed_byte_of_a_log_costs_its_line_only(tmp_path):
    path = tmp_path / "log"
    rows = [{"epoch": n, "loss": 1 / (n + 1)} for n in range(3)]
    for row in rows:
        store.append_line(path, row)
    whole = path.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1
        path.write_bytes(bytes(data))
        line = sum(end < place for end in ends)
        found = store.read_lines(path)
        lost = {line, line + 1} if place in ends else {line}  # two lines that became one
        assert found == [row for n, row in enumerate(rows) if n not in lost], place


def test_a_line_that_somebody_else_wrote_is_left_out(tmp_path):
    (tmp_path / "log").write_text('{"epoch": 0}\n{"epoch": 0, "crc32": "00000000"}\n')
    assert store.read_lines(tmp_path / "log") == []


def test_what_a_kill_left_half_done_is_swept_away(tmp_path):
    store.write_bytes(tmp_path / "file", b"whole")
    (tmp_path / ".file.0123abcd.tmp").write_bytes(b"ha")
    (tmp_path / "mine.tmp").write_bytes(b"not ours")
    store.sweep(tmp_path)
    assert names(tmp_path) == ["file", "mine.tmp"]


def test_removing_what_is_not_there_is_no_error_and_a_refusal_is_said(tmp_path):
    store.remove(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError) as caught:
        store.remove(tmp_path / "folder")
    assert str(caught.value) == (
        f"Could not remove {tmp_path / 'folder'}: Is a directory. "
        "Free space or choose another folder."
    )


def test_a_system_that_takes_a_few_bytes_at_a_time_gets_all_of_them(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    store.write_bytes(tmp_path / "file", b"0123456789")
    store.append_line(tmp_path / "log", {"epoch": 0})
    assert (tmp_path / "file").read_bytes() == b"0123456789"
    assert store.read_lines(tmp_path / "log") == [{"epoch": 0}]


# --- folders from strangers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 2}', "the name 'a' stands twice in one object"),
        ('{"loss": NaN}', "NaN is not JSON"),
        ('{"loss": 1e999}', "the number 1e999 is too large"),
        ("[" * 100_000, "it is nested deeper than 64 levels"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "it is nested deeper than 64 levels"),
        ('{"a": %s}' % ("9" * 5000), "a number has more than 64 digits"),
        ("[0" + ",0" * 1_000_000 + "]", "it holds more than 1000000 values"),
    ],
)
def test_json_that_we_do_not_write_is_refused(tmp_path, text, why):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(RunError) as caught:
        store.read_json(path)
    assert str(caught.value) == f"{path} is not JSON ({why}). Restore it from a copy."


def test_neither_links_nor_pipes_are_read(tmp_path):
    store.write_json(tmp_path / "there.json", {})
    (tmp_path / "link").symlink_to("there.json")
    os.mkfifo(tmp_path / "pipe")
    for read in (store.read_json, store.read_tensors):
        with pytest.raises(
            RunError, match=r"link is not read: it is a link\. Put a plain file in its"
        ):
            read(tmp_path / "link")
        with pytest.raises(
            RunError, match=r"pipe is not read: it is a device, a pipe or a socket\. "
        ):
            read(tmp_path / "pipe")


def test_a_line_that_is_too_deep_is_left_out(tmp_path):
    store.append_line(tmp_path / "log", {"epoch": 0})
    body = b'{"epoch": ' + b"[" * 5000 + b"]" * 5000
    store.append_bytes(
        tmp_path / "log", b'%s, "crc32": "%08x"}\n' % (body, zlib.crc32(body + b"}"))
    )
    assert store.read_lines(tmp_path / "log") == [{"epoch": 0}]


def test_tensors_with_bytes_that_are_no_bools_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    store.write_tensors(path, {"mask": torch.tensor([True, False])})
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(RunError, match=r"is damaged: 'mask' holds bytes that are no bools\.$"):
        store.read_tensors(path)


def test_weights_are_hashed_by_their_values_not_by_how_they_lie_in_memory() -> None:
    strided = torch.arange(6.0).reshape(3, 2)[:, 0]
    one = torch.tensor([[1.0, 2.0]]).T[0]  # a single number, which torch calls contiguous as it is
    assert one.stride() == (2,)
    plain = {"a": torch.tensor([0.0, 2.0, 4.0]), "b": torch.tensor([1.0])}
    assert store.weights_sha256({"a": strided, "b": one}) == store.weights_sha256(plain)


def test_nothing_is_written_of_an_empty_array(tmp_path: Path):
    with store.streamed(tmp_path / "ids.bin") as file:
        assert file.write(np.zeros((0, 3))) == 0
        assert file.write(np.array([7], dtype="<u2")) == 2
    assert (tmp_path / "ids.bin").read_bytes() == b"\x07\x00"
