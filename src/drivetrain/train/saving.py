"""What a checkpoint holds: weights and optimizer state as named tensors, and plain numbers as JSON.

The optimizer's state is stored by parameter name, never by position, so that it is found again even
where layers are grouped differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from drivetrain.errors import RunError

MODEL, OPTIMIZER = "model.", "optimizer."


def pack(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """All tensors of a checkpoint, by name.

    `model.<name>` for the state dict, `optimizer.<parameter>|<entry>` for what the optimizer remembers
    of a parameter.
    """
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for entry, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{OPTIMIZER}{name}|{entry}"] = torch.as_tensor(value)
    return tensors


def unpack_model(tensors: Mapping[str, Tensor], model: nn.Module, *, what: str) -> None:
    """Load the weights of a checkpoint.

    Raises: RunError: they are not this model's: other names or shapes.
    """
    load_weights(
        model, {k[len(MODEL) :]: v for k, v in tensors.items() if k.startswith(MODEL)}, what=what
    )


def unpack_optimizer(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: Optimizer) -> None:
    """Give the optimizer back what it remembered of each parameter.

    A moment gets its parameter's memory format: a fused optimizer walks both as they lie in memory, and
    in different orders it would pair the wrong numbers.

    Raises: RunError: there is state of a parameter that the model does not have.
    """
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        if key.startswith(OPTIMIZER):
            name, entry = key[len(OPTIMIZER) :].rsplit("|", 1)
            if name not in parameters:
                raise RunError(
                    f"The checkpoint remembers {name!r}, which the model does not have. "
                    "Build the model as it was when the checkpoint was written."
                )
            parameter = parameters[name]
            kept = value.clone()
            if entry != "step" and value.shape == parameter.shape:  # torch keeps `step` on the CPU
                kept = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            optimizer.state[parameter][entry] = kept.detach()


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, what: str) -> None:
    """`load_state_dict`, strict, with a message a person can act on.

    Args:
        what: names the source of the weights in the message.
    Raises: RunError: names or shapes differ.
    """
    own: Mapping[str, Any] = model.state_dict()
    missing = [name for name in own if name not in weights]
    unknown = [name for name in weights if name not in own]
    other = [n for n in own if n in weights and own[n].shape != weights[n].shape]
    if missing or unknown or other:
        parts = []
        for label, names in (("missing", missing), ("unknown", unknown), ("other shape", other)):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                parts.append(f"{label}: {', '.join(names[:3])}{more}")
        raise RunError(
            f"{what} holds the weights of another model ({'; '.join(parts)}). "
            "Build the model with the same name and number of classes."
        )
    model.load_state_dict(dict(weights))
