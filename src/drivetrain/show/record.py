"""What happened in one forward pass of a model: every operation, with the numbers in and out.

A dispatch mode of torch sees each ATen operation, wherever it is called from, so a function call, the
sum of a residual block and an engineer's own module are recorded as well as torch's layers. Hooks say
in which module's `forward` it was, and are taken away again, also after an error.

- Numbers are kept as they were: where an operation writes in place, what it overwrites is copied before.
- A layer of `lstm`, `gru` or `rnn` is recorded as one operation, since it is an equation of its own;
  several layers or directions are run one by one, which gives the same numbers. Torch's fused fast path
  of a whole transformer layer is switched off meanwhile.
- Afterwards the model is as it was: modes, parameters, buffers, gradients, attributes of its modules, and
  the generators of random numbers.

    >>> seen = record(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), (torch.ones(1, 2),))
    >>> [(op.name, op.path) for op in seen.ops]
    [('t', '0'), ('addmm', '0'), ('relu', '1')]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from drivetrain._registry import did_you_mean
from drivetrain.errors import InputError, UnknownNameError
from drivetrain.randomness import seeded

WHOLE = "(model)"
"""What the model itself is called among its layers."""
Geometry = tuple[tuple[int, ...], tuple[int, ...], int]
"""Sizes, strides and first place of a tensor in its memory."""


@dataclass(eq=False)
class Value:
    """A tensor at one moment."""

    tensor: Tensor
    """Its numbers then; nothing writes into it afterwards."""
    kind: str
    """"parameter", "buffer", "input", "computed", or "constant" for what is none of these."""
    name: str = ""
    """Of a parameter or buffer, its path; of an input, which one."""
    op: Op | None = None
    """What computed it."""
    root: Value | None = None
    """The parameter or buffer that it only shows in another shape."""

    @property
    def is_learned(self) -> bool:
        """Whether it is a parameter, in whatever shape."""
        return (self.root or self).kind == "parameter"


@dataclass(eq=False)
class Op:
    """One operation that ran."""

    number: int
    name: str
    """ATen's name, "addmm" or "relu"; what is done in place is called the same."""
    overload: str
    """The full name: "aten.relu_.default"."""
    function: Callable[..., Any]
    args: dict[str, Any]
    """By the names of its schema; `Value` stands in the place of tensors."""
    path: str
    """The innermost module in whose `forward` it ran; "(model)" for the model itself."""
    outputs: list[Value] = field(default_factory=list)
    is_view: bool = False


@dataclass(eq=False)
class Call:
    """One run of a module's `forward`."""

    number: int
    path: str
    module: nn.Module
    inputs: list[Value]
    first: int
    """Number of its first operation; `last` is one after its last."""
    outputs: list[Value] = field(default_factory=list)
    last: int = 0
    is_done: bool = False


@dataclass(frozen=True)
class Record:
    """A forward pass."""

    model: nn.Module
    ops: tuple[Op, ...]
    calls: tuple[Call, ...]
    """In the order in which they began; the first is the model's."""

    def names(self) -> tuple[str, ...]:
        """The layers that ran, in order, "(model)" first."""
        return tuple(dict.fromkeys(call.path for call in self.calls))

    def call(self, layer: str, number: int = 0) -> Call:
        """A run of a layer; `number` counts where the pass uses it several times.

        Raises: UnknownNameError: the model has no such layer, or it did not run (so often).
        """
        layer = layer or WHOLE
        found = [call for call in self.calls if call.path == layer and call.is_done]
        if 0 <= number < len(found):
            return found[number]
        if found:
            raise UnknownNameError(
                f"The layer '{layer}' ran {len(found)} times in this pass. Got call {number}; they count "
                "from 0."
            )
        if layer in dict(self.model.named_modules()):
            raise UnknownNameError(
                f"The layer '{layer}' is in the model and did not run in this pass. Ran: "
                f"{_listed(self.names())}."
            )
        raise UnknownNameError(
            f"Unknown layer '{layer[:100]}'.{did_you_mean(layer, self.names())} "
            f"Layers: {_listed(self.names())}."
        )

    def kind_of(self, path: str) -> str:
        """The class of a module."""
        return type(self.model.get_submodule("" if path == WHOLE else path)).__name__


