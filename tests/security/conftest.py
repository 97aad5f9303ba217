"""Sound folders, made once, and a process that opens hostile ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.security import sound
from tests.security.doors import Outcome
from tools import attack_corpus

Round = tuple[Sequence[str], Sequence[str]]
"""Names of attacks, and the doors that each of them goes through."""
Opened = Callable[[str, Sequence[Round]], list[Outcome]]


@pytest.fixture(scope="session")
def sound_folders(tmp_path_factory: pytest.TempPathFactory) -> sound.SoundFolders:
    """Runs, one that was cut, and bundles, of tiny models."""
    return sound.make(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def opened(sound_folders: sound.SoundFolders, tmp_path: Path) -> Opened:
    """`opened(kind, rounds)`: what came of those attacks, as `open_all` says."""
    return lambda kind, rounds: open_all({kind: rounds}, sound_folders, tmp_path)[kind]


def open_all(
    parts: Mapping[str, Sequence[Round]], given: sound.SoundFolders, work: Path
) -> dict[str, list[Outcome]]:
    """What came of attacks on folders of some kinds, without a network where that works.

    One process for all of them: to begin one takes longer than a hundred attacks.
    """
    bases = {
        "run": given.run,
        "bundle": given.bundle,
        "cut": given.cut,
        "table-run": given.table_run,
        "table-bundle": given.table_bundle,
        "text-bundle": given.text_bundle,
    }
    job = {
        "parts": [
            {
                "kind": kind,
                "rounds": [[list(names), list(doors)] for names, doors in rounds],
                "base": str(bases[kind]),
            }
            for kind, rounds in parts.items()
        ],
        "work": str(work),
        "picture": str(given.picture),
        "pictures": str(given.pictures),
        "table": str(given.table),
    }
    done = subprocess.run(
        [*without_network(), sys.executable, "-m", "tests.security.doors"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=attack_corpus.ROOT,
    )
    outcomes = [Outcome(**json.loads(line)) for line in done.stdout.splitlines()]
    said = f"{done.returncode} after {outcomes[-1:]}: {done.stderr[-3000:]}"
    assert done.returncode == 0, f"The process ended with {said}"
    found = {}
    for kind, rounds in parts.items():
        count = sum(len(names) * len(doors) for names, doors in rounds)
        found[kind], outcomes = outcomes[:count], outcomes[count:]
        assert len(found[kind]) == count
    assert outcomes == []
    return found


def without_network() -> list[str]:
    """The words before a command that take its network away; none where the system refuses that."""
    for words in (["unshare", "-n"], ["unshare", "-rn"]):
        if (
            shutil.which("unshare")
            and not subprocess.run([*words, "true"], capture_output=True).returncode
        ):
            return words
    return []
