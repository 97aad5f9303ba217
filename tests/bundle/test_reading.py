"""Folders from strangers: what is read is a plain file, bounded, and what it says it is."""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain import store
from drivetrain.bundle import reading
from drivetrain.errors import BundleError, DrivetrainError

AGAIN = "Take it anew from where it came from."


def refused(path: Path, why: str, remedy: str = AGAIN):
    """The whole sentence."""
    return pytest.raises(
        BundleError, match=f"^{re.escape(f'{path} cannot be used: {why}. {remedy}')}$"
    )


def test_its_error_is_one_of_ours_and_a_value_error():
    assert issubclass(BundleError, DrivetrainError)
    assert issubclass(BundleError, ValueError)
    assert BundleError.exit_code == 2


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_is_its_files_with_their_bytes(tmp_path):
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "1.png").write_bytes(b"12")
    (tmp_path / "b.json").write_bytes(b"123")
    found = reading.check_folder(tmp_path, allowed=("b.json", "golden/*.png", "c.json"))
    assert found == {"b.json": 3, "golden/1.png": 2}


def test_a_star_stands_for_one_name(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    assert reading.check_folder(tmp_path, allowed=("a/*/*",)) == {"a/b/c": 0}
    with refused(tmp_path, "it holds 'a/b/c', which is no part of a bundle", "Remove it."):
        reading.check_folder(tmp_path, allowed=("a/*", "*/c", "a/b/d"))
    with refused(tmp_path, "it holds the folder 'a', which is no part of a bundle"):
        reading.check_folder(tmp_path, allowed=("*.png",))


def test_what_nobody_asked_for_is_refused(tmp_path):
    (tmp_path / "\x1b[2J.py").touch()
    with refused(tmp_path, r"it holds '\x1b[2J.py', which is no part of a bundle", "Remove it."):
        reading.check_folder(tmp_path, allowed=("*.json",))


def test_links_are_refused_and_hard_links_are_files(tmp_path):
    (tmp_path / "a").write_text("x")
    os.link(tmp_path / "a", tmp_path / "b")
    assert reading.check_folder(tmp_path, allowed=("a", "b")) == {"a": 1, "b": 1}
    (tmp_path / "c").symlink_to("a")
    with refused(tmp_path, "'c' is a link", "Put the file itself in its place."):
        reading.check_folder(tmp_path, allowed=("a", "b", "c"))


def test_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a")
    with refused(tmp_path, "'a' is a device, a pipe or a socket"):
        reading.check_folder(tmp_path, allowed=("a",))


def test_too_many_files_and_bytes_are_refused(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(b"1234")
    with refused(tmp_path, "it holds more than the 2 files allowed"):
        reading.check_folder(tmp_path, allowed=("*",), max_files=2)
    with refused(tmp_path, "its files have 12 bytes, 11 are allowed"):
        reading.check_folder(tmp_path, allowed=("*",), max_bytes=11)


def test_what_is_no_folder_is_said(tmp_path):
    with pytest.raises(BundleError, match=r"gone is not a bundle: there is no such folder\.$"):
        reading.check_folder(tmp_path / "gone", allowed=("*",))


# --- files ----------------------------------------------------------------------------------------


def test_bytes_are_those_of_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    assert reading.read_bytes(tmp_path / "a", limit=3) == b"123"
    with refused(tmp_path / "a", "it has 3 bytes, more than the 2 allowed"):
        reading.read_bytes(tmp_path / "a", limit=2)


def test_only_plain_files_are_read_and_none_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name, why in (
        ("pipe", "it is a device, a pipe or a socket"),
        ("link", "it is a link"),
        ("gone", "it does not exist"),
    ):
        with refused(tmp_path / name, why):
            reading.read_bytes(tmp_path / name, limit=100_000)
    with refused(tmp_path, "it cannot be read (Is a directory)"):
        reading.read_bytes(tmp_path, limit=9)
    with refused(Path("/dev/zero"), "it is a device, a pipe or a socket"):
        reading.read_bytes("/dev/zero", limit=9)


# --- JSON -----------------------------------------------------------------------------------------


def test_json_is_an_object(tmp_path):
    path = tmp_path / "a.json"
    store.write_json(path, {"a": [1, 2.5, "é", None, True, {}]})
    assert reading.read_json(path) == {"a": [1, 2.5, "é", None, True, {}]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a": 1, "a": 2}', "the name 'a' stands twice in one object"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": %s}' % (b"9" * 65), "a number has more than 64 digits"),
        (b'{"a": "%s"}' % (b"x" * 1001), "a string has more than 1000 letters"),
        (b'{"%s": 1}' % (b"x" * 1001), "a string has more than 1000 letters"),
        (b'{"a": "\\ud800"}', "a string is not Unicode text"),
        (b'{"a":' * 64 + b"[1]" + b"}" * 64, "it is nested deeper than 64 levels"),
        (b"[" * 100_000, "it is nested deeper than 64 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "it is nested deeper than 64 levels"),
        (b"[0" + b",0" * 500_000 + b"]", "it holds more than 500000 values"),
        (b'[""' + b',""' * 1_500_000 + b"]", "it holds more than 500000 values"),
        (
            b'{"a": 1,}',
            "Expecting property name enclosed in double quotes: line 1 column 9 (char 8)",
        ),
        (b"", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_other_json_is_refused_in_words(tmp_path, text, why):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with refused(path, f"it is not JSON as we write it: {why}"):
        reading.read_json(path, max_letters=1000)


@pytest.mark.parametrize("text", [b"[]", b"null", b'"a"', b"1"])
def test_json_that_is_no_object_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with refused(path, "it does not hold a JSON object"):
        reading.read_json(path)


def test_json_beyond_its_limit_is_not_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"{" + b" " * 100 + b"}")
    with refused(path, "it has 102 bytes, more than the 50 allowed"):
        reading.read_json(path, limit=50)


def test_brackets_within_strings_are_text(tmp_path):
    path = tmp_path / "a.json"
    value = {"a": "[" * 1000 + '\\"{' * 100, '"': "9" * 100}
    path.write_text(json.dumps(value))
    assert reading.read_json(path) == value


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(tree=TREES)
@settings(max_examples=60, deadline=None)
def test_what_python_writes_is_read_as_it_was(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps({"a": tree}), encoding="utf-8")
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a letter, as hypothesis likes them
        with pytest.raises(BundleError):
            reading.read_json(path)
    else:
        assert reading.read_json(path) == {"a": tree}


# --- tensors --------------------------------------------------------------------------------------

TENSORS = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "mask": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
}
EXPECTED = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()}


def written(path: Path, header: object, data: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_tensors_are_those_that_were_written(tmp_path):
    path = tmp_path / "a.safetensors"
    digest = store.write_tensors(path, TENSORS, {"module": "os"})
    found = reading.read_tensors(path, expected=EXPECTED, sha256=digest, require_finite=True)
    assert list(found) == list(EXPECTED)
    for name, tensor in TENSORS.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
    assert set(reading.read_tensors(path)) == set(TENSORS)


def test_another_hash_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    store.write_tensors(path, TENSORS)
    with refused(path, "its SHA-256 is not the one recorded"):
        reading.read_tensors(path, sha256="0" * 64)


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ({**EXPECTED, "more": (torch.float32, ())}, "it lacks the tensor 'more'"),
        ({}, "it holds the unknown tensor 'count' and 4 more"),
        (
            {**EXPECTED, "weight": (torch.float32, (3, 2))},
            "the tensor 'weight' is torch.float32 of shape (2, 3), "
            "expected torch.float32 of shape (3, 2)",
        ),
    ],
)
def test_other_tensors_than_expected_are_refused_before_any_is_made(
    tmp_path, monkeypatch, expected, why
):
    path = tmp_path / "a.safetensors"
    store.write_tensors(path, TENSORS)
    monkeypatch.setattr(torch, "empty", None)
    with refused(path, why):
        reading.read_tensors(path, expected=expected)


