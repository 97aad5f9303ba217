"""`train`, `predict`, `evaluate`, `resume` and `explain` on tables."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from tests.tabular.tables import passengers, sales, write

NET = ("--model", "net", "--epochs", "2", "--set", "layers=[8]")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "people.csv", passengers())


@pytest.fixture
def trained(run, table: Path) -> Path:
    result = run("train", table, "--target", "lives", "--model", "tree", "--out", "tree")
    assert result.exit_code == 0, result.stderr
    return Path("tree")


def test_one_model_beside_the_simple_ones(run, table: Path) -> None:
    result = run("train", table, "--target", "lives", "--model", "linear", "--out", "r", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["model"] == "linear" and document["task"] == "tabular"
    names = {entry["model"] for entry in document["leaderboard"]}
    assert names == {"majority", "one_r", "tree", "forest", "linear"}
    assert set(document["baselines"]) == {"majority", "one_r", "tree", "forest"}
    assert document["items"] == {"train": 192, "valid": 48, "test": 0, "quarantined": 0}
    assert json.loads(Path("r/model/model.json").read_text())["name"] == "linear"
    assert Path("r/models/forest/model.safetensors").exists()


def test_what_was_found_and_chosen_is_said_before_training(run, table: Path) -> None:
    result = run("train", table, "--target", "lives", "--model", "tree", "--out", "r")
    assert "number  id        240 different words" in result.stderr or "number  id" in result.stderr
    assert "Chosen for you (how to change each: r/run.json)" in result.stderr
    assert "the same share of every class, and no column is a date" in result.stderr
    assert result.stdout.startswith("Result on 48 validation rows\n")
    assert "  drivetrain predict r TABLE" in result.stdout


def test_a_net_is_a_run_that_resumes(run, table: Path) -> None:
    result = run("train", table, "--target", "lives", *NET, "--out", "n")
    assert result.exit_code == 0, result.stderr
    again = run("resume", "n", "--json")
    assert again.exit_code == 0, again.stderr
    document = json.loads(again.stdout)
    assert document["epochs"] == 2 and document["model"] == "net"
    assert "forest" in document["baselines"]


def test_a_leaderboard_that_was_cut_is_made_again(run, table: Path, monkeypatch) -> None:
    def cut(self: object, name: str) -> None:
        raise KeyboardInterrupt

    words = ("train", table, "--target", "lives", "--model", "linear", "--out", "b")
    with monkeypatch.context() as patched:
        patched.setattr(
            importlib.import_module("drivetrain.tabular.leaderboard")._Board, "add", cut
        )
        assert run(*words).exit_code == 130
    again = run("resume", "b", "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["model"] == "linear"
    assert run("resume", "b").stdout.startswith("Result on 48 validation rows")
    write(table, passengers(seed=3))
    record = json.loads(Path("b/run.json").read_text())
    del record["results"]
    Path("b/run.json").write_text(json.dumps(record))
    refused = run("resume", "b")
    assert refused.exit_code == 2 and "is not the one that b began with" in refused.stderr


def test_a_table_in_gives_a_table_out(run, table: Path, trained: Path) -> None:
    result = run("predict", trained, table, "--out", "answers.csv")
    assert result.exit_code == 0, result.stderr
    assert "240 answers are in answers.csv" in result.stdout
    assert len(Path("answers.csv").read_text().splitlines()) == 241
    documents = json.loads(run("predict", trained, table, "--json").stdout)
    assert len(documents) == 240 and documents[0]["input"] == "row 1"
    assert set(documents[0]["probabilities"]) == {"no", "yes"}
    assert "… and 220 more: --out FILE.csv writes all" in run("predict", trained, table).stdout


def test_what_training_never_saw_is_said_on_stderr(run, trained: Path, tmp_path: Path) -> None:
    other = passengers(30, seed=2)
    other["sex"][0] = "other"
    result = run("predict", trained, write(tmp_path / "o.csv", other))
    assert (
        "'sex' has 'other' in 1 rows, which training never saw: taken as unknown." in result.stderr
    )


def test_labelled_rows_from_elsewhere_are_measured(
    run, table: Path, trained: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "o.csv", passengers(100, seed=5))
    result = run("evaluate", trained, "--on", other)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"Result on 100 rows of {other}\n  accuracy")
    assert "This is what the model was trained on" in run("evaluate", trained, "--on", table).stdout


@pytest.mark.row(98)
def test_a_model_is_asked_why(run, trained: Path) -> None:
    first = json.loads((trained / "split.json").read_text())["valid"][0]
    number = first.removeprefix("row ")
    result = run("explain", trained, "--row", number, "--column", "sex", "--pictures", "why")
    assert result.exit_code == 0, result.stderr
    for title in (
        "What shuffling a column costs",
        "The answer as sex is swept",
        f"Why row {number} got its",
    ):
        assert title in result.stdout
    assert len(list(Path("why").glob("*.svg"))) == 4
    document = json.loads(run("explain", trained, "--json").stdout)
    assert document["model"] == "tree" and "importance" in document
    wrong = run("explain", trained, "--model", "oak")
    assert wrong.exit_code == 2
    assert "tree has no model 'oak'. It has: forest, majority, one_r, tree." in wrong.stderr


def test_rows_with_dates_need_a_word_for_another_split(run, tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", sales())
    given = ("train", path, "--target", "takings", "--model", "tree")
    refused = run(*given, "--split", "random", "--out", "a")
    assert refused.exit_code == 2 and "The rows have dates ('day')" in refused.stderr
    result = run(*given, "--split", "random", "--because", "days are alike", "--out", "b")
    assert result.exit_code == 0, result.stderr
    choices = {c["what"]: c for c in json.loads(Path("b/run.json").read_text())["choices"]}
    assert choices["split"]["reason"] == "as asked, because days are alike"
    by_date = run(*given, "--valid", "2021-10-01", "--out", "c", "--json")
    assert json.loads(by_date.stdout)["items"]["train"] == 273


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Which column of people.csv is to be predicted? Say so with --target COLUMN. It has: "),
        (("--target", "life"), "`target`: there is no column 'life'."),
        (("--target", "lives", "--set", "size=3"), "'size': only for pictures, and people.csv is"),
        (("--target", "lives", "--titles", "t.csv"), "'titles': only for ratings, and people.csv is"),
        (("--target", "lives", "--model", "forrest"), "Unknown model 'forrest'. Did you mean"),
        (("--target", "lives", "--kind", "sex=word"), "--kind: 'word' is no kind. Known: number, "),
        (("--target", "lives", "--kind", "sex"), "--kind takes COLUMN=KIND, such as zip=category."),
        (("--target", "lives", "--valid", "2"), "'2' is not a share between 0 and 1 such as 0.2"),
        (("--target", "lives", "--set", "num_trees=3"), "'num_trees': for one model; say which with"),
        (("--target", "lives", "--callback", "ema"), "--callback: of tables it is for the net"),
        (("--target", "lives", "--dry-run"), "--dry-run: of tables it is for the net: --model net."),
        (("--target", "lives", *NET, "--minutes", "1"), "--minutes: of tables it is for the"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_answered_in_a_line(
    run, table: Path, words: tuple[str, ...], said: str
) -> None:
    result = run("train", table.name, *words)
    assert result.exit_code == 2
    assert said in result.stderr.replace(str(table.parent) + "/", "")
    assert "Traceback" not in result.stderr


def test_a_csv_of_pictures_is_not_taken_for_a_table(run, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na.png,x\nb.png,y\n")
    result = run("train", "labels.csv")
    assert result.exit_code == 2 and "--target" not in result.stderr
    as_table = run("train", "labels.csv", "--task", "tabular")
    assert "Which column of labels.csv is to be predicted?" in as_table.stderr


def test_options_of_tables_are_refused_for_pictures(run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for words, said in (
        (("--drop", "x"), "--drop: only for tables, and this source is none."),
        (("--split", "time"), "'split': only for tables, and this source is none."),
        (("--valid", "2021-01-01"), "--valid: of pictures it is a share, such as 0.2."),
    ):
        result = run("train", "photos", *words)
        assert result.exit_code == 2 and said in result.stderr


def test_a_dry_run_of_the_net_keeps_nothing(run, table: Path) -> None:
    result = run("train", table, "--target", "lives", *NET, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert not Path("runs").exists()
