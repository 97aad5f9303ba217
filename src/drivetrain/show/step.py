"""One weight through one real training step: forward, loss, gradient by the chain rule, update.

    print(dt.show.step(learner, weight="0.weight", at=(3, 5)))

The step is the one that the Learner would make next, made by the training loop on a copy. Of it are
worked out an output of the layer that uses the weight; the loss; the gradient, as the sum over all
numbers that the weight has a part in; the same gradient as a difference of two losses in float64; what
clipping made of it; the learning rate; and the optimizer's own lines, whose last is the new weight. Each
is held against what the run itself has.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain.errors import ShapeError
from drivetrain.randomness import preserved
from drivetrain.show.calculation import Calculation
from drivetrain.show.follow import Call, Followed, check_weight, follow
from drivetrain.show.layer import layer
from drivetrain.show.loss import loss_of
from drivetrain.show.record import WHOLE
from drivetrain.show.slopes import doubled, doubled_inputs, is_padding, slopes
from drivetrain.show.update import formula_of, write_update
from drivetrain.show.working import EPS32, Working
from drivetrain.train.learner import Learner

NUDGE = 1e-7
"""How far the weight is moved for the difference of two losses: in a deep net even so little takes some
ReLUs over their kink, and less would leave nothing but rounding, which is 1e-8 in a loss of 1."""
_AXES = {1: ("feature",), 2: ("item", "feature"), 3: ("item", "position", "feature")}
_AXES |= {4: ("item", "channel", "row", "column")}


def step(
    learner: Learner,
    *,
    weight: str,
    at: Sequence[int] | int | None = None,
    batch: Any = None,
    number: int = 1,
) -> Calculation:
    """Follow one weight through the training step that the Learner would make next.

    That is the next step of a fit that was stopped; else the first of the last fit, made once more from
    the weights as they are; else of `fit(1)`. The Learner is left as it was, to the bit.

    Args:
        learner: model, loaders, loss, optimizer, callbacks.
        weight: name of a parameter, such as "0.weight".
        at: its place in that tensor, such as (3, 5); by default where the gradient is largest.
        batch: what the step is made on; by default what the training loader gives next.
        number: a later step of that fit, counted from 1; those before it are made too, so that the
            optimizer remembers something.

    Returns: a `Calculation` of the new weight, whose parts are the loss, the gradient, the difference,
        clipping where there is any, and the rate where a schedule moves it.
        A loss of one's own is a part that is not shown; all else is worked out.
    Raises: UnknownNameError: no such parameter. ShapeError: no such place. ConfigError: the weight is
        frozen, or the optimizer is not written as formulas; which one is said.
    """
    shape = tuple(check_weight(learner.model, weight).shape)
    place = None if at is None else _place(at, shape, weight)
    found = follow(learner, weight, batch=batch, number=number)
    if place is None:
        flat = int(found.used_grad.abs().argmax()) if found.used_grad.numel() else 0
        place = tuple(int(i) for i in np.unravel_index(flat, shape)) if shape else ()
    with preserved():
        parts = list(_parts(found, place, learner))
    work = Working()
    gradient = found.used_grad
    chain = write_update(
        work,
        found.optimizer,
        weight=found.weight,
        gradient=gradient,
        state=found.state,
        group=found.group,
        at=place,
    )
    own = found.new_weight[place]
    name = weight_name(weight, place)
    title = f"{name}: step {found.number} of {found.stage.call}, epoch {found.epoch + 1}"
    return work.done(
        title,
        formula_of(chain),
        own,
        source=f"{type(found.optimizer).__name__}, {chain.name}: {chain}",
        tolerance=_update_tolerance(found, place),
        parts=parts,
    )


def weight_name(weight: str, place: Sequence[int]) -> str:
    """`0.weight[3, 5]`."""
    return f"{weight}[{', '.join(map(str, place))}]" if place else weight


def _place(at: Sequence[int] | int, shape: tuple[int, ...], weight: str) -> tuple[int, ...]:
    place = (at,) if isinstance(at, int) else tuple(at)
    if len(place) != len(shape) or not all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise ShapeError(
            f"'{weight}' has shape {shape}, so `at` is {_numbers(len(shape))} from 0 up, below those. "
            f"Got {place}."
        )
    return place


def _numbers(count: int) -> str:
    return "one number" if count == 1 else f"{count} numbers"


def _update_tolerance(found: Followed, place: tuple[int, ...]) -> float:
    """A few roundings of float32, at the size of the weight and of its move."""
    before, after = (float(t[place]) for t in (found.weight, found.new_weight))
    eps = (
        EPS32 if found.weight.dtype == torch.float32 else float(torch.finfo(found.weight.dtype).eps)
    )
    return allowed(
        4 * eps * max(abs(before), abs(after)) + 16 * eps * abs(after - before),
        found.new_weight[place],
    )


def allowed(difference: float, own: Tensor) -> float:
    """The tolerance of a calculation that lets it be so far from the run's own number.

    Numbers above 1 are compared by their share, those below as they are.
    """
    return max(difference, 1e-30) / max(1.0, abs(float(own)))


# --- the parts ------------------------------------------------------------------------------------


def _parts(found: Followed, place: tuple[int, ...], learner: Learner) -> Iterator[Calculation]:
    classes = learner.application.classes if learner.application is not None else ()
    gradient, scale, top = _gradient_part(found, place)
    if (
        not gradient.agrees
    ):  # used elsewhere too, without a call of what holds it: a tied output matrix
        found = dataclasses.replace(found, calls=found.whole)
        gradient, scale, top = _gradient_part(found, place)
    forward = None if top is None else _forward_part(found, place, *top)
    if forward is not None:
        yield forward
    yield _loss_part(found, classes)
    yield gradient
    difference = _difference_part(found, place, scale)
    if difference is not None:
        yield difference
    clipped = _clip_part(found, place)
    if clipped is not None:
        yield clipped
    rate = _rate_part(found)
    if rate is not None:
        yield rate


def _loss_part(found: Followed, classes: Sequence[str]) -> Calculation:
    """The loss of the batch, and what callbacks made of it."""
    plain = loss_of(found.loss_fn, found.preds, found.targets, classes=classes)
    if found.loss == found.plain_loss:
        return plain
    work = Working()
    work.put("loss", plain.result, "the loss of the batch, as above", "step")
    work.put("more", found.loss - found.plain_loss, "what callbacks put to it", "setting")
    work.line("total", "loss + more", "what is differentiated")
    title, formula = "the loss that is differentiated", "loss + what callbacks put to it"
    return work.done(title, formula, found.loss, source="callbacks", parts=[plain])


Top = tuple[Call, int, tuple[int, ...]]
"""A call of a module, which of its outputs, and a place there."""


def _forward_part(
    found: Followed, weight: tuple[int, ...], call: Call, which: int, place: tuple[int, ...]
) -> Calculation | None:
    """The output in which the weight counts most, worked out; None for modules made of others."""
    module = found.model.get_submodule(call.path)
    if call.kwargs or not place or next(module.children(), None) is not None:
        return None
    torch.set_rng_state(call.generator)
    shown = layer(
        module,
        call.args,
        item=place[0],
        at=place[1:],
        output=which,
        training=module.training,
    )
    if not shown.is_shown:
        return None
    name = weight_name(found.name, weight)
    title = shown.title.replace(WHOLE, call.path or WHOLE)
    return dataclasses.replace(shown, title=f"forward, where {name} counts most: {title}", parts=())


def _gradient_part(
    found: Followed, place: tuple[int, ...]
) -> tuple[Calculation, float, Top | None]:
    """The gradient as a sum over all outputs in which the weight has a part; the sum of their sizes, and
    the output where it counts most."""
    upstream, local, places, uses = [], [], [], []
    origins: list[tuple[Call, int]] = []
    for number, call in enumerate(found.calls):
        for which, tangent in enumerate(slopes(found, call, place)):
            grad = call.grads.get(which)
            if grad is None or tangent is None:
                continue
            here = tangent.nonzero()  # (K, rank) places where the weight has a part
            flat = tangent.flatten().nonzero().flatten()
            upstream.append(grad.double().cpu().flatten()[flat])
            local.append(tangent.flatten()[flat])
            places.append(here)
            origins.append((call, which))
            uses += [number] * len(here)
    up, loc = (
        torch.cat(x) if x else torch.zeros(0, dtype=torch.float64) for x in (upstream, local)
    )
    order = (up * loc).abs().argsort(descending=True, stable=True)
    scale = float((up * loc).abs().sum())
    top = None
    if len(order):
        first = int(order[0])
        for (call, which), here in zip(origins, places, strict=True):
            if first < len(here):
                top = call, which, tuple(here[first].tolist())
                break
            first -= len(here)
    work = Working()
    said = _said(places)
    ranks = {part.shape[1] for part in places}
    if len(ranks) == 1 and len(up) and places[0].shape[1]:
        work.put("place", torch.cat(places)[order], said, "input")
    if len(found.calls) > 1:
        used = ", ".join(f"{i} {call.path or 'the model'}" for i, call in enumerate(found.calls))
        work.put("use", torch.tensor(uses)[order], f"which of its uses: {used}")
    work.put(
        "up", up[order], "dloss/dout: how the loss rises with that output, from backward", "step"
    )
    work.put("part", loc[order], _local_meaning(found), "input")
    work.line("each", "up * part", "chain rule: dloss/dout · dout/dw, the largest first")
    if found.kept_grad is not None:
        work.put(
            "kept", found.kept_grad[place], "left by the batches before it in this step", "state"
        )
    more = " + kept" if found.kept_grad is not None else ""
    work.line("gradient", f"sum(each){more}", "their sum: how the loss rises with the weight")
    own = found.grad[place]
    # Upstream and own number share their rounding where a layer lies between; over the whole model they
    # do not, and float32 loses three digits on the way back through a deep net.
    share = 1e-3 if found.calls is found.whole else 2e-6
    calculation = work.done(
        f"gradient of {weight_name(found.name, place)}: "
        + ("1 output has it in it" if len(up) == 1 else f"{len(up):,} outputs have it in them"),
        "dloss/dw = Σ over outputs of dloss/dout · dout/dw",
        own,
        source=f"autograd's number, {', '.join(call.path or 'the model' for call in found.calls)}",
        tolerance=allowed(share * (scale + abs(float(own))), own),
    )
    return calculation, scale, top


def _said(places: Sequence[Tensor]) -> str:
    rank = places[0].shape[1] if places else 0
    axes = _AXES.get(rank, tuple(f"axis {i}" for i in range(rank)))
    return f"where: {', '.join(axes)} of the output"


def _local_meaning(found: Followed) -> str:
    kinds = {type(found.model.get_submodule(call.path)) for call in found.calls}
    leaf = found.name.rpartition(".")[2]
    if leaf == "bias":
        return "dout/dw: 1 for a bias that is added"
    if kinds <= {nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d}:
        return "dout/dw: the input that the weight meets there"
    if kinds <= {nn.Embedding}:
        return "dout/dw: 1 where the row is looked up"
    return "dout/dw: how the output rises with the weight"


def _difference_part(found: Followed, place: tuple[int, ...], scale: float) -> Calculation | None:
    """(loss(w + h) - loss(w - h)) / 2h in float64; None where callbacks changed the loss, or where
    something of the step cannot be done in float64."""
    users = [found.model.get_submodule(call.path) for call in found.calls]
    if found.loss != found.plain_loss or any(is_padding(one, place) for one in users):
        return None
    args, kwargs = doubled_inputs(found.args), doubled_inputs(found.kwargs)
    targets = doubled_inputs(found.targets)
    loss_fn = found.loss_fn
    if isinstance(loss_fn, nn.Module):
        loss_fn = doubled(loss_fn)
    h = NUDGE * max(1.0, abs(float(found.weight[place])))

    def loss_at(shift: float) -> tuple[Tensor, Tensor]:
        torch.set_rng_state(found.generator)
        fresh = doubled(found.model)
        param = dict(fresh.named_parameters(remove_duplicate=False))[found.name]
        with torch.no_grad():
            param[place] += shift
        return loss_fn(fresh(*args, **kwargs), targets), param

    try:
        with torch.no_grad():
            above, below = (float(loss_at(shift)[0]) for shift in (h, -h))
        loss, param = loss_at(0.0)
        (exact,) = torch.autograd.grad(loss, param)
    except (RuntimeError, TypeError, ValueError):  # something of it is bound to float32
        return None
    middle = float(loss.detach())
    if not math.isclose(middle, found.plain_loss, rel_tol=1e-3, abs_tol=1e-5):
        return None  # what it draws differs in float64: it is another function
    work = Working()
    work.put("above", above, "the loss of the batch with the weight h larger, in float64", "step")
    work.put("below", below, "the loss with the weight h smaller", "step")
    work.put("h", h, "how far the weight is moved", "setting")
    work.line("gradient", "(above - below) / (2 * h)", "how the loss rises with the weight")
    own = exact[place]
    mine = (
        found.grad[place] if found.kept_grad is None else found.grad[place] - found.kept_grad[place]
    )
    dtype = str(found.grad.dtype).removeprefix("torch.")
    rounding = 8 * 2.0**-53 * max(1.0, abs(middle)) / h
    return work.done(
        "the same gradient as a difference of two losses",
        "dloss/dw ≈ (loss(w + h) - loss(w - h)) / 2h",
        own,
        source=f"autograd in float64; in {dtype}, as the run is, it gives {float(mine):.9g}",
        tolerance=allowed(1e-5 * abs(float(own)) + 1e-6 * scale + rounding, own),
    )


# --- what happens to the gradient -----------------------------------------------------------------


def _clip_part(found: Followed, place: tuple[int, ...]) -> Calculation | None:
    clip = found.clip()
    if clip is None:
        if torch.equal(found.grad, found.used_grad):
            return None
        return _changed_part(found, place)
    work = Working()
    work.put("g", found.grad[place], "the gradient", "step")
    if clip.max_value is not None:
        work.put("bound", clip.max_value, "of each number", "setting")
        work.line("clipped", "clip(g, -bound, bound)", "the gradient, within the bound")
        formula = "g put between -bound and bound"
    else:
        work.put("norms", found.norms, "the norm of the gradient of each parameter", "step")
        bound = 1.0 if clip.max_norm is None else clip.max_norm
        work.put("bound", float(bound), "of the norm of all gradients together", "setting")
        work.line("norm", "sqrt(sum(norms ** 2))", "the norm of all gradients together")
        work.line("factor", "min(1, bound / (norm + 1e-6))", "what all of them are multiplied by")
        work.line("clipped", "g * factor", "the gradient, clipped")
        formula = "g · min(1, bound / norm of all gradients)"
    own = found.used_grad[place]
    return work.done(
        "clipping",
        formula,
        own,
        source="ClipGradients",
        tolerance=allowed(1e-5 * abs(float(own)), own),
    )


def _changed_part(found: Followed, place: tuple[int, ...]) -> Calculation:
    """Callbacks of one's own may change gradients: by how much is seen, why is theirs."""
    work = Working()
    work.put("g", found.grad[place], "the gradient", "step")
    change = found.used_grad[place].double() - found.grad[place].double()
    work.put("change", change, "what callbacks put to it before the step", "setting")
    work.line("used", "g + change", "the gradient that the optimizer sees")
    names = ", ".join(type(one).__name__ for one in found.callbacks)
    return work.done(
        "changed by callbacks", "g + change", found.used_grad[place], source=names, tolerance=1e-6
    )


