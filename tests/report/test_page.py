"""The page and the slides in a browser: three sizes, light and dark, names that want to be scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.report.build import MOST_BYTES, build
from drivetrain.report.evidence import Evidence
from tests.browser import browser, opened
from tests.report.hostile import NAMES, evidence_of, record_of

SIZES = ((390, 844), (820, 1180), (1280, 800))


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page and slides of a run with hostile names."""
    place = tmp_path_factory.mktemp("hostile")
    found = build(record_of(place / "run"), evidence_of())
    found.write(place / "page.html")
    found.write(place / "slides.html", as_slides=True)
    return place


def test_every_name_is_text_and_nothing_else(folder: Path) -> None:
    for name in ("page.html", "slides.html"):
        text = (folder / name).read_text("utf-8")
        assert text.count("<script>") == (name == "slides.html")
        assert text.count("</style>") == 1
        for hostile in ("<img src=x", "<b>bold", "' onmouseover", "\u202e", "<script>document"):
            assert hostile not in text
        assert "&lt;img src=x onerror=" in text
        assert (folder / name).stat().st_size < MOST_BYTES


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_page_fits_its_window_and_asks_for_nothing(
    started: Any, folder: Path, size: tuple[int, int], scheme: Any
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    with opened(started, folder / "page.html", viewport=viewport, color_scheme=scheme) as page:
        assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        ground = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) > 384) == (scheme == "light")
        page.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.page.title().startswith("run: report")
        assert (page.errors, page.requests) == ([], [])


def test_each_chart_has_its_numbers_one_click_away(started: Any, folder: Path) -> None:
    rows_shown = """() => [...document.querySelectorAll('figure')].map(chart => {
        const numbers = chart.nextElementSibling, row = numbers.querySelector('tbody tr');
        const before = row.checkVisibility();
        numbers.querySelector('summary').click();
        return [before, row.checkVisibility()];
    })"""
    with opened(started, folder / "page.html") as page:
        found = page.page.evaluate(rows_shown)
    assert len(found) >= 8
    assert found == [[False, True]] * len(found)


def test_links_lead_to_every_part(started: Any, folder: Path) -> None:
    with opened(started, folder / "page.html") as page:
        links = page.page.eval_on_selector_all("nav a", "all => all.map(a => a.hash.slice(1))")
        parts = page.page.eval_on_selector_all("main > section", "all => all.map(s => s.id)")
        assert links == parts == [
            "asked", "data", "training", "result", "errors", "next", "model", "why", "again",
        ]  # fmt: skip


@pytest.mark.row(4)
def test_slides_go_by_the_arrow_keys_in_one_file(started: Any, folder: Path) -> None:
    with opened(started, folder / "slides.html", viewport={"width": 1280, "height": 720}) as page:
        place, slides = page.page.locator("#place"), page.page.locator(".slide")
        count = slides.count()

        def shown() -> list[int]:
            seen = slides.evaluate_all("all => all.map(one => one.checkVisibility())")
            return [index for index, visible in enumerate(seen) if visible]

        assert count > 15 and shown() == [0]
        for key, now in (
            ("ArrowRight", 1), (" ", 2), ("ArrowLeft", 1), ("End", count - 1),
            ("ArrowRight", count - 1), ("Home", 0), ("PageUp", 0), ("PageDown", 1),
        ):  # fmt: skip
            page.page.keyboard.press(key)
            assert shown() == [now]
            assert place.inner_text() == f"{now + 1} / {count}"
            assert page.page.evaluate("location.hash") == f"#{now + 1}"
        assert page.page.title().startswith("run: report")
        assert (page.errors, page.requests) == ([], [])


@pytest.mark.row(4)
def test_every_slide_fits_a_phone_and_is_there_without_a_script(started: Any, folder: Path) -> None:
    size = {"width": 390, "height": 844}
    with opened(started, folder / "slides.html", viewport=size, color_scheme="dark") as page:
        for _ in range(page.page.locator(".slide").count()):
            assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
            page.page.keyboard.press("ArrowRight")
    with opened(started, folder / "slides.html", viewport=size, java_script_enabled=False) as page:
        slides = page.page.locator(".slide")
        assert all(slides.evaluate_all("all => all.map(one => one.checkVisibility())"))


def test_the_page_runs_nothing_and_slides_only_their_own_script(folder: Path) -> None:
    def policy(name: str) -> str:
        text = (folder / name).read_text("utf-8")
        found = re.search(r'Content-Security-Policy"\s+content="([^"]+)"', text)
        assert found is not None
        return found[1]

    page = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert policy("page.html") == page
    assert re.fullmatch(
        re.escape(page) + r"; script-src 'sha256-[\w+/]{43}='", policy("slides.html")
    )


def test_a_run_that_is_not_finished_and_without_its_data_has_a_report(tmp_path: Path) -> None:
    record = record_of(
        tmp_path / "run", names=("cat", "dog", "eel", "fox"), results=None, items=None, journal=3
    )
    found = build(record, Evidence(notes=["The pictures are gone."]), commands={"resume"})
    text = found.to_html()
    assert "This run is not finished." in text and "The pictures are gone." in text
    assert [section.key for section in found.sections] == [
        "asked", "training", "next", "why", "again",
    ]  # fmt: skip
    assert found.advice[0].command == f"drivetrain resume {tmp_path / 'run'}"


def test_the_names_are_hostile() -> None:
    assert any("</script>" in name for name in NAMES) and any("onerror" in name for name in NAMES)
