"""Texts with what is to be told of them: read, split, and made tokens when that is first asked for.

    data = from_folder("reviews/")                 # a class is a folder
    data = from_csv("reviews.csv", "label")        # or a Parquet file, or a frame
    data = from_texts(["Dull.", "A joy."], ["bad", "good"])

What is learnt (classes, vocabulary) is learnt from training texts only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivetrain import store
from drivetrain.clean.patch import Patch, Setting
from drivetrain.data.items import Quarantined
from drivetrain.data.loaders import Loaders
from drivetrain.data.padded import LengthLoader, PaddedData
from drivetrain.data.split import (
    Split,
    group_split,
    random_split,
    split_by_part,
    stratified_split,
    time_split,
)
from drivetrain.data.task import Task
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, DataError
from drivetrain.text.base import PAIR_MARK, Tokenizer
from drivetrain.text.cleaning import patched
from drivetrain.text.goal import Goal, find_goal
from drivetrain.text.reading import (
    PAIR,
    PARTS,
    SUFFIXES,
    Columns,
    Repairs,
    Texts,
    check_source,
    pair_template,
    read_file,
    read_folder,
    read_table,
    usual_template,
)
from drivetrain.text.sealing import check_test, seal_of, split_without, with_elsewhere
from drivetrain.text.tokenizer import train_tokenizer
from drivetrain.train.choice import Choices
from drivetrain.train.sealed import Seal

Report = Callable[..., None]
"""Told what is done, how many, and of how many."""
SPLITS = ("stratified", "random", "group", "time")


class TextData:
    """Texts, their targets and their split. Made by `gather`.

    Args:
        found: texts as they were read.
        split: indices of the texts of each part.
        goal: what is predicted; None where nothing is, as for a language model.
        recipe: plain JSON from which `gather_again` makes the same.
        source: how to call it in a message.
        choices: what was decided.
        seed: of the split.
        template: how several columns became one text; None where there is one.
    """

    def __init__(
        self,
        found: Texts,
        split: Split,
        goal: Goal | None,
        recipe: dict[str, Any],
        *,
        source: str,
        choices: Choices,
        seed: int,
        template: str | None = None,
    ) -> None:
        self.texts, self.ids, self.labels = found.texts, found.ids, found.labels
        self.columns = found.columns
        """Further columns of a table, such as that of the groups: name -> (N,) values."""
        self.quarantined, self.notes = found.quarantined, found.notes
        self.split = split
        self.goal = goal
        self.recipe = recipe
        self.source = source
        self.choices = choices
        self.seed = seed
        self.template = template
        """How columns become a text; None where the text is one."""
        self.targets = None if goal is None else goal.encode(found.labels)
        self._tokenizer: Tokenizer | None = None
        self._tokens: dict[str, TokenArray] = {}
        self._fingerprint: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores; empty for numbers."""
        return () if self.goal is None else self.goal.classes

    @property
    def are_pairs(self) -> bool:
        """Whether each text is two, with `PAIR_MARK` between them."""
        return self.template is not None and PAIR_MARK in self.template

    @property
    def task(self) -> Task:
        """The problem as a frozen record."""
        return Task(
            application="text",
            inputs="text",
            target="next token" if self.goal is None else self.goal.kind,
            classes=self.classes,
            source=self.source,
            found_by=self.recipe["from"],
            labelled_by="" if self.goal is None else self.goal.name,
            split_by=self.split.method,
        )

    def counts(self) -> dict[str, int]:
        """Texts of each part, and those set aside."""
        return {
            "train": len(self.split.train),
            "valid": len(self.split.valid),
            "test": len(self.split.test),
            "quarantined": len(self.quarantined),
        }

    @property
    def seal(self) -> Seal | None:
        """What is known of the test part, which is closed; None where there is none."""
        return seal_of(self)

    def rows(self, part: str) -> np.ndarray:
        """(N,) int64, where the texts of a part stand."""
        return np.array(getattr(self.split, part), dtype=np.int64)

    def part(self, part: str) -> tuple[list[str], list[str], np.ndarray | None]:
        """Names, texts and targets of a part."""
        rows = self.rows(part)
        names = [self.ids[row] for row in rows.tolist()]
        texts = [self.texts[row] for row in rows.tolist()]
        return names, texts, None if self.targets is None else self.targets[rows]

    def fingerprint(self) -> str:
        """SHA-256 of names, texts, labels and split: equal where the data is."""
        if self._fingerprint is None:
            digest = hashlib.sha256()
            for name, text, label in zip(self.ids, self.texts, self.labels, strict=True):
                for part in (name, text, _plain(label)):
                    data = part.encode("utf-8", "surrogatepass")
                    digest.update(len(data).to_bytes(8, "little") + data)
            digest.update(store.json_bytes([self.split.train, self.split.valid, self.split.test]))
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns texts into tokens: as was set, else of the training texts' words."""
        if self._tokenizer is None:
            options = self.recipe.get("tokens", {})
            self.tokenizer = train_tokenizer(self.part("train")[1], **options)
        assert self._tokenizer is not None, "set above"
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, value: Tokenizer) -> None:
        self._tokenizer = value
        self._tokens = {}

    def tokens(self, part: str) -> TokenArray:
        """The tokens of the texts of a part, made when they are first asked for."""
        if part not in self._tokens:
            self._tokens[part] = self.tokenizer.encode(self.part(part)[1])
        return self._tokens[part]

    def padded(self, part: str, *, max_len: int | None = None) -> PaddedData:
        """The texts of a part as a batch-first data set.

        Args:
            part: `train`, `valid` or `test`.
            max_len: tokens of a text; the rest is cut off.

        Raises: ConfigError: these texts have no targets.
        """
        names, _, targets = self.part(part)
        if targets is None:
            raise ConfigError("These texts have no targets: they are for a language model.")
        return PaddedData(
            self.tokens(part),
            torch.from_numpy(targets),
            pad_id=self.tokenizer.pad_id,
            max_len=max_len,
            ids=names,
        )

    def loaders(self, *, batch_size: int = 32, max_len: int | None = None) -> Loaders:
        """Batches by length: shuffled for training, sorted for validation.

        Args:
            batch_size: texts a batch.
            max_len: tokens of a text; the rest is cut off.
        """
        train = LengthLoader(
            self.padded("train", max_len=max_len),
            batch_size=batch_size,
            shuffle=True,
            min_batch=2,
            seed=self.seed,
        )
        valid = LengthLoader(self.padded("valid", max_len=max_len), batch_size=2 * batch_size)
        return Loaders(train, valid)

    def __str__(self) -> str:
        counts = self.counts()
        what = f"{len(self.classes)} classes" if self.classes else "numbers"
        if self.goal is None:
            what = "no targets"
        lines = [
            f"{self.source}: {counts['train']:,} texts to train, {counts['valid']:,} to validate"
            + (f", {counts['test']:,} sealed for the test" if counts["test"] else "")
            + f"; {what}"
        ]
        if self.quarantined:
            lines.append(
                f"  {len(self.quarantined):,} set aside, such as {self.quarantined[0].id}."
            )
        return "\n".join(lines + [f"  {note}" for note in self.notes])


