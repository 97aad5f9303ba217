"""Samples: small data sets that are there without a download.

They are either read from a package that is installed anyway, or known by construction, drawn by code.
A sample is written out as a plain folder, `train/<class>/` and `test/<class>/`, so that it is used
as a person's own folder is used. `test/` is the sealed part: training and validation do not see it.

`sample_folder` keeps one copy in the cache (`$XDG_CACHE_HOME`, else `~/.cache`), named by the
sample's content, and made again when it is damaged. `write_sample` writes one where you say.
Both make the folder whole beside its place and then rename it: a cut leaves no half sample, and
two programs that make the same one at the same time do no harm.

Importing this loads neither torch nor numpy.
"""

from __future__ import annotations

from drivetrain.samples.folder import sample_folder, write_sample
from drivetrain.samples.table import SAMPLES, Sample

__all__ = ["SAMPLES", "Sample", "sample_folder", "write_sample"]
