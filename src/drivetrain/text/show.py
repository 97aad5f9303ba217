"""Why a text got its answer, in the words of the text.

    found = explain_texts(model, tokenizer, ["A dull film."], classes=("neg", "pos"))[0]
    found.show()                 # in colour where the output is a terminal
    page = found.page()          # the same as HTML

A model sees tokens: marks of capitals, pieces of words, bytes. People read words. So what belongs to one
word is put together here and its parts are summed; the sum over a text stays what it was.
"""

from __future__ import annotations

import codecs
import copy
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain._registry import lookup
from drivetrain.data.padded import shortened
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.interpret.token_attributions import TokenAttributions
from drivetrain.interpret.token_page import Explanation, Word, page_of
from drivetrain.interpret.tokens import (
    gradient_times_input,
    integrated_gradients,
    leave_one_out,
    occlusion,
)
from drivetrain.models.document import DocumentClassifier
from drivetrain.text.base import Tokenizer
from drivetrain.text.rules import ALONE, DEFAULT_RULES, join
from drivetrain.text.subwords import BYTE_LETTERS
from drivetrain.text.transformer_tokenizer import TransformerTokenizer
from drivetrain.text.vocab import MAJ, REP, SPECIAL_WORDS, UNK, UP, WREP

METHODS: dict[str, Callable[..., TokenAttributions]] = {
    "integrated_gradients": integrated_gradients,
    "gradient_times_input": gradient_times_input,
    "occlusion": occlusion,
    "leave_one_out": leave_one_out,
}
"""Ways to find what a token adds."""

STYLES = {
    "course": "words, with the course's marks before them (xxmaj, xxup, xxrep, xxwrep)",
    "wordpiece": "words, and `##` begins a piece that goes on",
    "bytes": "a letter for each byte, `Ġ` for a blank",
    "blank": "a blank, or `▁`, begins a word",
}
"""How tokens are written."""

MOST_REPEATED = 24
"""Letters or words that are written out for one mark of repetition."""


def explain_texts(
    model: nn.Module,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    seconds: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    target: str | int | None = None,
    truths: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    method: str = "integrated_gradients",
    baseline: str | int | Tensor = "zero",
    max_len: int | None = None,
    unit: str | None = None,
    style: str | None = None,
    **options: Any,
) -> list[Explanation]:
    """What each word adds to the answers of a model.

    One text is asked about at a time, on the device of the model, in float32 and evaluation mode; the
    model is as it was afterwards.

    Args:
        model: (tokens (B, T), lengths (B,)) to (B, C) or (B,) outputs.
        tokenizer: what the model was trained with.
        seconds: (N,) the second texts of pairs, for the tokenizer of a transformer.
        classes: labels in the order of the outputs.
        target: the class that is asked about, by its label or number; by default the one that the
            model answers, of each text.
        truths: (N,) what is true, to print.
        names: (N,) of the texts, to print.
        method: one of `METHODS`.
        baseline: the vector of a word that says nothing, as of `integrated_gradients`.
        max_len: tokens that the model is given, those that `data.padded.shortened` keeps; None for all.
        unit: what the score is; by default "log odds" of a class and "output" of a number.
        style: how tokens are written, one of `STYLES`; by default as the tokenizer writes them.
        options: further ones of the method, such as `max_steps` or `embedding`.

    Raises: UnknownNameError: no such method, style or class. ShapeError: not as many names or truths as
        texts. ConfigError: as of the method.
    """
    if isinstance(texts, str):
        raise ConfigError(
            "`texts` must be a sequence of strings. Got one string; put it in a list."
        )
    for what, given in (("seconds", seconds), ("truths", truths), ("names", names)):
        if given is not None and len(given) != len(texts):
            raise ShapeError(f"`{what}` has {len(given)} entries for {len(texts)} texts.")
    ask = lookup(METHODS, method, what="method")
    style = style_of(tokenizer) if style is None else style
    lookup(STYLES, style, what="style of tokens")
    wanted = _class_number(target, classes)
    device = next(model.parameters()).device
    encoded, cuts = _encoded(tokenizer, texts, seconds)
    found = []
    for number, one in enumerate(texts):
        ids = encoded.document(number).astype(np.int64)
        places = _kept_places(len(ids), max_len)
        seen = ids[places]
        tokens = torch.from_numpy(seen if len(seen) else np.array([tokenizer.pad_id]))
        tokens = tokens.unsqueeze(0).to(device)
        result = ask(
            with_reach(model, len(seen)),
            tokens,
            torch.tensor([len(seen)], device=device),
            wanted,
            baseline=baseline,
            keep=torch.isin(tokens, torch.tensor(_kept_ids(tokenizer), device=device)),
            **options,
        )
        words = words_of(
            [token_texts(tokenizer, one, ids)[place] for place in places.tolist()],
            result.of(0),
            style=style,
            unknown=seen == tokenizer.unk_id,
            hidden=np.isin(seen, _kept_ids(tokenizer)),
            rules=getattr(tokenizer, "rules", DEFAULT_RULES),
        )
        chosen = result.targets[0]
        is_odds = result.score == "log_odds"
        found.append(
            Explanation(
                words,
                answer="" if chosen is None else classes[chosen] if classes else str(chosen),
                probability=1 / (1 + float(np.exp(-result.scores[0]))) if is_odds else None,
                truth=truths[number] if truths is not None else "",
                score=result.scores[0],
                base=result.baseline_scores[0],
                gap=float(result.gaps[0]),
                gap_share=float(result.shares[0]),
                unit=unit or ("log odds" if is_odds else "output"),
                method=method.replace("_", " "),
                cut=len(ids) - len(seen) + cuts[number],
                name=names[number] if names is not None else "",
                note=_note(result),
            )
        )
    return found


