# pyright: reportPrivateImportUsage=false
"""The guard: no step is made with a loss or a gradient that is NaN or infinite, and no such weight kept.

One such number in a gradient makes all weights NaN within a few steps, and the cause can then be seen no
more. So the fit ends before the step, with the items and the layer that it comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from drivetrain.errors import NonFiniteError
from drivetrain.train.callback import LAST, Callback
from drivetrain.train.modules import batchnorms
from drivetrain.train.nonfinite import Cause, all_finite, bad_gradients, bad_weights, cause_of
from drivetrain.train.state import FitState

LARGE = 2**15
"""Numbers from which on a gradient is summed by itself, on a CPU: fewer, and the call costs more."""

_CPU = torch.device("cpu")

SHOWN = 5
"""Names that a message lists before it says how many more there are."""


class NonFiniteGuard(Callback):
    """Looks at each loss and at all gradients before each step, and at the weights before they are kept.

    Every Learner has one. What it costs is one pass over the gradients, and a wait for the device: 10 µs
    for a net of two layers, and about a hundredth of a step of larger ones (measured on a CPU). Where it
    stops a fit, parameters and running statistics are those from before the batch, and gradients are
    cleared. Steps that `MixedPrecision` leaves out since its scale was too high are none of its business,
    and neither is the validation: there a NaN is a NaN in the history, and never the best.

    Raises: NonFiniteError, in the fit: with the items of the batch, the first layer or the parameters,
        the last good step, and what to do.
    """

    # When gradients are scaled back, and before clipping makes one NaN out of all of them.
    order = LAST - 6
    only_looks = True
    in_script = False

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._statistics: list[Tensor] = []
        self._kept: list[Tensor] = []
        self._save: Callable[[FitState], None] | None = None
        self._in_batch = False
        self._flags: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self._plain: tuple[list[Tensor], list[Tensor]] | None = None

    def before_fit(self, state: FitState) -> None:
        self._forget()
        self._statistics = [
            buffer
            for layer in batchnorms([[state.model]])
            for buffer in layer.buffers(recurse=False)
        ]
        self._kept = [buffer.clone() for buffer in self._statistics]
        parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
        sparse = any(getattr(module, "sparse", False) for module in state.model.modules())
        if not sparse and all(_is_plain(parameter) for parameter in parameters):
            self._plain = (
                [parameter for parameter in parameters if parameter.numel() < LARGE],
                [parameter for parameter in parameters if parameter.numel() >= LARGE],
            )
            self._flags[_CPU] = torch.zeros(()), torch.ones(())
        if state.save is not None:
            self._save, state.save = state.save, self._save_finite

    def after_fit(self, state: FitState) -> None:
        if self._save is not None:
            state.save = self._save
        self._forget()

    def before_batch(self, state: FitState) -> None:
        self._in_batch = True
        if self._statistics:
            torch._foreach_copy_(self._kept, self._statistics)

    def after_loss(self, state: FitState) -> None:
        loss = state.loss
        if loss.numel() == 1 and not math.isfinite(loss.item()):
            self._stop(state, gradients=False)

    def before_step(self, state: FitState) -> None:
        if not self._are_finite(state):
            self._stop(state, gradients=True)

    def after_batch(self, state: FitState) -> None:
        self._in_batch = False

    def after_epoch(self, state: FitState) -> None:
        self._check_weights(state)

    # --- looking ----------------------------------------------------------------------------------

    def _are_finite(self, state: FitState) -> bool:
        """All gradients at once, by what torch's own gradient scaler looks with."""
        if self._plain is not None:  # on the CPU, where steps are short: every microsecond counts
            small, large = self._plain
            for parameter in large:
                if (one := parameter.grad) is not None and not _is_finite(one):
                    return False
            found = [one for parameter in small if (one := parameter.grad) is not None]
            return self._none_found(found, *self._flags[_CPU])
        gradients: dict[torch.device, list[Tensor]] = {}
        for group in state.optimizer.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                if gradient.layout is not torch.strided:
                    gradient = gradient._values()
                if gradient.is_complex():
                    gradient = torch.view_as_real(gradient)
                gradients.setdefault(gradient.device, []).append(gradient)
        return all(self._finite_on(device, found) for device, found in gradients.items())

    def _finite_on(self, device: torch.device, gradients: list[Tensor]) -> bool:
        if device.type not in ("cpu", "cuda"):
            return all(all_finite(gradient) for gradient in gradients)
        if device.type == "cpu":  # there the call writes what it reads, and a sum only reads
            large = [gradient for gradient in gradients if gradient.numel() >= LARGE]
            if not all(map(_is_finite, large)):
                return False
            gradients = [gradient for gradient in gradients if gradient.numel() < LARGE]
        if device not in self._flags:
            self._flags[device] = torch.zeros((), device=device), torch.ones((), device=device)
        return self._none_found(gradients, *self._flags[device])

    def _none_found(self, gradients: list[Tensor], found: Tensor, one: Tensor) -> bool:
        if gradients:
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, one)
        if found.item() == 0:
            return True
        found.zero_()
        return False

    def _save_finite(self, state: FitState) -> None:
        """In place of `state.save`: weights that are not finite are never kept."""
        self._check_weights(state)
        assert self._save is not None, "put in place by `before_fit`"
        self._save(state)

    def _check_weights(self, state: FitState) -> None:
        wrong = bad_weights(state.model)
        if wrong:
            step = state.first_step + state.step
            raise NonFiniteError(
                f"Weights are not finite after step {step} (epoch {state.epochs_done + 1} of "
                f"{state.epochs}): {_listed(wrong)}. Its loss and its gradients were, so the step was "
                f"too long. {_lower(state)} The weights were not saved. {_checkpoint(state)}".rstrip(),
                step=step,
                layer=wrong[0].rpartition(".")[0],
            )

    # --- telling ----------------------------------------------------------------------------------

    def _stop(self, state: FitState, *, gradients: bool) -> None:
        """Raise with all that can be found out; the model is left as it was before the batch."""
        if self._statistics:
            torch._foreach_copy_(self._statistics, self._kept)
        names = bad_gradients(state) if gradients else []
        cause = Cause("gradient")
        if self._in_batch:
            cause = cause_of(state, gradients=gradients)
        ids = self._ids(state)
        chosen = [ids[row] for row in cause.rows] if cause.rows else ids
        step = state.first_step + state.step + self._in_batch
        what = (
            f"Gradients are not finite ({_listed(names)})"
            if gradients
            else f"The loss is {state.loss.item():g}"
        )
        message = (
            f"{what} at step {step} (epoch {state.epochs_done + 1} of {state.epochs}, batch "
            f"{state.batches_done + self._in_batch}). {_why(cause)} {_items(cause, chosen)}"
            f"{_advice(state, cause)} The step was not made: the weights are those after "
            f"step {step - 1}. {_checkpoint(state)}"
        )
        if state.pending and gradients:
            message += " Gradients of earlier batches are in it, and may be what it is."
        state.optimizer.zero_grad()
        layer = cause.layer or (names[-1].rpartition(".")[0] if names else "")
        raise NonFiniteError(message.strip(), step=step, items=tuple(chosen), layer=layer)

    def _ids(self, state: FitState) -> list[str]:
        """The items of the batch by their ids, or by their place where the loader has none."""
        if not self._in_batch:
            return []
        ids = state.item_ids()
        inputs = [*state.args, *state.kwargs.values()]
        count = len(inputs[0]) if inputs and isinstance(inputs[0], Tensor) else 0
        if len(ids) != count:
            ids = [f"item {place + 1} of the batch" for place in range(count)]
        return ids


