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


def test_what_has_no_plain_form_is_refused(tmp_path: Path) -> None:
    learner = trained(table(tmp_path / "films.csv", {"text": reviews(40)[0]}), epochs=1)
    with pytest.raises(EjectError) as found:
        learner.eject(tmp_path / "x.py")
    assert str(found.value) == (
        "The script of a language model reads a text file or a folder of them, and these texts came "
        "from a table or from memory. Write them as files, and train from those."
    )
    with pytest.raises(
        EjectError, match=r"^A language model is ejected whole\. Use --level all\.$"
    ):
        learner.eject(tmp_path / "x.py", level="loop")
