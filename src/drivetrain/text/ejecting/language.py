"""Language models, for the script of their run: texts without labels, streams of tokens, the model."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivetrain.data import split as splits
from drivetrain.data.stream import StreamLoader
from drivetrain.eject.choices import groups_do_not_matter
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.modules import Import
from drivetrain.eject.parts import Part, Written
from drivetrain.eject.seeds import order_seed, split_seed
from drivetrain.errors import EjectError
from drivetrain.models import language
from drivetrain.randomness import derive
from drivetrain.text.ejecting import plain
from drivetrain.text.ejecting.corrected import FIRST
from drivetrain.text.ejecting.draft import Draft
from drivetrain.text.ejecting.learning import write_tokens
from drivetrain.text.ejecting.model import ENCODER, encoder_text, know_recurrent
from drivetrain.text.ejecting.reading import MOST_ASIDE, reading_of, way_of_files
from drivetrain.text.ejecting.tokens import LEARNT, RULES

if TYPE_CHECKING:
    from drivetrain.text.language import LanguageApplication
    from drivetrain.train.learner import Learner

MODEL = "drivetrain.models.language:LanguageModel"


def eject_part(
    application: LanguageApplication, learner: Learner, lifter: Lifter, level: str
) -> Part:
    """The part of a script that is about texts.

    Raises: EjectError: the texts are not files, or something of the run has no plain form.
    """
    if level != "all":
        raise EjectError("A language model is ejected whole. Use --level all.")
    return _Writer(application, learner, lifter).part()


class _Writer:
    def __init__(self, application: LanguageApplication, learner: Learner, lifter: Lifter) -> None:
        self.application, self.learner, self.lifter = application, learner, lifter
        self.draft = Draft(application, learner, lifter)
        self.draft.help = "the text, or the folder of the texts"
        self.data, self.written = self.draft.data, self.draft.written
        if "weights" in application.choices or application.settings.get("encoder") is not None:
            raise EjectError(
                "A language model that began with other weights cannot be ejected yet. Eject the run "
                "that they came from."
            )

    def part(self) -> Part:
        """Everything of it."""
        self.lifter.unasked.add("TokenArray.__iter__")
        self._texts()
        write_tokens(self.draft)
        self._load_function()
        self._model()
        found = validation(
            self.learner, self.lifter, "valid", kind="StreamLoader", counts_items=False
        )
        self.written += found.written
        return Part(
            title=self._title(),
            settings=self.draft.settings,
            written=self.written,
            load="train, valid, words = load(arguments.data)\nmodel = make_model(words)",
            fit_arguments="model, train, valid",
            batches="train.batches(epoch)",
            num_batches=len(self.learner.loaders.train),  # pyright: ignore[reportArgumentType]
            validate="evaluate(model, valid)",
            layer_groups="[[model]]"
            if groups_do_not_matter(self.learner)
            else "model.layer_groups()",
            result=found.result,
            measure="evaluate(model, valid)",
            data_help=self.draft.help,
            beside=self.draft.beside,
            note=self.draft.note,
            parameters=[("train", "StreamLoader"), ("valid", "StreamLoader")],
        )

    # --- texts ------------------------------------------------------------------------------------

    def _texts(self) -> None:
        data, recipe = self.data, self.data.recipe
        if recipe["from"] == "texts" or not isinstance(recipe["source"], str):
            raise EjectError(
                "The script of a language model reads a text file, a folder of them or a table, and "
                "these texts came from memory. Write them as files, and train from those."
            )
        source = Path(recipe["source"])
        self.is_cut = data.ids[0].endswith(FIRST)
        if self.is_cut:
            pairs = zip(data.texts[::2], data.texts[1::2], strict=True)
            texts = [first + last for first, last in pairs]
            names = [name.removesuffix(FIRST) for name in data.ids[::2]]
        else:
            texts, names = data.texts, data.ids
        method = "test" if data.split.test else data.split.method
        if method not in ("random", "time") or (method == "time" and not self.is_cut):
            raise EjectError(
                f"The split '{method}' of a language model has no plain form yet. Put all texts into "
                "one folder or table, and let a share of them validate."
            )
        if recipe["from"] == "table":
            reading = reading_of(data, self.lifter, texts)
            self.draft.help, self.draft.note = reading.help, reading.note
            self.draft.beside |= reading.beside
            for one in reading.settings:
                self.draft.setting(one.name, one.value, one.reason)
            self.written += reading.written
            return
        wanted = dict(zip(names, texts, strict=True))
        if recipe["from"] == "file":
            way, uses = way_of_files(source.parent, wanted, self.lifter)
            self.written.append(Written(_READ_FILE.format(way=way), "data", uses))
        else:
            self._folder(source, wanted)
        self.lifter.add_import(Import("pathlib", "Path"))

    def _folder(self, source: Path, wanted: dict[str, str]) -> None:
        suffixes = sorted({Path(name).suffix.lower() for name in wanted})
        self.draft.setting("SUFFIXES", tuple(suffixes), "file names that are taken for texts")
        found = {
            path.relative_to(source).as_posix()
            for path in source.rglob("*")
            if path.suffix.lower() in suffixes and path.is_file()
        }
        if not wanted.keys() <= found:
            raise EjectError(
                f"{source} holds links to folders, which a script does not follow. Copy the texts into "
                "one folder, and train there."
            )
        aside = sorted(found - wanted.keys())
        if len(aside) > MOST_ASIDE:
            raise EjectError(
                f"{len(aside)} files of {source} were not used, more than a script can list. Take them "
                "out of the folder, and train anew."
            )
        skip = ""
        if aside:
            self.draft.setting("SET_ASIDE", tuple(aside), "files that are not used")
            skip = "\n        and path.relative_to(folder).as_posix() not in SET_ASIDE"
        way, uses = way_of_files(source, wanted, self.lifter)
        self.written.append(Written(_READ_FOLDER.format(skip=skip, way=way), "data", uses))

    def _load_function(self) -> None:
        settings, loaders = self.application.settings, self.learner.loaders
        train, valid = loaders.train, loaders.valid
        assert isinstance(train, StreamLoader) and isinstance(valid, StreamLoader), "made by us"
        uses: dict[str, Any] = {"StreamLoader": StreamLoader}
        said_of_seed = "of the split, and of the order of texts"
        seed = order_seed(self.data.seed, self.learner.seed, self.draft.setting, said_of_seed)
        self.draft.setting("VALID", self.data.recipe["valid"], self.draft.reason("split"))
        self.draft.setting("BATCH_SIZE", settings["batch_size"], self.draft.reason("batch_size"))
        self.draft.setting("SEQ_LEN", settings["seq_len"], "tokens that gradients reach back over")
        if self.is_cut:
            lines = [
                "parts = [cut(text) for text in read(path)]",
                "train, valid = ([part[k] for part in parts] for k in (0, 1))",
            ]
            self.written.append(Written(_CUT, "data"))
        else:
            uses["random_split"] = splits.random_split
            drawn_by = split_seed(self.data.recipe, seed, self.draft.setting)
            lines = [
                "texts = read(path)",
                f"split = random_split(len(texts), valid=VALID, seed={drawn_by})",
                "train = [texts[i] for i in split.train]",
                "valid = [texts[i] for i in split.valid]",
            ]
        learnt = LEARNT[self.data.tokenizer.kind]
        learn, encoded = "learn(train)", f"encode({{}}, {learnt})"
        if self.draft.is_plain:
            learn = f"learn_plain(train, {RULES}, min_freq=MIN_FREQ, max_vocab=VOCAB_SIZE)"
            encoded = f"encode_plain({{}}, words, {RULES})"
            uses |= {"learn_plain": plain.learn_plain, "encode_plain": plain.encode_plain}
        lines.append(f"{learnt} = {learn}")
        made = []
        for name, loader in (("train", train), ("valid", valid)):
            options = [f"batch_size={_named('BATCH_SIZE', settings, loader.batch_size)}"]
            options.append("seq_len=SEQ_LEN")
            if loader.shuffle:
                options.append("shuffle=True")
            if loader.drop_last:
                options.append("drop_last=True")
            if loader.shuffle:
                options.append(f"seed={seed}")
            made.append(f"StreamLoader({encoded.format(name)}, {', '.join(options)})")
        lines += ["return (", *(f"    {one}," for one in made), "    words,", ")"]
        body = textwrap.indent("\n".join(lines), "    ")
        self.written.append(Written(_LOAD.format(body=body), "data", uses))
        for one in (Import("torch"), Import("torch", "Tensor"), Import("numpy", "", "np")):
            self.lifter.add_import(one)

    # --- the model --------------------------------------------------------------------------------

    def _model(self) -> None:
        description, lifter = self.application.description, self.lifter
        encoder = description["encoder"]
        keeps = self.draft.keeps_outputs
        known = {"self.has_tied_weights": Known(bool(description["tie_weights"]))}
        lifter.known[MODEL] = known | ({} if keeps else {"self.keeps_outputs": Known(False)})
        if encoder["kind"] != "decoder":
            shares = {**encoder, "output": description["output_dropout"]}
            know_recurrent(
                lifter,
                shares,
                trains=True,
                spread=("input_dropout", "hidden_dropout", "output"),
            )
            lifter.known[ENCODER] = dict(lifter.known[ENCODER]) | {
                "lengths is not None": Known(False)
            }
        made, uses = encoder_text(encoder, self.draft.setting, trains=True, vocab_size="len(words)")
        options = ["tie_weights=False"] if not description["tie_weights"] else []
        if description["output_dropout"]:
            reason = "share of the features that are scored from, the same at each time"
            name = self.draft.setting("OUTPUT_DROPOUT", description["output_dropout"], reason)
            options.append(f"output_dropout={name}")
        told = "".join(f", {one}" for one in options)
        uses |= {"LanguageModel": language.LanguageModel, "derive": derive}
        text = _MAKE_MODEL.format(encoder=made, options=told)
        self.written.append(Written(text, "model", uses))
        lifter.add_import(Import("torch", "nn"))

    def _title(self) -> str:
        kind = self.application.description["encoder"]["kind"]
        what = {"lstm": "an LSTM", "gru": "a GRU", "decoder": "a small causal transformer"}
        return f"Train {what.get(kind, 'a recurrent net')} to predict the next token of texts"


def _named(name: str, settings: Any, value: int) -> str:
    return name if value == settings["batch_size"] else str(value)


_READ_FILE = '''
def read(path: Path) -> list[str]:
    """The text."""
    return [{way}]
'''

_READ_FOLDER = '''
def read(folder: Path) -> list[str]:
    """The texts, in the order of their paths."""
    paths = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file(){skip}
    ]
    paths.sort(key=lambda path: path.relative_to(folder).as_posix())
    return [{way} for path in paths]
'''

_CUT = '''
def cut(text: str) -> tuple[str, str]:
    """The part of a text that trains, and its end, which validates; cut after a line or a word."""
    place = int(len(text) * (1 - VALID))
    for mark in ("\\n", " "):
        near = text.rfind(mark, 0, place)
        if near > 0:
            place = near + 1
            break
    return text[:place], text[place:]
'''

_LOAD = '''
def load(path: Path) -> tuple[StreamLoader, StreamLoader, Sequence[str]]:
    """Read and split the texts, learn the vocabulary, and make streams of tokens."""
{body}
'''

_MAKE_MODEL = '''
def make_model(words: Sequence[str]) -> LanguageModel:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "language"))
    encoder = {encoder}
    return LanguageModel(encoder, len(words){options})
'''