def gather(
    source: Any,
    target: str | Sequence[str] | None = None,
    *,
    labels: Sequence[Any] | None = None,
    text_columns: str | Sequence[str] = (),
    compose: str | None = None,
    target_kind: str | None = None,
    separator: str | None = None,
    valid: float = 0.2,
    test: float | str | os.PathLike[str] | None = None,
    split: str | None = None,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    patch: Setting | Sequence[Setting] | None = None,
    tokens: str | Mapping[str, Any] = "word",
    seed: int = 42,
    delimiter: str | None = None,
    encoding: str | None = None,
    labelled: bool = True,
    report: Report | None = None,
) -> TextData:
    """Read texts, split them, and find out what is to be told of them.

    Args:
        source: a folder of texts; a CSV or Parquet file, a frame; or a list of strings.
        target: the column of the label; by default one of a usual name, or the only one left.
        labels: of a list of strings, one each: strings, numbers, or lists of strings.
        text_columns: the columns of the text; by default the one that looks like it.
        compose: how several columns become one text: names of columns in braces, such as
            "TEXT1: {context}; ANC1: {anchor}". By default "TEXT1: …; TEXT2: …". "pair": two columns
            stay two texts, which a transformer reads in its own form for pairs.
        target_kind: `class`, `labels` or `number`; by default as the labels look.
        separator: stands between several labels in one cell, such as ";".
        valid: share for validation.
        test: share that is sealed for a test, drawn as validation is; or a file or folder of such texts;
            None: the source's own part `test`, if it has one. See `text.sealing`.
        split: `stratified`, `random`, `group` or `time`; by default stratified for classes.
        group: a column; texts that share its value stay on one side.
        time: a column of times; the last texts validate.
        split_column: a column that says train, valid or test.
        patch: changes of labels that `drivetrain clean` wrote, of one or several people, made
            before validation is drawn; the source stays as it is, and so do texts of a test part.
        tokens: kind of tokenizer, or options of `train_tokenizer`: `{"kind": "bpe", "vocab_size": 8000}`.
        seed: of the split.
        delimiter, encoding: of a CSV.
        labelled: False for texts of a language model.
        report: is told how far it is.

    Returns: the texts with their targets and their split.
    Raises: DataError, ConfigError: with what is wrong and what to do.
    """
    asked_columns = [text_columns] if isinstance(text_columns, str) else list(text_columns)
    names = None if target is None else [target] if isinstance(target, str) else list(target)
    options = {
        "compose": compose,
        "target_kind": target_kind,
        "separator": separator,
        "valid": valid,
        "split": split,
        "group": group,
        "time": time,
        "split_column": split_column,
        "seed": seed,
        "delimiter": delimiter,
        "encoding": encoding,
        "labelled": labelled,
    }
    if test is not None:
        options["test"] = os.path.abspath(test) if isinstance(test, str | os.PathLike) else test
    path = check_source(source)
    choices = Choices()
    columns: Columns | None = None
    if report is not None:
        report("texts read", 0)
    if path is not None and Path(path).is_dir():
        kind = "folder"
        _refuse_columns(names, asked_columns, compose, group, time, split_column)
        found = read_folder(Path(path), labelled=labelled)
    elif path is not None and not _is_table(path):
        if labelled:
            raise DataError(f"{path} is one text. Give a folder of texts, or a table with labels.")
        kind, found = "file", _one_file(Path(path))
    elif isinstance(source, list | tuple) and all(isinstance(one, str) for one in source):
        kind = "texts"
        _refuse_columns(names, asked_columns, compose, group, time, split_column)
        found = _of_strings(source, labels, labelled)
    else:
        kind = "table"
        found, columns = read_table(
            source,
            text_columns=asked_columns,
            target=names,
            compose=compose,
            keep=[name for name in (group, time, split_column) if name is not None],
            labelled=labelled,
            delimiter=delimiter,
            encoding=encoding,
        )
        choices.add(
            "text_columns",
            list(columns.texts),
            reason=columns.reason,
            change="--text COLUMN",
        )
    if report is not None:
        report("texts read", len(found.texts), len(found.texts))
    changes = None if patch is None else Patch.of_setting(patch)
    if changes is not None and test is None:
        found, _ = _patched(found, None, changes, options, choices)
    if test is None:
        parted = _split(found, options, choices)
    else:
        parted = _split_sealed(found, columns, options, choices)
        if changes is not None:  # which texts are sealed is no matter of a patch
            found, parted = _patched(found, parted, changes, options, choices)
    goal = None
    if labelled:
        name = ", ".join(columns.target) if columns is not None else "class"
        train = [found.labels[row] for row in parted.train]
        goal = find_goal(train, name, kind=target_kind, separator=separator)
        what = f"{len(goal.classes)} classes" if goal.classes else "number"
        choices.add(
            "target", f"{goal.name}: {what}", reason=goal.reason, change="--set target_kind=KIND"
        )
        if goal.kind == "class":
            found, parted = _without_new_classes(found, parted, goal)
    _note_duplicates(found, parted)
    told = {"kind": tokens} if isinstance(tokens, str) else dict(tokens)
    recipe = {
        "from": kind,
        "source": path,
        "target": names,
        "text_columns": asked_columns,
        "tokens": told,
        **options,
    }
    template = None
    if columns is not None:
        template = compose or usual_template(columns.texts)
        if compose == PAIR:
            template = pair_template(columns.texts)
    return TextData(
        found,
        parted,
        goal,
        recipe,
        source=path or "The texts given",
        choices=choices,
        seed=seed,
        template=template,
    )


