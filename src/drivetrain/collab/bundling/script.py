"""`predict.py` of a bundle of ratings: what the bundle answers, as a plain script without Drivetrain.

It is made as the script of a run is (`drivetrain.eject`): of the library's own source (the model, the
search for the best items, what the guard sees), with what is known of this bundle put in. Names and
titles are read from the files beside it: nothing of a table becomes code.
"""

from __future__ import annotations

import textwrap
from typing import Any

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.manifest import Manifest
from drivetrain.collab.bundling.judging import new_in_pair, of_mean_user, pair_kinds, reach_of
from drivetrain.collab.bundling.predictor import NO_HISTORY, CollabPredictor
from drivetrain.collab.factors import Factors
from drivetrain.collab.model import PAIRS
from drivetrain.collab.recommend import _fewer, _unknown
from drivetrain.collab.search import exact_top, top_of
from drivetrain.collab.table.ids import as_id
from drivetrain.data.ratings import Lists
from drivetrain.eject import ending
from drivetrain.eject.known import Known
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.eject.text import docstring
from drivetrain.models.factorization import DotProduct, RatingNet

SECTIONS = (
    ("settings", "Settings"),
    ("names", "Names: of users and items the codes"),
    ("model", "Model"),
    ("guard", "Guard: how sure an answer is, and whether the model knows the pair"),
    ("search", "Search: the items of the highest prediction"),
    ("main", "Answers"),
)
_SECTION_OF = {
    "drivetrain.collab.bundling.judging": "guard",
    "drivetrain.collab.search": "search",
    "drivetrain.collab.factors": "model",
    "drivetrain.collab.recommend": "search",
    "drivetrain.interpret.text": "search",
    "drivetrain.collab.table.ids": "names",
    "drivetrain.data.ratings": "search",
    "drivetrain.data.tables.reading": "names",
}


def predictor_source(predictor: CollabPredictor, manifest: Manifest) -> str:
    """The source of `predict.py`.

    Args:
        predictor: of the bundle, with its guard.
        manifest: of the bundle; it need not know its files yet.
    Raises: MissingPackageError: ruff, which lays it out, is not installed. EjectError: something of it
        has no plain form; that is our bug.
    """
    return _Writer(predictor, manifest).source(ruff_path())


