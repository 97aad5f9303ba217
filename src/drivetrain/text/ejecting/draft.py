"""What is written so far of a script's part about texts, and what it is written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivetrain.eject.lift import Lifter
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting

if TYPE_CHECKING:
    from drivetrain.text.application import TextApplication
    from drivetrain.text.data import TextData
    from drivetrain.text.goal import Goal
    from drivetrain.text.language import LanguageApplication
    from drivetrain.train.learner import Learner


class Draft:
    """Settings and functions in the order in which they are added, which is that of the script.

    Args:
        application: of the run.
        learner: trained.
        lifter: for what the functions call.
    """

    def __init__(
        self, application: TextApplication | LanguageApplication, learner: Learner, lifter: Lifter
    ) -> None:
        self.application, self.learner, self.lifter = application, learner, lifter
        self.data: TextData = application.data
        self.settings: list[Setting] = []
        self.written: list[Written] = []
        self.seed = "SEED"
        """The name of the seed of the data."""
        self.is_plain = False
        """Whether words are learnt and encoded by the short forms of `ejecting.plain`."""
        self.help = "where the texts lie"
        """What the source is, for `--data`."""
        self.beside: dict[str, str] = {}
        """Files beside the script; see `eject.parts.Part`."""
        self.note = ""
        """A second paragraph for the script's docstring."""
        given: Any = getattr(learner, "given", ())
        self.callbacks: list[Any] = [*learner.callbacks, *(c for _, cs in given for c in cs)]

    @property
    def goal(self) -> Goal:
        """What is predicted of a text."""
        assert self.data.goal is not None, "texts with targets"
        return self.data.goal

    @property
    def outputs(self) -> str:
        """How many scores a text gets, an expression."""
        return "len(CLASSES)" if self.goal.classes else str(self.goal.num_outputs)

    @property
    def longest(self) -> int:
        """Tokens of the longest text that trains or validates."""
        parts = [self.data.tokens(part).lengths() for part in ("train", "valid")]
        return int(max(lengths.max(initial=0) for lengths in parts))

    @property
    def keeps_outputs(self) -> bool:
        """Whether a callback asks the model for what its layers gave."""
        import inspect

        return any("keeps_outputs" in inspect.getsource(type(c)) for c in self.callbacks)

    def setting(self, name: str, value: Any, reason: str) -> str:
        """A constant of the script, unless it has it already; returns its name."""
        if all(one.name != name for one in self.settings):
            self.settings.append(Setting(name, value, reason))
        self.lifter.constants[name] = value
        return name

    def reason(self, choice: str) -> str:
        """Why the run has what it has."""
        choices = self.application.choices
        return choices[choice].reason if choice in choices else "as asked"
