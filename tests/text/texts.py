"""Texts that tests share: pieces that are hard to cut, put together at random, and real reviews."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import strategies as st

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

PLAIN = (
    *("a", "A", "aa", "aaa", "ooo", "OOO", "I", "x", "no", "No", "NO", "don't", "DON'T", "it’s"),
    *("'s", "'", "'ll", "n't", "’", '"', "!", "!!!", "?", "..", ".", ",", "3", "3.5", "1,000"),
    *("10:30", ":", "U.S.", "u", "s", "-", "/", "#", "\\", "(", ")", "[", "$", "%", "&", "<", ">"),
    *(" ", " ", " ", "  ", "\n", "\t", "http://", "https://x", "www.", "x.com", "_", "x" * 70),
)
STRANGE = (
    *(
        "xxpad",
        "xxunk",
        "XXUNK",
        "xxrep",
        "xxmaj",
        "é",
        "e\u0301",
        "ß",
        "Σ",
        "ς",
        "ǅ",
        "हिन्दी",
        "न",
    ),
    *("ि", "你", "好", "。", "「", "か\u3099", "カ", "ー", "・", "ไ", "ท", "ั", "한", "글", "😀"),
    *("👩\u200d💻", "❤\ufe0f", "🏽", "\u200d", "\u200b", "\ufeff", "\u202e", "²", "①", "Ⓐ", "٣"),
    *("ع", "ש", "\u05b0", "\ud800", "\udc00"),
)
HTML = (
    *("&amp;", "&#39;", "#39;", "<br />", "<unk>", "amp;", "nbsp;", "quot;", " @-@ ", "\\n", "..."),
    *("&#x41;", "&#xd800;", "&nosuch;", "&#99999999;", "&", ";"),
)


def texts(*groups: tuple[str, ...], most: int = 14) -> st.SearchStrategy[str]:
    """Pieces of these groups, one after another."""
    pieces = [piece for group in groups for piece in group]
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


def reviews(count: int) -> list[str]:
    """The first reviews of the film data; the test is skipped where they are absent."""
    path = Path(os.environ.get("DRIVETRAIN_DATA", SHARED)) / "imdb" / "train.parquet"
    if not path.exists():
        pytest.skip("imdb is not on this machine: set DRIVETRAIN_DATA to where the data sets lie")
    from pyarrow import parquet

    return parquet.read_table(path, columns=["text"])["text"].to_pylist()[:count]
