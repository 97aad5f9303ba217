"""What a sweep tries of each application, the most telling first: where time is short the rest waits.

Only what this machine can do without a network is tried unasked: models whose trained weights are
here, and small ones that begin with random weights.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from drivetrain._registry import did_you_mean
from drivetrain.train.sweeping import Candidate

LOOKED_AT = 100
"""Pictures whose size is asked for."""
SIZES_OF = {
    "vision": "side of the pictures, in pixels",
    "tabular": "width of a net's first layer",
    "text": "numbers of a word's vector",
    "collab": "numbers of a vector",
}
"""What a size is, by application."""


def candidates(
    application: str,
    path: Path,
    given: Mapping[str, Any],
    *,
    models: Sequence[str] = (),
    sizes: Sequence[int] = (),
    implicit: bool = False,
) -> list[Candidate]:
    """What is tried on a source.

    Args:
        application: `vision`, `tabular`, `text` or `collab`.
        path: of the source.
        given: settings of the data.
        models: names, where they were asked for.
        sizes: see `SIZES_OF`.
        implicit: the ratings are events.

    Raises: UsageError: a model that there is not, or sizes of models without such. DataError: no
        picture can
        be found.
    """
    if application == "vision":
        return _pictures(path, given, models, sizes)
    if application == "tabular":
        return _unique(_table(models, sizes, several=_are_several(given)))
    if application == "text":
        return _unique(_texts(models, sizes))
    return _unique(_ratings(models, sizes, implicit=implicit))


# --- pictures -----------------------------------------------------------------------------------------


def _pictures(
    path: Path, given: Mapping[str, Any], models: Sequence[str], sizes: Sequence[int]
) -> list[Candidate]:
    from drivetrain.vision.opening import PHOTO_SIZE, SMALL

    side = _typical_side(path, given)
    usual = max(16, side) if side <= SMALL else PHOTO_SIZE
    if models or sizes:
        names = models or [one.model for one in _small(usual)[:2]] if side <= SMALL else models
        names = names or ["tf_efficientnet_lite0", "resnet18", "resnet_tiny"]
        return [_picture(model, size, "as asked") for model in names for size in (sizes or [usual])]
    return _small(usual) if side <= SMALL else _photos(usual)


def _small(side: int) -> list[Candidate]:
    return [
        _picture("resnet_tiny", side, "what is chosen for small pictures unless asked otherwise"),
        _picture("resnet18", side, "seventy times the weights: are the pictures worth them?"),
        _picture(
            "tf_efficientnet_lite0", 64, "knows photos; small pictures are made larger for it"
        ),
        _picture("resnet_tiny", 2 * side, "the same net on twice the pixels: finer maps inside"),
        _picture("mobilenetv3_small_050", 2 * side, "made to be quick; random weights"),
        _picture("resnet34", side, "twice the layers of resnet18"),
    ]


def _photos(side: int) -> list[Candidate]:
    usual = "what is chosen for photos unless asked otherwise: it has learnt from a million of them"
    found = [
        _picture("tf_efficientnet_lite0", side, usual),
        _picture("tf_efficientnet_lite0", side // 2, "a quarter of the pixels: how much is lost?"),
        _picture("resnet_tiny", side // 2, "small, from random weights: what training alone gives"),
        _picture("resnet18", side // 2, "the usual first net, from random weights unless here"),
        _picture("tf_efficientnet_lite0", 3 * side // 4, "between the two sizes"),
        _picture("mobilenetv3_small_050", side, "made to be quick; random weights unless here"),
        _picture("tf_efficientnet_lite0", 3 * side // 2, "more pixels, fewer epochs in the time"),
        _picture("resnet34", side // 2, "twice the layers of resnet18"),
    ]
    return [*found[:1], *_with_weights(side), *found[1:]]


def _with_weights(side: int) -> list[Candidate]:
    """The other models whose trained weights a package here carries."""
    import importlib.util

    from drivetrain.models.weights import PACKAGES

    return [
        _picture(name, side, "its trained weights are here, in a package")
        for name, package in PACKAGES.items()
        if name != "tf_efficientnet_lite0" and importlib.util.find_spec(package.module) is not None
    ]


def _picture(model: str, size: int, reason: str) -> Candidate:
    return Candidate(f"{model}-{size}", model, reason, {"size": size})


def _typical_side(path: Path, given: Mapping[str, Any]) -> int:
    """The median of the longer sides of a few pictures; nothing is decoded."""
    from drivetrain.vision.decode import picture_size
    from drivetrain.vision.formats import PictureError
    from drivetrain.vision.opening import PHOTO_SIZE
    from drivetrain.vision.sources import find_by_name, find_in_csv, find_in_folder

    if path.suffix.lower() == ".csv" and path.is_file():
        names = ("folder", "path_column", "label_column", "part_column")
        told: dict[str, Any] = {name: given[name] for name in (*names, "targets") if name in given}
        found = find_in_csv(str(path), **told)
    elif "pattern" in given:
        found = find_by_name(path, given["pattern"])
    else:
        found = find_in_folder(path)
    sides = []
    for item in found.items[:: max(1, len(found.items) // LOOKED_AT)]:
        try:
            picture = picture_size(item.path)
        except PictureError:
            continue  # it is set aside, with its reason, where all are opened
        sides.append(max(picture.width, picture.height))
    return int(statistics.median_low(sides)) if sides else PHOTO_SIZE


# --- tables -------------------------------------------------------------------------------------------


def _table(models: Sequence[str], sizes: Sequence[int], *, several: bool) -> list[Candidate]:
    """Those that can predict what is asked for: several numbers at once are not for every model."""
    from drivetrain.tabular.fitting import FITTERS
    from drivetrain.tabular.leaderboard import NET

    known = [NET, *(name for name, one in FITTERS.items() if one.many_targets or not several)]
    for model in models:
        if model in FITTERS and model not in known:
            raise click.UsageError(
                f"--models: '{model}' predicts one column, and several --target are given. Of several: "
                f"{', '.join(known)}."
            )
        _check(model, known)
    return [one for one in _for_table(models, sizes) if one.model in known]


def _are_several(given: Mapping[str, Any]) -> bool:
    """Whether several columns of a table are predicted."""
    return "targets" in given or "," in given.get("label_column", "")


def _for_table(models: Sequence[str], sizes: Sequence[int]) -> list[Candidate]:
    from drivetrain.tabular.leaderboard import NET

    if models or sizes:
        names = models or [NET]
        if sizes and NET not in names:
            raise click.UsageError("--sizes: of tables only the net has them: --models net.")
        return [
            one
            for name in names
            for one in (
                [_net(size, "as asked") for size in sizes]
                if name == NET and sizes
                else [_net(200, "as asked") if name == NET else Candidate(name, name, "as asked")]
            )
        ]
    return [
        Candidate("boosting", "boosting", "trees that correct each other: most often the best on tables"),
        Candidate("linear", "linear", "straight lines: is there more in the table than that?"),
        _net(200, "the usual net with embeddings"),
        Candidate("forest", "forest", "trees that vote: hard to do wrong"),
        Candidate("boosting_sets", "boosting_sets", "boosting that splits categories into sets"),
        _net(50, "a smaller net: quicker, and harder to overfit"),
        Candidate("extra_trees", "extra_trees", "a forest with random splits: quick, sometimes better"),
        _net(500, "a larger net: does the table need it?"),
        Candidate("tree", "tree", "one tree: a person can read it"),
    ]  # fmt: skip


def _net(width: int, reason: str) -> Candidate:
    return Candidate(f"net-{width}", "net", reason, {"layers": [width, max(1, width // 2)]})


# --- texts --------------------------------------------------------------------------------------------


def _texts(models: Sequence[str], sizes: Sequence[int]) -> list[Candidate]:
    from drivetrain.models.language import PRESETS
    from drivetrain.text.packaged import packaged_encoders
    from drivetrain.text.pretrained import is_transformer

    packaged = {"minilm"} if packaged_encoders() else set[str]()
    for model in models:
        if model not in PRESETS and not is_transformer(model):
            _check(model, [*PRESETS, *packaged])
    if models or sizes:
        names = models or ["lstm"]
        return [
            _text(model, size, "as asked")
            for model in names
            for size in (sizes if sizes and model in PRESETS else [None])
        ]
    found = [
        _text("lstm", None, "what is chosen unless asked otherwise: small enough for two cores"),
        _text("gru", None, "a quarter fewer weights than the LSTM, and often as good"),
        _text("lstm", 64, "shorter vectors of words: quicker, and harder to overfit"),
        _text("decoder", None, "attention from random weights; it likes more text than most have"),
        _text("awd_lstm", None, "the course's: three wide layers, made for fine-tuning"),
    ]
    if packaged:
        found.insert(1, _text("minilm", None, "a transformer that knows the language already"))
    return found


def _text(model: str, size: int | None, reason: str) -> Candidate:
    if size is None:
        return Candidate(model, model, reason)
    return Candidate(f"{model}-{size}", model, reason, {"sizes": {"embedding_dim": size}})


# --- ratings ------------------------------------------------------------------------------------------


def _ratings(models: Sequence[str], sizes: Sequence[int], *, implicit: bool) -> list[Candidate]:
    known = ("als", "bpr") if implicit else ("dot_bias", "dot", "net")
    for model in models:
        _check(model, known, what="of events" if implicit else "of ratings")
    if models or sizes:
        names = models or known[:1]
        return [_factors(model, size, "as asked") for model in names for size in (sizes or [None])]
    if implicit:
        return [
            _factors("als", None, "least squares in turn: quick, and strong on events"),
            _factors("bpr", None, "puts what happened above what did not, step by step"),
            _factors("als", 16, "fewer numbers for a taste"),
            _factors("als", 128, "more numbers for a taste"),
            _factors("bpr", 16, "fewer numbers for a taste"),
        ]
    return [
        _factors("dot_bias", None, "a vector and a bias for each user and item: hard to beat"),
        _factors("dot", None, "without biases: what they are worth"),
        _factors("net", None, "dense layers over the vectors: more than products of tastes?"),
        _factors("dot_bias", 10, "fewer numbers for a taste: harder to learn by heart"),
        _factors("dot_bias", 150, "more numbers for a taste"),
    ]


def _factors(model: str, size: int | None, reason: str) -> Candidate:
    if size is None:
        return Candidate(model, model, reason)
    return Candidate(f"{model}-{size}", model, reason, {"num_factors": size})


# --- all ----------------------------------------------------------------------------------------------


def _check(model: str, known: Sequence[str], *, what: str = "") -> None:
    if model not in known:
        raise click.UsageError(
            f"--models: there is no model '{model}'{f' {what}' if what else ''}."
            f"{did_you_mean(model, known)} Known: {', '.join(known)}."
        )


def _unique(found: Sequence[Candidate]) -> list[Candidate]:
    """Each name once: the first of it."""
    return list({one.name: one for one in reversed(found)}.values())[::-1]
