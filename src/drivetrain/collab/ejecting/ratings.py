"""What ratings bring to the script of their model: rows, batches, the factorisation or the net."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from drivetrain.collab.data import VALID_BATCH_SIZE, gather
from drivetrain.collab.ejecting.data import RowWriter
from drivetrain.eject.form import PAIR, TUPLE, Form
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Part, Written
from drivetrain.eject.share import FRACTION, kept_rows, shared_loaders
from drivetrain.losses.table import unwrapped
from drivetrain.models import factorization
from drivetrain.nn.ranges import sigmoid_range
from drivetrain.randomness import derive, permutation
from drivetrain.train.callbacks.accumulate import Accumulate
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.train.callbacks.early_stopping import EarlyStopping
from drivetrain.train.callbacks.ema import EMA
from drivetrain.train.callbacks.mixed_precision import MixedPrecision
from drivetrain.train.callbacks.reduce_on_plateau import ReduceOnPlateau
from drivetrain.train.callbacks.save_best import SaveBest
from drivetrain.train.callbacks.unknown_rows import UnknownRows

if TYPE_CHECKING:
    from drivetrain.collab.application import CollabApplication
    from drivetrain.train.learner import Learner

MODELS = "drivetrain.models.factorization"
FORM = Form("pairs, targets", "", "pairs", "part", TUPLE.each, "[pairs]", "len(targets)")
"""A batch of ratings."""
_STILL = (*(Accumulate, ClipGradients, EarlyStopping, EMA, ReduceOnPlateau, SaveBest, UnknownRows),)
"""Callbacks that draw nothing."""


_MSE = """
def mse(preds, targets):
    return F.mse_loss(preds, targets)
