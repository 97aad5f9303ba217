"""`drivetrain map`: what a run takes for alike, of each application."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from drivetrain import tabular, vision
from drivetrain.cli import program
from drivetrain.collab.model import load
from drivetrain.interpret.embedding_map import embedding_map
from drivetrain.interpret.head_inputs import head_inputs
from tests.browser import browser, opened


def looked_at(path: Path) -> None:
    """Open the page in three sizes, light and dark."""
    with browser() as started:
        for width in (390, 820, 1280):
            for scheme in ("light", "dark"):
                size = {"width": width, "height": 800}
                with opened(started, path, viewport=size, color_scheme=scheme) as page:
                    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
                    assert (page.errors, page.requests) == ([], [])


def trained_on(folder: Path, *words: object) -> Path:
    words = ("train", *words, "--out", folder)
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a net on a table with a column of categories, in Windows lines."""
    place = tmp_path_factory.mktemp("table")
    rows = [
        f"{k % 5},{'red green blue'.split()[k % 3]},{'yes' if (k * k + k // 7) % 3 else 'no'}"
        for k in range(60)
    ]
    (place / "t.csv").write_bytes("\r\n".join(["size,colour,bought", *rows, ""]).encode())
    return trained_on(
        place / "run", place / "t.csv", "--target", "bought", "--model", "net", "--epochs", 1
    )


