"""A language model of "one . two . three . …" from nothing: chapter 12, to the printed digit.

Three words in, the next word out; the same three layers first written out, then in a loop. 24 figures
are printed in the book, and every one depends on all that training does: initial weights, order of the
batches, AdamW, schedule of rate and momentum, smoothing. So they hold a training loop to account.

    python examples/published/human_numbers.py [--write]        # needs the data folder `human_numbers`
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from table import Row, data_folder, report
from torch import Tensor, nn

import drivetrain as dt

EPOCHS, LR, BATCH_SIZE, WIDTH = 4, 1e-3, 64, 64


# --- data -----------------------------------------------------------------------------------------


def triples(folder: Path) -> tuple[Tensor, Tensor, int]:
    """Three words (N, 3), the word after them (N,), and the number of different words.

    Words are numbered as they are met; the next triple begins three words on.
    """
    lines = [
        line.strip()
        for part in ("train", "valid")
        for line in (folder / f"{part}.txt").read_text("utf-8").splitlines()
    ]
    words = " . ".join(lines).split(" ")
    number_of = {word: number for number, word in enumerate(dict.fromkeys(words))}
    numbers = torch.tensor([number_of[word] for word in words])
    starts = torch.arange(0, len(words) - 4, 3)
    return numbers[starts[:, None] + torch.arange(3)], numbers[starts + 3], len(number_of)


def loaders(inputs: Tensor, targets: Tensor) -> dt.Loaders:
    """The last fifth validates. Nothing is shuffled: the text has an order."""
    cut = int(len(inputs) * 0.8)
    train = dt.TensorData(inputs[:cut], targets[:cut])
    valid = dt.TensorData(inputs[cut:], targets[cut:])
    return dt.Loaders(
        dt.BatchLoader(train, batch_size=BATCH_SIZE, drop_last=True),
        dt.BatchLoader(valid, batch_size=BATCH_SIZE),
    )


# --- models ---------------------------------------------------------------------------------------


class WrittenOut(nn.Module):
    """The book's first: each word is added to what was made of those before it."""

    def __init__(self, num_words: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_words, width)
        self.mix = nn.Linear(width, width)
        self.score = nn.Linear(width, num_words)

    def forward(self, words: Tensor) -> Tensor:
        state = F.relu(self.mix(self.embed(words[:, 0])))
        state = F.relu(self.mix(state + self.embed(words[:, 1])))
        state = F.relu(self.mix(state + self.embed(words[:, 2])))
        return self.score(state)  # (B, num_words)


class Looped(WrittenOut):
    """The book's second: the same as a loop, which is a recurrent net."""

    def forward(self, words: Tensor) -> Tensor:
        state = torch.zeros(())
        for position in range(words.shape[1]):
            state = F.relu(self.mix(state + self.embed(words[:, position])))
        return self.score(state)


# --- training -------------------------------------------------------------------------------------


class SmoothedLoss(dt.Callback):
    """The training loss as fastai prints it: a running mean in which each batch weighs 2%.

    It starts from 0, which is divided out, and goes on from epoch to epoch. Drivetrain's own
    `train_loss` is the true mean over the epoch's items.
    """

    def __init__(self, beta: float = 0.98) -> None:
        self.beta = beta
        self.mean = 0.0
        self.count = 0

    def after_loss(self, state) -> None:
        self.mean = self.beta * self.mean + (1 - self.beta) * state.loss.item()
        self.count += 1

    def before_validate(self, state) -> None:
        state.row["smoothed_loss"] = self.mean / (1 - self.beta**self.count)


def train(model: nn.Module, data: dt.Loaders, optimizer: Callable) -> list[tuple[float, ...]]:
    """Four epochs of 1cycle; smoothed training loss, validation loss and accuracy of each."""
    learner = dt.Learner(
        model,
        data,
        "cross_entropy",
        optimizer,
        metrics=["accuracy"],
        callbacks=[SmoothedLoss()],
        weight_decay=0.01,
        num_threads=1,
        progress=False,
    )
    learner.fit_one_cycle(EPOCHS, LR)
    return [tuple(row[column] for column in COLUMNS) for row in learner.history]


COLUMNS = ("smoothed_loss", "valid_loss", "accuracy")


def train_both(folder: Path, optimizer: Callable = dt.optim.adamw) -> list[list[tuple[float, ...]]]:
    """The book's two models one after the other, on the random numbers that the book drew.

    The book seeds torch's global generator once. From it come the first model's weights; then one draw
    for each pass over a torch loader: two an epoch, and one more to count words; then the second's
    weights. A Learner leaves the global generator as it finds it, so those draws are made here.
    """
    inputs, targets, num_words = triples(folder)
    data = loaders(inputs, targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)  # noqa: TID251 - the book's numbers begin with this
        first = WrittenOut(num_words, WIDTH)
        for _ in range(2 * EPOCHS + 1):
            torch.empty((), dtype=torch.int64).random_()
        second = Looped(num_words, WIDTH)
    return [train(first, data, optimizer), train(second, data, optimizer)]


BOOK = {
    "written out": [
        (1.824297, 1.970941, 0.467554),
        (1.386973, 1.823242, 0.467554),
        (1.417556, 1.654497, 0.494414),
        (1.376440, 1.650849, 0.494414),
    ],
    "in a loop": [
        (1.816274, 1.964143, 0.460185),
        (1.423805, 1.739964, 0.473259),
        (1.430327, 1.685172, 0.485382),
        (1.388390, 1.657033, 0.470406),
    ],
}


def find_rows() -> list[Row]:
    """The 24 printed figures."""
    found = train_both(data_folder("human_numbers"))
    names = ("train, smoothed", "valid", "accuracy")
    return [
        Row(f"{model}, epoch {epoch}, {name}", (book,), (here,), 1.5e-6, 6)
        for (model, published), ours in zip(BOOK.items(), found, strict=True)
        for epoch, (printed, row) in enumerate(zip(published, ours, strict=True))
        for name, book, here in zip(names, printed, row, strict=True)
    ]


HOW = """\
Loss and accuracy of the chapter's first two models: 64 units, four epochs of 1cycle at
0.001, batch 64, AdamW with betas (0.9, 0.99), eps 1e-5 and weight decay 0.01, not on biases. Six decimals
are printed; the sixth may differ by one, since the order of a sum differs between machines."""


def main() -> list[Row]:
    """Print the table; the rows."""
    return report("Chapter 12: human numbers", HOW, "human_numbers.py", find_rows)


if __name__ == "__main__":
    main()