"""


class RatingWriter:
    """Writes what a script has of ratings.

    Raises: EjectError: the ratings came from memory, or something of the run has no plain form.
    """

    what = "ratings"
    row_writer: type[RowWriter] = RowWriter
    form = FORM
    valid_batches = "zip(*(column.split(VALID_BATCH_SIZE) for column in valid), strict=True)"
    """Of a script that has its own data."""
    short_loss = ("drivetrain.losses.numbers:mse", _MSE)
    """A loss, and its form where model and targets are float32."""
    note = ""
    """A second paragraph for the script's docstring."""

    def __init__(
        self, application: CollabApplication, learner: Learner, lifter: Lifter, level: str
    ) -> None:
        self.application, self.learner, self.lifter = application, learner, lifter
        self.level = level
        self.data = application.data
        self.rows = self.row_writer(application.data, lifter, learner.seed)
        self.model = application.description
        self.fraction: float = application.settings.get(FRACTION, 1.0)
        self.callbacks = [*learner.callbacks, *(c for _, cs in learner.given for c in cs)]
        self.known: dict[str, dict[str, Known]] = {}
        self.instead: dict[str, str] = {}

    def part(self) -> Part:
        """Everything of it."""
        is_plain = self.level != "loop"
        if is_plain:
            self.rows.write()
            self._batches()
        else:
            self._our_loaders()
        if self.level == "all":
            self._model()
        else:
            self._our_model()
        if not any(isinstance(one, MixedPrecision) for one in self.callbacks):
            self.lifter.instead.update([self.short_loss])
        form = self._form()
        found = validation(
            self.learner,
            self.lifter,
            self.valid_batches if is_plain else "valid",
            kind="Part" if is_plain else "Iterable",
            form=form,
        )
        result = self._result(found.result)
        valid = "valid" if is_plain else "loaders.valid"
        kind = "Parquet" if self.rows.reading.is_parquet else "CSV"
        return Part(
            title=self._title(),
            settings=self.rows.settings,
            written=[*self.rows.written, *found.written],
            load=self._loaded(),
            fit_arguments=f"model, {'train, valid' if is_plain else 'loaders'}",
            batches="train_batches(train, epoch)" if is_plain else "loaders.train.batches(epoch)",
            num_batches=len(self.learner.loaders.train),  # pyright: ignore[reportArgumentType]
            validate=f"evaluate(model, {valid})",
            layer_groups="[[model]]",
            result=result,
            measure=f"evaluate(model, {valid})",
            known=self.known,
            instead=self.instead,
            data_help=f"the {self.what}, a {kind} file",
            form=form,
            draws=self._draws(),
            note=self.note,
            parameters=[("train", "Part"), ("valid", "Part")]
            if is_plain
            else [("loaders", "Loaders")],
        )

    def _loaded(self) -> str:
        """Statements of `main` that load the data and make the model."""
        given, source = ("train, valid", "train") if self.level != "loop" else ("loaders",) * 2
        return f"{given} = load(arguments.data)\nmodel = make_model({source})"

    def _result(self, measured: str) -> str:
        """The metrics of the result, an expression, from what the validation gives."""
        return measured

    def _form(self) -> Form:
        """Pairs of codes; `inputs` where a callback asks for them."""
        asks = any("inputs" in inspect.getsource(type(one)) for one in self.callbacks)
        return PAIR if asks else self.form

    def _draws(self) -> bool:
        """Whether anything may draw from torch's generator while it trains; yes, if nobody can tell."""
        loss, _ = unwrapped(self.learner.loss_fn)
        ours = all(
            (getattr(one, "__module__", "") or "").startswith(("drivetrain.", "torch."))
            for one in (loss, getattr(self.learner.optimizer, "func", self.learner.optimizer))
        )
        is_still = all(type(c) in _STILL or not c.in_script for c in self.callbacks)
        return bool(self.model.get("dropout")) or not (ours and is_still)

    # --- batches ----------------------------------------------------------------------------------

    def _batches(self) -> None:
        rows, size = self.rows, self.application.settings["batch_size"]
        rows.setting("BATCH_SIZE", size, rows.reason("batch_size"))
        rows.setting(
            "VALID_BATCH_SIZE",
            max(size, VALID_BATCH_SIZE),
            "ratings at once where nothing is learnt",
        )
        count = len(self.learner.loaders.train.data)  # pyright: ignore[reportAttributeAccessIssue]
        joins = count > size and count % size == 1
        uses: dict[str, Any] = {"permutation": permutation}
        kept, form = self.kept(uses, "len(part.ratings)")
        many = "len(kept)" if kept else "len(part.ratings)"
        text = _BATCHES.format(
            kept=kept,
            order=form.format(f"permutation({many}, seed={rows.seed}, epoch=epoch)"),
            ends=_JOINED if joins else "",
            chunks="order.tensor_split(ends)" if joins else "order.split(BATCH_SIZE)",
        )
        rows.written.append(Written(text, "data", uses))
        self.lifter.add_import(Import("collections.abc", "Iterator"))

    def _our_loaders(self) -> None:
        rows = self.rows
        rows.setting(
            "BATCH_SIZE", self.application.settings["batch_size"], rows.reason("batch_size")
        )
        uses: dict[str, Any] = {"gather": gather, "Loaders": "drivetrain.data.loaders:Loaders"}
        answer = shared_loaders(
            self.fraction,
            uses,
            rows.setting,
            self.lifter,
            loaders="data.loaders(batch_size=BATCH_SIZE)",
            seed=rows.seed,
        )
        options = self.gather_options()
        text = _OUR_LOADERS.format(options=options, seed=rows.seed, answer=answer)
        rows.written.append(Written(text, "data", uses))
        self.lifter.add_import(Import("pathlib", "Path"))

    def kept(self, uses: dict[str, Any], count: str) -> tuple[str, str]:
        """As `eject.share.kept_rows` of the events or ratings that train."""
        return kept_rows(self.fraction, uses, self.rows.setting, count=count, seed=self.rows.seed)

    def gather_options(self) -> str:
        """Arguments of `gather` that are not the usual ones, as text."""
        recipe = dict(self.data.recipe)
        for name in ("source", "seed", "titles", "user_facts", "item_facts"):
            del recipe[name]
        usual = inspect.signature(gather).parameters
        chosen = {
            name: value
            for name, value in recipe.items()
            if name != "missing" and value != usual[name].default
        }
        if tuple(recipe["missing"]) != tuple(usual["missing"].default):
            chosen["missing"] = list(recipe["missing"])
        return "".join(f", {name}={value!r}" for name, value in chosen.items())

    # --- the model --------------------------------------------------------------------------------

    def _model(self) -> None:
        model, rows = self.model, self.rows
        options = []
        if model["kind"] == "dot":
            kind = factorization.DotProduct
            factors = rows.setting("NUM_FACTORS", model["num_factors"], rows.reason("num_factors"))
            options += [factors, f"bias={model['bias']}"]
        else:
            kind = factorization.RatingNet
            for side in ("user", "item"):
                name = f"{side}_dim"
                dim = rows.setting(name.upper(), model[name], f"numbers in the vector of {side}s")
                options.append(f"{name}={dim}")
            layers = rows.setting("LAYERS", tuple(model["layers"]), rows.reason("layers"))
            options += [f"layers={layers}", f"batch_norm={model['batch_norm']}"]
            if model["dropout"]:
                said = "share of hidden values that are dropped in training"
                options.append(f"dropout={rows.setting('DROPOUT', model['dropout'], said)}")
        has_range = model["y_range"] is not None
        if has_range:
            ranges = tuple(map(float, model["y_range"]))
            rows.setting("Y_RANGE", ranges, rows.reason("y_range"))
            source = inspect.getsource(sigmoid_range)
            assert _FROM_ZERO in source, "the form of `sigmoid_range` that is made shorter here"
            short = source.replace(_FROM_ZERO, "scaled + low" if ranges[0] else "scaled")
            self.instead["drivetrain.nn.ranges:sigmoid_range"] = short
        self.write_class(kind, has_range=has_range)
        uses: dict[str, Any] = {"derive": derive, kind.__name__: kind}
        kept, _ = self.kept(uses, "len(train.pairs)")
        counted = "train.pairs[kept]" if kept else "train.pairs"
        text = _MAKE_MODEL.format(
            kind=kind.__name__, options=", ".join(options), kept=kept, counted=counted
        )
        rows.written.append(Written(text, "model", uses))
        self.lifter.add_import(Import("torch"))

    def write_class(self, kind: Any, *, has_range: bool) -> None:
        """The class of the model, as short as it is in this run."""
        model, source = self.model, inspect.getsource(kind)
        for old, new in {
            _RANGE: "self.low, self.high = Y_RANGE" if has_range else "",
            _BIAS: ", bias=False" if model.get("batch_norm") else "",
        }.items():
            assert old in source or (old == _BIAS and not model.get("layers")), old
            source = source.replace(old, new)
        self.instead[f"{MODELS}:{kind.__name__}"] = source
        self.known[f"{MODELS}:{kind.__name__}"] = {
            "self.has_bias": Known(bool(model.get("bias"))),
            "self.has_range": Known(has_range),
        }

    def _our_model(self) -> None:
        self.rows.setting("MODEL", dict(self.model), "what the model is made of")
        is_dot = self.model["kind"] == "dot"
        kind = factorization.DotProduct if is_dot else factorization.RatingNet
        is_plain = self.level != "loop"
        uses: dict[str, Any] = {
            "create_factorization": factorization.create_factorization,
            kind.__name__: kind,
        }
        kept, _ = self.kept(uses if is_plain else {}, "len(train.pairs)")
        counted = "train.pairs[kept]" if kept else "train.pairs"
        text = _OUR_MODEL.format(
            kind=kind.__name__,
            given="train: Part" if is_plain else "loaders: Loaders",
            kept=kept if is_plain else "",
            pairs=counted if is_plain else "loaders.train.data.tensors[0]",
        )
        self.rows.written.append(Written(text, "model", uses))

    def _title(self) -> str:
        columns, name = self.data.columns, self.application.name
        what = {
            "dot_bias": "a matrix factorisation with biases",
            "dot": "a matrix factorisation",
            "net": "a net over two vectors",
        }
        return (
            f"Train {what[name]} to predict {columns.rating} from {columns.user} and {columns.item}"
        )


