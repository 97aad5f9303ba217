"""`predict.py` of a bundle: what the bundle answers, as a plain script that needs no Drivetrain.

It is made as the script of a run is (`drivetrain.eject`): of the library's own source, with what is
known of this bundle put in. Rules and vocabulary are read from the `tokenizer.json` beside it; which
rules there are is put in.
"""

from __future__ import annotations

import textwrap
from math import inf
from typing import Any

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.calibration import calibrated
from drivetrain.bundle.conformal import strangeness
from drivetrain.bundle.domain import domain_score
from drivetrain.bundle.manifest import Manifest
from drivetrain.data import padded as batches
from drivetrain.eject import ending
from drivetrain.eject.known import Known
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.eject.text import docstring
from drivetrain.text import reading
from drivetrain.text.bundling import network
from drivetrain.text.bundling.guard import TextGuard, new_in_text, unknown_share
from drivetrain.text.bundling.predictor import TextPredictor
from drivetrain.text.ejecting.model import document_model
from drivetrain.text.ejecting.reading import without_repairs
from drivetrain.text.ejecting.tokens import encode_written, know_rules
from drivetrain.text.ejecting.transformer import encoder_of_hub, tokenizer_written

SECTIONS = (
    ("settings", "Settings"),
    ("tokens", "Tokens: what of a text has an id"),
    ("model", "Model"),
    ("guard", "Guard: how sure an answer is, and whether the text is of a known kind"),
    ("main", "Answers"),
)


def predictor_source(predictor: TextPredictor, manifest: Manifest) -> str:
    """The source of `predict.py`.

    Args:
        predictor: that of the bundle, with its guard.
        manifest: of the bundle; it need not know its files yet.
    Raises: MissingPackageError: ruff, which lays it out, is not installed.
    """
    return _Writer(predictor, manifest).source()


