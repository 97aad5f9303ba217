"""A description as one HTML page: no network, no script; for light and dark, a phone, and paper.

Whatever comes from the table is escaped, and the page forbids itself to run or to load anything (a
Content-Security-Policy), should an escape be missing. The numbers of each chart are one click below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from drivetrain import __version__
from drivetrain.interpret import text
from drivetrain.interpret.text import cut
from drivetrain.report.svg import safe
from drivetrain.tabular.description.charts import Bar, Chart, Outcome
from drivetrain.tabular.description.hints import CAUTION
from drivetrain.tabular.description.svg import drawn
from drivetrain.tabular.description.views import DateView, NumberView, WordView, figure, percent

if TYPE_CHECKING:
    from drivetrain.tabular.describe import Description
    from drivetrain.tabular.description.hints import Hint

LONGEST = 60
"""Letters of a word in a table of the page."""
MOST_PAIRS = 20
"""Pairs of columns that are shown at once; the others are one click away."""
MOST_SCORES = 15
MOST_SET_ASIDE = 20

_CODE = re.compile(r"`(\w+)`")
_LEVELS = {
    "leak": ("May give the target away", "leak"),
    "care": ("To decide", "care"),
    "note": ("Good to know", "note"),
}


def page_of(found: Description) -> str:
    """The page as text."""
    sections = [
        ("look", "What to look at", _hints(found)),
        ("columns", "Columns", _columns(found)),
        ("alone", "Each column alone", _alone(found)),
        ("charts", "Histograms", _charts(found)),
        ("numbers", "Numbers", _numbers(found.numbers)),
        ("words", "Words", _words(found.words)),
        ("dates", "Dates", _dates(found.dates)),
        ("together", "Columns that go together", _together(found)),
        ("reading", "Reading", _reading(found)),
    ]
    kept = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in kept)
    body = "\n".join(
        f'<section id="{key}"><h2>{title}</h2>\n{inside}</section>' for key, title, inside in kept
    )
    title = safe(_short_source(found))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Drivetrain {safe(__version__)}">
<title>{title}: a table described</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
{_header(found)}
<nav>{links}</nav>
</header>
<main>
{body}
</main>
<footer>
<p>Made by Drivetrain {safe(__version__)}. All rows were looked at, so that choices made by looking at the
target here have seen the rows that validate as well. This page holds values of the table: whoever has it
sees them.</p>
</footer>
</body>
</html>
"""


def _short_source(found: Description) -> str:
    """The file's name, with that of its folder: many a table is called train.csv."""
    parts = found.report.source.replace("\\", "/").split("/")
    return "/".join(part for part in parts[-2:] if part) or found.report.source


# ---- header


def _header(found: Description) -> str:
    columns = found.schema.columns
    cells = found.num_rows * len(columns)
    kinds = [column.kind for column in columns]
    told = ", ".join(
        f"{kinds.count(kind)} {name if kinds.count(kind) == 1 else names}"
        for kind, name, names in (
            ("number", "number", "numbers"),
            ("category", "category", "categories"),
            ("date", "date", "dates"),
            ("text", "text", "texts"),
            ("id", "id", "ids"),
            ("constant", "constant", "constant"),
        )
        if kinds.count(kind)
    )
    facts = [
        ("rows", f"{found.num_rows:,}", _aside(found)),
        ("columns" if len(columns) != 1 else "column", f"{len(columns):,}", told),
        ("cells missing", percent(found.num_missing, cells), f"{found.num_missing:,} of {cells:,}"),
    ]
    if found.target is not None:
        reason = found.target.reason
        if found.target.kind == "class":
            reason = f"{len(found.target.classes):,} classes: {reason}"
        facts.append(("to predict", cut(found.target.names[0], 28), reason))
    boxes = "".join(
        f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd><dd class='sub'>{safe(sub)}</dd></div>"
        for name, value, sub in facts
    )
    return (
        f"<p class='over'>A table described</p><h1>{safe(_short_source(found))}</h1>"
        f"<dl class='facts'>{boxes}</dl>"
    )


def _aside(found: Description) -> str:
    aside = len(found.report.quarantined)
    return f"{aside:,} more set aside by reading" if aside else "all that the source has"


# ---- hints


