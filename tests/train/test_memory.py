"""The dry run: its bytes are the tensors' bytes, it changes nothing, and the batch it names fits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import drivetrain as dt
from drivetrain.errors import ConfigError
from drivetrain.train.callback import Callback
from drivetrain.train.memory import LiveStorages, MemoryReport, dry_run, free_memory, size
from tests.train.blobs import blob_loaders, blobs, learner, weights

CPU = torch.device("cpu")


def conv_net() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(32, 3)),
    )


def conv_learner(batch: int = 16, side: int = 32, **options: Any) -> dt.Learner:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(batch, 3, side, side, generator=generator)
    loaders = dt.Loaders([(inputs, torch.arange(batch) % 3)])
    return dt.Learner(conv_net(), loaders, "cross_entropy", progress=False, **options)


# --- counting ---------------------------------------------------------------------------------------


def test_live_storages_are_counted_once_and_until_they_are_freed() -> None:
    there = torch.zeros(250)  # 1,000 bytes
    live = LiveStorages([there, there[:10]])
    assert live.bytes == 1000
    with live:
        a = torch.ones(500)
        view = a[:250].view(10, 25)
        assert live.bytes == 3000
        b = a + 1
        del a
        assert live.bytes == 5000  # the view holds it
        del view
        assert live.bytes == 3000
        b.add_(1)
        del b
    assert (live.bytes, live.peak) == (1000, 5000)
    assert live.lap() == 5000 and live.lap() == 1000
    live.close()


def test_what_autograd_keeps_is_alive() -> None:
    live = LiveStorages([])
    with live:
        x = torch.ones(100, requires_grad=True)  # 400 bytes
        y = x.exp()  # its result is kept for the backward pass
        z = y.sum()  # 4 bytes
        del y
        assert live.bytes == 804
        del z
        assert live.bytes == 400
    live.close()


def test_the_bytes_of_a_linear_layer_are_those_worked_out_by_hand() -> None:
    """200 -> 1 by squared error with plain SGD, and no bias: every tensor can be named."""
    model = nn.Linear(200, 1, bias=False)
    inputs, targets = torch.ones(64, 200), torch.ones(64, 1)

    def loss_fn(preds: Any, targets: Any) -> Any:
        return (preds - targets).square().mean()

    report = dry_run(
        dt.Learner(model, [(inputs, targets)], loss_fn, torch.optim.SGD, progress=False)
    )
    weight, batch = 200 * 4, 64 * (200 + 1) * 4
    # forward: preds, their difference from the targets, its square, and the mean
    assert report.peak >= weight + batch + 3 * 64 * 4 + 4
    # of the backward pass: no more than the gradient and a few columns of 64 numbers
    assert report.peak <= weight + batch + weight + 8 * 64 * 4
    assert report.weights == weight
    assert (200 + 1 + 3) * 4 <= report.per_item <= (200 + 1 + 6) * 4


@pytest.mark.row(112)
@pytest.mark.parametrize("other", [8, 24, 64, 100])
def test_the_line_through_two_sizes_gives_the_peak_of_others(other: int) -> None:
    one = conv_learner()
    report = dry_run(one)
    assert report.batch_size == 16
    assert report.peak == pytest.approx(report.at(16), rel=1e-6)
    assert report.at(other) == pytest.approx(dry_run(one, batch_size=other).peak, rel=0.01)


def test_adam_remembers_two_numbers_a_weight() -> None:
    def wide() -> dt.Learner:
        return dt.Learner(
            nn.Linear(1000, 500),
            [(torch.zeros(2, 1000), torch.zeros(2, 500))],
            "mse",
            optimizer,
            weight_decay=0.0,
            progress=False,
        )

    count = 500 * 1000 + 500
    optimizer = torch.optim.SGD
    plain = dry_run(wide())
    assert plain.weights == 4 * count
    assert 8 * count <= plain.step < 9 * count  # weights and gradients
    optimizer = torch.optim.AdamW
    adam = dry_run(wide())
    assert plain.step + 8 * count <= adam.step  # and two averages
    batch = 2 * 1500 * 4
    assert adam.step <= 24 * count + batch + 100  # and, on the way, a root and a quotient
    assert adam.peak == adam.step and "; the optimizer's step " in str(adam)


# --- nothing is changed -----------------------------------------------------------------------------


def test_a_dry_run_changes_nothing_that_follows() -> None:
    plain, tried = learner(), learner()
    state = torch.get_rng_state()
    report = dry_run(tried)
    assert report.peak > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert weights(tried) == weights(plain)
    assert all(p.grad is None for p in tried.model.parameters())
    assert tried.loaders.train.epoch == 0
    assert tried.journal == [] and len(tried.history) == 0
    for one in (plain, tried):
        one.fit_one_cycle(2, 0.01)
    assert weights(tried) == weights(plain)


def test_an_optimizer_of_ones_own_keeps_its_memory() -> None:
    found = []
    for look in (False, True):
        one = learner()
        one = dt.Learner(
            one.model,
            blob_loaders(),
            "cross_entropy",
            torch.optim.Adam(one.model.parameters(), lr=0.01),
            progress=False,
        )
        one.fit(1)
        if look:
            dry_run(one)
        one.fit(1)
        found.append(weights(one))
    assert found[0] == found[1]


def test_callbacks_are_not_run() -> None:
    class Fail(Callback):
        def before_fit(self, state: Any) -> None:
            raise AssertionError

    assert dry_run(learner(callbacks=[Fail()])).peak > 0


def test_everything_is_put_back_also_after_an_error() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 3)
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("out of memory, as it were")
            return self.inner(x)

    one = dt.Learner(Breaks(), dt.Loaders([blobs(16)]), "cross_entropy", progress=False)
    before = weights(one)
    with pytest.raises(RuntimeError, match="out of memory, as it were"):
        dry_run(one)
    assert weights(one) == before


# --- what is free -----------------------------------------------------------------------------------


def machine(root: Path, **files: str) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 5000 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_free_is_what_the_machine_has_available(tmp_path: Path) -> None:
    assert free_memory(CPU, root=machine(tmp_path)) == 5_000 * 1024


def test_a_containers_limit_counts_at_every_level(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        **{
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/memory.max": "1000000\n",
            "sys/fs/cgroup/a/memory.current": "400000\n",
            "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 50000\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.current": "300000\n",
        },
    )
    assert free_memory(CPU, root=root) == 1_000_000 - 400_000 + 50_000


def test_a_limit_of_the_older_kind_counts_too(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        **{
            "proc/self/cgroup": "4:cpu,cpuacct:/x\n3:memory:/x\n",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "700000",
            "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "800000",
        },
    )
    assert free_memory(CPU, root=root) == 0  # never below


def test_the_memory_of_this_machine_is_known() -> None:
    found = free_memory(CPU)
    assert found is not None and 10**7 < found < 10**14


# --- what is said -----------------------------------------------------------------------------------


def test_the_report_is_one_sentence_and_json() -> None:
    report = MemoryReport(
        peak=412_000_000,
        batch_size=64,
        weights=14_000_000,
        fixed=58_000_000,
        per_item=5_531_250,
        step=56_000_000,
        free=18_200_000_000,
        largest_batch=1634,
        device="cpu",
    )
    assert str(report) == (
        "peak 412.0 MB at batch 64 (58.0 MB + 5.5 MB an item); this machine has 18.2 GB free: "
        "the largest batch is about 1,600"
    )
    assert json.loads(json.dumps(report.to_json()))["largest_batch"] == 1634
    assert report.at(1) == 63_531_250 and report.at(0) == 58_000_000


@pytest.mark.parametrize(
    ("free", "largest", "end"),
    [
        (None, None, "; how much memory is free is not known here"),
        (5_000_000, 0, "; this machine has 5.0 MB free: not even one item fits"),
    ],
)
def test_what_is_not_known_or_does_not_fit_is_said(free: Any, largest: Any, end: str) -> None:
    report = MemoryReport(10**8, 8, 1, 10**7, 10**7, 1, free, largest, "cpu")
    assert str(report).endswith(end)


def test_sizes_in_words() -> None:
    assert [size(n) for n in (0, 999, 1000, 1_250_000, 2e9)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "1.2 MB", "2.0 GB")
    ]


def test_a_batch_of_one_item_tells_nothing() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^A dry run needs a batch of at least 2 items, to see what one adds\. Got 1\.$",
    ):
        dry_run(learner(), batch_size=1)


def test_an_empty_loader_is_answered() -> None:
    one = dt.Learner(nn.Linear(2, 3), [], "cross_entropy", progress=False)
    with pytest.raises(
        ConfigError, match=r"^The training loader is empty: there is nothing to learn from\.$"
    ):
        dry_run(one)


# --- beside the process itself ----------------------------------------------------------------------

_GROWTH = """
import gc, torch
torch.set_num_threads(1)
import drivetrain as dt
from tests.train.test_memory import conv_net
from drivetrain.train.memory import dry_run