def record(
    model: nn.Module,
    args: Sequence[Any],
    named: Mapping[str, Any] | None = None,
    *,
    training: bool = False,
    seed: int = 42,
) -> Record:
    """Run a model once and keep everything that it computed.

    Args:
        model: any module; its parameters are read, so work out calculations before it is trained on.
        args: what it is called with, on its device. All that it computes is kept: give few items.
        named: the same, by name.
        training: with dropout, and with the batch's own statistics in batchnorm.
        seed: of what is drawn in training.

    Raises: InputError: the model has no parameters or inputs. Whatever the model itself raises.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"`record` needs an `nn.Module`. Got {type(model).__name__}.")
    recorder = _Recorder()
    for name, tensor in model.named_parameters():
        recorder.know(tensor, "parameter", name)
    for name, tensor in model.named_buffers():
        recorder.know(tensor, "buffer", name)
    inputs = _tensors((tuple(args), dict(named or {})))
    for number, tensor in enumerate(inputs):
        recorder.know(tensor, "input", f"input {number}" if len(inputs) > 1 else "the input")
    with ExitStack() as stack:
        stack.enter_context(seeded(seed, "show"))
        stack.enter_context(unchanged(model, training=training))
        stack.callback(recorder.put_back)
        stack.enter_context(_hooked(model, recorder))
        stack.enter_context(_without_fast_path())
        stack.enter_context(torch.no_grad())
        stack.enter_context(_Whole(recorder))
        stack.enter_context(recorder)
        model(*args, **(named or {}))
    return Record(model, tuple(recorder.ops), tuple(recorder.calls))


@contextmanager
def unchanged(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """In evaluation (or training) mode; afterwards all modules' attributes and buffers are as before."""
    kept = [(module, dict(module.__dict__)) for module in model.modules()]
    tables = [
        (table, dict(table))
        for module, _ in kept
        for table in (_table(module, "_parameters"), _table(module, "_buffers"))
    ]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        model.train(training)
        yield
    finally:
        for module, before in kept:
            module.__dict__.clear()
            module.__dict__.update(before)
        for table, entries in tables:
            table.clear()
            table.update(entries)
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def _table(module: nn.Module, name: str) -> dict[str, Any]:
    """A module's table of tensors, of which a `forward` may bind some anew."""
    return module.__dict__[name]


# --- seeing ----------------------------------------------------------------------------------------