def _hints(found: Description) -> str:
    if not found.hints and found.target is None:
        return "<p class='quiet'>Nothing stands out.</p>"
    goal = found.target.names if found.target is not None else ()
    parts = []
    for level, (title, kind) in _LEVELS.items():
        chosen = [hint for hint in found.hints if hint.level == level]
        if chosen:
            items = "".join(f"<li>{_sentence(hint, goal)}</li>" for hint in chosen)
            parts.append(f"<div class='hints {kind}'><h3>{title}</h3><ul>{items}</ul></div>")
        elif level == "leak" and found.target is not None:
            parts.append(
                f"<div class='hints fine'><h3>{title}</h3><p>No column was found that does.</p></div>"
            )
    return "".join(parts)


def _sentence(hint: Hint, goal: Sequence[str]) -> str:
    """The sentence, with the names of its columns set off."""
    words = _CODE.sub(r"<code>\1</code>", safe(hint.sentence))
    for name in sorted({*hint.columns, *goal}, key=len, reverse=True):
        quoted = safe(f"'{name}'")
        words = words.replace(quoted, f"<b>{safe(name)}</b>")
    return words


# ---- columns


def _columns(found: Description) -> str:
    rows = []
    for column in found.schema.columns:
        is_target = found.target is not None and column.name in found.target.names
        share = column.missing / column.rows if column.rows else 0.0
        missing = (
            f"<span class='meter'><i style='width:{100 * share:.1f}%'></i></span>"
            f"{percent(column.missing, column.rows)}"
            if column.missing
            else "<span class='quiet'>none</span>"
        )
        mark = " <span class='badge target'>target</span>" if is_target else ""
        rows.append(
            f"<tr><th scope='row'>{_name(column.name)}{mark}</th>"
            f"<td><span class='badge {column.kind}'>{column.kind}</span></td>"
            f"<td class='miss{' some' if column.missing else ''}'>{missing}</td>"
            f"<td class='num'>{column.distinct:,}</td>"
            f"<td class='why'>{safe(column.reason)}</td></tr>"
        )
    head = (
        "<th>column</th><th>kind</th><th>missing</th><th class='num'>different</th>"
        "<th class='why'>why this kind</th>"
    )
    return (
        f"<table class='columns'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        "<p class='quiet'>Models see numbers, categories and dates. Where a kind is not right, say so: "
        "<code>kinds={'COLUMN': 'category'}</code>, or <code>--kind COLUMN=category</code>.</p>"
    )


def _name(name: str, longest: int = LONGEST) -> str:
    shown = cut(name, longest) or "(no name)"
    full = f" title='{safe(name)}'" if shown != name else ""
    # a long name may be broken where its words end
    return f"<span{full}>{safe(shown).replace('_', '_<wbr>')}</span>"


# ---- what each column tells of the target


def _alone(found: Description) -> str:
    if not found.alone or found.target is None:
        return ""
    goal = safe(cut(found.target.names[0]))
    metric = found.alone[0].metric
    what = (
        "the area under the ROC curve: 0.5 is a guess, 1 tells all"
        if metric == "AUC"
        else "the share of the variance of the target's ranks (R²): 0 is a guess, 1 tells all"
    )
    lines = [
        f"<tr><th scope='row'>{_name(one.name)}</th>"
        f"<td class='score'><span class='meter wide'><i style='width:{100 * one.strength:.1f}%'></i>"
        f"</span></td><td class='num'>{one.score:.3f}</td></tr>"
        for one in found.alone
    ]
    table = "<table class='alone'><tbody>{}</tbody></table>"
    shown = table.format("".join(lines[:MOST_SCORES]))
    if len(lines) > MOST_SCORES:
        more = table.format("".join(lines[MOST_SCORES:]))
        shown += _details(f"{len(lines) - MOST_SCORES} more columns", more)
    return (
        f"<p>How well each column by itself foretells <b>{goal}</b>, on rows that it was not learnt "
        f"from: {what}.</p>{shown}"
    )


# ---- charts


