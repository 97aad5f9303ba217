"""Tokenizers of four kinds: there and back, what is unknown, bad input, and records of strangers."""

from __future__ import annotations

import contextlib
import copy
import json
import time

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from drivetrain import store
from drivetrain.errors import BundleError, ConfigError, DataError, UnknownNameError
from drivetrain.text import base
from drivetrain.text.rules import DEFAULT_RULES, join, words
from drivetrain.text.subwords import BYTE_LETTERS, EVERY_BYTE, PIECE
from drivetrain.text.tokenizer import (
    Counts,
    Tokenizer,
    blocks,
    count,
    tokenizer_from_json,
    train_tokenizer,
)  # fmt: skip
from drivetrain.text.vocab import SPECIAL_PIECES, SPECIAL_WORDS
from tests.text.texts import HTML, PLAIN, STRANGE, reviews, texts

KINDS = ("word", "char", "bpe", "unigram")
ENGLISH = [
    "Don't stop! I'm SO sure it's a good film, a very good film.",
    "The film was good, but the end of the film was not so good.",
    "No no no no!!! What a baaaad ending. The worst of the year, surely.",
    "She is sure: the year's best film is the one she saw in the end.",
] * 3
EVERY_LETTER = [*ENGLISH, "".join(PLAIN + STRANGE + HTML), *PLAIN, *STRANGE, *HTML]


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    """A tokenizer of each kind, with a vocabulary that holds all of its texts."""
    return {kind: train_tokenizer(EVERY_LETTER, kind, vocab_size=900, min_freq=1) for kind in KINDS}