class _Recorder(TorchDispatchMode):
    """Keeps each operation; knows which value each tensor holds at the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.calls: list[Call] = []
        self.stack: list[Call] = []
        self.is_paused = False
        self._values: dict[int, tuple[Tensor, Value]] = {}
        """By the tensor's id; the tensor is held, so that the id stays its own."""
        self._sharing: dict[int, list[Tensor]] = {}
        """Tensors that lie in the same memory."""
        self._overwritten: dict[int, tuple[Tensor, Tensor]] = {}
        """What comes from outside and was written into, and what it held before."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled in here; torch 2.14 would load its whole compiler to make sure: 4 s."""
        return False

    def know(self, tensor: Tensor, kind: str, name: str = "") -> Value:
        """Begin to follow a tensor that comes from outside."""
        known = self._values.get(id(tensor))
        if known is not None:
            return known[1]
        return self._hold(tensor, Value(tensor, kind, name))

    def value(self, tensor: Tensor) -> Value:
        """What a tensor holds now."""
        return self.know(tensor, "constant")

    def _hold(self, tensor: Tensor, value: Value) -> Value:
        is_new = id(tensor) not in self._values
        self._values[id(tensor)] = (tensor, value)
        if is_new:
            self._sharing.setdefault(_memory(tensor), []).append(tensor)
        return value

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.is_paused:
            return func(*args, **kwargs)
        if not func._schema.is_mutable and torch._C._dispatch_has_kernel_for_dispatch_key(
            func.name(), "CompositeImplicitAutograd"
        ):  # made of other operations: see those
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        given, written = _bound(func, args, kwargs)
        op = Op(
            number=len(self.ops),
            name=func._schema.name.partition("::")[2].removesuffix("_"),
            overload=str(func),
            function=func,
            args=self._seen(given),
            path=self.stack[-1].path if self.stack else WHOLE,
            is_view=bool(func.is_view),
        )
        self.ops.append(op)
        for tensor in written:
            self._keep_what_is_overwritten(tensor)
        shapes = {id(t): (t.shape, t.stride(), t.storage_offset()) for t in written}
        result = func(*args, **kwargs)
        fresh = [t for t in _tensors(result) if not any(t is w for w in written)]
        for tensor in (*written, *fresh):
            self._computed(op, tensor, is_written=any(tensor is w for w in written))
        for tensor in written:
            if shapes[id(tensor)] == (tensor.shape, tensor.stride(), tensor.storage_offset()):
                self._others_changed(tensor, op)
        return result

    def run_whole(self, name: str, args: dict[str, Any], run: Callable[[], Any]) -> Any:
        """Run something as one operation."""
        path = self.stack[-1].path if self.stack else WHOLE
        op = Op(len(self.ops), name, f"torch.{name}", run, self._seen(args), path)
        self.ops.append(op)
        self.is_paused = True
        try:
            result = run()
        finally:
            self.is_paused = False
        for tensor in _tensors(result):
            self._computed(op, tensor)
        return result

    def _computed(self, op: Op, tensor: Tensor, *, is_written: bool = False) -> None:
        known = self._values.get(id(tensor))
        if known is not None and not is_written:
            op.outputs.append(known[1])  # given back as it is
            return
        value = Value(tensor, "computed", op=op)
        if op.is_view or op.name in ("clone", "_to_copy"):
            source = next((v for v in op.args.values() if isinstance(v, Value)), None)
            if source is not None and (source.root or source).kind in ("parameter", "buffer"):
                value.root = source.root or source
        self._hold(tensor, value)
        op.outputs.append(value)

    def _keep_what_is_overwritten(self, tensor: Tensor) -> None:
        for other in self._sharing.get(_memory(tensor), []):
            value = self._values[id(other)][1]
            if value.tensor is other:
                value.tensor = other.detach().clone()
                if value.kind in ("parameter", "buffer", "input"):
                    self._overwritten[id(other)] = (other, value.tensor)

    def _others_changed(self, tensor: Tensor, writer: Op) -> None:
        """Tensors that lie in the memory that was written hold something else now."""
        for other in list(self._sharing.get(_memory(tensor), [])):
            if other is tensor:
                continue
            before = self._values[id(other)][1]
            op = Op(
                number=len(self.ops),
                name="shared_memory",
                overload=f"memory shared with what {writer.overload} wrote",
                function=writer.function,
                args={
                    "self": before,
                    "written": self._values[id(tensor)][1],
                    "geometry": _geometry(other),
                    "written_geometry": _geometry(tensor),
                },
                path=writer.path,
            )
            self.ops.append(op)
            value = Value(other, "computed", op=op)
            self._values[id(other)] = (other, value)
            op.outputs.append(value)

    def _seen(self, given: Any) -> Any:
        if isinstance(given, Tensor):
            return self.value(given)
        if isinstance(given, dict):
            return {key: self._seen(part) for key, part in given.items()}
        if isinstance(given, list | tuple):
            return [self._seen(part) for part in given]
        return given

    def put_back(self) -> None:
        """What the pass wrote into parameters, buffers and inputs is undone; the record keeps it."""
        for tensor, _ in self._overwritten.values():
            self._keep_what_is_overwritten(tensor)
        with torch.no_grad():
            for tensor, before in self._overwritten.values():
                tensor.copy_(before)

    # --- hooks

    def begin(self, path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        """A module's `forward` begins."""
        inputs = [self.value(tensor) for tensor in _tensors((args, kwargs))]
        call = Call(len(self.calls), path, module, inputs, len(self.ops))
        self.calls.append(call)
        self.stack.append(call)

    def end(self, output: Any) -> None:
        """It ended."""
        call = self.stack.pop()
        call.outputs = [self.value(tensor) for tensor in _tensors(output)]
        call.last = len(self.ops)
        call.is_done = True


@contextmanager
def _hooked(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Tell the recorder when each module's `forward` begins and ends."""

    def before(path: str) -> Callable[..., None]:
        return lambda module, args, kwargs: recorder.begin(path, module, args, kwargs)

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        recorder.end(output)

    handles = []
    try:
        for path, module in model.named_modules():
            handles += [
                module.register_forward_pre_hook(before(path or WHOLE), with_kwargs=True),
                module.register_forward_hook(after, with_kwargs=True),
            ]
        yield
    finally:
        for handle in handles:
            handle.remove()


# --- recurrent layers ------------------------------------------------------------------------------


class _Whole(TorchFunctionMode):
    """Hands recurrent layers to the recorder, each as one operation."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _RECURRENT and len(args) == 9 and not kwargs and _is_plain(args):
            return _layer_by_layer(self.recorder, func, *args)
        return func(*args, **kwargs)


_RECURRENT = {
    torch.lstm: "lstm",
    torch.gru: "gru",
    torch.rnn_tanh: "rnn_tanh",
    torch.rnn_relu: "rnn_relu",
}


def _is_plain(args: tuple[Any, ...]) -> bool:
    """Whole sequences as one tensor, no projection, nothing dropped between the layers.

    A packed sequence, whose second argument is a tensor of batch sizes, torch takes apart by itself.
    """
    _, state, weights, has_biases, num_layers, dropout, training, both_ways, _ = args
    per_layer = (4 if has_biases else 2) * num_layers * (2 if both_ways else 1)
    return (
        isinstance(state, Tensor | tuple | list)
        and isinstance(weights, tuple | list)
        and isinstance(has_biases, bool)
        and len(weights) == per_layer
        and not (training and dropout)
    )


def _layer_by_layer(
    recorder: _Recorder,
    func: Callable[..., Any],
    x: Tensor,
    state: Any,
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    training: bool,
    both_ways: bool,
    batch_first: bool,
) -> Any:
    """What torch's function of all layers gives, each layer and direction being an operation.

    A single layer in one direction is called just as it was.
    """
    begin = tuple(state) if isinstance(state, tuple | list) else (state,)
    is_single = num_layers == 1 and not both_ways
    count, time = (4 if has_biases else 2), 1 if batch_first else 0
    after: list[list[Tensor]] = [[] for _ in begin]
    position = 0
    for _ in range(num_layers):
        directions = []
        for is_reversed in (False, True)[: 2 if both_ways else 1]:
            own = list(weights[position * count : (position + 1) * count])
            start = begin if is_single else tuple(part[position : position + 1] for part in begin)
            series = x.flip(time) if is_reversed else x
            result = _one_layer(recorder, func, series, start, own, has_biases, batch_first)
            directions.append(result[0].flip(time) if is_reversed else result[0])
            for parts, part in zip(after, result[1:], strict=True):
                parts.append(part)
            position += 1
        x = directions[0] if not both_ways else torch.cat(directions, 2)
    return (x, *(parts[0] if is_single else torch.cat(parts, 0) for parts in after))


def _one_layer(
    recorder: _Recorder,
    func: Callable[..., Any],
    x: Tensor,
    state: tuple[Tensor, ...],
    weights: list[Tensor],
    has_biases: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    given = state if func is torch.lstm else state[0]
    args: dict[str, Any] = {"input": x, "state": list(state), "batch_first": batch_first}
    args |= dict(zip(("w_ih", "w_hh", "b_ih", "b_hh"), weights, strict=False))

    def run() -> tuple[Tensor, ...]:
        return func(x, given, weights, has_biases, 1, 0.0, False, False, batch_first)

    return recorder.run_whole(_RECURRENT[func], args, run)


@contextmanager
def _without_fast_path() -> Iterator[None]:
    was_on = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_on)


# --- tensors in whatever a module takes and gives ------------------------------------------------------


def _tensors(given: Any) -> list[Tensor]:
    """All tensors in it, in order: in tuples, lists, dicts and the attributes of plain records."""
    if isinstance(given, Tensor):
        return [given]
    if isinstance(given, Mapping):
        return [t for part in given.values() for t in _tensors(part)]
    if isinstance(given, list | tuple):
        return [t for part in given for t in _tensors(part)]
    if hasattr(given, "__dataclass_fields__"):
        return [t for name in given.__dataclass_fields__ for t in _tensors(getattr(given, name))]
    return []


def _bound(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], list[Tensor]]:
    """The arguments by name, with defaults, and the tensors among them that are written into."""
    given: dict[str, Any] = {}
    written: list[Tensor] = []
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args) and not argument.kwarg_only:
            value = args[position]
        elif argument.name in kwargs:
            value = kwargs[argument.name]
        else:
            value = argument.default_value
        given[argument.name] = value
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += [t for t in _tensors(value) if not any(t is w for w in written)]
    return given, written


def _memory(tensor: Tensor) -> int:
    """Which memory a tensor lies in; one of its own where it has none of the plain kind."""
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (NotImplementedError, RuntimeError):
        return id(tensor)


def _geometry(tensor: Tensor) -> Geometry:
    return tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset())


def _listed(names: Sequence[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
