"""What a script of ratings or events does with its rows: repeated ones, the split, the codes.

The functions at the end are what such a script calls. They are shorter than the library's, which take
any ratings in pieces; so before a script is written, what they give is compared with the run.
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from drivetrain.collab.data import CollabData
from drivetrain.collab.ejecting.reading import find_reading
from drivetrain.collab.table.rows import slip_bounds
from drivetrain.data.split_ratings import TEST, TRAIN, VALID
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.seeds import order_seed, split_seed
from drivetrain.eject.settings import Setting
from drivetrain.errors import EjectError
from drivetrain.randomness import permutation

MOST_ROWS = 5000
"""Positions of validation rows that a script lists."""
PLAIN = "drivetrain.collab.ejecting.data"


class RowWriter:
    """Writes the part of a script that is about rows.

    Args:
        data: read from a file.
        lifter: for what the text calls.
        seed: of the training: `SEED` in the script.

    Raises: EjectError: the ratings came from memory, or a short script cannot do what the run did.
    """

    takes_counts = False
    """Whether it matters to the model how often an event happened."""

    def __init__(self, data: CollabData, lifter: Lifter, seed: int) -> None:
        self.data, self.lifter = data, lifter
        self.settings: list[Setting] = []
        self.written: list[Written] = []
        self.method = data.split
        self.is_events = data.is_implicit
        self.seed = order_seed(data.seed, seed, self.setting, self.said_of_seed)
        by_time = self.method in ("time", "last") and data.columns.time is not None
        self.reading = find_reading(data, with_times=by_time, counts_rows=self.method == "given")
        self.range = self._range()
        rows = self.reading.rows
        keeps = data.recipe["duplicates"] == "all" and not self.is_events
        self.repeats = not keeps and _repeats(self._in_range()[1:3])
        if self.repeats and data.columns.time is not None and "time" not in self.reading.roles:
            self.reading = find_reading(data, with_times=True, counts_rows=self.reading.counts_rows)
        self.has_times = "time" in self.reading.roles
        if self.method == "given" and not rows.num_set_aside:
            self.reading.counts_rows = False
        self._compare()

    # --- looking ----------------------------------------------------------------------------------

    def _range(self) -> tuple[float, float] | None:
        """Between which ratings are used; None where all are."""
        if self.is_events:
            return None
        rows, asked = self.reading.rows, self.data.recipe["rating_range"]
        bounds = slip_bounds(rows.ratings) if asked is None else tuple(asked)
        if bounds is None:
            return None
        is_out = (rows.ratings < bounds[0]) | (rows.ratings > bounds[1])
        return bounds if is_out.any() else None

    def _in_range(self) -> tuple[np.ndarray, ...]:
        """Positions, users, items, ratings, times (or zeros) of the rows in range."""
        rows = self.reading.rows
        times = np.zeros(len(rows), np.int64) if rows.times is None else rows.times
        found = (rows.positions, rows.users, rows.items, rows.ratings, times)
        if self.range is None:
            return found
        is_used = (rows.ratings >= self.range[0]) & (rows.ratings <= self.range[1])
        return tuple(one[is_used] for one in found)

    def _compare(self) -> None:
        """Whether the script's own functions come to the rows, parts and codes of the run.

        Raises: EjectError: they do not.
        """
        data, keep = self.data, self.data.recipe["duplicates"]
        positions, users, items, ratings, times = self._in_range()
        if self.repeats and self.is_events:
            kept, counts = count_of_each(users, items, times)
            ratings = np.array(ratings)
            ratings[kept] = counts
        elif self.repeats and keep == "mean":
            kept, ratings = mean_of_each(users, items, ratings, times)
        elif self.repeats:
            kept = one_of_each(users, items, times, keep)
        else:
            kept = np.arange(len(users))
        positions, users, items = positions[kept], users[kept], items[kept]
        ratings, times = ratings[kept], times[kept]
        same = np.array_equal(positions, data.positions)
        parts = self._parts(positions, users, items, times) if same else np.zeros(0)
        table = data.table
        is_train = parts == TRAIN
        if not (
            same
            and np.array_equal(parts, data.parts)
            and np.array_equal(codes(users, is_train), table.users)
            and np.array_equal(codes(items, is_train), table.items)
            and np.array_equal(ratings, table.ratings)
        ):
            raise EjectError(
                f"A script comes to other rows of {Path(data.source).name} than the run did. Train anew, "
                "and eject that."
            )

    def _parts(
        self, positions: np.ndarray, users: np.ndarray, items: np.ndarray, times: np.ndarray
    ) -> np.ndarray:
        """The part of each row, as the script finds it."""
        recipe, method = self.data.recipe, self.method
        if method == "given":
            return np.where(np.isin(positions, recipe["valid"]), VALID, TRAIN)
        valid, test = recipe["valid"], recipe["test"]
        seed = recipe.get("split_seed", recipe["seed"])
        if method == "random":
            return random_parts(len(users), valid, test, seed)
        if method == "time":
            return time_parts(times, valid + test if test else valid, test)
        if method == "last":
            return last_parts(users, times if self.has_times else None, 2 if test else 1)
        return cold_parts(users if method == "cold_users" else items, valid, test, seed)

    # --- what a kind of model is given ---------------------------------------------------------------

    said_of_seed = "of the split, and of the order of batches"
    """What the data's own seed is for, where the training has another."""

    said_of_rating = "the column of what is predicted"

    def part(self) -> Written:
        """The class of the rows that train, or of those that validate."""
        return Written(_PART, "data")

    def ending(self, uses: dict[str, Any]) -> list[str]:
        """Statements of `load` that make the two parts of the columns and of `parts`."""
        del uses
        return [
            "pairs = np.stack([codes(users, parts == TRAIN), codes(items, parts == TRAIN)], axis=1)",
            "",
            "def part(which: int) -> Part:",
            "    rows = parts == which",
            "    return Part(torch.from_numpy(pairs[rows]), torch.from_numpy(ratings[rows]))",
            "",
            "return part(TRAIN), part(VALID)",
        ]

    # --- settings ---------------------------------------------------------------------------------

    def setting(self, name: str, value: Any, reason: str) -> str:
        """A constant of the script; returns its name."""
        self.settings.append(Setting(name, value, reason))
        self.lifter.constants[name] = value
        return name

    def reason(self, choice: str) -> str:
        """Why something was chosen."""
        choices = self.data.choices
        return choices[choice].reason if choice in choices else "as asked"

    # --- writing ----------------------------------------------------------------------------------

    def write(self) -> None:
        """`Part`, `read` and `load`, and the constants that they ask for."""
        self._read()
        self.written.append(self.part())
        self._load()
        for one in (
            *(Import("typing", "NamedTuple"), Import("torch", "Tensor"), Import("torch")),
            *(Import("numpy", "", "np"), Import("pathlib", "Path")),
        ):
            self.lifter.add_import(one)

    def _read(self) -> None:
        reading = self.reading
        what = {
            "user": f"the column of who {'it was' if self.is_events else 'rates'}",
            "item": f"the column of what {'they came to' if self.is_events else 'is rated'}",
            "rating": self.said_of_rating,
            "time": f"the column of when it {'happened' if self.is_events else 'was rated'}",
        }
        constants = {role: role.upper() for role in reading.roles}
        for role, name in reading.roles.items():
            self.setting(constants[role], name, what[role])
        if reading.is_parquet:
            self.lifter.add_import(Import("pyarrow", "parquet"))
            listed = ", ".join(constants.values())
            lines = [f"table = parquet.read_table(path, columns=[{listed}])"]
        else:
            self.lifter.add_import(Import("pyarrow", "csv"))
            self.lifter.add_import(Import("pyarrow", "", "pa"))
            types = ", ".join(f"{constants[r]}: {w.type}" for r, w in reading.ways.items())
            lines = [f"types = {{{types}}}", f"table = csv.read_csv({self._csv_options()})"]
        if reading.counts_rows:
            numbers = "pa.array(np.arange(table.num_rows))"
            lines.append(f'table = table.append_column("row", {numbers})')
            self.lifter.add_import(Import("pyarrow", "", "pa"))
        if reading.drops:
            lines.append("table = table.drop_null()  # a row that lacks one of them is left out")
        values = [w.text.format(f"table[{constants[r]}]") for r, w in reading.ways.items()]
        if reading.counts_rows:
            values.append('table["row"].to_numpy()')
        if reading.drops_infinite:
            at = list(reading.ways).index("rating")
            lines.append(f"columns = ({', '.join(values)})")
            lines.append(f"is_number = np.isfinite(columns[{at}])")
            lines.append("return tuple(column[is_number] for column in columns)")
        else:
            lines.append(f"return {', '.join(values)}")
        uses = {one.__name__: one for way in reading.ways.values() for one in way.uses}
        if any("compute." in way.text for way in reading.ways.values()):
            self.lifter.add_import(Import("pyarrow", "compute"))
        if any("pa." in way.text for way in reading.ways.values()):
            self.lifter.add_import(Import("pyarrow", "", "pa"))
        named = self._names()
        said = f"{', '.join(named[:-1])} and {named[-1]}".capitalize()
        also = ", and where in the file they stand" if reading.counts_rows else ""
        kind = ", ".join(["np.ndarray"] * (len(named) + reading.counts_rows))
        kind = "np.ndarray, ..." if reading.drops_infinite else kind
        text = _READ.format(kind=kind, what=f"{said}, (N,) each{also}", body=_indented(lines))
        self.written.append(Written(text, "data", uses))

    def _csv_options(self) -> str:
        reading, options = self.reading, ["path"]
        for name, values in (("Read", reading.read), ("Parse", reading.parse)):
            if values:
                listed = ", ".join(f"{key}={_option(key, one)}" for key, one in values.items())
                options.append(f"{name.lower()}_options=csv.{name}Options({listed})")
        if "column_names" in reading.read:
            bare = not reading.read.get("skip_rows")
            why = "the file has no header" if bare else "of all columns, in order"
            self.setting("COLUMN_NAMES", tuple(reading.read["column_names"]), why)
        missing = ""
        if reading.missing:
            self.setting("MISSING", reading.missing, "words that mean a value is missing")
            missing = ", null_values=MISSING, strings_can_be_null=True"
        options.append(
            "convert_options=csv.ConvertOptions(column_types=types, include_columns=list(types)"
            f"{missing})"
        )
        return ", ".join(options)

    def _load(self) -> None:
        uses: dict[str, Any] = {
            "codes": codes,
            "TRAIN": "drivetrain.data.split_ratings:TRAIN",
            "VALID": "drivetrain.data.split_ratings:VALID",
        }
        names = self._names()
        if self.reading.counts_rows:
            names.append("rows")
        lines = [f"{', '.join(names)} = read(path)"]
        if self.method == "given" and not self.reading.counts_rows:
            lines.append(f"rows = np.arange(len({names[-1]}))")
            names.append("rows")
        if self.range is not None:
            asked = self.data.recipe["rating_range"] is not None
            why = "other ratings are left out" if asked else "what lies further off is a slip"
            self.setting("RATING_RANGE", tuple(map(float, self.range)), why)
            lines.append("low, high = RATING_RANGE")
            lines.append("is_used = (ratings >= low) & (ratings <= high)")
            lines.append(_taken(names, "is_used"))
        if self.repeats:
            lines += self._once(names, uses)
        if self.takes_counts and self.is_events and not self.repeats:
            lines.append("counts = np.ones(len(users), np.float32)")
        lines += self._split(uses)
        lines += self.ending(uses)
        what = "events" if self.is_events else "ratings"
        text = _LOAD.format(what=what, body=_indented(lines))
        self.written.append(Written(text, "data", uses))

    def _names(self) -> list[str]:
        """The columns that are read."""
        ratings = [] if self.is_events else ["ratings"]
        return ["users", "items", *ratings, *(["times"] if self.has_times else [])]

    def _once(self, names: list[str], uses: dict[str, Any]) -> list[str]:
        """Statements that leave one rating of each user and item."""
        keep = "last" if self.is_events else self.data.recipe["duplicates"]
        times = "times" if self.has_times else "None"
        if self.is_events and self.takes_counts:
            uses["count_of_each"] = count_of_each
            self.lifter.known[f"{PLAIN}:count_of_each"] = {
                "times is None": Known(not self.has_times)
            }
            made = f"kept, counts = count_of_each(users, items, {times})"
            return [f"{made}  # events of one pair are counted", _taken(names, "kept")]
        if keep == "mean":
            uses["mean_of_each"] = mean_of_each
            made = f"kept, ratings = mean_of_each(users, items, ratings, {times})"
        else:
            uses["one_of_each"] = one_of_each
            made = f"kept = one_of_each(users, items, {times}, {keep!r})"
        for function in (one_of_each, mean_of_each):
            known = {"times is None": Known(not self.has_times)}
            if keep != "mean":
                known["keep == 'first'"] = Known(keep == "first")
            self.lifter.known[f"{PLAIN}:{function.__name__}"] = known
        word = {"last": "the last", "first": "the first", "mean": "their mean"}[keep]
        said = f"of several ratings {word} counts"
        if self.is_events:
            said = "what happened several times counts once, and where it was last"
        return [f"{made}  # {said}", _taken(names, "kept")]

    def _split(self, uses: dict[str, Any]) -> list[str]:
        """Statements that make `parts`."""
        recipe, method = self.data.recipe, self.method
        if self.is_events:
            for one in (random_parts, time_parts, last_parts, cold_parts):
                said = inspect.getsource(one).replace("rating", "event")
                self.lifter.instead[f"{PLAIN}:{one.__name__}"] = said
        if method == "given":
            self.setting("VALID_ROWS", self._given(), "positions of the rows that validate, from 0")
            return ["parts = np.where(np.isin(rows, VALID_ROWS), VALID, TRAIN)"]
        test = recipe["test"]
        if method == "last":
            uses["last_parts"] = last_parts
            self.lifter.known[f"{PLAIN}:last_parts"] = {"times is None": Known(not self.has_times)}
            times = "times" if self.has_times else "None"
            return [f"parts = last_parts(users, {times}, {2 if test else 1})"]
        said = _SHARE_OF[method]
        said = said.replace("ratings", "events") if self.is_events else said
        self.setting("VALID_SHARE", recipe["valid"], said)
        if test:
            self.setting("TEST_SHARE", test, "the test stays sealed")
        if method == "time":
            uses["time_parts"] = time_parts
            shares = "VALID_SHARE + TEST_SHARE, TEST_SHARE" if test else "VALID_SHARE, 0.0"
            return [f"parts = time_parts(times, {shares})"]
        shares = "VALID_SHARE, TEST_SHARE" if test else "VALID_SHARE, 0.0"
        if method == "random":
            uses["random_parts"] = random_parts
            many = "users" if self.is_events else "ratings"
            seed = split_seed(recipe, self.seed, self.setting)
            return [f"parts = random_parts(len({many}), {shares}, {seed})"]
        seed = split_seed(recipe, self.seed, self.setting)
        uses["cold_parts"] = cold_parts
        owners = "users" if method == "cold_users" else "items"
        return [f"parts = cold_parts({owners}, {shares}, {seed})"]

    def _given(self) -> Any:
        asked = sorted(set(self.data.recipe["valid"]))
        if asked == list(range(asked[0], asked[-1] + 1)):
            return range(asked[0], asked[-1] + 1)
        if len(asked) > MOST_ROWS:
            raise EjectError(
                f"The {len(asked):,} validation rows were given by their positions, which are too many "
                "to write into a script. Split by time, by user or at random."
            )
        return tuple(asked)


