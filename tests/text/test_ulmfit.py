"""ULMFiT on a language that is known by construction: what the second stage is worth.

A text has a mood, and its words are of that mood; but which word has which mood is told nowhere. General
texts and the domain's share the small words and the full stop; their moods are other words. Twenty
labelled texts of three words show less than half of the domain's words, so a classifier must know the
others from texts without labels: words of one mood stand together.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from drivetrain import losses, store
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.data.stream import StreamLoader
from drivetrain.models.document import create_document_classifier, document_description
from drivetrain.text.base import Tokenizer
from drivetrain.text.general import GeneralModel, GeneralSettings, train_general
from drivetrain.text.general_texts import GeneralTexts
from drivetrain.text.tokenizer import train_tokenizer
from drivetrain.train.learner import Learner
from tests.tabular.tables import real

SMALL_WORDS = "the a this that it was is and so very then of".split()
WIDTH = 32
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def mood_words(stem: str, count: int = 30) -> list[str]:
    return [f"{stem}{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(count)]


GENERAL = (mood_words("gar"), mood_words("gel"))
DOMAIN = (mood_words("dop"), mood_words("dim"))


def texts_of(
    moods: tuple[list[str], list[str]], count: int, seed: int, *, length: int = 12
) -> tuple[list[str], Tensor]:
    """Texts of `length` words of a mood, one in twenty of the other, and their moods, (count,) int64."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    texts = []
    for label in labels.tolist():
        words = []
        for stray in (draw.random(length) < 0.05).tolist():
            if draw.random() < 0.3:
                words.append(str(draw.choice(SMALL_WORDS)))
            words.append(str(draw.choice(moods[label ^ stray])))
        texts.append(" ".join(words) + ".")
    return texts, torch.from_numpy(labels)


@dataclass
class Stages:
    """What the stages of one seed made."""

    general: GeneralModel
    domain: GeneralModel
    tokenizer: Tokenizer
    perplexities: tuple[float, float]
    """Of the domain's texts, before the second stage and after it."""
    train: tuple[list[str], Tensor]
    test: tuple[list[str], Tensor]


@functools.cache
def two_stages(seed: int) -> Stages:
    """The general model, and the domain's, which begins with its weights."""
    texts, _ = texts_of(GENERAL, 400, 1000 + seed)
    general = train_general(
        GeneralTexts(tuple(texts[:360]), tuple(texts[360:]), "made"),
        GeneralSettings(
            embedding_dim=WIDTH, hidden_dim=WIDTH, num_layers=1, drop_mult=0.0,
            batch_size=16, seq_len=24, epochs=3, lr=2e-2,
        ),
        seed=seed, num_threads=1, progress=False, precision="float32",
    )  # fmt: skip
    unlabelled, _ = texts_of(DOMAIN, 1000, 2000 + seed)
    train = texts_of(DOMAIN, 20, 3000 + seed, length=3)
    test = texts_of(DOMAIN, 400, 4000 + seed, length=3)
    tokenizer = train_tokenizer(unlabelled + train[0], "word", min_freq=1)
    begun = general.over(tokenizer)
    model = begun.language_model()
    tokens = tokenizer.encode(unlabelled)
    valid = tokenizer.encode(texts_of(DOMAIN, 60, 5000 + seed)[0])
    learner = Learner(
        model,
        Loaders(
            StreamLoader(tokens, batch_size=16, seq_len=24, shuffle=True, seed=seed),
            StreamLoader(valid, batch_size=16, seq_len=24),
        ),
        losses.token_cross_entropy,
        metrics=["perplexity"], seed=seed, num_threads=1, progress=False,
    )  # fmt: skip
    before = learner.evaluate().metrics["perplexity"]
    learner.fit_one_cycle(3, 2e-2)
    after = learner.history[-1]["perplexity"]
    found = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    domain = GeneralModel(tokenizer, begun.description, found)
    return Stages(general, domain, tokenizer, (before, after), train, test)


def classifier(stages: Stages, begun: GeneralModel, seed: int) -> Learner:
    """A Learner of the third stage, its encoder begun with this model's weights."""
    description = document_description(
        "lstm", len(stages.tokenizer.vocab), 2, drop_mult=0.0, dropout=0.1, hidden=(16,),
        embedding_dim=WIDTH, hidden_dim=WIDTH, num_layers=1,
    )  # fmt: skip
    model = create_document_classifier(description, seed=seed)
    model.load_state_dict({**model.state_dict(), **begun.encoder_weights()})
    return Learner(
        model,
        Loaders(
            BatchLoader(padded(stages.tokenizer, *stages.train), batch_size=10, shuffle=True),
            BatchLoader(padded(stages.tokenizer, *stages.test), batch_size=100),
        ),
        losses.cross_entropy,
        metrics=["accuracy"], seed=seed, num_threads=1, progress=False,
    )  # fmt: skip


