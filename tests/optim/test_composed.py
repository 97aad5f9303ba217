"""Composed: groups, state, storing, what is refused, and that a step sees tensors and numbers only."""

from __future__ import annotations

import copy
import inspect
import json

import pytest
import torch
from torch import nn

from drivetrain.errors import ConfigError, InputError
from drivetrain.optim import Composed
from drivetrain.optim.composed import CACHED
from drivetrain.optim.optimizers import ADAM, ADAMW, MOMENTUM, MUON, SGD, optimizer
from drivetrain.optim.steppers import (
    STEPPERS,
    Stepper,
    Update,
    adam_direction,
    average_square,
    averaged_momentum,
    chain,
    l2_decay,
    momentum,
    rms,
    step,
    stepper,
)
from drivetrain.train import saving


def weights(dtype: torch.dtype = torch.float32, seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 3), (3,), (2, 2, 3), ()]
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        for shape in shapes
    ]


def set_gradients(params, number: int) -> None:
    generator = torch.Generator().manual_seed(1000 + number)
    for param in params:
        noise = torch.randn(param.shape, generator=generator, dtype=torch.float64)
        param.grad = noise.to(param.dtype).to(param.device)


def run(optimizer, params, numbers) -> None:
    for number in numbers:
        set_gradients(params, number)
        optimizer.step()


def is_same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# --- steppers -------------------------------------------------------------------------------------


@pytest.mark.row(154)
def test_swapping_one_step_turns_sgd_into_adam():
    swapped = MOMENTUM.swap("momentum", adam_direction, name="adam")
    assert swapped == ADAM
    ours, torchs = weights(), weights()
    run(Composed(ours, swapped, lr=0.1), ours, range(5))
    run(torch.optim.Adam(torchs, lr=0.1, foreach=True), torchs, range(5))
    assert is_same(ours, torchs)
    before = weights()
    run(Composed(before, MOMENTUM, lr=0.1), before, range(5))
    run(torch.optim.SGD(sgds := weights(), lr=0.1, momentum=0.9, foreach=True), sgds, range(5))
    assert is_same(before, sgds)


@pytest.mark.row(154)
def test_a_step_is_handed_tensors_and_numbers_and_nothing_else():
    seen: list[Update] = []

    @stepper(settings={"strength": 2.0})
    def look(update: Update) -> None:
        seen.append(update)

    params = weights()
    run(Composed(params, chain("mine", look, step), lr=0.1), params, [0])
    (update,) = seen
    assert set(update.group) == {"params", "lr", "strength"}
    fields = {name: getattr(update, name) for name in Update.__slots__}
    assert set(fields) == {
        *("params", "grads", "state", "group", "steps", "direction", "roots", "divisors"),
        *("is_own", "direction_kept", "root_kept"),
    }
    assert all(update.params[i] is params[i] for i in range(len(params)))
    assert list(inspect.signature(look.function).parameters) == ["update"]


def test_a_step_of_ones_own_takes_its_place_and_its_setting():
    @stepper(settings={"largest": 0.5})
    def clip(update: Update) -> None:
        """Gradients cut to a largest size."""
        size = update.group["largest"]
        direction = update.owned()
        torch._foreach_clamp_max_(direction, size)
        torch._foreach_clamp_min_(direction, -size)

    weight = nn.Parameter(torch.tensor([1.0, 1.0]))
    weight.grad = torch.tensor([3.0, -0.2])
    Composed([weight], chain("clipped", clip, step), lr=1.0, largest=0.4).step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.6, 1.2]))
    assert weight.grad.tolist() == pytest.approx([3.0, -0.2])
    assert clip.__doc__ == "Gradients cut to a largest size."


def test_every_stepper_says_what_it_does_and_declares_what_it_uses():
    for name, one in STEPPERS.items():
        assert (one.name, repr(one)) == (name, name)
        assert isinstance(one, Stepper)
        assert one.__doc__ and one.__doc__ != Stepper.__doc__
        assert copy.deepcopy(one) is one
        param = torch.ones(2, 3)
        shapes = {start(param).shape for start in one.state.values()}
        assert shapes <= {torch.Size([2, 3]), torch.Size([])}


