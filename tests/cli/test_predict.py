"""`drivetrain predict`: every good picture is answered, every bad one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CLASSES = {"circle", "square", "triangle"}


@pytest.fixture
def bad() -> list[str]:
    Path("empty.png").write_bytes(b"")
    Path("text.jpg").write_text("not a picture")
    return ["empty.png", "missing.png", "text.jpg"]


SAID = {
    "empty.png": "The file is empty.",
    "missing.png": "The file cannot be read: No such file or directory.",
    "text.jpg": "The content is not a picture.",
}


def test_each_picture_gets_a_label_and_a_probability_of_each_class(
    run, trained: Path, others: Path
) -> None:
    result = run("predict", trained, others, others / "square/51.png", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    answers = json.loads(result.stdout)
    files = [*sorted(others.glob("*/*.png")), others / "square/51.png"]
    assert [answer["input"] for answer in answers] == [str(path) for path in files]
    for answer in answers:
        assert set(answer) == {"input", "label", "probabilities"}
        chances = answer["probabilities"]
        assert set(chances) == CLASSES
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
        assert answer["label"] == max(chances, key=chances.__getitem__)
    twice = [a["probabilities"] for a in answers if a["input"] == str(files[-1])]
    assert list(twice[0].values()) == pytest.approx(list(twice[1].values()), abs=1e-5)


def test_what_a_person_reads(run, trained: Path, others: Path) -> None:
    path = others / "circle/50.png"
    (answer,) = json.loads(run("predict", trained, path, "--json").stdout)
    result = run("predict", trained, path)
    assert result.exit_code == 0
    best, second, third = sorted(answer["probabilities"], key=lambda k: -answer["probabilities"][k])
    words = result.stdout.split()
    assert words[:2] == [str(path), best]
    assert words[3] == "%"
    assert words.index(second) < words.index(third)
    assert result.stdout.count("\n") == 1


def test_bad_pictures_are_named_and_the_good_ones_answered(
    run, trained: Path, others: Path, bad: list[str]
) -> None:
    good = str(others / "circle/50.png")
    result = run("predict", trained, bad[0], good, *bad[1:], "--json")
    assert result.exit_code == 0
    answers = {answer["input"]: answer for answer in json.loads(result.stdout)}
    assert list(answers) == [bad[0], good, *bad[1:]]
    assert answers[good]["label"] in CLASSES
    for name in bad:
        assert answers[name]["error"] == SAID[name]
        assert set(answers[name]) == {"input", "error", "reason"}
    assert result.stderr == "".join(f"drivetrain: {name}: {SAID[name]}\n" for name in bad)
    plain = run("predict", trained, good, bad[0])
    assert plain.exit_code == 0
    assert plain.stdout.startswith(good)
    assert bad[0] not in plain.stdout


def test_code_2_when_there_is_no_answer_at_all(run, trained: Path, bad: list[str]) -> None:
    result = run("predict", trained, *bad)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "".join(f"drivetrain: {name}: {SAID[name]}\n" for name in bad)
        + "drivetrain: None of the 3 inputs could be predicted.\n"
    )
    single = run("predict", trained, "missing.png", "--json")
    assert single.exit_code == 2
    assert single.stderr == f"drivetrain: missing.png: {SAID['missing.png']}\n"
    assert json.loads(single.stdout) == [
        {"input": "missing.png", "error": SAID["missing.png"], "reason": "unreadable"}
    ]


def test_a_folder_without_pictures_is_refused(run, trained: Path) -> None:
    Path("empty").mkdir()
    result = run("predict", trained, "empty")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "drivetrain: empty holds no pictures. Give pictures, or folders that hold some.\n"
    )


def test_out_keeps_a_copy_of_the_document(run, trained: Path, others: Path) -> None:
    result = run(
        "predict", trained, others / "circle/50.png", "--json", "--out", "new/answers.json"
    )
    assert json.loads(Path("new/answers.json").read_text()) == json.loads(result.stdout)


def test_names_that_are_not_ascii_survive(run, trained: Path, others: Path) -> None:
    name = "Käfer 甲虫.png"
    Path(name).write_bytes((others / "circle/50.png").read_bytes())
    assert run("predict", trained, name).stdout.startswith(name)
    result = run("predict", trained, name, "--json")
    assert result.stdout.isascii()
    assert json.loads(result.stdout)[0]["input"] == name


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        ("nothing", "run does not exist. Give the folder of a run, or of a model."),
        ("empty", "run is neither a run folder nor a model folder: it has no model.json."),
        (
            "unfinished",
            "run has no model yet: its training did not finish. Finish it with: drivetrain resume run",
        ),
    ],
)
def test_a_folder_that_is_no_run_is_refused(run, others: Path, make: str, sentence: str) -> None:
    if make != "nothing":
        Path("run").mkdir()
    if make == "unfinished":
        Path("run/run.json").write_text("{}")
    result = run("predict", "run", others)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"drivetrain: {sentence}\n")


def test_a_table_of_pictures_is_said_to_be_one(run, trained: Path, tmp_path: Path) -> None:
    table = tmp_path / "pictures.csv"
    table.write_text("path,label\na.png,cat\n")
    result = run("predict", trained, table)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"drivetrain: {table} is a table, and this is a model of pictures. Give the pictures, or a "
        "folder of them; those of a table with labels are measured by: drivetrain evaluate RUN --on "
        "TABLE\n"
    )
