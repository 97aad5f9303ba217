"""The sample `reviews`: reviews of films, known by construction.

A review has three sentences or more. Each says of one part of the film that it is something, or that it
is not: "The music was warm." praises, "The music was never warm." blames. A review is `good` where more
sentences praise than blame, and none has as many of each. One sentence in four turns its word round, so
whoever only counts words is misled; nobody but a reader of their order can be right each time.

The last fifth of the reviews is `test.csv`, sealed; the others are `train.csv`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from drivetrain.samples.picture import TextFile

NUM_REVIEWS = 1000
NUM_TRAIN = 800
PARTS = ("acting", "camera", "cast", "ending", "music", "pace", "plot", "script", "sound", "story")
GOOD = ("bright", "charming", "clever", "fresh", "funny", "lovely", "superb", "warm")
BAD = ("boring", "clumsy", "cold", "dull", "flat", "shallow", "tired", "weak")
PLAIN = ("The {part} was {word}.", "I found the {part} {word}.", "What {word} {part}!")
TURNED = ("The {part} was never {word}.", "I found the {part} anything but {word}.")
SHARE_TURNED = 0.25


def files() -> Iterator[TextFile]:
    """The two tables."""
    lines = [f"{text},{label}" for text, label in reviews()]
    for name, chosen in (("train.csv", lines[:NUM_TRAIN]), ("test.csv", lines[NUM_TRAIN:])):
        yield TextFile(name, ("\n".join(["review,label", *chosen]) + "\n").encode())


def reviews() -> Iterator[tuple[str, str]]:
    """The reviews, without a comma in them, and `good` or `bad`."""
    # random() of a seeded generator is promised to stay the same in later versions of Python
    draw = random.Random("reviews").random
    for _ in range(NUM_REVIEWS):
        sentences, balance = [], 0
        leaning = 0.75 if draw() < 0.5 else 0.25  # how likely a sentence praises
        while len(sentences) < 3 or balance == 0 or (len(sentences) < 9 and draw() < 0.7):
            praises, turned = draw() < leaning, draw() < SHARE_TURNED
            word = _one(GOOD if praises != turned else BAD, draw())
            form = _one(TURNED if turned else PLAIN, draw())
            sentences.append(form.format(part=_one(PARTS, draw()), word=word))
            balance += 1 if praises else -1
        yield " ".join(sentences), "good" if balance > 0 else "bad"


def _one(words: tuple[str, ...], share: float) -> str:
    return words[int(share * len(words))]