@pytest.mark.parametrize("name", sorted(STEPPERS))
def test_no_stepper_writes_into_the_gradients(name):
    """They belong to whoever called backward, and may be looked at after the step."""
    used = chain("one", STEPPERS[name], *(() if name in ("step", "weight_decay") else (step,)))
    params = weights()[:1]
    optimizer = Composed(params, used)
    for settings in ({}, {"weight_decay": 0.1}):
        optimizer.param_groups[0].update(settings)
        set_gradients(params, 3)
        before = params[0].grad.clone()
        optimizer.step()
        assert torch.equal(params[0].grad, before)


def test_fraction_is_worked_out_where_a_step_needs_it():
    """d = g / √(.01 g²) = ±10, and two tenths of it remembered by a mean that keeps .8."""
    weight = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    weight.grad = torch.tensor([3.0, -0.2], dtype=torch.float64)
    Composed([weight], chain("c", rms, averaged_momentum, step), lr=0.1, momentum=0.8).step()
    torch.testing.assert_close(
        weight.detach(), torch.tensor([0.8, 1.2], dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_penalty_after_the_division_stands_beside_it():
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    weight.grad = torch.tensor([-5.0], dtype=torch.float64)
    optimizer = Composed([weight], chain("c", rms, l2_decay, step), lr=0.1, weight_decay=0.5)
    optimizer.step()
    assert weight.item() == pytest.approx(2 - 0.1 * (-10 + 0.5 * 2), rel=1e-12)


def test_two_steps_that_remember_under_one_name_are_refused():
    with pytest.raises(ConfigError) as caught:
        chain("twice", momentum, averaged_momentum, step)
    assert str(caught.value) == (
        "`momentum` and `averaged_momentum` of the chain `twice` would both remember "
        "`momentum_buffer`. Leave one of them out."
    )


def test_swapping_a_step_that_is_not_there_is_answered():
    with pytest.raises(ConfigError) as caught:
        MOMENTUM.swap("momentun", rms)
    assert str(caught.value) == (
        "The chain `momentum` has no step 'momentun'. Did you mean 'momentum'? "
        "Steps: l2_decay, momentum, step."
    )


# --- as a torch optimizer -------------------------------------------------------------------------


def test_state_is_tensors_under_torchs_names():
    params = weights()
    optimizer = Composed(params, ADAMW)
    run(optimizer, params, [0])
    torchs = torch.optim.AdamW(weights())
    for group in torchs.param_groups:
        set_gradients(group["params"], 0)
    torchs.step()
    expected = {key: value.shape for key, value in torchs.state_dict()["state"][0].items()}
    found = optimizer.state_dict()["state"][0]
    assert {key: value.shape for key, value in found.items()} == expected
    assert all(isinstance(value, torch.Tensor) for value in found.values())


def test_state_of_torchs_adamw_can_be_taken_over():
    ours, torchs = weights(), weights()
    before = torch.optim.AdamW(torchs, lr=0.01, foreach=True)
    run(before, torchs, range(7))
    run(Composed(ours, ADAMW, lr=0.01, weight_decay=0.01), ours, range(7))
    after = Composed(ours, ADAMW, lr=0.5)
    after.load_state_dict(before.state_dict())
    run(before, torchs, range(7, 12))
    run(after, ours, range(7, 12))
    assert is_same(ours, torchs)


def test_settings_of_a_group_win_and_other_entries_stay():
    one, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [one], "lr": 0.5, "weight_decay": 0.0, "name": "a"}, {"params": other}]
    optimizer = Composed(groups, ADAMW, lr=0.1, weight_decay=0.3)
    found = [(g["lr"], g["weight_decay"], g.get("name")) for g in optimizer.param_groups]
    assert found == [(0.5, 0.0, "a"), (0.1, 0.3, None)]
    one.grad = other.grad = torch.ones(2)
    optimizer.step()
    assert one[0].item() == pytest.approx(0.5)
    assert other[0].item() == pytest.approx(1 - 0.1 * 0.3 - 0.1)


