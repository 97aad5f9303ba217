"""clean/inplace_table.py: what is written anew, that all else stays to the byte, and the way back."""

from __future__ import annotations

import csv
import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings, strategies as st

import drivetrain as dt
from drivetrain import _disk, store
from drivetrain.clean.inplace import TRASH
from drivetrain.clean.inplace_table import TableSource, apply, undo
from drivetrain.clean.journal import Journal
from drivetrain.clean.patch import Change, Patch
from drivetrain.cli import program
from drivetrain.errors import DataError, RunError, StorageError
from drivetrain.tabular.in_place import source_of as source_of_table
from drivetrain.text.in_place import source_of as source_of_texts
from drivetrain.train.run import Run


def hash_of(row: int) -> str:
    return f"{row:064x}"


def source_of(path: Path, rows: int, **options: Any) -> TableSource:
    return TableSource(path, "mood", {row: hash_of(row) for row in range(rows)}, **options)


def patch_of(changes: dict[int, tuple[str | None, str | None]]) -> Patch:
    return Patch({hash_of(row): Change(new, was) for row, (new, was) in changes.items()})


ROWS = [
    ["1", "a fine film", "good"],
    ["2", 'dull, "very"\r\nlong', "bad"],
    ["3", "", "good"],
    ["4", "été à Noël", "bad"],
    ["5", "the end", "good"],
]


def text_of(rows: list[list[str]], ends: str, delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=ends, delimiter=delimiter)
    writer.writerows([["id", "text", "mood"], *rows])
    return out.getvalue()


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("is_ended", [True, False])
def test_cells_are_written_and_rows_left_out_and_all_else_stays_to_the_byte(
    tmp_path: Path, ends: str, codec: str, delimiter: str, is_ended: bool
) -> None:
    path = tmp_path / "films.csv"
    text = text_of(ROWS, ends, delimiter)
    before = (text if is_ended else text[: -len(ends)]).encode(codec)
    path.write_bytes(before)
    patch = patch_of({1: ("good", "bad"), 3: (None, "bad"), 4: ("bad, or so", "good")})
    given = None if codec != "cp1252" else "cp1252"
    done = apply(patch, source_of(path, 5, encoding=given))
    assert (done.relabelled, done.removed, done.notes) == (2, 1, ())
    rows = [list(row) for row in ROWS]
    rows[1][2], rows[4][2] = "good", "bad, or so"
    del rows[3]
    wanted = text_of(rows, ends, delimiter)
    if delimiter == ";":
        assert '"bad, or so"' not in wanted
    assert path.read_bytes() == (wanted if is_ended else wanted[: -len(ends)]).encode(codec)
    assert done.trash is not None and done.trash.parent == tmp_path / TRASH
    assert (done.trash / "files" / "films.csv").read_bytes() == before
    assert apply(patch_of({1: ("good", "bad")}), source_of(path, 4)).trash is None, (
        "it says so already"
    )
    back = undo(path)
    assert (back.relabelled, back.removed) == (2, 1)
    assert path.read_bytes() == before
    with pytest.raises(RunError, match=r"has no change in place that could be taken back\.$"):
        undo(path)


