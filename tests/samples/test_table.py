"""Contract of every sample in the table, and the two samples' known answers."""

from __future__ import annotations

import csv
import datetime
import io
import math
import statistics
import subprocess
import sys
from collections import Counter

import pytest

from drivetrain._registry import lookup
from drivetrain.errors import MissingPackageError, UnknownNameError
from drivetrain.samples import SAMPLES, digits, rentals, shapes
from drivetrain.samples.picture import Picture, content_version
from drivetrain.samples.table import DEFAULT

BYTES = {"L": 1, "RGB": 3}


PICTURES = [name for name, sample in SAMPLES.items() if not sample.is_table]
TABLES = [name for name, sample in SAMPLES.items() if sample.is_table]


@pytest.fixture(scope="module", params=PICTURES)
def made(request: pytest.FixtureRequest) -> tuple[str, list[Picture]]:
    items = SAMPLES[request.param].writer()
    return request.param, [item for item in items if isinstance(item, Picture)]


def test_every_sample_is_what_its_record_says(made: tuple[str, list[Picture]]) -> None:
    name, pictures = made
    sample = SAMPLES[name]
    assert sample.name == name
    assert len(pictures) == sample.items
    assert content_version(pictures)[:12] == sample.version
    assert sample.task == "vision"
    assert all((sample.what, sample.licence, sample.source, sample.package))


def test_every_sample_has_all_its_pixels_in_folders_of_class_and_part(
    made: tuple[str, list[Picture]],
) -> None:
    _, pictures = made
    assert len({picture.path for picture in pictures}) == len(pictures)
    for picture in pictures:
        part, _, file = picture.path.split("/")
        assert part in ("train", "test")
        assert file.endswith(".png")
        assert len(picture.pixels) == picture.width * picture.height * BYTES[picture.mode]


def test_every_sample_seals_about_a_fifth_of_every_class(made: tuple[str, list[Picture]]) -> None:
    _, pictures = made
    count = Counter(tuple(picture.path.split("/")[:2]) for picture in pictures)
    classes = {label for _, label in count}
    for label in classes:
        share = count["test", label] / (count["test", label] + count["train", label])
        assert 0.18 <= share <= 0.22


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_what_its_record_says(name: str) -> None:
    sample, files = SAMPLES[name], list(SAMPLES[name].writer())
    assert [file.path for file in files] == sample.tables
    assert content_version(files)[:12] == sample.version
    rows = [file.data.decode().splitlines() for file in files]
    if sample.task == "collab":  # nothing of it is sealed
        assert len(rows[0]) - 1 == sample.items
        return
    assert sample.task in ("tabular", "text") and rows[0][0] == rows[1][0]
    assert sum(len(part) - 1 for part in rows) == sample.items
    assert 0.18 <= (len(rows[1]) - 1) / sample.items <= 0.22


def test_rentals_are_drawn_around_their_means_and_the_sealed_days_come_last() -> None:
    train, test = (list(csv.DictReader(io.StringIO(f.data.decode()))) for f in rentals.files())
    assert max(row["day"] for row in train) < min(row["day"] for row in test)
    off = []
    for row in train + test:
        if row["temperature"]:
            mean = rentals.mean_rentals(
                datetime.date.fromisoformat(row["day"]),
                row["station"],
                row["weather"],
                float(row["temperature"]),
                row["holiday"] == "1",
                float(row["price"]),
            )
            off.append((int(row["rentals"]) - mean) / math.sqrt(mean))
    assert abs(statistics.mean(off)) < 0.05 and abs(statistics.stdev(off) - 1) < 0.05
    missing = sum(not row["temperature"] for row in train + test) / (len(train) + len(test))
    assert 0.04 < missing < 0.06


def test_the_content_version_sees_names_and_pixels() -> None:
    picture = Picture("train/a/1.png", "L", 2, 1, b"\x00\xff")
    versions = {
        content_version([picture]),
        content_version([picture._replace(path="train/b/1.png")]),
        content_version([picture._replace(pixels=b"\x00\xfe")]),
        content_version([picture._replace(width=1, height=2)]),
        content_version([picture, picture]),
    }
    assert len(versions) == 5


def test_the_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = list(digits.pictures())
    assert [int(p.path.split("/")[1]) for p in pictures] == bunch.target.tolist()
    # 0..16 becomes 0..255, exactly invertible
    ours = [[round(grey * 16 / 255) for grey in p.pixels] for p in pictures]
    assert ours == bunch.data.astype(int).tolist()
    assert {min(p.pixels) for p in pictures} == {0}
    assert max(max(p.pixels) for p in pictures) == 255


def test_the_last_digits_in_the_order_of_collection_are_sealed() -> None:
    parts = [picture.path.split("/")[0] for picture in digits.pictures()]
    assert parts == ["train"] * 1437 + ["test"] * 360


def test_without_scikit_learn_the_digits_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError) as caught:
        list(digits.pictures())
    assert str(caught.value) == (
        "The sample 'digits' is read from scikit-learn, which is not installed. "
        "Install it with: pip install 'drivetrain[samples]'."
    )


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_every_shape_has_area_one_around_the_origin(shape: str) -> None:
    inside = shapes.SHAPES[shape]
    step = 1 / 100
    grid = [(column + 0.5) * step for column in range(-200, 200)]
    points = [(x, y) for x in grid for y in grid if inside(x, y)]
    assert len(points) * step * step == pytest.approx(1, abs=0.01)
    assert sum(x for x, _ in points) / len(points) == pytest.approx(0, abs=0.01)
    assert sum(y for _, y in points) / len(points) == pytest.approx(0, abs=0.01)


def test_the_triangle_has_three_equal_corners() -> None:
    side = math.sqrt(4 / math.sqrt(3))
    reach = side / math.sqrt(3)  # from the centre to a corner
    corners = [math.radians(-90 + 120 * k) for k in range(3)]
    for turn in corners:
        for far, expected in ((0.99, True), (1.01, False)):
            x, y = far * reach * math.cos(turn), far * reach * math.sin(turn)
            assert shapes.SHAPES["triangle"](x, y) is expected


def test_no_shape_touches_the_edge_of_its_picture() -> None:
    for picture in shapes.pictures():
        rows = [picture.pixels[i : i + 72] for i in range(0, len(picture.pixels), 72)]
        back = rows[0][:3]
        assert rows[0] == rows[-1] == back * 24
        assert all(row[:3] == row[-3:] == back for row in rows)


def test_brightness_does_not_tell_the_shapes_apart() -> None:
    mean: dict[str, list[float]] = {}
    for picture in shapes.pictures():
        mean.setdefault(picture.path.split("/")[1], []).append(sum(picture.pixels) / 1728)
    middles = [sum(values) / len(values) for values in mean.values()]
    spread = [abs(a - b) for a in middles for b in middles]
    assert max(spread) < 25  # of 255; pictures of one class lie about 60 apart


def test_the_default_sample_is_in_the_table() -> None:
    assert DEFAULT in SAMPLES


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        lookup(SAMPLES, "digit", what="sample")
    assert str(caught.value) == (
        "Unknown sample 'digit'. Did you mean 'digits'? Known: digits, films, rentals, reviews, shapes."
    )


def test_making_a_sample_imports_neither_torch_nor_numpy_nor_scikit_learn() -> None:
    script = (
        "import sys, drivetrain.samples as s;"
        "[list(sample.writer()) for sample in s.SAMPLES.values()];"
        "print([m for m in ('torch', 'numpy', 'sklearn', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
