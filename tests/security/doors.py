"""A process that opens hostile folders through every door, watched by an audit hook.

    python -m tests.security.doors < job.json        answers with one JSON line a folder and door

All modules are loaded, by opening a sound folder, before the watch begins: what is imported, compiled
or executed after that was asked for by the hostile folder.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import faulthandler
import importlib
import io
import json
import math
import os
import pkgutil
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import drivetrain
from drivetrain.errors import DrivetrainError
from tools import attack_corpus

HANG_SECONDS = 30
"""A case that takes so long ends the process, with every thread's stack on stderr."""

# To compile is not to run: `inspect` does it for signatures, and tracebacks to show their lines.
FORBIDDEN = (
    *("pickle.find_class", "marshal.load", "code.__new__", "function.__new__", "cpython.run_"),
    *("subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "pty.spawn"),
    *("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "ctypes.dlopen"),
    *("os.putenv", "os.chmod", "os.chown", "os.link", "os.symlink", "os.kill", "os.setxattr"),
    *("shutil.unpack_archive", "shutil.copyfile", "shutil.move", "sqlite3.", "winreg."),
)
"""Events that opening a folder never causes, by how their names begin."""


class Watch:
    """What the audit hook saw while it was on."""

    def __init__(self) -> None:
        self.allowed: Path | None = None
        """The folder that may be written to; None while the watch is off."""
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def on(self, folder: Path) -> Iterator[list[str]]:
        """Watch a block; the list fills with what it must not do."""
        self.seen = []
        self.allowed = folder
        try:
            yield self.seen
        finally:
            self.allowed = None

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        folder, self.allowed = self.allowed, None  # what is done here is not watched
        try:
            if event.startswith(FORBIDDEN):
                self.seen.append(f"{event} {args!r}"[:300])
            elif event == "exec" and _is_foreign(args[0].co_filename):
                self.seen.append(f"exec of {args[0].co_filename}")
            elif event == "import" and _is_foreign_module(str(args[0])):
                self.seen.append(f"import of {args[0]}")
            elif event == "open" and _writes(args) and not _is_inside(args[0], folder):
                self.seen.append(f"open for writing {args[0]}")
            elif event in (
                "os.remove",
                "os.rename",
                "os.mkdir",
                "os.rmdir",
                "os.truncate",
            ) and not (_is_inside(args[0], folder)):
                self.seen.append(f"{event} {args!r}"[:300])
        finally:
            self.allowed = folder


def _is_foreign(file: str) -> bool:
    """Whether code comes from neither Python, nor a package, nor this repository."""
    own = (sys.prefix, sys.base_prefix, str(attack_corpus.ROOT), "<frozen", "/usr/lib/python")
    return not file.startswith(own)


def _is_foreign_module(name: str) -> bool:
    return name.partition(".")[0] not in KNOWN


KNOWN = {
    *sys.stdlib_module_names,
    *("drivetrain", "torch", "torchvision", "numpy", "PIL", "timm", "safetensors", "click", "tqdm"),
    *("huggingface_hub", "onnx", "onnxruntime", "google", "ml_dtypes", "typing_extensions"),
    "pyarrow",
}


def _writes(args: tuple[Any, ...]) -> bool:
    _, mode, flags = args
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(int(flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def _is_inside(path: Any, folder: Path) -> bool:
    if isinstance(path, int):
        return True  # a descriptor, whose opening was seen
    real = os.path.realpath(os.fsdecode(path))
    return real == os.devnull or Path(real).is_relative_to(folder)


# --- the doors ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sound:
    """What is used with every folder: pictures, and a table, that are as they should be."""

    picture: Path
    pictures: Path
    table: Path


def load(folder: Path, sound: Sound) -> str:
    """`vision.load`, and one prediction."""
    from drivetrain import vision

    answer = vision.load(folder).predict(sound.picture)
    _check(answer.label, answer.probabilities)
    return "predicts"


def verify(folder: Path, sound: Sound) -> str:
    """`vision.verify`."""
    from drivetrain import vision

    vision.verify(folder)
    return "verified"


def load_onnx(folder: Path, sound: Sound) -> str:
    """`vision.load` through ONNX Runtime, up to where that begins."""
    from drivetrain import vision

    answer = vision.load(folder, engine="onnx").predict(sound.picture)
    _check(answer.label, answer.probabilities)
    return "predicts"


def table_load(folder: Path, sound: Sound) -> str:
    """`tabular.load`, and the answers for a table, and for a row by itself."""
    from drivetrain import tabular

    model = tabular.load(folder)
    answers = model.predict(sound.table)
    for answer in [*answers, model.predict(dict.fromkeys(model.reader.features))]:
        _check_row(answer.to_json())
    return "predicts"


def table_verify(folder: Path, sound: Sound) -> str:
    """`tabular.verify`."""
    from drivetrain import tabular

    tabular.verify(folder)
    return "verified"


def table_load_onnx(folder: Path, sound: Sound) -> str:
    """`tabular.load` through ONNX Runtime, up to where that begins."""
    from drivetrain import tabular

    tabular.load(folder, engine="onnx").predict(sound.table)
    return "predicts"


def text_load(folder: Path, sound: Sound) -> str:
    """`text.load`, and the answers for texts of many kinds."""
    from drivetrain import text

    for answer in text.load(folder).predict_many(
        ["", "A good film!!!", "l'été \U0001f44d", "x " * 300]
    ):
        _check_row(answer.to_json())
    return "predicts"


def text_verify(folder: Path, sound: Sound) -> str:
    """`text.verify`."""
    from drivetrain import text

    text.verify(folder)
    return "verified"


def command(*words: str) -> Callable[[Path, Sound], str]:
    """A verb of the command line; `FOLDER`, `PICTURE` and `PICTURES` stand for what they are."""

    def door(folder: Path, sound: Sound) -> str:
        from drivetrain.cli import program

        names = {"FOLDER": folder, "PICTURE": sound.picture, "PICTURES": sound.pictures}
        names["TABLE"] = sound.table
        names["TEXT"] = attack_corpus.ROOT / "README.md"
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = program.main([str(names.get(word, word)) for word in words])
            except SystemExit as end:
                code = end.code
        said = out.getvalue() + err.getvalue()
        moving = [letter for letter in said if ord(letter) < 32 and letter not in "\n\t\r"]
        if moving:
            raise AssertionError(f"It prints {moving[0]!r}: {said[:300]!r}")
        if code not in (0, 2, 3):
            raise AssertionError(f"It ended with {code}: {said[:500]!r}")
        if code == 0:
            if words[0] == "predict" and "--json" in words:
                for record in json.loads(out.getvalue()):
                    _check_row(record)
            return "answers"
        last = err.getvalue().strip().splitlines()
        if not last or not last[-1].startswith("drivetrain: ") or len(last[-1]) > 2000:
            raise AssertionError(f"It does not say what is wrong in one line: {said[:300]!r}")
        raise DrivetrainError(last[-1])

    return door


def eject(folder: Path, sound: Sound) -> str:
    """`drivetrain eject` up to where ruff begins: what a run says must not become code of its script."""
    from drivetrain.eject import layout

    script = folder / "ejected.py"
    with mock.patch.object(layout, "_asked", lambda ruff, *words, text: text):
        said = command("eject", "FOLDER", "-o", str(script))(folder, sound)
    strange = set()
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            strange |= {one.name.partition(".")[0] for one in node.names} - OF_SCRIPTS
        elif isinstance(node, ast.ImportFrom):
            strange |= {str(node.module).partition(".")[0]} - OF_SCRIPTS
        elif isinstance(node, ast.Name) and node.id in ("eval", "exec", "__import__", "compile"):
            strange.add(node.id)
    assert not strange, f"the script has {sorted(strange)}"
    return said


OF_SCRIPTS = {
    *(
        "__future__",
        "argparse",
        "collections",
        "concurrent",
        "functools",
        "hashlib",
        "json",
        "math",
    ),
    *("pathlib", "typing", "numpy", "PIL", "safetensors", "timm", "torch"),
}
"""What scripts of pictures import."""

DOORS: dict[str, Callable[[Path, Sound], str]] = {
    "load": load,
    "verify": verify,
    "load-onnx": load_onnx,
    "predict": command("predict", "FOLDER", "PICTURE", "--json"),
    "predict-text": command("predict", "FOLDER", "PICTURE"),
    "evaluate": command("evaluate", "FOLDER", "--on", "PICTURES", "--json"),
    "summary": command("summary", "FOLDER"),
    "resume": command("resume", "FOLDER"),
    "verify-command": command("verify", "FOLDER"),
    "eject": eject,
    "text-load": text_load,
    "text-verify": text_verify,
    "text-predict": command("predict", "FOLDER", "TEXT", "--json"),
    "table-load": table_load,
    "table-verify": table_verify,
    "table-load-onnx": table_load_onnx,
    "table-predict": command("predict", "FOLDER", "TABLE", "--json"),
    "table-predict-text": command("predict", "FOLDER", "TABLE"),
    "table-evaluate": command("evaluate", "FOLDER", "--on", "TABLE", "--json"),
}
OF_RUN = ("load", "predict", "predict-text", "evaluate", "summary", "resume")
OF_BUNDLE = ("load", "verify", "load-onnx", "predict", "predict-text", "verify-command")
OF_TABLE_RUN = ("table-load", "table-predict", "table-predict-text", "table-evaluate")
OF_TEXT_BUNDLE = ("text-load", "text-verify", "text-predict", "verify-command")
OF_TABLE_BUNDLE = (
    *("table-load", "table-verify", "table-load-onnx", "table-predict", "table-predict-text"),
    *("table-evaluate", "verify-command"),
)


def _check_row(record: dict[str, Any]) -> None:
    if "label" in record:
        _check(record["label"], record["probabilities"])
        return
    values = record["value"] if isinstance(record["value"], list) else [record["value"]]
    values += record["interval"] or [] if "interval" in record else []
    assert all(isinstance(one, float) and math.isfinite(one) for one in values), "numbers"


def _check(label: str, probabilities: dict[str, float]) -> None:
    values = list(probabilities.values())
    assert label in probabilities, "the label is one of the classes"
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in values), "probabilities"
    assert abs(sum(values) - 1) < 1e-3, "they sum to 1"


# --- one case after another -----------------------------------------------------------------------


@dataclasses.dataclass
class Outcome:
    """What came of one folder and door."""

    name: str
    door: str
    said: str
    """What the door answered, or the named error's text."""
    wrong: list[str]
    """What must not have happened; empty is good."""
    seconds: float
    """Of the processor: how busy the machine is with other things does not count."""
    megabytes: float
    """The most memory that was taken beyond what was in use before."""


def attempt(
    name: str,
    door: str,
    place: attack_corpus.Place,
    sound: Sound,
    watch: Watch,
    *,
    doors: dict[str, Callable[[Path, Sound], str]] = DOORS,
) -> Outcome:
    """Open a hostile folder through one door."""
    wrong: list[str] = []
    before = _memory_reset()
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    began = time.process_time()
    with watch.on(place.folder.resolve()) as seen:
        try:
            said = doors[door](place.folder, sound)
        except DrivetrainError as error:
            said = str(error)
            if not said.strip() or len(said) > 3000:
                wrong.append(f"a message of {len(said)} letters")
        except BaseException as error:  # noqa: BLE001 - anything else is what is looked for
            said = ""
            wrong.append(f"{type(error).__name__}: {error}"[:500])
            wrong.append("".join(traceback.format_exception(error)[-4:])[-1500:])
    seconds = time.process_time() - began
    faulthandler.cancel_dump_traceback_later()
    wrong += seen
    if place.marker.exists():
        wrong.append("the marker was made")
        os.rmdir(place.marker)
    if place.victim.read_text() != attack_corpus.VICTIM_TEXT:
        wrong.append("the victim was changed")
        place.victim.write_text(attack_corpus.VICTIM_TEXT)
    return Outcome(name, door, said[:300], wrong, seconds, _memory_peak() - before)


def _memory_reset() -> float:
    """Megabytes in use; from here on the peak counts anew. 0 where the system cannot say."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return 0.0


def _memory_peak() -> float:
    try:
        return _status("VmHWM")
    except OSError:
        return 0.0


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Do the job that stands on stdin."""
    job = json.load(sys.stdin)
    sound = Sound(Path(job["picture"]), Path(job["pictures"]), Path(job["table"]))
    work = Path(job["work"])
    for part in job["parts"]:  # all modules are loaded now
        for door in dict.fromkeys(door for _, doors in part["rounds"] for door in doors):
            copy = work / "sound"
            shutil.copytree(part["base"], copy)
            with contextlib.suppress(DrivetrainError):
                DOORS[door](copy, sound)
            shutil.rmtree(copy)
    import timm  # noqa: F401 - a name may ask for it

    for module in pkgutil.walk_packages(drivetrain.__path__, "drivetrain."):
        with contextlib.suppress(ImportError, DrivetrainError):
            importlib.import_module(module.name)  # a name may ask for any of ours

    watch = Watch()
    for part in job["parts"]:
        _attempt_all(part["kind"], part["rounds"], Path(part["base"]), work, sound, watch)


def _attempt_all(
    kind: str, rounds: list[Any], base: Path, work: Path, sound: Sound, watch: Watch
) -> None:
    """Print what came of each attack of the rounds, on a sound folder of a kind."""
    attacks = {attack.name: attack for attack in attack_corpus.of_kind(kind)}
    out = sys.stdout
    for name, doors in ((name, doors) for names, doors in rounds for name in names):
        fresh: attack_corpus.Place | None = None
        for number, door in enumerate(doors):
            folder = work / f"{kind}-{number}" / "folder"
            if fresh is None or door == "resume":
                folder.parent.mkdir(parents=True)
                fresh = attack_corpus.write(attacks[name], base, folder, folder.parent / "outside")
            outcome = attempt(name, door, fresh, sound, watch)
            out.write(json.dumps(dataclasses.asdict(outcome)) + "\n")
            out.flush()
        for left in work.glob(f"{kind}-*"):
            shutil.rmtree(left)


if __name__ == "__main__":
    main()
