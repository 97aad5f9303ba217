"""The optimizer's rates at a step, as statements: the schedules of a fit over its progress."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.numbers import Numbers, as_tuple
from drivetrain.eject.surroundings import Surroundings
from drivetrain.optim.schedules import PER_GROUP, ROUNDING, SCHEDULES
from drivetrain.train.journal import Stage


class Rates:
    """Writes them, for the fits of a journal.

    Args:
        lifter: for the schedules.
        around: what the loops are put into.
    """

    def __init__(self, lifter: Lifter, around: Surroundings) -> None:
        self.lifter = lifter
        self.around = around
        self.written: list[ast.FunctionDef] = []
        """Functions beside the loops: schedules one after the other."""

    def statements(self, stage: Stage, numbers: Numbers, *, reads_highest: bool) -> str:
        """What sets the rates for the step; empty where they stay as they are.

        Args:
            stage: the fit.
            numbers: of its kind.
            reads_highest: a callback may change the highest rate of a group while it trains.
        """
        still = stage.schedule["name"] == "constant" and stage.schedule.get("value", 1.0) == 1.0
        if still and stage.momentum is None:
            return ""
        if stage.schedule["name"] == PER_GROUP:
            curves = ", ".join(self._curve(one, {}) for one in stage.schedule["schedules"])
            lines = [
                f"progress = {self._progress(numbers)}",
                f"factors = [{curves}]",
                "for group in optimizer.param_groups:",
                "    group['lr'] = group['max_lr'] * factors[group['layer_group']]",
            ]
            return "\n".join(lines)
        lines = [f"progress = {self._progress(numbers)}", "for group in optimizer.param_groups:"]
        is_one_rate = self.around.is_one_group and not reads_highest
        highest = numbers.text("lr") if is_one_rate else "group['max_lr']"
        lines.append(f"    group['lr'] = {highest} * {self._curve(stage.schedule, numbers.known)}")
        if stage.momentum is not None:
            beta = self._curve(stage.momentum, numbers.known, prefix="momentum_")
            if "betas" in self.around.defaults:
                lines.append(f"    group['betas'] = ({beta}, *group['betas'][1:])")
            elif self.around.defaults.get("momentum"):
                lines.append(f"    group['momentum'] = {beta}")
        return "\n".join(lines)

    def _progress(self, numbers: Numbers) -> str:
        """How much of the fit is done, in [0, 1]; by epochs where nobody knows how long one is."""
        epochs = numbers.text("epochs")
        if self.around.num_batches is not None:
            return f"step / ({epochs} * NUM_BATCHES)"
        start = numbers.text("first_epoch")
        return f"(epoch - {start}) / {epochs}" if start != "0" else f"epoch / {epochs}"

    def _curve(
        self, record: Mapping[str, Any], known: Mapping[str, Known], *, prefix: str = ""
    ) -> str:
        """A schedule at `progress`, an expression."""
        name = record["name"]
        if name == "piecewise":
            return f"{self._piecewise(record)}(progress)"
        if name == "warmup":
            then = record.get("then", "cosine")
            self.lifter.known["drivetrain.optim.schedules:warmup"] = {"then": Known(then)}
        called = self.lifter.need(SCHEDULES[name])
        options = []
        for key, value in record.items():
            if key == "name":
                continue
            number = known.get(prefix + key) or known.get(key)
            text = number.text if number is not None and number.text else repr(as_tuple(value))
            options.append(f"{key}={text}")
        return f"{called}({', '.join(['progress', *options])})"

    def _piecewise(self, record: Mapping[str, Any]) -> str:
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
            curve = self._curve(own, {}).replace("(progress", f"({inner}", 1)
            if not is_last:
                lines.append(f"    if progress < {end - ROUNDING!r}:")
            lines.append(f"{'    ' if is_last else '        '}return {curve}")
            begin = end
        node: Any = tree.statement("\n".join(lines) + "\n")
        self.written.append(node)
        return called
