"""Where pictures and their labels are found: folders, parts, names and tables as strangers have them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivetrain.data.items import Quarantined
from drivetrain.errors import ConfigError, DataError
from drivetrain.vision.sources import Found, find_by_name, find_in_csv, find_in_folder


def touch(root: Path, *names: str) -> Path:
    """Files by name; no finder opens a picture, so none needs to be one."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def labels(found: Found) -> dict[str, str]:
    return {item.id: item.label for item in found.items}


def parts(found: Found) -> dict[str, str]:
    assert found.parts is not None
    return {item.id: part for item, part in zip(found.items, found.parts, strict=True)}


def reasons(found: Found) -> dict[str, str]:
    return {entry.id: entry.reason for entry in found.set_aside}


def message(error: type[Exception], function: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        function(*args, **options)
    return str(caught.value)


# --- class folders --------------------------------------------------------------------------------


def test_the_folder_is_the_class(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "dog/2.jpg", "cat/1.jpg", "cat/0.PNG", "cat/notes.txt"))
    assert labels(found) == {"cat/0.PNG": "cat", "cat/1.jpg": "cat", "dog/2.jpg": "dog"}
    assert [item.id for item in found.items] == sorted(labels(found))
    assert found.items[0].path == tmp_path / "cat" / "0.PNG"
    assert found.parts is None
    assert found.set_aside == []


def test_deeper_folders_do_not_matter(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "cat/a/b/1.jpg", "dog/1.jpg"))
    assert labels(found) == {"cat/a/b/1.jpg": "cat", "dog/1.jpg": "dog"}


def test_hidden_files_and_folders_are_left_out(tmp_path: Path):
    touch(tmp_path, "cat/1.jpg", "cat/.1.jpg", ".cache/x.jpg", "dog/.thumbs/1.jpg", "dog/1.jpg")
    assert set(labels(find_in_folder(tmp_path))) == {"cat/1.jpg", "dog/1.jpg"}


def test_a_picture_in_no_class_folder_is_set_aside(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "cover.jpg", "cat/1.jpg", "dog/1.jpg"))
    assert set(labels(found)) == {"cat/1.jpg", "dog/1.jpg"}
    assert found.set_aside == [Quarantined("cover.jpg", "no-label", "It lies in no class folder.")]


def test_a_folder_of_one_class_is_found_as_it_is(tmp_path: Path):
    assert set(labels(find_in_folder(touch(tmp_path, "cat/1.jpg"))).values()) == {"cat"}


