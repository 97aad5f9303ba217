"""`predict.py` of a bundle of tables: what the bundle answers, as a plain script without Drivetrain.

It is made as the script of a run is (`drivetrain.eject`): of the library's own source (how cells are
read, columns prepared, trees walked, rows judged), with what is known of this bundle put in. Names of
columns, levels and labels are read from `bundle.json`: nothing of a table becomes code.
"""

from __future__ import annotations

import textwrap
from typing import Any

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.calibration import calibrated
from drivetrain.bundle.conformal import strangeness
from drivetrain.bundle.domain import domain_score
from drivetrain.bundle.manifest import Manifest
from drivetrain.data.frame import Factor
from drivetrain.eject.inline import Setting
from drivetrain.eject.known import Known
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Import, Lifter
from drivetrain.eject.parts import Written
from drivetrain.eject.text import docstring
from drivetrain.models.tabular import TabularNet
from drivetrain.tabular import preprocess
from drivetrain.tabular.bundling.guard import TINY
from drivetrain.tabular.bundling.guard_rows import places_of, strange_columns, strange_in_row
from drivetrain.tabular.bundling.predictor import TablePredictor
from drivetrain.tabular.columns import date_text, dates, number_text
from drivetrain.tabular.columns.number_text import parse_numbers
from drivetrain.tabular.columns.parsing import same_words
from drivetrain.tabular.estimators import (
    NET_BATCH,
    AverageEstimator,
    Estimator,
    LinearEstimator,
    NetEstimator,
    TreeEstimator,
    softmax,
)
from drivetrain.trees.ensemble import TreeEnsemble

SECTIONS = (
    ("settings", "Settings"),
    ("open", "From a file to columns"),
    ("prepare", "From columns to what the model sees"),
    ("model", "Model"),
    ("guard", "Guard: how sure an answer is, and whether a row is of a known kind"),
    ("main", "Answers"),
)

_SECTION_OF = {
    "tabular.preprocess": "prepare",
    "tabular.columns.dates": "prepare",
    "data.frame": "open",
    "tabular.bundling.guard_rows": "guard",
    "tabular.estimators": "model",
    "tabular": "open",
    "trees": "model",
    "models": "model",
    "bundle": "guard",
}
_CHUNK = 1_024
"""Rows that are judged at once, as `Domain.score` does."""


def predictor_source(predictor: TablePredictor, manifest: Manifest) -> str:
    """The source of `predict.py`.

    Args:
        predictor: of the bundle, with its guard.
        manifest: of the bundle; it need not know its files yet.
    Raises: MissingPackageError: ruff, which lays it out, is not installed. EjectError: something of it
        has no plain form; that is our bug.
    """
    return _Writer(predictor, manifest).source(ruff_path())


