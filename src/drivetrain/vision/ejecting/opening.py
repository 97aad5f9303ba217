"""How a script opens its pictures: what is the same in all of them need not be asked of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drivetrain.eject.modules import Import
from drivetrain.vision.decode import upright
from drivetrain.vision.ejecting.draft import Draft
from drivetrain.vision.formats import identify, read_source
from drivetrain.vision.resize_methods import RESIZE_METHODS

_ORIENTATION = 0x0112  # the tag of EXIF


@dataclass(frozen=True)
class Facts:
    """What is the same in all pictures of a run."""

    format: str
    """JPEG, PNG …; empty where there are several."""
    turns: bool
    """A picture says in its EXIF that it is turned."""
    sizes: frozenset[tuple[int, int]]
    """(width, height) of the pictures."""
    odd: bool
    """A picture is neither RGB nor grey with 8 bits, or something in it is transparent."""

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether all pictures have the proportions of (height, width)."""
        return not self.turns and all(w * size[0] == h * size[1] for w, h in self.sizes)


def facts_of(paths: Sequence[Path]) -> Facts:
    """Read off the headers of the pictures."""
    formats: set[str] = set()
    sizes: set[tuple[int, int]] = set()
    turns = odd = False
    for path in paths:
        image, name = identify(read_source(path)[1])
        formats.add(name)
        sizes.add(image.size)
        if name != "JPEG":
            image.load()  # a PNG may only then know its EXIF
        turns = turns or image.getexif().get(_ORIENTATION, 1) != 1
        odd = odd or image.mode not in ("RGB", "L") or "transparency" in image.info
    return Facts(formats.pop() if len(formats) == 1 else "", turns, frozenset(sizes), odd)


def write_opening(draft: Draft) -> None:
    """The function `open_picture`."""
    data = draft.data
    facts = facts_of([item.path for item in data.items if item.id in data.hashes])
    # Where all have the proportions that are asked for, no method cuts or pads.
    method = RESIZE_METHODS["squish" if facts.fits(data.size) else data.resize]
    told = (
        repr(facts.format) if facts.format else '"JPEG" if image.format == "MPO" else image.format'
    )
    draft.write(
        _OPEN.format(format=told, turns=facts.turns, odd=facts.odd),
        "data",
        {"needed_size": method.needed, "resized_by": method.apply, "upright": upright},
    )
    draft.lifter.add_import(Import("PIL", "Image"))
    draft.lifter.add_import(Import("numpy", "", "np"))


_OPEN = '''
def open_picture(path: Path) -> np.ndarray:
    """One picture at the training size, (height, width, 3) uint8."""
    image = Image.open(path)
    image = upright(
        image,
        {format},
        needed=lambda w, h: needed_size(w, h, WIDTH, HEIGHT),
        turns={turns},
        odd={odd},
    )
    image = resized_by(image, WIDTH, HEIGHT)
    return np.asarray(image.convert("RGB"))
'''
