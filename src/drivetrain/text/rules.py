r"""How a text becomes words: the course's rules, each of which can be turned off by its name.

A word tokenizer that only cuts loses what a reader sees: that a word is in capitals, or that a letter was
held for a second. The rules write it down as words of their own and leave few different words behind:

    >>> " ".join(words("I SAID nooooo!!! Don't go."))
    "xxbos i xxup said n xxrep 5 o xxrep 3 ! xxmaj do n't go ."

`rules_table()` shows all of them with examples that are computed. What a word is:

- letters, digits and `_` with the marks that belong to them (accents, vowel signs of Indian scripts), and
  what an apostrophe joins: `l'été`. English endings stand by themselves: `do n't`, `it 's`, `we 'll`;
- a number with its separators: `1,000.50`, `10:30`; an abbreviation of single letters: `U.S.`; a web
  address that begins with `http://`, `https://` or `www.`, without the signs at its end;
- in scripts that are written without blanks, a character with its marks: Chinese, Japanese (both
  syllabaries), Thai, Lao, Khmer and Burmese. Korean has blanks, and words;
- every other sign by itself; an emoji with its skin tone and what it is joined to.

What is a letter is asked of Python, whose tables of Unicode grow: a newer one knows a few more.
Blanks and control characters (NUL among them) part words and are not kept; half a surrogate pair counts
as U+FFFD. A word of more than 64 letters is cut into pieces of 64, so no text makes a long word.

`join` goes back. It restores the text up to this: one blank between words, none before `.,;:!?)` and
their like, none around `-` and `/` between words; a capital inside a word (`iPhone`) and that of a word
of one letter (`I`) is lost; a run of letters at a word's end stands by itself (`n ooooo`); what
`fix_html` replaced stays replaced.

Every step takes a time that grows with the text and no faster. Paper of the ideas: Howard & Ruder 2018,
arXiv:1801.06146; the course is fastai's. Differences from it: rules see words and not the raw text, so
they hold before a comma as well; runs of digits are left (10000 is a number); a text that spells a
special word (`xxpad`) is cut (`xx pad`), so that nobody writes padding into a text.
Twin: drivetrain.reference.tokenizers.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat

from drivetrain._registry import did_you_mean
from drivetrain.errors import ConfigError
from drivetrain.text.vocab import BOS, EOS, FLD, MAJ, PAD, REP, SPECIAL_WORDS, UNK, UP, WREP

LONGEST_WORD = 64
"""Letters; a longer word is cut into pieces of this length."""
MOST_REPEATED = 1_000_000
"""Letters or words that `join` writes for one mark of repetition."""

# Letters of scripts that are written without blanks, and the marks that follow letters (Unicode's Mn, Mc
# and Me of the basic plane, gaps filled with letters), as ranges of a regular expression.
ALONE = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd\u0ec0-\u0ec6"
    "\u1000-\u102a\u103f\u1050-\u1055\u1780-\u17b3\u3005-\u3007\u3041-\u3096\u309b-\u30ff"
    "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003fffd"
)
MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0711-\u07f3\u07fd\u0816-\u082d"
    "\u0859-\u085b\u0898-\u08e1\u08e3-\u0963\u0981-\u09e3\u09fe-\u0a75\u0a81-\u0ae3\u0afa-\u0b63"
    "\u0b82-\u0bd7\u0c00-\u0c63\u0c81-\u0c83\u0cbc-\u0d4d\u0d57-\u0d63\u0d81-\u0df3\u0e31"
    "\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u0f18\u0f19\u0f35\u0f37\u0f39"
    "\u0f3e-\u0f84\u0f86-\u0fbc\u0fc6\u102b-\u103e\u1056-\u109d\u135d-\u135f\u1712-\u1734"
    "\u1752-\u1773\u17b4-\u17d3\u17dd\u180b-\u180d\u180f-\u193b\u1a17-\u1a1b\u1a55-\u1a7f"
    "\u1ab0-\u1b44\u1b6b-\u1b73\u1b80-\u1bf3\u1c24-\u1c37\u1cd0-\u1cd2\u1cd4-\u1dff\u200c\u200d"
    "\u20d0-\u20f0\u2cef-\u2cf1\u2d7f-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\ua672\ua674-\ua67d"
    "\ua69e-\ua6f1\ua802-\ua827\ua82c\ua880-\ua8c5\ua8e0-\ua8f1\ua8ff-\ua92d\ua947-\ua953"
    "\ua980-\ua9c0\ua9e5-\uaa4d\uaa7b-\uaac1\uaaeb-\uaaef\uaaf5\uaaf6\uabe3-\uabea\uabec\uabed"
    "\ufb1e\ufe20-\ufe2f"
)

ENDINGS = ("n't", "'s", "'m", "'d", "'re", "'ve", "'ll")
"""What is cut from the end of a word, with either apostrophe and in any case."""

# What `join` leaves no blank before, after, and around. The full-width signs stand between characters of
# scripts without blanks.
CLOSING = frozenset(".,;:!?)]}%…»”")
OPENING = frozenset("([{«“¿¡$£€")
WIDE = frozenset("、。，．！？：；「」『』（）【】《》〈〉・ー～")

_ADDRESS = r"(?:[Hh][Tt]{2}[Pp][Ss]?://|[Ww]{3}\.)[0-9A-Za-z][!#-;=?-~]*+"
_AFTER_ADDRESS = ".,;:!?)]}%'"
"""Signs that end a sentence and not an address."""

_SKIPPED = "\\s\\x00-\\x1f\\x7f-\\x9f"
_WRITABLE = (UNK, FLD)
"""Special words that a text may hold: columns that are put together are told apart by them."""
_UNWRITTEN = (PAD, BOS, EOS)
_COUNT = re.compile("[0-9]{1,7}")
_ALONE = re.compile(f"[{ALONE}]")
_IS_ADDRESS = re.compile(_ADDRESS)
_JOINED = re.compile("['’.,:]")
_ENDING = re.compile("(?<!['’])(?:[nN]['’][tT]|['’](?:[sSmMdD]|[rRvV][eE]|[lL]{2}))\\Z")
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]+")
_SIGNS = re.compile(
    "(.)\\1{2,}+|.(?:[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]|\u200d[^\\w\\s])*+", re.DOTALL
)
_SINGLE_SIGNS = re.compile(_SIGNS.pattern.partition("|")[2], re.DOTALL)
_HTML_PARTS = (
    r"<br ?/?>|<unk>|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][0-9A-Za-z]{1,31});"
    r"|#39;|#146;|#36;|\.\.\.|\\[n\"]"
)
_HTML = re.compile(_HTML_PARTS)
# Parts that begin with what most texts are full of take six times as long: only where they may be.
_RARE_HTML = re.compile(rf"{_HTML_PARTS}|(?<![^\W_])(?:nbsp|quot|amp);| @([.,-])@ ")
_HTML_REPLACED = {
    "#39;": "'", "#146;": "'", "#36;": "$", "nbsp;": " ", "quot;": '"', "amp;": "&",
    "<unk>": f" {UNK} ", "...": " …", "\\n": "\n", '\\"': '"',
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """One rule: its name, what it does in a sentence, and a text to show it on."""

    name: str
    does: str
    example: str


# fmt: off
RULES = (
    Rule("fix_html", "HTML becomes what it stands for: <br /> a new line, &amp; &.", "I&#39;m<br />in"),
    Rule("drop_invisible", "Zero-width characters and marks of direction are taken out.", "fr\u200bee"),
    Rule("spec_add_spaces", "The signs / # \\ part words.", "and/or #1"),
    Rule("rm_useless_spaces", "Blanks part words and are not words themselves.", "two  blanks"),
    Rule("replace_rep", "A sign, or a word's last letter, three times or more.", "soooo good!!!"),
    Rule("replace_wrep", "A word three times or more.", "no no no no"),
    Rule("replace_all_caps", "A word in capitals is marked and written small.", "so GOOD"),
    Rule("replace_maj", "A word with a capital at its start is marked and written small.", "Great film"),
    Rule("lowercase", "All other words are written small.", "my iPhone"),
    Rule("add_bos", "The word that starts a text.", "hello"),
    Rule("add_eos", "The word that ends a text.", "hello"),
)  # fmt: skip

RULE_NAMES = tuple(rule.name for rule in RULES)
DEFAULT_RULES = frozenset(RULE_NAMES) - {"add_eos"}
"""Those of the course."""
TEXT_RULES = frozenset({"fix_html", "drop_invisible", "add_bos", "add_eos"})
"""Those that do not need words, and so serve characters and subwords as well."""


def check_rules(rules: Iterable[str], *, known: Collection[str] = RULE_NAMES) -> frozenset[str]:
    """The names of rules as a set. Raises: ConfigError: one is not in `known`."""
    if isinstance(rules, str):
        raise ConfigError(f"`rules` must be a collection of names. Got the string {rules!r}.")
    chosen = frozenset(rules)
    for name in sorted(chosen - frozenset(known), key=str):
        hint = did_you_mean(str(name), known)
        raise ConfigError(
            f"`rules` holds {name!r}, which is no rule here.{hint} Known: {', '.join(sorted(known))}."
        )
    return chosen


@dataclass(frozen=True)
class RulesTable:
    """The rules as a table; print it."""

    rows: tuple[tuple[str, str, str, str], ...]
    """(name, what it does, a text, its words without the rule -> with it)."""

    def __str__(self) -> str:
        names = max(len(row[0]) for row in self.rows)
        lines = []
        for name, does, before, after in self.rows:
            lines += [f"{name:<{names}}  {does}", f"{'':<{names}}  {before}  ->  {after}"]
        return "\n".join(lines)


def rules_table(rules: Collection[str] = RULE_NAMES) -> RulesTable:
    """Each rule with what it does to an example: a text, and its words with this rule and no other.

    `rm_useless_spaces` stands in all examples, or every blank but one would be a word.

    Args:
        rules: names of rules, in any order.
    """
    chosen = check_rules(rules)
    rows = []
    for rule in RULES:
        if rule.name in chosen:
            found = words(rule.example, frozenset({rule.name, "rm_useless_spaces"}))
            rows.append(
                (rule.name, rule.does, rule.example.replace("\u200b", "⟨U+200B⟩"), " ".join(found))
            )
    return RulesTable(tuple(rows))


def words(text: str, rules: Collection[str] = DEFAULT_RULES) -> list[str]:
    """The words of a text after the rules.

    >>> words("Don't STOP!")
    ['xxbos', 'xxmaj', 'do', "n't", 'xxup', 'stop', '!']
    """
    pieces = word_pattern(rules).findall(clean(text, rules))
    found = list(chain.from_iterable(expand(piece, rules) for piece in pieces))
    if "replace_wrep" in rules:
        found = fold_repeats(found)
    start = [BOS] if "add_bos" in rules else []
    return start + found + ([EOS] if "add_eos" in rules else [])


def clean(text: str, rules: Collection[str]) -> str:
    """The text with what is not meant to be read taken out: half characters, HTML, invisible signs.

    >>> clean("a&amp;b<br />c", {"fix_html"})
    'a&b\\nc'
    """
    if not text.isascii():
        text = whole(text)
        if "drop_invisible" in rules:
            text = _INVISIBLE.sub("", text)
    if "fix_html" in rules:
        has_rare = "p;" in text or "t;" in text or "@ " in text
        text = (_RARE_HTML if has_rare else _HTML).sub(_without_html, text)
    return text


def whole(text: str) -> str:
    """The text as Unicode: two halves of a surrogate pair joined, a half alone as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _without_html(match: re.Match[str]) -> str:
    found = match.group()
    if found[0] == "&":
        return whole(html.unescape(found))
    if found[0] == " ":  # 1 @,@ 000, as some corpora write it
        return match.group(1)
    return _HTML_REPLACED.get(found, "\n")


