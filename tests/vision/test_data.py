"""Labelled pictures: what is opened, set aside, split and kept, and that finding again finds the same."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from drivetrain.errors import ConfigError, DataError, ShapeError, StorageError, UnknownNameError
from drivetrain.vision import decode, opening
from drivetrain.vision.data import VisionData, from_csv, from_folder, from_names, gather_again

NORM: dict[str, Any] = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}


def picture(path: Path, number: int, side: int | tuple[int, int] = 16) -> None:
    """Noise that is another one for each number; (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = (side, side) if isinstance(side, int) else side
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(path)


def folder(
    root: Path, cat: int = 8, dog: int = 4, side: int | tuple[int, int] = 16, suffix: str = "png"
) -> Path:
    for start, label, count in ((0, "cat", cat), (100, "dog", dog)):
        for number in range(count):
            picture(root / label / f"{number}.{suffix}", start + number, side)
    return root


def with_parts(root: Path, *names: str) -> Path:
    for name in names:
        folder(root / name, 4, 2)
    return root


def ids(data: VisionData, part: str) -> list[str]:
    return [data.items[index].id for index in getattr(data.split, part)]


def message(error: type[Exception], function: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        function(*args, **options)
    return str(caught.value)


# --- the split ------------------------------------------------------------------------------------


def test_every_class_gives_the_same_share(tmp_path: Path):
    data = from_folder(folder(tmp_path), valid=0.25)
    labels = Counter(data.items[index].label for index in data.split.valid)
    assert labels == {"cat": 2, "dog": 1}
    assert data.classes == ("cat", "dog")
    assert data.counts() == {"train": 9, "valid": 3, "test": 0, "quarantined": 0}
    assert sorted(ids(data, "train") + ids(data, "valid")) == [item.id for item in data.items]
    assert str(data) == "2 classes (cat, dog): 9 train, 3 valid"
    assert data.choices["split"].value == "stratified"


def test_the_seed_chooses_the_validation_pictures(tmp_path: Path):
    folder(tmp_path)
    first, again, other = (from_folder(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert ids(first, "valid") == ids(again, "valid")
    assert ids(first, "valid") != ids(other, "valid")


def test_parts_that_are_given_are_kept(tmp_path: Path):
    data = from_folder(with_parts(tmp_path, "train", "val", "test"))
    assert data.counts() == {"train": 6, "valid": 6, "test": 6, "quarantined": 0}
    assert {name.split("/")[0] for name in ids(data, "valid")} == {"val"}
    assert data.choices["split"].value == "folders"


def test_without_a_validation_part_it_is_taken_out_of_train(tmp_path: Path):
    data = from_folder(with_parts(tmp_path, "train", "test"), valid=0.5)
    assert data.counts() == {"train": 3, "valid": 3, "test": 6, "quarantined": 0}
    assert {name.split("/")[0] for name in ids(data, "valid")} == {"train"}
    assert {name.split("/")[0] for name in ids(data, "test")} == {"test"}


# --- what is set aside ----------------------------------------------------------------------------


def spoil(root: Path) -> dict[str, str]:
    """Four files that are no pictures any more: their ids and reasons."""
    whole = (root / "cat" / "0.png").read_bytes()
    (root / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "dog" / "text.jpg").write_text("<html>404 not found</html>")
    (root / "dog" / "far.jpg").symlink_to(root / "gone.jpg")
    return {
        "cat/cut.png": "truncated",
        "cat/empty.jpg": "empty",
        "dog/far.jpg": "unreadable",
        "dog/text.jpg": "not-a-picture",
    }


@pytest.mark.parametrize("cache_bytes", [2**30, 0])
def test_bad_files_are_set_aside_by_name_before_the_split(tmp_path: Path, cache_bytes: int):
    clean = from_folder(folder(tmp_path / "a"), cache_bytes=cache_bytes)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    expected = spoil(tmp_path / "b")
    spoilt = from_folder(tmp_path / "b", cache_bytes=cache_bytes)
    assert {entry.id: entry.reason for entry in spoilt.quarantined} == expected
    assert [entry.id for entry in spoilt.quarantined] == sorted(expected)
    assert all(entry.detail.endswith(".") for entry in spoilt.quarantined)
    for part in ("train", "valid"):
        assert ids(spoilt, part) == ids(clean, part)  # as if they had never been there
    assert spoilt.fingerprint() == clean.fingerprint()
    assert spoilt.counts()["quarantined"] == 4


def test_when_no_picture_is_good_the_first_is_named(tmp_path: Path):
    for name in ("cat/1.jpg", "dog/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    assert message(DataError, from_folder, tmp_path) == (
        f"None of the 2 pictures in {tmp_path} can be used. "
        "The first: cat/1.jpg: The file is empty."
    )


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path):
    assert message(DataError, from_folder, folder(tmp_path, dog=0)) == (
        f"{tmp_path} holds one class, 'cat': there is nothing to tell apart. "
        "Add a folder with pictures of something else."
    )


def test_a_class_whose_pictures_are_all_bad_is_not_a_class(tmp_path: Path):
    folder(tmp_path, dog=1)
    (tmp_path / "dog" / "0.png").write_bytes(b"")
    assert message(DataError, from_folder, tmp_path).startswith(f"{tmp_path} holds one class, ")


def test_a_validation_picture_of_an_unknown_class_is_set_aside(tmp_path: Path):
    with_parts(tmp_path, "train", "valid")
    picture(tmp_path / "valid" / "owl" / "1.png", 7)
    data = from_folder(tmp_path)
    assert data.classes == ("cat", "dog")
    assert "valid/owl/1.png" not in ids(data, "valid")
    assert [entry.to_json() for entry in data.quarantined] == [
        {
            "id": "valid/owl/1.png",
            "reason": "unknown-class",
            "detail": "Its class 'owl' has no training picture.",
        }
    ]


def test_validation_classes_that_are_all_unknown_are_refused(tmp_path: Path):
    folder(tmp_path / "train")
    (tmp_path / "valid").mkdir()
    for name in ("Cat", "Dog"):
        picture(tmp_path / "valid" / name / "1.png", 7)
    assert message(DataError, from_folder, tmp_path) == (
        "No validation picture is of a class that is trained. "
        "The class folders below train/ and valid/ must have the same names."
    )


def test_pictures_without_a_label_are_counted_among_those_set_aside(tmp_path: Path):
    picture(folder(tmp_path) / "cover.png", 1)
    data = from_folder(tmp_path)
    assert [(entry.id, entry.reason) for entry in data.quarantined] == [("cover.png", "no-label")]


# --- the test part is sealed ----------------------------------------------------------------------


@pytest.mark.parametrize("cache_bytes", [2**30, 0])
def test_no_picture_of_the_test_part_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_bytes: int
):
    with_parts(tmp_path, "train", "valid", "test")
    (tmp_path / "test" / "cat" / "0.png").write_bytes(b"broken")
    opened: list[str] = []
    read = decode.read_source

    def watched(source: Any) -> Any:
        opened.append(Path(source).relative_to(tmp_path).parts[0])
        return read(source)

    hashed: list[str] = []
    digest = opening.file_sha256

    def watched_hash(path: Any) -> str:
        hashed.append(Path(path).relative_to(tmp_path).parts[0])
        return digest(path)

    monkeypatch.setattr(decode, "read_source", watched)
    monkeypatch.setattr(opening, "file_sha256", watched_hash)
    data = from_folder(tmp_path, cache_bytes=cache_bytes)
    for loader in (data.loaders(**NORM).train, data.loaders(**NORM).valid):
        assert loader is not None
        list(loader)
    assert set(opened) == set(hashed) == {"train", "valid"}
    assert data.quarantined == []
    assert data.counts()["test"] == 6
    assert not [name for name in data.hashes if name.startswith("test/")]


# --- the size -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "chosen"),
    [((28, 20), 28), ((64, 64), 64), ((8, 8), 16), ((65, 20), 128), ((20, 300), 128)],
)
def test_small_pictures_keep_their_size_and_photos_get_a_usual_one(tmp_path: Path, side, chosen):
    data = from_folder(folder(tmp_path, 2, 2, side=side))
    assert data.size == (chosen, chosen)
    assert data.choices["size"].value == [chosen, chosen]


def test_bad_pictures_do_not_decide_the_size(tmp_path: Path):
    folder(tmp_path, 2, 2, side=20)
    for number in range(9):
        (tmp_path / "cat" / f"bad{number}.png").write_bytes(b"")
    assert from_folder(tmp_path).size == (20, 20)


def test_the_size_is_height_and_width(tmp_path: Path):
    data = from_folder(folder(tmp_path), size=(10, 14))
    inputs, _ = data.pictures("train").__getitems__(torch.tensor([0, 1]))
    assert inputs.shape == (2, 3, 10, 14)
    assert data.choices["size"].reason == "as asked"
    assert data.task.preprocessing == {"size": [10, 14], "resize": "crop"}


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"valid": 0}, ConfigError, "`valid` is the share for validation, between 0 and 1. Got 0."),
        (
            {"valid": 20},
            ConfigError,
            "`valid` is the share for validation, between 0 and 1. Got 20.",
        ),
        ({"num_workers": -1}, ConfigError, "`num_workers` must be 0 or more. Got -1."),
        (
            {"resize": "cropp"},
            UnknownNameError,
            "Unknown resize method 'cropp'. Did you mean 'crop'? Known: crop, pad, squish.",
        ),
    ],
)
def test_options_are_refused_before_any_picture_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options, error, said: str
):
    folder(tmp_path)
    monkeypatch.setattr(decode, "read_source", None)
    assert message(error, from_folder, tmp_path, **options) == said


