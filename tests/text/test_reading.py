"""Reading texts, whatever is in them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from drivetrain.errors import ConfigError, DataError
from drivetrain.text.reading import (
    Repairs,
    Texts,
    decoded,
    filled,
    looks_like_text,
    read_folder,
    read_table,
    template_of,
    tidied,
)
from tests.text.moods import moods, write_csv

ODD = "Zoë naïve – “weiß” Ωmega 日本"


@pytest.mark.parametrize(
    ("encoding", "mark", "note"),
    [
        ("utf-8", b"", []),
        ("utf-8", b"\xef\xbb\xbf", []),
        ("utf-16-le", b"\xff\xfe", ["a.txt is UTF-16 or UTF-32, as its mark says."]),
        ("utf-16-be", b"\xfe\xff", ["a.txt is UTF-16 or UTF-32, as its mark says."]),
        ("utf-32-le", b"\xff\xfe\0\0", ["a.txt is UTF-16 or UTF-32, as its mark says."]),
    ],
)
def test_encodings_are_found(encoding: str, mark: bytes, note: list[str]) -> None:
    repairs = Repairs()
    assert decoded(mark + ODD.encode(encoding), "a.txt", repairs) == ODD
    assert repairs.notes() == note


def test_what_is_no_utf8_is_cp1252_or_damage_and_said() -> None:
    repairs = Repairs()
    assert decoded("Café, naïve".encode("cp1252"), "old.txt", repairs) == "Café, naïve"
    damaged = "Café naïve Zoë".encode() + b"\xff!"
    assert decoded(damaged, "hurt.txt", repairs) == "Café naïve Zoë\ufffd!"
    assert repairs.notes() == [
        "hurt.txt holds bytes that are no text: each is U+FFFD now.",
        "old.txt is no UTF-8 and is read as Windows' cp1252.",
    ]


@given(st.binary(max_size=200))
def test_any_bytes_become_a_text_without_nuls_and_halves(data: bytes) -> None:
    repairs = Repairs()
    found = tidied(decoded(data, "x", repairs), "x", repairs)
    assert "\0" not in found and "\r" not in found
    assert found.encode("utf-8").decode("utf-8") == found


@given(st.text(st.characters(codec=None), max_size=50))
def test_any_string_is_tidied_once_and_for_all(text: str) -> None:
    found = tidied(text, "x", Repairs())
    assert tidied(found, "x", Repairs()) == found
    found.encode("utf-8")


def test_letters_that_are_seldom_seen_stay() -> None:
    text = "שלום \u200b\u202eabc\u202c e\u0301"
    assert tidied(text, "x", Repairs()) == text


def test_huge_lines_take_linear_time() -> None:
    texts = Texts()
    began = time.perf_counter()
    assert texts.add("long", "a\0" * 5_000_000, None, Repairs())
    assert time.perf_counter() - began < 2
    assert texts.texts == ["a" * 5_000_000]


def test_a_folder_gives_class_part_and_what_was_set_aside(tmp_path: Path) -> None:
    for name, data in {
        "train/pos/a.txt": b"good\r\n",
        "train/neg/b.txt": b"bad\0",
        "train/unsup/c.txt": b"no class",
        "test/pos/d.txt": b"fine",
        "train/pos/empty.txt": b" \n",
        "train/pos/picture.txt": bytes(range(256)) * 4,
        "loose.txt": b"in no folder",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = read_folder(tmp_path, labelled=True)
    assert found.ids == ["test/pos/d.txt", "train/neg/b.txt", "train/pos/a.txt"]
    assert found.texts == ["fine", "bad", "good\n"]
    assert found.labels == ["pos", "neg", "pos"] and found.parts == ["test", "train", "train"]
    assert {one.id: one.reason for one in found.quarantined} == {
        "train/pos/empty.txt": "empty",
        "train/pos/picture.txt": "not-a-text",
        "loose.txt": "no-label",
    }
    assert found.notes == [
        "1 text without a class was left out.",
        "train/neg/b.txt holds NULs, which are left out.",
        "train/pos/a.txt has other line ends than \\n: made the same.",
    ]


def test_folders_that_do_not_do_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"holds no text. Texts are files that end in .txt, .text, .md."
    ):
        read_folder(tmp_path, labelled=False)
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(DataError, match=r"are not in folders of their class: a.txt is in none."):
        read_folder(tmp_path, labelled=True)
    assert read_folder(tmp_path, labelled=False).texts == ["words"]


def test_the_column_that_looks_like_text_is_taken_and_said(tmp_path: Path) -> None:
    texts, labels = moods(20)
    path = write_csv(tmp_path / "r.csv", {"label": labels, "review": texts})
    found, columns = read_table(path)
    assert columns.texts == ("review",) and columns.target == ("label",)
    assert columns.reason.startswith("'review' has ") and "the next 'label' 1" in columns.reason
    assert found.texts == texts and found.labels == labels and found.ids[0] == "row 1"
    assert looks_like_text(path) == "review"
    plain = write_csv(tmp_path / "p.csv", {"size": list(range(20)), "colour": ["red"] * 20})
    assert looks_like_text(plain) is None


@pytest.mark.row(63)
def test_columns_are_composed_into_one_text() -> None:
    table = {"context": ["A47", "B1"], "target": ["act of", ""], "anchor": ["abatement", "x"]}
    found, _ = read_table(
        table, compose="TEXT1: {context}; TEXT2: {target}; ANC1: {anchor}", labelled=False
    )
    assert found.texts == [
        "TEXT1: A47; TEXT2: act of; ANC1: abatement",
        "TEXT1: B1; TEXT2: ; ANC1: x",
    ]
    found, _ = read_table(table, text_columns=["context", "anchor"], labelled=False)
    assert found.texts[0] == "TEXT1: A47; TEXT2: abatement"


@pytest.mark.parametrize("compose", ["{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{0}", "{}", "{other}"])
def test_a_template_holds_names_of_columns_and_nothing_else(compose: str) -> None:
    with pytest.raises(ConfigError, match=r"^`compose` holds names of columns in braces."):
        template_of(compose, ["a"])


def test_a_template_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^`compose` names no column."):
        template_of("words", ["a"])
    with pytest.raises(ConfigError, match=r"^`compose` is no template"):
        template_of("{a", ["a"])
    assert filled(template_of("{{{a}}}", ["a"]), {"a": "{a}"}) == "{{a}}"


def test_rows_without_text_or_label_are_set_aside_by_name() -> None:
    table = {"text": ["a b c d", "", "e f"], "label": ["x", "y", None]}
    found, _ = read_table(table)
    assert found.ids == ["row 1"]
    assert [(q.id, q.reason) for q in found.quarantined] == [
        ("row 2", "empty"),
        ("row 3", "no-label"),
    ]


def test_a_column_that_is_not_there_is_named_with_its_neighbours() -> None:
    with pytest.raises(DataError, match=r"There is no column 'revew'. Did you mean 'review'"):
        read_table({"review": ["a"], "label": ["b"]}, text_columns=["revew"])
    with pytest.raises(DataError, match=r"^Which column is to be predicted"):
        read_table({"review": ["a b"], "p": ["b"], "q": ["c"]}, text_columns=["review"])