def _kept_places(count: int, max_len: int | None) -> np.ndarray:
    """Which of `count` tokens a model is given, rising."""
    places = TokenArray(np.arange(count, dtype=np.int32), np.array([0, count], np.int64))
    return np.asarray(places.ids if max_len is None else shortened(places, max_len).ids)


def important_words(
    model: nn.Module, tokenizer: Tokenizer, *, count: int = 8, **options: Any
) -> Callable[[str], list[str]]:
    """What `looking.most_lost` shortens texts around: the words that count most in each.

    Args:
        count: words of a text.
        options: those of `explain_texts`.
    """

    def found(text: str) -> list[str]:
        one = explain_texts(model, tokenizer, [text], **options)[0]
        return [word.text for word in one.strongest(count)]

    return found


def explain_page(
    explanations: Sequence[Explanation], *, title: str = "What the words add to the answers"
) -> str:
    """Several of them as one HTML page.

    Args:
        explanations: in the order of the page.
        title: of the page.
    """
    return page_of(explanations, title=title)


def _note(result: TokenAttributions) -> str:
    if result.method != "integrated_gradients" or bool(result.are_complete[0]):
        return ""
    return (
        f"The parts miss the score by {result.shares[0]:.1%} of what was attributed, more than "
        f"{result.tolerance:.0%}, after {result.steps[0]} steps: give `max_steps` a larger number."
    )


def _encoded(
    tokenizer: Tokenizer, texts: Sequence[str], seconds: Sequence[str] | None
) -> tuple[TokenArray, list[int]]:
    """The tokens of texts, and how many of each the tokenizer itself cut off."""
    if not isinstance(tokenizer, TransformerTokenizer):
        if seconds is not None:
            raise ConfigError(
                f"`seconds` needs the tokenizer of a transformer. Got one of kind '{tokenizer.kind}'."
            )
        return tokenizer.encode(texts), [0] * len(texts)
    if seconds is None:
        lost = [tokenizer.encode_counted([one])[1].num_lost for one in texts]
        return tokenizer.encode(texts), lost
    pairs = zip(texts, seconds, strict=True)
    lost = [tokenizer.encode_pairs_counted([a], [b])[1].num_lost for a, b in pairs]
    return tokenizer.encode_pairs(texts, seconds), lost


