"""Bundles of texts: written, proved, opened, asked; what is wrong with one is said in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from tools.attack_corpus import Place

import drivetrain as dt
from drivetrain.bundle import opening, reading
from drivetrain.errors import BundleError, ConfigError
from drivetrain.text import bundle
from drivetrain.text.bundling.guard import new_in_text, unknown_share
from drivetrain.text.bundling.network import made_up_texts
from drivetrain.text.bundling.predictor import TextPredictor
from tests import fresh
from tests.eject.cut_short import READER_GONE, ended_by_closed_pipe
from tests.tabular.bundling.bundles import answered_here
from tests.text.ejecting.films import folder, reviews

USUAL: dict[str, Any] = {"progress": False, "epochs": 3, "batch_size": 8, "num_threads": 1}
SMALL = {"embedding_dim": 12, "hidden_dim": 16}


def trained(where: Path, count: int = 60, **options: Any) -> Any:
    """A small model of made-up reviews."""
    learner = dt.text.learner(folder(where, count), **({"sizes": SMALL} | USUAL | options))
    learner.train()
    return learner


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the bundle is made of."""
    return trained(tmp_path_factory.mktemp("films") / "films", 120, max_len=40, lr=1e-2)


@pytest.fixture(scope="module")
def made(learner: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a guard and golden texts, without `predict.py`."""
    place = tmp_path_factory.mktemp("bundle") / "films"
    learner.export(place, script=False)
    return place


@pytest.fixture
def spoilt(made: Path, tmp_path: Path) -> Place:
    """A copy to spoil, whose hashes can be made right again."""
    shutil.copytree(made, tmp_path / "copy")
    return Place(tmp_path / "copy", tmp_path)


# --- written and proved ---------------------------------------------------------------------------


def test_a_bundle_proves_itself_to_the_bit(made: Path) -> None:
    found = dt.text.verify(made)
    assert (found.application, found.golden, found.largest_difference) == ("text", 8, 0.0)
    assert sorted(path.name for path in made.iterdir()) == [
        *("README.md", "bundle.json", "config.json", "golden", "golden.json", "golden.safetensors"),
        *("guard.json", "guard.safetensors", "model.safetensors", "tokenizer.json"),
    ]


def test_it_answers_as_the_learner_does(learner: Any, made: Path) -> None:
    predictor = dt.text.load(made)
    assert isinstance(predictor, TextPredictor)
    texts = ["A lovely film!!!", "dull dull dull plot", ""]
    expected = learner.predict(texts)
    answers = predictor.predict_many(texts)
    assert [one.label for one in answers] == expected.labels
    scores, _ = predictor.calculated(predictor.ids(texts))
    probs = scores.double().softmax(dim=1).numpy()
    np.testing.assert_allclose(probs, expected.outputs, rtol=0, atol=1e-6)
    json_of_one = answers[0].to_json()
    assert list(json_of_one) == [
        *("input", "label", "probability", "probabilities", "set", "coverage", "domain"),
    ]
    assert json_of_one["label"] in json_of_one["set"]
    assert abs(sum(json_of_one["probabilities"].values()) - 1) < 1e-9


def test_calibration_keeps_the_label_and_the_set_holds_it(made: Path) -> None:
    predictor = dt.text.load(made)
    texts, labels = reviews(60, seed=11)
    answers = predictor.answers(texts)
    assert all(one.guarded and one.label in one.guarded.labels for one in answers.predictions)
    right = [
        label in (one.guarded.labels if one.guarded else ())
        for one, label in zip(answers.predictions, labels, strict=True)
    ]
    assert sum(right) / len(right) > 0.8
    assert answers.shift is not None  # 60 texts are enough to say


def test_the_guard_says_what_a_text_has_that_no_training_text_had(made: Path) -> None:
    predictor = dt.text.load(made)
    short, long, strange = predictor.predict_many(
        ["", "good film plot " * 200, "qwx zzk vvq film plot"]
    )
    assert short.guarded is not None and "shorter" in short.guarded.domain.new
    assert long.guarded is not None and long.guarded.domain.tokens == 40  # as many as are read
    assert strange.guarded is not None
    assert "many unknown words" in strange.guarded.domain.new
    assert strange.guarded.domain.unknown > 0.4


@given(st.integers(0, 50), st.floats(0, 1), st.integers(0, 20), st.integers(20, 40))
def test_what_is_new_is_what_lies_outside(tokens: int, unknown: float, low: int, high: int) -> None:
    found = new_in_text(tokens, unknown, low, high, 0.5)
    assert ("shorter" in found) == (tokens < low)
    assert ("longer" in found) == (tokens > high)
    assert ("many unknown words" in found) == (unknown > 0.5)


def test_the_share_of_unknown_tokens() -> None:
    assert unknown_share(np.array([2, 0, 0, 5]), 0) == 0.5
    assert unknown_share(np.array([], dtype=np.int64), 0) == 0.0
    assert unknown_share(np.array([0, 0]), None) == 0.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["good", "bad film", "", "NO!!!", "l'été"]), max_size=9))
def test_an_answer_does_not_depend_on_its_neighbours(made: Path, texts: list[str]) -> None:
    predictor = _opened(made)
    together = predictor.calculated(predictor.ids([*texts, "a film"]))[0]
    alone = predictor.calculated(predictor.ids(["a film"]))[0]
    torch.testing.assert_close(together[-1], alone[0], rtol=1e-5, atol=1e-6)


_kept: dict[Path, TextPredictor] = {}


def _opened(place: Path) -> TextPredictor:
    return _kept.setdefault(place, bundle.open_bundle(place))


def test_made_up_texts_go_through_all_rules() -> None:
    words = ("xxunk", "film", "plot", "good")
    texts = made_up_texts(words, 1, joined_by=" ")
    assert texts[0] == "" and len(texts) == 7
    assert len(texts[-1].split()) == 200
    assert made_up_texts(words, 1, joined_by=" ") == texts


def test_no_text_travels_where_none_may(learner: Any, tmp_path: Path) -> None:
    found = learner.export(tmp_path / "b", golden=0, guard=False, script=False)
    assert found.golden == 0
    assert not (tmp_path / "b" / "golden").exists()
    assert not (tmp_path / "b" / "guard.json").exists()
    everything = b"".join(p.read_bytes() for p in (tmp_path / "b").iterdir() if p.is_file())
    assert not any(text.encode() in everything for text in learner.application.data.texts)
    plain = dt.text.load(tmp_path / "b").predict("A good film.").to_json()
    assert list(plain) == ["input", "label", "probabilities"]
    assert "No text travels with this bundle." in (tmp_path / "b" / "README.md").read_text()


def test_the_card_says_what_a_stranger_needs(made: Path) -> None:
    card = " ".join((made / "README.md").read_text("utf-8").split())
    for sentence in (
        "pipeline_tag: text-classification",
        "Says which of 2 classes a text is of: neg, pos. The model is an LSTM of 2 layers with a head,",
        "**8 validation texts travel with this bundle**",
        "Of the training texts it holds the words of the vocabulary, also those that few texts had: "
        "names of people may be among them.",
        "These weights were trained from random ones, on the texts named above alone.",
    ):
        assert sentence in card
    assert str(made.parent) not in (made / "bundle.json").read_text()


# --- refused --------------------------------------------------------------------------------------


def test_what_a_bundle_cannot_be_is_refused_by_name(learner: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        learner.export(tmp_path / "b", onnx=True)
    assert str(found.value) == (
        "Models of texts have no ONNX form here: texts have any length, and a recurrent model reads "
        "them piece by piece. Export without --onnx; predict.py in the bundle needs no Drivetrain."
    )
    with pytest.raises(ConfigError, match=r"^`golden` must be 0 to 1000\. Got 1001\.$"):
        learner.export(tmp_path / "b", golden=1001)
    assert not (tmp_path / "b").exists()


def test_another_engine_is_refused(made: Path) -> None:
    sentence = (
        "A model of texts has no onnx form: texts have any length, and a recurrent model reads them "
        "piece by piece. Use --engine torch."
    )
    for door in (dt.text.load, dt.text.verify):
        with pytest.raises(ConfigError) as found:
            door(made, engine="onnx")
        assert str(found.value) == sentence


def _refused(place: Place) -> str:
    with pytest.raises(BundleError) as found:
        bundle.open_bundle(place.folder)
    return str(found.value)


def _edited(place: Place, name: str, **changes: Any) -> None:
    value = json.loads((place.folder / name).read_text())
    (place.folder / name).write_text(json.dumps(value | changes))
    place.seal()


AGAIN = "Take it anew from where it came from."


def test_a_changed_byte_of_the_tokenizer_is_found(spoilt: Place) -> None:
    path = spoilt.folder / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b'"good"', b'"gold"'))
    assert _refused(spoilt) == (
        f"{path} cannot be used: its SHA-256 is not the one recorded. {AGAIN}"
    )


def test_other_words_give_other_answers(spoilt: Place) -> None:
    path = spoilt.folder / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b'"good"', b'"gold"'))
    spoilt.seal()
    with pytest.raises(BundleError) as found:
        dt.text.verify(spoilt.folder)
    assert "gives other answers than it was made with" in str(found.value)


def test_more_words_than_the_model_has_vectors_for_are_refused(spoilt: Place) -> None:
    words = json.loads((spoilt.folder / "tokenizer.json").read_text())["words"]
    _edited(spoilt, "tokenizer.json", words=[*words, "another"])
    assert _refused(spoilt) == (
        f"{spoilt.folder} has a tokenizer of {len(words) + 1} words and a model of {len(words)}. {AGAIN}"
    )


def test_a_giant_is_refused_before_it_takes_memory(spoilt: Place) -> None:
    value = spoilt.read()
    value["model"]["description"]["encoder"]["vocab_size"] = 10_000_000
    spoilt.write(value)
    said = _refused(spoilt)
    assert said.startswith(f"{spoilt.folder / 'model.safetensors'} cannot be used: the tensor ")
    assert "expected torch.float32 of shape (10000000, 12)" in said


def test_an_unsound_description_is_refused(spoilt: Place) -> None:
    value = spoilt.read()
    value["model"]["description"]["seq_len"] = 0
    spoilt.write(value)
    assert _refused(spoilt) == (
        f"{spoilt.description}, `architecture`, cannot be used: A document classifier got seq_len 0, "
        f"expected a whole number from 1 to 1073741824. {AGAIN}"
    )


def test_an_unsound_guard_is_refused(spoilt: Place) -> None:
    _edited(spoilt, "guard.json", shortest=-1)
    assert _refused(spoilt) == (
        f"guard.json has -1 as `shortest`, expected a whole number from 0 to 9007199254740992. {AGAIN}"
    )


def test_golden_texts_are_bounded(spoilt: Place) -> None:
    _edited(spoilt, "golden/texts.json", texts=["x" * 1_000_000] * 8)
    with pytest.raises(BundleError) as found:
        dt.text.verify(spoilt.folder)
    assert str(found.value) == (
        f"{spoilt.folder / 'golden/texts.json'} holds more than the 4194304 letters allowed. {AGAIN}"
    )


def test_a_tokenizer_belongs_to_texts_alone(spoilt: Place) -> None:
    value = spoilt.read()
    del value["files"]["tokenizer.json"]
    spoilt.write(value)
    with pytest.raises(BundleError) as found:
        opening.read_manifest(spoilt.description)
    assert str(found.value) == (
        f"{spoilt.description} names tokenizer.json among its `files` where it is not of texts, or does "
        f"not. {AGAIN}"
    )
    assert reading.MOST_FILES >= 11


# --- without Drivetrain ---------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "words": {},
    "characters": {"model": "gru", "tokens": "char", "max_len": 50},
    "bytes": {"model": "rnn", "tokens": {"kind": "bpe", "vocab_size": 300}},
    "parts": {"tokens": {"kind": "unigram", "vocab_size": 150}},
    "decoder": {
        "model": "decoder",
        "sizes": {"embedding_dim": 16, "num_heads": 2, "num_layers": 1, "context": 16},
    },
    "without a guard": {"model": "awd_lstm"},
}

_ODD = (
    "", "l'été\r\nSO GOOD!!! &amp; &#39; nooooo no no no no", "\ufeffgood film", "qzx " * 80,
    "a good\0film" * 20, "电影 很好 👍🏽",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_predict_py_gives_the_same_to_the_bit(kind: str, tmp_path: Path) -> None:
    learner = trained(tmp_path / "films", **KINDS[kind])
    place = tmp_path / "b"
    learner.export(place, guard=kind != "without a guard")
    files = []
    for number, text in enumerate([*reviews(20, seed=5)[0], *_ODD]):
        files.append(str(tmp_path / f"{number}.txt"))
        Path(files[-1]).write_text(text, "utf-8", newline="")
    Path(files[0]).write_bytes("un film trop tôt fini".encode("cp1252"))
    _same_answers(place, files)


def test_predict_py_names_what_it_cannot_read_and_ends_quietly_at_a_closed_pipe(
    learner: Any, tmp_path: Path
) -> None:
    learner.export(tmp_path / "b", guard=False, golden=0)
    good, missing = tmp_path / "good.txt", tmp_path / "missing.txt"
    good.write_text("a good film")
    code, out, err = answered_here(tmp_path / "b", missing, good)
    assert (code, err) == (1, f"{missing}: No such file or directory\n")
    assert out.startswith(f"{good}: ") and len(out.splitlines()) == 1
    assert answered_here(tmp_path / "b", missing, "--json")[:2] == (1, "[]\n")
    assert ended_by_closed_pipe(tmp_path / "b" / "predict.py", good) == READER_GONE


def _same_answers(place: Path, files: list[str]) -> None:
    from drivetrain.text.reading import Repairs, decoded

    texts = [decoded(Path(name).read_bytes(), name, Repairs()) for name in files]
    expected = [
        one.to_json() for one in dt.text.load(place).answers(texts, names=files).predictions
    ]
    alone = (
        "import runpy, sys; sys.modules['drivetrain'] = None; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = fresh.run(alone, place / "predict.py", *files, "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == expected


@pytest.mark.slow
@pytest.mark.parametrize("max_len", [12, 30])
def test_a_fine_tuned_transformer_travels_too(
    max_len: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from tests.text.tiny_encoders import save_tiny

    save_tiny(tmp_path / "tiny")
    learner = trained(
        tmp_path / "films", model=str(tmp_path / "tiny"), max_len=max_len, sizes=None, epochs=1
    )
    learner.export(tmp_path / "b")
    assert dt.text.verify(tmp_path / "b").largest_difference == 0
    card = " ".join((tmp_path / "b" / "README.md").read_text("utf-8").split())
    assert "Training began with the weights of tiny, whose licence is not known here." in card
    files = []
    for number, text in enumerate([*reviews(12, seed=5)[0], *_ODD]):
        files.append(str(tmp_path / f"{number}.txt"))
        Path(files[-1]).write_text(text, "utf-8", newline="")
    _same_answers(tmp_path / "b", files)


@pytest.mark.slow
def test_the_least_to_predict_with(made: Path) -> None:
    code = (
        "import sys, drivetrain as dt\n"
        f"dt.text.load({str(made)!r}).predict('A good film.')\n"
        "bad = [m for m in sys.modules if m.startswith(('drivetrain.train', 'drivetrain.optim', "
        "'drivetrain.losses', 'drivetrain.metrics', 'sklearn', 'transformers', 'tokenizers', "
        "'pandas'))]\n"
        "print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