def whole(text: str) -> str:
    """The text with half characters as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- there and back --------------------------------------------------------------------------------


@pytest.mark.row(50)
def test_words_with_rules_are_numbered_and_come_back():
    tokenizer = train_tokenizer(ENGLISH, min_freq=1)
    assert tokenizer.tokens("Don't stop") == ["xxbos", "xxmaj", "do", "n't", "stop"]
    ids = tokenizer.encode(["Don't stop"]).document(0)
    assert [tokenizer.vocab.words[i] for i in ids] == tokenizer.tokens("Don't stop")
    assert tokenizer.decode(ids) == "Don't stop"
    for text in ENGLISH[:2]:
        restored = tokenizer.decode(tokenizer.encode([text]).document(0))
        assert restored == text.replace("I'm", "i'm")


@pytest.mark.row(51)
def test_characters_of_chinese_without_blanks_come_back_exactly():
    text = "今天天气很好，我们去公园散步吧。"
    tokenizer = train_tokenizer([text], "char")
    assert tokenizer.tokens(text) == ["xxbos", *text]
    document = tokenizer.encode([text]).document(0)
    assert len(document) == 1 + len(text) and tokenizer.decode(document) == text


@pytest.mark.row(52)
@given(texts(PLAIN, STRANGE, HTML))
@settings(max_examples=100, deadline=None)
@example("\x00\x01 \n\n  x")
def test_bytes_restore_every_text(trained, text):
    tokenizer = trained["bpe"]
    assert tokenizer.decode(tokenizer.encode([text]).document(0)) == whole(text)
    assert len(tokenizer.tokens(text)) == len(tokenizer.encode([text]).ids)


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_bytes_restore_letters_that_were_never_met(trained, text):
    tokenizer = trained["bpe"]
    document = tokenizer.encode([text]).document(0)
    assert tokenizer.decode(document) == text
    assert tokenizer.unk_id not in document


@pytest.mark.row(51)
@pytest.mark.row(52)
@pytest.mark.parametrize("kind", ["char", "unigram"])
@given(text=texts(PLAIN, STRANGE, HTML))
@settings(max_examples=60, deadline=None)
def test_letters_that_were_met_are_restored_exactly(trained, kind, text):
    tokenizer = trained[kind]
    assert tokenizer.decode(tokenizer.encode([text]).document(0)) == whole(text)
    assert len(tokenizer.tokens(text)) == len(tokenizer.encode([text]).ids)


@pytest.mark.row(50)
@given(texts(PLAIN, STRANGE))
@settings(max_examples=100, deadline=None)
def test_numbers_stand_for_the_words_after_the_rules(text):
    tokenizer = train_tokenizer([text, "a"], min_freq=1)
    found = tokenizer.tokens(text)
    ids = tokenizer.encode(["a", text]).document(1)
    assert [tokenizer.vocab.words[i] for i in ids] == found == words(text)
    assert tokenizer.decode(ids) == join(found)


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(texts(PLAIN, STRANGE, most=6), max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_text_has_the_same_ids_alone_and_among_others(trained, kind, many):
    tokenizer = trained[kind]
    together = tokenizer.encode(many)
    assert len(together) == len(many) and together.ids.dtype == np.uint16
    for document, text in zip(together, many, strict=True):
        assert document.tolist() == tokenizer.encode([text]).ids.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_gives_the_same_tokenizer(trained, kind, tmp_path):
    tokenizer = trained[kind]
    store.write_json(tmp_path / "tokenizer.json", tokenizer.to_json())
    found = tokenizer_from_json(store.read_json(tmp_path / "tokenizer.json"))
    assert type(found) is type(tokenizer) and found.to_json() == tokenizer.to_json()
    tokens, expected = found.encode(EVERY_LETTER), tokenizer.encode(EVERY_LETTER)
    np.testing.assert_array_equal(tokens.ids, expected.ids)
    np.testing.assert_array_equal(tokens.offsets, expected.offsets)


@pytest.mark.parametrize("kind", KINDS)
def test_start_and_end_are_marked_where_the_rules_say_so(kind):
    tokenizer = train_tokenizer(ENGLISH, kind, rules=["add_bos", "add_eos"], vocab_size=300)
    assert tokenizer.encode([""]).ids.tolist() == [tokenizer.bos_id, tokenizer.eos_id] == [2, 3]
    assert tokenizer.tokens("") == ["xxbos", "xxeos"]
    assert tokenizer.decode([2, 1, 1, 3]) == ""
    bare = train_tokenizer(ENGLISH, kind, rules=[], vocab_size=300)
    assert bare.encode(["", ""]).lengths().tolist() == [0, 0]
    assert len(bare.encode([])) == 0


def test_tokens_can_be_looked_at():
    bpe = train_tokenizer(ENGLISH, "bpe", vocab_size=600)
    assert bpe.tokens("a good film")[1:] == ["a", "▁good", "▁film"]
    assert bpe.tokens("好")[1:] == ["<e5>", "<a5>", "<bd>"]
    unigram = train_tokenizer(ENGLISH, "unigram", vocab_size=80, min_freq=1)
    assert "".join(unigram.tokens("a good film")[1:]) == "a▁good▁film"


# --- the vocabulary --------------------------------------------------------------------------------


@pytest.mark.row(54)
def test_min_freq_and_vocab_size_are_kept_to_and_the_unseen_is_unknown():
    tokenizer = train_tokenizer(["b a a", "a b c"], rules=[], min_freq=2)
    assert tokenizer.vocab.words == (*SPECIAL_WORDS, "a", "b")
    assert tokenizer.encode(["a never b c"]).ids.tolist() == [9, 0, 10, 0]
    assert tokenizer.decode([9, 0]) == "a xxunk"
    small = train_tokenizer(["b a a", "a b c"], rules=[], min_freq=1, vocab_size=10)
    assert small.vocab.words == (*SPECIAL_WORDS, "a")
    chars = train_tokenizer(["aab"], "char", vocab_size=9, min_freq=2)
    assert chars.vocab.words == (*SPECIAL_PIECES, "a")
    assert chars.decode(chars.encode(["ab"]).ids) == "a\ufffd"


@pytest.mark.row(54)
@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_the_same_on_every_run(kind):
    found = [train_tokenizer(iter(ENGLISH), kind, vocab_size=400).to_json() for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert len(found[0]["words"]) <= 400


def is_word(entry: tuple[str, int]) -> bool:
    return entry[0] not in SPECIAL_WORDS  # these have their ids anyway


@pytest.mark.row(54)
def test_how_texts_are_cut_into_blocks_moves_no_id():
    many = [f"word{i % 7} {'x' * (i % 5)} Tie{i}" for i in range(60)]
    expected = [entry for entry in count(many, "word", DEFAULT_RULES).items() if is_word(entry)]
    for letters in (1, 40, 300):
        counts = Counts()
        for block in blocks(many, letters):
            counts.add(count(block, "word", DEFAULT_RULES))
        assert list(filter(is_word, counts.found.items())) == expected


def test_counting_takes_bounded_memory():
    counts = Counts(most=3)
    counts.add({"a": 5, "b": 1, "c": 2})
    counts.add({"d": 1, "b": 1})
    assert counts.found == {"a": 5, "b": 2, "c": 2}


def test_counts_are_of_words_after_the_rules():
    assert count(["No no no no NO", "It's"], "word", {"lowercase", "replace_wrep"}) == {
        "xxwrep": 1, "5": 1, "no": 1, "it": 1, "'s": 1,
    }  # fmt: skip


@pytest.mark.row(52)
def test_bpe_holds_every_byte_from_512_words_on_and_else_those_it_met():
    large = train_tokenizer(ENGLISH, "bpe", vocab_size=EVERY_BYTE)
    assert set(BYTE_LETTERS) <= set(large.vocab.words)
    small = train_tokenizer(ENGLISH, "bpe", vocab_size=60)
    assert len(small.vocab) == 60
    for text in ENGLISH:
        assert small.decode(small.encode([text]).ids) == text
    assert small.decode(small.encode(["é good"]).ids) == "\ufffd\ufffd good"
    with pytest.raises(ConfigError, match=r"^`vocab_size` must be at least \d+: the texts hold"):
        train_tokenizer(ENGLISH, "bpe", vocab_size=20)


def test_no_subword_spells_a_special_one():
    for kind in ("bpe", "unigram"):
        tokenizer = train_tokenizer(["xxpad xxbos x pad bos"] * 50, kind, vocab_size=600)
        ids = tokenizer.encode(["xxpad xxbos"]).ids.tolist()
        assert min(ids[1:]) > 3 and tokenizer.decode(ids) == "xxpad xxbos"


@pytest.mark.slow
@pytest.mark.row(54)
def test_real_reviews():
    many = reviews(1500)
    tokenizer = train_tokenizer(many)
    tokens = tokenizer.encode(many)
    assert (tokens.ids == tokenizer.unk_id).mean() < 0.04
    for text in many[:300]:
        assert tokenizer.tokens(text)[0] == "xxbos"
        assert words(join(words(text))) == words(text) or "&" in text
    for kind in ("char", "bpe", "unigram"):
        other = train_tokenizer(many[:300], kind, min_freq=1)
        for text, document in zip(many[:300], other.encode(many[:300]), strict=True):
            assert other.decode(document) == text


# --- bad input --------------------------------------------------------------------------------------

HOSTILE = {
    "one letter": "a",
    "two letters": "ab",
    "three letters": "aab",
    "one sign": "!",
    "apostrophes": "a'",
    "endings": "'s",
    "dots": "a.",
    "numbers": "1.",
    "blanks": " ",
    "lines": "\n",
    "nul": "\x00",
    "entities": "&a",
    "half entities": "&#",
    "addresses": "http://a",
    "emoji": "👩\u200d",
    "accents": "e\u0301",
    "accents alone": "\u0301",
    "chinese": "好",
    "halves": "\ud800",
    "words": "no ",
    "capitals": "No ",
    "right to left": "\u202eא",
    "underscores": "_",
    "html": "<br",
    "specials": "xxrep ",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_texts_have_an_answer(trained, kind, name):
    text = HOSTILE[name] * 3000
    tokenizer = trained[kind]
    document = tokenizer.encode([text]).document(0)
    restored = tokenizer.decode(document)
    if kind == "word":
        assert len(document) <= 2 * len(text) + 1
        assert tokenizer.encode([text.replace("\x00", " ")]).ids.tolist() == document.tolist()
    else:
        known = document != tokenizer.unk_id
        assert restored == whole(text) or not known.all()


def seconds(tokenizer: Tokenizer, text: str) -> float:
    """The least of a few, of a tokenizer that remembers nothing."""
    least = float("inf")
    for _ in range(3):
        fresh = tokenizer_from_json(tokenizer.to_json())
        start = time.process_time()
        fresh.encode([text])
        least = min(least, time.process_time() - start)
    return least


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_time_is_linear_in_the_length(trained, kind, name):
    tokenizer = trained[kind]
    unit = HOSTILE[name]
    text = unit * (150_000 // len(unit))
    tries = []
    for _ in range(3):  # a machine that is busy for a while spoils a pair of times
        tries.append((seconds(tokenizer, text), seconds(tokenizer, text * 2)))
        if tries[-1][1] <= 2.5 * tries[-1][0] + 0.005:
            return
    pytest.fail(f"Seconds for {len(text)} letters, and for twice as many: {tries}.")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", ["a" * 10_000_000, "ab cd, " * 1_500_000])
def test_a_line_of_ten_megabytes_takes_seconds(trained, kind, line):
    start = time.process_time()
    assert len(trained[kind].encode([line]).ids) > 0
    assert time.process_time() - start < 20


def test_what_is_kept_is_bounded(monkeypatch, trained):
    monkeypatch.setattr(base, "MOST_KEPT", 5)
    tokenizer = tokenizer_from_json(trained["word"].to_json())
    many = [f"w{i}" for i in range(40)] * 2
    expected = trained["word"].encode(many)
    np.testing.assert_array_equal(tokenizer.encode(many).ids, expected.ids)
    assert len(tokenizer._kept) <= 5
    tokenizer.encode(["x" * 1000])
    assert all(len(piece) <= base.LONGEST_KEPT for piece in tokenizer._kept)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_arguments_are_refused(trained, kind):
    tokenizer = trained[kind]
    with pytest.raises(ConfigError) as caught:
        tokenizer.encode("a text")
    assert str(caught.value) == (
        "`texts` must be a sequence of strings. Got one string; put it in a list."
    )
    with pytest.raises(ConfigError, match=r"Got a generator; put it in a list\.$"):
        tokenizer.encode(text for text in ENGLISH)
    with pytest.raises(DataError, match=r"^Text 1 is no string but NoneType\.$"):
        tokenizer.encode(["a", None])
    size = len(tokenizer.vocab)
    with pytest.raises(DataError) as caught:
        tokenizer.decode([0, size])
    assert str(caught.value) == (
        f"Ids must be in 0..{size - 1}. Got 0 to {size}: they belong to another vocabulary."
    )
    with pytest.raises(DataError, match=r"^There is no text to take a vocabulary from"):
        train_tokenizer([], kind)
    with pytest.raises(ConfigError, match=r"^`vocab_size` must be at least 9 and `min_freq`"):
        train_tokenizer(ENGLISH, kind, vocab_size=3)
    with pytest.raises(DataError, match=r"^Text 1 is no string but int\.$"):
        train_tokenizer(["a", 3], kind)
    with pytest.raises(ConfigError, match=r"^`texts` must be a sequence of strings"):
        train_tokenizer("a text", kind)


def test_unknown_kinds_and_rules_are_refused():
    with pytest.raises(UnknownNameError) as caught:
        train_tokenizer(ENGLISH, "words")
    assert str(caught.value) == (
        "Unknown kind of tokenizer 'words'. Did you mean 'word'? Known: bpe, char, unigram, word."
    )
    with pytest.raises(ConfigError, match=r"^`rules` holds 'replace_maj', which is no rule here\."):
        train_tokenizer(ENGLISH, "bpe", rules=["replace_maj"])


# --- records of strangers --------------------------------------------------------------------------


def test_records_of_no_tokenizer_are_refused():
    for record in (None, [], {}, {"kind": 3}):
        with pytest.raises(BundleError) as caught:
            tokenizer_from_json(record)
        assert str(caught.value) == ("The tokenizer's record is not an object that says its kind.")
    with pytest.raises(BundleError, match=r"^The tokenizer's kind is 'os:system'\. Known: word,"):
        tokenizer_from_json({"kind": "os:system"})


def changed(record, name, value):
    record = copy.deepcopy(record)
    if value is KeyError:
        del record[name]
    else:
        record[name] = value
    return record


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        ("word", "format", 2, "record is not of the format 1 and this kind."),
        ("word", "rules", KeyError, "record does not hold format, kind, rules, words."),
        ("word", "more", 1, "record does not hold format, kind, rules, words."),
        ("word", "rules", ["no"], "record holds the rule 'no', which is not known."),
        ("word", "rules", "add_bos", "rules are not a list of at most 11 values."),
        ("bpe", "rules", ["lowercase"], "record holds the rule 'lowercase', which is not known."),
        ("char", "words", [*SPECIAL_PIECES, "ab"], "record holds a word of several characters."),
        ("bpe", "words", [*SPECIAL_PIECES, "a b"], "word 'a b' is not written as bytes."),
        ("bpe", "merges", ["a"], "merge 'a' is not of words it has."),
        ("bpe", "merges", ["xx pad"], "merge 'xx pad' is not of words it has."),
        ("bpe", "merges", [["a", "b"]], "merges are not a list of at most {size} values."),
        ("unigram", "scores", [0.0], "scores are not a number for each word."),
        ("unigram", "scores", ["0"], "scores are not a list of at most {size} values."),
    ],
)
def test_records_of_strangers_are_refused(trained, kind, name, value, message):
    record = trained[kind].to_json()
    with pytest.raises(BundleError) as caught:
        tokenizer_from_json(changed(record, name, value))
    expected = message.format(size=len(record["words"]))
    assert str(caught.value) == f"The {kind} tokenizer's {expected}"


def test_a_merge_that_stands_twice_is_refused(trained):
    record = trained["bpe"].to_json()
    merges = [*record["merges"], record["merges"][0]]
    with pytest.raises(BundleError, match=r"^The bpe tokenizer's record holds a merge twice\.$"):
        tokenizer_from_json(changed(record, "merges", merges))


def test_scores_that_are_no_numbers_are_refused(trained):
    record = trained["unigram"].to_json()
    for bad in (float("nan"), float("inf"), 1e300):
        scores = [*record["scores"][:-1], bad]
        with pytest.raises(BundleError, match=r"scores are not a number for each word\.$"):
            tokenizer_from_json(changed(record, "scores", scores))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.sampled_from(KINDS), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_records_are_refused_or_work(trained, kind, data):
    record = trained[kind].to_json()
    name = data.draw(st.sampled_from(sorted(record)))
    if isinstance(record[name], list) and record[name] and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(record[name]) - 1))
        value = list(record[name])
        value[place] = data.draw(JSON_VALUES)
    else:
        value = data.draw(JSON_VALUES)
    with contextlib.suppress(BundleError):  # and nothing else
        tokenizer = tokenizer_from_json(changed(record, name, value))
        assert len(tokenizer.encode(["a text"])) == 1


def test_records_are_plain_json(trained):
    for tokenizer in trained.values():
        assert json.loads(json.dumps(tokenizer.to_json())) == tokenizer.to_json()


@given(texts(PLAIN, STRANGE, HTML))
@settings(max_examples=100, deadline=None)
def test_pieces_are_the_text(text):
    pieces = PIECE.findall(text)
    assert "".join(pieces) == text
    assert max(map(len, pieces), default=0) <= 33
