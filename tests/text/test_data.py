"""Texts, targets and splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivetrain.errors import ConfigError, DataError
from drivetrain.text.data import from_csv, from_folder, from_texts, gather, gather_again
from drivetrain.text.goal import Goal, find_goal
from tests.text.moods import moods, write_csv, write_folder


def test_a_folder_is_split_with_the_same_share_of_each_class(tmp_path: Path) -> None:
    data = from_folder(write_folder(tmp_path / "f", *moods(50)))
    assert data.classes == ("bad", "good") and data.split.method == "stratified"
    names, texts, targets = data.part("valid")
    assert len(names) == len(texts) == 10 and targets is not None
    assert all(
        data.classes[t] == name.split("/")[0] for t, name in zip(targets, names, strict=True)
    )
    assert data.task.to_json()["application"] == "text"


def test_the_vocabulary_is_of_training_texts_only() -> None:
    texts, labels = moods(60)
    data = from_texts(texts, labels, tokens={"kind": "word", "min_freq": 1})
    _, train, _ = data.part("train")
    _, valid, _ = data.part("valid")
    known = data.tokenizer.vocab.index
    of_train = {word for text in train for word in text.split()}
    only_valid = {word for text in valid for word in text.split()} - of_train
    assert only_valid and not only_valid & set(known) and of_train <= set(known)
    assert data.tokens("valid") is data.tokens("valid")  # made once


def test_a_recipe_gives_the_same_texts_again(tmp_path: Path) -> None:
    texts, labels = moods(40)
    path = write_csv(tmp_path / "r.csv", {"review": texts, "label": labels})
    data = from_csv(path, seed=3)
    again = gather_again(data.recipe)
    assert again.fingerprint() == data.fingerprint() and again.split == data.split
    labels[0] = "good" if labels[0] == "bad" else "bad"
    write_csv(path, {"review": texts, "label": labels})
    assert gather_again(data.recipe).fingerprint() != data.fingerprint()
    with pytest.raises(DataError, match=r"^This run was trained on texts from memory"):
        gather_again(from_texts(texts, labels).recipe)


def test_texts_of_one_group_stay_on_one_side(tmp_path: Path) -> None:
    texts, labels = moods(60)
    groups = [f"g{number % 12}" for number in range(60)]
    table = {"review": texts, "label": labels, "anchor": groups}
    data = gather(table, "label", text_columns="review", group="anchor")
    sides = [{groups[row] for row in data.rows(part)} for part in ("train", "valid")]
    assert data.split.method == "group" and not sides[0] & sides[1]


def test_the_last_texts_validate_where_a_time_is_named() -> None:
    texts, labels = moods(50)
    days = [f"2024-01-{1 + number % 25:02}" for number in range(50)]
    data = gather({"t": texts, "label": labels, "day": days}, time="day")
    assert max(days[r] for r in data.split.train) < min(days[r] for r in data.split.valid)


def test_a_test_part_is_sealed_and_training_texts_validate(tmp_path: Path) -> None:
    texts, labels = moods(60)
    write_folder(tmp_path / "train", texts[:40], labels[:40])
    write_folder(tmp_path / "test", texts[40:], labels[40:])
    data = from_folder(tmp_path)
    assert data.counts() == {"train": 32, "valid": 8, "test": 20, "quarantined": 0}
    assert all(data.ids[row].startswith("test/") for row in data.split.test)
    assert "20 sealed for the test" in str(data)


def test_texts_that_stand_on_both_sides_are_said() -> None:
    texts, labels = moods(20)
    parts = ["train"] * 15 + ["valid"] * 5
    texts[17] = texts[2]
    data = gather(
        {"review": texts, "label": labels, "part": parts}, split_column="part", target="label"
    )
    assert data.notes == [
        "1 of the 5 texts of `valid` stand word for word in training, such as row 18 (row 3): "
        "results on them flatter."
    ]


def test_several_labels_at_once() -> None:
    texts, _ = moods(12)
    labels = [["a", "b"], ["b"], []] * 4
    data = from_texts(texts, labels)
    assert data.goal is not None and data.goal.kind == "labels" and data.classes == ("a", "b")
    assert data.targets is not None and data.targets[:3].tolist() == [[1, 1], [0, 1], [0, 0]]
    table = {"review": texts, "label": ["a;b", "b", "c; a"] * 4}
    data = gather(table, separator=";")
    assert data.classes == ("a", "b", "c")
    assert data.targets is not None and data.targets[2].tolist() == [1, 0, 1]


def test_numbers_far_from_one_are_learnt_on_a_scale() -> None:
    goal = find_goal([1000.0, 2000.0, 3000.0], "price", kind="number")
    values = goal.encode(["1000", 2000, 3000.0])
    np.testing.assert_allclose(values, [-1.2247449, 0, 1.2247449], rtol=1e-6)
    np.testing.assert_allclose(goal.shown(values), [1000, 2000, 3000], rtol=1e-6)
    near = find_goal([0.0, 0.25, 0.5], "score")
    assert near.kind == "number" and (near.mean, near.scale) == (0.0, 1.0)
    assert Goal.from_json(goal.to_json()) == goal


def test_validation_texts_of_a_class_that_training_lacks_are_set_aside() -> None:
    texts, labels = moods(20)
    labels[-1] = "odd"
    parts = ["train"] * 15 + ["valid"] * 5
    data = gather(
        {"review": texts, "label": labels, "part": parts}, split_column="part", target="label"
    )
    assert [(q.id, q.reason) for q in data.quarantined] == [("row 20", "class-not-in-training")]
    assert data.counts()["valid"] == 4


def test_few_texts_of_a_language_are_cut() -> None:
    text = "one two three\n" * 100
    data = from_texts([text])
    assert data.texts[0] + data.texts[1] == text
    assert data.texts[0].endswith("\n") and 0.75 < len(data.texts[0]) / len(text) <= 0.8


def test_what_cannot_be_is_refused() -> None:
    texts, labels = moods(10)
    with pytest.raises(ConfigError, match=r"^There are 9 labels for 10 texts.$"):
        from_texts(texts, labels[:9])
    with pytest.raises(
        ConfigError, match=r"^`group` names a column of a table, and this source has none.$"
    ):
        from_texts(texts, labels, group="anchor")
    with pytest.raises(ConfigError, match=r"^`split='group'` needs `group='COLUMN'`.$"):
        from_texts(texts, labels, split="group")
    with pytest.raises(
        ConfigError, match=r"^`target_kind` is one of class, labels, number. Got 'odd'.$"
    ):
        from_texts(texts, labels, target_kind="odd")
    with pytest.raises(DataError, match=r"^All training texts are of one class: bad.$"):
        from_texts(texts, ["bad"] * 10)
