"""Classifiers and scorers of texts, for the script of their run: reading, tokens, batches, the model."""

from __future__ import annotations

import inspect
import textwrap
from typing import TYPE_CHECKING, Any

from drivetrain.data import split as splits
from drivetrain.data.padded import NEIGHBOURHOOD, padded, shortened
from drivetrain.eject.choices import asks_groups
from drivetrain.eject.form import TUPLE, Form
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Part, Written
from drivetrain.eject.seeds import order_seed, split_seed
from drivetrain.eject.settings import Setting
from drivetrain.eject.share import FRACTION, kept_rows, shared_loaders
from drivetrain.errors import ConfigError, DataError, EjectError
from drivetrain.models import document
from drivetrain.randomness import derive, permutation
from drivetrain.text.ejecting import plain
from drivetrain.text.ejecting.model import document_model
from drivetrain.text.ejecting.plain import is_plain
from drivetrain.text.ejecting.reading import reading_of
from drivetrain.text.ejecting.tokens import (
    LEARNT,
    RULES,
    encode_written,
    know_rules,
    learn_written,
    plain_written,
)  # fmt: skip
from drivetrain.text.ejecting.transformer import (
    beginning_sha256,
    encoder_of_hub,
    tokenizer_written,
)  # fmt: skip
from drivetrain.text.ejecting.whole import is_whole
from drivetrain.text.general import rows_at
from drivetrain.text.goal import several
from drivetrain.text.pretrained import find_transformer
from drivetrain.text.tokenizer import train_tokenizer
from drivetrain.train.callbacks.clip_gradients import ClipGradients

if TYPE_CHECKING:
    from drivetrain.text.application import TextApplication
    from drivetrain.train.learner import Learner

FORM = Form(
    "tokens, lengths, targets",
    "",
    "tokens, lengths",
    "part",
    TUPLE.each,
    "[tokens, lengths]",
    "len(targets)",
)
"""A batch of texts."""

_SPLITS = {
    "stratified": splits.choose_of_each_class,
    "random": splits.random_split,
    "group": splits.group_split,
    "time": splits.time_split,
}


def eject_part(application: TextApplication, learner: Learner, lifter: Lifter, level: str) -> Part:
    """The part of a script that is about texts.

    Raises: EjectError: the texts came from memory, or something of the run has no plain form.
    """
    return _Writer(application, learner, lifter, level).part()