def test_a_size_that_cannot_be(tmp_path: Path):
    with pytest.raises((ConfigError, ShapeError)):
        from_folder(folder(tmp_path), size=0)


def test_pictures_that_do_not_fit_in_memory_say_so(tmp_path: Path, monkeypatch):
    def full(*args: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(opening, "decode_all", full)
    assert message(StorageError, from_folder, folder(tmp_path), size=9) == (
        "12 pictures of 9 x 9 do not fit in memory. Use a smaller --size."
    )


def test_progress_is_reported_to_the_end(tmp_path: Path):
    told: list[tuple[str, int, int]] = []
    from_folder(folder(tmp_path), report=lambda *said: told.append(said))
    assert told == [("opening pictures", number, 12) for number in range(1, 13)]


# --- finding again --------------------------------------------------------------------------------


def test_finding_again_gives_the_same_split_and_fingerprint(tmp_path: Path):
    folder(tmp_path)
    picture(tmp_path / "own_1.png", 1)
    (tmp_path / "table.csv").write_text(
        "path,label,is_valid\n"
        + "".join(f"{c}/{n}.png,{c},{n % 2}\n" for c in ("cat", "dog") for n in range(4))
    )
    for data in (
        from_folder(tmp_path, valid=0.3, seed=5, size=(9, 7), resize="pad"),
        from_names(tmp_path, r"^([0-9])", size=8),
        from_csv(tmp_path / "table.csv"),
    ):
        again = gather_again(data.recipe, num_workers=0, cache_bytes=0)
        assert again.split == data.split
        assert again.items == data.items
        assert again.fingerprint() == data.fingerprint()
        assert (again.size, again.resize, again.seed) == (data.size, data.resize, data.seed)
        assert again.recipe == data.recipe
        assert again.task == data.task


def test_the_fingerprint_does_not_change_when_the_folder_is_moved(tmp_path: Path):
    before = from_folder(folder(tmp_path / "here")).fingerprint()
    (tmp_path / "here").rename(tmp_path / "there")
    assert from_folder(tmp_path / "there").fingerprint() == before


def one_byte(root: Path) -> None:
    picture(root / "cat" / "0.png", 12345)


def a_label(root: Path) -> None:
    (root / "cat" / "0.png").rename(root / "dog" / "extra.png")


def a_name(root: Path) -> None:
    (root / "cat" / "0.png").rename(root / "cat" / "x.png")


def a_file_more(root: Path) -> None:
    shutil.copy(root / "cat" / "0.png", root / "cat" / "9.png")


def a_file_less(root: Path) -> None:
    (root / "cat" / "0.png").unlink()


@pytest.mark.parametrize("change", [one_byte, a_label, a_name, a_file_more, a_file_less])
def test_the_fingerprint_changes_with_any(tmp_path: Path, change: Any):
    before = from_folder(folder(tmp_path)).fingerprint()
    change(tmp_path)
    assert from_folder(tmp_path).fingerprint() != before


def test_the_fingerprint_sees_one_byte_that_no_pixel_shows(tmp_path: Path):
    before = from_folder(folder(tmp_path)).fingerprint()
    with open(tmp_path / "cat" / "0.png", "ab") as file:
        file.write(b"\0")
    assert from_folder(tmp_path).fingerprint() != before


def test_the_fingerprint_sees_a_label_alone(tmp_path: Path):
    folder(tmp_path)
    prints = []
    for label in ("cat", "dog"):
        rows = "".join(f"cat/{n}.png,cat\n" for n in range(1, 8)) + "dog/0.png,dog\ndog/1.png,dog\n"
        (tmp_path / "t.csv").write_text(f"path,label\ncat/0.png,{label}\n{rows}")
        prints.append(from_csv(tmp_path / "t.csv").fingerprint())
    assert prints[0] != prints[1]


# --- loaders --------------------------------------------------------------------------------------


def batches(data: VisionData, part: str, epoch: int = 0, **options: Any) -> list[Any]:
    loader = getattr(data.loaders(**NORM, batch_size=4, **options), part)
    loader.set_epoch(epoch)
    return list(loader)


@pytest.mark.row(11)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_batches_are_the_same_bits_from_memory_and_from_files(tmp_path: Path, suffix: str):
    folder(tmp_path, side=(150, 90), suffix=suffix)
    kept = from_folder(tmp_path, size=16)
    assert kept.pixels is not None
    for workers in (0, 1, 2):
        read = from_folder(tmp_path, size=16, cache_bytes=0, num_workers=workers)
        assert read.pixels is None
        for part in ("train", "valid"):
            for epoch in (0, 1):
                ours, theirs = batches(kept, part, epoch), batches(read, part, epoch)
                assert len(ours) == len(theirs)
                for (x, y), (other_x, other_y) in zip(ours, theirs, strict=True):
                    assert torch.equal(x, other_x)
                    assert torch.equal(y, other_y)


@pytest.mark.row(5)
def test_each_picture_comes_once_an_epoch_in_another_order(tmp_path: Path):
    data = from_folder(folder(tmp_path, 9, 4), valid=0.25)
    loader = data.loaders(**NORM, batch_size=4).train
    orders = []
    for epoch in (0, 1):
        seen: list[int] = []
        loader.transform = lambda batch, indices, epoch: (indices, batch[1])  # pyright: ignore[reportAttributeAccessIssue]
        loader.set_epoch(epoch)  # pyright: ignore[reportAttributeAccessIssue]
        for indices, targets in loader:
            seen += indices.tolist()
            members = [data.items[data.split.train[i]] for i in indices.tolist()]
            assert [data.classes[t] for t in targets.tolist()] == [m.label for m in members]
        assert sorted(seen) == list(range(len(data.split.train)))
        orders.append(seen)
    assert orders[0] != orders[1]


def test_validation_comes_in_the_same_order_and_unvaried_in_each_epoch(tmp_path: Path):
    data = from_folder(folder(tmp_path), valid=0.5)
    first, second = (batches(data, "valid", epoch) for epoch in (0, 3))
    for (x, y), (other_x, other_y) in zip(first, second, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)
    mean, std = (torch.tensor(NORM[name])[:, None, None] for name in ("mean", "std"))
    names = ids(data, "valid")
    pixels = decode.open_picture(tmp_path / names[0], size=16)
    torch.testing.assert_close(first[0][0][0], (pixels / 255 - mean) / std)
    labels = [data.classes[code] for code in torch.cat([y for _, y in first]).tolist()]
    assert labels == [name.split("/")[0] for name in names]


def test_training_pictures_are_varied_anew_in_each_epoch(tmp_path: Path):
    data = from_folder(folder(tmp_path))
    first, second = (torch.cat([x for x, _ in batches(data, "train", e)]) for e in (0, 1))
    assert not torch.equal(first.sort(dim=0).values, second.sort(dim=0).values)


def test_pixels_kept_in_memory_are_those_of_their_item_where_others_were_set_aside(tmp_path: Path):
    folder(tmp_path)
    spoil(tmp_path)
    data = from_folder(tmp_path)
    for part in ("train", "valid"):
        pictures = data.pictures(part)
        assert pictures.is_cached
        inputs, _ = pictures.__getitems__(torch.arange(len(pictures)))
        for row, name in zip(inputs, pictures.ids, strict=True):
            assert torch.equal(row, decode.open_picture(tmp_path / name, size=16))


def test_a_column_of_quantities_is_refused_and_one_of_numbered_classes_is_not(
    tmp_path: Path,
) -> None:
    for number in range(60):
        Image.new("RGB", (8, 8), (4 * number, 0, 0)).save(tmp_path / f"{number}.png")

    def table(label: Any) -> Path:
        path = tmp_path / "ages.csv"
        path.write_text("path,age\n" + "".join(f"{n}.png,{label(n)}\n" for n in range(60)))
        return path

    with pytest.raises(DataError) as caught:
        from_csv(table(lambda n: f"{20 + n / 10:.1f}"))
    assert str(caught.value) == (
        f"The labels of {tmp_path / 'ages.csv'} are 60 different numbers, such as 20.0, and each would "
        "be a class of its own. Pictures are sorted into classes here, and no number is predicted of "
        "them: write a few classes in their place, such as 'young' and 'old'."
    )
    assert len(from_csv(table(lambda n: n % 3)).classes) == 3
    halves = from_csv(table(lambda n: n % 2 + 0.5))  # two sizes, thirty pictures each
    assert list(halves.classes) == ["0.5", "1.5"]
