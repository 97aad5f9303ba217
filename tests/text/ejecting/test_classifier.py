"""Classifiers of texts, ejected, and run where Drivetrain cannot be imported: the same bits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import EjectError
from drivetrain.text.ejecting.plain import is_plain, learn_plain
from tests.eject import replay
from tests.text.ejecting.films import folder, reviews, table

Make = Callable[[Path], Any]
SMALL = {"embedding_dim": 12, "hidden_dim": 16}
USUAL: dict[str, Any] = {
    "progress": False,
    "epochs": 2,
    "batch_size": 8,
    "num_threads": 1,
    "sizes": SMALL,
}


def trained(source: Any, target: Any = None, **options: Any) -> Any:
    """A small model after its planned training."""
    learner = dt.text.learner(source, target, **(USUAL | options))
    learner.train()
    return learner


def check(learner: Any, where: Path, *, alone: bool = False, level: str = "all") -> str:
    """Eject, run, and compare weights, metrics and the last row; returns the script."""
    script = where / "ejected.py"
    learner.eject(script, level=level)
    run = replay.replayed_alone if alone else replay.replayed_here
    run = run if level == "all" else replay.replayed_with_drivetrain
    answer = run(script, where / "out", Path(learner.application.data.source))
    assert answer["weights_sha256"] == store.weights_sha256(learner.model.state_dict())
    saved = store.read_tensors(where / "out" / "model.safetensors")
    assert store.weights_sha256(saved) == answer["weights_sha256"]
    found = learner.evaluate()
    assert replay.same_numbers(answer["metrics"], {"loss": found.loss, **found.metrics})
    assert replay.row_of(answer["printed"][-1]) == replay.last_row(learner)
    return script.read_text("utf-8")


# --- runs -----------------------------------------------------------------------------------------


def gru_of_characters(where: Path) -> Any:
    return trained(folder(where / "films"), model="gru", tokens="char", max_len=60)


def lstm_of_words(where: Path) -> Any:
    return trained(folder(where / "films"))


def parts_given_by_folders(where: Path) -> Any:
    source = folder(where / "films", 80, parts=True)
    (source / "train" / "unsup").mkdir()
    (source / "train" / "unsup" / "0.txt").write_text("nobody knows", "utf-8")
    (source / "train" / "pos" / "empty.txt").write_text(" \n", "utf-8")
    return trained(source)


def odd_files(where: Path) -> Any:
    source = folder(where / "films")
    (source / "pos" / "1.txt").write_bytes("\ufeffa lovely\r\nfilm".encode())
    (source / "neg" / "2.txt").write_bytes("un film ennuyeux, trop tôt fini".encode("cp1252"))
    (source / "neg" / "4.txt").write_bytes(b"a dull\0 film" * 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trained(source, tokens="char", model="rnn")


def averaged_weights_dropped(where: Path) -> Any:
    callbacks = ["rnn_regularization", "ema", "clip_gradients"]
    tokens = {"kind": "bpe", "vocab_size": 300}
    options = {"callbacks": callbacks, "tokens": tokens, "max_len": 20, "drop_mult": 1.0}
    return trained(folder(where / "films"), model="awd_lstm", **options)


def likely_parts_of_words(where: Path) -> Any:
    tokens = {"kind": "unigram", "vocab_size": 120, "rules": ["fix_html"]}
    return trained(folder(where / "films"), model="rnn", tokens=tokens)


def small_transformer(where: Path) -> Any:
    sizes = {"embedding_dim": 16, "num_heads": 2, "num_layers": 2, "context": 16}
    return trained(folder(where / "films"), model="decoder", sizes=sizes, optimizer="momentum")


def thawed_layer_by_layer(where: Path) -> Any:
    tokens = {"kind": "word", "rules": ["lowercase", "rm_useless_spaces", "add_bos"]}
    learner = dt.text.learner(folder(where / "films"), tokens=tokens, **USUAL)
    learner.freeze_to(1)
    learner.fit_one_cycle(1, 1e-2)
    learner.gradual_unfreeze(1)
    return learner


def rows_of_a_csv(where: Path) -> Any:
    texts, labels = reviews()
    texts[5] = 'two lines\nand a comma, and "quotes"'
    return trained(table(where / "films.csv", {"review": texts, "label": labels}), "label")


def rows_of_parquet_with_gaps(where: Path) -> Any:
    written, labels = reviews(64)
    texts: list[Any] = list(written)
    stars: list[Any] = [3 if label == "pos" else 1 for label in labels]
    texts[3], stars[7] = None, None
    source = table(where / "films.parquet", {"review": texts, "stars": stars})
    return trained(source, "stars", target_kind="class", split="random")


def plain_and_short(where: Path) -> Any:
    texts = [
        text.replace("<br />", " ").replace("&amp;", "and").replace("l'été", "summer")
        for text in reviews(80)[0]
    ]
    texts = [" ".join(text.replace("so so so", "so").split()[:30]) for text in texts]
    texts = [
        " ".join(w for w, v in zip(t.split(), ["", *t.split()], strict=False) if w != v)
        for t in texts
    ]
    columns = {"text": texts, "label": reviews(80)[1]}
    return trained(table(where / "films.csv", columns), "label", model="gru")


def several_columns(where: Path) -> Any:
    texts, labels = reviews()
    columns = {"title": [text[:9].strip() for text in texts], "review": texts, "label": labels}
    return trained(
        table(where / "films.csv", columns),
        "label",
        compose="TITLE: {title}; TEXT: {review}",
        tokens={"kind": "word", "rules": ["rm_useless_spaces", "add_bos"], "min_freq": 1},
    )


def groups_of_authors(where: Path) -> Any:
    texts, labels = reviews()
    columns = {"text": texts, "label": labels, "author": [f"p{n % 11}" for n in range(60)]}
    return trained(table(where / "films.csv", columns), "label", group="author")


def last_in_time(where: Path) -> Any:
    texts, labels = reviews()
    columns = {"text": texts, "label": labels, "year": [1990 + n % 23 for n in range(60)]}
    return trained(table(where / "films.parquet", columns), "label", time="year")


def parts_given_by_a_column(where: Path) -> Any:
    texts, labels = reviews()
    part = ["test" if n % 9 == 0 else "valid" if n % 5 == 0 else "train" for n in range(60)]
    columns = {"text": texts, "label": labels, "part": part}
    return trained(table(where / "films.csv", columns), "label", split_column="part")


def a_number(where: Path) -> Any:
    texts, _ = reviews()
    stars = [float(text.count("good") + 30) for text in texts]
    source = table(where / "films.csv", {"text": texts, "score": stars})
    return trained(source, "score", target_kind="number", metrics=["mae"])


def genres(count: int = 60) -> list[list[str]]:
    """Labels of each text: none, one, or two."""
    texts, labels = reviews(count)
    return [
        [*([label] if number % 5 else []), *(["fine"] if "fine" in text else [])]
        for number, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]


def several_labels_in_a_cell(where: Path) -> Any:
    columns = {"text": reviews()[0], "genres": [" | ".join(one) for one in genres()]}
    source = table(where / "films.csv", columns)
    return trained(source, "genres", separator="|", model="gru", tokens="char", max_len=40)


def several_labels_in_a_cell_of_parquet(where: Path) -> Any:
    columns = {"text": reviews()[0], "genres": [" ".join(one) or None for one in genres()]}
    source = table(where / "films.parquet", columns)
    return trained(source, "genres", separator=" ", split="stratified", loss_fn="binary_focal")


def labels_in_two_columns(where: Path) -> Any:
    texts, labels = reviews()
    length = ["long" if len(text) > 90 else "short" for text in texts]
    source = table(where / "films.csv", {"text": texts, "label": labels, "length": length})
    return trained(source, ["label", "length"], split="stratified", valid=0.25)


def from_a_saved_encoder(where: Path) -> Any:
    first = trained(folder(where / "films"))
    first.save_encoder(where / "encoder")
    tokens = {"kind": "word", "min_freq": 1}
    return trained(
        where / "films", encoder=where / "encoder", tokens=tokens, epochs=1, sizes=None, seed=7
    )


MORE: tuple[Make, ...] = (
    lstm_of_words,
    parts_given_by_folders,
    odd_files,
    averaged_weights_dropped,
    likely_parts_of_words,
    small_transformer,
    thawed_layer_by_layer,
    plain_and_short,
    rows_of_a_csv,
    rows_of_parquet_with_gaps,
    several_columns,
    groups_of_authors,
    last_in_time,
    parts_given_by_a_column,
    a_number,
    several_labels_in_a_cell,
    several_labels_in_a_cell_of_parquet,
    labels_in_two_columns,
    from_a_saved_encoder,
)


def test_a_script_gives_the_weights_and_metrics_of_its_run(tmp_path: Path) -> None:
    text = check(gru_of_characters(tmp_path), tmp_path)
    assert "import drivetrain" not in text and "from drivetrain" not in text
    for package in ("sklearn", "tokenizers", "transformers", "pyarrow", "pandas"):
        assert package not in text
    assert len(text.splitlines()) < 700


@pytest.mark.slow
@pytest.mark.parametrize("make", MORE, ids=lambda make: make.__name__)
def test_scripts_of_all_kinds_of_runs(make: Make, tmp_path: Path) -> None:
    text = check(make(tmp_path), tmp_path)
    assert "import drivetrain" not in text and "from drivetrain" not in text


@pytest.mark.slow
def test_what_is_plain_is_said_in_a_few_lines(tmp_path: Path) -> None:
    text = check(plain_and_short(tmp_path), tmp_path)
    assert "def words_of" in text and "fold_repeats" not in text  # the rules have 200 lines more
    assert "class DocumentClassifier" in text and "class Pool" not in text
    assert len(text.splitlines()) < 560


def test_plain_words_are_those_of_the_rules_or_are_not_taken(tmp_path: Path) -> None:
    plain = ["A good film, it's FINE!!!", "Don't go: 10:30 is too late."] * 10
    for texts, expected in (
        (plain, True),
        ([*plain, "A <br /> film"], False),
        ([*plain, "no no no no"], False),
        ([*plain, "l'été"], False),
        ([*plain, "see www.x.com now"], False),
    ):
        labels = [str(number % 2) for number in range(len(texts))]
        data = dt.text.from_texts(texts, labels, valid=0.3)
        found = is_plain(data)
        if expected or texts[-1] in data.part("train")[1] + data.part("valid")[1]:
            assert found is expected
        if found:
            words = learn_plain(
                data.part("train")[1], data.tokenizer.rules, min_freq=3, max_vocab=60_000
            )  # pyright: ignore[reportAttributeAccessIssue]
            assert tuple(words) == data.tokenizer.vocab.words


@pytest.mark.slow
def test_a_script_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    check(lstm_of_words(tmp_path), tmp_path, alone=True)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["data", "loop"])
def test_shallower_levels(level: str, tmp_path: Path) -> None:
    text = check(lstm_of_words(tmp_path), tmp_path, level=level)
    assert "from drivetrain" in text


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small pretrained encoder."""
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from tests.text.tiny_encoders import save_tiny

    save_tiny(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"max_len": 12, "callbacks": ["label_smoothing"]}])
