"""The sample of films: what was planted is in the ratings."""

from __future__ import annotations

import csv
import io
from collections import Counter

import numpy as np

from drivetrain.samples import films


def rows(name: str) -> list[dict[str, str]]:
    (file,) = (file for file in films.files() if file.path == name)
    return list(csv.DictReader(io.StringIO(file.data.decode())))


def test_ratings_are_drawn_around_what_is_planted() -> None:
    found, truth = films.ratings(), films.truth()
    assert len(found) == films.NUM_RATINGS == len(rows("ratings.csv"))
    expected = np.array([truth.expected(int(u[1:]) - 1, int(i[1:]) - 1) for _, u, i, _ in found])
    stars = np.array([row[3] for row in found])
    off = (stars - expected)[(expected > 2) & (expected < 4)]  # not cut off at an end
    assert abs(off.mean()) < 0.02
    rounding = 0.5**2 / 12
    assert abs(off.std() - (films.NOISE**2 + rounding) ** 0.5) < 0.015
    assert set(stars) == set(np.arange(1, 5.5, 0.5))
    assert len({(user, item) for _, user, item, _ in found}) == len(found)
    assert found == sorted(found)


def test_a_few_users_rate_nearly_everything_and_each_film_is_rated() -> None:
    by_user = Counter(int(user[1:]) - 1 for _, user, _, _ in films.ratings())
    supers = {user for user, count in by_user.items() if count == films.MOST_RATED}
    assert supers == {number for number in range(films.NUM_USERS) if films.is_super_user(number)}
    assert len(by_user) == films.NUM_USERS and min(by_user.values()) >= 8
    assert np.median(list(by_user.values())) <= 23
    by_film = Counter(item for _, _, item, _ in films.ratings())
    assert len(by_film) == films.NUM_FILMS and min(by_film.values()) > 10


def test_facts_say_something_of_the_planted_vectors_and_not_all() -> None:
    truth, users, items = films.truth(), rows("users.csv"), rows("films.csv")
    assert [row["user"] for row in users] == [films.user_name(n) for n in range(films.NUM_USERS)]
    assert [row["title"] for row in items] == list(truth.titles)
    assert len(set(truth.titles)) == films.NUM_FILMS
    age = np.array([float(row["age"]) for row in users])
    likes = np.array(truth.likes)
    assert -0.85 < np.corrcoef(age, likes[:, 0])[0, 1] < -0.6  # the old like slow films
    reads = np.array([films.READS[row["reads"]] for row in users])
    assert 0.6 < np.corrcoef(reads, likes[:, 2])[0, 1] < 0.85
    genres = np.array([[g in row["genres"].split("|") for g in films.GENRES] for row in items])
    traits = np.array(truth.traits)
    design = np.column_stack([genres, [float(row["year"]) for row in items]]).astype(float)
    left = traits - design @ np.linalg.lstsq(design, traits, rcond=None)[0]
    explained = 1 - left.var(0) / traits.var(0)
    assert (explained > 0.5).all() and (explained < 0.9).all()


def test_each_file_is_small() -> None:
    assert all(len(file.data) < 500_000 for file in films.files())
