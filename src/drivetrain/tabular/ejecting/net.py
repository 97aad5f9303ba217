"""What a table brings to the script of its net: reading, splitting, what is learnt of columns; the net.

Models that no Learner trained are written by `ejecting.trees`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from drivetrain.eject.corrections import as_option
from drivetrain.eject.form import TUPLE, Form
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Part, Written
from drivetrain.eject.share import FRACTION, kept_rows, shared_loaders
from drivetrain.eject.text import indented
from drivetrain.errors import EjectError
from drivetrain.losses.table import unwrapped
from drivetrain.models import tabular as nets
from drivetrain.randomness import derive, permutation
from drivetrain.tabular.ejecting.data import TableWriter
from drivetrain.tabular.ejecting.learning import Learning
from drivetrain.tabular.ejecting.read_function import read_written
from drivetrain.tabular.ejecting.splitting import split_of, targets_of
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.callbacks.early_stopping import EarlyStopping
from drivetrain.train.callbacks.ema import EMA
from drivetrain.train.callbacks.label_smoothing import LabelSmoothing
from drivetrain.train.callbacks.reduce_on_plateau import ReduceOnPlateau
from drivetrain.train.callbacks.save_best import SaveBest

if TYPE_CHECKING:
    from drivetrain.tabular.application import TabularApplication
    from drivetrain.train.learner import Learner

NET = "drivetrain.models.tabular:TabularNet"
_STILL = (Accumulate, ClipGradients, EarlyStopping, EMA, LabelSmoothing, ReduceOnPlateau, SaveBest)
"""Callbacks that draw nothing."""
VALID_BATCH_SIZE = 1024


def eject_part(
    application: TabularApplication, learner: Learner, lifter: Lifter, level: str
) -> Part:
    """The part of a script that is about tables.

    Raises: EjectError: the table came from memory, or something of it has no plain form.
    """
    return _Writer(application, learner, lifter, level).part(level)


class _Writer:
    def __init__(
        self, application: TabularApplication, learner: Learner, lifter: Lifter, level: str
    ) -> None:
        self.application, self.learner, self.lifter = application, learner, lifter
        self.data = application.data
        self.table = TableWriter(application.data, lifter, reads=level != "loop", seed=learner.seed)
        self.fraction = application.settings.get(FRACTION, 1.0)
        self.written: list[Written] = []
        self.net = application.description
        self.has_codes = bool(self.net["level_counts"])
        self.has_numbers = bool(self.net["num_numbers"])

    def part(self, level: str) -> Part:
        """Everything of it."""
        names = [*(["codes"] if self.has_codes else []), *(["numbers"] if self.has_numbers else [])]
        form = self._form(names)
        if level == "loop":
            self._our_loaders()
        else:
            self._rows(names)
        if level == "all":
            self._model()
        else:
            self._our_model()
        is_plain = level != "loop"
        found = validation(
            self.learner,
            self.lifter,
            "valid_batches(valid)" if is_plain else "valid",
            kind="Part" if is_plain else "Iterable",
            form=form,
        )
        self.written += found.written
        valid = "valid" if is_plain else "loaders.valid"
        kind = "Parquet" if self.data.report.format == "parquet" else "CSV"
        train = "train_batches(train, epoch)" if is_plain else "loaders.train.batches(epoch)"
        return Part(
            title=self._title(),
            settings=self.table.settings,
            written=self.written,
            load=self._load(level),
            fit_arguments="model, train, valid" if is_plain else "model, loaders",
            batches=train,
            num_batches=len(self.learner.loaders.train),  # pyright: ignore[reportArgumentType]
            validate=f"evaluate(model, {valid})",
            layer_groups="[[model]]",
            result=found.result,
            measure=f"evaluate(model, {valid})",
            known=self.table.known,
            beside=self.table.beside,
            note=self.table.note,
            instead=self.table.instead,
            data_help=f"the table, a {kind} file",
            form=form,
            draws=self._draws(),
            parameters=[("train", "Part"), ("valid", "Part")]
            if is_plain
            else [("loaders", "Loaders")],
        )

    def _form(self, names: list[str]) -> Form:
        """Inputs by their names; in a list where a callback changes them."""
        callbacks = [*self.learner.callbacks, *(c for _, cs in self.learner.given for c in cs)]
        if any("inputs" in inspect.getsource(type(one)) for one in callbacks):
            return TUPLE
        head = ", ".join([*names, "targets"])
        listed = ", ".join(names)
        return Form(head, "", listed, "part", TUPLE.each, f"[{listed}]", "len(targets)")

    def _draws(self) -> bool:
        """Whether anything may draw from torch's generator while it trains; yes, if nobody can tell."""
        callbacks = [*self.learner.callbacks, *(c for _, cs in self.learner.given for c in cs)]
        loss, _ = unwrapped(self.learner.loss_fn)
        ours = all(
            (getattr(one, "__module__", "") or "").startswith(("drivetrain.", "torch."))
            for one in (loss, getattr(self.learner.optimizer, "func", self.learner.optimizer))
        )
        is_still = all(type(c) in _STILL or not c.in_script for c in callbacks)
        drops = self.net["dropout"] > 0 or self.net["embedding_dropout"] > 0
        return drops or not (ours and is_still)

    # --- rows -------------------------------------------------------------------------------------

    def _rows(self, names: list[str]) -> None:
        table = self.table
        uses: dict[str, Any] = {}
        self.written.append(Written(self._part_class(), "data"))
        read = read_written(table)
        self.written.append(read)
        lines = ["columns = read(path)"]
        learning = Learning(table, scales=True)
        lines += targets_of(table, uses)
        lines += split_of(table, uses)
        lines += learning.expand(uses)
        lines += learning.learn(uses)
        lines += ["", "def part(rows: np.ndarray) -> Part:"]
        fields = []
        if self.has_codes:
            lines.append(f"    codes = {learning.codes(uses)}")
            fields.append("torch.from_numpy(np.stack(codes, axis=1))")
        if self.has_numbers:
            lines.append(f"    scaled = {learning.scaled(uses, 'standardised')}")
            flags = learning.flags()
            if flags:
                lines.append(f"    flags = {flags}")
            both = "[*scaled, *flags]" if flags else "scaled"
            fields.append(f"torch.from_numpy(np.stack({both}, axis=1).astype(np.float32))")
        single = "" if self.data.target.kind == "class" else ".astype(np.float32)"
        fields.append(f"torch.from_numpy(targets[rows]{single})")
        lines += ["    return Part("] + [f"        {one}," for one in fields] + ["    )"]
        lines += ["", "return part(train), part(valid)"]
        self.written.append(Written(_LOAD.format(body=indented(lines, 1)), "data", uses))
        for module, name in (("typing", "NamedTuple"), ("torch", "Tensor"), ("torch", "")):
            self.lifter.add_import(Import(module, name))
        self._batches(names)

    def _part_class(self) -> str:
        goal = self.data.target
        flags = any(column.has_flag for column in self.data.preprocess.numbers)
        lines = []
        if self.has_codes:
            lines.append(
                "codes: Tensor  # (N, C) int64: which of its levels each category has; 0 is missing "
                "or unseen"
            )
        if self.has_numbers:
            also = ", then flags of what was missing" if flags else ""
            lines.append(f"numbers: Tensor  # (N, D) float32: standardised{also}")
        if goal.kind == "class":
            lines.append("targets: Tensor  # (N,) int64: which of CLASSES each is of")
        elif len(goal.names) == 1:
            lines.append("targets: Tensor  # (N,) float32")
        else:
            lines.append("targets: Tensor  # (N, T) float32: one for each of TARGETS")
        return _PART.format(fields=indented(lines, 1))

    def _batches(self, names: list[str]) -> None:
        settings = self.application.settings
        size = settings["batch_size"]
        self.table.setting("BATCH_SIZE", size, self.table.reason("batch_size"))
        self.table.setting(
            "VALID_BATCH_SIZE", max(size, VALID_BATCH_SIZE), "rows at once where nothing is learnt"
        )
        fields = ", ".join(f"part.{name}[rows]" for name in [*names, "targets"])
        uses: dict[str, Any] = {"permutation": permutation}
        kept, form = kept_rows(
            self.fraction,
            uses,
            self.table.setting,
            count="len(part.targets)",
            seed=self.table.seed,
            labels="part.targets.tolist()" if self.data.target.kind == "class" else None,
        )
        many = "len(kept)" if kept else "len(part.targets)"
        order = form.format(f"permutation({many}, seed={self.table.seed}, epoch=epoch)")
        count = len(self.learner.loaders.train.data)  # pyright: ignore[reportAttributeAccessIssue]
        joins = count % size == 1 and count > 1
        kind = ", ".join(["Tensor"] * (len(names) + 1))
        self.written.append(
            Written(
                _BATCHES.format(
                    kept=kept,
                    order=order,
                    ends=_JOINED if joins else "",
                    chunks="order.tensor_split(ends)" if joins else "order.split(BATCH_SIZE)",
                    fields=fields,
                    kind=kind,
                    inputs=f"{', '.join(names)} and targets".capitalize(),
                ),
                "data",
                uses,
            )
        )
        self.lifter.add_import(Import("collections.abc", "Iterator"))

    # --- the net ----------------------------------------------------------------------------------

    def _model(self) -> None:
        net, table = self.net, self.table
        options = ["layers=LAYERS"]
        table.setting("LAYERS", tuple(net["layers"]), f"hidden layers: {table.reason('layers')}")
        for name, what in (("dropout", "hidden values"), ("embedding_dropout", "embeddings")):
            if net[name]:
                reason = f"share of the {what} that are dropped in training"
                options.append(f"{name}={table.setting(name.upper(), net[name], reason)}")
        if net["y_range"] is not None:
            ranges = tuple((low, high) for low, high in net["y_range"])
            reason = table.reason("y_range")
            said = "predictions stay within, as asked" if reason == "as asked" else reason
            table.setting("Y_RANGE", ranges, said)
            options.append("y_range=Y_RANGE")
        if net["squeeze"]:
            options.append("squeeze=True")
        counts = "(train.codes.amax(dim=0) + 1).tolist()" if self.has_codes else "()"
        width = "train.numbers.shape[1]" if self.has_numbers else "0"
        outputs = "len(CLASSES)" if self.data.target.kind == "class" else str(net["num_outputs"])
        why = "  # every level stands in a training row" if self.has_codes else ""
        self.written.append(
            Written(
                _MAKE_MODEL.format(
                    counts=f"\n    level_counts = {counts}{why}" if self.has_codes else "",
                    given="level_counts" if self.has_codes else "()",
                    width=width,
                    outputs=outputs,
                    options=", ".join(options),
                ),
                "model",
                {"derive": derive, "TabularNet": nets.TabularNet},
            )
        )
        known = {
            "self.has_numbers": Known(self.has_numbers),
            "self.has_range": Known(net["y_range"] is not None),
            "self.squeezes": Known(net["squeeze"]),
            "len(self.embeddings)": Known(len(net["level_counts"])),
        }
        if not self.has_codes:
            known["self.embeddings"] = Known(())
        table.known[NET] = known
        if not (self.has_codes and self.has_numbers):
            source = inspect.getsource(nets.TabularNet)
            both, one = "codes: Tensor, numbers: Tensor", "codes" if self.has_codes else "numbers"
            assert both in source, "what `forward` takes is said in one line"
            table.instead[NET] = source.replace(both, f"{one}: Tensor")
        self.lifter.add_import(Import("torch", "nn"))

    # --- shallower levels -------------------------------------------------------------------------

    def _our_model(self) -> None:
        net = dict(self.net)
        self.table.setting("NET", net, "what the net is made of")
        self.written.append(
            Written(
                _OUR_MODEL,
                "model",
                {"create_tabular_net": nets.create_tabular_net, "TabularNet": nets.TabularNet},
            )
        )

    def _our_loaders(self) -> None:
        recipe = dict(self.data.recipe)
        del recipe["source"], recipe["seed"]
        target = recipe.pop("target")
        table = self.table
        patch = as_option(recipe.pop("patch", None), table.setting, self.lifter)
        table.note, table.beside = patch.note, dict(patch.beside)
        self.written += patch.written
        table.setting(
            "TARGET", target[0] if len(target) == 1 else tuple(target), "what is predicted"
        )
        usual = inspect.signature(_gather()).parameters
        chosen = {
            key: value
            for key, value in recipe.items()
            if value not in (usual[key].default, [], {}, None) and key != "missing"
        }
        if tuple(recipe["missing"]) != tuple(usual["missing"].default):
            chosen["missing"] = list(recipe["missing"])
        table.setting(
            "BATCH_SIZE", self.application.settings["batch_size"], table.reason("batch_size")
        )
        options = "".join(f", {key}={value!r}" for key, value in chosen.items()) + patch.text
        uses: dict[str, Any] = {
            "gather": "drivetrain.tabular.gathering:gather",
            "Loaders": "drivetrain.data.loaders:Loaders",
        }
        answer = shared_loaders(
            self.fraction,
            uses,
            table.setting,
            self.lifter,
            loaders="data.loaders(batch_size=BATCH_SIZE)",
            seed=table.seed,
        )
        text = _OUR_LOADERS.format(options=options, seed=table.seed, answer=answer)
        self.written.append(Written(text, "data", uses))
        self.lifter.add_import(Import("pathlib", "Path"))

    # --- words ------------------------------------------------------------------------------------

    def _load(self, level: str) -> str:
        if level == "loop":
            return "loaders = load(arguments.data)\nmodel = make_model()"
        given = "train" if level == "all" else ""
        return f"train, valid = load(arguments.data)\nmodel = make_model({given})"

    def _title(self) -> str:
        goal = self.data.target
        count = len(self.data.reader.features)
        columns = "1 column" if count == 1 else f"{count} columns"
        if goal.kind == "class":
            some = ", ".join(goal.classes[:3]) + (", …" if len(goal.classes) > 3 else "")
            what = f"{goal.name} ({some})"
        else:
            what = goal.name
        return f"Train a net to predict {what} from {columns} of a table"