class _Writer:
    def __init__(self, predictor: CollabPredictor, manifest: Manifest) -> None:
        self.predictor, self.manifest = predictor, manifest
        self.guard = predictor.guard
        self.is_dot = predictor.factors is not None
        self.of_ratings = predictor.of_ratings
        self.lifter = Lifter()
        self.lifter.on_cpu = True

    def source(self, ruff: str) -> str:
        """Everything of it."""
        settings = [Setting("PAIRS", PAIRS, "asked at once; another number may round otherwise")]
        if self.predictor.num_threads is not None:
            settings.append(
                Setting("NUM_THREADS", self.predictor.num_threads, "torch threads; likewise")
            )
        self.lifter.constants |= {one.name: one.value for one in settings}
        self._known()
        written = [
            Written(_HERE, "settings"),
            Written(_NAMES, "names", {"as_id": as_id}),
            Written(_READ, "names", {"DEFAULT_MISSING": f"{_READING}:DEFAULT_MISSING"}),
            self._model(),
            *([] if self.guard is None else [Written(_GUARD, "guard")]),
            *self._answering(),
        ]
        pieces = pieces_of(written, self.lifter)
        for one in _IMPORTS:
            self.lifter.add_import(one)
        text = put_together(
            self.lifter,
            pieces,
            settings,
            docstring=self._docstring(),
            sections=SECTIONS,
            section_of=_section_of,
            ending=ending.ENDING,
        )
        return laid_out(text, ruff)

    def _known(self) -> None:
        """What is the same for all that this bundle is asked."""
        net: Any = self.predictor.net
        of = "drivetrain.models.factorization"
        flags = {"self.has_range": Known(net.has_range)}
        if isinstance(net, DotProduct):
            flags["self.has_bias"] = Known(net.has_bias)
        self.lifter.known[f"{of}:{type(net).__name__}"] = flags
        self.lifter.instead[f"{of}:factor_table"] = _TABLE

    def _model(self) -> Written:
        kind = DotProduct if self.is_dot else RatingNet
        return Written(_LOAD.format(kind=kind.__name__), "model", {kind.__name__: kind})

    def _answering(self) -> list[Written]:
        guard = self.guard
        uses: dict[str, Any] = {"as_id": as_id}
        lines, domain = [], ""
        if guard is not None:
            uses |= {
                "pair_kinds": pair_kinds,
                "new_in_pair": new_in_pair,
                "WELL_KNOWN": "drivetrain.collab.bundling.judging:WELL_KNOWN",
            }
            lines.append(_COUNTED)
            near = outside = "False"
            interval, mean_user = "", ""
            if self.of_ratings:
                uses |= {"of_mean_user": of_mean_user, "reach_of": reach_of}
                lines.append(_BETWEEN)
                near = 'bool(abs(values[place] - mean_user[place]) <= guard["near"])'
                outside = "bool(is_outside[place])"
                interval, mean_user = _INTERVAL, '"mean_user": float(mean_user[place]),'
            domain = _DOMAIN.format(
                interval=interval,
                mean_user=mean_user,
                near=near,
                outside=outside,
                is_known="bool(is_known[place])",
            )
        predict = _PREDICT.format(
            body=textwrap.indent("\n".join(lines), "    "),
            ending=textwrap.indent(domain.strip("\n"), "        "),
            guard=", guard" if guard is not None else "",
            parameter=", guard: dict[str, Any]" if guard is not None else "",
        )
        line = _LINE if guard is None else _LINE_GUARDED if self.of_ratings else _LINE_EVENTS
        if self.is_dot:
            best, wanted = _BEST_DOT, dict[str, Any](exact_top=exact_top, Factors=Factors)
        else:
            best, wanted = _BEST_NET, dict[str, Any](top_of=top_of)
        seen = "exclude = None  # the bundle does not hold who rated what"
        if self.predictor.has_history:
            seen, wanted["Lists"] = _SEEN, Lists
        fewer = [] if self.predictor.has_history else [_NOTE.format(note=NO_HISTORY)]
        recommend = _RECOMMEND.format(
            best=textwrap.indent(best.strip("\n"), "        "),
            seen=textwrap.indent(seen.strip("\n"), "        "),
            note=textwrap.indent("\n".join(fewer), "    "),
        )
        load = [] if self.predictor.num_threads is None else ["torch.set_num_threads(NUM_THREADS)"]
        load += ["net = load_model()"]
        load += ["guard = load_guard()"] if guard is not None else []
        main = _MAIN.format(
            load=textwrap.indent("\n".join(load), "    "),
            guard=", guard" if guard is not None else "",
            value="rating" if self.of_ratings else "score",
        )
        wanted |= {"as_id": as_id, "unknown": _unknown, "fewer": _fewer}
        return [
            Written(predict, "main", uses),
            Written(line, "main"),
            Written(_POPULAR, "search", {"exact_top": exact_top}),
            Written(recommend, "main", wanted),
            Written(main, "main"),
            Written(ending.RUN, "main"),
        ]

    def _docstring(self) -> str:
        what = "how users rate items" if self.of_ratings else "how items suit users"
        beside = ["bundle.json", manifests.WEIGHTS, manifests.CATALOGUE]
        beside += [] if self.guard is None else [manifests.GUARD, manifests.GUARD_TENSORS]
        words = (
            "Written by Drivetrain, which it does not need. It answers as `drivetrain predict` and "
            "`drivetrain recommend` do, to the last bit on the same machine and versions, and calculates "
            f"on the CPU. What the model has learnt lies beside it: {', '.join(beside[:-1])} and "
            f"{beside[-1]}. A CSV file is UTF-8, and its first row names the columns that bundle.json "
            "calls the user's and the item's."
        )
        text = [*textwrap.wrap(f"Predict {what}, and recommend.", WIDTH), ""]
        text += [*textwrap.wrap(words, WIDTH), ""]
        text += [
            "    python predict.py PAIRS.csv... [--json]",
            "    python predict.py --user USER --item ITEM",
            "    python predict.py --recommend USER [-k 10] [--without ITEM]",
        ]
        return docstring(text)