def test_group_added_later_starts_at_its_own_first_step():
    early, late = weights(), weights(seed=1)
    optimizer = Composed(early, ADAM, lr=0.1)
    run(optimizer, early, range(3))
    optimizer.add_param_group({"params": late, "lr": 0.2})
    run(optimizer, [*early, *late], [3])
    assert [float(optimizer.state[p]["step"]) for p in (early[0], late[0])] == [4.0, 1.0]
    size = (late[0] - weights(seed=1)[0]).detach().abs()
    torch.testing.assert_close(size, torch.full_like(size, 0.2), rtol=1e-4, atol=0)


def test_settings_are_read_at_every_step():
    ours, torchs = weights(torch.float64), weights(torch.float64)
    optimizer, other = Composed(ours, ADAM), torch.optim.Adam(torchs, foreach=True)
    for number in range(10):
        for group in (optimizer.param_groups[0], other.param_groups[0]):
            group["lr"], group["betas"] = 0.1 / (1 + number), (0.95 - 0.02 * number, 0.99)
            group["weight_decay"] = 0.01 * number
        run(optimizer, ours, [number])
        run(other, torchs, [number])
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-15)


def test_torchs_schedulers_and_hooks_work():
    params = weights()
    optimizer = Composed(params, MOMENTUM, lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=20)
    steps: list[float] = []
    optimizer.register_step_post_hook(
        lambda o, args, kwargs: steps.append(o.param_groups[0]["momentum"])
    )
    for number in range(20):
        run(optimizer, params, [number])
        scheduler.step()
    assert (min(steps), max(steps), len(steps)) == (0.85, 0.95, 20)


def test_closure_runs_with_gradients_and_its_answer_comes_back():
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = Composed([weight], SGD, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert weight.item() == pytest.approx(2.4)
    assert not weight.grad_fn


def test_parameter_without_gradient_is_left_alone():
    params = weights()
    kept = params[1].detach().clone()
    optimizer = Composed(params, ADAMW, lr=0.1)
    set_gradients(params, 0)
    params[1].grad = None
    optimizer.step()
    assert torch.equal(params[1], kept)
    assert params[1] not in optimizer.state
    assert not torch.equal(params[0], weights()[0])


def test_nothing_to_do_is_no_error():
    optimizer = Composed(weights(), ADAM)
    assert optimizer.step() is None
    assert not optimizer.state


def test_dtypes_are_stepped_apart_and_keep_theirs():
    half, single = nn.Parameter(torch.ones(3, dtype=torch.bfloat16)), nn.Parameter(torch.ones(3))
    half.grad, single.grad = torch.ones_like(half), torch.ones_like(single)
    optimizer = Composed([half, single], ADAM, lr=0.5)
    optimizer.step()
    assert [optimizer.state[p]["exp_avg"].dtype for p in (half, single)] == [
        half.dtype,
        single.dtype,
    ]
    assert (half.dtype, single.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(half.detach(), torch.full((3,), 0.5, dtype=torch.bfloat16))
    torch.testing.assert_close(single.detach(), torch.full((3,), 0.5))


def test_devices_are_stepped_apart():
    """The meta device computes nothing, but refuses to be mixed with another."""
    here, there = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3, device="meta"))
    here.grad, there.grad = torch.ones(3), torch.ones(3, device="meta")
    optimizer = Composed([here, there], ADAM, lr=0.5)
    optimizer.step()
    assert optimizer.state[there]["exp_avg"].device.type == "meta"
    torch.testing.assert_close(here.detach(), torch.full((3,), 0.5))


def test_channels_last_weights_step_as_contiguous_ones():
    plain = nn.Parameter(torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)))
    last = nn.Parameter(plain.detach().clone(memory_format=torch.channels_last))
    last.data = last.data.to(memory_format=torch.channels_last)
    for params in ([plain], [last]):
        run(Composed(params, ADAM, lr=0.1), params, range(3))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain, last)


def test_portions_of_the_cache_change_no_bit(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(100 + i, generator=generator) for i in range(12)]
    results = []
    for size in (1, 300, 10**9):
        monkeypatch.setattr("drivetrain.optim.composed.CACHED", size)
        params = [nn.Parameter(tensor.clone()) for tensor in tensors]
        optimizer = Composed(params, ADAMW, lr=0.1)
        set_gradients(params, 0)
        portions = list(optimizer._portions(optimizer.param_groups[0]))
        assert sum(len(portion.params) for portion in portions) == 12
        results.append((len(portions), params))
        run(optimizer, params, range(3))
    assert [number for number, _ in results] == [12, 6, 1]
    assert is_same(results[0][1], results[1][1])
    assert is_same(results[0][1], results[2][1])
    assert CACHED == 262_144


