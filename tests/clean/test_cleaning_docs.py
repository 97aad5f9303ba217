"""docs/cleaning.md: the options and keys that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

from drivetrain.cli.clean import command as clean
from drivetrain.cli.train import command as train

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cleaning.md").read_text(encoding="utf-8")


def test_its_options_are_those_of_the_commands() -> None:
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(re.findall(r"`([^`]+)`", PAGE))))
    blocks = " ".join(re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL))
    named |= set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", blocks))
    known = {opt for one in (clean, train) for each in one.params for opt in each.opts}
    assert named and named <= known


def test_its_keys_are_those_of_the_page() -> None:
    index = ROOT / "src" / "drivetrain" / "clean" / "page" / "index.html"
    listed = index.read_text(encoding="utf-8").split("<h2>Keys</h2>")[1].split("</dl>")[0]
    keys = set(re.findall(r"<kbd>([^<]+)</kbd>", listed)) - {"&larr;", "&rarr;"}
    table = PAGE.split("## Keys")[1].split("##")[0]
    assert keys == set(re.findall(r"`([^`]+)`", table))
    assert "arrows" in table


def test_its_figures_are_between_their_marks() -> None:
    figures = PAGE.split("<!-- label errors: begin -->")[1].split("<!-- label errors: end -->")[0]
    for name in ("pets", "clothing", "imdb", "adult"):
        assert len(re.findall(rf"^\| {name} \|", figures, flags=re.MULTILINE)) == 2


def test_the_figures_of_outliers_are_those_of_the_script() -> None:
    figures = PAGE.split("<!-- outliers: begin -->")[1].split("<!-- outliers: end -->")[0]
    for name, kinds in (("clothing", 5), ("imdb", 7), ("adult", 6)):
        lines = re.findall(rf"^\| {name} \| .*", figures, flags=re.MULTILINE)
        assert len(lines) == kinds and sum("| nothing |" in line for line in lines) == 1
        assert all(len(line.split(" | ")) == 6 for line in lines)
