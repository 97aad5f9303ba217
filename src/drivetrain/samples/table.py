"""The table of samples: one frozen record each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from drivetrain.samples import digits, films, rentals, reviews, shapes
from drivetrain.samples.picture import Picture, TextFile

DEFAULT = "digits"
"""What `drivetrain train` trains on when no source is given."""


@dataclass(frozen=True)
class Sample:
    """One embedded data set."""

    name: str
    """What a person types in place of a folder."""
    task: str
    """The application that trains on it."""
    what: str
    """One line: what is to be seen and what is to be told apart."""
    items: int
    """Number of items, the sealed ones included."""
    licence: str
    """Licence of the data."""
    source: str
    """Where the data comes from."""
    package: str
    """The package that has to be installed for it, by its name on the package index."""
    version: str
    """First 12 hex digits of `content_version` of its items: it changes when a pixel does."""
    writer: Callable[[], Iterable[Picture | TextFile]]
    """Gives the pictures one by one, or the files of a table."""

    @property
    def is_table(self) -> bool:
        """Whether it is a few files, and not folders of pictures."""
        return bool(self.tables)

    @property
    def tables(self) -> list[str]:
        """Names of its files where it is some, the one that is trained on first."""
        if self.task == "collab":
            return ["ratings.csv", "films.csv", "users.csv"]
        return ["train.csv", "test.csv"] if self.task in ("tabular", "text") else []


SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample(
            name="digits",
            task="vision",
            what="handwritten digits of 8 x 8 pixels, by 13 people; classes 0 to 9",
            items=1797,
            licence="CC BY 4.0",
            source="UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998)",
            package="scikit-learn",
            version="b8e72ea2ea92",
            writer=digits.pictures,
        ),
        Sample(
            name="shapes",
            task="vision",
            what="one circle, square or triangle of 24 x 24 pixels, of equal area, anywhere",
            items=300,
            licence="Apache-2.0",
            source="drawn by code",
            package="pillow",
            version="67b10872df70",
            writer=shapes.pictures,
        ),
        Sample(
            name="rentals",
            task="tabular",
            what="bicycles rented at five stations a day; to predict: rentals",
            items=rentals.NUM_DAYS * len(rentals.STATIONS),
            licence="Apache-2.0",
            source="drawn by code",
            package="pyarrow",
            version="80a28bc15716",
            writer=rentals.files,
        ),
        Sample(
            name="reviews",
            task="text",
            what="reviews of films that praise and blame, and turn words round; good or bad",
            items=reviews.NUM_REVIEWS,
            licence="Apache-2.0",
            source="written by code",
            package="pyarrow",
            version="6f14bb896ff2",
            writer=reviews.files,
        ),
        Sample(
            name="films",
            task="collab",
            what="what 400 people thought of 150 films that do not exist; to predict: ratings",
            items=films.NUM_RATINGS,
            licence="Apache-2.0",
            source="written by code",
            package="pyarrow",
            version="b46654431be8",
            writer=films.files,
        ),
    )
}
"""Name -> what is known of the data set; the first is the default."""
