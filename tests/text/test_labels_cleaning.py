"""Texts with several labels: each label is a target, yes or no, that is judged and patched by itself."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import drivetrain as dt
from drivetrain.clean.folds import queue_of
from drivetrain.clean.patch import Change, Patch
from drivetrain.clean.queue import text_hash
from drivetrain.errors import DataError
from drivetrain.text.cleaning import material_of
from drivetrain.text.folding import pool_of
from drivetrain.text.goal import several
from drivetrain.text.in_place import source_of

pytestmark = pytest.mark.row(16)
SIZES = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}
WORDS = {"loud": ("noise", "bang", "shout"), "old": ("worn", "antique"), "wet": ("rain", "river")}


def diary(count: int) -> tuple[list[str], list[list[str]], set[str]]:
    """Texts that say which labels they have, one label of some of them wrong, and which those are."""
    draw = random.Random(0)
    texts, labels = [], []
    for at in range(count):
        own = [name for name in WORDS if draw.random() < 0.5] or ["loud"]
        words = [draw.choice(WORDS[name]) for name in own for _ in range(3)]
        draw.shuffle(words)
        texts.append(f"day {at} {' '.join(words)}")
        labels.append(own)
    wrong = draw.sample(range(count), count // 20)
    for at in wrong:
        labels[at] = sorted({*labels[at]} ^ {"wet"}) or ["old"]
    return texts, labels, {text_hash(texts[at]) for at in wrong}


def learner_of(texts: Sequence[str], labels: Any, **options: Any) -> dt.Learner:
    return dt.text.learner(
        list(texts), labels=labels, model="lstm", sizes=SIZES, progress=False, **options
    )


def test_a_label_that_is_wrong_comes_first_and_no_other_of_its_text() -> None:
    texts, labels, wrong = diary(120)
    pool = pool_of(learner_of(texts, labels))
    queue = queue_of(pool)
    assert dict(queue.targets) == dict.fromkeys(WORDS, ("no", "yes"))
    assert len(queue) == 360 and queue.total == 120
    head = queue.rows[:36]
    assert wrong <= {row.item.hash for row in head if row.item.target == "wet"}
    for row in head[:3]:
        assert (row.item.label, row.suggested) in (("no", "yes"), ("yes", "no"))
        own = next(has for text, has in zip(texts, labels, strict=True) if text == row.item.text)
        assert row.item.label == ("yes" if row.item.target in own else "no")


def test_the_models_own_scores_are_odds_of_yes() -> None:
    texts, labels, _ = diary(40)
    found = learner_of(texts, labels)
    material = material_of(found)
    assert material.several is not None
    parts = material.several.split(material.predictions)
    own = found.predictions()
    names = [item.name for item in material.items][: len(own)]
    order = [names.index(name) for name in own.ids]
    for place, part in enumerate(parts):
        np.testing.assert_allclose(
            part.probs[order, 1].numpy(), own.outputs[:, place].sigmoid().numpy(), atol=1e-5
        )
        assert part.targets[order].tolist() == own.targets[:, place].long().tolist()


@pytest.mark.parametrize("is_list", [True, False])
def test_a_patch_adds_and_takes_away_labels(is_list: bool) -> None:
    texts, labels, _ = diary(60)
    labels[:3] = [["loud", "wet"], ["old"], ["loud"]]
    hashes = [text_hash(text) for text in texts[:3]]
    patch = Patch(
        {hashes[2]: Change(None, None, "row 3")},
        {
            "wet": {hashes[0]: Change("no", "yes"), hashes[1]: Change("yes", "no")},
            "old": {hashes[1]: Change("no", "yes"), hashes[0]: Change("no", "yes", "row 1")},
            "new": {hashes[0]: Change("yes", "no")},
        },
    )
    given = labels if is_list else [";".join(own) for own in labels]
    options = {} if is_list else {"separator": ";"}
    data = dt.text.from_texts(texts, given, patch=patch, **options)
    said = {text: several(own, ";") for text, own in zip(data.texts, data.labels, strict=True)}
    assert said[texts[0]] == ["loud"] and said[texts[1]] == ["wet"] and texts[2] not in said
    assert all(said[text] == own for text, own in zip(texts[3:], labels[3:], strict=True))
    assert data.recipe["patch"] == patch.to_json()
    assert data.choices["patch"].reason == (
        "The patch gives 3 items another label and leaves 1 out. What it says of new is not looked at, "
        "which is not learnt here."
    )


def test_texts_of_one_label_take_what_is_said_of_their_column(tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    rows = [
        (f"film {at} {'fine' if at % 2 else 'dull'}", "good" if at % 2 else "bad")
        for at in range(40)
    ]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "mood"), *rows])
    change = {text_hash(rows[3][0]): Change("bad", "good")}
    data = dt.text.from_csv(table, "mood", patch=Patch({}, {"mood": change, "genre": change}))
    assert data.labels[3] == "bad" and data.choices["patch"].reason == (
        "The patch gives 1 items another label and leaves 0 out. What it says of genre is not looked at, "
        "which is not learnt here."
    )


def test_a_cell_of_several_labels_is_not_changed_in_place(tmp_path: Path) -> None:
    texts, labels, _ = diary(40)
    table = tmp_path / "diary.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("text", "tags"), *((t, ";".join(own)) for t, own in zip(texts, labels, strict=True))]
        )
    data = dt.text.from_csv(table, "tags", separator=";")
    with pytest.raises(DataError) as caught:
        source_of({"data": data.recipe})
    assert str(caught.value) == (
        f"{table} has no one label for each text: it is not changed in place. Write a patch, and train "
        "with it: drivetrain clean RUN --apply; drivetrain train SOURCE --patch FILE"
    )
