"""A run as a plain PyTorch script that gives the same weights, without Drivetrain.

The script is made of the library's own source, with what is known of the run put in:

- `tree`: source text to a tree and back, comments included.
- `fold`: a tree with known values put in (`values`, `expressions`), branches decided, and what is left
  without use taken out.
- `lift`: functions and classes taken out of their modules (`modules`) with all that they stand on.
- `program`: the pieces of a script together (`pieces`): what every call gives alike becomes a constant
  (`parameters`), what is called once and says one thing is written where it is called (`placing`), what
  nobody reads goes (`unread`).
- `inline`: the statements of a callback in the place of its events.
- `loop`: the training loop of a run's fits (`fits`, `numbers`), with the rates of each step (`rates`),
  its callbacks inside (`events`), and cancelling as plain flow (`flow`).
- `script`: headings, constants with their reasons, imports; `layout`: sections, laid out by ruff.
- `parts`: the protocol by which an application brings its data and its model.
- `own`: the part for models and loaders that people bring.

An application brings its own part, such as `drivetrain.vision.ejecting`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drivetrain.errors import EjectError

if TYPE_CHECKING:
    from drivetrain.store import StrPath
    from drivetrain.train.learner import Learner


def source(learner: Learner, *, level: str = "all", name: str = "train.py") -> str:
    """The script that does again what a Learner has done, as text.

    Args:
        learner: trained, and not in the middle of a fit.
        level: `loop`, `data` or `all`: how much is written out, and how much is imported from Drivetrain.
        name: of the file, for what the script says of itself.
    Raises: EjectError: something of it has no plain form, there is nothing to replay, or a script of it
        reads a file beside it, which `write` writes.
        UnknownNameError: no such level. MissingPackageError: ruff, which lays the script out, is missing.
    """
    from drivetrain.eject.script import eject

    made = eject(learner, level=level, name=name)
    if made.beside:
        raise EjectError(
            "So many labels of this run were corrected that its script reads them from a file beside it. "
            "Write both: `learner.eject(path)`."
        )
    return made.text


def write(learner: Learner, path: StrPath, *, level: str = "all") -> Path:
    """Write the script to a file, and what it reads from its own folder; existing ones are replaced.

    Args:
        learner: trained, and not in the middle of a fit.
        path: of the script.
        level: `loop`, `data` or `all`: how much is written out.

    Returns: the path.
    Raises: as `source`; StorageError.
    """
    from drivetrain import store
    from drivetrain.eject.script import eject

    path = Path(path)
    made = eject(learner, level=level, name=path.name)
    for ending, text in made.beside.items():
        store.write_text(path.with_suffix(ending), text)
    store.write_text(path, made.text)
    return path


__all__ = ["source", "write"]
