"""The workbook `embedding`: a word's row is looked up, and a one-hot row times the table is the same.

    vector of word w = table[index of w] = onehot(w) · table
    gradient of the table = onehotᵀ · (gradient of the vectors)

So a row of the table gets the sum of what its words get, and a word that is not in the text gets
nothing. The look-up is by exact match. A word that the vocabulary does not hold takes the row of <unk>.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drivetrain.errors import ConfigError
from drivetrain.sheets.places import at, block
from drivetrain.sheets.workbook import Sheet, Workbook

UNKNOWN = "<unk>"
VOCABULARY = (
    *(UNKNOWN, "we", "read", "a", "page", "and", "then", "write", "it", "again", "slowly", "today"),
)
"""In the order in which they came, not sorted: an exact match does not care."""

WORDS = ("we", "read", "a", "page", "then", "we", "read", "it", "twice", "today")
WIDTH = 4

LOOK_UP, GRADIENT, NEAR = "Look-up", "Gradient", "Near words"

_TABLE = 5
"""Row of the first word of the vocabulary on `Look-up`; its vectors begin in column 2."""

_TEXT = _TABLE + len(VOCABULARY) + 4
_ONE_HOT = 7
_PRODUCT = _ONE_HOT + len(VOCABULARY) + 1


def indices(words: Sequence[str]) -> Tensor:
    """The place of each word in the vocabulary, (L,) int64; 0, that of <unk>, where it is not there."""
    return torch.tensor([VOCABULARY.index(word) if word in VOCABULARY else 0 for word in words])


def starting_table(seed: int) -> Tensor:
    """The vectors, (12, 4) float64, with three decimals."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(VOCABULARY), WIDTH)
    return torch.randn(shape, generator=generator, dtype=torch.float64).round(decimals=3)


def build(*, words: Sequence[str] = WORDS, lr: float = 0.5, seed: int = 42) -> Workbook:
    """The workbook.

    Args:
        words: ten words, in small letters, without the signs * ? ~ that stand for others in MATCH.
        lr: learning rate of the one step on 'Gradient'.
        seed: of the vectors and of the gradient that comes back.
    Raises: ConfigError: there are not ten words, or one has capitals, which a spreadsheet's match does
        not tell from small letters.
    """
    if len(words) != len(WORDS):
        raise ConfigError(f"`words` must be {len(WORDS)} words. Got {len(words)}.")
    strange = [word for word in words if word != word.lower() or set(word) & set("*?~")]
    if strange:
        raise ConfigError(f"`words` must be in small letters, without * ? ~. Got {strange[0]!r}.")
    table = starting_table(seed)
    book = Workbook(
        "Embedding: a look-up that is a matrix product",
        "Words become rows of a table, by looking them up and by a one-hot matrix product.",
    )
    book.guide(
        what="'Look-up' turns ten words into vectors twice; 'Gradient' takes a gradient back into the "
        "table and makes one step; 'Near words' compares one word with all.",
        change=[
            (
                "a word of the text on 'Look-up'",
                "Its index, its one-hot row and both vectors change together. A word that is not in "
                "the vocabulary takes the row of <unk>, and not a wrong word's.",
            ),
            (
                "a number in the table of vectors",
                "It changes at every place where the word stands: the rows are shared.",
            ),
            (
                "the first word to one that stands elsewhere too",
                "On 'Gradient' that word's row gets the sum of the gradients of both places; a row whose "
                "word is no longer used gets 0, and the step leaves it as it was.",
            ),
            (
                "compare_with on 'Near words'",
                "The cosine of every word with that one, and the nearest.",
            ),
        ],
    )
    _look_up(book.sheet(LOOK_UP), words, table)
    _gradient(book.sheet(GRADIENT), words, table, lr, seed)
    _near(book.sheet(NEAR), table)
    return book


def _vocabulary(sheet: str | None = None) -> str:
    return block(_TABLE, 1, len(VOCABULARY), 1, sheet=sheet)


def _vectors(sheet: str | None = None) -> str:
    return block(_TABLE, 2, len(VOCABULARY), WIDTH, sheet=sheet)


def _one_hot(sheet: str | None = None) -> str:
    return block(_TEXT, _ONE_HOT, len(WORDS), len(VOCABULARY), sheet=sheet)


