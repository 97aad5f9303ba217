"""Schedules as a picture: what is drawn, that it can be drawn without a screen, and what is refused."""

from __future__ import annotations

import inspect
import io
import sys

import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from drivetrain.errors import ConfigError, MissingPackageError, UnknownNameError
from drivetrain.optim import SCHEDULES, one_cycle, one_cycle_momentum, plot_schedule, sgdr

PNG = b"\x89PNG\r\n\x1a\n"


def test_one_call_draws_a_picture_without_a_screen():
    figure = plot_schedule("one_cycle", "flat_cosine", "sgdr", "multi_step", "one_cycle_momentum")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(PNG)
    picture = Image.open(file).convert("RGB")
    colours = {
        picture.getpixel((x, y)) for x in range(picture.width) for y in range(picture.height)
    }
    for line in figure.axes[0].lines:
        assert tuple(round(255 * part) for part in to_rgb(line.get_color())) in colours


def test_draws_the_values_of_the_schedule():
    (line,) = plot_schedule("one_cycle", pct_start=0.4, num_points=11).axes[0].lines
    assert list(line.get_xdata()) == [step / 10 for step in range(11)]
    assert list(line.get_ydata()) == [one_cycle(step / 10, pct_start=0.4) for step in range(11)]


def test_says_on_its_axes_what_is_drawn():
    figure = plot_schedule("cosine", {"name": "linear", "end": 0.1})
    (axes,) = figure.axes
    assert axes.get_xlabel() == "share of training done"
    assert axes.get_ylabel() == "factor on the highest rate"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "cosine",
        "linear (end=0.1)",
    ]


def test_momentum_has_axes_of_its_own():
    rates, momentum = plot_schedule("one_cycle", "one_cycle_momentum", lr=0.1, num_points=5).axes
    assert (rates.get_ylabel(), momentum.get_ylabel()) == ("learning rate", "momentum")
    steps = [step / 4 for step in range(5)]
    assert list(rates.lines[0].get_ydata()) == [0.1 * one_cycle(t) for t in steps]
    assert list(momentum.lines[0].get_ydata()) == [one_cycle_momentum(t) for t in steps]


def test_draws_a_line_a_layer_group():
    both = {"name": "per_group", "schedules": ["sgdr", "constant"]}
    (axes,) = plot_schedule(both, lr=[0.1, 1.0], num_points=8).axes
    first, second = axes.lines
    assert (first.get_label(), second.get_label()) == ("group 0: sgdr", "group 1: constant")
    assert list(first.get_ydata()) == [0.1 * sgdr(step / 7) for step in range(8)]
    assert list(second.get_ydata()) == [1.0] * 8
    assert len(plot_schedule("cosine", lr=[0.1, 1.0]).axes[0].lines) == 2


def test_a_composition_is_labelled_by_its_parts():
    pieces = [{"share": 0.5, "name": "constant"}, {"share": 0.5, "name": "cosine"}]
    axes = plot_schedule(
        {"name": "warmup", "then": "linear"}, {"name": "piecewise", "pieces": pieces}
    )
    labels = [line.get_label() for line in axes.axes[0].lines]
    assert labels == ["warmup (then linear)", "piecewise (constant + cosine)"]


def test_log_is_logarithmic():
    assert plot_schedule("one_cycle", log=True).axes[0].get_yscale() == "log"


def test_leaves_pyplot_alone():
    pyplot = sys.modules.get("matplotlib.pyplot")  # another test may have loaded it
    open_before = pyplot.get_fignums() if pyplot else []
    plot_schedule("cosine")
    assert sys.modules.get("matplotlib.pyplot") is pyplot
    assert (pyplot.get_fignums() if pyplot else []) == open_before


def test_no_option_of_a_schedule_is_hidden_by_an_option_of_the_picture():
    own = {
        name
        for name, parameter in inspect.signature(plot_schedule).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for function in SCHEDULES.values():
        assert not own & set(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("schedules", "options", "message"),
    [
        ((), {}, '`plot_schedule` needs a schedule to draw: `plot_schedule("one_cycle")`.'),
        (
            ("cosine", "linear"),
            {"end": 0.1},
            "`plot_schedule` got the options end, which belong to one schedule given by name. Give each "
            "schedule as a dict: {'name': ..., ...}.",
        ),
        (
            (["cosine", "linear"],),
            {"lr": [0.1, 0.2, 0.3]},
            "`plot_schedule` got 3 rates for 2 layer groups. Give one each.",
        ),
        (
            ("cosine",),
            {"num_points": 1},
            "`plot_schedule` needs `num_points` from 2 up. Got 1.",
        ),
        (
            ("cosine",),
            {"power": 2},
            "Schedule 'cosine' has no option 'power'. Options: start, end.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(schedules, options, message):
    with pytest.raises(ConfigError) as caught:
        plot_schedule(*schedules, **options)
    assert str(caught.value) == message


def test_an_unknown_schedule_is_answered():
    with pytest.raises(
        UnknownNameError, match=r"^Unknown schedule 'one_cycl'\. Did you mean 'one_cycle'"
    ):
        plot_schedule("one_cycl")


def test_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.import_module", _absent)
    with pytest.raises(MissingPackageError) as caught:
        plot_schedule("cosine")
    assert str(caught.value) == (
        "`matplotlib` is not installed. Install it with: pip install 'drivetrain[plot]'."
    )


def _absent(name: str, *_: object) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
