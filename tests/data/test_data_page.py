"""`docs/data.md`: what it says is what comes out."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


@pytest.mark.row(113)
def test_every_example_of_the_page_gives_what_the_page_says(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    text = PAGE.read_text("utf-8").replace("```python\n", "\n").replace("```\n", "\n")
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(page.examples) > 30
    told: list[str] = []
    doctest.DocTestRunner(verbose=False).run(page, out=told.append)
    assert "".join(told) == ""
