"""Maps of items: the picture of the report, and the page that answers, in a browser."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivetrain.errors import DataError
from drivetrain.interpret.map_items import MapItems, steps
from drivetrain.report.map_page import SHEET_BYTES, map_page
from drivetrain.report.maps import MOST_GROUPS, REST, drawn, map_block, map_blocks, map_chart
from tests.browser import browser, opened
from tests.report.hostile import NAMES


def items_of(
    count: int = 60, groups: int = 4, *, names: tuple[str, ...] = NAMES, **more: Any
) -> MapItems:
    """Items of groups that lie apart; every tenth is told wrongly, and every name is hostile."""
    rng = np.random.default_rng(0)
    codes = np.arange(count) % groups
    told = tuple(f"{names[code % len(names)]} {code}" for code in range(groups))
    wrong = np.arange(count) % 10 == 9
    known: dict[str, Any] = {
        "vectors": rng.normal(size=(count, 6)) + 8 * rng.normal(size=(groups, 6))[codes],
        "names": [f"{names[row % len(names)]}-{row}" for row in range(count)],
        "what": f"Vectors of {names[0]}.",
        "noun": "pictures",
        "groups": told,
        "codes": codes,
        "group_of": "class",
        "said": [told[(code + int(bad)) % groups] for code, bad in zip(codes, wrong, strict=True)],
        "wrong": wrong,
        "details": [names[0]] * count,
    }
    return MapItems(**known | more)


def small(rows: np.ndarray, side: int) -> np.ndarray:
    """A picture of one grey each: its row."""
    return np.broadcast_to(
        (rows % 250).astype(np.uint8)[:, None, None, None], (len(rows), side, side, 3)
    )


# --- what is drawn --------------------------------------------------------------------------------


def test_too_many_items_are_a_sample_with_the_count_said() -> None:
    found = drawn(items_of(300), most=50)
    assert len(found.items) == 50
    assert "Drawn are 50 of 300 pictures, chosen at random." in found.sentences()
    assert f"A ring is a mistake: {found.items.wrong.sum()} of 50." in found.sentences()
    assert drawn(items_of(300), most=50).items.names == found.items.names
    assert not any("chosen at random" in one for one in drawn(items_of(50), most=50).sentences())


def test_of_more_groups_than_can_be_told_apart_the_largest_have_colours() -> None:
    count, groups = 200, 40
    codes = np.minimum(np.arange(count) % 60, groups - 1)  # the last group is the largest
    found = drawn(items_of(count, groups, codes=codes))
    assert len(found.groups) == MOST_GROUPS and found.groups[-1] == REST
    assert found.items.groups[-1] in found.groups
    looks = [found.look(code) for code in range(MOST_GROUPS)]
    assert len(set(looks)) == MOST_GROUPS  # each has a colour and form of its own
    assert sum(count for count, _ in found.counts()) == count
    chart = map_chart(found)
    assert chart.count("<title>") == count


def test_items_without_finite_vectors_are_left_out_everywhere() -> None:
    items = items_of(20)
    items.vectors[3] = np.nan
    found = drawn(items)
    assert len(found.items) == len(found.found.points) == len(found.codes) == 19
    assert items.names[3] not in found.items.names
    assert "1 vector is left out" in " ".join(found.sentences())
    record = found.to_json()
    assert [one["name"] for one in record["items"]] == list(found.items.names)
    assert json.loads(json.dumps(record)) == record
    with pytest.raises(DataError, match=r"^There are no items to be drawn as a map\.$"):
        drawn(items_of(0))
    items.vectors[:] = np.nan
    (block,) = map_blocks(items, "Map")
    assert "each holds a number that is not finite" in block.html
    assert map_blocks(None, "Map") == [] == map_blocks(items_of(0), "Map")


def test_distances_in_the_picture_are_those_of_the_map() -> None:
    found = drawn(items_of(30))
    places = np.array(
        [
            [float(x) + 3.2 * (form == 0), float(y)]
            for form, x, y in (
                (0, *found_at)
                for found_at in re.findall(r'd="M([\d.-]+) ([\d.-]+)a', map_chart(found))
            )
        ]
    )
    rows = [row for row in range(30) if found.look(int(found.codes[row]))[1] == 0]
    points = found.found.points[rows] * [1, -1]
    scale = np.ptp(places, axis=0) / np.ptp(points, axis=0)
    np.testing.assert_allclose(scale[0], scale[1], rtol=0.02)
    np.testing.assert_allclose(
        places - places[0], (points - points[0]) * scale[0], atol=0.2 + 0.02 * np.ptp(places)
    )


def test_one_item_and_equal_ones_stand_in_the_middle() -> None:
    for count in (1, 5):
        found = drawn(items_of(count, 1, vectors=np.ones((count, 3)), wrong=None, said=()))
        chart = map_chart(found)
        assert chart.count('d="M196.8 160.0a') == count


def test_every_name_is_text_in_the_card() -> None:
    block = map_block(drawn(items_of(60)), NAMES[0])
    for hostile in ("<img src=x", "<b>bold", "<script>", "\u202e"):
        assert hostile not in block.html
    assert "&lt;img src=x onerror=" in block.html
    assert block.html.count('class="ring"') == 6
    assert "the nearest other one is of the same class" in block.html
    numbers = drawn(items_of(60)).rows()
    assert [row[0] for row in numbers[:6]] == [f"{NAMES[r % 4]}-{r}" for r in range(9, 60, 10)]


def test_steps_of_a_number_are_a_scale_of_colours_in_order() -> None:
    groups, codes = steps(np.arange(50.0))
    items = dataclasses.replace(
        items_of(50, 5), groups=groups, codes=codes, is_ordered=True, group_of="price", wrong=None
    )
    found = drawn(items)
    assert [found.look(code)[0] for code in range(5)] == ["s0", "s1", "s2", "s3", "s4"]
    assert any("of the same step of the price" in one for one in found.sentences())


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("PIL", reason="pictures need Pillow")
    path = tmp_path_factory.mktemp("map") / "map.html"
    path.write_text(map_page(drawn(items_of(60, pictures=small)), NAMES[1]), "utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1280])
def test_the_page_fits_and_asks_for_nothing(
    started: Any, page_file: Path, width: int, scheme: Any
) -> None:
    size = {"width": width, "height": 800}
    with opened(started, page_file, viewport=size, color_scheme=scheme) as page:
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.page.title() == f"{NAMES[1]}: map"
        inked = page.page.evaluate(
            "(() => { const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, "
            "canvas.height);"
            " return all.data.filter((value, place) => place % 4 === 3 && value > 0).length; })()"
        )
        assert inked > 500
        assert (page.errors, page.requests) == ([], [])


def test_pointing_tapping_and_arrow_keys_tell_what_a_dot_is(started: Any, page_file: Path) -> None:
    found = drawn(items_of(60))
    told = "#told .what"
    with opened(
        started, page_file, viewport={"width": 1280, "height": 900}, has_touch=True
    ) as page:
        box = page.page.locator("#plane").bounding_box()
        for row, act in ((9, page.page.mouse.move), (20, page.page.touchscreen.tap)):
            x, y = page.page.evaluate(f"place({row})")
            act(box["x"] + x, box["y"] + y)
            assert page.page.locator("#plane").get_attribute("data-row") == str(row)
            assert page.page.locator(told).inner_text() == " ".join(found.items.names[row].split())
        page.page.evaluate("choose(9)")
        assert page.page.locator("#told .no").inner_text().startswith("the model says")
        grey = page.page.evaluate(
            "document.querySelector('#told canvas').getContext('2d').getImageData(60, 60, 1, 1).data[0]"
        )
        assert abs(grey - 9) <= 6  # the picture of that row; the sheet is a JPEG
        page.page.locator("#plane").focus()
        page.page.keyboard.press("ArrowRight")
        row = int(page.page.locator("#plane").get_attribute("data-row"))
        assert found.found.points[row, 0] > found.found.points[9, 0]
        assert (page.errors, page.requests) == ([], [])


def test_groups_mistakes_and_words_leave_the_others_out(started: Any, page_file: Path) -> None:
    from playwright.sync_api import expect

    with opened(started, page_file) as page:
        seen = page.page.locator("#plane")

        def count() -> int:
            return int(seen.get_attribute("data-seen"))

        assert count() == 60
        first = page.page.locator("#keys button").first
        first.click()
        assert (count(), first.get_attribute("aria-pressed")) == (15, "true")
        first.click()
        assert count() == 60
        page.page.locator("#wrong").check()
        assert count() == 6
        page.page.locator("#numbers summary").click()
        rows = page.page.locator("#numbers tbody tr")
        expect(rows).to_have_count(6)  # waits: what opens tells of it a moment later
        page.page.locator("#wrong").uncheck()
        expect(rows).to_have_count(60)
        page.page.locator("#search").fill("-59")
        assert count() == 1
        assert page.page.locator("#numbers tbody td").first.inner_text().endswith("-59")
        assert page.errors == []


def test_the_policy_allows_the_page_its_own_script_alone(page_file: Path) -> None:
    text = page_file.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]+)"', text)
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-[\w+/]{43}='",
        policy[1],
    )
    assert text.count("<script>") == 1 and text.count("</script>") == 2
    for hostile in ("<img src=x", "<b>bold", "\u202e"):
        assert hostile not in text


def test_many_pictures_stay_small_enough_to_be_sent() -> None:
    pytest.importorskip("PIL", reason="pictures need Pillow")

    def noise(rows: np.ndarray, side: int) -> np.ndarray:
        rng = np.random.default_rng(int(rows[0]))
        return rng.integers(0, 256, (len(rows), side, side, 3), dtype=np.uint8)

    text = map_page(drawn(items_of(1200, pictures=noise), most=2000), "noise")
    assert len(text) < 4 * SHEET_BYTES / 3 + 1_000_000
