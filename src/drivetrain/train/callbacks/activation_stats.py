"""What each layer gives during training: mean, spread, share near zero, and a picture of all its values.

A layer most of whose outputs are near zero has stopped to take part, and seldom comes back. The picture
of histograms side by side, a column a step, is Giomo's "colourful dimension"; the first collapse of
a bad start is seen in it as a dark wave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from drivetrain._optional import require
from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError
from drivetrain.train.callback import Callback
from drivetrain.train.callbacks._checking import check_number, check_whole
from drivetrain.train.state import FitState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Wanted = Sequence[str | type[nn.Module] | nn.Module] | str | type[nn.Module] | None

NUMBERS = ("mean", "std", "near_zero", "gradient")
"""What is measured of a layer at a step, beside the histogram."""

_FOLLOWS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Norms; with activations they belong to the layer before them."""


@dataclass(frozen=True)
class LayerStats:
    """One layer's numbers over the steps that were measured, (S,) float each; NaN: there was none."""

    name: str
    """As `named_modules` says."""
    kind: str
    """Its class, and what follows it: `Conv2d BatchNorm2d ReLU`."""
    steps: Tensor
    """(S,) int64, steps of the fit from 0."""
    mean: Tensor
    std: Tensor
    near_zero: Tensor
    """Share of the values that are nearer to 0 than the threshold."""
    gradient: Tensor
    """Norm of the gradient of the layer's weight."""
    histogram: Tensor
    """(S, bins) share of the values' sizes in each bin."""