def from_folder(source: str | os.PathLike[str], **options: Any) -> TextData:
    """The texts of a folder, a folder below it for each class; options as of `gather`.

    Args:
        source: the folder.
        options: of `gather`.
    """
    return gather(Path(source), **options)


def from_table(source: Any, target: str | None = None, **options: Any) -> TextData:
    """The texts of a table: a CSV or Parquet file, or a frame; options as of `gather`.

    Args:
        source: the file or the frame.
        target: the column of the label; by default it is found.
        options: of `gather`.
    """
    return gather(source, target, **options)


from_csv = from_table


def from_texts(
    texts: Sequence[str], labels: Sequence[Any] | None = None, **options: Any
) -> TextData:
    """Strings with their labels; without any they are for a language model. Options as of `gather`.

    Args:
        texts: N strings.
        labels: one each: strings, numbers, or lists of strings.
        options: of `gather`.
    """
    return gather(list(texts), labels=labels, labelled=labels is not None, **options)


def gather_again(recipe: Mapping[str, Any], *, report: Report | None = None) -> TextData:
    """The texts that a recipe describes.

    Raises: DataError: they came from memory, so that they cannot be read again; or as `gather`.
    """
    options = dict(recipe)
    source, _ = options.pop("source"), options.pop("from")
    if not isinstance(source, str):
        raise DataError(
            "This run was trained on texts from memory, which only the program that made it has. Give "
            "them as a file to go on in another process."
        )
    return gather(source, options.pop("target"), report=report, **options)