def test_names_of_any_alphabet_are_classes(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "猫/1.jpg", "grand chien/é.jpg"))
    assert set(labels(found).values()) == {"猫", "grand chien"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no names that are not text")
def test_a_name_that_is_no_text_is_found(tmp_path: Path):
    name = os.fsdecode(b"\xff.jpg")
    assert set(labels(find_in_folder(touch(tmp_path, f"cat/{name}")))) == {f"cat/{name}"}


def test_pictures_without_class_folders_say_what_to_do(tmp_path: Path):
    touch(tmp_path, "1.jpg", "2.jpg")
    assert message(DataError, find_in_folder, tmp_path) == (
        f"{tmp_path} holds 2 pictures, none of them in a class folder. "
        "Sort them into one folder a class, or label them by name: --pattern '^(.+)_[0-9]+'."
    )


def test_a_single_picture_is_one_picture(tmp_path: Path):
    text = message(DataError, find_in_folder, touch(tmp_path, "1.jpg"))
    assert text.startswith(f"{tmp_path} holds 1 picture, and not in a class folder. ")


def test_a_folder_without_pictures_says_what_was_looked_for(tmp_path: Path):
    touch(tmp_path, "cat/notes.txt")
    text = message(DataError, find_in_folder, tmp_path)
    assert text.startswith(f"{tmp_path} holds no pictures. Looked for: .bmp .dib .gif .jfif ")
    assert " .jpg " in text


@pytest.mark.parametrize(
    "find", [find_in_folder, lambda root: find_by_name(root, "^([a-z]+)")], ids=["folders", "names"]
)
def test_pictures_of_a_format_that_is_not_opened_are_set_aside_by_name(
    tmp_path: Path, find: Callable[[Path], Found]
):
    """A telephone's: a class of which all are such would be gone without a word."""
    touch(
        tmp_path, "cat/cat1.jpg", "dog/dog1.jpg", "bird/bird1.HEIC", "dog/notes.txt", "dog/dog2.dng"
    )
    found = find(tmp_path)
    assert set(labels(found)) == {"cat/cat1.jpg", "dog/dog1.jpg"}
    assert found.set_aside == [
        Quarantined(
            "bird/bird1.HEIC",
            "refused-format",
            "The format .heic is not opened here. Save it as JPEG or PNG.",
        ),
        Quarantined(
            "dog/dog2.dng",
            "refused-format",
            "The format .dng is not opened here. Save it as JPEG or PNG.",
        ),
    ]


def test_a_folder_of_nothing_else_says_so(tmp_path: Path):
    text = message(DataError, find_in_folder, touch(tmp_path, "cat/1.heic", "dog/2.heic"))
    assert text.endswith(
        " It holds 2 of others: cat/1.heic. The format .heic is not opened here. Save it as JPEG "
        "or PNG."
    )


def test_a_folder_that_is_not_there(tmp_path: Path):
    assert message(DataError, find_in_folder, tmp_path / "no") == (
        f"{tmp_path / 'no'} does not exist. Give a folder of pictures or a CSV file."
    )


def test_a_file_is_no_folder(tmp_path: Path):
    assert message(DataError, find_in_folder, touch(tmp_path, "a.jpg") / "a.jpg") == (
        f"{tmp_path / 'a.jpg'} is not a folder. Give a folder of pictures or a CSV file."
    )


def test_a_folder_that_may_not_be_read_is_no_empty_folder(tmp_path: Path, monkeypatch):
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    scandir = os.scandir  # rights do not bind every user that runs tests

    def refusing(path: Any) -> Any:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert message(DataError, find_in_folder, tmp_path) == (
        f"{tmp_path / 'dog'} cannot be read: Permission denied. Give yourself the right to list it."
    )


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize("valid", ["valid", "val", "Validation", "VAL"])
def test_part_folders_are_known_by_their_usual_names(tmp_path: Path, train: str, valid: str):
    touch(tmp_path, f"{train}/cat/1.jpg", f"{valid}/cat/2.jpg", "Test/dog/3.jpg")
    found = find_in_folder(tmp_path)
    assert parts(found) == {
        f"{train}/cat/1.jpg": "train",
        f"{valid}/cat/2.jpg": "valid",
        "Test/dog/3.jpg": "test",
    }
    assert labels(found)["Test/dog/3.jpg"] == "dog"


def test_train_and_test_alone_are_parts(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "train/cat/1.jpg", "test/cat/2.jpg"))
    assert set(parts(found).values()) == {"train", "test"}


def test_train_alone_is_a_part(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg"))
    assert labels(found) == {"train/cat/1.jpg": "cat", "train/dog/2.jpg": "dog"}


def test_below_a_part_deeper_folders_do_not_matter(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "train/cat/a/1.jpg", "valid/cat/b/c/2.jpg"))
    assert set(labels(found).values()) == {"cat"}


def test_a_picture_in_a_part_and_no_class_is_set_aside(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "train/cat/1.jpg", "test/2.jpg", "3.jpg"))
    assert reasons(found) == {"test/2.jpg": "no-label", "3.jpg": "no-label"}


def test_a_class_may_be_called_train(tmp_path: Path):
    found = find_in_folder(touch(tmp_path, "train/1.jpg", "bus/2.jpg", "car/3.jpg"))
    assert found.parts is None
    assert set(labels(found).values()) == {"train", "bus", "car"}


def test_a_folder_beside_the_parts_is_not_taken_for_a_class(tmp_path: Path):
    """Else a model would learn to tell the training pictures from the validation pictures."""
    touch(tmp_path, "train/cat/1.jpg", "valid/cat/2.jpg", "sample/cat/3.jpg", "old/cat/4.jpg")
    assert message(DataError, find_in_folder, tmp_path) == (
        f"{tmp_path} holds the parts train/, valid/ and beside them old/, sample/, which are "
        "none. Move those elsewhere, or give another folder."
    )


def test_a_folder_beside_the_parts_without_pictures_does_no_harm(tmp_path: Path):
    touch(tmp_path, "train/cat/1.jpg", "valid/cat/2.jpg", "models/best.pt")
    assert set(parts(find_in_folder(tmp_path)).values()) == {"train", "valid"}


# --- names ----------------------------------------------------------------------------------------


