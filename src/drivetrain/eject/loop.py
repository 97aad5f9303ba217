"""The training loop of a run: for each kind of fit a function, its callbacks' statements inside.

The functions are the plain form of `drivetrain.train.loop.fit`, with a mark at each event. Fits of a
journal that differ in numbers alone share one function, and what differs are its parameters.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.effects import replace_name
from drivetrain.eject.events import Events
from drivetrain.eject.filling import fill, fill_batches, join_row, replace_call, stored_names
from drivetrain.eject.fits import Fit, Kind, has_name, kinds_of
from drivetrain.eject.flow import put_events
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import count_text
from drivetrain.eject.modules import Import
from drivetrain.eject.numbers import TYPES, Numbers
from drivetrain.eject.rates import Rates
from drivetrain.eject.settings import Setting, add_setting
from drivetrain.eject.surroundings import Surroundings
from drivetrain.optim.schedules import PER_GROUP
from drivetrain.train.callbacks.label_smoothing import LabelSmoothing
from drivetrain.train.callbacks.reduce_on_plateau import ReduceOnPlateau

PLAIN = '''
def fit(model):
    """DOC"""
    GROUPS
    optimizer = OPTIMIZER(groups)
    for group in optimizer.param_groups:
        group["max_lr"] = group["lr"]
    EVENT("before_fit")
    step = 0
    for epoch in range(FIRST_EPOCH, FIRST_EPOCH + EPOCHS):
        EVENT("before_epoch")
        set_training_mode(model, in_eval)
        losses, counts = [], []
        for batch in train_batches(epoch):
            UNPACK
            set_generators(SEED, "step", FIRST_STEP + step)  # what dropout draws from
            SET_RATES
            EVENT("before_batch")
            preds = model(INPUTS)
            EVENT("after_forward")
            loss = LOSS(preds, targets)
            EVENT("after_loss")
            loss.backward()
            EVENT("after_backward")
            EVENT("before_step")
            optimizer.step()
            EVENT("after_step")
            optimizer.zero_grad()
            step += 1
            EVENT("after_batch")
        row = {"epoch": epoch, "train_loss": weighted_mean(losses, counts)}
        EVENT("before_validate")
        row |= VALIDATE
        EVENT("after_validate")
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)
        EVENT("after_epoch")
    EVENT("after_fit")
'''
"""The loop with its events. `EVENT(…)` becomes the statements of callbacks; capitals are put in."""


class Loops:
    """The loops of a journal.

    Args:
        lifter: for what the loops call.
        around: what they are put into.
        seed: of the run.
    """

    def __init__(self, lifter: Lifter, around: Surroundings, *, seed: int) -> None:
        self.lifter = lifter
        self.around = around
        self.seed = seed
        self.kinds: list[Kind] = []
        self.settings: list[Setting] = []
        self.rates = Rates(lifter, around)

    def add(self, fits: Sequence[Fit]) -> None:
        """Write the functions for the fits of a journal.

        Raises: EjectError: a callback has no plain form.
        """
        uses = Counter(id(one) for fit in fits for one in fit.callbacks)
        several = frozenset(one for one, count in uses.items() if count > 1)
        for kind in kinds_of(fits):
            self.kinds.append(kind)
            self._write(kind, several)

    def _write(self, kind: Kind, several: frozenset[int]) -> None:
        around, lifter = self.around, self.lifter
        numbers = Numbers(kind, around, self._constant)
        function: Any = tree.statement(PLAIN)
        function.name = kind.name
        reads_highest = any(
            isinstance(c, ReduceOnPlateau) or not has_name(c) for c in kind.callbacks
        )
        rates = self.rates.statements(kind.stage, numbers, reads_highest=reads_highest)
        loss = self._training_loss(kind)
        events = self._events(kind, numbers, loss, several)
        in_eval = self._training_mode(function, kind, events)
        if not events["before_validate"]:
            join_row(function)
        put_events(function, events, num_batches=around.num_batches)
        fill(
            function,
            {
                "LAYER_GROUPS": around.layer_groups,
                "LRS": numbers.text("lr" if around.is_one_group else "lrs"),
                "WEIGHT_DECAY": numbers.text("weight_decay"),
                "FIRST_EPOCH": numbers.text("first_epoch"),
                "FIRST_STEP": numbers.text("first_step"),
                "EPOCHS": numbers.text("epochs"),
                "NAMED": repr(around.named or kind.stage.schedule["name"] == PER_GROUP),
                "VALIDATE": around.validate or "{}",
            },
            statements={
                "GROUPS": tree.statements(self._groups()),
                "UNPACK": tree.statements(around.form.unpack),
                "SET_RATES": tree.statements(rates),
            },
            calls={"LOSS": loss, "OPTIMIZER": around.optimizer},
        )
        fill_batches(function, around.batches, around.form)
        parameters = numbers.parameters
        if not around.draws:
            replace_call(function, "set_generators", [])
            read = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
            parameters = [name for name in parameters if name != "first_step" or name in read]
        _set_signature(function, [*parameters, *in_eval])
        groups = "split_by_decay" if around.is_one_group else "param_groups"
        lifter.need(f"drivetrain.optim.groups:{groups}")
        lifter.need("drivetrain.randomness:set_generators")
        lifter.need("drivetrain.train.batches:weighted_mean")
        lifter.add_import(Import("torch", "nn"))
        _drop_unneeded(function)
        function.body[0].value.value = kind.description
        kind.node = function
        for fit, own in zip(kind.fits, numbers.of_fits, strict=True):
            fit.function = kind.name
            fit.arguments = {name: repr(own[name]) for name in parameters} | fit.arguments

    def _events(
        self, kind: Kind, numbers: Numbers, loss: str, several: frozenset[int]
    ) -> dict[str, list[ast.stmt]]:
        """What is done at each event: by callbacks, and by the loop itself."""
        around = self.around
        opened = Events(
            kind,
            numbers,
            self.lifter,
            around,
            seed=self.seed,
            loss=Known(around.loss.value, loss),
            several=several,
        )
        self.settings += opened.settings
        count = count_text(around.loss.value, around.form)
        record = f"losses.append(loss.detach())\ncounts.append({count})"
        events = opened.statements(tree.statements(record))
        if kind.fits[0].stops_at is not None:
            events["after_batch"] += tree.statements(
                f"if step == {numbers.text('stop')}:  # where it was stopped\n    raise CancelFit"
            )
        return events

    def _training_mode(
        self, function: Any, kind: Kind, events: dict[str, list[ast.stmt]]
    ) -> list[str]:
        """Which layers stay in the mode of validation while others train.

        Returns: `in_eval`, where that is a parameter, because fits differ in it.
        """
        keeping = {fit.stage.keep_statistics for fit in kind.fits}
        norms = f"batchnorms({self.around.layer_groups}[:-1])"
        is_given = len(keeping) == 2
        is_stored = any("in_eval" in stored_names(one) for one in events["before_fit"])
        if True in keeping:
            self.lifter.need("drivetrain.train.modules:batchnorms")
        if is_given:
            for fit in kind.fits:
                fit.arguments["in_eval"] = norms if fit.stage.keep_statistics else "()"
        elif True in keeping or is_stored:
            made = f"in_eval = {norms if True in keeping else '[]'}"
            events["before_fit"] = [*tree.statements(made), *events["before_fit"]]
        elif self.around.frozen:
            replace_name(function, "in_eval", tree.expression("()"))
        else:
            replace_call(function, "set_training_mode", tree.statements("model.train()"))
            return []
        self.lifter.need("drivetrain.train.loop:set_training_mode")
        return ["in_eval"] if is_given else []

    def _training_loss(self, kind: Kind) -> str:
        """The loss in training, which may ask for less than the one that is validated."""
        text = self.around.loss.text or ""
        for callback in kind.callbacks:
            if isinstance(callback, LabelSmoothing):
                reason = "share of the target spread over all classes"
                name = self._constant("LABEL_SMOOTHING", callback.smoothing, reason)
                text = _with_option(text, "label_smoothing", name)
        return text

    def _groups(self) -> str:
        """Statements that make the optimizer's `groups`."""
        if not self.around.is_one_group:
            return _GROUPS
        if not self.around.decays_all:
            return _ONE_RATE
        return _ALL_DECAYED if self.around.trains_all else _TRAINED_DECAYED

    def _constant(self, name: str, value: Any, reason: str) -> str:
        return add_setting(self.settings, self.lifter.constants, name, value, reason)


