"""Doors with a mistake in them, for the proof that the watch sees it: each does what nobody may.

python -m tests.security.planted FOLDER PICTURE     prints, for each door, what was found wrong
"""

from __future__ import annotations

import ctypes
import importlib.util
import io
import json
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import torch

from tests.security.doors import Sound, Watch, attempt
from tools import attack_corpus

WEIGHTS = "model/model.safetensors"


def naive_torch_load(folder: Path, sound: Sound) -> str:
    """What most trainers do, with a file that is named as they name theirs."""
    torch.load(io.BytesIO((folder / WEIGHTS).read_bytes()), weights_only=False)
    return "predicts"


def naive_pickle(folder: Path, sound: Sound) -> str:
    """And what the others do."""
    pickle.loads((folder / WEIGHTS).read_bytes())  # noqa: S301 - what is planted
    return "predicts"


def runs_source(folder: Path, sound: Sound) -> str:
    """A folder's own code."""
    spec = importlib.util.spec_from_file_location("modeling", folder / "evil_module.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return "predicts"


def starts_a_program(folder: Path, sound: Sound) -> str:
    """Another process."""
    subprocess.run(["true"], check=True)
    return "predicts"


def asks_the_network(folder: Path, sound: Sound) -> str:
    """A connection, which is refused."""
    with socket.socket() as one:
        one.connect_ex(("127.0.0.1", 9))
    return "predicts"


def loads_a_library(folder: Path, sound: Sound) -> str:
    """A file of machine code."""
    ctypes.CDLL("libc.so.6")
    return "predicts"


def writes_outside(folder: Path, sound: Sound) -> str:
    """A file that is not the folder's."""
    (folder.parent / "outside" / "new").write_text("x")
    return "predicts"


def raises_its_own(folder: Path, sound: Sound) -> str:
    """An error that nobody named."""
    return json.loads((folder / WEIGHTS).read_bytes())


def takes_memory(folder: Path, sound: Sound) -> str:
    """As much as a header says."""
    return str(len(bytearray(400 << 20)))


PLANTED = {
    door.__name__: door
    for door in (
        naive_torch_load, naive_pickle, runs_source, starts_a_program, asks_the_network,
        loads_a_library, writes_outside, raises_its_own, takes_memory,
    )
}  # fmt: skip


def main() -> None:
    """Every planted door on folders that would go through it."""
    base, picture = map(Path, sys.argv[1:3])
    attacks = {attack.name: attack for attack in attack_corpus.of_kind("run")}
    names = {"naive_torch_load": "torch-legacy-as-weights", "naive_pickle": "pickle-4-as-weights"}
    watch = Watch()
    for number, door in enumerate(PLANTED):
        work = picture.parent.parent.parent / f"planted-{number}"
        work.mkdir()
        attack = attacks[names.get(door, "beside-evil_module.py")]
        place = attack_corpus.write(attack, base, work / "folder", work / "outside")
        given = Sound(picture, picture.parent, picture)  # none of these doors opens a table
        outcome = attempt(attack.name, door, place, given, watch, doors=PLANTED)
        print(json.dumps([door, outcome.wrong, outcome.megabytes]))


if __name__ == "__main__":
    main()
