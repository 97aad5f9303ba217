"""ULMFiT on IMDb with two cores: what the domain stage is worth, and what word counts give.

    python examples/ulmfit_imdb.py                 # all of it: about an hour and a half on one core
    python examples/ulmfit_imdb.py --start domain  # one half; another process can do the other
    python examples/ulmfit_imdb.py --table         # only print what was found so far

With your own texts it is:

    general = dt.text.general_model()
    reader = dt.text.language_learner("reviews.csv", encoder=general.folder)
    reader.train()
    reader.save_encoder("encoder")
    learner = dt.text.learner("reviews.csv", "label", encoder="encoder")
    learner.train()

Howard & Ruder 2018, arXiv:1801.06146. Three stages: a language model of general English
(`examples/general_model.py`), fine-tuned on reviews, and its encoder with a new head, fine-tuned to tell
good reviews from bad ones, layer by layer from the head down. What is compared, on the same 5,000 test
reviews:

- TF-IDF of words with logistic regression, and the same with pairs of words, tuned as people do;
- the classifier that starts from the general model, without the second stage;
- the classifier that starts from the reviews' language model.

Which texts are seen: the domain stage reads the 10,000 training reviews without their labels and 19 of
20 of the 8,000 unlabelled ones; perplexity is measured on the rest of these. Test reviews are read once,
at the end of each training, and nothing is chosen by them. The vocabulary is of training and unlabelled
reviews in both cases, so that the two classifiers differ in their encoder's weights alone.

To fit two cores, a review longer than 256 tokens (two in five) is cut to its first 96 and last 160, for
training and test alike (320 in the domain stage); word counts see whole reviews.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import drivetrain as dt
from drivetrain import losses, store
from drivetrain.data.padded import LengthLoader, PaddedData, shortened
from drivetrain.data.stream import StreamLoader
from drivetrain.models.document import create_document_classifier, document_description
from drivetrain.text.base import Tokenizer
from drivetrain.text.general import GeneralModel, fast_bfloat16, general_model, open_general
from drivetrain.text.tokenizer import train_tokenizer
from drivetrain.text.unfreezing import gradual_unfreeze

VOCAB_SIZE = 10_000
DOMAIN_LEN, MAX_LEN = 320, 256
"""Tokens of a review in the second stage and in the third; of a longer one 3/8 are taken from its start
and 5/8 from its end."""
SEEDS = (1, 2, 3)
DOMAIN_EPOCHS, DOMAIN_LR = 1, 3e-3
EPOCHS, LR = 4, 1e-2
"""Of gradual unfreezing: epochs in which all layers train, and the head's first rate."""
DROPOUTS: dict[str, Any] = {
    "embedding_dropout": 0.05,
    "input_dropout": 0.2,
    "weight_dropout": 0.1,
    "hidden_dropout": 0.2,
}
HEAD_DROPOUT = 0.3


def data_folder() -> Path:
    """`$DRIVETRAIN_DATA`, or `shared/data` beside the repository; else a full stop."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DRIVETRAIN_DATA") or beside)
    if not (folder / "imdb").is_dir():
        raise SystemExit("The data 'imdb' is not here. Set DRIVETRAIN_DATA to its folder.")
    return folder


def reviews(name: str, most: int | None = None) -> tuple[list[str], Tensor]:
    """The texts of a part and whether they are good, (N,) int64; -1 where nobody said."""
    import pyarrow.parquet as pq

    table = pq.read_table(data_folder() / "imdb" / f"{name}.parquet")
    texts = table.column("text").to_pylist()[:most]
    if "label" not in table.column_names:
        return texts, torch.full((len(texts),), -1)
    labels = table.column("label").to_pylist()[:most]
    return texts, torch.tensor([int(label == "pos") for label in labels])


def say(*words: Any) -> None:
    """A line with the time."""
    print(time.strftime("%H:%M:%S"), *words, flush=True)


# --- stage 2: the language model of reviews -------------------------------------------------------


def domain_model(
    general: GeneralModel, tokenizer: Tokenizer, folder: Path, options: argparse.Namespace
) -> GeneralModel:
    """The general model fine-tuned on reviews: from the folder, or made and put there."""
    if (folder / "general.json").is_file():
        return open_general(folder)
    texts, unlabelled = reviews("train", options.most)[0], reviews("unsup", options.most)[0]
    cut = len(unlabelled) - len(unlabelled) // 20
    train = shortened(tokenizer.encode(texts + unlabelled[:cut]), DOMAIN_LEN)
    valid = tokenizer.encode(unlabelled[cut:])
    begun = general.over(tokenizer)
    model = begun.language_model()
    learner = dt.Learner(
        model,
        dt.Loaders(
            StreamLoader(train, batch_size=32, seq_len=72, shuffle=True),
            StreamLoader(valid, batch_size=32, seq_len=72),
        ),
        losses.token_cross_entropy,
        metrics=["perplexity"],
        callbacks=["carry_state", *precision()],
        num_threads=options.threads,
        progress=False,
    )
    before = learner.evaluate().metrics["perplexity"]
    say(f"domain stage: {len(train.ids):,} tokens, perplexity before {before:.1f}")
    learner.fit_one_cycle(DOMAIN_EPOCHS, DOMAIN_LR, pct_start=0.1)
    record = {
        "perplexity_before": before,
        "perplexity": learner.history[-1]["perplexity"],
        "train_tokens": len(train.ids),
        "seconds": round(learner.seconds),
    }
    say("domain stage done:", record)
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    GeneralModel(tokenizer, begun.description, weights, record).save(folder)
    return open_general(folder)


def precision() -> list[str]:
    """16 bits where the processor has them."""
    return ["mixed_precision"] if fast_bfloat16() else []


# --- stage 3: the classifier ----------------------------------------------------------------------


def classifier(start: GeneralModel, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train on the training reviews from a model's encoder; what it reaches on the test reviews."""
    tokenizer = start.tokenizer
    began = time.perf_counter()
    texts, labels = reviews("train", options.most)
    test_texts, test_labels = reviews("test", options.most)
    pad = tokenizer.pad_id
    train = PaddedData(tokenizer.encode(texts), labels, pad_id=pad, max_len=MAX_LEN)
    test = PaddedData(tokenizer.encode(test_texts), test_labels, pad_id=pad, max_len=MAX_LEN)
    sizes = {
        name: start.description["encoder"][name]
        for name in ("embedding_dim", "hidden_dim", "num_layers")
    }
    description = document_description(
        "lstm", len(tokenizer.vocab), 2, seq_len=MAX_LEN, max_len=MAX_LEN,
        dropout=HEAD_DROPOUT, **sizes, **DROPOUTS,
    )  # fmt: skip
    model = create_document_classifier(description, seed=seed)
    model.load_state_dict({**model.state_dict(), **start.encoder_weights()})
    learner = dt.Learner(
        model,
        dt.Loaders(LengthLoader(train, batch_size=50, shuffle=True, seed=seed)),
        losses.cross_entropy,
        metrics=["accuracy"],
        callbacks=precision(),
        seed=seed,
        num_threads=options.threads,
        progress=False,
    )
    gradual_unfreeze(learner, EPOCHS, LR)
    found = learner.predictions(LengthLoader(test, batch_size=100))
    accuracy = (found.outputs.argmax(1) == found.targets).double().mean().item()
    return {
        "accuracy": accuracy,
        "train_losses": [round(row["train_loss"], 4) for row in learner.history],
        "seconds": round(time.perf_counter() - began),
    }


