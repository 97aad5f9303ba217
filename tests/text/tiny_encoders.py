"""A small encoder in a folder as transformers writes one, its weights random, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drivetrain.randomness import seeded

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(
    "a the film was good bad dull bright cat dog house tree , . ; : text1 text2 anc1".split()
)


def tiny_tokenizer(words: Sequence[str] = WORDS) -> Any:
    """A tokenizer of whole words in small letters, with the marks of BERT."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocab = {word: i for i, word in enumerate((*MARKS, *dict.fromkeys(words)))}
    rust = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    rust.normalizer = normalizers.Lowercase()
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.add_special_tokens(list(MARKS))
    rust.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    return rust


def tiny_config(words: Sequence[str] = WORDS, **changes: Any) -> dict[str, Any]:
    """The configuration of a BERT of two blocks."""
    return {
        "model_type": "bert",
        "vocab_size": len(MARKS) + len(dict.fromkeys(words)),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "pad_token_id": 0,
    } | changes


def save_tiny(folder: Path, words: Sequence[str] = WORDS, **changes: Any) -> Any:
    """Write such a folder; returns the model of transformers that was written."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    config = tiny_config(words, **changes)
    del config["model_type"]
    with seeded(0, "tiny"):
        model = BertModel(BertConfig(**config)).eval()
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer(words),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    tokenizer.save_pretrained(folder)
    return model