def _rate_part(found: Followed) -> Calculation | None:
    """The learning rate at this step, where a schedule moves it."""
    record = found.stage.schedule
    if "max_lr" not in found.group or (
        record["name"] == "constant" and record.get("value", 1) == 1
    ):
        return None
    lr, peak = float(found.group["lr"]), float(found.group["max_lr"])
    work = Working()
    work.put("peak", peak, "the rate of the weight's group that the schedule multiplies", "setting")
    if record["name"] == "one_cycle":
        start = float(record.get("pct_start", 0.25))
        rising = found.progress < start
        work.put("progress", found.progress, "the share of the fit that is done", "setting")
        work.put("turn", start, "the share at which the rate is highest", "setting")
        first, last = 1 / float(record.get("div", 25.0)), 1 / float(record.get("div_final", 1e5))
        work.put("low", first if rising else last, "the factor at the other end", "setting")
        way = "progress / turn" if rising else "(1 - progress) / (1 - turn)"
        work.line("way", way, "how near to the highest")
        work.line("factor", f"low + (1 - low) * (1 - cos({math.pi!r} * way)) / 2", "half a cosine")
        formula = "lr = peak · half a cosine, up and then down (1cycle)"
    else:
        work.put(
            "factor", lr / peak if peak else 1.0, f"of the schedule `{record['name']}`", "setting"
        )
        formula = f"lr = peak · {record['name']}(progress)"
    work.line("lr", "peak * factor", "the learning rate at this step")
    options = ", ".join(f"{k} {v}" for k, v in record.items() if k != "name")
    said = f"{record['name']}: {options}" if options else record["name"]
    return work.done(
        "the learning rate", formula, lr, source=f"the schedule {said}", tolerance=1e-12
    )
