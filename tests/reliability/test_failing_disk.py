"""Whatever operation on the disk fails: one named error, nothing half done, and the run goes on."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.reliability.disks import ERRORS, SHORT
from tests.reliability.oracles import broken_by_failure, operations

FAST = (errno.ENOSPC, SHORT)
"""What the fast tests try: a full disk, and a write that takes less than it was given."""


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(one, marks=() if one in FAST else pytest.mark.slow, id=str(one))
        for one in ERRORS
    ],
)
@pytest.mark.parametrize("kind", ["mini", pytest.param("table", marks=pytest.mark.slow)])
def test_each_operation_may_fail_once(quick_folder: Path, kind: str, error: int | str) -> None:
    reference = quick_folder / "reference"
    names = operations(kind, reference)
    problems = {}
    for number, name in enumerate(names, start=1):
        if error == SHORT and name != "write":
            continue
        problem = broken_by_failure(kind, quick_folder / str(number), reference, number, error)
        if problem:
            problems[f"{number} {name}"] = problem
    assert problems == {}
    assert len(names) > 40
