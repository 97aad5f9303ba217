"""A run and its evidence in which every name wants to be markup, a script, or to turn the text round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain.data.frame import Factor
from drivetrain.interpret.map_items import MapItems
from drivetrain.report.evidence import Amounts, Baseline, Evidence, Gallery, Look, Shown
from drivetrain.report.record import Record, open_record
from drivetrain.train.predictions import Predictions
from drivetrain.train.run import Run

NAMES = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "' onmouseover='document.title=1' x='",
    "</style></svg><b>bold</b>\u202e&amp;",
)
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077 53de0000000c4944415408d763f8cf"
    "c0000003010100c9fe92ef0000000049454e44ae426082".replace(" ", "")
)
"""One red pixel."""
PARTS = ("data", "model")


def journal() -> list[dict[str, Any]]:
    stage = {
        "kind": "fit", "call": "fit_one_cycle", "status": "done", "epochs": 4, "lrs": [0.01, 0.02],
        "schedule": {"name": "one_cycle"}, "first_epoch": 0, "epochs_done": 4, "steps_done": 40,
    }  # fmt: skip
    return [stage]


def record_of(folder: Path, *, names: tuple[str, ...] = NAMES, **changes: Any) -> Record:
    """A finished run of a classifier in a folder."""
    run = Run.create(folder)
    evil = names[0]
    value: dict[str, Any] = {
        "task": {
            "application": "vision", "inputs": evil, "target": "class", "classes": list(names),
            "source": evil, "found_by": names[1], "labelled_by": names[2], "split_by": names[3],
        },
        "model": {"name": names[1]},
        "data": {"source": evil},
        "items": {"train": 400, "valid": 120, "test": 30, "quarantined": 20},
        "notes": [names[1]],
        "seed": 7,
        "versions": {names[1]: names[2]},
        "journal": journal(),
        "choices": [
            {"what": name, "value": name, "reason": f"`{name}` {name}", "change": name}
            for name in names
        ],
        "results": {
            "model": names[1],
            "metrics": {"valid": {"loss": 0.8, "accuracy": 0.75, names[1]: 0.5}},
            "interval": [0.66, 0.82],
            "baselines": {names[2]: {"accuracy": 0.25, "interval": [0.18, 0.34]}},
            "items": {"train": 400, "valid": 120},
            "epochs": 4,
            "seconds": 12.5,
            "weights_sha256": "0" * 64,
            "left_out": {names[1]: names[2]},
            "leaderboard": [
                {
                    "model": names[1], "metrics": {"accuracy": 0.75}, "interval": [0.66, 0.82],
                    "seconds": 1, "note": names[0],
                }
            ],
        },
    }  # fmt: skip
    run.write(value | changes)
    for epoch, (train, valid) in enumerate([(1.5, 1.2), (1.0, 0.9), (0.8, 0.85), (0.6, 0.8)]):
        run.log({"epoch": epoch, "train_loss": train, "valid_loss": valid, names[1]: 0.5})
        run.log({"batches_of": epoch, "loss": [train + 0.1, None, train - 0.1]})
    run.release()
    return open_record(folder)


def evidence_of(*, names: tuple[str, ...] = NAMES, count: int = 120) -> Evidence:
    """Predictions of as many classes as there are names, a quarter of them wrong."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(count) % len(names)
    outputs = torch.randn(count, len(names), generator=generator)
    outputs[torch.arange(count), targets] += 3
    losses = torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    ids = [f"{names[place % len(names)]}-{place}" for place in range(count)]
    look = Look(PNG, names[-2], pixels=True)
    answers = outputs.argmax(dim=1)
    items = MapItems(
        outputs.numpy(), ids, names[0], "pictures", names, targets.numpy(), names[1],
        said=[names[code] for code in answers.tolist()], wrong=(answers != targets).numpy(),
    )  # fmt: skip
    row = Shown(names[0], names[1], (look,), names[-1], ((names[0], names[1]),))
    return Evidence(
        noun="pictures",
        classes=names,
        counts={"train": [100] * len(names), "valid": [30] * len(names)},
        numbers=np.arange(50.0),
        target=names[1],
        amounts=[Amounts(names[0], np.arange(90.0) ** 2, names[1], names[-2])],
        samples=[row],
        predictions=Predictions(ids, targets, outputs, losses, names),
        show=lambda positions: [row for _ in positions],
        facts={names[0]: Factor.of([names[place % 2] for place in range(count)])},
        baselines=[Baseline(names[0], names[1], 0.4, 0.3, 0.5)],
        notes=[names[1]],
        facts_of_model=[(names[0], names[1])],
        galleries=[
            Gallery(name, [look], [names[0]], part)
            for name, part in zip(names, PARTS, strict=False)
        ],
        map=items,
    )
