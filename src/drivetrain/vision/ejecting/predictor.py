"""`predict.py` of a bundle: what the bundle answers, as a plain script that needs no Drivetrain.

It is made as the script of a run is (`drivetrain.eject`): of the library's own source, with what is
known of this bundle put in. Unlike that script it meets pictures nobody has seen yet, so it opens every
kind of file that `open_picture` does.
"""

from __future__ import annotations

import ast
import textwrap
from typing import Any

from drivetrain.bundle import manifest as manifests
from drivetrain.bundle.calibration import calibrated
from drivetrain.bundle.conformal import strangeness
from drivetrain.bundle.domain import domain_score
from drivetrain.bundle.guard import Guard
from drivetrain.bundle.manifest import Manifest
from drivetrain.bundle.target_guard import TargetsGuard
from drivetrain.eject import ending, tree
from drivetrain.eject.known import Known
from drivetrain.eject.layout import WIDTH, laid_out, pieces_of, put_together, ruff_path
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Written
from drivetrain.eject.settings import Setting
from drivetrain.eject.text import docstring
from drivetrain.models import PictureModel, model_info
from drivetrain.models.timm_body import TimmBody
from drivetrain.nn import PictureHead
from drivetrain.nn.heads import PictureHeads
from drivetrain.vision.decode import MAX_PIXELS, MAX_RATIO, _within, upright
from drivetrain.vision.network import scores_and_features
from drivetrain.vision.normalise import scale_and_shift
from drivetrain.vision.predictor import batch_size
from drivetrain.vision.resize_methods import RESIZE_METHODS

SECTIONS = (
    ("settings", "Settings"),
    ("open", "From a file to pixels"),
    ("model", "Model"),
    ("guard", "Guard: how sure an answer is, and whether the picture is of a known kind"),
    ("main", "Answers"),
)

_SECTION_OF = {"vision": "open", "models": "model", "nn": "model", "bundle": "guard"}

_MODEL_MODULES = ("drivetrain.vision.network", "drivetrain.vision.normalise")


def predictor_source(
    model: PictureModel, manifest: Manifest, guard: Guard | TargetsGuard | None
) -> str:
    """The source of `predict.py`.

    Args:
        model: that of the bundle.
        manifest: of the bundle; it need not know its files yet.
        guard: of the bundle, where it has one.
    Raises: MissingPackageError: ruff, which lays it out, is not installed. EjectError: the model has no
        plain form.
    """
    ruff = ruff_path()
    lifter = Lifter()
    lifter.on_cpu = True
    lifter.raises = frozenset({"PictureError"})
    settings = _settings(manifest)
    lifter.constants |= {one.name: one.value for one in settings}
    written = [
        Written("HERE = Path(__file__).parent", "settings"),
        _opening(manifest.preprocessing["resize"]),
        _network(model, manifest, lifter),
        *([] if guard is None else [Written(_GUARD, "guard")]),
        *_answering(manifest, guard),
    ]
    pieces = pieces_of(written, lifter)
    for piece in lifter.pieces.values():
        piece.node = _ForAnswers().visit(piece.node)
    for one in _IMPORTS:
        lifter.add_import(one)
    text = put_together(
        lifter,
        pieces,
        settings,
        docstring=_docstring(manifest, guard),
        sections=SECTIONS,
        section_of=_section_of,
        ending=ending.ENDING,
    )
    return laid_out(text, ruff)


def _settings(manifest: Manifest) -> list[Setting]:
    prepared = manifest.preprocessing
    height, width = (int(side) for side in prepared["size"])
    name, threads = manifest.architecture["name"], manifest.num_threads
    rounds = "pictures at once; another number may round otherwise"
    return [
        Setting("HEIGHT", height, "pixels, as in training"),
        Setting("WIDTH", width, ""),
        Setting("MEAN", tuple(prepared["mean"]), f"of each colour, as {name} was made for"),
        Setting("STD", tuple(prepared["std"]), ""),
        Setting("FORMATS", FORMATS, "by content, not by name"),
        Setting("MAX_PIXELS", MAX_PIXELS, "larger pictures are refused before they are decoded"),
        Setting("MAX_RATIO", MAX_RATIO, "longest side over shortest, above which it is no picture"),
        Setting("BATCH_SIZE", batch_size(height, width), rounds),
        *([] if threads is None else [Setting("NUM_THREADS", threads, "torch threads; likewise")]),
    ]


FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
"""Pillow's names of the formats that `open_picture` opens."""


def _opening(resize: str) -> Written:
    method = RESIZE_METHODS[resize]
    sized = {"needed_size": method.needed, "resized_by": method.apply}
    return Written(_OPEN, "open", {"_within": _within, "upright": upright, **sized})


def _network(model: PictureModel, manifest: Manifest, lifter: Lifter) -> Written:
    name, body = manifest.architecture["name"], model.body
    uses: dict[str, Any] = {"PictureHead": PictureHead}
    if isinstance(body, TimmBody):
        uses["TimmBody"] = TimmBody
        made = f'TimmBody("{name}")'
        is_last = Known(body.is_channels_last_output)
        lifter.known["drivetrain.models.timm_body:TimmBody"] = {
            "self.is_channels_last_output": is_last
        }
    else:
        module, _, function = model_info(name).builder.partition(":")
        uses["make_body"] = f"{module}:{function}"
        made = "make_body(3)"
        lifter.known[f"{module}:ResNet"] = {"config.zero_last_norm": Known(False)}  # of new weights
    heads = [
        f"PictureHead({model.num_features}, {count})"
        for count in manifest.sizes or [len(manifest.classes)]
    ]
    if manifest.targets:
        uses["PictureHeads"] = PictureHeads
        text = _MODEL_OF_TARGETS.format(body=made, heads=", ".join(heads))
    else:
        text = _MODEL.format(body=made, head=heads[0])
    return Written(text, "model", uses)


def _answering(manifest: Manifest, guard: Guard | TargetsGuard | None) -> list[Written]:
    several = bool(manifest.targets)
    what = "targets" if several else "classes"
    load = [] if manifest.num_threads is None else ["torch.set_num_threads(NUM_THREADS)"]
    load += [f'{what} = json.loads((HERE / "bundle.json").read_text("utf-8"))["{what}"]']
    load += ["model = load_model()"]
    first = "targets: list[dict[str, Any]]" if several else "classes: list[str]"
    first += ", model: nn.ModuleDict"
    if guard is None:
        parameters, given, calculated, judged, line = "", "", _SCORES, _SOFTMAX, _LINE
        judged, line = (_SOFTMAX_OF_TARGETS, _LINE_OF_TARGETS) if several else (judged, line)
        uses: dict[str, Any] = {}
    else:
        load += ["guard, known = load_guard()"]
        parameters = ", guard: dict, known: list[Tensor]"
        given, calculated, line = ", guard, known", _SCORES_AND_FEATURES, _GUARDED_LINE
        known = 'score <= guard["domain"]["threshold"]' if guard.domain.is_enough else "True"
        if isinstance(guard, TargetsGuard):
            judged, line = _JUDGED_OF_TARGETS.format(is_known=known), _GUARDED_LINE_OF_TARGETS
        else:
            sets = _SETS if guard.prediction_sets.is_enough else _ALL_CLASSES
            judged = _JUDGED.format(sets=sets, is_known=known)
        uses = {"calibrated": calibrated, "domain_score": domain_score, "strangeness": strangeness}
        uses["scores_and_features"] = scores_and_features
    uses["scale_and_shift"] = scale_and_shift
    main = _MAIN.format(load=textwrap.indent("\n".join(load), "    "), what=what, guard=given)
    return [
        Written(
            _PREDICT.format(first=first, guard=parameters, calculated=calculated, judged=judged),
            "main",
            uses,
        ),
        Written(line, "main"),
        Written(main, "main"),
        Written(ending.RUN, "main"),
    ]


def _docstring(manifest: Manifest, guard: Guard | TargetsGuard | None) -> str:
    classes = manifest.classes
    some = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else ".")
    title = f"Say which of {len(classes)} classes a picture shows: {some}"
    if manifest.targets:
        told = [f"{one.name} (one of {len(one.classes)})" for one in manifest.targets]
        title = f"Say of a picture its {' and its '.join(told)}."
    text = [*textwrap.wrap(title, WIDTH), ""]
    beside = ["bundle.json", manifests.WEIGHTS]
    beside += [] if guard is None else [manifests.GUARD, manifests.GUARD_TENSORS]
    text += textwrap.wrap(
        "Written by Drivetrain, which it does not need. It answers as `drivetrain predict` does, to the "
        "last bit on the same machine and versions, and calculates on the CPU. The model lies beside it: "
        f"{', '.join(beside[:-1])} and {beside[-1]}.",
        WIDTH,
    )
    text += ["", "    python predict.py PICTURE... [--json]"]
    return docstring(text)


