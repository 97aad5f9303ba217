"""The pages in a browser: each slider is moved, and each number read is computed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drivetrain import pages
from drivetrain.errors import ShapeError, UnknownNameError
from drivetrain.pages.kernel import KERNELS, seven
from drivetrain.pages.page import Page, as_json
from tests.browser import Opened, browser, opened


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with browser() as found:
        yield found


def open_page(started: Any, folder: Path, name: str, **settings: Any) -> Any:
    return opened(started, pages.write(name, folder / f"{name}.html", **settings))


def sliders_of(page: Opened) -> list[str]:
    return page.page.eval_on_selector_all('input[type="range"]', "all => all.map(one => one.id)")


@pytest.mark.row(35)
def test_each_slider_of_the_parabola_moves_the_loss(started: Any, tmp_path: Path) -> None:
    data = pages.build("quadratic").data
    x, y = np.array(data["x"]), np.array(data["y"])
    weights = {"a": 1.0, "b": 1.0, "c": 1.0}
    with open_page(started, tmp_path, "quadratic") as page:
        for name, value in (("a", 3.0), ("b", 2.0), ("c", 1.0), ("a", 2.75), ("b", -1.5), ("c", 4)):
            before = page.number("mae")
            page.move(name, value)
            changed = value != weights[name]
            weights[name] = value
            errors = np.polyval(list(weights.values()), x) - y
            assert page.number("mae") == pytest.approx(np.abs(errors).mean(), abs=1e-9)
            assert page.number("mse") == pytest.approx((errors**2).mean(), abs=1e-9)
            assert (page.number("mae") != before) == changed
            for power, letter in ((2, "a"), (1, "b"), (0, "c")):
                slope = (2 * errors * x**power).mean()
                assert page.number(f"grad_{letter}") == pytest.approx(slope, abs=1e-9)
        assert page.page.locator("#a ~ output").inner_text() == "2.75"


@pytest.mark.row(34)
def test_steps_of_descent_are_torchs_and_come_close_to_least_squares(
    started: Any, tmp_path: Path
) -> None:
    data = pages.build("quadratic", seed=7).data
    x, y = (torch.tensor(data[name], dtype=torch.float64) for name in "xy")
    weights = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.05)
    with open_page(started, tmp_path, "quadratic", seed=7) as page:
        page.move("rate", 0.05)
        for presses in range(1, 8):
            page.page.click("#step" if presses < 3 else "#steps")
            for _ in range(1 if presses < 3 else 20):
                optimizer.zero_grad()
                loss = ((weights[0] * x**2 + weights[1] * x + weights[2] - y) ** 2).mean()
                loss.backward()
                optimizer.step()
            now = ((weights[0] * x**2 + weights[1] * x + weights[2] - y) ** 2).mean().item()
            assert page.number("mse") == pytest.approx(now, rel=1e-9)
        assert page.number("mse") == pytest.approx(page.number("best"), rel=1e-3)
        page.page.click("#reset")
        assert page.number("mse") == pytest.approx(
            float((((x**2 + x + 1) - y) ** 2).mean()), rel=1e-12
        )


@pytest.mark.row(45)
def test_each_slider_of_the_relus_moves_its_loss_and_more_of_them_come_closer(
    started: Any, tmp_path: Path
) -> None:
    x = np.linspace(-np.pi, np.pi, 401)
    values = {"m1": 1.0, "b1": 1.5, "m2": -1.0, "b2": 1.5, "scale": 0.5, "shift": -1.0}
    largest = []
    with open_page(started, tmp_path, "relus") as page:
        assert sliders_of(page) == [*values, "k"]
        moves = {"m1": 2.0, "b1": -1.0, "m2": -0.5, "b2": 0.25, "scale": 1.25, "shift": 0.5}
        for name, value in moves.items():
            values[name] = value
            page.move(name, value)
            v = values
            two = np.maximum(0, v["m1"] * x + v["b1"]) + np.maximum(0, v["m2"] * x + v["b2"])
            error = np.abs(v["scale"] * two + v["shift"] - np.sin(x)).mean()
            assert page.number("loss_two") == pytest.approx(error, abs=1e-9)
        for k in (2, 4, 8, 16, 32):
            page.move("k", k)
            largest.append(page.number("loss_many"))
            fits = pages.build("relus").data["fits"][k - 1]
            sums = np.maximum(0, x[:, None] - np.array(fits["starts"])) @ np.array(fits["rises"])
            assert largest[-1] == pytest.approx(
                np.abs(sums + fits["added"] - np.sin(x)).max(), abs=1e-9
            )
    assert largest == sorted(largest, reverse=True)
    assert largest[-1] < 0.01


@pytest.mark.row(33)
def test_each_slider_of_the_rates_moves_the_last_loss(started: Any, tmp_path: Path) -> None:
    moves = {"power": -0.5, "momentum": 0.9, "start": -2.0, "count": 30}
    values = {"power": -1.0, "momentum": 0.0, "start": 3.0, "count": 12}
    with open_page(started, tmp_path, "rates") as page:
        assert sliders_of(page) == list(values)
        for name, value in moves.items():
            values[name] = value
            page.move(name, value)
            w = torch.tensor(values["start"], dtype=torch.float64, requires_grad=True)
            sgd = torch.optim.SGD([w], lr=10 ** values["power"], momentum=values["momentum"])
            for _ in range(int(values["count"])):
                sgd.zero_grad()
                (w**2).backward()
                sgd.step()
            assert page.number("loss") == pytest.approx(w.item() ** 2, rel=1e-9)


@pytest.mark.row(33)
def test_too_small_good_swinging_and_too_large_are_told_apart(started: Any, tmp_path: Path) -> None:
    told = {}
    with open_page(started, tmp_path, "rates") as page:
        rows = page.page.locator("#rows tr").all_inner_texts()
        for button in page.page.locator("button[data-power]").all():
            button.click()
            told[button.inner_text()] = (
                page.page.locator("#verdict").inner_text().split(":")[0],
                page.number("loss"),
            )
    assert [row.split("\t")[1] for row in rows[:4]] == ["3", "2.4", "1.92", "1.536"]
    assert told["Too small"][0] == "Too small" and told["Too small"][1] > 7
    assert told["Good"][0] == "It goes down at each step." and told["Good"][1] < 0.05
    assert told["Swings"][0].startswith("It jumps over the bottom")
    assert told["Too large"][0] == "Too large" and told["Too large"][1] > 9


@pytest.mark.row(133)
def test_each_slider_of_the_kernel_gives_what_torch_gives(started: Any, tmp_path: Path) -> None:
    picture = torch.from_numpy(np.round(seven(), 4))[None, None]
    values = {f"w{i}": float(v) for i, v in enumerate(KERNELS["top edge"])}
    values |= {"bias": 0.0, "padding": 1, "stride": 1}
    moves = {f"w{i}": v for i, v in enumerate((0.5, -2, 1, 3, -0.25, 2, -1, 0.75, 4))}
    moves |= {"bias": -1.5, "padding": 2, "stride": 2}
    out = torch.empty(0)
    with open_page(started, tmp_path, "kernel") as page:
        assert sliders_of(page) == list(values)
        for name, value in moves.items():
            values[name] = value
            page.move(name, value)
            weight = torch.tensor([values[f"w{i}"] for i in range(9)], dtype=torch.float64)
            out = torch.nn.functional.conv2d(
                picture, weight.view(1, 1, 3, 3), torch.tensor([values["bias"]]).double(),
                padding=int(values["padding"]), stride=int(values["stride"]),
            )  # fmt: skip
            assert page.number("largest") == pytest.approx(out.max().item(), abs=1e-9)
            assert page.number("smallest") == pytest.approx(out.min().item(), abs=1e-9)
            assert page.number("mean") == pytest.approx(out.mean().item(), abs=1e-9)
            size = page.page.locator("#size").inner_text()
            assert size == f"{out.shape[2]} × {out.shape[3]}"
        page.page.select_option("#after", "relu")
        assert page.number("mean") == pytest.approx(out.relu().mean().item(), abs=1e-9)


def test_a_cell_that_is_pointed_at_is_shown_with_its_sum(started: Any, tmp_path: Path) -> None:
    picture = torch.arange(25.0, dtype=torch.float64).view(5, 5) / 25
    with open_page(started, tmp_path, "kernel", picture=picture.numpy()) as page:
        page.page.click('button[data-kernel="sum"]')
        box = page.page.locator("#output").bounding_box()
        page.page.mouse.move(box["x"] + 2.5 * box["width"] / 5, box["y"] + 1.5 * box["height"] / 5)
        assert page.number("value") == pytest.approx(picture[0:3, 1:4].sum().item(), abs=1e-9)
        assert page.page.locator("#sum_formula").inner_text().startswith("row 2, column 3: ")


@pytest.mark.parametrize("name", pages.PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_its_window_and_asks_for_nothing(
    started: Any, tmp_path: Path, name: str, scheme: Any, width: int
) -> None:
    path = pages.write(name, tmp_path / "page.html")
    size = {"width": width, "height": 800}
    with opened(started, path, viewport=size, color_scheme=scheme) as page:
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) > 384) == (scheme == "light")
        assert (page.errors, page.requests) == ([], [])
    assert path.stat().st_size < 100_000


def test_data_cannot_end_the_script() -> None:
    page = Page("t", "q", "", "rates", {"name": "</script><b>"}, [("<i>", "&")])
    text = page.to_html()
    assert text.count("</script>") == 1 and "<b>" not in text
    assert "<dt>&lt;i&gt;</dt><dd>&amp;</dd>" in text
    assert as_json("\u2028") == '"\\u2028"'


def test_an_unknown_page_and_a_wrong_picture_are_refused() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"^Unknown page 'kernal'\. Did you mean 'kernel'\? "
        r"Known: kernel, quadratic, rates, relus\.$",
    ):
        pages.build("kernal")
    with pytest.raises(
        ShapeError,
        match=r"^The page `kernel` got a picture of shape \(3, 8, 8\), expected \(H, W\) with 3 to 64 a "
        r"side: grey values from 0 to 1\. Make it smaller, or take one channel of it\.$",
    ):
        pages.build("kernel", picture=np.zeros((3, 8, 8)))