@pytest.mark.row(118)
@pytest.mark.parametrize(
    ("ends", "codec"), [("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r\n", "utf-16")]
)
def test_of_several_columns_the_cells_that_change_are_written_and_no_other_byte(
    tmp_path: Path, ends: str, codec: str
) -> None:
    path = tmp_path / "leaves.csv"
    lines = [
        'image;disease;note;"variety"',
        '1.png;rot;"a; b";adt',
        '2.png;"rot";  spaces  ;"ir20"',
        "3.png;blast;;adt",
        "4.png;blast;été;adt",
    ]
    before = (ends.join(lines) + ends).encode(codec)
    path.write_bytes(before)
    targets = {"variety": ("adt", "ir20"), "disease": ("blast", "rot")}
    hashes = {row: hash_of(row) for row in range(4)}
    source = TableSource(path, "variety", hashes, targets=targets, missing=())
    patch = Patch(
        {hash_of(3): Change(None)},
        {
            "disease": {hash_of(1): Change("blast", "rot"), hash_of(2): Change("rot", "smut")},
            "variety": {hash_of(0): Change("ir20", "adt"), hash_of(1): Change("adt", "ir20")},
        },
    )
    done = apply(patch, source)
    assert (done.relabelled, done.removed) == (3, 1)
    assert done.notes == (
        "1 rows have a label by now that the patch does not know, and stay: row 3.",
    )
    lines[1], lines[2] = '1.png;rot;"a; b";ir20', '2.png;"blast";  spaces  ;"adt"'
    assert path.read_bytes() == (ends.join(lines[:4]) + ends).encode(codec)
    back = undo(path)
    assert (back.relabelled, back.removed) == (3, 1) and path.read_bytes() == before
    wrong = Patch({}, {"variety": {hash_of(0): Change("blast", "adt")}})
    with pytest.raises(DataError) as caught:
        apply(wrong, source)
    assert str(caught.value) == (
        f"'blast' is no class of {path} in the column 'variety'. Choose one that is: adt, ir20."
    )


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.just("\n"))
LABELS = st.sampled_from(["good", "bad", "so, so", 'a "quote"', "two\nlines", "été"])


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_whatever_stands_in_the_other_cells_only_what_is_asked_changes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.tuples(CELLS, LABELS), min_size=2, max_size=8))
    ends = data.draw(st.sampled_from(["\n", "\r\n"]))
    # no blank first field: a line of delimiters alone is read by other rules
    table = [[f"r{n}", text, label] for n, (text, label) in enumerate(rows)]
    path = tmp_path_factory.mktemp("any") / "t.csv"
    before = text_of(table, ends).encode()
    path.write_bytes(before)
    chosen = data.draw(st.dictionaries(st.integers(0, len(rows) - 1), st.none() | LABELS))
    changes = {row: (new, rows[row][1]) for row, new in chosen.items()}
    apply(patch_of(changes), source_of(path, len(rows), delimiter=","))
    lines = [text_of([], ends)]
    for n, (name, text, label) in enumerate(table):
        new = chosen.get(n, label)
        if new is not None:  # what was quoted stays so
            quoted = text_of([[new]], ends).removeprefix(lines[0])
            is_quoted = any(text_of([[one]], ends)[len(lines[0])] == '"' for one in (new, label))
            bare = new.replace('"', '""') if is_quoted else new
            assert is_quoted or quoted == bare + ends
            lines.append(
                text_of([[name, text]], ends)[len(lines[0]) : -len(ends)]
                + (f',"{bare}"' if is_quoted else f",{bare}")
                + ends
            )
    assert path.read_bytes() == "".join(lines).encode()
    if path.read_bytes() != before:
        undo(path)
    assert path.read_bytes() == before


def test_rows_that_were_set_aside_and_blank_lines_stay_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = ["id,text,mood", "1,a,good", "", "2,b", "3,c,good,more", "4,d, bad ", "5,e,good", ""]
    path.write_bytes("\n".join(lines).encode())
    done = apply(patch_of({3: ("good", "bad"), 4: (None, "good")}), source_of(path, 5))
    assert (done.relabelled, done.removed) == (1, 1)
    wanted = ["id,text,mood", "1,a,good", "", "2,b", "3,c,good,more", "4,d,good", ""]
    assert path.read_bytes() == "\n".join(wanted).encode()


def test_a_label_that_the_patch_does_not_know_stays(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(ROWS, "\n").encode())
    before = path.read_bytes()
    done = apply(patch_of({0: ("bad", "fair")}), source_of(path, 5))
    assert done.notes == (
        "1 rows have a label by now that the patch does not know, and stay: row 1.",
    )
    assert path.read_bytes() == before and not (tmp_path / TRASH).exists()


