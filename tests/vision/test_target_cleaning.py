"""Labels of several targets of pictures: wrong ones are found, patched, and written into the CSV."""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.clean import inplace_table
from drivetrain.clean.folds import queue_of
from drivetrain.clean.patch import Change, Patch
from drivetrain.errors import DataError
from drivetrain.vision.cleaning import material_of
from drivetrain.vision.folding import pool_of
from drivetrain.vision.in_place import source_of
from drivetrain.vision.targets import labels_of
from tests.tabular.tables import real
from tests.vision.leaves import BOTH, CLASSES, learner, make_leaves, write_table

pytestmark = [pytest.mark.row(16), pytest.mark.row(118)]


def flipped(
    rows: list[tuple[str, ...]], column: int, classes: Any, *, seed: int = 0
) -> tuple[list[tuple[str, ...]], set[str]]:
    """Rows with 5% of the labels of one column drawn anew, and the names of those."""
    draw = random.Random(seed)
    wrong = set(draw.sample(range(len(rows)), len(rows) // 20))
    changed = [list(row) for row in rows]
    for at in sorted(wrong):
        changed[at][column] = draw.choice([one for one in classes if one != rows[at][column]])
    return [tuple(row) for row in changed], {rows[at][0] for at in wrong}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, ...]]]:
    """A folder of 60 leaves and their true rows. Not to be changed."""
    folder = tmp_path_factory.mktemp("leaves")
    return folder, list(make_leaves(folder, 60))


