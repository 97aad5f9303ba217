"""Texts and a model whose embedding can be answered for: how `interpret.tokens` asks.

For the time of a question each token that is asked about has an id of its own, beyond the vocabulary, and
hooks of that layer answer it with the vector of that place; padding and tokens that are kept stay as they
are. So a model may read a document in pieces, sort rows or mask padding by its id. Nothing of the model
stays changed: hooks are taken off, modes and carried state put back, and no `.grad` is written.

Letters: B texts, T tokens, E features of a vector, C classes, R rows of one call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivetrain._registry import lookup
from drivetrain.errors import ConfigError, ShapeError
from drivetrain.interpret.token_attributions import TokenAttributions
from drivetrain.models.recurrent import RecurrentEncoder

SCORES = {
    "log_odds": "log(p / (1 - p)) of a class, p by softmax; a number added to all changes nothing",
    "output": "the model's output itself",
}
"""What may be taken apart."""

SAME = 1e-3
"""By how much scores may differ with ids beyond the vocabulary, times the largest where it is above 1."""

Call = Callable[[Tensor, Tensor], Any]
"""(tokens (R, T), lengths (R,)) -> the model's outputs."""


def find_embedding(
    model: nn.Module, tokens: Tensor | None = None, call: Callable[[], Any] | None = None
) -> nn.Embedding:
    """The layer that tokens enter.

    It is what `model.get_input_embeddings()` says, or the one `nn.Embedding` there is; of several, the
    one that the tokens are seen to enter as the model is called.

    Args:
        tokens: (B, T) int64, to tell several apart.
        call: calls the model with them.

    Raises: ConfigError: there is none, or several that cannot be told apart.
    """
    for module in model.modules():  # transformers' way to say it, in whatever it is wrapped
        asked = getattr(module, "get_input_embeddings", None)
        if callable(asked):
            layer = asked()
            if isinstance(layer, nn.Embedding):
                return layer
    found = {name: m for name, m in model.named_modules() if isinstance(m, nn.Embedding)}
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise ConfigError(
            f"`{type(model).__name__}` has no `nn.Embedding` that tokens could enter."
        )
    if tokens is not None and call is not None:
        found = _entered(found, tokens, call)
    if len(found) != 1:
        raise ConfigError(
            f"`{type(model).__name__}` has several layers that tokens may enter: "
            f"{', '.join(found)}. Name one of them: embedding='…'."
        )
    return next(iter(found.values()))


def _entered(
    found: dict[str, nn.Embedding], tokens: Tensor, call: Callable[[], Any]
) -> dict[str, nn.Embedding]:
    """Of some embeddings, those that were given these tokens; all of them where none was."""
    seen: dict[str, list[Tensor]] = {name: [] for name in found}

    def noting(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, args: seen[name].append(args[0])

    hooks = [layer.register_forward_pre_hook(noting(name)) for name, layer in found.items()]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    entered = {
        name: found[name]
        for name, calls in seen.items()
        # pieces of a text are its first columns, of all rows at first
        if calls and torch.equal(calls[0], tokens[:, : calls[0].shape[-1]])
    }
    return entered or found


@contextlib.contextmanager
def asking(
    model: nn.Module,
    tokens: Tensor,
    lengths: Tensor | None,
    target: int | Sequence[int] | None,
    baseline: str | int | Tensor,
    keep: Tensor | None,
    score: str | None,
    embedding: str | nn.Embedding | None,
    call: Call | None,
) -> Iterator[Question]:
    """A question to a model, which is as it was when the question ends."""
    check_texts(tokens, lengths, keep)
    modes = {module: module.training for module in model.modules()}
    learnt = [p for p in model.parameters() if p.requires_grad]
    # A language model would go on from the text before.
    carried = {m: m.state for m in modes if isinstance(m, RecurrentEncoder)}
    question: Question | None = None
    try:
        for module in modes:
            module.training = False  # not `eval()`, which some modules act on
        for parameter in learnt:  # gradients of weights would cost as much again
            parameter.requires_grad_(False)
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(tokens.device.type, enabled=False),
            # cuDNN has no gradients of recurrent layers in evaluation mode.
            torch.backends.cudnn.flags(enabled=False),
        ):
            question = Question(model, tokens, lengths, keep, embedding, call)
            question.prepare(target, baseline, score)
            yield question
    finally:
        if question is not None:
            question.close()
        for parameter in learnt:
            parameter.requires_grad_(True)
        for module, was_training in modes.items():
            module.training = was_training
        for module, state in carried.items():
            module.state = state