def _section_of(module: str) -> str:
    return _SECTION_OF.get(module, "model")


_READING = "drivetrain.data.tables.reading"

_IMPORTS = (
    *(Import(name) for name in ("argparse", "csv", "json", "torch")),
    *ending.IMPORTS,
    Import("numpy", "", "np"),
    Import("pathlib", "Path"),
    Import("safetensors.torch", "load_file"),
    Import("torch", "Tensor"),
    Import("torch", "nn"),
    Import("typing", "Any"),
    Import("collections.abc", "Sequence"),
)
"""What the texts below use; those that are not used are left out."""

_HERE = """
HERE = Path(__file__).parent
DESCRIPTION = json.loads((HERE / "bundle.json").read_text("utf-8"))
USER, ITEM = (DESCRIPTION["preprocessing"][side] for side in ("user", "item"))
"""

_NAMES = '''
class Catalogue:
    """Names of users and items, and how items were rated."""

    def __init__(self) -> None:
        self.tensors = load_file(HERE / "catalogue.safetensors")
        self.users, self.items = (["", *self._texts(side)] for side in ("users", "items"))
        self.titles = ["", *self._texts("titles")]
        self.popularity = self.tensors["popularity"].numpy()
        self.item_mean = self.tensors["item_mean"].numpy()
        self.user_codes = {name: code for code, name in enumerate(self.users) if code}
        self.item_codes = {name: code for code, name in enumerate(self.items) if code}
        order = np.argsort(self.popularity, kind="stable").tolist()
        self.by_title = {self.titles[code]: code for code in order if code}

    def _texts(self, name: str) -> list[str]:
        """Texts that stand end to end."""
        data = self.tensors[name].numpy().tobytes()
        ends = [0, *self.tensors[f"{name}_ends"].tolist()]
        return [data[start:end].decode() for start, end in zip(ends[:-1], ends[1:], strict=True)]

    def user(self, name: str) -> int:
        """The code of a user, 0 if it is unknown."""
        return self.user_codes.get(as_id(name), 0)

    def item(self, name: str) -> int:
        """The code of an item given by its id or its title, 0 if it is unknown."""
        return self.item_codes.get(as_id(name), 0) or self.by_title.get(as_id(name), 0)
'''

_READ = '''
MISSING = {word.strip() for word in DEFAULT_MISSING}


def read_csv(path: str) -> list[tuple[str, str]]:
    """The pairs of user and item of a file."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        for delimiter in ",\\t;|":
            file.seek(0)
            header = next(csv.reader(file, delimiter=delimiter), [])
            names = [" ".join(name.split()) for name in header]
            if USER in names and ITEM in names:
                break
        else:
            raise ValueError(f"the first row does not name the columns {USER!r} and {ITEM!r}")
        file.seek(0)
        records = csv.reader(file, delimiter=delimiter)
        next(records)
        places, pairs = (names.index(USER), names.index(ITEM)), []
        for number, row in enumerate(row for row in records if row):
            if len(row) == len(names):
                user, item = (row[place].strip() for place in places)
                pairs.append(("" if user in MISSING else user, "" if item in MISSING else item))
            else:
                says = f"row {number + 1} has {len(row)} fields, and the header {len(names)}"
                print(f"{path}: {says}: left out", file=sys.stderr)
    return pairs
'''

_TABLE = '''
def factor_table(num_rows: int, num_factors: int) -> nn.Embedding:
    """Vectors, which are loaded afterwards."""
    return nn.Embedding(num_rows, num_factors)
'''