class _Writer:
    def __init__(self, predictor: TextPredictor, manifest: Manifest) -> None:
        self.predictor, self.manifest = predictor, manifest
        self.tokenizer, self.guard = predictor.tokenizer, predictor.guard
        self.is_transformer = manifest.architecture["name"] == "transformer"
        self.lifter = Lifter()
        self.lifter.on_cpu = True
        self.settings: list[Setting] = []

    def source(self) -> str:
        """All of it."""
        ruff = ruff_path()
        rounds = "texts at once; another number may round otherwise"
        self._setting("BATCH_SIZE", network.BATCH, rounds)
        if self.manifest.num_threads is not None:
            self._setting("NUM_THREADS", self.manifest.num_threads, "torch threads; likewise")
        if self.predictor.max_len is not None:
            self._setting("MOST_TOKENS", self.predictor.max_len, "of a text that are read")
        written = [
            Written("HERE = Path(__file__).parent", "settings"),
            *self._tokens(),
            self._model(),
            *([] if self.guard is None else [Written(_GUARD, "guard")]),
            *self._answering(),
        ]
        without_repairs(self.lifter)
        pieces = pieces_of(written, self.lifter)
        for one in _IMPORTS:
            self.lifter.add_import(one)
        text = put_together(
            self.lifter,
            pieces,
            self.settings,
            docstring=self._docstring(),
            sections=SECTIONS,
            section_of=_section_of,
            ending=ending.ENDING,
        )
        return laid_out(text, ruff)

    def _setting(self, name: str, value: Any, reason: str) -> str:
        self.settings.append(Setting(name, value, reason))
        self.lifter.constants[name] = value
        return name

    def _tokens(self) -> list[Written]:
        if self.is_transformer:
            written, settings = tokenizer_written(self.tokenizer, self.lifter)  # pyright: ignore[reportArgumentType]
            self.settings += settings
            return written
        tokenizer: Any = self.tokenizer
        self.settings.append(know_rules(self.lifter, tokenizer.rules))
        return [encode_written(self.tokenizer, self.lifter)]

    def _model(self) -> Written:
        description = self.manifest.architecture["description"]
        outputs = "NUM_CLASSES" if self.manifest.classes else "1"
        if self.is_transformer:
            lines, uses, settings = encoder_of_hub(self.lifter, description, num_outputs=outputs)
            self.settings += settings
        else:
            lines, uses = document_model(
                self.lifter,
                description,
                self._setting,
                trains=False,
                vocab_size="VOCAB_SIZE",
                num_outputs=outputs,
            )
            words = network.num_words_of(self.predictor.model)
            self._setting("VOCAB_SIZE", words, "words that have a vector")
        if self.manifest.classes:
            self._setting("NUM_CLASSES", len(self.manifest.classes), "")
        return Written(_MODEL.format(lines=textwrap.indent(lines, "    ")), "model", uses)

    def _answering(self) -> list[Written]:
        guard, goal = self.guard, self.predictor.goal
        load = [] if self.manifest.num_threads is None else ["torch.set_num_threads(NUM_THREADS)"]
        if goal.classes:
            load += ['classes = json.loads((HERE / "bundle.json").read_text("utf-8"))["classes"]']
        load += ['record = json.loads((HERE / "tokenizer.json").read_text("utf-8"))']
        uses: dict[str, Any] = {
            "scores_and_features": network.scores_and_features,
            "decoded": reading.decoded,
            "tidied": reading.tidied,
        }
        self.lifter.known["drivetrain.text.bundling.network:scores_and_features"] = {
            "BATCH": Known(network.BATCH, "BATCH_SIZE")
        }
        encoded = _ENCODED[self.tokenizer.kind]
        if self.predictor.max_len is not None:
            encoded = f"shortened({encoded}, MOST_TOKENS)"
            uses["shortened"] = batches.shortened
        pad = str(self.tokenizer.pad_id)
        said = _SAID if goal.kind == "class" else ""
        if goal.kind != "class":
            judged, line = (_SIGMOID, _LABELS_LINE) if goal.classes else (_NUMBER, _NUMBER_LINE)
            parameters, given = "", ""
            if not goal.classes:
                self._setting("MEAN", goal.mean, "of the numbers that were learnt")
                self._setting("SCALE", goal.scale, "what they were divided by")
        elif guard is None:
            judged, line, parameters, given = _SOFTMAX, _LINE, "", ""
        else:
            load += ["guard, known = load_guard()"]
            parameters, given = ", guard: dict[str, Any], known: list[Tensor]", ", guard, known"
            judged = self._judged(guard)
            line = _GUARDED_LINE
            uses |= {
                "calibrated": calibrated,
                "domain_score": domain_score,
                "strangeness": strangeness,
                "unknown_share": unknown_share,
                "new_in_text": new_in_text,
            }
        named, known = (", classes: list[str]", ", classes") if goal.classes else ("", "")
        predict = _PREDICT.format(
            encoded=encoded, pad=pad, classes=named, guard=parameters, said=said, judged=judged
        )
        body = textwrap.indent("\n".join(load), "    ")
        main = _MAIN.format(load=body, classes=known, guard=given)
        return [
            Written(predict, "main", uses),
            Written(line, "main"),
            Written(main, "main"),
            Written(ending.RUN, "main"),
        ]

    def _judged(self, guard: TextGuard) -> str:
        unk = self.tokenizer.unk_id
        inner = guard.guard
        return _JUDGED.format(
            sets=_SETS if inner.prediction_sets.is_enough else _ALL_CLASSES,
            is_known='score <= guard["answers"]["domain"]["threshold"]'
            if inner.domain.is_enough
            else "True",
            unknown="0.0" if unk is None else f"unknown_share(ids, {unk})",
            most='guard["most_unknown"]' if guard.most_unknown < inf else "1.0",
        )

    def _docstring(self) -> str:
        classes = self.manifest.classes
        some = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else ".")
        purpose = {
            "class": f"Say which of {len(classes)} classes a text is of: {some}",
            "labels": f"Say which of {len(classes)} labels a text has: {some}",
            "number": "Predict a number of a text.",
        }[self.predictor.goal.kind]
        text = [*textwrap.wrap(purpose, WIDTH)]
        beside = ["bundle.json", manifests.WEIGHTS, manifests.TOKENIZER]
        beside += [] if self.guard is None else [manifests.GUARD, manifests.GUARD_TENSORS]
        words = (
            "Written by Drivetrain, which it does not need. It answers as `drivetrain predict` does, to "
            "the last bit on the same machine and versions, and calculates on the CPU. The model lies "
            f"beside it: {', '.join(beside[:-1])} and {beside[-1]}."
        )
        text += ["", *textwrap.wrap(words, WIDTH), "", "    python predict.py FILE.txt... [--json]"]
        return docstring(text)


_SECTION_OF = {
    "text": "tokens",
    "data": "tokens",
    "models": "model",
    "nn": "model",
    "bundle": "guard",
}


def _section_of(module: str) -> str:
    if module == "drivetrain.text.bundling.guard":
        return "guard"
    if module in ("drivetrain.text.bundling.network", "drivetrain.data.padded"):
        return "model"
    return _SECTION_OF[module.split(".")[1]]


_IMPORTS = (
    *(Import(name) for name in ("argparse", "json", "torch")),
    *ending.IMPORTS,
    Import("numpy", "", "np"),
    Import("pathlib", "Path"),
    Import("safetensors.torch", "load_file"),
    Import("torch", "Tensor"),
    Import("torch", "nn"),
    Import("typing", "Any"),
    Import("collections.abc", "Sequence"),
)
"""What the texts below use; those that are not used are left out."""

_ENCODED = {
    "word": 'encode(texts, record["words"])',
    "char": 'encode(texts, record["words"])',
    "bpe": 'encode(texts, record["words"], [tuple(one.split(" ")) for one in record["merges"]])',
    "unigram": 'encode(texts, record["words"], record["scores"])',
    "transformer": "encode(texts, record)",
}

