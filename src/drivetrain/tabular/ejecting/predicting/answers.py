"""The answers of a script that predicts: with a guard, how sure each is, and how far its row lies."""

from __future__ import annotations

import textwrap
from typing import Any

from drivetrain.bundle.calibration import calibrated
from drivetrain.bundle.conformal import strangeness
from drivetrain.bundle.domain import domain_score
from drivetrain.eject.parts import Written
from drivetrain.tabular.bundling.guard import TableGuard
from drivetrain.tabular.bundling.guard_rows import places_of, strange_columns, strange_in_row
from drivetrain.tabular.preprocess import Preprocess
from drivetrain.tabular.rows import Reader
from drivetrain.tabular.target import Target


def answering_written(
    target: Target, guard: TableGuard | None, known: Preprocess, reader: Reader, *, has_torch: bool
) -> list[Written]:
    """The functions `predict`, `line` and `main`.

    Args:
        target: that is predicted.
        guard: of the bundle, where it has one.
        known: what was learnt of the columns.
        reader: of the columns.
        has_torch: whether anything is calculated by torch.
    """
    uses: dict[str, Any] = {}
    is_log = target.kind != "class" and target.is_log
    told = "log(1 + y), as it was learnt" if is_log else "what the model says"
    lines = [f"found = ask(columns, model)  # {told}", _CHECK]
    domain = ""
    if guard is not None:
        uses |= {"strange_columns": strange_columns, "strange_in_row": strange_in_row}
        lines.append("strange = domain_scores(columns, known, guard)")
        lines.append(f"new = strange_columns(columns, {_lists(known)}, CALLED)")
        is_known = 'score <= guard["domain"]["threshold"]' if guard.domain.is_enough else "True"
        domain = _DOMAIN_OF_ROW.format(is_known=is_known)
    if target.kind == "class":
        more, each = _classes(guard, domain, uses)
    else:
        more, each = _numbers(target, guard, domain)
    given, parameters = ", model", ", model: dict[str, Any]"
    load = ["torch.set_num_threads(NUM_THREADS)"] if has_torch else []
    load.append("model = load_model()")
    if guard is not None:
        given += ", guard, known"
        parameters += ", guard: dict[str, Any], known: list[Tensor]"
        load.append("guard, known = load_guard()")
    text = _PREDICT.format(
        parameters=parameters,
        body=textwrap.indent("\n".join([*lines, *more]), "    "),
        each=textwrap.indent(each.strip("\n"), "        "),
    )
    main = _MAIN.format(load=textwrap.indent("\n".join(load), "    "), given=given)
    called = [Written(_called(known, reader), "guard")] if guard is not None else []
    return [
        *called,
        Written(text, "main", uses),
        Written(_line(target, guard), "main"),
        Written(main, "main"),
    ]


def judging_written(known: Preprocess) -> list[Written]:
    """The functions that load the guard, and say how far rows lie from those known.

    Args:
        known: what was learnt of the columns.
    """
    uses: dict[str, Any] = {"places_of": places_of, "domain_score": domain_score}
    return [
        Written(_GUARD, "guard"),
        Written(_DOMAIN.format(lists=_lists(known)), "guard", uses),
    ]


def _classes(guard: TableGuard | None, domain: str, uses: dict[str, Any]) -> tuple[list[str], str]:
    """Statements for all rows of a table whose classes are told, and those for each."""
    if guard is None:
        return [], _CLASS
    uses |= {"calibrated": calibrated, "strangeness": strangeness}
    enough = guard.prediction_sets is not None and guard.prediction_sets.is_enough
    lines = [_CALIBRATED.format(sets=_SETS if enough else _ALL_CLASSES)]
    return lines, _CLASS_GUARDED.format(domain=domain)


def _numbers(target: Target, guard: TableGuard | None, domain: str) -> tuple[list[str], str]:
    """The same where numbers are told."""
    shown = "np.expm1({})" if target.is_log else "{}"
    lines = [f"numbers = {shown.format('found')}.tolist()"]
    if guard is None:
        return lines, _NUMBER
    is_bounded = all(one.half_width < float("inf") for one in guard.intervals)
    if is_bounded:
        half = "np.array([one['half_width'] for one in guard['intervals']])"
        lines.append(f"reach = np.broadcast_to({half}, found.shape)")
        if guard.spread_floor is not None:
            lines.append('reach = reach * (spread_of(columns, model) + guard["spread_floor"])')
        low, high = (shown.format(f"found {sign} reach") for sign in "-+")
        lines.append(f"intervals = np.stack([{low}, {high}], axis=-1).tolist()")
    interval = "intervals[place]" if is_bounded else "None"
    return lines, _NUMBER_GUARDED.format(interval=interval, domain=domain)


def _lists(known: Preprocess) -> str:
    """The columns of words, and those of numbers."""
    return f"{'CATEGORIES' if known.categories else '()'}, {'NUMBERS' if known.numbers else '()'}"


def _called(known: Preprocess, reader: Reader) -> str:
    """What the table calls each column of numbers; of the parts of a date one alone stands for it."""
    if not known.numbers:
        return "CALLED: dict[str, str] = {}\n"
    if reader.dates:
        return _CALLED_WITH_DATES
    return "CALLED = {one.name: one.name for one in NUMBERS}\n"


def _line(target: Target, guard: TableGuard | None) -> str:
    if target.kind == "class":
        return _LINE_CLASS if guard is None else _LINE_CLASS_GUARDED
    return _LINE_NUMBER if guard is None else _LINE_NUMBER_GUARDED


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
        print(json.dumps(answers, indent=2), flush=True)
    else:
        for answer in answers:
            print(line(answer), flush=True)
    return int(is_bad)
'''
