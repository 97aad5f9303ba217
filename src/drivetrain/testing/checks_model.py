"""Checks of the model: its outputs, its gradients, what stands in its state, what freezing does."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain import store
from drivetrain.optim.groups import Layer, param_groups
from drivetrain.randomness import preserved
from drivetrain.testing.subject import (
    Subject,
    differing,
    equal,
    expect,
    gradients_of,
    listed,
    outputs_of,
    rows,
    size_of,
    skip,
    tensors_in,
    weights_of,
)
from drivetrain.train import loop
from drivetrain.train.learner import Learner

CLOSE = 1e-4
"""What one item alone may differ from itself in a batch, beside the largest output: matrices of other
sizes are multiplied in another order."""


def outputs_are_finite(subject: Subject) -> None:
    """What the model answers before any training is finite, else the first step is the last."""
    learner = subject.make()
    for number, batch in enumerate(subject.batches_of(subject.measured(learner), learner)):
        for part, tensor in tensors_in(outputs_of(learner, batch), "outputs"):
            expect(
                bool(tensor.isfinite().all()),
                f"`{part}` of batch {number} holds NaN or infinity. Look at the first weights, and scale "
                "the inputs to about -1 to 1.",
            )


def outputs_have_one_row_an_item(subject: Subject) -> None:
    """The first dimension of the outputs is the item's, so that losses and predictions are of items."""
    learner = subject.make()
    batch = subject.batch(learner)
    count = size_of(batch)
    for chosen in (range(count), range(1)):
        outputs = _tensor(outputs_of(learner, rows(batch, chosen)))
        expect(
            outputs.ndim > 0 and outputs.shape[0] == len(chosen),
            f"The outputs for {len(chosen)} items have the shape {tuple(outputs.shape)}, expected "
            f"({len(chosen)}, ...). Keep the first dimension: `squeeze(-1)` and not `squeeze()`.",
        )


def evaluation_repeats(subject: Subject) -> None:
    """In evaluation mode the same batch gives the same outputs, so a prediction can be trusted twice."""
    learner = subject.make()
    batch = subject.batch(learner)
    first = outputs_of(learner, batch)
    expect(
        equal(first, outputs_of(learner, batch)),
        "The same batch gave other outputs the second time, in evaluation mode. Draw nothing there: use "
        "`nn.Dropout`, or `F.dropout(x, p, self.training)`.",
    )


def items_do_not_see_each_other(subject: Subject) -> None:
    """In evaluation mode an item's output does not depend on the batch it is in, nor on its place."""
    learner = subject.make()
    batch = subject.batch(learner)
    count = size_of(batch)
    if count < 2:
        skip("The batches have one item each.")
    whole = _tensor(outputs_of(learner, batch))
    for what, chosen in (("alone", [0]), ("in a reversed batch", list(range(count))[::-1])):
        part = _tensor(outputs_of(learner, rows(batch, chosen)))
        expect(
            part.shape[1:] == whole.shape[1:] and _are_close(part, whole[chosen]),
            f"The outputs of an item {what} are not those that it has in the batch: they differ by "
            f"up to {_gap(part, whole[chosen])}. Use no statistics of the batch in evaluation mode "
            "(batchnorm's running ones are right), and no softmax or mean over the first dimension.",
        )


def inputs_are_left_alone(subject: Subject) -> None:
    """Model and loss do not write into the batch: a data set in memory would change as it is used."""
    learner = subject.make()
    batch = subject.batch(learner)
    before = copy.deepcopy(batch)
    gradients_of(learner, batch)
    outputs_of(learner, batch)
    pairs = zip(tensors_in(batch, "batch"), tensors_in(before), strict=True)
    changed = [name for (name, now), (_, then) in pairs if not torch.equal(now, then)]
    expect(
        not changed,
        f"The model or the loss wrote into {listed(changed)}. Use `x = x * 2` and not `x *= 2`, and "
        "no method that ends in `_`.",
    )


def every_parameter_gets_a_gradient(subject: Subject) -> None:
    """The loss reaches each parameter that trains; one that it does not reach is never learnt."""
    learner = subject.make()
    without = [
        name for name, g in gradients_of(learner, subject.batch(learner)).items() if g is None
    ]
    expect(
        not without,
        f"The loss does not depend on {listed(without)}. Use these layers in `forward`, remove them, "
        "or freeze them with `requires_grad_(False)`.",
    )


