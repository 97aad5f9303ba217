"""`drivetrain check`: what it prints, how it ends, and how a finding is let pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import drivetrain as dt
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
        "to do: drivetrain check people.csv --target lives. Train all the same: --accept "
        "target-proxy:boat --because WHY.\n"
    )
    assert not Path("r").exists(), "no run was begun"
    more = ["--label-column", "lives", "--split", "random", "--split-seed", "3", "--set=rare=2"]
    split = run("train", leaky.name, *more, "--model", "tree", "--because", "it is", "--out", "r")
    assert (
        "drivetrain check people.csv --target lives --split random --set split_seed=3. Train"
        in split.stderr
    )
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


# --- what train says of its quick look ------------------------------------------------------------------


def told_by(result) -> list[str]:
    """The lines of a training that speak of the quick look; it must have gone well."""
    assert result.exit_code == 0, result.output
    return [line for line in result.stderr.splitlines() if line.startswith(("! ", "A quick look"))]


def test_train_says_in_a_line_what_its_quick_look_leaves_out_and_the_command_for_all(
    run, leaky: Path
) -> None:
    words = ["--target", "lives", "--drop", "boat", "--model", "tree", "--out", "run"]
    *warnings, line = told_by(run("train", leaky.name, *words))
    assert all(one.startswith("! label-conflict: ") for one in warnings)
    assert line == (
        "A quick look for leaks leaves out what columns that no model sees tell, and what a leak is "
        "worth. All of it: drivetrain check people.csv --target lives"
    )
    asked = line.partition("drivetrain ")[2].split()
    assert run(*asked, "--json").exit_code == 2, "the whole look finds the column that was dropped"


def test_a_run_that_cannot_begin_says_nothing_of_the_quick_look(run, leaky: Path) -> None:
    Path("run").mkdir()
    Path("run", "mine.txt").write_text("x")
    words = ["--target", "lives", "--drop", "boat", "--model", "tree", "--out", "run"]
    refused = run("train", leaky.name, *words)
    assert refused.exit_code == 2 and "A quick look" not in refused.stderr


def test_ratings_with_times_are_told_of_before_the_training_and_stop_nothing(
    run, tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    pairs = np.unique(draw.integers(0, [40, 30], (600, 2)), axis=0)
    draw.shuffle(pairs)
    columns = {
        "user": pairs[:, 0].tolist(),
        "item": pairs[:, 1].tolist(),
        "rating": (pairs.sum(1) % 5 + 1).tolist(),
        "time": (1_600_000_000 + 1000 * np.arange(len(pairs))).tolist(),
    }
    table = write(tmp_path / "ratings.csv", columns)
    warning, line = told_by(run("train", table.name, "--epochs", 1, "--out", "run"))
    assert warning.startswith("! time-order: The ratings have times, and ")
    assert line == (
        "A quick look for leaks leaves out what a split in time changes. "
        "All of it: drivetrain check ratings.csv --task collab"
    )
    late = told_by(run("train", table.name, "--split", "time", "--epochs", 1, "--out", "late"))
    assert late == [line.replace("--task", "--split time --task")]  # as it is split there


def test_what_a_language_model_repeats_is_told_of_and_stops_nothing(run, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    texts = sentences(draw, 60)
    table = write(tmp_path / "books.csv", {"text": texts + texts[:30]})
    told = told_by(run("train", table, "--task", "language", "--epochs", 1, "--out", "run"))
    assert told[0].startswith("! duplicates-across: ")
    assert told[-1] == (
        "A quick look for leaks leaves out what a leak is worth. "
        f"All of it: drivetrain check {table} --task language"
    )
    assert run("check", table.name, "--task", "language").exit_code == 0


# --- what Python says -----------------------------------------------------------------------------------


def test_a_learner_in_python_names_the_finding_and_goes_on(
    leaky: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dt.tabular.learner(leaky.name, "lives", layers=[4], progress=False, announce=True)
    told = capsys.readouterr().err
    assert "\n! target-proxy:boat: 'boat' tells 'lives' almost by itself" in told
    assert (
        "\n  Critical: the score may not be true, or the model may learn from what it cannot have.\n"
        in told
    )
    assert told.endswith(f"All of it: dt.tabular.check({str(leaky)!r}, 'lives')\n\n")
    dt.tabular.learner(leaky.name, "lives", layers=[4], progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["pictures", "texts", "ratings", "language"])
def test_every_learner_says_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    draw = np.random.default_rng(0)
    texts = sentences(draw, 80)
    texts += texts[:30]
    if kind == "pictures":
        copied = shutil.copytree(photos, tmp_path / "twice")
        for path in sorted(copied.rglob("*.png")):
            shutil.copy(path, path.with_name(f"again-{path.name}"))
        dt.vision.learner(copied, progress=False, announce=True)
        how = f"dt.vision.check({str(copied)!r})"
    elif kind == "ratings":
        pairs = np.unique(draw.integers(0, [20, 30], (400, 2)), axis=0)
        columns = {name: pairs[:, at].tolist() for at, name in enumerate(("user", "item"))}
        for name in columns:  # somebody of two accounts
            columns[name] += [99 if name == "user" else i for u, i in pairs.tolist() if u == 3]
        rows = len(columns["user"])
        dt.collab.learner({**columns, "rating": [1 + r % 5 for r in columns["item"]]},
                          progress=False, announce=True)  # fmt: skip
        how = ""
        assert rows > len(pairs) + 9
    elif kind == "texts":
        dt.text.learner(
            dt.text.from_texts(texts, ["ab"[len(text) % 2] for text in texts]),
            progress=False,
            announce=True,
        )
        how = "dt.text.check(texts)"
    else:
        dt.text.language_learner(texts, progress=False, announce=True)
        how = "dt.text.check(texts, labelled=False)"
    told = capsys.readouterr().err
    assert "\n! duplicates-" in told
    assert how in told
