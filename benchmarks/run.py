"""Run the benchmarks and write RESULTS.md.

    make bench                                    all cases
    python benchmarks/run.py --only loop,imports  some; the rows of the others stay, with their dates
    python benchmarks/run.py --quick              does each case run? prints, writes nothing
    python benchmarks/run.py lock                 write each requirements*.lock from its .in

Any Python 3.11 or later with pip starts it; the cases run in an environment of their own, with fastai
and the others that are compared with, which is made once below the user's cache (about 6 GB). What
cannot live in one environment with the others has another one: `OTHERS`.
A goal that is missed is printed as missed and does not change the exit code; a case that fails does.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOCK = HERE / "requirements.lock"
RECORD = HERE / "results.json"
REPORT = HERE / "RESULTS.md"
CASES = (
    *("loop", "input", "finetune_pets", "finetune_clothing", "finetune_digits"),
    *("predict", "imports", "optimizer", "resume", "guard", "tables", "explain"),
    *("boards", "uplift", "tokens", "lstm", "ratings", "ratings_large"),
)
WRITTEN = "# Written by `python benchmarks/run.py lock`; not edited by hand.\n"
SKIPPED = 77
"""Exit code of a case that cannot be measured here."""

PACKAGES = ("fastai", "numpy", "pillow", "timm", "torch", "torchvision")
PACKAGES_OF = {
    "resume": (
        *("accelerate", "fastai", "numpy", "pytorch-lightning", "safetensors"),
        *("torch", "torchdata", "transformers"),
    ),
    "guard": ("numpy", "pillow", "timm", "torch"),
    "tables": ("fastai", "numpy", "pandas", "pyarrow", "torch"),
    "explain": ("numpy", "scikit-learn"),
    "boards": ("lightgbm", "numpy", "scikit-learn", "torch"),
    "uplift": ("numpy", "scikit-learn"),
    "tokens": ("fastai", "numpy", "spacy", "tokenizers"),
    "lstm": ("fastai", "numpy", "torch"),
    "ratings": ("fastai", "numpy", "pandas", "pyarrow", "torch"),
    "ratings_large": ("numpy", "pyarrow", "torch"),
}
"""Of a case that measures others than `PACKAGES`."""


@dataclass(frozen=True)
class Other:
    """A second environment, whose Python a case is told of."""

    lock: Path
    variable: str
    """The variable that names its Python to the case; where it is set already, that one is used."""
    packages: tuple[str, ...]
    """Whose versions are reported."""
    size: str
    """On disk, about."""


OTHERS = {
    "boards": Other(
        HERE / "requirements-autogluon.lock",
        "DRIVETRAIN_BENCH_AUTOGLUON",
        ("autogluon.tabular", "catboost", "xgboost-cpu"),
        "1 GB",
    ),
    "ratings": Other(
        HERE / "requirements-ratings.lock",
        "DRIVETRAIN_BENCH_SURPRISE",
        ("scikit-surprise",),
        "250 MB",
    ),
}
"""Case -> what it needs besides the environment of all."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line; the answer is the exit code."""
    if list(arguments) == ["lock"]:
        write_lock()
        return 0
    options = parse(arguments)
    python = Path(sys.executable) if options.here else make_environment(LOCK, "6 GB")
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    failed = []
    for case in options.only:
        found = run_case(python, case, quick=options.quick)
        if found is None:
            failed.append(case)
        elif found and not options.quick:
            record[case] = found | {
                "command": "make bench"
                if options.is_all
                else f"python benchmarks/run.py --only {','.join(options.only)}"
            }
            RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
            REPORT.write_text(report(record))
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    elif not options.quick:
        print(f"\nWritten: {REPORT.relative_to(ROOT)}")
    return 1 if failed else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; `only` is a list of cases."""
    parser = argparse.ArgumentParser(description="Measure Drivetrain against other programs.")
    parser.add_argument("--only", default=",".join(CASES), help="cases, with commas between")
    parser.add_argument("--quick", action="store_true", help="few rounds; writes nothing")
    parser.add_argument("--here", action="store_true", help="use this Python's packages")
    options = parser.parse_args(arguments)
    options.only = [case for case in options.only.split(",") if case]
    unknown = [case for case in options.only if case not in CASES]
    if unknown or not options.only:
        parser.error(f"no such case: {', '.join(unknown)}. Cases: {', '.join(CASES)}.")
    options.is_all = set(options.only) == set(CASES)
    return options


# --- running -------------------------------------------------------------------------------------


def run_case(python: Path, case: str, *, quick: bool) -> dict[str, Any] | None:
    """Run one case in a process: its record, {} where it was skipped, None where it failed."""
    print(f"--- {case}", flush=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    environment.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # compiling at each start is not what is measured
    other = OTHERS.get(case)
    if other is not None and not environment.get(other.variable):
        environment[other.variable] = str(make_environment(other.lock, other.size))
    load, clock = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="drivetrain-bench-") as folder:
        result = Path(folder) / "result.json"
        command = [str(python), str(HERE / f"{case}.py"), "--json", str(result)]
        code = subprocess.run(
            [*command, *(["--quick"] if quick else [])], env=environment
        ).returncode
        if code == SKIPPED:
            return {}
        if code != 0 or not result.exists():
            return None
        found = json.loads(result.read_text())
    known = versions(python, PACKAGES_OF.get(case, PACKAGES))
    if other is not None:
        known = versions(environment[other.variable], other.packages, ours=False) | known
    return found | {
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.perf_counter() - clock),
        "load_before": round(load, 1),
        "machine": machine(),
        "versions": known,
    }


def machine() -> str:
    """The kind of machine: architecture, processor, cores. No names."""
    names = re.findall(r"^model name\s*: (.+)$", _read("/proc/cpuinfo"), flags=re.MULTILINE)
    flags = _read("/proc/cpuinfo")
    vector = next((name for name in ("avx512f", "avx2") if f" {name} " in flags), "")
    parts = [platform.machine(), *names[:1], vector, f"{len(os.sched_getaffinity(0))} cores"]
    return ", ".join(part for part in parts if part)


def versions(python: Path | str, packages: Sequence[str], *, ours: bool = True) -> dict[str, str]:
    """Versions of what was measured: `packages`, and with `ours` Drivetrain and Python."""
    code = (
        "import importlib.metadata as m, json, platform\n"
        f"found = {{name: m.version(name) for name in {tuple(packages)!r}}}\n"
    )
    if ours:
        code += (
            "import drivetrain\n"
            "found |= {'drivetrain': drivetrain.__version__, 'python': platform.python_version()}\n"
        )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    output = subprocess.run(
        [python, "-c", f"{code}print(json.dumps(found))"],
        env=environment, capture_output=True, check=True,
    )  # fmt: skip
    return json.loads(output.stdout)


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


# --- reporting -----------------------------------------------------------------------------------

HEAD = """# Benchmark results

