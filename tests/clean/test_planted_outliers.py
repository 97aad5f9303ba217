"""Foreign items planted in real data, and the table of `examples/published/outliers.py`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from drivetrain.clean.outliers import Outliers, find_outliers
from drivetrain.clean.row_points import row_points
from drivetrain.data.frame import Factor, Frame
from drivetrain.text.folding import Words
from tests.tabular.tables import real

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "published"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("outliers")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("outliers", "table"):
            sys.modules.pop(name, None)


def test_the_table_says_how_many_of_the_planted_are_flagged_and_far(
    script: ModuleType, tmp_path: Path
) -> None:
    scores = np.linspace(0, 1, 200)
    flagged = scores > 0.985  # the last three
    found = Outliers(scores, flagged, np.full(200, -1), 0.985)
    planted = np.isin(np.arange(200), (199, 198, 196, 3))
    one = script.found_of((found, planted, []))
    assert (one.items, one.planted, one.flagged, one.right, one.in_first) == (200, 4, 3, 2, 3)
    line = script.as_line("imdb", "noise", [one, one])
    assert line == ["imdb", "noise", "200", "4", "2 of 3, 2 of 3", "75%, 75%"]
    none = script.found_of((found, np.zeros(200, bool), []))
    assert script.as_line("adult", "nothing", [none]) == ["adult", "nothing", "200", "0", "3", ""]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{script.BEGIN}\n{script.as_table([])}\n{script.END}\nafter\n")
    script.keep(page, [line])
    script.keep(page, [["clothing", "blank", "1", "1", "1 of 1", "100%"]])
    script.keep(page, [["adult", "nothing", "9", "0", "3", ""]])
    script.keep(page, [line])
    told = page.read_text().splitlines()
    assert told[0] == "before" and told[-1] == "after" and len(told) == 9
    assert told[4].startswith("| clothing | blank |") and told[5] == "| " + " | ".join(line) + " |"
    assert told[6] == "| adult | nothing | 9 | 0 | 3 |  |"


def share_found(outliers: Outliers, planted: np.ndarray) -> float:
    """Of the planted, those among the farthest 2%."""
    head = outliers.order[: round(0.02 * len(planted))]
    return float(planted[head].sum() / planted.sum())


@pytest.mark.slow
def test_texts_of_no_language_of_another_and_phrases_among_reviews() -> None:
    import pyarrow.parquet as parquet

    own: list[str] = parquet.read_table(real("imdb/train.parquet"))["text"].to_pylist()[:2000]
    other: list[str] = parquet.read_table(real("imdb/unsup.parquet"))["text"].to_pylist()[:20]
    letters = "abcdefghijklmnopqrstuvwxyz"
    swapped = str.maketrans(letters, letters[7:] + letters[:7])
    draw = np.random.default_rng(5)
    noise = [" ".join("".join(draw.choice(list(letters), 6)) for _ in range(80)) for _ in range(20)]
    for foreign in (noise, [text.lower().translate(swapped) for text in other]):
        texts = [*own, *foreign]
        planted = np.arange(len(texts)) >= len(own)
        found = find_outliers(Words(texts).space().points(), keys=texts)
        assert share_found(found, planted) == 1.0
        assert (found.flagged & planted).sum() >= 15 and (found.flagged & ~planted).sum() <= 3


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["ten times", "moved"])
def test_rows_of_a_census_with_absurd_or_moved_numbers(spoil: str) -> None:
    import csv

    with open(real("adult/adult.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:8000]
    names = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
    table = {name: np.array([float(row[name]) for row in rows]) for name in names}
    planted = np.zeros(8000, dtype=bool)
    planted[np.random.default_rng(6).choice(8000, 80, replace=False)] = True
    if spoil == "ten times":
        table["age"][planted] *= 10
    else:
        values = [table[name][planted] for name in names]
        for name, column in zip(names, values[1:] + values[:1], strict=True):
            table[name][planted] = column
    words = ("workclass", "education", "occupation", "relationship", "sex", "native-country")
    frame = Frame({**table, **{name: Factor.of([row[name] for row in rows]) for name in words}})
    found = find_outliers(row_points(frame), keys=[str(at) for at in range(8000)])
    assert share_found(found, planted) >= 0.95
    honest = table["capital-gain"][found.flagged & ~planted]
    assert (honest > 90_000).mean() >= 0.9  # the code for "that much or more" is all else it flags
