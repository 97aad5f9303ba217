"""`drivetrain describe`: a summary, a page, a document, and slips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tabular.tables import passengers, real, write


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "people.csv", passengers(240))


@pytest.mark.row(75)
def test_a_table_is_described_in_the_terminal(run, table: Path) -> None:
    result = run("describe", table.name, "--target", "lives")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "people.csv: 240 rows, 6 columns, 2.3 % of the cells missing."
    assert lines[1] == "Target: lives, 2 classes (no and yes)."
    assert "Good to know" in lines
    assert lines[-1] == "With its charts as a page: -o page.html"
    assert result.stderr == ""
    assert [path.name for path in Path().iterdir()] == ["people.csv"], "nothing is written unasked"


@pytest.mark.row(75)
@pytest.mark.parametrize("option", ["-o", "--out"])
def test_the_page_is_written_where_it_is_asked_for(run, table: Path, option: str) -> None:
    result = run("describe", table, "--target", "lives", option, "pages/people.html")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("\nThe page is pages/people.html\n")
    page = Path("pages/people.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.count("<svg") == 5


def test_the_document_goes_to_stdout_or_to_a_file(run, table: Path) -> None:
    printed = run("describe", table, "--target", "lives", "--json", "-o", "page.html")
    assert printed.exit_code == 0, printed.stderr
    document = json.loads(printed.stdout)
    assert document["rows"] == 240 and document["target"]["names"] == ["lives"]
    assert Path("page.html").exists()
    assert run("describe", table, "--target", "lives", "-o", "people.json").exit_code == 0
    assert json.loads(Path("people.json").read_text()) == document


def test_kinds_and_the_kind_of_the_target_may_be_said(run, table: Path) -> None:
    result = run(
        "describe", table, "--target", "class", "--target-kind", "number", "--kind", "age=category",
        "--json",
    )  # fmt: skip
    document = json.loads(result.stdout)
    assert document["target"]["kind"] == "number"
    assert [view["name"] for view in document["numbers"]] == ["class"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("people.csv", "--target", "life"), "`target`: there is no column 'life'. Did you mean 'lives'"),
        (("people.csv", "-o", "page.txt"), "--out: the page is a file that ends in .html, the JSON "),
        (("people.csv", "--kind", "sex=word"), "--kind: 'word' is no kind. Known: number, category"),
        (("peple.csv",), "There is no folder, file or sample 'peple.csv'."),
        ((), "Missing argument 'TABLE'. See: drivetrain describe --help"),
    ],
)  # fmt: skip
def test_slips_are_answered_in_a_line(run, table: Path, words: tuple[str, ...], said: str) -> None:
    result = run("describe", *words)
    assert result.exit_code == 2 and result.stdout == ""
    assert said in result.stderr and result.stderr.count("\n") == 1


def test_what_is_no_table_is_refused(run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    result = run("describe", "photos")
    assert result.exit_code == 2 and "photos" in result.stderr and "Traceback" not in result.stderr


def test_control_characters_of_a_table_do_not_reach_the_terminal(run, tmp_path: Path) -> None:
    write(tmp_path / "t.csv", {"name\x1b[2J": ["word", "other word"] * 60, "b": [1, 2] * 60})
    result = run("describe", "t.csv", "-o", "t.html")
    assert result.exit_code == 0, result.stderr
    assert "\x1b" not in result.stdout and "\x1b" not in Path("t.html").read_text("utf-8")


@pytest.mark.row(75)
def test_real_rentals(run) -> None:
    result = run("describe", real("bike_sharing/day.csv"), "--target", "cnt")
    assert "May give the target away\n- 'cnt' is 'casual' + 'registered' in all" in result.stdout
