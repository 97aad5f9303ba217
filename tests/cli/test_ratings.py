"""`train`, `recommend`, `predict`, `evaluate` and `resume` on ratings."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from click.testing import CliRunner

from drivetrain.cli import program, ratings
from drivetrain.samples import films, write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample `films`. Not to be changed."""
    return write_sample("films", tmp_path_factory.mktemp("sample") / "films")


@pytest.fixture(scope="module")
def trained(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on it. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "films"
    words = ["train", sample / "ratings.csv", "--titles", sample / "films.csv", "--epochs", 2]
    words += ["--set", "batch_size=512", "--set", "num_factors=8", "--out", folder]
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "its columns are user, item, rating, time" in " ".join(result.stdout.split())
    assert "400 users, 150 items, 19.1 % of the pairs rated" in result.stdout
    assert "Result on 2,298 validation ratings" in result.stdout
    assert "user_item_mean" in result.stdout and "drivetrain recommend " in result.stdout
    return folder


def test_it_recommends_with_reasons(run, trained: Path) -> None:
    result = run("recommend", trained, "u007", "--k", 3, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["by"] == "model" and [one["rank"] for one in document["items"]] == [1, 2, 3]
    first = document["items"][0]
    assert sum(first["parts"].values()) == pytest.approx(first["value"], abs=1e-4)
    assert first["title"] == films.truth().titles[int(first["item"][1:]) - 1]

    told = run("recommend", trained, "u007", "-k", 1, "--without", first["item"])
    second = document["items"][1]
    assert told.stdout.splitlines()[1].startswith(f"1  {second['title']}")

    both = run("recommend", trained, "u007", "stranger", "--k", 2)
    assert both.exit_code == 0, both.output
    assert "For u007\n" in both.stdout and "For stranger\n" in both.stdout
    assert "! User 'stranger' rated nothing in training" in both.stdout


def test_everybody_is_written_as_a_table(run, trained: Path) -> None:
    result = run("recommend", trained, "--all", "--k", 4, "--out", "all.parquet")
    assert result.exit_code == 0, result.output
    assert result.stdout == "1,600 recommendations for 400 users are in all.parquet\n"
    rows = parquet.read_table("all.parquet").to_pylist()
    alone = json.loads(run("recommend", trained, "u100", "--k", 4, "--json").stdout)
    mine = [row["item"] for row in rows if row["user"] == "u100"]
    assert mine == [one["item"] for one in alone["items"]]


def test_pairs_are_predicted(run, trained: Path) -> None:
    one = run("predict", trained, "--user", "u007", "--item", "f012", "--json")
    assert one.exit_code == 0, one.output
    (answer,) = json.loads(one.stdout)
    title = films.truth().titles[11]
    by_title = run("predict", trained, "--user", "u007", "--item", title, "--json")
    assert json.loads(by_title.stdout)[0]["value"] == answer["value"]

    Path("pairs.csv").write_text("user,item\nu007,f012\nnew,f012\n")
    result = run("predict", trained, "pairs.csv", "--out", "answers.csv")
    assert result.exit_code == 0, result.output
    assert "1 user is unknown" in result.stderr
    with open("answers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["known"] for row in rows] == ["true", "false"]
    assert float(rows[0]["rating"]) == pytest.approx(answer["value"], abs=1e-4)


def test_it_says_what_the_model_knows_of_items(run, trained: Path) -> None:
    told = run("explain", trained)
    assert told.exit_code == 0, told.output
    assert "Items by bias" in told.stdout and "Axis 1" in told.stdout
    title = films.truth().titles[11]
    document = json.loads(run("explain", trained, "--item", title, "--json").stdout)
    (near,) = document["nearest"]
    assert near["item"]["title"] == title and len(near["entries"]) == 10

    refused = run("explain", trained, "--column", "x")
    assert refused.exit_code == 2
    assert f"{trained} is a run of ratings, and --column is not for those." in refused.stderr
    refused = run("explain", trained, "--item", "f012x")
    assert refused.exit_code == 2 and "does not know the item 'f012x'. Did you" in refused.stderr


@pytest.mark.slow  # matplotlib
def test_a_map_of_items_is_drawn(run, trained: Path) -> None:
    told = run("explain", trained, "--pictures", "map")
    assert told.exit_code == 0, told.output
    assert "The map of items is in map" in told.stdout
    assert Path("map/items.svg").read_text("utf-8").count("<use ") > films.NUM_FILMS


def test_a_run_is_measured_and_goes_on(run, trained: Path, sample: Path) -> None:
    measured = run("evaluate", trained, "--on", sample / "ratings.csv")
    assert measured.exit_code == 0, measured.output
    assert f"Result on {films.NUM_RATINGS:,} ratings of " in measured.stdout
    again = run("resume", trained, "--json")
    assert again.exit_code == 0, again.output
    record = json.loads((trained / "run.json").read_text())
    assert json.loads(again.stdout)["weights_sha256"] == record["results"]["weights_sha256"]


def test_a_sample_brings_its_titles_and_facts(run) -> None:
    words = ("--epochs", 1, "--set", "batch_size=2048", "--set", "num_factors=2")
    result = run("train", "films", *words, "--valid", 0.3, "--out", "r", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["task"] == "collab" and document["items"]["valid"] == 3447
    recipe = json.loads(Path("r/run.json").read_text())["data"]
    assert recipe["titles"].endswith("films.csv") and recipe["user_facts"].endswith("users.csv")


def test_a_source_is_known_by_its_looks(tmp_path: Path) -> None:
    def written(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    bare = written("u.data", "196\t242\t3\t881250949", "186\t302\t3\t891717742")
    assert ratings.is_ratings(bare, None, {}) == (
        "it has no header, and 4 columns of numbers: user, item, rating …"
    )
    colons = written("ratings.dat", "1::1193::5::978300760", "1::661::3::978302109")
    assert ratings.is_ratings(colons, None, {}) is not None
    headed = written("a.csv", "userId,movieId,rating,timestamp", "1,296,5.0,1147880044")
    why = "its columns are userId, movieId, rating, timestamp"
    assert ratings.is_ratings(headed, None, {}) == why
    assert ratings.is_ratings(headed, None, {"label_column": "rating"}) is None
    assert ratings.is_ratings(headed, None, {"model": "forest"}) is None
    assert ratings.is_ratings(headed, "tabular", {}) is None
    table = written("b.csv", "age,income,score", "31,100,2", "45,200,3")
    assert ratings.is_ratings(table, None, {}) is None
    assert ratings.is_ratings(table, None, {"user": "age", "item": "income"}) == "as asked"
    words = written("c.csv", "user,item,rating,review_text", "1,2,3,Not for me.")
    assert ratings.is_ratings(words, None, {}) is None
    numbers = written("d.csv", "1.5,2,3", "2.5,3,4")
    assert ratings.is_ratings(numbers, None, {}) is None
    assert ratings.is_ratings(tmp_path, None, {}) is None
    assert ratings.is_ratings(written("e.csv"), None, {}) is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("recommend", "RUN"),
            "Missing argument 'USER...': name one, or give --all. See: drivetrain recommend --help",
        ),
        (
            ("recommend", "RUN", "--all"),
            "--all needs --out FILE.parquet or FILE.csv. See: drivetrain recommend --help",
        ),
        (
            ("recommend", "RUN", "u001", "--all"),
            "--all is for everybody: name no USER beside it. See: drivetrain recommend --help",
        ),
        (
            ("predict", "RUN", "--user", "u001"),
            "--user and --item go together: one pair of them. See: drivetrain predict --help",
        ),
        (
            ("train", "SAMPLE", "--set", "size=64"),
            "'size': not for ratings, and SAMPLE is read as ratings. See: drivetrain train --help",
        ),
        (
            ("train", "SAMPLE", "--valid", "2020-01-01"),
            "--valid: of ratings it is a share, such as 0.2. See: drivetrain train --help",
        ),
        (
            ("train", "SAMPLE", "--split", "stratified"),
            "--split: of ratings it is random, time, last, cold_users or cold_items. Got 'stratified'. "
            "See: drivetrain train --help",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(
    run, trained: Path, sample: Path, words: tuple[str, ...], sentence: str
) -> None:
    places = {"RUN": str(trained), "SAMPLE": str(sample / "ratings.csv")}
    result = run(*[places.get(word, word) for word in words])
    assert (result.exit_code, result.stdout) == (2, "")
    told = sentence.replace("SAMPLE", places["SAMPLE"])
    assert result.stderr == f"drivetrain: {told}\n"


def test_a_run_of_another_kind_does_not_recommend(run, tmp_path: Path, trained: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    record = json.loads((other / "run.json").read_text())
    record["task"]["application"] = "tabular"
    (other / "run.json").write_text(json.dumps(record))
    result = run("recommend", other, "u001")
    assert result.exit_code == 2
    sentence = f"{other} is of the kind 'tabular': only ratings recommend.\n"
    assert result.stderr == f"drivetrain: {sentence}"


def test_events_are_put_in_order(run, sample: Path) -> None:
    with open(sample / "ratings.csv", newline="") as file:
        rows = [f"{row['user']},{row['item']}" for row in csv.DictReader(file)]
    Path("plays.csv").write_text("\n".join(["user,item", *rows]) + "\n")
    words = (
        "--task",
        "collab",
        "--epochs",
        1,
        "--set",
        "batch_size=2048",
        "--set",
        "num_factors=4",
    )
    result = run("train", "plays.csv", *words, "--out", "r")
    assert result.exit_code == 0, result.output
    assert "validation events" in result.stdout and "ndcg" in result.stdout
    assert "drivetrain predict" not in result.stdout
    found = json.loads(run("recommend", "r", "u007", "--k", 2, "--json").stdout)
    assert found["by"] == "model" and len(found["items"]) == 2
    assert all(near["rating"] is None for one in found["items"] for near in one["near"])
    assert run("recommend", "r", "u007").stdout.splitlines()[0].split() == ["title", "score", "why"]


def test_events_are_fitted_without_steps(run, sample: Path) -> None:
    lines = (sample / "ratings.csv").read_text("utf-8").splitlines()
    events = Path("events.csv")
    events.write_text("\n".join(",".join(line.split(",")[:2]) for line in lines), "utf-8")
    words = ["train", events, "--task", "collab", "--model", "als", "--epochs", 2]
    result = run(*words, "--set", "num_factors=4", "--out", "als", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["model"] == "als" and document["epochs"] == 2
    assert 0 < document["metrics"]["valid"]["ndcg"] < 1 and "popularity" in document["baselines"]
    assert run("recommend", "als", "u007", "--k", 2).exit_code == 0
    again = run("resume", "als")
    assert again.exit_code == 2 and "fitted without steps" in again.output
    refused = run(*words, "--dry-run")
    assert refused.exit_code == 2
    assert "--dry-run: 'als' solves equations in turn, and trains in no steps." in refused.output
    refused = run(*words, "--budget", "1m")
    assert refused.exit_code == 2
    told = (
        "--minutes, --budget: 'als' solves equations in turn, and is not cut in time. Give fewer "
    )
    assert f"{told}--epochs." in " ".join(refused.output.split())


def test_a_run_that_is_not_there_is_said_to_be_missing(run) -> None:
    result = run("recommend", "runs/none", "u001")
    assert result.exit_code == 2
    assert "runs/none does not exist. Give the folder of a run, or of a model." in result.output
