"""The model of a script of texts whose encoder is Drivetrain's own: a random one, or a saved one."""

from __future__ import annotations

import textwrap
from pathlib import Path

from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.errors import EjectError
from drivetrain.randomness import derive
from drivetrain.text.ejecting.draft import Draft
from drivetrain.text.ejecting.model import document_model
from drivetrain.text.ejecting.whole import is_whole
from drivetrain.text.general import rows_at


def write_model(draft: Draft) -> None:
    """The function `make_model`, and the classes of the model.

    Raises: EjectError: the encoder that training began with is not there.
    """
    keeps = draft.keeps_outputs
    lines, uses = document_model(
        draft.lifter,
        draft.application.description,
        draft.setting,
        trains=True,
        keeps_outputs=keeps,
        is_whole=not keeps and _is_whole(draft),
        vocab_size="len(words)",
        num_outputs=draft.outputs,
    )
    uses["derive"] = derive
    encoder = saved_encoder(draft)
    if encoder:
        lines += f"\n{encoder}"
        uses["rows_at"] = rows_at
    body = textwrap.indent(lines, "    ")
    draft.written.append(Written(_MAKE_MODEL.format(body=body), "model", uses))


def _is_whole(draft: Draft) -> bool:
    """Whether no document of the run is read in pieces."""
    cut = draft.application.settings["max_len"]
    longest = draft.longest if cut is None else min(draft.longest, cut)
    return is_whole(draft.learner.model, draft.learner.loaders.valid, int(longest))


def saved_encoder(draft: Draft) -> str:
    """Statements that give the model a saved encoder's weights; nothing where it began at random.

    Raises: EjectError: it was given as an object, or is not where it was.
    """
    if "weights" not in draft.application.choices:
        return ""
    from drivetrain.text.encoder import RECORD

    folder = draft.application.settings["encoder"]
    if folder is None:
        raise EjectError(
            "The encoder was given as an object, which a script cannot open again. Give the folder "
            "that `save_encoder` wrote."
        )
    if not (Path(folder) / RECORD).is_file():
        raise EjectError(
            f"The encoder that training began with is not in {folder}, or is no folder that "
            "`save_encoder` wrote. Put it back there, and eject again."
        )
    draft.setting("ENCODER", folder, "the folder of the encoder that training begins with")
    for one in (
        Import("json"),
        Import("pathlib", "Path"),
        Import("safetensors.torch", "load_file"),
    ):
        draft.lifter.add_import(one)
    return _ENCODER


_MAKE_MODEL = '''
def make_model(words: Sequence[str]) -> DocumentClassifier:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "document"))
{body}
    return model
'''

_ENCODER = """# words that the encoder knows keep their vector, new ones begin with the mean of all
weights = load_file(Path(ENCODER) / "encoder.safetensors")
record = json.loads((Path(ENCODER) / "tokenizer.json").read_text("utf-8"))
known = {word: number for number, word in enumerate(record["words"])}
places = torch.tensor([known.get(word, -1) for word in words])
weights["embedding.weight"] = rows_at(weights["embedding.weight"], places)
model.encoder.load_state_dict(weights)"""
