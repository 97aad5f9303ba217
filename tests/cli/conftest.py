"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import drivetrain
from drivetrain.cli import program
from drivetrain.samples.shapes import SHAPES, pictures

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Call the command line in this process: `run("predict", folder)`."""

    def call(*words: object) -> Result:
        return CliRunner().invoke(program, [str(word) for word in words])

    return call


def write_pictures(folder: Path, *, each: int, first: int = 0) -> Path:
    """`folder/circle/0.png` …: so many pictures of each class of the sample `shapes`."""
    from PIL import Image

    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
    for picture in pictures():
        _, shape, file = picture.path.split("/")
        number = int(file[-7:-4])
        if first <= number < first + each:
            size = (picture.width, picture.height)
            Image.frombytes(picture.mode, size, picture.pixels).save(
                folder / shape / f"{number}.png"
            )
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 classes with 10 pictures each. Not to be changed."""
    return write_pictures(tmp_path_factory.mktemp("photos") / "photos", each=10)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of each class that are not in `photos`. Not to be changed."""
    return write_pictures(tmp_path_factory.mktemp("others") / "others", each=4, first=50)


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on `photos`. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    words = ["train", photos, "--epochs", 2, "--seed", 7, "--out", folder]
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test stands in a new folder; the cache of samples is one for all of them."""
    # where this package is, for processes that start in another folder
    monkeypatch.setenv("PYTHONPATH", str(Path(drivetrain.__file__).resolve().parents[1]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