def word_pattern(rules: Collection[str]) -> re.Pattern[str]:
    """What `findall` cuts a text with: everything but blanks and control characters is in one piece.

    No quantifier gives back what it took, and no piece is looked at more than three times, so that the
    time is linear in the text's length.
    """
    joining = "" if "spec_add_spaces" in rules else "/#\\\\"  # signs that are in words
    plain = f"0-9A-Za-z_{joining}"
    letter = f"[^\\W{ALONE}]"
    more = f"(?:[{plain}]++|(?=[^\\x00-\\x7f])(?:{letter}|[{MARKS}]))*+"
    word = f"(?:[{plain}]|{letter}){more}"
    kinds = [
        "[A-Za-z]++(?=[ ,;!?)\n-])",  # most words; what follows could also tell, at twice the time
        _ADDRESS,
        "[0-9]++(?:[.,:][0-9]++)++",
        "[A-Za-z]\\.[A-Za-z]\\.(?:[A-Za-z]\\.)*+",
        f"{word}(?:['’]{word})*+",
        f"['’](?:[sSmMdD]|[rRvV][eE]|[lL]{{2}})(?![\\w'’{joining}{MARKS}])",
        f"[{ALONE}](?:(?!\\w)[{MARKS}])*+",
        f"[^\\w{joining}{_SKIPPED}{ALONE}]++",
    ]
    if "rm_useless_spaces" not in rules:
        return re.compile("|".join([*kinds, f"\\s{{2,{LONGEST_WORD}}}|[^\\S ]"]))
    # A blank before a word is passed over with it, and not tried as the start of each kind.
    return re.compile(f" ?+({'|'.join(kinds)})")


