"""What came out: the result beside simple rules, with intervals; and the model, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivetrain.interpret.text import number, span
from drivetrain.models.summary import LayerRow, Summary
from drivetrain.report.charts import Measure, interval_chart
from drivetrain.report.evidence import Evidence
from drivetrain.report.galleries import gallery_blocks
from drivetrain.report.html import Block, Section, charted, details, pairs, paragraph, table
from drivetrain.report.maps import map_blocks
from drivetrain.report.record import LONG, Record, Result, Score, better, called
from drivetrain.report.svg import safe

MOST_LAYERS = 24


def all_baselines(result: Result, evidence: Evidence) -> list[Score]:
    """Those of the run, and those that were measured for the report."""
    more = [Score(b.name, b.value, b.low, b.high) for b in evidence.baselines]
    return [*result.baselines, *more]


def verdict(result: Result, evidence: Evidence) -> str:
    """What the result is worth, in a sentence."""
    others = all_baselines(result, evidence)
    metric = called(result.metric)
    if not others:
        return (
            f"No simple rule was measured beside this {metric}: nobody can say yet if it is good."
        )
    sign = 1 if result.higher_is_better else -1
    best = max(others, key=lambda score: sign * score.value)
    is_better = result.beats(best)
    rival = f"the best simple rule ({called(best.name)}, {number(best.value)})"
    if is_better is None:
        likely = result.may_beat(best)
        if likely is None:
            return f"It cannot be told from {rival}: either may be the better one."
        word = "better" if likely else "worse"
        return f"It is likely {word} than {rival}, though their intervals touch."
    if None in (result.own.low, best.low):
        word = "better" if is_better else "worse"
        return f"It is {word} than {rival}; how much of that is chance was not measured."
    if is_better:
        return f"It beats {rival} by more than chance."
    return f"It is worse than {rival}: use that one, or find out why."


def outcome(record: Record, evidence: Evidence) -> Section | None:
    """The result's section; None where training is not finished."""
    result = record.result
    if result is None:
        return None
    blocks = [against(result, evidence, "Beside simple rules"), _metrics(result)]
    results = record.value.get("results", {})
    board = _leaderboard(results, result)
    lists = _lists(results)
    blocks += [block for block in (board, lists) if block is not None]
    return Section("result", "The result", blocks, verdict(result, evidence))


def against(result: Result, evidence: Evidence, title: str) -> Block:
    """A result and the simple rules beside it, best first, with their intervals."""
    metric = called(result.metric)
    sign = -1 if result.higher_is_better else 1
    others = sorted(all_baselines(result, evidence), key=lambda score: sign * score.value)
    own = result.own
    measures = [Measure(own.name, own.value, own.low, own.high, "own")]
    measures += [Measure(called(s.name), s.value, s.low, s.high) for s in others]
    way = "more is better" if result.higher_is_better else "less is better"
    chart = interval_chart(f"{metric} with 95% intervals", measures, below=f"{metric}; {way}")
    rows = [[m.name, number(m.value), span(m.low, m.high)] for m in measures]
    told = "".join(
        f"<li><b>{safe(called(b.name))}</b>: {safe(b.what)}</li>" for b in evidence.baselines
    )
    inside = charted(chart, ["", metric, "95% interval"], rows)
    return Block(title, inside + (f"<ul class='plain'>{told}</ul>" if told else ""))


def _metrics(result: Result) -> Block:
    rows = [
        [LONG.get(name, called(name)), number(value), better(name)]
        for name, value in result.metrics.items()
    ]
    count = result.items.get("sample_valid", result.items.get("valid"))
    of = paragraph(f"On {count:,} validation items.", "quiet") if count else ""
    return Block("All measures", of + table(["", "value", "better"], rows))


def _leaderboard(results: Mapping[str, Any], result: Result) -> Block | None:
    board = results.get("leaderboard")
    if not isinstance(board, list):
        return None
    rows = []
    for entry in board:
        metrics = entry.get("metrics") if isinstance(entry, dict) else None
        if not isinstance(metrics, dict) or not isinstance(metrics.get(result.metric), int | float):
            continue
        interval = entry.get("interval")
        low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
        rows.append(
            [
                entry.get("model", ""), number(metrics[result.metric]), span(low, high),
                f"{float(entry.get('seconds') or 0):.1f}",
                str(entry.get("note") or entry.get("what") or ""),
            ]
        )  # fmt: skip
    left_out = results.get("left_out")
    told = left_out.items() if isinstance(left_out, dict) else ()
    below = "".join(paragraph(f"{name} is left out: {why}", "quiet") for name, why in told)
    heads = ["model", called(result.metric), "95% interval", "seconds", ""]
    return Block("All models that were tried", table(heads, rows, left=(0, 4)) + below, wide=True)


def _lists(results: Mapping[str, Any]) -> Block | None:
    """What lists of recommendations are worth, of runs of ratings."""
    lists = results.get("lists")
    metrics = lists.get("metrics") if isinstance(lists, dict) else None
    if not isinstance(lists, dict) or not isinstance(metrics, dict):
        return None
    rows = [[LONG.get(name, called(name)), number(value)] for name, value in metrics.items()]
    baselines = lists.get("baselines")
    for name, one in baselines.items() if isinstance(baselines, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("ndcg"), int | float):
            rows.append([f"NDCG of {called(name)}", number(one["ndcg"])])
    said = (
        f"Lists of the {lists.get('k')} highest predictions, counted right where a rating of "
        f"{lists.get('liked_from')} or more was held back. The model is trained for ratings, not lists."
    )
    return Block("Lists of recommendations", paragraph(said, "quiet") + table(["", "value"], rows))


def layers(evidence: Evidence, record: Record) -> Section | None:
    """What the model is made of."""
    summary = evidence.layers
    blocks = []
    if summary is not None:
        facts = [
            ("parameters", f"{summary.parameters:,}"),
            ("of them trained", f"{summary.trainable:,}"),
            ("activations of an item", f"{summary.activations:,}"),
            ("layers", f"{len(summary.rows):,}"),
        ]
        told = "".join(paragraph(line, "quiet") for line in _ends(summary))
        blocks.append(Block("In short", pairs(facts) + told))
        rows = [_layer(row) for row in summary.rows]
        heads = ["layer", "kind", "activations", "parameters"]
        shown = table(heads, rows[:MOST_LAYERS], left=(0, 1))
        if len(rows) > MOST_LAYERS:
            more = table(heads, rows[MOST_LAYERS:], left=(0, 1), most=600)
            shown += details(f"{len(rows) - MOST_LAYERS:,} more layers", more)
        blocks.append(Block("Layer by layer", shown, wide=True))
    if evidence.facts_of_model:
        blocks.append(Block("What is known of it", pairs(evidence.facts_of_model)))
    blocks += gallery_blocks(evidence, "model")
    if evidence.map is not None and not evidence.map.said:
        blocks += map_blocks(evidence.map, f"Which {evidence.map.noun} lie together")
    if not blocks:
        return None
    return Section("model", f"The model: {record.model}".rstrip(": "), blocks)


def _layer(row: LayerRow) -> list[object]:
    shape = "" if row.output_shape is None else " x ".join(map(str, row.output_shape[1:]))
    frozen = " (frozen)" if row.parameters and not row.trainable else ""
    return [row.path, row.kind, shape or "-", f"{row.parameters:,}{frozen}"]


def _ends(summary: Summary) -> list[str]:
    return [line for line in (summary.stem, summary.head, summary.loss) if line]
