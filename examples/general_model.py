"""The small general English model that text classifiers start from: made by this, once, and kept.

    python examples/general_model.py [--text FOLDER] [--threads 2]

FOLDER holds plain `.txt` files, two million words or more for a model of use. Without it, the folder
`wikitext_like` is looked for in `$DRIVETRAIN_DATA` or `shared/data` beside the repository; where that is
not to be had, what Python and its packages say is read, which makes a weaker model. It takes a quarter of
an hour on two cores that are free, prints what was made, and is there at once the next time.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from drivetrain.text.general import GeneralModel, general_model


def data_folder() -> Path:
    """Where the data sets lie, if they are here."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("DRIVETRAIN_DATA") or beside)


def main(*given: str) -> GeneralModel:
    """Make the model, or read it from the cache, and print its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, help="a folder of .txt files")
    parser.add_argument("--cache", type=Path, help="where it is kept")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    options = parser.parse_args(given or None)
    model = general_model(
        options.text, data=data_folder(), cache=options.cache, num_threads=options.threads
    )
    print(json.dumps({"folder": str(model.folder), **model.record}, indent=2, default=str))
    return model


if __name__ == "__main__":
    main()
