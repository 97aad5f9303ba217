"""What the checks of a Learner answer: a result for each, as a table that can be printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from drivetrain.errors import DrivetrainError

Outcome = Literal["passed", "failed", "skipped"]

WIDTH = 100
"""Columns of the printed table."""


class CheckError(DrivetrainError, AssertionError):
    """A Learner does not keep what a Learner promises; the message lists each check that failed.

    Args:
        message: the failed checks with their reasons.
        report: all results.
    """

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class CheckResult:
    """What one check found."""

    name: str
    """Of the check."""
    promise: str
    """What is promised and why it matters, in a sentence."""
    outcome: Outcome
    """Whether the promise holds, or why it was not asked."""
    reason: str = ""
    """Of a failed check what happened, where, and what to do; of a skipped one why it does not apply."""
    seconds: float = 0.0
    """That it took."""

    def __str__(self) -> str:
        """A line, and under it the reason where there is one."""
        line = f"{self.outcome:<7}  {self.name:<44}{self.seconds:6.2f} s"
        if not self.reason:
            return line
        indent = " " * 9
        text = textwrap.fill(
            self.reason, WIDTH, initial_indent=indent, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        return f"{line}\n{text}"


@dataclass(frozen=True)
class Report:
    """The results of all checks of one Learner, in the order in which they were made."""

    learner: str
    """Which Learner it was."""
    results: tuple[CheckResult, ...]
    work: str = ""
    """How much of its data was used, in words."""

    @property
    def passed(self) -> tuple[CheckResult, ...]:
        """What holds."""
        return self._of("passed")

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """What does not hold."""
        return self._of("failed")

    @property
    def skipped(self) -> tuple[CheckResult, ...]:
        """What does not apply to this Learner."""
        return self._of("skipped")

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[CheckResult]:
        return iter(self.results)

    def __getitem__(self, name: str) -> CheckResult:
        """The result of the check `name`. Raises: KeyError: it was not made."""
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(name)

    @property
    def summary(self) -> str:
        """One line: how many passed, failed and were skipped, and in how many seconds."""
        seconds = sum(result.seconds for result in self.results)
        return (
            f"{self.learner}: {len(self.passed)} passed, {len(self.failed)} failed, "
            f"{len(self.skipped)} skipped in {seconds:.1f} s"
        )

    def raise_if_failed(self) -> None:
        """Raises: CheckError: some checks failed; all of them are listed with their reasons."""
        if self.failed:
            listed = "\n".join(f"  {name}: {reason}" for name, reason in self._reasons())
            count = len(self.failed)
            what = "check does" if count == 1 else "checks do"
            raise CheckError(f"{count} {what} not hold for {self.learner}.\n{listed}", self)

    def __str__(self) -> str:
        """A table with a line for each check, and reasons under those that did not pass."""
        work = [self.work] if self.work else []
        reasons = dict(self._reasons())
        lines = [str(replace(one, reason=reasons.get(one.name, one.reason))) for one in self]
        return "\n".join([*lines, *work, self.summary])

    def _reasons(self) -> Iterator[tuple[str, str]]:
        """Names and reasons of the failed checks; one that an earlier one gave is not said again."""
        said: dict[str, str] = {}
        for result in self.failed:
            first = said.setdefault(result.reason, result.name)
            yield result.name, result.reason if first == result.name else f"As `{first}`."

    def _of(self, outcome: Outcome) -> tuple[CheckResult, ...]:
        return tuple(result for result in self.results if result.outcome == outcome)