def learner(batch):
    x = torch.randn(batch, 3, 64, 64).to(memory_format=torch.channels_last)
    model = conv_net().to(memory_format=torch.channels_last)
    return dt.Learner(model, [(x, torch.arange(batch) % 3)], "cross_entropy", progress=False)

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

learner(4).fit(1)
one = learner({batch})
gc.collect()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts anew
before = status("VmRSS")
one.fit(1)
growth = status("VmHWM") - before
print(growth, dry_run(one).per_item if {batch} == 200 else 0)
"""


def in_new_process(code: str, root: Path) -> str:
    """What it prints, where the C library gives each freed tensor back to the system at once."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.row(112)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel does not tell")
def test_an_item_takes_what_the_process_grows_by(pytestconfig: Any) -> None:
    """Two processes train one batch each, 100 and 200 items: they differ by 100 items."""
    found = [
        in_new_process(_GROWTH.replace("{batch}", str(batch)), pytestconfig.rootpath).split()
        for batch in (100, 200)
    ]
    grown = (int(found[1][0]) - int(found[0][0])) / 100
    inputs = 3 * 64 * 64 * 4  # those were there before
    assert int(found[1][1]) - inputs == pytest.approx(grown, rel=0.03)


_LIMITED = """
import resource, torch
torch.set_num_threads(1)
import drivetrain as dt
from tests.train.test_memory import conv_net
from drivetrain.train.memory import dry_run

def learner(batch):
    x = torch.zeros(batch, 3, 64, 64).to(memory_format=torch.channels_last)
    model = conv_net().to(memory_format=torch.channels_last)
    return dt.Learner(model, [(x, torch.arange(batch) % 3)], "cross_entropy", progress=False)

def fits(batch):
    try:
        learner(batch).fit(1)
    except (MemoryError, RuntimeError) as error:
        assert "memory" in str(error).lower() or isinstance(error, MemoryError), error
        return False
    return True

learner(4).fit(1)
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 600_000_000, resource.RLIM_INFINITY))
report = dry_run(learner(16))
print(report.free, report.largest_batch, fits(report.largest_batch), fits(3 * report.largest_batch))
"""


@pytest.mark.slow
@pytest.mark.row(112)
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is counted on Linux")
def test_the_largest_batch_fits_and_three_times_as_much_does_not(pytestconfig: Any) -> None:
    free, largest, fits, fits_more = in_new_process(_LIMITED, pytestconfig.rootpath).split()
    assert 3e8 < int(free) <= 6.1e8
    assert int(largest) > 50
    assert (fits, fits_more) == ("True", "False")


def test_drivetrain_train_dry_run_prints_it_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from drivetrain.cli import program
    from tests.cli.conftest import write_pictures

    photos = write_pictures(tmp_path / "photos", each=10)
    monkeypatch.chdir(tmp_path)
    words = ["train", str(photos), "--dry-run", "--set", "batch_size=8"]
    said = CliRunner().invoke(program, words)
    assert said.exit_code == 0, said.output
    assert re.fullmatch(
        r"peak [\d.]+ MB at batch 8 \([\d.]+ [kM]B \+ [\d.]+ [kM]B an item.*\); this machine has "
        r"[\d.,]+ [MG]B free: the largest batch is about [\d,]+\n",
        said.stdout,
    )
    as_json = CliRunner().invoke(program, [*words, "--json"])
    assert json.loads(as_json.stdout)["batch_size"] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