def _repeats(pair: Any) -> bool:
    """Whether a user and an item stand together more than once."""
    users, items = pair
    keys = np.sort(users.astype(np.int64) * (int(items.max(initial=0)) + 1) + items)
    return bool((keys[1:] == keys[:-1]).any())


def _taken(names: list[str], which: str) -> str:
    listed = ", ".join(names)
    return f"{listed} = (column[{which}] for column in ({listed}))"


def _option(key: str, value: Any) -> str:
    if key == "column_names":
        return "COLUMN_NAMES"
    return 'lambda row: "skip"' if key == "invalid_row_handler" else repr(value)


def _indented(lines: list[str]) -> str:
    return textwrap.indent("\n".join(lines), "    ")


# --- what a script calls --------------------------------------------------------------------------


def codes(names: np.ndarray, is_train: np.ndarray) -> np.ndarray:
    """(N,) int32: those that train are counted from 1, in order; 0 stands for all others."""
    known = np.unique(names[is_train])
    return np.where(np.isin(names, known), np.searchsorted(known, names) + 1, 0).astype(np.int32)


def random_parts(count: int, valid: float, test: float, seed: int) -> np.ndarray:
    """(N,) int8, the part of each rating: a share of them validates."""
    order = permutation(count, seed=seed, epoch=0, purpose="split").numpy()
    num_valid = round(valid * count)
    found = np.zeros(count, dtype=np.int8)
    found[order[:num_valid]] = VALID
    if test:
        found[order[num_valid : num_valid + round(test * count)]] = TEST
    return found


