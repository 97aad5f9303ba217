"""Plain English to train the general model on: a folder of it, or what installed packages say.

Three sources, the first that is there:

1. a folder (or a file) of plain text that is given;
2. `wikitext_like/` in the folder of data sets: old books and encyclopedia articles, 2 million words;
3. what comes with Python and its packages: the reference and the docstrings of the standard library,
   the docstrings of some packages and, where timm is installed, the glosses of WordNet's nouns that
   come with it. **Plainly weaker**: a third as much, and manuals are not how people write.

A text is cut into passages at blank lines, so that a language model meets beginnings and the order of
passages can change from epoch to epoch; a passage is as long as a long review.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivetrain import store
from drivetrain.errors import DataError

WIKITEXT_LIKE = "wikitext_like"
"""Name of the folder that is looked for among the data sets."""
PASSAGE = 3000
"""Letters of a passage; it ends with the paragraph that reaches them."""
VALID_SHARE = 10
"""Of a source that names no part for validation, one passage in so many validates."""

PACKAGES = {
    "numpy": "numpy",
    "torch": "torch",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "pandas": "pandas",
    "networkx": "networkx",
}
"""Distribution -> the module whose docstrings are read, where it is installed."""
GLOSSES = "timm", "data/_info/imagenet_synset_to_definition.txt"
"""Module and file of WordNet's glosses: a synset's id, a tab, what the noun means."""

_NO_PROSE = ("test", "tests", "idle_test", "lib2to3", "site-packages", "_vendor")
_SIGNS = re.compile(r"""[=|{}_\\<>`*~\[\]]|>>>|::|:param""")
_BLANK = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True)
class GeneralTexts:
    """English by passages, with what a record beside the weights must say of it."""

    train: tuple[str, ...]
    """Passages to learn from."""
    valid: tuple[str, ...]
    """Passages that perplexity is measured on, of other books where the source says which."""
    source: str
    """What they are, in a phrase."""
    licences: Mapping[str, str] = field(default_factory=dict)
    """Part -> the licence it states; "not stated" where it states none."""
    about: str = ""
    """What the source's own README says, cut to 2,000 letters."""

    def sha256(self) -> str:
        """Of all passages, in order, those for training and those for validation told apart."""
        digest = hashlib.sha256()
        for part in (self.train, self.valid):
            for passage in part:
                digest.update(passage.encode("utf-8", "surrogatepass") + b"\0")
            digest.update(b"\1")
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """All but the texts, plain JSON."""
        return {
            "source": self.source,
            "licences": dict(self.licences),
            "about": self.about,
            "sha256": self.sha256(),
            "train_words": count_words(self.train),
            "valid_words": count_words(self.valid),
        }


def general_texts(
    text: store.StrPath | None = None, *, data: store.StrPath | None = None
) -> GeneralTexts:
    """The first source that is there; see the module's head.

    Args:
        text: a folder or a file of plain text.
        data: the folder of data sets in which `wikitext_like/` may stand.
    Raises: DataError: `text` is given and is not there or holds too little.
    """
    if text is not None:
        return folder_texts(text)
    if data is not None and (Path(data) / WIKITEXT_LIKE).is_dir():
        return folder_texts(Path(data) / WIKITEXT_LIKE)
    return package_texts()


# --- a folder -------------------------------------------------------------------------------------


def folder_texts(folder: store.StrPath) -> GeneralTexts:
    """All `.txt` files below a folder, or one file, as UTF-8.

    Files in a folder named `valid` validate. Where there are none, and of files that stand in no folder
    named `train`, one passage in ten does.

    Raises: DataError: it is not there, or holds too little text.
    """
    folder = Path(folder)
    if not folder.exists():
        raise DataError(f"{folder} does not exist. Give a folder of .txt files, or one such file.")
    files = sorted(folder.rglob("*.txt")) if folder.is_dir() else [folder]
    files = [path for path in files if path.is_file() and not path.is_symlink()]
    parts = {path: path.relative_to(folder).parts[:-1] for path in files}
    has_valid = any("valid" in part for part in parts.values())
    train: list[str] = []
    valid: list[str] = []
    for path in files:
        found = list(passages(path.read_text("utf-8", "replace")))
        if "valid" in parts[path]:
            valid += found
        elif has_valid and "train" in parts[path]:
            train += found
        else:
            ours, theirs = one_in(VALID_SHARE, found)
            train += ours
            valid += theirs
    about = _about(folder if folder.is_dir() else folder.parent)
    licence = "see `about`" if about else "not stated"
    name = folder.resolve().name
    return checked(GeneralTexts(tuple(train), tuple(valid), name, {name: licence}, about))


def passages(text: str, letters: int = PASSAGE) -> Iterator[str]:
    """A text in pieces of whole paragraphs, each of `letters` or more but for the last.

    >>> list(passages("One.\\n\\nTwo.\\n \\nThree.", letters=6))
    ['One.\\n\\nTwo.', 'Three.']
    """
    begun: list[str] = []
    size = 0
    for paragraph in _BLANK.split(text.replace("\r\n", "\n").strip()):
        begun.append(paragraph)
        size += len(paragraph)
        if size >= letters:
            yield "\n\n".join(begun)
            begun, size = [], 0
    if size:
        yield "\n\n".join(begun)


def one_in(count: int, items: Sequence[str]) -> tuple[list[str], list[str]]:
    """All but each `count`-th, and each `count`-th.

    >>> one_in(3, ["a", "b", "c", "d"])
    (['a', 'b', 'd'], ['c'])
    """
    rest = [item for place, item in enumerate(items, 1) if place % count]
    return rest, list(items[count - 1 :: count])


def count_words(texts: Iterable[str]) -> int:
    """Words as blanks part them."""
    return sum(len(text.split()) for text in texts)


def checked(texts: GeneralTexts) -> GeneralTexts:
    """The same. Raises: DataError: too little to train on and to measure with."""
    if not texts.train or not texts.valid:
        raise DataError(
            f"'{texts.source}' holds {len(texts.train)} passages to train on and {len(texts.valid)} to "
            f"validate with, and each part needs one. A passage has {PASSAGE:,} letters: give more text."
        )
    return texts


def _about(folder: Path) -> str:
    for name in ("README.md", "README.txt", "README", "LICENSE", "LICENSE.txt"):
        if (folder / name).is_file():
            return (folder / name).read_text("utf-8", "replace")[:2000]
    return ""


# --- packages -------------------------------------------------------------------------------------


def package_texts() -> GeneralTexts:
    """What comes with Python and the packages that are installed; takes half a minute of parsing.

    Nothing is imported or run: sources are parsed, and of their strings the sentences are kept.

    Raises: DataError: Python was installed without its sources.
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    found = dict.fromkeys(prose_of(library))
    licences = {f"python {platform.python_version()}": "PSF-2.0"}
    for name, module in PACKAGES.items():
        folder = folder_of(module)
        if folder is not None:
            found |= dict.fromkeys(prose_of(folder))
            licences[_named(name)] = licence_of(name)
    module, file = GLOSSES
    folder = folder_of(module)
    if folder is not None and (folder / file).is_file():
        found |= dict.fromkeys(glosses((folder / file).read_text("utf-8")))
        licences[f"{_named(module)}: glosses of WordNet 3.0"] = "WordNet"
    train, valid = one_in(VALID_SHARE, list(passages("\n\n".join(found))))
    source = "what Python and its packages say (weaker than books and articles)"
    return checked(GeneralTexts(tuple(train), tuple(valid), source, licences))


def package_versions() -> dict[str, str]:
    """What `package_texts` would read, by version; costs nothing."""
    names = [name for name, module in PACKAGES.items() if folder_of(module) is not None]
    if folder_of(GLOSSES[0]) is not None:
        names.append(GLOSSES[0])
    found = {"python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in names}


def prose_of(folder: Path) -> Iterator[str]:
    """The paragraphs of strings in a folder's Python sources that are sentences, each as one line."""
    for path in sorted(folder.rglob("*.py")):
        if set(path.relative_to(folder).parts) & set(_NO_PROSE):
            continue
        for string in strings_of(path):
            for paragraph in _BLANK.split(string):
                line = " ".join(paragraph.split())
                if is_prose(line):
                    yield line


def strings_of(path: Path) -> list[str]:
    """The long strings of a Python source, docstrings among them; none where it is no valid source."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in strings that are not ours
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return []
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, str) and len(value) > 100]


def is_prose(line: str) -> bool:
    """Whether a line is sentences, and neither code, a heading nor a list of names.

    >>> is_prose("A file is read line by line, and each line is split into its fields.")
    True
    >>> is_prose("x : array_like, optional. Returns = None, see `foo` for what that is good for.")
    False
    """
    if len(line) < 50 or not line[0].isupper() or line[-1] not in ".!?" or _SIGNS.search(line):
        return False
    words = line.split()
    return sum(word.strip(".,;:!?()'\"").isalpha() for word in words) >= 0.85 * len(words)


def glosses(table: str) -> Iterator[str]:
    """What nouns mean: the second column of lines with a tab, as sentences.

    >>> list(glosses("n00001\\tsomething that moves; goes about\\n"))
    ['Something that moves, goes about.']
    """
    for line in table.splitlines():
        meaning = line.partition("\t")[2].strip().replace(";", ",")
        if meaning:
            yield f"{meaning[0].upper()}{meaning[1:]}."


def folder_of(module: str) -> Path | None:
    """Where a module's sources lie; None where it is not installed. It is not imported."""
    spec = importlib.util.find_spec(module)
    found = spec.submodule_search_locations if spec is not None else None
    return Path(found[0]) if found else None


def licence_of(distribution: str) -> str:
    """What a distribution states as its licence, in its short form; "not stated" where it does not."""
    about = importlib.metadata.metadata(distribution)
    lines = [*(about.get_all("License-Expression") or []), *(about.get_all("License") or []), ""]
    stated = lines[0]
    line = stated.strip().partition("\n")[0]
    if 0 < len(line) <= 120 and not line.startswith("Copyright"):
        return line
    classifiers = about.get_all("Classifier") or []
    named = [entry.rpartition(" :: ")[2] for entry in classifiers if entry.startswith("License ::")]
    return ", ".join(named) or "not stated"


def _named(distribution: str) -> str:
    return f"{distribution} {importlib.metadata.version(distribution)}"
