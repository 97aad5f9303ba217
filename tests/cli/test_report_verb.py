"""`drivetrain report` and `drivetrain why`, on a run of each application."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from drivetrain import store
from drivetrain.report.build import MOST_BYTES
from tests.browser import browser, opened

PARTS = ["asked", "data", "training", "result", "errors", "next", "model", "why", "again"]


def looked_at(path: Path) -> str:
    """The page's text, after it was opened in three sizes, light and dark, and found to be sound."""
    assert path.stat().st_size < MOST_BYTES
    text = ""
    with browser() as started:
        for width in (390, 820, 1280):
            for scheme in ("light", "dark"):
                size = {"width": width, "height": 800}
                with opened(started, path, viewport=size, color_scheme=scheme) as page:
                    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
                    assert (page.errors, page.requests) == ([], [])
                    broken = "[...document.images].filter(one => !one.naturalWidth).length"
                    assert page.page.evaluate(broken) == 0
                    text = page.page.locator("body").inner_text()
    return text


@pytest.fixture
def report(run: Any) -> Any:
    """Make a report: `(document, text of the page)`."""

    def make(folder: Path, *words: object) -> tuple[dict[str, Any], str]:
        result = run("report", folder, *words, "--json")
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        assert document["bytes"] == Path(document["report"]).stat().st_size < MOST_BYTES
        return document, Path(document["report"]).read_text("utf-8")

    return make


@pytest.mark.row(2)
def test_a_run_of_pictures_has_its_report_in_its_folder(
    run: Any, report: Any, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    document, text = report(folder)
    assert document["report"] == str(folder / "report.html")
    assert list(document["sections"]) == PARTS
    assert document["notes"] == []
    record = store.read_json(folder / "run.json")
    assert record["results"]["weights_sha256"] in text
    assert "<b>hand features</b>: colours and edges" in text  # beside the net's score
    assert text.count("data:image/") >= 15  # of training, and the worst with their maps
    assert "for circle" in text or "for square" in text or "for triangle" in text
    again = run("report", folder)
    assert again.exit_code == 0
    assert f"As slides: drivetrain report {folder} --slides" in again.stdout
    assert (folder / "report.html").read_text("utf-8") == text  # the same run, the same page


def test_without_its_data_a_run_says_what_it_knows(
    report: Any, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    record = store.read_json(folder / "run.json")
    record["data"]["source"] = str(tmp_path / "gone")
    store.write_json(folder / "run.json", record)
    document, text = report(folder, "--slides", "-o", "talk.html")
    assert list(document["sections"]) == ["asked", "training", "result", "next", "why", "again"]
    assert "The data was not looked at again" in document["notes"][0]
    assert 'id="slides"' in text


def test_a_report_is_a_page_and_a_run_is_a_run(run: Any, tmp_path: Path) -> None:
    result = run("report", tmp_path, "-o", "report.pdf")
    assert result.exit_code == 2
    assert "--out: the report is a file that ends in .html. Got report.pdf." in result.output
    result = run("report", tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path} is not a run folder: it has no run.json." in result.output


# --- why ------------------------------------------------------------------------------------------


def test_why_prints_every_choice_with_its_reason_and_how_to_change_it(
    run: Any, trained: Path
) -> None:
    record = store.read_json(trained / "run.json")
    result = run("why", trained)
    assert result.exit_code == 0
    flat = " ".join(result.stdout.split())
    assert len(record["choices"]) > 10
    for choice in record["choices"]:
        assert " ".join(choice["reason"].split()) in flat
        assert f"to change it: {choice['change']}" in flat
    assert json.loads(run("why", trained, "--json").stdout) == record["choices"]


def test_why_of_one_name_and_of_a_typing_slip(run: Any, trained: Path) -> None:
    result = run("why", trained, "epochs")
    assert result.stdout == "epochs: 2\n    as asked\n    to change it: --epochs N\n"
    assert json.loads(run("why", trained, "epochs", "--json").stdout)["value"] == 2
    result = run("why", trained, "epoch")
    assert result.exit_code == 2
    assert f"{trained} has no choice 'epoch'. Did you mean 'epochs'? It has: " in result.output


# --- each application, in the browser -------------------------------------------------------------

SAMPLES = {
    "digits": (["--epochs", 3], "Most confused", "Layer by layer"),
    "reviews": (["--epochs", 2], "How long they are", "Layer by layer"),
    "films": (["--epochs", 2], "Lists of recommendations", "mean rating of the item"),
    "rentals": (
        ["--target", "rentals", "--model", "net", "--epochs", 2],
        "Predicted and true",
        "day",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_report_of_each_application_is_sound(run: Any, report: Any, sample: str) -> None:
    options, *expected = SAMPLES[sample]
    result = run("train", sample, *options, "--out", "run")
    assert result.exit_code == 0, result.output
    document, _ = report(Path("run"))
    assert list(document["sections"]) == PARTS
    text = looked_at(Path(document["report"]))
    assert "The losses of the batches were not kept" not in text
    for words in expected[:1] if sample == "films" else expected:
        assert words in text
    document, _ = report(Path("run"), "--slides")
    looked_at(Path(document["report"]))


@pytest.mark.slow
def test_a_leaderboard_of_trees_has_a_report_without_a_learner(run: Any, report: Any) -> None:
    words = ["train", "rentals", "--target", "rentals", "--minutes", 0.2, "--out", "run"]
    assert run(*words).exit_code == 0
    document, text = report(Path("run"))
    assert list(document["sections"]) == [part for part in PARTS if part != "training"]
    assert "All models that were tried" in text and "Predicted and true" in text
    looked_at(Path(document["report"]))


@pytest.mark.slow
def test_lists_of_events_have_a_report_without_predictions(run: Any, report: Any) -> None:
    words = ["train", "films", "--model", "als", "--out", "run"]
    result = run(*words)
    assert result.exit_code == 0, result.output
    document, _ = report(Path("run"))
    assert document["notes"] == []
    assert list(document["sections"]) == [
        "asked",
        "data",
        "result",
        "next",
        "model",
        "why",
        "again",
    ]
    looked_at(Path(document["report"]))


@pytest.mark.slow
def test_photos_of_pets_are_shown_with_where_the_net_looked(
    run: Any, report: Any, shared_data: Any
) -> None:
    photos = shared_data("pets/images")
    result = run("train", photos, "--size", 96, "--epochs", 1, "--out", "run")
    assert result.exit_code == 0, result.output
    document, text = report(Path("run"))
    assert text.count("data:image/jpeg") >= 20
    assert "Bengal" in looked_at(Path(document["report"]))


@pytest.mark.slow
def test_passengers_have_a_line_to_draw(run: Any, report: Any, shared_data: Any) -> None:
    table = shared_data("titanic/train.csv")
    words = ["train", table, "--target", "Survived", "--model", "forest", "--out", "run"]
    assert run(*words).exit_code == 0
    document, _ = report(Path("run"))
    assert "Where to draw the line for “1”" in looked_at(Path(document["report"]))