def _look_up(sheet: Sheet, words: Sequence[str], table: Tensor) -> None:
    layer = nn.Embedding.from_pretrained(table)
    places = indices(words)
    with torch.no_grad():
        vectors = layer(places)
        mean = nn.EmbeddingBag.from_pretrained(table, mode="mean")(places[None])[0]
    one_hot = F.one_hot(places, len(VOCABULARY)).double()
    title = "Words to vectors: by looking up, and by a product with one-hot rows"
    sheet.text(0, 0, title, style="title")
    sheet.text(1, 0, "Words in small letters: a spreadsheet's MATCH does not tell 'We' from 'we'.")
    sheet.text(_TABLE - 2, 0, "The table: a row a word", style="head")
    for column, title in enumerate(("index", "word", "v0", "v1", "v2", "v3")):
        sheet.text(_TABLE - 1, column, title, style="head")
    for place, word in enumerate(VOCABULARY):
        sheet.number(_TABLE + place, 0, place, style="index")
        sheet.text(_TABLE + place, 1, word)
    sheet.inputs(_TABLE, 2, table.tolist())

    sheet.text(_TEXT - 2, 0, "The text", style="head")
    sheet.text(_TEXT - 2, 2, "looked up: INDEX and MATCH", style="head")
    sheet.text(_TEXT - 2, _ONE_HOT, "one-hot: 1 at the word's index", style="head")
    sheet.text(_TEXT - 2, _PRODUCT, "one-hot · table", style="head")
    for column, title in enumerate(("word", "index", "v0", "v1", "v2", "v3")):
        sheet.text(_TEXT - 1, column, title, style="head")
    for place in range(len(VOCABULARY)):
        sheet.number(_TEXT - 1, _ONE_HOT + place, place, style="index")
    for number, word in enumerate(words):
        row = _TEXT + number
        sheet.input(row, 0, word)
        found = f"IFERROR(MATCH({at(row, 0)},{_vocabulary()},0)-1,0)"
        sheet.formula(row, 1, found, int(places[number]))
        index = at(row, 1, fix="column")
        for column in range(WIDTH):
            formula = f"INDEX({_vectors()},{index}+1,{column + 1})"
            sheet.formula(row, 2 + column, formula, vectors[number, column])
        for place in range(len(VOCABULARY)):
            formula = f"IF({index}={at(_TEXT - 1, _ONE_HOT + place, fix='row')},1,0)"
            sheet.formula(row, _ONE_HOT + place, formula, one_hot[number, place])
    sheet.heat(_TEXT, _ONE_HOT, len(words), len(VOCABULARY))
    product = (one_hot @ table).tolist()
    sheet.array(_TEXT, _PRODUCT, len(words), WIDTH, f"MMULT({_one_hot()},{_vectors()})", product)
    end = _TEXT + len(words)
    sheet.text(end + 1, 0, "mean")
    looked, made = (block(_TEXT, left, len(words), WIDTH) for left in (2, _PRODUCT))
    for column in range(WIDTH):
        cells = block(_TEXT, 2 + column, len(words), 1)
        sheet.formula(end + 1, 2 + column, f"AVERAGE({cells})", mean[column])
        sheet.check(f"mean of v{column}", at(end + 1, 2 + column), mean[column])
    sheet.text(end + 2, 0, "squared differences")
    sheet.formula(end + 2, 4, f"SUMXMY2({looked},{made})", 0.0)
    sheet.check("looked up less product", at(end + 2, 4), 0.0)
    for number in range(len(words)):
        for column in range(WIDTH):
            value = vectors[number, column]
            sheet.check(
                f"word {number + 1}, v{column}", at(_TEXT + number, _PRODUCT + column), value
            )