_MODEL = '''
def load_model() -> nn.Module:
    """The trained model."""
{lines}
    model.load_state_dict(load_file(HERE / "model.safetensors"))
    return model.eval()
'''

_GUARD = '''
def load_guard() -> tuple[dict[str, Any], list[Tensor]]:
    """What was fitted on validation texts, and what features of known texts are like."""
    tensors = load_file(HERE / "guard.safetensors")
    known = [tensors[f"domain.{name}"].double() for name in ("basis", "whitening", "references")]
    return json.loads((HERE / "guard.json").read_text("utf-8")), known
'''

_SETS = 'strangeness(probs) <= guard["answers"]["sets"]["threshold"]'
_ALL_CLASSES = "torch.ones_like(probs, dtype=torch.bool)  # too few texts to leave a class out"

_PREDICT = '''
def predict(
    texts: list[str], names: list[str]{classes}, record: dict[str, Any], model: Any{guard}
) -> list[dict[str, Any]]:
    """The answers for texts, in order."""
    tokens = {encoded}
    scores, features = scores_and_features(model, tokens, {pad})
{said}    answers = []
{judged}
    return answers
'''

_SAID = "    said = scores.argmax(dim=1).tolist()  # calibrated, two probabilities may be equal\n"

_SIGMOID = """    for name, row in zip(names, scores.double().sigmoid().tolist(), strict=True):
        probabilities = dict(zip(classes, row, strict=True))
        labels = [label for label, share in probabilities.items() if share > 0.5]
        answers.append({"input": name, "labels": labels, "probabilities": probabilities})"""

_NUMBER = """    values = (scores.double() * SCALE + MEAN).tolist()
    for name, value in zip(names, values, strict=True):
        answers.append({"input": name, "value": value})"""

_LABELS_LINE = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    shares = answer["probabilities"]
    said = ", ".join(f"{label} {shares[label]:.1%}" for label in answer["labels"])
    return f"{answer['input']}: {said or 'none'}"
'''

_NUMBER_LINE = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    return f"{answer['input']}: {answer['value']:,.6g}"
'''

_SOFTMAX = """    for name, best, row in zip(names, said, scores.softmax(dim=1).tolist(), strict=True):
        probabilities = dict(zip(classes, row, strict=True))
        answers.append({"input": name, "label": classes[best], "probabilities": probabilities})"""

_JUDGED = """    judge = guard["answers"]
    probs = calibrated(scores, judge["temperature"]["value"])
    possible = {sets}
    strange = domain_score(features.double(), *known, judge["domain"]["bounds"])
    judged = zip(tokens, probs.tolist(), possible.tolist(), strange.tolist(), strict=True)
    for name, best, (ids, row, members, score) in zip(names, said, judged, strict=True):
        unknown = {unknown}
        answers.append(
            {{
                "input": name,
                "label": classes[best],
                "probability": row[best],
                "probabilities": dict(zip(classes, row, strict=True)),
                "set": [label for label, is_in in zip(classes, members, strict=True) if is_in],
                "coverage": judge["sets"]["coverage"],
                "domain": {{
                    "score": score,
                    "in_domain": {is_known},
                    "false_alarm": judge["domain"]["false_alarm"],
                    "tokens": len(ids),
                    "unknown": unknown,
                    "new": new_in_text(
                        len(ids), unknown, guard["shortest"], guard["longest"], {most}
                    ),
                }},
            }}
        )"""

_LINE = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    return f"{answer['input']}: {answer['label']} {max(answer['probabilities'].values()):.1%}"
'''

_GUARDED_LINE = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    found = f"{answer['input']}: {answer['label']} {answer['probability']:.1%}"
    possible = f"possible at {answer['coverage']:.0%}: {', '.join(answer['set'])}"
    kind = "known" if answer["domain"]["in_domain"] else "UNKNOWN"
    new = "".join(f", {what}" for what in answer["domain"]["new"])
    return f"{found}; {possible}; {kind} kind of text{new}"
'''

_MAIN = '''
def main() -> int:
    """Answer for each file, which is one text; 1 where one of them could not be read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="all of it, as a JSON list")
    arguments = parser.parse_args()
{load}
    names, texts = [], []
    for name in arguments.files:
        try:
            texts.append(tidied(decoded(Path(name).read_bytes())))
            names.append(name)
        except OSError as error:
            print(f"{{name}}: {{error.strerror}}", file=sys.stderr)
    answers = predict(texts, names{classes}, record, load_model(){guard}) if texts else []
    if arguments.json:
        print(json.dumps(answers, indent=2), flush=True)
    else:
        for answer in answers:
            print(line(answer), flush=True)
    return int(len(names) < len(arguments.files))
'''
