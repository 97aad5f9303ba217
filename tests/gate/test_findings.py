"""gate/findings.py: the gravest first, accepted by name with a reason, printed and as JSON."""

from __future__ import annotations

import pytest

from drivetrain.errors import ConfigError
from drivetrain.gate.findings import LEVELS, NAMES, Finding, Findings
from drivetrain.gate.worth import Worth

WORTH = Worth("accuracy", "a simple model", 0.9, 0.7, 0.15, 0.25, 100)


def finding(name: str, level: str = "critical", *, subject: str = "", worth=None) -> Finding:
    return Finding(
        name, level, "Something is so.", "train, valid", "do this.", "You say that it is right.",
        items=("a = b", "c = d", "e = f", "g = h"), count=9, subject=subject, worth=worth,
    )  # fmt: skip


def test_the_gravest_come_first_and_of_those_what_is_worth_most() -> None:
    small = Worth("accuracy", "a simple model", 0.71, 0.7, -0.1, 0.1, 100)
    found = Findings.of(
        "photos",
        [
            finding("imbalance", "note"),
            finding("label-conflict", "warning"),
            finding("target-proxy", subject="a", worth=small),
            finding("duplicates-across", worth=WORTH),
            finding("unreadable"),
        ],
        counts={"train": 8, "valid": 2},
    )
    assert [one.key for one in found.found] == [
        "duplicates-across", "target-proxy:a", "unreadable", "label-conflict", "imbalance",
    ]  # fmt: skip
    assert [one.name for one in found.open] == ["duplicates-across", "target-proxy", "unreadable"]
    assert not found.is_clear
    document = found.to_json()
    assert document["levels"] == {"critical": 3, "warning": 1, "note": 1}
    assert document["clear"] is False and document["counts"] == {"train": 8, "valid": 2}
    assert document["findings"][0]["worth"]["difference"] == pytest.approx(0.2)


def test_a_name_accepts_all_of_it_and_a_key_the_one() -> None:
    found = Findings.of(
        "x",
        [finding("target-proxy", subject="a"), finding("target-proxy", subject="b")],
        counts={},
    )
    one = found.accepted({"target-proxy:b": "known before"})
    assert [f.key for f in one.open] == ["target-proxy:a"]
    both = found.accepted({"target-proxy": "known", "target-proxy:b": "measured before"})
    assert both.is_clear
    assert [f.because for f in both.found] == ["known", "measured before"]
    assert both.to_json()["findings"][1]["because"] == "measured before"
    assert found.accepted({"time-order": "what is not there is no mistake"}).open == found.open


def test_a_slip_in_a_name_is_answered_and_a_reason_must_say_something() -> None:
    found = Findings.of("x", [], counts={})
    with pytest.raises(ConfigError) as told:
        found.accepted({"duplicate-across": "so"})
    assert str(told.value) == (
        "There is no finding 'duplicate-across' to accept. Did you mean 'duplicates-across'? "
        f"Known: {', '.join(NAMES)}."
    )
    with pytest.raises(ConfigError) as told:
        found.accepted({"target-proxy:a": "  "})
    assert (
        str(told.value) == "'target-proxy:a' is to be accepted: say why, as it will be read later."
    )


def test_it_prints_what_it_is_worth_and_how_to_go_on() -> None:
    found = Findings.of(
        "photos", [finding("target-proxy", subject="b c", worth=WORTH)], counts={"train": 8},
        looked=["8 files."], left_out=["the rest."],
    )  # fmt: skip
    assert str(found).splitlines() == [
        "photos: 8 train",
        "",
        "CRITICAL  target-proxy:b c",
        "  Something is so.",
        "  Such as: a = b; c = d; e = f and 6 more.",
        "  Worth: accuracy of a simple model 0.9000 with it, 0.7000 without: +0.2000 (95%: +0.1500 to",
        "    +0.2500).",
        "  To do: do this.",
        "  Or: --accept 'target-proxy:b c' --because WHY. You say that it is right.",
        "",
        "Looked at: 8 files.",
        "Left out: the rest.",
        "1 critical, 0 to decide, 0 to know. 1 critical not accepted: a training would stop here.",
    ]
    passed = str(found.accepted({"target-proxy": "it is known"}))
    assert "  Accepted: it is known" in passed and "--accept" not in passed
    assert passed.endswith("1 critical, 0 to decide, 0 to know.")
    assert "Nothing was found." in str(Findings.of("x", [], counts={}))


def test_levels_are_three() -> None:
    assert LEVELS == ("critical", "warning", "note")
