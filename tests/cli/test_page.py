"""`drivetrain page`."""

from __future__ import annotations

import json
from pathlib import Path

from drivetrain.pages import PAGES


def test_the_pages_are_listed(run) -> None:
    result = run("page")
    assert (result.exit_code, result.stderr) == (0, "")
    listed = result.stdout.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(PAGES)
    documents = json.loads(run("page", "--json").stdout)
    assert documents == [{"name": name, "what": what} for name, what in PAGES.items()]


def test_a_page_is_written_here_or_where_one_says(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("page", "rates").stdout == f"rates.html: {PAGES['rates']} Open it in a browser.\n"
    assert Path("rates.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    document = json.loads(run("page", "quadratic", "-o", "q.html", "--seed", "3", "--json").stdout)
    assert document == {
        "page": "q.html",
        "name": "quadratic",
        "bytes": Path("q.html").stat().st_size,
    }
    other = run("page", "quadratic", "-o", "other.html", "--seed", "4")
    assert other.exit_code == 0
    assert Path("q.html").read_text("utf-8") != Path("other.html").read_text("utf-8")


def test_what_is_wrong_is_said_in_a_line(run) -> None:
    for words, sentence in (
        (
            ["quadratc"],
            "Unknown page 'quadratc'. Did you mean 'quadratic'? Known: kernel, quadratic, rates, "
            "relus.",
        ),
        (
            ["rates", "--seed", "1"],
            "Page 'rates' draws nothing at random: leave --seed out. See: drivetrain page --help",
        ),
        (
            ["-o", "x.html"],
            "Say which page is to be written: NAME is missing. See: drivetrain page --help",
        ),
    ):
        result = run("page", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"drivetrain: {sentence}\n"