class _Writer:
    def __init__(self, predictor: TablePredictor, manifest: Manifest) -> None:
        self.predictor, self.manifest = predictor, manifest
        self.target, self.guard = predictor.target, predictor.guard
        self.preprocess, self.reader = predictor.preprocess, predictor.reader
        self.leaves = _leaves(predictor.estimator)
        self.kinds = {leaf.kind for leaf in self.leaves}
        self.has_torch = "net" in self.kinds or self.guard is not None
        self.lifter = Lifter()
        self.lifter.on_cpu = True

    def source(self, ruff: str) -> str:
        """Everything of it."""
        lifter, settings = self.lifter, self._settings()
        lifter.constants |= {one.name: one.value for one in settings}
        self._known()
        written = [
            Written(_HERE, "settings"),
            *self._opening(),
            *self._preparing(),
            *self._model(),
            *self._judging(),
            *self._answering(),
        ]
        pieces = pieces_of(written, lifter)
        for one in _IMPORTS:
            lifter.add_import(one)
        text = put_together(
            lifter,
            pieces,
            settings,
            docstring=self._docstring(),
            sections=SECTIONS,
            section_of=_section_of,
            ending="sys.exit(main())",
        )
        return laid_out(text, ruff)

    def _settings(self) -> list[Setting]:
        found = []
        if self.has_torch and self.predictor.num_threads is not None:
            why = "torch threads; another number may round otherwise"
            found.append(Setting("NUM_THREADS", self.predictor.num_threads, why))
        if "net" in self.kinds:
            found.append(Setting("NET_BATCH", NET_BATCH, "rows at once; likewise"))
        if self.guard is not None:
            found.append(Setting("CHUNK", _CHUNK, "rows that are judged at once; likewise"))
            if self.target.kind == "class":
                found.append(Setting("TINY", TINY, "in place of a probability of 0"))
        return found

    def _known(self) -> None:
        """What is the same for all columns, or all trees, of this bundle."""
        # made by two statements there, and a script takes one along
        self.lifter.instead["drivetrain.tabular.columns.date_text:_CODES"] = (
            f"_CODES = {date_text._CODES!r}"
        )
        trees = [leaf.ensemble for leaf in self.leaves if isinstance(leaf, TreeEstimator)]
        if trees:
            of = "drivetrain.trees.ensemble:TreeEnsemble"
            self.lifter.known[of] = {
                f"self.{name}": Known(values.pop())
                for name in ("combine", "link", "num_classes", "exponential")
                if len(values := {getattr(one, name) for one in trees}) == 1
            }
            if not any((one.category >= 0).any() for one in trees):
                self.lifter.known["drivetrain.trees.walk:Walker"] = {"self.has_sets": Known(False)}
        if "net" in self.kinds:
            has_codes, has_numbers = (
                bool(self.preprocess.level_counts),
                bool(self.preprocess.numbers),
            )
            self.lifter.known["drivetrain.models.tabular:TabularNet"] = {
                "self.has_numbers": Known(has_numbers),
                **({} if has_codes else {"len(self.embeddings)": Known(0)}),
            }

    # --- reading ----------------------------------------------------------------------------------

    def _opening(self) -> list[Written]:
        used = [self.reader.schema[name] for name in self.reader.features]
        kinds = {column.kind for column in used}
        numbers = {column.number_format for column in used if column.kind == "number"}
        codes = {column.number_format for column in used if column.kind == "category"}
        found, branches = [Written(_COLUMNS, "settings")], []
        if numbers == {None}:
            found.append(Written(_PLAIN_NUMBERS, "open", {"plain": number_text._plain}))
        elif numbers:
            found.append(Written(_ANY_NUMBERS, "open", {"parse_numbers": parse_numbers}))
        if "date" in kinds:
            found.append(Written(_DATES, "settings"))
            found.append(Written(_READ_DATES, "open", {"parse_dates": date_text.parse_dates}))
        if codes == {None}:
            found.append(Written(_PLAIN_WORDS, "open", {"Factor": Factor}))
        elif codes:
            uses = {"Factor": Factor, "same_words": same_words}
            found.append(Written(_ANY_WORDS, "open", uses))
        for kind, line in (
            ("number", "columns[column.name] = numbers_of(column, cells)"),
            ("category", "columns[column.name] = words_of(column, cells)"),
            (
                "date",
                "columns |= parts_of(column.name, dates_of(column, cells), DATES[column.name])",
            ),
        ):
            if kind in kinds:
                word = "elif" if branches else "if"
                branches += [f"{word} column.kind == {kind!r}:", f"    {line}"]
        if len(kinds) == 1:
            branches = [branches[1].strip()]
        uses = {"parts_of": dates._parts} if "date" in kinds else {}
        body = textwrap.indent("\n".join(branches), "        ")
        return [
            *found,
            Written(_READ_CSV, "open"),
            Written(_READ.format(branches=body), "open", uses),
        ]

    # --- preparing --------------------------------------------------------------------------------

    def _preparing(self) -> list[Written]:
        known, uses = self.preprocess, dict[str, Any]()
        lists = []
        if known.categories:
            uses["CategoryColumn"] = preprocess.CategoryColumn
            lists.append(_CATEGORIES)
        if known.numbers:
            uses["NumberColumn"] = preprocess.NumberColumn
            lists.append(_NUMBERS)
        found = [Written("\n".join(lists), "prepare", uses)]
        codes = "codes_of(columns)" if known.categories else ""
        if known.categories:
            found.append(self._codes())
        flags = any(column.has_flag for column in known.numbers)
        if flags:
            found.append(Written(_FLAGS, "prepare"))
        marks = "*flags_of(columns)" if flags else ""
        plain = "*[filled(columns[one.name], one.fill) for one in NUMBERS]" if known.numbers else ""
        scaled = "*[standardised(columns[one.name], one) for one in NUMBERS]"
        if "trees" in self.kinds:
            parts = [f"*{codes}" if codes else "", plain, marks]
            found.append(Written(_DESIGN.format(parts=_listed(parts)), "prepare", _of("filled")))
        if "net" in self.kinds:
            parts = [scaled if known.numbers else "", marks]
            body = _NET_BOTH if codes and known.numbers else _NET_CODES if codes else _NET_NUMBERS
            text = body.format(codes=codes, parts=_listed(parts))
            found.append(Written(text, "prepare", _of("standardised") if known.numbers else {}))
        if "linear" in self.kinds:
            scale = "standardised" if known.scale == "standard" else "by_largest"
            text = _LINEAR.format(
                scaled=f"    parts = [{scaled.replace('standardised', scale)}]"
                if known.numbers
                else "    parts = []",
                flags="\n    parts += flags_of(columns)" if flags else "",
                dummies=_DUMMIES.format(codes=codes) if codes else "",
            )
            names = [*([scale] if known.numbers else []), *(["level_dummies"] if codes else [])]
            found.append(Written(text, "prepare", _of(*names)))
        return found

    def _codes(self) -> Written:
        how = "mode_codes" if self.preprocess.unseen == "mode" else "level_codes"
        given = "one" if how == "mode_codes" else "one.levels"
        check, uses = "", _of(how)
        if self.preprocess.unseen == "error":
            check, uses = _REFUSE_UNSEEN, _of(how, "unseen_rows")
        return Written(_CODES.format(check=check, how=how, given=given), "prepare", uses)

    # --- the model --------------------------------------------------------------------------------

    def _model(self) -> list[Written]:
        estimator = self.predictor.estimator
        found = []
        if "trees" in self.kinds:
            found.append(Written(_LOAD_TREES, "model", {"TreeEnsemble": TreeEnsemble}))
        if "net" in self.kinds:
            found.append(Written(_LOAD_NET, "model", {"TabularNet": TabularNet}))
            both = [*(["codes"] if self.preprocess.categories else [])]
            both += ["numbers"] if self.preprocess.num_net_numbers else []
            batch = {name: f"{name}[start : start + NET_BATCH]" for name in both}
            text = _ASK_NET.format(
                unpacked=", ".join(both) + ("," if len(both) == 1 else ""),
                codes=batch.get("codes", "torch.zeros(0, 0, dtype=torch.int64)"),
                numbers=batch.get("numbers", "torch.zeros(0, 0)"),
                first=both[0],
                answers="scores.softmax(dim=1)" if self.target.kind == "class" else "scores",
            )
            found.append(Written(text, "model"))
        if "linear" in self.kinds:
            is_class = self.target.kind == "class"
            ending = "softmax(scores)" if is_class else "scores"
            if not is_class and self.target.num_outputs == 1:
                ending = "scores[:, 0]"
            text = _ASK_LINEAR.format(ending=ending)
            found.append(Written(text, "model", {"softmax": softmax} if is_class else {}))
        loads: dict[str, str] = {}
        self._loads(estimator, "", 'DESCRIPTION["architecture"]["record"]', loads)
        listed = "\n".join(f"        {key!r}: {text}," for key, text in loads.items())
        found.append(Written(_LOAD_MODEL.format(parts=listed), "model"))
        inputs = {
            "trees": "design = design_of(columns)",
            "linear": "linear = linear_of(columns)",
            "net": "inputs = net_inputs_of(columns)",
        }
        lines = [line for kind, line in inputs.items() if kind in self.kinds]
        lines.append(f"return {self._asked(estimator, '')}")
        found.append(Written(_ASK.format(body=textwrap.indent("\n".join(lines), "    ")), "model"))
        if self.guard is not None and self.guard.spread_floor is not None:
            found.append(Written(self._spread(estimator), "model"))
        return found

    def _loads(self, one: Estimator, prefix: str, record: str, into: dict[str, str]) -> None:
        """Expressions that load the parts of an estimator, by their names in the model."""
        name = prefix.rstrip(".") or "model"
        if isinstance(one, AverageEstimator):
            into[f"{prefix}weights"] = f'tensors["{prefix}weights"].tolist()'
            for place, member in enumerate(one.members):
                inner = f'{record}["members"][{place}]["record"]'
                self._loads(member, f"{prefix}member{place}.", inner, into)
        elif isinstance(one, TreeEstimator):
            into[name] = f'load_trees(tensors, "{prefix}", {record})'
        elif isinstance(one, NetEstimator):
            into[name] = f'load_net(tensors, "{prefix}", {record}["net"])'
        else:
            into[name] = f'(tensors["{prefix}weights"], tensors["{prefix}bias"])'

    def _asked(self, one: Estimator, prefix: str) -> str:
        """What an estimator answers, an expression."""
        name = prefix.rstrip(".") or "model"
        if isinstance(one, AverageEstimator):
            parts = [
                f'model["{prefix}weights"][{place}] * {self._asked(member, f"{prefix}member{place}.")}'
                for place, member in enumerate(one.members)
            ]
            return f"({' + '.join(parts)})"
        if isinstance(one, TreeEstimator):
            return f'model["{name}"].predict(design)'
        if isinstance(one, NetEstimator):
            return f'ask_net(model["{name}"], inputs)'
        assert isinstance(one, LinearEstimator), "there are four kinds"
        return f'ask_linear(linear, *model["{name}"])'

    def _spread(self, estimator: Estimator) -> str:
        if isinstance(estimator, TreeEstimator):
            return _SPREAD_OF_TREES
        assert isinstance(estimator, AverageEstimator), "others have one voice"
        asked = [self._asked(m, f"member{place}.") for place, m in enumerate(estimator.members)]
        inputs = {
            "trees": "design = design_of(columns)",
            "linear": "linear = linear_of(columns)",
            "net": "inputs = net_inputs_of(columns)",
        }
        lines = [line for kind, line in inputs.items() if kind in self.kinds]
        return _SPREAD_OF_AVERAGE.format(
            inputs=textwrap.indent("\n".join(lines), "    "), asked=", ".join(asked)
        )

    # --- the guard, and the answers ---------------------------------------------------------------

    def _judging(self) -> list[Written]:
        guard = self.guard
        if guard is None:
            return []
        known = self.preprocess
        lists = (
            f"{'CATEGORIES' if known.categories else '()'}, {'NUMBERS' if known.numbers else '()'}"
        )
        uses: dict[str, Any] = {"places_of": places_of, "domain_score": domain_score}
        return [
            Written(_GUARD, "guard"),
            Written(_DOMAIN.format(lists=lists), "guard", uses),
        ]

    def _answering(self) -> list[Written]:
        guard, is_class = self.guard, self.target.kind == "class"
        uses: dict[str, Any] = {}
        lines = ["found = ask(columns, model)  # what the model says"]
        if not is_class and self.target.is_log:
            lines[-1] = "found = ask(columns, model)  # log(1 + y), as it was learnt"
        lines.append(_CHECK)
        each: list[str] = []
        ending = ""
        if guard is not None:
            uses |= {"strange_columns": strange_columns, "strange_in_row": strange_in_row}
            lines.append("strange = domain_scores(columns, known, guard)")
            lists = self._lists()
            lines.append(f"new = strange_columns(columns, {lists}, CALLED)")
            is_known = 'score <= guard["domain"]["threshold"]' if guard.domain.is_enough else "True"
            ending = _DOMAIN_OF_ROW.format(is_known=is_known)
        if is_class:
            if guard is None:
                each.append(_CLASS)
            else:
                uses |= {"calibrated": calibrated, "strangeness": strangeness}
                enough = guard.prediction_sets is not None and guard.prediction_sets.is_enough
                lines.append(_CALIBRATED.format(sets=_SETS if enough else _ALL_CLASSES))
                each.append(_CLASS_GUARDED.format(domain=ending))
        else:
            shown = "np.expm1({})" if self.target.is_log else "{}"
            lines.append(f"numbers = {shown.format('found')}.tolist()")
            if guard is None:
                each.append(_NUMBER)
            else:
                is_bounded = all(one.half_width < float("inf") for one in guard.intervals)
                if is_bounded:
                    half = "np.array([one['half_width'] for one in guard['intervals']])"
                    lines.append(f"reach = np.broadcast_to({half}, found.shape)")
                    if guard.spread_floor is not None:
                        lines.append(
                            'reach = reach * (spread_of(columns, model) + guard["spread_floor"])'
                        )
                    low, high = (shown.format(f"found {sign} reach") for sign in "-+")
                    lines.append(f"intervals = np.stack([{low}, {high}], axis=-1).tolist()")
                interval = "intervals[place]" if is_bounded else "None"
                each.append(_NUMBER_GUARDED.format(interval=interval, domain=ending))
        given = ", model, guard, known" if guard is not None else ", model"
        parameters = ", model: dict[str, Any]"
        if guard is not None:
            parameters += ", guard: dict[str, Any], known: list[Tensor]"
        text = _PREDICT.format(
            parameters=parameters,
            body=textwrap.indent("\n".join(lines), "    "),
            each=textwrap.indent("\n".join(each).strip("\n"), "        "),
        )
        load = ["torch.set_num_threads(NUM_THREADS)"] if self.has_torch else []
        load.append("model = load_model()")
        if guard is not None:
            load.append("guard, known = load_guard()")
        main = _MAIN.format(load=textwrap.indent("\n".join(load), "    "), given=given)
        called = [Written(self._called(), "guard")] if guard is not None else []
        return [
            *called,
            Written(text, "main", uses),
            Written(self._line(), "main"),
            Written(main, "main"),
        ]

    def _lists(self) -> str:
        known = self.preprocess
        return (
            f"{'CATEGORIES' if known.categories else '()'}, {'NUMBERS' if known.numbers else '()'}"
        )

    def _called(self) -> str:
        """What the table calls each column of numbers; of the parts of a date one alone stands for it."""
        if not self.preprocess.numbers:
            return "CALLED: dict[str, str] = {}\n"
        if self.reader.dates:
            return _CALLED_WITH_DATES
        return "CALLED = {one.name: one.name for one in NUMBERS}\n"

    def _line(self) -> str:
        guard = self.guard
        if self.target.kind == "class":
            return _LINE_CLASS if guard is None else _LINE_CLASS_GUARDED
        return _LINE_NUMBER if guard is None else _LINE_NUMBER_GUARDED

    def _docstring(self) -> str:
        target, classes = self.target, self.target.classes
        if target.kind == "class":
            what = f"which of {len(classes)} classes the rows of a table are of"
        else:
            what = "the number" + ("s" if len(target.names) > 1 else "") + " of the rows of a table"
        text = [*textwrap.wrap(f"Predict {what}.", WIDTH), ""]
        beside = ["bundle.json", manifests.WEIGHTS]
        beside += [] if self.guard is None else [manifests.GUARD, manifests.GUARD_TENSORS]
        text += textwrap.wrap(
            "Written by Drivetrain, which it does not need. It answers as `drivetrain predict` does, to "
            "the last bit on the same machine and versions, and calculates on the CPU. What the model "
            f"has learnt lies beside it: {', '.join(beside[:-1])} and {beside[-1]}. A CSV file is "
            "UTF-8, and its first row names the columns.",
            WIDTH,
        )
        text += ["", "    python predict.py TABLE... [--json]"]
        return docstring(text)