@pytest.mark.parametrize("target", BOTH)
def test_labels_that_are_wrong_in_one_of_two_targets_come_first(
    pictures: tuple[Path, list[tuple[str, ...]]], target: str
) -> None:
    folder, rows = pictures
    wrong_rows, wrong = flipped(rows, 1 + BOTH.index(target), CLASSES[target])
    table = write_table(folder / f"wrong-{target}.csv", wrong_rows)
    pool = pool_of(learner(table))
    queue = queue_of(pool)
    assert len(queue) == 120 and queue.total == 60
    head = queue.rows[: len(queue) // 10]
    assert wrong <= {row.item.name for row in head if row.item.target == target}
    truth = {row[0]: row[1 + BOTH.index(target)] for row in rows}
    suggested = {r.item.name: r.suggested for r in head if r.item.target == target}
    assert all(suggested[name] == truth[name] for name in wrong)
    again = queue_of(pool, folds=0)  # what the model itself says, though it knows nothing yet
    assert {row.item.entry for row in again.rows} == {row.item.entry for row in queue.rows}


def test_the_material_has_the_labels_of_each_target_as_codes(leaves_trained: dt.Learner) -> None:
    material = material_of(leaves_trained)
    assert material.several is not None and material.classes == ()
    data: Any = leaves_trained.application.data
    for item, codes, labels in zip(
        material.items, material.targets.tolist(), material.several.labels, strict=True
    ):
        assert labels == tuple(CLASSES[name][code] for name, code in zip(BOTH, codes, strict=True))
        (member,) = (one for one in data.items if one.id == item.name)
        assert labels == labels_of(member) and item.label == labels[0]
    for part, name in zip(material.several.split(material.predictions), BOTH, strict=True):
        assert part.classes == CLASSES[name]
    valid = leaves_trained.predictions()
    own = material.several.split(material.predictions)[1]
    assert own.ids[: len(valid)] == valid.ids
    assert own.preds[: len(valid)].tolist() == valid.of("variety").preds.tolist()


@pytest.mark.slow
def test_the_runs_own_recipe_is_trained_once_a_fold_for_all_targets(
    leaves_trained: dt.Learner, tmp_path: Path
) -> None:
    pool = pool_of(leaves_trained)
    queue = queue_of(pool, folds=2, model="own", folder=tmp_path)
    assert len(queue) == 72 and queue.basis.startswith(
        "out of 2 folds, by resnet_tiny, trained anew"
    )
    assert len(list(tmp_path.glob("folds-own-2-*.safetensors"))) == 2
    asked: list[str] = []
    again = queue_of(
        pool, folds=2, model="own", folder=tmp_path, report=lambda *said: asked.append(said[0])
    )
    assert [row.item.entry for row in again.rows] == [row.item.entry for row in queue.rows]


def test_a_patch_of_two_targets_changes_a_training_of_both_and_of_either(
    leaves_folder: Path,
) -> None:
    files = [leaves_folder / "leaves" / f"{at:02d}.png" for at in range(3)]
    hashes = [store.file_sha256(file) for file in files]
    patch = Patch(
        {hashes[2]: Change(None, None, "leaves/02.png")},
        {
            "disease": {hashes[0]: Change("tungro", "blast")},
            "variety": {hashes[0]: Change("ponni", "adt"), hashes[1]: Change("ir20", "adt")},
        },
    )
    table = leaves_folder / "leaves.csv"
    data = dt.vision.from_csv(table, targets=BOTH, patch=patch)
    labels = {item.path: labels_of(item) for item in data.items}
    assert labels[files[0]] == ("tungro", "ponni") and labels[files[1]] == ("tungro", "ir20")
    assert files[2] not in labels and len(labels) == 35
    assert data.recipe["patch"] == patch.to_json() and data.recipe["patch"]["version"] == 2
    assert data.choices["patch"].reason == "The patch gives 3 items another label and leaves 1 out."
    alone = dt.vision.from_csv(table, label_column="variety", path_column="image", patch=patch)
    labels = {item.path: item.label for item in alone.items}
    assert (labels[files[0]], labels[files[1]], len(labels)) == ("ponni", "ir20", 35)
    assert alone.choices["patch"].reason == (
        "The patch gives 2 items another label and leaves 1 out. What it says of disease is not looked "
        "at, which is not learnt here."
    )


@pytest.mark.parametrize("targets", [BOTH, ["variety"]])
def test_cells_of_the_csv_are_changed_and_the_rest_stays_to_the_byte(
    leaves_folder: Path, tmp_path: Path, targets: list[str]
) -> None:
    shutil.copytree(leaves_folder / "leaves", tmp_path / "leaves")
    rows = list(make_rows(leaves_folder))
    heading = ("image", "disease", "variety", "test")
    parts = [
        (*row, "test" if at == 5 else "valid" if at % 5 == 0 else "train")
        for at, row in enumerate(rows)
    ]
    table = write_table(tmp_path / "leaves.csv", parts, heading, ends="\r\n")
    named: Any = {"targets": targets} if len(targets) > 1 else {"label_column": targets[0]}
    data = dt.vision.from_csv(table, path_column="image", part_column="test", **named)
    dt.vision.learner(data, "resnet_tiny", progress=False, out=tmp_path / "run").train(1)
    hashes = [store.file_sha256(tmp_path / row[0]) for row in rows]
    changes = {hashes[0]: Change("ponni", "adt"), hashes[5]: Change("adt", "ponni")}
    out = {hashes[1]: Change(None)}
    patch = Patch(out, {"variety": changes}) if len(targets) > 1 else Patch(out | changes)
    before = table.read_bytes()
    source = source_of(tmp_path / "run")
    done = inplace_table.apply(patch, source)
    assert (done.relabelled, done.removed) == (1, 1), "what is sealed stays"
    lines = before.split(b"\r\n")
    assert lines.pop(2).startswith(b"leaves/01.png")
    lines[1] = lines[1].replace(b"adt", b"ponni")
    assert table.read_bytes() == b"\r\n".join(lines)
    assert inplace_table.undo(table).relabelled == 1 and table.read_bytes() == before
    table.unlink()
    with pytest.raises(DataError) as caught:
        source_of(tmp_path / "run")
    assert str(caught.value) == f"{table} is not there any more. Put it back."


def make_rows(folder: Path) -> list[tuple[str, ...]]:
    with (folder / "leaves.csv").open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["breed", "species"])
def test_of_pet_photos_labels_that_are_wrong_in_one_target_come_first(
    tmp_path: Path, target: str
) -> None:
    files = sorted(real("pets/images").rglob("*.jpg"))
    kinds = {True: "cat", False: "dog"}  # as they are named
    rows = [(str(f), f.parent.name, kinds[f.name[0].isupper()]) for f in files]
    names = ["breed", "species"]
    column = 1 + names.index(target)
    changed, wrong = flipped(rows, column, sorted({row[column] for row in rows}), seed=3)
    table = write_table(tmp_path / "pets.csv", changed, ("image", *names))
    queue = queue_of(pool_of(learner(table, targets=names, size=96)))
    head = queue.rows[: len(queue) // 10]
    found = wrong & {"/" + r.item.name.lstrip("/") for r in head if r.item.target == target}
    assert len(found) >= 0.9 * len(wrong)