def with_reach(model: nn.Module, length: int) -> nn.Module:
    """The model, with gradients that reach back over a whole text; its modules are the same ones.

    A `DocumentClassifier` reads what stands before its last `max_len` tokens without gradients, so
    that nothing could be attributed to it.
    """
    if not isinstance(model, DocumentClassifier) or length <= model.max_len:
        return model
    further = copy.copy(model)
    further.max_len = -(-length // model.seq_len) * model.seq_len
    return further


def _class_number(target: str | int | None, classes: Sequence[str]) -> int | None:
    if target is None or isinstance(target, int):
        return target
    return lookup({name: i for i, name in enumerate(classes)}, target, what="class")


def _kept_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids that mark the start, the end and what is padding: they say nothing of the text."""
    marks = (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id)
    return [mark for mark in marks if mark is not None]


# --- from tokens to words -----------------------------------------------------------------------------


def style_of(tokenizer: Tokenizer) -> str:
    """How a tokenizer writes its tokens, one of `STYLES`."""
    own = {"word": "course", "char": "blank", "bpe": "bytes", "unigram": "blank"}
    if tokenizer.kind in own:
        return own[tokenizer.kind]
    starts = {word[:1] for word in tokenizer.vocab.words}
    if "Ġ" in starts:
        return "bytes"
    return "blank" if "▁" in starts else "wordpiece"


def token_texts(tokenizer: Tokenizer, one: str, ids: np.ndarray) -> list[str]:
    """(T,) how each token is written; of words that have no id, the word that the text has there."""
    written = [tokenizer.vocab.words[i] for i in ids.tolist()]
    if tokenizer.kind in ("word", "char") and tokenizer.unk_id in ids:
        read = tokenizer.tokens(one)
        if len(read) == len(written):
            return read
    return written


def words_of(
    tokens: Sequence[str],
    values: Sequence[float] | np.ndarray,
    *,
    style: str,
    unknown: np.ndarray | None = None,
    hidden: np.ndarray | None = None,
    rules: Collection[str] = DEFAULT_RULES,
) -> tuple[Word, ...]:
    """Tokens put together to words, their values summed.

    >>> [w.text for w in words_of(["xxmaj", "bo", "##ring", "!"], [0, 1, 2, 0], style="wordpiece")]
    ['xxmaj', 'boring', '!']
    >>> [(w.text, w.value) for w in words_of(["xxmaj", "film", "!"], [0.5, 1, 0], style="course")]
    [('Film', 1.5), ('!', 0.0)]

    Args:
        tokens: (T,) as the vocabulary writes them.
        values: (T,) what each adds.
        style: one of `STYLES`.
        unknown: (T,) bool, those that have no id of their own.
        hidden: (T,) bool, those that are not shown; what they add goes to the word after them, and
            that of the last ones to the word before.
        rules: those of a "course" tokenizer, which say where it writes blanks.

    Raises: ShapeError: arrays that are not of one length. UnknownNameError: no such style.
    """
    lookup(STYLES, style, what="style of tokens")
    count = len(tokens)
    off = np.zeros(count, dtype=bool)
    unknown, hidden = off if unknown is None else unknown, off if hidden is None else hidden
    adds = np.asarray(values, dtype=np.float64)
    if not adds.shape == unknown.shape == hidden.shape == (count,):
        raise ShapeError(
            f"`words_of` got {count} tokens, values {adds.shape}, unknown {unknown.shape} and hidden "
            f"{hidden.shape}, expected one of each a token."
        )
    shown = np.flatnonzero(~hidden).tolist()
    if not shown:
        return ()
    groups = _GROUPS[style]([tokens[i] for i in shown], unknown[shown], frozenset(rules))
    words, start, first = [], 0, 0
    for text, size, is_after_blank in groups:
        last = shown[start + size - 1]
        start += size
        end = (
            last + 1 if start < len(shown) else count
        )  # the last word takes what is hidden behind it
        words.append(
            Word(
                text,
                float(adds[first:end].sum()),
                tuple(tokens[i] for i in range(first, last + 1) if not hidden[i]),
                is_after_blank,
                bool(unknown[first:end].any()),
            )
        )
        first = end
    return tuple(words)


Groups = list[tuple[str, int, bool]]
"""Of each word: how it reads, of how many tokens it is, whether a blank stands before it."""


def _course(tokens: list[str], unknown: np.ndarray, rules: frozenset[str]) -> Groups:
    groups: Groups = []
    place, earlier, before = 0, "", ""
    while place < len(tokens):
        start, times, is_run = place, 1, False
        token = tokens[place]
        if token in (REP, WREP) and place + 2 < len(tokens) and _COUNT.fullmatch(tokens[place + 1]):
            times, is_run = int(tokens[place + 1]), token == REP
            place += 2
        mark = tokens[place] if tokens[place] in (UP, MAJ) and not is_run else ""
        place += bool(mark) and place + 1 < len(tokens)
        word = tokens[place]
        place += 1
        if mark and word != mark:
            word = word.upper() if mark == UP else word[:1].upper() + word[1:]
        text = _repeated(word, times, "" if is_run else " ")
        is_after_blank = bool(before) and has_blank(earlier, before, text, rules)
        groups.append((text, place - start, is_after_blank))
        earlier, before = before, text
    return groups


_COUNT = re.compile(r"[1-9][0-9]{0,8}")


def _repeated(word: str, times: int, between: str) -> str:
    if times <= MOST_REPEATED:
        return between.join([word] * times)
    return between.join([word] * 8) + f"… ×{times:,}"


@lru_cache(maxsize=1 << 14)
def has_blank(earlier: str, before: str, word: str, rules: frozenset[str]) -> bool:
    """Whether a blank is written before a word that follows two others.

    >>> has_blank("a", "film", ".", DEFAULT_RULES), has_blank("", "a", "film", DEFAULT_RULES)
    (False, True)
    >>> has_blank("strip", "-", "tease", DEFAULT_RULES)
    False
    """
    if before in SPECIAL_WORDS or word in SPECIAL_WORDS:  # which `join` leaves out
        return True
    known = [one for one in (earlier, before, word) if one and one not in SPECIAL_WORDS]
    return join(known, rules)[: -len(word)].endswith(" ")


def _wordpiece(tokens: list[str], unknown: np.ndarray, rules: frozenset[str]) -> Groups:
    groups: Groups = []
    for place, token in enumerate(tokens):
        if token.startswith("##") and len(token) > 2 and groups:
            text, size, blank = groups[-1]
            groups[-1] = (text + token[2:], size + 1, blank)
            continue
        earlier, before = ["", "", *[text for text, *_ in groups[-2:]]][-2:]
        # These tokenizers cut what an apostrophe joins: film ' s
        ends = token in "'’" and "".join(tokens[place + 1 : place + 2]) in _ENDINGS
        is_ending = before in ("'", "’") and token in _ENDINGS and earlier.isalnum()
        glued = (ends and before.isalnum()) or is_ending
        is_after_blank = bool(groups) and not glued and has_blank(earlier, before, token, rules)
        groups.append((token, 1, is_after_blank))
    return groups


_ENDINGS = ("s", "t", "d", "m", "re", "ve", "ll")


def _bytes(tokens: list[str], unknown: np.ndarray, rules: frozenset[str]) -> Groups:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    pieces, goes_on = [], []
    for number, token in enumerate(tokens):
        goes_on.append(bool(decoder.getstate()[0]))  # inside a character
        if all(letter in _BYTE_OF for letter in token) and not unknown[number]:
            last = number == len(tokens) - 1
            pieces.append(decoder.decode(bytes(map(_BYTE_OF.__getitem__, token)), final=last))
        else:  # no bytes: a mark of the tokenizer's own
            pieces.append("\ufffd" if token == UNK else token)
    return _pieces(pieces, goes_on)


_BYTE_OF = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}


def _blank(tokens: list[str], unknown: np.ndarray, rules: frozenset[str]) -> Groups:
    texts = ["\ufffd" if token == UNK else token.replace("▁", " ") for token in tokens]
    return _pieces(texts, [False] * len(texts))


def _pieces(texts: list[str], goes_on: list[bool]) -> Groups:
    """Words of pieces that hold their blanks: letters and digits in a row belong together.

    Args:
        goes_on: those that begin inside a character, and so belong to the piece before them.
    """
    groups: Groups = []
    open_tokens, blank = 0, False  # pieces so far that hold blanks alone
    for text, inside in zip(texts, goes_on, strict=True):
        bare = text.strip()
        blank = blank or text[:1].isspace()
        if not bare and not (inside and groups and not open_tokens):
            open_tokens += 1
            continue
        is_joined = bool(groups) and not open_tokens and not blank
        if is_joined and (inside or _belong(groups[-1][0], bare)):
            before, size, had = groups[-1]
            groups[-1] = (before + bare, size + 1, had)
        else:
            groups.append((bare, 1 + open_tokens, blank and bool(groups)))
            open_tokens = 0
        blank = text[-1:].isspace()
    if open_tokens:
        before, size, had = groups.pop() if groups else ("", 0, False)
        groups.append((before, size + open_tokens, had))
    return groups


_ALONE = re.compile(f"[{ALONE}]")


def _belong(before: str, after: str) -> bool:
    """Whether two pieces with no blank between them are of one word."""
    if not before or not after or before[-1] == _JOINER or _is_mark(after[0]):
        return True
    base = len(before) - 1
    while base > 0 and _is_mark(before[base]):
        base -= 1
    left, right = before[base], after[0]
    if _ALONE.match(left) or _ALONE.match(right):
        return False
    return all(one.isalnum() or one in "_'’" for one in (left, right))


_JOINER = "\u200d"


def _is_mark(letter: str) -> bool:
    """Whether it belongs to the letter before it: an accent, a vowel sign, a joiner, a skin tone."""
    is_joiner = letter in "\u200c\u200d" or "\U0001f3fb" <= letter <= "\U0001f3ff"
    return is_joiner or unicodedata.category(letter) in ("Mn", "Mc", "Me")


_GROUPS: dict[str, Callable[[list[str], np.ndarray, frozenset[str]], Groups]] = {
    "course": _course,
    "wordpiece": _wordpiece,
    "bytes": _bytes,
    "blank": _blank,
}
