"""After a kill or a power cut at any moment the disk holds the last finished save, or the next, whole."""

from __future__ import annotations

from pathlib import Path

from tests.reliability.oracles import broken_states


def test_every_state_that_a_cut_can_leave_is_recovered_from(quick_folder: Path) -> None:
    count, broken = broken_states(quick_folder)
    assert broken == []
    assert count > 500
