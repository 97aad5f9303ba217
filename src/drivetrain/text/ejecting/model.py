"""The classifier of a run or a bundle in a script: lifted, with what its description decides put in."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.tree import dotted
from drivetrain.models import decoder, document, recurrent
from drivetrain.models.language import RANGE
from drivetrain.text.ejecting.whole import WholeClassifier

DROPOUT = "drivetrain.nn.dropouts"
ENCODER = "drivetrain.models.recurrent:RecurrentEncoder"
WHOLE = "drivetrain.text.ejecting.whole:WholeClassifier"
CLASSIFIER = "drivetrain.models.document:DocumentClassifier"
HEAD = "drivetrain.models.document:DocumentHead"

Set = Callable[[str, Any, str], str]
"""Makes a setting of the script: name, value, reason; answers with the name."""

_DROPOUTS = {
    "embedding_dropout": "share of the words that are dropped in training",
    "input_dropout": "share of the vectors' features, the same at each time",
    "weight_dropout": "share of the weights from state to state",
    "hidden_dropout": "share of the features between layers, the same at each time",
    "dropout": "share of the features at the end of each block that are dropped in training",
}


def document_model(
    lifter: Lifter,
    description: Mapping[str, Any],
    setting: Set,
    *,
    trains: bool,
    keeps_outputs: bool = False,
    is_whole: bool = False,
    vocab_size: str = "vocab_size",
    num_outputs: str = "len(CLASSES)",
) -> tuple[str, dict[str, Any]]:
    """Statements that make `model`, a `DocumentClassifier`, and what they use.

    Args:
        trains: the script trains; else its weights are read, and dropouts do nothing.
        keeps_outputs: a callback reads what the encoder gave.
        is_whole: no document is longer than a piece; see `ejecting.whole`.
        vocab_size: an expression in the script; likewise `num_outputs`.
    """
    encoder = description["encoder"]
    know_document(
        lifter, description, trains=trains, keeps_outputs=keeps_outputs, is_whole=is_whole
    )
    uses: dict[str, Any] = {"DocumentHead": document.DocumentHead}
    if is_whole:
        lifter.called_as[WHOLE] = "DocumentClassifier"
        uses["DocumentClassifier"] = WholeClassifier
    else:
        uses["DocumentClassifier"] = document.DocumentClassifier
    made, of_encoder = encoder_text(encoder, setting, trains=trains, vocab_size=vocab_size)
    uses |= of_encoder
    options = [f"hidden={tuple(description['hidden'])!r}"]
    reasons = {"dropout": "of the pooled features", "hidden_dropout": "in the head"}
    for name, what in reasons.items():
        if not trains:
            options.append(f"{name}=0.0")
            continue
        reason = f"share of values that are dropped in training, {what}"
        called = "HEAD_DROPOUT" if name == "dropout" else "HEAD_HIDDEN_DROPOUT"
        options.append(f"{name}={setting(called, description[name], reason)}")
    if description["squeeze"]:
        options.append("squeeze=True")
    pieces = ""
    if not is_whole:
        read = setting("SEQ_LEN", description["seq_len"], "tokens of a document read at once")
        reach = setting(
            "MAX_LEN", description["max_len"], "tokens that gradients reach, from the end"
        )
        pieces = f", seq_len={read}, max_len={reach}"
    lines = [
        f"encoder = {made}",
        f"head = DocumentHead(3 * encoder.num_features, {num_outputs}, {', '.join(options)})",
        f"model = DocumentClassifier(encoder, head{pieces})",
    ]
    lifter.add_import(Import("torch"))
    lifter.add_import(Import("torch", "nn"))
    lifter.add_import(Import("torch", "Tensor"))
    return "\n".join(lines), uses


def know_document(
    lifter: Lifter,
    description: Mapping[str, Any],
    *,
    trains: bool,
    keeps_outputs: bool,
    is_whole: bool = False,
) -> None:
    """What of the model's classes is decided."""
    encoder = description["encoder"]
    of_model = {"self.keeps_outputs": Known(keeps_outputs)}
    if not trains:
        of_model["whole"] = Known(False)
    lifter.known[CLASSIFIER] = of_model
    lifter.known[HEAD] = {"self.squeezes": Known(bool(description["squeeze"]))}
    if encoder["kind"] != "decoder":
        know_recurrent(lifter, encoder, trains=trains)
        if is_whole:
            begins = {"before": Known(())}  # each document begins anew
            lifter.known[ENCODER] = dict(lifter.known[ENCODER]) | begins
        lifter.need(recurrent.RecurrentEncoder)
        piece = lifter.pieces["RecurrentEncoder"]
        # a document begins anew, so nothing is carried and nothing reset
        for name in ("train", "reset", "_carried"):
            piece.methods.pop(name, None)
        piece.node.body = [one for one in piece.node.body if getattr(one, "name", "") != "forward"]
        _without(piece.node, "context")
        for name in ("embedding_dropout", "input_dropout", "hidden_dropout"):
            if not trains or not encoder[name]:
                _Through(name).visit(piece.node)
                _Through(name).visit(piece.methods["read_on"])
    if is_whole:
        return
    lifter.need(document.DocumentClassifier)
    piece = lifter.pieces["DocumentClassifier"]
    piece.methods.pop("reset", None)
    if not keeps_outputs:
        _without(piece.node, "keeps_outputs")