def _charts(found: Description) -> str:
    if not found.charts:
        return ""
    outcome = found.outcome
    logs = {chart.name: chart for chart in found.log_charts}
    views = {view.name: view for view in (*found.numbers, *found.words, *found.dates)}
    cards = []
    for chart in found.charts:
        is_target = found.target is not None and chart.name in found.target.names
        by = None if is_target else outcome
        keys = None
        if is_target and outcome is not None:
            keys = {name: f"c{place}" for place, name in enumerate(outcome.classes)}
        inside = drawn(chart, by, keys=keys) + _table_of(chart, by)
        mark = " <span class='badge target'>target</span>" if is_target else ""
        cards.append(
            f"<article><h3>{_name(chart.name, 40)}{mark}</h3>"
            f"<p class='sub'>{safe(_line(views[chart.name]))}</p>{inside}</article>"
        )
        if chart.name in logs:
            before, after = found.logs[chart.name]
            tamed = logs[chart.name]
            cards.append(
                f"<article><h3>log(1 + {_name(chart.name, 34)})"
                " <span class='badge note'>suggested</span></h3>"
                f"<p class='sub'>skew {_skew(after)} instead of {_skew(before)}; nothing was changed</p>"
                f"{drawn(tamed, by)}{_table_of(tamed, by)}</article>"
            )
    return f"{_legend(outcome)}<div class='grid'>{''.join(cards)}</div>"


