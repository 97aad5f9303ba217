"""Models on vectors of texts, kept in a folder and opened again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.text.sentences import SentenceEncoder, SentenceModel, fit_sentences
from drivetrain.text.similarity import FittedSimilarity, SimilarityScorer, similarity
from drivetrain.text.vector_files import RECORD, WEIGHTS
from tests.text.tiny_encoders import save_tiny

CONTENT = ("good", "bad", "cat", "dog", "house", "tree", "dull", "bright")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("tiny")
    save_tiny(path)
    return path


def some_texts(count: int, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(CONTENT, draw.integers(1, 9))) for _ in range(count)]


def judge(folder: Path, targets: Callable[[str], Any], **options: Any) -> SentenceModel:
    texts = some_texts(60)
    encoder = SentenceEncoder(folder, max_len=12, num_threads=1, **options)
    return fit_sentences(encoder, texts, [targets(text) for text in texts])


def scorer(folder: Path, contexts: bool) -> FittedSimilarity:
    firsts, seconds = some_texts(60, 1), some_texts(60, 2)
    scores = np.random.default_rng(0).normal(size=60)
    fields = ["x" if n % 3 else "y" for n in range(60)] if contexts else None
    found = similarity(folder, max_len=12, num_threads=1)
    return found.fit(firsts, seconds, scores, contexts=fields)


CASES: dict[str, dict[str, Any]] = {
    "classes": {"targets": lambda text: "cat" if "cat" in text else "none"},
    "three classes, both ends": {
        "targets": lambda text: str(len(text) % 3),
        "keep": "both",
        "layers": 2,
    },
    "numbers": {"targets": lambda text: float(len(text)), "pooling": "first"},
    "several numbers": {"targets": lambda text: [float(len(text)), float("cat" in text)]},
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_of_texts_answers_the_same_when_it_is_opened(
    case: str, folder: Path, tmp_path: Path
) -> None:
    model = judge(folder, **CASES[case])
    model.save(tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [RECORD, WEIGHTS]
    texts = [*some_texts(20, 5), "house " * 30]
    for found in (
        SentenceModel.load(tmp_path / "kept", num_threads=1),
        SentenceModel.load(tmp_path / "kept", encoder=model.encoder),
    ):
        np.testing.assert_array_equal(found.scores(texts), model.scores(texts))
        np.testing.assert_array_equal(found.predict(texts), model.predict(texts))
        assert (found.classes, found.cut) == (model.classes, model.cut)
        assert found.head.strength == model.head.strength


@pytest.mark.parametrize("contexts", [True, False])
def test_a_scorer_of_pairs_answers_the_same_when_it_is_opened(
    contexts: bool, folder: Path, tmp_path: Path
) -> None:
    fitted = scorer(folder, contexts)
    fitted.save(tmp_path / "kept")
    found = FittedSimilarity.load(tmp_path / "kept", num_threads=1)
    pairs = some_texts(20, 5), some_texts(20, 6)
    given = [["x", "y", "never met", "x"][n % 4] for n in range(20)] if contexts else None
    # vectors that were made in other company differ in their last digits
    fresh = dataclasses.replace(fitted, scorer=SimilarityScorer(fitted.scorer.encoder))
    np.testing.assert_array_equal(found.score(*pairs, given), fresh.score(*pairs, given))
    np.testing.assert_allclose(found.score(*pairs, given), fitted.score(*pairs, given), atol=1e-5)
    assert found.contexts == fitted.contexts


def test_an_encoder_that_is_another_by_now_is_told(tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny")
    model = judge(tmp_path / "tiny", CASES["classes"]["targets"])
    model.save(tmp_path / "kept")
    with pytest.raises(RunError) as caught:
        SentenceModel.load(
            tmp_path / "kept", encoder=SentenceEncoder(tmp_path / "tiny", max_len=11)
        )
    expected = (
        f"The encoder '{tmp_path / 'tiny'}' is not the one that the model was made with, or is asked "
        f"otherwise. Put back the one with the SHA-256 {model.encoder.sha256}."
    )
    assert str(caught.value) == expected
    weights = store.read_tensors(tmp_path / "tiny" / "model.safetensors")
    name = next(iter(weights))
    changed = store.tensor_bytes(weights | {name: weights[name] + 1})
    store.write_bytes(tmp_path / "tiny" / "model.safetensors", changed)
    with pytest.raises(RunError) as caught:
        SentenceModel.load(tmp_path / "kept")
    assert str(caught.value) == expected


def test_what_is_damaged_or_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    model = judge(folder, CASES["classes"]["targets"])
    model.save(tmp_path / "kept")
    kept, path = tmp_path / "kept", tmp_path / "kept" / RECORD
    whole = json.loads(path.read_text("utf-8"))

    def refused(loads: Any, **changes: Any) -> str:
        store.write_json(path, whole | changes)
        with pytest.raises(RunError) as caught:
            loads.load(kept, encoder=model.encoder)
        return str(caught.value)

    assert refused(FittedSimilarity) == (
        f"{kept} holds no model of how alike texts are that this version of Drivetrain reads."
    )
    assert refused(SentenceModel, format=2) == (
        f"{kept} holds no model of texts by their vectors that this version of Drivetrain reads."
    )
    missing = "is missing, or not what it has to be. Restore it from a copy."
    assert refused(SentenceModel, outputs=True) == f"{path} cannot be used: its 'outputs' {missing}"
    encoder = whole["encoder"] | {"layers": "1"}
    assert refused(SentenceModel, encoder=encoder) == (
        f"{path} cannot be used: its 'encoder.layers' {missing}"
    )
    assert refused(SentenceModel, outputs=3, classes=["a", "b", "c"]) == (
        f"{kept}: its numbers are of another model than its record describes. Restore it from a copy."
    )
    assert refused(SentenceModel, classes=["a", 3]) == (
        f"{path} cannot be used: it holds what Drivetrain does not write (ValueError: 'classes and "
        "outputs differ'). Restore it from a copy."
    )
    assert refused(SentenceModel, sha256="0" * 64) == (
        f"{kept / WEIGHTS} is damaged: its SHA-256 is not the one recorded. Restore it from a copy."
    )
    store.write_json(path, whole)
    assert SentenceModel.load(kept, encoder=model.encoder).predict(["a cat"]) == ["cat"]


def test_numbers_of_a_scorer_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    fitted = scorer(folder, contexts=True)
    fitted.save(tmp_path / "kept")
    path = tmp_path / "kept" / RECORD
    record = json.loads(path.read_text("utf-8"))
    store.write_json(path, record | {"nets": 3})
    with pytest.raises(RunError) as caught:
        FittedSimilarity.load(tmp_path / "kept", encoder=fitted.scorer.encoder)
    assert str(caught.value) == (
        f"{tmp_path / 'kept'}: its numbers are of another model than its record describes. Restore it "
        "from a copy."
    )