def _leaves(estimator: Estimator) -> list[Estimator]:
    if isinstance(estimator, AverageEstimator):
        return [leaf for member in estimator.members for leaf in _leaves(member)]
    return [estimator]


def _section_of(module: str) -> str:
    name = module.partition(".")[2]
    while name:
        if name in _SECTION_OF:
            return _SECTION_OF[name]
        name = name.rpartition(".")[0]
    return "open"


def _of(*names: str) -> dict[str, Any]:
    return {name: getattr(preprocess, name) for name in names}


def _listed(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)


_IMPORTS = (
    *(Import(name) for name in ("argparse", "csv", "json", "sys", "torch")),
    Import("numpy", "", "np"),
    Import("pyarrow", "", "pa"),
    Import("pyarrow", "parquet"),
    Import("dataclasses", "fields"),
    Import("pyarrow", "compute"),
    Import("pathlib", "Path"),
    Import("safetensors.numpy", "load_file"),
    Import("torch", "Tensor"),
    Import("typing", "Any"),
    Import("typing", "NamedTuple"),
)
"""What the texts below use; those that are not used are left out."""

_HERE = """
HERE = Path(__file__).parent
DESCRIPTION = json.loads((HERE / "bundle.json").read_text("utf-8"))
READER = DESCRIPTION["preprocessing"]["reader"]
PREPROCESS = DESCRIPTION["preprocessing"]["preprocess"]
CLASSES = DESCRIPTION["classes"]
"""

