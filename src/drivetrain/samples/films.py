"""The sample `films`: what 400 people thought of 150 films that do not exist, known by construction.

A film lies somewhere on three axes, from slow to fast, from dark to light, and from true to life to
strange; so does what a person likes. A rating is drawn around

    MEAN + generosity(user) + quality(film) + TASTE * (likes(user) . traits(film))

with a normal error of deviation `NOISE`, and given in half stars from 1 to 5. Genres and year say
something of a film's traits, age, household and reading something of what a person likes, and neither
says all. Which films a person rated depends on how widely known a film is and on nothing else, so that
what was planted can be found again. One user in fifty rates nearly everything, and likes the strange.

`ratings.csv` has the ratings in the order of time, `films.csv` and `users.csv` what is known beside
them. Nothing is sealed: say `test=` where the ratings are read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from drivetrain.samples.picture import TextFile

NUM_USERS = 400
NUM_FILMS = 150
NUM_RATINGS = 11_489
"""What the draws come to."""
AXES = (("slow", "fast"), ("dark", "light"), ("true to life", "strange"))
"""The two ends of each axis, the low one first."""
MEAN = 3.3
TASTE = 0.5
NOISE = 0.5
GENEROSITY = 0.4
"""Deviation over users of what they add to every rating."""
QUALITY = 0.45
"""Deviation over films of what everybody adds to them."""
EVERY_SUPER_USER = 50
MOST_RATED = 140
"""Films that a super-user rates; half of the others rate 23 or fewer."""
FIRST_SECOND = 1_640_995_200
"""2022-01-01, in seconds since 1970."""
DAY = 86_400

GENRES = {
    "Adventure": (1.0, 0.5, 0.2),
    "Comedy": (0.2, 1.0, -0.2),
    "Documentary": (-0.8, 0.0, -1.0),
    "Drama": (-0.8, -0.5, -0.6),
    "Fantasy": (0.3, 0.4, 1.1),
    "Horror": (0.5, -1.1, 0.6),
    "Romance": (-0.6, 0.8, -0.3),
    "Thriller": (1.0, -0.8, -0.3),
}
"""Genre -> where its films lie, on average."""
HOUSEHOLDS = {"alone": -0.4, "couple": 0.1, "children": 0.7}
"""Household -> how far it leans to the light."""
READS = {"news": -0.7, "novels": 0.1, "comics": 0.8}
"""What a person reads -> how far they lean to the strange."""

_WORDS = {
    "Adventure": (
        "Northbound Reckless Scarlet Windward Untamed Galloping",
        "Compass Ridge Caravan Rapids Expedition Lagoon Paddle Summit Monsoon Canyon",
    ),
    "Comedy": (
        "Slightly-Burnt Upside-Down Borrowed Ticklish Misplaced Wobbly",
        "Teapot Uncle Trousers Landlord Marmalade Wedding-Cake Accordion Parrot Bathtub Raffle",
    ),
    "Documentary": (
        "Measured Ordinary Counted Inland Patient Weathered",
        "Ledger Estuary Harvest Ferry Quarry Beehives Tram Orchard Glacier Saltworks",
    ),
    "Drama": (
        "Unsent Quiet Second Unfinished Grey Borderline",
        "Kitchen Inheritance Verdict Stairwell Autumn Testimony Siblings Promise Ward Homecoming",
    ),
    "Fantasy": (
        "Glass Moonfed Hollow Silver-Tongued Thousandfold Floating",
        "Wyvern Clockmaker Lanterns Orchid-King Tower Mapmaker Tides Foxes Cathedral Almanac",
    ),
    "Horror": (
        "Sleepless Crooked Ninth Whispering Buried Pale",
        "Cellar Nursery Marionette Lodge Well Attic Choir Orphanage Moth Footsteps",
    ),
    "Romance": (
        "Late Sunlit Almost Tender Forgotten Twice-Read",
        "Letters Balcony Waltz Postcard Bakery Platform Serenade Umbrella Lighthouse August",
    ),
    "Thriller": (
        "Double Cold Silent Seventh Vanishing Perfect",
        "Alibi Courier Ransom Witness Deadline Cipher Informant Hour Passport Signal",
    ),
}
"""Genre -> words of its titles: what sort, and what."""


@dataclass(frozen=True)
class Truth:
    """What the ratings were drawn from, users and films in the order of their numbers."""

    likes: tuple[tuple[float, ...], ...]
    """What each user likes, a number for each of `AXES`."""
    traits: tuple[tuple[float, ...], ...]
    """Where each film lies on `AXES`."""
    generosity: tuple[float, ...]
    """Of each user, in stars."""
    quality: tuple[float, ...]
    """Of each film, in stars."""
    known: tuple[float, ...]
    """How widely known each film is: how likely it is rated, next to the others."""
    ages: tuple[int, ...]
    households: tuple[str, ...]
    reads: tuple[str, ...]
    years: tuple[int, ...]
    genres: tuple[tuple[str, ...], ...]
    titles: tuple[str, ...]

    def expected(self, user: int, film: int) -> float:
        """What a rating is drawn around, before it is rounded and kept within 1 to 5.

        Args:
            user, film: numbers from 0; the names in the files are `user_name(user)` and so on.
        """
        fit = sum(a * b for a, b in zip(self.likes[user], self.traits[film], strict=True))
        return MEAN + self.generosity[user] + self.quality[film] + TASTE * fit


def user_name(number: int) -> str:
    """`u001` for the first."""
    return f"u{number + 1:03}"


def film_name(number: int) -> str:
    """`f001` for the first."""
    return f"f{number + 1:03}"


def is_super_user(number: int) -> bool:
    """Whether a user is one of those who rate nearly everything."""
    return number % EVERY_SUPER_USER == EVERY_SUPER_USER // 2


def files() -> Iterator[TextFile]:
    """The three tables."""
    found = truth()
    rows = [f"{user},{item},{stars:g},{second}" for second, user, item, stars in ratings()]
    yield _table("ratings.csv", "user,item,rating,time", rows)
    rows = [
        f"{film_name(i)},{found.titles[i]},{found.years[i]},{'|'.join(found.genres[i])}"
        for i in range(NUM_FILMS)
    ]
    yield _table("films.csv", "item,title,year,genres", rows)
    rows = [
        f"{user_name(i)},{found.ages[i]},{found.households[i]},{found.reads[i]}"
        for i in range(NUM_USERS)
    ]
    yield _table("users.csv", "user,age,household,reads", rows)


def _table(name: str, head: str, rows: list[str]) -> TextFile:
    return TextFile(name, ("\n".join([head, *rows]) + "\n").encode())


@lru_cache(maxsize=1)
def truth() -> Truth:
    """What the ratings are drawn from."""
    # random() of a seeded generator is promised to stay the same in later versions of Python
    draw = random.Random("films").random
    genres, years, traits = [], [], []
    for _ in range(NUM_FILMS):
        own = [_one(tuple(GENRES), draw())]
        if draw() < 0.5:
            own.append(_one(tuple(name for name in GENRES if name not in own), draw()))
        year = 1958 + int(64 * math.sqrt(draw()))  # most films are of late
        middle = [sum(GENRES[g][axis] for g in own) / len(own) for axis in range(len(AXES))]
        middle[0] += (year - 2000) / 50  # films grew faster
        genres.append(tuple(own))
        years.append(year)
        traits.append(tuple(m + 0.35 * _normal(draw) for m in middle))
    ages, households, reads, likes = [], [], [], []
    for number in range(NUM_USERS):
        age, household = 16 + int(64 * draw()), _one(tuple(HOUSEHOLDS), draw())
        reading = _one(tuple(READS), draw())
        leanings = [(42 - age) / 32, HOUSEHOLDS[household], READS[reading]]
        if is_super_user(number):
            leanings[2] += 1.2
        ages.append(age)
        households.append(household)
        reads.append(reading)
        likes.append(tuple(leaning + 0.5 * _normal(draw) for leaning in leanings))
    return Truth(
        likes=tuple(likes),
        traits=tuple(traits),
        generosity=tuple(GENEROSITY * _normal(draw) for _ in range(NUM_USERS)),
        quality=tuple(QUALITY * _normal(draw) for _ in range(NUM_FILMS)),
        known=tuple(math.exp(0.9 * _normal(draw)) for _ in range(NUM_FILMS)),
        ages=tuple(ages),
        households=tuple(households),
        reads=tuple(reads),
        years=tuple(years),
        genres=tuple(genres),
        titles=_titles(genres, draw),
    )


def ratings() -> list[tuple[int, str, str, float]]:
    """Second, user, film and stars of every rating, in the order of time."""
    draw = random.Random("films, ratings").random
    found, rows = truth(), []
    for user in range(NUM_USERS):
        count = MOST_RATED if is_super_user(user) else 8 + int(math.exp(2.7 + 0.7 * _normal(draw)))
        # the smallest of exponential times at these rates: a draw without replacement
        # (Efraimidis and Spirakis 2006, doi:10.1016/j.ipl.2005.11.003)
        waits = [-math.log(1 - draw()) / known for known in found.known]
        films = sorted(range(NUM_FILMS), key=waits.__getitem__)[: min(count, MOST_RATED)]
        second = FIRST_SECOND + int(600 * DAY * draw())
        for film in sorted(films, key=lambda _: draw()):
            stars = found.expected(user, film) + NOISE * _normal(draw)
            half_steps = min(max(round(2 * stars), 2), 10)
            rows.append((second, user_name(user), film_name(film), half_steps / 2))
            second += 60 + int(-3 * DAY * math.log(1 - draw()))
    return sorted(rows)


def _titles(genres: list[tuple[str, ...]], draw: Callable[[], float]) -> tuple[str, ...]:
    """A title for each film, no two the same: a word of its first genre and one of its last."""
    made: dict[str, None] = {}
    for own in genres:
        while True:
            sort = _one(tuple(_WORDS[own[0]][0].split()), draw())
            thing = _one(tuple(_WORDS[own[-1]][1].split()), draw())
            title = f"The {sort} {thing}".replace("-", " ")
            if title not in made:
                break
        made[title] = None
    return tuple(made)


def _one(words: tuple[str, ...], share: float) -> str:
    return words[int(share * len(words))]


def _normal(draw: Callable[[], float]) -> float:
    """A standard normal number (Box & Muller 1958)."""
    return math.sqrt(-2 * math.log(1 - draw())) * math.cos(2 * math.pi * draw())