def test_the_pattern_takes_the_label_from_the_name(tmp_path: Path):
    touch(tmp_path, "images/great_pyrenees_17.jpg", "images/Bengal_2.jpg", "images/odd.jpg")
    found = find_by_name(tmp_path, r"^(.+)_[0-9]+")
    assert labels(found) == {
        "images/Bengal_2.jpg": "Bengal",
        "images/great_pyrenees_17.jpg": "great_pyrenees",
    }
    assert found.set_aside == [
        Quarantined("images/odd.jpg", "no-label", "Its name does not fit the pattern.")
    ]


def test_the_pattern_does_not_see_the_folders(tmp_path: Path):
    found = find_by_name(touch(tmp_path, "cat_1/a_2.jpg"), r"([a-z]+)_")
    assert labels(found) == {"cat_1/a_2.jpg": "a"}


def test_an_empty_label_is_none(tmp_path: Path):
    found = find_by_name(touch(tmp_path, "_1.jpg", "a_1.jpg", "b.jpg"), r"^(a)?_|^b")
    assert labels(found) == {"a_1.jpg": "a"}
    assert set(reasons(found)) == {"_1.jpg", "b.jpg"}


def test_a_pattern_that_is_none(tmp_path: Path):
    touch(tmp_path, "a_1.jpg")
    assert message(ConfigError, find_by_name, tmp_path, "(.+_") == (
        "The pattern '(.+_' is not a regular expression: "
        "missing ), unterminated subpattern at position 0."
    )


@pytest.mark.parametrize(("pattern", "groups"), [("^.+_", "0 groups"), ("(.)_(.)", "2 groups")])
def test_a_pattern_needs_one_group(tmp_path: Path, pattern: str, groups: str):
    assert message(ConfigError, find_by_name, touch(tmp_path, "a_1.jpg"), pattern) == (
        f"The pattern {pattern!r} has {groups}, expected one: the label, in parentheses. "
        "Example: '^(.+)_[0-9]+'."
    )


def test_a_pattern_that_fits_nothing_shows_a_name(tmp_path: Path):
    touch(tmp_path, "a-1.jpg", "b-1.jpg")
    assert message(DataError, find_by_name, tmp_path, "^(.+)_") == (
        f"The pattern '^(.+)_' fits none of the 2 names in {tmp_path}, such as 'a-1.jpg'."
    )


# --- tables ---------------------------------------------------------------------------------------


def table(root: Path, text: str | bytes, *pictures: str) -> Path:
    touch(root, *(pictures or ("a.jpg", "b.jpg")))
    path = root / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


AB = {"a.jpg": "cat", "b.jpg": "dog"}


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.jpg,cat\nb.jpg,dog\n",
        "path;label\na.jpg;cat\nb.jpg;dog\n",
        "path\tlabel\na.jpg\tcat\nb.jpg\tdog\n",
        "\ufeffpath,label\na.jpg,cat\nb.jpg,dog\n",
        "path,label\r\na.jpg,cat\r\nb.jpg,dog\r\n",
        "path,label\ra.jpg,cat\rb.jpg,dog",
        "path,label\na.jpg,cat\nb.jpg,dog",
        '"path","label"\n"a.jpg","cat"\n"b.jpg","dog"\n',
        "\n\npath,label\n\na.jpg,cat\n\n\nb.jpg,dog\n\n",
        " path , label \n a.jpg , cat \n b.jpg , dog \n",
        ",path,label\n0,a.jpg,cat\n1,b.jpg,dog\n",
        "path,label,,\na.jpg,cat,,\nb.jpg,dog,,\n",
        "label,path\ncat,a.jpg\ndog,b.jpg\n",
        "Image_ID,Species\na.jpg,cat\nb.jpg,dog\n",
        "label,where\ncat,a.jpg\ndog,b.jpg\n",
        "path,label\n./a.jpg,cat\nsub/../b.jpg,dog\n",
    ],
    ids=(
        "comma semicolon tab BOM CRLF CR no-last-line-end quoted blank-lines padded index "
        "trailing-commas label-first usual-names label-first-unusual-path dotted"
    ).split(),
)
def test_tables_as_programs_write_them(tmp_path: Path, text: str):
    (tmp_path / "sub").mkdir()
    found = find_in_csv(table(tmp_path, text))
    assert labels(found) == AB
    assert found.set_aside == []
    assert found.parts is None


