"""`train --patch` with what else a training may have: a time budget, a cut, a sealed test part."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import drivetrain as dt
from drivetrain import store
from drivetrain.clean.patch import Change, Patch
from drivetrain.clean.queue import text_hash
from drivetrain.cli import program
from drivetrain.data.tables.reading import open_table
from drivetrain.store import file_sha256
from drivetrain.tabular.patching import hashes_of
from tests.cli.conftest import write_pictures
from tests.tabular.tables import passengers, write


class StopAt(dt.Callback):
    """Cut a fit before its step `number`."""

    only_looks = True

    def __init__(self, number: int) -> None:
        self.left = number

    def before_step(self, state: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def pictures_with(folder: Path) -> tuple[Path, Patch]:
    source = write_pictures(folder / "photos", each=8)
    one, other = source / "circle" / "1.png", source / "square" / "2.png"
    changes = {
        file_sha256(one): Change("square", "circle", "circle/1.png"),
        file_sha256(other): Change(None, "square", "square/2.png"),
    }
    return source, Patch(changes)


def table_with(folder: Path) -> tuple[Path, Patch]:
    source = write(folder / "people.csv", passengers(120))
    table = open_table(source).read()
    hashes, said = hashes_of(table, ("lives",)), table.column("lives").to_pylist()
    flip = {"yes": "no", "no": "yes"}
    changes = {hashes[row]: Change(flip[said[row]], said[row], f"row {row + 1}") for row in (3, 40)}
    return source, Patch({**changes, hashes[50]: Change(None, said[50], "row 51")})


def texts_with(folder: Path) -> tuple[Path, Patch]:
    words = ["fine", "lovely", "dull", "boring"]
    rows = [
        (f"a {words[n % 4]} film of the year {1900 + n}", "good" if n % 4 < 2 else "bad")
        for n in range(80)
    ]
    source = folder / "films.csv"
    with open(source, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    changes = {
        text_hash(rows[7][0]): Change("good", "bad", "row 8"),
        text_hash(rows[9][0]): Change(None, "good", "row 10"),
    }
    return source, Patch(changes)


Make = Callable[..., dt.Learner]


def of_pictures(source: Path, **options: Any) -> dt.Learner:
    return dt.vision.learner(source, "resnet_tiny", batch_size=4, progress=False, **options)


def of_table(source: Path, **options: Any) -> dt.Learner:
    return dt.tabular.learner(source, "lives", layers=[8], batch_size=20, progress=False, **options)


def of_texts(source: Path, **options: Any) -> dt.Learner:
    sizes = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}
    return dt.text.learner(
        source, "label", model="lstm", sizes=sizes, batch_size=16, progress=False, **options
    )


KINDS = pytest.mark.parametrize(
    ("with_", "make", "application"),
    [
        pytest.param(pictures_with, of_pictures, dt.vision, marks=pytest.mark.slow),
        (table_with, of_table, dt.tabular),
        (texts_with, of_texts, dt.text),
    ],
    ids=["pictures", "table", "texts"],
)


def weights(learner: dt.Learner) -> str:
    return store.weights_sha256(learner.model.state_dict())


@KINDS
@pytest.mark.row(16)
def test_a_run_with_a_patch_that_was_cut_goes_on_to_the_same_bits_without_the_file(
    tmp_path: Path, with_: Any, make: Make, application: Any
) -> None:
    source, patch = with_(tmp_path)
    file = patch.write(tmp_path / "p.json")
    whole = make(source, patch=file)
    whole.fit_one_cycle(2, 0.01)
    cut = make(source, patch=file, out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cut.fit_one_cycle(2, 0.01, callbacks=[StopAt(3)])
    file.unlink()  # what it said is kept with the run
    again = application.reopen(tmp_path / "run", progress=False)
    assert again.application.data.recipe["patch"] == patch.to_json()
    again.resume(callbacks=[])
    assert weights(again) == weights(whole)
    plain = make(source)
    plain.fit_one_cycle(2, 0.01)
    assert weights(plain) != weights(whole), "the patch did change what was learnt"
    counts = [one.application.data.counts() for one in (plain, again)]
    assert sum(counts[0].values()) - sum(counts[1].values()) == 1, "one item is left out"


@pytest.mark.slow
@KINDS
def test_what_is_sealed_is_not_patched_and_stays_what_it_is(
    tmp_path: Path, with_: Any, make: Make, application: Any
) -> None:
    source, patch = with_(tmp_path)
    plain = make(source, test=0.25, seed=3)
    changed = make(source, test=0.25, seed=3, patch=patch)
    seals = [one.application.data.seal for one in (plain, changed)]
    assert seals[0] == seals[1] and seals[0].count > 0


def run(*words: object) -> Result:
    return CliRunner().invoke(program, [str(word) for word in words])


@pytest.mark.slow
def test_pictures_are_patched_within_a_time_budget(tmp_path: Path) -> None:
    source, patch = pictures_with(tmp_path)
    file = patch.write(tmp_path / "p.json")
    words = ["train", source, "--patch", file, "--minutes", 0.05, "--seed", 7]
    result = run(*words, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"]["patch"] == patch.to_json()
    assert sum(json.loads(result.stdout)["items"].values()) == 23
    learner = dt.vision.reopen(tmp_path / "run", progress=False)
    items = {item.id: item.label for item in learner.application.data.items}
    assert items["circle/1.png"] == "square" and "square/2.png" not in items


def test_pictures_opened_again_smaller_for_a_budget_are_patched_too(tmp_path: Path) -> None:
    source, patch = pictures_with(tmp_path)
    data = dt.vision.from_folder(source, patch=patch)
    from drivetrain.vision.data import gather_again

    again = gather_again({**data.recipe, "size": (16, 16)})
    assert [(i.id, i.label) for i in again.items] == [(i.id, i.label) for i in data.items]
    assert again.split == data.split and again.recipe["patch"] == patch.to_json()


def test_a_table_is_patched_on_the_leaderboard_within_its_minutes(tmp_path: Path) -> None:
    source, patch = table_with(tmp_path)
    file = patch.write(tmp_path / "p.json")
    words = ["train", source, "--target", "lives", "--patch", file, "--minutes", 0.001]
    result = run(*words, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert sum(json.loads(result.stdout)["items"].values()) == 119
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"]["patch"] == patch.to_json()


def test_patches_of_two_people_are_given_one_after_the_other(tmp_path: Path) -> None:
    source, patch = texts_with(tmp_path)
    files = [tmp_path / "mine.json", tmp_path / "hers.json"]
    changes = list(patch.changes.items())
    assert len(changes) >= 2
    for file, part in zip(files, (changes[:-1], changes[1:]), strict=True):
        Patch(dict(part)).write(file)
    words = ["train", source, *(word for file in files for word in ("--patch", file)), "--dry-run"]
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    item, change = changes[0]
    Patch({item: Change("another", change.was, "a text")}).write(files[1])
    result = run(*words)
    assert result.exit_code == 2
    assert " is decided differently in these patches: " in result.output