class Question:
    """Texts and a model whose embedding can be answered for; made by `asking`.

    Args:
        model, tokens, lengths, keep, embedding, call: as of `integrated_gradients`.
    """

    def __init__(
        self,
        model: nn.Module,
        tokens: Tensor,
        lengths: Tensor | None,
        keep: Tensor | None,
        embedding: str | nn.Embedding | None,
        call: Call | None,
    ) -> None:
        self.model = model
        self.tokens = tokens.clone()  # may come from inference mode
        count, width = tokens.shape
        full = torch.full((count,), width, device=tokens.device)
        self.lengths = full if lengths is None else lengths.clone()
        self.call = call or (model if lengths is not None else lambda tokens, _: model(tokens))  # type: Call
        columns = torch.arange(width, device=tokens.device)
        self.real = columns < self.lengths.unsqueeze(1)  # (B, T)
        self.keep = torch.zeros_like(self.real) if keep is None else keep.to(tokens.device)
        self.hooks: list[Any] = []
        self.layer = self._layer(embedding)
        weight = self.layer.weight
        if weight.dtype not in (torch.float32, torch.float64):
            raise ConfigError(
                f"Attributions need a model in float32. Got {weight.dtype}: call `model.float()`."
            )
        self.vectors = weight[self.tokens].detach()  # (B, T, E)
        self.blank = self.vectors
        self.table: Tensor | None = None  # (R * T, E), what the hooks answer
        self.places: Tensor | None = None
        self.was_asked = False
        self.targets: Tensor | None = None
        self.score = "output"
        self.baseline = ""
        self.scores = self.baseline_scores = torch.zeros(0)

    def _layer(self, embedding: str | nn.Embedding | None) -> nn.Embedding:
        if embedding is None:
            return find_embedding(
                self.model, self.tokens, lambda: self._called(self.tokens, self.lengths)
            )
        if isinstance(embedding, nn.Embedding):
            return embedding
        known = {n: m for n, m in self.model.named_modules() if isinstance(m, nn.Embedding)}
        return lookup(known, embedding, what="embedding of the model")

    def prepare(
        self, target: int | Sequence[int] | None, baseline: str | int | Tensor, score: str | None
    ) -> None:
        """Fix what is asked; raises ConfigError where it cannot be."""
        self.hooks = [
            self.layer.register_forward_pre_hook(self._before),
            self.layer.register_forward_hook(self._after),
        ]
        plain = self._called(self.tokens, self.lengths)
        self._fix_target(plain, target, score)
        self.blank = self._blank(baseline)
        everyone = torch.arange(len(self.tokens))
        self.scores = self._score(plain, everyone).double().cpu()
        try:
            again = self.ask(self.vectors, everyone).double().cpu()
        except IndexError as error:
            raise ConfigError(_LOOKS_ELSEWHERE) from error
        allowed = SAME * max(1.0, float(self.scores.abs().max()))
        unasked = not self.was_asked and bool((self.real & ~self.keep).any())
        if unasked or not bool(((again - self.scores).abs() <= allowed).all()):
            raise ConfigError(_LOOKS_ELSEWHERE)
        self.baseline_scores = self.ask(self.blank, everyone).double().cpu()

    def close(self) -> None:
        """Take the hooks off."""
        for hook in self.hooks:
            hook.remove()

    def ask(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """(R,) the scores where the vectors of texts are these.

        Args:
            vectors: (R, T, E).
            rows: (R,) int64, the texts they stand for.
        """
        count, width, features = vectors.shape
        own = torch.arange(count * width, device=self.tokens.device).view(count, width)
        # What is kept has its own vector, and its id, by which some models know where a text ends.
        is_asked = (self.real & ~self.keep)[rows]
        ids = torch.where(is_asked, own + self.layer.num_embeddings, self.tokens[rows])
        self.table = vectors.reshape(count * width, features)
        try:
            return self._score(self._called(ids, self.lengths[rows]), rows)
        finally:
            self.table = None

    def ask_tokens(self, tokens: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        """(R,) the scores of other tokens that stand for texts."""
        return self._score(self._called(tokens, lengths), rows, lengths)

    def record(
        self, method: str, values: np.ndarray, steps: np.ndarray, tolerance: float
    ) -> TokenAttributions:
        """What was found."""
        targets = [None] * len(self.tokens) if self.targets is None else self.targets.tolist()
        return TokenAttributions(
            method,
            values,
            self.lengths.cpu().numpy(),
            tuple(targets),
            self.score,
            tuple(self.scores.tolist()),
            tuple(self.baseline_scores.tolist()),
            self.baseline,
            tuple(steps.tolist()),
            tolerance,
        )

    def _called(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        for module in self.model.modules():
            if isinstance(module, RecurrentEncoder):
                module.reset()
        outputs = self.call(tokens, lengths)
        return getattr(outputs, "logits", outputs)

    def _before(self, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.table is None:
            return None
        self.places = args[0] - self.layer.num_embeddings
        return (args[0].masked_fill(self.places >= 0, 0), *args[1:])

    def _after(self, _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if self.table is None or self.places is None:
            return None
        is_own = (self.places >= 0).unsqueeze(-1)
        self.was_asked = self.was_asked or bool(is_own.any())
        return torch.where(is_own, self.table[self.places.clamp(min=0)], output)

    def _fix_target(
        self, outputs: Tensor, target: int | Sequence[int] | None, score: str | None
    ) -> None:
        outputs = self._last(outputs, self.lengths)
        num_outputs = outputs.shape[1]
        self.score = ("log_odds" if num_outputs > 1 else "output") if score is None else score
        lookup(SCORES, self.score, what="score")
        if num_outputs == 1:
            if target is not None or self.score != "output":
                raise ConfigError(
                    "The model has one output: leave `target` out, and `score` or 'output'."
                )
            return
        if target is None:
            self.targets = outputs.argmax(dim=1)
            return
        given = [target] * len(outputs) if isinstance(target, int) else list(target)
        if len(given) != len(outputs) or not all(0 <= one < num_outputs for one in given):
            raise ConfigError(
                f"`target` must be a class from 0 to {num_outputs - 1}, one or {len(outputs)} of them. "
                f"Got {target}."
            )
        self.targets = torch.tensor(given, device=outputs.device)

    def _last(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """(R, C) of what a model answers."""
        if outputs.ndim == 3:  # at each position: the last is what comes next
            each = torch.arange(len(outputs), device=outputs.device)
            outputs = outputs[each, (lengths - 1).clamp(min=0)]
        outputs = outputs.unsqueeze(1) if outputs.ndim == 1 else outputs
        if outputs.ndim != 2 or len(outputs) != len(lengths):
            raise ShapeError(
                f"The model answered with shape {tuple(outputs.shape)} to {len(lengths)} texts, "
                "expected (B,), (B, C) or (B, T, C)."
            )
        return outputs

    def _score(self, outputs: Tensor, rows: Tensor, lengths: Tensor | None = None) -> Tensor:
        outputs = self._last(outputs, self.lengths[rows] if lengths is None else lengths)
        if self.targets is None:
            return outputs.squeeze(1)
        column = self.targets[rows].unsqueeze(1)
        own = outputs.gather(1, column).squeeze(1)
        if self.score == "output":
            return own
        return own - outputs.scatter(1, column, -torch.inf).logsumexp(dim=1)

    def _blank(self, baseline: str | int | Tensor) -> Tensor:
        """(B, T, E) the vectors of the texts that say nothing; names the baseline as well."""
        weight = self.layer.weight.detach()
        if isinstance(baseline, Tensor):
            vector, self.baseline = baseline.to(weight), "a vector"
            if vector.shape != weight.shape[1:]:
                raise ShapeError(
                    f"`baseline` has shape {tuple(vector.shape)}, expected ({weight.shape[1]},)."
                )
        elif baseline == "zero":
            vector, self.baseline = torch.zeros_like(weight[0]), "zero"
        elif baseline == "mean":
            vector, self.baseline = weight.mean(dim=0), "the mean word"
        elif type(baseline) is int and 0 <= baseline < len(weight):
            vector, self.baseline = weight[baseline], f"token {baseline}"
        else:
            raise ConfigError(
                f"`baseline` must be 'zero', 'mean', an id below {len(weight)} or a tensor "
                f"({weight.shape[1]},). Got {baseline!r}."
            )
        stays = (self.keep | ~self.real).unsqueeze(2)
        return torch.where(stays, self.vectors, vector)


_LOOKS_ELSEWHERE = (
    "The model answers differently where a token has an id beyond the vocabulary, so it looks at ids "
    "elsewhere than in that embedding, and what its tokens add cannot be told. Name the embedding that "
    "tokens enter: embedding='…'."
)


def check_texts(tokens: Tensor, lengths: Tensor | None, keep: Tensor | None) -> None:
    """Raises: ShapeError: tensors that do not fit each other, or are empty."""
    if tokens.ndim != 2 or tokens.dtype != torch.int64 or tokens.numel() == 0:
        raise ShapeError(
            f"`tokens` must be (B, T) int64 with B and T above 0. "
            f"Got {tuple(tokens.shape)} {tokens.dtype}."
        )
    if lengths is not None and (
        lengths.shape != tokens.shape[:1]
        or int(lengths.min()) < 0
        or int(lengths.max()) > tokens.shape[1]
    ):
        raise ShapeError(
            f"`lengths` must be ({len(tokens)},), each from 0 to {tokens.shape[1]}. "
            f"Got {tuple(lengths.shape)}, {lengths.tolist()[:5]}."
        )
    if keep is not None and (keep.shape != tokens.shape or keep.dtype != torch.bool):
        raise ShapeError(
            f"`keep` must be {tuple(tokens.shape)} bool. Got {tuple(keep.shape)} {keep.dtype}."
        )
