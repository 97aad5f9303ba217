"""The general model: which texts it is made of, what is measured, what is kept."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from drivetrain.errors import ConfigError, DataError, RunError
from drivetrain.text import general, general_texts as texts_of
from drivetrain.text.general import (
    GeneralModel,
    GeneralSettings,
    general_model,
    key_of,
    open_general,
    train_general,
)
from drivetrain.text.general_texts import (
    GeneralTexts,
    folder_texts,
    is_prose,
    licence_of,
    passages,
    prose_of,
)
from drivetrain.train.callback import Callback

SMALL = GeneralSettings(
    vocab_size=60,
    embedding_dim=32,
    hidden_dim=24,
    num_layers=1,
    batch_size=8,
    seq_len=16,
    epochs=3,
    lr=3e-2,
)


def counting(count: int, seed: int = 0) -> str:
    """Sentences in which most words follow from the one before: each number is followed by the next."""
    draw = np.random.default_rng(seed)
    words = "one two three four five six seven eight nine ten".split()
    lines = []
    for start, length in zip(draw.integers(0, 10, count), draw.integers(4, 9, count), strict=True):
        lines.append("We count " + " ".join(words[(start + i) % 10] for i in range(length)) + ".")
    return "\n\n".join(lines)


@pytest.fixture(scope="module")
def texts() -> GeneralTexts:
    return GeneralTexts(
        tuple(passages(counting(600), 400)),
        tuple(passages(counting(60, seed=1), 400)),
        "counting",
        {"counting": "made here"},
    )


@pytest.fixture(scope="module")
def made(texts: GeneralTexts) -> GeneralModel:
    return train_general(texts, SMALL, num_threads=1, progress=False, precision="float32")


# --- texts ----------------------------------------------------------------------------------------


def test_passages_hold_every_paragraph_once_and_in_order():
    paragraphs = [f"Paragraph {i} " + "x" * (i * 7 % 50) for i in range(100)]
    found = list(passages("\r\n\r\n".join(paragraphs), letters=120))
    assert "\n\n".join(found).split("\n\n") == paragraphs
    assert all(len(passage) >= 120 for passage in found[:-1])


def test_a_folder_validates_with_the_files_that_it_keeps_for_that(tmp_path: Path):
    for name, word in (("a/train/x", "learn"), ("a/valid/y", "measure")):
        path = tmp_path / f"{name}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"{word} this")
    (tmp_path / "rest.txt").write_text("\n\n".join(f"{i} " + "w" * 3000 for i in range(20)))
    (tmp_path / "README.md").write_text("Free for all.")
    found = folder_texts(tmp_path)
    assert found.train[0] == "learn this"
    assert found.valid[0] == "measure this"
    assert [passage.split()[0] for passage in found.valid[1:]] == ["9", "19"]
    assert len(found.train) == 19
    assert found.about == "Free for all."
    assert found.licences == {tmp_path.name: "see `about`"}
    record = found.record()
    assert (record["train_words"], record["valid_words"]) == (2 + 36, 2 + 4)


def test_a_text_that_moves_from_one_part_to_the_other_changes_the_hash():
    one = GeneralTexts(("a", "b"), ("c",), "x")
    assert one.sha256() == GeneralTexts(("a", "b"), ("c",), "y").sha256()
    assert one.sha256() != GeneralTexts(("a",), ("b", "c"), "x").sha256()


def test_too_little_text_is_refused(tmp_path: Path):
    (tmp_path / "one.txt").write_text("Only this.")
    message = (
        f"'{tmp_path.name}' holds 1 passages to train on and 0 to validate with, and each part needs "
        "one. A passage has 3,000 letters: give more text."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        folder_texts(tmp_path)
    missing = tmp_path / "none"
    message = f"{missing} does not exist. Give a folder of .txt files, or one such file."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        folder_texts(missing)


def test_only_sentences_are_taken_from_sources(tmp_path: Path):
    (tmp_path / "tests").mkdir()
    sentence = "The buffer is written to the disk before the file is closed by its owner."
    rest = "name : str\n    x = 3 * y, what is of no interest to anybody who reads."
    source = f'"""{sentence}\n\n{rest}\n"""\n'
    (tmp_path / "a.py").write_text(source * 2)
    (tmp_path / "tests" / "b.py").write_text(source.replace("buffer", "other"))
    (tmp_path / "c.py").write_text("this is no Python " * 20)
    assert set(prose_of(tmp_path)) == {sentence}
    assert not is_prose("NOTES")


def test_every_package_that_is_read_states_a_licence():
    for name in texts_of.package_versions():
        if name != "python":
            assert licence_of(name) != "not stated", name


@pytest.mark.slow
def test_python_and_its_packages_say_enough_to_train_on():
    found = texts_of.package_texts()
    record = found.record()
    assert record["train_words"] > 200_000
    assert record["licences"].keys() >= {f"python {texts_of.platform.python_version()}"}
    assert "not stated" not in record["licences"].values()
    assert not set(found.train) & set(found.valid)


# --- the model ------------------------------------------------------------------------------------


@pytest.mark.row(48)
def test_perplexity_is_that_of_the_whole_softmax_and_far_below_word_counts(
    made: GeneralModel, texts: GeneralTexts
):
    valid = made.tokenizer.encode(texts.valid)
    ids = torch.from_numpy(valid.ids.astype(np.int64))
    rows = len(ids) // SMALL.batch_size
    inputs = ids[: rows * SMALL.batch_size].view(SMALL.batch_size, rows)
    targets = torch.cat([inputs[:, 1:], torch.cat([inputs[1:, :1], ids[-1:].view(1, 1)])], dim=1)
    end = rows * SMALL.batch_size
    targets[-1, -1] = ids[end % len(ids)]
    with torch.no_grad():
        scores = made.language_model()(inputs)  # one long pass: (B, V, T)
    perplexity = math.exp(F.cross_entropy(scores, targets).item())
    assert made.record["perplexity"] == pytest.approx(perplexity, rel=1e-4)

    train = made.tokenizer.encode(texts.train).ids
    counts = np.bincount(train, minlength=len(made.tokenizer.vocab)) + 1
    unigram = math.exp(-np.log(counts / counts.sum())[valid.ids].mean())
    assert perplexity < 0.35 * unigram


def test_the_record_says_what_the_model_is(made: GeneralModel, texts: GeneralTexts):
    record = made.record
    assert record["texts"] == texts.record()
    assert record["train_tokens"] == len(made.tokenizer.encode(texts.train).ids)
    assert record["parameters"] == sum(p.numel() for p in made.language_model().parameters())
    assert record["settings"]["epochs"] == len(record["perplexities"]) == 3
    assert record["precision"] == "float32"
    assert str(made).startswith("General model: ")


def test_saved_and_opened_it_is_the_same_model(made: GeneralModel, tmp_path: Path):
    made.save(tmp_path / "general")
    opened = open_general(tmp_path / "general")
    assert sorted(path.name for path in (tmp_path / "general").iterdir()) == [
        "general.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    tokens = torch.randint(9, 20, (2, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = made.language_model()(tokens), opened.language_model()(tokens)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert opened.tokenizer.vocab.words == made.tokenizer.vocab.words
    assert opened.record["texts"] == made.record["texts"]


def test_damage_is_found(made: GeneralModel, tmp_path: Path):
    made.save(tmp_path / "g")
    weights = tmp_path / "g" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RunError, match="is damaged: its SHA-256 is not the one recorded"):
        open_general(tmp_path / "g")
    made.save(tmp_path / "g")
    record = json.loads((tmp_path / "g" / "general.json").read_text())
    record["description"]["encoder"]["embedding_dim"] += 1
    (tmp_path / "g" / "general.json").write_text(json.dumps(record))
    message = f"{tmp_path / 'g'}: weights, tokenizer and record do not fit together. Make it again."
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        open_general(tmp_path / "g")
    (tmp_path / "g" / "general.json").write_text("[]")
    message = f"{tmp_path / 'g'} holds no general model that this version reads. Make it again."
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        open_general(tmp_path / "g")


def test_it_is_made_once_and_then_read_from_the_cache(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "text.txt").write_text(counting(700))
    monkeypatch.setattr(texts_of, "PASSAGE", 400)
    monkeypatch.setattr(passages, "__defaults__", (400,))
    small = replace(SMALL, epochs=1)
    options = {"cache": tmp_path / "cache", "settings": small, "num_threads": 1}
    first = general_model(tmp_path / "text.txt", **options)
    assert "Making the general model of text.txt" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [first.folder.name]
    monkeypatch.setattr(general, "train_general", None)  # must not be needed again
    second = general_model(tmp_path / "text.txt", **options)
    assert second.record == first.record
    assert second.folder == first.folder


def test_other_texts_settings_or_seeds_are_other_models():
    keys = {
        key_of(SMALL, 42, "a"),
        key_of(SMALL, 43, "a"),
        key_of(SMALL, 42, "b"),
        key_of(replace(SMALL, epochs=4), 42, "a"),
    }
    assert len(keys) == 4
    assert key_of(SMALL, 42, "a") in keys


def test_a_run_that_was_cut_goes_on_to_the_same_bits(
    texts: GeneralTexts, tmp_path: Path, monkeypatch
):
    options = {"num_threads": 1, "progress": False, "precision": "float32"}
    small = replace(SMALL, epochs=2)
    whole = train_general(texts, small, **options)

    class Cut(Callback):
        def after_epoch(self, state) -> None:
            raise RuntimeError("cut here")

    made_by = general.Learner

    def cut_short(*args, **kwargs):
        return made_by(*args, **kwargs | {"callbacks": [*kwargs["callbacks"], Cut()]})

    monkeypatch.setattr(general, "Learner", cut_short)
    with pytest.raises(RuntimeError, match="cut here"):
        train_general(texts, small, run_folder=tmp_path / "run", **options)
    monkeypatch.setattr(general, "Learner", made_by)
    rest = train_general(texts, small, run_folder=tmp_path / "run", **options)
    for name, tensor in whole.weights.items():
        torch.testing.assert_close(rest.weights[name], tensor, rtol=0, atol=0)
    assert rest.record["perplexities"] == whole.record["perplexities"]


def test_an_unknown_precision_is_refused(texts: GeneralTexts):
    message = "`precision` is 'auto', 'bfloat16' or 'float32'. Got 'half'."
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        train_general(texts, SMALL, precision="half")


def test_bfloat16_gives_about_the_same_perplexity(made: GeneralModel, texts: GeneralTexts):
    half = train_general(texts, SMALL, num_threads=1, progress=False, precision="bfloat16")
    assert half.record["precision"] == "bfloat16"
    assert half.record["perplexity"] == pytest.approx(made.record["perplexity"], rel=0.1)