_COLUMNS = '''
class Column(NamedTuple):
    """A column that the model needs, and how its cells are written."""

    name: str
    kind: str
    date_format: str | None
    number_format: str | None


COLUMNS = [
    Column(one["name"], one["kind"], one["date_format"], one["number_format"])
    for one in READER["schema"]["columns"]
    if one["name"] in READER["features"]
]
COLUMNS.sort(key=lambda one: READER["features"].index(one.name))
MISSING = sorted({"", *(word.strip() for word in READER["missing"])})
'''
_DATES = """
DATES = READER["dates"]  # and whether they tell the time of day
"""

_PLAIN_NUMBERS = '''
def numbers_of(column: Column, cells: pa.Array) -> np.ndarray:
    """(N,) float64, NaN where there is no number."""
    if pa.types.is_string(cells.type):
        words = cells.dictionary_encode()
        numbers, is_number = plain(compute.replace_substring_regex(words.dictionary, "^[−–]", "-"))
        note_unread(column, words.dictionary, ~is_number)
        numbers = np.append(numbers, np.nan)[words.indices.fill_null(-1).to_numpy()]
    else:
        kind = pa.uint8() if pa.types.is_boolean(cells.type) else pa.float64()
        numbers = cells.cast(kind).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.isinf(numbers), np.nan, numbers)
'''
_ANY_NUMBERS = '''
def numbers_of(column: Column, cells: pa.Array) -> np.ndarray:
    """(N,) float64, NaN where there is no number."""
    if pa.types.is_string(cells.type):
        words = cells.dictionary_encode()
        numbers, is_number = parse_numbers(words.dictionary, column.number_format)
        if column.number_format is not None and not is_number.all():
            others, are_numbers = parse_numbers(words.dictionary, None)
            if are_numbers.all():  # this table holds the same numbers written plainly
                numbers, is_number = others, are_numbers
        note_unread(column, words.dictionary, ~is_number)
        numbers = np.append(numbers, np.nan)[words.indices.fill_null(-1).to_numpy()]
    else:
        kind = pa.uint8() if pa.types.is_boolean(cells.type) else pa.float64()
        numbers = cells.cast(kind).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.isinf(numbers), np.nan, numbers)
'''

