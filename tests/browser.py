"""A browser without a window, for tests of pages; what a page logs and asks the network for is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@dataclass
class Opened:
    """A page in the browser."""

    page: Any
    errors: list[str] = field(default_factory=list)
    """What the page logged as an error, or raised."""
    requests: list[str] = field(default_factory=list)
    """Addresses it asked for, beside its own file."""

    def move(self, slider: str, value: float) -> None:
        """Move a slider as a person would: the value, and the event that tells of it."""
        self.page.locator(f"#{slider}").evaluate(
            "(input, value) => { input.value = value;"
            " input.dispatchEvent(new Event('input', {bubbles: true})); }",
            str(value),
        )

    def number(self, name: str) -> float:
        """A number that the page shows, in full."""
        return float(self.page.locator(f"#{name}").get_attribute("data-value"))


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium; a skip with its reason where there is none, and a failure where there has to be one."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "there is no Chromium, and .ci/run installs it"
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(started: Any, path: Path, **options: Any) -> Iterator[Opened]:
    """A file in a tab of its own. `options`: as `Browser.new_context` takes them."""
    context = started.new_context(**options)
    try:
        found = Opened(context.new_page())
        found.page.on(
            "console", lambda said: found.errors.append(said.text) if said.type == "error" else None
        )
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        address = path.resolve().as_uri()
        found.page.on(
            "request",
            lambda asked: found.requests.append(asked.url) if asked.url != address else None,
        )
        found.page.goto(address)
        yield found
    finally:
        context.close()
