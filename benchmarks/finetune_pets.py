"""Training on three breeds of pets, against fastai in the same setting; see `finetune.py`."""

from __future__ import annotations

from functools import partial

from finetune import measure
from measure import finish

if __name__ == "__main__":
    finish(partial(measure, "pets"), __doc__)
