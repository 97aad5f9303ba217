"""CAM and Grad-CAM: what they add up to, where a planted square is found, and hooks that come off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivetrain.models.resnet import resnet_tiny
from drivetrain.randomness import seeded
from drivetrain.reference import cam as twin


class Pooled(nn.Module):
    """A body, the mean of each of its maps, and a linear layer."""

    def __init__(self, body: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean(dim=(2, 3)))


def model() -> Pooled:
    with seeded(2, "model"):
        return Pooled(resnet_tiny(), 64, 5).double().eval()


def picture(seed: int = 0) -> Tensor:
    return torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(seed)).double()


def num_hooks(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._backward_hooks) for part in module.modules())


@pytest.mark.row(160)
def test_the_mean_of_the_map_and_the_bias_are_the_score() -> None:
    net, x = model(), picture()
    with torch.no_grad():
        features, scores = net.body(x[None])[0], net(x[None])[0]
        maps = twin.cam(features, net.head.weight)
        torch.testing.assert_close(
            maps.mean(dim=(1, 2)) + net.head.bias, scores, atol=1e-10, rtol=0
        )
        with_bias = twin.cam(features, net.head.weight, net.head.bias)
    torch.testing.assert_close(with_bias.mean(dim=(1, 2)), scores, atol=1e-10, rtol=0)


@pytest.mark.row(160)
@pytest.mark.parametrize("target", range(5))
def test_with_a_mean_and_a_linear_layer_grad_cam_times_places_is_cam(target: int) -> None:
    net, x = model(), picture()
    with torch.no_grad():
        wanted = twin.cam(net.body(x[None])[0], net.head.weight)[target]
    found = twin.grad_cam(net, net.body, x, target)
    torch.testing.assert_close(found * found.numel(), wanted, atol=1e-10, rtol=0)


@pytest.mark.row(160)
@pytest.mark.parametrize("layer", ["body.stem", "body.stem.0", "body.layers.0", "body.layers.1.0"])
def test_any_layer_by_finite_differences(layer: str) -> None:
    """α_c by moving a whole channel a little: the mean over places of the gradient."""
    net, x, target = model(), picture(), 3
    part = net.get_submodule(layer)
    found = twin.grad_cam(net, part, x, target)
    step, kept = 1e-5, []

    def moved(channel: int, by: float) -> float:
        def move(module: nn.Module, args: object, output: Tensor) -> Tensor:
            change = torch.zeros_like(output)
            change[:, channel] = by
            return output + change

        handle = part.register_forward_hook(move)
        try:
            with torch.no_grad():
                return net(x[None])[0, target].item()
        finally:
            handle.remove()

    handle = part.register_forward_hook(lambda m, a, output: kept.append(output.detach().clone()))
    with torch.no_grad():
        net(x[None])
    handle.remove()
    (activations,) = kept[0]
    slopes = [(moved(c, step) - moved(c, -step)) / (2 * step) for c in range(len(activations))]
    alphas = torch.tensor(slopes).double() / found.numel()
    wanted = (alphas[:, None, None] * activations).sum(dim=0)
    # A ReLU that turns between the two measurements spoils a slope by as much as the step.
    torch.testing.assert_close(found, wanted, atol=1e-4 * float(wanted.abs().max()), rtol=0)


@pytest.mark.row(160)
@pytest.mark.parametrize("corner", [(4, 6), (18, 15), (10, 0)])
def test_the_peak_over_the_picture_lies_in_the_square_that_was_planted(
    corner: tuple[int, int],
) -> None:
    """A net that finds brightness by construction; the map of each of its layers is laid over."""
    with seeded(3, "net"):
        layers = nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 3, 2, 1)
        net = Pooled(nn.Sequential(*layers), 2, 2).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.1)
        net.head.weight[0] = -0.1  # class 0 is darkness
    x = 0.1 * torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    row, column = corner
    x[:, row : row + 8, column : column + 8] = 1
    for layer in (net.body, net.body.get_submodule("0")):
        laid = twin.resized(twin.grad_cam(net, layer, x, target=1), 32, 32)
        i, j = divmod(int(laid.argmax()), 32)
        assert row <= i < row + 8 and column <= j < column + 8
        against = twin.resized(twin.grad_cam(net, layer, x, target=0), 32, 32)
        assert int(against.argmin()) == int(laid.argmax())


@pytest.mark.row(160)
@pytest.mark.parametrize("size", [(7, 9), (32, 32), (3, 2), (1, 1)])
def test_a_map_is_laid_over_the_picture_as_torch_does(size: tuple[int, int]) -> None:
    small = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).double()
    wanted = F.interpolate(small[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(twin.resized(small, *size), wanted, atol=1e-12, rtol=0)


@pytest.mark.row(160)
def test_hooks_come_off_also_when_something_goes_wrong() -> None:
    net, x = model(), picture()
    before = num_hooks(net)
    twin.grad_cam(net, net.body, x, 0)
    assert num_hooks(net) == before
    with pytest.raises(IndexError):
        twin.grad_cam(net, net.body, x, 99)
    assert num_hooks(net) == before
    with twin.watching(net.body):
        assert num_hooks(net) == before + 1
    assert num_hooks(net) == before
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.row(160)
def test_a_frozen_net_and_one_that_works_in_place_are_looked_at_alike() -> None:
    x, target = picture(), 2
    for layer in ("body", "body.stem.1"):  # behind stem.1 a ReLU writes over what it is given
        net = model()
        wanted = twin.grad_cam(net, net.get_submodule(layer), x, target)
        with torch.no_grad():
            found = twin.grad_cam(net.requires_grad_(False), net.get_submodule(layer), x, target)
        assert torch.equal(found, wanted)


def test_looking_changes_no_score() -> None:
    net, x = model(), picture()
    with torch.no_grad():
        before = net(x[None])
        with twin.watching(net.body.get_submodule("stem.1")) as seen:
            during = net(x[None])
    assert torch.equal(before, during)
    assert seen.output is not None and seen.output.shape[0] == 1


def test_a_layer_that_is_not_used_is_named() -> None:
    with pytest.raises(ValueError) as caught:
        twin.grad_cam(model(), nn.Identity(), picture(), 0)
    assert str(caught.value) == (
        "The model did not use the Identity that was to be looked at. Give one of the model's own layers."
    )
