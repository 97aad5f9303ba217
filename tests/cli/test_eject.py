"""`drivetrain eject`: a finished run as a script; what it prints, and what it refuses in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivetrain import _optional
from drivetrain.cli import program
from drivetrain.train.run import Run
from tests.cli.conftest import write_pictures
from tests.eject import replay


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose pictures are no longer there."""
    folder = tmp_path_factory.mktemp("gone")
    photos = write_pictures(folder / "photos", each=5)
    words = ["train", photos, "--epochs", 1, "--out", folder / "run"]
    assert CliRunner().invoke(program, [str(word) for word in words]).exit_code == 0
    shutil.rmtree(photos)
    return folder / "run"


def test_a_run_becomes_a_script_and_the_text_says_how_to_run_it(
    run, trained: Path, photos: Path
) -> None:
    result = run("eject", trained, "-o", "train photos.py", "--level", "loop")
    assert (result.exit_code, result.stderr.count("Traceback")) == (0, 0)
    text = Path("train photos.py").read_text("utf-8")
    weights = Run.open(trained).read()["results"]["weights_sha256"]
    assert result.stdout == (
        f"train photos.py: {len(text.splitlines())} lines, level 'loop'.\n"
        f"Run it  python 'train photos.py' --data {photos} --out OUT\n"
        f"It ends with weights_sha256 {weights}, as the run did.\n"
    )
    assert "train photos.py" in text


@pytest.mark.slow
def test_json_says_the_same(run, trained: Path) -> None:
    result = run("eject", trained, "-o", "train.py", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "script": "train.py",
        "level": "all",
        "lines": len(Path("train.py").read_text("utf-8").splitlines()),
        "weights_sha256": Run.open(trained).read()["results"]["weights_sha256"],
        "beside": None,
    }


@pytest.mark.slow
def test_the_run_stays_as_it_is(run, trained: Path) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert run("eject", trained, "-o", "train.py").exit_code == 0
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_script_that_is_there_is_replaced(run, trained: Path) -> None:
    Path("train.py").write_text("x = 1\n")
    assert run("eject", trained, "-o", "train.py").exit_code == 0
    assert "def main() -> None:" in Path("train.py").read_text()


@pytest.mark.slow
def test_the_same_run_gives_the_same_script(run, trained: Path) -> None:
    for name in ("a", "b"):
        Path(name).mkdir()
        assert run("eject", trained, "-o", f"{name}/train.py").exit_code == 0
    assert Path("a/train.py").read_text() == Path("b/train.py").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("level", ["all", "data", "loop"])
def test_every_level_ends_with_the_same_bits(run, trained: Path, photos: Path, level: str) -> None:
    result = run("eject", trained, "-o", "train.py", "--level", level, "--json")
    document = json.loads(result.stdout)
    assert document["level"] == level
    replayed = replay.replayed_alone if level == "all" else replay.replayed_with_drivetrain
    answer = replayed(Path("train.py"), Path("out"), photos)
    results = Run.open(trained).read()["results"]
    assert answer["weights_sha256"] == results["weights_sha256"] == document["weights_sha256"]
    assert replay.same_numbers(answer["metrics"], results["metrics"]["valid"])
    text = Path("train.py").read_text("utf-8")
    assert ("drivetrain" in text.replace("Written by Drivetrain", "")) is (level != "all")


@pytest.mark.slow
def test_shallower_levels_are_shorter(run, trained: Path) -> None:
    lines = []
    for level in ("loop", "data", "all"):
        result = run("eject", trained, "-o", "train.py", "--level", level, "--json")
        lines.append(json.loads(result.stdout)["lines"])
    assert lines[0] < lines[1] < lines[2]


# --- refusals -----------------------------------------------------------------------------------------


def one_line(result, code: int) -> str:
    """The one line on stderr; nothing is on stdout."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


def test_a_missing_output_is_asked_for(run, trained: Path) -> None:
    result = run("eject", trained)
    assert one_line(result, 2) == (
        "drivetrain: Missing option '-o': the script's file, such as -o train.py. "
        "See: drivetrain eject --help"
    )


def test_a_missing_run_is_asked_for(run) -> None:
    assert "Missing argument 'RUN'." in one_line(run("eject", "-o", "train.py"), 2)


def test_an_unknown_level_is_refused(run, trained: Path) -> None:
    line = one_line(run("eject", trained, "-o", "train.py", "--level", "most"), 2)
    assert "'most' is not one of 'all', 'data', 'loop'." in line
    assert not Path("train.py").exists()


@pytest.mark.parametrize("make", [None, Path.mkdir, Path.touch], ids=["nothing", "empty", "file"])
def test_what_is_no_run_is_refused(run, make) -> None:
    if make is not None:
        make(Path("x"))
    result = run("eject", "x", "-o", "train.py")
    line = one_line(result, 2)
    assert result.stderr.count("\n") == 1
    assert line.startswith("drivetrain: x ")
    assert not Path("train.py").exists()


def test_pictures_that_are_gone_are_named(run, gone: Path) -> None:
    line = one_line(run("eject", gone, "-o", "train.py"), 2)
    assert line.startswith("drivetrain: ") and str(gone.parent / "photos") in line
    assert not Path("train.py").exists()


def test_a_run_that_is_not_finished_is_refused_with_how_to_finish_it(run, trained: Path) -> None:
    shutil.copytree(trained, "cut")
    path = Path("cut/run.json")
    document = json.loads(path.read_text())
    document["results"] = {}
    for stage in document["journal"]:
        if stage["kind"] == "fit":
            stage["status"] = "stopped"
    path.write_text(json.dumps(document))
    line = one_line(run("eject", "cut", "-o", "train.py"), 2)
    assert line.endswith("Resume it first: drivetrain resume RUN, or `learner.resume()`.")
    assert line.startswith("drivetrain: The training is not finished: `")
    assert not Path("train.py").exists()


def test_a_place_that_cannot_be_written_ends_with_3(run, trained: Path) -> None:
    Path("file").touch()
    line = one_line(run("eject", trained, "-o", "file/train.py", "--level", "loop"), 3)
    assert line.startswith("drivetrain: ") and "file" in line


def test_a_missing_ruff_is_named(run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _optional.importlib.import_module

    def absent(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "ruff":
            raise ModuleNotFoundError("No module named 'ruff'", name="ruff")
        return real(name, *rest)

    monkeypatch.setattr(_optional.importlib, "import_module", absent)
    line = one_line(run("eject", trained, "-o", "train.py"), 2)
    assert line == (
        "drivetrain: `ruff` is not installed. Install it with: pip install 'drivetrain[eject]'."
    )


def test_help_says_what_it_does_and_its_levels(run) -> None:
    result = run("eject", "--help")
    assert result.exit_code == 0
    for part in ("RUN", "--level [all|data|loop]", "-o", "--json", "without Drivetrain"):
        assert part in result.stdout
