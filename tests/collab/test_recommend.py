"""Recommending: what comes first, what is left out, and whether the reasons are true."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from drivetrain.collab.factors import Factors
from drivetrain.collab.newcomers.newcomer import Newcomer, newcomer
from drivetrain.collab.recommend import (
    item_index,
    nearest_liked,
    parts_of,
    recommend,
    recommend_to,
)
from drivetrain.collab.seen import Seen
from drivetrain.collab.table.ids import Ids
from drivetrain.data.ratings import Lists
from drivetrain.errors import ConfigError
from drivetrain.models.factorization import DotProduct, RatingNet, create_factorization


@dataclass
class Model:
    """What recommending asks of a model, and no more."""

    net: nn.Module
    factors: Factors | None
    users: Ids
    items: Ids
    titles: tuple[str, ...]
    history: Seen
    rating: str | None = "stars"
    of_ratings: bool = True


def made(
    num_users: int = 8,
    num_items: int = 12,
    *,
    kind: str = "dot",
    seed: int = 0,
    y_range: tuple[float, float] | None = (0.5, 5.5),
) -> Model:
    """A model with large random weights, whose users rated a few items each."""
    rng = np.random.default_rng(seed)
    sizes = {"num_users": num_users, "num_items": num_items, "y_range": y_range}
    if kind == "dot":
        description = {"kind": "dot", "num_factors": 3, "bias": True, **sizes}
    else:
        own = {"user_dim": 3, "item_dim": 4, "layers": [5], "batch_norm": False, "dropout": 0.1}
        description = {"kind": "net", **own, **sizes}
    net = create_factorization(description, seed=seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.from_numpy(rng.standard_normal(weight.shape).astype(np.float32)))
    assert isinstance(net, DotProduct | RatingNet)
    owners = np.repeat(np.arange(1, num_users), 3)
    items = np.concatenate([rng.permutation(num_items - 1)[:3] + 1 for _ in range(num_users - 1)])
    ratings = rng.integers(1, 6, len(items)).astype(np.float32)
    return Model(
        net=net.eval(),
        factors=Factors.of(net),
        users=Ids([f"u{n}" for n in range(1, num_users)]),
        items=Ids([f"i{n}" for n in range(1, num_items)]),
        titles=("", *[f"Title {n}" for n in range(1, num_items)]),
        history=Seen(Lists.from_codes(owners, items, num_users), ratings, num_items),
    )


@pytest.mark.parametrize("kind", ["dot", "net"])
def test_the_best_come_first_and_what_was_seen_is_left_out(kind: str) -> None:
    model = made(kind=kind)
    for code in range(1, 8):
        pairs = torch.tensor([[code, item] for item in range(12)])
        with torch.no_grad():
            wanted = model.net(pairs).numpy()
        seen = set(model.history.items[code])
        left = sorted((i for i in range(1, 12) if i not in seen), key=lambda i: -wanted[i])
        found = recommend(model, f"u{code}", 5)
        assert [one.item for one in found] == [f"i{i}" for i in left[:5]]
        assert [one.rank for one in found] == [1, 2, 3, 4, 5]
        np.testing.assert_allclose([one.value for one in found], wanted[left[:5]], rtol=1e-5)
        assert (found.by, found.notes) == ("model", ())
        everything = recommend(model, f"u{code}", 11, exclude_seen=False, reasons=False)
        assert {one.item for one in everything} == {f"i{i}" for i in range(1, 12)}
        assert all(one.parts is None and not one.near for one in everything)


def test_items_can_be_allowed_and_denied() -> None:
    model = made()
    whole = [one.item for one in recommend(model, "u3", 11)]
    found = recommend(model, "u3", 3, deny=whole[:2])
    assert [one.item for one in found] == whole[2:5]
    found = recommend(model, "u3", 3, allow=[*whole[1:3], "new"], deny=[whole[1]])
    assert [one.item for one in found] == whole[2:3]
    assert found.notes == (
        "1 allowed item was not seen in training, and cannot be recommended.",
        "3 were asked for, and 1 item is left.",
    )
    nothing = recommend(model, "u3", 3, allow=[])
    assert len(nothing) == 0 and str(nothing) == "! There is nothing left to recommend."


def test_fewer_are_given_where_fewer_are_left() -> None:
    found = recommend(made(), "u2", 40)
    assert len(found) == 8  # of eleven, three are rated
    assert found.notes == ("40 were asked for, and 8 items are left.",)


def test_an_unknown_user_gets_what_most_rated_and_is_told_so() -> None:
    model = made()
    found = recommend(model, "stranger", 4)
    codes = [model.items.code(one.item) for one in found]
    order = sorted(range(1, 12), key=lambda i: (-model.history.popularity[i], i))
    assert codes == order[:4] and found.by == "popularity"
    assert [one.num_ratings for one in found] == model.history.popularity[codes].tolist()
    np.testing.assert_allclose([one.value for one in found], model.history.item_mean[codes])
    assert found.notes == (
        "User 'stranger' rated nothing in training: these are the items that were rated most.",
    )
    assert all(one.parts is None for one in found)
    rated = int((model.history.popularity > 0).sum())
    assert len(recommend(model, "stranger", 11)) == rated  # not what nobody rated


def test_somebody_new_is_answered_by_a_vector_or_by_what_is_popular() -> None:
    model = made()
    factors = model.factors
    assert factors is not None
    as_user_3 = Newcomer(factors.users[3], float(factors.user_bias[3]), ("ratings",), "Made so.")
    found = recommend(model, as_user_3, 4, deny=["i1"])
    known = recommend(model, "u3", 4, deny=["i1"], exclude_seen=False)
    assert (found.user, found.by, found.notes) == ("new", "model", ("Made so.",))
    assert [(one.item, one.parts) for one in found] == [(one.item, one.parts) for one in known]
    np.testing.assert_allclose([a.value for a in found], [a.value for a in known], rtol=1e-6)
    nobody = recommend(model, newcomer(factors), 3)
    assert nobody.by == "popularity" and nobody.notes == (
        "Nothing is known of this user: this is what is popular, the same for everybody.",
    )
    assert [one.item for one in nobody] == [one.item for one in recommend(model, "stranger", 3)]
    with pytest.raises(ConfigError) as caught:
        recommend(made(kind="net"), as_user_3)
    assert str(caught.value) == (
        "Somebody new has a vector, and this model is a net: train a dot product."
    )


@given(st.integers(0, 1 << 20), st.sampled_from([None, (0.5, 5.5)]))
@settings(max_examples=25, deadline=None)
def test_parts_add_up_and_are_those_of_a_two_way_table(
    seed: int, y_range: tuple[float, float] | None
) -> None:
    model = made(seed=seed, y_range=y_range)
    assert model.factors is not None
    raw = model.factors.raw(np.arange(1, 8))[:, 1:].astype(np.float64)  # (users, items)
    whole, rows, columns = raw.mean(), raw.mean(1), raw.mean(0)
    user, items = 3, np.array([2, 5, 11])
    own = model.factors.users[user], model.factors.user_bias[user]
    found = parts_of(model.factors, *own, items)
    predicted = model.factors.predict(np.full(3, user), items)
    for place, item in enumerate(items - 1):
        of_user, of_item = rows[user - 1] - whole, columns[item] - whole
        left = raw[user - 1, item] - whole - of_user - of_item
        levels = np.cumsum([whole, of_user, of_item, left])
        if y_range is not None:
            levels = y_range[0] + (y_range[1] - y_range[0]) / (1 + np.exp(-levels))
        parts = found[place]
        steps = [parts.start, parts.user, parts.item, parts.taste]
        np.testing.assert_allclose(np.cumsum(steps), levels, rtol=1e-4, atol=1e-4)
        assert sum(steps) == pytest.approx(predicted[place], abs=1e-4)


def test_what_is_named_as_alike_is_the_users_own_liked_and_near() -> None:
    model = made(seed=5)
    assert model.factors is not None
    vectors = model.factors.items
    own = model.history.items[4]
    model.history.ratings[model.history.items.offsets[4] : model.history.items.offsets[5]] = [
        5,
        4,
        1,
    ]
    target = next(i for i in range(1, 12) if i not in own)
    vectors[own[0]] = vectors[target] + 0.1
    vectors[own[2]] = vectors[target]  # the likest, but it was not liked
    ((first, *others),) = nearest_liked(model, 4, np.array([target]))
    assert (first.item, first.rating) == (model.items.names[own[0]], 5)
    middle = vectors[1:].mean(0, dtype=np.float64)
    a, b = vectors[own[0]] - middle, vectors[target] - middle
    assert first.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert all(one.item != model.items.names[own[2]] for one in others)
    model.rating, model.of_ratings = None, False  # what happened has no grade: any may be named
    ((first, *_),) = nearest_liked(model, 4, np.array([target]))
    assert (first.item, first.rating) == (model.items.names[own[2]], None)


def test_it_reads_well_and_is_plain_json() -> None:
    model = made(seed=5)
    found = recommend(model, "u4", 2)
    first = found[0]
    assert first.parts is not None
    lines = str(found).splitlines()
    assert lines[0].split() == ["title", "rating", "why"]
    assert lines[1].startswith(f"1  {first.title}") and f"{first.value:.2f}" in lines[1]
    assert f"taste {first.parts.taste:+.2f}" in lines[1]
    record = found.to_json()
    assert record["items"][0]["parts"].keys() == {"start", "user", "item", "taste"}
    assert record["by"] == "model" and record["user"] == "u4"
    lines = str(recommend(model, "nobody", 1)).splitlines()
    assert lines[0].split() == ["title", "rating", "ratings"]


@pytest.mark.parametrize("kind", ["dot", "net"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_all_users_are_written_as_they_are_answered_one_by_one(
    kind: str, ending: str, tmp_path: Path
) -> None:
    model, path = made(kind=kind), tmp_path / f"all.{ending}"
    told: list[tuple[str, int, int | None]] = []
    users = ["u5", "stranger, a", "u1", "u5"]
    written = recommend_to(
        model,
        users,
        path,
        9,
        deny=["i3"],
        cells=24,  # two users at a time
        report=lambda *word: told.append(word),
    )
    if ending == "csv":
        with open(path, encoding="utf-8", newline="") as file:
            rows = [{**r, "rank": int(r["rank"])} for r in csv.DictReader(file)]
    else:
        rows = parquet.read_table(path).to_pylist()
    wanted = []
    for user in users:
        one = recommend(model, user, 9, deny=["i3"])
        wanted += [(user, item.rank, item.item, item.title, one.by, item.value) for item in one]
    assert [(r["user"], r["rank"], r["item"], r["title"], r["by"]) for r in rows] == [
        w[:5] for w in wanted
    ]
    np.testing.assert_allclose(
        [float(r["rating"]) for r in rows], [w[5] for w in wanted], rtol=1e-5
    )
    assert (written.users, written.rows, written.path) == (4, len(rows), str(path))
    assert "1 user rated nothing in training: they get the items that were rated most." in (
        written.notes
    )
    assert told == [("users answered", 2, 4), ("users answered", 4, 4)]
    everybody = recommend_to(model, None, tmp_path / "every.parquet", 2)
    assert (everybody.users, everybody.rows, everybody.notes) == (7, 14, ())


def test_a_refused_file_leaves_nothing(tmp_path: Path) -> None:
    model = made()

    def stop(*_: object) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        recommend_to(model, None, tmp_path / "all.parquet", report=stop)
    assert list(tmp_path.iterdir()) == []
    for words, sentence in (
        (
            (["u1"], tmp_path / "all.txt"),
            rf"^Recommendations are written as \.csv or \.parquet\. Got '{tmp_path}/all\.txt'\.$",
        ),
        (([], tmp_path / "all.csv"), r"^There is no user to recommend to\.$"),
        ((["u1"], tmp_path / "all.csv", 0), r"^`k` must be 1 or more\. Got 0\.$"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            recommend_to(model, *words)
    with pytest.raises(ConfigError, match=r"^`k` must be 1 or more\. Got -1\.$"):
        recommend(model, "u1", -1)
    with pytest.raises(
        ConfigError, match=r"^`allow` and `deny` are lists of items' names\. Got a text\.$"
    ):
        recommend(model, "u1", deny="i1")
    with pytest.raises(ConfigError) as caught:
        item_index(made(kind="net"))
    assert str(caught.value) == (
        "An index finds large inner products, and this model is a net: leave `index` out, or train a "
        "dot product."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    find_spec("voyager") is None, reason="voyager is not installed (extra 'search')"
)
def test_an_index_gives_the_same_recommendations(tmp_path: Path) -> None:
    model = made(20, 3000, seed=3)
    index = item_index(model)
    for user in ("u1", "u7", "stranger"):
        assert recommend(model, user, index=index) == recommend(model, user)
    recommend_to(model, None, tmp_path / "a.parquet", index=index)
    recommend_to(model, None, tmp_path / "b.parquet")
    a, b = (parquet.read_table(tmp_path / f"{n}.parquet") for n in "ab")
    assert a.column("item").to_pylist() == b.column("item").to_pylist()