_LOAD = '''
def load_model() -> {kind}:
    """The trained model."""
    description = dict(DESCRIPTION["architecture"]["description"])
    del description["kind"]
    net = {kind}(**description)
    net.load_state_dict(load_file(HERE / "model.safetensors"))
    return net.eval()


def outputs(net: {kind}, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Predictions of pairs of codes, (N,) float32."""
    pairs = torch.from_numpy(np.stack([users, items], axis=1).astype(np.int32))
    with torch.inference_mode():
        return torch.cat([net(part) for part in pairs.split(PAIRS)]).numpy()
'''

_GUARD = '''
def load_guard() -> dict[str, Any]:
    """What was fitted on validation pairs, and how many ratings each user has."""
    guard = json.loads((HERE / "guard.json").read_text("utf-8"))
    return guard | {"user_ratings": load_file(HERE / "guard.safetensors")["user_ratings"].numpy()}
'''

_COUNTED = """user_ratings = guard["user_ratings"][users].astype(np.int64)
item_ratings = known.popularity[items]
kinds = pair_kinds(user_ratings, item_ratings, guard["few"])
is_known = kinds == WELL_KNOWN"""

_BETWEEN = """mean_user = of_mean_user(lambda users, items: outputs(net, users, items), items)
lowest, highest = guard["lowest"], guard["highest"]
is_outside = (values < lowest) | (values > highest)
is_known &= ~is_outside
wide = [one["half_width"] for one in guard["intervals"]]
half_widths = [float("inf") if one is None else one for one in wide]
between = reach_of(values, kinds, half_widths, lowest, highest).tolist()"""

_INTERVAL = """answer["interval"] = between[place]
answer["coverage"] = guard["intervals"][0]["coverage"]
"""

_DOMAIN = """{interval}counts = int(user_ratings[place]), int(item_ratings[place])
is_near = {near}
answer["domain"] = {{
    "in_domain": {is_known},
    "false_alarm": guard["false_alarm"],
    "user_ratings": counts[0],
    "item_ratings": counts[1],
    {mean_user}
    "new": new_in_pair(*counts, guard["few"], is_near, {outside}),
}}"""

_PREDICT = '''
def predict(
    pairs: list[tuple[str, str]], known: Catalogue, net: Any{parameter}
) -> list[dict[str, Any]]:
    """The answers for pairs of user and item, in order."""
    if not pairs:
        return []
    users = np.array([known.user(user) for user, _ in pairs], np.int32)
    items = np.array([known.item(item) for _, item in pairs], np.int32)
    values = outputs(net, users, items)
    if not np.isfinite(values).all():
        raise ValueError("a prediction is NaN or infinite: the weights are damaged")
{body}
    answers = []
    for place, (user, item) in enumerate(pairs):
        code = int(items[place])
        answer: dict[str, Any] = {{
            "input": {{"user": as_id(user), "item": as_id(item)}},
            "title": known.titles[code] or as_id(item),
            "value": float(values[place]),
            "known": bool(users[place] > 0 and code > 0),
        }}
{ending}
        answers.append(answer)
    return answers
'''

_SAID = """    pair = answer["input"]
    found = f"user {pair['user']}, {answer['title']}: {answer['value']:.3g}"
"""
_LINE = f'''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
{_SAID}    return found + ("" if answer["known"] else "  (user or item unknown)")
'''
_LINE_EVENTS = f'''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
{_SAID}    new = "; ".join(answer["domain"]["new"])
    return f"{{found}}  ! {{new}}" if new else found
'''
_LINE_GUARDED = f'''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
{_SAID}    low, high = answer["interval"]
    found += f", at {{answer['coverage']:.0%}} between {{low:.3g}} and {{high:.3g}}"
    new = "; ".join(answer["domain"]["new"])
    return f"{{found}}  ! {{new}}" if new else found
'''

_POPULAR = '''
def popular(known: Catalogue, k: int, allowed: np.ndarray) -> np.ndarray:
    """Codes of the items that most people rated."""
    counts = np.asarray(known.popularity, np.float32)[:, None]
    found = exact_top(np.ones((1, 1), np.float32), counts, k, allowed=allowed)
    return found.codes[0][found.scores[0] > 0]
'''

