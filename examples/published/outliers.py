"""Foreign items planted in real data: how many `drivetrain clean` takes for unlike the others.

    python examples/published/outliers.py [--only clothing …] [--seeds 1 2 3] [--write]

Of each data set 1% is planted: photos of cats and dogs, of leaves, noise, or blank pictures among photos
of clothes; paragraphs of an encyclopaedia, phrases of patents, another language, or no language among
reviews of films; rows with cells in the wrong columns, or ten times too large, in a census. Nothing is
trained: what `clean` measures by is the same whatever the labels and the model are. The row "nothing" is
the data as it comes, and what is flagged there is printed, to be looked at.

The other language is English with each letter replaced by another, the same throughout: as far as words
go, nobody can tell it from a real one.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from table import ROOT, data_folder

from drivetrain.clean import Outliers, find_outliers

PAGE = ROOT / "docs" / "cleaning.md"
BEGIN, END = "<!-- outliers: begin -->", "<!-- outliers: end -->"
PLANTED = 0.01
LOOKED_AT = 0.02
"""Share of the items, the farthest first, that a person looks at."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Found:
    """What one planting gave."""

    items: int
    planted: int
    flagged: int
    right: int
    """Of those flagged, planted."""
    in_first: int
    """Of those planted, among the farthest 2%."""


Kind = tuple[str, Callable[[int], tuple[Outliers, np.ndarray, Sequence[str]]]]
"""What is planted, and seed -> what is found, (N,) bool of what was planted, and how items are called."""


def found_of(answer: tuple[Outliers, np.ndarray, Sequence[str]]) -> Found:
    """Counts."""
    outliers, planted, _ = answer
    head = outliers.order[: round(LOOKED_AT * len(outliers))]
    return Found(
        items=len(outliers),
        planted=int(planted.sum()),
        flagged=int(outliers.flagged.sum()),
        right=int((outliers.flagged & planted).sum()),
        in_first=int(planted[head].sum()),
    )


# --- pictures -------------------------------------------------------------------------------------


def clothing() -> Iterator[Kind]:
    """800 photos of clothes, and 8 foreign pictures."""
    import drivetrain as dt
    from drivetrain.vision.folding import pool_of

    own = sorted((data_folder("clothing") / "train").glob("*/*.jpg"))
    with tempfile.TemporaryDirectory() as held:
        foreign = {
            "cats and dogs": sorted((data_folder("pets") / "images").glob("*/*.jpg"))[::5],
            "leaves of rice": sorted(data_folder("paddy").glob("*/*.jpg"))[::5][:90],
            "noise": drawn(Path(held) / "noise", 1),
            "blank": drawn(Path(held) / "blank", 160),
        }
        every = [*own, *(path for paths in foreign.values() for path in paths)]
        source = Path(held) / "pictures.csv"
        with source.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *((p, p.parent.name) for p in every)])
        learner: Any = dt.vision.learner(str(source), size=64, epochs=1, progress=False)
        pool = pool_of(learner)
        assert pool.space is not None
        points = pool.space.points()
        features = np.asarray(points.rows(np.arange(len(points))))
        place = {item.name: at for at, item in enumerate(pool.material.items)}
        known = {str(item.path): place[item.id] for item in learner.application.data.items}
    hashes = [item.hash for item in pool.material.items]

    def look(paths: Sequence[Path], seed: int) -> tuple[Outliers, np.ndarray, Sequence[str]]:
        from drivetrain.clean import Points

        count = min(round(PLANTED * len(own)), len(paths))
        chosen = np.random.default_rng(seed).choice(len(paths), count, replace=False)
        names = [str(path) for path in (*own, *(paths[at] for at in chosen.tolist()))]
        rows = np.array([known[name] for name in names])
        planted = np.arange(len(rows)) >= len(own)
        keys = [hashes[at] for at in rows.tolist()]
        return find_outliers(Points.of(features[rows], by_angle=True), keys=keys), planted, names

    yield "nothing", lambda seed: look([], seed)
    for kind, paths in foreign.items():
        yield kind, lambda seed, paths=paths: look(paths, seed)


