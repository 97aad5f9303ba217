"""The workbook `trees`: the score of every cut, a tree of four leaves, and a vote of five trees.

    Gini = 1 - p² - (1 - p)², the chance that two rows drawn from a node differ
    a cut is as good as (rows left · Gini left + rows right · Gini right) / rows is low

Forty-two visitors of a shop, thirty to grow trees from and twelve to test them; every tree of the
vote sees thirty rows drawn with replacement, by a generator of random numbers in cells.

Papers: Breiman et al. 1984 (CART); Breiman 1996, doi:10.1007/BF00058655 (bagging).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivetrain.errors import ConfigError
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Value, Workbook
from drivetrain.trees.splits import split_score

ROWS, TRAIN, TREES = 42, 30, 5
COLUMNS = ("age", "minutes", "returning")
SLOTS = tuple((column, slot) for column, room in enumerate((10, 14, 3)) for slot in range(room))
"""Room for cuts: the column and which of its cuts, a row of a table each."""

_FACTOR, _MODULUS, _THROWN_AWAY = 16807, 2**31 - 1, 3
_BIG = 1_000_000

VISITORS, CUTS, ONE, BAGS, VOTE = "Visitors", "Cuts", "One tree", "Bags", "Vote"

_FIRST = 4
"""Row of the first visitor on `Visitors`, of the first cut on `Cuts`."""

_NODES, _TABLE = 4, 15
_SIDES = _TABLE + len(SLOTS) + 3
_COUNTS = 5 + TRAIN + 4


@dataclass(frozen=True)
class Node:
    """Rows of a node and its best cut; `column` is -1 where there is none."""

    weight: np.ndarray  # (42,) how often each row counts here
    column: int
    cut: float  # rows up to it go left
    after: float  # Gini of the two sides together

    def sides(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The weights of the rows that go left and of those that go right."""
        left = x[:, self.column] <= self.cut
        return self.weight * left, self.weight * ~left


def visitors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(42, 3) float64 age, minutes, returning, and (42,) whether they buy, 0 or 1."""
    draw = np.random.default_rng(seed)
    age, minutes = draw.integers(4, 13, ROWS) * 5, draw.integers(1, 15, ROWS) * 2
    returning = draw.integers(0, 2, ROWS)
    keen = 1.6 * (returning == 1) * (minutes > 12) + 1.8 * (age < 30) - 0.9
    keen = keen + 0.6 * (minutes > 18) * (age >= 30)
    buys = draw.random(ROWS) < 1 / (1 + np.exp(-2 * keen))
    return np.stack([age, minutes, returning], axis=1).astype(float), buys.astype(float)


def bags(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(5, 30) the generator's numbers, and (5, 42) how often each tree has drawn each row."""
    state, found = seed, []
    for place in range(_THROWN_AWAY + TREES * TRAIN):
        state = state * _FACTOR % _MODULUS
        if place >= _THROWN_AWAY:
            found.append(state)
    states = np.array(found).reshape(TREES, TRAIN)
    rows = (states / _MODULUS * TRAIN).astype(int)
    return states, np.stack([np.bincount(row, minlength=ROWS) for row in rows]).astype(float)


def gini(weight: np.ndarray, y: np.ndarray) -> float:
    """The chance that two rows, drawn with replacement, differ in y."""
    p = float(weight @ y / weight.sum())
    return 1 - p**2 - (1 - p) ** 2


def cuts_of(x: np.ndarray) -> list[list[float]]:
    """For each column the middles between the values it holds."""
    return [
        ((values[:-1] + values[1:]) / 2).tolist()
        for values in (np.unique(column) for column in x.T)
    ]


def after_cut(weight: np.ndarray, y: np.ndarray, left: np.ndarray) -> float | None:
    """The Gini of both sides, each by its share of rows; None where a side is empty."""
    sides = weight * left, weight * ~left
    if not all(side.sum() for side in sides):
        return None
    return float(sum(side.sum() * gini(side, y) for side in sides) / weight.sum())