def test_quoted_names_may_hold_commas_line_breaks_and_quotes(tmp_path: Path):
    names = ["a, b.jpg", "c\nd.jpg", "e\r\nf.jpg", 'g "h".jpg']
    rows = "".join('"{}",x\r\n'.format(name.replace('"', '""')) for name in names)
    found = find_in_csv(table(tmp_path, f"path,label\r\n{rows}", *names))
    assert set(labels(found)) == set(names)


@pytest.mark.parametrize("sign", ["\u2028", "\x0b", "\x85", "\x1c"])
def test_only_line_ends_end_a_row(tmp_path: Path, sign: str):
    found = find_in_csv(table(tmp_path, f"path,label\na.jpg,x{sign}y\nb.jpg,dog\n"))
    assert labels(found) == {"a.jpg": f"x{sign}y", "b.jpg": "dog"}


def test_paths_written_on_windows_are_found(tmp_path: Path):
    path = table(tmp_path, "path,label\nsub\\a.jpg,cat\nb.jpg,dog\n", "sub/a.jpg", "b.jpg")
    assert labels(find_in_csv(path)) == {"sub/a.jpg": "cat", "b.jpg": "dog"}


def test_absolute_paths_are_named_from_the_folder_they_are_in(tmp_path: Path):
    path = table(tmp_path, f"path,label\n{tmp_path / 'a.jpg'},cat\nb.jpg,dog\n")
    found = find_in_csv(path)
    assert labels(found) == AB
    assert found.items[0].path == tmp_path / "a.jpg"


def test_absolute_paths_have_the_same_names_by_a_relative_path_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = touch(tmp_path / "here", "a/x.png", "b/y.png")
    rows = "".join(f"{path},{path.parent.name}\n" for path in sorted(root.glob("*/*.png")))
    (root / "labels.csv").write_text("path,label\n" + rows)
    monkeypatch.chdir(root)
    relative = labels(find_in_csv("labels.csv"))
    assert relative == {"a/x.png": "a", "b/y.png": "b"}
    assert labels(find_in_csv(str(root / "labels.csv"))) == relative  # as a run finds them again
    monkeypatch.chdir(tmp_path)
    assert labels(find_in_csv("here/labels.csv")) == relative


def test_an_absolute_path_elsewhere_keeps_its_name(tmp_path: Path):
    far = touch(tmp_path / "far", "c.jpg") / "c.jpg"
    path = table(tmp_path / "near", f"path,label\n{far},cat\nb.jpg,dog\n", "b.jpg")
    assert labels(find_in_csv(path)) == {far.as_posix(): "cat", "b.jpg": "dog"}


def test_paths_start_in_the_folder_that_is_given(tmp_path: Path):
    touch(tmp_path / "images", "a.jpg", "b.jpg")
    path = table(tmp_path / "tables", "path,label\na.jpg,cat\nb.jpg,dog\n", "other.txt")
    assert labels(find_in_csv(path, folder=tmp_path / "images")) == AB


def test_a_missing_file_is_set_aside_and_the_rest_is_used(tmp_path: Path):
    found = find_in_csv(table(tmp_path, "path,label\na.jpg,cat\nb.jpg,dog\nc.jpg,cat\n"))
    assert labels(found) == AB
    assert found.set_aside == [Quarantined("c.jpg", "missing", "The file does not exist.")]


@pytest.mark.parametrize("said", ["x" * 5000, "a\x00b", "."])
def test_a_path_that_can_be_none_is_missing(tmp_path: Path, said: str):
    found = find_in_csv(table(tmp_path, f"path,label\na.jpg,cat\nb.jpg,dog\n{said},cat\n"))
    assert labels(found) == AB
    assert list(reasons(found).values()) == ["missing"]


def test_rows_without_label_or_path_are_set_aside_with_their_line(tmp_path: Path):
    text = "path,label\n\na.jpg,\n,dog\nb.jpg,dog\nc.jpg\n"
    found = find_in_csv(table(tmp_path, text))
    assert labels(found) == {"b.jpg": "dog"}
    assert found.set_aside == [
        Quarantined("a.jpg", "no-label", "Line 3 has no label."),
        Quarantined("line 4", "no-path", "Line 4 names no file."),
        Quarantined("c.jpg", "no-label", "Line 6 has no label."),
    ]