class _Writer:
    def __init__(
        self, application: TextApplication, learner: Learner, lifter: Lifter, level: str
    ) -> None:
        self.application, self.learner, self.lifter = application, learner, lifter
        self.level = level
        self.data = application.data
        self.settings: list[Setting] = []
        self.written: list[Written] = []
        self.is_plain = False
        self.help = "where the texts lie"
        said_of_seed = "of the split, and of the order of batches"
        self.seed = order_seed(self.data.seed, learner.seed, self._setting, said_of_seed)
        self.fraction = application.settings.get(FRACTION, 1.0)
        assert self.data.goal is not None, "texts with targets"
        self.goal = self.data.goal
        if self.data.recipe.get("patch") is not None:
            raise EjectError(
                "Labels were changed by a patch, and a script would read those of the source. Write the "
                "labels into the source, and train on that."
            )
        self.is_transformer = application.network == "transformer"
        if self.is_transformer and level != "all":
            raise EjectError(
                "A run that began with a pretrained encoder is ejected whole. Use --level all."
            )

    def part(self) -> Part:
        """Everything of it."""
        self.lifter.unasked |= {"TokenArray.__iter__", "TokenArray.__len__"}
        is_plain = self.level != "loop"
        if self.goal.classes:
            self._setting("CLASSES", self.goal.classes, "in the order of the scores")
        if is_plain:
            self._texts()
        else:
            self._our_loaders()
        if self.level == "all":
            self._model()
        else:
            self._our_model()
        found = validation(
            self.learner,
            self.lifter,
            "valid_batches(valid)" if is_plain else "valid",
            kind="Part" if is_plain else "Iterable",
            form=FORM,
        )
        self.written += found.written
        valid = "valid" if is_plain else "loaders.valid"
        return Part(
            title=self._title(),
            settings=self.settings,
            written=self.written,
            load=self._load(),
            fit_arguments="model, train, valid" if is_plain else "model, loaders",
            batches="train_batches(train, epoch)" if is_plain else "loaders.train.batches(epoch)",
            num_batches=len(self.learner.loaders.train),  # pyright: ignore[reportArgumentType]
            validate=f"evaluate(model, {valid})",
            layer_groups="[[model]]" if self._groups_do_not_matter() else "model.layer_groups()",
            result=found.result,
            measure=f"evaluate(model, {valid})",
            data_help=self.help,
            form=FORM,
            parameters=[("train", "Part"), ("valid", "Part")]
            if is_plain
            else [("loaders", "Loaders")],
        )

    def _setting(self, name: str, value: Any, reason: str) -> str:
        if all(one.name != name for one in self.settings):
            self.settings.append(Setting(name, value, reason))
        self.lifter.constants[name] = value
        return name

    def _reason(self, choice: str) -> str:
        choices = self.application.choices
        return choices[choice].reason if choice in choices else "as asked"

    def _groups_do_not_matter(self) -> bool:
        """All layers have one rate, nothing is frozen, and nobody looks at the groups' order."""
        stages = self.learner.journal
        return (
            not asks_groups(self.learner.optimizer)
            and all(s.kind == "fit" and len(set(s.lrs)) == 1 for s in stages)
            and all(s.schedule["name"] != "per_group" for s in stages)
            and not any(
                isinstance(c, ClipGradients) or not type(c).__module__.startswith("drivetrain.")
                for c in self._callbacks()
            )
        )

    def _callbacks(self) -> list[Any]:
        given: Any = getattr(self.learner, "given", ())
        return [*self.learner.callbacks, *(c for _, cs in given for c in cs)]

    # --- texts and tokens -------------------------------------------------------------------------

    def _texts(self) -> None:
        reading = reading_of(self.data, self.lifter)
        self.help = reading.help
        for one in reading.settings:
            self._setting(one.name, one.value, one.reason)
        self.written += reading.written
        self._tokens()
        self.written.append(Written(_PART.format(targets=_TARGETS[self.goal.kind]), "data"))
        self._load_function(reading.extra)
        self._batches()
        for one in (
            *(Import("typing", "NamedTuple"), Import("torch", "Tensor"), Import("torch")),
            *(Import("numpy", "", "np"), Import("collections.abc", "Iterator")),
        ):
            self.lifter.add_import(one)

    def _tokens(self) -> None:
        """The vocabulary is learnt again; that of the run is what it must come to."""
        tokenizer: Any = self.data.tokenizer
        if self.is_transformer:
            written, settings = tokenizer_written(tokenizer, self.lifter)
            self.settings += settings
            self.written += written
            return
        options = self.data.recipe.get("tokens", {})
        again = train_tokenizer(self.data.part("train")[1], **options)
        if again.to_json() != tokenizer.to_json():
            raise EjectError(
                "The tokenizer was given, and not learnt from the training texts, so a script cannot "
                "make it again. Give `tokens` instead, such as tokens='word'."
            )
        rules = know_rules(self.lifter, tokenizer.rules)
        self._setting(rules.name, rules.value, rules.reason)
        self.is_plain = is_plain(self.data)
        if self.is_plain:
            self.written += plain_written(options, self.lifter, self._setting)
            return
        self.written.append(learn_written(tokenizer, options, self.lifter, self._setting))
        self.written.append(encode_written(tokenizer, self.lifter))

    def _load_function(self, extra: str) -> None:
        method = self.data.split.method
        uses: dict[str, Any] = {}
        names = ["texts", "labels", *([extra] if extra else [])]
        lines = [f"{', '.join(names)} = read(path)"]
        if method == "folders":
            lines += [
                "train = [i for i, is_valid in enumerate(parts) if not is_valid]",
                "valid = [i for i, is_valid in enumerate(parts) if is_valid]",
            ]
        elif method in _SPLITS:
            self._setting("VALID", self.data.recipe["valid"], self._reason("split"))
            uses[_SPLITS[method].__name__] = _SPLITS[method]
            drawn_by = ""
            if method != "time":
                drawn_by = split_seed(self.data.recipe, self.seed, self._setting)
            if method == "stratified":
                labels = (
                    "labels" if self.goal.kind == "class" else "[str(label) for label in labels]"
                )
                lines += [
                    f"valid = choose_of_each_class({labels}, valid=VALID, seed={drawn_by})",
                    "train = sorted(set(range(len(texts))) - set(valid))",
                ]
            else:
                given = {"random": "len(texts)", "group": "groups", "time": "np.array(times)"}
                seed = f", seed={drawn_by}" if drawn_by else ""
                lines.append(f"split = {method}_split({given[method]}, valid=VALID{seed})")
                lines.append("train, valid = list(split.train), list(split.valid)")
        else:
            raise EjectError(
                f"The split '{method}' has no plain form. Split by stratified, random, group or time."
            )
        kind: str = self.data.tokenizer.kind
        learnt = LEARNT[kind]
        learn = "learn([texts[i] for i in train])"
        encoded = f"encode([texts[i] for i in rows], {learnt})"
        if self.is_plain:
            told = f"{RULES}, min_freq=MIN_FREQ, max_vocab=VOCAB_SIZE"
            learn = f"learn_plain([texts[i] for i in train], {told})"
            encoded = f"encode_plain([texts[i] for i in rows], words, {RULES})"
            uses |= {"learn_plain": plain.learn_plain, "encode_plain": plain.encode_plain}
        if self.is_transformer:
            encoded = "encode([texts[i] for i in rows], record)"
            file = '(Path(ENCODER) / "tokenizer.json")'
            lines.append(f'record = {{"tokenizer": {file}.read_text("utf-8")}}')
        else:
            lines.append(f"{learnt} = {learn}")
        cut = self.application.settings["max_len"]
        lengths = [self.data.tokens(part).lengths().max(initial=0) for part in ("train", "valid")]
        if cut is not None and max(lengths) > cut:
            self._setting("MOST_TOKENS", cut, f"of a text: {self._reason('max_len')}")
            uses["shortened"] = shortened
            encoded = f"shortened({encoded}, MOST_TOKENS)"
        lines += [
            "",
            "def part(rows: list[int]) -> Part:",
            f"    tokens = {encoded}",
            *self._targets(uses),
            "    return Part(tokens, targets)",
            "",
            f"return part(train), part(valid){'' if self.is_transformer else ', words'}",
        ]
        if not self.goal.classes and (self.goal.mean, self.goal.scale) != (0.0, 1.0):
            place = next(i for i, line in enumerate(lines) if line.startswith((learnt, "record")))
            lines[place:place] = [
                "known = np.array([float(labels[i]) for i in train])",
                "mean, scale = float(known.mean()), float(known.std())",
            ]
        body = textwrap.indent("\n".join(lines), "    ")
        load = _LOAD_ENCODED if self.is_transformer else _LOAD
        self.written.append(Written(load.format(body=body), "data", uses))

    def _targets(self, uses: dict[str, Any]) -> list[str]:
        if self.goal.kind == "labels":
            uses["several"] = several
            place = "drivetrain.text.goal:several"
            self.lifter.known[place] = {"separator": Known(self.goal.separator)}
            given = f", {self.goal.separator!r}" if self.goal.separator else ", None"
            return [
                f"    told = [several(labels[i]{given}) for i in rows]",
                "    targets = torch.tensor([[float(c in one) for c in CLASSES] for one in told])",
            ]
        if self.goal.classes:
            return ["    targets = torch.tensor([CLASSES.index(labels[i]) for i in rows])"]
        numbers = "np.array([float(labels[i]) for i in rows])"
        if (self.goal.mean, self.goal.scale) != (0.0, 1.0):
            numbers = f"(({numbers} - mean) / scale)"
        return [f"    targets = torch.from_numpy({numbers}.astype(np.float32))"]

    def _batches(self) -> None:
        size = self.application.settings["batch_size"]
        self._setting("BATCH_SIZE", size, self._reason("batch_size"))
        count = len(self.learner.loaders.train.data)  # pyright: ignore[reportAttributeAccessIssue]
        uses: dict[str, Any] = {"permutation": permutation, "padded": padded}
        kept, form = kept_rows(
            self.fraction,
            uses,
            self._setting,
            count="len(part.targets)",
            seed=self.seed,
            labels="part.targets.tolist()" if self.goal.kind == "class" else None,
        )
        joins = count > size and count % size == 1
        ends = ""
        chunks = "order.split(BATCH_SIZE)"
        if joins:
            ends = _JOINED
            chunks = "order.tensor_split(ends)"
        many = count > size and not (joins and count == size + 1)
        if many:
            self._setting(
                "NEIGHBOURHOOD", NEIGHBOURHOOD, "batches' worth of texts that are sorted together"
            )
            uses["NEIGHBOURHOOD"] = "drivetrain.data.padded:NEIGHBOURHOOD"
        self.written.append(
            Written(
                _BATCHES.format(
                    pad=self.data.tokenizer.pad_id,
                    ends=ends,
                    chunks=chunks,
                    near=_NEAR if many else _ALL,
                    mixed=_MIXED.format(seed=self.seed) if many else "",
                    seed=self.seed,
                    kept=kept,
                    lengths="part.tokens.lengths()" + ("[kept.numpy()]" if kept else ""),
                    rows_of_part=form.format("rows"),
                    listed=f"list({chunks})" if many else chunks,
                    rows="chunks",
                ),
                "data",
                {name: thing for name, thing in uses.items() if name != "NEIGHBOURHOOD"},
            )
        )

    # --- the model --------------------------------------------------------------------------------

    def _pretrained(self) -> None:
        """The encoder from its folder, and a new head."""
        name = self.application.settings["model"]
        try:
            folder = find_transformer(name).folder.resolve()
        except (ConfigError, DataError) as error:
            raise EjectError(
                f"The encoder that training began with cannot be opened: {error} Put it back, and eject "
                "again."
            ) from error
        description = self.application.description
        found = beginning_sha256(folder, description, seed=self.learner.seed)
        if found != self.application.settings["initial_sha256"]:
            raise EjectError(
                f"The encoder in {folder} is not the one that training began with. Put that back, and "
                "eject again."
            )
        self._setting("ENCODER", str(folder), "the folder of the pretrained encoder")
        outputs = "len(CLASSES)" if self.goal.classes else str(self.goal.num_outputs)
        lines, uses, settings = encoder_of_hub(
            self.lifter, description, num_outputs=outputs, trains=True
        )
        self.settings += settings
        body = textwrap.indent(lines, "    ")
        self.written.append(Written(_MAKE_FINE_TUNED.format(body=body), "model", uses))
        for one in (Import("torch"), Import("torch", "Tensor"), Import("pathlib", "Path")):
            self.lifter.add_import(one)

    def _model(self) -> None:
        if self.is_transformer:
            self._pretrained()
            return
        keeps = any("keeps_outputs" in inspect.getsource(type(c)) for c in self._callbacks())
        outputs = "len(CLASSES)" if self.goal.classes else str(self.goal.num_outputs)
        lines, uses = document_model(
            self.lifter,
            self.application.description,
            self._setting,
            trains=True,
            keeps_outputs=keeps,
            is_whole=not keeps and self._is_whole(),
            vocab_size="len(words)",
            num_outputs=outputs,
        )
        uses["derive"] = derive
        encoder = self._encoder()
        if encoder:
            lines += f"\n{encoder}"
            uses["rows_at"] = rows_at
        body = textwrap.indent(lines, "    ")
        self.written.append(Written(_MAKE_MODEL.format(body=body), "model", uses))

    def _is_whole(self) -> bool:
        """Whether no document of the run is read in pieces."""
        cut = self.application.settings["max_len"]
        lengths = [self.data.tokens(part).lengths().max(initial=0) for part in ("train", "valid")]
        longest = max(lengths) if cut is None else min(max(lengths), cut)
        return is_whole(self.learner.model, self.learner.loaders.valid, int(longest))

    def _encoder(self) -> str:
        """Statements that give the model a saved encoder's weights; nothing where it began at random."""
        choices = self.application.choices
        if "weights" not in choices:
            return ""
        from drivetrain.text.encoder import RECORD

        folder = self.application.settings["encoder"]
        if folder is None:
            raise EjectError(
                "The encoder was given as an object, which a script cannot open again. Give the folder "
                "that `save_encoder` wrote."
            )
        from pathlib import Path

        if not (Path(folder) / RECORD).is_file():
            raise EjectError(
                f"The encoder that training began with is not in {folder}, or is no folder that "
                "`save_encoder` wrote. Put it back there, and eject again."
            )
        self._setting("ENCODER", folder, "the folder of the encoder that training begins with")
        for one in (
            Import("json"),
            Import("pathlib", "Path"),
            Import("safetensors.torch", "load_file"),
        ):
            self.lifter.add_import(one)
        return _ENCODER

    def _our_model(self) -> None:
        if self._encoder():
            raise EjectError(
                "A run that began with a saved encoder is ejected whole. Use --level all."
            )
        self._setting("MODEL", self.application.description, "what the model is made of")
        self.written.append(
            Written(
                _OUR_MODEL,
                "model",
                {
                    "create_document_classifier": document.create_document_classifier,
                    "DocumentClassifier": document.DocumentClassifier,
                },
            )
        )

    def _our_loaders(self) -> None:
        recipe = dict(self.data.recipe)
        del recipe["source"], recipe["seed"], recipe["from"]
        target = recipe.pop("target")
        from drivetrain.text.data import gather

        usual = inspect.signature(gather).parameters
        chosen = {
            key: value
            for key, value in recipe.items()
            if value not in (usual[key].default, [], {}, None)
        }
        if target is not None:
            chosen["target"] = target[0] if len(target) == 1 else target
        settings = self.application.settings
        self._setting("BATCH_SIZE", settings["batch_size"], self._reason("batch_size"))
        self._setting("MOST_TOKENS", settings["max_len"], self._reason("max_len"))
        options = "".join(f", {key}={value!r}" for key, value in chosen.items())
        uses: dict[str, Any] = {
            "gather": "drivetrain.text.data:gather",
            "Loaders": "drivetrain.data.loaders:Loaders",
        }
        answer = shared_loaders(
            self.fraction,
            uses,
            self._setting,
            self.lifter,
            loaders="data.loaders(batch_size=BATCH_SIZE, max_len=MOST_TOKENS)",
            seed=self.seed,
        )
        text = _OUR_LOADERS.format(options=options, seed=self.seed, answer=answer)
        self.written.append(Written(text, "data", uses))
        self.lifter.add_import(Import("pathlib", "Path"))

    # --- words ------------------------------------------------------------------------------------

    def _load(self) -> str:
        if self.level == "loop":
            return "loaders = load(arguments.data)\nmodel = make_model()"
        if self.is_transformer:
            return "train, valid = load(arguments.data)\nmodel = make_model()"
        given = "words" if self.level == "all" else ""
        first = "train, valid, words" if self.level == "all" else "train, valid, _"
        return f"{first} = load(arguments.data)\nmodel = make_model({given})"

    def _title(self) -> str:
        if self.is_transformer:
            kind = self.application.description["config"]["model_type"]
            return f"Fine-tune a pretrained encoder ({kind}) to {self._purpose()}"
        kind = self.application.description["encoder"]["kind"]
        what = {"lstm": "an LSTM", "gru": "a GRU", "decoder": "a small causal transformer"}
        model = what.get(kind, "a recurrent net")
        return f"Train {model} to {self._purpose()}"

    def _purpose(self) -> str:
        classes = self.goal.classes
        if not classes:
            return f"predict {self.goal.name} from texts"
        some = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else "")
        what = "tell texts apart" if self.goal.kind == "class" else "give texts labels"
        return f"{what}: {some}"


