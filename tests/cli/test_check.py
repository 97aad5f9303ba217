"""`drivetrain check`: what it prints, how it ends, and how a finding is let pass."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.clean.planted import reworded, sentences
from tests.tabular.tables import passengers, real, sales, write


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """A table with a column that is known once the target is."""
    columns = passengers(240)
    columns["boat"] = [7 if lives == "yes" else 3 for lives in columns["lives"]]
    return write(tmp_path / "people.csv", columns)


def test_critical_findings_come_first_and_end_with_code_2(run, leaky: Path) -> None:
    result = run("check", leaky.name, "--target", "lives")
    assert result.exit_code == 2, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "people.csv: 192 train, 48 valid"
    assert lines[2] == "CRITICAL  target-proxy:boat"
    assert lines[-1] == (
        "1 critical, 0 to decide, 0 to know. 1 critical not accepted: a training would stop here."
    )
    assert result.stderr == "", "what was found is said once"
    assert [path.name for path in Path().iterdir()] == ["people.csv"], "nothing is written unasked"


def test_what_is_accepted_with_a_reason_ends_with_code_0(run, leaky: Path) -> None:
    words = ["check", leaky, "--target", "lives", "--accept", "target-proxy:boat"]
    result = run(*words, "--because", "boats were given out before", "--json", "--out", "told.json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["clear"] is True
    assert document["findings"][0]["because"] == "boats were given out before"
    assert json.loads(Path("told.json").read_text()) == document
    assert run("check", leaky, "--target", "lives", "--drop", "boat").exit_code == 0


def test_reasons_go_to_findings_in_their_order(run, leaky: Path) -> None:
    words = [
        "check",
        leaky,
        "--target",
        "lives",
        "--accept",
        "order-tells",
        "--accept",
        "target-proxy",
    ]
    result = run(*words, "--because", "one", "--because", "two", "--json")
    assert json.loads(result.stdout)["findings"][0]["because"] == "two"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--accept", "target-proxy", "--accept", "order-tells"],
            "--accept is given 2 times and --because 0 times: give one reason for all, or one for each "
            "in the same order.",
        ),
        (["--because", "a", "--because", "b"], "--because is given twice, and nothing is accepted."),
        (["--set", "size=32"], "'size': people.csv is a table, which have no such setting."),
    ],
)  # fmt: skip
def test_slips_are_answered(run, leaky: Path, words: list[str], told: str) -> None:
    result = run("check", leaky.name, "--target", "lives", *words)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == f"drivetrain: {told} See: drivetrain check --help\n"


def test_a_name_that_there_is_not_is_answered(run, leaky: Path) -> None:
    result = run("check", leaky, "--target", "lives", "--accept", "target-prox", "--because", "x")
    assert result.exit_code == 2
    assert (
        "There is no finding 'target-prox' to accept. Did you mean 'target-proxy'?" in result.stderr
    )


def test_a_table_asks_for_its_target_and_a_folder_for_pictures(run, leaky: Path) -> None:
    result = run("check", leaky.name)
    assert result.stderr == (
        "drivetrain: Which column of people.csv is to be predicted? Say so with --target COLUMN. "
        "See: drivetrain check --help\n"
    )


def test_why_a_table_is_split_otherwise_is_the_reason_of_its_finding(run, tmp_path: Path) -> None:
    table = write(tmp_path / "shop.csv", sales(200))
    words = ["check", table, "--target", "takings", "--split", "random", "--json"]
    result = run(*words, "--because", "days are alike")
    document = json.loads(result.stdout)
    (told,) = [one for one in document["findings"] if one["key"] == "time-order"]
    assert told["because"] == "days are alike" and told["level"] == "critical"


def test_texts_and_pictures_and_ratings_are_told_apart(run, photos: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    texts = sentences(draw, 100)
    texts += [reworded(one, draw) for one in texts[:30]]
    table = write(tmp_path / "reviews.csv", {"text": texts, "label": ["good", "bad"] * 65})
    result = run("check", table, "--target", "label", "--json")
    assert result.exit_code == 2, result.output
    assert json.loads(result.stdout)["findings"][0]["name"] == "duplicates-across"
    result = run("check", photos, "--valid", 0.3)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == f"{photos}: 21 train, 9 valid"
    pairs = np.unique(draw.integers(0, [40, 30], (600, 2)), axis=0)
    columns = {"user": pairs[:, 0].tolist(), "item": pairs[:, 1].tolist()}
    ratings = write(tmp_path / "ratings.csv", columns | {"rating": (pairs.sum(1) % 5 + 1).tolist()})
    result = run("check", ratings)
    assert result.exit_code == 0 and "Nothing was found." in result.stdout, result.output


@pytest.mark.slow
def test_the_sums_of_bike_sharing_are_critical_and_worth_measured(run) -> None:
    result = run("check", real("bike_sharing/day.csv"), "--target", "cnt", "--json")
    assert result.exit_code == 2
    worst = json.loads(result.stdout)["findings"][0]
    assert worst["key"] == "target-proxy:casual,registered"
    assert worst["worth"]["is_clear"] and worst["worth"]["difference"] > 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["adult/adult.csv", "--target", "salary"],
        ["titanic/train.csv", "--target", "Survived"],
        ["bulldozers/train.csv", "--target", "SalePrice"],
        ["imdb/train.parquet", "--task", "text", "--target", "label"],
        ["clothing"],
        ["paddy"],
        ["ml-100k/u.data"],
    ],
    ids=lambda words: words[0],
)
def test_real_data_that_is_sound_is_let_pass(run, words: list[str]) -> None:
    result = run("check", real(words[0]), *words[1:], "--json")
    assert result.exit_code == 0, result.output


# --- before a training --------------------------------------------------------------------------------


def test_a_training_stops_at_what_is_critical_and_leaves_nothing(run, leaky: Path) -> None:
    words = ["train", leaky.name, "--target", "lives", "--model", "tree"]
    result = run(*words, "--out", "r")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr == (
        "drivetrain: people.csv: 'boat' tells 'lives' almost by itself (AUC 1.000). See all, with what "
        "to do: drivetrain check. Train all the same: --accept target-proxy:boat --because WHY.\n"
    )
    assert not Path("r").exists(), "no run was begun"
    assert run(*words, "--drop", "boat", "--out", "r").exit_code == 0


@pytest.mark.parametrize("model", ["tree", "net"])
def test_what_is_accepted_is_written_in_the_run(run, leaky: Path, model: str) -> None:
    words = ["train", leaky, "--target", "lives", "--model", model, "--out", "r", "--json"]
    words += ["--epochs", 1] if model == "net" else []
    result = run(*words, "--accept", "target-proxy", "--because", "boats came first")
    assert result.exit_code == 0, result.output
    assert "! target-proxy:boat: 'boat' tells 'lives'" in result.stderr
    choices = {one["what"]: one for one in json.loads(Path("r/run.json").read_text())["choices"]}
    told = choices["accepted target-proxy:boat"]
    assert told["reason"] == "boats came first"
    assert told["value"] == "'boat' tells 'lives' almost by itself (AUC 1.000)."


def test_an_acceptance_asks_for_its_reason(run, leaky: Path) -> None:
    result = run("train", leaky, "--target", "lives", "--accept", "target-proxy")
    assert result.stderr == (
        "drivetrain: --accept: say why with --because. See: drivetrain train --help\n"
    )


def test_pictures_that_train_and_validate_stop_a_training(run, photos: Path) -> None:
    for part, numbers in (("train", range(6)), ("valid", range(5, 10))):  # number 5 is in both
        for path in sorted(photos.rglob("*.png")):
            if int(path.stem) in numbers:
                place = Path("split", part, path.parent.name, path.name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())
    words = ["train", "split", "--epochs", 1, "--out", "r"]
    result = run(*words)
    assert result.exit_code == 2
    assert "split: 3 of 15 validation pictures (20.0%) are in training too" in result.stderr
    passed = run(*words, "--accept", "duplicates-across", "--because", "a demonstration")
    assert passed.exit_code == 0, passed.output
    whats = [one["what"] for one in json.loads(Path("r/run.json").read_text())["choices"]]
    assert "accepted duplicates-across" in whats


def test_texts_that_train_and_validate_stop_a_training(run, tmp_path: Path) -> None:
    texts = sentences(np.random.default_rng(1), 100)
    texts += texts[:20]
    table = write(tmp_path / "reviews.csv", {"text": texts, "label": ["good", "bad"] * 60})
    words = ["train", table, "--task", "text", "--target", "label", "--model", "gru"]
    result = run(*words, "--epochs", 1, "--out", "r")
    assert result.exit_code == 2 and "validation texts" in result.stderr
    assert not Path("r").exists()
