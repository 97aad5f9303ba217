"""Wrong labels planted in real data: how many `drivetrain clean` finds, and what mending them is worth.

    python examples/published/label_errors.py [--only pets …] [--seeds 12] [--by run] [--write]

Of each data set a part is set aside as a clean test, another part with each seed until all have been.
Of the other items 5% get another label, drawn from the seed. Then, by the command line: `train`, and
`clean --list` with its default folds. Its queue is heeded four times: by what it suggests itself for the
labels that it flags, which nobody has looked at; by those suggestions alone that are given 95% and more;
and as by a person who puts right what is wrong among those flagged, or in the first tenth. Each makes a
patch, and one more puts all labels right, which says how much there was to gain.

What a patch is worth says a model that is fitted before, and with each patch, and asked about the clean
test. Of adult it is the run's own (boosting), by `train --patch`. A net that is trained for a few minutes
differs more from one training to the next than by 5% of its labels. So of pictures it is a linear head on
features of the pretrained body, and of reviews the regressions on words, which are the same at each
fitting. `--by run` trains the runs' own nets instead. Of each change there are
two intervals: for other errors in the same data, and for other test items as well.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from table import ROOT, data_folder

from drivetrain.clean.patch import Change, Patch
from drivetrain.cli import program

PAGE = ROOT / "docs" / "cleaning.md"
BEGIN, END = "<!-- label errors: begin -->", "<!-- label errors: end -->"
FLIPPED = 0.05
LOOKED_AT = 0.1
"""Share of the queue that a person looks at."""
SURE = 0.95
"""Of a suggestion: where one label in twenty is wrong, odds of 19 to 1 are what it takes to think so."""
WANTED = 0.8
"""Share of the planted errors that is to be in it."""


PARTS: Mapping[str, int] = {"pets": 3, "clothing": 4, "imdb": 1, "adult": 4}
"""Of a data set: each is the clean test in turn. Reviews come with their own."""

PHOTOS = ("--label-column", "label", "--size", "64", "--epochs", "1")


@dataclass(frozen=True)
class Labelled:
    """A data set as columns of text, one of which is the label."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Of the pool, whose labels are changed."""
    test: tuple[tuple[str, ...], ...]
    target: str
    words: tuple[str, ...]
    """What `train` is told, beside the source."""
    head: str = ""
    """`features` or `words`: what the error is measured with; empty for the run's own model."""

    @property
    def label(self) -> int:
        """Place of the label among the columns."""
        return self.columns.index(self.target)

    def labels(self) -> list[str]:
        """Of the pool."""
        return [row[self.label] for row in self.rows]