def test_a_fine_tuned_encoder(options: dict[str, Any], tiny: Path, tmp_path: Path) -> None:
    source = folder(tmp_path / "films")
    learner = trained(source, model=str(tiny), sizes=None, **(options | {"epochs": 1}))
    text = check(learner, tmp_path)
    assert "from transformers import BertConfig, BertModel" in text
    assert len(text.splitlines()) < 620


@pytest.mark.slow
@pytest.mark.parametrize("max_len", [None, 13])
def test_a_fine_tuned_encoder_of_pairs_with_several_labels(
    max_len: int | None, tiny: Path, tmp_path: Path
) -> None:
    texts = reviews()[0]
    seconds = [f"was good , {text[::2]}" for text in reviews(60, seed=9)[0]]
    columns = {"a": texts, "b": seconds, "genres": [" ".join(one) for one in genres()]}
    learner = trained(
        table(tmp_path / "films.csv", columns),
        "genres",
        model=str(tiny),
        sizes=None,
        text_columns=["a", "b"],
        compose="pair",
        separator=" ",
        max_len=max_len,
        epochs=1,
    )
    text = check(learner, tmp_path)
    assert "def shortened_pair" in text and "tuple[list[tuple[str, str]], list[Any]]" in text


def test_an_encoder_that_is_another_by_now_is_refused(tiny: Path, tmp_path: Path) -> None:
    learner = dt.text.learner(
        folder(tmp_path / "films", 24), model=str(tiny), **(USUAL | {"sizes": None, "epochs": 1})
    )
    learner.fit(1, 1e-3)
    from tests.text.tiny_encoders import save_tiny

    save_tiny(tiny, intermediate_size=32, num_hidden_layers=2, layer_norm_eps=1e-12)
    weights = store.read_tensors(tiny / "model.safetensors")
    used = "embeddings.word_embeddings.weight"  # a pooler, which is in the file too, would not be
    store.write_bytes(
        tiny / "model.safetensors", store.tensor_bytes(weights | {used: weights[used] + 1})
    )
    with pytest.raises(EjectError) as found:
        learner.eject(tmp_path / "x.py")
    assert str(found.value) == (
        f"The encoder in {tiny} is not the one that training began with. Put that back, and eject again."
    )
    with pytest.raises(
        EjectError, match=r"^A run that began with a pretrained encoder is ejected whole"
    ):
        learner.eject(tmp_path / "x.py", level="data")