def gradients_are_finite(subject: Subject) -> None:
    """The gradients of the first batches are finite, else no step can be made."""
    learner = subject.make()
    for number, batch in enumerate(subject.batches_of(learner.loaders.train, learner)):
        wrong = [
            name
            for name, gradient in gradients_of(learner, batch).items()
            if gradient is not None and not bool(gradient.isfinite().all())
        ]
        expect(
            not wrong,
            f"The gradients of {listed(wrong)} hold NaN or infinity in batch {number}. A root, a norm or "
            "a logarithm has no finite slope at 0: keep it away from 0.",
        )


def frozen_parameters_stay(subject: Subject) -> None:
    """What is frozen keeps its bits through a fit, running statistics included."""
    learner = subject.make()
    groups = learner.layer_groups
    if len(groups) > 1:
        learner.freeze()
        frozen = {id(p) for group in groups[:-1] for layer in group for p in _parameters(layer)}
    else:
        parameters = [p for p in learner.model.parameters() if p.requires_grad]
        if len(parameters) < 2:
            skip("The model has one parameter: nothing would be left to train.")
        if isinstance(learner.optimizer, torch.optim.Optimizer):
            skip("An optimizer instance keeps the parameters that it was given.")
        parameters[0].requires_grad_(False)
        frozen = {id(parameters[0])}
    names = [name for name, p in learner.model.named_parameters() if id(p) in frozen]
    whole = {
        f"{path}.{name}".lstrip(".")
        for path, module in learner.model.named_modules()
        if any(True for _ in module.parameters())
        and all(id(p) in frozen for p in module.parameters())
        for name, _ in module.named_buffers()
    }
    names += [name for name in learner.model.state_dict() if name in whole]
    before = weights_of(learner)
    learner.fit(1)
    after = weights_of(learner)
    changed = [name for name in names if name in before and differing_one(before, after, name)]
    expect(
        not changed,
        f"A fit changed what was frozen: {listed(changed)}. Nobody but the optimizer may write into "
        "parameters, and a callback that averages weights must leave out those without gradient.",
    )


def freezing_is_undone_by_unfreezing(subject: Subject) -> None:
    """`freeze` leaves the head to train and `unfreeze` all layers; neither changes a number."""
    learner = subject.make()
    before = weights_of(learner)
    all_names = {name for name, _ in learner.model.named_parameters()}
    learner.freeze()
    trains = {name for name, p in learner.model.named_parameters() if p.requires_grad}
    ids = {id(p) for layer in learner.layer_groups[-1] for p in _parameters(layer)}
    head = {name for name, p in learner.model.named_parameters() if id(p) in ids}
    expect(
        trains == head,
        f"After `freeze` {listed(sorted(trains ^ head))} is not as it should be: the last of "
        "`layer_groups()` trains, and nothing else.",
    )
    learner.unfreeze()
    still = {name for name, p in learner.model.named_parameters() if not p.requires_grad}
    expect(
        not still,
        f"After `unfreeze` {listed(sorted(still))} of {len(all_names)} parameters are still frozen. "
        "Put their layers into a group of `layer_groups()`.",
    )
    changed = differing(before, weights_of(learner))
    expect(not changed, f"`freeze` and `unfreeze` changed the numbers of {listed(changed)}.")


def layer_groups_hold_each_parameter_once(subject: Subject) -> None:
    """Each parameter is in one layer group; in none it would not train, in two at two rates."""
    learner = subject.make()
    groups = learner.layer_groups
    for parameter in learner.model.parameters():
        parameter.requires_grad_(True)
    param_groups(groups, lrs=[0.1] * len(groups), weight_decay=0.0, model=learner.model)


def parameters_are_on_the_learners_device(subject: Subject) -> None:
    """Parameters and buffers are on `learner.device`, where the batches go."""
    learner = subject.make()
    subject.train(learner)
    named = [*learner.model.named_parameters(), *learner.model.named_buffers()]
    elsewhere = [name for name, t in named if t.device.type != learner.device.type]
    expect(
        not elsewhere,
        f"{listed(elsewhere)} is not on {learner.device}. Make tensors with `device=x.device`, and "
        "keep them with `register_buffer`, so that `model.to(device)` takes them along.",
    )


def training_keeps_the_dtypes(subject: Subject) -> None:
    """Weights and buffers have after training the dtype they had before, else memory and bits change."""
    learner = subject.make()
    before = {name: t.dtype for name, t in weights_of(learner).items()}
    subject.train(learner)
    after = {name: t.dtype for name, t in weights_of(learner).items()}
    changed = [name for name in before if before[name] != after.get(name)]
    expect(
        not changed,
        f"Training changed the dtype of {listed(changed)}. Compute in another dtype with "
        "`MixedPrecision`, and leave the parameters as they are.",
    )


