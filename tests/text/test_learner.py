"""Classifiers and scorers of texts, end to end."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, Interrupted, RunError
from drivetrain.text.unfreezing import gradual_unfreeze, stages_done, unfreezing_steps
from drivetrain.train.callback import Callback
from tests.text.moods import SMALL, moods, write_csv, write_folder

QUICK: dict[str, Any] = {"sizes": SMALL, "num_threads": 1, "progress": False, "drop_mult": 0.2}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts, labels = moods(160)
    path = tmp_path_factory.mktemp("texts") / "reviews.csv"
    return write_csv(path, {"review": texts, "label": labels})


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    learner = dt.text.learner(
        table, epochs=6, lr=1e-2, out=tmp_path_factory.mktemp("r") / "run", **QUICK
    )
    learner.train()
    return learner


class StopAfter(Callback):
    """Ctrl-C after so many batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def after_batch(self, state: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_words_with_a_mood_are_learnt_and_stand_beside_baselines(trained: Any) -> None:
    result = trained.result()
    assert result["metrics"]["valid"]["accuracy"] >= 0.85
    assert result["baselines"].keys() == {"majority", "naive_bayes", "tfidf_logistic"}
    majority = result["baselines"]["majority"]
    assert result["metrics"]["valid"]["accuracy"] > majority["accuracy"]
    low, high = result["interval"]
    assert 0 < low < result["metrics"]["valid"]["accuracy"] <= high <= 1
    assert result["items"] == {"train": 128, "valid": 32, "test": 0, "quarantined": 0}
    assert result["task"] == "text" and result["model"] == "lstm"


@pytest.mark.row(59)
def test_how_much_is_padding_is_said(trained: Any) -> None:
    reason = trained.choices["batches"].reason
    train = trained.loaders.train
    assert f"{train.padding(0).padded:,} tokens of an epoch are padding" in reason
    assert f"at random they would be {train.padding_at_random(0).padded:,}" in reason


def test_a_run_is_opened_and_answers_alike(trained: Any, table: Path) -> None:
    texts, _ = moods(9, seed=5)
    opened = dt.text.load(trained.run.folder)
    np.testing.assert_array_equal(opened.predict(texts).values, trained.predict(texts).values)
    again = dt.text.reopen(trained.run.folder, progress=False)
    assert store.weights_sha256(again.model.state_dict()) == trained.result()["weights_sha256"]
    assert again.history == trained.history
    measured = opened.evaluate(table)
    assert measured["items"] == 160 and measured["metrics"]["accuracy"] >= 0.85
    assert trained.evaluate(table)["metrics"] == measured["metrics"]


def test_a_text_has_the_same_answer_whatever_stands_beside_it(trained: Any) -> None:
    texts, _ = moods(12, seed=8)
    together = trained.predict(texts).values
    alone = np.stack([trained.predict([text]).values[0] for text in texts])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)


def test_strings_files_folders_and_tables_are_answered(trained: Any, tmp_path: Path) -> None:
    one = trained.predict("lovely superb warm charming")
    assert one.label == "good" and one.input == "lovely superb warm charming"
    assert sum(one.probabilities.values()) == pytest.approx(1)
    path = tmp_path / "a.txt"
    path.write_text("dull weak boring cold")
    assert trained.predict(path).label == "bad" and trained.predict(str(path)).input == str(path)
    folder = write_folder(tmp_path / "f", ["lovely superb warm", "dull weak cold"], ["x", "y"])
    found = trained.predict(folder)
    assert found.labels == ["good", "bad"] and found[0].input == "x/000.txt"
    found = trained.predict({"review": ["dull cold weak", ""], "more": [1, 2]})
    assert found.labels == ["bad"]
    assert found.notes == ("row 2 was left out: The text is empty.",)


def test_a_run_that_was_cut_resumes_to_the_same_bits(table: Path, tmp_path: Path) -> None:
    options = {"epochs": 2, **QUICK}
    whole = dt.text.learner(table, **options)
    whole.train()
    cut = dt.text.learner(table, out=tmp_path / "run", **options)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        cut.fit_one_cycle(2, cut.lr, callbacks=[StopAfter(21)])
    again = dt.text.reopen(tmp_path / "run", progress=False)
    again.resume(callbacks=[])
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_other_texts_than_those_it_began_with_are_refused(tmp_path: Path) -> None:
    texts, labels = moods(40)
    path = write_csv(tmp_path / "r.csv", {"review": texts, "label": labels})
    dt.text.learner(path, out=tmp_path / "run", **QUICK)
    write_csv(path, {"review": [*texts[:-1], "another one"], "label": labels})
    with pytest.raises(
        RunError, match=r"are not those that .* began with. Put them back, or train anew."
    ):
        dt.text.reopen(tmp_path / "run")


@pytest.mark.parametrize("gone", ["sizes", "drop_mult"])
def test_a_record_without_a_setting_is_said_as_its_damage(
    trained: Any, tmp_path: Path, gone: str
) -> None:
    store.write_json(
        tmp_path / "run.json", without(store.read_json(trained.run.folder / "run.json"), gone)
    )
    with pytest.raises(RunError) as caught:
        dt.text.reopen(tmp_path, progress=False)
    assert str(caught.value) == (
        f"{tmp_path / 'run.json'} cannot be used: it holds what Drivetrain does not write "
        f"(KeyError: \"'{gone}'\"). Restore it from a copy."
    )


def without(record: dict[str, Any], setting: str) -> dict[str, Any]:
    kept = {name: value for name, value in record["settings"].items() if name != setting}
    return record | {"settings": kept}