_BEST_DOT = """
factors = Factors.of(net)
one = np.array([code])
found = exact_top(
    factors.users[one], factors.items, k, bias=factors.item_bias, exclude=exclude, allowed=allowed
)
codes = found.codes[0]
values = factors.predict(np.repeat(one, len(codes)), codes)
"""

_BEST_NET = """
every = np.arange(len(known.items))


def score(rows: np.ndarray) -> Tensor:
    \"\"\"Predictions for all items.\"\"\"
    pairs = torch.from_numpy(np.stack([np.full_like(every, code), every], axis=1))
    with torch.no_grad():
        return net(pairs)[None]


found = top_of(score, 1, len(every), k, exclude=exclude, allowed=allowed)
codes, values = found.codes[0], found.scores[0]
"""

_SEEN = """
parts = [known.tensors[f"seen_{name}"].numpy() for name in ("items", "offsets")]
exclude = Lists(*parts).take(np.array([code]))
"""

_NOTE = """notes.append(
    {note!r}
)"""

_RECOMMEND = '''
def recommend(
    user: str, k: int, without: Sequence[str], known: Catalogue, net: Any
) -> dict[str, Any]:
    """The k items of the highest prediction for a user, without what they rated."""
    name, code = as_id(user), known.user(user)
    allowed = np.ones(len(known.items), bool)
    allowed[[known.item_codes.get(as_id(item), 0) for item in without]] = False
    notes = []
    if code:
{seen}
{best}
    else:
        notes.append(unknown(name))
        codes = popular(known, k, allowed)
        values = known.item_mean[codes]
    values = values[codes > 0]
    codes = codes[codes > 0].tolist()
    if len(codes) < k:
        notes.append(fewer(k, len(codes)))
{note}
    items = [
        {{
            "rank": place + 1,
            "item": known.items[item],
            "title": known.titles[item],
            "value": float(values[place]),
            "num_ratings": int(known.popularity[item]),
        }}
        for place, item in enumerate(codes)
    ]
    return {{"user": name, "by": "model" if code else "popularity", "items": items, "notes": notes}}
'''

_MAIN = '''
def main() -> int:
    """Answer for each pair, or recommend; 1 where a table could not be used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="PAIRS.csv")
    parser.add_argument("--user", help="with --item: one pair")
    parser.add_argument("--item", help="its id, or its title")
    parser.add_argument("--recommend", metavar="USER", help="what this user may like")
    parser.add_argument("-k", type=int, default=10, help="so many items")
    parser.add_argument("--without", action="append", default=[], metavar="ITEM", help="not this one")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    arguments = parser.parse_args()
    if (arguments.user is None) != (arguments.item is None):
        parser.error("--user and --item go together: one pair of them")
    if bool(arguments.tables) + (arguments.user is not None) + bool(arguments.recommend) != 1:
        parser.error("give tables of pairs, or --user and --item, or --recommend")
    if arguments.k < 1:
        parser.error("-k: 1 or more")
    known = Catalogue()
{load}
    if arguments.recommend:
        found = recommend(arguments.recommend, arguments.k, arguments.without, known, net)
        if arguments.json:
            print(json.dumps(found, indent=2), flush=True)
        else:
            for one in found["items"]:
                told = f"{{one['title']}}: {value} {{one['value']:.2f}}"
                print(f"{{one['rank']:>3}}  {{told}}", flush=True)
            for note in found["notes"]:
                print(f"! {{note}}", file=sys.stderr)
        return 0
    answers, is_bad = [], False
    if arguments.user is not None:
        answers = predict([(arguments.user, arguments.item)], known, net{guard})
    for path in arguments.tables:
        try:
            answers += predict(read_csv(path), known, net{guard})
        except (OSError, ValueError, csv.Error) as error:
            print(f"{{path}}: {{error}}", file=sys.stderr)
            is_bad = True
    if arguments.json:
        print(json.dumps(answers, indent=2), flush=True)
    else:
        for answer in answers:
            print(line(answer), flush=True)
    return int(is_bad)
'''
