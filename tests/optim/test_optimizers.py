"""Optimizers by name: torch as oracle, the numbers of the book, and one contract for all of them.

The ones that torch does not have are held to their twins in tests/reference/test_optimizers.py.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import math
import pickle  # only to see that a thing is plain data; nothing is stored with it
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import nn

from drivetrain.errors import ConfigError, UnknownNameError
from drivetrain.optim import OPTIMIZERS, Composed, adamw as default_adamw, optimizer, param_groups
from drivetrain.optim.steppers import newton_schulz

SHAPES = [(5, 4), (4,), (3, 2, 2, 2), (), (0, 3)]
ALL = pytest.mark.parametrize("name", sorted(OPTIMIZERS))


def weights(dtype: torch.dtype = torch.float32, shapes=SHAPES) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        for shape in shapes
    ]


def set_gradients(params, number: int) -> None:
    generator = torch.Generator().manual_seed(1000 + number)
    scale = 10.0 ** ((number % 5) - 3)  # from 1e-3 to 10, so that eps and the means matter
    for param in params:
        noise = torch.randn(param.shape, generator=generator, dtype=torch.float64)
        param.grad = (scale * noise).to(param.dtype)


def run(made, params, numbers) -> None:
    for number in numbers:
        set_gradients(params, number)
        made.step()


def is_same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# --- torch as oracle ------------------------------------------------------------------------------

TORCHS = {
    "sgd": (torch.optim.SGD, "sgd", {}, {}),
    "sgd, penalty": (torch.optim.SGD, "sgd", {"weight_decay": 0.1}, {}),
    "momentum": (torch.optim.SGD, "momentum", {"momentum": 0.9, "weight_decay": 0.1}, {}),
    "dampened": (torch.optim.SGD, "momentum", {"momentum": 0.9, "dampening": 0.3}, {}),
    "nesterov": (
        *(torch.optim.SGD, "nesterov"),
        *({"momentum": 0.8, "weight_decay": 0.1}, {"nesterov": True}),
    ),
    "rmsprop": (torch.optim.RMSprop, "rmsprop", {"weight_decay": 0.1}, {}),
    "rmsprop, momentum": (torch.optim.RMSprop, "rmsprop", {"alpha": 0.9, "momentum": 0.7}, {}),
    "centered": (torch.optim.RMSprop, "centered_rmsprop", {"alpha": 0.9}, {"centered": True}),
    "adam": (torch.optim.Adam, "adam", {}, {}),
    "adam, penalty": (torch.optim.Adam, "adam", {"weight_decay": 0.1, "betas": (0.8, 0.9)}, {}),
    "adamw": (torch.optim.AdamW, "adamw", {"weight_decay": 0.2}, {}),
    "radam": (torch.optim.RAdam, "radam", {"weight_decay": 0.1}, {}),
}


def both_after(case: str, dtype: torch.dtype, steps: int):
    theirs, name, options, more = TORCHS[case]
    ours, others = weights(dtype), weights(dtype)
    made = optimizer(name, lr=0.01, **options)(ours)
    torchs = theirs(others, lr=0.01, foreach=True, **options, **more)
    run(made, ours, range(steps))
    run(torchs, others, range(steps))
    return ours, others


@pytest.mark.parametrize("case", TORCHS)
def test_hundred_steps_equal_torchs_in_float64(case):
    ours, others = both_after(case, torch.float64, 100)
    torch.testing.assert_close(ours, others, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", sorted(TORCHS.keys() - {"radam"}))
def test_hundred_steps_equal_torchs_to_the_bit_in_float32(case):
    ours, others = both_after(case, torch.float32, 100)
    assert is_same(ours, others)
    assert not torch.equal(ours[0], weights()[0])


def test_hundred_steps_of_radam_equal_torchs_in_float32():
    """Torch takes a reciprocal first, which rounds otherwise."""
    ours, others = both_after("radam", torch.float32, 100)
    torch.testing.assert_close(ours, others, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_muons_matrices_equal_torchs(dtype, adjust):
    shapes = [(6, 4), (4, 6), (5, 5)]
    ours, others = weights(dtype, shapes), weights(dtype, shapes)
    options = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "adjust_lr_fn": adjust}
    run(optimizer("muon", **options)(ours), ours, range(100))
    run(torch.optim.Muon(others, **options), others, range(100))
    torch.testing.assert_close(
        ours, others, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=1e-14
    )


def test_muons_other_parameters_equal_torchs_adamw():
    """Vectors by their shape, the last layer group as the head, a marked group by its mark."""
    torch_params, ours = weights(), weights()
    vectors = {"params": [ours[1], ours[3]], "layer_group": 0}
    head = {"params": [ours[0]], "layer_group": 1}
    marked = {"params": [ours[2]], "layer_group": 0, "orthogonalize": False}
    settings = {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}
    made = optimizer("muon", **settings)([vectors, head, marked])
    run(made, ours[:4], range(10))
    run(torch.optim.AdamW(torch_params, foreach=True, **settings), torch_params[:4], range(10))
    assert is_same(ours[:4], torch_params[:4])


def test_muon_takes_the_groups_of_a_model():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    groups = param_groups([[model[0]], [model[1]]], lrs=[0.1, 0.2], weight_decay=0.05, model=model)
    made = optimizer("muon")(groups)
    assert [g.get("orthogonalize") for g in made.param_groups] == [None, None, False, False]
    run(made, list(model.parameters()), [0])
    keeps = [sorted(made.state[param]) for param in model.parameters()]
    adams = ["exp_avg", "exp_avg_sq", "step"]
    assert keeps == [["momentum_buffer"], adams, adams, adams]


def test_fastais_adam_is_the_learners_default():
    ours, defaults = weights(), weights()
    run(optimizer("fastai_adam", lr=0.01)(ours), ours, range(100))
    run(default_adamw(defaults, lr=0.01), defaults, range(100))
    torch.testing.assert_close(ours, defaults, rtol=1e-6, atol=1e-6)


def test_defaults_are_those_of_torch():
    pairs = {
        *(("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("radam", torch.optim.RAdam)),
        *(("rmsprop", torch.optim.RMSprop), ("sgd", torch.optim.SGD)),
    }
    for name, theirs in pairs:
        expected = theirs(weights()).defaults
        found = {key: p.default for key, p in list(signature(name).items())[1:]}
        assert found == {key: expected[key] for key in found}, name


def signature(name: str):
    return inspect.signature(OPTIMIZERS[name]).parameters


# --- numbers of the book --------------------------------------------------------------------------


def parabola(made_by, start: float, steps: int) -> list[float]:
    """Where w² is taken from `start`, step by step."""
    w = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    made = made_by([w])
    path = []
    for _ in range(steps):
        made.zero_grad()
        w.square().backward()
        made.step()
        path.append(w.item())
    return path


@pytest.mark.row(33)
def test_steps_down_a_parabola_and_out_of_it():
    assert parabola(optimizer("sgd", lr=0.1), 3.0, 3) == pytest.approx(
        [2.4, 1.92, 1.536], rel=1e-12
    )
    away = parabola(optimizer("sgd", lr=1.01), 3.0, 200)
    assert away[:2] == pytest.approx([-3.06, 3.1212], rel=1e-12)
    assert abs(away[-1]) == pytest.approx(3 * 1.02**200, rel=1e-9)
    assert all(abs(b) > abs(a) for a, b in pairwise(away))


@pytest.mark.row(149)
@pytest.mark.parametrize(
    ("name", "buffer"), [("momentum", [4, 7.6, 10.84]), ("averaged_momentum", [0.4, 0.76, 1.084])]
)
def test_momentum_of_three_gradients_of_four_in_both_forms(name, buffer):
    w = nn.Parameter(torch.zeros((), dtype=torch.float64))
    made = optimizer(name, lr=0.1, momentum=0.9)([w])
    found, path = [], []
    for _ in range(3):
        w.grad = torch.tensor(4.0, dtype=torch.float64)
        made.step()
        found.append(made.state[w]["momentum_buffer"].item())
        path.append(w.item())
    assert found == pytest.approx(buffer, rel=1e-12)
    assert path == pytest.approx([-0.1 * sum(buffer[: i + 1]) for i in range(3)], rel=1e-12)


@pytest.mark.row(150)
@pytest.mark.parametrize("gradient", [0.01, 4.0, -300.0])
def test_first_step_of_rmsprop_is_ten_rates(gradient):
    """lr · g / √(.01 g²): 1.0 at a rate of .1, whatever the gradient."""
    w = nn.Parameter(torch.zeros((), dtype=torch.float64))
    w.grad = torch.tensor(gradient, dtype=torch.float64)
    optimizer("rmsprop", lr=0.1)([w]).step()
    assert w.item() == pytest.approx(-math.copysign(1.0, gradient), rel=1e-4)


@pytest.mark.row(151)
def test_first_step_of_adam_is_one_rate():
    assert parabola(optimizer("adam", lr=0.1), 5.0, 1) == pytest.approx([4.9], rel=1e-9)
    for gradient in (1e-3, 1e3):
        w = nn.Parameter(torch.tensor(5.0, dtype=torch.float64))
        w.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer("adam", lr=0.1)([w]).step()
        assert w.item() == pytest.approx(4.9, rel=1e-5)


@pytest.mark.row(151)
def test_fastais_defaults_differ_from_torchs():
    fastai = optimizer("fastai_adam")(weights()).defaults
    torchs = optimizer("adamw")(weights()).defaults
    assert (fastai["betas"], fastai["eps"], fastai["weight_decay"]) == ((0.9, 0.99), 1e-5, 0.01)
    assert (torchs["betas"], torchs["eps"], torchs["weight_decay"]) == ((0.9, 0.999), 1e-8, 0.01)


def test_eps_stands_outside_of_the_root():
    """g = 1e-5 with eps 1e-5: half a rate. Inside the root it would be nearly none of it."""
    w = nn.Parameter(torch.zeros((), dtype=torch.float64))
    w.grad = torch.tensor(1e-5, dtype=torch.float64)
    optimizer("fastai_adam", lr=0.1)([w]).step()
    assert w.item() == pytest.approx(-0.05, rel=1e-9)


def test_lamb_moves_a_tensor_by_a_share_of_its_norm():
    w = nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    w.grad = torch.tensor([1e-4, -20.0], dtype=torch.float64)
    before = w.detach().clone()
    optimizer("lamb", lr=0.01)([w]).step()
    assert (w.detach() - before).norm().item() == pytest.approx(0.01 * 5.0, rel=1e-9)


def test_lookahead_goes_half_way_back_every_fifth_step():
    """SGD goes by 0.1 a step on a slope of 1: after five at -0.5, and back to -0.25."""
    w = nn.Parameter(torch.zeros((), dtype=torch.float64))
    made = optimizer("lookahead", inner="sgd", lr=0.1)([w])
    path = []
    for _ in range(10):
        w.grad = torch.ones((), dtype=torch.float64)
        made.step()
        path.append(w.item())
    expected = [-0.1, -0.2, -0.3, -0.4, -0.25, -0.35, -0.45, -0.55, -0.65, -0.5]
    assert path == pytest.approx(expected, rel=1e-9)


def test_schedule_free_averages_the_steps():
    """On a slope of 1 with rate 1: z is -1, -2, -3, so x is -1, -1.5, -2 and y between them."""
    w = nn.Parameter(torch.zeros((), dtype=torch.float64))
    made = optimizer("schedule_free_sgd", lr=1.0, momentum=0.9)([w])
    found = []
    for _ in range(3):
        w.grad = torch.ones((), dtype=torch.float64)
        made.step()
        y = w.item()
        made.eval()
        found.append((y, w.item()))
        made.train()
    expected = [(-1.0, -1.0), (-1.55, -1.5), (-2.1, -2.0)]
    assert [number for pair in found for number in pair] == pytest.approx(
        [number for pair in expected for number in pair], rel=1e-12
    )


def test_schedule_free_at_a_rate_of_zero_stays_finite():
    params = weights()
    run(optimizer("schedule_free_adamw", lr=0.0)(params), params, range(2))
    torch.testing.assert_close(params, weights())


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 5), (5, 5)])
def test_newton_schulz_brings_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    U, _, Vh = torch.linalg.svd(matrix, full_matrices=False)
    result = newton_schulz(matrix)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6
    assert values.max() < 1.3
    # Its directions are those of the matrix: between them only the diagonal is left.
    inside = U.T @ result @ Vh.T
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), rtol=0, atol=1e-12)


def test_newton_schulz_of_zeros_is_zeros():
    assert torch.equal(newton_schulz(torch.zeros(3, 2)), torch.zeros(3, 2))


# --- contract over all ----------------------------------------------------------------------------


@ALL
def test_builds_steps_and_keeps_dtype(name):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        params = weights(dtype)
        made = optimizer(name, lr=0.05)(params)
        assert isinstance(made, torch.optim.Optimizer)
        run(made, params, range(6))
        for param, before in zip(params, weights(dtype), strict=True):
            assert param.dtype == dtype
            assert param.isfinite().all()
            # LARS moves by a thousandth of a twentieth of the norm: less than bfloat16 can tell.
            if param.numel() and not (name == "lars" and dtype == torch.bfloat16):
                assert not torch.equal(param, before)


@ALL
def test_state_is_tensors_and_comes_back_to_the_bit(name):
    params = weights()
    made = optimizer(name)(params)
    run(made, params, range(7))
    stored = copy.deepcopy(made.state_dict())
    assert all(
        isinstance(value, torch.Tensor)
        for entry in stored["state"].values()
        for value in entry.values()
    )
    others = [nn.Parameter(param.detach().clone()) for param in params]
    again = optimizer(name)(others)
    again.load_state_dict(stored)
    run(made, params, range(7, 15))
    run(again, others, range(7, 15))
    assert is_same(params, others)
    for key, entry in made.state_dict()["state"].items():
        for entry_name, value in entry.items():
            assert torch.equal(value, again.state_dict()["state"][key][entry_name])


@ALL
def test_comes_back_to_the_bit_in_bfloat16(name):
    params = weights(torch.bfloat16)
    made = optimizer(name)(params)
    run(made, params, range(3))
    others = [nn.Parameter(param.detach().clone()) for param in params]
    again = optimizer(name)(others)
    again.load_state_dict(made.state_dict())
    run(made, params, range(3, 8))
    run(again, others, range(3, 8))
    assert is_same(params, others)


@ALL
def test_rate_of_zero_moves_nothing_and_a_schedule_can_move_all(name):
    params = weights()
    made = optimizer(name, lr=0.0)(params)
    run(made, params, range(3))
    torch.testing.assert_close(params, weights(), rtol=1e-6, atol=0)
    group = made.param_groups[0]
    group["lr"] = 0.1
    if "betas" in group:
        group["betas"] = (0.8, group["betas"][1])
    if "momentum" in group:
        group["momentum"] = 0.8
    run(made, params, range(3, 6))
    assert not torch.equal(params[0], weights()[0])


@ALL
def test_takes_the_groups_of_param_groups(name):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    layers = [[model[0]], [model[1], model[2]]]
    made = optimizer(name)(param_groups(layers, lrs=[0.1, 0.2], weight_decay=0.05, model=model))
    found = [(g["name"], g["lr"], g["weight_decay"]) for g in made.param_groups]
    assert found == [
        *(("0 decay", 0.1, 0.05), ("0 no decay", 0.1, 0.0)),
        *(("1 decay", 0.2, 0.05), ("1 no decay", 0.2, 0.0)),
    ]
    run(made, list(model.parameters()), range(2))
    assert "group 3 '1 no decay': 3 tensors, 10 parameters" in repr(made)


RATES = {
    "averaged_momentum": 0.3,
    "lars": 5.0,
    "lookahead": 0.1,
    "momentum": 0.05,
    "muon": 0.5,
    "nesterov": 0.05,
    "radam": 0.2,
    "schedule_free_adamw": 0.3,
    "schedule_free_sgd": 0.8,
    "sgd": 0.3,
}


@ALL
def test_finds_the_bottom_of_a_bowl(name):
    """A bowl ten times as steep one way as the other, with its bottom away from 0."""
    bottom = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    steepness = torch.tensor([[1.0, 0.1], [0.3, 1.0]])
    w = nn.Parameter(torch.tensor([[4.0, 1.0], [-2.0, 1.0]]))
    made = optimizer(name, lr=RATES.get(name, 0.05), weight_decay=0.0)([w])
    steps = 300
    for number in range(steps):
        for group in made.param_groups:
            if not name.startswith("schedule_free"):
                group["lr"] = RATES.get(name, 0.05) * (1 - number / steps)
        made.zero_grad()
        (steepness * (w - bottom).square()).sum().backward()
        made.step()
    made.eval()
    assert (w.detach() - bottom).abs().max() < 0.05


@ALL
def test_prints_its_steps_and_settings(name):
    made = optimizer(name)(weights())
    lines = repr(made).splitlines()
    assert len(lines) == 2
    assert lines[0] == f"{made.chain.name}: {made.chain}"
    assert lines[1].startswith("  group 0: 5 tensors, 49 parameters, ")
    for key, value in made.defaults.items():
        assert key == "differentiable" or f"{key}={value!r}" in lines[1]


@ALL
@pytest.mark.row(148)
def test_is_a_name_and_options_that_can_be_written_down(name):
    """A partial of an importable function: no lambda, so it is stored as JSON or pickled."""
    made_by = optimizer(name, lr=0.03)
    assert (made_by.args, made_by.keywords) == ((), {"lr": 0.03})
    module = importlib.import_module(made_by.func.__module__)
    assert getattr(module, made_by.func.__qualname__) is OPTIMIZERS[name] is made_by.func
    record = json.loads(json.dumps({"name": name, **made_by.keywords}))
    for again in (optimizer(**record), pickle.loads(pickle.dumps(made_by))):  # noqa: S301 - bytes of our own
        ours, others = weights(), weights()
        run(made_by(ours), ours, range(2))
        run(again(others), others, range(2))
        assert is_same(ours, others)


@ALL
def test_pickles_in_the_middle_of_training(name):
    params = weights()
    made = optimizer(name)(params)
    run(made, params, range(3))
    again: Composed = pickle.loads(pickle.dumps(made))  # noqa: S301 - bytes of our own
    others = again.param_groups[0]["params"]
    assert again.chain == made.chain
    run(made, params, range(3, 6))
    run(again, others, range(3, 6))
    assert is_same(params, others)


@ALL
def test_has_a_rate_and_a_decay_and_options_by_name_only(name):
    parameters = list(signature(name).values())
    assert [p.name for p in parameters[:2]] == ["params", "lr"]
    assert all(
        p.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
        for p in parameters[2:]
    )
    assert "weight_decay" in optimizer(name)(weights()).defaults
    assert OPTIMIZERS[name].__name__ == name


# --- lookahead over others, and refusals ----------------------------------------------------------


@pytest.mark.parametrize("inner", sorted(OPTIMIZERS.keys() - {"lookahead"}))
def test_lookahead_over_any_other(inner):
    ours, plain = weights(), weights()
    if inner.startswith("schedule_free"):
        with pytest.raises(ConfigError) as caught:
            optimizer("lookahead", inner=inner)(ours)
        assert str(caught.value) == (
            f"`lookahead` over `{inner}` would average weights twice. Use one of the two, or another "
            "`inner`."
        )
        return
    over = optimizer("lookahead", inner=inner, lr=0.01, sync_period=4)(ours)
    run(over, ours, range(3))
    run(optimizer(inner, lr=0.01)(plain), plain, range(3))
    assert is_same(ours, plain)
    run(over, ours, [3])
    assert torch.equal(over.state[ours[0]]["slow"], ours[0])


def test_lookahead_over_itself_is_refused():
    with pytest.raises(
        ConfigError, match="`lookahead` over `lookahead` would average weights twice"
    ):
        optimizer("lookahead", inner="lookahead")(weights())


def test_lookahead_hands_options_to_its_inner_optimizer():
    made = optimizer("lookahead", inner="adam", betas=(0.7, 0.8), slow_step_size=0.3)(weights())
    group = made.param_groups[0]
    assert (group["betas"], group["slow_step_size"], group["sync_period"]) == ((0.7, 0.8), 0.3, 5)


@pytest.mark.parametrize(
    ("error", "name", "options", "message"),
    [
        (
            *(UnknownNameError, "adan", {}),
            "Unknown optimizer 'adan'. Did you mean 'adam'? Known: adam, adamw, averaged_momentum, "
            "centered_rmsprop, fastai_adam, lamb, lars, lookahead, momentum, muon, nesterov, radam, "
            "rmsprop, schedule_free_adamw, schedule_free_sgd, sgd.",
        ),
        (
            *(ConfigError, "adam", {"beta": (0.9, 0.99)}),
            "Optimizer 'adam' has no option 'beta'. Did you mean 'betas'? "
            "Options: lr, betas, eps, weight_decay.",
        ),
        (
            *(ConfigError, "sgd", {"params": []}),
            "Optimizer 'sgd' has no option 'params'. Options: lr, weight_decay.",
        ),
        (
            *(ConfigError, "momentum", {"lr": float("inf"), "momentum": 1.5}),
            "In optimizer 'momentum': `lr` is inf, expected a finite number from 0 up; "
            "`momentum` is 1.5, expected from 0 to below 1.",
        ),
        (
            *(ConfigError, "lookahead", {"inner": "sgd", "betas": (0.9, 0.9)}),
            "Optimizer 'lookahead' has no option 'betas'. "
            "Options: lr, inner, sync_period, slow_step_size, weight_decay.",
        ),
        (
            *(ConfigError, "lookahead", {"sync_period": 0, "slow_step_size": 1.5}),
            "In optimizer 'lookahead': `sync_period` is 0, expected a whole number from 1 up; "
            "`slow_step_size` is 1.5, expected from 0 to 1.",
        ),
    ],
)
def test_wrong_option_is_refused_before_there_are_parameters(error, name, options, message):
    with pytest.raises(error) as caught:
        optimizer(name, **options)
    assert str(caught.value) == message


def test_unknown_rate_for_the_shape_is_answered():
    with pytest.raises(ConfigError) as caught:
        optimizer("muon", adjust_lr_fn="spectral")
    assert str(caught.value) == (
        "In optimizer 'muon': `adjust_lr_fn` is 'spectral', expected 'original' or 'match_rms_adamw'."
    )


def test_unknown_dtype_of_muons_products_is_answered():
    with pytest.raises(ConfigError) as caught:
        optimizer("muon", ns_dtype="float8")
    assert str(caught.value) == (
        "In optimizer 'muon': `ns_dtype` is 'float8', expected 'bfloat16', 'float32' or 'float64'."
    )


@pytest.mark.row(125)
def test_weight_decay_in_numbers() -> None:
    # a = 5, rate 0.1, decay 0.01, gradient 4: half a square's gradient has no factor of two
    def step(make: Callable[..., torch.optim.Optimizer], decay: float) -> float:
        a = torch.nn.Parameter(torch.tensor(5.0, dtype=torch.float64))
        a.grad = torch.tensor(4.0, dtype=torch.float64)
        make([{"params": [a], "weight_decay": decay}], lr=0.1).step()
        return a.item()

    for make in (torch.optim.SGD, OPTIMIZERS["sgd"]):
        assert step(make, 0.0) == pytest.approx(4.6)
        assert step(make, 0.01) == pytest.approx(4.595)  # 5 - 0.1 (4 + 0.01 · 5)
        assert step(make, 0.02) == pytest.approx(4.59)  # what the notes print, with their 2 · 0.01