def test_short_chain_goes_over_all_at_once(monkeypatch):
    monkeypatch.setattr("drivetrain.optim.composed.CACHED", 1)
    params = weights()
    optimizer = Composed(params, MOMENTUM)
    set_gradients(params, 0)
    assert len(list(optimizer._portions(optimizer.param_groups[0]))) == 1


# --- storing --------------------------------------------------------------------------------------


def test_copy_goes_on_as_the_original():
    params = weights()
    optimizer = Composed(params, ADAMW, lr=0.1)
    run(optimizer, params, range(3))
    both = copy.deepcopy({"optimizer": optimizer, "params": params})
    run(optimizer, params, range(3, 6))
    run(both["optimizer"], both["params"], range(3, 6))
    assert is_same(params, both["params"])
    assert both["optimizer"].chain == ADAMW


def test_loaded_state_is_a_copy():
    params = weights()
    first = Composed(params, MOMENTUM, lr=0.1)
    run(first, params, range(2))
    second = Composed(weights(), MOMENTUM, lr=0.1)
    second.load_state_dict(first.state_dict())
    kept = second.state_dict()["state"][0]["momentum_buffer"].clone()
    run(first, params, range(2, 4))
    assert torch.equal(second.state_dict()["state"][0]["momentum_buffer"], kept)


def test_state_of_other_steps_is_refused_and_nothing_is_changed():
    params = weights()
    other = Composed(params, MOMENTUM, lr=0.3)
    run(other, params, [0])
    optimizer = Composed(params, ADAM, lr=0.1)
    with pytest.raises(ConfigError) as caught:
        optimizer.load_state_dict(other.state_dict())
    assert str(caught.value) == (
        "`adam` remembers exp_avg, exp_avg_sq, step of each parameter, but the state holds "
        "momentum_buffer. Load the state of an optimizer with the same steps."
    )
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert not optimizer.state


def test_state_of_other_steps_put_in_by_hand_is_told_at_the_step():
    params = weights()[:1]
    optimizer = Composed(params, ADAM)
    optimizer.state[params[0]]["momentum_buffer"] = torch.zeros(4, 3)
    set_gradients(params, 0)
    with pytest.raises(ConfigError, match="`adam` remembers exp_avg, exp_avg_sq, step of each"):
        optimizer.step()


def test_groups_are_json():
    optimizer = Composed(weights(), MUON)
    groups = optimizer.state_dict()["param_groups"]
    for group in groups:
        record = {key: value for key, value in group.items() if key != "params"}
        assert json.loads(json.dumps(record)) == {
            key: list(value) if isinstance(value, tuple) else value for key, value in record.items()
        }


def test_betas_may_be_a_list_as_json_gives_them():
    ours, others = weights(), weights()
    run(Composed(ours, ADAM, betas=[0.8, 0.9]), ours, range(3))
    run(Composed(others, ADAM, betas=(0.8, 0.9)), others, range(3))
    assert is_same(ours, others)


# --- weights to evaluate with ---------------------------------------------------------------------


def test_evaluating_in_the_middle_changes_no_bit_of_what_follows():
    with_look, without = weights(), weights()
    looking = optimizer("schedule_free_adamw")(with_look)
    other = optimizer("schedule_free_adamw")(without)
    for number in range(8):
        run(looking, with_look, [number])
        run(other, without, [number])
        trained = [param.detach().clone() for param in with_look]
        looking.eval()
        looking.eval()  # twice is once
        assert number == 0 or not is_same(with_look, trained)
        looking.train()
        looking.train()
        assert is_same(with_look, trained)
    assert is_same(with_look, without)


def test_evaluating_before_the_first_step_changes_nothing():
    params = weights()
    made = optimizer("schedule_free_sgd")(params)
    made.eval()
    assert is_same(params, weights())
    assert not made.state
    made.train()
    run(made, params, [0])
    assert not torch.equal(params[0], weights()[0])


