"""Workbooks with live formulas: they compute and learn in the cells, without macros and without a solver.

    dt.sheets.write("descent", "descent.xlsx")
    dt.sheets.write(learner, "run.xlsx")        # a small net of your own: one batch, one step

Excel, LibreOffice and Google Sheets recalculate them. Beside each result stands what torch has for it,
and the guide in front says whether all of them agree, what to change, and what to watch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain._registry import lookup
from drivetrain.sheets.workbook import Workbook

if TYPE_CHECKING:
    from drivetrain.store import StrPath
    from drivetrain.train.learner import Learner

__all__ = ["SHEETS", "Workbook", "build", "settings_of", "write"]

SHEETS: dict[str, tuple[str, str]] = {
    "descent": (
        "Gradient descent on y = 2x + 30: raw and scaled x side by side, and why raw takes for ever.",
        "drivetrain.sheets.descent:build",
    ),
    "optimizers": (
        "SGD, momentum, RMSProp, Adam, AdamW step by step, and the loss of each at each rate.",
        "drivetrain.sheets.optimizers:build",
    ),
    "quadratic": (
        "A parabola learns from 20 points: why 676.95 is not the bottom, and how to get to 7.305.",
        "drivetrain.sheets.quadratic:build",
    ),
    "decay": (
        "Weight decay three ways, with a switch: 4.59, 4.595, under Adam, and in a fit that over-fits.",
        "drivetrain.sheets.decay:build",
    ),
    "titanic": (
        "Who survived: a linear model and a net of two neurons, with held-out rows and baselines.",
        "drivetrain.sheets.titanic:build",
    ),
    "softmax": (
        "Softmax and cross-entropy: natural log, the gradient p - y, label smoothing.",
        "drivetrain.sheets.softmax:build",
    ),
    "matmul": (
        "A matrix product as three loops, cell by cell, then shorter and shorter.",
        "drivetrain.sheets.matmul:build",
    ),
    "convolution": (
        "A digit through two layers, pooling and a dense layer; padding and stride are cells.",
        "drivetrain.sheets.convolution:build",
    ),
    "dropout": (
        "Masks from a seed: the true share of zeros, and the mean in training and in use.",
        "drivetrain.sheets.dropout:build",
    ),
    "batchnorm": (
        "A batch normalised, the running averages, evaluation, and the gradient back.",
        "drivetrain.sheets.batchnorm:build",
    ),
    "embedding": (
        "A word's row looked up, and the same row as a one-hot product; its gradient.",
        "drivetrain.sheets.embedding:build",
    ),
    "factorization": (
        "15 people and 15 films learn factors and biases; held-out ratings show over-fitting.",
        "drivetrain.sheets.factorization:build",
    ),
    "recurrent": (
        "A small RNN learns through time, an LSTM cell, and what 32 steps do to a gradient.",
        "drivetrain.sheets.recurrent:build",
    ),
    "trees": (
        "The score of every cut, a tree of four leaves, and a vote of five trees.",
        "drivetrain.sheets.trees:build",
    ),
}
"""Name -> (what the workbook shows, "module:function" that builds it)."""


def build(what: str | Learner, **settings: Any) -> Workbook:
    """A workbook by its name, or of a Learner's own net.

    Args:
        what: a name of `SHEETS`, or a Learner with a small net.
        settings: as the workbook's own `build` takes them, such as `lr`; for a Learner those of
            `drivetrain.sheets.own_run.build`.

    Raises: UnknownNameError: there is no such workbook. ConfigError: a setting is out of its range, or
        the Learner's net is not one that cells can hold; which part, and what would do, is said.
    """
    if isinstance(what, str):
        return _builder(what)(**settings)
    from drivetrain.sheets import own_run

    return own_run.build(what, **settings)


def settings_of(name: str) -> tuple[str, ...]:
    """The settings that a workbook takes, by their names.

    Args:
        name: one of `SHEETS`.

    Raises: UnknownNameError: there is no such workbook.
    """
    return tuple(inspect.signature(_builder(name)).parameters)


def _builder(name: str) -> Callable[..., Workbook]:
    _, target = lookup(SHEETS, name, what="workbook")
    module, _, function = target.partition(":")
    return getattr(import_module(module), function)


def write(what: str | Learner, path: StrPath, **settings: Any) -> Path:
    """Write a workbook; a file that is there is replaced. See `build`.

    Args:
        what: a name of `SHEETS`, or a Learner with a small net.
        path: of the file.
        settings: as `build` takes them.

    Returns: the path.
    Raises: as `build`; MissingPackageError: XlsxWriter is not installed. StorageError: the disk refused.
    """
    return build(what, **settings).save(path)
