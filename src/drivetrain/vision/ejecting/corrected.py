"""Pictures whose labels a patch corrected, in the script of their run: by their paths.

The pictures are found again without the patch, and held against those of the run; the script is told
where they differ. See `eject.corrections`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivetrain.eject.corrections import Corrections
from drivetrain.store import file_sha256
from drivetrain.vision.data import VisionData
from drivetrain.vision.ejecting.draft import Draft
from drivetrain.vision.sources import Found, find_by_name, find_in_csv, find_in_folder
from drivetrain.vision.targets import labels_of


def corrections_of(data: VisionData, finds: Callable[[str], bool]) -> Corrections:
    """What the patch of a run did to its pictures; none where it has no patch.

    Args:
        data: of the run; its pictures were found in folders, by names or in a CSV.
        finds: whether the script finds a picture, by its path, before it is left out.
    """
    if data.recipe.get("patch") is None:
        return Corrections()
    before = _found(data)
    now = {item.id: labels_of(item) for item in data.items}
    aside = {one.id for one in data.quarantined}
    names = before.targets
    relabelled: dict[str, Any] = {}
    left_out: list[str] = []
    found: list[Any] = []
    for item in sorted(before.items, key=lambda item: item.id):
        was, label = labels_of(item), now.get(item.id)
        if label is None and item.id not in aside and finds(item.id):
            left_out.append(item.id)
        elif label is not None and label != was:
            pairs = zip(names, was, label, strict=True) if names else ()
            changed = {name: new for name, old, new in pairs if new != old}
            relabelled[item.id] = changed if names else label[0]
        else:
            continue
        said = was if data.recipe["from"] == "csv" else ()
        found.append([item.id, file_sha256(item.path), *said])
    return Corrections(relabelled, tuple(left_out), found)


def _found(data: VisionData) -> Found:
    """The pictures as the source has them."""
    recipe, source = data.recipe, data.recipe["source"]
    if recipe["from"] == "folder":
        return find_in_folder(source)
    if recipe["from"] == "names":
        return find_by_name(source, recipe["pattern"])
    return find_in_csv(
        source,
        folder=recipe["folder"],
        path_column=recipe["path_column"],
        label_column=recipe.get("label_column"),
        part_column=recipe["part_column"],
        targets=recipe.get("targets", ()),
    )


def correct(draft: Draft, made: Corrections, uses: dict[str, Any]) -> str:
    """Statements of `load` that apply them to `paths`, and to the `rows` of a CSV.

    Args:
        draft: is given the constants, and what lies beside the script.
        made: what the patch did.
        uses: is given what the statements call.
    """
    if not len(made):
        return ""
    written, files = made.write("paths of pictures", draft.setting, draft.lifter)
    draft.written += written
    draft.beside |= files
    draft.note = made.note("picture", "pictures")
    is_listed, targets = draft.data.recipe["from"] == "csv", draft.data.targets
    said = ""
    if is_listed:
        row = "rows[named[name]]"
        said = f", {row}[LABEL_COLUMN].strip()"
        if targets is not None:
            said = f", *({row}[target].strip() for target in TARGETS)"
    stop = made.check(_FOUND.format(said=said), uses, draft.setting)
    text = _CORRECTED.format(has=made.has("name"), stop=stop)
    if made.relabelled and is_listed:
        text += _OF_TARGETS if targets is not None else _OF_ROWS
    return text + (_LEFT_OUT if made.left_out else "")


_FOUND = (
    "[[name, hashlib.sha256(named[name].read_bytes()).hexdigest(){said}] for name in corrected]"
)

_CORRECTED = """    named = {{path.relative_to(folder).as_posix(): path for path in paths}}
    corrected = [name for name in named if {has}]
    {stop}
"""

_OF_ROWS = """    for name, label in RELABELLED.items():
        rows[named[name]][LABEL_COLUMN] = label
"""

_OF_TARGETS = """    for name, labels in RELABELLED.items():
        rows[named[name]].update(labels)
"""

_LEFT_OUT = """    paths = [path for name, path in named.items() if name not in LEFT_OUT]
"""
