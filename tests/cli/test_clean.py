"""`drivetrain clean` and `train --patch`: the queue, the patch, and what a training makes of it."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from drivetrain.clean.journal import Journal
from drivetrain.clean.patch import Change, Patch
from drivetrain.clean.queue import text_hash
from drivetrain.cli import clean as cli
from drivetrain.samples.shapes import SHAPES
from drivetrain.store import file_sha256
from tests.clean.desks import make_queue

Run = Callable[..., Result]


def done(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def cleaned(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a finished run of pictures, to decide in."""
    folder = tmp_path_factory.mktemp("cleaned") / "run"
    shutil.copytree(trained, folder)
    return folder


@pytest.mark.row(16)
def test_the_queue_is_listed_worst_first_as_json_and_as_a_table(run: Run, trained: Path) -> None:
    found = done(run("clean", trained, "--list", 7, "--json"))
    assert sorted(found["classes"]) == sorted(SHAPES) and found["total"] == 30
    assert len(found["items"]) == 7
    chances = [one["probability"] for one in found["items"]]
    assert chances == sorted(chances)
    first = found["items"][0]
    assert first["kind"] == "picture" and first["label"] in SHAPES and len(first["hash"]) == 64
    shown = run("clean", trained, "--list", 7)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["item", "labelled", "suggested", "loss"] and len(lines) == 11
    assert lines[1].startswith(first["name"])
    assert found["outliers"] == [] and lines[-1] == found["unlike"]
    assert lines[-1] == ("Of 30 items nothing can be said to be unlike the others: it takes 50.")


