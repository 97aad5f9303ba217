"""A recommender that was fitted by least squares in turn (`als`), as a plain script.

    eject_model("runs/plays-als", "plays.py")     # the folder of a run that `collab.fit` wrote
    python plays.py --data plays.csv --out again/

No Learner trained it, so there is no loop of epochs: a script reads, splits and counts the rows as the
run did, and solves for items and users in turn by the library's own source. It ends with the run's
weights to the last bit.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from drivetrain import store
from drivetrain.collab.data import CollabData, gather_again
from drivetrain.collab.ejecting import lists
from drivetrain.collab.ejecting.data import RowWriter, codes
from drivetrain.collab.events import FITTED
from drivetrain.collab.implicit import als
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.text import docstring
from drivetrain.errors import EjectError
from drivetrain.train.run import Run, check_form, said_as_damage

_NUMBER = (int, float)

RECORD: Mapping[str, Any] = {
    "seed": int,
    "fingerprint": str,
    "plan": {"method": str},
    "data": {"seed": int},
    "settings": {
        "num_factors": int,
        "regularization": _NUMBER,
        "alpha": _NUMBER,
        "rounds": int,
        "num_threads": (int, type(None)),
        "seed": int,
    },
    "results": {"weights_sha256": str},
}
"""What `run.json` has to say for a model that was fitted to be ejected."""

SECTIONS = (
    ("settings", "Settings"),
    ("randomness", "Randomness: every draw is a function of the seed and of what it is for"),
    ("data", "Data"),
    ("model", "Least squares in turn"),
    ("lists", "Lists: what they are worth"),
    ("main", "The run"),
)


@dataclass(frozen=True)
class Fitted:
    """What a run was fitted on, and by what."""

    data: CollabData
    settings: Mapping[str, Any]
    weights_sha256: str


def eject_model(run: store.StrPath, path: store.StrPath) -> Path:
    """Write a script that fits the model of a run again, to the same weights.

    Args:
        run: the folder that `collab.fit(…, out=…)` or `drivetrain train --model als` wrote.
        path: the script; one that is there is replaced.

    Raises: EjectError: the run is of another kind, its data came from memory or has changed, or a short
        script cannot read it. RunError, DataError: the run or its data cannot be opened.
    """
    return write(find_fitted(run), path)


def find_fitted(folder: store.StrPath) -> Fitted:
    """What is to be written, with the run's data read again. Raises: as `eject_model`."""
    run = Run.open(folder)
    record, path = run.read(), run.folder / "run.json"
    check_form(record, {"plan": {"method": str}}, path)
    if record["plan"]["method"] not in FITTED:
        raise EjectError(
            f"{folder} was trained in steps. Eject it by `drivetrain eject`, or by its Learner."
        )
    check_form(record, RECORD, path)
    with said_as_damage(path):
        data = gather_again(record["data"])
    if data.fingerprint() != record["fingerprint"]:
        raise EjectError(
            f"The rows of {data.source} are not those that {folder} was fitted on. Put them back, or "
            "fit anew."
        )
    return Fitted(data, record["settings"], record["results"]["weights_sha256"])


def write(fitted: Fitted, path: store.StrPath) -> Path:
    """Write the script of what was found; see `eject_model`."""
    path = Path(path)
    ruff = ruff_path()
    store.write_text(path, laid_out(_Script(fitted, path.name).text(), ruff))
    return path


class CountWriter(RowWriter):
    """Rows as columns of codes, with how much each counts."""

    takes_counts = True
    said_of_seed = "of the split, and of whose lists are looked at"
    said_of_rating = "the column of how much it counts"

    def part(self) -> Written:
        """The class of the rows that train, or of those that validate."""
        said = "how often each happened" if self.is_events else "how much each counts"
        what = "events" if self.is_events else "ratings"
        return Written(_PART.format(what=what, said=said), "data")

    def ending(self, uses: dict[str, Any]) -> list[str]:
        """Statements of `load` that make the two parts."""
        uses["codes"] = codes
        counts = "counts" if self.is_events else "ratings"
        return [
            "users, items = codes(users, parts == TRAIN), codes(items, parts == TRAIN)",
            "num_users, num_items = int(users.max()) + 1, int(items.max()) + 1  # code 0 counts, too",
            "",
            "def part(which: int) -> Part:",
            "    rows = parts == which",
            f"    return Part(users[rows], items[rows], {counts}[rows], num_users, num_items)",
            "",
            "return part(TRAIN), part(VALID)",
        ]