def _is_plain(parameter: Tensor) -> bool:
    """Dense, real and on the CPU."""
    return (
        parameter.device == _CPU
        and parameter.layout is torch.strided
        and parameter.is_floating_point()
    )


def _is_finite(tensor: Tensor) -> bool:
    """By its sum, which is quick: numbers may be finite all the same where that overflows."""
    return math.isfinite(tensor.sum().item()) or all_finite(tensor)


def _why(cause: Cause) -> str:
    layer = f"`{cause.layer}`" + (f" ({cause.layer_kind})" if cause.layer_kind else "")
    if cause.kind == "weights":
        return f"The weights were not finite before it: {_listed(cause.names)}."
    if cause.kind in ("inputs", "targets"):
        return f"There is NaN or infinity in the {' and the '.join(cause.names)}."
    if cause.kind == "layer":
        if cause.before_layer:
            return f"It is first seen in what layer {layer} is given."
        return f"It is first seen in the output of layer {layer}."
    if cause.kind == "loss":
        return "The model's outputs are finite, and the loss of them is not."
    if cause.layer:
        return f"It is first seen in the gradient of the output of layer {layer}."
    return "It was not seen again when the batch was run once more."


def _items(cause: Cause, chosen: list[str]) -> str:
    if not chosen or cause.kind == "weights":
        return ""
    if cause.rows:
        return f"It comes from {_listed(chosen)}. "
    return f"No item stands out; the batch holds {_listed(chosen)}. "


def _advice(state: FitState, cause: Cause) -> str:
    if cause.kind == "weights":
        return "Go back to weights that are finite."
    if cause.kind in ("inputs", "targets"):
        one = len(cause.rows) == 1
        return f"Repair {'this item, or leave it' if one else 'these items, or leave them'} out."
    if cause.kind == "loss":
        return "Look for a logarithm of 0, a division by 0 or an overflow in the loss."
    half = (
        " float16 ends at 65504: train with `MixedPrecision('bfloat16')` or in float32."
        if cause.dtype is torch.float16
        else ""
    )
    if cause.kind == "gradient" and cause.rows:
        return f"A root, a norm or a logarithm has no finite slope at 0: keep it away from 0.{half}"
    return f"{_lower(state)}{half}"


def _lower(state: FitState) -> str:
    rate = max((group.get("lr", 0.0) for group in state.optimizer.param_groups), default=0.0)
    return f"Lower the learning rate (it is {float(rate):.3g}), or add `ClipGradients()`."


def _checkpoint(state: FitState) -> str:
    """The last checkpoint, where there is one."""
    if state.folder is None:
        return ""
    folder: Path = state.folder / "checkpoints"
    found = sorted(folder.glob("epoch-*.json"), key=lambda path: (len(path.name), path.name))
    return (
        f"The last checkpoint is {folder / found[-1].stem}." if found else "There is no checkpoint."
    )


def _listed(names: list[str]) -> str:
    shown, more = names[:SHOWN], len(names) - SHOWN
    text = ", ".join(shown)
    return f"{text} and {more} more" if more > 0 else text