_TARGETS = {
    "class": "(N,) int64: which of CLASSES each is of",
    "labels": "(N, C) float32: 1 where a text has that of CLASSES, else 0",
    "number": "(N,) float32",
}

_PART = '''
class Part(NamedTuple):
    """The texts that train, or those that validate."""

    tokens: TokenArray
    targets: Tensor  # {targets}
'''

_LOAD = '''
def load(path: Path) -> tuple[Part, Part, Sequence[str]]:
    """Read and split the texts, and learn the vocabulary from those that train."""
{body}
'''

_LOAD_ENCODED = '''
def load(path: Path) -> tuple[Part, Part]:
    """Read and split the texts, and give them the ids that the encoder knows."""
{body}
'''

_MAKE_FINE_TUNED = '''
def make_model() -> TransformerClassifier:
    """The pretrained encoder with a new head, whose random weights follow from the seed."""
{body}
    return model
'''

_JOINED = """    # batchnorm needs two texts, so the last one joins the batch before
    ends = list(range(BATCH_SIZE, len(order) - 1, BATCH_SIZE))
"""

_NEAR = """    near = np.arange(len(order)) // (BATCH_SIZE * NEIGHBOURHOOD)
    order = torch.from_numpy(order[np.lexsort((-lengths[order], near))])
"""
_ALL = """    order = torch.from_numpy(order[np.argsort(-lengths[order], kind="stable")])
"""

