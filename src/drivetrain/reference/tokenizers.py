"""Tokenizers by hand: words with rules, characters, byte-pair encoding, unigram.

Twins of `drivetrain.text`: rules, words, subwords, unigram. They look at one character at a time and
count everything anew at every step, which is slow and easy to follow.

Papers: Howard & Ruder 2018, arXiv:1801.06146 (the rules, as the fastai course has them); Sennrich et al.
2015, arXiv:1508.07909 (byte pairs); Kudo 2018, arXiv:1804.10959 (unigram).
"""

from __future__ import annotations

import html
import itertools
import math
import unicodedata
from collections.abc import Collection, Mapping, Sequence

ASCII_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASCII_DIGITS = "0123456789"
APOSTROPHES = "'’"
SPECIAL = ("xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj")
ENDINGS = ("n't", "'s", "'m", "'d", "'re", "'ve", "'ll")
LONGEST = 64

# --- words: cutting -------------------------------------------------------------------------------


def is_letter(c: str) -> bool:
    """Part of a word: a letter or digit of a script that has blanks, or `_`."""
    return (c.isalnum() or c == "_") and not is_alone(c)


def is_alone(c: str) -> bool:
    """A character of a script that is written without blanks."""
    name = unicodedata.name(c, "")
    scripts = (
        "CJK UNIFIED",
        "HIRAGANA",
        "KATAKANA",
        "THAI CHARACTER",
        "LAO LETTER",
        "KHMER LETTER",
    )
    return name.startswith(scripts) and unicodedata.category(c) not in ("Mn", "Mc", "Nd")


def is_mark(c: str) -> bool:
    """An accent or vowel sign, which belongs to the letter before it; or a joiner of letters."""
    return c in "\u200c\u200d" or (
        unicodedata.category(c) in ("Mn", "Mc", "Me") and not "\ufe00" <= c <= "\ufe0f"
    )


def is_skipped(c: str) -> bool:
    """A blank or a control character."""
    return c.isspace() or unicodedata.category(c) == "Cc"


def cut(text: str, rules: Collection[str]) -> list[str]:
    """The pieces of a text: runs of signs are still in one, endings are still at their words."""
    pieces, place = [], 0
    while place < len(text):
        end = piece_end(text, place, rules)
        if end > place:
            pieces.append(text[place:end])
        place = max(end, place + 1)
    return pieces


def piece_end(text: str, i: int, rules: Collection[str], *, only_parts: bool = False) -> int:
    """Where the piece that starts at i ends; i itself where there is none."""
    spaces_count = "rm_useless_spaces" not in rules
    if not only_parts:
        for end in (address_end(text, i), number_end(text, i), abbreviation_end(text, i)):
            if end > i:
                return end
    end = word_end(text, i, rules)
    if end > i:
        while not only_parts and end < len(text) and text[end] in APOSTROPHES:
            after = word_end(text, end + 1, rules)
            if after == end + 1:
                break
            end = after
        return end
    c = text[i]
    if c in APOSTROPHES and not only_parts:
        for ending in ("s", "m", "d", "re", "ve", "ll"):
            end = i + 1 + len(ending)
            if text[i + 1 : end].lower() == ending and text[i + 1 : end].isascii():
                after = text[end : end + 1]
                if not after or not (
                    after.isalnum() or after in "_'’" + joining(rules) or is_mark(after)
                ):
                    return end
    if is_alone(c):
        end = i + 1
        while end < len(text) and is_mark(text[end]):
            end += 1
        return end
    if is_skipped(c):
        end = i
        while spaces_count and end < len(text) and text[end].isspace() and end - i < LONGEST:
            end += 1
        return end if end - i > 1 or (end > i and c != " ") else i
    end = i
    while end < len(text) and not (
        text[end].isalnum()
        or text[end] in "_" + joining(rules)
        or is_skipped(text[end])
        or is_alone(text[end])
    ):
        end += 1
    return end


def joining(rules: Collection[str]) -> str:
    """Signs that are in words like letters."""
    return "" if "spec_add_spaces" in rules else "/#\\"


def word_end(text: str, i: int, rules: Collection[str]) -> int:
    """Where the letters that start at i end."""
    end = i
    while end < len(text) and (
        is_letter(text[end]) or text[end] in joining(rules) or (end > i and is_mark(text[end]))
    ):
        end += 1
    return end


def address_end(text: str, i: int) -> int:
    """Where the web address that starts at i ends."""
    for start in ("https://", "http://", "www."):
        if text[i : i + len(start)].lower() == start and text[i : i + len(start)].isascii():
            end = i + len(start)
            if end < len(text) and text[end] in ASCII_LETTERS + ASCII_DIGITS:
                while end < len(text) and "!" <= text[end] <= "~" and text[end] not in '"<>':
                    end += 1
                return end
    return i