def best_cut(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Node:
    """The first of the best cuts, moved to the middle between the two values next to it in the node."""
    found: list[tuple[float, int, float]] = []
    for column, cuts in enumerate(cuts_of(x)):
        for cut in cuts:
            value = after_cut(weight, y, x[:, column] <= cut)
            if value is not None:
                found.append((value, column, cut))
    if not found:
        return Node(weight, 0, float(_BIG), float("nan"))
    value, column, cut = min(found, key=lambda entry: entry[0])
    here = x[weight > 0, column]
    cut = (here[here <= cut].max() + here[here > cut].min()) / 2
    return Node(weight, column, float(cut), value)


def grown(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[Node, Node, Node]:
    """The root and its two children, each with its best cut."""
    root = best_cut(x, y, weight)
    left, right = (best_cut(x, y, side) for side in root.sides(x))
    return root, left, right


def build(*, seed: int = 42, visitors_seed: int = 20) -> Workbook:
    """The workbook.

    Args:
        seed: of the five draws of rows, a whole number from 1 to 2147483646.
        visitors_seed: of the forty-two visitors.
    Raises: ConfigError: `seed` is outside its range.
    """
    if not 1 <= seed < _MODULUS:
        raise ConfigError(f"`seed` must be 1 to {_MODULUS - 1}. Got {seed}.")
    x, y = visitors(visitors_seed)
    states, counts = bags(seed)
    train = (np.arange(ROWS) < TRAIN).astype(float)
    book = Workbook(
        "Trees: every cut, the best cut, a vote",
        "Which visitors buy? Questions with two answers, chosen by counting.",
    )
    book.guide(
        what="'Visitors' holds the rows; 'Cuts' every place where a column can be cut; 'One tree' scores "
        "them all and grows four leaves; 'Bags' draws rows with replacement, and 'Tree 1' to 'Tree 5' "
        "grow from those; 'Vote' counts their answers.",
        change=[
            (
                "buys of one visitor on 'Visitors' from 0 to 1",
                "All scores on 'One tree' move; a close second may become the best cut, and everything "
                "below it changes: a single tree hangs on single rows.",
            ),
            (
                "the sentence for Gini",
                "It is the chance that two visitors drawn from the node differ, not that they are the "
                "same: a node of one kind has Gini 0, an even one 0.5.",
            ),
            (
                "seed on 'Bags'",
                "Other draws, other five trees; their vote moves less than each of them.",
            ),
            (
                "age of all visitors to the same number",
                "A column of one value has no cut, and the trees do without it.",
            ),
        ],
    )
    _visitors(book.sheet(VISITORS), x, y)
    _cuts(book.sheet(CUTS), x)
    _tree(book.sheet(ONE), "One tree from the thirty training rows", x, y, train, None)
    _bags(book.sheet(BAGS), states, counts, seed)
    for number in range(TREES):
        title = f"Tree {number + 1} of the vote: its rows are drawn on 'Bags'"
        _tree(book.sheet(f"Tree {number + 1}"), title, x, y, counts[number], number)
    _vote(book.sheet(VOTE), x, y, train, counts)
    return book


# --- rows and cuts --------------------------------------------------------------------------------


def _x() -> str:
    return block(_FIRST, 1, ROWS, len(COLUMNS), sheet=VISITORS)


def _y() -> str:
    return block(_FIRST, 4, ROWS, 1, sheet=VISITORS)


def _visitors(sheet: Sheet, x: np.ndarray, y: np.ndarray) -> None:
    sheet.text(0, 0, "Visitors of a shop: who buys?", style="title")
    words = (
        "returning and buys are 1 for yes and 0 for no; the last twelve rows are kept for the test."
    )
    sheet.text(1, 0, words)
    for column, title in enumerate(("visitor", *COLUMNS, "buys", "for")):
        sheet.text(_FIRST - 1, column, title, style="head")
    for row in range(ROWS):
        sheet.number(_FIRST + row, 0, row + 1, style="index")
        sheet.text(_FIRST + row, 5, "train" if row < TRAIN else "test")
    sheet.inputs(_FIRST, 1, x.tolist())
    sheet.inputs(_FIRST, 4, y[:, None].tolist())
    sheet.widths(0, 10, 10)
    sheet.text(_FIRST, 7, "share that buys, train")
    sheet.formula(_FIRST, 10, f"AVERAGE({block(_FIRST, 4, TRAIN, 1)})", y[:TRAIN].mean())
    sheet.text(_FIRST + 1, 7, "share that buys, test")
    cells = block(_FIRST + TRAIN, 4, ROWS - TRAIN, 1)
    sheet.formula(_FIRST + 1, 10, f"AVERAGE({cells})", y[TRAIN:].mean())


def _cuts(sheet: Sheet, x: np.ndarray) -> None:
    """Every value of a column, the next larger one, and the middle between them."""
    title = "Where a column can be cut: in the middle between two values that it holds"
    sheet.text(0, 0, title, style="title")
    sheet.text(1, 0, "There is room for 10 cuts of the age, 14 of the minutes and 3 of returning.")
    for column, title in enumerate(("column", "", "value", "next", "cut")):
        sheet.text(_FIRST - 1, column, title, style="head")
    values = [np.unique(column).tolist() for column in x.T]
    for row, (number, slot) in enumerate(SLOTS, start=_FIRST):
        cells = block(_FIRST, 1 + number, ROWS, 1, sheet=VISITORS)
        here, after = (
            values[number][k] if k < len(values[number]) else "" for k in (slot, slot + 1)
        )
        own, following, cut = (at(row, column) for column in (2, 3, 4))
        sheet.number(row, 0, number + 1, style="index")
        middle: float | str = ""
        if isinstance(here, float) and isinstance(after, float):
            middle = (here + after) / 2
        sheet.formula(
            row, 1, f'IF({cut}="","","{COLUMNS[number]}")', COLUMNS[number] if after else ""
        )
        sheet.formula(row, 2, at(row - 1, 3) if slot else f"MIN({cells})", here)
        larger = f"SMALL({cells},SUMPRODUCT(1*({cells}<={own}))+1)"
        formula = f'IF({own}="","",IF({own}>=MAX({cells}),"",{larger}))'
        sheet.formula(row, 3, formula, after)
        sheet.formula(row, 4, f'IF({following}="","",({own}+{following})/2)', middle)


# --- one tree -------------------------------------------------------------------------------------


def _gini(rows: str, yes: str) -> str:
    return f"1-({yes}/{rows})^2-(1-{yes}/{rows})^2"


def _tree(
    sheet: Sheet, title: str, x: np.ndarray, y: np.ndarray, weight: np.ndarray, bag: int | None
) -> None:
    """Scores of all cuts for the root and its children, the tree, and where every row goes."""
    root, left, right = grown(x, y, weight)
    sheet.text(0, 0, title, style="title")
    sheet.widths(0, 16, 8.7)
    sentence = "Gini: the chance that two rows drawn from a node differ. "
    sheet.text(1, 0, sentence + "The cut with the lowest Gini of both sides is taken.")
    titles = ("node", "column", "", "cut at", "rows", "buy", "share", "Gini", "after the cut")
    for column, head in enumerate(titles):
        sheet.text(_NODES - 1, column, head, style="head")
    weights = {"root": 1, "left": 7, "right": 8}  # columns of the table of rows
    scores = {"root": 9, "left": 13, "right": 16}  # columns of the table of cuts
    nodes = {"root": root, "left": left, "right": right}
    for line, (name, node) in enumerate(nodes.items()):
        row = _NODES + line
        sheet.text(row, 0, name)
        own = block(_SIDES, weights[name], ROWS, 1)
        table = block(_TABLE, scores[name], len(SLOTS), 1)
        numbers = block(_TABLE, 0, len(SLOTS), 1)
        raw = f"INDEX({block(_TABLE, 2, len(SLOTS), 1)},MATCH(MIN({table}),{table},0))"
        some = f"COUNT({table})>0"
        chosen = f"IF({some},INDEX({numbers},MATCH(MIN({table}),{table},0)),1)"
        sheet.formula(row, 2, chosen, node.column + 1)
        names = block(_FIRST - 1, 1, 1, len(COLUMNS), sheet=VISITORS)
        known = not np.isnan(node.after)
        shown = COLUMNS[node.column] if known else "no cut"
        sheet.formula(row, 1, f'IF({some},INDEX({names},{at(row, 2)}),"no cut")', shown)
        cells = f"INDEX({_x()},1,{at(row, 2)}):INDEX({_x()},{ROWS},{at(row, 2)})"
        low = f"SUMPRODUCT(MAX(({own}>0)*({cells}<={raw})*({cells}+{_BIG})))-{_BIG}"
        high = f"{_BIG}-SUMPRODUCT(MAX(({own}>0)*({cells}>{raw})*({_BIG}-{cells})))"
        sheet.formula(row, 3, f"IF({some},({low}+{high})/2,{_BIG})", node.cut)
        _counts(sheet, row, own, node.weight, y)
        after = f'IF({some},MIN({table}),"")'
        sheet.formula(row, 8, after, node.after if known else "")
        sheet.check(f"{name}: cut", at(row, 3), node.cut)
        if known:
            sheet.check(f"{name}: Gini after the cut", at(row, 8), node.after)
    leaf_weights = (*left.sides(x), *right.sides(x))
    for leaf, words in enumerate(("left, left", "left, right", "right, left", "right, right")):
        row = _NODES + 3 + leaf
        sheet.text(row, 0, words)
        column = block(_SIDES, 4, ROWS, 1)
        own = f"({column}={leaf + 1})*{block(_SIDES, 1, ROWS, 1)}"
        _counts(sheet, row, own, leaf_weights[leaf], y)
        if leaf_weights[leaf].sum():
            share = leaf_weights[leaf] @ y / leaf_weights[leaf].sum()
            sheet.check(f"leaf {leaf + 1}: share that buys", at(row, 6), share)
    _scores(sheet, x, y, nodes, weights)
    _sides(sheet, x, y, nodes, bag)


def _counts(sheet: Sheet, row: int, own: str, weight: np.ndarray, y: np.ndarray) -> None:
    """Rows, those that buy, their share, and the Gini of a node."""
    rows, yes = float(weight.sum()), float(weight @ y)
    sheet.formula(row, 4, f"SUMPRODUCT(1*{own})" if "*" in own else f"SUM({own})", rows)
    sheet.formula(row, 5, f"SUMPRODUCT({own},{_y()})", yes)
    n, k = at(row, 4), at(row, 5)
    sheet.formula(row, 6, f"IF({n}=0,0,{k}/{n})", yes / rows if rows else 0.0)
    sheet.formula(row, 7, f"IF({n}=0,0,{_gini(n, k)})", gini(weight, y) if rows else 0.0)


def _scores(
    sheet: Sheet, x: np.ndarray, y: np.ndarray, nodes: dict[str, Node], weights: dict[str, int]
) -> None:
    """Every cut, for the root in full, for its children in short."""
    for left, words in ((3, "root"), (11, "left of the root"), (14, "right of the root")):
        sheet.text(_TABLE - 2, left, words, style="head")
    titles = (
        *("column", "", "cut", "rows left", "buy", "rows right", "buy", "Gini left", "Gini right"),
        *("both", "std score", "rows left", "buy", "both", "rows left", "buy", "both"),
    )
    for column, title in enumerate(titles):
        sheet.text(_TABLE - 1, column, title, style="head")
    root = nodes["root"].weight
    repeated = np.repeat(np.arange(ROWS), root.astype(int))
    all_cuts = cuts_of(x)
    for line, (number, slot) in enumerate(SLOTS):
        row, there, name = _TABLE + line, _FIRST + line, COLUMNS[number]
        real = slot < len(all_cuts[number])
        cut = all_cuts[number][slot] if real else 0.0
        goes = x[:, number] <= cut
        own = at(row, 2, fix="column")

        def write(column: int, formula: str, value: Value, row: int = row, own: str = own) -> None:
            """A formula that stays empty where there is no cut."""
            sheet.formula(row, column, f'IF({own}="","",{formula})', "" if value is None else value)

        sheet.number(row, 0, number + 1, style="index")
        write(1, f'"{name}"', name if real else None)
        sheet.formula(row, 2, at(there, 4, sheet=CUTS), cut if real else "")
        cells = block(_FIRST, 1 + number, ROWS, 1, sheet=VISITORS)
        for node, first in (("root", 3), ("left", 11), ("right", 14)):
            weight = nodes[node].weight
            rows = block(_SIDES, weights[node], ROWS, 1)
            n, k = at(row, first), at(row, first + 1)
            above = _NODES + list(nodes).index(node)
            all_n, all_k = (at(above, column, fix="both") for column in (4, 5))
            side = float((weight * goes).sum()), float((weight * goes) @ y)
            write(first, f"SUMPRODUCT({rows},1*({cells}<={own}))", side[0] if real else None)
            write(
                first + 1,
                f"SUMPRODUCT({rows},1*({cells}<={own}),{_y()})",
                side[1] if real else None,
            )
            both = after_cut(weight, y, goes) if real and weight.sum() else None
            m, j = f"({all_n}-{n})", f"({all_k}-{k})"
            if node == "root":
                m, j = at(row, 5), at(row, 6)
                other = weight.sum() - side[0], weight @ y - side[1]
                write(5, f"{all_n}-{n}", float(other[0]) if real else None)
                write(6, f"{all_k}-{k}", float(other[1]) if real else None)
                for column, count, yes, rows_here in (
                    (7, n, k, weight * goes),
                    (8, m, j, weight * ~goes),
                ):
                    value = gini(rows_here, y) if real and rows_here.sum() else None
                    write(column, f'IF({count}=0,"",{_gini(count, yes)})', value)
                blended = f"({n}*{at(row, 7)}+{m}*{at(row, 8)})/{all_n}"
                write(9, f'IF(OR({n}=0,{m}=0),"",{blended})', both)
                std = [
                    f"IF({count}>1,{count}*SQRT(ABS({yes}-{yes}^2/{count})/({count}-1)),0)"
                    for count, yes in ((n, k), (m, j))
                ]
                score = split_score(x[repeated, number], y[repeated], cut) if real else None
                write(10, f"({std[0]}+{std[1]})/{all_n}", score)
                if score is not None:
                    sheet.check(f"{name} up to {cut:g}: std score", at(row, 10), score)
            else:
                blended = f"({n}*({_gini(n, k)})+{m}*({_gini(m, j)}))/{all_n}"
                write(first + 2, f'IF(OR({n}=0,{n}={all_n}),"",{blended})', both)
    for column in (9, 13, 16):
        sheet.heat(_TABLE, column, len(SLOTS), 1)


def _sides(
    sheet: Sheet, x: np.ndarray, y: np.ndarray, nodes: dict[str, Node], bag: int | None
) -> None:
    """Where every row goes, and what the tree answers."""
    titles = (
        *("visitor", "counts", "buys", "root left", "leaf", "share", "answer", "n left", "n right"),
    )
    for column, title in enumerate(titles):
        sheet.text(_SIDES - 1, column, title, style="head")
    root, left, right = nodes["root"], nodes["left"], nodes["right"]
    leaf, shares = leaves(x, y, (root, left, right))
    for row in range(ROWS):
        line = _SIDES + row
        sheet.number(line, 0, row + 1, style="index")
        if bag is None:
            counted = f'IF({at(_FIRST + row, 5, sheet=VISITORS)}="train",1,0)'
        else:
            counted = at(_COUNTS + row, 1 + bag, sheet=BAGS)
        sheet.formula(line, 1, counted, root.weight[row])
        sheet.formula(line, 2, at(_FIRST + row, 4, sheet=VISITORS), y[row])
        cells = block(_FIRST + row, 1, 1, len(COLUMNS), sheet=VISITORS)
        asks = [
            f"INDEX({cells},1,{at(_NODES + node, 2, fix='both')})<={at(_NODES + node, 3, fix='both')}"
            for node in range(3)
        ]
        goes = x[row, root.column] <= root.cut
        sheet.formula(line, 3, f"IF({asks[0]},1,0)", int(goes))
        formula = f"IF({at(line, 3)}=1,IF({asks[1]},1,2),IF({asks[2]},3,4))"
        sheet.formula(line, 4, formula, int(leaf[row]))
        found = block(_NODES + 3, 6, 4, 1)
        sheet.formula(line, 5, f"INDEX({found},{at(line, 4)})", shares[row])
        sheet.formula(line, 6, f"IF({at(line, 5)}>0.5,1,0)", int(shares[row] > 0.5))
        sheet.formula(line, 7, f"{at(line, 1)}*{at(line, 3)}", root.weight[row] * goes)
        sheet.formula(line, 8, f"{at(line, 1)}*(1-{at(line, 3)})", root.weight[row] * (not goes))


def leaves(
    x: np.ndarray, y: np.ndarray, nodes: tuple[Node, Node, Node]
) -> tuple[np.ndarray, np.ndarray]:
    """(42,) the leaf of each row, 1 to 4, and (42,) the share that buys there."""
    _, left, right = nodes
    sides = [x[:, node.column] <= node.cut for node in nodes]
    leaf = np.where(sides[0], np.where(sides[1], 1, 2), np.where(sides[2], 3, 4))
    weights = (*left.sides(x), *right.sides(x))
    shares = np.array([w @ y / w.sum() if w.sum() else 0.0 for w in weights])
    return leaf, shares[leaf - 1]


# --- five trees -----------------------------------------------------------------------------------


def _bags(sheet: Sheet, states: np.ndarray, counts: np.ndarray, seed: int) -> None:
    """Thirty draws for each tree, and how often each visitor was drawn."""
    sheet.text(0, 0, "Thirty rows for each tree, drawn with replacement", style="title")
    sheet.widths(0, 9, 12)
    rule = "x' = 16807·x mod (2^31 - 1), row = whole part of 30·x / (2^31 - 1), plus 1; "
    sheet.text(1, 0, rule + "three numbers are thrown away")
    sheet.text(2, 0, "seed")
    sheet.input(2, 1, seed, name="seed", note="1 to 2147483646")
    before, value = "seed", seed
    for place in range(_THROWN_AWAY):
        value = value * _FACTOR % _MODULUS
        sheet.formula(2, 3 + 2 * place, f"MOD({_FACTOR}*{before},{_MODULUS})", value)
        before = at(2, 3 + 2 * place)
    top = 5
    for tree in range(TREES):
        sheet.text(top - 1, 2 * tree, f"tree {tree + 1}: x", style="head")
        sheet.text(top - 1, 2 * tree + 1, "row", style="head")
        for draw in range(TRAIN):
            state = int(states[tree, draw])
            sheet.formula(top + draw, 2 * tree, f"MOD({_FACTOR}*{before},{_MODULUS})", state)
            before = at(top + draw, 2 * tree)
            row = int(state / _MODULUS * TRAIN) + 1
            sheet.formula(top + draw, 2 * tree + 1, f"INT({before}/{_MODULUS}*{TRAIN})+1", row)
    words = "How often each visitor was drawn; 0 is out of the bag"
    sheet.text(_COUNTS - 2, 0, words, style="head")
    for tree in range(TREES):
        sheet.text(_COUNTS - 1, 1 + tree, f"tree {tree + 1}", style="head")
    for row in range(ROWS):
        sheet.number(_COUNTS + row, 0, row + 1, style="index")
        for tree in range(TREES):
            drawn = block(top, 2 * tree + 1, TRAIN, 1)
            formula = f"COUNTIF({drawn},{at(_COUNTS + row, 0, fix='column')})"
            sheet.formula(_COUNTS + row, 1 + tree, formula, counts[tree, row])
    sheet.heat(_COUNTS, 1, ROWS, TREES)


def _vote(
    sheet: Sheet, x: np.ndarray, y: np.ndarray, train: np.ndarray, counts: np.ndarray
) -> None:
    """Every tree's answer, the majority, and how often they are right."""
    sheet.text(0, 0, "Five trees vote", style="title")
    sheet.widths(0, 12, 9)
    top = 14
    heads = (
        "visitor",
        "for",
        "buys",
        "one tree",
        *(f"tree {n + 1}" for n in range(TREES)),
        "vote",
        "asked",
        "yes",
        "outside",
    )
    for column, head in enumerate(heads):
        sheet.text(top - 1, column, head, style="head")
    answers = [leaves(x, y, grown(x, y, weight))[1] > 0.5 for weight in (train, *counts)]
    votes = np.stack(answers[1:])
    vote = votes.sum(0) > TREES / 2
    outside = counts == 0
    asked, yes = outside.sum(0), (outside & votes).sum(0)
    for row in range(ROWS):
        line = top + row
        sheet.number(line, 0, row + 1, style="index")
        sheet.formula(
            line, 1, at(_FIRST + row, 5, sheet=VISITORS), "train" if row < TRAIN else "test"
        )
        sheet.formula(line, 2, at(_FIRST + row, 4, sheet=VISITORS), y[row])
        for number, answer in enumerate(answers):
            name = f"Tree {number}" if number else ONE
            sheet.formula(line, 3 + number, at(_SIDES + row, 6, sheet=name), int(answer[row]))
        five = block(line, 4, 1, TREES)
        sheet.formula(line, 4 + TREES, f"IF(SUM({five})>{TREES / 2:g},1,0)", int(vote[row]))
        bag = block(_COUNTS + row, 1, 1, TREES, sheet=BAGS)
        sheet.formula(line, 5 + TREES, f"COUNTIF({bag},0)", int(asked[row]))
        sheet.formula(line, 6 + TREES, f"SUMPRODUCT(1*({bag}=0),{five})", int(yes[row]))
        outcome = int(2 * yes[row] > asked[row]) if asked[row] else ""
        n, k = at(line, 5 + TREES), at(line, 6 + TREES)
        sheet.formula(line, 7 + TREES, f'IF({n}=0,"",IF(2*{k}>{n},1,0))', outcome)
    for column, head in enumerate(heads[3:10]):
        sheet.text(3, 3 + column, head, style="head")
    sheet.text(2, 0, "How many are right", style="head")
    right = [answer == y for answer in (*answers, vote)]
    for line, (words, rows, first) in enumerate(
        (("train", TRAIN, 0), ("test", ROWS - TRAIN, TRAIN))
    ):
        sheet.text(4 + line, 0, f"{words}: of {rows}")
        truth = block(top + first, 2, rows, 1)
        for column in range(len(right)):
            own = block(top + first, 3 + column, rows, 1)
            count = int(right[column][first : first + rows].sum())
            sheet.formula(4 + line, 3 + column, f"SUMPRODUCT(1*({own}={truth}))", count)
            sheet.check(f"{heads[3 + column]}: right on {words}", at(4 + line, 3 + column), count)
    words = "Vote of the trees that have not seen a row, on the training rows: right, asked"
    sheet.text(7, 0, words)
    own, truth = block(top, 7 + TREES, TRAIN, 1), block(top, 2, TRAIN, 1)
    some = asked[:TRAIN] > 0
    correct = ((2 * yes > asked) == y)[:TRAIN] & some
    sheet.formula(8, 3, f'SUMPRODUCT(({own}={truth})*({own}<>""))', int(correct.sum()))
    sheet.formula(8, 4, f"COUNT({own})", int(some.sum()))
    sheet.check("vote outside the bag: right", at(8, 3), int(correct.sum()))
