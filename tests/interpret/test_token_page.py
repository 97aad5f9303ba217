"""Words in colour: the text is all there, sums are kept, and nothing a stranger wrote acts."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.interpret.token_page import Explanation, Word, page_of, safe, visible


def explanation(**changes):
    words = (
        Word("The", 0.0, ("xxmaj", "the")),
        Word("film", 0.1, ("film",)),
        Word("is", 0.0, ("is",)),
        Word("wonderful", 1.5, ("wonder", "##ful")),
        Word(",", 0.0, (",",), is_after_blank=False),
        Word("dull", -0.7, ("dull",)),
        Word("zyx", -0.2, ("zyx",), is_unknown=True),
        Word(".", 0.0, (".",), is_after_blank=False),
    )
    made = {"answer": "pos", "probability": 0.9, "truth": "neg", "score": 2.2, "base": 1.5}
    return Explanation(words, **(made | {"name": "row 3"} | changes))


class Read(HTMLParser):
    """The text of a page, the titles of its words, and the tags it has."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.titles, self.texts, self.inside = [], [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        if "title" in found:
            self.titles.append(found["title"])
        self.inside = found.get("class", "") if tag in ("p", "style") else self.inside

    def handle_data(self, data):
        if self.inside == "dt-text":
            self.texts.append(data)

    def handle_endtag(self, tag):
        self.inside = "" if tag == "p" else self.inside


def test_marks_say_for_and_against_by_size_and_the_text_reads_as_it_was():
    assert explanation().in_marks() == "The film is wonderful[+++], dull[--] zyx[-]."
    assert explanation().levels().tolist() == [0, 0, 0, 3, 0, -2, -1, 0]


def test_colour_only_where_the_stream_is_a_terminal_or_it_is_asked_for():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    plain, coloured, forced = io.StringIO(), Terminal(), io.StringIO()
    explanation().show(plain)
    explanation().show(coloured)
    explanation().show(forced, colour=True)
    assert "\x1b" not in plain.getvalue() and "wonderful[+++]" in plain.getvalue()
    assert coloured.getvalue() == forced.getvalue()
    told = re.sub("\x1b\\[[0-9;]*m", "", coloured.getvalue())
    assert "The film is wonderful, dull zyx." in told
    assert coloured.getvalue().count("\x1b[0m") == 3
    assert "\x1b[0m" in explanation().in_colour()


def test_what_is_printed_says_answer_gap_and_the_strongest_words_first():
    printed = str(explanation(gap_share=0.031, cut=12, note="Too few steps."))
    assert printed.startswith(
        "row 3: pos (90.0%) · true: neg · log odds 2.200, without words 1.500; integrated gradients, "
        "gap 3.1%; 12 tokens were cut off\n"
    )
    listed = [line.split()[0] for line in printed.split("\n\n")[2].splitlines()[1:]]
    assert listed == ["wonderful", "dull", "zyx", "film"]
    assert printed.endswith("Too few steps.")


def test_page_holds_the_text_a_number_for_each_word_and_a_legend():
    page = Read(explanation().page())
    assert "".join(page.texts).strip() == "The film is wonderful, dull zyx."
    assert "+1.5000 · wonder ##ful" in page.titles
    assert "-0.2000 · not in the vocabulary" in page.titles
    html = explanation().page()
    assert "speaks for the answer" in html and "prefers-color-scheme:dark" in html
    assert "script" not in page.tags and "default-src 'none'" in html
    assert html.count("<article") == 1
    assert page_of([explanation(), explanation()], title="Two").count("<article") == 2
    assert "<article" in explanation()._repr_html_() and "<html" not in explanation()._repr_html_()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6), st.text(max_size=10))
def test_whatever_the_words_are_the_page_has_the_same_tags_and_no_hidden_characters(words, name):
    made = Explanation(
        tuple(Word(one, float(i), (one, "x")) for i, one in enumerate(words)),
        answer=name or "a", truth=name or "a", name=name or "a", note=name or "a",
    )  # fmt: skip
    plain = Explanation(
        tuple(Word("x", float(i), ("a", "x")) for i in range(len(words))),
        answer="a", truth="a", name="a", note="a",
    )  # fmt: skip
    page = made.page()
    assert Read(page).tags == Read(plain.page()).tags
    bad = "\x00\x1b\x07\u200b\u202e\u2066\u200f\ufeff\xad"
    assert not set(bad) & set(page)
    assert not set(bad) & set(str(made))
    page.encode()  # half a surrogate pair could not be written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\u202eevil", "⟨U+202E⟩evil"),
        ("\x1b[31m", "⟨U+001B⟩[31m"),
        ("a\u200db", "a⟨U+200D⟩b"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\ud800", "⟨U+D800⟩"),
        ("\u3164", "⟨U+3164⟩"),
        ("שלום", "שלום"),
        ("é e\u0301", "é e\u0301"),
        ("a\r\nb", "a  b"),
    ],
)
def test_what_hides_or_acts_is_written_out_and_what_is_a_letter_stays(text, shown):
    assert visible(text) == shown
    assert safe(f"<{text}>").startswith("&lt;")


def test_right_to_left_words_keep_their_order_and_turn_nothing_else():
    made = Explanation((Word("שלום", 1.0), Word("\u202eעולם", -1.0)), answer="\u202eלא")
    page = made.page()
    assert "style='--a:1.00' title='+1.0000'>שלום</span> <span" in page  # as one text, in its order
    assert "<p class='dt-text' dir='auto'>" in page and "⟨U+202E⟩עולם" in page
    assert "<bdi>⟨U+202E⟩לא</bdi>" in page  # an answer among English words stands by itself


def test_long_text_is_shortened_around_the_words_that_matter():
    words = [Word(f"word{i}", 0.0) for i in range(300)]
    words[140] = Word("awful", -2.0)
    words[250] = Word("fine", 1.0)
    line = Explanation(tuple(words)).around(80)
    assert len(line) <= 80
    assert "word138 word139 awful word141 word142" in line and "fine" in line
    assert line.startswith("…") and line.endswith("…")
    assert explanation().around() == "The film is wonderful, dull zyx."


def test_json_holds_all_and_no_words_are_no_trouble():
    record = json.loads(json.dumps(explanation().to_json()))
    assert [one["value"] for one in record["words"]] == explanation().values.tolist()
    assert record["answer"] == "pos" and record["probability"] == 0.9
    empty = Explanation(())
    assert empty.in_marks() == "" and empty.strongest() == [] and "<article" in empty.page()
    assert empty.around() == ""


def test_picture_has_a_bar_for_each_of_the_strongest_words():
    axes = explanation(answer="$pos$").plot(most=3).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths, [1.5, -0.7, -0.2])
    assert [one.get_text() for one in axes.get_yticklabels()] == ["wonderful", "dull", "zyx"]
    assert len({bar.get_facecolor() for bar in axes.patches}) == 2
