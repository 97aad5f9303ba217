"""A Hugging Face encoder that classifies: tokens, what the encoder made of them, one vector, a head.

Paper: Vaswani et al. 2017, arXiv:1706.03762; Devlin et al. 2019, arXiv:1810.04805 (fine-tuning). Any text
model that `transformers` (Apache-2.0) knows as an encoder: BERT, RoBERTa, DistilBERT, MPNet, ELECTRA,
DeBERTa, ModernBERT … It is built from its configuration, which is plain JSON and part of the model's
description: whoever has the description and the weights needs neither a download nor the folder that the
encoder came from, which `models.pretrained_folder` reads.

A configuration may come from a stranger. Only entries that `transformers` has for its type are used, each
is checked, and code that a folder brings is not run.

`features` of a text is one vector, by a pooling that depends on what the encoder was trained for:

| pooling | of a text's states it takes | for |
|---|---|---|
| mean | the mean over its tokens | sentence encoders |
| first | that of the first token | encoders with a mark at the start, such as [CLS] |
| last | that of the last token | models that only look back, such as GPT-2 |

Letters: B batch, T time, H width, C outputs.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from drivetrain import _strict
from drivetrain._optional import require
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.models.document import DocumentHead
from drivetrain.nn.shapes import shapes_only
from drivetrain.randomness import seeded

POOLINGS = ("mean", "first", "last")
MOST_WIDTH = 65_536
MOST_LAYERS = 256
MOST_POSITIONS = 1 << 20
MOST_NUMBER = 1 << 31
_LAYERS = re.compile(r"layers?$|^num_hidden|blocks?|groups?|group_num|networks|experts")
_NAMES = (
    *("config", "num_outputs", "pooling", "separator_id"),
    *("hidden", "dropout", "hidden_dropout", "squeeze"),
)


class TransformerClassifier(nn.Module):
    """Texts as tokens to scores.

    Args:
        encoder: a model of `transformers` without a head of its own.
        head: (B, H) to scores; has the attribute `squeezes` where it gives (B,).
        pooling: "mean", "first" or "last".
        separator_id: the token that ends each of two texts, where the encoder is told which of them a
            token belongs to; None: it is told nothing.
    """

    def __init__(
        self, encoder: nn.Module, head: nn.Module, *, pooling: str, separator_id: int | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.pooling = pooling
        self.separator_id = separator_id
        self.max_len = most_positions(encoder)
        """Tokens of the longest text it can read."""

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Scores of texts.

        Args:
            tokens: (B, T) int64, padded at the end with whatever token.
            lengths: (B,) int64, tokens that are real; a text of none is read as one token of padding.

        Returns: (B, C) float, unnormalised; (B,) where the head squeezes.
        Raises: ShapeError: a text has more tokens than the encoder has places.
        """
        return self.head(self.features(tokens, lengths))

    def features(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the head sees, (B, H)."""
        inputs = self.inputs(tokens, lengths)
        return self.pooled(self.encoder(**inputs).last_hidden_state, inputs["attention_mask"])

    def features_of_layers(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """The same of the embeddings and of each block, (B, L + 1, H)."""
        inputs = self.inputs(tokens, lengths)
        states = self.encoder(**inputs, output_hidden_states=True).hidden_states
        return torch.stack([self.pooled(part, inputs["attention_mask"]) for part in states], dim=1)

    def inputs(self, tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What the encoder is given."""
        if tokens.shape[1] > self.max_len:
            raise ShapeError(
                f"A text has {tokens.shape[1]} tokens, and this encoder reads {self.max_len}. "
                "Cut the texts with the tokenizer's `max_len`."
            )
        places = torch.arange(tokens.shape[1], device=tokens.device)
        real = places < lengths.clamp(min=1).unsqueeze(1)  # (B, T)
        found = {"input_ids": tokens, "attention_mask": real.long()}
        if self.separator_id is not None:
            # a separator still belongs to the text that it ends, hence what stands before each token
            ends = (tokens == self.separator_id).long()
            found["token_type_ids"] = (ends.cumsum(1) - ends).clamp(max=1)
        return found

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector a text, (B, H), from (B, T, H) and the mask (B, T) of what is real."""
        if self.pooling == "first":
            return states[:, 0]
        if self.pooling == "last":
            return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
        weights = mask.unsqueeze(2).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)

    @property
    def num_features(self) -> int:
        """H."""
        config: Any = self.encoder.config
        return config.hidden_size

    @property
    def embedding(self) -> nn.Module:
        """What turns ids into vectors."""
        encoder: Any = self.encoder
        return encoder.get_input_embeddings()

    def reset(self) -> None:
        """Nothing is carried from batch to batch."""

    def layer_groups(self) -> list[list[nn.Module | nn.Parameter]]:
        """The embeddings; each block, the last with what follows it; the head."""
        return [*block_groups(self.encoder), [self.head]]


def block_groups(encoder: nn.Module) -> list[list[nn.Module | nn.Parameter]]:
    """An encoder's layers: what comes before its blocks, then each block; what follows goes to the last.

    The blocks are its largest list of modules.
    """
    lists = [(n, m) for n, m in encoder.named_modules() if isinstance(m, nn.ModuleList) and len(m)]
    if not lists:
        return [[encoder]]
    place, blocks = max(lists, key=lambda item: sum(p.numel() for p in item[1].parameters()))
    path = place.split(".")
    groups: list[list[nn.Module | nn.Parameter]] = [[]]
    module = encoder
    after: list[nn.Module | nn.Parameter] = []
    for name in path:  # down to the list, taking apart what holds it
        groups[0] += module.parameters(recurse=False)
        children = dict(module.named_children())
        names = list(children)
        cut = names.index(name)
        groups[0] += [children[n] for n in names[:cut]]
        after += [children[n] for n in names[cut + 1 :]]
        module = children[name]
    groups.extend([block] for block in blocks)
    groups[-1] += after
    return groups if groups[0] else groups[1:]


def most_positions(encoder: nn.Module) -> int:
    """Tokens of the longest text an encoder reads."""
    config: Any = encoder.config
    most = int(getattr(config, "max_position_embeddings", None) or MOST_POSITIONS)
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] == "position_embeddings":
            # RoBERTa and its kin number their places from the one after padding's
            before = 0 if module.padding_idx is None else module.padding_idx + 1
            most = min(most, module.num_embeddings - before)
    return most


# --- by description -------------------------------------------------------------------------------


def transformer_description(
    config: Mapping[str, Any],
    num_outputs: int,
    *,
    pooling: str,
    separator_id: int | None = None,
    hidden: Sequence[int] = (),
    dropout: float = 0.1,
    hidden_dropout: float = 0.1,
    squeeze: bool = False,
) -> dict[str, Any]:
    """What `create_transformer_classifier` takes, plain JSON.

    Args:
        config: of the encoder, as its `config.json` has it.
        num_outputs: scores a text gets.
        pooling: "mean", "first" or "last".
        separator_id: see `TransformerClassifier`.
        hidden: widths of the head's hidden layers.
        dropout: of the pooled features; the encoder's own are in its configuration.
        hidden_dropout: in the head, after its first layer.
        squeeze: one output is given as (B,).

    Raises: ConfigError: a value is out of range. MissingPackageError: `transformers` is not installed.
    """
    return checked_transformer(
        {
            "config": config,
            "num_outputs": num_outputs,
            "pooling": pooling,
            "separator_id": separator_id,
            "hidden": list(hidden),
            "dropout": dropout,
            "hidden_dropout": hidden_dropout,
            "squeeze": squeeze,
        }
    )


def create_transformer_classifier(
    description: Mapping[str, Any], *, seed: int | None = None
) -> TransformerClassifier:
    """The model that a description stands for, its random weights drawn from the seed.

    Args:
        description: as `transformer_description` makes it; it may come from a file.
        seed: of the weights; None where they are loaded afterwards.

    Raises: ConfigError: it is not such a description. MissingPackageError: `transformers` is missing.
    """
    found = checked_transformer(description)
    with seeded(0 if seed is None else seed, "init", "encoder"):
        encoder = create_encoder(found["config"])
    width: int = encoder.config.hidden_size
    with seeded(0 if seed is None else seed, "init", "head"):
        head = DocumentHead(
            width,
            found["num_outputs"],
            hidden=found["hidden"],
            dropout=found["dropout"],
            hidden_dropout=found["hidden_dropout"],
            squeeze=found["squeeze"],
        )
    return TransformerClassifier(
        encoder, head, pooling=found["pooling"], separator_id=found["separator_id"]
    )


def transformer_classifier_shapes(
    description: Mapping[str, Any],
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor of the model a description stands for; takes no memory."""
    with shapes_only():
        model = create_transformer_classifier(description)
    return {name: (t.dtype, tuple(t.shape)) for name, t in model.state_dict().items()}


def create_encoder(config: Mapping[str, Any]) -> Any:
    """The encoder of a checked configuration, with random weights from torch's generator.

    Attention is torch's own (`scaled_dot_product_attention`) where the model has it, which on a CPU gives
    the same bits each time.
    """
    kind, settings = _config_class(config["model_type"])
    try:
        made = kind(**{name: config[name] for name in settings if name in config})
        made.use_cache = False
        model_class = _model_class(kind)
        with quiet():
            return model_class(made, **init_options(model_class))
    except _BUILD_ERRORS as error:
        raise ConfigError(
            f"transformers cannot build a {_strict.shown(config['model_type'])} model from this "
            f"configuration: {_first_line(error)}"
        ) from error
    except require("huggingface_hub.errors", extra="text").StrictDataclassError as error:
        raise ConfigError(
            f"The configuration of the {_strict.shown(config['model_type'])} model is not sound: "
            f"{_first_line(error)}"
        ) from error


_BUILD_ERRORS = (
    *(ArithmeticError, AttributeError, AssertionError, LookupError, NotImplementedError),
    *(RuntimeError, TypeError, ValueError),
)


def checked_transformer(description: Any) -> dict[str, Any]:
    """The description, after everything in it was looked at: a file may hold anything.

    Raises: ConfigError: it is no description of a transformer that classifies.
    """
    if not isinstance(description, Mapping) or set(description) != set(_NAMES):
        raise ConfigError(f"A transformer's description needs the entries {', '.join(_NAMES)}.")
    found = {**description, "config": checked_config(description["config"])}
    value = found["num_outputs"]
    if type(value) is not int or not 1 <= value <= MOST_WIDTH:
        raise ConfigError(
            f"A transformer got num_outputs {str(value)[:40]}, expected a whole number from 1 to "
            f"{MOST_WIDTH}."
        )
    if found["pooling"] not in POOLINGS:
        raise ConfigError(
            f"A transformer got pooling {str(found['pooling'])[:40]}, expected one of "
            f"{', '.join(POOLINGS)}."
        )
    separator = found["separator_id"]
    if separator is not None and (type(separator) is not int or not 0 <= separator < MOST_NUMBER):
        raise ConfigError(
            f"A transformer got separator_id {str(separator)[:40]}, expected a token's id or none."
        )
    for name in ("dropout", "hidden_dropout"):
        share = found[name]
        if type(share) not in (int, float) or not 0 <= share < 1:
            raise ConfigError(f"A transformer got {name} {str(share)[:40]}, expected 0 to below 1.")
    widths = found["hidden"]
    is_list = isinstance(widths, list | tuple) and len(widths) <= 16
    if not is_list or not all(type(v) is int and 1 <= v <= MOST_WIDTH for v in widths):
        raise ConfigError(
            f"A transformer got hidden {str(widths)[:80]}, expected whole numbers, 1 or more."
        )
    if type(found["squeeze"]) is not bool or (found["squeeze"] and value != 1):
        raise ConfigError(
            "A transformer's `squeeze` is for one output. Got another number of them."
        )
    return found


def checked_config(config: Any) -> dict[str, Any]:
    """The entries of a `config.json` that build the model, checked; all others are left out.

    Among those that are left out: where code lies (`auto_map`), which kernels to fetch, labels.

    Raises: ConfigError: the type is not an encoder of texts, or an entry is out of range.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("model_type"), str):
        raise ConfigError(
            "The encoder's configuration does not say its `model_type`. Take the config.json that was "
            "saved with the weights."
        )
    model_type: str = config["model_type"]
    _, names = _config_class(model_type)
    found: dict[str, Any] = {"model_type": model_type}
    for name in names:
        if name in config:
            _check_entry(name, config[name])
            found[name] = config[name]
    for name in ("is_decoder", "add_cross_attention"):
        if model_type not in looking_back() and found.pop(name, False):
            raise ConfigError(
                f"The configuration makes a decoder of the encoder {_strict.shown(model_type)} "
                f"(`{name}`). Take one that was saved as an encoder."
            )
    if any("sinusoid" in name and found[name] for name in found):
        # transformers works these out number by number in Python
        if max((v for v in found.values() if type(v) is int), default=0) > 1 << 16:
            raise ConfigError("The configuration asks for more sinusoids than a model has use for.")
    return found


def _check_entry(name: str, value: Any, depth: int = 0) -> None:
    where = f"The encoder's configuration has {name} {_strict.shown(value, 40)}"
    if isinstance(value, list | tuple | dict):
        if depth > 3 or len(value) > 1_000:
            raise ConfigError(f"{where}, which is too large.")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_entry(name, inner, depth + 1)
    elif isinstance(value, str):
        if len(value) > 200:
            raise ConfigError(f"{where}, which is too long.")
    elif type(value) is int:
        most = MOST_NUMBER
        if _LAYERS.search(name):
            most = MOST_LAYERS
        elif "position" in name:
            most = MOST_POSITIONS
        if not -1 <= value <= most:
            raise ConfigError(f"{where}, expected at most {most}.")
    elif value is not None and type(value) is not bool:
        if not (isinstance(value, float) and math.isfinite(value)):
            raise ConfigError(f"{where}, expected a plain value.")


def _config_class(model_type: str) -> tuple[Any, tuple[str, ...]]:
    """Its class in `transformers`, and the entries that are the type's own.

    Raises: ConfigError: it is no type of encoder that `transformers` itself has.
    """
    transformers = require("transformers", extra="text")
    if model_type not in encoder_types():
        raise ConfigError(
            f"{_strict.shown(model_type)} is not a type of text encoder that transformers "
            f"{transformers.__version__} has, and code from a model's folder is not run. Choose another, "
            "such as bert, roberta, distilbert, mpnet, deberta-v2 or modernbert."
        )
    mapping = require("transformers.models.auto.configuration_auto", extra="text")
    kind = mapping.CONFIG_MAPPING[model_type]
    general = {field.name for field in fields(transformers.PretrainedConfig)}
    own = tuple(field.name for field in fields(kind) if field.name not in general)
    if getattr(kind, "sub_configs", None):
        raise ConfigError(
            f"{_strict.shown(model_type)} is made of several models. Choose an encoder of texts alone."
        )
    return kind, own


def encoder_types() -> frozenset[str]:
    """Types of models of one stack that read text, as `transformers` names them."""
    auto = require("transformers.models.auto.modeling_auto", extra="text")
    reads_text = {
        *auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        *auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    }
    two_stacks = {*auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES}
    return frozenset(reads_text & {*auto.MODEL_MAPPING_NAMES} - two_stacks)


def looking_back() -> frozenset[str]:
    """Types whose tokens only see those before them."""
    auto = require("transformers.models.auto.modeling_auto", extra="text")
    causal = {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
    return frozenset(causal - {*auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES})


def _model_class(kind: Any) -> Any:
    auto = require("transformers.models.auto.modeling_auto", extra="text")
    return auto.MODEL_MAPPING[kind]


def init_options(model_class: Any) -> dict[str, Any]:
    """What its class is told beside the configuration: no pooler, which nothing here would train."""
    takes = inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """transformers writes no report and no bar inside; what we check, we say ourselves."""
    logging = require("transformers.utils.logging", extra="text")
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200].rstrip(".") + "."