class ActivationStats(Callback):
    """Measures the outputs of layers, and the gradients of their weights, while a model trains.

    `table()` says where things stand, `plot()` draws the numbers over the steps, and `plot_histograms()`
    the colourful dimension. Numbers stay on the device until they are asked for, and hooks go when the
    fit is over. Memory is bounded: when `keep` steps are full, every second one is forgotten and
    half as many are measured from then on. They are those of the last fit.

    Args:
        modules: what to look at: names as `named_modules` says, names of classes such as "ReLU", classes,
            or modules. None: each layer with a weight, measured after the norm and the activation that
            stand behind it in the model; an activation called as a function is not seen.
        every: steps between two measurements.
        threshold: a value whose size is below it counts as near zero.
        bins: of the histogram of sizes |x|.
        limit: where the histogram ends; what is larger counts in its last bin.
        keep: the most steps that are kept, an even number.
    Raises: ConfigError: an argument is out of range; in the fit: there is no such layer.
    """

    in_script = False

    def __init__(
        self,
        modules: Wanted = None,
        *,
        every: int = 1,
        threshold: float = 0.05,
        bins: int = 40,
        limit: float = 10.0,
        keep: int = 1000,
    ) -> None:
        check_whole("ActivationStats", "every", every, least=1)
        check_number("ActivationStats", "threshold", threshold, above=0)
        check_whole("ActivationStats", "bins", bins, least=2)
        check_number("ActivationStats", "limit", limit, above=0)
        check_whole("ActivationStats", "keep", keep, least=2)
        if keep % 2:
            raise ConfigError(f"`ActivationStats` needs `keep` as an even number. Got {keep}.")
        self.modules = modules
        self.every = every
        self.threshold = threshold
        self.bins = bins
        self.limit = limit
        self.keep = keep
        self._names: list[str] = []
        self._kinds: list[str] = []
        self._steps: list[int] = []
        self._numbers: list[Tensor] = []  # (layers, 4 + bins) each
        self._stride = every
        self._now: Tensor | None = None
        self._is_open = False
        self._hooks: list[RemovableHandle] = []
        self._weights: list[nn.Parameter | None] = []

    # --- measuring --------------------------------------------------------------------------------

    def before_fit(self, state: FitState) -> None:
        self._remove()
        layers = self._layers(state.model)
        self._names = [name for name, *_ in layers]
        self._kinds = [kind for _, kind, *_ in layers]
        self._weights = [weight for *_, weight in layers]
        self._steps, self._numbers, self._stride, self._now = [], [], self.every, None
        for place, (_, _, module, _) in enumerate(layers):
            self._hooks.append(module.register_forward_hook(_Hook(self, place)))

    def state_dict(self) -> dict[str, Any]:
        numbers = self._stacked()
        return {"steps": list(self._steps), "stride": self._stride, "numbers": numbers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._steps, self._stride = list(state["steps"]), state["stride"]
        self._numbers = [numbers.clone() for numbers in state["numbers"].unbind()]

    def before_batch(self, state: FitState) -> None:
        if state.step % self._stride == 0:
            nothing = torch.full((len(self._names), len(NUMBERS) + self.bins), math.nan)
            self._now, self._is_open = nothing.to(state.device), True

    def after_forward(self, state: FitState) -> None:
        self._is_open = False

    def before_step(self, state: FitState) -> None:
        if self._now is None:
            return
        for place, weight in enumerate(self._weights):
            if weight is not None and weight.grad is not None:
                self._now[place, 3] = torch.linalg.vector_norm(weight.grad)

    def after_batch(self, state: FitState) -> None:
        self._is_open = False
        if self._now is None:
            return
        if len(self._steps) == self.keep:
            self._stride *= 2
            self._steps, self._numbers = self._steps[::2], self._numbers[::2]
        if (state.step - 1) % self._stride == 0:  # the batch is counted already
            self._steps.append(state.step - 1)
            self._numbers.append(self._now)
        self._now = None

    def after_fit(self, state: FitState) -> None:
        self._remove()

    def _measure(self, place: int, output: Any) -> None:
        if not self._is_open or self._now is None:
            return
        if isinstance(output, tuple | list) and output:  # recurrent layers: outputs first
            output = output[0]
        if not isinstance(output, Tensor) or not output.is_floating_point() or not output.numel():
            return
        with torch.no_grad():
            values = output.detach().float()
            std, mean = torch.std_mean(values, correction=0)
            sizes = values.abs()
            near = (sizes < self.threshold).float().mean()
            inside = sizes.clamp_(max=self.limit)
            counts = torch.histc(inside, self.bins, 0, self.limit) / values.numel()
            self._now[place, :3] = torch.stack([mean, std, near])
            self._now[place, len(NUMBERS) :] = counts

    def _remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._weights, self._now, self._is_open = [], [], None, False

    # --- which layers -----------------------------------------------------------------------------

    def _layers(self, model: nn.Module) -> list[tuple[str, str, nn.Module, nn.Parameter | None]]:
        """Name, kind, what is measured, weight: of each layer."""
        named = list(model.named_modules())
        if self.modules is None:
            found = _with_what_follows([(n, m) for n, m in named if not list(m.children())])
        else:
            is_one = isinstance(self.modules, str | type)
            wanted: list[Any] = [self.modules] if is_one else list(self.modules)  # pyright: ignore[reportArgumentType]
            for one in wanted:
                if not any(_is(name, module, one) for name, module in named):
                    self._refuse(one, named)
            found = [
                (name, type(module).__name__, module, _weight(module))
                for name, module in named
                if any(_is(name, module, one) for one in wanted)
            ]
        if not found:
            raise ConfigError(
                f"`ActivationStats` found no layer with a weight in `{type(model).__name__}`. Say what "
                'to look at: `ActivationStats("ReLU")`.'
            )
        return found

    def _refuse(self, one: Any, named: list[tuple[str, nn.Module]]) -> None:
        name = one if isinstance(one, str) else getattr(one, "__name__", type(one).__name__)
        known = dict.fromkeys([*(n for n, _ in named if n), *(type(m).__name__ for _, m in named)])
        raise ConfigError(
            f"`ActivationStats` found no module '{name}' in the model.{did_you_mean(name, known)} "
            "Modules go by their name in `named_modules()` or by their class."
        )

    # --- looking ----------------------------------------------------------------------------------

    @property
    def layers(self) -> list[LayerStats]:
        """The layers in the order of the model, with all that was measured."""
        numbers = self._stacked().cpu()  # (S, layers, 4 + bins)
        steps = torch.tensor(self._steps, dtype=torch.int64)
        return [
            LayerStats(
                name,
                kind,
                steps,
                *numbers[:, place, : len(NUMBERS)].unbind(dim=1),
                histogram=numbers[:, place, len(NUMBERS) :],
            )
            for place, (name, kind) in enumerate(zip(self._names, self._kinds, strict=True))
        ]

    def table(self) -> str:
        """A line a layer: its numbers at the last step that was measured."""
        self._need_steps()
        rows = [("layer", "kind", "mean", "std", "near 0", "gradient")]
        for layer in self.layers:
            gradient = float(layer.gradient[-1])
            rows.append(
                (
                    layer.name,
                    layer.kind,
                    f"{float(layer.mean[-1]):.3f}",
                    f"{float(layer.std[-1]):.3f}",
                    f"{float(layer.near_zero[-1]):.1%}",
                    "" if math.isnan(gradient) else f"{gradient:.2e}",
                )
            )
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([f"step {self._steps[-1]}, near 0: |x| < {self.threshold:g}", *lines])

    def plot(self) -> Figure:
        """Mean, spread, share near zero and gradient norm over the steps, a line a layer.

        Returns: a `matplotlib.figure.Figure`; a notebook shows it, `figure.savefig(...)` writes it.
        Raises: MissingPackageError: there is no matplotlib. ConfigError: nothing was measured yet.
        """
        self._need_steps()
        require("matplotlib", extra="plot")
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 6.5), layout="constrained")
        layers = self.layers
        titles = ("mean", "std", f"share near 0 (|x| < {self.threshold:g})", "norm of gradient")
        for axes, number, title in zip(
            figure.subplots(2, 2, sharex=True).flat, NUMBERS, titles, strict=True
        ):
            for place, layer in enumerate(layers):
                colour = colormaps["viridis"](0.95 * place / max(len(layers) - 1, 1))
                values = getattr(layer, number).numpy()
                axes.plot(layer.steps.numpy(), values, color=colour, label=layer.name, linewidth=1)
            axes.set_title(title)
            axes.grid(alpha=0.3)
        all_axes: list[Axes] = figure.axes
        all_axes[2].set_ylim(-0.02, 1.02)
        if any(bool((layer.gradient > 0).any()) for layer in layers):
            all_axes[3].set_yscale("log")
        for axes in all_axes[2:]:
            axes.set_xlabel("step")
        figure.legend(
            *all_axes[0].get_legend_handles_labels(), loc="outside right upper", title="layer"
        )
        return figure

    def plot_histograms(self, *, columns: int = 3) -> Figure:
        """The colourful dimension: for each layer a column a step, bright where many values are.

        Up is the size of the values, from 0; colours are log(1 + share in millionths), so that a few
        large ones are seen beside many small ones.

        Args:
            columns: pictures a row.
        Returns: a `matplotlib.figure.Figure`.
        Raises: MissingPackageError: there is no matplotlib. ConfigError: nothing was measured yet.
        """
        self._need_steps()
        check_whole("plot_histograms", "columns", columns, least=1)
        require("matplotlib", extra="plot")
        from matplotlib.figure import Figure

        layers = self.layers
        columns = min(columns, len(layers))
        rows = -(-len(layers) // columns)
        figure = Figure(figsize=(3.6 * columns, 0.4 + 2.4 * rows), layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
        first, last = self._steps[0], self._steps[-1]
        for axes, layer in zip(grid, layers, strict=False):
            picture = torch.log1p(1e6 * layer.histogram).T.numpy()  # (bins, S)
            axes.imshow(
                picture,
                origin="lower",
                aspect="auto",
                extent=(first, max(last, first + 1), 0, self.limit),
                vmin=0,
                vmax=math.log1p(1e6),
                interpolation="nearest",
            )
            axes.set_title(f"{layer.name} {layer.kind}", fontsize=8)
        for place in range(len(layers), len(grid)):  # the one above is the last of its column
            grid[place].set_visible(False)
            grid[place - columns].tick_params(labelbottom=True)
        figure.supxlabel("step")
        figure.supylabel("|x|")
        return figure

    def _stacked(self) -> Tensor:
        if not self._numbers:
            return torch.empty(0, len(self._names), len(NUMBERS) + self.bins)
        return torch.stack([numbers.to(self._numbers[-1].device) for numbers in self._numbers])

    def _need_steps(self) -> None:
        if not self._steps:
            raise ConfigError(
                "`ActivationStats` has measured nothing yet. Train first: "
                "`learner.fit(1, callbacks=[stats])`."
            )


class _Hook:
    """Hands a module's output to the measurement."""

    def __init__(self, stats: ActivationStats, place: int) -> None:
        self.stats, self.place = stats, place

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.stats._measure(self.place, output)


def _with_what_follows(
    leaves: list[tuple[str, nn.Module]],
) -> list[tuple[str, str, nn.Module, nn.Parameter | None]]:
    """Each layer with a weight, together with the norms and activations right behind it."""
    found: list[tuple[str, str, nn.Module, nn.Parameter | None]] = []
    is_open = False
    for name, module in leaves:
        if is_open and (isinstance(module, _FOLLOWS) or _is_activation(module)):
            first, kind, _, weight = found[-1]
            found[-1] = (first, f"{kind} {type(module).__name__}", module, weight)
            continue
        weight = _weight(module)
        is_open = weight is not None and not isinstance(module, _FOLLOWS)
        if is_open:
            found.append((name, type(module).__name__, module, weight))
    return found


def _is_activation(module: nn.Module) -> bool:
    return type(module).__module__ == "torch.nn.modules.activation" and not isinstance(
        module, nn.MultiheadAttention
    )


def _weight(module: nn.Module) -> nn.Parameter | None:
    """The first parameter of the module itself that is a matrix or more, else its first."""
    own = list(module.parameters(recurse=False))
    return next((p for p in own if p.ndim > 1), own[0] if own else None)


def _is(name: str, module: nn.Module, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return wanted in (name, type(module).__name__)
    return isinstance(module, wanted) if isinstance(wanted, type) else module is wanted