def test_a_row_with_more_values_than_columns_is_not_guessed_at(tmp_path: Path):
    found = find_in_csv(table(tmp_path, "path,label\na.jpg,cat\nb.jpg,dog, brown\n"))
    assert labels(found) == {"a.jpg": "cat"}
    assert found.set_aside == [
        Quarantined(
            "b.jpg",
            "too-many-values",
            "Line 3 has 3 values for 2 columns. Put a value with the separator in quotes.",
        )
    ]


def test_a_row_that_comes_twice_is_one_item(tmp_path: Path):
    text = "path,label\na.jpg,cat\nb.jpg,dog\na.jpg,cat\n./a.jpg,cat\n"
    found = find_in_csv(table(tmp_path, text))
    assert labels(found) == AB
    assert len(found.items) == 2
    assert found.set_aside == []


def test_a_file_with_two_labels_is_set_aside(tmp_path: Path):
    text = "path,label\na.jpg,cat\nb.jpg,dog\na.jpg,dog\na.jpg,cat\n"
    found = find_in_csv(table(tmp_path, text))
    assert labels(found) == {"b.jpg": "dog"}
    assert found.set_aside == [
        Quarantined("a.jpg", "two-labels", "It is labelled 'cat' and, in line 4, 'dog'.")
    ]


def test_of_two_rows_the_one_that_can_be_used_is(tmp_path: Path):
    text = "path,label\na.jpg,\na.jpg,cat\nb.jpg,dog\nb.jpg,dog,brown\n"
    found = find_in_csv(table(tmp_path, text))
    assert labels(found) == AB
    assert found.set_aside == []


def test_a_file_in_two_parts_is_set_aside(tmp_path: Path):
    """Kept, it could be learnt from and then be measured on."""
    text = "path,label,split\na.jpg,cat,train\nb.jpg,dog,train\na.jpg,cat,valid\n"
    found = find_in_csv(table(tmp_path, text))
    assert labels(found) == {"b.jpg": "dog"}
    assert found.set_aside == [
        Quarantined("a.jpg", "two-parts", "It is in train and, in line 4, in valid.")
    ]


@pytest.mark.parametrize(
    ("name", "train", "valid"),
    [
        ("is_valid", "False", "True"),
        ("is_valid", "0", "1"),
        ("IS_VALID", "no", "YES"),
        ("split", "train", "val"),
        ("split", "", "Validation"),
        ("part", "Training", "valid"),
    ],
)
def test_a_column_says_which_rows_validate(tmp_path: Path, name: str, train: str, valid: str):
    text = f"path,label,{name}\na.jpg,cat,{train}\nb.jpg,dog,{valid}\n"
    assert parts(find_in_csv(table(tmp_path, text))) == {"a.jpg": "train", "b.jpg": "valid"}


def test_a_part_that_is_none_is_named_with_its_line(tmp_path: Path):
    path = table(tmp_path, "path,label,part\n\na.jpg,cat,train\nb.jpg,dog,left wing\n")
    assert message(DataError, find_in_csv, path) == (
        f"{path}, line 4: the part is 'left wing', expected train, valid or test. "
        "If the column 'part' says something else, give it another name."
    )


@pytest.mark.parametrize("option", ["path_column", "label_column", "part_column"])
def test_a_column_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path, option: str):
    path = table(tmp_path, "picture,species\na.jpg,cat\n")
    options: dict[str, Any] = {option: "specis"}
    assert message(ConfigError, find_in_csv, path, **options) == (
        f"{path} has no column 'specis'. Did you mean 'species'? Columns: picture, species."
    )


def test_columns_are_taken_as_asked(tmp_path: Path):
    text = "path,label,where,species,fold\nx,y,a.jpg,cat,train\nx,y,b.jpg,dog,test\n"
    found = find_in_csv(
        table(tmp_path, text), path_column="where", label_column="species", part_column="fold"
    )
    assert labels(found) == AB
    assert parts(found) == {"a.jpg": "train", "b.jpg": "test"}


def test_a_label_that_cannot_be_told_is_asked_for(tmp_path: Path):
    path = table(tmp_path, "path,species,age\na.jpg,cat,3\n")
    assert message(DataError, find_in_csv, path) == (
        f"{path} has the columns path, species, age: which holds the label? "
        "Say so with --label-column NAME."
    )


def test_a_table_of_one_column_has_no_labels(tmp_path: Path):
    path = table(tmp_path, "path\na.jpg\n")
    assert message(DataError, find_in_csv, path) == (
        f"{path} has one column, 'path'. It needs two: the path of each picture, and its label."
    )


