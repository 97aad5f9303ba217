"""One forward pass written down: what ran where, numbers that stay, a model that is as before."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn
from torch.nn import functional as f

from drivetrain.errors import InputError, UnknownNameError
from drivetrain.randomness import seeded
from drivetrain.show.record import record
from drivetrain.store import weights_sha256


class Block(nn.Module):
    """An engineer's own module: functions, a sum, something in place, and a state that it carries."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.5)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.conv(x))
        f.relu_(inner)
        self.seen = [*self.seen, inner]
        return self.dropout(inner) + x


def block(seed: int = 0) -> Block:
    with seeded(seed, "test"):
        return Block()


def pictures(count: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 5, 5, generator=torch.Generator().manual_seed(seed))


def test_what_runs_is_written_with_the_module_that_ran_it() -> None:
    seen = record(block(), [pictures()])
    ran = [(op.name, op.path) for op in seen.ops if op.name != "empty"]
    assert ran == [
        ("convolution", "conv"),
        ("native_batch_norm", "norm"),
        ("relu", "(model)"),
        ("add", "(model)"),
    ]
    assert seen.names() == ("(model)", "conv", "norm", "dropout")
    assert seen.kind_of("conv") == "Conv2d"
    call = seen.call("conv")
    assert [seen.ops[i].name for i in range(call.first, call.last)] == ["convolution"]


def test_numbers_stay_as_they_were_when_something_is_done_in_place() -> None:
    model = block()
    seen = record(model, [pictures()])
    norm, relu = seen.call("norm").outputs[0], next(op for op in seen.ops if op.name == "relu")
    assert (norm.tensor < 0).any()
    assert relu.args["self"] is norm
    assert torch.equal(relu.outputs[0].tensor, norm.tensor.clamp(min=0))
    expected = model.eval().norm(model.conv(pictures()))
    assert torch.equal(norm.tensor, expected)


def test_the_run_is_the_model_s_own() -> None:
    model = block().eval()
    with torch.no_grad():
        expected = model(pictures())
    assert torch.equal(record(model, [pictures()]).call("").outputs[0].tensor, expected)


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    model = block().train()
    model.norm.eval()  # a frozen part
    model.seen = [torch.ones(1)]
    model(pictures()).sum().backward()
    before = copy.deepcopy(model.state_dict())
    modes = {name: module.training for name, module in model.named_modules()}
    carried, tables = model.seen, {k: dict(m.__dict__) for k, m in model.named_modules()}
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    inputs = pictures()
    state, legacy = torch.default_generator.get_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    record(model, [inputs], training=training)

    assert weights_sha256(model.state_dict()) == weights_sha256(before)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert model.seen is carried
    assert {k: set(m.__dict__) for k, m in model.named_modules()} == {
        k: set(t) for k, t in tables.items()
    }
    assert grads
    assert all(
        torch.equal(p.grad, grads[n]) for n, p in model.named_parameters() if p.grad is not None
    )
    assert torch.equal(inputs, pictures())
    assert torch.equal(torch.default_generator.get_state(), state)
    assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002
    assert not hooks_of(model)
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()


def hooks_of(model: nn.Module) -> list[Any]:
    return [h for m in model.modules() for h in (*m._forward_hooks, *m._forward_pre_hooks)]


