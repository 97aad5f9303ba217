"""Whatever a stranger writes into the JSON of a bundle, with hashes that fit: an answer, or our error."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.bundle import manifest as manifests
from drivetrain.errors import DrivetrainError
from tests.vision.test_learner import make_pictures

STRANGE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2**31, 10**40, 1e308, -0.5, 1e-320),
    *("", "x", "../../etc/passwd", "os.system", "a" * 5000, "\x00", "\u202e"),
    *([], {}, [[]], {"": None}, [None] * 100, ["batch"] * 4),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    pictures = make_pictures(folder / "photos", per_class=24)
    learner = dt.vision.learner(pictures, progress=False)
    learner.train(1)
    learner.export(folder / "bundle", golden=2)
    return folder / "bundle"


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON document."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*above, key)
            yield from places(value[key], (*above, key))


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(content))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return copy


def write_signed(folder: Path, name: str, content: Any) -> None:
    """Write a JSON file of a bundle, and hashes that fit."""
    described = json.loads((folder / manifests.NAME).read_text())
    if name == manifests.NAME:
        described = content
    else:
        data = store.json_bytes(content)
        (folder / name).write_bytes(data)
        record = manifests.FileRecord.of(data)
        described["files"][name] = {"sha256": record.sha256, "bytes": record.bytes}
    described.pop("digest", None)
    described["digest"] = manifests.digest_of(described)
    (folder / manifests.NAME).write_bytes(store.json_bytes(described))


def broken(bundle: Path, name: str, cases: list[tuple[tuple[Any, ...], Any]]) -> list[str]:
    """Those of the changes that end in anything but an answer or an error of ours."""
    before = {path: path.read_bytes() for path in (bundle / name, bundle / manifests.NAME)}
    content = json.loads(before[bundle / name])
    found = []
    picture = next((bundle / "golden").glob("*.png")).read_bytes()
    for place, value in cases:
        try:
            write_signed(bundle, name, changed(content, place, value))
            answer = dt.vision.load(bundle).predict(picture)
            assert 0 <= answer.probability <= 1
            dt.vision.verify(bundle)
        except DrivetrainError as error:
            if "\n" in str(error) or len(str(error)) > 2000:
                found.append(f"{place} = {value!r:.40}: a message of {len(str(error))} letters")
        except Exception as error:  # noqa: BLE001 - that there is none is the test
            found.append(f"{place} = {value!r:.40}: {error!r:.200}")
        finally:
            for path, data in before.items():
                path.write_bytes(data)
    return found


def all_cases(bundle: Path, name: str) -> list[tuple[tuple[Any, ...], Any]]:
    content = json.loads((bundle / name).read_text())
    return [(place, value) for place in places(content) for value in (*STRANGE, ...)]


NAMES = (manifests.NAME, manifests.GOLDEN, manifests.GUARD)


@pytest.mark.parametrize("name", NAMES)
def test_a_strange_value_anywhere_ends_well(bundle: Path, name: str) -> None:
    cases = all_cases(bundle, name)
    random.Random(1).shuffle(cases)
    assert broken(bundle, name, cases[:60]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_strange_value_at_every_place_ends_well(bundle: Path, name: str) -> None:
    assert broken(bundle, name, all_cases(bundle, name)) == []
