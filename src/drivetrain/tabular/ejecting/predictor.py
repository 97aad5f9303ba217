"""`predict.py` of a bundle of tables: what the bundle answers, as a plain script without Drivetrain.

It is made as the script of a run is (`drivetrain.eject`): of the library's own source (how cells are
read, columns prepared, trees walked, rows judged), with what is known of this bundle put in. Names of
columns, levels and labels are read from `bundle.json`: nothing of a table becomes code.
"""

from __future__ import annotations

import textwrap

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.manifest import Manifest
from drivetrain.eject import ending
from drivetrain.eject.known import Known
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.eject.text import docstring
from drivetrain.tabular.bundling.guard import TINY
from drivetrain.tabular.bundling.predictor import TablePredictor
from drivetrain.tabular.columns import date_text
from drivetrain.tabular.ejecting.predicting.answers import answering_written, judging_written
from drivetrain.tabular.ejecting.predicting.model import kinds_of, leaves_of, model_written
from drivetrain.tabular.ejecting.predicting.preparing import preparing_written
from drivetrain.tabular.ejecting.predicting.reading import reading_written
from drivetrain.tabular.estimators import NET_BATCH, TreeEstimator

SECTIONS = (
    ("settings", "Settings"),
    ("open", "From a file to columns"),
    ("prepare", "From columns to what the model sees"),
    ("model", "Model"),
    ("guard", "Guard: how sure an answer is, and whether a row is of a known kind"),
    ("main", "Answers"),
)

_SECTION_OF = {
    "tabular.preprocess": "prepare",
    "tabular.columns.dates": "prepare",
    "data.frame": "open",
    "tabular.bundling.guard_rows": "guard",
    "tabular.estimators": "model",
    "tabular": "open",
    "trees": "model",
    "models": "model",
    "bundle": "guard",
}
_CHUNK = 1_024
"""Rows that are judged at once, as `Domain.score` does."""


def predictor_source(predictor: TablePredictor, manifest: Manifest) -> str:
    """The source of `predict.py`.

    Args:
        predictor: of the bundle, with its guard.
        manifest: of the bundle; it need not know its files yet.
    Raises: MissingPackageError: ruff, which lays it out, is not installed. EjectError: something of it
        has no plain form; that is our bug.
    """
    return _Writer(predictor, manifest).source(ruff_path())


