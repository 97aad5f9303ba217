"""The function `load` of a script of texts: read, split, learnt, encoded, as one `Part` each."""

from __future__ import annotations

import textwrap
from typing import Any

from drivetrain.data import split as splits
from drivetrain.data.padded import shortened
from drivetrain.eject.known import Known
from drivetrain.eject.parts import Written
from drivetrain.eject.seeds import split_seed
from drivetrain.errors import EjectError
from drivetrain.text.ejecting import plain
from drivetrain.text.ejecting.draft import Draft
from drivetrain.text.ejecting.tokens import LEARNT, RULES
from drivetrain.text.goal import several

_SPLITS = {
    "stratified": splits.choose_of_each_class,
    "random": splits.random_split,
    "group": splits.group_split,
    "time": splits.time_split,
}


def write_part(draft: Draft) -> None:
    """The class `Part`: the texts that train, or those that validate."""
    draft.written.append(Written(_PART.format(targets=_TARGETS[draft.goal.kind]), "data"))


def write_load(draft: Draft, extra: str, *, is_transformer: bool) -> None:
    """The function `load`.

    Args:
        draft: whose texts the script reads by a function `read`.
        extra: what `read` gives beside texts and labels.
        is_transformer: whether the ids are those of a pretrained encoder, with nothing to be learnt.

    Raises: EjectError: the split has no plain form.
    """
    uses: dict[str, Any] = {}
    names = ["texts", "labels", *([extra] if extra else [])]
    lines = [f"{', '.join(names)} = read(path)", *_split(draft, uses)]
    kind: str = draft.data.tokenizer.kind
    learnt = LEARNT[kind]
    learn = "learn([texts[i] for i in train])"
    encoded = f"encode([texts[i] for i in rows], {learnt})"
    if draft.is_plain:
        told = f"{RULES}, min_freq=MIN_FREQ, max_vocab=VOCAB_SIZE"
        learn = f"learn_plain([texts[i] for i in train], {told})"
        encoded = f"encode_plain([texts[i] for i in rows], words, {RULES})"
        uses |= {"learn_plain": plain.learn_plain, "encode_plain": plain.encode_plain}
    if is_transformer:
        encoded = "encode([texts[i] for i in rows], record)"
        file = '(Path(ENCODER) / "tokenizer.json")'
        lines.append(f'record = {{"tokenizer": {file}.read_text("utf-8")}}')
    else:
        lines.append(f"{learnt} = {learn}")
    cut = draft.application.settings["max_len"]
    if cut is not None and draft.longest > cut:
        draft.setting("MOST_TOKENS", cut, f"of a text: {draft.reason('max_len')}")
        uses["shortened"] = shortened
        encoded = f"shortened({encoded}, MOST_TOKENS)"
    lines += [
        "",
        "def part(rows: list[int]) -> Part:",
        f"    tokens = {encoded}",
        *_targets(draft, uses),
        "    return Part(tokens, targets)",
        "",
        f"return part(train), part(valid){'' if is_transformer else ', words'}",
    ]
    if _is_scaled(draft):
        place = next(i for i, line in enumerate(lines) if line.startswith((learnt, "record")))
        lines[place:place] = [
            "known = np.array([float(labels[i]) for i in train])",
            "mean, scale = float(known.mean()), float(known.std())",
        ]
    body = textwrap.indent("\n".join(lines), "    ")
    load = _LOAD_ENCODED if is_transformer else _LOAD
    draft.written.append(Written(load.format(body=body), "data", uses))


def _split(draft: Draft, uses: dict[str, Any]) -> list[str]:
    """Statements that make `train` and `valid`, places of texts."""
    method = draft.data.split.method
    if method == "folders":
        return [
            "train = [i for i, is_valid in enumerate(parts) if not is_valid]",
            "valid = [i for i, is_valid in enumerate(parts) if is_valid]",
        ]
    if method not in _SPLITS:
        raise EjectError(
            f"The split '{method}' has no plain form. Split by stratified, random, group or time."
        )
    draft.setting("VALID", draft.data.recipe["valid"], draft.reason("split"))
    uses[_SPLITS[method].__name__] = _SPLITS[method]
    drawn_by = ""
    if method != "time":
        drawn_by = split_seed(draft.data.recipe, draft.seed, draft.setting)
    if method == "stratified":
        labels = "labels" if draft.goal.kind == "class" else "[str(label) for label in labels]"
        return [
            f"valid = choose_of_each_class({labels}, valid=VALID, seed={drawn_by})",
            "train = sorted(set(range(len(texts))) - set(valid))",
        ]
    given = {"random": "len(texts)", "group": "groups", "time": "np.array(times)"}
    seed = f", seed={drawn_by}" if drawn_by else ""
    return [
        f"split = {method}_split({given[method]}, valid=VALID{seed})",
        "train, valid = list(split.train), list(split.valid)",
    ]


def _targets(draft: Draft, uses: dict[str, Any]) -> list[str]:
    """Statements that make `targets` of the labels of `rows`."""
    goal = draft.goal
    if goal.kind == "labels":
        uses["several"] = several
        place = "drivetrain.text.goal:several"
        draft.lifter.known[place] = {"separator": Known(goal.separator)}
        given = f", {goal.separator!r}" if goal.separator else ", None"
        return [
            f"    told = [several(labels[i]{given}) for i in rows]",
            "    targets = torch.tensor([[float(c in one) for c in CLASSES] for one in told])",
        ]
    if goal.classes:
        return ["    targets = torch.tensor([CLASSES.index(labels[i]) for i in rows])"]
    numbers = "np.array([float(labels[i]) for i in rows])"
    if _is_scaled(draft):
        numbers = f"(({numbers} - mean) / scale)"
    return [f"    targets = torch.from_numpy({numbers}.astype(np.float32))"]


def _is_scaled(draft: Draft) -> bool:
    """Whether numbers are learnt standardised."""
    return not draft.goal.classes and (draft.goal.mean, draft.goal.scale) != (0.0, 1.0)


_TARGETS = {
    "class": "(N,) int64: which of CLASSES each is of",
    "labels": "(N, C) float32: 1 where a text has that of CLASSES, else 0",
    "number": "(N,) float32",
}

_PART = '''
class Part(NamedTuple):
    """The texts that train, or those that validate."""

    tokens: TokenArray
    targets: Tensor  # {targets}
'''

_LOAD = '''
def load(path: Path) -> tuple[Part, Part, Sequence[str]]:
    """Read and split the texts, and learn the vocabulary from those that train."""
{body}
'''

_LOAD_ENCODED = '''
def load(path: Path) -> tuple[Part, Part]:
    """Read and split the texts, and give them the ids that the encoder knows."""
{body}
'''