def _section_of(module: str) -> str:
    if module in _MODEL_MODULES:
        return "model"
    return _SECTION_OF[module.split(".")[1]]


class _ForAnswers(ast.NodeTransformer):
    """Without what only training needs: weights are read, not drawn, and nothing is dropped.

    The library's error is a plain one.
    """

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if tree.dotted(node.test) == "scores.requires_grad":  # how a head's gradient comes back
            return None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_drawing = (
            isinstance(node.value, ast.Call) and tree.dotted(node.value.func) == "kaiming_init_"
        )
        return None if is_drawing else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = tree.dotted(node.func)
        if called == "nn.Dropout":
            return tree.expression("nn.Identity()")
        if called == "PictureError":  # a reason code, and a sentence
            return ast.Call(ast.Name("ValueError", ast.Load()), node.args[1:], [])
        return node


_IMPORTS = (
    *(Import(name) for name in ("argparse", "json", "warnings", "torch")),
    *ending.IMPORTS,
    Import("numpy", "", "np"),
    Import("pathlib", "Path"),
    Import("PIL", "Image"),
    Import("safetensors.torch", "load_file"),
    Import("torch", "Tensor"),
    Import("torch", "nn"),
    Import("typing", "Any"),
)
"""What the texts below use; those that are not used are left out."""

_OPEN = '''
def open_picture(path: str) -> np.ndarray:
    """One picture as the model takes it, (height, width, 3) uint8."""
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        _within(width, height, MAX_PIXELS, MAX_RATIO)
        image = upright(
            image,
            "JPEG" if image.format == "MPO" else image.format,
            needed=lambda w, h: needed_size(w, h, WIDTH, HEIGHT),
        )
        image = resized_by(image, WIDTH, HEIGHT)
        return np.asarray(image.convert("RGB"))
'''

_MODEL = '''
def load_model() -> nn.ModuleDict:
    """The trained model: a body that sees, and a head that decides."""
    model = nn.ModuleDict({{"body": {body}, "head": {head}}})
    model.load_state_dict(load_file(HERE / "model.safetensors"))
    return model.eval().to(memory_format=torch.channels_last)
'''

_MODEL_OF_TARGETS = '''
def load_model() -> nn.ModuleDict:
    """The trained model: a body that sees, and for each target a head that decides."""
    heads = [{heads}]
    model = nn.ModuleDict({{"body": {body}, "head": PictureHeads(heads)}})
    model.load_state_dict(load_file(HERE / "model.safetensors"))
    return model.eval().to(memory_format=torch.channels_last)
'''

_GUARD = '''
def load_guard() -> tuple[dict[str, Any], list[Tensor]]:
    """What was fitted on validation pictures, and what features of known pictures are like."""
    tensors = load_file(HERE / "guard.safetensors")
    known = [tensors[f"domain.{name}"].double() for name in ("basis", "whitening", "references")]
    return json.loads((HERE / "guard.json").read_text("utf-8")), known
'''

_SETS = 'strangeness(probs) <= guard["sets"]["threshold"]'
_ALL_CLASSES = "torch.ones_like(probs, dtype=torch.bool)  # too few pictures to leave a class out"

_PREDICT = '''
def predict(
    paths: list[str], {first}{guard}
) -> list[dict[str, Any]]:
    """The answers for a batch of pictures, in order; an error where a file cannot be used."""
    answers, pictures = [], []
    for path in paths:
        try:
            pictures.append(open_picture(path))
            answers.append({{"input": path}})
        except Exception as error:
            # A decoder of a damaged file may raise anything.
            print(f"{{path}}: {{error}}", file=sys.stderr)
            answers.append({{"input": path, "error": str(error)}})
    if not pictures:
        return answers
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)  # (B, 3, height, width)
    scale, shift = (part[:, None, None] for part in scale_and_shift(MEAN, STD))
    with torch.inference_mode():
        {calculated}
    good = [answer for answer in answers if "error" not in answer]
{judged}
    return answers
'''

_SCORES = "scores = model.head(model.body(pixels.to(torch.float32) * scale + shift))"
_SCORES_AND_FEATURES = "scores, features = scores_and_features(model, pixels, scale, shift)"