def drawn(folder: Path, size: int) -> list[Path]:
    """40 pictures of random colours in squares of this size."""
    from PIL import Image

    draw = np.random.default_rng(0)
    folder.mkdir()
    for at in range(40):
        side = 160 // size
        pixels = draw.integers(0, 256, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((160, 160), 0).save(folder / f"{at:02d}.png")
    return sorted(folder.glob("*.png"))


# --- texts ----------------------------------------------------------------------------------------


def imdb() -> Iterator[Kind]:
    """10,000 reviews of films, and 100 foreign texts."""
    import pyarrow.parquet as parquet

    folder = data_folder("imdb")
    own = list(dict.fromkeys(parquet.read_table(folder / "train.parquet")["text"].to_pylist()))
    others = parquet.read_table(folder / "unsup.parquet")["text"].to_pylist()
    draw = np.random.default_rng(0)
    swapped = "".join(draw.permutation(list(LETTERS)).tolist())
    table = str.maketrans(LETTERS + LETTERS.upper(), swapped + swapped.upper())
    wiki = data_folder("wikitext_like") / "wikitext2" / "valid.txt"
    with (data_folder("phrases") / "train.csv").open(encoding="utf-8", newline="") as file:
        phrases = list(dict.fromkeys(row["target"] for row in csv.DictReader(file)))
    novel = (data_folder("wikitext_like") / "gutenberg" / "valid").glob("*.txt")
    pages = max((path.read_text(encoding="utf-8") for path in novel), key=len)
    foreign = {
        "encyclopaedia": [
            line.strip()
            for line in wiki.read_text(encoding="utf-8").splitlines()
            if len(line) > 300
        ],
        "phrases of patents": phrases,
        "another language": [text.translate(table) for text in others[:400]],
        "no language": [
            " ".join("".join(draw.choice(list(LETTERS), size)) for size in draw.integers(2, 10, 80))
            for _ in range(200)
        ],
        "forty reviews in one": [" ".join(others[at : at + 40]) for at in range(0, 4000, 40)],
        "pages of a novel": [pages[at : at + 1200] for at in range(20_000, 320_000, 1200)],
    }

    def look(texts: Sequence[str], seed: int) -> tuple[Outliers, np.ndarray, Sequence[str]]:
        from drivetrain.clean.queue import text_hash
        from drivetrain.text.folding import Words

        count = min(round(PLANTED * len(own)), len(texts))
        chosen = np.random.default_rng(seed).choice(len(texts), count, replace=False)
        every = [*own, *(texts[at] for at in chosen.tolist())]
        keys = [text_hash(text) for text in every]
        names = [f"{text[:150]!r} ({len(text):,} letters)" for text in every]
        planted = np.arange(len(every)) >= len(own)
        return find_outliers(Words(every).space().points(), keys=keys), planted, names

    yield "nothing", lambda seed: look([], seed)
    for kind, texts in foreign.items():
        yield kind, lambda seed, texts=texts: look(texts, seed)


# --- rows -----------------------------------------------------------------------------------------

NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
WORDS = ("workclass", "education", "marital-status", "occupation", "relationship", "race", "sex")


def adult() -> Iterator[Kind]:
    """24,000 rows of a census, of which 240 are spoilt."""
    with (data_folder("adult") / "adult.csv").open(encoding="utf-8", newline="") as file:
        own = list(csv.DictReader(file))[:24_000]

    def two(row: dict[str, str], draw: Any, names: Sequence[str]) -> None:
        one, other = draw.choice(names, 2, replace=False).tolist()
        row[one], row[other] = row[other], row[one]

    def large(row: dict[str, str], draw: Any, names: Sequence[str]) -> None:
        name = str(draw.choice(names))
        row[name] = str(10 * int(row[name]))

    def moved(row: dict[str, str], draw: Any, names: Sequence[str]) -> None:
        values = [row[name] for name in names]
        row.update(zip(names, values[1:] + values[:1], strict=True))

    def mixed(row: dict[str, str], draw: Any, names: Sequence[str]) -> None:
        row.update({name: own[int(draw.integers(len(own)))][name] for name in names})

    spoilt: Mapping[str, tuple[Callable[[dict[str, str], Any, Sequence[str]], None], Sequence[str]]]
    spoilt = {
        "two numbers swapped": (two, NUMBERS),
        "two words swapped": (two, WORDS),
        "a number ten times": (large, ("age", "education-num", "hours-per-week")),
        "numbers moved by a column": (moved, NUMBERS),
        "each cell of another row": (mixed, (*NUMBERS, *WORDS)),
    }

    def look(kind: str, seed: int) -> tuple[Outliers, np.ndarray, Sequence[str]]:
        import drivetrain as dt
        from drivetrain.tabular.folding import space_of

        draw = np.random.default_rng(seed)
        rows, planted = [dict(row) for row in own], np.zeros(len(own), dtype=bool)
        if kind in spoilt:
            planted[draw.choice(len(own), round(PLANTED * len(own)), replace=False)] = True
            for at in np.flatnonzero(planted).tolist():
                spoilt[kind][0](rows[at], draw, spoilt[kind][1])
        columns = {name: [row[name] for row in rows] for name in own[0]}
        with tempfile.TemporaryDirectory() as held:
            source = Path(held) / "census.csv"
            with source.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
            data = dt.tabular.from_csv(str(source), "salary", missing=("?",))
            where = np.arange(len(data.frame))
            points = space_of(data, where).points()
        names = [", ".join(rows[at].values()) for at in data.frame.ids.tolist()]
        return find_outliers(points, keys=names), planted[data.frame.ids], names

    for kind in ("nothing", *spoilt):
        yield kind, lambda seed, kind=kind: look(kind, seed)


SETS: Mapping[str, Callable[[], Iterator[Kind]]] = {
    "clothing": clothing,
    "imdb": imdb,
    "adult": adult,
}


def as_line(name: str, kind: str, found: Sequence[Found]) -> list[str]:
    """The cells of a row of the table."""
    flagged = ", ".join(f"{one.right} of {one.flagged}" for one in found)
    first = [f"{one.in_first / one.planted:.0%}" for one in found if one.planted]
    one = found[0]
    if not one.planted:
        return [name, kind, f"{one.items:,}", "0", str(one.flagged), ""]
    return [name, kind, f"{one.items:,}", str(one.planted), flagged, ", ".join(first)]


def as_table(lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    head = ("", "planted", "items", "of them planted", "of those flagged, planted")
    rows = [(*head, "planted in the farthest 2%"), ["---"] * 6, *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def keep(page: Path, lines: Sequence[Sequence[str]]) -> None:
    """Put rows into the page's table, in the place of those of the same data sets."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    rows = [line[2:-2].split(" | ") for line in old.strip().splitlines()[2:]]
    measured = {line[0] for line in lines}
    every = [*lines, *(row for row in rows if row[0] not in measured)]
    every.sort(key=lambda row: list(SETS).index(row[0]))
    page.write_text(f"{before}{BEGIN}\n{as_table(every)}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Measure what the command line says, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--shown", type=int, default=12, help="items to print of what is flagged")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    lines = []
    for name in options.only:
        for kind, look in SETS[name]():
            seeds = options.seeds[:1] if kind == "nothing" else options.seeds
            answers = [look(seed) for seed in seeds]
            lines.append(as_line(name, kind, [found_of(one) for one in answers]))
            print(*lines[-1], sep=" | ", flush=True)
            if kind == "nothing":
                outliers, _, names = answers[0]
                for at in outliers.order[: options.shown].tolist():
                    mark = "flagged" if outliers.flagged[at] else ""
                    print(f"    {outliers.scores[at]:.1f} {mark} {names[at]}", flush=True)
    print(as_table(lines))
    if options.write:
        keep(PAGE, lines)


if __name__ == "__main__":
    main()
