"""A pretrained encoder in a script: built by `transformers`, its tokenizer by `tokenizers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivetrain.eject.lift import Lifter
from drivetrain.eject.parts import Written


def tokenizer_written(tokenizer: Any, lifter: Lifter) -> list[Written]:
    raise NotImplementedError


def encoder_of_hub(
    lifter: Lifter, description: Mapping[str, Any], *, num_outputs: str
) -> tuple[str, dict[str, Any]]:
    raise NotImplementedError
