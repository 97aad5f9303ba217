"""The network of a bundle as one ONNX file, and calculating with it through ONNX Runtime.

The file is self-contained: no tensor of it lies elsewhere. Batches may be of any size. It is opened only
where it is asked for (`--engine onnx`): ONNX Runtime is a large program in C++, and what it does with a
file made to harm it is beyond us. What can be refused before, is: data outside of the file, operators
that are not ONNX's own, other inputs and outputs than the bundle's.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain._optional import require
from drivetrain.bundle import golden, manifest as manifests, opening
from drivetrain.bundle.manifest import Manifest, OnnxRecord, Port
from drivetrain.errors import BundleError, ConfigError
from drivetrain.models.device import threads

OPSET = 18
TOLERANCE = 1e-3
"""ONNX Runtime fuses and orders sums in its own way: outputs differ from torch's in the last digits."""

_OWN_DOMAINS = ("", "ai.onnx")


def export(
    network: nn.Module,
    example: Tensor | tuple[Tensor, ...],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
) -> bytes:
    """A network as the bytes of an ONNX file.

    Args:
        network: in evaluation mode, on the CPU; from a tensor, or several, to a tuple of tensors.
        example: an input of 2 items or more; of several a tuple.
        inputs: a port for each.
        outputs: a port for each tensor that the network gives.

    Raises: MissingPackageError: `onnx` or `onnxscript` is not installed. ConfigError: torch cannot
        write this network as ONNX.
    """
    require("onnx", extra="onnx")
    require("onnxscript", extra="onnx")
    batch = torch.export.Dim("batch")
    examples = (example,) if isinstance(example, Tensor) else example
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch says of a second input that its axis is the first one's, which is what is meant
            warnings.filterwarnings("ignore", message="# The axis name", category=UserWarning)
            program: Any = torch.onnx.export(
                network,
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=[port.name for port in inputs],
                output_names=[port.name for port in outputs],
                dynamic_shapes=tuple({0: batch} for _ in examples),
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"torch cannot write this network as ONNX: {first} Export without --onnx."
        ) from error
    model = program.model_proto
    _forget(model)
    return model.SerializeToString()


def export_tried(
    network: nn.Module,
    batch: Tensor | tuple[Tensor, ...],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    *,
    num_threads: int | None,
) -> tuple[bytes, OnnxRecord]:
    """As `export`, tried against torch.

    Args:
        batch: what both calculate, an item or more.
        num_threads: of both.

    Returns: the file, and how far its answers are from torch's.
    Raises: as `export`; ConfigError also where its answers are others.
    """
    given = (batch,) if isinstance(batch, Tensor) else batch
    two = tuple(torch.cat([part, part])[:2] if len(part) < 2 else part[:2] for part in given)
    data = export(network, two, inputs, outputs)
    names = [port.name for port in outputs]
    found = calculate(data, given, inputs, outputs, num_threads=num_threads)
    with threads(num_threads), torch.inference_mode():
        expected = network(*given)
    difference = golden.largest_difference(
        dict(zip(names, expected, strict=True)), dict(zip(names, found, strict=True))
    )
    if difference > TOLERANCE:
        raise ConfigError(
            f"The ONNX model gives other answers than torch: outputs differ by {difference:.3g}, allowed "
            f"is {TOLERANCE:g}. Export without --onnx."
        )
    return data, OnnxRecord(difference, TOLERANCE, OPSET)


class OnnxEngine:
    """Calculates with a bundle's `model.onnx`.

    Args:
        folder: the bundle.
        manifest: its `bundle.json`.
        num_threads: of ONNX Runtime; None leaves it the choice.
    Raises: MissingPackageError: ONNX Runtime is not installed. BundleError: there is no such file, it was
        changed, or it is not one that is opened.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        if manifests.ONNX not in manifest.files:
            raise BundleError(
                f"{folder} has no {manifests.ONNX}. Export it with --onnx, or use --engine torch."
            )
        data = opening.check_file(folder, manifests.ONNX, manifest)
        check_model(data, str(folder / manifests.ONNX))
        self._run = _runner(
            data,
            manifest.inputs,
            manifest.outputs,
            manifest.num_threads,
            str(folder / manifests.ONNX),
        )

    def __call__(self, *batch: Tensor) -> tuple[Tensor, ...]:
        """The outputs for a batch, given as a tensor for each input."""
        return self._run(*batch)


def calculate(
    data: bytes,
    batch: Tensor | tuple[Tensor, ...],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    *,
    num_threads: int | None,
) -> tuple[Tensor, ...]:
    """The outputs of an ONNX file that was just made."""
    given = (batch,) if isinstance(batch, Tensor) else batch
    return _runner(data, inputs, outputs, num_threads, "The ONNX model")(*given)


def check_model(data: bytes, where: str) -> None:
    """Refuse an ONNX file that reaches out of itself.

    Raises: MissingPackageError: `onnx` is not installed. BundleError.
    """
    onnx = require("onnx", extra="onnx")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:
        raise BundleError(
            f"{where} is not an ONNX file. Take it anew from where it came from."
        ) from error
    if any(tensor.external_data or tensor.data_location for tensor in _tensors(model)):
        raise BundleError(
            f"{where} keeps tensors in other files, and those are not opened. "
            "Export it again with Drivetrain."
        )
    strange = [node for node in _nodes(model) if node.domain not in _OWN_DOMAINS]
    if strange or model.functions or model.training_info:
        raise BundleError(
            f"{where} uses operators that are not ONNX's own. Export it again with Drivetrain."
        )


def _runner(
    data: bytes,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    num_threads: int | None,
    where: str,
) -> Callable[..., tuple[Tensor, ...]]:
    """A function from a batch to the outputs."""
    runtime = require("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors alone: it warns of what it optimises away
    if num_threads is not None:  # a stranger's number: no more than there are cores
        options.intra_op_num_threads = min(num_threads, os.cpu_count() or 1)
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise BundleError(f"ONNX Runtime cannot open {where}: {first}.") from error
    names = [port.name for port in outputs]
    found = [one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()]
    if found != ([port.name for port in inputs], names):
        raise BundleError(
            f"{where} has the inputs {found[0]} and the outputs {found[1]}, expected "
            f"{[port.name for port in inputs]} and {names}. Take it anew from where it came from."
        )

    def run(*batch: Tensor) -> tuple[Tensor, ...]:
        given = zip(inputs, batch, strict=True)
        values = session.run(names, {port.name: one.contiguous().numpy() for port, one in given})
        return tuple(torch.from_numpy(value) for value in values)

    return run


def _forget(model: Any) -> None:
    """Take out where each node comes from: lines of source with the paths of this machine."""
    for graph in _graphs(model):
        for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
            part.doc_string = ""
            del part.metadata_props[:]


def _graphs(model: Any) -> Iterator[Any]:
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _nodes(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model: initial values, sparse ones, and those in attributes of nodes."""
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from ([attribute.t] if attribute.HasField("t") else [])
                yield from attribute.tensors
                sparses = [*attribute.sparse_tensors]
                sparses += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                for sparse in sparses:
                    yield from (sparse.values, sparse.indices)
