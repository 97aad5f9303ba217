"""The training loop of a run: for each kind of fit a function, its callbacks' statements inside.

The functions below are the plain form of `drivetrain.train.loop.fit`, with a mark at each event. Fits of
a journal that differ in numbers alone share one function, and what differs are its parameters.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.inline import PAIR, Form, Opened, Setting, same_value
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Import, Lifter
from drivetrain.eject.measure import count_text
from drivetrain.errors import EjectError
from drivetrain.optim.schedules import PER_GROUP, ROUNDING, SCHEDULES
from drivetrain.train import callbacks as named_callbacks, journal
from drivetrain.train.callback import EVENTS, FIRST, Callback, Handlers
from drivetrain.train.callbacks.label_smoothing import LabelSmoothing
from drivetrain.train.callbacks.optimizer_mode import OptimizerMode
from drivetrain.train.callbacks.reduce_on_plateau import ReduceOnPlateau
from drivetrain.train.journal import Stage

PLAIN = '''
def fit(model):
    """DOC"""
    GROUPS
    optimizer = OPTIMIZER(groups)
    for group in optimizer.param_groups:
        group["max_lr"] = group["lr"]
    BEFORE_LOOP
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


@dataclass
class Fit:
    """One fit of the journal, as a call of a function of the script."""

    stage: Stage
    callbacks: list[Callback]
    function: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    """By parameter, the text of what this fit gives."""


@dataclass
class Kind:
    """Fits that differ in numbers alone."""

    name: str
    fits: list[Fit]
    node: Any = None


@dataclass
class Surroundings:
    """What the loop is put into: texts of expressions, and facts about the run."""

    layer_groups: str
    """`model.layer_groups()`, or `[[model]]`."""
    num_groups: int
    optimizer: str
    """What makes the optimizer out of `groups`, `{}` in their place."""
    has_modes: bool
    """The optimizer has `train` and `eval`."""
    loss: Known
    """The loss function and its text."""
    batches: str
    """The training batches of `epoch`."""
    num_batches: int | None
    validate: str
    """An expression of the row that a validation adds; empty where there is none."""
    metrics: Sequence[Any]
    draws: bool = True
    """Whether anything draws from torch's global generator while it trains."""
    form: Form = PAIR
    is_one_group: bool = False
    """All parameters have one rate, and either some are decayed and some are not, or all are."""
    decays_all: bool = False
    """All that is trained is decayed: none of it is a bias or a norm's."""
    trains_all: bool = True
    """No parameter is made so that it is not trained."""
    named: bool = False
    """The optimizer asks its groups which layers they are of."""
    frozen: bool = False
    """Some layers are frozen in some fit."""
    device: Any = None
    fills_unknown: bool = False
    """The model has `fill_unknown`, for the rows of its tables that nothing trains."""


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
        self.written: list[Any] = []
        """Functions beside the loops."""

    def add(self, fits: Sequence[Fit]) -> None:
        """Write the functions for the fits of a journal."""
        self._uses = Counter(id(one) for fit in fits for one in fit.callbacks)
        groups: dict[Any, list[Fit]] = {}
        for fit in fits:
            groups.setdefault(self._key(fit), []).append(fit)
        names = _names([group[0].stage for group in groups.values()])
        for name, group in zip(names, groups.values(), strict=True):
            kind = Kind(name, group)
            self.kinds.append(kind)
            self._write(kind)

    def _key(self, fit: Fit) -> Any:
        stage = fit.stage
        callbacks = [
            id(one) if not _has_name(one) else repr(named_callbacks.record_of(one))
            for one in fit.callbacks
        ]
        shape = (stage.schedule["name"], None if stage.momentum is None else stage.momentum["name"])
        composite = (
            repr(stage.schedule)
            if stage.schedule["name"] in (PER_GROUP, "warmup", "piecewise")
            else ""
        )
        return (shape, composite, tuple(callbacks), _stops_at(fit) is not None)

    # --- one function -----------------------------------------------------------------------------

    def _write(self, kind: Kind) -> None:
        values = self._values(kind)
        stage = kind.fits[0].stage
        function: Any = tree.statement(PLAIN)
        function.name = kind.name
        texts = {name: known.text or repr(known.value) for name, known in values.items()}
        first_epoch, first_step = texts["first_epoch"], texts["first_step"]
        around = self.around
        self.reads_highest = any(
            isinstance(c, ReduceOnPlateau) or not _has_name(c) for c in kind.fits[0].callbacks
        )
        rates = self._rates(stage, values)
        training_loss = self._training_loss(kind)
        opened = self._opened(kind, values, Known(around.loss.value, training_loss))
        replaced: dict[str, list[ast.stmt]] = {
            "BEFORE_LOOP": [],
            "GROUPS": tree.statements(self._groups(kind)),
            "UNPACK": tree.statements(around.form.unpack) if around.form.unpack else [],
            "SET_RATES": tree.statements(rates) if rates else [],
        }
        where = self._places(
            values,
            may_end=_stops_at(kind.fits[0]) is not None
            or any(map(_may_end, kind.fits[0].callbacks)),
        )
        events = {event: self._event(event, opened, where) for event in EVENTS}
        if events["after_valid_batch"]:
            at = next(one for one in opened if one.statements("after_valid_batch"))
            raise EjectError(
                f"The callback `{type(at.callback).__name__}` does something at `after_valid_batch`, and "
                "a script validates in a function of its own. Move it to `after_validate`."
            )
        first, rest = (
            [one for one in opened if (one.callback.order < FIRST) is is_before]
            for is_before in (True, False)
        )
        record = tree.statements(
            f"losses.append(loss.detach())\ncounts.append({count_text(around.loss.value, around.form)})"
        )
        events["after_loss"] = [
            *self._event("after_loss", first, where),
            *record,
            *self._event("after_loss", rest, where),
        ]
        beginnings = [s for one in opened for s in one.beginning()]
        events["before_fit"] = [*beginnings, *events["before_fit"]]
        keeping = {fit.stage.keep_statistics for fit in kind.fits}
        if True in keeping:
            self.lifter.need("drivetrain.train.modules:batchnorms")
        body_norms = f"batchnorms({around.layer_groups}[:-1])"
        if keeping == {True}:
            events["before_fit"] = [
                *tree.statements(f"in_eval = {body_norms}"),
                *events["before_fit"],
            ]
        elif len(keeping) == 2:
            for fit in kind.fits:
                fit.arguments["in_eval"] = body_norms if fit.stage.keep_statistics else "()"
        elif any("in_eval" in _stored(s) for s in events["before_fit"]):
            events["before_fit"] = [*tree.statements("in_eval = []"), *events["before_fit"]]
        elif around.frozen:
            _replace_text(function, "in_eval", "()")
        uses_in_eval = (
            any("in_eval" in _stored(s) for s in events["before_fit"]) or len(keeping) == 2
        )
        if not uses_in_eval and not around.frozen:
            _replace_call(function, "set_training_mode", tree.statements("model.train()"))
        elif "set_training_mode" in ast.dump(function):
            self.lifter.need("drivetrain.train.loop:set_training_mode")
        stop = _stops_at(kind.fits[0])
        if stop is not None:
            steps = values["stop"].text or repr(values["stop"].value)
            events["after_batch"] += tree.statements(
                f"if step == {steps}:  # where it was stopped\n    raise CancelFit"
            )
        if not events["before_validate"]:
            _measure_at_once(function)
        self._flow(function, events)
        _substitute(
            function,
            {
                "LAYER_GROUPS": around.layer_groups,
                "LRS": texts["lr" if around.is_one_group else "lrs"],
                "WEIGHT_DECAY": texts["weight_decay"],
                "FIRST_EPOCH": first_epoch,
                "FIRST_STEP": first_step,
                "EPOCHS": texts["epochs"],
                "SEED": "SEED",
                "NAMED": repr(around.named or stage.schedule["name"] == PER_GROUP),
                "VALIDATE": around.validate or "{}",
            },
            replaced,
            {"LOSS": training_loss, "OPTIMIZER": around.optimizer},
        )
        _put_batches(function, around)
        parameters = [name for name, known in values.items() if known.text == name]
        if not around.draws:
            _replace_call(function, "set_generators", [])
            is_read = any(
                n.id == "first_step" for n in ast.walk(function) if isinstance(n, ast.Name)
            )
            parameters = [name for name in parameters if name != "first_step" or is_read]
        if len(keeping) == 2:
            parameters.append("in_eval")
        function.args.kwonlyargs = [
            ast.arg(name, tree.expression(_KINDS.get(name, "float"))) for name in parameters
        ]
        function.args.kw_defaults = [None] * len(parameters)
        function.args.args[0].annotation = tree.expression("nn.Module")
        function.returns = ast.Constant(None)
        groups = "split_by_decay" if self._has_one_rate(kind) else "param_groups"
        for name in (
            f"drivetrain.optim.groups:{groups}",
            "drivetrain.randomness:set_generators",
            "drivetrain.train.batches:weighted_mean",
        ):
            self.lifter.need(name)
        self.lifter.add_import(Import("torch", "nn"))
        _drop_unneeded(function)
        function.body[0].value.value = _doc(kind)
        kind.node = function
        for fit in kind.fits:
            fit.function = kind.name
            own = self._stage_values(fit)
            given = {name: repr(own[name]) for name in parameters if name in own}
            fit.arguments = given | fit.arguments

    def _values(self, kind: Kind) -> dict[str, Known]:
        """What is the same in all fits of a kind, as constants; what is not, as parameters."""
        all_values = [self._stage_values(fit) for fit in kind.fits]
        found: dict[str, Known] = {}
        for name, value in all_values[0].items():
            if all(values[name] == value for values in all_values):
                if name in ("first_epoch", "first_step") or (name == "weight_decay" and value == 0):
                    found[name] = Known(value)
                else:
                    reason = _REASONS.get(name, "")
                    if name == "weight_decay" and self.around.decays_all:
                        reason = reason.partition(";")[0]
                    found[name] = Known(value, self._constant(name.upper(), value, reason))
            else:
                found[name] = Known(None, name)
        return found

    def _stage_values(self, fit: Fit) -> dict[str, Any]:
        values = _stage_values(fit)
        if self.around.is_one_group:  # one rate for all
            values = {"epochs": values.pop("epochs"), "lr": values.pop("lrs")[0], **values}
        return values

    def _has_one_rate(self, kind: Kind) -> bool:
        return self.around.is_one_group and bool(kind)

    def _groups(self, kind: Kind) -> str:
        """Statements that make the optimizer's `groups`."""
        if not self._has_one_rate(kind):
            return _GROUPS
        if not self.around.decays_all:
            return _ONE_RATE
        return _ALL_DECAYED if self.around.trains_all else _TRAINED_DECAYED

    def _constant(self, name: str, value: Any, reason: str) -> str:
        """A constant of the script; the name of one that is there already with this value."""
        for wanted in (name, *(f"{name}_{number}" for number in range(2, 99))):
            if wanted not in self.lifter.constants:
                self.lifter.constants[wanted] = value
                self.settings.append(Setting(wanted, value, reason))
                return wanted
            if same_value(self.lifter.constants[wanted], value):
                return wanted
        raise AssertionError("a hundred constants of one name")

    def _rates(self, stage: Stage, values: Mapping[str, Known]) -> str:
        """Statements that set the optimizer's rates for the step."""
        still = stage.schedule["name"] == "constant" and stage.schedule.get("value", 1.0) == 1.0
        if still and stage.momentum is None:
            return ""
        if stage.schedule["name"] == PER_GROUP:
            curves = ", ".join(self._curve(one, {}, "") for one in stage.schedule["schedules"])
            lines = [
                f"progress = {self._progress(values)}",
                f"factors = [{curves}]",
                "for group in optimizer.param_groups:",
                "    group['lr'] = group['max_lr'] * factors[group['layer_group']]",
            ]
            return "\n".join(lines)
        lines = [f"progress = {self._progress(values)}", "for group in optimizer.param_groups:"]
        curve = self._curve(stage.schedule, values, "")
        highest = "group['max_lr']"
        if self.around.is_one_group and not self.reads_highest:
            highest = values["lr"].text or repr(values["lr"].value)
        lines.append(f"    group['lr'] = {highest} * {curve}")
        if stage.momentum is not None:
            beta = self._curve(stage.momentum, values, "momentum_")
            if "betas" in self._defaults():
                lines.append(f"    group['betas'] = ({beta}, *group['betas'][1:])")
            elif self._defaults().get("momentum"):
                lines.append(f"    group['momentum'] = {beta}")
        return "\n".join(lines)

    def _defaults(self) -> Mapping[str, Any]:
        return getattr(self, "defaults", {})

    def _progress(self, values: Mapping[str, Known]) -> str:
        epochs = values["epochs"].text or repr(values["epochs"].value)
        if self.around.num_batches is not None:
            return f"step / ({epochs} * NUM_BATCHES)"
        first = values["first_epoch"]
        start = first.text or repr(first.value)
        return f"(epoch - {start}) / {epochs}" if start != "0" else f"epoch / {epochs}"

    def _curve(self, record: Mapping[str, Any], values: Mapping[str, Known], prefix: str) -> str:
        name = record["name"]
        if name == "piecewise":
            return f"{self._pieces(record)}(progress)"
        if name == "warmup":
            then = dict(record).get("then", "cosine")
            self.lifter.known["drivetrain.optim.schedules:warmup"] = {"then": Known(then)}
        called = self.lifter.need(SCHEDULES[name])
        options = []
        for key, value in record.items():
            if key == "name":
                continue
            known = values.get(prefix + key) or values.get(key)
            text = known.text if known is not None and known.text else repr(_tupled(value))
            options.append(f"{key}={text}")
        return f"{called}({', '.join(['progress', *options])})"

    def _pieces(self, record: Mapping[str, Any]) -> str:
        """A function for schedules one after the other; see `optim.schedules.piecewise`."""
        called = f"piecewise_{len(self.written) + 1}" if self.written else "piecewise"
        lines = [f"def {called}(progress: float) -> float:"]
        lines.append('    """Schedules one after the other, each over its share of training."""')
        begin = 0.0
        for piece in record["pieces"]:
            is_last = piece is record["pieces"][-1]
            end = 1.0 if is_last else begin + piece["share"]
            own = {key: value for key, value in piece.items() if key != "share"}
            inner = f"min(max((progress - {begin!r}) / {end - begin!r}, 0.0), 1.0)"
            curve = self._curve(own, {}, "").replace("(progress", f"({inner}", 1)
            if not is_last:
                lines.append(f"    if progress < {end - ROUNDING!r}:")
            lines.append(f"{'    ' if is_last else '        '}return {curve}")
            begin = end
        self.written.append(tree.statement("\n".join(lines) + "\n"))
        return called

    # --- callbacks --------------------------------------------------------------------------------

    def _training_loss(self, kind: Kind) -> str:
        """The loss in training, which may ask for less than the one that is validated."""
        text = self.around.loss.text or ""
        for callback in kind.fits[0].callbacks:
            if isinstance(callback, LabelSmoothing):
                reason = "share of the target spread over all classes"
                name = self._constant("LABEL_SMOOTHING", callback.smoothing, reason)
                text = _with_option(text, "label_smoothing", name)
        return text

    def _opened(self, kind: Kind, values: Mapping[str, Known], loss: Known) -> list[Opened]:
        texts = {name: known.text or repr(known.value) for name, known in values.items()}
        state = {
            "state.seed": Known(self.seed, "SEED"),
            "state.epochs": Known(values["epochs"].value, texts["epochs"])
            if values["epochs"].value is not None
            else Known(text=texts["epochs"]),
            "state.first_step": Known(values["first_step"].value, texts["first_step"])
            if values["first_step"].value is not None
            else Known(text=texts["first_step"]),
            "state.folder": Known(None),
            "state.saved": Known(None),
            "bad_weights(model)": Known([]),  # the run has checked it
            "state.save": Known(None),
            "state.interrupted": Known(None),
            "state.device": Known(self.around.device),
            "hasattr(model, 'fill_unknown')": Known(self.around.fills_unknown),
            "state.loss_fn": loss,
            "state.cancelled": Known(""),
            "state.num_batches": Known(self.around.num_batches, "NUM_BATCHES"),
        }
        taken = set(self.lifter.constants) | _TAKEN
        found = []
        chosen = [
            c
            for c in kind.fits[0].callbacks
            if type(c).in_script and not isinstance(c, LabelSmoothing)
        ]
        if self.around.has_modes and not any(isinstance(c, OptimizerMode) for c in chosen):
            chosen.insert(0, OptimizerMode())
        for one in sorted(chosen, key=lambda c: c.order):
            known: dict[str, Known] = {}
            if isinstance(one, OptimizerMode):
                if not self.around.has_modes:
                    continue
                known = {
                    "self._optimizer": Known(object(), "optimizer"),
                    "self._groups": Known(None),
                }
            one._ejecting_metrics = self.around.metrics  # pyright: ignore[reportAttributeAccessIssue]
            found.append(
                Opened(
                    one,
                    self.lifter,
                    name=_short_name(one),
                    state=state,
                    form=self.around.form,
                    taken=taken,
                    known=known,
                )
            )
            del one._ejecting_metrics  # pyright: ignore[reportAttributeAccessIssue]
            found[-1].callback._ejecting_metrics = self.around.metrics
            if self._uses[id(one)] > 1 and not _has_name(one):
                found[-1].refuse_what_goes_on()
            self.settings += found[-1].settings
            for inner in found[-1].inner.values():
                self.settings += inner.settings
        return found

    def _places(self, values: Mapping[str, Known], *, may_end: bool) -> dict[str, dict[str, Known]]:
        """By event, where training stands: an epoch counts as done at its last event."""
        texts = {name: known.text or repr(known.value) for name, known in values.items()}
        first = texts["first_epoch"]
        done = "epoch" if first == "0" else f"(epoch - {first})"
        num_batches = self.around.num_batches

        def place(epoch: str, done: str, step: str) -> dict[str, Known]:
            share = (
                f"{step} / ({texts['epochs']} * NUM_BATCHES)"
                if num_batches
                else f"{done} / {texts['epochs']}"
            )
            found = {"epoch": epoch, "epochs_done": done, "step": step, "progress": f"({share})"}
            return {f"state.{name}": Known(text=text) for name, text in found.items()}

        places = {event: place("epoch", done, "step") for event in EVENTS}
        places["before_fit"] = place(first, "0", "0")
        places["after_epoch"] = place("(epoch + 1)", f"({done} + 1)", "step")
        epochs = texts["epochs"]
        last = epochs if first == "0" else f"({first} + {epochs})"
        places["after_fit"] = place(last, epochs, "step")
        if may_end:  # nobody knows in which epoch
            for name in ("epoch", "epochs_done", "step", "progress"):
                places["after_fit"][f"state.{name}"] = Known(text=f"state.{name}")
        return places

    def _event(
        self, event: str, opened: Sequence[Opened], where: Mapping[str, Mapping[str, Known]]
    ) -> list[ast.stmt]:
        handlers: Any = Handlers([one.callback for one in opened])
        order = [handler.__self__ for handler in getattr(handlers, event)]
        by_callback = {id(one.callback): one for one in opened}
        statements: list[ast.stmt] = []
        for callback in order:
            one = by_callback[id(callback)]
            one.state |= where[event]
            body = one.statements(event)
            if event == "after_fit":
                body = [one for one in body if not _forgets(one)]
            statements += body
        return statements

    # --- flow -------------------------------------------------------------------------------------

    def _flow(self, function: Any, events: Mapping[str, list[ast.stmt]]) -> None:
        """Put the statements of events in, and turn cancelling into plain flow."""
        after_cancel = events["after_cancel"]
        epochs: ast.For = next(
            one
            for one in function.body
            if isinstance(one, ast.For)
            and isinstance(one.target, ast.Name)
            and one.target.id == "epoch"
        )
        batches: ast.For = next(one for one in epochs.body if isinstance(one, ast.For))
        function.body = _with_events(function.body, events)
        step_at = next(i for i, s in enumerate(batches.body) if _is_event(s, "before_step"))
        end_at = next(i for i, s in enumerate(batches.body) if tree.unparse(s) == "step += 1")
        head, middle, tail = (
            batches.body[:step_at],
            batches.body[step_at:end_at],
            batches.body[end_at:],
        )
        head = _with_events(head, events)
        middle = _with_events(middle, events)
        tail_plain = _with_events(tail, events)
        waits = head[-1] if head and _raises(head[-1], "CancelStep") else None
        if waits is not None:
            if self.around.num_batches is None:
                raise EjectError(
                    "This run waits several batches before it makes a step, and its loader has no "
                    "length, so a script cannot tell the last batch. Give a loader with a length."
                )
            assert isinstance(waits, ast.If)
            last = tree.expression("(step + 1) % NUM_BATCHES == 0")
            from drivetrain.eject.questions import negated

            condition: Any = ast.If(ast.BoolOp(ast.Or(), [negated(waits.test), last]), middle, [])
            tree.mark(condition)
            condition.before = ["# The last batch of an epoch makes the step that others wait for."]
            head, middle = [*head[:-1]], [condition]
        flags: list[str] = []
        leave = [
            *tree.statements("optimizer.zero_grad()"),
            *copy.deepcopy(after_cancel),
            *copy.deepcopy(tail_plain),
            tree.mark(ast.Continue()),
        ]
        head = [_replaced_raise(one, "CancelBatch", leave) for one in head]
        stop = [
            *copy.deepcopy(after_cancel),
            *tree.statements("is_over = True"),
            tree.mark(ast.Break()),
        ]
        before = ast.dump(ast.Module(head + middle + tail_plain, []))
        head = [
            _replaced_raise(one, "CancelFit", [*tree.statements("optimizer.zero_grad()"), *stop])
            for one in head
        ]
        tail_plain = [_replaced_raise(one, "CancelFit", stop) for one in tail_plain]
        if ast.dump(ast.Module(head + middle + tail_plain, [])) != before and "is_over" in ast.dump(
            ast.Module(head + tail_plain, [])
        ):
            flags.append("is_over")
        batches.body = [*head, *middle, *tail_plain]
        inner: list[ast.stmt] = []
        for one in _with_events(epochs.body, events):
            one = _replaced_raise(
                one, "CancelFit", [*copy.deepcopy(after_cancel), tree.mark(ast.Break())]
            )
            inner.append(one)
            if one is batches and flags:
                inner += tree.statements("if is_over:\n    break")
        if flags:
            index = inner.index(batches)
            inner[index:index] = tree.statements("is_over = False")
        epochs.body = inner
        for node in ast.walk(function):
            if isinstance(node, ast.Raise) and node.exc is not None:
                name = tree.dotted(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
                if name in ("CancelStep", "CancelBatch", "CancelEpoch", "CancelFit"):
                    raise EjectError(
                        f"A callback raises `{name}` at an event where a script has no plain form "
                        "for it. Cancel a step at `after_backward`, a batch before its step, a fit "
                        "after a batch or an epoch."
                    )


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

_TAKEN = frozenset(
    "model optimizer group groups loss losses counts preds targets inputs row step epoch in_eval "
    "evaluation progress is_over factors name value batch train valid".split()
)
_KINDS = {
    "in_eval": "Sequence[nn.Module]",
    "epochs": "int",
    "lrs": "list[float]",
    "first_epoch": "int",
    "first_step": "int",
    "stop": "int",
    "moms": "tuple[float, ...]",
}
_REASONS = {
    "epochs": "passes over the training items",
    "lr": "peak learning rate",
    "lrs": "peak learning rate of each layer group, from the input to the head",
    "weight_decay": "how much weights are pulled towards zero at each step; not norms and biases",
    "pct_start": "share of the steps in which the rate rises",
    "div": "the first rate is the peak divided by this",
    "div_final": "the last rate is the peak divided by this",
    "moms": "momentum at the start, at the peak of the rate and at the end",
    "stop": "steps after which training was ended",
}


def _stage_values(fit: Fit) -> dict[str, Any]:
    stage = fit.stage
    values: dict[str, Any] = {
        "epochs": stage.epochs,
        "lrs": list(stage.lrs),
        "weight_decay": stage.weight_decay,
        "first_epoch": stage.first_epoch,
        "first_step": stage.first_step,
    }
    stop = _stops_at(fit)
    if stop is not None:
        values["stop"] = stop
    if stage.schedule["name"] not in (PER_GROUP, "warmup", "piecewise"):
        values |= {key: _tupled(value) for key, value in stage.schedule.items() if key != "name"}
    for key, value in (stage.momentum or {}).items():
        if key != "name" and values.get(key) != _tupled(value):
            values[f"momentum_{key}" if key in values else key] = _tupled(value)
    return values


def _stops_at(fit: Fit) -> int | None:
    """The step after which a fit was ended by what a script does not have: the clock, a person."""
    stage = fit.stage
    if stage.status == journal.INTERRUPTED:
        return stage.steps_done
    if stage.status == journal.CANCELLED and not any(
        type(c).in_script and _may_end(c) for c in fit.callbacks
    ):
        return stage.steps_done
    return None


def _may_end(callback: Callback) -> bool:
    import inspect

    return "CancelFit" in inspect.getsource(type(callback))


def _names(stages: Sequence[Stage]) -> list[str]:
    if len(stages) == 1:
        return ["fit"]
    names: list[str] = []
    for stage in stages:
        base = "fit" if stage.schedule["name"] == "constant" else f"fit_{stage.schedule['name']}"
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names.append(name)
    return names


def _doc(kind: Kind) -> str:
    calls = list(dict.fromkeys(fit.stage.call for fit in kind.fits))
    stage = kind.fits[0].stage
    how = {
        "constant": "at constant rates",
        "one_cycle": "under the 1cycle policy",
        PER_GROUP: "each layer group under a schedule of its own",
    }.get(stage.schedule["name"], f"under the schedule `{stage.schedule['name']}`")
    return f"Train {how} (`{'`, `'.join(calls)}`)."


def _short_name(callback: Callback) -> str:
    import re

    if _has_name(callback):
        return named_callbacks.record_of(callback)["name"]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(callback).__name__).lower()


