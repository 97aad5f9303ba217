"""How a script makes ids of texts: the library's own functions, with the run's rules put in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.text import (
    base,
    rules as rule_functions,
    subwords,
    tokenizer,
    unigram,
    vocab,
    words,
)  # fmt: skip
from drivetrain.text.base import Tokenizer
from drivetrain.text.ejecting import plain

RULES = "RULES_ON"
"""The script's constant of the rules that are on; not a name of the library."""

LEARNT = {
    "word": "words",
    "char": "words",
    "bpe": "words, merges",
    "unigram": "words, scores",
    "transformer": "",
}
"""What `learn` answers."""

_ASK_RULES = (
    *("rules:clean", "rules:word_pattern", "rules:expand", "rules:_expand_word"),
    *("rules:_expand_letters", "rules:_in_case", "words:encode_words", "base:framed"),
    *("tokenizer:count_words", "subwords:encode_pieces", "tokenizer:count"),
)
"""Functions that are told the rules."""


def know_rules(lifter: Lifter, rules: Collection[str]) -> Setting:
    """Put the rules that are on into the lifter; the setting stays only where something reads it."""
    on = tuple(sorted(rules))
    lifter.constants[RULES] = on
    for place in _ASK_RULES:
        lifter.known[f"drivetrain.text.{place}"] = {"rules": Known(on, RULES)}
    return Setting(RULES, on, "what is done to a text before its words have ids")


def encode_written(tokens: Tokenizer, lifter: Lifter) -> Written:
    """The function `encode(texts, tokenizer)`, whose second argument is what `vocab_kind` says."""
    lifter.add_import(Import("numpy", "", "np"))
    lifter.add_import(Import("collections.abc", "Sequence"))
    uses: dict[str, Any] = {"TokenArray": "drivetrain.data.tokens:TokenArray"}
    uses |= {"framed": base.framed}
    text = _ENCODE[tokens.kind]
    if tokens.kind == "word":
        uses |= {
            "Kept": base.Kept,
            "expand": rule_functions.expand,
            "encode_words": words.encode_words,
            "UNK_ID": "drivetrain.text.vocab:UNK_ID",
        }
    elif tokens.kind == "char":
        uses |= {
            "clean": rule_functions.clean,
            "code_points": words.code_points,
            "SPECIAL_PIECES": "drivetrain.text.vocab:SPECIAL_PIECES",
        }
    else:
        uses |= {"Kept": base.Kept, "encode_pieces": subwords.encode_pieces}
        if tokens.kind == "bpe":
            uses |= {
                "merged": subwords.merged,
                "as_letters": subwords.as_letters,
                "UNK_ID": "drivetrain.text.vocab:UNK_ID",
            }
        else:
            uses |= {
                "most_likely": subwords.most_likely,
                "SPECIAL_PIECES": "drivetrain.text.vocab:SPECIAL_PIECES",
                "UNKNOWN_COSTS": "drivetrain.text.subwords:UNKNOWN_COSTS",
            }
    return Written(text.replace("RULES", RULES), "tokens", uses)


_ENCODE = {
    "word": '''
def encode(texts: Sequence[str], words: Sequence[str]) -> TokenArray:
    """The ids of each text; of words that the vocabulary does not hold, that of xxunk."""
    index = {word: number for number, word in enumerate(words)}
    kept = Kept(lambda piece: [index.get(word, UNK_ID) for word in expand(piece, RULES)])
    parts = encode_words(texts, RULES, kept, lambda word: index.get(word, UNK_ID))
    return framed(parts, RULES, len(words))
''',
    "char": '''
def encode(texts: Sequence[str], words: Sequence[str]) -> TokenArray:
    """The ids of each text: of its characters; 0, which is xxunk, of those that are not known."""
    first = len(SPECIAL_PIECES)
    points = np.array([ord(word) for word in words[first:]], np.int64)
    ids = np.zeros(0x110000, np.int32)  # by code point
    ids[points] = np.arange(first, len(words), dtype=np.int32)
    parts = [ids[code_points(clean(text, RULES))] for text in texts]
    return framed(parts, RULES, len(words))
''',
    "bpe": '''
def encode(
    texts: Sequence[str], words: Sequence[str], merges: Sequence[tuple[str, str]]
) -> TokenArray:
    """The ids of each text: of the bytes that belong together, put together in the order of `merges`."""
    index = {word: number for number, word in enumerate(words)}
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    kept = Kept(
        lambda piece: [index.get(word, UNK_ID) for word in merged(as_letters(piece), ranks)]
    )
    return framed(encode_pieces(texts, RULES, kept), RULES, len(words))
''',
    "unigram": '''
def encode(texts: Sequence[str], words: Sequence[str], scores: Sequence[float]) -> TokenArray:
    """The ids of each text: of the parts by which it is the most likely."""
    first = len(SPECIAL_PIECES)
    parts = {words[i]: (scores[i], i) for i in range(first, len(words))}
    longest = max(map(len, parts), default=1)
    unknown = min((score for score, _ in parts.values()), default=0.0) - UNKNOWN_COSTS
    kept = Kept(lambda piece: most_likely(piece, parts, longest, unknown))
    return framed(encode_pieces(texts, RULES, kept), RULES, len(words))
''',
}


