"""The sample `rentals`: three years of bicycle rentals at five stations, known by construction.

Each row is a station on a day: how many rentals there were, and what they depend on. The mean is

    base(station) * season(day) * weekday(day) * weather * warmth(temperature) * (1 - price / 4) * growth

and the count is drawn around it. The price was drawn anew each day without regard to anything else, as
in an experiment: what rentals do when it changes is its effect, and the takings of a row, price times
rentals, are highest at a price of 2. One temperature in twenty is missing.

The last fifth of the days is `test.csv`, sealed; the others are `train.csv`.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Iterator

from drivetrain.samples.picture import TextFile

FIRST = datetime.date(2022, 1, 1)
NUM_DAYS = 3 * 365
NUM_TRAIN_DAYS = 876
STATIONS = {"Bridge": 90.0, "Harbour": 60.0, "Museum": 45.0, "Park": 70.0, "Station": 120.0}
WEATHER = {"clear": (0.6, 1.15), "cloudy": (0.25, 0.95), "rain": (0.15, 0.5)}
"""Weather -> (share of the days, factor)."""
COLUMNS = ("day", "station", "weather", "temperature", "holiday", "price", "rentals")


def mean_rentals(
    day: datetime.date, station: str, weather: str, temperature: float, holiday: bool, price: float
) -> float:
    """What a row's count is drawn around."""
    season = 1 + 0.25 * math.sin(2 * math.pi * (day.timetuple().tm_yday - 100) / 365)
    weekday = 1.2 if day.weekday() >= 5 or holiday else 1.0
    warmth = 0.4 + 0.6 / (1 + math.exp(-(temperature - 10) / 4))
    growth = 1 + 0.2 * (day - FIRST).days / 365
    return (
        STATIONS[station]
        * season
        * weekday
        * WEATHER[weather][1]
        * warmth
        * growth
        * (1 - price / 4)
    )


def files() -> Iterator[TextFile]:
    """The two tables."""
    lines = [(day, line) for day, line in _lines()]
    head = ",".join(COLUMNS)
    for name, is_test in (("train.csv", False), ("test.csv", True)):
        chosen = [line for day, line in lines if (day >= NUM_TRAIN_DAYS) == is_test]
        yield TextFile(name, ("\n".join([head, *chosen]) + "\n").encode())


def _lines() -> Iterator[tuple[int, str]]:
    # random() of a seeded generator is promised to stay the same in later versions of Python
    draw = random.Random("rentals").random
    for number in range(NUM_DAYS):
        day = FIRST + datetime.timedelta(days=number)
        weather = _weather(draw())
        year = math.sin(2 * math.pi * (day.timetuple().tm_yday - 110) / 365)
        temperature = round(11 + 9 * year + 4 * _normal(draw(), draw()), 1)
        holiday = draw() < 0.03
        for station in STATIONS:
            price = round(1 + 2 * draw(), 1)
            mean = mean_rentals(day, station, weather, temperature, holiday, price)
            count = max(0, round(mean + math.sqrt(mean) * _normal(draw(), draw())))
            shown = "" if draw() < 0.05 else str(temperature)
            cells = (
                day.isoformat(),
                station,
                weather,
                shown,
                str(int(holiday)),
                str(price),
                str(count),
            )
            yield number, ",".join(cells)


def _weather(share: float) -> str:
    for name, (weight, _) in WEATHER.items():
        share -= weight
        if share < 0:
            return name
    return "rain"


def _normal(first: float, second: float) -> float:
    """A standard normal number from two even ones (Box & Muller 1958)."""
    return math.sqrt(-2 * math.log(1 - first)) * math.cos(2 * math.pi * second)
