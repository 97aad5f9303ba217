"""What a script says of labels that a patch corrected, and where it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.eject import corrections
from drivetrain.eject.corrections import (
    SUFFIX,
    Corrections,
    as_option,
    file_beside,
    read_beside,
    sha256_of,
    stop_if_other,
)
from drivetrain.eject.lift import Lifter
from drivetrain.tabular.ejecting.corrected import found_rows, with_labels, without

pytestmark = pytest.mark.row(16)


class Head:
    """The constants at the head of a script."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __call__(self, name: str, value: Any, reason: str) -> str:
        assert reason
        self.values[name] = value
        return name


def test_a_few_stand_in_the_head_of_the_script() -> None:
    head, made = Head(), Corrections({"cat/07.png": "dog"}, ("cat/09.png",))
    assert made.write("paths of pictures", head, Lifter()) == ([], {})
    assert head.values == {"RELABELLED": {"cat/07.png": "dog"}, "LEFT_OUT": ("cat/09.png",)}
    assert made.has("name") == "name in RELABELLED or name in LEFT_OUT"
    assert made.note("picture", "pictures") == (
        "By a patch of `drivetrain clean`, the label of 1 picture was corrected (RELABELLED) and 1 "
        "picture was left out (LEFT_OUT)."
    )


def test_of_one_kind_nothing_is_said_of_the_other() -> None:
    head, made = Head(), Corrections(left_out=(3, 1_000_000))
    made.write("rows", head, Lifter())
    assert head.values == {"LEFT_OUT": (3, 1_000_000)}
    assert made.has("row") == "row in LEFT_OUT"
    assert made.note("row", "rows") == (
        "By a patch of `drivetrain clean`, 2 rows were left out (LEFT_OUT)."
    )


def test_a_patch_that_did_nothing_is_not_mentioned() -> None:
    head, made = Head(), Corrections()
    assert made.write("rows", head, Lifter()) == ([], {})
    assert (head.values, made.note("row", "rows"), len(made)) == ({}, "", 0)


def test_many_lie_in_a_file_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "MOST", 2)
    head, made = Head(), Corrections({7: ">50K", 12: ">50K"}, (40,))
    (written,), files = made.write("rows", head, Lifter())
    assert json.loads(files[SUFFIX]) == {
        "relabelled": {"7": ">50K", "12": ">50K"},
        "left_out": [40],
    }
    assert written.text.splitlines() == [
        'LABELS = read_beside(Path(__file__).with_suffix(".labels.json"), LABELS_SHA256)',
        'RELABELLED = {int(row): label for row, label in LABELS["relabelled"].items()}',
        'LEFT_OUT = set(LABELS["left_out"])',
    ]
    assert list(head.values) == ["LABELS_SHA256"]
    assert made.note("row", "rows").endswith(
        "They lie in the file that ends in .labels.json, beside this one."
    )


def test_a_script_that_leaves_the_reading_to_the_library_gives_it_the_patch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"format": "drivetrain-patch", "version": 1, "changes": {"0" * 64: {"label": "dog"}}}
    head = Head()
    assert as_option(None, head, Lifter()).text == ""
    assert as_option(asked, head, Lifter()).text == ", patch=PATCH"
    assert head.values == {"PATCH": asked}
    monkeypatch.setattr(corrections, "MOST", 0)
    option = as_option(asked, head, Lifter())
    assert option.text == ", patch=LABELS"
    assert json.loads(option.beside[SUFFIX]) == asked


plain = st.none() | st.integers() | st.text(max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.lists(plain, max_size=3), plain)
def test_what_is_as_it_was_goes_on_and_what_is_more_stops(found: list[Any], more: Any) -> None:
    sha256 = sha256_of(found)
    stop_if_other(found, sha256)
    with pytest.raises(SystemExit) as stopped:
        stop_if_other([*found, more], sha256)
    assert str(stopped.value) == (
        "What was corrected by hand (RELABELLED, LEFT_OUT) does not stand in this data as it did in "
        "that of the run: something in these places, or its label, is another by now. Give the data of "
        "the run."
    )


def test_a_file_beside_may_have_the_line_ends_of_windows(tmp_path: Path) -> None:
    head, path = Head(), tmp_path / "a.labels.json"
    corrections.beside('{"left_out": [\n 1]}\n', head, Lifter())
    sha256 = head.values["LABELS_SHA256"]
    for ends in (b"\n", b"\r\n"):
        path.write_bytes(b'{"left_out": [' + ends + b" 1]}" + ends)
        assert read_beside(path, sha256) == {"left_out": [1]}
    path.write_text('{"left_out": [\n 2]}\n', "utf-8")
    with pytest.raises(SystemExit) as stopped:
        read_beside(path, sha256)
    assert str(stopped.value) == (
        f"{path} is not the file that was written with this script. Put that back."
    )
    path.unlink()
    with pytest.raises(SystemExit) as stopped:
        read_beside(path, sha256)
    assert str(stopped.value) == f"{path} is missing, which lies beside this script. Put it back."


def test_a_script_is_asked_for_what_lies_beside_it(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print(1)\n", "utf-8")
    assert file_beside(script) is None
    script.write_text(corrections.beside("{}", Head(), Lifter()), "utf-8")
    assert file_beside(script) == tmp_path / "train.labels.json"


rows = st.integers(0, 19)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(rows, st.sampled_from(["yes", "no", "odd"])), st.sets(rows))
def test_rows_of_a_table_are_relabelled_and_left_out(
    labels: dict[int, str], gone: set[int]
) -> None:
    old = [["yes", "no", None][n % 3] for n in range(20)]
    table = pa.table({"a": np.arange(20), "told": old, "b": old})
    fixed = without(with_labels(table, "told", labels), gone)
    kept = [n for n in range(20) if n not in gone]
    assert fixed["told"].to_pylist() == [labels.get(n, old[n]) for n in kept]
    assert fixed["a"].to_pylist() == kept and fixed["b"].to_pylist() == [old[n] for n in kept]
    assert fixed.column_names == table.column_names
    assert found_rows(table, [*gone, 23]) == [
        *([n, {"a": n, "told": old[n], "b": old[n]}] for n in sorted(gone)),
        [23],
    ]