_READ_DATES = '''
def dates_of(column: Column, cells: pa.Array) -> np.ndarray:
    """(N,) datetime64, NaT where there is no date."""
    if not pa.types.is_string(cells.type):
        return cells.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    words = cells.dictionary_encode()
    dates = parse_dates(words.dictionary, column.date_format or "%Y-%m-%d").values
    if np.isnat(dates).any():  # this form is the same everywhere
        iso = parse_dates(words.dictionary, "%Y-%m-%d").values
        dates = np.where(np.isnat(dates), iso, dates)
    note_unread(column, words.dictionary, np.isnat(dates))
    return np.append(dates, np.datetime64("NaT"))[words.indices.fill_null(-1).to_numpy()]
'''

_AS_WORDS = '''
def words_of(column: Column, cells: pa.Array) -> Factor:
    """Words as codes into their levels, -1 where there is none."""
    if pa.types.is_floating(cells.type):
        numbers = [None if x is None or x != x else x for x in cells.to_pylist()]
        shown = [str(int(x)) if x is not None and x.is_integer() else repr(x) for x in numbers]
        pairs = zip(numbers, shown, strict=True)
        cells = pa.array([None if x is None else word for x, word in pairs], pa.string())
    words = {words}.dictionary_encode()
    return Factor(words.indices.fill_null(-1).to_numpy(), tuple(words.dictionary.to_pylist()))
'''
_PLAIN_WORDS = _AS_WORDS.format(words="cells.cast(pa.string())")
_ANY_WORDS = _AS_WORDS.format(words="same_words(cells.cast(pa.string()), column.number_format)")

