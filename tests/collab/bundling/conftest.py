"""One bundle with all that a bundle of ratings can have but ONNX, made once for all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.collab.bundling.bundles import trained


@pytest.fixture(scope="session")
def learner() -> Any:
    """What the bundle is made of. Not to be trained on."""
    return trained()


@pytest.fixture(scope="session")
def made(learner: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with golden pairs, history, guard and script. Not to be changed."""
    place = tmp_path_factory.mktemp("bundle") / "films"
    learner.export(place)
    return place
