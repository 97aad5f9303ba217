"""Words of a text with what each adds to an answer: in colour on a page and in a terminal.

Blue speaks for the answer and orange against it, which the colour-blind can tell apart; a line below the
word, whole or broken, says the same without colour, and each word has its number when it is pointed at.
Characters that cannot be seen, or that turn the direction of writing, are written out (`⟨U+200B⟩`), so
that what a model saw is seen, and nothing that a stranger wrote acts on the page or on the terminal.

    >>> found = Explanation((Word("a ", 0.0), Word("fine", 1.25), Word("bore", -0.5)), answer="pos")
    >>> print(found.in_marks())
    a  fine[+++] bore[--]
"""

from __future__ import annotations

import html
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from drivetrain.interpret import drawing, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (0.1, 0.3, 0.6)
"""Shares of the largest part from which a word has one, two and three marks, or a deeper colour."""
MOST_WORDS = 12
"""Words that are listed by their size."""


@dataclass(frozen=True)
class Word:
    """A word as people read it."""

    text: str
    value: float
    """What it adds to the score: the sum over its tokens."""
    tokens: tuple[str, ...] = ()
    """What the model saw of it."""
    is_after_blank: bool = True
    """Whether a blank stands before it."""
    is_unknown: bool = False
    """Whether the vocabulary does not hold it, or not all of it."""


