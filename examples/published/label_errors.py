"""Wrong labels planted in real data: how many `drivetrain clean` finds, and what mending them is worth.

    python examples/published/label_errors.py [--only pets …] [--seeds 1 2 3] [--by run] [--write]

Of each data set some items are set aside as a clean test. Of the others 5% get another label, drawn from
a seed. Then, by the command line: `train`, and `clean --list` with its default folds. Its queue is
heeded three times: by what it suggests itself for the labels that it flags, which nobody has looked at;
by those suggestions alone that are given 95% and more; and as by a person who looks at its first tenth
and puts right what is wrong there. Each makes a patch.

What a patch is worth says a model that is fitted before, and with each patch, and asked about the clean
test. Of adult it is the run's own (boosting), by `train --patch`. A net that is trained for a few minutes
differs more from one training to the next than by 5% of its labels. So of pictures it is a linear head on
features of the pretrained body, and of reviews the regressions on words, which are the same at each
fitting. `--by run` trains the runs' own nets instead. The interval is of the same test items drawn
again, for all seeds together.
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


def pets(limit: int | None) -> Labelled:
    """Three breeds; every third picture is for the test."""
    paths = sorted((data_folder("pets") / "images").glob("*/*.jpg"))
    every = of_pictures(paths)
    test = every[::3]
    pool = [row for at, row in enumerate(every) if at % 3][: limit or None]
    return Labelled(
        "pets", ("path", "label"), tuple(pool), tuple(test), "label", PHOTOS, "features"
    )


def clothing(limit: int | None) -> Labelled:
    """Ten kinds of clothes, with the test pictures that they come with."""
    folder = data_folder("clothing")
    pool = of_pictures(sorted((folder / "train").glob("*/*.jpg")))[:: 1 if limit is None else 4]
    test = of_pictures(sorted((folder / "valid").glob("*/*.jpg")))
    return Labelled(
        "clothing", ("path", "label"), tuple(pool), tuple(test), "label", PHOTOS, "features"
    )


def imdb(limit: int | None) -> Labelled:
    """Reviews of films, good or bad, with their own test."""
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


def adult(limit: int | None) -> Labelled:
    """Who earns over 50,000; every fourth row is for the test."""
    with open(data_folder("adult") / "adult.csv", encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    every = [tuple(row) for row in rows][: limit or None]
    pool = tuple(row for at, row in enumerate(every) if at % 4)
    # a random split is of the same rows whatever their labels are: so it is their labels that differ
    words = ("--target", "salary", "--model", "boosting", "--set", "num_trees=150")
    words += ("--split", "random")
    return Labelled("adult", tuple(head), pool, tuple(every[::4]), "salary", words)


SETS: Mapping[str, Callable[[int | None], Labelled]] = {
    "pets": pets,
    "clothing": clothing,
    "imdb": imdb,
    "adult": adult,
}


@dataclass(frozen=True)
class Found:
    """What one seed gave."""

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
    """`before`, `suggested`, `surest`, `looked at`: (T,) bool, the test items that a model gets wrong."""
    seconds: float


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


def one_seed(data: Labelled, seed: int, folder: Path, *, by_run: bool = False) -> Found:
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
    patches = {
        "suggested": {one["hash"]: Change(one["suggested"], one["label"]) for one in flagged},
        "surest": {one["hash"]: Change(one["suggested"], one["label"]) for one in surest},
        "looked at": {
            one["hash"]: Change(wrong[row_of[one["name"]]], one["label"])
            for one in head
            if row_of[one["name"]] in wrong
        },
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
        features = features_of(tuple(row[0] for row in (*data.rows, *data.test)))
        inputs = torch.stack([features[str(item.path)] for item in found.items])
        targets = torch.tensor([classes.index(item.label) for item in found.items])
        model = fit_logistic(inputs, targets, num_classes=len(classes), seed=0)
        said = model.chances(torch.stack([features[row[0]] for row in data.test]))
    return said.argmax(axis=1) != true


def fall(found: Sequence[Found], name: str) -> tuple[float, float, float]:
    """By how much the error falls, with its 95% interval: test items drawn again, for all seeds."""
    apart = np.stack([one.wrong["before"].astype(float) - one.wrong[name] for one in found])
    means = apart.mean(axis=0)  # (T,), of the seeds
    draw = np.random.default_rng(0)
    again = [means[draw.integers(len(means), size=len(means))].mean() for _ in range(4000)]
    low, high = np.quantile(again, (0.025, 0.975))
    return float(means.mean()), float(low), float(high)


def as_lines(name: str, found: Sequence[Found]) -> list[list[str]]:
    """The cells of a data set's rows of both tables."""
    shares = [one.in_first / one.planted for one in found]
    errors = {key: np.mean([one.wrong[key].mean() for one in found]) for key in found[0].wrong}
    cells = [
        name,
        f"{found[0].items:,}",
        f"{found[0].planted:,}",
        f"{np.mean(shares):.1%} ({', '.join(f'{one:.1%}' for one in shares)})",
        f"{np.mean([one.enough for one in found]):.1%}",
        f"{sum(o.right for o in found):,} of {sum(o.flagged for o in found):,}",
    ]
    worth = [name, f"{len(found[0].wrong['before']):,}", f"{errors['before']:.2%}"]
    for key in ("suggested", "surest", "looked at"):
        value, low, high = fall(found, key)
        worth.append(f"{errors[key]:.2%} ({-value:+.2%}, from {-high:+.2%} to {-low:+.2%})")
    return [cells, worth]


def as_tables(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> str:
    """What was found, and what it was worth, with a row for each data set."""
    found = ("", "items", "planted", "in the first tenth (each seed)", "80% are in the first")
    error = ("", "test items", "error before", "after all suggestions", "after the surest")
    return "\n\n".join(
        (
            as_table((*found, "of those flagged, planted"), first),
            as_table((*error, "after looking at a tenth"), second),
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
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--limit", type=int, help="items of a pool, for a quick look")
    parser.add_argument(
        "--by", choices=("head", "run"), default="head", help="what tells the error"
    )
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args()
    first, second = [], []
    for name in options.only:
        data, found = SETS[name](options.limit), []
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                found.append(one_seed(data, seed, Path(folder), by_run=options.by == "run"))
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
