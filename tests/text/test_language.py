"""Language models, end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, Interrupted, RunError
from drivetrain.models.language import PRESETS
from drivetrain.text.language import unigram_perplexity
from drivetrain.train.callback import Callback
from tests.text.moods import moods

COUNT = "one two three four five six seven eight nine ten . "
QUICK: dict[str, Any] = {
    "sizes": {"embedding_dim": 16, "hidden_dim": 16, "num_layers": 1},
    "drop_mult": 0.0,
    "num_threads": 1,
    "progress": False,
    "batch_size": 4,
    "seq_len": 12,
}


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("books")
    for number in range(12):
        (folder / f"{number:02}.txt").write_text(COUNT * 12)
    return folder


@pytest.fixture(scope="module")
def trained(books: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("r") / "run"
    learner = dt.text.language_learner(books, epochs=6, lr=2e-2, out=out, **QUICK)
    learner.train()
    return learner


@pytest.mark.row(48)
def test_perplexity_stands_beside_that_of_the_words_frequencies(trained: Any) -> None:
    result = trained.result()
    assert result["task"] == "language"
    unigram = result["baselines"]["unigram"]["perplexity"]
    assert result["metrics"]["valid"]["perplexity"] < 2 < 8 < unigram
    assert unigram < result["baselines"]["uniform"]["perplexity"]
    surprise, count = 0.0, 0
    trained.model.eval()
    with torch.no_grad():
        for tokens, targets in trained.loaders.valid:
            logs = trained.model(tokens).log_softmax(dim=1)  # (B, V, T)
            surprise -= float(logs.gather(1, targets.unsqueeze(1)).sum())
            count += targets.numel()
    expected = np.exp(surprise / count)
    assert result["metrics"]["valid"]["perplexity"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.row(48)
def test_it_writes_on_where_a_text_ends(trained: Any) -> None:
    found = trained.generate("one two three", num_tokens=4, temperature=0.0)
    assert found == "one two three four five six seven"
    writer = dt.text.load_writer(trained.run.folder)
    assert writer.generate("one two three", num_tokens=4, temperature=0.0) == found
    bold = [writer.generate("one", num_tokens=8, seed=seed) for seed in (1, 1)]
    assert bold[0] == bold[1]


def test_texts_from_elsewhere_are_measured(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(COUNT * 5)
    found = trained.evaluate(str(tmp_path / "other.txt"))
    assert found["metrics"]["perplexity"] < 3


class StopAfter(Callback):
    def __init__(self, batches: int) -> None:
        self.left = batches

    def after_batch(self, state: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_a_run_that_was_cut_resumes_to_the_same_bits(books: Path, tmp_path: Path) -> None:
    whole = dt.text.language_learner(books, epochs=2, **QUICK)
    whole.train()
    cut = dt.text.language_learner(books, epochs=2, out=tmp_path / "run", **QUICK)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        cut.fit_one_cycle(2, cut.lr, callbacks=[StopAfter(35)])
    again = dt.text.reopen(tmp_path / "run", progress=False)
    again.resume(callbacks=[])
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_a_run_of_a_time_without_a_range_begins_as_it_did(books: Path, tmp_path: Path) -> None:
    options = QUICK | {"sizes": {**QUICK["sizes"], "initial_range": 0.1}}
    before = dt.text.language_learner(books, out=tmp_path / "run", **options)
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text("utf-8"))
    del record["model"]["encoder"]["initial_range"], record["settings"]["sizes"]["initial_range"]
    store.write_json(path, record)
    again = dt.text.reopen(tmp_path / "run", progress=False)
    assert store.weights_sha256(again.model.state_dict()) == store.weights_sha256(
        before.model.state_dict()
    )
    assert again.application.settings["sizes"] == QUICK["sizes"]
    usual = dt.text.language_learner(books, **QUICK)
    assert (
        usual.application.description["encoder"]["initial_range"]
        == PRESETS["lstm"]["initial_range"]
    )


def test_the_next_word_of_frequencies_is_the_oracle() -> None:
    train, valid = np.array([0, 0, 0, 1]), np.array([0, 1, 2])
    shares = np.array([4, 2, 1]) / 7
    expected = np.exp(-np.log(shares[[0, 1, 2]]).mean())
    assert unigram_perplexity(train, valid, 3) == pytest.approx(expected)


def test_a_language_model_begins_with_a_saved_encoder(
    trained: Any, books: Path, tmp_path: Path
) -> None:
    trained.save_encoder(tmp_path / "encoder")
    again = dt.text.language_learner(
        books, encoder=tmp_path / "encoder", progress=False, num_threads=1
    )
    for name, tensor in trained.model.encoder.state_dict().items():
        assert torch.equal(tensor, again.model.encoder.state_dict()[name]), name
    record = json.loads((tmp_path / "encoder" / "encoder.json").read_text())
    record["encoder"]["vocab_size"] += 1
    (tmp_path / "encoder" / "encoder.json").write_text(json.dumps(record))
    with pytest.raises(
        RunError, match=r"weights, words and record do not fit together. Save it anew.$"
    ):
        dt.text.open_encoder(tmp_path / "encoder")


def test_it_is_no_classifier(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"is a language model: it writes texts, and does not judge them.$"
    ):
        dt.text.load(trained.run.folder)
    with pytest.raises(ConfigError, match=r"^A language model has no bundle."):
        trained.export(tmp_path / "b")
    texts, _ = moods(20)
    assert dt.text.gather(list(texts), labelled=False).goal is None