@dataclass(frozen=True)
class Explanation:
    """A text taken apart: base + all values = score, but for the gap."""

    words: tuple[Word, ...]
    """In the order of the text."""
    answer: str = ""
    """The class that the values speak for; empty of a model that gives a number."""
    probability: float | None = None
    """Of that class."""
    truth: str = ""
    """What is true, where it is known."""
    score: float = 0.0
    """Of the text."""
    base: float = 0.0
    """Of the text whose words say nothing."""
    gap: float = 0.0
    """By how much the values miss score - base."""
    gap_share: float = 0.0
    """The same as a share of what was attributed."""
    unit: str = "log odds"
    """What the values are."""
    method: str = "integrated gradients"
    """How the values were found."""
    cut: int = 0
    """Tokens of the text that were cut off before the model saw it."""
    name: str = ""
    """Of the text, such as its file or row."""
    note: str = field(default="", compare=False)
    """A sentence to print below."""

    @property
    def values(self) -> np.ndarray:
        """(W,) what each word adds."""
        return np.array([word.value for word in self.words], dtype=np.float64)

    def strongest(self, count: int = MOST_WORDS) -> list[Word]:
        """The words with the largest parts, whichever their sign, the largest first; none of 0.

        Args:
            count: how many at most.
        """
        order = np.argsort(-np.abs(self.values), kind="stable")[:count]
        return [self.words[i] for i in order.tolist() if self.words[i].value != 0]

    def levels(self) -> np.ndarray:
        """(W,) int: 1 to 3 where a word speaks for the answer, -1 to -3 where against it, else 0."""
        values = self.values
        largest = float(np.abs(values).max(initial=0.0)) or 1.0
        sizes = np.searchsorted(LEVELS, np.abs(values) / largest, side="right")
        return (np.sign(values) * sizes).astype(int)

    def around(self, width: int = 240) -> str:
        """The text on one line, shortened to the words that matter: `… a fine … and a bore …`.

        Words are taken in the order of their size, with two on either side, until the line is full.

        Args:
            width: letters of the line.
        """
        shown = [visible(word.text) for word in self.words]
        length = sum(
            len(one) + word.is_after_blank for one, word in zip(shown, self.words, strict=True)
        )
        if length <= width:
            return _spaced(shown, self.words)
        keep = np.zeros(len(shown), dtype=bool)
        used = 0
        for place in np.argsort(-np.abs(self.values), kind="stable").tolist():
            near = [i for i in range(max(place - 2, 0), min(place + 3, len(shown))) if not keep[i]]
            more = sum(len(shown[i]) + 1 for i in near) + 2
            if used and used + more > width:
                break
            keep[near] = True
            used += more
        line = ""
        for i, one in enumerate(shown):
            goes_on = i == 0 or keep[i - 1]
            if keep[i]:
                line += one if goes_on and not self.words[i].is_after_blank else f" {one}"
            elif goes_on:
                line += " …"
        return line.strip()

    def to_json(self) -> dict[str, Any]:
        """All fields, plain."""
        words = [
            {
                "text": word.text,
                "value": word.value,
                "tokens": list(word.tokens),
                "is_unknown": word.is_unknown,
            }
            for word in self.words
        ]
        names = (
            "name", "answer", "probability", "truth", "score", "base", "gap", "gap_share", "unit",
            "method", "cut", "note",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"words": words}

    # ---- in a terminal

    def in_marks(self) -> str:
        """The text in one line without colour: `fine[+++]` for, `bore[--]` against."""
        shown = [
            visible(word.text) + (f"[{'+-'[level < 0] * abs(level)}]" if level else "")
            for word, level in zip(self.words, self.levels().tolist(), strict=True)
        ]
        return _spaced(shown, self.words)

    def in_colour(self) -> str:
        """The text in one line with colours of a terminal (ANSI, 256 colours)."""
        shown = []
        for word, level in zip(self.words, self.levels().tolist(), strict=True):
            one = visible(word.text)
            shown.append(f"\x1b[{_ANSI[level]}m{one}\x1b[0m" if level else one)
        return _spaced(shown, self.words)

    def lines(self, *, colour: bool = False, width: int = 100) -> str:
        """What `print` says; in colour where that is asked for.

        Args:
            colour: with the colours of a terminal.
            width: letters of a line.
        """
        told = text.wrapped(self.in_marks(), width)
        if colour:  # wrapped by hand: the codes have no width
            told = _wrapped_words(self, width)
        rows = [
            [text.cut(visible(word.text).strip()), f"{word.value:+.3f}"]
            for word in self.strongest()
        ]
        listed = text.table(["word", f"adds ({self.unit})"], rows)
        return "\n\n".join(
            [self.headline(), told, listed, *([visible(self.note)] if self.note else [])]
        )

    def show(self, stream: TextIO | None = None, *, colour: bool | None = None) -> None:
        """Print it; in colour where the stream is a terminal.

        Args:
            stream: by default the standard output.
            colour: None: as the stream is.
        """
        out: TextIO = stream or sys.stdout  # pyright: ignore[reportAssignmentType]
        out.write(self.lines(colour=out.isatty() if colour is None else colour) + "\n")

    def headline(self) -> str:
        """Answer, score and gap in a line."""
        parts = []
        if self.name:
            parts.append(f"{text.cut(visible(self.name), 60)}:")
        if self.answer:
            sure = "" if self.probability is None else f" ({self.probability:.1%})"
            parts.append(f"{visible(self.answer)}{sure}")
        if self.truth:
            parts.append(f"· true: {visible(self.truth)}")
        parts.append(
            f"· {self.unit} {self.score:.3f}, without words {self.base:.3f}; "
            f"{self.method}, gap {self.gap_share:.1%}"
        )
        if self.cut:
            parts.append(f"; {self.cut:,} tokens were cut off")
        return " ".join(parts).removeprefix("· ").replace(" ;", ";")

    def __str__(self) -> str:
        return self.lines()

    # ---- on a page

    def fragment(self) -> str:
        """One `<article>`, for a page that has `STYLE`."""
        largest = float(np.abs(self.values).max(initial=0.0)) or 1.0
        body = "".join(_span(word, word.value / largest) for word in self.words)
        rows = "".join(
            f"<tr><th scope='row'><bdi>{safe(text.cut(word.text))}</bdi></th>"
            f"<td class='bar {'for' if word.value > 0 else 'against'}'>"
            f"<i style='width:{100 * abs(word.value) / largest:.0f}%'></i></td>"
            f"<td class='num'>{word.value:+.3f}</td></tr>"
            for word in self.strongest()
        )
        title = f"<h2><bdi>{safe(self.name)}</bdi></h2>" if self.name else ""
        facts = []
        if self.answer:
            sure = "" if self.probability is None else f" {self.probability:.1%}"
            facts.append(f"answer <b><bdi>{safe(self.answer)}</bdi></b>{sure}")
        if self.truth:
            facts.append(f"true <b><bdi>{safe(self.truth)}</bdi></b>")
        facts.append(
            f"{safe(self.unit)} <b>{self.score:.3f}</b>, without words <b>{self.base:.3f}</b>"
        )
        facts.append(f"gap {self.gap_share:.1%}")
        if self.cut:
            facts.append(f"{self.cut:,} tokens were cut off")
        note = f"<p class='dt-quiet'>{safe(self.note)}</p>" if self.note else ""
        return (
            f"<article class='dt-tokens'>{title}<p class='dt-facts'>{' · '.join(facts)}</p>"
            f"<p class='dt-text' dir='auto'>{body}</p>"
            f"<details><summary>The words that count most</summary><table>{rows}</table></details>"
            f"{note}</article>"
        )

    def page(self) -> str:
        """A whole page of it."""
        return page_of([self])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<style>{STYLE}</style><div class='dt-root'>{LEGEND}{self.fragment()}</div>"

    def plot(self, *, most: int = MOST_WORDS) -> Figure:
        """Bars of the words that count most, blue for the answer and orange against it.

        Raises: MissingPackageError: there is no matplotlib.
        """
        words = self.strongest(most)
        figure = drawing.new_figure(6.5, drawing.height_of(len(words)))
        axes = figure.subplots()
        values = [word.value for word in words]
        colours = [FOR if value > 0 else AGAINST for value in values]
        axes.barh(range(len(words)), values, color=colours, height=0.7)
        drawing.name_lines(axes, [visible(word.text).strip() for word in words])
        axes.axvline(0, color="0.4", linewidth=0.8)
        axes.set_xlabel(
            drawing.label(
                f"adds to the {self.unit}" + (f" of {self.answer}" if self.answer else ""), 60
            )
        )
        axes.grid(axis="x", alpha=0.3)
        drawing.bare(axes)
        return figure