def the_state_dict_holds_tensors(subject: Subject) -> None:
    """The state dict holds tensors alone: a file of weights runs no code, and takes nothing else."""
    state: dict[str, Any] = subject.make().model.state_dict()
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    expect(
        not others,
        f"The state dict holds {listed(others)}, which is no tensor. Keep numbers as buffers "
        "(`register_buffer`), and let `get_extra_state` answer a tensor.",
    )


def the_state_dict_goes_through_a_file(subject: Subject) -> None:
    """Written as safetensors and read again, the state dict is the same to the last bit and loads."""
    learner = subject.make()
    subject.train(learner)
    state = learner.model.state_dict()
    path = subject.folder() / "weights.safetensors"
    store.write_tensors(path, state)
    read = store.read_tensors(path)
    changed = differing({n: t.detach() for n, t in state.items()}, read)
    expect(not changed, f"After a round trip through a file {listed(changed)} is another tensor.")
    fresh = subject.make()
    fresh.model.load_state_dict(read)
    changed = differing(weights_of(fresh), read)
    expect(
        not changed,
        f"An equal model that loaded the file has other numbers in {listed(changed)}. Let "
        "`load_state_dict` put back what `state_dict` gave.",
    )


def the_state_dict_is_all_of_the_model(subject: Subject) -> None:
    """An equal model with the same state dict predicts the same: nothing that counts is elsewhere."""
    learner, fresh = subject.make(), subject.make()
    subject.train(learner)
    batch = subject.batch(subject.make())
    trained = outputs_of(learner, batch)
    fresh.model.load_state_dict(learner.model.state_dict())
    expect(
        equal(trained, outputs_of(fresh, batch)),
        "An equal model with the trained state dict predicts otherwise than the trained one. Something "
        "that training changes is a plain attribute: make it a buffer with `register_buffer`.",
    )


def the_model_can_be_copied(subject: Subject) -> None:
    """`copy.deepcopy(model)` gives a model with the same outputs and parameters of its own."""
    learner = subject.make()
    batch = subject.batch(learner)
    try:
        other = copy.deepcopy(learner.model)
    except Exception as error:  # whatever a part of it raises
        raise AssertionError(
            f"`copy.deepcopy(model)` raised {type(error).__name__}: {error}. Keep no generators, locks, "
            "open files or tensors with a graph in the model."
        ) from error
    shared = {id(p) for p in learner.model.parameters()} & {id(p) for p in other.parameters()}
    expect(not shared, f"A copy of the model shares {len(shared)} parameters with it.")
    first = outputs_of(learner, batch)
    learner.model = other
    expect(
        equal(first, outputs_of(learner, batch)),
        "A copy of the model gives other outputs. Let `__deepcopy__` copy all that `forward` uses.",
    )


# --- how it is done ---------------------------------------------------------------------------------


def differing_one(before: dict[str, Tensor], after: dict[str, Tensor], name: str) -> bool:
    """Whether one tensor is another."""
    return bool(differing({name: before[name]}, {name: after[name]}))


def predicted(learner: Learner, batch: Any) -> Any:
    """What `learner.predict` answers for a batch's inputs; a dict has no form for it."""
    args, kwargs, _ = loop.call_of(batch)
    if kwargs:
        skip("`predict` takes inputs by position, and the batches name them.")
    with preserved():
        return learner.predict(args)


def _parameters(layer: Layer) -> list[nn.Parameter]:
    return [layer] if isinstance(layer, nn.Parameter) else list(layer.parameters())


def _tensor(outputs: Any) -> Tensor:
    if not isinstance(outputs, Tensor):
        skip(f"The model's outputs are no tensor but {type(outputs).__name__}.")
    return outputs


def _are_close(one: Tensor, other: Tensor) -> bool:
    scale = float(other.abs().max()) if other.numel() else 0.0
    return torch.allclose(one, other, rtol=CLOSE, atol=CLOSE * max(scale, 1e-3))


def _gap(one: Tensor, other: Tensor) -> str:
    if one.shape != other.shape:
        return f"their shape, {tuple(one.shape)} and {tuple(other.shape)}"
    return f"{float((one - other).abs().max()):.2g}"


CHECKS = (
    outputs_are_finite,
    outputs_have_one_row_an_item,
    evaluation_repeats,
    items_do_not_see_each_other,
    inputs_are_left_alone,
    every_parameter_gets_a_gradient,
    gradients_are_finite,
    frozen_parameters_stay,
    freezing_is_undone_by_unfreezing,
    layer_groups_hold_each_parameter_once,
    parameters_are_on_the_learners_device,
    training_keeps_the_dtypes,
    the_state_dict_holds_tensors,
    the_state_dict_goes_through_a_file,
    the_state_dict_is_all_of_the_model,
    the_model_can_be_copied,
)
