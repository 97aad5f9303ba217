"""A transformer goes the way of every other model of texts: train, predict, save, resume, hand on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, Interrupted
from drivetrain.train.callback import Callback
from drivetrain.train.state import FitState
from tests.text.moods import BAD, GOOD, PLAIN, moods, write_csv
from tests.text.tiny_encoders import save_tiny


class StopAfter(Callback):
    """Ends a fit as Ctrl-C does."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def after_batch(self, state: FitState) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder that knows the words of `moods`. Not to be changed."""
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny(folder, [*GOOD, *BAD, *PLAIN])
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    texts, labels = moods(120)
    path = tmp_path_factory.mktemp("texts") / "reviews.csv"
    return write_csv(path, {"review": texts, "label": labels})


@pytest.mark.row(62)
def test_it_trains_predicts_is_saved_and_opened_like_the_lstm(
    tiny: Path, table: Path, tmp_path: Path
) -> None:
    learner = dt.text.learner(table, model=str(tiny), num_threads=1, progress=False)
    assert learner.application.network == "transformer"
    assert len(learner.layer_groups) == 4  # embeddings, two blocks, head
    learner.fit_one_cycle(6, 5e-3)
    assert learner.evaluate().metrics["accuracy"] > 0.9
    assert learner.predict("a lovely superb film").label == "good"
    assert [one.label for one in learner.predict(["dull and weak", "warm"])] == ["bad", "good"]

    learner.save(tmp_path / "run")
    again = dt.text.reopen(tmp_path / "run", progress=False)
    assert store.weights_sha256(again.model.state_dict()) == store.weights_sha256(
        learner.model.state_dict()
    )
    loaded = dt.text.load(tmp_path / "run")
    expected = learner.predict("a lovely superb film").to_json()["probabilities"]
    assert loaded.predict("a lovely superb film").to_json()["probabilities"] == expected

    (why,) = learner.explain(["a lovely superb film"])
    assert why.answer == "good" and "lovely" in [word.text for word in why.strongest(2)]


@pytest.mark.row(62)
def test_a_run_that_was_cut_goes_on_to_the_same_bits(
    tiny: Path, table: Path, tmp_path: Path
) -> None:
    options = {"model": str(tiny), "num_threads": 1, "progress": False}
    whole = dt.text.learner(table, **options)
    whole.fit_one_cycle(2, 1e-3)
    cut = dt.text.learner(table, out=tmp_path / "run", **options)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        cut.fit_one_cycle(2, 1e-3, callbacks=[StopAfter(9)])
    again = dt.text.reopen(tmp_path / "run", progress=False)
    again.resume(callbacks=[])
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of texts; the label says whether both are of one mood. Not to be changed."""
    firsts, moods_of = moods(160)
    seconds, others = moods(160, seed=1)
    labels = ["same" if a == b else "other" for a, b in zip(moods_of, others, strict=True)]
    path = tmp_path_factory.mktemp("texts") / "pairs.csv"
    return write_csv(path, {"a": firsts, "b": seconds, "label": labels})


@pytest.mark.row(62)
def test_two_columns_are_read_as_a_pair(tiny: Path, questions: Path, tmp_path: Path) -> None:
    options = {"model": str(tiny), "num_threads": 1, "progress": False, "max_len": 16}
    pairs = {"text_columns": ["a", "b"], "compose": "pair"}
    learner = dt.text.learner(questions, out=tmp_path / "run", **options, **pairs)
    data, tokenizer = learner.application.data, learner.application.data.tokenizer
    firsts, _, seconds = zip(
        *(text.partition("\x1e") for text in data.part("valid")[1]), strict=True
    )
    found, expected = data.tokens("valid"), tokenizer.encode_pairs(firsts, seconds)
    assert torch.equal(torch.from_numpy(found.ids), torch.from_numpy(expected.ids))
    # the encoder is told which of the two a token belongs to
    tokens, lengths, _ = next(iter(learner.loaders.valid))
    types = learner.model.inputs(tokens, lengths)["token_type_ids"]
    assert types.unique().tolist() == [0, 1]
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        learner.fit_one_cycle(2, 1e-3, callbacks=[StopAfter(9)])
    again = dt.text.reopen(tmp_path / "run", progress=False)
    again.resume(callbacks=[])
    whole = dt.text.learner(questions, **options, **pairs)
    whole.fit_one_cycle(2, 1e-3)
    assert store.weights_sha256(again.model.state_dict()) == store.weights_sha256(
        whole.model.state_dict()
    )
    again.save(tmp_path / "saved")
    loaded, row = dt.text.load(tmp_path / "saved"), {"a": "a lovely film", "b": "dull"}
    answer = again.predict(row).to_json()
    assert loaded.predict(row).to_json()["probabilities"] == answer["probabilities"]
    turned = again.predict({"a": row["b"], "b": row["a"]}).to_json()
    assert turned["probabilities"] != answer["probabilities"]
    assert loaded.evaluate(questions)["items"] == 160
    with pytest.raises(ConfigError) as caught:
        again.export(tmp_path / "bundle")
    assert str(caught.value) == (
        "A bundle answers for one text, and this model reads two. `save` keeps it."
    )


def test_pairs_are_two_columns_and_for_transformers(questions: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        dt.text.learner(questions, compose="pair", text_columns=["a"], progress=False)
    assert str(caught.value) == (
        "`compose='pair'` is for two columns: text_columns=['FIRST', 'SECOND']. Got a."
    )
    for make in (dt.text.learner, dt.text.language_learner):
        with pytest.raises(ConfigError) as caught:
            make(questions, compose="pair", text_columns=["a", "b"], progress=False)
        assert str(caught.value) == (
            "`compose='pair'` is for transformers, such as model='minilm'. Leave it out, and two columns "
            "become one text: 'TEXT1: …; TEXT2: …'."
        )


def test_a_recurrent_encoder_is_not_for_it(tiny: Path, table: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        dt.text.learner(table, model=str(tiny), sizes={"embedding_dim": 8}, progress=False)
    assert str(caught.value) == (
        "`encoder` and `sizes` are for recurrent models; a transformer has its own."
    )