def test_several_labels_and_numbers_are_learnt() -> None:
    texts, labels = moods(120)
    pairs = zip(texts, labels, strict=True)
    several = [[label, "short"] if len(text.split()) < 15 else [label] for text, label in pairs]
    learner = dt.text.learner(texts, labels=several, epochs=1, **QUICK)
    learner.train()
    result = learner.result()
    assert result["baselines"].keys() == {"majority", "naive_bayes", "tfidf_logistic"}
    assert set(result["metrics"]["valid"]) == {"loss", "binary_accuracy"}
    answer = learner.predict(texts[0])
    assert set(answer.probabilities) == {"bad", "good", "short"} and answer.labels is not None
    shares = [text.count("a") / len(text) for text in texts]
    learner = dt.text.learner(texts, labels=shares, epochs=1, **QUICK)
    learner.train()
    result = learner.result()
    assert result["baselines"].keys() == {"mean", "tfidf_ridge"}
    assert {"pearson", "rmse"} <= set(result["metrics"]["valid"])
    assert isinstance(learner.predict(texts[0]).value, float)


# --- ULMFiT ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("e") / "encoder"
    language = dt.text.language_learner(
        table, text_columns="review", sizes=SMALL, epochs=1, num_threads=1, progress=False
    )
    language.train()
    language.save_encoder(folder)
    return folder


@pytest.mark.row(57)
def test_words_that_both_know_keep_their_vector_and_new_ones_have_the_mean(
    encoder: Path, table: Path
) -> None:
    saved = dt.text.open_encoder(encoder)
    texts, labels = moods(60, seed=4)
    learner = dt.text.learner(
        [f"{text} novelty" for text in texts],
        labels=labels,
        encoder=encoder,
        num_threads=1,
        progress=False,
    )
    vectors = learner.model.encoder.embedding.weight.detach()
    old = saved.weights["embedding.weight"]
    words = learner.application.data.tokenizer.vocab.words
    assert "novelty" in words and "novelty" not in saved.tokenizer.vocab.index
    for place, word in enumerate(words):
        known = saved.tokenizer.vocab.index.get(word)
        assert torch.equal(vectors[place], old.mean(0) if known is None else old[known]), word
    for name, tensor in saved.weights.items():
        if name != "embedding.weight":
            assert torch.equal(learner.model.encoder.state_dict()[name], tensor), name


def test_an_encoder_of_other_sizes_is_refused(encoder: Path, table: Path) -> None:
    with pytest.raises(ConfigError, match=r"^The saved encoder has other sizes than the model's: "):
        dt.text.learner(table, encoder=encoder, sizes={"embedding_dim": 6}, progress=False)


@pytest.mark.row(60)
def test_layers_thaw_from_the_head_down_each_with_its_rate(encoder: Path, table: Path) -> None:
    learner = dt.text.learner(table, encoder=encoder, epochs=1, num_threads=1, progress=False)
    groups = learner.layer_groups
    seen: list[list[bool]] = []

    class Look(Callback):
        def before_fit(self, state: Any) -> None:
            seen.append(
                [any(p.requires_grad for m in group for p in m.parameters()) for group in groups]
            )

    learner.callbacks.append(Look())
    learner.train()
    assert seen == [[False, False, True], [False, True, True], [True, True, True]]
    fits = [stage for stage in learner.journal if stage.kind == "fit"]
    for fit in fits:
        for below, above in itertools.pairwise(fit.lrs):
            assert above / below == pytest.approx(2.6)
    assert [fit.lrs[-1] for fit in fits] == pytest.approx([1e-2, 5e-3, 1e-2 / 3])


@pytest.mark.row(60)
def test_only_the_last_groups_train_and_the_rates_are_a_table(table: Path) -> None:
    learner = dt.text.learner(table, **QUICK)
    for last in (1, 2, 3):
        learner.freeze_to(last)
        trains = [
            all(p.requires_grad for m in g for p in m.parameters()) for g in learner.layer_groups
        ]
        assert trains == [False] * (3 - last) + [True] * last
    assert "frozen" not in learner.rates(slice(1e-4, 1e-2))


def test_unfreezing_that_was_cut_goes_on_with_its_plan(
    encoder: Path, table: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"encoder": encoder, "epochs": 1, "num_threads": 1, "progress": False}
    whole = dt.text.learner(table, **options)
    whole.train()
    cut = dt.text.learner(table, out=tmp_path / "run", **options)
    frozen, epochs, lrs = unfreezing_steps(3, 1, 1e-2)[0]
    cut.freeze(frozen)
    cut.fit_one_cycle(epochs, lrs)
    assert stages_done(cut, 1, 1e-2) == 2
    found = dt.text.resume(tmp_path / "run", progress=False)
    assert stages_done(found, 1, 1e-2) == 6
    assert store.weights_sha256(found.model.state_dict()) == store.weights_sha256(
        whole.model.state_dict()
    )
    gradual_unfreeze(found, 1)  # asked for anew it trains anew
    assert len(found.journal) == 12


def test_what_does_not_go_together_is_refused(table: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^There is no model 'lstn' for texts. Did you mean 'lstm'"
    ):
        dt.text.learner(table, model="lstn", progress=False)
    data = dt.text.from_csv(table)
    with pytest.raises(ConfigError, match=r"^`valid` is settled in the data."):
        dt.text.learner(data, valid=0.3)
    with pytest.raises(ConfigError, match=r"^These texts have no targets."):
        dt.text.learner(dt.text.from_texts(["a b"] * 20))
