"""A workbook of a person's own small net: one batch, forward, loss, gradients, update, in live formulas.

The step is a real one: made by the training loop on a copy of the Learner (`own_step`), read operation by
operation (`own_graph`), and written out (`own_formulas`, `own_update`). The cells are compared with the
same step of torch in float64 to 1e-6, and with the run's own float32 as closely as its rounding allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drivetrain import losses as ours
from drivetrain.errors import ConfigError
from drivetrain.losses.table import loss_name, unwrapped
from drivetrain.sheets import own_update
from drivetrain.sheets.own_formulas import (
    BY_CELL,
    Area,
    Loss,
    Places,
    batchnorm_formulas,
    cross_entropy_loss,
    grad_formula,
    param_formula,
    value_formula,
)
from drivetrain.sheets.own_graph import WOULD_DO, Graph, Node, traced
from drivetrain.sheets.own_step import Recorded, record
from drivetrain.sheets.own_update import Rule
from drivetrain.sheets.places import at
from drivetrain.sheets.workbook import Sheet, Workbook
from drivetrain.train.learner import Learner

MOST_WEIGHTS, MOST_WIDE, MOST_ROWS = 4000, 64, 32
"""Numbers of all parameters; columns of a table; rows of the batch."""
SETTINGS, BATCH, WEIGHTS, FORWARD, BACKWARD = "Settings", "Batch", "Weights", "Forward", "Backward"

_LOSSES: dict[Any, str] = {
    ours.cross_entropy: "cross_entropy", F.cross_entropy: "cross_entropy",
    ours.mse: "mse", F.mse_loss: "mse", ours.mae: "mae", F.l1_loss: "mae",
    ours.binary_cross_entropy_with_logits: "binary_cross_entropy_with_logits",
    F.binary_cross_entropy_with_logits: "binary_cross_entropy_with_logits",
}  # fmt: skip
_LOSS_MODULES: dict[type[nn.Module], str] = {
    nn.CrossEntropyLoss: "cross_entropy",
    nn.MSELoss: "mse",
    nn.L1Loss: "mae",
    nn.BCEWithLogitsLoss: "binary_cross_entropy_with_logits",
}


def build(learner: Learner, *, rows: int = 8, title: str = "") -> Workbook:
    """The workbook of the first step of the Learner's last fit (of `fit(1)` where it never trained).

    Args:
        learner: with a small net; is left as it was.
        rows: the first rows of the batch are used, 2 to 32.
        title: what the workbook is called; by default after the model's class.

    Raises: ConfigError: the net, its loss or its optimizer is none that cells can hold; which part it is,
        and what would do, is said.
    """
    if not 2 <= rows <= MOST_ROWS:
        raise ConfigError(f"`rows` must be 2 to {MOST_ROWS}. Got {rows}.")
    _check_size(learner.model)
    recorded = record(learner, rows)
    graph = traced(recorded)
    writing = _Writing(
        learner, recorded, graph, title or f"One step of {type(learner.model).__name__}"
    )
    return writing.book


def _check_size(model: nn.Module) -> None:
    count = sum(param.numel() for param in model.parameters())
    if count > MOST_WEIGHTS:
        raise ConfigError(
            f"{type(model).__name__} has {count:,} weights, and a workbook can be read with "
            f"{MOST_WEIGHTS:,} at most. {WOULD_DO}"
        )
    for name, param in model.named_parameters():
        wide = param.shape[-1] if param.ndim else 1
        if param.ndim > 2 or wide > MOST_WIDE:
            raise ConfigError(
                f"`{name}` has shape {tuple(param.shape)}, and a table of cells has {MOST_WIDE} "
                f"columns at most here. {WOULD_DO}"
            )


def loss_of(loss_fn: Any, classes: int) -> Loss:
    """The loss as formulas. Raises: ConfigError: it is none of those that are written into cells."""
    bare, options = unwrapped(loss_fn)
    name = _LOSSES.get(bare)
    if name is None and type(bare) in _LOSS_MODULES:
        name = _LOSS_MODULES[type(bare)]
        options = {
            "label_smoothing": getattr(bare, "label_smoothing", 0.0),
            "weight": getattr(bare, "weight", None),
        }
        options |= {"pos_weight": getattr(bare, "pos_weight", None), "reduction": bare.reduction}
    smoothing = float(options.pop("label_smoothing", 0.0))
    odd = any(value is not None for key, value in options.items() if key != "reduction")
    if name is None or odd or options.get("reduction", "mean") != "mean":
        raise ConfigError(
            f"The loss `{loss_name(bare)}`, as it is set, is not written into cells. What "
            f"would do: cross_entropy, "
            "mse, mae or binary_cross_entropy_with_logits, without weights."
        )
    return cross_entropy_loss(classes, smoothing) if name == "cross_entropy" else BY_CELL[name]


@dataclass
class _Writing:
    """The workbook while it is written."""

    learner: Learner
    recorded: Recorded
    graph: Graph
    title: str
    book: Workbook = field(init=False)

    def __post_init__(self) -> None:
        output = self.graph.output.value
        self.rows = output.shape[0]
        self.loss = loss_of(self.recorded.loss_fn, output.shape[1])
        self._check_targets(output)
        self.rules = own_update.rules(self.recorded)
        self.factor = self._factor()
        self.places = Places({}, {}, {}, {})
        self.names: dict[str, dict[str, str]] = {}
        self.book = Workbook(
            self.title,
            f"{self.rows} rows of a real batch through the net, its loss, its gradients, and "
            "one step of its optimizer.",
        )
        self._guide()
        sheets = {
            name: self.book.sheet(name) for name in (SETTINGS, BATCH, FORWARD, BACKWARD, WEIGHTS)
        }
        self._settings(sheets[SETTINGS])
        self._batch(sheets[BATCH])
        self._weights_before(sheets[WEIGHTS])
        self._forward(sheets[FORWARD])
        self._backward(sheets[BACKWARD])
        self._update(sheets[WEIGHTS])

    def _check_targets(self, output: Tensor) -> None:
        targets = self.recorded.targets
        if self.loss.per_row:
            fits = (
                targets.ndim == 1 and not targets.is_floating_point() and len(targets) == self.rows
            )
        else:
            fits = targets.numel() == output.numel()
        same = abs(self.recorded.loss - float(self.graph.loss)) <= 1e-4 * max(
            1.0, abs(self.recorded.loss)
        )
        if not fits or not same:
            raise ConfigError(
                "A callback changes the targets or the loss of this run, or the targets have "
                f"another form than {self.loss.name} has here: such a step is not written into "
                "cells. What would do: a run without mixup and the like."
            )

    def _factor(self) -> float:
        """What callbacks such as clipping multiplied the gradients with."""
        ours_ = torch.cat([self.graph.grads[name].flatten() for name in self.rules])
        used = torch.cat([self.recorded.grads[name].double().flatten() for name in self.rules])
        size = float(ours_.square().sum())
        factor = float((ours_ * used).sum()) / size if size else 1.0
        if float((used - factor * ours_).abs().max()) > 1e-4 * float(ours_.abs().max()) + 1e-12:
            raise ConfigError(
                "A callback changes the gradients of this run other than by one factor: such a "
                "step is not written into cells. What would do: a run without it, or with "
                "clipping by the norm."
            )
        return 1.0 if abs(factor - 1) < 1e-4 else factor

    def _guide(self) -> None:
        kinds = sorted({rule.kind for rule in self.rules.values()})
        self.book.guide(
            what="'Settings' has the optimizer's numbers, 'Batch' the inputs and targets. "
            "'Forward' follows the rows through every layer to the loss; 'Backward' hands the "
            "gradient back from it, the other way; 'Weights' has each parameter with its "
            "gradient, what the optimizer remembers, and its new value, beside the value that "
            f"the run itself has after this step ({', '.join(kinds)}, the first step of "
            f"{self.recorded.call}).",
            change=[
                (
                    "one number of 'Batch'",
                    "Its row changes on 'Forward', the loss, every gradient. With batchnorm the "
                    "other rows change too: they share a mean.",
                ),
                (
                    "one weight on 'Weights' by 0.001",
                    "The loss changes by 0.001 times that weight's gradient, nearly: that is "
                    "what a gradient says.",
                ),
                ("a rate on 'Settings', to twice itself", "Every new weight moves twice as far."),
                (
                    "a target of 'Batch'",
                    "The slopes at the output turn to the other side in that row, and pull there.",
                ),
            ],
        )

    # --- settings, batch ------------------------------------------------------------------------------

    def _settings(self, sheet: Sheet) -> None:
        sheet.text(0, 0, self.title, style="title")
        sheet.text(
            1,
            0,
            f"Model {type(self.learner.model).__name__}, loss {self.loss.name}, the first step "
            f"of {self.recorded.call}.",
        )
        row = 3
        groups: dict[tuple[Any, ...], list[str]] = {}
        for name, rule in self.rules.items():
            key = (rule.kind, rule.step, *rule.settings.items())
            groups.setdefault(key, []).append(name)
        for index, names in enumerate(groups.values()):
            rule = self.rules[names[0]]
            sheet.text(row, 0, f"Parameters {', '.join(names)}", style="head")
            sheet.text(row + 1, 0, f"{rule.kind}: {own_update.WORDS[rule.kind]}")
            row += 2
            own: dict[str, str] = {}
            for key, value in {**rule.settings, "t": rule.step}.items():
                own[key] = f"{key}_{index}"
                sheet.text(row, 0, "t, the number of the step" if key == "t" else key)
                sheet.input(row, 1, value, name=own[key])
                row += 1
            self.names |= dict.fromkeys(names, own)
            row += 1
        sheet.text(
            row,
            0,
            "factor on the gradients, by callbacks such as clipping; 1 where nothing changed them",
        )
        sheet.input(row, 8, self.factor, name="grad_factor")

    def _batch(self, sheet: Sheet) -> None:
        sheet.text(0, 0, "The batch", style="title")
        row = 2
        for node, given in zip(self.graph.inputs, self.recorded.args, strict=True):
            sheet.text(row, 0, f"{node.title}: shape {tuple(given.shape)}", style="head")
            self._refuse_wide(node)
            sheet.inputs(row + 1, 0, node.value.tolist())
            self.places.values[node] = Area(sheet.name, row + 1, 0, *node.value.shape)
            row += len(node.value) + 3
        targets = self.recorded.targets.double().reshape(self.rows, -1)
        sheet.text(row, 0, "targets", style="head")
        sheet.inputs(row + 1, 0, targets.tolist())
        self.targets = Area(sheet.name, row + 1, 0, *targets.shape)
        classes = self.learner.application.classes if self.learner.application is not None else ()
        if self.loss.per_row and len(classes):
            sheet.text(row, 2, "class", style="head")
            for i in range(self.rows):
                place = int(self.recorded.targets[i])
                sheet.text(row + 1 + i, 2, str(classes[place]) if place < len(classes) else "")

    def _refuse_wide(self, node: Node) -> None:
        if node.value.shape[1] > MOST_WIDE:
            raise ConfigError(
                f"`{node.title}` has {node.value.shape[1]} numbers a row, and a table of cells "
                f"has {MOST_WIDE} columns at most here. {WOULD_DO}"
            )

    # --- forward --------------------------------------------------------------------------------------

    def _forward(self, sheet: Sheet) -> None:
        sheet.text(0, 0, "Forward: the rows through the net, to the loss", style="title")
        row = 2
        for node in self.graph.nodes:
            if node.kind == "input":
                continue
            self._refuse_wide(node)
            row = self._extra(sheet, row, node)
            shown = f"{node.kind}  {node.title}" if node.title != node.kind else node.title
            sheet.text(row, 0, shown, style="head")
            area = Area(sheet.name, row + 1, 0, *node.value.shape)
            self.places.values[node] = area
            for r, c in _cells(node.value):
                if node.kind == "constant":
                    sheet.number(area.row + r, c, node.value[r, c])
                else:
                    formula = value_formula(node, self.places, r, c)
                    sheet.formula(area.row + r, c, formula, node.value[r, c])
            row = area.row + area.rows + 1
        self._loss(sheet, row)

    def _extra(self, sheet: Sheet, row: int, node: Node) -> int:
        """What a layer needs beside its own cells: batchnorm's statistics, dropout's mask."""
        x = node.parts[0].value if node.parts and isinstance(node.parts[0], Node) else None
        if node.kind == "dropout" and node.path in self.recorded.masks:
            mask = self.recorded.masks[node.path].double().reshape(self.rows, -1)
            sheet.text(
                row, 0, f"mask of {node.path}: 0, or 1 / (1 - p), as it was drawn", style="head"
            )
            sheet.inputs(row + 1, 0, mask.tolist())
            self.places.extra[node, "mask"] = Area(sheet.name, row + 1, 0, *mask.shape)
            return row + 2 + len(mask)
        if node.kind != "batchnorm" or x is None:
            return row
        module = node.module
        assert isinstance(module, nn.BatchNorm1d)
        assert module.running_mean is not None and module.running_var is not None
        mean, var = x.mean(0, keepdim=True), x.var(0, correction=0, keepdim=True)
        if not module.training:
            mean, var = module.running_mean[None].double(), module.running_var[None].double()
        normal = (x - mean) / (var + module.eps).sqrt()
        for name, values in (("mean", mean), ("var", var), ("normal", normal)):
            words = {
                "mean": "mean",
                "var": "variance",
                "normal": "(x - mean) / sqrt(variance + eps)",
            }[name]
            kept = "" if module.training or name == "normal" else ", kept from training"
            sheet.text(row, 0, f"{node.path}: {words}{kept}", style="head")
            area = Area(sheet.name, row + 1, 0, *values.shape)
            self.places.extra[node, name] = area
            if kept:
                sheet.inputs(area.row, 0, values.tolist())
            else:
                for r, c in _cells(values):
                    formula = (
                        batchnorm_formulas(node, self.places, r, c)[name]
                        if name == "normal"
                        else ""
                    )
                    formula = formula or self._statistic(node, name, c)
                    sheet.formula(area.row + r, c, formula, values[r, c])
            row = area.row + area.rows + 1
        return row

    def _statistic(self, node: Node, name: str, c: int) -> str:
        column = self.places.values[node.parts[0]].column(c)
        return f"AVERAGE({column})" if name == "mean" else f"DEVSQ({column})/{self.rows}"

    def _loss(self, sheet: Sheet, row: int) -> None:
        area = self.places.values[self.graph.output]
        values = self.graph.output.value
        sheet.text(row, 0, f"loss of each, {self.loss.name}: {self.loss.words}", style="head")
        each = self._each_loss(values)
        for r, c in _cells(each):
            formula = self.loss.value(area.at(r, c), self.targets.at(r, c), area.line(r))
            sheet.formula(row + 1 + r, c, formula, each[r, c])
        losses = Area(sheet.name, row + 1, 0, *each.shape)
        row += 2 + len(each)
        sheet.text(row, 0, "loss: their mean", style="head")
        sheet.formula(row + 1, 0, f"AVERAGE({losses.all})", self.graph.loss)
        self.book.define("loss", at(row + 1, 0, sheet=sheet.name))
        sheet.text(row + 1, 2, "the run's own (float32):")
        sheet.number(row + 1, 6, self.recorded.loss)
        sheet.check("loss, beside torch in float64", at(row + 1, 0), self.graph.loss)
        sheet.check(
            "loss, beside the run's own", at(row + 1, 0), self.recorded.loss, tolerance=1e-5
        )
        own = self.recorded.preds.double().reshape(self.rows, -1)
        for r, c in _cells(values):
            sheet.check(f"output [{r}, {c}]", at(area.row + r, c), values[r, c])
            label = f"output [{r}, {c}], beside the run's own"
            sheet.check(label, at(area.row + r, c), own[r, c], tolerance=1e-5)

    def _each_loss(self, values: Tensor) -> Tensor:
        """(rows, 1) or (rows, columns) before the mean, by torch."""
        targets = self.recorded.targets
        if self.loss.per_row:
            _, options = unwrapped(self.recorded.loss_fn)
            bare, _ = unwrapped(self.recorded.loss_fn)
            smoothing = float(options.get("label_smoothing", getattr(bare, "label_smoothing", 0.0)))
            return F.cross_entropy(values, targets, reduction="none", label_smoothing=smoothing)[
                :, None
            ]
        goal = targets.double().reshape(values.shape)
        functions = {
            "mse": F.mse_loss,
            "mae": F.l1_loss,
            "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
        }
        return functions[self.loss.name](values, goal, reduction="none")

    # --- backward -------------------------------------------------------------------------------------

    def _backward(self, sheet: Sheet) -> None:
        sheet.text(
            0, 0, "Backward: how the loss moves with every number of 'Forward'", style="title"
        )
        row, output = 2, self.graph.output
        for node in reversed(self.graph.nodes):
            if node.grad is None or node.kind in ("input", "constant"):
                continue
            sheet.text(row, 0, f"gradient at {node.title}", style="head")
            area = Area(sheet.name, row + 1, 0, *node.value.shape)
            self.places.grads[node] = area
            for r, c in _cells(node.value):
                formula = (
                    self._slope(r, c) if node is output else grad_formula(node, self.places, r, c)
                )
                sheet.formula(area.row + r, c, formula, node.grad[r, c])
                if node is output:
                    sheet.check(
                        f"slope of the loss at output [{r}, {c}]",
                        at(area.row + r, c),
                        node.grad[r, c],
                    )
            row = area.row + area.rows + 1

    def _slope(self, r: int, c: int) -> str:
        """How the mean loss moves with an output."""
        area = self.places.values[self.graph.output]
        target = self.targets.at(r, c)
        if self.loss.per_row:
            hot = f"IF({target}={c},1,0)"
            return f"{self.loss.slope(area.at(r, c), hot, area.line(r))}/{self.rows}"
        return f"{self.loss.slope(area.at(r, c), target, '')}/{self.graph.output.value.numel()}"

    # --- weights --------------------------------------------------------------------------------------

    def _weights_before(self, sheet: Sheet) -> None:
        """Each parameter before the step; its other tables follow under it, in `_update`."""
        sheet.text(
            0, 0, "Weights: before the step, gradient, what is remembered, after it", style="title"
        )
        row = 2
        for name, param in self.graph.model.named_parameters():
            values = _as_table(param)
            moved = (
                2 + 2 * len(own_update.state_names(self.rules[name].kind)) + 1
                if name in self.rules
                else 0
            )
            sheet.text(row, 0, f"{name}, shape {tuple(param.shape)}: before the step", style="head")
            sheet.inputs(row + 1, 0, values.tolist())
            self.places.params[name] = Area(sheet.name, row + 1, 0, *values.shape)
            row += (len(values) + 2) * (1 + moved) + 1

    def _update(self, sheet: Sheet) -> None:
        scaled = {name: self.factor * self.graph.grads[name] for name in self.rules}
        new = own_update.stepped(self.recorded, scaled)
        ends = [own_update.stepped(self.recorded, scaled, off=off) for off in (1e-6, -1e-6)]
        for name, rule in self.rules.items():
            users = self._users(name)
            before = self.places.params[name]
            grads = _as_table(scaled[name])
            area = self._table(sheet, before, f"{name}: gradient")
            for r, c in _cells(grads):
                formula = f"grad_factor*({param_formula(users, self.places, r, c)})"
                sheet.formula(area.row + r, c, formula, grads[r, c])
            after = self._remembered(sheet, name, rule, before, area, _as_table(new[name]))
            own = self._table(sheet, after, f"{name}: after the step, in the run itself (float32)")
            values = _as_table(self.recorded.after[name].double())
            for r, c in _cells(values):
                sheet.number(own.row + r, c, values[r, c])
            size = float(grads.norm())
            sheet.check(f"length of the gradient of {name}", f"SQRT(SUMSQ({area.all}))", size)
            length = float(_as_table(new[name]).norm())
            sheet.check(f"length of {name} after the step", f"SQRT(SUMSQ({after.all}))", length)
            # what rounding by a millionth of the largest gradient makes of the step, and of a weight
            rounding = float((ends[0][name] - ends[1][name]).abs().max())
            limit = (rounding + 1e-6 * max(1.0, float(values.abs().max()))) * values.numel() ** 0.5
            label = f"{name}: distance from the run's own values"
            sheet.check(label, f"SQRT(SUMXMY2({after.all},{own.all}))", 0.0, tolerance=limit)

    def _remembered(
        self, sheet: Sheet, name: str, rule: Rule, before: Area, grads: Area, new: Tensor
    ) -> Area:
        """The optimizer's memory before and after the step, and the new values. Returns: their place."""
        s = self.names[name]
        gradient = self.factor * self.graph.grads[name]
        last, states = grads, {}
        for which, key in zip(
            own_update.state_names(rule.kind), own_update.torch_names(rule.kind), strict=True
        ):
            first = key not in rule.state
            old_values = _as_table(torch.zeros_like(gradient) if first else rule.state[key])
            old = self._table(sheet, last, f"{name}: {which} before the step")
            sheet.inputs(old.row, 0, old_values.tolist())
            area = self._table(sheet, old, f"{name}: {which} after it")
            values = self._state_after(rule, which, name, old_values)
            for r, c in _cells(new):
                w, g, o = before.at(r, c), grads.at(r, c), old.at(r, c)
                formula = own_update.state_formula(rule.kind, which, w, g, o, s, first=first)
                sheet.formula(area.row + r, c, formula, values[r, c])
            last, states[which] = area, area
        after = self._table(sheet, last, f"{name}: after the step")
        for r, c in _cells(new):
            m, v = (states[k].at(r, c) if k in states else "" for k in ("m", "v"))
            w, g = before.at(r, c), grads.at(r, c)
            formula = own_update.weight_formula(rule.kind, w, g, m, v, s["t"], s)
            sheet.formula(after.row + r, c, formula, new[r, c])
        return after

    def _state_after(self, rule: Rule, which: str, name: str, old: Tensor) -> Tensor:
        """What is remembered after the step, for the values that are stored with the formulas."""
        s, g = rule.settings, _as_table(self.factor * self.graph.grads[name])
        if rule.kind != "AdamW":
            w = _as_table(dict(self.graph.model.named_parameters())[name])
            g = g + s["weight_decay"] * w
        if rule.kind in ("momentum", "dampened") and not rule.state:
            return g
        share = {
            "m": s.get("beta1", s.get("momentum", 0.0)),
            "v": s.get("beta2", s.get("alpha", 0.0)),
        }[which]
        new = {"momentum": 1.0, "dampened": 1 - s.get("dampening", 0.0)}.get(rule.kind, 1 - share)
        return share * old + new * (g if which == "m" else g**2)

    def _table(self, sheet: Sheet, above: Area, title: str) -> Area:
        """Room for a table under another of the same shape."""
        row = above.row + above.rows + 1
        sheet.text(row, 0, title, style="head")
        return Area(sheet.name, row + 1, 0, above.rows, above.columns)

    def _users(self, name: str) -> dict[Node, str]:
        """The layers that use a parameter, and what it is called there."""
        param = dict(self.graph.model.named_parameters(remove_duplicate=False))[name]
        found: dict[Node, str] = {}
        for node in self.graph.nodes:
            if node.module is None or node not in self.places.grads:
                continue
            for own, other in node.module.named_parameters():
                if other is param:
                    found[node] = own
        if not found:
            raise ConfigError(
                f"`{name}` is a parameter that the net uses outside of its layers, which is not "
                f"written into cells. {WOULD_DO}"
            )
        return found


def _cells(values: Tensor) -> Iterable[tuple[int, int]]:
    return ((r, c) for r in range(values.shape[0]) for c in range(values.shape[1]))


def _as_table(values: Tensor) -> Tensor:
    """(rows, columns): a vector is one row."""
    values = values.detach().double()
    return values.reshape(1, -1) if values.ndim < 2 else values
