"""Several targets of pictures on the command line: train, resume, predict, evaluate, and refusals."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from drivetrain.clean.journal import Journal

pytestmark = pytest.mark.row(118)


@pytest.fixture(scope="module")
def leaves(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of the pictures of `photos` with two labels each, as a spreadsheet on Windows writes it."""
    table = tmp_path_factory.mktemp("tables") / "leaves.csv"
    pictures = sorted(photos.rglob("*.png"))
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
        writer.writerow(["image", "shape", "corners"])
        for picture in pictures:
            shape = picture.parent.name
            writer.writerow([str(picture), shape, "round" if shape == "circle" else "pointed"])
    return table


@pytest.fixture(scope="module")
def two(leaves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on both. Not to be changed."""
    from click.testing import CliRunner

    from drivetrain.cli import program

    folder = tmp_path_factory.mktemp("runs") / "two"
    words = ["train", leaves, "--target", "shape", "--target", "corners", "--epochs", 2, "--json"]
    words += ["--set", 'target_weights={"corners": 0.5}', "--out", folder]
    done = CliRunner().invoke(program, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert list(document["targets"]) == ["shape", "corners"]
    assert document["items"] == {"train": 24, "valid": 6, "test": 0, "quarantined": 0}
    return folder


def test_a_finished_run_is_told_target_by_target(run, two: Path) -> None:
    done = run("resume", two)
    assert done.exit_code == 0, done.output
    document = json.loads(run("resume", two, "--json").stdout)
    lines = done.stdout.splitlines()
    assert lines[0] == "Result on 6 validation pictures"
    for target in ("shape", "corners"):
        one = document["targets"][target]
        (line,) = (line for line in lines if line.startswith(f"  {target} accuracy"))
        assert f"{one['accuracy']:.3f}" in line
        assert "95% interval" in line
    assert sum("nearest mean image" in line for line in lines) == 2
    assert f"  drivetrain evaluate {two} --on TABLE" in lines


def test_what_was_found_names_each_target(run, leaves: Path) -> None:
    words = ("--target", "shape", "--target", "corners", "--epochs", 1, "--out", "one")
    done = run("train", leaves, *words)
    assert done.exit_code == 0, done.output
    assert "Target shape    circle, square, triangle\n" in done.stdout
    assert "Target corners  pointed, round\n" in done.stdout


def test_predict_answers_for_each_target(run, two: Path, photos: Path) -> None:
    picture = photos / "circle" / "0.png"
    (answer,) = json.loads(run("predict", two, picture, "--json").stdout)
    assert answer["input"] == str(picture)
    for target, classes in (
        ("shape", ["circle", "square", "triangle"]),
        ("corners", ["pointed", "round"]),
    ):
        found = answer["targets"][target]
        assert list(found["probabilities"]) == classes
        assert found["probability"] == max(found["probabilities"].values())
        assert found["probabilities"][found["label"]] == found["probability"]
    said = run("predict", two, picture, two / "run.json")
    assert said.exit_code == 0
    assert f"shape: {answer['targets']['shape']['label']} " in said.stdout
    assert "run.json: The content is not a picture." in said.stderr


def test_evaluate_measures_each_target(run, two: Path, leaves: Path, photos: Path) -> None:
    document = json.loads(run("evaluate", two, "--on", leaves, "--json").stdout)
    assert document["items"] == 30
    assert document["trained_on"] == 24
    majority = {n: one["baselines"]["majority_class"] for n, one in document["targets"].items()}
    assert majority["shape"]["accuracy"] == pytest.approx(1 / 3)
    assert (majority["corners"]["class"], majority["corners"]["correct"]) == ("pointed", 20)
    said = run("evaluate", two, "--on", leaves)
    assert "majority class (pointed)" in said.stdout
    refused = run("evaluate", two, "--on", photos)
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"drivetrain: The model tells 2 targets, and {photos} is no CSV. Give one with the columns "
        "shape, corners beside the paths.\n"
    )


def test_one_target_is_a_run_of_one(run, leaves: Path) -> None:
    done = run("train", leaves, "--target", "corners", "--epochs", 1, "--out", "one", "--json")
    assert "targets" not in json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "shape", "--target", "shape"],
         "The target 'shape' is given twice. Name each column once."),
        (["--target", "shape", "--target", "colour"],
         "{table} has no column 'colour'. Columns: image, shape, corners."),
        (["--target", "shape", "--target", "corners", "--set", 'target_weights={"corner": 1}'],
         "`target_weights` has a weight of 'corner', which is no target. Did you mean 'corners'? "
         "Targets: shape, corners."),
        (["--target", "shape", "--target", "corners", "--set", 'target_weights={"corners": -1}'],
         "The weight of the target 'corners' must be a number from 0 up. Got -1."),
        (["--target", "shape", "--target", "corners", "--set", "target_weights=2"],
         "--set target_weights: 2 is not an object such as {{\"variety\": 0.5}}. "
         "See: drivetrain train --help"),
    ],
)  # fmt: skip
def test_bad_targets_are_refused_in_one_line(
    run, leaves: Path, words: list[str], message: str
) -> None:
    done = run("train", leaves, *words, "--out", "bad")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"drivetrain: {message.format(table=leaves)}"
    assert not Path("bad").exists()


def test_targets_of_a_folder_are_refused(run, photos: Path) -> None:
    done = run("train", photos, "--target", "shape", "--target", "corners")
    assert done.exit_code == 2
    assert done.stderr.startswith("drivetrain: --target names a column of a table, and ")


def test_labels_of_all_targets_are_in_one_queue_and_of_one_where_it_is_named(
    run, two: Path
) -> None:
    found = json.loads(run("clean", two, "--list", 60, "--json").stdout)
    assert found["targets"] == {
        "shape": ["circle", "square", "triangle"], "corners": ["pointed", "round"],
    }  # fmt: skip
    assert found["total"] == 30 and found["classes"] == []
    entries = {one["entry"] for one in found["items"]}
    assert len(entries) == len(found["items"]) == 2 * len({one["hash"] for one in found["items"]})
    lines = run("clean", two, "--list", 3).stdout.splitlines()
    assert lines[0].split() == ["item", "target", "labelled", "suggested", "loss"]
    first = found["items"][0]
    assert lines[1].split()[1:3] == [first["target"], first["label"]]
    assert "30 items in all with labels of shape and corners, worst first, out of 5 " in lines[-2]
    alone = json.loads(run("clean", two, "--list", 60, "--target", "corners", "--json").stdout)
    assert alone["items"] == [one for one in found["items"] if one["target"] == "corners"]


def test_another_target_and_one_where_all_are_written_are_refused(
    run, two: Path, trained: Path
) -> None:
    for words, sentence in (
        ((two, "--list", 3, "--target", "corner"),
         "There is no target 'corner'. Did you mean 'corners'? Targets: shape, corners."),
        ((trained, "--list", 3, "--target", "corners"),
         "The target 'corners' was asked for, and this run is of one: leave it out."),
    ):  # fmt: skip
        done = run("clean", *words)
        assert done.exit_code == 2
        assert done.stderr.splitlines()[-1] == f"drivetrain: {sentence}"
    done = run("clean", two, "--apply", "--target", "corners")
    assert done.exit_code == 2
    assert (
        "--target is of the page and of --list: what was decided is written of all." in done.stderr
    )


def test_what_was_decided_of_each_target_is_trained_with_and_written_into_the_table(
    run, two: Path, leaves: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(two, folder)
    items = json.loads(run("clean", folder, "--list", 60, "--folds", 0, "--json").stdout)["items"]
    shape = next(one for one in items if one["target"] == "shape" and one["label"] == "circle")
    corners = next(
        one for one in items if one["target"] == "corners" and one["hash"] == shape["hash"]
    )
    gone = next(one for one in items if one["hash"] != shape["hash"])
    journal = Journal(folder / "clean" / "journal.jsonl")
    for one, label in ((shape, "square"), (corners, "pointed")):
        journal.decide(one["hash"], "relabel", label=label, was=one["label"], target=one["target"])
    journal.decide(gone["hash"], "delete", was=gone["label"], target=gone["target"])
    out = tmp_path / "p.json"
    said = run("clean", folder, "--apply", "-o", out)
    assert said.stdout == (
        f"{out}: 2 other labels (1 of corners and 1 of shape), 1 left out. Train with it: drivetrain "
        f"train SOURCE --patch {out}\n"
    )
    document = json.loads(run("clean", folder, "--apply", "-o", out, "--json").stdout)
    assert document["targets"] == {"corners": 1, "shape": 1} and document["left_out"] == 1
    words = ("--target", "shape", "--target", "corners", "--epochs", 1, "--patch", out)
    done = run("train", leaves, *words, "--out", "again", "--json")
    assert json.loads(done.stdout)["items"] == {
        "train": 23,
        "valid": 6,
        "test": 0,
        "quarantined": 0,
    }
    record = json.loads(Path("again/run.json").read_text())
    assert record["data"]["patch"] == json.loads(out.read_text())
    again = json.loads(run("clean", "again", "--list", 60, "--folds", 0, "--json").stdout)["items"]
    labels = {one["target"]: one["label"] for one in again if one["hash"] == shape["hash"]}
    assert labels == {"shape": "square", "corners": "pointed"}
    assert gone["hash"] not in {one["hash"] for one in again}

    before = leaves.read_bytes()
    try:
        changed = json.loads(run("clean", folder, "--in-place", "--json").stdout)
        assert (changed["relabelled"], changed["removed"]) == (2, 1)
        kept = [line for line in before.split(b"\r\n") if os.fsencode(gone["name"]) not in line]
        row = next(at for at, line in enumerate(kept) if os.fsencode(shape["name"]) in line)
        kept[row] = kept[row].replace(b";circle;round", b";square;pointed")
        assert leaves.read_bytes() == b"\r\n".join(kept)
    finally:
        run("clean", folder, "--undo")
    assert leaves.read_bytes() == before


def test_a_bundle_is_made_and_proves_itself(run, two: Path, photos: Path, tmp_path: Path) -> None:
    bundle, picture = tmp_path / "bundle", photos / "circle" / "0.png"
    done = run("export", two, "-o", bundle, "--golden", 2, "--no-script")
    assert done.exit_code == 0, done.output
    assert f"{bundle} is sound: " in run("verify", bundle).stdout
    (own,) = json.loads(run("predict", two, picture, "--json").stdout)
    (other,) = json.loads(run("predict", bundle, picture, "--json").stdout)
    assert list(other["targets"]) == ["shape", "corners"]
    for target, one in other["targets"].items():
        assert one["label"] == own["targets"][target]["label"]
        assert one["label"] in one["set"]
    assert set(other["domain"]) == {"score", "in_domain", "false_alarm"}


def test_the_report_tells_of_each_target(run, two: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    document = json.loads(run("report", two, "-o", page, "--json").stdout)
    assert {"errors-1", "errors-2"} <= set(document["sections"])
    assert {"shape accuracy", "corners accuracy"} <= set(document["facts"])
    text = page.read_text("utf-8")
    for title in ("Where it errs: shape", "Where it errs: corners"):
        assert f"<h2>{title}</h2>" in text
    again = "--target shape --target corners"
    assert again in text and " --target shape,corners" not in text


def test_evaluate_with_tta_measures_each_target(run, two: Path, leaves: Path) -> None:
    document = json.loads(run("evaluate", two, "--on", leaves, "--tta", 2, "--json").stdout)
    plain = json.loads(run("evaluate", two, "--on", leaves, "--json").stdout)
    assert {name: document[name] for name in plain} == plain
    for target, own in document["tta"]["targets"].items():
        apart = plain["targets"][target]["accuracy"] - own["accuracy"]
        assert own["difference"]["error_rate"] == pytest.approx(apart)
    said = run("evaluate", two, "--on", leaves, "--tta", 2).stdout
    assert "corners: its error minus the plain one: " in said


def test_two_runs_are_put_together_target_by_target(
    run, two: Path, leaves: Path, photos: Path, tmp_path: Path
) -> None:
    words = ("--target", "shape", "--target", "corners", "--epochs", 1, "--out", "other")
    assert run("train", leaves, *words, "--set", "augment=false").exit_code == 0
    measured = json.loads(run("ensemble", two, "other", "--json").stdout)
    assert list(measured["targets"]) == ["shape", "corners"]
    assert measured["targets"]["shape"]["weights"] == {str(two): 0.5, "other": 0.5}
    said = run("ensemble", two, "other").stdout
    assert said.startswith("On 6 validation items\nshape\n")
    picture = photos / "circle" / "0.png"
    asked = run("ensemble", two, "other", "--weights", "0.25,0.75", "--predict", picture, "--json")
    (answer,) = json.loads(asked.stdout)["predictions"]
    ((first,), (second,)) = (
        json.loads(run("predict", one, picture, "--json").stdout) for one in (two, "other")
    )
    for target, own in answer["targets"].items():
        pairs = [one["targets"][target]["probabilities"] for one in (first, second)]
        for label, value in own["probabilities"].items():
            assert value == pytest.approx(0.25 * pairs[0][label] + 0.75 * pairs[1][label])
        assert own["probability"] == own["probabilities"][own["label"]]
        assert own["probability"] == max(own["probabilities"].values())


def test_an_ensemble_with_a_run_of_one_target_is_refused(
    run, two: Path, trained: Path, photos: Path
) -> None:
    done = run("ensemble", two, trained, "--predict", photos / "circle" / "0.png")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        f"drivetrain: {two} and {trained} predict other things: the targets shape, corners, and the "
        "classes circle, square, triangle."
    )


def test_a_run_of_several_targets_is_compared_with_the_mean_of_each_rule(two: Path) -> None:
    from drivetrain.cli.measuring import measure_run

    row, _ = measure_run(two)
    told = json.loads((two / "run.json").read_text())["results"]["targets"].values()
    for rule in ("majority_class", "nearest_mean_image"):
        wrong = [1 - own["baselines"][rule]["accuracy"] for own in told]
        assert row["rules"][rule]["error"] == pytest.approx(sum(wrong) / 2)
    assert row["error"] == pytest.approx(sum(1 - own["accuracy"] for own in told) / 2)


def test_the_map_shows_the_target_that_is_asked_for(run, two: Path, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    first = json.loads(run("map", two, "-o", page, "--json").stdout)
    second = json.loads(run("map", two, "-o", page, "--target", "corners", "--json").stdout)
    assert first["what"].startswith("What the last layer, head.heads.0.scores, is given: ")
    assert second["what"].startswith("What the last layer, head.heads.1.scores, is given: ")
    assert {one["group"] for one in second["items"]} == {"pointed", "round"}
    refused = run("map", two, "-o", page, "--target", "colour")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1] == (
        "drivetrain: There is no target 'colour'. Targets: shape, corners."
    )


def test_several_number_targets_of_a_table_may_be_named_one_by_one(run) -> None:
    rows = "\n".join(f"{i % 7},{i % 5},{i % 7 + 1},{2 * (i % 5)}" for i in range(60))
    Path("table.csv").write_text(f"a,b,sum,double\n{rows}\n")
    words = ("--model", "net", "--epochs", 1, "--out", "one", "--json")
    done = run("train", "table.csv", "--target", "sum", "--target", "double", *words)
    assert done.exit_code == 0, done.output
    joined = run("train", "table.csv", "--target", "sum,double", *words[:-2], "two", "--json")
    own, other = (json.loads(one.stdout)["weights_sha256"] for one in (done, joined))
    assert own == other
