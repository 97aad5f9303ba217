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


@pytest.mark.row(105)
def test_a_net_is_trained_in_a_budget_and_that_is_said(run, table: Path) -> None:
    words = (*NET, "--budget", "10m", "--out", "r")
    result = run("train", table, "--target", "lives", *words)
    assert result.exit_code == 0, result.stderr
    told = " ".join(result.stdout.split())
    assert "budget 10.0 min about " in told and " of them are used" in told
    record = json.loads(Path("r/run.json").read_text())
    assert record["plan"]["epochs"] == 2  # no more than was asked for, however long the time is
    assert record["settings"]["budget"]["seconds"] == 600
    assert [one["name"] for one in record["callbacks"]] == ["time_budget"]


def test_what_was_found_and_chosen_is_said_before_training(run, table: Path) -> None:
    result = run("train", table, "--target", "lives", "--model", "tree", "--out", "r")
    assert "number  id        240 different words" in result.stderr or "number  id" in result.stderr
    assert "Chosen for you (how to change each: drivetrain why r)" in result.stderr
    assert "the same share of every class, and no column is a date" in result.stderr
    assert result.stdout.startswith("Result on 48 validation rows\n")
    assert "kinds=" not in result.stderr  # it is typed here, and not called
    assert "  drivetrain predict r TABLE" in result.stdout
    assert result.stdout.endswith("  drivetrain report r\n")


def test_a_net_is_a_run_that_resumes(run, table: Path) -> None:
    result = run("train", table, "--target", "lives", *NET, "--out", "n")
    assert result.exit_code == 0, result.stderr
    again = run("resume", "n", "--json")
    assert again.exit_code == 0, again.stderr
    document = json.loads(again.stdout)
    assert document["epochs"] == 2 and document["model"] == "net"
    assert "forest" in document["baselines"]
    layers = json.loads(run("summary", "n", "--json").stdout)["rows"]
    assert layers[0]["path"].startswith("embeddings.0")
    assert "Last layer: head, " in run("summary", "n").stdout


def test_a_leaderboard_that_was_cut_is_made_again(run, table: Path, monkeypatch) -> None:
    def cut(self: object, name: str) -> None:
        raise KeyboardInterrupt

    words = ("train", table, "--target", "lives", "--model", "linear", "--out", "b")
    with monkeypatch.context() as patched:
        patched.setattr(
            importlib.import_module("drivetrain.tabular.leaderboard")._Board, "add", cut
        )
        stopped = run(*words)
        assert stopped.exit_code == 130
        assert stopped.stderr.endswith("drivetrain: Stopped. Continue with: drivetrain resume b\n")
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
        "'sex' has 'other' in 1 row, which training never saw: taken as unknown." in result.stderr
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


@pytest.mark.parametrize("content", ["", "name,lives\n", "name;lives\r\n", "\ufeffname"])
def test_a_table_without_rows_is_no_list_of_pictures(run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bare.csv"
    path.write_bytes(content.encode())
    result = run("train", path, "--target", "lives", "--model", "tree")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"drivetrain: {path} holds no rows: at most one line, which is for the names of the columns.\n"
    )


def test_what_is_called_in_python_is_typed_here(run, tmp_path: Path) -> None:
    columns = {
        "grade": [number % 4 for number in range(80)],
        "lives": [f"{'yes' if number % 3 else 'no'}" for number in range(80)],
    }
    codes = write(tmp_path / "codes.csv", columns)
    result = run("train", codes, "--target", "lives", "--model", "linear", "--out", "c")
    assert "if they are codes, say --kind grade=category\n" in result.stderr
    names = write(tmp_path / "names.csv", {**columns, "grade": [f"P {n}" for n in range(80)]})
    result = run("train", names, "--target", "lives", "--model", "linear", "--out", "n")
    assert (result.exit_code, "kinds=" in result.stderr) == (2, False)
    assert result.stderr.endswith("Say what they are: --kind COLUMN=category.\n")


def test_a_run_that_is_not_there_is_said_to_be_so(run) -> None:
    result = run("explain", "runs/none", "--text", "a")
    assert (result.exit_code, result.stderr) == (
        2,
        "drivetrain: runs/none does not exist. Give the folder of a run, or of a model.\n",
    )


def test_a_run_that_was_moved_is_called_by_its_new_place(run, table: Path, trained: Path) -> None:
    trained.rename("elsewhere")
    said = run("resume", "elsewhere").stdout
    assert (
        ". The run is in elsewhere\n" in said and "  drivetrain predict elsewhere TABLE\n" in said
    )
    assert json.loads(run("resume", "elsewhere", "--json").stdout)["run"] == "elsewhere"


def test_a_damaged_record_is_not_taken_for_that_of_pictures(
    run, table: Path, trained: Path
) -> None:
    answers = run("predict", trained, table).stdout
    record = (trained / "run.json").read_bytes()
    (trained / "run.json").write_bytes(record[:100])
    damaged = run("predict", trained, table)
    assert damaged.exit_code == 2
    assert damaged.stderr.startswith("drivetrain: tree/run.json is not JSON (")
    (trained / "run.json").unlink()  # its model is there all the same
    assert run("predict", trained, table).stdout == answers


def test_a_table_without_a_line_of_names_is_told_so(run, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("ann,18,yes\nbo,20,no\n" * 9)
    result = run("train", path, "--target", "lives", "--model", "tree")
    assert result.stderr == (
        "drivetrain: `target`: there is no column 'lives'. There are: ann, 18, yes. That is the first "
        "line: where it is a row already, put a line of names before it.\n"
    )


def test_a_column_of_sentences_is_not_left_out_without_a_word(run, tmp_path: Path) -> None:
    several = range(60)
    columns = {
        "said": [f"this is number {n} of the many things that were said" for n in several],
        "name": [f"Ann {n}" for n in several],
        **{key: [n % k for n in several] for key, k in (("a", 7), ("b", 5), ("c", 3))},
        "lives": ["yes" if n % 2 else "no" for n in several],
    }
    table = write(tmp_path / "said.csv", columns)
    result = run("train", table, "--target", "lives", "--model", "linear", "--out", "s")
    assert result.exit_code == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "is left out here" in line]
    assert said == ["! 'said' is left out here. Models of texts read it: --text said"]
