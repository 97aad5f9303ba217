"""Pages that move: one HTML file each, sliders and live numbers, no network and no kernel.

    dt.pages.write("quadratic", "quadratic.html")

What a page starts with (points, fitted weights, a picture) is computed here; what moves is computed in
the page, in 60 to 150 lines of JavaScript that stand beside each builder in `parts/`, to be read.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain._registry import lookup
from drivetrain.pages.page import Page

if TYPE_CHECKING:
    from drivetrain.store import StrPath

__all__ = ["PAGES", "Page", "build", "write"]

PAGES: dict[str, str] = {
    "quadratic": "Fit a parabola by hand: three sliders, the live loss, and a step of descent.",
    "relus": "A sum of ReLUs comes as close to a curve as one likes: two by hand, up to 32 fitted.",
    "rates": "A learning rate that is too small, right, and too large; momentum beside it.",
    "kernel": "A kernel moves over a digit: nine weights, padding and stride, every sum shown.",
}
"""Name -> what the page shows. Each is built by `drivetrain.pages.<name>.build`."""


def build(name: str, **settings: Any) -> Page:
    """A page by its name.

    Args:
        settings: as the page's own `build` takes them, such as `seed` for `quadratic`.

    Raises: UnknownNameError: there is no such page.
    """
    lookup(PAGES, name, what="page")
    return import_module(f"drivetrain.pages.{name}").build(**settings)


def write(name: str, path: StrPath, **settings: Any) -> Path:
    """Write a page as one HTML file; one that is there is replaced.

    Args:
        name: of the page.
        path: of the file.
        settings: as `build` takes them.

    Returns: the path.
    Raises: UnknownNameError: there is no such page. StorageError: it cannot be written.
    """
    from drivetrain import store  # with it torch, which the list of pages does not wait for

    store.write_text(path, build(name, **settings).to_html())
    return Path(path)