# --- word counts ----------------------------------------------------------------------------------


def word_counts(options: argparse.Namespace) -> dict[str, float]:
    """Accuracy of TF-IDF and logistic regression on the same test reviews."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    (texts, labels), (test, test_labels) = (
        reviews(part, options.most) for part in ("train", "test")
    )
    found = {}
    for name, counting, strength in (
        ("TF-IDF of words, logistic regression", {}, 1.0),
        (
            "TF-IDF of words and pairs, sublinear, C = 10",
            {"ngram_range": (1, 2), "min_df": 2, "sublinear_tf": True},
            10.0,
        ),
    ):
        counter = TfidfVectorizer(**counting)
        model = LogisticRegression(C=strength, max_iter=1000)
        model.fit(counter.fit_transform(texts), labels.numpy())
        found[name] = float(model.score(counter.transform(test), test_labels.numpy()))
    return found


# --- all ------------------------------------------------------------------------------------------

NAMES = {"general": "ULMFiT without the domain stage", "domain": "ULMFiT with the domain stage"}


def table(folder: Path) -> str:
    """What was found so far, as Markdown."""
    lines = ["| | accuracy | each seed |", "|---|---|---|"]
    for path in sorted(folder.glob("words.json")):
        for name, accuracy in store.read_json(path).items():
            lines.append(f"| {name} | {accuracy:.4f} | |")
    for start, name in NAMES.items():
        runs = [store.read_json(path) for path in sorted(folder.glob(f"{start}-*.json"))]
        if runs:
            each = [run["accuracy"] for run in runs]
            shown = ", ".join(f"{accuracy:.4f}" for accuracy in each)
            lines.append(f"| {name} | {sum(each) / len(each):.4f} | {shown} |")
    return "\n".join(lines)


def main(*given: str) -> str:
    """Do what is not done yet, print the table; the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", choices=tuple(NAMES), help="only classifiers that start here")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--most", type=int, help="reviews of each part, for a trial")
    parser.add_argument("--general", type=Path, help="folder of a general model; else the cache's")
    parser.add_argument("--out", type=Path, default=Path("runs/ulmfit_imdb"))
    parser.add_argument("--table", action="store_true", help="only print what was found so far")
    parser.add_argument("--only-domain", action="store_true", help="no classifiers")
    options = parser.parse_args(given or None)
    if not options.table:
        run(options)
    found = table(options.out)
    print(found)
    return found


def run(options: argparse.Namespace) -> None:
    """The stages whose results are not in the folder yet."""
    torch.set_num_threads(options.threads)
    if options.general is not None:
        general = open_general(options.general)
    else:
        general = general_model(data=data_folder(), num_threads=options.threads)
    say(general)
    texts = reviews("train", options.most)[0] + reviews("unsup", options.most)[0]
    tokenizer = train_tokenizer(texts, "word", vocab_size=VOCAB_SIZE)
    if not (options.out / "words.json").is_file():
        store.write_json(options.out / "words.json", word_counts(options))
    for start in (options.start,) if options.start else tuple(NAMES):
        begun = general.over(tokenizer)
        if start == "domain":
            begun = domain_model(general, tokenizer, options.out / "domain", options)
        for seed in () if options.only_domain else options.seeds:
            path = options.out / f"{start}-{seed}.json"
            if not path.is_file():
                result = classifier(begun, seed, options)
                say(NAMES[start], "seed", seed, result)
                store.write_json(path, result)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
