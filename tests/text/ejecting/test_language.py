"""Language models, ejected, and run where Drivetrain cannot be imported: the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import drivetrain as dt
from drivetrain.errors import EjectError
from tests.text.ejecting.films import folder, reviews, table
from tests.text.ejecting.test_classifier import check

USUAL: dict[str, Any] = {
    "progress": False,
    "epochs": 2,
    "batch_size": 4,
    "seq_len": 12,
    "num_threads": 1,
    "sizes": {"embedding_dim": 12, "hidden_dim": 16},
}
KINDS: dict[str, dict[str, Any]] = {
    "words": {},
    "characters, weights dropped": {
        "model": "awd_lstm",
        "tokens": "char",
        "callbacks": ["rnn_regularization"],
    },
    "decoder": {
        "model": "decoder",
        "sizes": {"embedding_dim": 16, "num_heads": 2, "num_layers": 2, "context": 12},
    },
    "bytes": {"model": "gru", "tokens": {"kind": "bpe", "vocab_size": 300}},
}


def trained(source: Any, **options: Any) -> Any:
    """A small model after its planned training."""
    learner = dt.text.language_learner(source, **(USUAL | options))
    learner.train()
    return learner


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_script_gives_the_weights_and_the_perplexity_of_its_run(
    kind: str, tmp_path: Path
) -> None:
    learner = trained(folder(tmp_path / "films"), **KINDS[kind])
    text = check(learner, tmp_path)
    assert "import drivetrain" not in text and "from drivetrain" not in text
    assert "perplexity" in text


@pytest.mark.slow
def test_the_end_of_a_single_text_validates(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("\n".join(reviews(80)[0]), "utf-8")
    text = check(trained(tmp_path / "book.txt"), tmp_path)
    assert "def cut(text: str)" in text


@pytest.mark.slow
def test_rows_of_a_table(tmp_path: Path) -> None:
    texts = reviews(60)[0]
    columns = {
        "id": list(range(60)),
        "title": [t[:9].strip() for t in texts],
        "text": [*texts[:59], ""],
    }
    source = table(tmp_path / "films.csv", columns)
    text = check(trained(source, text_columns=["title", "text"]), tmp_path)
    assert "def read(path: Path) -> list[str]:" in text
    assert "LABEL" not in text


@pytest.mark.slow
def test_few_rows_of_a_table_are_cut(tmp_path: Path) -> None:
    book = "\n".join(reviews(40)[0])
    source = table(tmp_path / "books.parquet", {"book": [book, book[::2]]})
    text = check(trained(source), tmp_path)
    assert "def cut(text: str)" in text


def test_what_has_no_plain_form_is_refused(tmp_path: Path) -> None:
    texts = reviews(40)[0]
    learner = trained(texts, epochs=1)
    with pytest.raises(EjectError) as found:
        learner.eject(tmp_path / "x.py")
    assert str(found.value) == (
        "The script of a language model reads a text file, a folder of them or a table, and these texts "
        "came from memory. Write them as files, and train from those."
    )
    columns = {"text": texts, "part": ["test" if n % 7 == 0 else "train" for n in range(40)]}
    source = table(tmp_path / "films.csv", columns)
    learner = trained(source, epochs=1, split_column="part")
    with pytest.raises(EjectError) as found:
        learner.eject(tmp_path / "x.py")
    assert str(found.value) == (
        "The split 'test' of a language model has no plain form yet. Put all texts into one folder or "
        "table, and let a share of them validate."
    )
    with pytest.raises(
        EjectError, match=r"^A language model is ejected whole\. Use --level all\.$"
    ):
        learner.eject(tmp_path / "x.py", level="loop")