def test_step_while_evaluating_is_refused():
    params = weights()
    made = optimizer("schedule_free_sgd")(params)
    run(made, params, [0])
    made.eval()
    kept = [param.detach().clone() for param in params]
    set_gradients(params, 1)
    with pytest.raises(ConfigError) as caught:
        made.step()
    assert str(caught.value) == (
        "`schedule_free_sgd` was asked for a step while the parameters hold the averaged weights, "
        "which are to evaluate with. Call `optimizer.train()` before going on."
    )
    assert is_same(params, kept)


@pytest.mark.parametrize("name", ["adam", "muon", "sgd"])
def test_without_averages_evaluating_does_nothing(name):
    params = weights()
    made = optimizer(name)(params)
    run(made, params, [0])
    kept = [param.detach().clone() for param in params]
    made.eval()
    assert is_same(params, kept)
    run(made, params, [1])


@pytest.mark.parametrize("in_eval", [False, True])
def test_checkpoint_by_name_goes_on_to_the_same_bits_in_either_mode(in_eval):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    resumed = copy.deepcopy(model)
    made = optimizer("schedule_free_adamw", warmup_steps=5)(model.parameters())
    run(made, list(model.parameters()), range(4))
    if in_eval:
        made.eval()
    tensors = {name: value.clone() for name, value in saving.pack(model, made).items()}
    made.train()
    run(made, list(model.parameters()), range(4, 9))

    saving.unpack_model(tensors, resumed, what="the checkpoint")
    again = optimizer("schedule_free_adamw", warmup_steps=5)(resumed.parameters())
    saving.unpack_optimizer(tensors, resumed, again)
    again.train()
    run(again, list(resumed.parameters()), range(4, 9))
    assert is_same(model.parameters(), resumed.parameters())


# --- refusals -------------------------------------------------------------------------------------


def test_setting_that_no_step_reads_is_refused():
    with pytest.raises(ConfigError) as caught:
        Composed(weights(), MOMENTUM, momentun=0.8)
    assert str(caught.value) == (
        "No step of `momentum` reads the setting 'momentun'. Did you mean 'momentum'? "
        "Settings: lr, momentum, weight_decay."
    )


def test_all_settings_out_of_range_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Composed(weights(), ADAM, lr=-1.0, betas=(0.9, 1.0), eps=float("nan"))
    assert str(caught.value) == (
        "In group 0 of `adam`: `betas` is (0.9, 1.0), expected two numbers from 0 to below 1; "
        "`eps` is nan, expected a finite number from 0 up; "
        "`lr` is -1.0, expected a finite number from 0 up."
    )


def test_setting_of_a_group_out_of_range_names_the_group():
    optimizer = Composed(weights(), MOMENTUM)
    with pytest.raises(ConfigError) as caught:
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "momentum": 1.0})
    assert str(caught.value) == (
        "In group 1 of `momentum`: `momentum` is 1.0, expected from 0 to below 1."
    )
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64])
def test_parameters_that_are_not_real_floats_are_refused(dtype):
    param = torch.ones(2, dtype=dtype)
    with pytest.raises(InputError) as caught:
        Composed([torch.ones(1), param], SGD)
    assert str(caught.value) == (
        f"Parameter 1 in group 0 of `sgd` is {dtype}, expected real floats. A complex parameter can "
        "be kept as `torch.view_as_real(parameter)`."
    )


def test_sparse_gradient_is_refused():
    embedding = nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1, 2])).sum().backward()
    optimizer = Composed(embedding.parameters(), ADAM)
    with pytest.raises(InputError) as caught:
        optimizer.step()
    assert str(caught.value) == (
        "A parameter of shape (5, 2) has a sparse gradient, which `adam` cannot use. Make the "
        "embedding with sparse=False, or use torch.optim.SparseAdam for it."
    )


def test_torchs_own_refusals_stay():
    with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
        Composed([], SGD)
    param = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        Composed([{"params": [param]}, {"params": [param]}], SGD)


def test_chain_may_have_a_second_moment_alone():
    """Adam without its first moment: the direction stays the gradient."""
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    weight.grad = torch.tensor([-4.0], dtype=torch.float64)
    Composed([weight], chain("v", average_square, step), lr=0.1, betas=(0.0, 0.75)).step()
    assert weight.item() == pytest.approx(1 + 0.1 * 4 / (0.5 * 4), rel=1e-12)