FIT = "the shape and the bytes of the tensor 'a' do not fit"
F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "why"),
    [
        ({"a": F32}, bytes(9), "its tensors take 8 bytes, and it holds 9"),
        ({"a": F32}, bytes(7), "its tensors take 8 bytes, and it holds 7"),
        ({"a": F32, "b": F32}, bytes(8), "its tensors overlap before 'b'"),
        ({"a": F32 | {"data_offsets": [1, 9]}}, bytes(9), "its tensors leave a hole before 'a'"),
        ({"a": F32 | {"data_offsets": [8, 0]}}, bytes(8), FIT),
        ({"a": F32 | {"data_offsets": [-8, 0]}}, bytes(8), "the place of the tensor 'a' is not one"),
        ({"a": F32 | {"data_offsets": [False, 8]}}, bytes(8), "the place of the tensor 'a' is not one"),
        ({"a": F32 | {"shape": [2.0]}}, bytes(8), "the shape of the tensor 'a' is not one"),
        ({"a": F32 | {"shape": [1] * 17}}, bytes(8), "the shape of the tensor 'a' is not one"),
        ({"a": F32 | {"shape": [2**40, 2**40]}}, bytes(8), FIT),
        ({"a": F32 | {"dtype": "O"}}, bytes(8), "the type 'O' of the tensor 'a' is not one of ours"),
        ({"a": F32 | {"dtype": "C64"}}, bytes(8), "the type 'C64' of the tensor 'a' is not one of ours"),
        ({"a": F32 | {"module": "os"}}, bytes(8), "its header does not describe the tensor 'a'"),
        ({"a": None}, bytes(8), "its header does not describe the tensor 'a'"),
        ({"": F32}, bytes(8), "a tensor's name has 0 letters, not 1 to 512"),
        ({"x" * 513: F32}, bytes(8), "a tensor's name has 513 letters, not 1 to 512"),
        ({"__metadata__": {"a": 1}, "a": F32}, bytes(8), "its __metadata__ does not hold strings alone"),
        ([], b"", "its header is not a JSON object"),
        (b'{"a": 1, "a": 1}', b"", "the name 'a' stands twice in one object"),
        (b"[" * 1000, b"", "it is nested deeper than 8 levels"),
    ],
)  # fmt: skip
def test_other_headers_are_refused_in_words(tmp_path, header, data, why):
    path = written(tmp_path / "a.safetensors", header, data)
    with refused(path, f"it is not a safetensors file: {why}"):
        reading.read_tensors(path)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is too short to have a header"),
        (b"\xff" * 8, "its header would end after the file does"),
        (struct.pack("<Q", 2**63) + b"{}", "its header would end after the file does"),
    ],
)
def test_what_has_no_header_is_refused(tmp_path, data, why):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with refused(path, f"it is not a safetensors file: {why}"):
        reading.read_tensors(path)


def test_bools_that_are_none_and_numbers_that_are_not_finite_are_refused(tmp_path):
    header = {"m": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}
    path = written(tmp_path / "a.safetensors", header, b"\x01\x02")
    with refused(path, "the tensor 'm' holds bytes that are no bools"):
        reading.read_tensors(path)
    store.write_tensors(path, {"w": torch.tensor([1.0, torch.inf])})
    assert reading.read_tensors(path)["w"][0] == 1
    with refused(path, "the tensor 'w' holds NaN or infinity"):
        reading.read_tensors(path, require_finite=True)
