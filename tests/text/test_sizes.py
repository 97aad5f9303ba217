"""The table of vocabulary sizes."""

from __future__ import annotations

import pytest

from drivetrain.errors import DataError
from drivetrain.text.sizes import vocab_size_table
from tests.text.test_tokenizer import ENGLISH
from tests.text.texts import reviews


@pytest.mark.row(52)
def test_tokens_a_sentence_fall_and_parameters_rise():
    table = vocab_size_table(ENGLISH, (40, 60, 80), embedding_dim=10)
    small, middle, large = table.rows
    assert small.tokens_per_sentence > middle.tokens_per_sentence > large.tokens_per_sentence
    assert small.letters_per_token < middle.letters_per_token < large.letters_per_token
    assert [row.vocab_size for row in table.rows] == [40, 60, 80]
    assert [row.embedding_parameters for row in table.rows] == [400, 600, 800]
    assert all(row.unknown == 0 for row in table.rows)
    assert table.num_sentences == 3 * (2 + 1 + 3 + 1)


@pytest.mark.row(52)
def test_table_is_printed():
    table = vocab_size_table(["Ab ab. Ab!\nab ab\n", "好。好！"], (30,), "char", embedding_dim=4)
    assert str(table) == (
        "char, 5 sentences, 4 numbers a word\n"
        "vocabulary  tokens a sentence  letters a token  unknown  embedding\n"
        "        14                4.2             1.00    0.00%         56"
    )


@pytest.mark.parametrize("kind", ["word", "char", "unigram"])
def test_other_kinds_have_a_table_too(kind):
    rows = vocab_size_table(ENGLISH, (24, 90), kind).rows
    assert rows[0].unknown >= rows[1].unknown
    assert rows[0].vocab_size <= 24 < rows[1].vocab_size <= 90


def test_no_text_is_refused():
    with pytest.raises(DataError, match=r"^There is no text to take a vocabulary from"):
        vocab_size_table(["", " \n"])


@pytest.mark.slow
@pytest.mark.row(52)
def test_real_reviews_at_the_sizes_of_the_course():
    many = reviews(1500)
    table = vocab_size_table(many)
    assert [row.vocab_size for row in table.rows] == [200, 1_000, 10_000]
    falling = [row.tokens_per_sentence for row in table.rows]
    assert falling[0] > 1.5 * falling[1] > 1.5 * 1.3 * falling[2]
    assert [row.embedding_parameters for row in table.rows] == [80_000, 400_000, 4_000_000]
    assert all(row.unknown == 0 for row in table.rows)