def _has_name(callback: Callback) -> bool:
    from drivetrain.errors import ConfigError

    try:
        named_callbacks.record_of(callback)
    except ConfigError:
        return False
    return True


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def _with_option(text: str, key: str, value: str) -> str:
    node: Any = tree.expression(text)
    if isinstance(node, ast.Call):
        node.keywords.append(ast.keyword(key, tree.expression(value)))
        return tree.unparse(node)
    return f"functools.partial({text}, {key}={value})"


def _is_event(node: ast.stmt, name: str = "") -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and tree.dotted(node.value.func) == "EVENT"
        and (not name or node.value.args[0].value == name)  # pyright: ignore[reportAttributeAccessIssue]
    )


def _with_events(body: Sequence[ast.stmt], events: Mapping[str, list[ast.stmt]]) -> list[ast.stmt]:
    result: list[ast.stmt] = []
    for one in body:
        if _is_event(one):
            result += events[one.value.args[0].value]  # pyright: ignore[reportAttributeAccessIssue]
        else:
            result.append(one)
    return result


def _raises(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.Raise):
        return False
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and len(node.body) == 1
        and isinstance(node.body[0], ast.Raise)
        and node.body[0].exc is not None
        and tree.dotted(node.body[0].exc) == name
    )


def _replaced_raise(node: Any, name: str, instead: list[ast.stmt]) -> Any:
    """Statements in the place of `raise name`, wherever it stands inside."""
    for field_name, block in list(tree.body_fields(node)):
        result: list[ast.stmt] = []
        for one in block:
            if isinstance(one, ast.Raise) and one.exc is not None:
                exc = one.exc.func if isinstance(one.exc, ast.Call) else one.exc
                if tree.dotted(exc) == name:
                    result += copy.deepcopy(instead)
                    continue
            if not isinstance(one, ast.For | ast.While):
                one = _replaced_raise(one, name, instead)
            result.append(one)
        setattr(node, field_name, result)
    return node


