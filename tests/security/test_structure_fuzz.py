"""Mutations of a sound model folder and bundle: a named error, or predictions that fit the labels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.security import mutations
from tests.security.sound import SoundFolders
from tools import attack_corpus


def base_of(folders: SoundFolders, kind: str) -> Path:
    return mutations.bases_of(folders)[kind]


TABLES = ("model folder of tables", "bundle of tables", "bundle of numbers")
KINDS = ("model folder", "bundle", *TABLES, "bundle of texts")


FEW = {"model folder": 80, "bundle": 80, "bundle of tables": 40, "bundle of texts": 40}


@pytest.fixture(scope="module")
def few(
    sound_folders: SoundFolders, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, mutations.Tally]:
    """What came of the mutations with the first numbers, by kind."""
    parts = [(range(count), base_of(sound_folders, kind)) for kind, count in FEW.items()]
    tallies = mutations.try_all(parts, sound_folders, tmp_path_factory.mktemp("few"))
    return dict(zip(FEW, tallies, strict=True))


@pytest.mark.parametrize("kind", FEW)
def test_some_mutations(few: dict[str, mutations.Tally], kind):
    assert few[kind].wrong == []
    assert few[kind].tried == FEW[kind]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
def test_1500_mutations(sound_folders: SoundFolders, tmp_path: Path, kind):
    numbers = range(10_000, 11_500)
    tally = mutations.try_many(numbers, base_of(sound_folders, kind), sound_folders, tmp_path)
    assert tally.wrong == []
    assert tally.tried == 1500
    assert tally.answered > 100, "some mutations change what does not matter"
    assert tally.refused > 500


def test_a_mutation_is_known_by_its_number(sound_folders: SoundFolders, tmp_path: Path):
    def mutated(folder: Path) -> dict[str, bytes]:
        shutil.copytree(sound_folders.bundle, folder)
        mutations.mutate(attack_corpus.Place(folder, tmp_path), 7)
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert mutated(tmp_path / "one") == mutated(tmp_path / "two")


def test_most_mutations_come_past_the_hashes(sound_folders: SoundFolders, tmp_path: Path):
    """A hash that answers everything would hide what stands behind it."""
    place = attack_corpus.write(
        attack_corpus.Attack("", (), lambda _: None),
        sound_folders.bundle,
        tmp_path / "folder",
        tmp_path / "out",
    )
    before = place.description.read_bytes()
    place.seal()
    assert place.description.read_bytes() == before, "a sound folder is sealed as it was"


def test_a_process_that_dies_is_counted(sound_folders: SoundFolders, tmp_path: Path, monkeypatch):
    died = subprocess.CompletedProcess([], 1, "", "")
    monkeypatch.setattr(mutations.fresh, "run", lambda code, **_: died)
    tally = mutations.try_many(range(2), sound_folders.bundle, sound_folders, tmp_path)
    assert len(tally.wrong) == 2
    assert "the process ended with 1" in tally.wrong[0]