_READ_CSV = '''
def header(records: Any) -> list[str]:
    """The columns' names, from the first row."""
    return [" ".join(name.split()) for name in next(records, [])]


def read_csv(path: str) -> tuple[pa.Table, list[int]]:
    """The columns that the model needs, as words, and which rows they are of."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        gone: dict[str, list[str]] = {}
        for delimiter in ",\t;|":
            file.seek(0)
            names = header(csv.reader(file, delimiter=delimiter))
            gone[delimiter] = [column.name for column in COLUMNS if column.name not in names]
        delimiter = min(gone, key=lambda one: len(gone[one]))
        if gone[delimiter]:
            raise ValueError(f"the first row does not name the columns {gone[delimiter]}")
        file.seek(0)
        records = csv.reader(file, delimiter=delimiter)
        names = header(records)
        rows, numbers = [], []
        for number, row in enumerate(row for row in records if row):
            if len(row) == len(names):
                rows.append(row)
                numbers.append(number)
            else:
                says = f"row {number + 1} has {len(row)} fields, and the header {len(names)}"
                print(f"{path}: {says}: left out", file=sys.stderr)
    places = {column.name: names.index(column.name) for column in COLUMNS}
    cells = {name: pa.array([row[at] for row in rows], pa.string()) for name, at in places.items()}
    return pa.table(cells), numbers


def read_parquet(path: str) -> tuple[pa.Table, list[int]]:
    """The columns that the model needs, and which rows they are of."""
    with parquet.ParquetFile(path) as file:
        gone = [column.name for column in COLUMNS if column.name not in file.schema_arrow.names]
        if gone:
            raise ValueError(f"the table lacks the columns {gone}")
        table = file.read(columns=[column.name for column in COLUMNS])
    return table, list(range(table.num_rows))
'''

_READ = '''
def note_unread(column: Column, words: pa.Array, is_bad: np.ndarray) -> None:
    """Say which words are no numbers, or no dates: they count as missing."""
    if is_bad.any():
        one = words[int(np.flatnonzero(is_bad)[0])].as_py()
        says = f"{{column.name}}: {{one!r}} is no {{column.kind}} and counts as missing"
        print(says, file=sys.stderr)


def read(path: str) -> tuple[dict[str, Any], list[int]]:
    """The model's columns of a CSV or Parquet file, and which rows they are of."""
    with open(path, "rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    table, numbers = read_parquet(path) if is_parquet else read_csv(path)
    columns: dict[str, Any] = {{}}
    for column in COLUMNS:
        cells = table[column.name].combine_chunks()
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if pa.types.is_large_string(cells.type) or pa.types.is_null(cells.type):
            cells = cells.cast(pa.string())
        if pa.types.is_string(cells.type):
            cells = compute.utf8_trim_whitespace(cells)
            cells = compute.if_else(compute.is_in(cells, pa.array(MISSING)), None, cells)
{branches}
    return columns, numbers
'''

_CATEGORIES = """
CATEGORIES = [
    CategoryColumn(**{field.name: one[field.name] for field in fields(CategoryColumn)})
    for one in PREPROCESS["categories"]
]
"""
_NUMBERS = """
NUMBERS = [
    NumberColumn(**{field.name: one[field.name] for field in fields(NumberColumn)})
    for one in PREPROCESS["numbers"]
]
"""

