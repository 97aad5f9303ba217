"""A run trained anew with one change and a seed of its own: same data, same split, all else as it was.

The seed of the split stays; weights, order and augmentation are drawn by another one. So what two such
runs differ by is the change, or the seed, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.cli import anew
from drivetrain.errors import ConfigError

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner

OF_MODEL = ("lr", "epochs", "batch_size", "num_threads")
"""What is chosen anew for another model: a rate that suits one net does not suit every other."""
FRACTION = "train_fraction"
"""As `train.within` calls it."""


def train_again(spec: Mapping[str, Any]) -> None:
    """Train what a spec says into a new run folder.

    Args:
        spec: `{"of": run folder, "changes": settings by their names, "seed", "run"}`.

    Raises: RunError: the run's data is not what it began with. Else what training raises.
    """
    from drivetrain.train.run import Run

    learner = learner_again(spec["of"], spec["changes"], seed=spec["seed"])
    run = Run.create(spec["run"])
    learner.start_run(run)
    anew.note_again(Path(spec["of"]), run.folder, spec)
    learner.train()


def learner_again(run: str, changes: Mapping[str, Any], *, seed: int) -> Learner:
    """The Learner of a run as it was before training, with some settings changed and another seed.

    Args:
        run: its folder.
        changes: keyword of the application's `learner` -> value.
        seed: of weights, order and augmentation.

    Raises: RunError: no run of a model that is trained in epochs, or its data is not what it was.
    """
    from drivetrain.train.keeping import callbacks_from
    from drivetrain.train.run import Run, said_as_damage

    opened = Run.open(run)
    record = opened.read()
    make = {
        "vision": _pictures,
        "tabular": _table,
        "text": _texts,
        "collab": _ratings,
    }.get(record["task"]["application"])
    if make is None or "plan" not in record or "settings" not in record:
        raise ConfigError(f"{run} is not of a model that is trained in epochs.")
    with said_as_damage(opened.folder / "run.json"):
        settings, plan = record["settings"], record["plan"]
        told = {
            "metrics": settings["metrics"],
            "optimizer": settings["optimizer"],
            "batch_size": settings["batch_size"],
            "lr": plan["lr"],
            "epochs": plan["epochs"],
            "weight_decay": settings["weight_decay"],
            "num_threads": settings["num_threads"],
        }
        if "model" in changes:
            told = {name: value for name, value in told.items() if name not in OF_MODEL}
        # epochs are as the run's plan says; a clock that cuts one of a pair would be compared instead
        kept = [one for one in record["callbacks"] if one.get("name") != "time_budget"]
        told |= {"callbacks": callbacks_from(kept), "announce": False, "seed": seed}
        recipe = _recipe(record["data"], seed - record["seed"])
    return make(run, {**record, "data": recipe}, told, changes)


def _recipe(recipe: Mapping[str, Any], later: int) -> dict[str, Any]:
    """The same items, split as they were, whose order and augmentation are drawn by a later seed."""
    split = recipe.get("split_seed", recipe["seed"])
    return {**recipe, "seed": recipe["seed"] + later, "split_seed": split} if later else {**recipe}


def _pictures(
    run: str, record: Mapping[str, Any], told: dict[str, Any], changes: Mapping[str, Any]
) -> Learner:
    from drivetrain import vision
    from drivetrain.vision.budget import share_of
    from drivetrain.vision.data import gather_again

    settings = record["settings"]
    data = gather_again(record["data"])
    _check(share_of(data, settings["fraction"], seed=record["seed"]).fingerprint(), record, run)
    options = {
        "model": record["model"]["name"],
        "loss_fn": settings["loss_fn"],
        "pretrained": settings["pretrained"],
        "augment": settings["augment"],
        "dropout": settings["dropout"],
        "fraction": settings["fraction"],
        **told,
        **changes,
    }
    return vision.learner(data, **options)


def _table(
    run: str, record: Mapping[str, Any], told: dict[str, Any], changes: Mapping[str, Any]
) -> Learner:
    from drivetrain import tabular
    from drivetrain.tabular.gathering import gather_again

    share, changes = _share(record, changes)
    settings, model = record["settings"], record["model"]
    data = gather_again(record["data"])
    _check(data.fingerprint(), record, run)
    options = {
        "layers": model["layers"],
        "loss_fn": settings["loss_fn"],
        "y_range": model["y_range"] if model["y_range"] is not None else False,
        "dropout": model["dropout"],
        "embedding_dropout": model["embedding_dropout"],
        **told,
        **changes,
    }
    return _on_share(tabular.learner(data, **options), share)


def _texts(
    run: str, record: Mapping[str, Any], told: dict[str, Any], changes: Mapping[str, Any]
) -> Learner:
    from drivetrain import text
    from drivetrain.text.data import gather_again

    share, changes = _share(record, changes)
    settings = record["settings"]
    data = gather_again(record["data"])
    _check(data.fingerprint(), record, run)
    if data.goal is None:
        raise ConfigError(f"{run} is a language model: it is not compared with others.")
    options = {
        "model": None if settings["model"] == "saved" else settings["model"],
        "encoder": settings["encoder"],
        "loss_fn": settings["loss_fn"],
        "max_len": settings["asked_max_len"],
        "drop_mult": settings["drop_mult"],
        "sizes": settings["sizes"],
        **told,
        **changes,
    }
    return _on_share(text.learner(data, **options), share)


def _ratings(
    run: str, record: Mapping[str, Any], told: dict[str, Any], changes: Mapping[str, Any]
) -> Learner:
    from drivetrain import collab
    from drivetrain.collab.data import gather_again

    share, changes = _share(record, changes)
    model, settings = dict(record["model"]), record["settings"]
    data = gather_again(record["data"])
    _check(data.fingerprint(), record, run)
    options: dict[str, Any] = {"model": model["name"]}
    if not data.is_implicit:
        options |= {
            "loss_fn": settings["loss_fn"],
            "y_range": model["y_range"] if model["y_range"] is not None else False,
        }
    if model["name"] == "net":
        options |= {name: model[name] for name in ("layers", "batch_norm", "dropout")}
    else:
        options["num_factors"] = model["num_factors"]
    return _on_share(collab.learner(data, **{**options, **told, **changes}), share)


def _share(record: Mapping[str, Any], changes: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    """The share of the items that a loader gives out, and the changes beside it."""
    told = dict(changes)
    return told.pop("fraction", record["settings"].get(FRACTION, 1.0)), told


def _on_share(learner: Learner, share: float) -> Learner:
    """The Learner, training on a share of its items."""
    from drivetrain.train.within import take_share

    application: Any = learner.application
    if share < 1:
        application.settings[FRACTION] = share
        take_share(learner)
    return learner


def _check(fingerprint: str, record: Mapping[str, Any], run: str) -> None:
    from drivetrain.errors import RunError

    if fingerprint != record["fingerprint"]:
        raise RunError(f"The data of {run} is not what it began with. Put it back, or train anew.")