def expand(piece: str, rules: Collection[str]) -> tuple[str, ...]:
    """The words of one piece that `word_pattern` cut, after the rules that look at a word by itself.

    >>> expand("Sooooo", DEFAULT_RULES), expand("it's", DEFAULT_RULES), expand("?!", DEFAULT_RULES)
    (('s', 'xxrep', '5', 'o'), ('it', "'s"), ('?', '!'))
    """
    first = piece[0]
    if first.isspace():
        return (piece,)
    if first.isalnum() or first == "_" or ("spec_add_spaces" not in rules and first in "/#\\"):
        return _expand_word(piece, rules)
    if first in "'’" and piece[1:].isalpha():  # an ending that stands by itself
        return _in_case(piece, rules)
    found: list[str] = []
    for match in (_SIGNS if "replace_rep" in rules else _SINGLE_SIGNS).finditer(piece):
        sign = match.group()
        is_run = match.lastindex is not None
        found += (REP, str(len(sign)), sign[0]) if is_run else (sign,)
    return tuple(found)


def _expand_word(piece: str, rules: Collection[str]) -> tuple[str, ...]:
    """The words of a piece that starts with a letter or a digit."""
    if _IS_ADDRESS.fullmatch(piece):
        stem = piece.rstrip(_AFTER_ADDRESS)
        if len(stem) <= LONGEST_WORD:
            rest = piece[len(stem) :]
            return (*_in_case(stem, rules), *(expand(rest, rules) if rest else ()))
    elif len(piece) <= LONGEST_WORD or not _JOINED.search(piece):
        return _expand_letters(piece, rules)
    # Longer than a word, and more than letters: its parts by themselves.
    parts = (_PARTS if "spec_add_spaces" in rules else _PARTS_JOINED).findall(piece)
    return tuple(chain.from_iterable(expand(part, rules) for part in parts))


