"""The watch has teeth: doors with a planted mistake are found out, each by what it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import fresh
from tests.security.sound import SoundFolders
from tools import attack_corpus

FOUND = {
    "naive_torch_load": ("pickle.find_class", "the marker was made"),
    "naive_pickle": ("pickle.find_class", "the marker was made"),
    "runs_source": ("exec of ", "the marker was made"),
    "starts_a_program": ("subprocess.Popen",),
    "asks_the_network": ("socket.connect",),
    "loads_a_library": ("ctypes.dlopen",),
    "writes_outside": ("open for writing",),
    "raises_its_own": ("DecodeError",),
}


@pytest.fixture(scope="module")
def planted(sound_folders: SoundFolders) -> dict[str, tuple[list[str], float]]:
    done = fresh.run(
        "from tests.security.planted import main; main()",
        sound_folders.run,
        sound_folders.picture,
        cwd=attack_corpus.ROOT,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {door: (wrong, megabytes) for door, wrong, megabytes in rows}


@pytest.mark.parametrize("door", sorted(FOUND))
def test_a_planted_mistake_is_found(planted, door):
    wrong, _ = planted[door]
    for expected in FOUND[door]:
        assert any(expected in line for line in wrong), wrong


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells")
def test_memory_beyond_the_bound_is_found(planted):
    assert planted["takes_memory"][1] > 300
