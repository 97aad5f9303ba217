"""Models by name: the library's own, without timm; weights files; descriptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from drivetrain import store
from drivetrain.errors import ConfigError, MissingPackageError, UnknownNameError
from drivetrain.models import MODELS, PictureModel, build_from, create_model, model_info, table
from drivetrain.models.resnet import ResNet
from drivetrain.optim import param_groups
from tests import fresh


def _same(first: nn.Module, second: nn.Module) -> bool:
    return store.weights_sha256(first.state_dict()) == store.weights_sha256(second.state_dict())


def test_the_same_seed_gives_the_same_bits_and_leaves_the_generator() -> None:
    before = torch.get_rng_state()
    first = create_model("resnet_tiny", num_classes=3, seed=7)
    assert torch.equal(torch.get_rng_state(), before)

    torch.rand(5)  # the generator stands elsewhere now
    assert _same(first.model, create_model("resnet_tiny", num_classes=3, seed=7).model)
    other = create_model("resnet_tiny", num_classes=3, seed=8).model
    assert not _same(first.model.body, other.body)
    assert not _same(first.model.head, other.head)


def test_a_model_without_weights_says_so_and_is_described_by_plain_json() -> None:
    built = create_model("resnet_tiny", num_classes=3, in_channels=1, dropout=0.25)

    assert built.note == "There are no pretrained weights for resnet_tiny: training from scratch."
    assert not built.is_pretrained
    assert json.loads(json.dumps(built.description)) == {
        "name": "resnet_tiny",
        "num_classes": 3,
        "in_channels": 1,
        "dropout": 0.25,
    }
    assert (built.info.mean, built.info.std) == ((0.5,), (0.5,))


def test_weights_go_through_the_store_into_a_rebuilt_model(tmp_path: Path) -> None:
    built = create_model("resnet_tiny", num_classes=3)
    # One step in training mode, so that the norms' statistics are no longer the first ones.
    built.model.train()(torch.rand(4, 3, 16, 16))
    sha256 = store.write_tensors(tmp_path / "model.safetensors", built.model.state_dict())

    rebuilt = build_from(json.loads(json.dumps(built.description)))
    rebuilt.load_state_dict(store.read_tensors(tmp_path / "model.safetensors", sha256=sha256))

    assert _same(rebuilt, built.model)
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(rebuilt.eval()(x), built.model.eval()(x))


def test_building_from_a_description_leaves_the_generator() -> None:
    before = torch.get_rng_state()
    build_from({"name": "resnet_tiny", "num_classes": 2, "in_channels": 3, "dropout": 0.5})
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("description", "found"),
    [({"name": "resnet_tiny", "classes": 3}, "classes, name"), ([], "no mapping")],
)
def test_a_description_of_another_kind_is_refused(description: Any, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_from(description)
    assert str(caught.value) == (
        "A model's description needs the entries name, num_classes, in_channels, dropout, got "
        f"{found}. Take it from the folder that the model was saved in."
    )


def test_forward_is_the_head_of_the_bodys_features() -> None:
    model = create_model("resnet_tiny", num_classes=3).model.eval()
    x = torch.rand(2, 3, 16, 16)

    features = model.forward_features(x)

    assert features.shape == (2, model.num_features, 2, 2)
    assert torch.equal(model(x), model.head(features))


def test_layer_groups_hold_each_parameter_once_from_input_to_head() -> None:
    model = create_model("resnet_tiny", num_classes=3).model
    groups = model.layer_groups()

    assert len(groups) == 3
    assert groups[2] == [model.head]
    # Raises for a parameter that stands in two groups or in none.
    param_groups(groups, lrs=[1.0] * 3, weight_decay=0.0, model=model)
    assert isinstance(model.body, ResNet)
    assert groups[0][0] is model.body.stem


@pytest.mark.row(8)
def test_a_weights_file_fills_the_body_and_not_the_head(tmp_path: Path) -> None:
    trained = create_model("resnet_tiny", num_classes=3, seed=1).model
    path = tmp_path / "model.safetensors"
    store.write_tensors(path, trained.state_dict())

    built = create_model("resnet_tiny", num_classes=5, pretrained=path, seed=2)

    assert built.is_pretrained
    assert built.note == f"resnet_tiny starts from trained weights (the file {path})."
    assert _same(built.model.body, trained.body)
    plain = create_model("resnet_tiny", num_classes=5, seed=2).model
    assert _same(built.model.head, plain.head)
    # The file of a body alone is taken as well, by its path as text.
    store.write_tensors(path, trained.body.state_dict())
    again = create_model("resnet_tiny", num_classes=5, pretrained=str(path), seed=2)
    assert _same(again.model, built.model)


def test_colour_weights_serve_grey_pictures(tmp_path: Path) -> None:
    trained = create_model("resnet_tiny", num_classes=3, seed=1).model
    path = tmp_path / "model.safetensors"
    store.write_tensors(path, trained.state_dict())

    grey = create_model("resnet_tiny", num_classes=3, in_channels=1, pretrained=path).model

    x = torch.rand(2, 1, 16, 16)
    expected = trained.body.eval()(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(grey.body.eval()(x), expected)


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    store.write_tensors(path, {"stem.0.weight": torch.zeros(8, 3, 3, 3), "extra": torch.zeros(1)})

    with pytest.raises(ConfigError) as caught:
        create_model("resnet_tiny", num_classes=3, pretrained=path)

    assert str(caught.value) == (
        "These weights do not fit resnet_tiny: 'stem.1.weight' is missing; 'stem.1.bias' is missing; "
        "'stem.1.running_mean' is missing, and 58 more. Give the file that was saved from the same "
        "model."
    )


def test_a_file_that_is_absent_or_could_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(ConfigError) as caught:
        create_model("resnet_tiny", num_classes=3, pretrained=path)
    assert str(caught.value) == (
        f"There is no weights file {path}. Give the path of a .safetensors file."
    )
    pickle = tmp_path / "w.pth"
    pickle.write_bytes(b"anything")
    with pytest.raises(ConfigError) as caught:
        create_model("resnet_tiny", num_classes=3, pretrained=pickle)
    assert str(caught.value) == (
        f"{pickle} is not a .safetensors file, and other formats can run code when opened. Convert it "
        "with `safetensors.torch.save_file(state_dict, path)` where you trust it."
    )


def test_no_channels_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        create_model("resnet_tiny", num_classes=3, in_channels=0)
    assert str(caught.value) == "`create_model` got in_channels 0, expected 1 or more."


def test_without_timm_a_slip_is_answered_and_another_name_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(module: str, *, extra: str) -> Any:
        raise MissingPackageError(f"`{module}` is not installed.")

    monkeypatch.setattr(table, "require", absent)

    with pytest.raises(UnknownNameError) as caught:
        model_info("resnet_tny")
    assert str(caught.value) == (
        "Unknown model 'resnet_tny'. Did you mean 'resnet_tiny'? Known: resnet18, resnet34, "
        "resnet50, resnet_tiny, tf_efficientnet_lite0, and every name that `timm.list_models()` "
        "gives."
    )
    with pytest.raises(MissingPackageError, match=r"^`timm` is not installed\.$"):
        model_info("convnext_atto")


def test_the_own_model_needs_neither_timm_nor_torchvision() -> None:
    code = (
        "import sys, drivetrain.models as models\n"
        "models.create_model('resnet_tiny', num_classes=2)\n"
        "print([m for m in ('timm', 'torchvision', 'PIL', 'huggingface_hub') if m in sys.modules])"
    )
    done = fresh.run(code)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_every_entry_of_the_table_is_complete() -> None:
    for name, info in MODELS.items():
        assert info.name == name
        assert len(info.mean) == len(info.std) == 3
        assert info.size > 0
        assert info.licence
        assert info.note.endswith(".")


def test_a_picture_model_takes_any_body_that_answers_the_protocol() -> None:
    class Pixels(nn.Module):
        num_features = 3

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

        def stages(self) -> list[list[Any]]:
            return [[self]]

        def layer_groups(self) -> list[list[Any]]:
            return [[self.scale], []]

    model = PictureModel(Pixels(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))

    assert model(torch.ones(2, 3, 4, 4)).shape == (2, 3)
    assert len(model.layer_groups()) == 3
