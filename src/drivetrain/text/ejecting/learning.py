"""The vocabulary of a script of texts: it is learnt again, and has to come to that of the run."""

from __future__ import annotations

from typing import Any

from drivetrain.errors import EjectError
from drivetrain.text.ejecting.draft import Draft
from drivetrain.text.ejecting.plain import is_plain
from drivetrain.text.ejecting.tokens import (
    encode_written,
    know_rules,
    learn_written,
    plain_written,
)  # fmt: skip
from drivetrain.text.tokenizer import train_tokenizer


def write_tokens(draft: Draft) -> None:
    """The functions that learn a vocabulary and encode texts.

    Raises: EjectError: the tokenizer was given.
    """
    tokenizer: Any = draft.data.tokenizer
    options = draft.data.recipe.get("tokens", {})
    again = train_tokenizer(draft.data.part("train")[1], **options)
    if again.to_json() != tokenizer.to_json():
        raise EjectError(
            "The tokenizer was given, and not learnt from the training texts, so a script cannot "
            "make it again. Give `tokens` instead, such as tokens='word'."
        )
    rules = know_rules(draft.lifter, tokenizer.rules)
    draft.setting(rules.name, rules.value, rules.reason)
    draft.is_plain = is_plain(draft.data)
    if draft.is_plain:
        draft.written += plain_written(options, draft.lifter, draft.setting)
        return
    draft.written.append(learn_written(tokenizer, options, draft.lifter, draft.setting))
    draft.written.append(encode_written(tokenizer, draft.lifter))