def time_parts(times: np.ndarray, held_out: float, test: float) -> np.ndarray:
    """(N,) int8, the part of each rating: the newest validate; those of one moment stay together."""
    _, places, counts = np.unique(times, return_inverse=True, return_counts=True)
    after = len(times) - np.cumsum(counts)  # ratings later than each moment
    found = np.zeros(len(times), dtype=np.int8)
    found[places > np.argmin(np.abs(after - held_out * len(times)))] = VALID
    if test:
        found[places > np.argmin(np.abs(after - test * len(times)))] = TEST
    return found


def last_parts(users: np.ndarray, times: np.ndarray | None, num_held: int) -> np.ndarray:
    """(N,) int8, the part of each rating: a user's newest validates; one always trains."""
    keys = (users,) if times is None else (times, users)
    order = np.lexsort(keys)  # by user, then by time; stable: of equal times the order of the file
    counts = np.unique(users, return_counts=True)[1]
    many = np.repeat(counts, counts)  # ratings of a row's user
    from_end = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(users))  # 0 is the newest
    found = np.zeros(len(users), dtype=np.int8)
    found[order[from_end < np.clip(many - 1, 0, num_held)]] = VALID
    if num_held == 2:
        found[order[from_end < (many > 2)]] = TEST
    return found


def cold_parts(owners: np.ndarray, valid: float, test: float, seed: int) -> np.ndarray:
    """(N,) int8, the part of each rating: a share of the owners validates, with all that is theirs."""
    present, places = np.unique(owners, return_inverse=True)
    order = permutation(len(present), seed=seed, epoch=0, purpose="cold split").numpy()
    num_valid = max(round(valid * len(present)), 1)
    found = np.zeros(len(present), dtype=np.int8)
    found[order[:num_valid]] = VALID
    if test:
        found[order[num_valid : num_valid + max(round(test * len(present)), 1)]] = TEST
    return found[places]


