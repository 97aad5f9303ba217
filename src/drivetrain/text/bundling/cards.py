"""What the model card of a bundle of texts says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.card import Card, Row, card_text, config
from drivetrain.bundle.golden import Golden
from drivetrain.bundle.manifest import Manifest
from drivetrain.text.bundling.predictor import TextPredictor
from drivetrain.text.measure import NAMES

MOST_NAMED = 20
"""Classes that the card names."""

_TOKENS = {
    "word": "words after rules that mark capitals and repetitions",
    "char": "single characters",
    "bpe": "pieces of words (byte-pair encoding)",
    "unigram": "pieces of words (unigram)",
    "transformer": "the pieces of words that the pretrained encoder was trained with",
}
_BASELINES = {
    "majority_class": "always the most frequent class",
    "majority": "always the most frequent class",
    "naive_bayes": "naive Bayes of word counts",
    "logistic_regression": "logistic regression of word counts",
    "bag_of_words": "logistic regression of word counts",
    "tfidf": "logistic regression of weighted word counts",
    "length": "the length of the text alone",
}


def card_of(
    manifest: Manifest,
    record: Mapping[str, Any],
    predictor: TextPredictor,
    *,
    title: str,
    golden: Golden,
    licence: tuple[str, str],
    has_predictor: bool,
) -> tuple[str, dict[str, Any]]:
    """`README.md` and `config.json`.

    Args:
        record: `run.json`, with `results`.
        predictor: of the bundle, with its guard.
        title: of the card.
        licence: of the weights it began with, and whose they are; empty where those were random.
    """
    results, told = record["results"], manifest.training
    items = told["items"] if isinstance(told["items"], dict) else {}
    metrics = results.get("metrics", {}).get("valid", {})
    named, note = licence
    kind, count = predictor.goal.kind, len(manifest.classes)
    purpose = {
        "class": f"Says which of {count} classes a text is of: {_named(manifest.classes)}.",
        "labels": f"Says which of {count} labels a text has, which may be none or several: "
        f"{_named(manifest.classes)}.",
        "number": f"Predicts a number of a text: {predictor.goal.name}.",
    }[kind]
    metric = NAMES[kind][0]
    intervals = "95% Wilson intervals" if kind == "class" else "of 95%"
    card = Card(
        title=title,
        purpose=f"{purpose} The model is {_model(manifest.architecture)}, trained with Drivetrain.",
        pipeline="text-classification",
        metric=metric,
        classes=manifest.classes,
        data=_data(told, items),
        results=_rows(results, metric),
        measured_on=(
            f"Measured on the {items.get('valid', 0):,} validation texts, which it did not learn from "
            f"(split: {told['split_by'] or 'by hand'}). Intervals are {intervals}."
        ),
        metrics={name: value for name, value in metrics.items() if name != metric},
        limits=_limits(manifest, predictor, results, items),
        licence=named,
        licence_note=note
        or (
            "These weights were trained from random ones, on the texts named above alone. Whoever owns "
            "them has not chosen a licence yet: choose one before you pass them on."
        ),
        preparation=_preparation(predictor),
        needs="'drivetrain[text]'"
        if manifest.architecture["name"] == "transformer"
        else "drivetrain",
        golden=_golden(golden),
        use=_use(manifest, has_predictor),
        files=_files(golden, predictor, has_predictor),
    )
    described = config(
        architecture={"name": manifest.architecture["name"]},
        classes=manifest.classes,
        model_type="drivetrain-text",
        model_class="DocumentClassifier",
        extra={"vocab_size": len(predictor.tokenizer.vocab)},
    )
    return card_text(card), described


def _model(architecture: Mapping[str, Any]) -> str:
    description = architecture["description"]
    if architecture["name"] == "transformer":
        return f"a transformer of type {description['config'].get('model_type', '')} with a head"
    encoder = description["encoder"]
    kind = {"lstm": "an LSTM", "gru": "a GRU", "decoder": "a small causal transformer"}
    layers = encoder["num_layers"]
    return (
        f"{kind.get(encoder['kind'], 'a plain recurrent net')} of {layers} "
        f"{'layer' if layers == 1 else 'layers'} with a head"
    )


def _data(told: Mapping[str, Any], items: Mapping[str, Any]) -> list[str]:
    sentences = [
        f"Texts: {told['data']}; {items.get('train', 0):,} to train, {items.get('valid', 0):,} to "
        "validate" + (f", {items['test']:,} sealed for a test" if items.get("test") else "") + ".",
        f"Labels: {told['labelled_by'] or 'given with the texts'}.",
        f"Split: {told['split_by'] or 'by hand'}.",
    ]
    if items.get("quarantined"):
        sentences.append(f"{items['quarantined']:,} texts were set aside and not used.")
    if told["fingerprint"]:
        sentences.append(f"Fingerprint of texts, labels and split: {told['fingerprint']}.")
    return sentences


def _rows(results: Mapping[str, Any], metric: str) -> list[Row]:
    valid = results.get("metrics", {}).get("valid", {})
    if not _is_figure(valid.get(metric)):
        return []
    rows = [Row("**this model**", valid[metric], _pair(results.get("interval")))]
    for name, baseline in results.get("baselines", {}).items():
        # what always answers the same has no correlation
        if isinstance(baseline, Mapping) and _is_figure(baseline.get(metric)):
            interval = _pair(baseline.get("interval"))
            said = _BASELINES.get(str(name), str(name).replace("_", " "))
            rows.append(Row(said, baseline[metric], interval))
    return rows


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _pair(interval: Any) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def _limits(
    manifest: Manifest,
    predictor: TextPredictor,
    results: Mapping[str, Any],
    items: Mapping[str, Any],
) -> list[str]:
    guard, count = predictor.guard, len(manifest.classes)
    gives = {
        "class": f"It knows {count} {'class' if count == 1 else 'classes'} and gives each text one of "
        "them, whatever it says",
        "labels": f"It knows {count} {'label' if count == 1 else 'labels'} and no others",
        "number": "It gives each text a number, whatever it says",
    }[predictor.goal.kind]
    sentences = [
        gives
        + (
            ". The guard says when a text is unlike those it was trained on; what looks alike in its "
            "eyes can pass."
            if guard is not None
            else ". It has no guard, which would say when a text is unlike those it was trained on."
        ),
        "The figures above hold for texts like those it was trained and validated on. On others (of "
        "another language, subject, source or time) they are to be measured anew.",
    ]
    if predictor.tokenizer.kind == "word":
        sentences.append(
            f"It knows {len(predictor.tokenizer.vocab):,} words; all others look alike to it."
        )
    if predictor.max_len is not None:
        sentences.append(
            f"Of a text it reads {predictor.max_len:,} tokens; what is cut out of longer ones is their "
            "middle."
        )
    interval = _pair(results.get("interval"))
    if interval is not None and interval[1] - interval[0] > 0.1:
        sentences.append(
            f"Few texts were there to validate it ({items.get('valid', 0):,}): its "
            f"{NAMES[predictor.goal.kind][0].replace('_', ' ')} may be "
            f"anything from {interval[0]:.2f} to {interval[1]:.2f}."
        )
    if guard is not None:
        sentences.append(
            "What the guard promises holds on average over texts such as the validation texts, not for "
            f"each class or each text. {guard.text}"
        )
        sentences.append(
            "The guard keeps features of training and validation texts, in guard.safetensors: no texts, "
            "but numbers that were calculated from them."
        )
    sentences.append(
        "Of the training texts it holds the words of the vocabulary, also those that few texts had: "
        "names of people may be among them."
        if predictor.tokenizer.kind != "transformer"
        else "Its vocabulary is that of the pretrained encoder and holds no words of the training texts."
    )
    sentences.append(
        "It was not examined for fairness, nor against texts made to mislead it; it is no ground on "
        "which to decide about a person."
    )
    return sentences


def _preparation(predictor: TextPredictor) -> str:
    kind = predictor.tokenizer.kind
    text = (
        f"A text becomes {_TOKENS[kind]}, by the rules and the vocabulary in `tokenizer.json` "
        f"({len(predictor.tokenizer.vocab):,} entries), and each of them its id."
    )
    return (
        text + " Texts that are calculated together are padded at the end, which changes no answer."
    )


def _golden(golden: Golden) -> list[str]:
    made_up = (
        "`golden.safetensors` holds what the model answers for {what}: `drivetrain verify` calculates it "
        "anew and compares. The made-up texts are put together by the program, of words of the "
        "vocabulary and of what its rules are for."
    )
    if not golden.items:
        return [
            f"{made_up.format(what='texts that are made up')} No text travels with this bundle."
        ]
    count = len(golden.items)
    return [
        f"**{count} validation {'text travels' if count == 1 else 'texts travel'} with this bundle**, in "
        "`golden/texts.json`: whoever has the bundle reads them. Export with `--golden 0` where they may "
        "not be shared.",
        made_up.format(what="them and for texts that are made up"),
    ]


def _use(manifest: Manifest, has_predictor: bool) -> list[str]:
    texts = [
        "INPUT is a text file, read as one text. In Python:",
        "```python\n"
        "import drivetrain as dt\n\n"
        'predictor = dt.text.load("THIS_FOLDER")\n'
        'print(predictor.predict("A text."))\n'
        "```",
    ]
    if has_predictor:
        texts.append(
            f"Without Drivetrain, with {needed(manifest)} alone: `python predict.py FILE.txt...`, and "
            "`--json` for programs. It answers as `drivetrain predict` does, on the CPU, and is made to "
            "be read. It is code: read it before you run it where the bundle is not your own."
        )
    return texts


def needed(manifest: Manifest) -> str:
    """The packages that `predict.py` imports."""
    if manifest.architecture["name"] == "transformer":
        return "torch, numpy, safetensors, tokenizers and transformers"
    return "torch, numpy and safetensors"


def _files(golden: Golden, predictor: TextPredictor, has_predictor: bool) -> dict[str, str]:
    files = {
        manifests.NAME: "what the bundle is: architecture, labels, signature, SHA-256 of every other "
        "file",
        manifests.WEIGHTS: "the weights",
        manifests.TOKENIZER: "rules and vocabulary: how a text becomes ids",
        manifests.CONFIG: "architecture and labels for the Hugging Face Hub; Drivetrain does not read it",
    }
    if predictor.guard is not None:
        files[f"{manifests.GUARD}`, `{manifests.GUARD_TENSORS}"] = (
            "calibration, prediction sets, what texts are known"
        )
    texts = "`, `golden/texts.json" if golden.items else ""
    files[f"{manifests.GOLDEN}`, `{manifests.GOLDEN_TENSORS}{texts}"] = (
        "examples and the answers they must get"
    )
    if has_predictor:
        files[manifests.PREDICTOR] = "predicts without Drivetrain"
    return files


def _named(labels: Any) -> str:
    names = list(labels)
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