class _Writer:
    def __init__(self, predictor: TablePredictor, manifest: Manifest) -> None:
        self.predictor, self.manifest = predictor, manifest
        self.target, self.guard = predictor.target, predictor.guard
        self.preprocess, self.reader = predictor.preprocess, predictor.reader
        self.kinds = kinds_of(predictor.estimator)
        self.has_torch = "net" in self.kinds or self.guard is not None
        self.lifter = Lifter()
        self.lifter.on_cpu = True

    def source(self, ruff: str) -> str:
        """Everything of it."""
        lifter, settings = self.lifter, self._settings()
        lifter.constants |= {one.name: one.value for one in settings}
        self._known()
        guard = self.guard
        has_spread = guard is not None and guard.spread_floor is not None
        written = [
            Written(_HERE, "settings"),
            *reading_written(self.reader),
            *preparing_written(self.preprocess, self.kinds),
            *model_written(
                self.predictor.estimator, self.preprocess, self.target, has_spread=has_spread
            ),
            *(judging_written(self.preprocess) if guard is not None else []),
            *answering_written(
                self.target, guard, self.preprocess, self.reader, has_torch=self.has_torch
            ),
            Written(ending.RUN, "main"),
        ]
        pieces = pieces_of(written, lifter)
        for one in _IMPORTS:
            lifter.add_import(one)
        text = put_together(
            lifter,
            pieces,
            settings,
            docstring=self._docstring(),
            sections=SECTIONS,
            section_of=_section_of,
            ending=ending.ENDING,
        )
        return laid_out(text, ruff)

    def _settings(self) -> list[Setting]:
        found = []
        if self.has_torch and self.predictor.num_threads is not None:
            why = "torch threads; another number may round otherwise"
            found.append(Setting("NUM_THREADS", self.predictor.num_threads, why))
        if "net" in self.kinds:
            found.append(Setting("NET_BATCH", NET_BATCH, "rows at once; likewise"))
        if self.guard is not None:
            found.append(Setting("CHUNK", _CHUNK, "rows that are judged at once; likewise"))
            if self.target.kind == "class":
                found.append(Setting("TINY", TINY, "in place of a probability of 0"))
        return found

    def _known(self) -> None:
        """What is the same for all columns, or all trees, of this bundle."""
        # made by two statements there, and a script takes one along
        self.lifter.instead["drivetrain.tabular.columns.date_text:_CODES"] = (
            f"_CODES = {date_text._CODES!r}"
        )
        trees = [
            leaf.ensemble
            for leaf in leaves_of(self.predictor.estimator)
            if isinstance(leaf, TreeEstimator)
        ]
        if trees:
            of = "drivetrain.trees.ensemble:TreeEnsemble"
            self.lifter.known[of] = {
                f"self.{name}": Known(values.pop())
                for name in ("combine", "link", "num_classes", "exponential")
                if len(values := {getattr(one, name) for one in trees}) == 1
            }
            if not any((one.category >= 0).any() for one in trees):
                self.lifter.known["drivetrain.trees.walk:Walker"] = {"self.has_sets": Known(False)}
        if "net" in self.kinds:
            has_codes, has_numbers = (
                bool(self.preprocess.level_counts),
                bool(self.preprocess.numbers),
            )
            self.lifter.known["drivetrain.models.tabular:TabularNet"] = {
                "self.has_numbers": Known(has_numbers),
                **({} if has_codes else {"len(self.embeddings)": Known(0)}),
            }

    def _docstring(self) -> str:
        target, classes = self.target, self.target.classes
        if target.kind == "class":
            what = f"which of {len(classes)} classes the rows of a table are of"
        else:
            what = "the number" + ("s" if len(target.names) > 1 else "") + " of the rows of a table"
        text = [*textwrap.wrap(f"Predict {what}.", WIDTH), ""]
        beside = ["bundle.json", manifests.WEIGHTS]
        beside += [] if self.guard is None else [manifests.GUARD, manifests.GUARD_TENSORS]
        text += textwrap.wrap(
            "Written by Drivetrain, which it does not need. It answers as `drivetrain predict` does, to "
            "the last bit on the same machine and versions, and calculates on the CPU. What the model "
            f"has learnt lies beside it: {', '.join(beside[:-1])} and {beside[-1]}. A CSV file is "
            "UTF-8, and its first row names the columns.",
            WIDTH,
        )
        text += ["", "    python predict.py TABLE... [--json]"]
        return docstring(text)


def _section_of(module: str) -> str:
    name = module.partition(".")[2]
    while name:
        if name in _SECTION_OF:
            return _SECTION_OF[name]
        name = name.rpartition(".")[0]
    return "open"


_IMPORTS = (
    *(Import(name) for name in ("argparse", "csv", "json", "torch")),
    *ending.IMPORTS,
    Import("numpy", "", "np"),
    Import("pyarrow", "", "pa"),
    Import("pyarrow", "parquet"),
    Import("dataclasses", "fields"),
    Import("pyarrow", "compute"),
    Import("pathlib", "Path"),
    Import("safetensors.numpy", "load_file"),
    Import("torch", "Tensor"),
    Import("typing", "Any"),
    Import("typing", "NamedTuple"),
)
"""What the texts below use; those that are not used are left out."""

_HERE = """
HERE = Path(__file__).parent
DESCRIPTION = json.loads((HERE / "bundle.json").read_text("utf-8"))
READER = DESCRIPTION["preprocessing"]["reader"]
PREPROCESS = DESCRIPTION["preprocessing"]["preprocess"]
CLASSES = DESCRIPTION["classes"]
"""
