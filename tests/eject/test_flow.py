"""Events of a loop as plain flow: what is cancelled is skipped or left, or refused by name."""

from __future__ import annotations

import pytest

from drivetrain.eject import tree
from drivetrain.eject.flow import put_events
from drivetrain.errors import EjectError
from drivetrain.train.callback import EVENTS

LOOP = """
def fit(model):
    EVENT("before_fit")
    for epoch in range(3):
        for batch in batches:
            EVENT("before_batch")
            EVENT("before_step")
            optimizer.step()
            EVENT("after_step")
            step += 1
            EVENT("after_batch")
        EVENT("after_epoch")
    EVENT("after_fit")
"""


def with_events(num_batches: int | None = 5, **texts: str) -> str:
    """The loop with statements at some events."""
    function = tree.statement(LOOP)
    events = {event: tree.statements(texts.get(event, "")) for event in EVENTS}
    put_events(function, events, num_batches=num_batches)
    return tree.render([function])


def test_statements_stand_in_the_places_of_their_events() -> None:
    found = with_events(before_fit="a = 1", after_batch="b = 2", after_epoch="c = 3")
    assert "EVENT" not in found
    assert "\n    a = 1\n    for epoch" in found
    assert "step += 1\n            b = 2\n        c = 3\n" in found


def test_a_step_that_is_cancelled_is_made_where_it_is_not_and_with_the_last_batch() -> None:
    found = with_events(before_batch="if waits:\n    raise CancelStep")
    assert (
        "            # The last batch of an epoch makes the step that others wait for.\n"
        "            if not waits or (step + 1) % NUM_BATCHES == 0:\n"
        "                optimizer.step()\n"
    ) in found
    with pytest.raises(EjectError, match="its loader has no length"):
        with_events(None, before_batch="if waits:\n    raise CancelStep")


def test_a_fit_that_is_cancelled_in_a_batch_leaves_both_loops() -> None:
    found = with_events(after_batch="if x:\n    raise CancelFit", after_cancel="undo()")
    assert "        is_over = False\n        for batch in batches:" in found
    assert (
        "            if x:\n                undo()\n                is_over = True\n"
        "                break\n        if is_over:\n            break\n"
    ) in found


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("after_step", "if x:\n    raise CancelFit"),  # a `break` would go on with the next epoch
        ("after_epoch", "for one in rows:\n    raise CancelFit"),  # it would leave the wrong loop
        ("before_batch", "for one in rows:\n    raise CancelBatch"),
        ("after_epoch", "raise CancelEpoch"),
    ],
)
def test_what_has_no_plain_form_is_refused(event: str, text: str) -> None:
    name = text.rpartition(" ")[2]
    with pytest.raises(EjectError) as caught:
        with_events(**{event: text})
    assert str(caught.value) == (
        f"A callback raises `{name}` at an event where a script has no plain form for it. Cancel a step "
        "at `after_backward`, a batch before its step, a fit after a batch or an epoch."
    )
