"""Run in a process of its own: answers from stored trees where no library that grows any can be imported.

    python without_libraries.py FOLDER

FOLDER holds `rows.safetensors`, and for each family `<i>.safetensors`, `<i>.json` and the library's own
answers, `<i>.expected.safetensors`. Prints how many families were compared.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

BLOCKED = {"sklearn", "lightgbm", "scipy", "pandas", "joblib", "threadpoolctl"}
unwanted: list[str] = []


class Blocker:
    """Finds no module of the blocked packages, as if they were not installed."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(folder: Path) -> None:
    sys.meta_path.insert(0, Blocker)  # pyright: ignore[reportArgumentType]
    import torch

    import drivetrain.store as store
    from drivetrain.trees.ensemble import TreeEnsemble
    from drivetrain.trees.walk_torch import TorchTrees

    sys.addaudithook(_watch)
    asked = store.read_tensors(folder / "rows.safetensors")["rows"]
    count = 0
    for path in sorted(folder.glob("*.json")):
        trees = TreeEnsemble.from_arrays(
            store.read_tensors(path.with_suffix(".safetensors")), store.read_json(path)
        )
        expected = store.read_tensors(path.with_suffix(".expected.safetensors"))["predictions"]
        found = torch.from_numpy(trees.predict(asked.numpy()))
        if not torch.equal(found, expected) or not torch.equal(
            TorchTrees(trees).predict(asked), expected
        ):
            _fail(f"{path}: other bits")
        count += 1
    loaded = BLOCKED & {name.partition(".")[0] for name in sys.modules}
    if loaded or unwanted:
        _fail(f"loaded {loaded}, events {unwanted}")
    print(count)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("pickle.find_class", "subprocess.Popen", "os.system", "ctypes.dlopen"):
        unwanted.append(event)


def _fail(why: str) -> NoReturn:
    sys.exit(why)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
