"""Hugging Face encoders as classifiers: built from JSON, equal to transformers, safe with strangers."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.data.loaders import BatchLoader, Loaders, TensorData
from drivetrain.errors import ConfigError, DataError, ShapeError
from drivetrain.models.pretrained_encoder import (
    TransformerClassifier,
    checked_config,
    create_encoder,
    create_transformer_classifier,
    transformer_classifier_shapes,
    transformer_description,
)
from drivetrain.models.pretrained_folder import check_folder_sizes, find_encoder, load_encoder
from tests.text.tiny_encoders import WORDS, save_tiny, tiny_config

TYPES: Mapping[str, dict[str, Any]] = {
    "bert": tiny_config(),
    "roberta": tiny_config(model_type="roberta", pad_token_id=1, max_position_embeddings=42),
    "distilbert": {
        "model_type": "distilbert",
        "vocab_size": 30,
        "dim": 16,
        "hidden_dim": 32,
        "n_layers": 2,
        "n_heads": 2,
        "max_position_embeddings": 40,
    },
    "albert": tiny_config(model_type="albert", embedding_size=8),
    "electra": tiny_config(model_type="electra", embedding_size=8),
    "mpnet": tiny_config(model_type="mpnet", pad_token_id=1, max_position_embeddings=42),
    "deberta-v2": tiny_config(
        model_type="deberta-v2", relative_attention=True, pos_att_type=["p2c", "c2p"]
    ),
    "modernbert": tiny_config(model_type="modernbert"),
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 30,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 40,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
}
every_type = pytest.mark.parametrize("kind", TYPES)


def classifier(kind: str = "bert", outputs: int = 3, **options: Any) -> TransformerClassifier:
    options = {"pooling": "mean"} | options
    return create_transformer_classifier(
        transformer_description(TYPES[kind], outputs, **options), seed=0
    )


def texts_of(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, 24, (len(lengths), max(lengths)), generator=generator)
    real = torch.tensor(lengths)
    return tokens.masked_fill(torch.arange(max(lengths)) >= real.unsqueeze(1), 0), real


# --- what it computes -----------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_features_are_those_of_transformers(tmp_path: Path, pooling: str) -> None:
    theirs = save_tiny(tmp_path)
    found = find_encoder(tmp_path)
    model = TransformerClassifier(create_encoder(found.config), nn.Identity(), pooling=pooling)
    load_encoder(model.encoder, found)
    tokens, lengths = texts_of(7, 3, 5)
    mask = (torch.arange(7) < lengths.unsqueeze(1)).long()
    with torch.no_grad():
        states = theirs(input_ids=tokens, attention_mask=mask).last_hidden_state
        expected = torch.stack(
            [
                {"mean": row[:n].mean(0), "first": row[0], "last": row[n - 1]}[pooling]
                for row, n in zip(states, lengths.tolist(), strict=True)
            ]
        )
        torch.testing.assert_close(model.eval().features(tokens, lengths), expected)
        layers = model.features_of_layers(tokens, lengths)
    assert layers.shape == (3, 3, 16)  # the embeddings and two blocks
    torch.testing.assert_close(layers[:, -1], expected)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    more=st.integers(1, 9),
    filler=st.integers(0, 23),
    pooling=st.sampled_from(["mean", "first", "last"]),
)
def test_padding_and_company_change_nothing(
    lengths: list[int], more: int, filler: int, pooling: str
) -> None:
    model = classifier(pooling=pooling, separator_id=3).eval()
    tokens, real = texts_of(*lengths)
    padded = torch.cat([tokens, torch.full((len(lengths), more), filler)], dim=1)
    with torch.no_grad():
        expected = model(tokens, real)
        torch.testing.assert_close(model(padded, real), expected, atol=1e-5, rtol=0)
        alone = torch.cat([model(tokens[i : i + 1], real[i : i + 1]) for i in range(len(real))])
    torch.testing.assert_close(alone, expected, atol=1e-5, rtol=0)


def test_what_stands_behind_the_separator_is_the_second_text() -> None:
    model = classifier(separator_id=3)
    tokens = torch.tensor([[2, 9, 3, 8, 8, 3], [2, 9, 9, 3, 0, 0]])
    inputs = model.inputs(tokens, torch.tensor([6, 4]))
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]]
    assert inputs["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0]]


def test_a_text_of_no_tokens_has_a_finite_answer() -> None:
    scores = classifier().eval()(torch.zeros(1, 4, dtype=torch.int64), torch.tensor([0]))
    assert torch.isfinite(scores).all()


def test_a_text_that_is_too_long_is_refused() -> None:
    tokens, lengths = texts_of(41)
    with pytest.raises(ShapeError) as caught:
        classifier()(tokens, lengths)
    assert str(caught.value) == (
        "A text has 41 tokens, and this encoder reads 40. Cut the texts with the tokenizer's `max_len`."
    )


# --- every type -----------------------------------------------------------------------------------


@every_type
def test_a_model_comes_back_from_json_with_its_groups_and_gradients(kind: str) -> None:
    description = transformer_description(TYPES[kind], 2, pooling="mean")
    again = json.loads(json.dumps(description))
    one, two = (create_transformer_classifier(d, seed=5) for d in (description, again))
    assert transformer_classifier_shapes(again) == {
        name: (t.dtype, tuple(t.shape)) for name, t in one.state_dict().items()
    }
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name
    other = create_transformer_classifier(description, seed=6).state_dict()
    assert any(not torch.equal(t, other[name]) for name, t in one.state_dict().items())
    assert one.max_len == 40 or kind == "modernbert"
    owned = [
        p
        for group in one.layer_groups()
        for layer in group
        for p in (layer.parameters() if isinstance(layer, nn.Module) else [layer])
    ]
    assert {id(p) for p in owned} == {id(p) for p in one.parameters()}
    assert len(owned) == len({id(p) for p in owned})
    assert len(one.layer_groups()) == (3 if kind == "albert" else 4)
    one(*texts_of(6, 4)).square().sum().backward()
    assert isinstance(one.embedding, nn.Embedding) and one.embedding.weight.grad is not None
    assert one.embedding.weight.grad.abs().sum() > 0


@pytest.mark.row(62)
def test_a_learner_freezes_trains_and_repeats_its_bits() -> None:
    tokens, lengths = texts_of(*[9] * 60)
    targets = (tokens == 5).any(1).long()

    def trained() -> dt.Learner:
        data = TensorData(tokens, lengths, targets)
        loaders = Loaders(
            BatchLoader(data, batch_size=20, shuffle=True), BatchLoader(data, batch_size=20)
        )
        learner = dt.Learner(
            classifier(outputs=2), loaders, "cross_entropy", metrics=["accuracy"], progress=False
        )
        learner.fine_tune(4, 1e-2)
        return learner

    first, second = trained(), trained()
    start = classifier(outputs=2).state_dict()
    assert first.history[-1]["valid_loss"] < first.history[0]["valid_loss"]
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    assert not torch.equal(
        first.model.state_dict()["encoder.encoder.layer.0.output.dense.weight"],
        start["encoder.encoder.layer.0.output.dense.weight"],
    )
    first.freeze()
    open_ones = {n for n, p in first.model.named_parameters() if p.requires_grad}
    assert {name.partition(".")[0] for name in open_ones} == {"head"}


# --- folders --------------------------------------------------------------------------------------


def test_weights_of_a_model_with_a_head_are_found_under_their_prefix(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = tiny_config()
    del config["model_type"]
    theirs = BertForSequenceClassification(BertConfig(**config))
    theirs.save_pretrained(tmp_path)
    found = find_encoder(tmp_path)
    assert found.pooling == "first"
    encoder = create_encoder(found.config)
    load_encoder(encoder, found)
    expected = theirs.bert.state_dict()
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_folder_of_several_files_of_weights(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    model = save_tiny(whole)
    model.save_pretrained(parts, max_shard_size="4KB")
    assert not (parts / "model.safetensors").exists()
    found = find_encoder(parts)
    assert len(found.weights) > 1
    assert len(found.sha256()) == 64
    encoder = create_encoder(found.config)
    load_encoder(encoder, found)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def test_a_sentence_encoder_says_its_pooling_and_length(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    write(tmp_path / "modules.json", [{"type": "a.Transformer", "path": ""}, POOLING])
    write(tmp_path / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    write(tmp_path / "sentence_bert_config.json", {"max_seq_length": 24})
    found = find_encoder(tmp_path)
    assert (found.pooling, found.max_len) == ("mean", 24)
    write(tmp_path / "1_Pooling" / "config.json", {"pooling_mode_max_tokens": True})
    with pytest.raises(ConfigError) as caught:
        find_encoder(tmp_path)
    assert str(caught.value) == (
        f"The pooling of the sentence encoder in {tmp_path} is none of mean, first, last. "
        "Choose another encoder."
    )


POOLING = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def test_code_that_a_folder_brings_is_not_run(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    mark = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    config["attn_implementation"] = "someone/kernels"
    write(tmp_path / "config.json", config)
    found = find_encoder(tmp_path)
    load_encoder(create_encoder(found.config), found)
    assert not mark.exists()
    assert not {"auto_map", "attn_implementation", "architectures"} & set(found.config)
    write(tmp_path / "config.json", config | {"model_type": "evil"})
    with pytest.raises(
        ConfigError, match=r"'evil' is not a type of text encoder that transformers"
    ):
        find_encoder(tmp_path)
    assert not mark.exists()


def test_pickled_weights_are_refused_with_what_to_do(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError) as caught:
        find_encoder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} has its weights only as a pickle (pytorch_model.bin), and opening one can run "
        "code. Where you trust it, convert it once: load it with transformers and call "
        "`model.save_pretrained(folder)`, which writes model.safetensors."
    )
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ConfigError) as caught:
        find_encoder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no model.safetensors, so there are no weights to start from."
    )


def test_a_giant_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    write(tmp_path / "config.json", config | {"hidden_size": 60_000, "intermediate_size": 10**9})
    start = time.perf_counter()
    with pytest.raises(
        ConfigError, match=r"asks for [\d,]{14,} numbers, and its weights are [\d,]+"
    ):
        check_folder_sizes(find_encoder(tmp_path))
    assert time.perf_counter() - start < 5


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path / "a", hidden_size=32)
    save_tiny(tmp_path / "b")
    shutil.copy(tmp_path / "a" / "model.safetensors", tmp_path / "b")
    found = find_encoder(tmp_path / "b")
    with pytest.raises(
        ConfigError, match=r"^The weights of the folder .* do not fit its config\.json"
    ):
        load_encoder(create_encoder(found.config), found)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_damaged_weights_are_refused(tmp_path: Path, damage: bytes) -> None:
    save_tiny(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(damage)
    with pytest.raises((DataError, ConfigError), match=r"not a safetensors file|weights are 0"):
        check_folder_sizes(find_encoder(tmp_path))


def test_what_is_not_on_this_disk_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_encoder("nobody/no-such-model")
    assert str(caught.value) == (
        "There is no encoder 'nobody/no-such-model' on this disk: it is neither a folder nor in the "
        "Hugging Face cache, and nothing is downloaded while training. Where you have a network, run `hf "
        "download nobody/no-such-model` once; or give the folder that holds its config.json, "
        "tokenizer.json and model.safetensors."
    )
    with pytest.raises(ConfigError) as caught:
        find_encoder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no config.json, so it is not a folder of an encoder."
    )
    (tmp_path / "config.json").write_text('{"model_type": "bert",')
    with pytest.raises(DataError, match=r"config\.json cannot be used: "):
        find_encoder(tmp_path)


def test_the_cache_of_the_hub_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    blobs = tmp_path / "models--some--encoder" / "blobs"
    save_tiny(blobs)
    snapshot = tmp_path / "models--some--encoder" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():  # the hub's cache is made of links
        (snapshot / file.name).symlink_to(file)
    (tmp_path / "models--some--encoder" / "refs").mkdir()
    (tmp_path / "models--some--encoder" / "refs" / "main").write_text("abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    found = find_encoder("some/encoder")
    assert found.folder == snapshot
    assert found.origin == "some/encoder in the Hugging Face cache"
    load_encoder(create_encoder(found.config), found)


# --- descriptions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 10**6}, "has num_hidden_layers '1000000', expected at most 256."),
        ({"max_position_embeddings": 1 << 40}, "expected at most 1048576."),
        ({"vocab_size": 1 << 40}, "expected at most 2147483648."),
        ({"hidden_act": "x" * 300}, "which is too long."),
        ({"layer_norm_eps": float("nan")}, "has layer_norm_eps 'nan', expected a plain value."),
        ({"model_type": 3}, "does not say its `model_type`"),
        ({"model_type": "t5"}, "'t5' is not a type of text encoder that transformers"),
        ({"is_decoder": True}, "makes a decoder of the encoder 'bert' (`is_decoder`)."),
    ],
)
def test_a_configuration_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_config(tiny_config() | change)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 15},
        {"hidden_size": 0},
        {"hidden_size": "wide"},
        {"hidden_act": "no such thing"},
        {"vocab_size": -1},
    ],
)
def test_what_transformers_cannot_build_is_an_error_of_ours(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"configuration(: | of the 'bert' model is not sound: )"):
        create_encoder(checked_config(tiny_config() | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_outputs": 0},
            "A transformer got num_outputs 0, expected a whole number from 1 to 65536.",
        ),
        ({"pooling": "max"}, "A transformer got pooling max, expected one of mean, first, last."),
        ({"separator_id": -1}, "A transformer got separator_id -1, expected a token's id or none."),
        ({"dropout": 1}, "A transformer got dropout 1, expected 0 to below 1."),
        ({"hidden": [0]}, "A transformer got hidden [0], expected whole numbers, 1 or more."),
        (
            {"squeeze": True},
            "A transformer's `squeeze` is for one output. Got another number of them.",
        ),
    ],
)
def test_a_description_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    description = transformer_description(tiny_config(), 3, pooling="mean") | change
    with pytest.raises(ConfigError) as caught:
        create_transformer_classifier(description)
    assert str(caught.value) == message


def test_a_description_that_lacks_an_entry_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        create_transformer_classifier({"config": tiny_config()})
    assert str(caught.value) == (
        "A transformer's description needs the entries config, num_outputs, pooling, separator_id, "
        "hidden, dropout, hidden_dropout, squeeze."
    )


def test_the_tiny_vocabulary_is_the_one_these_tests_count_on() -> None:
    assert tiny_config()["vocab_size"] == 5 + len(WORDS) == 24
