"""Training on the digits 3 and 7, against fastai in the same setting; see `finetune.py`."""

from __future__ import annotations

from functools import partial

from finetune import measure
from measure import finish

if __name__ == "__main__":
    finish(partial(measure, "digits"), __doc__)