class _Script:
    """One script in the making."""

    def __init__(self, fitted: Fitted, name: str) -> None:
        self.data, self.settings, self.name = fitted.data, fitted.settings, name
        self.lifter = Lifter()
        self.lifter.on_cpu = True
        self.rows = CountWriter(fitted.data, self.lifter, fitted.settings["seed"])
        self.is_events = fitted.data.is_implicit

    def text(self) -> str:
        """All of it, not yet laid out."""
        rows, settings = self.rows, self.settings
        rows.setting("SEED", settings["seed"], "the same seed gives the same bits")
        rows.settings.insert(0, rows.settings.pop())
        rows.write()
        for key, reason in _REASONS.items():
            rows.setting(key.upper(), settings[key], reason)
        threads = settings["num_threads"] or torch.get_num_threads()
        rows.setting("NUM_THREADS", threads, "torch threads; another number may round otherwise")
        called = (als.sides, als.first_vectors, als.half_step, als.objective, als.fill_unknown_)
        uses = {one.__name__: one for one in called}
        rows.written.append(Written(_FIT, "model", uses))
        measured = self._measure()
        uses = {"weights_sha256": store.weights_sha256}
        place = f"a {'Parquet' if rows.reading.is_parquet else 'CSV'} file"
        main = _MAIN.format(measured=measured, what=self._what(), place=place)
        rows.written.append(Written(main, "main", uses))
        for one in (
            *(Import("argparse"), Import("json"), Import("safetensors.torch", "save_file")),
            *(Import("pathlib", "Path"), Import("torch", "Tensor")),
        ):
            self.lifter.add_import(one)
        return put_together(
            self.lifter,
            pieces_of(rows.written, self.lifter),
            rows.settings,
            docstring=self._docstring(),
            sections=SECTIONS,
            section_of=_section_of,
        )

    def _measure(self) -> str:
        """An expression of the metrics."""
        known = lists.known_of(self.data, has_bias=False)
        if known is None:
            return "{}"
        self.lifter.known |= known
        wanted = "pairs_of(valid)"
        if not self.is_events:
            threshold = lists.liked_rows(self.data)[1]
            self.rows.setting("LIKED_FROM", threshold, "the rating from which on an item is liked")
            wanted = "pairs_of(valid)[valid.ratings >= LIKED_FROM]"
        arguments = f"users, items, None, pairs_of(train), {wanted}"
        text = _MEASURE.format(call=lists.call(arguments, self.rows))
        uses = {"measure_lists": lists.measure_lists}
        self.rows.written += [Written(_PAIRS, "lists"), Written(text, "lists", uses)]
        return "measure(users.numpy(), items.numpy(), train, valid)"

    def _what(self) -> str:
        return "events" if self.is_events else "ratings"

    def _docstring(self) -> str:
        columns = self.data.columns
        of = "what happened" if self.is_events else columns.rating
        head = (
            f"Fit vectors of {columns.user} and {columns.item} to {of}, by least squares in turn."
        )
        words = (
            "Written by Drivetrain: the steps of the run, and its weights to the last bit (on the same "
            "kind of machine, with the same versions)."
        )
        command = f"    python {shlex.quote(self.name)} --data DATA --out OUT"
        first, about, turns = (textwrap.wrap(one, WIDTH) for one in (words, _ABOUT, _TURNS))
        paragraphs = ([head], first, [command], about, [f"    {_SUM}"], turns)
        return docstring([line for one in paragraphs for line in (*one, "")])


def _section_of(module: str) -> str:
    if module.startswith("drivetrain.randomness"):
        return "randomness"
    if module in ("drivetrain.collab.ejecting.lists", "drivetrain.collab.shown"):
        return "lists"
    if module == "drivetrain.store":
        return "main"
    return "model" if module == als.__name__ else "data"


_REASONS = {
    "num_factors": "numbers in a vector",
    "regularization": "how strongly vectors are pulled to zero",
    "alpha": "how much more an event counts than none",
    "rounds": "in each, items are solved for, then users",
}

_ABOUT = (
    "Each pair of a user and an item is to be predicted: 1 where something happened, else 0; and where "
    "it happened r times the pair counts 1 + ALPHA r instead of 1. So the vectors p of users and q of "
    "items shall make small the sum over all pairs"
)
_SUM = "(1 + ALPHA r) [(happened - p·q)² + REGULARIZATION (|p|² + |q|²)]."
_TURNS = (
    "While the users' vectors stand still, each item's best one is the answer to linear equations, and "
    "the other way round; neither half-step can make the sum larger."
)

_PART = '''
class Part(NamedTuple):
    """The {what} that train, or those that validate, as columns."""

    users: np.ndarray  # (N,) int32: codes; 0 is one that does not train
    items: np.ndarray  # (N,) int32, likewise
    ratings: np.ndarray  # (N,) float32: {said}
    num_users: int  # the one of code 0 counted, too
    num_items: int
'''

_FIT = '''
def fit(train: Part) -> tuple[Tensor, Tensor]:
    """The vectors of users and items, (U, K) and (I, K); row 0 is for whom training does not know."""
    by_user, by_item = sides(train, ALPHA)
    users = first_vectors(by_user, NUM_FACTORS, SEED)
    for number in range(1, ROUNDS + 1):
        items = half_step(by_item, users, REGULARIZATION)
        users = half_step(by_user, items, REGULARIZATION)
        loss = objective(by_user, by_item, users, items, REGULARIZATION)
        print(f"round {number}  loss {loss:.6g}", flush=True)
    fill_unknown_(by_user, users)
    fill_unknown_(by_item, items)
    return users, items
'''

_PAIRS = '''
def pairs_of(part: Part) -> np.ndarray:
    """(N, 2) int32: user and item."""
    return np.stack([part.users, part.items], axis=1)
'''

_MEASURE = '''
def measure(users: np.ndarray, items: np.ndarray, train: Part, valid: Part) -> dict[str, float]:
    """What lists of the highest products of two vectors are worth."""
    return {call}
'''

_MAIN = '''
def main() -> None:
    """Load, fit, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the {what}, {place}")
    parser.add_argument("--out", type=Path, required=True, help="folder for the vectors")
    arguments = parser.parse_args()
    torch.set_num_threads(NUM_THREADS)
    train, valid = load(arguments.data)
    users, items = fit(train)
    metrics = {measured}
    # the counts are of models of ratings, and stay at zero here
    weights = {{
        "user_factors.weight": users,
        "item_factors.weight": items,
        "user_counts": torch.zeros(len(users), dtype=torch.int64),
        "item_counts": torch.zeros(len(items), dtype=torch.int64),
    }}
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(weights, arguments.out / "model.safetensors")
    print(json.dumps({{"weights_sha256": weights_sha256(weights), "metrics": metrics}}))
'''