_MIXED = """    mixed = permutation(len(chunks) - 1, seed={seed}, epoch=epoch, purpose="batches")
    chunks = [chunks[place] for place in mixed.tolist()] + chunks[-1:]  # not full: stays last
    # the longest comes first, so that memory that does not suffice is noticed at once
    longest = max(range(len(chunks) - 1), key=lambda k: lengths[chunks[k].numpy()].max())
    chunks.insert(0, chunks.pop(longest))
"""

_BATCHES = '''
def batch(part: Part, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Texts side by side, padded at the end (B, T), their lengths (B,), and targets."""
    tokens, lengths = padded(part.tokens.take(rows.numpy()), pad_id={pad})
    return tokens, lengths, part.targets[rows]


def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Texts of about one length together, so that little is padded; drawn anew each epoch."""
{kept}    lengths = {lengths}
    order = permutation(len(lengths), seed={seed}, epoch=epoch).numpy()
{near}{ends}    chunks = {listed}
{mixed}    for rows in chunks:
        yield batch(part, {rows_of_part})


def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The longest texts first."""
    order = torch.from_numpy(np.argsort(-part.tokens.lengths(), kind="stable"))
    for rows in order.split(2 * BATCH_SIZE):
        yield batch(part, rows)
'''

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

_OUR_MODEL = '''
def make_model() -> DocumentClassifier:
    """The model before training; its random weights follow from the seed."""
    return create_document_classifier(MODEL, seed=SEED)
'''

_OUR_LOADERS = '''
def load(path: Path) -> Loaders:
    """The texts, split and as tokens, in batches."""
    data = gather(path{options}, seed={seed})
    {answer}
'''
