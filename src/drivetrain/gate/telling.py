"""What is said of findings where there is no room for all: before a training, a line each.

The whole, with what to do, is what `check` of an application gives.
"""

from __future__ import annotations

from collections.abc import Iterator

from drivetrain.gate.findings import Finding, Findings

SEEN_ELSEWHERE = ("unreadable",)
"""Findings that are told of by name where the source is described."""


def lines(found: Findings) -> Iterator[str]:
    """A line for each finding that is critical, worth a decision, or accepted; the gravest first."""
    for one in found.found:
        if one.name in SEEN_ELSEWHERE:
            continue
        if one.level != "note" or one.because is not None:
            yield line(one)


def line(finding: Finding) -> str:
    """A finding on one line."""
    return f"! {finding.key}: {finding.what}"


def rest(found: Findings, how: str) -> str:
    """What a quick look left out, and what looks at all of it; empty where nothing was left out.

    Args:
        found: of a quick look.
        how: the command, or the call.
    """
    left = [one.rstrip(".") for one in found.left_out]
    return f"A quick look for leaks leaves out {'; '.join(left)}. All of it: {how}" if left else ""


def before_training(found: Findings, how: str) -> str:
    """What a `learner` writes of a quick look, where it writes at all; empty where there is nothing.

    Nothing is stopped: who calls a function may look at what it says.

    Args:
        found: of a quick look.
        how: the call that looks at all of it.
    """
    told = list(lines(found))
    if found.open:
        told.append(
            "  Critical: the score may not be true, or the model may learn from what it cannot have."
        )
    told += [one for one in [rest(found, how)] if one]
    return "".join(f"{one}\n" for one in told)
