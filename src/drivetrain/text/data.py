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
from drivetrain.data.loaders import Loaders
from drivetrain.data.padded import LengthLoader, PaddedData
from drivetrain.data.split import Split
from drivetrain.data.task import Task
from drivetrain.data.tokens import TokenArray
from drivetrain.errors import ConfigError, DataError
from drivetrain.text.base import PAIR_MARK, Tokenizer
from drivetrain.text.cleaning import patched
from drivetrain.text.goal import Goal, find_goal
from drivetrain.text.reading import (
    PAIR,
    Texts,
    check_source,
    pair_template,
    usual_template,
)
from drivetrain.text.sealing import seal_of
from drivetrain.text.sources import read_source
from drivetrain.text.splitting import note_duplicates, split_of, split_sealed, without_new_classes
from drivetrain.text.tokenizer import train_tokenizer
from drivetrain.train.choice import Choices
from drivetrain.train.sealed import Seal
from drivetrain.train.split_seed import say_split_seed

Report = Callable[..., None]
"""Told what is done, how many, and of how many."""


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
    split_seed: int | None = None,
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
        seed: of the split, and of the order of batches.
        split_seed: of the split alone; by default as `seed`. See `train.split_seed`.
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
    if split_seed is not None:
        options["split_seed"] = split_seed
    path = check_source(source)
    choices = Choices()
    if report is not None:
        report("texts read", 0)
    kind, found, columns = read_source(source, path, labels, names, asked_columns, options)
    if columns is not None:
        choices.add(
            "text_columns",
            list(columns.texts),
            reason=columns.reason,
            change="--text COLUMN",
        )
    if report is not None:
        report("texts read", len(found.texts), len(found.texts))
    changes = None if patch is None else Patch.of_setting(patch)
    target_name = ", ".join(columns.target) if columns is not None else "class"
    if changes is not None and test is None:
        found, _ = _patched(found, None, changes, options, choices, target_name)
    if test is None:
        parted = split_of(found, options, choices)
    else:
        parted = split_sealed(found, columns, options, choices)
        if changes is not None:  # which texts are sealed is no matter of a patch
            found, parted = _patched(found, parted, changes, options, choices, target_name)
    say_split_seed(split_seed, parted.method, choices)
    goal = None
    if labelled:
        train = [found.labels[row] for row in parted.train]
        goal = find_goal(train, target_name, kind=target_kind, separator=separator)
        what = f"{len(goal.classes)} classes" if goal.classes else "number"
        choices.add(
            "target", f"{goal.name}: {what}", reason=goal.reason, change="--set target_kind=KIND"
        )
        if goal.kind == "class":
            found, parted = without_new_classes(found, parted, goal)
    note_duplicates(found, parted)
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
        source=os.fspath(source) if path else "The texts given",  # as it was given: to be read
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
    found: Texts,
    split: Split | None,
    patch: Patch,
    options: dict[str, Any],
    choices: Choices,
    target: str,
) -> tuple[Texts, Any]:
    """The texts as a patch leaves them, and a split of them that was made before; recorded."""
    sealed = set() if split is None else set(split.test)
    separator, kind = options["separator"], options["target_kind"]
    is_list = any(isinstance(label, list | tuple | set | frozenset) for label in found.labels)
    is_several = kind == "labels" or (kind is None and (is_list or separator is not None))
    found, applied = patched(
        found, patch, sealed, target=target, separator=separator, is_several=is_several
    )
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


def _plain(label: Any) -> str:
    return store.to_json(label if not isinstance(label, set | frozenset) else sorted(label))
