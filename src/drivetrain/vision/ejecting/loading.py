"""The function `load` of a script: pictures are found, split and opened, as one `Part` each."""

from __future__ import annotations

from collections import Counter
from typing import Any

from drivetrain.data.split import choose_of_each_class
from drivetrain.eject.known import Known
from drivetrain.eject.modules import Import
from drivetrain.eject.seeds import split_seed
from drivetrain.errors import EjectError
from drivetrain.randomness import item_keys
from drivetrain.train.budget import choose_items
from drivetrain.vision.ejecting.draft import Draft
from drivetrain.vision.ejecting.finding import find


def write_part(draft: Draft) -> None:
    """The class `Part`: the pictures that train, or those that validate."""
    targets = draft.data.targets
    told = "(N,) int64: which of CLASSES each is of"
    if targets is not None:
        told = f"(N, {len(targets.names)}) int64: which of its CLASSES each TARGET has"
    text = _PART_ON_DISK if draft.data.pixels is None else _PART_IN_MEMORY
    text += f"    targets: Tensor  # {told}\n"
    draft.write(text + (_PART_KEYS if draft.is_varied else ""), "data")


def write_load(draft: Draft) -> None:
    """The function `load`.

    Raises: EjectError: a plain script would not find the very same pictures, labels and parts.
    """
    found = find(draft)
    uses: dict[str, Any] = {"item_keys": item_keys} if draft.is_varied else {}
    split = _split(draft, uses, found.part) + _fraction(draft, uses)
    body = _OPENED.format(
        pool=_POOL if draft.data.pixels is not None else "",
        pixels="torch.from_numpy(np.stack(pixels))"
        if draft.data.pixels is not None
        else "[paths[i] for i in indices]",
        codes=_CODES if draft.data.targets is None else _CODES_OF_TARGETS,
        keys=_KEYS if draft.is_varied else "",
    )
    labels = f"    labels = [{found.label} for path in paths]\n"
    draft.write(found.head + labels + split + body, "data", uses | found.uses)
    if draft.data.pixels is not None:
        draft.lifter.add_import(Import("concurrent.futures", "ThreadPoolExecutor"))
    draft.lifter.add_import(Import("pathlib", "Path"))
    draft.lifter.add_import(Import("typing", "NamedTuple"))
    draft.lifter.add_import(Import("torch", "Tensor"))
    draft.lifter.add_import(Import("torch"))


def _split(draft: Draft, uses: dict[str, Any], part: str) -> str:
    """Statements that make the indices `train` and `valid`."""
    data = draft.data
    if data.split.method == "folders":
        return _SPLIT_BY_PART.format(train=part.format("TRAIN"), valid=part.format("VALID"))
    if data.split.method != "stratified":
        raise EjectError(f"The split '{data.split.method}' has no plain form yet.")
    draft.setting("VALID", data.recipe["valid"], draft.reason("split"))
    uses["choose_of_each_class"] = choose_of_each_class
    counts = Counter(item.label for item in data.items if item.id in data.hashes)
    if min(counts.values()) > 1:
        name = "drivetrain.data.split:choose_of_each_class"
        draft.known[name] = {"len(members) < 2": Known(False)}
    seed = split_seed(data.recipe, draft.seed, draft.setting)
    return _SPLIT_BY_CLASS.format(seed=seed)


def _fraction(draft: Draft, uses: dict[str, Any]) -> str:
    """Statements that take a share of `train`, where the run did."""
    fraction = draft.application.settings.get("fraction", 1.0)
    if fraction == 1.0:
        return ""
    uses["choose_items"] = choose_items
    draft.setting("FRACTION", fraction, "share of the training pictures, of every class alike")
    return _SHARE


_PART_IN_MEMORY = '''
class Part(NamedTuple):
    """The pictures that train, or those that validate."""

    pixels: Tensor  # (N, height, width, 3) uint8
'''

_PART_ON_DISK = '''
class Part(NamedTuple):
    """The pictures that train, or those that validate; they are opened when they are needed."""

    paths: list[Path]
'''

_PART_KEYS = (
    "    keys: np.ndarray  # (N,) uint64: what the random draws of each picture are derived from\n"
)

_SPLIT_BY_CLASS = """    valid = choose_of_each_class(labels, valid=VALID, seed={seed})
    train = sorted(set(range(len(paths))) - set(valid))
"""

_SPLIT_BY_PART = """    train = [i for i, path in enumerate(paths) if {train}]
    valid = [i for i, path in enumerate(paths) if {valid}]
"""

_SHARE = """    of_train = [labels[i] for i in train]
    chosen = choose_items(len(train), FRACTION, seed=SEED, labels=of_train)
    train = [train[i] for i in chosen.tolist()]
"""

_OPENED = """    def part(indices: Sequence[int]) -> Part:
{pool}        return Part(
            {pixels},
            {codes},
            {keys}
        )

    return part(train), part(valid)
"""

_POOL = """        with ThreadPoolExecutor() as pool:
            pixels = list(pool.map(open_picture, [paths[i] for i in indices]))
"""

_CODES = "torch.tensor([CLASSES.index(labels[i]) for i in indices])"

_CODES_OF_TARGETS = """
            torch.tensor(
                [
                    [
                        classes.index(rows[paths[i]][target].strip())
                        for target, classes in zip(TARGETS, CLASSES, strict=True)
                    ]
                    for i in indices
                ]
            )"""

_KEYS = "item_keys([paths[i].relative_to(folder).as_posix() for i in indices]),"
