"""A language model that writes: it goes on where a text ends, one token after another."""

from __future__ import annotations

from pathlib import Path

from drivetrain import store
from drivetrain.errors import RunError
from drivetrain.models.device import threads
from drivetrain.models.generate import generate
from drivetrain.models.language import LanguageModel, create_language_model, language_model_shapes
from drivetrain.text.base import Tokenizer
from drivetrain.text.tokenizer import tokenizer_from_json
from drivetrain.train.run import check_form, read_model, said_as_damage


class Writer:
    """A language model that writes on where a text ends.

    Args:
        model: of the words of `tokenizer`.
        tokenizer: what it was trained with.
        num_threads: torch threads.
    """

    def __init__(
        self, model: LanguageModel, tokenizer: Tokenizer, *, num_threads: int | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.num_threads = num_threads

    def generate(
        self,
        prompt: str = "",
        *,
        num_tokens: int = 40,
        temperature: float = 0.75,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 42,
    ) -> str:
        """The prompt and what comes after it, without unknown words.

        Args:
            prompt: the text so far; without one it begins a text.
            num_tokens: how many tokens to write.
            temperature, top_k, top_p, seed: as of `models.generate.generate`.

        Raises: ConfigError: an argument is out of range.
        """
        one = self.tokenizer
        ids = one.encode([prompt]).document(0).tolist()
        if ids and one.eos_id is not None and ids[-1] == one.eos_id:
            ids = ids[:-1]
        if not ids:
            ids = [one.pad_id if one.bos_id is None else one.bos_id]
        banned = [i for i in (one.unk_id, one.pad_id) if i is not None]
        with threads(self.num_threads):
            written = generate(
                self.model,
                ids,
                num_tokens,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                seed=seed,
                banned=banned,
            )
        return one.decode([*ids, *written])


def load_writer(run: store.StrPath) -> Writer:
    """The language model of a finished run, to write with.

    Raises: RunError: there is none, it is damaged, or it is no language model.
    """
    weights, record = read_model(run)
    if record.get("application") != "text" or record.get("network") != "language":
        raise RunError(f"{run} is not a run of a language model.")
    path = Path(run) / "model.json"
    check_form(record, {"model": dict, "tokenizer": dict, "num_threads": int}, path)
    with said_as_damage(path):
        found = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in weights.items()}
        if language_model_shapes(record["model"]) != found:
            raise RunError(f"{run}: the weights are of another model than the record describes.")
        model = create_language_model(record["model"])
        model.load_state_dict(weights)
        tokenizer = tokenizer_from_json(record["tokenizer"])
    return Writer(model.eval(), tokenizer, num_threads=record["num_threads"])
