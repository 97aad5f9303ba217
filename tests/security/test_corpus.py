"""Hostile folders through every door: nothing runs, nothing crashes, one named error or sound answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.security.conftest import Opened, Round, open_all
from tests.security.doors import (
    OF_BUNDLE,
    OF_RUN,
    OF_TABLE_BUNDLE,
    OF_TABLE_RUN,
    OF_TEXT_BUNDLE,
    Outcome,
)
from tests.security.sound import SoundFolders
from tools import attack_corpus

SECONDS, MEGABYTES = 2.0, 300.0
SECONDS_OF_EJECT = 10.0
"""To write a script takes seconds of a sound run too."""
EVERY, EVERY_LOAD = 160, 25
"""Of so many attacks the fast tests take one, through every door or `load`; `make test-all` takes all."""
RARER = 12
"""So many times less often of tables, of which there are more."""

DOORS = {
    "run": OF_RUN,
    "bundle": OF_BUNDLE,
    "cut": ("resume",),
    "table-run": OF_TABLE_RUN,
    "table-bundle": OF_TABLE_BUNDLE,
    "text-bundle": OF_TEXT_BUNDLE,
}


def names_of(kind: str) -> list[str]:
    return [attack.name for attack in attack_corpus.of_kind(kind)]


def broken(outcomes: Iterable[Outcome]) -> list[str]:
    """A line for each promise that was broken."""
    lines = []
    for one in outcomes:
        where = f"{one.name} through {one.door}"
        lines += [f"{where}: {wrong}" for wrong in one.wrong]
        if one.seconds > (SECONDS_OF_EJECT if one.door == "eject" else SECONDS):
            lines.append(f"{where}: {one.seconds:.1f} s")
        if one.megabytes > MEGABYTES:
            lines.append(f"{where}: {one.megabytes:.0f} MB")
    return lines


def test_there_are_enough_attacks_and_no_name_stands_twice():
    names = [attack.name for attack in attack_corpus.attacks()]
    assert len(names) == len(set(names)) >= 120
    for kind in DOORS:
        assert len(names_of(kind)) >= 120


SOUND = {
    "run": "beside-json.py",
    "bundle": "hard-sound",
    "cut": "position-seconds-huge-checkpoint",
    "table-run": "beside-json.py",
    "table-bundle": "hard-sound",
    "text-bundle": "hard-sound",
}
"""What changes nothing that is read: these are answered, else the refusals would prove nothing."""


def a_part_of(kind: str) -> list[Round]:
    """What changes nothing, and some of the attacks."""
    names, doors = names_of(kind), DOORS[kind]
    rarer = RARER if kind.startswith("t") else 1
    rounds: list[Round] = [([SOUND[kind]], doors), (names[:: EVERY * rarer], doors)]
    if kind != "cut":
        rounds.append((names[:: EVERY_LOAD * rarer], doors[:1]))
    return rounds


QUICK = ("run", "bundle", "table-bundle", "text-bundle")


@pytest.fixture(scope="module")
def quick(
    sound_folders: SoundFolders, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Outcome]]:
    """What came of a part of the attacks on each kind."""
    parts = {kind: a_part_of(kind) for kind in QUICK}
    return open_all(parts, sound_folders, tmp_path_factory.mktemp("quick"))


@pytest.mark.parametrize("kind", QUICK)
def test_a_part_of_the_attacks(quick: dict[str, list[Outcome]], kind):
    check_a_part(kind, quick[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted({*DOORS} - {*QUICK}))
def test_a_part_of_the_attacks_on_other_folders(opened: Opened, kind):
    check_a_part(kind, opened(kind, a_part_of(kind)))


def check_a_part(kind: str, outcomes: list[Outcome]) -> None:
    assert broken(outcomes) == []
    for outcome in outcomes[: len(DOORS[kind])]:
        if not outcome.door.endswith("load-onnx"):  # this bundle has no ONNX model
            assert outcome.said in ("predicts", "answers", "verified"), outcome


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", sorted(DOORS))
def test_every_attack_through_every_door(opened: Opened, kind):
    assert broken(opened(kind, [(names_of(kind), DOORS[kind])])) == []


@pytest.mark.slow
def test_a_script_of_a_part_of_the_attacked_runs(opened: Opened):
    outcomes = opened("run", [([SOUND["run"], *names_of("run")[::100]], ["eject"])])
    assert broken(outcomes) == []
    assert outcomes[0].said == "answers"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_script_of_every_attacked_run(opened: Opened):
    assert broken(opened("run", [(names_of("run"), ["eject"])])) == []


def test_the_command_writes_the_corpus(sound_folders: SoundFolders, tmp_path: Path, capsys):
    assert attack_corpus.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(attack_corpus.attacks())
    attack = next(a for a in attack_corpus.of_kind("run") if a.name == "pickle-4-as-weights")
    place = attack_corpus.write(attack, sound_folders.run, tmp_path / "f", tmp_path / "o")
    assert place.weights.read_bytes().startswith(b"\x80\x04cposix\nmkdir")
    assert not place.marker.exists()