def test_two_columns_of_one_name_are_refused(tmp_path: Path):
    path = table(tmp_path, "path,label,label\na.jpg,cat,dog\n")
    assert message(DataError, find_in_csv, path) == (
        f"{path} has several columns named 'label'. Name each once."
    )


def test_a_table_in_another_encoding_is_not_guessed_at(tmp_path: Path):
    path = table(tmp_path, "path,label\na.jpg,été\n".encode("latin-1"))
    assert message(DataError, find_in_csv, path) == (
        f"{path} is not UTF-8 text (byte 17). Save it as UTF-8."
    )


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", "  \n"])
def test_an_empty_table(tmp_path: Path, text: str):
    path = table(tmp_path, text)
    assert message(DataError, find_in_csv, path) == f"{path} is empty."


@pytest.mark.parametrize("text", ["path,label", "path,label\n", "path,label\n\n\n"])
def test_a_table_with_a_heading_alone(tmp_path: Path, text: str):
    path = table(tmp_path, text)
    assert message(DataError, find_in_csv, path) == f"{path} has a heading and no rows."


def test_a_table_that_is_not_there(tmp_path: Path):
    assert message(DataError, find_in_csv, tmp_path / "no.csv") == (
        f"{tmp_path / 'no.csv'} does not exist."
    )


def test_a_folder_is_no_table(tmp_path: Path):
    assert message(DataError, find_in_csv, tmp_path) == (
        f"{tmp_path} cannot be read: Is a directory."
    )


def test_a_table_that_pythons_reader_refuses_is_named(tmp_path: Path):
    path = table(tmp_path, 'path,label\na.jpg,"' + "x" * 200_000)
    assert message(DataError, find_in_csv, path) == (
        f"{path}, after line 1: field larger than field limit (131072). Is a quote missing?"
    )


def test_when_no_row_can_be_used_an_example_is_shown(tmp_path: Path):
    path = table(tmp_path, "image_id,label\nabc,cat\ndef,dog\n")
    assert message(DataError, find_in_csv, path) == (
        f"{path} lists no picture that exists and has a label, in 2 rows. The first: abc: The file "
        f"does not exist. Paths are read from the column 'image_id', below {tmp_path}."
    )


# --- finding again --------------------------------------------------------------------------------


def test_a_recipe_holds_wherever_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run is resumed from another folder than it was begun in."""
    touch(tmp_path / "photos", "cat_1.jpg", "cat/1.jpg", "dog/1.jpg")
    table(tmp_path, "path,label\na.jpg,cat\nb.jpg,dog\n")
    monkeypatch.chdir(tmp_path)
    folder = find_in_folder("photos").recipe
    names = find_by_name("photos", "^(.+)_").recipe
    csv = find_in_csv("labels.csv").recipe
    assert folder == {"from": "folder", "source": str(tmp_path / "photos")}
    assert names == {"from": "names", "source": str(tmp_path / "photos"), "pattern": "^(.+)_"}
    assert csv == {
        "from": "csv",
        "source": str(tmp_path / "labels.csv"),
        "folder": str(tmp_path),
        "path_column": "path",
        "label_column": "label",
        "part_column": None,
    }


@pytest.mark.parametrize("sign", [";", "|", ", "])
def test_labels_that_are_lists_are_said_to_be_classes_of_their_own(
    tmp_path: Path, sign: str
) -> None:
    names = ["sea", "beach", "sun"]
    lists = [names[n % 3] if n % 4 == 0 else sign.join(names[: n % 3 + 1]) for n in range(12)]
    touch(tmp_path, *[f"{n}.png" for n in range(12)])
    table = tmp_path / "t.csv"
    table.write_text("path,tags\n" + "".join(f'{n}.png,"{one}"\n' for n, one in enumerate(lists)))
    found = find_in_csv(str(table))
    several = sum(sign in one for one in lists)
    first = next(item.label for item in found.items if sign in item.label)
    assert found.labelled_by == (
        f"the column 'tags' of the CSV; {several} of 12 hold several names, such as {first!r}: each such "
        "list is a class of its own"
    )
    # two names with a comma in them are names, and no list
    table.write_text("path,tags\n" + "".join(f'{n}.png,"{"ab"[n % 2]}, x"\n' for n in range(12)))
    assert find_in_csv(str(table)).labelled_by == "the column 'tags' of the CSV"
