"""Learners with something wrong, one for each check: what the check must find, and what it must say."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import drivetrain as dt
from drivetrain.randomness import permutation, seeded
from drivetrain.train.callback import LAST, CancelFit
from tests.testing.makers import Make, learner, line, tensor_loaders

# --- loaders ----------------------------------------------------------------------------------------


def batches(count: int = 6) -> list[tuple[Tensor, Tensor]]:
    inputs, targets = line()
    return [(inputs[6 * n : 6 * n + 6], targets[6 * n : 6 * n + 6]) for n in range(count)]


class WrongLength:
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return iter(batches())


class OwnNoise:
    """Draws from a generator that goes on and on."""

    def __init__(self) -> None:
        self.noise = torch.Generator().manual_seed(1)

    def __iter__(self) -> Iterator[Any]:
        for inputs, targets in batches():
            yield inputs + torch.randn(inputs.shape, generator=self.noise), targets


class StartsAtZero(dt.BatchLoader):
    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Any]:
        return super().batches(epoch)


class SameOrder(dt.BatchLoader):
    def batches(self, epoch: int, *, start: int = 0) -> Iterator[Any]:
        return super().batches(0, start=start)


class NoSeed(dt.BatchLoader):
    def _chunks(self, epoch: int) -> list[Tensor]:
        return list(permutation(len(self.data), seed=0, epoch=epoch).split(self.batch_size))


def shuffled(kind: type[dt.BatchLoader]) -> dt.BatchLoader:
    return kind(dt.TensorData(*line()), batch_size=8, shuffle=True)


def with_replacement() -> DataLoader[Any]:
    data = TensorDataset(*line())
    return DataLoader(data, batch_size=8, sampler=RandomSampler(data, replacement=True))


def spoilt(number: int, part: int, change: Callable[[Tensor], Tensor]) -> list[Any]:
    found: list[Any] = [list(batch) for batch in batches()]
    found[number][part] = change(found[number][part])
    return [tuple(batch) for batch in found]


def nan_at_the_first(tensor: Tensor) -> Tensor:
    changed = tensor.clone()
    changed[0, 0] = torch.nan
    return changed


# --- models -----------------------------------------------------------------------------------------


class Plain(nn.Module):
    """Three linear layers, the base of what is wrong below."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(20, "test"):
            self.first, self.second = nn.Linear(3, 6), nn.Linear(6, 6)
            self.head = nn.Linear(6, 1)

    def features(self, x: Tensor) -> Tensor:
        return torch.tanh(self.second(torch.tanh(self.first(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class Unseeded(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 1)


class Infinite(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(super().forward(x) * 0)


class Squeezed(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze()


class DropsInEvaluation(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(self.features(x), 0.5))


class LooksAtTheBatch(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(dim=0))


class WritesIntoInputs(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(0.9))


class Unused(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.forgotten = nn.Parameter(torch.ones(3))


class RootOfZero(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (self.scale * 0).abs().sqrt()


class WithoutSecond(Plain):
    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.first], [self.head]]


class SecondTwice(Plain):
    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.first, self.second], [self.second, self.head]]


class Elsewhere(Plain):
    def forward(self, x: Tensor) -> Tensor:
        self.register_buffer("cache", torch.empty(2, device="meta"), persistent=False)
        return super().forward(x)


class Counting(Plain):
    """Counts its calls in a buffer; the buffer's dtype changes, or it counts in evaluation too."""

    def __init__(self, *, dtype: torch.dtype = torch.float32, always: bool = False) -> None:
        super().__init__()
        self.dtype, self.always = dtype, always
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.always:
            self.calls = (self.calls + 1).to(self.dtype)
        return super().forward(x)


class Hidden(Plain):
    """Counts its calls in a plain attribute, and answers by it."""

    def __init__(self, *, always: bool = False) -> None:
        super().__init__()
        self.calls, self.always = 0, always

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training or self.always
        return super().forward(x) + 0.01 * self.calls


class ExtraState(Plain):
    def get_extra_state(self) -> Any:
        return {"calls": 3}

    def set_extra_state(self, state: Any) -> None:
        pass


class LoadsNothing(Plain):
    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        return None


class Locked(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class DrawsByItself(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (random.SystemRandom().random() if self.training else 0.0)


class DrawsInEvaluation(Plain):
    def forward(self, x: Tensor) -> Tensor:
        torch.rand(1)
        return super().forward(x)


class OtherStateEachTime(Plain):
    calls = 0

    def state_dict(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        return super().state_dict(*args, **options) | {"calls": torch.tensor(self.calls)}


class TwoLines(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.first = type("Two\nLines", (nn.Linear,), {})(3, 6)
        with torch.no_grad():
            for parameter in self.first.parameters():
                parameter.fill_(0.1)

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.first], [self.second, self.head]]


class LongName(Plain):
    name = "net " * 100


# --- optimizers -------------------------------------------------------------------------------------


def without_the_last_group(groups: list[Any]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups[:-1], lr=0.01)


def one_group(groups: list[Any]) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for g in groups for p in g["params"]], lr=0.01, weight_decay=0.1)


def uphill(groups: list[Any]) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=0.01, maximize=True)


class ClearsNothing(torch.optim.SGD):
    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


class RemembersALog(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["log"] = ["a step"]


class CountsBesideItsState(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        self.steps = getattr(self, "steps", 0) + 1
        for group in self.param_groups:
            group["lr"] = group["lr"] / self.steps
        super().step()


# --- losses and metrics -----------------------------------------------------------------------------


def summed(preds: Tensor, targets: Tensor) -> Tensor:
    return ((preds - targets) ** 2).sum()


def twice_where_unreduced(preds: Tensor, targets: Tensor, *, reduction: str = "mean") -> Tensor:
    values = (preds - targets) ** 2
    return values.mean() if reduction == "mean" else 2 * values


class Absolute:
    """The mean absolute error, the base of what is wrong below."""

    name = "mine"
    higher_is_better = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, preds: Tensor, targets: Tensor) -> None:
        self.total += float((preds - targets).abs().sum())
        self.count += len(targets)

    def compute(self) -> float:
        return self.total / max(self.count, 1)


class NamedAsALoss(Absolute):
    name = "train_loss"


class RecordsASet(Absolute):
    def record(self) -> dict[str, Any]:
        return {"name": "mine", "options": {1, 2}}


class MeanOfMeans(Absolute):
    def update(self, preds: Tensor, targets: Tensor) -> None:
        self.total += float((preds - targets).abs().mean())
        self.count += 1


class NeverForgets(Absolute):
    def __init__(self) -> None:
        super().reset()

    def reset(self) -> None:
        pass


class WritesIntoOutputs(Absolute):
    def update(self, preds: Tensor, targets: Tensor) -> None:
        super().update(preds.clamp_(-0.1, 0.1), targets)


class CountsBatches(Absolute):
    def update(self, preds: Tensor, targets: Tensor) -> None:
        self.total += 1
        self.count = 1


class Meddles(Absolute):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def compute(self) -> float:
        with torch.no_grad():
            next(self.model.parameters()).add_(0.1)
        return super().compute()


# --- callbacks --------------------------------------------------------------------------------------


def doing(event: str, do: Callable[[Any], None], **fields: Any) -> dt.Callback:
    def handle(self: Any, state: Any) -> None:
        do(state)

    return type("Doing", (dt.Callback,), {event: handle, **fields})()


def nudge(state: Any) -> None:
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(0.1)


def nudge_at_a_nan(state: Any) -> None:
    if not torch.isfinite(state.loss):
        nudge(state)


def hide_the_loss(state: Any) -> None:
    state.row["valid_loss"] = 0.0


def nudge_by_chance(state: Any) -> None:
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(torch.randn(parameter.shape))


class Keeps(dt.Callback):
    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def after_loss(self, state: Any) -> None:
        self.losses.append(state.loss)


class Forgets(dt.Callback):
    """Weighs each batch by how many came before it, and does not say so in `state_dict`."""

    adjusts = ("loss",)

    def before_fit(self, state: Any) -> None:
        self.count = 0

    def after_loss(self, state: Any) -> None:
        self.count += 1
        state.loss = state.loss * self.count


class WantsItsValidation(dt.Callback):
    def __init__(self) -> None:
        self.is_open = False

    def before_epoch(self, state: Any) -> None:
        if self.is_open:
            raise RuntimeError("The epoch before was not validated.")
        self.is_open = True

    def after_validate(self, state: Any) -> None:
        self.is_open = False


class FreezesForAnEpoch(dt.Callback):
    def before_epoch(self, state: Any) -> None:
        state.model.first.requires_grad_(False)

    def after_epoch(self, state: Any) -> None:
        state.model.first.requires_grad_(True)


class NeedsItsBeginning(dt.Callback):
    def before_fit(self, state: Any) -> None:
        self.began = state.step

    def after_fit(self, state: Any) -> None:
        self.took = state.step - self.began


class OneFitOnly(dt.Callback):
    def __init__(self) -> None:
        self.is_over = False

    def before_epoch(self, state: Any) -> None:
        if self.is_over:
            raise CancelFit

    def after_fit(self, state: Any) -> None:
        self.is_over = True


def late_column(state: Any) -> None:
    if state.epoch:
        state.row["late"] = 1.0


def after_the_log(state: Any) -> None:
    state.row["late"] = 1.0


def write_a_pickle(state: Any) -> None:
    if state.folder is not None:
        (state.folder / "model").mkdir(exist_ok=True)
        (state.folder / "model" / "whole").write_bytes(b"\x80\x05\x4e\x2e")


# --- Learners ---------------------------------------------------------------------------------------


class LeavesNumpysGenerator(dt.Learner):
    def fit_one_cycle(self, *args: Any, **options: Any) -> None:
        super().fit_one_cycle(*args, **options)
        np.random.rand()  # noqa: NPY002 - that is what is wrong with it


class TrainsInLrFind(dt.Learner):
    def lr_find(self, **options: Any) -> Any:
        found = super().lr_find(**options)
        self.fit(1)
        return found


class PredictsInTraining(dt.Learner):
    def predict(self, source: Any) -> Any:
        return self.model(*source)


class OwnLoop(dt.Learner):
    def fit_one_cycle(self, epochs: int, *args: Any, callbacks: Any = (), **options: Any) -> None:
        for one in callbacks:
            one.before_fit(None)
            one.before_batch(None)
            one.after_fit(None)


class TakesNoEpochs(dt.Learner):
    def fit(self, epochs: int, *args: Any, **options: Any) -> None:
        if epochs:
            super().fit(epochs, *args, **options)


class ResumesForMore(dt.Learner):
    def resume(self, **options: Any) -> None:
        super().resume(**options)
        self.fit(1)


# --- the table --------------------------------------------------------------------------------------


def bad(
    model: Callable[[], nn.Module] = Plain,
    loaders: Callable[[], Any] = lambda: tensor_loaders(*line()),
    loss_fn: Any = "mse",
    optimizer: Any = None,
    *,
    kind: Callable[..., dt.Learner] = learner,
    callbacks: Callable[[], list[Any]] = list,
    metrics: Callable[[], list[Any]] = list,
    **options: Any,
) -> Make:
    """A function that makes a Learner, all right but for what is given."""

    def make() -> dt.Learner:
        return kind(
            model(), loaders(), loss_fn, optimizer,
            callbacks=callbacks(), metrics=metrics(), **options,
        )  # fmt: skip

    return make


def meddling() -> dt.Learner:
    model = Plain()
    return learner(model, tensor_loaders(*line()), "mse", metrics=[Meddles(model)])


def optimizer_of_another() -> dt.Learner:
    strangers = torch.optim.SGD(Plain().parameters(), lr=0.1)
    return learner(Plain(), tensor_loaders(*line()), "mse", strangers)


def with_application() -> dt.Learner:
    made = learner(Plain(), tensor_loaders(*line()), "mse")
    made.application = SimpleNamespace(
        classes=(), record=lambda: {"kinds": {"a", "b"}}, model_record=dict
    )
    return made


def forgets() -> list[Any]:
    return [Forgets()]


def does(event: str, do: Callable[[Any], None], **fields: Any) -> Callable[[], list[Any]]:
    return lambda: [doing(event, do, **fields)]


PLANTED: dict[str, tuple[Make, str]] = {
    "fresh_learners_are_alike": (bad(Unseeded), "differ in `head.weight`, `head.bias`"),
    # loaders
    "loaders_can_be_iterated_again": (
        bad(loaders=lambda: (batch for batch in batches())),
        "The training loader is used up after one pass",
    ),
    "a_loader_knows_its_length": (
        bad(loaders=lambda: WrongLength(36)), "says that it has 36 batches and gave 6",
    ),
    "an_epoch_repeats_its_batches": (
        bad(loaders=OwnNoise), "Batch 0 of epoch 1 of the training loader is another one when drawn",
    ),
    "an_epoch_can_begin_in_the_middle": (
        bad(loaders=lambda: shuffled(StartsAtZero)), "begun at batch 1, goes on otherwise",
    ),
    "a_shuffled_loader_changes_its_order": (
        bad(loaders=lambda: shuffled(SameOrder)), "have the same order, though it says that it",
    ),
    "an_epoch_holds_each_item_once": (
        bad(loaders=with_replacement), "Items come more than once in epoch 0 of the training loader",
    ),
    "validation_keeps_its_order": (
        bad(loaders=lambda: (shuffled(dt.BatchLoader), shuffled(dt.BatchLoader))),
        "Batch 0 of the validation is another one in epoch 1",
    ),
    "batches_have_one_structure": (
        bad(loaders=lambda: spoilt(1, 1, torch.Tensor.double)),
        "Batch 1 of the training loader is ('float32 of 2 dimensions', 'float64 of 2",
    ),
    "batches_hold_finite_numbers": (
        bad(loaders=lambda: spoilt(2, 0, nan_at_the_first)),
        "`batch[0]` of batch 2 of the training loader holds NaN",
    ),
    "batches_fit_the_forward": (
        bad(loaders=lambda: [{"y": x, "targets": t} for x, t in batches()]),
        "does not fit `forward(x: 'Tensor') -> 'Tensor'`: missing a required argument: 'x'",
    ),
    "targets_fit_the_loss": (
        bad(loaders=lambda: [(x, t[:, 0]) for x, t in batches()]),
        "`mse` got predictions of shape (6, 1) and targets of shape (6,)",
    ),
    # the model
    "outputs_are_finite": (bad(Infinite), "`outputs` of batch 0 holds NaN or infinity"),
    "outputs_have_one_row_an_item": (
        bad(Squeezed, lambda: [(x, t[:, 0]) for x, t in batches()]),
        "The outputs for 1 items have the shape ()",
    ),
    "evaluation_repeats": (bad(DropsInEvaluation), "gave other outputs the second time"),
    "items_do_not_see_each_other": (bad(LooksAtTheBatch), "The outputs of an item alone are not"),
    "inputs_are_left_alone": (bad(WritesIntoInputs), "wrote into `batch[0]`"),
    "every_parameter_gets_a_gradient": (bad(Unused), "The loss does not depend on `forgotten`"),
    "gradients_are_finite": (bad(RootOfZero), "The gradients of `scale` hold NaN or infinity"),
    "frozen_parameters_stay": (
        bad(callbacks=does("after_step", nudge)), "A fit changed what was frozen: `first.weight`",
    ),
    "freezing_is_undone_by_unfreezing": (
        bad(WithoutSecond), "After `freeze` `second.bias`, `second.weight` is not as it should be",
    ),
    "layer_groups_hold_each_parameter_once": (
        bad(SecondTwice), "Parameter `second.weight` stands in layer groups 0 and 1",
    ),
    "parameters_are_on_the_learners_device": (bad(Elsewhere), "`cache` is not on cpu"),
    "training_keeps_the_dtypes": (
        bad(lambda: Counting(dtype=torch.float64)), "Training changed the dtype of `calls`",
    ),
    "the_state_dict_holds_tensors": (bad(ExtraState), "holds `_extra_state`, which is no tensor"),
    "the_state_dict_goes_through_a_file": (
        bad(LoadsNothing), "An equal model that loaded the file has other numbers in `first.weight`",
    ),
    "the_state_dict_is_all_of_the_model": (bad(Hidden), "is a plain attribute"),
    "the_model_can_be_copied": (bad(Locked), "`copy.deepcopy(model)` raised TypeError"),
    # the optimizer
    "every_parameter_is_in_the_optimizer_once": (
        bad(optimizer=without_the_last_group), "does not hold `first.bias`, `second.bias`, `head.bias`",
    ),
    "norms_and_biases_have_no_decay": (
        bad(optimizer=one_group), "The optimizer decays `first.bias`, `second.bias`, `head.bias`",
    ),
    "training_lowers_the_loss": (bad(optimizer=uphill), "did not fall in 40 steps"),
    "training_moves_the_weights": (optimizer_of_another, "did not move in an epoch"),
    "no_gradient_is_left": (bad(optimizer=ClearsNothing), "Gradients are left in `first.weight`"),
    "no_graph_outlives_its_step": (bad(callbacks=lambda: [Keeps()]), "are still held a step later"),
    "what_the_optimizer_remembers_can_be_kept": (
        bad(optimizer=RemembersALog), "remembers `log` of type list",
    ),
    "rates_are_printed_for_each_layer_group": (
        bad(TwoLines), "`rates()` printed 4 lines for 2 layer groups",
    ),
    # loss, metrics, history
    "the_loss_is_a_mean_over_items": (bad(loss_fn=summed), "when the batch is cut into parts"),
    "the_loss_is_the_mean_of_item_losses": (
        bad(loss_fn=twice_where_unreduced), "and the mean of the items' losses",
    ),
    "the_valid_loss_is_that_of_the_predictions": (
        bad(callbacks=does("after_validate", hide_the_loss, adjusts=("row",))),
        "The history's `valid_loss` is 0.0",
    ),
    "metrics_say_which_way_is_good": (
        bad(metrics=lambda: [NamedAsALoss()]),
        "Several columns of the history would be called `train_loss`",
    ),
    "metrics_are_recorded_as_json": (
        bad(metrics=lambda: [RecordsASet()]), "The record of the metric `mine` is no JSON",
    ),
    "metrics_do_not_depend_on_the_batches": (
        bad(metrics=lambda: [MeanOfMeans()]), "items at once and",
    ),
    "metrics_begin_anew": (
        bad(metrics=lambda: [NeverForgets()]), "of the same items after other ones",
    ),
    "metrics_leave_what_they_are_given": (
        bad(metrics=lambda: [WritesIntoOutputs()]), "The metric `mine` wrote into what it was given",
    ),
    "metrics_of_predictions_are_those_of_evaluate": (
        bad(metrics=lambda: [CountsBatches()]),
        "`evaluate` tells 3 for the metric `mine`, and it is 1 for all predictions",
    ),
    "metrics_change_no_weight": (meddling, "A metric changes what is trained"),
    "the_history_keeps_its_columns": (
        bad(callbacks=does("after_validate", late_column)),
        "The row of epoch 1 has the columns epoch, train_loss, valid_loss, late, seconds",
    ),
    # once more
    "the_same_seed_gives_the_same_bits": (
        bad(DrawsByItself), "two trainings of equal Learners cannot be compared",
    ),
    "another_seed_gives_other_bits": (
        bad(loaders=lambda: shuffled(NoSeed)), "Another seed gave the same weights",
    ),
    "global_generators_do_not_matter": (
        bad(callbacks=does("before_fit", nudge_by_chance)),
        "depends on how the global generators stood before the fit",
    ),
    "training_leaves_the_global_generators": (
        bad(kind=LeavesNumpysGenerator, progress=False), "`fit` changed the global generator of numpy",
    ),
    "looking_leaves_the_global_generators": (
        bad(DrawsInEvaluation), "the model in evaluation mode changed the global generator of torch",
    ),
    "lr_find_leaves_everything": (
        bad(kind=TrainsInLrFind, progress=False), "`lr_find` changed `first.weight`",
    ),
    "training_after_lr_find_is_the_same": (bad(Hidden), "`lr_find` left something behind"),
    "evaluating_changes_nothing": (
        bad(lambda: Counting(always=True)), "`evaluate` changed `calls`",
    ),
    "training_after_evaluating_is_the_same": (
        bad(lambda: Hidden(always=True)), "Evaluating left something behind",
    ),
    "predict_answers_as_the_model_does": (
        bad(kind=PredictsInTraining, progress=False), "What `predict` gives carries a graph",
    ),
    "settings_of_the_process_stay": (
        bad(callbacks=does("after_fit", lambda s: torch.set_default_dtype(torch.float64))),
        "A fit changed the default dtype (torch.float32 to torch.float64)",
    ),
    # the course of a fit
    "events_come_in_their_order": (
        bad(kind=OwnLoop, progress=False), "Event 1 of a fit is `before_batch`, after `before_fit`",
    ),
    "a_cancelled_batch_makes_no_step": (
        bad(callbacks=does("after_cancel", nudge)), "A batch was cancelled before its step",
    ),
    "a_cancelled_epoch_leaves_it_usable": (
        bad(callbacks=lambda: [WantsItsValidation()]),
        "RuntimeError: The epoch before was not validated.",
    ),
    "a_cancelled_fit_leaves_it_usable": (
        bad(callbacks=lambda: [FreezesForAnEpoch()]),
        "After a cancelled fit `first.bias`, `first.weight` is frozen or trains",
    ),
    "a_fit_cancelled_at_its_start_ends_well": (
        bad(callbacks=lambda: [NeedsItsBeginning()]),
        "AttributeError: 'NeedsItsBeginning' object has no attribute 'began'",
    ),
    "fits_follow_each_other": (
        bad(callbacks=lambda: [OneFitOnly()]), "Two fits of one epoch gave 1 rows of history",
    ),
    "a_fit_of_no_epochs_is_refused": (
        bad(kind=TakesNoEpochs, progress=False), "`fit(0)` was not refused",
    ),
    "a_nan_is_stopped_before_the_step": (
        bad(callbacks=does("after_loss", nudge_at_a_nan)),
        "The fit was stopped at a NaN, but `first.weight`",
    ),
    "an_interrupted_fit_goes_on": (bad(callbacks=forgets), "a training that was cut ends otherwise"),
    "it_trains_without_validation": (
        bad(callbacks=does("after_validate", lambda s: s.row.update(half=s.evaluation.loss / 2))),
        "AttributeError: 'NoneType' object has no attribute 'loss'",
    ),
    "it_trains_without_a_length": (
        bad(callbacks=does("after_batch", lambda s: divmod(s.step, s.num_batches))),
        "TypeError: unsupported operand type(s)",
    ),
    "it_prints_in_a_line": (bad(LongName), "`repr(learner)` has"),
    # what is kept
    "a_run_cut_after_an_epoch_goes_on": (
        bad(optimizer=CountsBesideItsState), "what the optimizer remembers into its `state`",
    ),
    "a_run_cut_within_an_epoch_goes_on": (
        bad(callbacks=forgets), "What a callback remembers goes into its `state_dict`",
    ),
    "a_run_cut_in_validation_goes_on": (
        bad(lambda: Hidden(always=True)), "a training that was cut ends otherwise",
    ),
    "a_run_cut_at_the_last_batch_goes_on": (bad(Hidden), "what the model remembers into buffers"),
    "a_damaged_checkpoint_is_passed_over": (
        bad(callbacks=forgets), "a training that was cut ends otherwise",
    ),
    "a_finished_run_stays_as_it_is": (
        bad(kind=ResumesForMore, progress=False), "Resuming a finished run gave other weights",
    ),
    "a_run_says_which_weights_it_ended_with": (
        bad(OtherStateEachTime), "Asking for the state dict must change nothing",
    ),
    "a_run_folder_holds_data_alone": (
        bad(callbacks=does("after_fit", write_a_pickle)), "The run folder holds `model/whole`",
    ),
    "the_journal_reads_back": (
        bad(weight_decay=np.float32(0.01)), "The stage `fit(1)` of the journal is no JSON",
    ),
    "the_log_tells_the_history": (
        bad(callbacks=does("after_epoch", after_the_log, order=LAST)),
        "`log.jsonl` has 2 rows, the history 2, or others",
    ),
    "saved_and_loaded_it_predicts_the_same": (
        bad(Hidden), "Saved and loaded again, the model predicts otherwise",
    ),
    "the_application_describes_itself": (
        with_application, "`record()` of the application is no JSON",
    ),
}  # fmt: skip
"""Check -> a Learner that it must not let pass, and words of the reason that it must give."""