def _legend(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    if outcome.kind == "number":
        return (
            f"<p>Bars count rows; dots are the mean of <b>{safe(cut(outcome.name))}</b> in them, faint "
            "where there are fewer than five rows.</p>"
        )
    keys = "".join(
        f"<span class='key'><i class='k{place}'></i>{safe(cut(name, 40))}</span>"
        for place, name in enumerate(outcome.classes)
    )
    return (
        f"<p class='legend'><b>{safe(cut(outcome.name))}</b> {keys}</p><p class='quiet'>Bars count rows; "
        "the strips show the share of each class, faint where there are fewer than five rows.</p>"
    )


def _line(view: NumberView | WordView | DateView) -> str:
    """A column in a line, above its chart."""
    missing = f", {view.missing:,} missing" if view.missing else ""
    if isinstance(view, NumberView):
        skewed = f", skew {_skew(view.skew)}" if view.skew is not None and view.distinct > 2 else ""
        return f"mean {figure(view.mean)}, median {figure(view.median)}{skewed}{missing}"
    if isinstance(view, DateView):
        return f"{view.first} to {view.last}{missing}"
    return f"{view.distinct:,} different{missing}"


def _skew(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"


def _table_of(chart: Chart, outcome: Outcome | None) -> str:
    is_bins = chart.form == "bins"
    what = "log(1 + x)" if chart.is_log else "from" if is_bins else "value"
    heads = [what, *(["to"] if is_bins else []), "rows"]
    if outcome is not None:
        heads += list(outcome.classes) if outcome.kind == "class" else [f"mean {outcome.name}"]
    head = "".join(
        f"<th{'' if at == 0 and not is_bins else num}>{safe(cut(name, 24))}</th>"
        for at, name in enumerate(heads)
        for num in [" class='num'"]
    )
    body = "".join(_row_of(bar, is_bins, outcome) for bar in chart.bars)
    return _details(
        "Numbers", _scroll(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    )


def _row_of(bar: Bar, is_bins: bool, outcome: Outcome | None) -> str:
    if not is_bins:
        cells = f"<td>{_name(bar.label)}</td>"
    elif bar.role == "missing":
        cells = "<td class='num' colspan='2'>missing</td>"
    else:
        cells = f"<td class='num'>{_end(bar.low)}</td><td class='num'>{_end(bar.high)}</td>"
    cells += f"<td class='num'>{bar.rows:,}</td>"
    if outcome is not None and outcome.kind == "class":
        known = sum(bar.by_class)
        cells += "".join(
            f"<td class='num'>{count:,}"
            + (f" <span class='quiet'>{percent(count, known)}</span>" if known else "")
            + "</td>"
            for count in bar.by_class
        )
    elif outcome is not None:
        cells += f"<td class='num'>{figure(bar.mean)}</td>"
    return f"<tr>{cells}</tr>"


def _end(value: float | str | None) -> str:
    return safe(value) if isinstance(value, str) else safe(f"{value:.6g}")


# ---- tables


def _numbers(views: Sequence[NumberView]) -> str:
    heads = (
        "count", "missing", "mean", "std", "min", "25 %", "median", "75 %", "max", "skew", "zeros",
        "different",
    )  # fmt: skip
    rows = [
        (
            view.name,
            [
                f"{view.count:,}", f"{view.missing:,}", figure(view.mean), figure(view.std),
                figure(view.min), figure(view.q25), figure(view.median), figure(view.q75),
                figure(view.max), _skew(view.skew),
                f"{view.zeros:,}", f"{view.distinct:,}",
            ],
        )
        for view in views
    ]  # fmt: skip
    return _wide_table(heads, rows)


def _words(views: Sequence[WordView]) -> str:
    heads = ("kind", "count", "missing", "different", "commonest", "rows", "share")
    rows = [
        (
            view.name,
            [
                view.kind,
                f"{view.count:,}",
                f"{view.missing:,}",
                f"{view.distinct:,}",
                "–" if view.top is None else cut(view.top, 40),
                f"{view.frequency:,}",
                percent(view.frequency, view.count) if view.count else "–",
            ],
        )
        for view in views
    ]
    return _wide_table(heads, rows, left=("kind", "commonest"))


def _dates(views: Sequence[DateView]) -> str:
    heads = ("count", "missing", "different", "first", "last", "step", "gaps", "longest gap")
    rows = []
    for view in views:
        gap = "–"
        if view.longest is not None and (view.num_gaps or view.longest != view.step):
            gap = f"{view.longest}: {view.longest_from} to {view.longest_to}"
        cells = [
            f"{view.count:,}", f"{view.missing:,}", f"{view.distinct:,}", view.first or "–",
            view.last or "–", view.step or "–", f"{view.num_gaps:,}", gap,
        ]  # fmt: skip
        rows.append((view.name, cells))
    table = _wide_table(heads, rows, left=("longest gap",))
    return table and (
        f"{table}<p class='quiet'>The step is the commonest time from one date to the next; a longer one "
        "is a gap where most steps are equal.</p>"
    )


def _wide_table(
    heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], left: Iterable[str] = ()
) -> str:
    if not rows:
        return ""
    kinds = ["" if head in left else " class='num'" for head in heads]
    head = "".join(f"<th{k}>{safe(h)}</th>" for h, k in zip(heads, kinds, strict=True))
    body = "".join(
        f"<tr><th scope='row'>{_name(name, 32)}</th>"
        + "".join(f"<td{k}>{safe(cell)}</td>" for cell, k in zip(cells, kinds, strict=True))
        + "</tr>"
        for name, cells in rows
    )
    return _scroll(
        f"<table class='wide'><thead><tr><th>column</th>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


# ---- columns that go together


def _together(found: Description) -> str:
    if not found.links and not found.clusters:
        return ""
    parts = [f"<p>{safe(CAUTION)}</p>"]
    if found.clusters:
        rows = "".join(
            f"<tr><td class='num'>{cluster.at:.3f}</td>"
            f"<td>{', '.join(_name(name, 40) for name in cluster.names)}</td></tr>"
            for cluster in found.clusters
        )
        parts.append(
            "<h3>Nearly the same order</h3><p class='quiet'>Groups of columns by rank correlation, "
            "categories by the order of their codes; at 1 one column tells the others.</p>"
            + _scroll(f"<table><tbody>{rows}</tbody></table>")
        )
    if found.apart:
        rows = [
            f"<tr><td class='num'>{link.strength:.3f}</td><td>{_name(link.first, 40)}</td>"
            f"<td>{_name(link.second, 40)}</td></tr>"
            for link in found.apart
        ]
        table = "<table><tbody>{}</tbody></table>"
        parts.append(
            "<h3>Pairs</h3><p class='quiet'>Numbers: rank correlation. Categories: Cramér's V. One of "
            "each: correlation ratio. All from 0, or -1, to 1, without what chance gives; a missing word "
            "counts as one more.</p>" + _scroll(table.format("".join(rows[:MOST_PAIRS])))
        )
        if len(rows) > MOST_PAIRS:
            more = _scroll(table.format("".join(rows[MOST_PAIRS:])))
            parts.append(_details(f"{len(rows) - MOST_PAIRS:,} more pairs", more))
    return "".join(parts)


# ---- reading


def _reading(found: Description) -> str:
    report = found.report
    facts = [("Source", report.source), ("Read as", report.format)]
    if report.delimiter is not None:
        names = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
        facts.append(("Delimiter", names.get(report.delimiter, report.delimiter)))
    if report.encoding is not None:
        mark = ", with a byte order mark" if report.has_bom else ""
        facts.append(("Encoding", f"{report.encoding}{mark}"))
    if report.line_ends is not None:
        facts.append(("Line ends", report.line_ends))
    facts.append(("SHA-256", report.sha256))
    listed = "".join(f"<dt>{safe(name)}</dt><dd>{safe(value)}</dd>" for name, value in facts)
    parts = [f"<dl class='source'>{listed}</dl>"]
    notes = [*report.notes, *found.notes]
    if notes:
        items = "".join(f"<li>{safe(note)}</li>" for note in notes)
        parts.append(f"<ul class='plain'>{items}</ul>")
    else:
        parts.append("<p class='quiet'>Nothing had to be repaired.</p>")
    if report.quarantined:
        shown = report.quarantined[:MOST_SET_ASIDE]
        items = "".join(f"<li>{safe(row.detail)}</li>" for row in shown)
        more = len(report.quarantined) - len(shown)
        items += f"<li>… and {more:,} more.</li>" if more else ""
        title = f"{text.rows(len(report.quarantined))} set aside"
        parts.append(_details(title, f"<ul class='plain'>{items}</ul>"))
    return "".join(parts)


def _details(title: str, inside: str) -> str:
    return f"<details><summary>{safe(title)}</summary>{inside}</details>"


def _scroll(table: str) -> str:
    return f"<div class='scroll' tabindex='0'>{table}</div>"


_STYLE = """
:root{--page:#f6f5f2;--card:#fff;--ink:#1d1c1a;--soft:#67635d;--line:#e3e0da;--faint:#efede8;
--link:#1f5fa8;--bar:#5b8cc0;--none:#c9c5bd;--leak:#b3332b;--care:#9a6400;--note:#3d6b8f;--fine:#35774a;
--c0:#3f78b5;--c1:#e39a3b;--c2:#5aa79a;--c3:#b9609a;--c4:#8577c4;--c5:#a8a49c}
@media (prefers-color-scheme:dark){:root{--page:#141516;--card:#1d1f21;--ink:#e8e6e2;--soft:#a29e97;
--line:#34373a;--faint:#292c2e;--link:#8dbdf0;--bar:#6c9fd4;--none:#565a5e;--leak:#f08a80;--care:#e3b463;
--note:#8fbbe0;--fine:#86c79a;--c0:#6aa3df;--c1:#eab060;--c2:#74c3b4;--c3:#d989bd;--c4:#a79be0;--c5:#8b8f93}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:3.2rem}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:30px}
.over{margin:0;color:var(--soft);font-size:12px;letter-spacing:.09em;text-transform:uppercase}
h1{margin:.1em 0 .6em;font-size:30px;line-height:1.2;font-weight:650;overflow-wrap:anywhere}
h2{margin:44px 0 12px;font-size:20px;font-weight:650}
h3{margin:18px 0 4px;font-size:15px;font-weight:650}
p{margin:.4em 0 .8em;max-width:76ch}
b{font-weight:650}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--faint);
padding:1px 5px;border-radius:4px;overflow-wrap:anywhere}
.quiet,.sub{color:var(--soft)}
p.quiet,p.cap{font-size:13px}p.quiet{max-width:110ch}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:0 0 20px}
.facts div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.facts dt{color:var(--soft);font-size:13px}
.facts dd{margin:0;font-size:22px;font-weight:600;overflow-wrap:anywhere}
.facts dd.sub{font-size:12.5px;font-weight:400;line-height:1.4;margin-top:2px}
nav{display:flex;flex-wrap:wrap;gap:2px 18px;padding:10px 0;border-block:1px solid var(--line)}
nav a{color:var(--link);text-decoration:none;font-size:14px;padding:2px 0}
nav a:hover{text-decoration:underline}
.hints{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--tone);
border-radius:8px;padding:10px 18px;margin:0 0 12px}
.hints h3{margin:2px 0 4px;color:var(--tone)}
.hints ul{margin:0;padding-left:18px}
.hints li{margin:5px 0;max-width:100ch;overflow-wrap:anywhere}
.hints p{margin:2px 0}
.leak{--tone:var(--leak)}.care{--tone:var(--care)}.note{--tone:var(--note)}.fine{--tone:var(--fine)}
table{border-collapse:collapse;font-size:14px}
th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;
unicode-bidi:isolate}
thead th{color:var(--soft);font-weight:500;font-size:12.5px;white-space:nowrap;vertical-align:bottom}
tbody th{font-weight:600}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.scroll{overflow-x:auto;max-width:100%;padding-bottom:4px}
.wide td{white-space:nowrap}
.wide th:first-child{position:sticky;left:0;background:var(--page);padding-right:18px;min-width:110px}
.columns{width:100%}
.columns tbody th{overflow-wrap:break-word;max-width:240px;padding-right:16px}
.columns .why{color:var(--soft);font-size:13px;overflow-wrap:anywhere;padding-left:8px}
.miss{white-space:nowrap}
.meter{display:inline-block;width:44px;height:7px;margin-right:7px;background:var(--faint);
border-radius:4px;overflow:hidden;vertical-align:1px}
.meter i{display:block;height:100%;background:var(--soft);border-radius:4px;min-width:1px}
.meter.wide{width:100%;height:9px;vertical-align:middle}
.meter.wide i{background:var(--bar)}
.alone{width:100%;max-width:760px}
.alone th{width:1%;white-space:nowrap;padding-right:16px;font-weight:500}
.alone .num{width:1%;padding-left:8px;padding-right:0}
.alone td,.alone th{border:0;padding-top:2px;padding-bottom:2px}
.badge{display:inline-block;font-size:12px;line-height:1.35;padding:1px 8px;border-radius:9px;
border:1px solid var(--line);color:var(--soft);font-weight:500;white-space:nowrap}
.badge.number{color:var(--c0)}.badge.category{color:var(--care)}.badge.date{color:var(--fine)}
.badge.note{color:var(--note)}
.badge.target{color:var(--card);background:var(--link);border-color:var(--link)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin-bottom:2px;align-items:center}
.key i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:14px}
article{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px 8px;
min-width:0}
article h3{margin:0;overflow-wrap:anywhere}
article .sub{margin:0 0 6px;font-size:12.5px}
article .cap{margin:10px 0 4px;color:var(--soft);border-top:1px solid var(--line);padding-top:8px}
article details table{font-size:12.5px}
details{margin:4px 0 6px}
summary{cursor:pointer;color:var(--link);font-size:13px;padding:2px 0}
svg{display:block;width:100%;height:auto}
svg text{font-size:11px;fill:var(--ink);font-family:inherit}
svg text.soft,svg text.cap{fill:var(--soft)}
.grid .bar,.bar{fill:var(--bar)}.none{fill:var(--none)}
.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}
.c5{fill:var(--c5)}
.k0{background:var(--c0)}.k1{background:var(--c1)}.k2{background:var(--c2)}.k3{background:var(--c3)}
.k4{background:var(--c4)}.k5{background:var(--c5)}
svg line.grid{stroke:var(--faint);stroke-width:1}svg line.axis{stroke:var(--soft);stroke-width:.8}
svg line.mean{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}
svg line.stem{stroke:var(--c1);stroke-width:1.2;opacity:.6}
.line{fill:none;stroke:var(--c1);stroke-width:1.4}.dot{fill:var(--c1)}.faint{opacity:.4}
.tip{fill:transparent}.tip:hover{fill:var(--ink);fill-opacity:.06}
.source{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:0 0 12px;font-size:14px}
.source dt{color:var(--soft)}.source dd{margin:0;overflow-wrap:anywhere}
.plain{margin:0 0 10px;padding-left:18px;font-size:14px}.plain li{margin:3px 0;overflow-wrap:anywhere}
footer{color:var(--soft);font-size:13px;padding-top:30px;padding-bottom:40px}
@media (max-width:700px){
header,main,footer{padding-left:14px;padding-right:14px}
h1{font-size:24px}h2{margin-top:34px}
.facts{grid-template-columns:1fr 1fr;gap:8px}.facts div{padding:9px 11px}.facts dd{font-size:18px}
.columns thead{display:none}
.columns tr{display:grid;grid-template-columns:1fr auto auto;gap:2px 10px;padding:8px 0;
border-bottom:1px solid var(--line)}
.columns th,.columns td{border:0;padding:0}
.columns tbody th{max-width:none;padding:0}
.columns td:nth-child(4){display:none}
.columns .miss .quiet{display:none}
.columns .some::after{content:" missing";color:var(--soft);font-size:13px}
.columns .why{grid-column:1/-1;padding:0}
.alone th{white-space:normal;overflow-wrap:anywhere;width:40%}
}
@media print{
body{background:#fff;font-size:11px}
nav,.tip{display:none}
article,.hints,tr{break-inside:avoid}
h2,h3{break-after:avoid}
.grid{grid-template-columns:repeat(3,1fr)}
.wide td,.wide th{font-size:9px;padding-right:6px}
.wide th:first-child{position:static}
}
"""