def one_of_each(
    users: np.ndarray, items: np.ndarray, times: np.ndarray | None, keep: str
) -> np.ndarray:
    """A row for each user and item that stand together, (M,): where several do, one of them."""
    keys = (items, users) if times is None else (times, items, users)
    order = np.lexsort(keys)  # stable: of equal ones the order of the file
    is_new = (np.diff(users[order]) != 0) | (np.diff(items[order]) != 0)
    chosen = np.append(True, is_new) if keep == "first" else np.append(is_new, True)
    return np.sort(order[chosen])


def mean_of_each(
    users: np.ndarray, items: np.ndarray, ratings: np.ndarray, times: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """A row for each user and item that stand together, (M,); and the ratings, theirs the mean."""
    keys = (items, users) if times is None else (times, items, users)
    order = np.lexsort(keys)
    is_new = (np.diff(users[order]) != 0) | (np.diff(items[order]) != 0)
    group = np.append(0, np.cumsum(is_new))
    last = order[np.append(is_new, True)]
    means = np.array(ratings)
    means[last] = np.bincount(group, weights=ratings[order]) / np.bincount(group)
    return np.sort(last), means


def count_of_each(
    users: np.ndarray, items: np.ndarray, times: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """A row for each user and item that stand together, (M,), the last; and how often they do."""
    keys = (items, users) if times is None else (times, items, users)
    order = np.lexsort(keys)
    is_new = (np.diff(users[order]) != 0) | (np.diff(items[order]) != 0)
    last = order[np.append(is_new, True)]
    counts = np.bincount(np.append(0, np.cumsum(is_new)))
    in_file = np.argsort(last)
    return last[in_file], counts[in_file].astype(np.float32)


_SHARE_OF = {
    "random": "of the ratings, drawn at random, that validate",
    "time": "of the ratings, the newest, that validate",
    "cold_users": "of the users, all of whose ratings validate",
    "cold_items": "of the items, all of whose ratings validate",
}

_PART = '''
class Part(NamedTuple):
    """The ratings that train, or those that validate."""

    pairs: Tensor  # (N, 2) int32: the codes of user and item; 0 is one that does not train
    ratings: Tensor  # (N,) float32
'''

_READ = '''
def read(path: Path) -> tuple[{kind}]:
    """{what}."""
{body}
'''

_LOAD = '''
def load(path: Path) -> tuple[Part, Part]:
    """Read and split the {what}; users and items have the codes that training gives them."""
{body}
'''
