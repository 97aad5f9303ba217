"""Each operation's output elements worked out, beside torch in float64 and a second reader."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f
from torch.nn.utils import rnn

from drivetrain.randomness import seeded
from drivetrain.show.calculation import Calculation, work
from drivetrain.show.layer import operation
from drivetrain.show.ops.look import of_sum
from drivetrain.show.ops.table import HANDLERS
from drivetrain.show.record import Op, Record, record
from tests.show.independent import Checked, recalculate

UNUSED = dict.fromkeys(
    (
        *("native_batch_norm", "native_layer_norm", "native_group_norm", "max_pool2d_with_indices"),
        *(
            "_scaled_dot_product_flash_attention_for_cpu",
            "_embedding_bag_forward_only",
            "log_sigmoid_forward",
            "_pack_padded_sequence",
            "nll_loss_forward",
        ),
    ),
    1,
)
"""How many outputs of an operation are for people; the others are what a backward pass needs."""


class Packed(nn.Module):
    """Words of texts of unlike length, packed, as many write it."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.reads = nn.Embedding(9, 3), nn.LSTM(3, 4, batch_first=True)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        packed = rnn.pack_padded_sequence(self.words(tokens), lengths, True, False)
        return rnn.pad_packed_sequence(self.reads(packed)[0], True)[0]


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers from a generator of their own."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(module: nn.Module, seed: int = 1) -> nn.Module:
    """Its parameters and running statistics drawn anew, so that none is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                spread = torch.rand(buffer.shape, generator=generator) + 0.5
                buffer.copy_(spread if "var" in name else spread - 1)
    return module


def places(shape: tuple[int, ...], count: int, seed: int = 0) -> list[tuple[int, ...]]:
    """The first place, the last one, and some between."""
    draw = np.random.default_rng(seed)
    ends = [tuple(0 for _ in shape), tuple(n - 1 for n in shape)]
    return [*ends, *(tuple(int(draw.integers(n)) for n in shape) for _ in range(count))]


def outputs_of(op: Op) -> range:
    return range(min(len(op.outputs), UNUSED.get(op.name, len(op.outputs))))


def every_operation(seen: Record, count: int = 1) -> Checked:
    """Work out several elements of every operation of a pass, and read each with the second reader."""
    found = Checked()
    for op in seen.ops:
        for output in outputs_of(op):
            shape = tuple(op.outputs[output].tensor.shape)
            if 0 in shape:
                continue
            for place in dict.fromkeys(places(shape, count, seed=op.number)):
                shown = operation(seen, op, place, output=output)
                assert shown.is_shown, f"{op.overload} in {op.path} is not shown"
                found.add(recalculate(json.dumps(shown.to_json())))
    return found


Cases = dict[str, tuple[nn.Module, tuple[Tensor, ...]]]


def _one_operation() -> Cases:
    """Name -> module and inputs whose output is the last operation of a pass."""
    return {
        "conv2d": (nn.Conv2d(3, 4, 3, padding=1), (drawn(2, 3, 6, 5),)),
        "conv2d, stride, dilation": (nn.Conv2d(2, 4, (3, 2), 2, (2, 1), 2), (drawn(2, 2, 9, 8),)),
        "conv2d, groups, no bias": (nn.Conv2d(4, 6, 3, groups=2, bias=False), (drawn(1, 4, 5, 5),)),
        "conv2d, depthwise": (nn.Conv2d(4, 4, 3, groups=4, padding="same"), (drawn(1, 4, 5, 5),)),
        "conv3d": (nn.Conv3d(2, 3, 2, stride=2), (drawn(1, 2, 4, 4, 4),)),
        "transposed": (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (drawn(2, 4, 4, 5),)),
        "transposed, dilation": (nn.ConvTranspose2d(2, 3, 3, 1, 0, dilation=2), (drawn(1, 2, 4, 4),)),
        "batchnorm": (nn.BatchNorm2d(3), (drawn(2, 3, 4, 4),)),
        "batchnorm of features": (nn.BatchNorm1d(5, affine=False), (drawn(4, 5),)),
        "layernorm": (nn.LayerNorm(6), (drawn(2, 3, 6),)),
        "layernorm over two axes": (nn.LayerNorm((3, 6)), (drawn(2, 3, 6),)),
        "groupnorm": (nn.GroupNorm(2, 6), (drawn(2, 6, 3, 3),)),
        "max pool": (nn.MaxPool2d(3, 2, 1), (drawn(2, 2, 7, 7),)),
        "max pool, dilation": (nn.MaxPool2d(2, 1, dilation=2), (drawn(2, 2, 6, 6),)),
        "max pool, rounded up": (nn.MaxPool2d(3, 2, ceil_mode=True), (drawn(1, 2, 6, 6),)),
        "mean pool": (nn.AvgPool2d(3, 2, 1), (drawn(2, 2, 7, 7),)),
        "mean pool, padding apart": (
            nn.AvgPool2d(3, 2, 1, count_include_pad=False), (drawn(1, 2, 7, 7),)
        ),
        "mean pool, rounded up": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (drawn(1, 2, 6, 6),)),
        "mean pool, divisor": (nn.AvgPool2d(2, divisor_override=3), (drawn(1, 2, 6, 6),)),
        "adaptive": (nn.AdaptiveAvgPool2d((3, 2)), (drawn(2, 2, 7, 5),)),
        "adaptive to one": (nn.AdaptiveAvgPool2d(1), (drawn(2, 2, 7, 5),)),
        "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), (drawn(1, 2, 3, 4),)),
        "bilinear, aligned": (
            nn.Upsample((5, 7), mode="bilinear", align_corners=True), (drawn(1, 2, 3, 4),)
        ),
        "softmax": (nn.Softmax(1), (drawn(3, 5),)),
        "log softmax": (nn.LogSoftmax(-1), (drawn(3, 5),)),
        "attention": (
            Fn(f.scaled_dot_product_attention), tuple(drawn(2, 2, 5, 4, seed=s) for s in range(3))
        ),
        "attention, causal": (
            Fn(lambda q, k, v: f.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3)),
            tuple(drawn(1, 2, 5, 4, seed=s) for s in range(3)),
        ),
        "mm": (Fn(torch.mm), (drawn(3, 4), drawn(4, 2, seed=1))),
        "bmm": (Fn(torch.bmm), (drawn(2, 3, 4), drawn(2, 4, 2, seed=1))),
        "mv": (Fn(torch.mv), (drawn(3, 4), drawn(4, seed=1))),
        "dot": (Fn(torch.dot), (drawn(4), drawn(4, seed=1))),
        "addmm": (Fn(lambda a, b, c: torch.addmm(c, a, b, beta=0.5, alpha=2)),
                  (drawn(3, 4), drawn(4, 2, seed=1), drawn(2, seed=2))),
        "baddbmm": (Fn(lambda a, b, c: torch.baddbmm(c, a, b)),
                    (drawn(2, 3, 4), drawn(2, 4, 2, seed=1), drawn(2, 3, 2, seed=2))),
        "sum": (Fn(lambda x: x.sum((0, 2))), (drawn(2, 3, 4),)),
        "sum, kept": (Fn(lambda x: x.sum(1, keepdim=True)), (drawn(2, 3, 4),)),
        "sum of all": (Fn(torch.sum), (drawn(2, 3),)),
        "mean": (Fn(lambda x: x.mean(-1)), (drawn(2, 3, 4),)),
        "amax": (Fn(lambda x: x.amax((1, 2))), (drawn(2, 3, 4),)),
        "amin": (Fn(lambda x: x.amin(1)), (drawn(2, 3, 4),)),
        "max over an axis": (Fn(lambda x: x.max(1).values), (drawn(2, 3, 4),)),
        "max of all": (Fn(lambda x: x.max()), (drawn(2, 3, 4),)),
        "min over an axis": (Fn(lambda x: x.min(0, keepdim=True).values), (drawn(2, 3, 4),)),
        "var": (Fn(lambda x: x.var(1)), (drawn(2, 5),)),
        "std": (Fn(lambda x: x.std(correction=0)), (drawn(2, 5),)),
        "norm": (Fn(lambda x: x.norm(dim=1)), (drawn(2, 5),)),
        "cumsum": (Fn(lambda x: x.cumsum(1)), (drawn(2, 5),)),
        "logsumexp": (Fn(lambda x: x.logsumexp(1)), (drawn(2, 5),)),
        "prod": (Fn(lambda x: x.prod(1)), (drawn(2, 5),)),
        "glu": (nn.GLU(1), (drawn(2, 6, 2),)),
        "median": (Fn(torch.median), (drawn(2, 5),)),
        "cdist": (Fn(torch.cdist), (drawn(2, 5), drawn(3, 5, seed=1))),
        "add, alpha": (Fn(lambda a, b: torch.add(a, b, alpha=3)), (drawn(2, 3), drawn(3, seed=1))),
        "sub": (Fn(torch.sub), (drawn(2, 3), drawn(2, 1, seed=1))),
        "rsub": (Fn(lambda a: 1 - a), (drawn(2, 3),)),
        "mul": (Fn(torch.mul), (drawn(2, 3), drawn(1, 3, seed=1))),
        "div": (Fn(torch.div), (drawn(2, 3), drawn(2, 3, seed=1))),
        "div, floored": (Fn(lambda a: torch.div(a, 0.3, rounding_mode="floor")), (drawn(2, 3),)),
        "pow": (Fn(lambda a: a.abs() ** 1.5), (drawn(2, 3),)),
        "maximum": (Fn(torch.maximum), (drawn(2, 3), drawn(2, 3, seed=1))),
        "clamp": (Fn(lambda a: a.clamp(-0.5, 0.5)), (drawn(2, 3),)),
        "clamp below": (Fn(lambda a: a.clamp(min=0.1)), (drawn(2, 3),)),
        "where": (Fn(lambda a, b: torch.where(a > 0, a, b)), (drawn(2, 3), drawn(2, 3, seed=1))),
        "masked fill": (Fn(lambda a: a.masked_fill(a > 0, -7.0)), (drawn(2, 3),)),
        "lerp": (Fn(lambda a, b: torch.lerp(a, b, 0.3)), (drawn(2, 3), drawn(2, 3, seed=1))),
        "addcmul": (Fn(lambda a, b: torch.addcmul(a, a, b, value=2)), (drawn(2, 3), drawn(2, 3, seed=1))),
        "addcdiv": (Fn(lambda a, b: torch.addcdiv(a, a, b)), (drawn(2, 3), drawn(2, 3, seed=1))),
        **{
            type(module).__name__ + module.extra_repr(): (module, (drawn(3, 5) * 3,))
            for module in (
                *(nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.LeakyReLU(0.2), nn.PReLU()),
                *(nn.ELU(0.7), nn.SELU(), nn.CELU(0.7), nn.GELU(), nn.GELU("tanh"), nn.SiLU()),
                *(nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Tanh(), nn.Softplus(2.0, 3.0)),
                *(nn.Mish(), nn.Hardtanh()),
                *(nn.LogSigmoid(), nn.Threshold(0.5, 9.0)),
            )
        },
        **{
            name: (Fn(getattr(torch, name)), (drawn(3, 5).abs() + 0.1,))
            for name in (
                *("exp", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "erf"),
                *("sin", "cos", "floor", "ceil", "neg", "abs", "sign", "square"),
            )
        },
    }  # fmt: skip


with seeded(0, "test"):  # modules draw when they are made
    ONE_OPERATION = _one_operation()


@pytest.mark.row(164)
@pytest.mark.parametrize("name", ONE_OPERATION)
def test_an_operation_is_what_torch_gives_in_float64(name: str) -> None:
    module, inputs = ONE_OPERATION[name]
    module = made(module).eval()
    seen = record(module, [t.clone() for t in inputs])
    with torch.no_grad():
        exact = module.double()(*(t.double() for t in inputs))
        module.float()
    op = next(op for op in reversed(seen.ops) if op.outputs[0].tensor.shape == exact.shape)
    for place in places(tuple(exact.shape), 2):
        shown = operation(seen, op, place)
        assert shown.agrees, str(shown)
        recalculate(json.dumps(shown.to_json()))
        # what went in is what the run had: one operation's inputs are the inputs themselves
        assert float(shown.result) == pytest.approx(exact[place].item(), rel=1e-9, abs=1e-11)


def _several() -> Cases:
    """Name -> module and inputs of which every operation is worked out."""
    return {
        "lstm, two layers both ways": (
            nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True), (drawn(2, 4, 3),)
        ),
        "lstm, time first": (nn.LSTM(3, 4), (drawn(4, 2, 3),)),
        "gru": (nn.GRU(3, 4, 2, bidirectional=True), (drawn(4, 2, 3),)),
        "rnn": (nn.RNN(3, 4, batch_first=True), (drawn(2, 4, 3),)),
        "rnn, relu, no bias": (nn.RNN(3, 4, nonlinearity="relu", bias=False), (drawn(4, 2, 3),)),
        "encoder layer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (drawn(2, 4, 8),)),
        "masks": (
            Fn(lambda q, m: f.scaled_dot_product_attention(q, q, q, m > 0)
               + f.scaled_dot_product_attention(q, q, q, m)),
            (drawn(2, 2, 4, 3), drawn(4, 4).abs()),
        ),
        "movement": (
            Fn(lambda x: [
                x.view(4, 6), x.permute(2, 0, 1), x.transpose(0, 1).contiguous(), x[:, 1:, ::2],
                x[..., None],
                torch.cat([x, x * 2], 1), torch.stack([x, x]), *x.chunk(2, 2), x.flip(1), x.roll(1, 2),
                x.expand(2, 2, 3, 4), x.unbind(1)[2], x.repeat(1, 2, 1), f.pad(x, (1, 2), value=3.0),
                f.pad(x, (1, 1), mode="reflect"), x[:, [2, 0]], x[x > 0], x.tril(), x.unfold(2, 2, 1),
                f.interpolate(x, scale_factor=2), f.pixel_shuffle(x.reshape(1, 4, 3, 2), 2),
                x.diagonal(0, 0, 1),
            ]),
            (drawn(2, 3, 4),),
        ),
        "written in place": (
            Fn(lambda x: [_written(x)]),
            (drawn(3, 4),),
        ),
        "by index": (
            Fn(lambda x, i: [
                x.index_select(1, i), x.gather(1, i.expand(3, 3)), x.index_add(1, i, x[:, :3]),
                x.index_copy(1, i, x[:, 1:]), x.scatter(1, i.expand(3, 3), 5.0),
                x.scatter_add(1, i.expand(3, 3), x), x.index_fill(1, i, 1.5), torch.nonzero(x > 0),
                x.argmax(1), *x.sort(1), *x.sort(0, descending=True), *x.topk(2, 1), *x.aminmax(),
                torch.linspace(0.0, 1.0, 4), torch.eye(3),
                x.argmin(), *x.max(1), *x.min(0), x.take_along_dim(i.expand(3, 3), 1),
                f.embedding(i, x), f.embedding_bag(i, x, torch.tensor([0, 2]), mode="mean"),
                torch.index_put(x, (i, i), torch.ones(3)),
            ]),
            (drawn(3, 4), torch.tensor([2, 0, 1])),
        ),
        "comparisons and types": (
            Fn(lambda x: [
                x > 0, (x > 0) & (x < 1), (x > 0) | (x < -1), ~(x > 0), (x > 0) ^ (x < 1), (x > 0).any(1),
                (x > 0).all(), (x * 10).int(), (x > 0).float(), x.half(), x.isnan(), x.nan_to_num(),
                x == x,
                torch.logical_and(x, x > 0), torch.logical_or(x > 1, x < 0), x.bool(),
                torch.zeros_like(x),
                torch.full((2,), 7.0), torch.arange(2, 8, 3), x.new_ones(2), torch.remainder(x, 0.3),
                torch.fill(x, 3),
            ]),
            (drawn(3, 4),),
        ),
        "normalised by their size": (nn.RMSNorm(6), (drawn(2, 3, 6),)),
        "instance norm": (nn.InstanceNorm2d(3), (drawn(2, 3, 4, 4),)),
        "bilinear form": (nn.Bilinear(3, 4, 2, bias=False), (drawn(2, 3), drawn(2, 4, seed=1))),
        "cross-entropy": (
            Fn(lambda x: f.cross_entropy(x, torch.tensor([0, 4, -100]))), (drawn(3, 5),)
        ),
        "packed": (Packed(), (torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([3, 2]))),
        "conv1d": (nn.Conv1d(2, 3, 3, padding=1), (drawn(2, 2, 6),)),
        "max pool 1d": (nn.MaxPool1d(2), (drawn(2, 2, 6),)),
        "mean pool 1d": (nn.AvgPool1d(2), (drawn(2, 2, 6),)),
    }  # fmt: skip


with seeded(0, "test"):
    SEVERAL = _several()


def _written(x: Tensor) -> Tensor:
    y = x.clone()
    part = y[:, 1:3]
    part.mul_(2.0)  # y holds something else now, though nothing was done to it
    y.add_(1.5)  # and so does the part
    y[0] = 7.0
    return y + part.sum()


@pytest.mark.row(164)
@pytest.mark.parametrize("name", SEVERAL)
def test_every_operation_of_a_pass_is_shown_and_agrees(name: str) -> None:
    module, inputs = SEVERAL[name]
    seen = record(made(module), inputs)
    found = every_operation(seen)
    assert found.calculations >= len(seen.ops)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_recurrent_layer_of_another_form_is_shown_by_its_steps() -> None:
    seen = record(made(nn.LSTM(3, 4, proj_size=2, batch_first=True)), [drawn(2, 3, 3)])
    assert "lstm" not in {op.name for op in seen.ops}
    assert every_operation(seen).calculations > 60


def test_in_training_dropout_is_its_mask_and_batchnorm_the_batch() -> None:
    module = made(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)))
    seen = record(module, [drawn(5, 4)], training=True)
    assert every_operation(seen, count=6).calculations > 20
    norm = next(op for op in seen.ops if op.name == "native_batch_norm")
    shown = operation(seen, norm, (2, 3))
    before = norm.args["input"].tensor.double()[:, 3]
    assert shown.term("x").value.shape == (5,)
    assert float(shown.steps[0].value) == pytest.approx(before.mean().item(), abs=1e-12)
    drop = next(op for op in seen.ops if op.name == "mul" and op.path == "2")
    masks = {
        float(operation(seen, drop, (i, j)).term("b").value) for i in range(5) for j in range(6)
    }
    assert masks == {0.0, 2.0}  # what stays counts 1 / (1 - p)


def test_lower_precision_has_a_tolerance_of_its_own() -> None:
    module = made(nn.Linear(64, 8)).to(torch.bfloat16)
    seen = record(module, [drawn(2, 64).to(torch.bfloat16)])
    product = next(op for op in seen.ops if op.name == "addmm")
    shown = operation(seen, product, (1, 3))
    assert 1e-3 < shown.tolerance < 1.0
    assert shown.agrees
    assert every_operation(seen).calculations > 3


def test_a_changed_number_does_not_agree() -> None:
    """The tolerance is so narrow that a weight which is off by a thousandth is found out."""
    seen = record(made(nn.Conv2d(8, 4, 3, padding=1)), [drawn(1, 8, 6, 6)])
    shown = operation(seen, seen.ops[-1], (0, 2, 3, 3))
    weights = shown.term("w")
    for place in np.ndindex(weights.value.shape):
        off = weights.value.copy()
        off[place] += 1e-3
        assert not again(shown, w=off).agrees
    assert again(shown, w=weights.value).agrees


def again(shown: Calculation, **values: np.ndarray) -> Calculation:
    terms = [
        dataclasses.replace(t, value=values[t.name]) if t.name in values else t for t in shown.terms
    ]
    lines = [(s.name, s.expression, s.meaning) for s in shown.steps]
    return work(
        shown.title,
        shown.formula,
        terms,
        lines,
        own=shown.own,
        tolerance=shown.tolerance,
        source="",
    )


@pytest.mark.parametrize("terms", [100, 4608])
def test_the_bound_of_a_sum_holds_and_is_not_far_away(terms: int) -> None:
    """Sums one after the other in float32, as the worst library would make them."""
    unit = 2.0**-24
    draw = np.random.default_rng(0)
    offs, bounds = [], []
    for kind in range(40):
        products = draw.normal(size=terms) + (kind % 2)
        exact = np.float32(products).astype(np.float64)
        summed = np.add.accumulate(np.float32(products), dtype=np.float32)[-1]
        offs.append(abs(float(summed) - exact.sum()))
        bounds.append(of_sum(exact, unit))
    assert all(off <= bound for off, bound in zip(offs, bounds, strict=True))
    assert max(off / bound for off, bound in zip(offs, bounds, strict=True)) > 0.05


def test_the_positions_of_a_transposed_convolution_are_those_that_reach_it() -> None:
    module = made(nn.ConvTranspose2d(1, 1, 2, stride=2, bias=False))
    seen = record(module, [torch.arange(4.0).reshape(1, 1, 2, 2)])
    shown = operation(seen, seen.ops[-1], (0, 0, 3, 2))
    assert shown.term("x").value.tolist() == [3.0]
    weight = next(module.parameters())
    assert shown.term("w").value.tolist() == [weight[0, 0, 1, 0].item()]


def test_the_table_knows_what_the_families_know() -> None:
    assert len(HANDLERS) > 150
    assert all(callable(handler) for handler in HANDLERS.values())
