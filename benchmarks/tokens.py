"""Texts to numbers: tokens a second, with the course's rules, against fastai and Hugging Face's encoder.

Each program cuts the same film reviews, applies its rules and looks up each word in its vocabulary.
fastai does so with spaCy in two processes, as it does by itself on two cores; Drivetrain in one process,
with nothing remembered from before, and once more when it has seen the words.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

from measure import Goal, Result, data_folder, finish, median, ratio, skip, take_turns

from drivetrain.text.tokenizer import Tokenizer, tokenizer_from_json, train_tokenizer

OURS, WARM, BPE = "Drivetrain, first time", "Drivetrain, words seen", "Drivetrain, BPE of 10,000"
FASTAI, RUST = "fastai 2.8.12, two processes", "Hugging Face's BPE of 10,000, no rules"


def measure(options: argparse.Namespace) -> Result:
    """Each program in turn, by the clock on the wall."""
    texts = reviews(100 if options.quick else 2000)
    rounds = 1 if options.quick else 3
    words = train_tokenizer(texts)
    subwords = train_tokenizer(texts, "bpe", rules=[])
    variants: dict[str, Callable[[], int]] = {
        OURS: lambda: len(tokenizer_from_json(words.to_json()).encode(texts).ids),
        WARM: lambda: len(words.encode(texts).ids),
        BPE: lambda: len(tokenizer_from_json(subwords.to_json()).encode(texts).ids),
        RUST: rust_encoder(subwords, texts),
        FASTAI: fastai_encoder(texts),
    }
    tokens = {name: run() for name, run in variants.items()}
    times = take_turns(variants, rounds=rounds, warm_up=0)
    rates = {name: tokens[name] / median(taken) for name, taken in times.items()}
    rows = [
        [name, f"{tokens[name]:,}", f"{rate / 1e3:,.0f}", f"{rate / rates[FASTAI]:.1f}"]
        for name, rate in rates.items()
    ]
    per_second = ratio(times, FASTAI, OURS) * tokens[OURS] / tokens[FASTAI]
    return Result(
        case="tokens",
        title=f"Texts to numbers: {len(texts):,} film reviews",
        columns=["program", "tokens", "thousand tokens a second", "times fastai's"],
        rows=rows,
        how=(
            "Wall time from a list of strings to ids, vocabulary made before; the first time includes "
            "making the tokenizer from its record. Both apply the rules of the course (xxmaj, xxup, "
            f"xxrep, xxwrep, HTML, blanks). {rounds} rounds in turn; the goal is the median over rounds."
        ),
        goals=[
            Goal("tokens a second, Drivetrain / fastai", per_second, 12.0, is_at_least=True),
        ],
        raw={"tokens": tokens, "seconds": times},
    )


def reviews(count: int) -> list[str]:
    folder = data_folder()
    if folder is None or not (folder / "imdb" / "train.parquet").exists():
        skip("imdb is not on this machine: set DRIVETRAIN_DATA to where the data sets lie.")
        raise AssertionError
    from pyarrow import parquet

    table = parquet.read_table(folder / "imdb" / "train.parquet", columns=["text"])
    return table["text"].to_pylist()[:count]


def rust_encoder(subwords: Tokenizer, texts: list[str]) -> Callable[[], int]:
    """Hugging Face's encoder with the same merges and no rules: what Rust alone does, on all cores."""
    import tokenizers

    merges = [tuple(merge.split(" ")) for merge in subwords.to_json()["merges"]]
    index = dict(subwords.vocab.index)
    rust = tokenizers.Tokenizer(tokenizers.models.BPE(index, merges, cache_capacity=0))
    rust.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return lambda: sum(len(one.ids) for one in rust.encode_batch(texts))


def fastai_encoder(texts: list[str]) -> Callable[[], int]:
    from fastai.text.core import WordTokenizer, parallel_tokenize
    from fastai.text.data import Numericalize, make_vocab

    def cut() -> list[list[str]]:
        return [found for _, found in parallel_tokenize(texts, tok=WordTokenizer(), n_workers=2)]

    counts: Counter[str] = Counter(word for found in cut() for word in found)
    numericalize = Numericalize(vocab=make_vocab(counts, min_freq=3, max_vocab=60_000))
    numericalize.setup(None)
    return lambda: sum(len(numericalize(found)) for found in cut())


if __name__ == "__main__":
    finish(measure, __doc__)
