"""An embedding is a one-hot product, and a look-up of a spreadsheet."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from drivetrain.collab.looking.look_up import look_up
from drivetrain.errors import ConfigError, DataError, ShapeError

SENTENCE = "the cat saw the dog and the dog saw the tree".split()
WORDS = sorted(set(SENTENCE))


def match(word: str, words: Sequence[str]) -> int:
    """The spreadsheet's MATCH(word, words, 0): places count from 1."""
    return next(place for place, other in enumerate(words, start=1) if other == word)


def offset(cells: dict[tuple[int, int], float], row: int, column: int) -> float:
    """The spreadsheet's OFFSET from the corner cell, in row 0 and column 0."""
    return cells[row, column]


@pytest.mark.row(132)
def test_words_are_found_as_match_and_offset_find_them() -> None:
    table = np.random.default_rng(0).random((len(WORDS), 5)).astype(np.float32)
    cells = {(i + 1, j + 1): table[i, j] for i in range(len(WORDS)) for j in range(5)}
    found = look_up(table, SENTENCE, WORDS)
    expected = [[offset(cells, match(word, WORDS), j + 1) for j in range(5)] for word in SENTENCE]
    np.testing.assert_array_equal(found.vectors, expected)
    assert (found.codes + 1).tolist() == [match(word, WORDS) for word in SENTENCE]
    np.testing.assert_array_equal(
        look_up(table, "dog", WORDS).vectors[0], table[WORDS.index("dog")]
    )
    by_map = look_up(table, SENTENCE, {word: i for i, word in enumerate(WORDS)})
    np.testing.assert_array_equal(by_map.vectors, found.vectors)
    lines = str(found).splitlines()
    assert lines[1].split()[:2] == ["the", str(match("the", WORDS))]
    assert json.loads(json.dumps(found.to_json()))["codes"] == found.codes.tolist()


@pytest.mark.row(122)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 9999), rows=st.integers(1, 60), width=st.integers(1, 60), data=st.data())
def test_a_row_is_the_one_hot_product_to_the_last_bit(
    seed: int, rows: int, width: int, data: st.DataObject
) -> None:
    table = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    codes = data.draw(st.lists(st.integers(0, rows - 1), max_size=12))
    found = look_up(table, codes)
    product = found.one_hots() @ table
    assert product.dtype == np.float32
    np.testing.assert_array_equal(product, found.vectors)
    embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(table))
    looked_up = embedding(torch.tensor(codes, dtype=torch.int64))
    one_hots = torch.nn.functional.one_hot(torch.tensor(codes, dtype=torch.int64), rows).float()
    assert torch.equal(looked_up, torch.from_numpy(found.vectors))
    assert torch.equal(one_hots @ embedding.weight, looked_up)


def test_a_word_that_is_missing_is_no_other_words_row() -> None:
    table = np.zeros((len(WORDS), 2))
    with pytest.raises(DataError) as caught:
        look_up(table, ["the", "dogs"], WORDS)
    assert str(caught.value) == "'dogs' is not among the 6 words of the table. Did you mean 'dog'?"
    with pytest.raises(DataError) as caught:
        look_up(table, [0, 6])
    assert str(caught.value) == "The table has the rows 0 to 5. Got 6."
    with pytest.raises(DataError) as caught:
        look_up(table, -1)
    assert str(caught.value) == "The table has the rows 0 to 5. Got -1."
    with pytest.raises(ConfigError) as caught:
        look_up(table, "dog")
    assert str(caught.value) == (
        "`look_up` needs `index`, the words of the rows, to find 'dog'; or give codes."
    )
    with pytest.raises(ShapeError) as caught:
        look_up(table[:3], "dog", WORDS)
    assert str(caught.value) == "`index` has 6 words for a table of 3 rows."
    with pytest.raises(ShapeError) as caught:
        look_up(np.zeros(3), 0)
    assert str(caught.value) == "`look_up` needs a table of shape (V, F). Got (3,)."


def test_of_two_equal_words_the_first_is_found() -> None:
    assert look_up(np.arange(6).reshape(3, 2), "a", ["b", "a", "a"]).codes.tolist() == [1]