def test_a_file_that_was_changed_since_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(ROWS, "\n").encode())
    done = apply(patch_of({0: ("bad", "good")}), source_of(path, 5))
    path.write_bytes(path.read_bytes() + b"6,mine,good\n")
    mine = path.read_bytes()
    with pytest.raises(RunError) as caught:
        undo(path)
    assert str(caught.value) == (
        f"{path} has been changed since, and stays as it is. As it was before, it is in {done.trash}."
    )
    assert path.read_bytes() == mine


class Cut(_disk.Disk):
    """A disk that fails at an operation and from then on."""

    def __init__(self, operations: int) -> None:
        self.left = operations

    def rename(self, source: Path, target: Path) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EIO, "Input/output error")
        super().rename(source, target)


@pytest.mark.parametrize("operations", range(4))
def test_whenever_it_is_cut_the_file_is_whole_and_the_way_back_is_open(
    tmp_path: Path, operations: int
) -> None:
    path = tmp_path / "t.csv"
    before = text_of(ROWS, "\n").encode()
    path.write_bytes(before)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_disk, "disk", Cut(operations))
        try:
            apply(patch_of({0: ("bad", "good")}), source_of(path, 5))
        except StorageError:
            assert path.read_bytes() == before
    if operations >= 2:
        undo(path)
    else:
        with pytest.raises(RunError, match="could be taken back"):
            undo(path)
    assert path.read_bytes() == before


def test_a_file_that_could_not_be_written_back_to_the_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,text,mood\n1,a\0b,good\n2,b,bad\n")
    with pytest.raises(DataError) as caught:
        apply(patch_of({0: ("bad", "good")}), source_of(path, 2))
    assert str(caught.value) == (
        f"{path} holds places that are no text in utf-8. It is not changed in place. Write a patch, and "
        "train with it: drivetrain clean RUN --apply; drivetrain train SOURCE --patch FILE"
    )
    assert path.read_bytes() == b"id,text,mood\n1,a\0b,good\n2,b,bad\n"


def test_a_quote_within_a_word_is_a_letter_like_others(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,text,mood\n1,a,good\n2,b,x"y"z\n')
    apply(patch_of({1: ("bad", 'x"y"z')}), source_of(path, 2))
    assert path.read_bytes() == b"id,text,mood\n1,a,good\n2,b,bad\n"


def test_a_label_that_the_encoding_has_not_and_one_that_is_no_class_are_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(ROWS, "\n").encode("cp1252"))
    with pytest.raises(DataError, match=r"cannot be written in cp1252"):
        apply(patch_of({0: ("良い", "good")}), source_of(path, 5, encoding="cp1252"))
    with pytest.raises(DataError, match=r"^'fair' is no class of .*t\.csv\. Choose one that is: "):
        apply(patch_of({0: ("fair", "good")}), source_of(path, 5, classes=("bad", "good")))


def test_parquet_packed_files_and_links_are_refused(tmp_path: Path) -> None:
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"text": [f"t{n}" for n in range(4)], "mood": ["good", "bad"] * 2}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text_of(ROWS, "\n").encode()))
    (tmp_path / "plain.csv").write_bytes(text_of(ROWS, "\n").encode())
    (tmp_path / "link.csv").symlink_to(tmp_path / "plain.csv")
    for name in ("t.parquet", "t.csv.gz"):
        with pytest.raises(DataError, match=r"is no plain CSV, whose rows could be written anew\."):
            apply(patch_of({0: ("bad", "good")}), source_of(tmp_path / name, 2))
    with pytest.raises(DataError, match=r"is not there, or is a link: give the file itself\.$"):
        apply(patch_of({0: ("bad", "good")}), source_of(tmp_path / "link.csv", 2))


# --- of runs --------------------------------------------------------------------------------------------