def _without(node: ast.ClassDef, name: str) -> None:
    """Leave out a class's attribute that nothing reads."""
    node.body = [
        one
        for one in node.body
        if not isinstance(one, ast.Assign | ast.AnnAssign)
        or dotted(one.target if isinstance(one, ast.AnnAssign) else one.targets[0]) != name
    ]


class _Through(ast.NodeTransformer):
    """Without a module that hands on what it is given: where it is made, and where it is called."""

    def __init__(self, name: str) -> None:
        self.path = f"self.{name}"

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if dotted(node.targets[0]) == self.path:
            return None
        self.generic_visit(node)
        is_itself = isinstance(node.value, ast.Name) and dotted(node.targets[0]) == node.value.id
        return None if is_itself else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        self.generic_visit(node)
        return node if node.body else None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return node.args[0] if dotted(node.func) == self.path else node


def know_recurrent(
    lifter: Lifter,
    encoder: Mapping[str, Any],
    *,
    trains: bool,
    spread: Sequence[str] = ("input_dropout", "hidden_dropout"),
) -> None:
    """What of a recurrent encoder's classes is decided.

    Args:
        spread: names of the shares that a `VariationalDropout` drops.
    """
    is_lstm = encoder["kind"] == "lstm"

    def is_zero(*names: str) -> dict[str, Known]:
        shares = [encoder[name] if trains else 0 for name in names]
        if any(shares) and not all(shares):
            return {}
        return {"self.p == 0": Known(not any(shares))}

    lifter.known[f"{DROPOUT}:EmbeddingDropout"] = is_zero("embedding_dropout")
    lifter.known[f"{DROPOUT}:VariationalDropout"] = is_zero(*spread)
    lifter.known[f"{DROPOUT}:WeightDrop"] = is_zero("weight_dropout") | {
        "isinstance(state, tuple)": Known(is_lstm),
        "self.module.mode == 'LSTM'": Known(is_lstm),
    }
    lifter.known[ENCODER] = {
        "isinstance(new, tuple)": Known(is_lstm),
        "parts == 1": Known(not is_lstm),
    }


def encoder_text(
    encoder: Mapping[str, Any], setting: Set, *, trains: bool, vocab_size: str
) -> tuple[str, dict[str, Any]]:
    """An expression that makes the encoder, and what it uses."""
    given = [vocab_size, setting("EMBEDDING_DIM", encoder["embedding_dim"], "numbers a word")]
    if encoder["kind"] == "decoder":
        given += [
            setting("NUM_HEADS", encoder["num_heads"], "of attention"),
            setting("NUM_LAYERS", encoder["num_layers"], "blocks"),
        ]
        options = [f"context={setting('CONTEXT', encoder['context'], 'tokens seen together')}"]
        names, made = ("dropout",), "DecoderEncoder"
    else:
        given += [
            setting("HIDDEN_DIM", encoder["hidden_dim"], "numbers between two recurrent layers"),
            setting("NUM_LAYERS", encoder["num_layers"], "recurrent layers"),
        ]
        options = [f"kind={encoder['kind']!r}"]
        names, made = tuple(name for name in _DROPOUTS if name != "dropout"), "RecurrentEncoder"
    for name in names:
        if trains and encoder[name]:
            options.append(f"{name}={setting(name.upper(), encoder[name], _DROPOUTS[name])}")
    if trains and RANGE in encoder:
        name = setting(RANGE.upper(), encoder[RANGE], "the words' vectors begin uniform in ± this")
        options.append(f"{RANGE}={name}")
    uses = {
        made: decoder.DecoderEncoder if made == "DecoderEncoder" else recurrent.RecurrentEncoder
    }
    return f"{made}({', '.join([*given, *options])})", uses