def _substitute(
    function: Any,
    names: Mapping[str, str],
    statements: Mapping[str, list[ast.stmt]],
    calls: Mapping[str, str],
) -> None:
    class Visit(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> Any:
            if isinstance(node.value, ast.Name) and node.value.id in statements:
                return [self.visit(copy.deepcopy(one)) for one in statements[node.value.id]]
            return self.generic_visit(node)

        def visit_Name(self, node: ast.Name) -> Any:
            return tree.expression(names[node.id]) if node.id in names else node

        def visit_Call(self, node: ast.Call) -> Any:
            name = tree.dotted(node.func) or ""
            if name in calls:
                text = calls[name]
                arguments = [self.visit(a) for a in node.args]
                if "{}" in text:
                    return tree.expression(text.format(*map(tree.unparse, arguments)))
                made = tree.expression(text)
                if isinstance(made, ast.Call):  # functools.partial(f, a=1)
                    return ast.Call(made.args[0], arguments, made.keywords)
                return ast.Call(made, arguments, [])
            return self.generic_visit(node)

    Visit().visit(function)


def _measure_at_once(function: Any) -> None:
    """One statement for the row, where nothing happens before the validation."""
    for node in ast.walk(function):
        for _, body in tree.body_fields(node):
            texts = [
                tree.unparse(one) if isinstance(one, ast.Assign | ast.AugAssign) else ""
                for one in body
            ]
            if "row |= VALIDATE" in texts:
                index = texts.index("row |= VALIDATE")
                before: Any = body[index - 2]
                before.value = ast.BinOp(before.value, ast.BitOr(), body[index].value)  # pyright: ignore[reportAttributeAccessIssue]
                del body[index]
                return


def _put_batches(function: Any, around: Surroundings) -> None:
    for node in ast.walk(function):
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Call):
            if tree.dotted(node.iter.func) == "train_batches":
                node.iter = tree.expression(around.batches)
                node.target = tree.statement(f"for {around.form.head} in x: pass").target  # pyright: ignore[reportAttributeAccessIssue]
            elif tree.dotted(node.iter.func) == "enumerate":
                continue
        if isinstance(node, ast.Call) and tree.dotted(node.func) == "model":
            if [tree.dotted(a) for a in node.args] == ["INPUTS"]:
                made: Any = tree.expression(f"model({around.form.call})")
                node.args, node.keywords = made.args, made.keywords


def _replace_text(function: Any, name: str, text: str) -> None:
    from drivetrain.eject.effects import replace_name

    replace_name(function, name, tree.expression(text))


def _replace_call(function: Any, name: str, instead: list[ast.stmt]) -> None:
    class Visit(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> Any:
            if isinstance(node.value, ast.Call) and tree.dotted(node.value.func) == name:
                return instead
            return node

    Visit().visit(function)


def _stored(node: ast.stmt) -> set[str]:
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _forgets(node: ast.stmt) -> bool:
    """At the end of a fit: letting go of what a name holds."""
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        return False
    value = node.value
    if isinstance(value, ast.Call):
        return tree.dotted(value.func) == "torch.empty"
    return isinstance(value, ast.Constant) or (
        isinstance(value, ast.Dict | ast.List | ast.Tuple)
        and not getattr(value, "elts", None)
        and not getattr(value, "keys", None)
    )


def _drop_unneeded(function: Any) -> None:
    """The rate that schedules are a share of, where there is no schedule."""
    text = ast.unparse(function)
    if text.count("max_lr") == 1:
        function.body = [
            one
            for one in function.body
            if not (isinstance(one, ast.For) and "max_lr" in ast.unparse(one))
        ]