def command(*words: object) -> Any:
    result = CliRunner().invoke(program, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def decide(run: Path, row: str, hash_: str, was: str, label: str | None) -> None:
    journal = Journal(run / "clean" / "journal.jsonl")
    action = "delete" if label is None else "relabel"
    journal.decide(hash_, action, label=label, was=was, by="ada")


@pytest.mark.row(16)
def test_a_table_of_a_run_is_changed_in_place_and_back(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    lines = [f'{n},"{"a" if n % 3 else "b"}\r\nx",{"yes" if n % 2 else "no"}' for n in range(40)]
    before = ("age,job,rich\r\n" + "\r\n".join(lines) + "\r\n").encode()
    path.write_bytes(before)
    words = ["--target", "rich", "--model", "tree", "--test", 0.2, "--seed", 3]
    command("train", path, *words, "--out", tmp_path / "run", "--json")
    source = source_of_table(Run.open(tmp_path / "run").read())
    assert len(source.hashes) == 32, "sealed rows are not among those that may change"
    one, two = sorted(source.hashes)[:2]
    was = ["yes" if row % 2 else "no" for row in (one, two)]
    new = "no" if was[0] == "yes" else "yes"
    decide(tmp_path / "run", "", source.hashes[one], was[0], new)
    decide(tmp_path / "run", "", source.hashes[two], was[1], None)
    said = command("clean", tmp_path / "run", "--in-place", "--json")
    assert (said["relabelled"], said["removed"]) == (1, 1)
    lines[one] = lines[one].removesuffix(was[0]) + new
    del lines[two]
    assert path.read_bytes() == ("age,job,rich\r\n" + "\r\n".join(lines) + "\r\n").encode()
    command("clean", tmp_path / "run", "--undo", "--json")
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", [pytest.param("csv", marks=pytest.mark.slow), "folder"])
def test_texts_of_a_run_are_changed_in_place_and_back(tmp_path: Path, kind: str) -> None:
    words = ["fine", "lovely", "dull", "boring"]
    texts = [
        (f"a {words[n % 4]} film of {1900 + n}", "good" if n % 4 < 2 else "bad") for n in range(40)
    ]
    if kind == "csv":
        path = tmp_path / "films.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *texts])
    else:
        path = tmp_path / "films"
        for n, (text, label) in enumerate(texts):
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / f"{n:02}.txt").write_text(text)
    sizes = {"embedding_dim": 8, "hidden_dim": 8, "num_layers": 1}
    target = "label" if kind == "csv" else None
    learner = dt.text.learner(path, target, sizes=sizes, progress=False, out=tmp_path / "run")
    learner.fit(1)

    def tree() -> dict[str, bytes]:
        files = [path] if kind == "csv" else sorted(path.rglob("*.txt"))
        return {p.name if kind == "csv" else str(p.relative_to(path)): p.read_bytes() for p in files
                if TRASH not in p.parts}  # fmt: skip

    before = tree()
    source = source_of_texts(Run.open(tmp_path / "run").read())
    from drivetrain.clean.queue import text_hash

    assert source.classes == ("bad", "good")
    decide(tmp_path / "run", "", text_hash(texts[0][0]), "good", "bad")
    decide(tmp_path / "run", "", text_hash(texts[2][0]), "bad", None)
    said = command("clean", tmp_path / "run", "--in-place", "--json")
    assert (said["relabelled"], said["removed"]) == (1, 1)
    after = tree()
    if kind == "csv":
        rows = list(csv.reader(io.StringIO(after["films.csv"].decode(), newline="")))[1:]
        assert rows[0] == [texts[0][0], "bad"] and len(rows) == 39
    else:
        assert "bad/00.txt" in after and "good/00.txt" not in after and "bad/02.txt" not in after
    command("clean", tmp_path / "run", "--undo", "--json")
    assert tree() == before
    assert store.file_sha256(tmp_path / "run" / "run.json")
