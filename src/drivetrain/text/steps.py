"""What becomes of one text on its way to a model: found, labelled, split, cut into tokens, numbered."""

from __future__ import annotations

import torch

from drivetrain.data.steps import Step, Steps, place_of, split_reason
from drivetrain.text.data import TextData


def steps(data: TextData, item: int | str = 0) -> Steps:
    """Each step of one text, with its value: the text, the label, the part, tokens, the model's input.

    Args:
        data: the texts.
        item: its place among `data.ids`, or its id.

    Returns: the steps; print them. Of a sealed text they end with its part.
    Raises: ConfigError, UnknownNameError: there is no such text.
    """
    at = place_of(item, data.ids, what="texts")
    part = next(name for name in ("train", "valid", "test") if at in getattr(data.split, name))
    found = [Step("item", data.ids[at], data.task.found_by), Step("part", part, split_reason(data))]
    if part == "test":
        return Steps(data.ids[at], (*found, Step("read", "no", "it is sealed until the test")))
    found.insert(1, Step("text", data.texts[at], data.template or "as it is"))
    if data.goal is not None and data.targets is not None:
        found.insert(2, Step("label", data.labels[at], f"{data.goal.name}: {data.goal.reason}"))
        found.append(Step("target", data.targets[at], f"as a {data.goal.kind}"))
    tokenizer = data.tokenizer
    ids = torch.as_tensor(tokenizer.encode([data.texts[at]]).document(0).astype("int64"))
    words = tokenizer.tokens(data.texts[at])
    found.append(Step("tokens", words, f"by the tokenizer '{tokenizer.kind}', learnt in training"))
    found.append(Step("ids", ids, "places in the vocabulary"))
    found.append(Step("input", (1, len(ids)), "what a model is given: a batch of one"))
    return Steps(data.ids[at], tuple(found))
