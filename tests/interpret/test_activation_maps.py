"""interpret/activation_maps.py: beside its twin, by what is planted, and with all hooks off again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from drivetrain.errors import ConfigError, ShapeError, UnknownNameError
from drivetrain.interpret import feature_layers, grad_cam, top_patches
from drivetrain.reference import cam as twin


class Net(nn.Module):
    """Two convolutions, a mean over places, a linear layer: what CAM is made for."""

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, stride=2)
        self.second = nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 3)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu_()).relu_()
        return self.head(self.drop(x.mean(dim=(2, 3))))


def pictures(count: int = 3, side: int = 16, *, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


def num_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


@pytest.mark.row(159)
def test_with_a_mean_and_a_linear_layer_it_is_cam_and_its_mean_the_score() -> None:
    net, x = Net().double(), pictures().double()
    found = grad_cam(net, x, layer="second")
    net.eval()
    features = net.second(net.first(x).relu()).detach()  # as the hook sees it, before the ReLU
    for row, chosen in enumerate(found.classes.tolist()):
        slope = (features[row] > 0).double().mean(dim=(1, 2))  # how often the ReLU lets through
        weight = (net.head.weight[chosen] * slope)[None]
        torch.testing.assert_close(found.maps[row], twin.cam(features[row], weight)[0].detach())
    scores = net(x)
    torch.testing.assert_close(found.scores, scores.amax(dim=1).detach())


@pytest.mark.row(159)
def test_cam_of_a_net_without_a_last_relu_is_exact() -> None:
    conv, head = nn.Conv2d(1, 5, 3).double(), nn.Linear(5, 2).double()
    model = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    x = pictures(2).double()
    for target in (0, 1):
        found = grad_cam(model, x, classes=target)
        assert found.layer == "0"
        for row in range(2):
            expected = twin.cam(conv(x)[row], head.weight)[target].detach()
            torch.testing.assert_close(found.maps[row], expected, rtol=0, atol=1e-12)
            total = found.maps[row].mean() + head.bias[target].detach()
            torch.testing.assert_close(total, model(x)[row, target].detach())


@pytest.mark.row(160)
@pytest.mark.parametrize("layer", ["first", "second"])
def test_of_any_layer_it_is_the_twins(layer: str) -> None:
    net, x = Net().double(), pictures().double()
    found = grad_cam(net, x, layer=layer, classes=[2, 0, 1])
    net.eval()
    for row, target in enumerate([2, 0, 1]):
        expected = twin.grad_cam(net, getattr(net, layer), x[row], target)
        torch.testing.assert_close(found.maps[row], expected * expected.numel())
        over = twin.resized(found.maps[row].clamp(min=0), 16, 16)
        torch.testing.assert_close(found.over()[row], over)


@pytest.mark.row(160)
def test_the_peak_lies_inside_a_planted_square() -> None:
    class Bright(nn.Module):
        """Scores by the largest mean of 3 x 3 pixels: class 1 for bright ones."""

        def __init__(self) -> None:
            super().__init__()
            self.look = nn.Conv2d(1, 1, 3, padding=1, bias=False)
            nn.init.constant_(self.look.weight, 1 / 9)

        def forward(self, x: Tensor) -> Tensor:
            most = (self.look(x) - 0.6).relu().mean(dim=(2, 3))
            return torch.cat([0.01 - most, most], dim=1)

    generator = torch.Generator().manual_seed(5)
    x = 0.3 * torch.rand(12, 1, 24, 24, generator=generator)
    corners = torch.randint(0, 19, (12, 2), generator=generator)
    for row, (top, left) in enumerate(corners.tolist()):
        x[row, 0, top : top + 5, left : left + 5] = 1.0
    found = grad_cam(Bright(), x, classes=1)
    inside = (found.peaks() >= corners) & (found.peaks() < corners + 5)
    assert inside.all()


@pytest.mark.row(158)
def test_hooks_come_off_and_nothing_is_changed_also_after_an_error() -> None:
    net, x = Net(), pictures()
    net.train()
    net.drop.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.default_generator.get_state()
    grad_cam(net, x)
    top_patches(net, [x], layer="first", count=2)
    feature_layers(net, x)
    for wrong in ({"layer": "head"}, {"classes": 7}, {"layer": "second", "classes": [0]}):
        with pytest.raises((ShapeError, ConfigError)):
            grad_cam(net, x, **wrong)
    assert num_hooks(net) == 0
    assert (net.training, net.first.training, net.drop.training) == (True, True, False)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(torch.default_generator.get_state(), state)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_frozen_and_under_no_grad_it_is_the_same() -> None:
    net, x = Net(), pictures()
    expected = grad_cam(net, x).maps
    with torch.no_grad():
        assert torch.equal(grad_cam(net.requires_grad_(False), x).maps, expected)


def test_layers_that_give_maps_are_listed_and_the_last_is_taken() -> None:
    net, x = Net(), pictures()
    assert feature_layers(net, x) == ["first", "second"]
    assert grad_cam(net, x).layer == "second"


@pytest.mark.row(3)
def test_patches_are_where_a_channel_is_most_excited_and_what_it_sees() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, bias=False),
        nn.Conv2d(2, 2, 3, stride=2, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
    x = pictures(7, 21)
    x[4, 0, 8:15, 4:11] = 3.0  # rows 2 and columns 1 of the second layer see 8..14 and 4..10
    found = top_patches(net, [(x[:4], None), (x[4:], None)], layer="1", channels=[1], count=3)
    first = found[1][0]
    assert (first.item, first.place, first.box) == (4, (2, 1), (8, 4, 15, 11))  # 7 x 7
    assert torch.equal(first.pixels, x[4, :, 8:15, 4:11])
    values = [patch.value for patch in found[1]]
    assert values == sorted(values, reverse=True) and len(values) == 3
    features = net[1](net[0](x))
    assert first.value == pytest.approx(features[4, 1].max().item())


def test_what_cannot_be_looked_at_is_refused() -> None:
    net, x = Net(), pictures()
    for call, error, sentence in (
        (
            lambda: grad_cam(net, x, layer="secnd"),
            UnknownNameError,
            r"^The model has no layer 'secnd'\. Did you mean 'second'\? `feature_layers` lists those "
            r"that give maps\.$",
        ),
        (
            lambda: grad_cam(net, x, layer="head"),
            ShapeError,
            r"^Layer 'head' gives \(3, 3\), and a map needs \(B, C, h, w\)\. Choose a layer before the "
            r"pooling\.$",
        ),
        (
            lambda: grad_cam(net, x[0]),
            ShapeError,
            r"^Pictures are \(B, channels, H, W\)\. Got \(1, 16, 16\); of one picture `x\[None\]`\.$",
        ),
        (
            lambda: grad_cam(net, x, classes=3),
            ConfigError,
            r"^The model has the classes 0 to 2\. Got 3\.$",
        ),
        (
            lambda: grad_cam(net, x, classes=[1, 2]),
            ShapeError,
            r"^`grad_cam` got \(2,\) classes for 3 pictures: one for all, or one each\.$",
        ),
        (
            lambda: grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), x),
            ShapeError,
            r"^No layer of the model gives feature maps \(B, C, h, w\)\.$",
        ),
        (
            lambda: top_patches(net, [x], layer="first", channels=[4]),
            ConfigError,
            r"^Layer 'first' has the channels 0 to 3\. Got 4\.$",
        ),
        (
            lambda: top_patches(net, [x], layer="first", count=0),
            ConfigError,
            r"^`top_patches` got count=0, expected 1 or more\.$",
        ),
    ):
        with pytest.raises(error, match=sentence):
            call()
