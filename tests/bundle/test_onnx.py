"""The ONNX file holds all of itself, takes batches of any size, and answers as torch does."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from drivetrain.bundle import onnx as files
from drivetrain.bundle.manifest import OnnxRecord, Port
from drivetrain.bundle.opening import read_manifest
from drivetrain.errors import BundleError, ConfigError
from tests.bundle.small import contents, made

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
onnx = pytest.importorskip("onnx")
if (
    find_spec("onnxscript") is None
):  # to load it takes seconds, and each process collects these tests
    pytest.skip("the extra `onnx` is not installed", allow_module_level=True)

INPUTS = (Port("pixels", "uint8", ("batch", 4), (0.0, 255.0), "Four numbers."),)
OUTPUTS = (
    Port("logits", "float32", ("batch", 3), None, "Scores."),
    Port("features", "float32", ("batch", 5), None, "Features."),
)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(pixels.to(torch.float32) / 255)
        return self.head(features), features


@pytest.fixture(scope="module")
def network() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def data(network: Small) -> bytes:
    return files.export(network, pixels(2), INPUTS, OUTPUTS)


def pixels(count: int) -> Tensor:
    return torch.arange(count * 4).reshape(count, 4).to(torch.uint8)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_batch_of_any_size_gets_torchs_answers(network: Small, data: bytes, count: int) -> None:
    found = files.calculate(data, pixels(count), INPUTS, OUTPUTS, num_threads=1)
    with torch.no_grad():
        for ours, theirs in zip(found, network(pixels(count)), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_the_file_says_nothing_of_the_machine_it_was_made_on(data: bytes) -> None:
    model = onnx.load_model_from_string(data)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b".py" not in data
    assert str(Path(__file__).parent).encode() not in data


def test_what_torch_cannot_write_is_said() -> None:
    class Strange(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            if x.sum() > 3:  # depends on the data
                return x.float(), x.float()
            return x.float() * 2, x.float()

    with pytest.raises(ConfigError, match=r"^torch cannot write this network as ONNX: "):
        files.export(Strange().eval(), pixels(2), INPUTS, OUTPUTS)


def changed(data: bytes, change: str) -> bytes:
    model = onnx.load_model_from_string(data)
    if change == "external":
        tensor = model.graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
    elif change == "operator":
        model.graph.node[0].domain = "com.example"
    elif change == "in a branch":
        node = model.graph.node[0]
        inner = onnx.helper.make_graph([], "g", [], [])
        inner.initializer.add(name="x").data_location = onnx.TensorProto.EXTERNAL
        node.attribute.append(onnx.helper.make_attribute("body", inner))
    return b"not ONNX" if change == "bytes" else model.SerializeToString()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "external",
            "keeps tensors in other files, and those are not opened. Export it again with ",
        ),
        (
            "in a branch",
            "keeps tensors in other files, and those are not opened. Export it again with ",
        ),
        ("operator", "uses operators that are not ONNX's own. Export it again with "),
        ("bytes", "is not an ONNX file. Take it anew from where it came "),
    ],
)
def test_a_file_that_reaches_out_of_itself_is_not_opened(
    data: bytes, change: str, sentence: str
) -> None:
    files.check_model(data, "model.onnx")
    with pytest.raises(BundleError) as caught:
        files.check_model(changed(data, change), "model.onnx")
    assert str(caught.value).startswith(f"model.onnx {sentence}")


def test_the_engine_of_a_bundle_checks_what_it_opens(tmp_path: Path, data: bytes) -> None:
    from dataclasses import replace

    plain = made(tmp_path / "plain")
    with pytest.raises(BundleError) as caught:
        files.OnnxEngine(plain, read_manifest(plain / "bundle.json"))
    assert str(caught.value) == (
        f"{plain} has no model.onnx. Export it with --onnx, or use --engine torch."
    )
    manifest = replace(contents().manifest, onnx=OnnxRecord(0.0, 1e-3, 18))
    folder = made(tmp_path / "with", manifest=manifest, onnx=data)
    with pytest.raises(BundleError) as caught:  # the small bundle has one output, this file has two
        files.OnnxEngine(folder, read_manifest(folder / "bundle.json"))
    assert str(caught.value) == (
        f"{folder / 'model.onnx'} has the inputs ['pixels'] and the outputs ['logits', 'features'], "
        "expected ['pixels'] and ['logits']. Take it anew from where it came from."
    )
    (folder / "model.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError) as caught:
        files.OnnxEngine(folder, read_manifest(folder / "bundle.json"))
    assert str(caught.value) == (
        f"{folder / 'model.onnx'} cannot be used: its SHA-256 is not the one recorded. "
        "Take it anew from where it came from."
    )