def number_end(text: str, i: int) -> int:
    """Where the number with separators that starts at i ends."""
    end, parts = i, 0
    while True:
        start = end + 1 if parts else end
        if parts and text[end : end + 1] not in (".", ",", ":"):
            break
        after = start
        while after < len(text) and text[after] in ASCII_DIGITS:
            after += 1
        if after == start:
            break
        end, parts = after, parts + 1
    return end if parts > 1 else i


def abbreviation_end(text: str, i: int) -> int:
    """Where the single letters with dots that start at i end."""
    end = i
    while end + 1 < len(text) and text[end] in ASCII_LETTERS and text[end + 1] == ".":
        end += 2
    return end if end - i >= 4 else i


# --- words: rules -----------------------------------------------------------------------------------


def word_tokens(text: str, rules: Collection[str]) -> list[str]:
    """The words of a text after the rules of these names."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "drop_invisible" in rules:
        text = "".join([c for c in text if not is_invisible(c)])
    if "fix_html" in rules:
        text = without_html(text)
    words = [word for piece in cut(text, rules) for word in words_of(piece, rules)]
    if "replace_wrep" in rules:
        words = repeats_folded(words)
    start = ["xxbos"] if "add_bos" in rules else []
    return start + words + (["xxeos"] if "add_eos" in rules else [])


def is_invisible(c: str) -> bool:
    """Format characters, but for the two joiners of letters."""
    known = "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff"
    return c in known or ("\u2060" <= c <= "\u206f" and c != "\u2065")


def without_html(text: str) -> str:
    """The text with what is left of HTML replaced, from left to right."""
    plain = {
        "<br />": "\n", "<br/>": "\n", "<br >": "\n", "<br>": "\n", "#39;": "'", "#146;": "'",
        "#36;": "$", "nbsp;": " ", "quot;": '"', "amp;": "&", " @.@ ": ".", " @,@ ": ",",
        " @-@ ": "-", "<unk>": " xxunk ", "...": " …", "\\n": "\n", '\\"': '"',
    }  # fmt: skip
    out, i = "", 0
    while i < len(text):
        if text[i] == "&":
            end = text.find(";", i, i + 34)
            if end > 0 and is_entity(text[i + 1 : end]):
                found = html.unescape(text[i : end + 1])
                out += found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                i = end + 1
                continue
        for name, replaced in plain.items():
            is_cut = name in ("nbsp;", "quot;", "amp;") and i > 0 and text[i - 1].isalnum()
            if text.startswith(name, i) and not is_cut:
                out += replaced
                i += len(name)
                break
        else:
            out += text[i]
            i += 1
    return out


def is_entity(name: str) -> bool:
    """Whether what stands between & and ; names a character."""
    if name[:2] in ("#x", "#X"):
        return 1 <= len(name) - 2 <= 6 and all(c in "0123456789abcdefABCDEF" for c in name[2:])
    if name[:1] == "#":
        return 1 <= len(name) - 1 <= 7 and all(c in ASCII_DIGITS for c in name[1:])
    letters = ASCII_LETTERS + ASCII_DIGITS
    return 2 <= len(name) <= 32 and name[0] in ASCII_LETTERS and all(c in letters for c in name)


def words_of(piece: str, rules: Collection[str]) -> list[str]:
    """The words of one piece."""
    if piece[0].isspace():
        return [piece]
    if piece[0].isalnum() or piece[0] in "_" + joining(rules):
        return words_of_letters(piece, rules)
    if piece[0] in APOSTROPHES and piece[1:].isalpha():
        return cased(piece, rules)
    words, i = [], 0
    while i < len(piece):
        run = 1
        while piece[i + run : i + run + 1] == piece[i]:
            run += 1
        if run >= 3 and "replace_rep" in rules:
            words += ["xxrep", str(run), piece[i]]
            i += run
            continue
        end = i + 1
        while end < len(piece):  # what changes the sign before it, and what is joined to it
            c = piece[end]
            if c in "\ufe0e\ufe0f\u20e3" or "\U0001f3fb" <= c <= "\U0001f3ff":
                end += 1
            elif c == "\u200d" and end + 1 < len(piece):
                end += 2
            else:
                break
        words.append(piece[i:end])
        i = end
    return words


def words_of_letters(piece: str, rules: Collection[str]) -> list[str]:
    """The words of a piece that starts with a letter or digit."""
    if address_end(piece, 0) == len(piece):
        stem = piece.rstrip(".,;:!?)]}%'")
        if len(stem) <= LONGEST:
            rest = piece[len(stem) :]
            return [*cased(stem, rules), *(words_of(rest, rules) if rest else [])]
    elif len(piece) <= LONGEST or not any(c in "'’.,:" for c in piece):
        return words_of_word(piece, rules)
    words, i = [], 0
    while i < len(piece):
        end = max(piece_end(piece, i, rules, only_parts=True), i + 1)
        words += words_of(piece[i:end], rules)
        i = end
    return words


def words_of_word(word: str, rules: Collection[str]) -> list[str]:
    """Endings and runs are taken from the end, one after another; the rest is cut where it is long."""
    if len(word) <= LONGEST:
        for ending in ENDINGS:
            stem = word[: len(word) - len(ending)]
            is_one = stem[-1:] not in ("", *APOSTROPHES)
            if is_one and word[len(stem) :].lower().replace("’", "'") == ending:
                return [*words_of_word(stem, rules), *cased(word[len(stem) :], rules)]
    if "replace_rep" in rules and word and word[-1].isalpha():
        stem = word.rstrip(word[-1])
        run = len(word) - len(stem)
        if run >= 3 and stem[-1:] not in tuple(APOSTROPHES):
            c = word[-1]
            small = c.lower() if "lowercase" in rules and len(c.lower()) == 1 else c
            return [*words_of_word(stem, rules), "xxrep", str(run), small]
    if len(word) > LONGEST:
        pieces = [word[i : i + LONGEST] for i in range(0, len(word), LONGEST)]
        return [w for piece in pieces for w in words_of_word(piece, rules)]
    words = cased(word, rules)
    if "replace_rep" in rules and words not in ([], [word]) and len(words) == 1:
        return words_of_word(words[0], rules)  # "aAa" has become a run
    return words


def cased(word: str, rules: Collection[str]) -> list[str]:
    """The word in small letters, with a mark where capitals were."""
    small = word.lower()
    if small in SPECIAL and word not in ("xxunk", "xxfld"):
        return cased(word[:2], rules) + cased(word[2:], rules)
    if word == small:
        return [word] if word else []
    if len(word) > 1 and "replace_all_caps" in rules and small.upper() == word:
        return ["xxup", small]
    if len(word) > 1 and "replace_maj" in rules and small[0].upper() + small[1:] == word:
        return ["xxmaj", small]
    return [small] if "lowercase" in rules else [word]


def repeats_folded(words: Sequence[str]) -> list[str]:
    """A word three times or more, with its mark, becomes one with its number."""
    units: list[list[str]] = []
    i = 0
    while i < len(words):
        size = {"xxrep": 3, "xxup": 2, "xxmaj": 2}.get(words[i], 1)
        units.append(list(words[i : i + size]))
        i += size
    folded: list[str] = []
    i = 0
    while i < len(units):
        unit, run = units[i], 1
        while i + run < len(units) and units[i + run] == unit:
            run += 1
        is_word = len(unit) < 3 and unit[-1].isalnum() and unit[-1] not in SPECIAL
        if is_word and run >= 3:
            folded += ["xxwrep", str(run), *unit]
        else:
            folded += [word for _ in range(run) for word in unit]
        i += run
    return folded


def vocabulary(counts: Mapping[str, int], min_freq: int, max_vocab: int) -> list[str]:
    """Special words, then words by how often they are met, then by which was met first."""
    order = list(counts)
    known = [word for word in order if counts[word] >= min_freq and word not in SPECIAL]
    known = sorted(known, key=lambda word: (-counts[word], order.index(word)))
    return [*SPECIAL, *known][:max_vocab]


def char_ids(text: str, words: Sequence[str]) -> list[int]:
    """The place of each character among the words of a vocabulary; 0 for one that it does not hold."""
    return [words.index(c) if c in words else 0 for c in text]


# --- subwords ---------------------------------------------------------------------------------------


def cut_pieces(text: str) -> list[str]:
    """A text as words with the blank before them, numbers of three digits, signs, and other blanks."""
    pieces, i = [], 0
    while i < len(text):
        start = i + 1 if text[i] == " " and text[i + 1 : i + 2].strip() else i
        if text[start].isspace():
            end = i
            while end < len(text) and text[end].isspace() and end - i < 16:
                end += 1
            if end < len(text) and not text[end].isspace() and end - i > 1:
                end -= 1  # the last blank belongs to what follows
        else:
            kind = kind_of(text[start])
            end = start
            most = {"letter": 32, "digit": 3, "sign": 16}[kind]
            while end < len(text) and end - start < most and kind_of(text[end]) == kind:
                end += 1
        pieces.append(text[i:end])
        i = end
    return pieces


def kind_of(c: str) -> str:
    """Letter, digit, sign or blank."""
    if c.isspace():
        return "blank"
    return "digit" if c.isdecimal() else "letter" if c.isalnum() else "sign"


Pair = tuple[int, int]


def bpe_train(counts: Mapping[bytes, int], vocab_size: int, min_freq: int = 2) -> list[bytes]:
    """Merges as the bytes they make, in order: the most frequent pair each time.

    Of pairs that are met as often the one of the lower ids goes first; single bytes have the ids 0 to
    255 in the order in which GPT-2's visible characters stand in Unicode, and each merge the next one.
    """
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = visible + [byte for byte in range(256) if byte not in visible]
    parts = {number: bytes([byte]) for number, byte in enumerate(order)}
    ids = {part: number for number, part in parts.items()}
    words = {piece: [ids[bytes([byte])] for byte in piece] for piece in counts}
    merges: list[bytes] = []
    while len(parts) < vocab_size:
        pairs: dict[Pair, int] = {}
        for piece, word in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] = pairs.get(pair, 0) + counts[piece]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < min_freq:
            break
        made = parts[best[0]] + parts[best[1]]
        number = ids.setdefault(made, len(parts))
        parts[number] = made
        merges.append(made)
        words = {piece: replaced(word, best, number) for piece, word in words.items()}
    return merges


def replaced(word: list[int], pair: Pair, number: int) -> list[int]:
    """The word with every such pair, from the left, as one id."""
    out: list[int] = []
    for i in word:
        if out and (out[-1], i) == pair:
            out[-1] = number
        else:
            out.append(i)
    return out


def bpe_encode(piece: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """A piece, a letter for each byte, after every merge in its turn."""
    word = list(piece)
    for first, second in merges:
        out: list[str] = []
        for part in word:
            if out and out[-1] == first and part == second:
                out[-1] = first + second
            else:
                out.append(part)
        word = out
    return word


def unigram_encode(piece: str, scores: Mapping[str, float], unknown: float) -> list[str]:
    """The most likely way to cut a piece, found by trying all of them; "xxunk" where nothing fits.

    Of ways that are as likely, the one whose last word is longest, then the one before it, and so on.
    """

    def best(end: int) -> tuple[float, list[str]]:
        if not end:
            return 0.0, []
        found: tuple[float, list[str]] = (-math.inf, [])
        for start in range(end):
            part = piece[start:end]
            score = scores.get(part)
            if score is None:
                if end - start > 1:
                    continue
                part, score = "xxunk", unknown
            before, words = best(start)
            if before + score > found[0]:
                found = (before + score, [*words, part])
        return found

    return best(len(piece))[1]


def unigram_expected(pieces: Mapping[str, int], probs: Mapping[str, float]) -> dict[str, float]:
    """How often each part is expected in the pieces: every way to cut one counts by its probability."""
    expected = dict.fromkeys(probs, 0.0)
    for piece, times in pieces.items():
        ways = [way for way in all_cuts(piece) if all(part in probs for part in way)]
        weights = [math.prod(probs[part] for part in way) for way in ways]
        for way, weight in zip(ways, weights, strict=True):
            for part in way:
                expected[part] += times * weight / sum(weights)
    return expected


def unigram_train(
    pieces: Mapping[str, int], start: Mapping[str, int], size: int, *, kept: float, least: float
) -> dict[str, float]:
    """Probabilities of `size` parts: EM twice, then throw out what is worth least, until few are left.

    Args:
        pieces: piece -> how often.
        start: all characters, and longer parts, with how often each is met.
        kept: share of the parts that stay each time.
        least: the least probability of a character.
    """

    def share(weights: Mapping[str, float]) -> dict[str, float]:
        total = sum(weights.values())
        return {
            part: max(weight / total, least) if len(part) == 1 else weight / total
            for part, weight in weights.items()
        }

    probs = share(start)
    while True:
        probs = share(unigram_expected(pieces, probs))
        expected = unigram_expected(pieces, probs)
        probs = share(expected)
        if len(probs) <= size:
            return probs

        def worth(part: str, probs: Mapping[str, float], expected: Mapping[str, float]) -> float:
            if len(part) == 1:
                return math.inf
            ways = [way for way in all_cuts(part)[1:] if all(one in probs for one in way)]
            other = max(math.prod(probs[one] for one in way) for way in ways)
            return expected[part] * (math.log(probs[part]) - math.log(other))

        worths = {part: worth(part, probs, expected) for part in probs}
        order = sorted(probs, key=lambda part: -worths[part])
        probs = share(
            {
                part: probs[part]
                for part in probs
                if part in order[: max(size, int(len(probs) * kept))]
            }
        )


def all_cuts(piece: str) -> list[list[str]]:
    """Every way to cut a piece into parts, the piece as a whole first."""
    ways = [[piece]]
    for end in range(1, len(piece)):
        ways += [[*way, piece[end:]] for way in all_cuts(piece[:end])]
    return ways
