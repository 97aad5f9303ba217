"""Descent on f(w) = w²: what the learning rate does, and what momentum adds."""

from __future__ import annotations

from drivetrain.pages.page import Page, Slider, chart


def build() -> Page:
    """The page. Nothing in it is drawn at random."""
    moves = [
        Slider("power", "rate, as 10ⁿ", -3, 0.15, 0.01, -1),
        Slider("momentum", "momentum", 0, 0.99, 0.01, 0),
        Slider("start", "start", -4, 4, 0.1, 3),
        Slider("count", "steps", 1, 60, 1, 12),
    ]
    body = f"""<section class="beside">
<div>{chart("valley", "The parabola and the steps down it")}
{chart("losses", "Loss after each step", height=200)}</div>
<div>{"".join(move.to_html() for move in moves)}
<dl class="numbers">
<dt>learning rate</dt><dd id="rate"></dd>
<dt>w after the last step</dt><dd id="last"></dd>
<dt>loss after the last step</dt><dd id="loss" class="main"></dd>
<dt>each step leaves of w</dt><dd id="factor"></dd></dl>
<p id="verdict" class="formula" role="status"></p>
<div class="buttons"><button data-power="-2.5">Too small</button><button data-power="-1">Good</button>
<button data-power="-0.05">Swings</button><button data-power="0.02">Too large</button></div>
<table aria-label="the first steps">
<thead><tr><th>step</th><th>w</th><th>gradient 2w</th><th>loss w²</th></tr></thead>
<tbody id="rows"></tbody></table>
</div></section>"""
    return Page(
        title="How long a step may be",
        question=(
            "The loss is w², its gradient 2w, and a step is w ← w − rate · gradient. Everything that a "
            "learning rate can do to a training can be seen here with one weight."
        ),
        body=body,
        script="rates",
        data={},
        tries=[
            (
                "Press “Good”: rate 0.1 from 3.",
                "3, 2.4, 1.92, 1.536: each step leaves 1 − 2 · 0.1 = 0.8 of w.",
            ),
            (
                "Go slowly from rate 0.5 to 1 and beyond.",
                "At 0.5 one step arrives. Above it w changes sides at each step, and above 1 it leaves.",
            ),
            (
                "Set a rate of 0.01 and momentum to 0.9.",
                "The same rate is some ten times as fast, goes past the bottom, and comes back.",
            ),
        ],
    )