def _gather() -> Any:
    from drivetrain.tabular.gathering import gather

    return gather


_PART = '''
class Part(NamedTuple):
    """The rows that train, or those that validate, as the net sees them."""

{fields}
'''

_LOAD = '''
def load(path: Path) -> tuple[Part, Part]:
    """Read and split the table, and learn from the training rows how the net is to see them."""
{body}
'''

_JOINED = """    # batchnorm needs two rows, so the last one joins the batch before
    ends = list(range(BATCH_SIZE, len(order) - 1, BATCH_SIZE))
"""

_BATCHES = '''
def train_batches(part: Part, epoch: int) -> Iterator[tuple[{kind}]]:
    """{inputs}, in another order each epoch."""
{kept}    order = {order}
{ends}    for rows in {chunks}:
        yield {fields}


def valid_batches(part: Part) -> Iterator[tuple[{kind}]]:
    """The same in the order of the table."""
    for rows in torch.arange(len(part.targets)).split(VALID_BATCH_SIZE):
        yield {fields}
'''

_MAKE_MODEL = '''
def make_model(train: Part) -> TabularNet:
    """The net before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "tabular")){counts}
    return TabularNet({given}, {width}, {outputs}, {options})
'''

_OUR_MODEL = '''
def make_model() -> TabularNet:
    """The net before training; its random weights follow from the seed."""
    return create_tabular_net(NET, seed=SEED)
'''

_OUR_LOADERS = '''
def load(path: Path) -> Loaders:
    """The table, split and preprocessed, in batches."""
    data = gather(path, TARGET{options}, seed={seed})
    {answer}
'''

__all__ = ["EjectError", "eject_part"]