def _gradient(sheet: Sheet, words: Sequence[str], table: Tensor, lr: float, seed: int) -> None:
    """The gradient of the vectors goes back to the rows that were used; one step of SGD."""
    generator = torch.Generator().manual_seed(seed + 1)
    shape = (len(words), WIDTH)
    upstream = torch.randn(shape, generator=generator, dtype=torch.float64).round(decimals=2)
    layer = nn.Embedding.from_pretrained(table.clone(), freeze=False)
    layer(indices(words)).backward(upstream)
    assert layer.weight.grad is not None
    gradient = layer.weight.grad.clone()
    torch.optim.SGD(layer.parameters(), lr=lr).step()
    after = layer.weight.detach()
    title = "The gradient of the table: what each place sends back, summed by word"
    sheet.text(0, 0, title, style="title")
    sheet.text(1, 0, "lr")
    sheet.input(1, 1, lr, name="lr", note="learning rate of this one step")
    top = 5
    sheet.text(top - 2, 0, "what comes back at each place", style="head")
    sheet.text(top - 2, 7, "onehotᵀ · that", style="head")
    sheet.text(top - 2, 12, "used", style="head")
    sheet.text(top - 2, 14, "after the step: table - lr · gradient", style="head")
    for left in (1, 8, 14):
        for column in range(WIDTH):
            sheet.text(top - 1, left + column, f"v{column}", style="head")
    for number in range(len(words)):
        sheet.formula(top + number, 0, at(_TEXT + number, 0, sheet=LOOK_UP), words[number])
    sheet.inputs(top, 1, upstream.tolist())
    back = block(top, 1, len(words), WIDTH)
    formula = f"MMULT(TRANSPOSE({_one_hot(LOOK_UP)}),{back})"
    sheet.array(top, 8, len(VOCABULARY), WIDTH, formula, gradient.tolist())
    counts = torch.bincount(indices(words), minlength=len(VOCABULARY))
    for place, word in enumerate(VOCABULARY):
        row = top + place
        sheet.text(row, 7, word)
        used = block(_TEXT, _ONE_HOT + place, len(words), 1, sheet=LOOK_UP)
        sheet.formula(row, 12, f"SUM({used})", counts[place])
        for column in range(WIDTH):
            weight = at(_TABLE + place, 2 + column, sheet=LOOK_UP)
            step = f"{weight}-lr*{at(row, 8 + column)}"
            sheet.formula(row, 14 + column, step, after[place, column])
            name = f"{word}, v{column}"
            sheet.check(f"gradient of {name}", at(row, 8 + column), gradient[place, column])
            sheet.check(f"after the step, {name}", at(row, 14 + column), after[place, column])


def _near(sheet: Sheet, table: Tensor, word: str = "read") -> None:
    """The cosine of one word with all others: 1 the same direction, 0 at right angles."""
    sheet.text(0, 0, "Near words: the cosine between vectors", style="title")
    words = "Nothing was trained, so nearness is chance here; what counts is how it is calculated."
    sheet.text(1, 0, words)
    sheet.text(3, 0, "compare_with")
    sheet.input(3, 1, word, name="compare_with", note="a word of the vocabulary")
    own = VOCABULARY.index(word)
    sheet.text(4, 0, "its index")
    sheet.formula(4, 1, f"IFERROR(MATCH(compare_with,{_vocabulary(LOOK_UP)},0)-1,0)", own)
    top = 8
    for column, title in enumerate(("word", "dot", "length", "cosine")):
        sheet.text(top - 1, column, title, style="head")
    first, last = (f"INDEX({_vectors(LOOK_UP)},{at(4, 1, fix='both')}+1,{k})" for k in (1, WIDTH))
    chosen = f"{first}:{last}"
    cosine = F.cosine_similarity(table, table[own][None], dim=1)
    for place, one in enumerate(VOCABULARY):
        row = top + place
        vector = block(_TABLE + place, 2, 1, WIDTH, sheet=LOOK_UP)
        sheet.text(row, 0, one)
        sheet.formula(row, 1, f"SUMPRODUCT({vector},{chosen})", table[place] @ table[own])
        sheet.formula(row, 2, f"SQRT(SUMSQ({vector}))", table[place].norm())
        length = f"SQRT(SUMSQ({chosen}))"
        sheet.formula(row, 3, f"{at(row, 1)}/({at(row, 2)}*{length})", cosine[place])
        sheet.check(f"cosine with {one}", at(row, 3), cosine[place])
    others = cosine.clone()
    others[own] = -2
    nearest = int(others.argmax())
    sheet.text(5, 0, "nearest other word")
    cosines, words = block(top, 3, len(VOCABULARY), 1), block(top, 0, len(VOCABULARY), 1)
    sheet.formula(
        5, 1, f"INDEX({words},MATCH(LARGE({cosines},2),{cosines},0))", VOCABULARY[nearest]
    )
    sheet.heat(top, 3, len(VOCABULARY), 1)
