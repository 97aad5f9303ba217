"""Bundles of models that give a text several labels, or a number: proved, asked, spoilt."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tools.attack_corpus import Place

import drivetrain as dt
from drivetrain.errors import BundleError
from drivetrain.text import bundle
from tests.text.ejecting.films import reviews, table

USUAL: dict[str, Any] = {"progress": False, "epochs": 2, "batch_size": 8, "num_threads": 1}
SMALL = {"embedding_dim": 12, "hidden_dim": 16}
KINDS = ("labels", "number")
AGAIN = "Take it anew from where it came from."


def source(kind: str, where: Path) -> Path:
    """A table of made-up reviews."""
    texts, labels = reviews(80)
    if kind == "number":
        told: list[Any] = [30.0 + 2.5 * text.count("good") + len(text) for text in texts]
    else:
        fine = ["; fine" if "fine" in text else "" for text in texts]
        told = [label + more for label, more in zip(labels, fine, strict=True)]
    return table(where / f"{kind}.csv", {"text": texts, "told": told})


def options(kind: str) -> dict[str, Any]:
    return {"separator": ";"} if kind == "labels" else {"target_kind": "number"}


@pytest.fixture(scope="module")
def learners(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Small models after their planned training. Not to be changed."""
    where, found = tmp_path_factory.mktemp("films"), {}
    for kind in KINDS:
        given = {"sizes": SMALL, "max_len": 40, **USUAL, **options(kind)}
        found[kind] = dt.text.learner(source(kind, where), "told", **given)
        found[kind].train()
    return found


@pytest.fixture(scope="module")
def made(learners: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Their bundles, without `predict.py`. Not to be changed."""
    place = tmp_path_factory.mktemp("bundles")
    for kind, learner in learners.items():
        learner.export(place / kind, script=False)
    return {kind: place / kind for kind in learners}


@pytest.mark.parametrize("kind", KINDS)
def test_it_proves_itself_and_answers_as_the_learner_does(
    kind: str, learners: dict[str, Any], made: dict[str, Path]
) -> None:
    proved = dt.text.verify(made[kind])
    # texts with several labels do not travel: made-up ones prove the model
    assert (proved.golden, proved.largest_difference) == (8 if kind == "number" else 0, 0.0)
    assert not (made[kind] / "guard.json").exists()
    texts = ["A lovely film!!!", "dull dull dull plot", "", "so so so good " * 40]
    expected = learners[kind].predict(texts)
    answers = dt.text.load(made[kind]).predict_many(texts)
    for one, other in zip(answers, expected.to_json(), strict=True):
        found = one.to_json()
        assert found.keys() == other.keys()
        if kind == "number":
            assert found["value"] == pytest.approx(other["value"], rel=1e-6)
            assert str(one) == f"{found['value']:,.6g}"
            continue
        assert found["labels"] == other["labels"]
        values = [list(part["probabilities"].values()) for part in (found, other)]
        np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1e-6)
        said = ", ".join(f"{n} ({found['probabilities'][n]:.1%})" for n in found["labels"])
        assert str(one) == (said or "none of the labels")


def test_golden_numbers_are_the_true_ones(learners: dict[str, Any], made: dict[str, Path]) -> None:
    items = json.loads((made["number"] / "golden.json").read_text())["items"]
    texts = json.loads((made["number"] / "golden" / "texts.json").read_text())["texts"]
    names = dict(zip(learners["number"].application.data.texts, [*reviews(80)[0]], strict=True))
    for text, item in zip(texts, items, strict=True):
        true = 30.0 + 2.5 * names[text].count("good") + len(names[text])
        assert item["value"][0] == pytest.approx(true, rel=1e-5)
    values = [item["value"][0] for item in items]
    assert values == sorted(values) and len(set(values)) > 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_says_what_is_predicted(kind: str, made: dict[str, Path]) -> None:
    card = " ".join((made[kind] / "README.md").read_text("utf-8").split())
    purpose, metric, limit = {
        "labels": (
            "Says which of 3 labels a text has",
            "binary_accuracy",
            "3 labels and no others",
        ),
        "number": ("Predicts a number of a text: told.", "pearson", "gives each text a number"),
    }[kind]
    assert purpose in card and f"| | {metric} | 95% interval |" in card and limit in card
    assert "It has no guard" in card


def test_what_is_spoilt_is_refused(made: dict[str, Path], tmp_path: Path) -> None:
    def refused(kind: str, **changes: Any) -> str:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(made[kind], tmp_path / "copy")
        place = Place(tmp_path / "copy", tmp_path)
        place.write(place.read() | changes)
        with pytest.raises(BundleError) as found:
            bundle.open_bundle(place.folder)
        return str(found.value).replace(str(tmp_path / "copy"), "HERE")

    where = "HERE/bundle.json, `preprocessing`,"
    number = {"kind": "number", "mean": 0.0, "scale": 1.0}
    for kind, changes, said in (
        ("number", {"preprocessing": {"max_len": 40}}, "and `classes` do not fit together"),
        ("labels", {"classes": []}, "and `classes` do not fit together"),
        ("labels", {"preprocessing": {"max_len": 40, "goal": number}}, "and `classes` do not fit"),
    ):
        assert refused(kind, **changes).startswith(f"{where} {said}")
    goal = number | {"scale": 0}
    assert refused("number", preprocessing={"max_len": 40, "goal": goal}) == (
        "HERE/bundle.json, `preprocessing.goal`, has 0 as `scale`, expected a number from 1e-300 to "
        f"1e+300. {AGAIN}"
    )
    goal = {"kind": "os.system"}
    assert "has 'os.system' as `kind`" in refused(
        "labels", preprocessing={"max_len": 40, "goal": goal}
    )
    assert "is no JSON object" in refused("labels", preprocessing={"max_len": 40, "goal": "labels"})
    # labels that exclude each other have other signatures than those that do not
    assert "`signature` that is not that of its architecture" in refused(
        "labels", preprocessing={"max_len": 40}
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_predict_py_gives_the_same_to_the_bit(
    kind: str, learners: dict[str, Any], tmp_path: Path
) -> None:
    learners[kind].export(tmp_path / "b")
    files = []
    for number, text in enumerate([*reviews(9, seed=5)[0], " ", "l'été " * 50]):
        files.append(str(tmp_path / f"{number}.txt"))
        Path(files[-1]).write_text(text, "utf-8")
    texts = [Path(name).read_text("utf-8") for name in files]
    answers = dt.text.load(tmp_path / "b").answers(texts, names=files).predictions
    alone = (
        "import runpy, sys; sys.modules['drivetrain'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    for more in (["--json"], []):
        done = subprocess.run(
            [sys.executable, "-c", alone, str(tmp_path / "b" / "predict.py"), *files, *more],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        if more:
            assert json.loads(done.stdout) == [one.to_json() for one in answers]
        else:
            assert [line.split(": ")[0] for line in done.stdout.splitlines()] == files
