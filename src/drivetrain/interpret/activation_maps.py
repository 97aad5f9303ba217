"""Where in a picture a net sees a class, and what its channels look for.

    found = dt.interpret.grad_cam(model, pictures)            # (B, h, w) of the last feature maps
    found.over()                                              # (B, H, W), as large as the pictures
    dt.interpret.grad_cam(model, pictures, layer="body.3", classes=2)
    dt.interpret.top_patches(model, batches, layer="body.3")  # for each channel what excites it most

Grad-CAM asks the gradient how much each channel of a layer moves a class's score, and adds the channels
up by that. For a net that ends in a mean over places and a linear layer it is CAM, divided by the number
of places. Papers: Zhou et al. 2016, arXiv:1512.04150; Selvaraju et al. 2017, arXiv:1610.02391. Twin:
drivetrain.reference.cam.

A layer is looked at through hooks, which come off whatever happens. Weights, their gradients, running
statistics and the mode of the model are left as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.randomness import preserved
from drivetrain.train.batches import call_of, to_device

FAINT = 0.01
"""Share of an activation's largest gradient by a pixel below which the pixel does not count as seen."""


@dataclass(frozen=True, eq=False)
class ActivationMaps:
    """For each of B pictures a map of what speaks for a class."""

    maps: Tensor
    """(B, h, w) float32, in the units of the score: above 0 for the class, below 0 against it."""
    classes: Tensor
    """(B,) int64, the class of each map."""
    scores: Tensor
    """(B,) float32, the score (logit) of that class."""
    layer: str
    """Whose channels were added up."""
    size: tuple[int, int]
    """Height and width of the pictures."""

    def over(self, *, only_for: bool = True) -> Tensor:
        """(B, H, W) the maps as large as the pictures, by bilinear interpolation.

        Args:
            only_for: keep what speaks for the class, as in the paper, and make the rest 0.
        """
        kept = self.maps.clamp(min=0) if only_for else self.maps
        resized = F.interpolate(kept[:, None], self.size, mode="bilinear", align_corners=False)
        return resized[:, 0]

    def peaks(self) -> Tensor:
        """(B, 2) int64, row and column of the picture's pixel under the highest place of each map."""
        flat = self.over(only_for=False).flatten(start_dim=1).argmax(dim=1)
        return torch.stack([flat // self.size[1], flat % self.size[1]], dim=1)


def feature_layers(model: nn.Module, inputs: Tensor) -> list[str]:
    """The layers that give (B, C, h, w) maps of more than one place, in the order of their use.

    Args:
        model: in any mode; it is left as it was.
        inputs: an example, (B, C, H, W).
    """
    found: list[str] = []

    def noted(name: str) -> Any:
        def note(module: nn.Module, args: Any, output: Any) -> None:
            if _is_maps(output) and name not in found:
                found.append(name)

        return note

    hooks = {name: noted(name) for name, _ in model.named_modules() if name}
    with _hooked(model, hooks), _looking(model), torch.no_grad():
        model(to_device(inputs, _device(model)))
    return found


def feature_shape(model: nn.Module, inputs: Tensor, layer: str) -> tuple[int, int, int]:
    """(C, h, w) of the feature maps that a layer gives for pictures (B, channels, H, W).

    Raises: as `top_patches`.
    """
    name = _layer_of(model, inputs, layer)
    _, channels, height, width = _features(model, name, inputs).shape
    return channels, height, width


def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    *,
    layer: str | None = None,
    classes: int | Sequence[int] | Tensor | None = None,
) -> ActivationMaps:
    """Maps of what in each picture speaks for a class.

    Args:
        model: (B, channels, H, W) -> (B, K) scores; is asked in evaluation mode.
        inputs: (B, channels, H, W) as the model gets them.
        layer: the name of a layer that gives feature maps; by default the last one that does.
        classes: one for all pictures, or (B,); by default the one with the highest score.

    Raises: UnknownNameError: the model has no such layer. ShapeError: the layer gives no feature maps,
        the model no scores of classes, or not one class a picture. ConfigError: a class that is none, or
        a layer that the model does not use, or uses more than once.
    """
    name = _layer_of(model, inputs, layer)
    outputs: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> Any:
        if not isinstance(output, Tensor):
            return output
        leaf = output.detach().requires_grad_()  # what is below needs no graph
        outputs.append(leaf)
        return leaf.clone()  # what comes next may work in place

    with _hooked(model, {name: keep}), _looking(model), torch.enable_grad():
        scores = model(to_device(inputs, _device(model)))
        if len(outputs) != 1:
            used = f"{len(outputs)} times" if outputs else "not"
            raise ConfigError(f"The model uses its layer '{name}' {used}. Choose another.")
        chosen = _classes_of(scores, classes)
        picked = scores.gather(1, chosen[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(picked.sum(), outputs[0])
    features = outputs[0].detach()
    if not _is_maps(features):
        raise ShapeError(
            f"Layer '{name}' gives {tuple(features.shape)}, and a map needs (B, C, h, w). Choose a layer "
            "before the pooling."
        )
    channels = gradient.mean(dim=(2, 3))  # (B, C), how much each one moves the score
    maps = torch.einsum("bc,bchw->bhw", channels, features) * features[0, 0].numel()
    return ActivationMaps(
        maps.cpu(), chosen.cpu(), picked.detach().cpu(), name, (inputs.shape[2], inputs.shape[3])
    )


@dataclass(frozen=True)
class Patch:
    """A part of a picture that excites a channel."""

    item: int
    """The picture's place in the order in which pictures came."""
    value: float
    """The activation."""
    place: tuple[int, int]
    """Row and column in the layer's grid."""
    box: tuple[int, int, int, int]
    """Top, left, bottom, right in pixels: what the activation sees; bottom and right are not in it."""
    pixels: Tensor = field(compare=False, repr=False)
    """(channels, height, width), that part of the input."""


def top_patches(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    layer: str,
    channels: Sequence[int] | None = None,
    count: int = 9,
) -> dict[int, list[Patch]]:
    """For each channel of a layer the patches that excite it most, at most one a picture.

    How much a place sees is asked of the gradient, so that strides, dilation and padding need not be
    known; pixels with less than a hundredth of the largest gradient do not count as seen.

    Args:
        model: in any mode; it is left as it was.
        batches: as a loader gives them, `(inputs, …)`, or inputs alone; gone through once.
        layer: one of `feature_layers`.
        channels: which; by default the first 16.
        count: patches a channel.

    Returns: channel -> patches, the highest first.
    Raises: as `grad_cam`; ConfigError also for a channel that the layer has not.
    """
    if count < 1:
        raise ConfigError(f"`top_patches` got count={count}, expected 1 or more.")
    best: dict[int, list[tuple[float, int, tuple[int, int], Tensor]]] = {}
    seen = 0
    for batch in batches:
        inputs = _inputs_of(batch)
        name = _layer_of(model, inputs, layer)
        features = _features(model, name, inputs)
        if not best:
            wanted = range(min(16, features.shape[1])) if channels is None else channels
            wrong = [channel for channel in wanted if not 0 <= channel < features.shape[1]]
            if wrong:
                raise ConfigError(
                    f"Layer '{name}' has the channels 0 to {features.shape[1] - 1}. Got {wrong[0]}."
                )
            best = {channel: [] for channel in wanted}
        values, flat = features.flatten(start_dim=2).max(dim=2)  # (B, C) each
        width = features.shape[3]
        for channel, kept in best.items():
            for row in range(len(inputs)):
                place = divmod(int(flat[row, channel]), width)
                kept.append((float(values[row, channel]), seen + row, place, inputs[row]))
            kept.sort(key=lambda found: (-found[0], found[1]))
            del kept[count:]
        seen += len(inputs)
    return {
        channel: [
            _patch(model, layer, channel, value, item, place, picture)
            for value, item, place, picture in kept
        ]
        for channel, kept in best.items()
    }


def _patch(
    model: nn.Module,
    layer: str,
    channel: int,
    value: float,
    item: int,
    place: tuple[int, int],
    picture: Tensor,
) -> Patch:
    """The part of the picture that the activation's gradient reaches."""
    leaf = to_device(picture[None], _device(model)).detach().clone().requires_grad_()
    got: list[Tensor] = []
    with (
        _hooked(model, {layer: lambda module, args, output: got.append(output.clone())}),
        _looking(model),
        torch.enable_grad(),
    ):
        model(leaf)
        (gradient,) = torch.autograd.grad(got[0][0, channel, place[0], place[1]], leaf)
    reach = gradient[0].abs().amax(dim=0)  # (H, W)
    rows, columns = torch.nonzero(reach > FAINT * reach.max(), as_tuple=True)
    if len(rows) == 0:  # a ReLU that is off everywhere: nothing moves it, and the whole is shown
        box = (0, 0, reach.shape[0], reach.shape[1])
    else:
        box = (
            int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1,
        )  # fmt: skip
    pixels = picture[:, box[0] : box[2], box[1] : box[3]].detach().cpu()
    return Patch(item, value, place, box, pixels)


def _features(model: nn.Module, name: str, inputs: Tensor) -> Tensor:
    got: list[Tensor] = []
    hook = {name: lambda module, args, output: got.append(output.clone())}
    with _hooked(model, hook), _looking(model), torch.no_grad():
        model(to_device(inputs, _device(model)))
    if not got or not _is_maps(got[0]):
        shape = tuple(got[0].shape) if got else "nothing"
        raise ShapeError(f"Layer '{name}' gives {shape}, and patches need (B, C, h, w).")
    return got[0].cpu()


def _layer_of(model: nn.Module, inputs: Tensor, layer: str | None) -> str:
    if inputs.ndim != 4:
        raise ShapeError(
            f"Pictures are (B, channels, H, W). Got {tuple(inputs.shape)}; of one picture `x[None]`."
        )
    if layer is None:
        found = feature_layers(model, inputs[:1])
        if not found:
            raise ShapeError("No layer of the model gives feature maps (B, C, h, w).")
        return found[-1]
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        raise UnknownNameError(
            f"The model has no layer '{layer}'.{did_you_mean(layer, names)} `feature_layers` lists those "
            "that give maps."
        )
    return layer


def _classes_of(scores: Any, classes: int | Sequence[int] | Tensor | None) -> Tensor:
    """(B,) int64."""
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ShapeError(f"`grad_cam` needs scores (B, K) of the model. Got {shape}.")
    if classes is None:
        return scores.argmax(dim=1)
    chosen = torch.as_tensor(classes, dtype=torch.int64, device=scores.device)
    if chosen.ndim == 0:
        chosen = chosen.expand(len(scores))
    if chosen.shape != (len(scores),):
        raise ShapeError(
            f"`grad_cam` got {tuple(chosen.shape)} classes for {len(scores)} pictures: one for all, or "
            "one each."
        )
    if int(chosen.min()) < 0 or int(chosen.max()) >= scores.shape[1]:
        raise ConfigError(f"The model has the classes 0 to {scores.shape[1] - 1}. Got {classes}.")
    return chosen


def _inputs_of(batch: Any) -> Tensor:
    if isinstance(batch, Tensor):
        return batch
    args, named, _ = call_of(batch)
    found = [part for part in (*args, *named.values()) if isinstance(part, Tensor)]
    return found[0]


def _is_maps(output: Any) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def _hooked(model: nn.Module, hooks: dict[str, Any]) -> Iterator[None]:
    """Forward hooks on layers by their names, which come off whatever happens."""
    layers = dict(model.named_modules())
    handles = [layers[name].register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _looking(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each module in the mode that it had; no draw is spent."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with preserved():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