def _expand_letters(piece: str, rules: Collection[str]) -> tuple[str, ...]:
    """The words of letters and digits: endings and runs are taken from the end, one after another."""
    taken: list[tuple[str, ...]] = []
    end = len(piece)
    while end:
        if end <= LONGEST_WORD and (match := _ENDING.search(piece, 1, end)):
            taken.append(_in_case(match.group(), rules))
            end = match.start()
            continue
        start, letter = end - 1, piece[end - 1]
        if "replace_rep" not in rules or not letter.isalpha():
            break
        while start and piece[start - 1] == letter:
            start -= 1
        if end - start < 3 or (start and piece[start - 1] in "'’"):
            break
        small = letter.lower() if "lowercase" in rules else letter
        taken.append((REP, str(end - start), small if len(small) == 1 else letter))
        end = start
    if end <= LONGEST_WORD:
        words_left = _in_case(piece[:end], rules)
        if "replace_rep" in rules and len(words_left) == 1 and words_left[0] != piece[:end]:
            words_left = _expand_letters(words_left[0], rules)  # aAa has become a run
        taken.append(words_left)
    else:
        starts = reversed(range(0, end, LONGEST_WORD))
        cut = (piece[start : min(start + LONGEST_WORD, end)] for start in starts)
        taken += [_expand_letters(part, rules) for part in cut]
    return tuple(chain.from_iterable(reversed(taken)))


def _in_case(word: str, rules: Collection[str]) -> tuple[str, ...]:
    """A word in small letters with the mark of its capitals; nothing for no letters."""
    small = word.lower()
    if small in SPECIAL_WORDS and word not in _WRITABLE:
        return (*_in_case(word[:2], rules), *_in_case(word[2:], rules))
    if small == word:
        return (word,) if word else ()
    if len(word) > 1:
        if "replace_all_caps" in rules and word == small.upper():
            return (UP, small)
        if "replace_maj" in rules and word == small[0].upper() + small[1:]:
            return (MAJ, small)
    return (small if "lowercase" in rules else word,)