def learn_written(
    tokens: Tokenizer, options: Any, lifter: Lifter, setting: Callable[[str, Any, str], str]
) -> Written:
    """The function `learn(texts)`, which answers with the vocabulary and what else `encode` needs.

    Args:
        options: of `train_tokenizer`, as the run was given them.
        setting: makes a setting of the script.
    """
    given = dict(options)
    kind = given.pop("kind", "word")
    _, size, freq = tokenizer.training_settings(
        kind, given.get("rules"), given.get("vocab_size"), given.get("min_freq")
    )
    what = {"word": "a word", "char": "a character"}.get(kind, "a pair of pieces")
    setting("VOCAB_SIZE", size, "ids at most")
    setting("MIN_FREQ", freq, f"how often {what} is met in training texts to have an id")
    uses: dict[str, Any] = {}
    if kind in ("word", "char"):
        uses |= {"build_vocab": vocab.build_vocab}
    if kind == "word":
        uses |= {"count_words": tokenizer.count_words}
    else:
        uses |= {"count": tokenizer.count}
        place = "drivetrain.text.tokenizer:count"
        lifter.known[place] = dict(lifter.known[place]) | {"kind": Known(kind)}
    if kind == "char":
        uses |= {"SPECIAL_PIECES": "drivetrain.text.vocab:SPECIAL_PIECES"}
    if kind == "bpe":
        uses |= {"learn_merges": subwords.learn_merges}
    if kind == "unigram":
        uses |= {"learn_scores": unigram.learn_scores}
    lifter.add_import(Import("collections.abc", "Sequence"))
    return Written(_LEARN[kind].replace("RULES", RULES), "tokens", uses)


def plain_written(
    options: Any, lifter: Lifter, setting: Callable[[str, Any, str], str]
) -> list[Written]:
    """`learn` and `encode` of words, for texts that are plain; see `ejecting.plain`."""
    given = dict(options)
    _, size, freq = tokenizer.training_settings(
        "word", given.get("rules"), given.get("vocab_size"), given.get("min_freq")
    )
    setting("VOCAB_SIZE", size, "words at most")
    setting("MIN_FREQ", freq, "how often a word is met in training texts to have an id")
    on = lifter.constants[RULES]
    for name in ("words_of", "learn_plain", "encode_plain"):
        place = f"drivetrain.text.ejecting.plain:{name}"
        lifter.known[place] = {"rules": Known(on, RULES)}
        lifter.called_as[place] = name.removesuffix("_plain")
    uses = {"learn_plain": plain.learn_plain, "encode_plain": plain.encode_plain}
    lifter.add_import(Import("collections.abc", "Sequence"))
    return [Written("", "tokens", uses)]


_LEARN = {
    "word": '''
def learn(texts: Sequence[str]) -> Sequence[str]:
    """The vocabulary: the words that are met most often, the most frequent first."""
    return build_vocab(count_words(texts, RULES), min_freq=MIN_FREQ, max_vocab=VOCAB_SIZE).words
''',
    "char": '''
def learn(texts: Sequence[str]) -> Sequence[str]:
    """The vocabulary: the characters that are met most often, the most frequent first."""
    counts = count(texts, "char", RULES)
    return build_vocab(
        counts, min_freq=MIN_FREQ, max_vocab=VOCAB_SIZE, special=SPECIAL_PIECES
    ).words
''',
    "bpe": '''
def learn(texts: Sequence[str]) -> tuple[Sequence[str], Sequence[tuple[str, str]]]:
    """The vocabulary of byte-pair encoding, and which pairs are put together, in order."""
    return learn_merges(count(texts, "bpe", RULES), VOCAB_SIZE, MIN_FREQ)
''',
    "unigram": '''
def learn(texts: Sequence[str]) -> tuple[Sequence[str], Sequence[float]]:
    """The vocabulary of the unigram model, and how likely each part is, in nats."""
    return learn_scores(count(texts, "unigram", RULES), VOCAB_SIZE, MIN_FREQ)
''',
}