# --- parts ----------------------------------------------------------------------------------------


def _patched(
    found: Texts, split: Split | None, patch: Patch, options: dict[str, Any], choices: Choices
) -> tuple[Texts, Any]:
    """The texts as a patch leaves them, and a split of them that was made before; recorded."""
    sealed = set() if split is None else set(split.test)
    found, applied = patched(found, patch, sealed)
    options["patch"] = patch.to_json()
    reason = " ".join(applied.notes())
    choices.add("patch", len(patch), reason=reason, change="train without --patch")
    if split is None:
        return found, None
    kept = [at for at, is_kept in enumerate(applied.kept) if is_kept]
    place = {old: new for new, old in enumerate(kept)}
    train, valid, test = (
        tuple(place[row] for row in rows if row in place)
        for rows in (split.train, split.valid, split.test)
    )
    return found, Split(train, valid, test, split.method)


def _is_table(path: str) -> bool:
    return not path.lower().endswith(SUFFIXES)


def _plain(label: Any) -> str:
    return store.to_json(label if not isinstance(label, set | frozenset) else sorted(label))


def _of_strings(texts: Sequence[str], labels: Sequence[Any] | None, labelled: bool) -> Texts:
    if labelled and labels is None:
        raise ConfigError("A list of texts needs its labels: `labels=[…]`, one for each.")
    if labels is not None and len(labels) != len(texts):
        raise ConfigError(f"There are {len(labels)} labels for {len(texts)} texts.")
    found, repairs = Texts(), Repairs()
    for place, text in enumerate(texts):
        label = None if labels is None else labels[place]
        if labelled and label is None:
            found.quarantined.append(
                Quarantined(f"text {place + 1}", "no-label", "It has no label.")
            )
            continue
        found.add(f"text {place + 1}", text, label, repairs)
    if not found.texts:
        raise DataError("There is no text: all are empty or without a label.")
    found.notes += repairs.notes()
    return found


def _one_file(path: Path) -> Texts:
    repairs = Repairs()
    text = read_file(path, path.name, repairs)
    if isinstance(text, Quarantined):
        raise DataError(f"{path}: {text.detail}")
    found = Texts()
    if not found.add(path.name, text, None, repairs):
        raise DataError(f"{path} is empty.")
    found.notes += repairs.notes()
    return found


