"""The events of a loop as plain flow: statements in their places, cancelling as `continue` and `break`.

A callback cancels by an exception, which a script does not have. What stands after it in the loop decides
what takes its place: a step that is not made is an `if`, a batch that is left a `continue`, a fit that is
over a `break`, out of both loops where it happens in a batch.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from typing import Any

from drivetrain.eject import tree
from drivetrain.eject.questions import negated
from drivetrain.errors import EjectError

_CANCELS = ("CancelStep", "CancelBatch", "CancelEpoch", "CancelFit")

Events = Mapping[str, Sequence[ast.stmt]]
"""By event, what is done there."""


def put_events(function: Any, events: Events, *, num_batches: int | None) -> None:
    """Put the statements of events in the places of `EVENT(…)`.

    Args:
        function: of a loop over epochs and one over batches inside.
        events: what is done at each.
        num_batches: of an epoch; None where nobody knows.

    Raises: EjectError: a callback cancels where plain flow has no form for it.
    """
    epochs = next(one for one in function.body if _goes_over_epochs(one))
    batches = next(one for one in epochs.body if isinstance(one, ast.For))
    function.body = _with_events(function.body, events)
    batches.body = _batch(batches.body, events, num_batches)
    epochs.body = _epoch(epochs.body, batches, events)
    _refuse_what_is_left(function)


def _goes_over_epochs(node: ast.stmt) -> bool:
    return isinstance(node, ast.For) and tree.dotted(node.target) == "epoch"


def _batch(body: list[ast.stmt], events: Events, num_batches: int | None) -> list[ast.stmt]:
    """The body of the loop over batches: up to the step, the step, and what follows it."""
    step_at = next(i for i, one in enumerate(body) if _event_of(one) == "before_step")
    end_at = next(i for i, one in enumerate(body) if tree.unparse(one) == "step += 1")
    head = _with_events(body[:step_at], events)
    step = _with_events(body[step_at:end_at], events)
    tail = _with_events(body[end_at:], events)
    if head and _only_cancels_step(head[-1]):
        head, step = head[:-1], [_step_or_wait(head[-1], step, num_batches)]
    zero_grad = tree.statements("optimizer.zero_grad()")
    leave = [*zero_grad, *events["after_cancel"], *tail, tree.mark(ast.Continue())]
    stop = [
        *events["after_cancel"],
        *tree.statements("is_over = True"),
        tree.mark(ast.Break()),
    ]
    head = [_instead_of_raise(one, "CancelBatch", leave) for one in head]
    head = [_instead_of_raise(one, "CancelFit", [*zero_grad, *stop]) for one in head]
    tail = [_instead_of_raise(one, "CancelFit", stop) for one in tail]
    return [*head, *step, *tail]


def _epoch(body: Sequence[ast.stmt], batches: ast.For, events: Events) -> list[ast.stmt]:
    """The body of the loop over epochs, which is left where its batches say so."""
    stop = [*events["after_cancel"], tree.mark(ast.Break())]
    is_over = any(isinstance(n, ast.Name) and n.id == "is_over" for n in ast.walk(batches))
    result: list[ast.stmt] = []
    for one in _with_events(body, events):
        if one is batches and is_over:
            result += tree.statements("is_over = False")
        result.append(_instead_of_raise(one, "CancelFit", stop))
        if one is batches and is_over:
            result += tree.statements("if is_over:\n    break")
    return result


def _step_or_wait(waits: ast.stmt, step: list[ast.stmt], num_batches: int | None) -> ast.stmt:
    """`if …: raise CancelStep` before a step as `if not …:` around it.

    Raises: EjectError: nobody knows the last batch, which makes the step that others wait for.
    """
    if num_batches is None:
        raise EjectError(
            "This run waits several batches before it makes a step, and its loader has no "
            "length, so a script cannot tell the last batch. Give a loader with a length."
        )
    assert isinstance(waits, ast.If)
    last = tree.expression("(step + 1) % NUM_BATCHES == 0")
    condition: Any = ast.If(ast.BoolOp(ast.Or(), [negated(waits.test), last]), step, [])
    tree.mark(condition)
    condition.before = ["# The last batch of an epoch makes the step that others wait for."]
    return condition


def _refuse_what_is_left(function: ast.AST) -> None:
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and _raised(node) in _CANCELS:
            raise EjectError(
                f"A callback raises `{_raised(node)}` at an event where a script has no plain form "
                "for it. Cancel a step at `after_backward`, a batch before its step, a fit "
                "after a batch or an epoch."
            )


# --- events ---------------------------------------------------------------------------------------


def _event_of(node: ast.stmt) -> str | None:
    """The name of an event whose place a statement holds."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return None
    name = node.value.args[0] if tree.dotted(node.value.func) == "EVENT" else None
    return str(name.value) if isinstance(name, ast.Constant) else None


def _with_events(body: Sequence[ast.stmt], events: Events) -> list[ast.stmt]:
    result: list[ast.stmt] = []
    for one in body:
        event = _event_of(one)
        result += [one] if event is None else events[event]
    return result


# --- raises ---------------------------------------------------------------------------------------


def _raised(node: ast.Raise) -> str | None:
    """The name of what is raised."""
    if node.exc is None:
        return None
    return tree.dotted(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)


def _only_cancels_step(node: ast.stmt) -> bool:
    if not (isinstance(node, ast.If) and not node.orelse and len(node.body) == 1):
        return False
    only = node.body[0]
    return isinstance(only, ast.Raise) and _raised(only) == "CancelStep"


def _instead_of_raise(node: Any, name: str, instead: Sequence[ast.stmt]) -> Any:
    """Statements in the place of `raise name`, wherever it stands inside but in a loop of its own."""
    if isinstance(node, ast.For | ast.While):
        return node
    for field_name, block in list(tree.body_fields(node)):
        result: list[ast.stmt] = []
        for one in block:
            if isinstance(one, ast.Raise) and _raised(one) == name:
                result += copy.deepcopy(list(instead))
            else:
                result.append(_instead_of_raise(one, name, instead))
        setattr(node, field_name, result)
    return node
