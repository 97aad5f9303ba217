"""What is written so far of a script's part about pictures, and what it is written from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.parts import Written
from drivetrain.eject.seeds import order_seed
from drivetrain.eject.settings import Setting
from drivetrain.vision.augment import AugmentSettings

if TYPE_CHECKING:
    from drivetrain.vision.application import VisionApplication
    from drivetrain.vision.data import VisionData


class Draft:
    """Settings and functions in the order in which they are added, which is that of the script.

    Args:
        application: of the run.
        lifter: for what the functions call.
        seed: of the training: `SEED` in the script.
    """

    def __init__(self, application: VisionApplication, lifter: Lifter, *, seed: int) -> None:
        self.application = application
        self.data: VisionData = application.data
        self.lifter = lifter
        self.settings: list[Setting] = []
        self.written: list[Written] = []
        self.known: dict[str, dict[str, Known]] = {}
        """By "module:name": what of a lifted function is decided in this run."""
        self.beside: dict[str, str] = {}
        """Files beside the script; see `eject.parts.Part`."""
        self.note = ""
        """A second paragraph for the script's docstring."""
        said_of_seed = "of the split, of the order of batches, and of augmentation"
        self.seed = order_seed(self.data.seed, seed, self.setting, said_of_seed)
        """The name of the seed of the data."""

    @property
    def augment(self) -> AugmentSettings:
        """How pictures of training are varied."""
        return AugmentSettings.from_json(self.application.settings["augment"])

    @property
    def is_varied(self) -> bool:
        """Whether they are varied at all."""
        return self.augment != AugmentSettings.none()

    def setting(self, name: str, value: Any, reason: str = "") -> str:
        """A constant of the script, and its name."""
        self.settings.append(Setting(name, value, reason))
        self.lifter.constants[name] = value
        return name

    def reason(self, choice: str) -> str:
        """Why the run has what it has."""
        choices = self.application.choices
        return choices[choice].reason if choice in choices else "as asked"

    def write(self, text: str, section: str, uses: Mapping[str, Any] | None = None) -> None:
        """A function or class of the script; see `eject.parts.Written`."""
        self.written.append(Written(text, section, uses or {}))
