"""`drivetrain train`, as a person and as a program use it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from drivetrain import vision
from drivetrain.cli import common
from drivetrain.samples import SAMPLES
from drivetrain.train.run import Run

KEYS = {
    "run", "task", "model", "metrics", "interval", "baselines", "items", "epochs", "seconds",
    "weights_sha256",
}  # fmt: skip


def test_the_json_document_is_the_only_thing_on_stdout(
    run, photos: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def chatty(*words: Any, **options: Any) -> Any:
        print("a library that prints")
        return learner(*words, **options)

    learner = vision.learner
    monkeypatch.setattr("drivetrain.vision.learner", chatty)
    done = run("train", photos, "--epochs", 1, "--seed", 3, "--out", "runs/one", "--json")
    assert done.exit_code == 0, done.stderr
    assert capfd.readouterr().out == "", "nothing passes by Python's stdout"
    assert "a library that prints\n" in done.stderr
    document = json.loads(done.stdout)
    assert set(document) >= KEYS
    assert document["run"] == str(Path("runs/one"))
    assert document["task"] == "vision"
    assert document["model"] == "resnet_tiny"
    assert document["items"] == {"train": 24, "valid": 6, "test": 0, "quarantined": 0}
    assert document["epochs"] == 1
    assert document["seconds"] > 0
    assert re.fullmatch(r"[0-9a-f]{64}", document["weights_sha256"])
    accuracy = document["metrics"]["valid"]["accuracy"]
    assert accuracy * 6 == pytest.approx(round(accuracy * 6))
    assert document["interval"][0] <= accuracy <= document["interval"][1]
    assert document["baselines"]["majority_class"]["accuracy"] == pytest.approx(1 / 3)
    assert set(document["baselines"]) == {"majority_class", "nearest_mean_image"}
    assert Run.open("runs/one").read()["results"] == document
    assert "valid_loss" in done.stderr, "the history is shown while it trains"


def test_what_a_person_reads(run, photos: Path) -> None:
    result = run("train", photos, "--epochs", 1, "--out", "my run")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:5] == [
        f"Source    {photos}",
        "Classes   circle, square, triangle",
        "Labels    the class folder's name",
        "Pictures  24 to train, 6 to validate",
        "Chosen for you (how to change each: drivetrain why 'my run')",
    ]
    chosen = {line.split()[0] for line in lines[5 : lines.index("")]}
    assert chosen >= {"split", "size", "model", "loss", "lr", "epochs", "num_threads", "seed"}
    after = lines[lines.index("Result on 6 validation pictures") :]
    number, between = r"\d\.\d{3}", r"  95% interval \d\.\d{3} to \d\.\d{3}"
    expected = [
        rf"  accuracy +{number}{between}",
        rf"    majority class \(circle\) +0\.333{between}",
        rf"    nearest mean image +{number}{between}",
        rf"  loss +{number}",
        rf"  error rate +{number}",
        "",
        r"1 epoch in \d+\.\d s\. The run is in my run",
        "Next",
        r"  drivetrain predict 'my run' PICTURE\.\.\.",
        r"  drivetrain evaluate 'my run' --on FOLDER",
        r"  drivetrain report 'my run'",
    ]
    for line, pattern in zip(after[1:], expected, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(run, photos: Path) -> None:
    def weights(seed: int) -> str:
        words = ["train", photos, "--epochs", 1, "--seed", seed, "--json"]
        return json.loads(run(*words).stdout)["weights_sha256"]

    first = weights(5)
    assert weights(5) == first
    assert weights(6) != first
    runs = sorted(path.name for path in Path("runs").iterdir())
    today = runs[0].removesuffix("-photos")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", today)
    assert runs == [f"{today}-photos", f"{today}-photos-2", f"{today}-photos-3"]


def test_options_and_settings_reach_the_run(run, photos: Path) -> None:
    words = "--epochs 1 --size 16 --valid 0.5 --set batch_size=5 --set dropout=0.1 --set resize=pad"
    result = run("train", photos, *words.split(), "--out", "out", "--json")
    assert json.loads(result.stdout)["items"]["valid"] == 15
    record = Run.open("out").read()
    assert record["data"]["size"] == [16, 16]
    assert record["data"]["resize"] == "pad"
    assert record["data"]["valid"] == 0.5
    assert record["settings"]["batch_size"] == 5
    assert record["settings"]["dropout"] == 0.1
    values = {choice["what"]: choice for choice in record["choices"]}
    assert values["epochs"]["value"] == 1
    for choice in values.values():
        assert set(choice) == {"what", "value", "reason", "change"}
        assert choice["reason"]
        assert choice["change"]


def test_a_csv_with_windows_line_ends(run, photos: Path, tmp_path: Path) -> None:
    rows = [f"{p.parent.name}/{p.name};{p.parent.name}" for p in sorted(photos.glob("*/*.png"))]
    Path("labels.csv").write_bytes("\r\n".join(["file;species", *rows, ""]).encode("utf-8-sig"))
    words = ["train", "labels.csv", "--pictures", photos, "--label-column", "species"]
    result = run(*words, "--epochs", 1, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["items"]["train"] == 24


def test_labels_in_file_names(run, photos: Path) -> None:
    Path("flat").mkdir()
    for path in photos.glob("*/*.png"):
        shutil.copy(path, f"flat/{path.parent.name}_{path.name}")
    result = run("train", "flat", "--pattern", "^(.+)_[0-9]+", "--epochs", 1, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["items"]["train"] == 24


def test_bad_pictures_are_set_aside_by_name_and_the_run_goes_on(run, photos: Path) -> None:
    shutil.copytree(photos, "photos")
    whole = Path("photos/circle/0.png").read_bytes()
    Path("photos/circle/cut.png").write_bytes(whole[: len(whole) // 2])
    Path("photos/square/empty.png").write_bytes(b"")
    Path("photos/square/text.jpg").write_text("not a picture")
    result = run("train", "photos", "--epochs", 1, "--out", "out")
    assert result.exit_code == 0
    assert (
        "3 set aside:\n"
        "  circle/cut.png    The file ends before the picture does.\n"
        "  square/empty.png  The file is empty.\n"
        "  square/text.jpg   The content is not a picture.\n"
    ) in result.stdout
    assert Run.open("out").read()["results"]["items"]["quarantined"] == 3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("photos.zip", "photos.zip is an archive. Unpack it, and give the folder or the table in it."),
        ("a.tar.gz", "a.tar.gz is an archive. Unpack it, and give the folder or the table in it."),
        ("Sales.XLSX", "Sales.XLSX is a workbook. Save its sheet as CSV, and give that."),
        ("t.json", "t.json is of a kind that is not read. Save it as CSV or Parquet, and give that."),
        ("t.pkl", "t.pkl is a pickle, which runs whatever is in it. Save the table as CSV or Parquet, "
         "and give that."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["train", "check", "sweep"])
def test_a_file_of_another_kind_says_what_to_do_with_it(
    run, command: str, name: str, sentence: str
) -> None:
    Path(name).write_bytes(b"PK")
    found = run(command, name, "--target", "b")
    assert found.exit_code == 2 and found.stderr == f"drivetrain: {sentence}\n"


def test_an_address_is_not_opened(run) -> None:
    found = run("train", "https://example.com/photos.zip")
    assert found.exit_code == 2 and found.stderr == (
        "drivetrain: 'https://example.com/photos.zip' is an address, and nothing is downloaded. Save "
        "what is there, and give the file or the folder.\n"
    )


def test_many_bad_pictures_are_counted_and_the_file_that_names_all_is_named(
    run, photos: Path
) -> None:
    shutil.copytree(photos, "photos")
    for number in range(7):
        Path(f"photos/circle/bad{number}.png").write_bytes(b"")
    shown = run("train", "photos", "--epochs", 1, "--out", "out").stdout
    assert f"  … and 2 more, in {Path('out/quarantine.jsonl')}\n" in shown
    assert len(Path("out/quarantine.jsonl").read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            "missing",
            "There is no folder, file or sample 'photos'. List the samples with: drivetrain samples",
        ),
        (
            "digit",
            "There is no folder, file or sample 'digit'. Did you mean 'digits'? "
            "List the samples with: drivetrain samples",
        ),
        ("empty", "photos holds no pictures. Looked for: "),
        ("one class", "photos holds one class, 'circle': there is nothing to tell apart. "),
        (
            "all bad",
            "None of the 2 pictures in photos can be used. The first: a/1.png: The file is empty.",
        ),
        (
            "taken",
            "out already holds files. Choose another folder with --out.\n",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    run, photos: Path, make: str, sentence: str
) -> None:
    folder = Path("photos")
    if make == "empty":
        folder.mkdir()
    elif make == "one class":
        shutil.copytree(photos / "circle", folder / "circle")
    elif make == "all bad":
        for name in ("a", "b"):
            (folder / name).mkdir(parents=True)
            (folder / name / "1.png").write_bytes(b"")
    elif make == "taken":
        shutil.copytree(photos, folder)
        Path("out").mkdir()
        Path("out/file").touch()
    source = "digit" if make == "digit" else "photos"
    result = run("train", source, "--epochs", 1, "--out", "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"drivetrain: {sentence}")


@pytest.mark.skipif(
    os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="this user may read every folder"
)
def test_a_folder_without_the_right_to_read_it_is_refused_in_one_line(run, photos: Path) -> None:
    shutil.copytree(photos, "photos")
    Path("photos/circle").chmod(0)
    try:
        result = run("train", "photos")
    finally:
        Path("photos/circle").chmod(0o755)
    assert result.exit_code == 2
    assert result.stderr == (
        "drivetrain: photos/circle cannot be read: Permission denied. "
        "Give yourself the right to list it.\n"
    )


def test_a_misspelt_model_is_refused_before_a_picture_is_opened(
    run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivetrain.vision.from_folder", None)
    result = run("train", photos, "--model", "resnet_tin")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "drivetrain: Unknown model 'resnet_tin'. Did you mean 'resnet_tiny'?"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--label-column", "y"],
            "--target names a column of a table, and photos is a folder: of pictures its sub-folders are "
            "the classes.",
        ),
        (["--set", "folder=x"], "'folder': only for a CSV file, and photos is none."),
    ],
)
def test_settings_of_another_kind_of_source_are_refused(
    run, photos: Path, words: list[str], sentence: str
) -> None:
    shutil.copytree(photos, "photos")
    result = run("train", "photos", *words)
    assert result.exit_code == 2
    assert result.stderr == f"drivetrain: {sentence} See: drivetrain train --help\n"


def test_a_pattern_is_not_for_a_csv(run) -> None:
    Path("labels.csv").write_text("path,label\n")
    result = run("train", "labels.csv", "--pattern", "(.)")
    assert result.stderr == (
        "drivetrain: 'pattern': only for a folder, and labels.csv is none. See: drivetrain train --help\n"
    )


def test_a_source_is_what_is_there_before_it_is_a_sample(tmp_path: Path) -> None:
    sample = common.find_source("shapes")
    assert sample.name == f"shapes-{SAMPLES['shapes'].version}"
    (tmp_path / "shapes").mkdir()
    assert common.find_source("shapes") == Path("shapes")


def test_without_a_source_the_digits_are_trained(run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        "drivetrain.cli.common.find_source", lambda name: asked.append(name) or Path("x")
    )
    assert run("train").exit_code == 2
    assert asked == ["digits"]


@pytest.mark.slow
def test_the_default_sample_trains_well_beyond_its_baselines(run) -> None:
    document = json.loads(run("train", "--epochs", 3, "--json").stdout)
    assert document["items"] == {"train": 1149, "valid": 288, "test": 360, "quarantined": 0}
    assert document["interval"][0] > document["baselines"]["nearest_mean_image"]["accuracy"]


def test_callbacks_and_optimizers_are_given_by_name_and_recorded(run, photos: Path) -> None:
    words = ["train", photos, "--epochs", 2, "--set", "optimizer=lamb"]
    given = ["--callback", "ema:decay=0.9", "--callback", "mixup"]
    plain = json.loads(run(*words, "--out", "plain", "--json").stdout)
    mixed = json.loads(run(*words, *given, "--out", "mixed", "--json").stdout)
    assert mixed["weights_sha256"] != plain["weights_sha256"]
    record = json.loads(Path("mixed/run.json").read_text())
    assert record["callbacks"][0] == {"name": "ema", "decay": 0.9, "warmup": True}
    assert record["callbacks"][1]["name"] == "mixup"
    assert record["optimizer"] == {"name": "lamb", "options": {}}
    chosen = {choice["what"]: choice["value"] for choice in record["choices"]}
    assert chosen["optimizer"] == "lamb"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--callback", "mixxup"], "Unknown callback 'mixxup'. Did you mean 'mixup'? "),
        (
            ["--callback", "mixup:alfa=1"],
            "Callback 'mixup' has no option 'alfa'. Did you mean 'alpha'? ",
        ),
        (
            ["--callback", "mixup:alpha"],
            "Invalid value for '--callback': 'mixup:alpha' is not a callback such as ema or "
            "mixup:alpha=0.2. See: ",
        ),
        (["--set", "optimizer=lambda"], "Unknown optimizer 'lambda'. Did you mean 'lamb'? "),
    ],
)
def test_a_slip_in_a_name_is_answered_in_one_line(
    run, photos: Path, words: list[str], sentence: str
) -> None:
    result = run("train", photos, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"drivetrain: {sentence}")
    assert result.stderr.count("\n") == 1
