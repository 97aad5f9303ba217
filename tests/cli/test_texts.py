"""`train`, `predict`, `evaluate` and `resume` on texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.text.moods import moods, write_csv, write_folder

SMALL = (
    *("--set", 'sizes={"embedding_dim": 12, "hidden_dim": 12, "num_layers": 1}'),
    *("--set", "num_threads=1", "--set", "drop_mult=0.2", "--set", "lr=0.01"),
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    texts, labels = moods(100)
    return write_csv(tmp_path / "reviews.csv", {"review": texts, "label": labels})


def test_a_table_of_texts_is_known_by_its_looks_and_answers(run, table: Path) -> None:
    result = run("train", table.name, *SMALL, "--epochs", 4, "--out", "r")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].split() == ["Source", "reviews.csv"]  # as it was given
    assert "'review' holds text, and there is little beside it" in result.stdout
    assert "Result on 20 validation texts" in result.stdout and "tfidf_logistic" in result.stdout
    assert 'drivetrain predict r --text "…"' in result.stdout
    record = json.loads(Path("r/run.json").read_text())
    assert record["task"]["application"] == "text" and record["results"]["epochs"] == 4

    Path("new.txt").write_text("lovely superb warm charming")
    answer = run("predict", "r", "new.txt", "--json")
    assert answer.exit_code == 0, answer.output
    (one,) = json.loads(answer.stdout)
    assert one["input"] == "new.txt" and set(one["probabilities"]) == {"bad", "good"}
    assert run("predict", "r", "new.txt").stdout.startswith(f"new.txt  {one['label']} ")

    said = run("predict", "r", "--text", "lovely superb warm charming", "--text", " ", "--json")
    first, second = json.loads(said.stdout)
    assert first["probabilities"] == pytest.approx(one["probabilities"]) and second["input"] == ""
    assert "1 text is empty: what is answered then says nothing of a text." in said.stderr

    why = run("explain", "r", "--text", "lovely superb warm charming", "--page", "why.html")
    assert why.exit_code == 0, why.output
    assert "integrated gradients" in why.stdout and "The page is why.html" in why.stdout
    assert "<title>" in Path("why.html").read_text("utf-8")
    (parts,) = json.loads(run("explain", "r", "--text", "lovely warm", "--json").stdout)
    assert [word["text"] for word in parts["words"]] == ["lovely", "warm"]
    refused = run("explain", "r", "--text", "lovely", "--column", "review")
    assert refused.exit_code == 2
    assert "r is a run of texts, and --column is for tables. Use --text." in refused.stderr

    rows = run("predict", "r", table, "--json")
    assert [one["input"] for one in json.loads(rows.stdout)][:2] == ["row 1", "row 2"]
    assert run("predict", "r", table).stdout.endswith("80 more: --out FILE.csv writes all\n")
    named = run("predict", "r", table, "--out", "answers.csv").stdout.splitlines()
    assert named[-2:] == ["… and 80 more", "100 answers are in answers.csv"]

    measured = run("evaluate", "r", "--on", table, "--json")
    assert measured.exit_code == 0, measured.output
    document = json.loads(measured.stdout)
    assert document["items"] == 100 and document["interval"] is not None
    assert "Result on 100 texts of " in run("evaluate", "r", "--on", table).stdout

    again = run("resume", "r", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["weights_sha256"] == record["results"]["weights_sha256"]


def test_a_folder_of_texts_gives_the_document_of_every_training(run, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", *moods(40))
    result = run("train", folder, *SMALL, "--epochs", 1, "--out", "r", "--json", "--seed", 3)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    wanted = {"run", "task", "model", "metrics", "baselines", "items", "epochs", "seconds"}
    assert wanted | {"weights_sha256", "interval"} == set(document)
    assert document["task"] == "text" and document["items"]["train"] == 32
    twice = run("train", folder, *SMALL, "--epochs", 1, "--out", "s", "--json", "--seed", 3)
    assert json.loads(twice.stdout)["weights_sha256"] == document["weights_sha256"]


def test_a_language_model_is_trained_and_writes_on(run, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("one two three four five . " * 200)
    words = ("train", tmp_path / "book.txt", "--task", "language", *SMALL)
    result = run(*words, "--epochs", 2, "--set", "seq_len=12", "--out", "r", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["task"] == "language" and "unigram" in document["baselines"]
    Path("new.txt").write_text("one two")
    answer = run("predict", "r", "new.txt", "--json")
    assert answer.exit_code == 0, answer.output
    (one,) = json.loads(answer.stdout)
    assert one["text"].startswith("one two") and len(one["text"].split()) > 3
    measured = run("evaluate", "r", "--on", tmp_path / "book.txt")
    assert measured.exit_code == 0, measured.output
    assert "perplexity" in measured.stdout


def test_several_columns_are_composed(run, tmp_path: Path) -> None:
    texts, labels = moods(60)
    columns = {"title": ["about"] * 60, "body": texts, "n": list(range(60)), "label": labels}
    table = write_csv(tmp_path / "t.csv", columns)
    options = ("--target", "label", "--text", "title", "--text", "body", *SMALL, "--epochs", 1)
    result = run("train", table, *options, "--out", "r", "--json")
    assert result.exit_code == 0, result.output
    model = json.loads(Path("r/model/model.json").read_text())
    assert model["template"] == "TEXT1: {title}; TEXT2: {body}"
    answer = run("predict", "r", table, "--json")
    assert answer.exit_code == 0 and len(json.loads(answer.stdout)) == 60


def test_what_is_not_for_texts_is_refused_in_a_line(run, table: Path) -> None:
    result = run("train", table, "--set", "layers=[8]")
    assert result.exit_code == 2
    assert "'layers': not for texts, and" in result.stderr
    result = run("train", table, "--task", "language", "--set", "max_len=10")
    assert result.exit_code == 2
    assert "'max_len': not for this kind of model of texts." in result.stderr


def test_a_table_with_other_columns_stays_a_table(run, tmp_path: Path) -> None:
    texts, labels = moods(60)
    columns = {
        "review": texts,
        "a": [i % 7 for i in range(60)],
        "b": ["x", "y"] * 30,
        "label": labels,
    }
    table = write_csv(tmp_path / "t.csv", columns)
    result = run("train", table, "--target", "label", "--model", "tree", "--out", "r", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["task"] == "tabular"


def test_a_run_becomes_a_bundle_that_proves_itself_and_answers_alike(run, table: Path) -> None:
    assert run("train", table, *SMALL, "--epochs", 1, "--out", "r").exit_code == 0
    made = run("export", "r", "-o", "b", "--golden", 3, "--no-guard")
    assert made.exit_code == 0, made.output
    assert "3 validation texts travel with it, in b/golden" in made.stdout
    assert run("verify", "b").exit_code == 0
    Path("new.txt").write_text("lovely superb warm charming")
    (of_run,) = json.loads(run("predict", "r", "new.txt", "--json").stdout)
    (of_bundle,) = json.loads(run("predict", "b", "new.txt", "--json").stdout)
    assert of_bundle["label"] == of_run["label"]
    assert of_bundle["probabilities"] == pytest.approx(of_run["probabilities"], abs=1e-6)
