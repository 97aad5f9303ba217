"""Words of plain texts in a few lines, for scripts whose texts are such.

The rules in `text.rules` take any text; a script reads those of one run. Where what stands here gives
the very words of the run, for all texts of it, it stands in the script instead of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from drivetrain.data.tokens import TokenArray, offsets_of
from drivetrain.text.data import TextData
from drivetrain.text.vocab import BOS, EOS, MAJ, REP, SPECIAL_WORDS, UNK_ID, UP

# words without their English endings; the endings; a sign once or more
PIECES = re.compile(
    r"[0-9]+(?:[.,:][0-9]+)+|\w+?(?=n't\b)|n't\b|'(?:s|m|d|re|ve|ll)\b|\w+|([^\w\s])\1{2,}|[^\w\s]"
)


def words_of(text: str, rules: Collection[str]) -> list[str]:
    """The words of a plain text: signs apart, capitals marked and written small."""
    found = [BOS] if "add_bos" in rules else []
    for match in PIECES.finditer(text):
        piece = match.group()
        small = piece.lower()
        if "replace_rep" in rules and match.group(1):
            found += [REP, str(len(piece)), piece[0]]
            continue
        if len(piece) > 1 and piece != small:
            if "replace_all_caps" in rules and piece == piece.upper():
                found.append(UP)
            elif "replace_maj" in rules and piece[1:] == small[1:]:
                found.append(MAJ)
        found.append(small)
    return [*found, EOS] if "add_eos" in rules else found


def learn_plain(
    texts: Sequence[str], rules: Collection[str], *, min_freq: int, max_vocab: int
) -> Sequence[str]:
    """The vocabulary: marks, then the words that are met most often, of equal ones the first first."""
    counts = Counter(word for text in texts for word in words_of(text, rules))
    common = sorted(counts, key=lambda word: -counts[word])
    met = [word for word in common if counts[word] >= min_freq and word not in SPECIAL_WORDS]
    return [*SPECIAL_WORDS, *met][:max_vocab]


def encode_plain(texts: Sequence[str], words: Sequence[str], rules: Collection[str]) -> TokenArray:
    """The ids of each text; of words that the vocabulary does not hold, that of xxunk."""
    index = {word: number for number, word in enumerate(words)}
    ids = [[index.get(word, UNK_ID) for word in words_of(text, rules)] for text in texts]
    lengths = np.array([len(one) for one in ids])
    return TokenArray(np.concatenate(ids).astype(np.int32), offsets_of(lengths))


def is_plain(data: TextData) -> bool:
    """Whether all of this gives what the run's tokenizer of words gave, for each text that is read."""
    tokenizer = data.tokenizer
    needed = {"lowercase", "spec_add_spaces", "rm_useless_spaces"}
    rules = frozenset(getattr(tokenizer, "rules", ()))
    if tokenizer.kind != "word" or not needed <= rules:
        return False
    for part in ("train", "valid"):
        texts = data.part(part)[1]
        if not texts:
            return False
        found = encode_plain(texts, tokenizer.vocab.words, rules)
        same = np.array_equal(found.offsets, data.tokens(part).offsets)
        if not same or not np.array_equal(found.ids, data.tokens(part).ids):
            return False
        if any(words_of(text, rules) != tokenizer.tokens(text) for text in texts):
            return False
    return True
