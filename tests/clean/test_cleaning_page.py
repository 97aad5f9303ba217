"""The cleaning page in a browser: by keyboard, over a reload, in two tabs, and with the server killed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivetrain.clean.journal import Journal
from drivetrain.clean.patch import Patch
from drivetrain.clean.queue import Item, Queue, row_hash, text_hash
from drivetrain.errors import StorageError
from tests.browser import CHROMIUM, browser
from tests.clean.desks import (
    forked,
    item_hash,
    make_desk,
    make_queue,
    make_several,
    predictions_of,
    serving,
)

PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "{{7*7}}${7*7}",
    "</title><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "\u202etxt.exe\u2066 \u0000 \u2028",
    "&lt;b&gt;&#x3c;script&#x3e;",
)


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with browser() as found:
        yield found


@contextmanager
def tab(context: Any, address: str) -> Iterator[Any]:
    """A page; nothing may be logged as an error, but that a request was refused or not answered."""
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    assert [one for one in wrong if not one.startswith("Failed to load resource")] == []


def waits(page: Any, count: int = 0) -> None:
    page.wait_for_selector(f"body[data-pending='{count}']")


def data(page: Any, name: str) -> str:
    return page.evaluate(f"document.body.dataset.{name}")


def worked_through(started: Any, folder: Path, edits: int, kills: int) -> None:
    """So many edits by keyboard, with undo and redo, a reload, a second tab, and the server killed."""
    draw = random.Random(3)
    path = folder / "journal.jsonl"
    queue = make_queue(edits)
    wanted: dict[str, tuple[str, str | None]] = {}
    deaths = set(draw.sample(range(3, edits - 1), kills))
    with forked(path, queue) as server:
        context = started.new_context()
        with tab(context, server.start_url) as page:
            for at, row in enumerate(queue.rows):
                assert data(page, "hash") == row.item.hash
                if at in deaths:  # from here on nobody answers
                    waits(page)
                    server.kill()
                key = draw.choice("123kd")
                page.keyboard.press(key)
                label = queue.classes[int(key) - 1] if key.isdigit() else None
                if key == "k" or label == row.item.label:
                    wanted[row.item.hash] = "keep", None
                else:
                    wanted[row.item.hash] = ("delete", None) if key == "d" else ("relabel", label)
                if at in deaths:
                    page.wait_for_selector("#trouble:not([hidden])")
                    assert page.locator("#saved").inner_text() == "not saved (1)"
                    if at % 2:  # what could not be sent is still there after the page was gone
                        page.close()
                        page = context.new_page()
                    server.start()
                    page.goto(server.start_url)  # on the port of before, with a new cookie
                    page.wait_for_selector("body[data-ready]")
                    waits(page)
                    here = queue.rows[min(at + 1, edits - 1)].item.hash
                    assert data(page, "hash") == here  # plan L7: it lands where it was
            waits(page)
            last = queue.rows[-1].item.hash
            page.keyboard.press("u")
            waits(page)
            assert last not in Journal(path).decisions() and data(page, "hash") == last
            page.keyboard.press("r")
            waits(page)
            for _ in range(3):
                page.keyboard.press("u")
            waits(page)
            undone = [row.item.hash for row in queue.rows[-3:]]
            page.reload()
            page.wait_for_selector("body[data-ready]")
            page.keyboard.press("r")  # the third last again
            waits(page)
            for hash_ in undone[1:]:
                del wanted[hash_]
            with tab(context, f"http://127.0.0.1:{server.port}/") as second:
                second.keyboard.press("End")
                second.keyboard.press("d")
                waits(second)
                wanted[last] = "delete", None
                page.keyboard.press("End")
                page.evaluate("dispatchEvent(new Event('focus'))")  # as when a person comes back
                page.wait_for_selector("#facts .delete")
                assert page.locator("#facts .delete").inner_text() == "left out"
        context.close()
    found = Journal(path)
    assert {k: (d.action, d.label) for k, d in found.decisions().items()} == wanted
    keys = [edit.key for edit in found.edits]
    assert len(set(keys)) == len(keys) == edits + 7 and found.damaged == 0
    assert Patch.of(found.decisions()).apply(
        [row.item.hash for row in queue.rows], [row.item.label for row in queue.rows]
    ).kept == tuple(wanted.get(row.item.hash, ("", 0))[0] != "delete" for row in queue.rows)


def test_edits_by_keyboard_survive_a_reload_a_second_tab_and_a_killed_server(
    started: Any, tmp_path: Path
) -> None:
    worked_through(started, tmp_path, edits=20, kills=1)


@pytest.mark.slow
def test_two_hundred_edits_survive_a_server_that_is_killed_ten_times(
    started: Any, tmp_path: Path
) -> None:
    worked_through(started, tmp_path, edits=200, kills=10)


def test_a_window_that_has_not_seen_a_decision_does_not_overwrite_it(
    started: Any, tmp_path: Path
) -> None:
    desk = make_desk(tmp_path / "j.jsonl")
    with serving(desk) as server:
        context = started.new_context()
        context.add_init_script("window.setInterval = () => 0")  # it never asks what is new
        with tab(context, server.start_url) as page, tab(context, server.url) as other:
            other.keyboard.press("d")
            waits(other)
            page.keyboard.press("k")
            waits(page)
            page.wait_for_selector("#trouble:not([hidden])")
            assert "has changed since it was shown: ada decided 'delete'" in page.inner_text(
                "#trouble"
            )
            page.keyboard.press("Home")
            assert page.locator("#facts .delete").inner_text() == "left out"
            page.context.set_offline(True)
            label = desk.queue.rows[0].item.label
            others = [str(at + 1) for at, one in enumerate(desk.queue.classes) if one != label]
            for key in others:  # two edits of one item, both sent later: the second is no news
                page.keyboard.press("Home")
                page.keyboard.press(key)
            page.wait_for_selector("body[data-pending='2']")
            page.context.set_offline(False)
            waits(page)
        context.close()
    assert [edit.action for edit in desk.journal.edits] == ["delete", "relabel", "relabel"]


@pytest.mark.slow
def test_a_full_disk_is_told_of_and_the_edit_is_sent_once_it_has_room(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(tmp_path / "j.jsonl")
    is_full = threading.Event()
    real = desk.journal.decide

    def decide(*args: Any, **options: Any) -> Any:
        if is_full.is_set():
            raise StorageError("Could not append: No space left on device.")
        return real(*args, **options)

    monkeypatch.setattr(desk.journal, "decide", decide)
    monkeypatch.setattr(desk, "_reread", lambda: None)
    with serving(desk) as server:
        context = started.new_context()
        with tab(context, server.start_url) as page:
            is_full.set()
            for _ in range(3):
                page.keyboard.press("k")
            waits(page, 3)
            page.wait_for_selector("#trouble:not([hidden])")
            assert page.inner_text("#trouble").startswith("Not saved. Could not append")
            assert page.inner_text("#saved") == "not saved (3)"
            is_full.clear()
            waits(page)
            assert page.inner_text("#saved") == "saved"
            assert page.locator("#trouble").is_hidden()
        context.close()
    assert len(desk.journal.edits) == 3


def hostile() -> Queue:
    """Payloads as names, labels, texts and cells."""
    items = []
    for at, payload in enumerate(PAYLOADS):
        label = PAYLOADS[at % 3]
        items.append(Item(item_hash(at), payload, label, payload))
        items.append(Item(text_hash(payload), payload, label, "valid", text=payload))
        cells = ((payload, payload), ("n", str(at)))
        items.append(Item(row_hash(dict(cells)), payload, label, "valid", cells=cells))
    return Queue.of(items, predictions_of(items, PAYLOADS[:3]))


def test_names_labels_texts_and_cells_are_shown_as_they_are_and_never_run(
    started: Any, tmp_path: Path
) -> None:
    """Plan S9."""
    queue = hostile()
    desk = make_desk(
        tmp_path / "j.jsonl", queue, by=PAYLOADS[0], title=PAYLOADS[1], run=PAYLOADS[2]
    )
    with serving(desk) as server:
        context = started.new_context()
        with tab(context, server.start_url) as page:
            for row in queue.rows:
                shown = page.locator("#facts h2").evaluate("one => one.textContent")
                assert shown == row.item.name
                page.keyboard.press("2")
            page.keyboard.press("g")
            waits(page)
            page.wait_for_timeout(100)  # time for a picture that is none to fail
            assert page.locator("script").count() == 1 and page.locator("svg").count() == 0
            assert page.locator("img").count() == len(PAYLOADS)
        context.close()
    assert len(desk.journal.edits) == len(queue.rows)


@pytest.mark.parametrize(
    "kind",
    [
        "picture",
        pytest.param("text", marks=pytest.mark.slow),
        pytest.param("row", marks=pytest.mark.slow),
    ],
)
def test_filters_grid_and_keys_of_every_kind(started: Any, tmp_path: Path, kind: str) -> None:
    queue = make_queue(70, kind)
    desk = make_desk(tmp_path / "j.jsonl", queue)
    with serving(desk) as server:
        context = started.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark")
        asked: list[str] = []
        context.on("request", lambda one: asked.append(one.url))
        with tab(context, server.start_url) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.keyboard.press("g")
            assert page.locator(".cell").count() == 60
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.keyboard.press("End")
            assert page.locator(".cell").count() == 10 and data(page, "at") == "69"
            page.keyboard.press("g")
            page.select_option("#which", "flagged")
            flagged = [row.item.hash for row in queue.chosen(flagged=True)]
            assert page.evaluate("shown.map(one => one.hash)") == flagged and flagged
            page.select_option("#which", "all")
            page.select_option("#label", "pug")
            page.keyboard.press("/")
            page.keyboard.type("1")  # typed, and no label
            assert page.evaluate("shown.length") == sum(
                row.item.label == "pug" and "1" in row.item.name for row in queue.rows
            )
            page.keyboard.press("Escape")
            page.keyboard.press("Home")
            page.keyboard.press("Enter")  # as suggested
            waits(page)
            page.select_option("#which", "decided")
            assert page.evaluate("shown.length") == 1
            page.keyboard.press("?")
            assert page.locator("#help").is_visible()
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert sum(map(int, ground[4:-1].split(","))) < 384
            assert all(one.startswith(server.url) for one in asked)
        context.close()
    first = queue.chosen(label="pug")
    stands = desk.journal.decisions()
    assert [stands[row.item.hash].label for row in first if row.item.hash in stands] == [
        row.suggested for row in first if row.item.hash in stands
    ]
    assert len(stands) == 1


def test_items_unlike_the_others_are_shown_with_their_nearest_and_left_out_by_key(
    started: Any, tmp_path: Path
) -> None:
    queue = make_queue(30, odd=(7, 21))
    desk = make_desk(tmp_path / "j.jsonl", queue)
    with serving(desk) as server:
        context = started.new_context(viewport={"width": 390, "height": 800})
        with tab(context, server.start_url) as page:
            assert page.inner_text("#basis") == "2 items are unlike the others in pixels."
            assert page.evaluate("shown.map(one => one.hash)") == [r.item.hash for r in queue.rows]
            page.select_option("#which", "outlier")
            odd = [row.item for row in queue.chosen(outlier=True)]
            assert page.evaluate("shown.map(one => one.name)") == [one.name for one in odd]
            assert page.inner_text("#facts .unlike") == "Unlike the others."
            assert "6.0 spreads beyond the usual" in page.inner_text("#facts")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.keyboard.press("g")
            assert page.locator(".cell .unlike").count() == 2
            page.keyboard.press("g")
            page.keyboard.press("d")
            waits(page)
            page.click("#facts button.nearest")
            assert data(page, "hash") == item_hash(0)  # shown, though the filter hid it
            assert page.evaluate("shown.length") == 30
            assert page.locator("#facts .unlike").count() == 0
        context.close()
    assert [(e.action, e.item) for e in desk.journal.edits] == [("delete", odd[0].hash)]


@pytest.mark.row(118)
def test_labels_of_several_targets_are_decided_by_key_each_by_itself(
    started: Any, tmp_path: Path
) -> None:
    queue = make_several(12, odd=(4,))
    desk = make_desk(tmp_path / "j.jsonl", queue)
    rows = queue.rows
    with serving(desk) as server:
        context = started.new_context(viewport={"width": 390, "height": 800})
        with tab(context, server.start_url) as page:
            for row in rows[:3]:  # the keys are those of the labels of the target that is shown
                assert (
                    data(page, "hash") == row.item.hash and data(page, "target") == row.item.target
                )
                assert page.locator("#facts .target").first.inner_text() == row.item.target
                assert page.locator("#classes .target").inner_text() == row.item.target
                buttons = [
                    one.split()[0] for one in page.locator("#classes button").all_inner_texts()
                ]
                assert tuple(buttons) == queue.labels_of(row)
                page.keyboard.press(str(1 + queue.labels_of(row).index(str(row.suggested))))
            waits(page)
            page.keyboard.press("Home")
            page.keyboard.press("d")  # the item, with all its labels
            waits(page)
            first = rows[0].item
            (other,) = (row.item for row in rows[1:] if row.item.hash == first.hash)
            for entry in (first.entry, other.entry):
                page.evaluate(f"look({entry!r}); draw()")
                assert page.inner_text("#facts .mark") == "left out, with all its labels"
            page.keyboard.press("u")
            waits(page)
            assert data(page, "target") == first.target
            assert page.inner_text("#facts .mark") == f"→ {rows[0].suggested}"
            page.select_option("#target", "keeper")
            assert page.evaluate("shown.map(one => one.target)") == ["keeper"] * 12
            page.select_option("#target", "")
            page.select_option("#which", "outlier")
            assert page.evaluate("shown.length") == 1
            page.keyboard.press("g")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.reload()
            page.wait_for_selector("body[data-ready]")
            assert page.locator("#count").inner_text().startswith("3 of 24 decided")
        context.close()
    for row in rows[:3]:
        stands = desk.journal.decisions(row.item.target)[row.item.hash]
        assert (stands.action, stands.label) == ("relabel", row.suggested)
    patch = desk.patch()
    assert len(patch) == 3 and not patch.changes


@pytest.mark.slow
def test_another_name_that_leads_here_is_not_answered(started: Any, tmp_path: Path) -> None:
    """Plan S6: rebinding, with a browser that takes evil.test for this machine."""
    rules = "--host-resolver-rules=MAP evil.test 127.0.0.1"
    with serving(make_desk(tmp_path / "j.jsonl")) as server:
        begun = started.browser_type.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", rules]
        )
        try:
            page = begun.new_page()
            for path in ("", "api/queue", "healthz", f"start?token={server.start_url[-43:]}"):
                answer = page.goto(f"http://evil.test:{server.port}/{path}")
                assert answer is not None and answer.status == 403
            page.goto(server.start_url)  # it was not spent by that
            page.wait_for_selector("body[data-ready]")
        finally:
            begun.close()
