"""The course's rules: what each does, that each can be turned off, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings, strategies as st

from drivetrain.errors import ConfigError
from drivetrain.text.rules import (
    DEFAULT_RULES,
    LONGEST_WORD,
    RULE_NAMES,
    RULES,
    clean,
    join,
    rules_table,
    words,
)  # fmt: skip
from tests.text.texts import HTML, PLAIN, STRANGE, texts

BARE = DEFAULT_RULES - {"add_bos"}


def said(text: str, *without: str) -> str:
    return " ".join(words(text, BARE - set(without)))


@pytest.mark.row(50)
@pytest.mark.row(53)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't stop", "do n't stop"),
        ("Don't STOP", "xxmaj do n't xxup stop"),
        ("I'm sure we'll say it’s OK", "i 'm sure we 'll say it ’s xxup ok"),
        ("DON'T", "xxup do xxup n't"),
        ("soooo good!!!!", "s xxrep 4 o good xxrep 4 !"),
        ("aaa", "xxrep 3 a"),
        ("no no no", "xxwrep 3 no"),
        ("No no No", "xxmaj no no xxmaj no"),
        ("NO NO NO NO", "xxwrep 4 xxup no"),
        ("well-known and/or (maybe)", "well - known and / or ( maybe )"),
        ("3.14, 1,000.50 at 10:30", "3.14 , 1,000.50 at 10:30"),
        ("10000 runs", "10000 runs"),
        ("The U.S. and e.g. this.", "xxmaj the xxup u.s. and e.g. this ."),
        ("see http://a.b/c?d=1, or www.x.org.", "see http://a.b/c?d=1 , or www.x.org ."),
        ("l'été, rock'n'roll", "l'été , rock'n'roll"),
        ("an iPhone", "an iphone"),
        ("one<br /><br />two &lt;3", "one two < 3"),
        ("我爱Python编程。", "我 爱 xxmaj python 编 程 。"),
        ("日本語のテキスト", "日 本 語 の テ キ ス ト"),
        ("한국어 텍스트", "한국어 텍스트"),
        ("हिन्दी में", "हिन्दी में"),
        ("שָׁלוֹם عالَم", "שָׁלוֹם عالَم"),
        ("e\u0301te\u0301", "e\u0301te\u0301"),
        ("👩🏽\u200d💻 ❤\ufe0f!", "👩🏽\u200d💻 ❤\ufe0f !"),
        ("fr\u200bee \u202eabc", "free abc"),
        ("a\x00b\x1fc", "a b c"),
        ("\ud800x", "\ufffd x"),
        ("xxpad XXBOS xxfld", "xx pad xxup xx xxup bos xxfld"),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_words_of_a_text(text, expected):
    assert said(text) == expected


@pytest.mark.row(53)
@pytest.mark.parametrize(
    ("name", "text", "with_it", "without_it"),
    [
        ("fix_html", "a&amp;b", "a & b", "a & amp ; b"),
        ("drop_invisible", "fr\u200bee", "free", "fr \u200b ee"),
        ("spec_add_spaces", "and/or", "and / or", "and/or"),
        ("rm_useless_spaces", "a  b", "a b", "a    b"),
        ("replace_rep", "soooo !!!", "s xxrep 4 o xxrep 3 !", "soooo ! ! !"),
        ("replace_wrep", "no no no", "xxwrep 3 no", "no no no"),
        ("replace_all_caps", "SO big", "xxup so big", "so big"),
        ("replace_maj", "Big", "xxmaj big", "big"),
        ("lowercase", "iPhone", "iphone", "iPhone"),
    ],
)
def test_every_rule_can_be_turned_off(name, text, with_it, without_it):
    assert said(text) == with_it
    assert said(text, name) == without_it


@pytest.mark.row(53)
def test_marks_of_start_and_end_are_rules():
    assert words("x", {"add_bos", "add_eos"}) == ["xxbos", "x", "xxeos"]
    assert words("x", DEFAULT_RULES) == ["xxbos", "x"]
    assert words("x", ()) == ["x"]


@pytest.mark.row(53)
def test_table_shows_each_rule_with_an_example_that_it_changes():
    table = rules_table()
    assert [row[0] for row in table.rows] == list(RULE_NAMES)
    for rule, (name, does, _, after) in zip(RULES, table.rows, strict=True):
        others = {"rm_useless_spaces"} - {name}
        assert " ".join(words(rule.example, others)) != after, name
        assert name in str(table) and does in str(table) and after in str(table)
    assert "soooo good!!!  ->  s xxrep 4 o good xxrep 3 !" in str(table)
    assert [row[0] for row in rules_table({"replace_maj"}).rows] == ["replace_maj"]


def test_unknown_rule_is_refused():
    with pytest.raises(ConfigError) as caught:
        rules_table({"replace_may"})
    assert str(caught.value) == (
        "`rules` holds 'replace_may', which is no rule here. Did you mean 'replace_maj'? "
        f"Known: {', '.join(sorted(RULE_NAMES))}."
    )
    with pytest.raises(
        ConfigError, match=r"^`rules` must be a collection of names\. Got the string"
    ):
        rules_table("replace_maj")


@pytest.mark.row(50)
@pytest.mark.parametrize(
    "text",
    [
        "Don't stop, it's \"really\" good (and cheap): 10,000 at 3.5% off!",
        "The U.S. said 'no' to a well-known and/or new plan; see http://a.b/c.",
        "SHE said: yes yes yes yes, and then - nooo!!!",
        "我爱你，世界。「好」",
        "Привет, как дела? Ça va, l'été?",
    ],
)
def test_join_restores_a_text(text):
    restored = join(words(text))
    assert restored.replace(" ", "") == text.replace(" ", "")
    assert abs(len(restored) - len(text)) <= 2  # `nooo` and ` - ` have other blanks


def test_join_restores_usual_texts_to_the_letter():
    text = "It's 10:30. \"We'll see,\" said Mr. Bell (the elder), 'if it is so-so!'"
    assert join(words(text)) == text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["xxrep", "xxunk", "a"], "xxunk a"),
        (["xxrep", "3"], "3"),
        (["xxwrep", "2", "xxmaj", "no"], "No No"),
        (["xxup"], ""),
        (["xxmaj", "xxmaj", "a"], "A"),
        (["xxmaj", "xxbos", "b"], "b"),
        (["xxrep", "9999999999", "a"], "9999999999 a"),
        (["a", "xxpad", "xxpad"], "a"),
        ([], ""),
    ],
)
def test_what_a_model_writes_is_restored_as_far_as_it_makes_sense(found, expected):
    assert join(found) == expected


def test_a_repetition_is_bounded():
    assert len(join(["xxrep", "9999999", "a"])) == 1_000_000


RULE_SETS = st.sets(st.sampled_from([name for name in RULE_NAMES if name != "fix_html"]))


def bare(text: str, rules) -> str:
    """The letters of a text without case, blanks and control characters."""
    text = clean(text, rules).lower().replace("ς", "σ")
    return "".join(c for c in text if not c.isspace())


@pytest.mark.row(50)
@given(texts(PLAIN, STRANGE), RULE_SETS)
@settings(max_examples=150, deadline=None)
@example("it it it 's", set(RULE_NAMES))
@example("a a abbb", set(RULE_NAMES))
def test_join_loses_only_blanks_and_case(text, rules):
    assert bare(join(words(text, rules), rules), rules) == bare(text, rules)


@given(texts(PLAIN, STRANGE), RULE_SETS)
@settings(max_examples=150, deadline=None)
def test_a_text_that_was_restored_has_the_same_words(text, rules):
    found = words(text, rules)
    assert words(join(found, rules), rules) == found


@given(st.text(max_size=40), st.sets(st.sampled_from(RULE_NAMES)))
@settings(max_examples=100, deadline=None)
def test_any_text_has_words_of_bounded_length_that_can_be_stored(text, rules):
    for word in words(text, rules):
        assert word and len(word) <= 3 * LONGEST_WORD  # a capital may be three small letters
        word.encode()


@given(texts(HTML, PLAIN))
@settings(max_examples=100, deadline=None)
def test_html_leaves_unicode(text):
    clean(text, {"fix_html"}).encode()


def test_entities_with_many_digits_are_no_trouble():
    assert clean("&#" + "9" * 5000 + ";", {"fix_html"}) == "&#" + "9" * 5000 + ";"
    assert clean("&#0; &#xD800; stamp;", {"fix_html"}) == "\ufffd \ufffd stamp;"
