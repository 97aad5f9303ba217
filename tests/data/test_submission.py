"""data/submission.py: what a sample asks for, and files that hold exactly that."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.data.submission import Sample, Submission, file_names, outputs_of, table_of
from drivetrain.errors import ConfigError, DataError, InputError

PROBS = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
IDS = ("a", "b", "c")


def sample(tmp_path: Path, text: str) -> Sample:
    path = tmp_path / "sample.csv"
    path.write_bytes(text.encode())
    return Sample.read(path)


def filled(tmp_path: Path, text: str, classes: tuple[str, ...] = ("no", "yes")) -> Submission:
    return sample(tmp_path, text).filled(IDS, PROBS, classes=classes)


def cells(found: Submission) -> list[str]:
    return [row[1] for row in found.rows]


# --- forms ----------------------------------------------------------------------------------------


@pytest.mark.row(83)
@pytest.mark.parametrize(
    ("column", "values", "classes", "expected", "form"),
    [
        ("label", ["", "", ""], ("no", "yes"), ["no", "yes", "yes"], "the class"),
        ("label", ["no", "no", "yes"], ("no", "yes"), ["no", "yes", "yes"], "the class"),
        ("Survived", ["0", "1", "0"], ("0", "1"), ["0", "1", "1"], "the class"),
        ("Transported", ["False"] * 3, ("false", "true"), ["False", "True", "True"], "the class"),
        ("sick", ["0", "0", "0"], ("no", "yes"), ["0", "1", "1"], "1 for 'yes', else 0"),
        ("no", ["0", "0", "1"], ("no", "yes"), ["1", "0", "0"], "1 for 'no', else 0"),
        ("p", ["0.5"] * 3, ("no", "yes"), ["0.1", "0.8", "0.6"], "the probability of 'yes'"),
        ("p", ["0.5"] * 3, ("0", "1"), ["0.1", "0.8", "0.6"], "the probability of '1'"),
        ("no", ["0.5"] * 3, ("no", "yes"), ["0.9", "0.2", "0.4"], "the probability of 'no'"),
    ],
)
def test_one_column_says_by_its_values_what_it_wants(
    tmp_path: Path,
    column: str,
    values: list[str],
    classes: tuple[str, ...],
    expected: list[str],
    form: str,
) -> None:
    lines = [f"id,{column}", *(f"{i},{v}" for i, v in zip(IDS, values, strict=True))]
    found = filled(tmp_path, "\n".join(lines) + "\n", classes)
    assert (cells(found), found.form) == (expected, form)
    assert found.header == ("id", column)


@pytest.mark.row(83)
def test_a_column_for_each_class_takes_probabilities_in_the_samples_order(tmp_path: Path) -> None:
    found = filled(tmp_path, "id,yes,no\na,0,0\nb,0,0\nc,1,0\n")
    assert found.rows == [("a", "0.1", "0.9"), ("b", "0.8", "0.2"), ("c", "0.6", "0.4")]
    assert found.form == "the probability of each class"


@pytest.mark.row(83)
def test_numbers_are_written_whole(tmp_path: Path) -> None:
    one = sample(tmp_path, "id,price\nb,0\na,0\n")
    found = one.filled(["a", "b"], np.array([1 / 3, 1e10]))
    assert found.rows == [("b", "10000000000.0"), ("a", "0.3333333333333333")]
    assert found.form == "the number"
    many = sample(tmp_path, "id,width,height\nb,0,0\na,0,0\n")
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = many.filled(["a", "b"], values, targets=("height", "width"))
    assert found.rows == [("b", "4.0", "3.0"), ("a", "2.0", "1.0")]


@pytest.mark.row(83)
@given(order=st.permutations([f"{n:04}" for n in range(12)]), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_ids_keep_the_samples_order_and_each_its_own_answer(order: list[str], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(12)
    ids = [f"{n:04}" for n in shuffled]
    one = Sample("sample.csv", "id", tuple(order), {"value": ("0",) * 12})
    found = one.filled(ids, shuffled.astype(np.float64))
    assert [row[0] for row in found.rows] == order
    assert [float(row[1]) for row in found.rows] == [float(id_) for id_ in order]


@pytest.mark.row(83)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_files_as_windows_and_other_programs_write_them(
    tmp_path: Path, ends: str, delimiter: str
) -> None:
    lines = ["Image Id|Label", "007|", f'"x{delimiter}y"|', ""]
    one = sample(tmp_path, "\ufeff" + ends.join(lines).replace("|", delimiter))
    assert (one.id_column, tuple(one.columns), one.ids[0]) == ("Image Id", ("Label",), "007")
    found = one.filled([f"x{delimiter}y", "007"], PROBS[:2], classes=("no", "yes"))
    found.write(tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=delimiter))
    assert rows == [["Image Id", "Label"], ["007", "yes"], [f"x{delimiter}y", "no"]]


def test_a_comma_in_a_header_of_another_delimiter_does_not_mislead(tmp_path: Path) -> None:
    one = sample(tmp_path, "id;price, in euros\na;0\nb;0\n")
    assert (one.delimiter, tuple(one.columns)) == (";", ("price, in euros",))


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.row(83)
def test_ids_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    one = sample(tmp_path, "id,label\na,\nb,\nc,\nd,\n")
    path = tmp_path / "sample.csv"
    cases: list[tuple[str, list[str], dict[str, str]]] = [
        (
            f"{path} asks for 4 items, and 1 has no answer, such as 'd'. Predict all of them. Answers "
            "are for ids such as 'a'.",
            ["a", "b", "c"],
            {},
        ),
        (
            f"{path} asks for 4 items, and 2 have no answer, such as 'a'. It is damaged. Answers are for "
            "ids such as 'c'.",
            ["c", "d"],
            {"a": "It is damaged."},
        ),
        (
            f"{path} does not ask for 2 of the 6 items that were predicted, such as 'e'. Predict those "
            "of the sample only.",
            ["a", "b", "c", "d", "e", "f"],
            {},
        ),
        (
            "There is an answer for the id 'b' more than once. Ids stand once each.",
            ["a", "b", "b", "c", "d"],
            {},
        ),
    ]
    for sentence, ids, left_out in cases:
        with pytest.raises(DataError) as caught:
            one.filled(ids, np.zeros((len(ids), 2)), classes=("no", "yes"), left_out=left_out)
        assert str(caught.value) == sentence
    with pytest.raises(InputError) as caught:
        sample(tmp_path, "id,x\na,0\n").filled(["a"], np.array([np.nan]))
    assert str(caught.value) == (
        "A submission holds finite numbers, and the model predicted NaN or infinity."
    )


@pytest.mark.row(83)
def test_samples_that_ask_for_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    cases: list[tuple[str, str, tuple[str, ...]]] = [
        (
            f"{path} has 'maybe' in its column 'label', and the model predicts the classes no, yes. The "
            "column needs their names, or nothing; of two classes also 0 and 1, or probabilities.",
            "id,label\na,maybe\nb,no\nc,\n",
            ("no", "yes"),
        ),
        (
            f"{path} has the columns yes, perhaps, and the model predicts the classes no, yes. The "
            "sample needs one column, or one named after each of them.",
            "id,yes,perhaps\na,0,0\nb,0,0\nc,0,0\n",
            ("no", "yes"),
        ),
    ]
    for sentence, text, classes in cases:
        with pytest.raises(DataError) as caught:
            filled(tmp_path, text, classes)
        assert str(caught.value) == sentence
    three = np.full((3, 3), 1 / 3)
    with pytest.raises(DataError, match="has '0' in its column 'label'"):  # of two classes only
        sample(tmp_path, "id,label\na,0\nb,0\nc,0\n").filled(IDS, three, classes=("x", "y", "z"))


def test_files_that_are_no_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    needs = (
        f"{path} is no sample submission: it needs a header of different names, ids in its first column, "
        "and at least one column to fill. Its header: "
    )
    cases = [
        ("", f"{needs}."),
        ("id\na\n", f"{needs}id."),
        ("id,label\n", f"{needs}id, label."),
        ("id,x,x\na,0,0\n", f"{needs}id, x, x."),
        ("id,x\na,0\nb\n", f"{path}, row 2 has 1 fields, and the header 2. Repair it."),
        ("id,x\na,0\na,0\nb,0\n", f"{path} has the id 'a' more than once. Ids stand once each."),
    ]
    for text, sentence in cases:
        with pytest.raises(DataError) as caught:
            sample(tmp_path, text)
        assert str(caught.value) == sentence
    with pytest.raises(DataError) as caught:
        Sample.read(tmp_path / "gone.csv")
    assert (
        str(caught.value) == f"There is no file {tmp_path / 'gone.csv'}. Give a sample submission."
    )
    path.write_bytes(b"id,x\n\xff\xfe,0\n")
    with pytest.raises(DataError, match=r"cannot be read as a table"):
        Sample.read(path)


# --- names and tables -----------------------------------------------------------------------------


@pytest.mark.row(83)
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (("x/1.jpg", "y/2.jpg"), ["x/1.jpg", "y/2.jpg"]),
        (("1.jpg", "2.jpg"), ["1.jpg", "2.jpg"]),
        (("1", "2"), ["1", "2"]),
        (("x/1", "y/2"), ["x/1", "y/2"]),
    ],
)
def test_files_are_named_as_the_sample_names_them(
    ids: tuple[str, ...], expected: list[str]
) -> None:
    one = Sample("sample.csv", "id", ids, {"label": ("",) * 2})
    assert one.choose(file_names(["test/x/1.jpg", "test/y/2.jpg"], "test")) == expected


def test_answers_as_a_plain_table() -> None:
    label: dict[str, Any] = {
        "input": "a",
        "label": "no",
        "probabilities": {"no": 0.75, "yes": 0.25},
    }
    assert table_of([label]) == (
        ("input", "label", "probability of no", "probability of yes"),
        [("a", "no", "0.75", "0.25")],
    )
    several = {"input": "a", "labels": ["x", "z"], "probabilities": {"x": 0.75, "z": 0.5}}
    assert table_of([several])[1] == [("a", "x, z", "0.75", "0.5")]
    assert table_of([{"input": "a", "value": 0.5}]) == (("input", "value"), [("a", "0.5")])
    targets = {"input": "a", "targets": {"kind": {"label": "rice", "probability": 0.5}}}
    assert table_of([targets]) == (
        ("input", "kind", "probability of kind"),
        [("a", "rice", "0.5")],
    )
    outputs, classes = outputs_of([label])
    assert classes == ("no", "yes") and outputs.tolist() == [[0.75, 0.25]]
    with pytest.raises(ConfigError, match="Answers of this kind are not written as a table"):
        table_of([{"input": "a", "text": "b"}])
    with pytest.raises(DataError, match="A submission needs one class or number an item"):
        outputs_of([several])
    with pytest.raises(DataError, match="There is no answer that could be written"):
        outputs_of([])