def test_those_unlike_the_others_are_listed_the_farthest_first(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = replace(make_queue(60, odd=(50, 7, 31)), basis="by chance")
    monkeypatch.setattr(cli, "_queue", lambda *_, **__: (queue, None))
    found = done(run("clean", trained, "--list", 2, "--json"))
    assert len(found["items"]) == 2 and found["unlike"] == queue.unlike
    assert {one["name"] for one in found["outliers"]} == {
        row.item.name for row in queue.rows if row.is_outlier
    }
    assert found["outliers"][0]["nearest"]["name"] == "beagle/000.png"
    lines = run("clean", trained, "--list", 2).stdout.splitlines()
    assert lines[-6] == "3 items are unlike the others in pixels."
    assert lines[-4].split() == ["the", "farthest", "labelled", "spreads", "nearest"]
    assert lines[-3].split()[-2:] == ["6.0", "beagle/000.png"] and lines[-1] == "and 1 more"
    monkeypatch.setattr(cli, "_queue", lambda *_, **__: (make_queue(9), None))
    said = run("clean", trained, "--list", 2, "--folds", 0).stdout
    assert said.endswith("Which items are unlike the others is told with folds alone.\n")


@pytest.mark.row(16)
def test_folds_are_kept_in_the_run_and_the_runs_own_predictions_are_there_too(
    run: Run, cleaned: Path
) -> None:
    first = done(run("clean", cleaned, "--list", 40, "--folds", 3, "--seed", 5, "--json"))
    assert first["basis"].startswith("out of 3 folds, by logistic regression on ")
    assert not any(one["seen"] for one in first["items"])
    kept = {
        path.name: path.stat().st_mtime_ns for path in (cleaned / "clean").glob("folds-quick-3*")
    }
    assert len(kept) == 4
    again = run("clean", cleaned, "--list", 40, "--folds", 3, "--seed", 5)
    assert again.exit_code == 0
    assert f"\n30 items in all, worst first, {first['basis']}.\n" in again.stdout
    for name, time_ in kept.items():
        assert (cleaned / "clean" / name).stat().st_mtime_ns == time_
    own = done(run("clean", cleaned, "--list", 40, "--folds", 0, "--json"))
    assert own["basis"] == "by the run's own model, which has learnt the labels of train"
    assert {one["part"] for one in own["items"] if one["seen"]} == {"train"}
    assert {one["hash"] for one in own["items"]} == {one["hash"] for one in first["items"]}


def decided(run: Run, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two decisions in a run's journal: one item relabelled, one left out."""
    items = done(run("clean", folder, "--list", 2, "--json"))["items"]
    journal = Journal(folder / "clean" / "journal.jsonl")
    label = next(one for one in SHAPES if one != items[0]["label"])
    journal.decide(items[0]["hash"], "relabel", label=label, was=items[0]["label"], by="ada")
    journal.decide(items[1]["hash"], "delete", was=items[1]["label"], by="ada")
    return {**items[0], "new": label}, items[1]


@pytest.mark.row(16)
def test_what_was_decided_becomes_a_patch_that_a_training_replays(
    run: Run, cleaned: Path, photos: Path, tmp_path: Path
) -> None:
    before = tree(photos)
    relabelled, left_out = decided(run, cleaned)
    out = tmp_path / "photos.patch.json"
    said = done(run("clean", cleaned, "--apply", "-o", out, "--json"))
    assert said == {"patch": str(out), "relabelled": 1, "left_out": 1, "damaged": 0}
    new = tmp_path / "patched"
    done(run("train", photos, "--patch", out, "--epochs", 1, "--seed", 7, "--out", new, "--json"))
    record = json.loads((new / "run.json").read_text())
    assert record["data"]["patch"] == Patch.read(out).to_json()
    assert sum(record["items"].values()) == 29
    choice = next(one for one in record["choices"] if one["what"] == "patch")
    assert choice["reason"] == "The patch gives 1 items another label and leaves 1 out."
    assert record["fingerprint"] != json.loads((cleaned / "run.json").read_text())["fingerprint"]
    split = json.loads((new / "split.json").read_text())
    assert left_out["name"] not in {*split["train"], *split["valid"]}
    again = done(run("clean", new, "--list", 40, "--json"))["items"]  # reopened without the file
    out.unlink()
    assert {one["label"] for one in again if one["name"] == relabelled["name"]} == {
        relabelled["new"]
    }
    assert tree(photos) == before
    ejected = done(run("eject", new, "-o", tmp_path / "script.py", "--json"))
    assert ejected["beside"] is None
    script = (tmp_path / "script.py").read_text("utf-8")
    new_label, name = relabelled["new"], relabelled["name"]
    assert f'RELABELLED = {{"{name}": "{new_label}"}}' in script
    assert f'LEFT_OUT = ("{left_out["name"]}",)' in script


@pytest.mark.slow
def test_texts_are_listed_and_patched(run: Run, tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [
        (
            "good" if at % 2 else "bad",
            f"item {at}: {draw.choice(WORDS[at % 2])} {draw.choice(WORDS[at % 2])}",
        )
        for at in range(80)
    ]
    table = tmp_path / "reviews.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("label", "text"), *rows])
    options = ("--epochs", 1, "--set", "batch_size=16", "--json")
    sizes = 'sizes={"embedding_dim":8,"hidden_dim":8,"num_layers":1}'
    words = ("train", table, "--task", "text", "--target", "label", "--set", sizes, *options)
    done(run(*words, "--out", tmp_path / "run"))
    found = done(run("clean", tmp_path / "run", "--list", 100, "--json"))
    assert {one["text"] for one in found["items"]} == {text for _, text in rows}
    one = found["items"][0]
    assert one["hash"] == text_hash(one["text"])
    other = "good" if one["label"] == "bad" else "bad"
    patch = Patch({one["hash"]: Change(other, one["label"], one["name"])})
    path = patch.write(tmp_path / "p.json")
    done(run(*words, "--patch", path, "--out", tmp_path / "again"))
    again = done(run("clean", tmp_path / "again", "--list", 100, "--json"))["items"]
    assert [o["label"] for o in again if o["hash"] == one["hash"]] == [other]


WORDS = (("dull", "slow", "poor"), ("great", "fine", "warm"))


def test_rows_of_any_model_are_listed_and_patched(run: Run, tmp_path: Path) -> None:
    draw = random.Random(1)
    table = tmp_path / "people.csv"
    lines = [
        (draw.randint(18, 90), draw.choice(["clerk", "nurse", ""]), f"{draw.random():.3f}")
        for _ in range(120)
    ]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("age", "job", "hours", "rich"))
        writer.writerows(
            (*line, "yes" if (line[0] > 50) != (draw.random() < 0.2) else "no") for line in lines
        )
    words = (
        "train",
        table,
        "--target",
        "rich",
        "--model",
        "forest",
        "--set",
        "num_trees=5",
        "--json",
    )
    done(run(*words, "--out", tmp_path / "run"))
    found = done(run("clean", tmp_path / "run", "--list", 200, "--json"))
    assert len(found["items"]) == 120 and found["classes"] == ["no", "yes"]
    one, two = found["items"][:2]
    assert [name for name, _ in one["cells"]] == ["age", "job", "hours"]
    other = "no" if one["label"] == "yes" else "yes"
    changes = {one["hash"]: Change(other, one["label"]), two["hash"]: Change(None, two["label"])}
    path = Patch(changes).write(tmp_path / "p.json")
    before = table.read_bytes()
    done(run(*words, "--patch", path, "--out", tmp_path / "again"))
    again = done(run("clean", tmp_path / "again", "--list", 200, "--json"))["items"]
    assert len(again) == 119 and table.read_bytes() == before
    assert [o["label"] for o in again if o["hash"] == one["hash"]] == [other]


@pytest.mark.slow
def test_the_command_serves_holds_the_run_and_leaves_everything_when_it_ends(
    run: Run, cleaned: Path
) -> None:
    words = [
        sys.executable,
        "-m",
        "drivetrain",
        "clean",
        str(cleaned),
        "--no-browser",
        "--json",
        "--by",
        "bob",
    ]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        text = ""
        while not text.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            text += line
        said = json.loads(text)
        assert said["items"] == 30 and said["url"].startswith(
            f"http://127.0.0.1:{said['port']}/start?token="
        )
        with urllib.request.urlopen(
            f"http://127.0.0.1:{said['port']}/healthz", timeout=10
        ) as answer:
            assert json.load(answer) == {"ok": True}
        second = run("clean", cleaned, "--no-browser")
        assert second.exit_code == 2
        assert (
            f"{cleaned} is being cleaned by another process. Use its page, or stop it."
            in second.output
        )
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert "decided. Write them: drivetrain clean" in process.stderr.read()
    token = said["url"].partition("=")[2]
    written = b"".join(p.read_bytes() for p in (cleaned / "clean").iterdir())
    assert token.encode() not in written and b'"path": "/healthz"' in written
    assert json.loads((cleaned / "clean" / "port.json").read_text()) == {"port": said["port"]}


def test_the_page_is_served_and_ctrl_c_ends_it_in_peace(
    run: Run, cleaned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivetrain.clean.server import Server

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    served: list[Server] = []

    def serve(server: Server, poll_interval: float) -> None:
        served.append(server)
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", serve)
    said = done(run("clean", cleaned, "--json", "--limit", 5, "--by", "bob"))
    flagged = sum(row.is_flagged for row in served[0].desk.queue.rows)
    basis = served[0].desk.queue.basis
    assert basis.startswith("out of 5 folds, by logistic regression on ")
    known = {"port": served[0].port, "items": 5, "flagged": flagged, "basis": basis}
    known |= {"outliers": 0, "unlike": served[0].desk.queue.unlike}
    assert said == {"url": served[0].start_url, **known}
    assert len(opened) == 1 and opened[0].startswith("file://") and "token" not in opened[0]
    assert served[0].desk.by == "bob" and len(served[0].desk.queue) == 5
    again = done(run("clean", cleaned, "--json", "--no-browser"))
    assert again["port"] == said["port"] and again["url"] != said["url"]  # plan S12: a new token
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--list", 3, "--apply"], "Say one of --list, --apply, --in-place and --undo."),
        (["-o", "x.json"], "-o is where --apply writes its patch."),
        (
            ["--folds", 1, "--list", 3],
            "One fold has no others to be predicted from. Say --folds 2 or more, or 0.",
        ),
        (
            ["--folds", 0, "--model", "own"],
            "--model is of folds, and --folds 0 has none. Leave one of them out.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Run, trained: Path, words: list[Any], sentence: str
) -> None:
    found = run("clean", trained, *words)
    assert found.exit_code == 2 and sentence in found.output


def test_what_is_no_run_and_a_link_in_the_journals_place_are_refused(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    assert "is not a run folder" in run("clean", tmp_path, "--list", 3).output
    folder = tmp_path / "run"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("clean"))
    (folder / "clean").symlink_to(tmp_path)
    found = run("clean", folder, "--apply")
    assert found.exit_code == 2
    assert "is a link. Put the file or folder itself in its place." in found.output


def test_the_source_is_changed_in_place_and_back(run: Run, cleaned: Path, tmp_path: Path) -> None:
    """On a copy of the pictures, to which the run is made to point."""
    record = json.loads((cleaned / "run.json").read_text())
    copy = tmp_path / "photos"
    shutil.copytree(record["data"]["source"], copy)
    folder = tmp_path / "run"
    shutil.copytree(cleaned, folder)
    record["data"]["source"] = str(copy)
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "clean" / "journal.jsonl").unlink(missing_ok=True)
    relabelled, left_out = decided(run, folder)
    before = tree(copy)
    said = done(run("clean", folder, "--in-place", "--json"))
    assert (said["relabelled"], said["removed"]) == (1, 1)
    after = tree(copy)
    assert after.pop(f"{Path(said['trash']).relative_to(copy).as_posix()}/plan.json")
    assert sorted(after.values()) == sorted(before.values())
    found = [name for name, hash_ in after.items() if hash_ == relabelled["hash"]]
    assert found[0].startswith(relabelled["new"] + "/")
    assert left_out["name"] not in after
    done(run("clean", folder, "--undo", "--json"))
    back = {name: hash_ for name, hash_ in tree(copy).items() if not name.startswith(".")}
    assert back == before
    assert "could be taken back." in run("clean", folder, "--undo").output