class Writes(nn.Module):
    """Writes into its input, its parameter and its buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.buffer = nn.Buffer(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2.0)
        self.weight.add_(1.0)
        self.buffer.add_(x[0])
        self.buffer = self.buffer + 1
        return x * self.weight + self.buffer


def test_what_a_pass_writes_is_undone_and_kept_in_the_record() -> None:
    model, x = Writes(), torch.ones(2, 3)
    seen = record(model, [x])
    assert model.weight.tolist() == [1.0] * 3
    assert model.buffer.tolist() == [0.0] * 3
    assert x.tolist() == [[1.0] * 3] * 2
    assert seen.call("").outputs[0].tensor.tolist() == [[7.0] * 3] * 2
    assert seen.ops[0].args["self"].tensor.tolist() == [[1.0] * 3] * 2
    assert seen.ops[0].outputs[0].tensor.tolist() == [[2.0] * 3] * 2
    added = next(op for op in seen.ops if op.args.get("other") == 1.0)
    assert added.outputs[0].tensor.tolist() == [2.0] * 3


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.first(x)
        raise RuntimeError("in the middle")


def test_an_error_leaves_the_model_as_it_was_and_goes_on() -> None:
    model = Fails().train()
    with pytest.raises(RuntimeError, match=r"^in the middle$"):
        record(model, [torch.ones(1, 2)])
    assert model.training
    assert not hooks_of(model)
    assert torch.is_grad_enabled()
    assert model.first(torch.ones(1, 2)).requires_grad


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    def mask(seed: int) -> Tensor:
        return (
            record(nn.Dropout(0.5), [torch.ones(64)], training=True, seed=seed)
            .calls[0]
            .outputs[0]
            .tensor
        )

    assert torch.equal(mask(1), mask(1))
    assert not torch.equal(mask(1), mask(2))


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([nn.LSTM, nn.GRU, nn.RNN]),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_layer_by_layer_a_recurrent_net_gives_what_torch_gives(
    kind: type[nn.RNNBase], layers: int, both: bool, first: bool, bias: bool, seed: int
) -> None:
    with seeded(seed, "test"):
        model = kind(3, 4, layers, bidirectional=both, batch_first=first, bias=bias)
        x = torch.randn(2, 3, 3)
    with torch.no_grad():
        output, state = model(x)
    found = record(model, [x]).call("").outputs
    expected = [output, *(state if isinstance(state, tuple) else [state])]
    for ours, torchs in zip(found, expected, strict=True):
        assert torch.allclose(ours.tensor, torchs, atol=1e-6)


def test_inputs_by_name_and_outputs_in_any_form_are_followed() -> None:
    class Named(nn.Module):
        def forward(self, *, a: Tensor, extra: dict[str, Any]) -> dict[str, Any]:
            return {"sum": a + extra["b"], "more": [a, (a * 2,)], "word": "x"}

    seen = record(Named(), (), {"a": torch.ones(2), "extra": {"b": torch.ones(2)}})
    call = seen.call("")
    assert len(call.inputs) == 2
    assert [value.tensor.tolist() for value in call.outputs] == [[2, 2], [1, 1], [2, 2]]


def test_a_layer_that_is_used_twice_has_two_runs() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.unused = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(self.inner(x))

    seen = record(Twice(), [torch.ones(1, 2)])
    first, second = seen.call("inner", 0), seen.call("inner", 1)
    assert second.inputs[0] is first.outputs[0]
    for layer, number, sentence in (
        ("inner", 2, "The layer 'inner' ran 2 times in this pass. Got call 2; they count from 0."),
        (
            "unused",
            0,
            "The layer 'unused' is in the model and did not run in this pass. Ran: (model), inner.",
        ),
        ("iner", 0, "Unknown layer 'iner'. Did you mean 'inner'? Layers: (model), inner."),
    ):
        with pytest.raises(UnknownNameError, match=f"^{re.escape(sentence)}$"):
            seen.call(layer, number)


def test_a_callable_that_is_no_module_is_refused() -> None:
    with pytest.raises(InputError, match=r"^`record` needs an `nn\.Module`\. Got function\.$"):
        record(lambda x: x, [torch.ones(1)])  # type: ignore[arg-type]


def test_under_inference_mode_it_sees_the_same() -> None:
    model = nn.Linear(3, 2)
    with torch.inference_mode():
        names = [op.name for op in record(model, [torch.ones(1, 3)]).ops]
    assert names == [op.name for op in record(model, [torch.ones(1, 3)]).ops] == ["t", "addmm"]