def page_of(
    explanations: Sequence[Explanation], *, title: str = "What the words add to the answers"
) -> str:
    """Several texts as one HTML page: no network, no script, for light and dark.

    Args:
        explanations: in the order of the page.
        title: of the page.
    """
    methods = " and ".join(dict.fromkeys(one.method for one in explanations))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{safe(title)}</title>
<style>{STYLE}</style>
</head>
<body class="dt-root dt-page">
<h1>{safe(title)}</h1>
{LEGEND}
{"".join(one.fragment() for one in explanations)}
<footer class="dt-quiet">By {safe(methods)}. The parts of a text add up to its score less that of a text
whose words say nothing; the gap says how well. They tell what the model leans on, not what is true.
This page holds the texts: whoever has it can read them.</footer>
</body>
</html>
"""


def visible(words: str) -> str:
    """Text on one line in which all that acts or hides is written out.

    Control characters, zero-width ones, and those that turn the direction of writing become `⟨U+….⟩`.
    The two joiners stay between characters beyond ASCII, where emoji and several scripts need them.

    >>> visible("a\\u200bb\\x1b[31m"), visible("\\tx\\n")
    ('a⟨U+200B⟩b⟨U+001B⟩[31m', ' x ')
    """
    if words.isascii() and words.isprintable():
        return words
    shown = []
    for place, letter in enumerate(words):
        if letter in "\t\n\r\x0b\x0c\x85\u2028\u2029":
            shown.append(" ")
        elif letter in "\u200c\u200d":
            around = words[place - 1 : place] + words[place + 1 : place + 2]
            is_between = len(around) == 2 and not any(map(str.isascii, around))
            shown.append(letter if is_between else _point(letter))
        elif unicodedata.category(letter) in _HIDDEN or letter in _BLANK_LETTERS:
            shown.append(_point(letter))
        else:
            shown.append(letter)
    return "".join(shown)


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5"
"""Letters by their category that nothing is seen of."""


def _point(letter: str) -> str:
    return f"⟨U+{ord(letter):04X}⟩"


def safe(words: str) -> str:
    """`visible` text that is text in HTML, in an attribute as well.

    >>> safe('<b a="1">')
    '&lt;b a=&quot;1&quot;&gt;'
    """
    return html.escape(visible(words))


def _spaced(shown: Iterable[str], words: Sequence[Word]) -> str:
    """Words in a line, with blanks where the text has them."""
    return "".join(
        f" {one}" if word.is_after_blank else one for one, word in zip(shown, words, strict=True)
    ).removeprefix(" ")


def _wrapped_words(found: Explanation, width: int) -> str:
    lines, at = [""], 0
    for word, level in zip(found.words, found.levels().tolist(), strict=True):
        one = visible(word.text)
        blank = " " if word.is_after_blank and at else ""
        if at and blank and at + 1 + len(one) > width:
            lines.append("")
            at, blank = 0, ""
        lines[-1] += blank + (f"\x1b[{_ANSI[level]}m{one}\x1b[0m" if level else one)
        at += len(blank) + len(one)
    return "\n".join(lines)


def _span(word: Word, share: float) -> str:
    """A word on the page; `share` of the largest part, from -1 to 1."""
    blank = " " if word.is_after_blank else ""
    kind = "" if abs(share) < LEVELS[0] else " for" if share > 0 else " against"
    kind += " strong" if abs(share) >= LEVELS[1] else ""
    kind += " unknown" if word.is_unknown else ""
    told = f"{word.value:+.4f}"
    if word.tokens and word.tokens != (word.text,):
        told += f" · {' '.join(word.tokens)}"
    if word.is_unknown:
        told += " · not in the vocabulary"
    return (
        f"{blank}<span class='w{kind}' style='--a:{abs(share):.2f}' title='{safe(told)}'>"
        f"{safe(word.text)}</span>"
    )


FOR, AGAINST = "#2f7ec0", "#d98200"
"""Blue and orange of pictures."""
_ANSI = {
    1: "38;5;16;48;5;153", 2: "38;5;16;48;5;75", 3: "38;5;231;1;48;5;26",
    -1: "38;5;16;48;5;223", -2: "38;5;16;48;5;215", -3: "38;5;16;1;48;5;208",
}  # fmt: skip
"""Level -> colours of letters and ground, which do not hang on the terminal's own."""

