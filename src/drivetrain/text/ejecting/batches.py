"""The batches of a script of texts: those of about one length together, as the library makes them."""

from __future__ import annotations

from typing import Any

from drivetrain.data.padded import NEIGHBOURHOOD, padded
from drivetrain.eject.parts import Written
from drivetrain.eject.share import FRACTION, kept_rows
from drivetrain.randomness import permutation
from drivetrain.text.ejecting.draft import Draft


def write_batches(draft: Draft) -> None:
    """The functions `batch`, `train_batches` and `valid_batches`."""
    settings = draft.application.settings
    size = settings["batch_size"]
    draft.setting("BATCH_SIZE", size, draft.reason("batch_size"))
    count = len(draft.learner.loaders.train.data)  # pyright: ignore[reportAttributeAccessIssue]
    uses: dict[str, Any] = {"permutation": permutation, "padded": padded}
    kept, form = kept_rows(
        settings.get(FRACTION, 1.0),
        uses,
        draft.setting,
        count="len(part.targets)",
        seed=draft.seed,
        labels="part.targets.tolist()" if draft.goal.kind == "class" else None,
    )
    joins = count > size and count % size == 1
    ends = ""
    chunks = "order.split(BATCH_SIZE)"
    if joins:
        ends = _JOINED
        chunks = "order.tensor_split(ends)"
    many = count > size and not (joins and count == size + 1)
    if many:
        draft.setting(
            "NEIGHBOURHOOD", NEIGHBOURHOOD, "batches' worth of texts that are sorted together"
        )
    text = _BATCHES.format(
        pad=draft.data.tokenizer.pad_id,
        ends=ends,
        near=_NEAR if many else _ALL,
        mixed=_MIXED.format(seed=draft.seed) if many else "",
        seed=draft.seed,
        kept=kept,
        lengths="part.tokens.lengths()" + ("[kept.numpy()]" if kept else ""),
        rows_of_part=form.format("rows"),
        listed=f"list({chunks})" if many else chunks,
    )
    draft.written.append(Written(text, "data", uses))


_JOINED = """    # batchnorm needs two texts, so the last one joins the batch before
    ends = list(range(BATCH_SIZE, len(order) - 1, BATCH_SIZE))
"""

_NEAR = """    near = np.arange(len(order)) // (BATCH_SIZE * NEIGHBOURHOOD)
    order = torch.from_numpy(order[np.lexsort((-lengths[order], near))])
"""
_ALL = """    order = torch.from_numpy(order[np.argsort(-lengths[order], kind="stable")])
"""

_MIXED = """    mixed = permutation(len(chunks) - 1, seed={seed}, epoch=epoch, purpose="batches")
    chunks = [chunks[place] for place in mixed.tolist()] + chunks[-1:]  # not full: stays last
    # the longest comes first, so that memory that does not suffice is noticed at once
    longest = max(range(len(chunks) - 1), key=lambda k: lengths[chunks[k].numpy()].max())
    chunks.insert(0, chunks.pop(longest))
"""

_BATCHES = '''
def batch(part: Part, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Texts side by side, padded at the end (B, T), their lengths (B,), and targets."""
    tokens, lengths = padded(part.tokens.take(rows.numpy()), pad_id={pad})
    return tokens, lengths, part.targets[rows]


def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Texts of about one length together, so that little is padded; drawn anew each epoch."""
{kept}    lengths = {lengths}
    order = permutation(len(lengths), seed={seed}, epoch=epoch).numpy()
{near}{ends}    chunks = {listed}
{mixed}    for rows in chunks:
        yield batch(part, {rows_of_part})


def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The longest texts first."""
    order = torch.from_numpy(np.argsort(-part.tokens.lengths(), kind="stable"))
    for rows in order.split(2 * BATCH_SIZE):
        yield batch(part, rows)
'''
