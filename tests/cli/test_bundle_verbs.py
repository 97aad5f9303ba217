"""`export`, `verify`, and the verbs that take a bundle in a run's place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivetrain.bundle import opening
from drivetrain.cli import program

AGAIN = "Take it anew from where it came from."


@pytest.fixture(scope="session")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the run `trained`, without a guard. Not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "shapes"
    words = ["export", trained, "-o", folder, "--no-guard", "--golden", 3]
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return folder


def test_export_says_what_it_made_and_what_travels_with_it(run, trained: Path) -> None:
    result = run("export", trained, "-o", "out/shapes", "--no-guard", "--golden", 3)
    assert (result.exit_code, result.stderr) == (0, "")
    sha256 = opening.sha256_of("out/shapes")
    size = sum(path.stat().st_size for path in Path("out/shapes").rglob("*") if path.is_file())
    assert result.stdout == (
        f"out/shapes is sound: 10 files, {size:,} bytes.\n"
        "3 golden examples and the test pattern calculated by torch: the largest difference is 0, "
        "allowed is 0.0001.\n"
        f"SHA-256 of bundle.json: {sha256}\n"
        "3 validation pictures travel with it, in out/shapes/golden: --golden 0 leaves them out.\n"
        "Next\n"
        "  drivetrain predict out/shapes PICTURE...\n"
        "  python out/shapes/predict.py PICTURE...  # without Drivetrain\n"
        "  drivetrain verify out/shapes\n"
        "  read out/shapes/README.md\n"
    )


def test_no_script_leaves_predict_py_out(run, trained: Path) -> None:
    result = run("export", trained, "-o", "b", "--no-guard", "--golden", 0, "--no-script")
    assert (result.exit_code, result.stderr) == (0, "")
    assert not Path("b/predict.py").exists()
    assert "predict.py" not in result.stdout


def test_export_as_json_is_what_verify_found(run, trained: Path) -> None:
    exported = json.loads(
        run("export", trained, "--out", "b", "--no-guard", "--golden", 0, "--json").stdout
    )
    verified = run("verify", "b", "--json", "--out", "proof.json")
    assert verified.exit_code == 0
    assert exported == json.loads(verified.stdout) == json.loads(Path("proof.json").read_text())
    assert set(exported) == {
        *("bundle", "sha256", "application", "files", "bytes", "golden", "largest_difference"),
        *("tolerance", "engine"),
    }
    assert exported["golden"] == 0
    again = run("export", trained, "-o", "b", "--no-guard")
    assert again.exit_code == 0  # a bundle may be written over


def test_export_refuses_what_it_cannot_do(run, trained: Path) -> None:
    missing = run("export", trained)
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr == (
        "drivetrain: Missing option '-o': the folder of the bundle. See: drivetrain export --help\n"
    )
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    taken = run("export", trained, "-o", "mine")
    assert (taken.exit_code, taken.stdout, taken.stderr) == (
        2,
        "",
        "drivetrain: mine already holds 'thesis.txt' and is not a whole bundle, so it is not written "
        "over. Remove it, or choose another place for the bundle.\n",
    )
    nowhere = run("export", "nowhere", "-o", "b")
    assert (nowhere.exit_code, nowhere.stderr) == (
        2,
        "drivetrain: nowhere is not a run folder: there is no such folder.\n",
    )


def test_verify_ends_with_code_2_and_one_line(run, bundle: Path) -> None:
    broken = shutil.copytree(bundle, "broken")
    data = Path("broken/golden/0.png").read_bytes()
    Path("broken/golden/0.png").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = run("verify", broken)
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        f"drivetrain: broken/golden/0.png was changed: its SHA-256 is not the one recorded. {AGAIN}\n",
    )
    sound = run("verify", bundle, "--sha256", opening.sha256_of(bundle))
    assert (sound.exit_code, sound.stderr) == (0, "")
    assert sound.stdout.startswith(f"{bundle} is sound: 10 files, ")
    other = run("verify", bundle, "--sha256", "0" * 64)
    assert other.exit_code == 2
    assert other.stderr.startswith(f"drivetrain: {bundle} is not the bundle that was asked for: ")
    no_bundle = run("verify", bundle / "golden")
    assert (no_bundle.exit_code, no_bundle.stderr) == (
        2,
        f"drivetrain: {bundle / 'golden'} is not a bundle: it has no bundle.json.\n",
    )


def test_predict_evaluate_and_summary_take_a_bundle_as_they_take_a_run(
    run, trained: Path, bundle: Path, others: Path
) -> None:
    for words in (
        ("predict", "X", others),
        ("predict", "X", others, "--json"),
        ("evaluate", "X", "--on", others, "--json"),
    ):
        of_run, of_bundle = (
            run(*(folder if word == "X" else word for word in words))
            for folder in (trained, bundle)
        )
        assert (of_bundle.exit_code, of_bundle.stdout) == (0, of_run.stdout)
    assert run("summary", bundle).exit_code == 0


def test_engine_and_shift_are_asked_of_what_has_them(
    run, trained: Path, bundle: Path, others
) -> None:
    assert run("predict", trained, others, "--engine", "onnx").stderr == (
        f"drivetrain: {trained} is not a bundle, and only those have an ONNX model. "
        "Make one with: drivetrain export RUN -o BUNDLE --onnx\n"
    )
    assert run("predict", bundle, others, "--engine", "onnx").stderr == (
        f"drivetrain: {bundle} has no model.onnx. Export it with --onnx, or use --engine torch.\n"
    )
    assert run("predict", bundle, others, "--shift").stderr == (
        f"drivetrain: --shift needs the guard of a bundle, and {bundle} has none. "
        "Make one with: drivetrain export RUN -o BUNDLE\n"
    )


def test_a_bundle_with_a_guard_says_how_sure_it_is(
    run, trained: Path, photos: Path, others: Path
) -> None:
    """Six validation pictures are few for a guard: it says so, and promises less, not more."""
    assert run("export", trained, "-o", "b", "--golden", 1).exit_code == 0
    assert run("verify", "b").exit_code == 0
    answers = json.loads(run("predict", "b", others, "--json").stdout)
    assert len(answers) == 12
    for answer in answers:
        assert set(answer) == {
            *("input", "label", "probability", "probabilities", "set", "coverage", "domain")
        }
        assert answer["label"] in answer["set"]
    few = json.loads(run("predict", "b", others, "--json", "--shift").stdout)
    assert (few["predictions"], few["shift"]) == (answers, None)
    said = run("predict", "b", others, "--shift").stdout.splitlines()
    assert said[-1] == (
        "12 pictures are too few to say whether they are of another kind taken together."
    )
    many = json.loads(run("predict", "b", others, photos, "--json", "--shift").stdout)
    assert many["shift"]["num_items"] == 42
    assert run("predict", "b", others, photos).stdout.splitlines()[-1] == many["shift"]["text"]


@pytest.mark.slow
def test_a_bundle_predicts_through_onnx(run, trained: Path, others: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    result = run("export", trained, "-o", "b", "--no-guard", "--onnx")
    assert result.exit_code == 0, result.output
    assert "calculated by onnx" in run("verify", "b", "--engine", "onnx").stdout
    by_torch = json.loads(run("predict", "b", others, "--json").stdout)
    by_onnx = json.loads(run("predict", "b", others, "--json", "--engine", "onnx").stdout)
    for one, other in zip(by_torch, by_onnx, strict=True):
        assert other["probabilities"] == pytest.approx(one["probabilities"], abs=1e-4)
