"""A small net as a list of operations on tables of numbers, with every value and gradient in float64.

torch.fx follows the forward pass; the operations are those that `own_formulas` can write into cells.
Everything is a table: a row for each row of the batch, a column for each number.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from drivetrain.errors import ConfigError
from drivetrain.sheets.own_step import Recorded

WOULD_DO = (
    "What would do: a small net of nn.Linear, ReLU, Sigmoid, Tanh, BatchNorm1d, Dropout and "
    "nn.Embedding, such as of a table: drivetrain train TABLE --model net --set 'layers=[8]'. "
    "What a convolution or an RNN does is in the ready workbooks: drivetrain sheet."
)

MODULES: dict[type[nn.Module], str] = {
    nn.Linear: "linear",
    nn.ReLU: "relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.BatchNorm1d: "batchnorm",
    nn.Dropout: "dropout",
    nn.Embedding: "embedding",
    nn.Flatten: "same",
    nn.Identity: "same",
}
FUNCTIONS: dict[Any, str] = {
    operator.add: "add", torch.add: "add", operator.sub: "sub", torch.sub: "sub",
    operator.mul: "mul", torch.mul: "mul",
    torch.relu: "relu", F.relu: "relu", torch.sigmoid: "sigmoid", torch.tanh: "tanh",
    torch.cat: "cat", torch.flatten: "same", torch.squeeze: "same", operator.getitem: "column",
}  # fmt: skip
METHODS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "flatten": "same",
    "squeeze": "same",
    "view": "same",
    "reshape": "same",
    "sum": "row sum",
    "float": "same",
    "long": "same",
    "contiguous": "same",
}


@dataclass(eq=False)
class Node:
    """One operation."""

    kind: str
    title: str
    parts: list[Any] = field(default_factory=list)
    """Nodes, or plain numbers."""
    module: nn.Module | None = None
    path: str = ""
    """Of the module in the model."""
    column: int = 0
    value: Tensor = field(default_factory=lambda: torch.zeros(0))
    """(rows, columns) float64."""
    grad: Tensor | None = None
    """The same shape: how the loss moves with each number; None where it does not."""
    users: list[Node] = field(default_factory=list)


@dataclass
class Graph:
    """The whole pass, float64."""

    nodes: list[Node]
    inputs: list[Node]
    output: Node
    model: nn.Module
    loss: Tensor
    grads: dict[str, Tensor]
    """Name of a parameter -> its gradient; without those that the loss does not depend on."""


def traced(recorded: Recorded) -> Graph:
    """The pass of the recorded step, again in float64 and followed operation by operation.

    Raises: ConfigError: the net holds what cells cannot; what it is, and what would do, is said.
    """
    model = recorded.model.double()
    try:
        whole = (
            nn.Sequential(model) if type(model) in MODULES else model
        )  # a layer alone is a net of one
        module = fx.GraphModule(whole, _Tracer().trace(whole))
    except Exception as error:  # a model's own code may raise anything while it is followed
        raise ConfigError(
            f"The forward pass of {type(model).__name__} cannot be followed: its code asks about the "
            f"numbers themselves. {WOULD_DO}"
        ) from error
    reader = _Reader(module, whole, recorded)
    reader.is_layer = whole is not model
    args = [one.double() if one.is_floating_point() else one for one in recorded.args]
    with torch.enable_grad():
        preds = reader.run(*args)
        targets = recorded.targets
        loss = recorded.loss_fn(preds, targets.double() if targets.is_floating_point() else targets)
        loss.backward()
    for node, tensor in reader.tensors:
        if tensor.grad is not None:
            node.grad = _table(tensor.grad, reader.rows)
    for node in reader.nodes:
        for part in node.parts:
            if isinstance(part, Node):
                part.users.append(node)
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    inputs = [node for node in reader.nodes if node.kind == "input"]
    return Graph(reader.nodes, inputs, reader.result, model, loss.detach(), grads)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def _table(tensor: Tensor, rows: int) -> Tensor:
    """(rows, columns) float64; what has no rows of its own is one row."""
    tensor = tensor.detach().double()
    if tensor.ndim and tensor.shape[0] == rows:
        return tensor.reshape(rows, -1).clone()
    return tensor.reshape(1, -1).clone()


class _Reader(fx.Interpreter):
    """Runs the graph and writes down a `Node` for each operation."""

    def __init__(self, module: fx.GraphModule, model: nn.Module, recorded: Recorded) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.extra_traceback = False  # an error of ours keeps its own words
        self.own, self.recorded = model, recorded
        self.rows = len(recorded.args[0])
        self.is_layer = False
        """The net is one layer: its parameters have no path."""
        self.nodes: list[Node] = []
        self.tensors: list[tuple[Node, Tensor]] = []
        self.found: dict[fx.Node, Node] = {}
        self.result = Node("none", "")

    def run_node(self, n: fx.Node) -> Any:
        """One operation, and its note."""
        if n.op == "output":
            self.result = self._node(n.args[0], n)
            return super().run_node(n)
        result = super().run_node(n)
        if isinstance(result, Tensor):
            if result.requires_grad and not result.is_leaf:
                result.retain_grad()
            self._note(n, result)
        elif n.op != "get_attr":
            raise ConfigError(f"`{n.name}` in the net's forward pass gives no tensor. {WOULD_DO}")
        return result

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A layer; dropout multiplies with the mask of the real step."""
        module = self.own.get_submodule(target)
        if isinstance(module, nn.Dropout):
            mask = self.recorded.masks.get(target)
            return args[0] if mask is None else args[0] * mask.double()
        return module(*args, **kwargs)

    def _note(self, n: fx.Node, result: Tensor) -> None:
        node = self._described(n)
        node.value = _table(result, self.rows)
        self.nodes.append(node)
        self.tensors.append((node, result))
        self.found[n] = node

    def _described(self, n: fx.Node) -> Node:
        if n.op == "placeholder":
            return Node("input", f"input {n.name}")
        if n.op == "get_attr":
            return Node("constant", str(n.target))
        if n.op == "call_module":
            module = self.own.get_submodule(str(n.target))
            kind = MODULES.get(type(module))
            if kind is None:
                raise ConfigError(
                    f"`{n.target}` is {type(module).__name__}, which is not written into "
                    f"cells. {WOULD_DO}"
                )
            _check(module, str(n.target))
            title = f"{n.target}: {type(module).__name__}"
            path = "" if self.is_layer else str(n.target)
            return Node(kind, title, [self._node(n.args[0], n)], module, path)
        table: dict[Any, str] = METHODS if n.op == "call_method" else FUNCTIONS
        kind = table.get(n.target)
        name = (
            n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
        )
        if kind is None:
            raise ConfigError(
                f"The net's forward pass uses `{name}`, which is not written into cells. {WOULD_DO}"
            )
        if kind == "column":
            which: Any = n.args[1]
            is_column = isinstance(which, tuple) and len(which) == 2 and which[0] == slice(None)
            if not is_column or not isinstance(which[1], int):
                raise ConfigError(
                    f"The net's forward pass takes a part of a tensor other than one column. {WOULD_DO}"
                )
            return Node(kind, f"column {which[1]}", [self._node(n.args[0], n)], column=which[1])
        given = (
            n.args[0] if kind == "cat" else n.args[:1] if kind in ("same", "row sum") else n.args
        )
        parts = [self._node(one, n) for one in given]  # type: ignore[union-attr]
        return Node(kind, str(name), parts)

    def _node(self, given: Any, n: fx.Node) -> Any:
        if isinstance(given, fx.Node):
            return self.found[given]
        if isinstance(given, int | float):
            return float(given)
        raise ConfigError(
            f"The net's forward pass uses `{n.name}` on something that is no tensor. {WOULD_DO}"
        )


def _check(module: nn.Module, path: str) -> None:
    """Refuse forms of a layer that the formulas do not follow."""
    if isinstance(module, nn.BatchNorm1d):
        odd = not module.affine or not module.track_running_stats
    elif isinstance(module, nn.Embedding):
        odd = module.padding_idx is not None or module.max_norm is not None
        odd = odd or module.scale_grad_by_freq or module.sparse
    else:
        odd = False
    if odd:
        raise ConfigError(
            f"`{path}`, {module}, has options that are not written into cells. {WOULD_DO}"
        )
