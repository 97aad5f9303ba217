"""`drivetrain test`: one answer, its look, its exit codes; of every application."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path

import pytest

from drivetrain.train.run import Run


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write_table(path: str, count: int = 100) -> None:
    draw = random.Random(2)
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["width", "colour", "kind"])
        for _ in range(count):
            width = draw.random()
            kind = "big" if width + draw.gauss(0, 0.4) > 0.5 else "small"
            rows.writerow([f"{width:.4f}", draw.choice(["red", "blue"]), kind])


def table_run(run) -> None:
    write_table("t.csv")
    words = ["--target", "kind", "--model", "tree", "--test", "0.3", "--out", "one"]
    result = run("train", "t.csv", *words, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["items"]["test"] == 30


@pytest.mark.row(66)
def test_one_answer_with_its_look_and_what_the_next_would_cost(run) -> None:
    table_run(run)
    first = run("test", "one")
    assert (first.exit_code, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0].startswith("accuracy ")
    assert " on 30 sealed items; between " in lines[0]
    assert lines[0].endswith(" at 95%")
    assert lines[2].startswith(
        "look 1 at these items; a look after this one would be given between "
    )
    assert lines[2].endswith(" at 97.5%")
    assert len(lines) == 3
    again = run("test", "one", "--json", "--out", "answer.json")
    document = json.loads(again.stdout)
    assert document == json.loads(Path("answer.json").read_text())
    assert (document["look"], document["confidence"], document["items"]) == (2, 0.975, 30)
    assert document["warning"].startswith("This was look 2 at the same sealed items (before: ")
    assert again.stderr == f"drivetrain: warning: {document['warning']}\n"
    assert [line.split()[0] for line in Path("one/looks.jsonl").read_text().splitlines()]
    assert len(Path("one/looks.jsonl").read_text().splitlines()) == 2


@pytest.mark.row(66)
def test_another_run_on_the_same_items_is_another_look(run) -> None:
    table_run(run)
    run("test", "one")
    words = ["--target", "kind", "--model", "majority", "--test", "0.3", "--out", "two"]
    assert run("train", "t.csv", *words).exit_code == 0
    document = json.loads(run("test", "two", "--json").stdout)
    assert document["look"] == 2
    assert document["looks_before"] == [str(Path("one").resolve())]


def test_a_run_without_a_test_part_is_answered_in_one_line(run) -> None:
    write_table("t.csv")
    run("train", "t.csv", "--target", "kind", "--model", "tree", "--out", "one")
    result = run("test", "one")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "drivetrain: one has no sealed test part. To have one, train with --test 0.2 (a share, drawn "
        "before anything is learnt), with --test FILE, or with a folder test/ beside train/.\n"
    )
    assert run("test", "nowhere").exit_code == 2
    assert run("test").exit_code == 2


def test_a_table_that_changed_is_refused_and_is_no_look(run) -> None:
    table_run(run)
    text = Path("t.csv").read_text()
    Path("t.csv").write_text(text.replace("red", "green"))
    result = run("test", "one")
    assert result.exit_code == 2
    assert "The test part is not the one that was sealed" in result.stderr
    Path("t.csv").write_text(text)
    assert json.loads(run("test", "one", "--json").stdout)["look"] == 1


def test_a_share_out_of_range_is_a_slip_of_usage(run) -> None:
    write_table("t.csv")
    result = run("train", "t.csv", "--target", "kind", "--test", "1.5")
    assert result.exit_code == 2
    assert "'1.5' is not a share between 0 and 1 such as 0.2, nor a file." in result.stderr


def test_pictures_a_share_a_folder_elsewhere_and_a_folder_test(run, photos, others) -> None:
    words = ["--epochs", 1, "--set", "augment=false"]
    assert run("train", photos, "--test", "0.2", "--out", "share", *words).exit_code == 0
    record = Run.open("share").read()
    assert record["results"]["items"] == {"train": 18, "valid": 6, "test": 6, "quarantined": 0}
    assert json.loads(run("test", "share", "--json").stdout)["items"] == 6
    assert run("train", photos, "--test", others, "--out", "apart", *words).exit_code == 0
    apart = json.loads(run("test", "apart", "--json").stdout)
    beside = json.loads(run("evaluate", "apart", "--on", others, "--json").stdout)
    assert apart["metrics"]["test"]["accuracy"] == beside["metrics"]["accuracy"]
    assert apart["interval"] == pytest.approx(beside["interval"])
    shutil.copytree(photos, "parts/train")
    shutil.copytree(others, "parts/test")
    assert run("train", "parts", "--out", "parted", *words).exit_code == 0
    found = json.loads(run("test", "parted", "--json").stdout)
    assert (found["items"], found["look"]) == (12, 2), (
        "the same pictures, as another run's test part"
    )


def test_texts_and_ratings(run) -> None:
    draw = random.Random(4)
    with Path("texts.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for at in range(80):
            words = " ".join(draw.choice(["good", "bad", "film", "long", "new"]) for _ in range(12))
            rows.writerow([f"{words} {at}", draw.choice(["up", "down"])])
    done = run("train", "texts.csv", "--test", "0.25", "--epochs", 1, "--out", "texts")
    assert done.exit_code == 0, done.output
    assert Run.open("texts").read()["results"]["items"]["test"] == 20
    assert json.loads(run("test", "texts", "--json").stdout)["items"] == 20
    with Path("ratings.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "rating"])
        for at in range(400):
            rows.writerow([f"u{at % 20}", f"i{at // 20}", draw.choice([1, 2, 3, 4, 5])])
    done = run("train", "ratings.csv", "--test", "0.2", "--epochs", 1, "--out", "ratings")
    assert done.exit_code == 0, done.output
    document = json.loads(run("test", "ratings", "--json").stdout)
    assert (document["metric"], document["items"]) == ("rmse", 80)
