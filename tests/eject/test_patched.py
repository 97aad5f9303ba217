"""Scripts of runs that were trained with a patch: the same weights to the last bit, standing alone."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import drivetrain as dt
from drivetrain import eject, store
from drivetrain.clean.patch import Change, Patch
from drivetrain.clean.queue import text_hash
from drivetrain.cli import program
from drivetrain.data.tables.reading import open_table
from drivetrain.eject import corrections
from drivetrain.errors import EjectError
from drivetrain.store import file_sha256
from drivetrain.tabular.ejecting.trees import eject_model, predictions_sha256
from drivetrain.tabular.patching import hashes_of
from tests.cli.conftest import write_pictures
from tests.eject import replay
from tests.tabular.ejecting.test_net import mixed
from tests.tabular.tables import csv_of, passengers, real, write
from tests.text.ejecting import films
from tests.vision import leaves

pytestmark = pytest.mark.row(16)

Trained = tuple[dt.Learner, Path]
OTHER = (
    "What was corrected by hand (RELABELLED, LEFT_OUT) does not stand in this data as it did in that of "
    "the run: something in these places, or its label, is another by now. Give the data of the run."
)
NOWHERE = {"0" * 64: Change("square", None, "not in the source")}


def said(script: str) -> tuple[Any, Any]:
    """`RELABELLED` and `LEFT_OUT` of a script; None of what it does not have."""
    found = {
        node.targets[0].id: node.value
        for node in ast.parse(script).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    values = [found.get(name) for name in ("RELABELLED", "LEFT_OUT")]
    changed, gone = (None if value is None else ast.literal_eval(value) for value in values)
    return changed, gone


def check(trained: Trained, folder: Path, *, alone: bool = False) -> str:
    """Eject, run without Drivetrain, compare weights, metrics and the last row; returns the script."""
    learner, source = trained
    script = learner.eject(folder / "ejected.py")
    run = replay.replayed_alone if alone else replay.replayed_here
    answer = run(script, folder / "out", source)
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    saved = store.read_tensors(folder / "out" / "model.safetensors")
    assert store.weights_sha256(saved) == answer["weights_sha256"]
    found = learner.evaluate()
    assert replay.same_numbers(answer["metrics"], {"loss": found.loss, **found.metrics})
    assert replay.row_of(answer["printed"][-1]) == replay.last_row(learner)
    return script.read_text("utf-8")


def stops(folder: Path, source: Path) -> None:
    """The script that `check` wrote, on data in which something corrected is another by now."""
    with pytest.raises(SystemExit) as stopped:
        replay.replayed_here(folder / "ejected.py", folder / "other", source)
    assert str(stopped.value) == OTHER


# --- pictures -------------------------------------------------------------------------------------

TINY: dict[str, Any] = {"batch_size": 4, "progress": False, "augment": False}


def patch_of_shapes(source: Path) -> Patch:
    """One becomes a square, one goes, and of one the label is another by now."""
    one, other, third = (source / n for n in ("circle/1.png", "square/2.png", "circle/3.png"))
    return Patch(
        {
            file_sha256(one): Change("square", "circle", "circle/1.png"),
            file_sha256(other): Change(None, "square", "square/2.png"),
            file_sha256(third): Change("square", "triangle", "circle/3.png"),
            **NOWHERE,
        }
    )


def shapes(folder: Path, **options: Any) -> Trained:
    source = write_pictures(folder / "photos", each=6)
    given = TINY | {"patch": patch_of_shapes(source)} | options
    learner = dt.vision.learner(source, "resnet_tiny", **given)
    learner.fit(1, 1e-2)
    return learner, source


def test_pictures_in_folders(tmp_path: Path) -> None:
    learner, source = shapes(tmp_path)
    text = check((learner, source), tmp_path)
    assert said(text) == ({"circle/1.png": "square"}, ("square/2.png",))
    assert (
        "By a patch of `drivetrain clean`, the label of 1 picture was corrected (RELABELLED) and 1 "
        "picture\nwas left out (LEFT_OUT).\n"
    ) in text
    assert "from drivetrain" not in text
    (source / "circle" / "1.png").write_bytes((source / "circle" / "2.png").read_bytes())
    stops(tmp_path, source)


def shapes_by_name(folder: Path) -> Trained:
    source = write_pictures(folder / "photos", each=6)
    patch = patch_of_shapes(source)
    flat = folder / "flat"
    flat.mkdir()
    for path in sorted(source.rglob("*.png")):
        path.rename(flat / f"{path.parent.name}_{path.name}")
    data = dt.vision.from_names(flat, "^(.+)_[0-9]+", patch=patch)
    learner = dt.vision.learner(data, "resnet_tiny", **TINY)
    learner.fit(1, 1e-2)
    return learner, flat


def shapes_in_parts(folder: Path) -> Trained:
    source = write_pictures(folder / "photos", each=6)
    patch = patch_of_shapes(source)
    for path in sorted(source.rglob("*.png")):
        part = {"4": "valid", "5": "test"}.get(path.stem, "train")
        place = source / part / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    for name in ("circle", "square", "triangle"):
        (source / name).rmdir()
    learner = dt.vision.learner(source, "resnet_tiny", patch=patch, **(TINY | {"augment": True}))
    learner.fit(2, 1e-2)
    return learner, source


def shapes_that_are_only_left_out(folder: Path) -> Trained:
    source = write_pictures(folder / "photos", each=6)
    patch = Patch({file_sha256(source / "circle/1.png"): Change(None, None)})
    learner = dt.vision.learner(source, "resnet_tiny", patch=patch, **TINY)
    learner.fit(1, 1e-2)
    return learner, source


def listed_shapes(folder: Path, *, ends: str = "\n") -> Trained:
    source = write_pictures(folder / "photos", each=6)
    rows = [
        (f"photos/{path.parent.name}/{path.name}", path.parent.name, "01"[path.stem in "45"])
        for path in sorted(source.rglob("*.png"))
    ]
    table = leaves.write_table(folder / "t.csv", rows, ("path", "label", "is_valid"), ends)
    learner = dt.vision.learner(table, "resnet_tiny", patch=patch_of_shapes(source), **TINY)
    learner.fit(1, 1e-2)
    return learner, table


def listed_shapes_of_windows(folder: Path) -> Trained:
    return listed_shapes(folder, ends="\r\n")


def two_targets(folder: Path, *, ends: str = "\n") -> Trained:
    """The variety of one leaf changes, of another both targets, one goes, and one is another by now."""
    rows = leaves.make_leaves(folder)
    table = leaves.write_table(folder / "leaves.csv", rows, ends=ends)
    hashes = [file_sha256(folder / name) for name, *_ in rows]
    assert rows[0][1:] == ("blast", "adt") and rows[3][1:] == ("tungro", "ir20")
    first = Patch(
        {
            hashes[0]: Change("ponni", "adt", "leaves/00.png"),
            hashes[3]: Change("adt", "ir20", "leaves/03.png"),
            hashes[5]: Change(None, rows[5][1], "leaves/05.png"),
            hashes[6]: Change("ponni", "ir20", "leaves/06.png"),
        }
    )
    learner = leaves.learner(table, patch=first, batch_size=4, augment=False)
    learner.fit(1, 1e-2)
    return learner, table


def two_targets_of_windows(folder: Path) -> Trained:
    return two_targets(folder, ends="\r\n")


@pytest.mark.slow
def test_pictures_with_several_targets(tmp_path: Path) -> None:
    trained = two_targets(tmp_path)
    text = check(trained, tmp_path)
    assert said(text) == (
        {"leaves/00.png": {"variety": "ponni"}, "leaves/03.png": {"variety": "adt"}},
        ("leaves/05.png",),
    )
    table = trained[1]
    lines = table.read_text("utf-8")
    table.write_text(
        lines.replace("leaves/03.png,tungro,ir20", "leaves/03.png,tungro,ponni"), "utf-8"
    )
    stops(tmp_path, table)


# --- tables ---------------------------------------------------------------------------------------

NET: dict[str, Any] = {"layers": [6], "progress": False, "batch_size": 32, "num_threads": 1}
FLIP = {"yes": "no", "no": "yes"}


def patch_of_rows(source: Path, target: str, news: Sequence[str], gone: int, stale: int) -> Patch:
    """Rows 3, 40, … get these labels, one goes, and of one the label is another by now."""
    table = open_table(source).read()
    hashes, column = hashes_of(table, (target,)), table.column(target).to_pylist()
    told = ["" if cell is None else str(cell) for cell in column]
    changes = {hashes[row]: Change(new, told[row]) for row, new in zip((3, 40), news, strict=True)}
    changes[hashes[gone]] = Change(None, told[gone])
    changes[hashes[stale]] = Change(news[0], "what it was", f"row {stale + 1}")
    return Patch({**changes, **NOWHERE})


def people(folder: Path, text: str | None = None, **options: Any) -> Trained:
    source = folder / "people.csv"
    source.write_bytes((csv_of(passengers(120)) if text is None else text).encode())
    told = passengers(120)["lives"]
    patch = patch_of_rows(source, "lives", [FLIP[told[3]], FLIP[told[40]]], 50, 60)
    learner = dt.tabular.learner(source, "lives", patch=patch, **(NET | options))
    learner.fit(1, 1e-2)
    return learner, source


def test_rows_of_a_table(tmp_path: Path) -> None:
    learner, source = people(tmp_path)
    told = passengers(120)["lives"]
    text = check((learner, source), tmp_path)
    assert said(text) == ({3: FLIP[told[3]], 40: FLIP[told[40]]}, (50,))
    assert "the labels of 2 rows were corrected (RELABELLED)" in text
    lines = source.read_text("utf-8").splitlines()
    lines[4], lines[5] = lines[5], lines[4]  # sorted anew: row 3 is another person
    source.write_text("\n".join(lines) + "\n", "utf-8")
    stops(tmp_path, source)
    source.write_text("\n".join(lines[:30]) + "\n", "utf-8")
    stops(tmp_path, source)


def people_of_windows(folder: Path) -> Trained:
    return people(folder, csv_of(passengers(120)).replace("\n", "\r\n"))


def people_with_semicolons_and_blanks(folder: Path) -> Trained:
    columns = passengers(120) | {"lives": [f" {one} " for one in passengers(120)["lives"]]}
    source = folder / "people.csv"
    source.write_text(csv_of(columns).replace(",", ";"), "utf-8")
    told = columns["lives"]
    patch = patch_of_rows(source, "lives", [FLIP[told[3].strip()], FLIP[told[40].strip()]], 50, 60)
    learner = dt.tabular.learner(source, "lives", patch=patch, **NET)
    learner.fit(1, 1e-2)
    return learner, source


def people_that_were_given(folder: Path) -> Trained:
    return people(folder, valid=[*range(2, 110, 5), 50, 55])


def people_without_some_labels(folder: Path) -> Trained:
    gaps = passengers(120)["lives"]
    gaps[7], gaps[90] = "", ""
    return people(folder, csv_of(passengers(120) | {"lives": gaps}), valid=[*range(2, 110, 5)])


def a_new_class(folder: Path) -> Trained:
    """The patch gives two rows a class that no row of the file has."""
    source = write(folder / "t.csv", passengers(120))
    patch = patch_of_rows(source, "lives", ["perhaps", "perhaps"], 50, 60)
    rows = [n for n in range(4, 120) if n % 5 == 0 and n != 40]
    learner = dt.tabular.learner(source, "lives", patch=patch, valid=rows, **NET)
    learner.fit(1, 1e-2)
    return learner, source


def groups_and_dates(folder: Path) -> Trained:
    source = write(folder / "t.csv", mixed())
    told = mixed()["mark"]
    news = ["fair" if told[row] == "good" else "good" for row in (3, 40)]
    patch = patch_of_rows(source, "mark", news, 50, 60)
    learner = dt.tabular.learner(source, "mark", groups="owner", patch=patch, **NET)
    learner.fit(1, 1e-2)
    return learner, source


def a_number_in_time(folder: Path) -> Trained:
    source = write(folder / "t.csv", mixed())
    patch = patch_of_rows(source, "left", ["3.25", "17"], 50, 60)
    options = {"time": "made", "log_target": True, "metrics": ["mae"]}
    learner = dt.tabular.learner(source, "left", patch=patch, **options, **NET)
    learner.fit(1, 1e-2)
    return learner, source


def two_numbers(folder: Path) -> Trained:
    """Of row 3 both targets change, of row 40 one, and row 50 goes."""
    source = write(folder / "t.csv", mixed())
    targets = ["left", "right"]
    table = open_table(source).read()
    hashes, told = hashes_of(table, targets), table.select(targets).to_pylist()
    left = {hashes[3]: Change("7.5", told[3]["left"])}
    right = {hashes[row]: Change("2", told[row]["right"]) for row in (3, 40)}
    patch = Patch({hashes[50]: Change(None, None)}, {"left": left, "right": right})
    options = {"split": "random", "because": "it is a test", "patch": patch}
    learner = dt.tabular.learner(source, targets, **options, **NET)
    learner.fit(1, 1e-2)
    return learner, source


def codes_in_parquet(folder: Path) -> Trained:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    source = folder / "t.parquet"
    columns = {name: mixed()[name] for name in ("size", "weight", "code", "right", "mark")}
    parquet.write_table(pa.table(columns), source)
    patch = patch_of_rows(source, "code", ["3", "6"], 50, 60)
    learner = dt.tabular.learner(source, "code", target_kind="class", patch=patch, **NET)
    learner.fit(1, 1e-2)
    return learner, source


# --- texts ----------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "progress": False,
    "epochs": 1,
    "batch_size": 16,
    "num_threads": 1,
    "model": "gru",
    "tokens": "char",
    "max_len": 40,
    "sizes": {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1},
}
AGAINST = {"pos": "neg", "neg": "pos"}


def patch_of_texts(texts: Sequence[str], labels: Sequence[str], new: str | None = None) -> Patch:
    """The label of text 3 changes, 8 goes, and of 9 the label is another by now."""
    return Patch(
        {
            text_hash(texts[3]): Change(new or AGAINST[labels[3]], labels[3], "3"),
            text_hash(texts[8]): Change(None, labels[8], "8"),
            text_hash(texts[9]): Change("pos", "what it was", "9"),
            **NOWHERE,
        }
    )


def of_texts(source: Path, target: Any = None, **options: Any) -> Trained:
    learner = dt.text.learner(source, target, **(SMALL | options))
    learner.train()
    return learner, source


def texts_of_a_csv(folder: Path) -> Trained:
    texts, labels = films.reviews(40)
    source = films.table(folder / "films.csv", {"review": texts, "label": labels})
    return of_texts(source, "label", patch=patch_of_texts(texts, labels))


def test_texts_of_a_table_with_many_in_a_file_beside_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MOST", 1)
    learner, source = texts_of_a_csv(tmp_path)
    text = check((learner, source), tmp_path)
    assert "RELABELLED = {int(row): label for row" in text and "LEFT_OUT = set(" in text
    assert "They lie in the file that ends in .labels.json" in " ".join(text.split())
    beside = tmp_path / "ejected.labels.json"
    record = {"relabelled": {"3": "neg"}, "left_out": [8]}
    assert json.loads(beside.read_text("utf-8")) == record
    beside.write_bytes(beside.read_bytes().replace(b"\n", b"\r\n"))  # as Git does it on Windows
    texts, labels = films.reviews(40)
    labels[3] = "neg"
    films.table(source, {"review": texts, "label": labels})
    stops(tmp_path, source)


def texts_of_a_folder(folder: Path) -> Trained:
    source = films.folder(folder / "films")
    return of_texts(source, patch=patch_of_texts(*films.reviews()))


def texts_of_a_folder_of_windows(folder: Path) -> Trained:
    texts, labels = films.reviews(40)
    texts[3], texts[8] = texts[3].replace(" ", "\r\n", 3), texts[8].replace(" ", "\r\n", 2)
    source = films.folder(folder / "films", 40)
    for number in (3, 8):
        (source / labels[number] / f"{number}.txt").write_bytes(texts[number].encode())
    plain = [text.replace("\r\n", "\n") for text in texts]
    return of_texts(source, patch=patch_of_texts(plain, labels))


def texts_of_parts(folder: Path) -> Trained:
    source = films.folder(folder / "films", 80, parts=True)
    return of_texts(source, patch=patch_of_texts(*films.reviews(80)))


def texts_with_a_column_of_parts_and_windows(folder: Path) -> Trained:
    texts, labels = films.reviews()
    part = ["test" if n % 11 == 10 else "valid" if n % 5 == 1 else "train" for n in range(60)]
    told: list[Any] = [" " if n == 2 else one for n, one in enumerate(labels)]
    source = folder / "films.csv"
    text = csv_of({"review": texts, "label": told, "part": part})
    source.write_bytes(text.replace("\n", "\r\n").encode())
    return of_texts(source, "label", split_column="part", patch=patch_of_texts(texts, labels))


def stars_in_parquet(folder: Path) -> Trained:
    texts, labels = films.reviews(64)
    stars = [3 if label == "pos" else 1 for label in labels]
    given: list[Any] = [None if n == 5 else text for n, text in enumerate(texts)]
    source = films.table(folder / "films.parquet", {"review": given, "stars": stars})
    patch = patch_of_texts(texts, [str(one) for one in stars], "1")
    return of_texts(source, "stars", target_kind="class", patch=patch)


def a_number_of_texts(folder: Path) -> Trained:
    texts, _ = films.reviews()
    score = [float(text.count("good") + 30) for text in texts]
    source = films.table(folder / "films.csv", {"text": texts, "score": score})
    told = ["" if cell is None else cell for cell in open_table(source).read()["score"].to_pylist()]
    patch = patch_of_texts(texts, [str(one) for one in told], "29.5")
    return of_texts(source, "score", target_kind="number", patch=patch)


def patch_of_labels(texts: Sequence[str]) -> Patch:
    """Text 3 is no longer `pos` but `neg`, 4 has `long` as well, and 8 goes."""
    three, four = text_hash(texts[3]), text_hash(texts[4])
    targets = {
        "pos": {three: Change("no", "yes")},
        "neg": {three: Change("yes", "no")},
        "long": {four: Change("yes", "no")},
    }
    return Patch({text_hash(texts[8]): Change(None, None)}, targets)


def several_labels(folder: Path) -> Trained:
    texts, labels = films.reviews()
    long = ["|long" if len(text) > 90 and n != 4 else "" for n, text in enumerate(texts)]
    genres = [one + more for one, more in zip(labels, long, strict=True)]
    source = films.table(folder / "films.csv", {"text": texts, "genres": genres})
    return of_texts(source, "genres", separator="|", patch=patch_of_labels(texts))


def labels_in_two_columns(folder: Path) -> Trained:
    texts, labels = films.reviews()
    length = ["long" if len(text) > 90 and n != 4 else "short" for n, text in enumerate(texts)]
    source = films.table(folder / "films.csv", {"text": texts, "label": labels, "length": length})
    patch = patch_of_labels(texts)
    return of_texts(source, ["label", "length"], split="stratified", patch=patch)


MORE: tuple[Callable[[Path], Trained], ...] = (
    shapes_by_name,
    shapes_in_parts,
    shapes_that_are_only_left_out,
    listed_shapes,
    listed_shapes_of_windows,
    two_targets_of_windows,
    people_of_windows,
    people_with_semicolons_and_blanks,
    people_that_were_given,
    people_without_some_labels,
    a_new_class,
    groups_and_dates,
    a_number_in_time,
    two_numbers,
    codes_in_parquet,
    texts_of_a_csv,
    texts_of_a_folder,
    texts_of_a_folder_of_windows,
    texts_of_parts,
    texts_with_a_column_of_parts_and_windows,
    stars_in_parquet,
    a_number_of_texts,
    several_labels,
    labels_in_two_columns,
)


@pytest.mark.slow
@pytest.mark.parametrize("make", MORE, ids=lambda make: make.__name__)
def test_all_kinds_of_sources(make: Callable[[Path], Trained], tmp_path: Path) -> None:
    text = check(make(tmp_path), tmp_path)
    changed, gone = said(text)
    assert changed or make is shapes_that_are_only_left_out
    assert gone is not None and len(gone) == 1
    assert "from drivetrain" not in text


# --- many -----------------------------------------------------------------------------------------

KINDS = pytest.mark.parametrize(
    "make",
    [shapes, two_targets, people, texts_of_a_csv, texts_of_a_folder],
    ids=lambda make: make.__name__,
)


@pytest.mark.slow
@KINDS
def test_many_of_each_kind(
    make: Callable[[Path], Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MOST", 1)
    learner, source = make(tmp_path)
    check((learner, source), tmp_path, alone=True)
    assert (tmp_path / "ejected.labels.json").is_file()
    with pytest.raises(EjectError) as refused:
        eject.source(learner)
    assert str(refused.value) == (
        "So many labels of this run were corrected that its script reads them from a file beside it. "
        "Write both: `learner.eject(path)`."
    )


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 100])
@pytest.mark.parametrize("level", ["data", "loop"])
@KINDS
def test_shallower_levels(
    make: Callable[[Path], Trained],
    level: str,
    most: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corrections, "MOST", most)
    learner, source = make(tmp_path)
    script = learner.eject(tmp_path / "script.py", level=level)
    answer = replay.replayed_with_drivetrain(script, tmp_path / "out", source)
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    text = script.read_text("utf-8")
    assert "patch of `drivetrain clean`" in " ".join(text.split())
    assert len(text.splitlines()) < 700


# --- trees, and runs on the disk ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 100])
@pytest.mark.parametrize("name", ["forest", "linear"])
def test_models_that_no_learner_trained(
    name: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MOST", most)
    source = write(tmp_path / "people.csv", passengers(120))
    told = passengers(120)["lives"]
    patch = patch_of_rows(source, "lives", [FLIP[told[3]], FLIP[told[40]]], 50, 60)
    data = dt.tabular.from_csv(source, "lives", patch=patch)
    model = dt.tabular.fit(data, model=name)
    script = eject_model(model, tmp_path / "model.py")
    answer = replay.replayed_alone(script, tmp_path / "out", source)
    frame, _ = data.part("valid")
    assert answer["predictions_sha256"] == predictions_sha256(model, frame)
    found = np.load(tmp_path / "out" / "predictions.npy")
    np.testing.assert_array_equal(found, model.predict_frame(frame))
    assert "the labels of 2 rows were corrected" in script.read_text("utf-8")
    assert (tmp_path / "model.labels.json").is_file() == (most == 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "application"),
    [(shapes, dt.vision), (people, dt.tabular)],
    ids=["pictures", "table"],
)
def test_a_run_that_is_opened_again_gives_the_same_script(
    make: Any, application: Any, tmp_path: Path
) -> None:
    learner, source = make(tmp_path, out=tmp_path / "run")
    again = application.reopen(tmp_path / "run", progress=False)
    assert eject.source(again) == eject.source(learner)
    check((again, source), tmp_path, alone=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["net", "forest"])
def test_the_command_says_what_lies_beside_the_script(kind: str, tmp_path: Path) -> None:
    source = write(tmp_path / "people.csv", passengers(240))
    table = open_table(source).read()
    hashes, told = hashes_of(table, ("lives",)), table.column("lives").to_pylist()
    file = Patch({hashes[n]: Change(FLIP[told[n]], told[n]) for n in range(120)}).write(
        tmp_path / "p.json"
    )

    def run(*words: Any) -> str:
        done = CliRunner().invoke(program, list(map(str, words)))
        assert done.exit_code == 0, done.output
        return done.stdout

    options = ["--epochs", 1, "--set", "layers=[6]"] if kind == "net" else []
    words = ["--target", "lives", "--model", kind, "--patch", file, "--out", tmp_path / "run"]
    run("train", source, *words, *options)
    script, beside = tmp_path / "e.py", tmp_path / "e.labels.json"
    first = run("eject", tmp_path / "run", "-o", script).splitlines()[0]
    assert first.endswith(f" It reads the corrected labels from {beside}, beside it.")
    document = json.loads(run("eject", tmp_path / "run", "-o", script, "--json"))
    assert document["beside"] == str(beside)
    answer = replay.replayed_alone(script, tmp_path / "out", source)
    ends = "weights_sha256" if kind == "net" else "predictions_sha256"
    assert answer[ends] == document[ends]


# --- real data ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_adult_with_more_corrections_than_a_script_lists(tmp_path: Path) -> None:
    source = real("adult/adult.csv")
    table = open_table(source).read()
    hashes, told = hashes_of(table, ("salary",)), table.column("salary").to_pylist()
    first, second = sorted(set(told))
    places = range(5, len(told), 200)
    changes = {
        hashes[row]: Change(second if told[row] == first else first, told[row]) for row in places
    }
    changes |= {hashes[row]: Change(None, told[row]) for row in range(6, len(told), 4000)}
    options = {"batch_size": 1024, "layers": [16]}
    learner = dt.tabular.learner(source, "salary", patch=Patch(changes), **(NET | options))
    learner.fit(1, 1e-2)
    check((learner, source), tmp_path, alone=True)
    record = json.loads((tmp_path / "ejected.labels.json").read_text("utf-8"))
    assert len(record["relabelled"]) >= len(places) > corrections.MOST
    assert len(record["left_out"]) >= 8


@pytest.mark.slow
def test_photos_of_pets_with_two_targets(tmp_path: Path) -> None:
    images = real("pets/images")
    paths = [path for breed in sorted(images.iterdir()) for path in sorted(breed.iterdir())[:12]]
    rows = [
        (path.relative_to(images).as_posix(), path.parent.name, "cat" if name.isupper() else "dog")
        for path in paths
        for name in [path.name[0]]
    ]
    table = leaves.write_table(tmp_path / "pets.csv", rows, ("image", "breed", "kind"), "\r\n")
    hashes = [file_sha256(path) for path in paths]
    breeds = sorted({breed for _, breed, _ in rows})
    new = {at: next(one for one in breeds if one != rows[at][1]) for at in (2, 15, 30)}
    patch = Patch(
        {hashes[7]: Change(None, None)},
        {
            "breed": {hashes[at]: Change(label, rows[at][1]) for at, label in new.items()},
            "kind": {hashes[15]: Change("dog", "cat")},
        },
    )
    data = dt.vision.from_csv(
        table, folder=images, targets=["breed", "kind"], size=64, patch=patch, seed=4
    )
    learner = dt.vision.learner(data, "resnet_tiny", batch_size=8, progress=False, seed=4)
    learner.fit_one_cycle(1, 1e-2)
    changed, gone = said(check((learner, table), tmp_path, alone=True))
    assert changed[rows[15][0]] == {"breed": new[15], "kind": "dog"}
    assert gone == (rows[7][0],)


@pytest.mark.slow
def test_reviews_of_films(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(real("imdb/train.parquet"))
    table = table.take(list(range(0, table.num_rows, 40)))
    source = tmp_path / "reviews.parquet"
    parquet.write_table(table, source)
    texts, labels = table["text"].to_pylist(), table["label"].to_pylist()
    first, second = sorted(set(labels))
    flipped = str(second if labels[3] == first else first)
    patch = patch_of_texts(texts, [str(one) for one in labels], flipped)
    options = {"tokens": "word", "max_len": 200, "model": "lstm", "target_kind": "class"}
    trained = of_texts(source, "label", patch=patch, **options)
    changed, gone = said(check(trained, tmp_path, alone=True))
    assert (str(changed[3]), gone) == (flipped, (8,))


@pytest.mark.slow
def test_a_language_model_of_a_table_without_a_text(tmp_path: Path) -> None:
    texts, _ = films.reviews(60)
    source = films.table(tmp_path / "films.csv", {"text": texts})
    patch = Patch({text_hash(texts[8]): Change(None, None, "8")})
    sizes = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}
    options = {"batch_size": 4, "seq_len": 16, "epochs": 1, "num_threads": 1, "progress": False}
    learner = dt.text.language_learner(source, patch=patch, sizes=sizes, **options)
    learner.train()
    data: Any = learner.application
    data = data.data
    assert len(data.texts) == 59
    assert said(check((learner, source), tmp_path)) == (None, (8,))