def _refuse_columns(
    target: Sequence[str] | None,
    texts: Sequence[str],
    compose: str | None,
    group: str | None,
    time: str | None,
    split_column: str | None,
) -> None:
    given = {
        "target": target,
        "text_columns": texts,
        "compose": compose,
        "group": group,
        "time": time,
        "split_column": split_column,
    }
    for name, value in given.items():
        if value:
            raise ConfigError(f"`{name}` names a column of a table, and this source has none.")


def _split(found: Texts, options: Mapping[str, Any], choices: Choices) -> Split:
    """The split that the source has, or that was asked for; recorded as a choice."""
    change = "--set split=stratified|random|group|time"
    valid, seed, how = options["valid"], options["seed"], options["split"]
    if how is not None and how not in SPLITS:
        raise ConfigError(f"`split` must be one of {', '.join(SPLITS)}. Got {how!r}.")
    parts = found.parts
    if options["split_column"] is not None:
        parts = [_part_of(value) for value in found.columns[options["split_column"]]]
    if parts is not None:
        return _of_parts(found, parts, valid, seed, choices, change)
    group, time = options["group"], options["time"]
    if how is None:
        how = "group" if group else "time" if time else None
    for name, column in (("group", group), ("time", time)):
        if how == name and column is None:
            raise ConfigError(f"`split='{name}'` needs `{name}='COLUMN'`.")
    if how == "group":
        reason = f"texts of one '{group}' stay together"
        choices.add("split", "group", reason=reason, change=change)
        values = [str(value) for value in found.columns[group]]
        return group_split(values, valid=valid, seed=seed)
    if how == "time":
        reason = f"the last {valid:.0%} by '{time}' validate"
        choices.add("split", "time", reason=reason, change=change)
        return time_split(_times(found.columns[time], time), valid=valid)
    if not options["labelled"] and len(found.texts) < 10:
        return _cut(found, valid, choices)
    is_class = options["labelled"] and all(isinstance(label, str | int) for label in found.labels)
    few = len(set(map(str, found.labels))) if is_class else 0
    is_class = is_class and not options["separator"] and 2 * few <= len(found.labels)
    if how == "stratified" or (how is None and is_class):
        reason = "as asked" if how else "the same share of every class validates"
        choices.add("split", "stratified", reason=reason, change=change)
        return stratified_split([str(label) for label in found.labels], valid=valid, seed=seed)
    reason = "as asked" if how else "texts have no classes that could be shared out"
    choices.add("split", "random", reason=reason, change=change)
    return random_split(len(found.texts), valid=valid, seed=seed)


def _split_sealed(
    found: Texts, columns: Columns | None, options: Mapping[str, Any], choices: Choices
) -> Split:
    """The split where texts are sealed for a test: they are drawn first, or come from elsewhere."""
    test = options["test"]
    has_parts = found.parts is not None or options["split_column"] is not None
    check_test(test, has_parts=has_parts, labelled=options["labelled"])
    if isinstance(test, str):
        parted = _split(found, options, choices)
        if parted.test:
            raise ConfigError(
                "The source has a test part of its own, and `test` names another. Leave one of them out."
            )
        words = {name: options[name] for name in ("compose", "delimiter", "encoding")}
        parted = with_elsewhere(found, parted, test, columns, **words)
    else:
        drawn = _split(found, {**options, "valid": test}, Choices())
        parted = split_without(found, drawn.valid, lambda rest: _split(rest, options, choices))
    reason = "no part of training or of validation; drivetrain test opens them"
    choices.add("test", len(parted.test), reason=reason, change="--test SHARE or --test FILE")
    return parted