_CODES = '''
def codes_of(columns: dict[str, Any]) -> list[np.ndarray]:
    """Which of its levels each category has, (N,) int64 each."""
{check}    return [{how}(columns[one.name], {given}) for one in CATEGORIES]
'''
_REFUSE_UNSEEN = """    for one in CATEGORIES:
        if unseen_rows(columns[one.name], one).any():
            raise ValueError(f"the column {one.name!r} has a level that training never saw")
"""

_FLAGS = '''
def flags_of(columns: dict[str, Any]) -> list[np.ndarray]:
    """Which numbers are missing, (N,) bool, of columns that had missing ones in training."""
    return [np.isnan(columns[one.name]) for one in NUMBERS if one.has_flag]
'''

_DESIGN = '''
def design_of(columns: dict[str, Any]) -> np.ndarray:
    """What trees see, (N, K) float64."""
    return np.stack([{parts}], axis=1).astype(np.float64)
'''

_NET_BOTH = '''
def net_inputs_of(columns: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """What the net sees: codes (N, C) int64 and numbers (N, D) float32."""
    numbers = np.stack([{parts}], axis=1).astype(np.float32)
    return torch.from_numpy(np.stack({codes}, axis=1)), torch.from_numpy(numbers)
'''
_NET_CODES = '''
def net_inputs_of(columns: dict[str, Any]) -> tuple[Tensor]:
    """What the net sees: codes (N, C) int64."""
    return (torch.from_numpy(np.stack({codes}, axis=1)),)
'''
_NET_NUMBERS = '''
def net_inputs_of(columns: dict[str, Any]) -> tuple[Tensor]:
    """What the net sees: numbers (N, D) float32."""
    numbers = np.stack([{parts}], axis=1).astype(np.float32)
    return (torch.from_numpy(numbers),)
'''

_LINEAR = '''
def linear_of(columns: dict[str, Any]) -> np.ndarray:
    """What the linear model sees, (N, L) float64."""
{scaled}{flags}
    wide = [values[:, None] for values in parts]
{dummies}    return np.concatenate(wide, axis=1, dtype=np.float64)
'''
_DUMMIES = """    for one, codes in zip(CATEGORIES, {codes}, strict=True):
        wide.append(level_dummies(codes, len(one.levels)))
"""

_LOAD_TREES = '''
def load_trees(tensors: dict[str, np.ndarray], prefix: str, record: dict[str, Any]) -> TreeEnsemble:
    """Trees from their arrays."""
    own = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
    return TreeEnsemble(**{one.name: (own | record)[one.name] for one in fields(TreeEnsemble)})
'''

_LOAD_NET = '''
def load_net(tensors: dict[str, np.ndarray], prefix: str, record: dict[str, Any]) -> TabularNet:
    """The net with its weights."""
    net = TabularNet(**record)
    net.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(values)
            for name, values in tensors.items()
            if name.startswith(prefix)
        }
    )
    return net.eval()
'''

_ASK_NET = '''
def ask_net(net: TabularNet, inputs: tuple[Tensor, ...]) -> np.ndarray:
    """What the net answers, float64."""
    {unpacked} = inputs
    with torch.inference_mode():
        parts = [
            net({codes}, {numbers}).to(torch.float64)
            for start in range(0, len({first}), NET_BATCH)
        ]
    scores = torch.cat(parts)
    return ({answers}).numpy()
'''

_ASK_LINEAR = '''
def ask_linear(linear: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """What the linear model answers."""
    scores = linear @ weights + bias
    return {ending}
'''

_LOAD_MODEL = '''
def load_model() -> dict[str, Any]:
    """The trained model."""
    tensors = load_file(HERE / "model.safetensors")
    return {{
{parts}
    }}
'''

_ASK = '''
def ask(columns: dict[str, Any], model: dict[str, Any]) -> np.ndarray:
    """What the model says of rows: numbers, or the probability of each class."""
{body}
'''

_SPREAD_OF_TREES = '''
def spread_of(columns: dict[str, Any], model: dict[str, Any]) -> np.ndarray:
    """How far the trees differ, (N,)."""
    return model["model"].spread(design_of(columns))[:, 0]
'''
_SPREAD_OF_AVERAGE = '''
def spread_of(columns: dict[str, Any], model: dict[str, Any]) -> np.ndarray:
    """How far the models differ that the average is of, (N,)."""
{inputs}
    answers, weights = np.stack([{asked}]), np.array(model["weights"])
    mean = np.tensordot(weights, answers, axes=1)
    return np.sqrt(np.tensordot(weights, (answers - mean) ** 2, axes=1))
'''

