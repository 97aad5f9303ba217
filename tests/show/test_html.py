"""The page of a calculation: whole, escaped, loading nothing, wide enough for a phone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain.show.html import ON_PAGE, fragment, page
from drivetrain.show.loss import loss_of

SINGLE = {"meta", "br"}


class Reader(HTMLParser):
    """Tags that are open, what was there, and the text; fails where tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in SINGLE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def step() -> object:
    data = dt.TensorData(
        torch.randn(12, 3, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2
    )
    loader = dt.BatchLoader(data, batch_size=6)
    learner = dt.Learner(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
        (loader,),
        progress=False,
    )
    return dt.show.step(learner, weight="0.weight", at=(1, 2))


def test_a_page_is_one_file_that_loads_nothing(step: object, tmp_path: Path) -> None:
    path = dt.show.write(step, tmp_path / "step.html")
    text = path.read_text("utf-8")
    found = read(text)
    assert {tag for tag, _ in found.tags}.isdisjoint({"script", "img", "link", "iframe", "object"})
    assert not re.search(r"(src|href)=|url\(|@import|https?:", text)
    policy = next(a for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "prefers-color-scheme:dark" in text and "@media print" in text
    assert ("name", "viewport") in {pair for _, a in found.tags for pair in a.items()}


def test_a_page_tells_all_parts_folded_and_full_opens_them(step: object) -> None:
    folded, opened = read(page(step)), read(page(step, full=True))
    parts = [a for tag, a in folded.tags if tag == "details" and a.get("class") == "part"]
    assert len(parts) == len(step.parts)  # pyright: ignore[reportAttributeAccessIssue]
    assert all("open" not in a for a in parts)
    for tag, attributes in opened.tags:
        assert tag != "details" or "open" in attributes
    for word in ("0.weight[1, 2]: step 1 of fit(1)", "the weight before the step", "agrees"):
        assert word in folded.text
    assert folded.text.count("worked out") == len(parts) + 1


def test_what_strangers_named_cannot_act() -> None:
    evil = "<script>alert(1)</script>"
    shown = loss_of(
        "cross_entropy",
        torch.zeros(1, 2),
        torch.tensor([0]),
        item=0,
        classes=[evil, "b"],
        name=evil,
    )
    for text in (
        page(shown),
        fragment(shown),
        page(dt.show.Answer(evil, (evil,), ((evil,),), (evil,))),
    ):
        assert evil not in text
        assert "&lt;script&gt;" in text
        read(text)


def test_large_arrays_are_folded_and_the_largest_are_cut() -> None:
    for count in (60, ON_PAGE + 1):
        shown = loss_of("mse", torch.zeros(count), torch.ones(count))
        text, whole = page(shown), page(shown, full=True)
        assert whole.count("<span") > count
        said = f"27 of {count:,} shown"
        assert said in text and said not in whole
        assert (f"{said}: open for all" in text) == (count <= ON_PAGE)


def test_a_notebook_shows_calculations_answers_and_the_table_of_layers() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    for shown in (
        loss_of("mse", torch.zeros(2), torch.ones(2)),
        dt.show.conv(28),
        dt.show.layers(net, torch.zeros(2, 3)),
    ):
        html = shown._repr_html_()
        found = read(html)
        assert html.startswith("<style>") and "<html" not in html
        assert "body{" not in html  # a notebook's own page is left alone
        assert found.text.strip()
    assert "Parameters: 26; 26 trainable, 0 frozen." in read(page(shown)).text