def fold_repeats(found: list[str]) -> list[str]:
    """With a word (and the mark of its capitals) that stands three times or more written once.

    >>> fold_repeats(["no", "no", "no", "xxmaj", "yes"])
    ['xxwrep', '3', 'no', 'xxmaj', 'yes']
    """
    folded: list[str] = []
    start = 0
    while start < len(found):
        word = found[start]
        size = 3 if word == REP else 2 if word in (UP, MAJ) else 1
        unit = found[start : start + size]
        end = start + size
        if size < 3 and unit[-1].isalnum() and unit[-1] not in SPECIAL_WORDS:
            while found[end : end + size] == unit:
                end += size
        count = (end - start) // size
        folded += (WREP, str(count), *unit) if count >= 3 else found[start:end]
        start = end
    return folded


def join(found: Iterable[str], rules: Collection[str] = DEFAULT_RULES) -> str:
    """The text that words stand for; see the module's head for what is not restored.

    >>> join(["xxbos", "xxmaj", "it", "'s", "xxwrep", "3", "very", "good", "xxrep", "3", "!"])
    "It's very very very good!!!"
    """
    written: list[str] = []
    before, last = "", " "  # the two pieces before this one
    is_open = {"'": False, '"': False}
    for piece in _restored(list(found)):
        if piece in is_open:
            is_open[piece] = not is_open[piece]
        if not _is_glued(before, last, piece, is_open, "spec_add_spaces" in rules):
            written.append(" ")
        written.append(piece)
        before, last = last, piece
    return "".join(written)


def _restored(found: list[str]) -> Iterator[str]:
    """Words as they are written. Marks that nothing fits (a model wrote them) are left out."""
    mark, times = "", 1
    place = 0
    while place < len(found):
        word = found[place]
        place += 1
        if word in (UP, MAJ):
            mark = word
        elif word in (REP, WREP):
            count = found[place] if place + 1 < len(found) else ""
            if _COUNT.fullmatch(count) and found[place + 1] not in _UNWRITTEN:
                number = min(int(count), MOST_REPEATED)
                place += 1
                if word == REP:
                    yield found[place] * number
                    place += 1
                else:
                    times = number
        else:
            if mark and word not in _UNWRITTEN:
                word = word.upper() if mark == UP else word[0].upper() + word[1:]
            if word not in _UNWRITTEN:
                yield from repeat(word, times)
            mark, times = "", 1


def _is_glued(
    before: str, last: str, piece: str, is_open: Mapping[str, bool], signs_part: bool
) -> bool:
    """Whether no blank stands between `last` and `piece`. What is glued would be cut in the same way."""
    left, right = last[-1], piece[0]
    if left.isspace() or right.isspace():
        return True
    if _ALONE.match(last) and _ALONE.match(piece):
        return True
    if left == right:
        return False
    if right in WIDE or left in WIDE:
        return (left in WIDE or bool(_ALONE.match(last))) and (
            right in WIDE or bool(_ALONE.match(piece))
        )
    if piece.replace("’", "'").lower() in ENDINGS:
        return last.isalnum() and len(last) + len(piece) <= LONGEST_WORD
    if right in CLOSING:
        if right == ";" and last.lower() in ("amp", "nbsp", "quot"):
            return False
        return left.isalnum() or left in CLOSING or (last in is_open and not is_open[last])
    if piece in is_open and not is_open[piece]:  # it closes
        return left in CLOSING or (last.isalnum() if piece == "'" else left.isalnum())
    if last in OPENING or is_open.get(last):
        is_ending = last == "'" and f"'{piece.lower()}" in ENDINGS
        return right.isalnum() and not is_ending
    between = ("-", "/") if signs_part else ("-",)
    if piece in between:
        return last.isalnum()
    return last in between and before.isalnum() and piece.isalnum()


def _parts_pattern(joining: str) -> re.Pattern[str]:
    """Letters and digits, characters that stand alone, and signs."""
    plain = f"0-9A-Za-z_{joining}"
    letter = f"[^\\W{ALONE}]"
    return re.compile(
        f"(?:[{plain}]|{letter})(?:[{plain}]++|(?=[^\\x00-\\x7f])(?:{letter}|[{MARKS}]))*+"
        f"|[{ALONE}](?:(?!\\w)[{MARKS}])*+|[^\\w{joining}{_SKIPPED}{ALONE}]++"
    )


_PARTS, _PARTS_JOINED = _parts_pattern(""), _parts_pattern("/#\\\\")
"""Without and with signs that are in words; for pieces that are longer than a word."""