_SOFTMAX = """    for answer, row in zip(good, scores.softmax(dim=1).tolist(), strict=True):
        answer["label"] = classes[row.index(max(row))]
        answer["probabilities"] = dict(zip(classes, row, strict=True))"""

_JUDGED = """    probs = calibrated(scores, guard["temperature"]["value"])
    possible = {sets}
    strange = domain_score(features.double(), *known, guard["domain"]["bounds"])
    judged = zip(good, probs.tolist(), possible.tolist(), strange.tolist(), strict=True)
    for answer, row, members, score in judged:
        answer["label"] = classes[row.index(max(row))]
        answer["probability"] = max(row)
        answer["probabilities"] = dict(zip(classes, row, strict=True))
        answer["set"] = [label for label, is_in in zip(classes, members, strict=True) if is_in]
        answer["coverage"] = guard["sets"]["coverage"]
        answer["domain"] = {{
            "score": score,
            "in_domain": {is_known},
            "false_alarm": guard["domain"]["false_alarm"],
        }}"""

_SOFTMAX_OF_TARGETS = """    parts = scores.split([len(target["classes"]) for target in targets], dim=1)
    for target, part in zip(targets, parts, strict=True):
        classes = target["classes"]
        for answer, row in zip(good, part.softmax(dim=1).tolist(), strict=True):
            answer.setdefault("targets", {})[target["name"]] = {
                "label": classes[row.index(max(row))],
                "probability": max(row),
                "probabilities": dict(zip(classes, row, strict=True)),
            }"""

_JUDGED_OF_TARGETS = """    parts = scores.split([len(target["classes"]) for target in targets], dim=1)
    for target, fitted, part in zip(targets, guard["targets"], parts, strict=True):
        classes, sets = target["classes"], fitted["sets"]
        probs = calibrated(part, fitted["temperature"]["value"])
        # no threshold: there were too few pictures to leave a class out
        most = 1.0 if sets["threshold"] is None else sets["threshold"]
        possible = strangeness(probs) <= most
        judged = zip(good, probs.tolist(), possible.tolist(), strict=True)
        for answer, row, members in judged:
            answer.setdefault("targets", {{}})[target["name"]] = {{
                "label": classes[row.index(max(row))],
                "probability": max(row),
                "probabilities": dict(zip(classes, row, strict=True)),
                "set": [label for label, is_in in zip(classes, members, strict=True) if is_in],
                "coverage": sets["coverage"],
            }}
    strange = domain_score(features.double(), *known, guard["domain"]["bounds"])
    for answer, score in zip(good, strange.tolist(), strict=True):
        answer["domain"] = {{
            "score": score,
            "in_domain": {is_known},
            "false_alarm": guard["domain"]["false_alarm"],
        }}"""

_LINE_OF_TARGETS = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    told = [f"{name} {one['label']} {one['probability']:.1%}" for name, one in answer["targets"].items()]
    return f"{answer['input']}: {', '.join(told)}"
'''

_GUARDED_LINE_OF_TARGETS = '''
def line(answer: dict[str, Any]) -> str:
    """An answer for people."""
    told = []
    for name, one in answer["targets"].items():
        possible = f"possible at {one['coverage']:.0%}: {', '.join(one['set'])}"
        told.append(f"{name} {one['label']} {one['probability']:.1%} ({possible})")
    kind = "known" if answer["domain"]["in_domain"] else "UNKNOWN"
    return f"{answer['input']}: {', '.join(told)}; {kind} kind of picture"
'''

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
    return f"{found}; {possible}; {kind} kind of picture"
'''

_MAIN = '''
def main() -> int:
    """Answer for each picture; 1 where one of them could not be used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", metavar="PICTURE")
    parser.add_argument("--json", action="store_true", help="all probabilities, as a JSON list")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module=r"PIL\\.")  # about what is odd in a file
{load}
    answers = []
    for start in range(0, len(arguments.pictures), BATCH_SIZE):
        paths = arguments.pictures[start : start + BATCH_SIZE]
        answers += predict(paths, {what}, model{guard})
    if arguments.json:
        print(json.dumps(answers, indent=2), flush=True)
    else:
        for answer in answers:
            if "error" not in answer:
                print(line(answer), flush=True)
    return int(any("error" in answer for answer in answers))
'''