Written by `make bench`; not edited by hand. Read the ratios: seconds move from machine to machine, and
what is compared was measured by turns in one run. `results.json` holds the single measurements.
"""


def report(record: dict[str, dict[str, Any]]) -> str:
    """RESULTS.md from the record of each case."""
    return "\n".join([HEAD, *(section(record[case]) for case in CASES if case in record)])


def section(found: dict[str, Any]) -> str:
    """One case: table, goals, how, when and where."""
    rows = [found["columns"], ["---"] + ["---:"] * (len(found["columns"]) - 1), *found["rows"]]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    goals = [goal_line(goal) for goal in found["goals"]]
    packages = ", ".join(f"{name} {version}" for name, version in sorted(found["versions"].items()))
    origin = (
        f"Measured {found['date']} by `{found['command']}` in {found['seconds']} s; {found['machine']}; "
        f"load before the start {found['load_before']}. {packages}."
    )
    return "\n".join(
        [f"## {found['title']}", "", *table, "", *goals, "", found["how"], "", origin, ""]
    )


def goal_line(goal: dict[str, Any]) -> str:
    """A goal as a list entry."""
    sign = "at least" if goal["is_at_least"] else "at most"
    verdict = "met" if goal["is_met"] else "**missed**"
    return f"- {goal['text']}: {goal['ratio']:.3g}; goal {sign} {goal['limit']:g}: {verdict}."


# --- the environment -----------------------------------------------------------------------------


def make_environment(lock: Path, size: str) -> Path:
    """The Python of an environment with the packages of a lock, made where it is not there."""
    tools = _tools()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    folder = tools.cache_folder() / f"bench-{tools.digest(lock.read_bytes())}"
    python = folder / "bin" / "python"
    with tools.locked():
        if tools.is_complete(folder):
            return python
        tools.say(f"Making the environment of {lock.relative_to(ROOT)}. Once; about {size}.")
        uv = tools.bootstrap_uv()
        tools.run(base_python(), "-m", "venv", "--clear", folder)
        if uv is None:
            pip = (python, "-m", "pip", "install", "--quiet", "--require-hashes")
            tools.run(*pip, "-r", lock)
        else:
            sources = tools.uv_sources(tools.pip_settings(str(base_python())))
            tools.run(
                *(uv, "pip", "install", "--quiet", "--python", python),
                *("--compile-bytecode", "--require-hashes", *sources, "-r", lock),
            )
        (folder / "complete").write_text("")
    return python


def base_python() -> Path:
    """The Python that has pip: the one outside of the environment that may run this file."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)


def write_lock() -> None:
    """Lock the packages; versions that still fit stay, with UPGRADE=1 they become the newest."""
    tools = _tools()
    with tools.locked():
        uv = tools.bootstrap_uv()
    if uv is None:
        raise SystemExit("`lock` needs uv, which could not be installed.")
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    for lock in (LOCK, *(other.lock for other in OTHERS.values())):
        tools.run(
            *(uv, "pip", "compile", "--quiet", "--no-header", "--generate-hashes", "--universal"),
            *("--python-version", "3.11", *upgrade, lock.with_suffix(".in"), "-o", lock),
        )
        text = lock.read_text().replace(f"{ROOT}/", "").removeprefix(WRITTEN)
        lock.write_text(f"{WRITTEN}{text}")


def _tools() -> ModuleType:
    """`tools/environment.py`, which is a script and not in a package."""
    path = ROOT / "tools" / "environment.py"
    spec = importlib.util.spec_from_file_location("environment", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