_GUARD = '''
def load_guard() -> tuple[dict[str, Any], list[Tensor]]:
    """What was fitted on validation rows, and where known rows lie."""
    tensors = load_file(HERE / "guard.safetensors")
    known = [
        torch.from_numpy(tensors[f"domain.{name}"]).double()
        for name in ("basis", "whitening", "references")
    ]
    return json.loads((HERE / "guard.json").read_text("utf-8")), known
'''

_DOMAIN = '''
def domain_scores(columns: dict[str, Any], known: list[Tensor], guard: dict[str, Any]) -> list[float]:
    """How far each row lies from those known."""
    places = torch.from_numpy(places_of(columns, {lists}))
    bounds = guard["domain"]["bounds"]
    return torch.cat([domain_score(rows, *known, bounds) for rows in places.split(CHUNK)]).tolist()
'''

_CALLED_WITH_DATES = """
PARTS = tuple(f"{name}." for name in DATES)
CALLED = {one.name: one.name for one in NUMBERS if not one.name.startswith(PARTS)}
CALLED |= {f"{name}.elapsed": name for name in DATES}
"""

_CHECK = """if not np.isfinite(found).all():
    raise ValueError("an answer is NaN or infinite: look at the table's numbers")"""

_SETS = 'strangeness(probs) <= guard["sets"]["threshold"]'
_ALL_CLASSES = "torch.ones_like(probs, dtype=torch.bool)  # too few rows to leave a class out"
_CALIBRATED = """scores = torch.from_numpy(np.log(np.maximum(found, TINY)))
probs = calibrated(scores, guard["temperature"]["value"])
possible = ({sets}).tolist()
shares = probs.tolist()"""

_DOMAIN_OF_ROW = """score = strange[place]
answer["domain"] = {{
    "score": score,
    "in_domain": {is_known},
    "false_alarm": guard["domain"]["false_alarm"],
    **strange_in_row(new, place),
}}"""

_CLASS = """
answer["label"] = CLASSES[int(found[place].argmax())]
answer["probabilities"] = dict(zip(CLASSES, found[place].tolist(), strict=True))
"""
_CLASS_GUARDED = """
answer["label"] = CLASSES[int(found[place].argmax())]
probabilities = dict(zip(CLASSES, shares[place], strict=True))
answer["probability"] = probabilities[answer["label"]]
answer["probabilities"] = probabilities
members = zip(CLASSES, possible[place], strict=True)
answer["set"] = [label for label, is_in in members if is_in]
answer["coverage"] = guard["sets"]["coverage"]
{domain}
"""
_NUMBER = """
answer["value"] = numbers[place]
"""
_NUMBER_GUARDED = """
answer["value"] = numbers[place]
answer["interval"] = {interval}
answer["coverage"] = guard["intervals"][0]["coverage"]
{domain}
"""

_PREDICT = '''
def predict(path: str{parameters}) -> list[dict[str, Any]]:
    """The answers for the rows of a table, in order."""
    columns, rows = read(path)
    if not rows:
        return []
{body}
    answers = []
    for place, row in enumerate(rows):
        answer: dict[str, Any] = {{"input": f"row {{row + 1}}"}}
{each}
        answers.append(answer)
    return answers
'''

_LINE_CLASS = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    return f"{answer['input']}: {answer['label']} {max(answer['probabilities'].values()):.1%}"
'''
_LINE_CLASS_GUARDED = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    found = f"{answer['input']}: {answer['label']} {answer['probability']:.1%}"
    possible = f"possible at {answer['coverage']:.0%}: {', '.join(answer['set'])}"
    kind = "known" if answer["domain"]["in_domain"] else "UNKNOWN"
    return f"{found}; {possible}; {kind} kind of row"
'''
_LINE_NUMBER = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    return f"{answer['input']}: {answer['value']}"
'''
_LINE_NUMBER_GUARDED = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    found = f"{answer['input']}: {answer['value']}"
    between = f"at {answer['coverage']:.0%} between {answer['interval']}"
    kind = "known" if answer["domain"]["in_domain"] else "UNKNOWN"
    return f"{found}; {between}; {kind} kind of row"
'''

_MAIN = '''
def main() -> int:
    """Answer for each row of each table; 1 where a table could not be used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", metavar="TABLE")
    parser.add_argument("--json", action="store_true", help="everything, as a JSON list")
    arguments = parser.parse_args()
{load}
    answers, is_bad = [], False
    for path in arguments.tables:
        try:
            found = predict(path{given})
        except (OSError, ValueError, LookupError, csv.Error, pa.ArrowException) as error:
            print(f"{{path}}: {{error}}", file=sys.stderr)
            is_bad = True
            continue
        if len(arguments.tables) > 1:
            for answer in found:
                answer["input"] = f"{{path}}: {{answer['input']}}"
        answers += found
    if arguments.json:
        print(json.dumps(answers, indent=2))
    else:
        for answer in answers:
            print(line(answer))
    return int(is_bad)
'''