def _of_parts(
    found: Texts,
    parts: Sequence[str | None],
    valid: float,
    seed: int,
    choices: Choices,
    change: str,
) -> Split:
    """As folders or a column say; without a valid part, a share of the training texts validates."""
    outside = [k for k, part in enumerate(parts) if part is None]
    found.notes += (
        [f"{len(outside):,} texts are in no part, such as {found.ids[outside[0]]}: they train."]
        if outside
        else []
    )
    named = [part or "train" for part in parts]
    given = split_by_part(named)
    if not given.train:
        raise DataError("No text is in the part `train`.")
    if given.valid:
        choices.add("split", "folders", reason="the source says which is which", change=change)
        return given
    labels = [str(found.labels[row]) for row in given.train]
    if found.labels[0] is None or 2 * len(set(labels)) > len(labels):
        inner = random_split(len(labels), valid=valid, seed=seed)
    else:
        inner = stratified_split(labels, valid=valid, seed=seed)
    train = tuple(given.train[k] for k in inner.train)
    validating = tuple(given.train[k] for k in inner.valid)
    reason = f"the test part is sealed; {valid:.0%} of the training part validates"
    choices.add("split", inner.method, reason=reason, change=change)
    return Split(train, validating, given.test, inner.method)


def _cut(found: Texts, valid: float, choices: Choices) -> Split:
    """The last share of each of a few long texts validates: they are cut at the end of a line or word."""
    texts, ids, parts = [], [], []
    for name, text in zip(found.ids, found.texts, strict=True):
        place = int(len(text) * (1 - valid))
        for mark in ("\n", " "):
            near = text.rfind(mark, 0, place)
            if near > 0:
                place = near + 1
                break
        texts += [text[:place], text[place:]]
        ids += [f"{name} (first)", f"{name} (last)"]
        parts += ["train", "valid"]
    found.texts, found.ids, found.labels = texts, ids, [None] * len(texts)
    reason = f"few texts: the last {valid:.0%} of each validates"
    choices.add("split", "time", reason=reason, change="--set valid=SHARE")
    return Split(tuple(range(0, len(texts), 2)), tuple(range(1, len(texts), 2)), method="time")


def _part_of(value: Any) -> str | None:
    part = PARTS.get(str(value).strip().lower())
    if part is None and value is not None:
        raise DataError(
            f"`split_column` holds {str(value)[:40]!r}; known are train, valid and test."
        )
    return part


def _times(values: Sequence[Any], name: str) -> np.ndarray:
    try:
        if all(isinstance(value, int | float) for value in values):
            return np.array(values, dtype=np.float64)
        return np.array([np.datetime64(str(value), "us") for value in values])
    except ValueError:
        raise ConfigError(f"`time`: the column '{name}' holds what is no date or number.") from None


def _without_new_classes(found: Texts, split: Split, goal: Goal) -> tuple[Texts, Split]:
    """Leave out validation and test texts of a class that training does not have."""
    codes = goal.encode(found.labels)
    if (codes >= 0).all():
        return found, split
    keep = codes >= 0
    place = np.cumsum(keep) - 1
    found.quarantined += [
        Quarantined(found.ids[row], "class-not-in-training", "No training text has its class.")
        for row in np.flatnonzero(~keep).tolist()
    ]
    rows = np.flatnonzero(keep).tolist()
    found.texts = [found.texts[row] for row in rows]
    found.ids = [found.ids[row] for row in rows]
    found.labels = [found.labels[row] for row in rows]
    parts = {
        part: tuple(int(place[row]) for row in getattr(split, part) if keep[row])
        for part in ("train", "valid", "test")
    }
    if not parts["valid"]:
        raise DataError("No validation text has a class that training has. Split otherwise.")
    return found, Split(**parts, method=split.method)


def _note_duplicates(found: Texts, split: Split) -> None:
    """Say how many validation or test texts stand in training as well, word for word."""
    hashes = [hash(text) for text in found.texts]
    train = {hashes[row]: row for row in split.train}
    for part in ("valid", "test"):
        twins = [
            row
            for row in getattr(split, part)
            if hashes[row] in train and found.texts[train[hashes[row]]] == found.texts[row]
        ]
        if twins:
            first = twins[0]
            found.notes.append(
                f"{len(twins):,} of the {len(getattr(split, part)):,} texts of `{part}` stand word for "
                f"word in training, such as {found.ids[first]} "
                f"({found.ids[train[hashes[first]]]}): results on them flatter."
            )