def of_pictures(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """(path, class) of pictures in class folders."""
    return [(str(path), path.parent.name) for path in paths]


def in_parts(
    every: Sequence[tuple[str, ...]], part: int, parts: int
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """The pool, and every `parts`-th row, which are the test."""
    test = tuple(row for at, row in enumerate(every) if at % parts == part)
    return tuple(row for at, row in enumerate(every) if at % parts != part), test


def pets(part: int, limit: int | None) -> Labelled:
    """Three breeds."""
    every = of_pictures(sorted((data_folder("pets") / "images").glob("*/*.jpg")))
    pool, test = in_parts(every[: limit or None], part, PARTS["pets"])
    return Labelled("pets", ("path", "label"), pool, test, "label", PHOTOS, "features")


def clothing(part: int, limit: int | None) -> Labelled:
    """Ten kinds of clothes."""
    every = of_pictures(sorted(data_folder("clothing").glob("*/*/*.jpg")))
    pool, test = in_parts(every[:: 1 if limit is None else 4], part, PARTS["clothing"])
    return Labelled("clothing", ("path", "label"), pool, test, "label", PHOTOS, "features")


def imdb(part: int, limit: int | None) -> Labelled:
    """Reviews of films, good or bad, with their own test."""
    del part
    import pyarrow.parquet as parquet

    found = []
    for part in ("train", "test"):
        table = parquet.read_table(data_folder("imdb") / f"{part}.parquet")
        labels, texts = table["label"].to_pylist(), table["text"].to_pylist()
        found.append(tuple(zip(labels, texts, strict=True))[: limit or None])
    # folds do not ask the run's own net: a small one will do, but for --by run
    words = ("--target", "label", "--task", "text", "--epochs", "1", "--set", "max_len=60", "--set")
    words += ('sizes={"embedding_dim":16,"hidden_dim":16,"num_layers":1}',)
    return Labelled("imdb", ("label", "text"), found[0], found[1], "label", words, "words")


def adult(part: int, limit: int | None) -> Labelled:
    """Who earns over 50,000."""
    with open(data_folder("adult") / "adult.csv", encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    pool, test = in_parts([tuple(row) for row in rows][: limit or None], part, PARTS["adult"])
    # a random split is of the same rows whatever their labels are: so it is their labels that differ
    words = ("--target", "salary", "--model", "boosting", "--set", "num_trees=150")
    words += ("--split", "random")
    return Labelled("adult", tuple(head), pool, test, "salary", words)


SETS: Mapping[str, Callable[[int, int | None], Labelled]] = {
    "pets": pets,
    "clothing": clothing,
    "imdb": imdb,
    "adult": adult,
}


@dataclass(frozen=True)
class Found:
    """What one seed gave."""

    part: int
    """Which part was the test."""
    items: int
    planted: int
    in_first: int
    """Of the planted errors, in the first tenth of the queue."""
    enough: float
    """Share of the queue in which 80% of them are."""
    flagged: int
    right: int
    """Of those flagged, planted."""
    wrong: Mapping[str, np.ndarray]
    """`before` and each of `HEEDED`: (T,) bool, the test items that a model gets wrong."""
    seconds: float


HEEDED: Mapping[str, str] = {
    "suggested": "after all suggestions",
    "surest": "after the surest",
    "flagged": "after looking at those flagged",
    "looked at": "after looking at a tenth",
    "true": "all labels right",
}
"""Ways to heed the queue, and the heads of their columns; `true` needs to know all errors."""


def drivetrain(*words: object) -> Any:
    """The answer of a command, as JSON; called in this process, so that torch is imported once."""
    call = [*map(str, words), "--json"]
    done = CliRunner().invoke(program, call)
    if done.exit_code:
        raise SystemExit(f"drivetrain {' '.join(call)}\n{done.output}")
    return json.loads(done.stdout)


def changed(data: Labelled, seed: int) -> tuple[list[tuple[str, ...]], list[int]]:
    """The pool with another label in 5% of its rows, and which rows."""
    draw = np.random.default_rng(seed)
    classes = sorted(set(data.labels()))
    chosen = sorted(
        draw.choice(len(data.rows), round(FLIPPED * len(data.rows)), replace=False).tolist()
    )
    rows = [list(row) for row in data.rows]
    for at in chosen:
        others = [one for one in classes if one != rows[at][data.label]]
        rows[at][data.label] = others[int(draw.integers(len(others)))]
    return [tuple(row) for row in rows], chosen


def write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """A CSV."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def one_seed(data: Labelled, seed: int, part: int, folder: Path, *, by_run: bool = False) -> Found:
    """Plant, train, look, mend, train again."""
    began = time.perf_counter()
    rows, planted = changed(data, seed)
    source = write(folder / f"{data.name}.csv", data.columns, rows)
    test = write(folder / f"{data.name}-test.csv", data.columns, data.test)
    train = ("train", source, *data.words, "--seed", seed)
    accepted = ("--because", "some are there twice", "--accept", "duplicates-across")
    accepted += ("--accept", "label-conflict")
    drivetrain(*train, *accepted, "--out", folder / "before")
    queue = drivetrain("clean", folder / "before", "--list", len(rows), "--seed", seed)["items"]
    row_of = {name: at for at, name in enumerate(names_of(data, source))}
    wrong = {at: data.rows[at][data.label] for at in planted}
    places = [place for place, one in enumerate(queue) if row_of[one["name"]] in wrong]
    head = queue[: round(LOOKED_AT * len(queue))]
    flagged = [one for one in queue if one["flagged"]]
    surest = [one for one in flagged if one["suggested_probability"] >= SURE]

    def put_right(items: Sequence[Mapping[str, Any]]) -> dict[str, Change]:
        """What a person does who looks at these."""
        places = ((one, row_of[one["name"]]) for one in items)
        return {one["hash"]: Change(wrong[at], one["label"]) for one, at in places if at in wrong}

    patches = {
        "suggested": {one["hash"]: Change(one["suggested"], one["label"]) for one in flagged},
        "surest": {one["hash"]: Change(one["suggested"], one["label"]) for one in surest},
        "flagged": put_right(flagged),
        "looked at": put_right(head),
        "true": put_right(queue),
    }
    mistakes = {}
    for name, changes in {"before": {}, **patches}.items():
        patch = Patch(changes).write(folder / f"{name}.patch.json")
        if data.head and not by_run:
            mistakes[name] = of_head(data, source, patch)
            continue
        if name != "before":
            drivetrain(*train, *accepted, "--patch", patch, "--out", folder / name)
        mistakes[name] = mistaken(folder / name, data, test)
    needed = int(np.ceil(WANTED * len(planted)))
    return Found(
        part=part,
        items=len(queue),
        planted=len(planted),
        in_first=sum(place < len(head) for place in places),
        enough=(places[needed - 1] + 1) / len(queue) if len(places) >= needed else 1.0,
        flagged=len(flagged),
        right=sum(row_of[one["name"]] in wrong for one in flagged),
        wrong=mistakes,
        seconds=time.perf_counter() - began,
    )


def names_of(data: Labelled, source: Path) -> list[str]:
    """What the queue calls the rows of the pool."""
    if data.columns[0] != "path":
        return [f"row {at + 1}" for at in range(len(data.rows))]
    from drivetrain.vision.sources import find_in_csv

    known = {str(item.path): item.id for item in find_in_csv(str(source)).items}
    return [known[row[0]] for row in data.rows]


def mistaken(run: Path, data: Labelled, test: Path) -> np.ndarray:
    """(T,) bool: the test items that a run's model gets wrong."""
    true = [row[data.label] for row in data.test]
    if data.columns[0] == "path":
        import drivetrain as dt

        answers = dt.vision.load(run).predict_many([row[0] for row in data.test])
        said = [getattr(one, "label", "") for one in answers]  # none of a picture that is set aside
    else:
        found = drivetrain("predict", run, test)
        said = [
            one["label"] for one in (found if isinstance(found, list) else found["predictions"])
        ]
    return np.array([one != other for one, other in zip(said, true, strict=True)])


@lru_cache(maxsize=1)
def features_of(paths: tuple[str, ...]) -> dict[str, Any]:
    """Path -> (F,) features of the pretrained body at 160 pixels a side."""
    import torch

    from drivetrain.models import create_model
    from drivetrain.vision.decode import decode_all

    built = create_model("tf_efficientnet_lite0", num_classes=2)
    model = built.model.eval()
    mean, std = (torch.tensor(v)[:, None, None] for v in (built.info.mean, built.info.std))
    pixels, _, _ = decode_all(paths, size=160)
    with torch.inference_mode():
        parts = [
            model.forward_features((part.float() / 255 - mean) / std).mean(dim=(2, 3))
            for part in pixels.split(32)
        ]
    return dict(zip(paths, torch.cat(parts).clone(), strict=True))


@lru_cache(maxsize=1)
def words_of(texts: tuple[str, ...]) -> Any:
    """Words and pairs of words of all texts, counted without a label."""
    from drivetrain.text.folding import Words

    return Words(texts)


def of_head(data: Labelled, source: Path, patch: Path) -> np.ndarray:
    """(T,) bool: the test items that a linear model of the patched pool gets wrong."""
    import torch

    import drivetrain as dt
    from drivetrain.clean.linear import fit_logistic

    classes = sorted(set(data.labels()))
    true = np.array([classes.index(row[data.label]) for row in data.test])
    if data.head == "words":
        found = dt.text.from_csv(str(source), data.target, patch=patch)
        every = (*found.texts, *(row[1] for row in data.test))
        fitted, asked = np.arange(len(found.texts)), np.arange(len(found.texts), len(every))
        labels = np.array([classes.index(str(label)) for label in found.labels])
        words = words_of(every)
        targets = np.concatenate([labels, np.zeros(len(asked), labels.dtype)])
        said = words.chances(targets, fitted, asked, num_classes=len(classes))
    else:
        found = dt.vision.from_csv(str(source), label_column=data.target, patch=patch)
        paths = sorted(row[0] for row in (*data.rows, *data.test))  # one order, whatever the part
        features = features_of(tuple(paths))
        inputs = torch.stack([features[str(item.path)] for item in found.items])
        targets = torch.tensor([classes.index(item.label) for item in found.items])
        model = fit_logistic(inputs, targets, num_classes=len(classes), seed=0)
        said = model.chances(torch.stack([features[row[0]] for row in data.test]))
    return said.argmax(axis=1) != true


def fall(found: Sequence[Found], name: str) -> tuple[float, str, str]:
    """By how much the error falls, and two 95% intervals of that, as text.

    The first is of other errors planted, judged by the same test items; the second of other test items
    too. Both are drawn again within each part.
    """
    parts = [
        np.stack(
            [
                one.wrong["before"].astype(float) - one.wrong[name]
                for one in found
                if one.part == part
            ]
        )
        for part in sorted({one.part for one in found})
    ]  # each (S, T): seeds of the part, its test items
    items = sum(part.shape[1] for part in parts)
    value = sum(part.mean(axis=0).sum() for part in parts) / items
    return float(value), drawn_again(parts, items, other_items=False), drawn_again(parts, items)


def drawn_again(parts: Sequence[np.ndarray], items: int, *, other_items: bool = True) -> str:
    """`-1.03 to -0.13`, in points: where 95% of 4,000 draws of the change lie."""
    draw = np.random.default_rng(0)
    again = np.zeros(4000)
    for apart in parts:
        seeds, size = apart.shape
        for at in range(len(again)):
            weights = np.bincount(draw.integers(seeds, size=seeds), minlength=seeds) / seeds
            change = weights @ apart
            again[at] -= (change[draw.integers(size, size=size)] if other_items else change).sum()
    low, high = 100 * np.quantile(again / items, (0.025, 0.975))
    return f"{low:+.2f} to {high:+.2f}"


def error(found: Sequence[Found], name: str) -> float:
    """The share of test items that are wrong, each seed counting alike."""
    return float(np.mean([one.wrong[name].mean() for one in found]))


def as_lines(name: str, found: Sequence[Found]) -> list[list[str]]:
    """The cells of a data set's rows of both tables."""
    shares = [one.in_first / one.planted for one in found]
    tested = {one.part: len(one.wrong["before"]) for one in found}
    cells = [
        name,
        f"{found[0].items:,}",
        f"{found[0].planted:,}",
        f"{np.mean(shares):.1%} ({min(shares):.1%} to {max(shares):.1%}, {len(shares)} seeds)",
        f"{np.mean([one.enough for one in found]):.1%}",
        f"{sum(o.right for o in found):,} of {sum(o.flagged for o in found):,}",
    ]
    worth = [name, f"{sum(tested.values()):,}", f"{error(found, 'before'):.2%}"]
    for key in HEEDED:
        value, same, others = fall(found, key)
        worth.append(f"{error(found, key):.2%}: {-100 * value:+.2f} ({same}; {others})")
    return [cells, worth]


def as_tables(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> str:
    """What was found, and what it was worth, with a row for each data set."""
    found = ("", "items", "planted", "in the first tenth", "80% are in the first")
    return "\n\n".join(
        (
            as_table((*found, "of those flagged, planted"), first),
            as_table(("", "test items", "error before", *HEEDED.values()), second),
        )
    )


def keep(page: Path, first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> None:
    """Put rows into the page's tables, in the place of those of the same data sets."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    tables: list[list[Sequence[str]]] = [list(first), list(second)]
    for place, table in enumerate(old.strip().split("\n\n")):
        rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
        measured = {row[0] for row in tables[place]}
        tables[place] += [row for row in rows if row[0] not in measured]
        tables[place].sort(key=lambda row: list(SETS).index(row[0]))
    page.write_text(f"{before}{BEGIN}\n{as_tables(*tables)}\n{END}{after}", encoding="utf-8")


def as_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    """Measure what the command line says, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, default=12, help="how many, from 1 on")
    parser.add_argument("--limit", type=int, help="items of a pool, for a quick look")
    parser.add_argument(
        "--by", choices=("head", "run"), default="head", help="what tells the error"
    )
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args()
    first, second = [], []
    for name in options.only:
        found = []
        for seed in range(1, options.seeds + 1):
            part = seed % PARTS[name]
            data = SETS[name](part, options.limit)
            with tempfile.TemporaryDirectory() as folder:
                found.append(one_seed(data, seed, part, Path(folder), by_run=options.by == "run"))
            said = found[-1]
            errors = {key: f"{value.mean():.4f}" for key, value in said.wrong.items()}
            print(f"{name} seed {seed}: {said.in_first} of {said.planted} in the first tenth, 80% in "
                  f"{said.enough:.1%}; flagged {said.flagged}, {said.right} planted; error {errors}; "
                  f"{said.seconds:.0f} s", flush=True)  # fmt: skip
        cells, worth = as_lines(name, found)
        first.append(cells)
        second.append(worth)
    print(as_tables(first, second))
    if options.write:
        keep(PAGE, first, second)


if __name__ == "__main__":
    main()
