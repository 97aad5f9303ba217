"""Writes docs/images: what the pages look like, for the README.

    python tools/screenshots.py

A net is trained on the sample digits, of which twenty were moved to a wrong class: what its report, its
cleaning page and one of its steps look like is photographed, in light and in dark colours. It needs
Chromium. The pictures are of the day they were made: nothing holds them to the pages.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDTH, HEIGHT = 1120, 760
COLOURS = 96
"""Of a picture file: enough for text and charts, and a quarter of the bytes."""
WRONG = 20
LOADED = """() => [...document.images].every((one) => {
  const { top, bottom, height } = one.getBoundingClientRect();
  return one.naturalWidth > 0 || height === 0 || bottom < 0 || top > innerHeight;
})"""
"""Whether every picture in the window is there."""


def main() -> int:
    """Train, photograph, write."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print(
            "There is no Chromium on this machine. Install it, such as with: apt-get install chromium"
        )
        return 2
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as at, sync_playwright() as playwright:
        folder = Path(at)
        run("samples", "digits", "--to", "digits", folder=folder)
        mislabel(folder / "digits" / "train")
        run("train", "digits", "--epochs", "6", "--out", "run", folder=folder)
        run("report", "run", folder=folder)
        run(*"show run step --weight head.scores.weight --out step.html".split(), folder=folder)
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        with cleaning(folder) as address:
            page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}).new_page()
            pages = {
                "report": (folder / "run" / "report.html").as_uri(),
                "step": (folder / "step.html").as_uri(),
                "clean": address,
            }
            for name, where in pages.items():
                page.goto(where)
                page.wait_for_load_state("networkidle")
                if name == "report":
                    page.get_by_text("Most confused").evaluate("one => one.scrollIntoView()")
                    page.mouse.wheel(0, -24)
                if name == "clean":
                    page.keyboard.press("g")
                page.wait_for_function(LOADED)
                for colours in ("light", "dark"):
                    page.emulate_media(color_scheme=colours)
                    page.wait_for_timeout(400)  # what fades in is there
                    keep(page, f"{name}-{colours}")
        browser.close()
    return 0


def mislabel(train: Path) -> None:
    """Move some pictures into the folder of another class."""
    draw = random.Random(7)
    for picture in draw.sample(sorted(train.glob("*/*.png")), WRONG):
        others = [one for one in sorted(train.iterdir()) if one != picture.parent]
        picture.rename(draw.choice(others) / picture.name)


def run(*words: str, folder: Path) -> None:
    """A command of Drivetrain, in a folder."""
    subprocess.run([sys.executable, "-m", "drivetrain", *words], check=True, cwd=folder)


@contextmanager
def cleaning(folder: Path) -> Iterator[str]:
    """The address of a cleaning page, which is served meanwhile."""
    words = ["clean", "run", "--no-browser", "--by", "ada"]
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "drivetrain", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None, "a pipe, as asked"
    try:
        yield next(w for line in server.stdout for w in line.split() if w.startswith("http://"))
    finally:
        server.terminate()
        server.wait()


def keep(page: Any, name: str) -> None:
    """What the page shows, as a picture of few colours."""
    from PIL import Image

    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    sys.exit(main())