def padded(tokenizer: Tokenizer, texts: list[str], labels: Tensor) -> TensorData:
    """Tokens (N, T), padded at the end, lengths (N,) and labels (N,)."""
    documents = tokenizer.encode(texts)
    lengths = torch.from_numpy(documents.lengths())
    tokens = torch.full((len(texts), int(lengths.max())), tokenizer.pad_id)
    tokens[torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)] = torch.from_numpy(
        documents.ids.astype(np.int64)
    )
    return TensorData(tokens, lengths, labels)


def unfreeze_gradually(learner: Learner, epochs: int = 12, lr: float = 1e-2) -> float:
    """The head, one layer more, all of it, at rates that fall from the head down; the accuracy then."""
    groups = len(learner.layer_groups)
    for frozen in range(groups - 1, -1, -1):
        learner.freeze(frozen)
        learner.fit_one_cycle(epochs, [lr / 2.6 ** (groups - 1 - k) for k in range(groups)])
    return learner.history[-1]["accuracy"]


def accuracies(seed: int) -> tuple[float, float]:
    """On 400 test texts, with the second stage and without it."""
    stages = two_stages(seed)
    before, after = stages.perplexities
    assert after < 0.8 * before
    begun = stages.general.over(stages.tokenizer)
    return (
        unfreeze_gradually(classifier(stages, stages.domain, seed)),
        unfreeze_gradually(classifier(stages, begun, seed)),
    )


@pytest.mark.row(49)
def test_the_second_stage_tells_words_that_no_label_told():
    with_domain, without = accuracies(0)
    assert with_domain > 0.85
    assert with_domain > without + 0.1


@pytest.mark.slow
@pytest.mark.row(49)
def test_the_second_stage_is_worth_it_with_each_of_five_seeds():
    found = [accuracies(seed) for seed in range(1, 6)]
    assert all(with_domain > without for with_domain, without in found), found
    gains = [with_domain - without for with_domain, without in found]
    assert np.mean(gains) > 0.2, found
    assert np.mean([with_domain for with_domain, _ in found]) > 0.9, found


@pytest.mark.row(57)
def test_over_another_vocabulary_shared_words_keep_their_rows_and_new_ones_get_the_mean():
    stages = two_stages(0)
    old, new = stages.general.tokenizer.vocab, stages.tokenizer.vocab
    rows = stages.general.weights["encoder.embedding.weight"]
    found = stages.general.over(stages.tokenizer)
    shared = [word for word in new.words if word in old]
    assert set(shared) >= set(SMALL_WORDS)
    for name in ("encoder.embedding.weight", "head.bias"):
        theirs, ours = stages.general.weights[name], found.weights[name]
        assert len(ours) == len(new)
        for place, word in enumerate(new.words):
            expected = theirs[old.index[word]] if word in old else theirs.mean(0)
            torch.testing.assert_close(ours[place], expected, rtol=0, atol=0)
    others = set(found.weights) - {"encoder.embedding.weight", "head.bias"}
    for name in others:
        torch.testing.assert_close(
            found.weights[name], stages.general.weights[name], rtol=0, atol=0
        )
    assert rows.shape[0] == len(old)  # the general model itself is as it was
    assert found.language_model()(torch.zeros(1, 2, dtype=torch.int64)).shape == (1, len(new), 2)


@pytest.mark.row(60)
def test_a_frozen_layer_keeps_its_weights_and_lower_layers_move_less():
    stages = two_stages(0)
    learner = classifier(stages, stages.domain, 0)
    start = {name: t.detach().clone() for name, t in learner.model.state_dict().items()}

    def moved() -> list[float]:
        state = learner.model.state_dict()
        parts = ("encoder.embedding", "encoder.layers.0", "head.layers")
        return [
            max(float((state[n] - start[n]).abs().max()) for n in start if n.startswith(part))
            for part in parts
        ]

    learner.freeze(2)
    learner.fit_one_cycle(1, 1e-2)
    assert [change > 0 for change in moved()] == [False, False, True]
    learner.freeze(1)
    learner.fit_one_cycle(1, [1e-4, 1e-3, 1e-2])
    assert [change > 0 for change in moved()] == [False, True, True]
    learner.unfreeze()
    learner.fit_one_cycle(1, [1e-4, 1e-3, 1e-2])
    embedding, layer, head = moved()
    assert 0 < embedding < layer < head


@pytest.mark.slow
def test_the_script_on_reviews_runs_from_stage_to_stage(tmp_path: Path):
    real("imdb/train.parquet")
    spec = importlib.util.spec_from_file_location("ulmfit_imdb", EXAMPLES / "ulmfit_imdb.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    two_stages(0).general.save(tmp_path / "general")
    given = ("--general", str(tmp_path / "general"), "--most", "120", "--seeds", "1")
    found = script.main(*given, "--out", str(tmp_path / "out"))
    assert [line.split(" | ")[0] for line in found.splitlines()[2:]] == [
        "| TF-IDF of words, logistic regression",
        "| TF-IDF of words and pairs, sublinear, C = 10",
        "| ULMFiT without the domain stage",
        "| ULMFiT with the domain stage",
    ]
    assert script.main(*given, "--out", str(tmp_path / "out"), "--table") == found
    record = store.read_json(tmp_path / "out" / "domain" / "general.json")
    assert record["perplexity"] < record["perplexity_before"]