_GROUPS = "groups = param_groups(LAYER_GROUPS, lrs=LRS, weight_decay=WEIGHT_DECAY, named=NAMED)"
_ALL_DECAYED = """
weights = list(model.parameters())
groups = [{"params": weights, "lr": LRS, "weight_decay": WEIGHT_DECAY}]
"""
_TRAINED_DECAYED = """
weights = [weight for weight in model.parameters() if weight.requires_grad]
groups = [{"params": weights, "lr": LRS, "weight_decay": WEIGHT_DECAY}]
"""
_ONE_RATE = """
decayed, kept = split_by_decay([model])
groups = [
    {"params": decayed, "lr": LRS, "weight_decay": WEIGHT_DECAY},
    {"params": kept, "lr": LRS, "weight_decay": 0.0},
]
"""


def _set_signature(function: Any, parameters: Sequence[str]) -> None:
    function.args.args[0].annotation = tree.expression("nn.Module")
    function.args.kwonlyargs = [
        ast.arg(name, tree.expression(TYPES.get(name, "float"))) for name in parameters
    ]
    function.args.kw_defaults = [None] * len(parameters)
    function.returns = ast.Constant(None)


def _with_option(text: str, key: str, value: str) -> str:
    """A loss with an option more."""
    node: Any = tree.expression(text)
    if isinstance(node, ast.Call):
        node.keywords.append(ast.keyword(key, tree.expression(value)))
        return tree.unparse(node)
    return f"functools.partial({text}, {key}={value})"


def _drop_unneeded(function: Any) -> None:
    """The rate that schedules are a share of, where there is no schedule."""
    text = ast.unparse(function)
    if text.count("max_lr") == 1:
        function.body = [
            one
            for one in function.body
            if not (isinstance(one, ast.For) and "max_lr" in ast.unparse(one))
        ]