def test_a_map_of_pictures_holds_what_the_last_layer_is_given(
    run: Any, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    result = run("map", folder, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["map"] == str(folder / "map.html")
    learner = vision.reopen(folder, callbacks=(), progress=False)
    learner.load(folder)
    with head_inputs(learner.model) as caught:
        found = learner.predictions()
    expected = embedding_map(caught.vectors())
    points = [[one["x"], one["y"]] for one in document["items"]]
    np.testing.assert_allclose(points, expected.points, atol=1e-6)
    assert [one["name"] for one in document["items"]] == list(found.ids)
    wrong = (found.preds != found.targets).tolist()
    assert [one["wrong"] for one in document["items"]] == wrong
    assert document["explained"] == pytest.approx(expected.shares)
    assert "head.scores" in document["what"]


@pytest.mark.slow
def test_the_map_of_a_run_is_sound_in_a_browser(run: Any, trained: Path) -> None:
    assert run("map", trained, "-o", "m.html").exit_code == 0
    looked_at(Path("m.html"))


def test_another_layer_and_fewer_items(run: Any, trained: Path) -> None:
    result = run("map", trained, "--layer", "body", "--most", 4, "--seed", 1, "-o", "m.html")
    assert result.exit_code == 0, result.output
    assert "What the layer body gives" in result.stdout
    assert "Drawn are 4 of 6 pictures, chosen at random." in result.stdout


def test_rows_of_a_net_and_the_categories_of_a_column(run: Any, table: Path) -> None:
    result = run("map", table, "--json", "-o", "rows.html")
    assert result.exit_code == 0, result.output
    assert {one["group"] for one in json.loads(result.stdout)["items"]} == {"yes", "no"}
    result = run("map", table, "--column", "colour", "--json", "-o", "colours.html")
    document = json.loads(result.stdout)
    names = [one["name"] for one in document["items"]]
    assert names == ["missing or unknown", "blue", "green", "red"]
    net = tabular.load(table).estimator.net
    vectors = net.embeddings[0].weight.detach().numpy()
    points = [[one["x"], one["y"]] for one in document["items"]]
    np.testing.assert_allclose(points, embedding_map(vectors).points, atol=1e-6)
    told = " ".join(document["told"])
    assert "1 category has no training row: that vector is as it was drawn at the start." in told
    assert "Colours: share of yes" in told


def test_pictures_of_training_are_drawn_as_they_are_and_told_from_others(
    run: Any, trained: Path
) -> None:
    documents = {}
    for items in ("valid", "train", "all"):
        result = run("map", trained, "--items", items, "--json", "-o", f"{items}.html")
        assert result.exit_code == 0, result.output
        documents[items] = json.loads(result.stdout)
    parts = {name: [one["part"] for one in d["items"]] for name, d in documents.items()}
    assert set(parts["valid"]) == {"valid"} and set(parts["train"]) == {"train"}
    assert parts["all"] == parts["train"] + parts["valid"]
    names = {name: [one["name"] for one in d["items"]] for name, d in documents.items()}
    assert names["all"] == names["train"] + names["valid"]
    split = json.loads((trained / "split.json").read_text())
    assert names["train"] == split["train"] and names["valid"] == split["valid"]
    learner = vision.reopen(trained, callbacks=(), progress=False)
    learner.load(trained)
    said = {one["name"]: one["said"] for one in documents["train"]["items"]}
    for name in names["train"][:3]:  # as it says of the file, which nobody varied
        assert learner.predict(str(learner.application.data.source / name)).label == said[name]
    for name, what in (("train", "training pictures"), ("all", "of the pictures")):
        assert what in documents[name]["what"]
        assert f"{len(names['train']):,} pictures are of training" in " ".join(
            documents[name]["told"]
        )
    assert "training" in Path("all.html").read_text()


def test_rows_of_training(run: Any, table: Path) -> None:
    result = run("map", table, "--items", "all", "--json", "-o", "rows.html")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["items"]
    split = json.loads((table / "split.json").read_text())
    for part in ("train", "valid"):
        assert [one["name"] for one in found if one["part"] == part] == split[part]


def test_vectors_of_items_and_users(run: Any, tmp_path: Path) -> None:
    lines = [f"{u},{i},{1 + (u * i) % 5}" for u in range(12) for i in range(9) if (u + i) % 4]
    Path("r.csv").write_text("\n".join(["user,item,rating", *lines]))
    folder = trained_on(tmp_path / "run", "r.csv", "--task", "collab", "--epochs", 1)
    model = load(folder)
    for of, vectors in (("items", model.factors.items[1:]), ("users", model.factors.users[1:])):
        result = run("map", folder, "--of", of, "--json", "-o", f"{of}.html")
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        points = [[one["x"], one["y"]] for one in document["items"]]
        np.testing.assert_allclose(points, embedding_map(vectors).points, atol=1e-6)
    means = {str(model.items.names[c]): float(model.item_mean[c]) for c in range(1, 10)}
    result = run("map", folder, "--json", "-o", "items.html")
    for one in json.loads(result.stdout)["items"]:
        low, _, high = one["group"].partition(" to ")
        assert float(low) - 1e-3 <= means[one["name"]] <= float(high or low) + 1e-3


@pytest.mark.slow
def test_texts_by_the_words_that_they_begin_with(run: Any, tmp_path: Path) -> None:
    rows = [f"{'good fine nice' if k % 2 else 'bad poor dull'} film {k},{k % 2}" for k in range(40)]
    Path("t.csv").write_text("\n".join(["text,label", *rows]))
    folder = trained_on(
        tmp_path / "run", "t.csv", "--task", "text", "--target", "label", "--epochs", 1
    )
    result = run("map", folder, "--json", "-o", "m.html")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["items"]) == 8
    text = Path("m.html").read_text("utf-8")
    assert "film" in text and "for each of the validation texts" in text
    result = run("map", folder, "--items", "all", "--json", "-o", "m.html")
    found = json.loads(result.stdout)["items"]
    split = json.loads((folder / "split.json").read_text())
    for part in ("train", "valid"):
        drawn = [one for one in found if one["part"] == part]
        assert sorted(one["name"] for one in drawn) == sorted(split[part])
        groups = {f"row {1 + k}": str(k % 2) for k in range(40)}
        assert all(groups[one["name"]] == one["group"] for one in drawn)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["RUN", "-o", "map.png"], "--out: the map is a file that ends in .html. Got map.png."),
        (["RUN", "--column", "colour"], "--column says nothing of a run of the kind 'vision'."),
        (["RUN", "--of", "users"], "--of says nothing of a run of the kind 'vision'."),
        (["RUN", "--layer", "hed"], "The model has no layer 'hed'. Did you mean 'head'?"),
        (["TABLE", "--column", "color"], "Did you mean 'colour'?"),
        (["TABLE", "--column", "colour", "--layer", "head"], "give one of them."),
        (["TABLE", "--column", "colour", "--items", "all"], "--items is of rows, and --column of"),
        (["RUN", "--method", "umap"], "Install it with: pip install 'drivetrain[map]'."),
        (["nowhere"], "nowhere is not a run folder"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    run: Any,
    trained: Path,
    table: Path,
    words: list[Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    places = {"RUN": trained, "TABLE": table}
    result = run("map", *[places.get(word, word) for word in words])
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.split())


def test_trees_have_no_vectors_of_rows(run: Any, tmp_path: Path) -> None:
    rows = [f"{k % 7},{k % 2}" for k in range(40)]
    Path("t.csv").write_text("\n".join(["a,y", *rows]))
    folder = trained_on(tmp_path / "run", "t.csv", "--target", "y", "--model", "forest")
    result = run("map", folder)
    assert result.exit_code == 2
    assert " ".join(result.output.split()) == (
        f"drivetrain: {folder} is a model of the kind 'forest', which has no vectors of rows. Train a "
        "net: drivetrain train … --model net"
    )