STYLE = """
.dt-root{--ink:#1d1c1a;--soft:#67635d;--line:#dcd8d0;--card:#fff;--ground:#f6f5f2;
--for:47 126 192;--against:226 138 0;color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
@media (prefers-color-scheme:dark){.dt-root{--ink:#e8e6e2;--soft:#a29e97;--line:#34373a;--card:#1d1f21;
--ground:#141516;--for:64 142 216;--against:206 122 0}}
.dt-page{margin:0 auto;padding:24px 20px;max-width:940px;background:var(--ground)}
html:has(.dt-page){background:#f6f5f2}
@media (prefers-color-scheme:dark){html:has(.dt-page){background:#141516}}
.dt-root h1{font-size:26px;line-height:1.2;margin:.1em 0 .5em}
.dt-tokens{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 18px;
margin:0 0 16px;color:var(--ink)}
.dt-tokens h2{font-size:16px;margin:0 0 2px;overflow-wrap:anywhere}
.dt-facts,.dt-quiet,.dt-legend{color:var(--soft);font-size:13px}
.dt-facts{margin:0 0 8px}.dt-facts b{color:var(--ink)}
.dt-text{margin:0 0 8px;line-height:1.95;overflow-wrap:anywhere}
.dt-root .w{border-radius:3px;padding:1px 2px;margin:0 -2px;color:var(--ink)}
.dt-root .for{background:rgb(var(--for)/calc(.62*var(--a)))}
.dt-root .against{background:rgb(var(--against)/calc(.62*var(--a)))}
.dt-root .for.strong{border-bottom:2px solid rgb(var(--for))}
.dt-root .against.strong{border-bottom:2px dashed rgb(var(--against))}
.dt-root .unknown{font-style:italic;text-decoration:underline dotted}
.dt-tokens summary{cursor:pointer;color:var(--soft);font-size:13px}
.dt-tokens table{border-collapse:collapse;font-size:14px;margin:6px 0}
.dt-tokens th{text-align:left;font-weight:500;padding:2px 12px 2px 0;max-width:240px;
overflow-wrap:anywhere}
.dt-tokens .num{text-align:right;font-variant-numeric:tabular-nums;padding-left:10px}
.dt-tokens .bar{width:180px;background:none!important;border:0!important}
.dt-tokens .bar i{display:block;height:10px;border-radius:2px;background:rgb(var(--for))}
.dt-tokens .bar.against i{background:rgb(var(--against))}
.dt-legend{margin:0 0 12px}
@media print{.dt-root .w{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
"""For `fragment`: colours that can be read in light and in dark."""
LEGEND = (
    "<p class='dt-legend'>"
    "<span class='w for strong' style='--a:1'>blue, whole line</span> speaks for the answer · "
    "<span class='w against strong' style='--a:1'>orange, broken line</span> against it · deeper: more · "
    "<span class='w unknown'>dotted</span>: not in the vocabulary · "
    "point at a word for its number</p>"
)
"""For `fragment`: what the colours mean."""