# --- refused --------------------------------------------------------------------------------------


def test_what_has_no_plain_form_is_refused(tmp_path: Path) -> None:
    texts, labels = reviews(24)
    learner = dt.text.learner(texts, labels=labels, **(USUAL | {"epochs": 1}))
    learner.fit(1, 1e-3)
    with pytest.raises(EjectError) as found:
        learner.eject(tmp_path / "x.py")
    assert str(found.value) == (
        "The texts came from memory, and a script reads them from a file. Write them into a CSV or "
        "Parquet file, and train from that."
    )


def test_an_encoder_that_is_gone_is_named(tmp_path: Path) -> None:
    learner = from_a_saved_encoder(tmp_path)
    (tmp_path / "encoder" / "encoder.json").unlink()
    with pytest.raises(EjectError) as found:
        learner.eject(tmp_path / "x.py")
    assert str(found.value) == (
        f"The encoder that training began with is not in {tmp_path / 'encoder'}, or is no folder that "
        "`save_encoder` wrote. Put it back there, and eject again."
    )


def test_a_tokenizer_that_was_given_is_refused(tmp_path: Path) -> None:
    data = dt.text.from_folder(folder(tmp_path / "films", 24))
    data.tokenizer = dt.text.train_tokenizer(data.texts, "char")
    learner = dt.text.learner(data, **(USUAL | {"epochs": 1}))
    learner.fit(1, 1e-3)
    with pytest.raises(EjectError) as found:
        learner.eject(tmp_path / "x.py")
    assert str(found.value) == (
        "The tokenizer was given, and not learnt from the training texts, so a script cannot make it "
        "again. Give `tokens` instead, such as tokens='word'."
    )
