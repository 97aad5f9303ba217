"""Each check finds the Learner that is wrong in what it is about, and says so."""

from __future__ import annotations

import pytest

from drivetrain.testing import CHECKS, check_learner
from tests.testing.planted import PLANTED, bad


def test_each_check_has_a_learner_that_it_must_not_let_pass() -> None:
    assert list(PLANTED) == list(CHECKS)


@pytest.mark.parametrize("name", PLANTED)
def test_a_check_finds_what_is_wrong(name: str) -> None:
    make, words = PLANTED[name]
    result = check_learner(make, only=name, raises=False)[name]
    assert result.outcome == "failed"
    assert words in result.reason


def test_the_learner_that_they_are_made_of_is_right() -> None:
    report = check_learner(bad(metrics=lambda: ["mae"]))
    assert [result.name for result in report.skipped] == ["the_application_describes_itself"]
