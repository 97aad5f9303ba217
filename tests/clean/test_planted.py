"""Copies planted in real pictures, reviews and rows: at least 95% are found, with under 1% false alarms.

The figures of a run are printed with `-s`.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drivetrain.clean.near_pictures import near_pictures
from drivetrain.clean.near_rows import near_rows
from drivetrain.clean.near_texts import near_texts, words_of
from drivetrain.data.tables.reading import open_table
from drivetrain.tabular.columns.kinds import infer_schema, parse_frame
from drivetrain.vision.checking import check_quickly, thumbs_of
from drivetrain.vision.data import from_folder
from tests.clean.planted import KINDS, as_pairs, copy_of, edited, reworded
from tests.tabular.tables import real

pytestmark = pytest.mark.slow
RECALL, FALSE = 0.95, 0.01


def test_pictures_of_clothing(tmp_path: Path) -> None:
    paths = sorted(real("clothing").glob("*/*/*.jpg"))
    draw = np.random.default_rng(11)
    planted = draw.choice(len(paths), 240, replace=False).tolist()
    copies = []
    for place, at in enumerate(planted):
        copies.append(tmp_path / f"{place}.jpg")
        with Image.open(paths[at]) as picture:
            copy_of(picture.convert("RGB"), KINDS[place % 4], draw).save(copies[-1], quality=90)
    thumbs, lost = thumbs_of([*paths, *copies], 2)
    began = time.perf_counter()
    found = near_pictures(thumbs)
    took = time.perf_counter() - began
    assert lost == 0
    pairs = as_pairs(found.first.tolist(), found.second.tolist())
    hits = [(at, len(paths) + place) in pairs for place, at in enumerate(planted)]
    each = [float(np.mean(hits[kind::4])) for kind in range(4)]
    copied = {at: len(paths) + place for place, at in enumerate(planted)}
    owner = {copy: at for at, copy in copied.items()}
    # two pictures that are not of one original
    wrong = {(i, j) for i, j in pairs if owner.get(i, i) != owner.get(j, j)}
    alarmed = {owner.get(at, at) for pair in wrong for at in pair}
    print(f"\nclothing: {dict(zip(KINDS, each, strict=True))}, {len(alarmed)} of {len(paths)} falsely, "
          f"{took:.1f} s")  # fmt: skip
    assert min(each) >= RECALL, "of each kind"
    assert len(alarmed) < FALSE * len(paths)


def test_pictures_of_clothing_as_they_are_trained(tmp_path: Path) -> None:
    """By the pixels in memory, of which the ends are cropped: what `train` looks at for a few seconds."""
    paths = sorted(real("clothing").glob("train/*/*.jpg"))
    draw = np.random.default_rng(14)
    planted = draw.choice(len(paths), 160, replace=False).tolist()
    for place, at in enumerate(planted):
        copy = tmp_path / "valid" / paths[at].parent.name / f"{place % 4}-{place}.jpg"
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(paths[at]) as picture:
            copy_of(picture.convert("RGB"), KINDS[place % 4], draw).save(copy, quality=90)
    for path in paths:
        link = tmp_path / "train" / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.write_bytes(path.read_bytes())
    found = check_quickly(from_folder(tmp_path, size=128), seconds=60)
    across = next(one for one in found.found if one.name == "duplicates-across")
    hits = Counter(name.split("/")[2][0] for name in (one.split(" = ")[0] for one in across.items))
    print(f"\nclothing in memory: {across.count} of {len(planted)}, the first 100: {dict(hits)}")
    assert across.count >= RECALL * len(planted)


def test_reviews_of_imdb() -> None:
    import pyarrow.parquet as parquet

    texts: list[str] = []
    for name in ("train", "test", "unsup"):
        texts += parquet.read_table(real(f"imdb/{name}.parquet")).column("text").to_pylist()
    draw = np.random.default_rng(12)
    planted = draw.choice(len(texts), 600, replace=False).tolist()
    copies = [reworded(texts[at], draw) for at in planted[:300]]
    copies += [edited(texts[at], draw) for at in planted[300:]]
    began = time.perf_counter()
    found = near_texts([*texts, *copies])
    took = time.perf_counter() - began
    # one of several equal texts stands for all of them: what hangs together is one
    group = np.arange(len(texts) + len(copies))
    for one, other in zip(found.first.tolist(), found.second.tolist(), strict=True):
        group[group == group[other]] = group[one]
    hits = [group[at] == group[len(texts) + place] for place, at in enumerate(planted)]
    near = ~found.exact & (found.second < len(texts))
    plain = {at: " ".join(words_of(texts[at])) for at in {*found.first[near], *found.second[near]}}
    # near ones whose first hundred letters and whole words differ: nobody would call them one
    apart = [
        (i, j)
        for i, j in zip(found.first[near].tolist(), found.second[near].tolist(), strict=True)
        if plain[i][:100] != plain[j][:100]
        and (Counter(plain[i].split()) & Counter(plain[j].split())).total()
        < 0.6 * max(len(plain[i].split()), len(plain[j].split()))
    ]
    print(f"\nimdb: reworded {np.mean(hits[:300]):.3f}, edited {np.mean(hits[300:]):.3f}, "
          f"{len(set(sum(apart, ())))} of {len(texts):,} falsely, {took:.1f} s")  # fmt: skip
    assert np.mean(hits[:300]) >= RECALL and np.mean(hits[300:]) >= RECALL
    assert len({at for pair in apart for at in pair}) < FALSE * len(texts)
    assert (found.exact & (found.second < len(texts))).sum() >= 40, "those that its README tells of"


def test_rows_of_adult(tmp_path: Path) -> None:
    with open(real("adult/adult.csv"), encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    draw = np.random.default_rng(13)
    planted = draw.choice(len(rows), 300, replace=False).tolist()
    copies = [[respelled(cell, draw) for cell in rows[at]] for at in planted]
    path = tmp_path / "adult.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows, *copies])
    table = open_table(path).read()
    frame, _ = parse_frame(table, infer_schema(table))
    assert len(frame) == len(rows) + len(copies)
    began = time.perf_counter()
    found = near_rows(frame)
    took = time.perf_counter() - began
    heads = np.arange(len(frame))
    heads[found.second] = found.first
    hits = [heads[at] == heads[len(rows) + place] for place, at in enumerate(planted)]
    folded = [tuple(folded_cell(cell) for cell in row) for row in [*rows, *copies]]
    wrong = [
        (i, j)
        for i, j in zip(found.first.tolist(), found.second.tolist(), strict=True)
        if folded[i] != folded[j]
    ]
    print(f"\nadult: {np.mean(hits):.3f}, {len(wrong)} falsely, {took:.1f} s")
    assert np.mean(hits) >= RECALL and not wrong


def respelled(cell: str, draw: np.random.Generator) -> str:
    """The cell with blanks around it, in capitals, or as another spelling of its number."""
    way = draw.integers(0, 4)
    if cell.strip().isdigit():
        return [cell, f" {cell}", f"{cell}.0", f"{cell} "][way]
    return [cell, f"  {cell} ", cell.upper(), cell.lower()][way]


def folded_cell(cell: str) -> str:
    plain = cell.strip().casefold()
    return str(float(plain)) if plain.replace(".", "", 1).isdigit() else plain