_RANGE = "self.low, self.high = (0.0, 0.0) if y_range is None else (y_range[0], y_range[1])"
_BIAS = ", bias=not batch_norm"
_FROM_ZERO = "scaled + low if low else scaled"

_JOINED = """    # batchnorm needs two ratings, so the last one joins the batch before
    ends = list(range(BATCH_SIZE, len(order) - 1, BATCH_SIZE))
"""

_BATCHES = '''
def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs and their ratings, in another order each epoch."""
{kept}    order = {order}
{ends}    for rows in {chunks}:
        yield part.pairs[rows], part.ratings[rows]
'''

_MAKE_MODEL = '''
def make_model(train: Part) -> {kind}:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "ratings"))
    num_users, num_items = (train.pairs.amax(dim=0) + 1).tolist()  # the highest code trains
    model = {kind}(num_users, num_items, {options})
{kept}    model.count({counted})
    return model
'''

_OUR_MODEL = '''
def make_model({given}) -> {kind}:
    """The model before training; its random weights follow from the seed."""
    model = create_factorization(MODEL, seed=SEED)
{kept}    model.count({pairs})
    return model
'''

_OUR_LOADERS = '''
def load(path: Path) -> Loaders:
    """The ratings, split and as codes, in batches."""
    data = gather(path{options}, seed={seed})
    {answer}
'''
