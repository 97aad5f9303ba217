"""Several targets of a picture: two heads on one body, each measured; made leaves with two labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import drivetrain as dt
from drivetrain import store
from drivetrain.errors import ConfigError, DataError, RunError
from drivetrain.losses.several import summed_cross_entropy
from drivetrain.models import create_model
from drivetrain.train.callback import Callback
from drivetrain.vision.baselines import majority_class, nearest_mean_image
from tests.vision.leaves import BOTH, DISEASES, VARIETIES, learner, write_table

pytestmark = pytest.mark.row(118)


@pytest.fixture(scope="module")
def folder(leaves_folder: Path) -> Path:
    return leaves_folder


@pytest.fixture(scope="module")
def leaves(folder: Path) -> Path:
    return folder / "leaves.csv"


@pytest.fixture(scope="module")
def trained(leaves_trained: dt.Learner) -> dt.Learner:
    """Two epochs on both targets, in a run. Not to be trained on."""
    return leaves_trained


def state_of_first_head(found: dt.Learner) -> dict[str, torch.Tensor]:
    """What a model of the first target alone has, by its names there."""
    state = found.model.state_dict()
    kept = {name: value for name, value in state.items() if "head.heads.1." not in name}
    return {name.replace("head.heads.0.", "head."): value for name, value in kept.items()}


# --- the single target is recovered ---------------------------------------------------------------


def test_with_a_second_weight_of_0_the_first_target_learns_to_the_same_bits(leaves: Path) -> None:
    both = learner(leaves, target_weights={"disease": 1, "variety": 0})
    both.train(2)
    alone = learner(leaves, targets=["disease"])
    alone.train(2)
    assert store.weights_sha256(state_of_first_head(both)) == store.weights_sha256(
        alone.model.state_dict()
    )
    for own, other in zip(both.history, alone.history, strict=True):
        assert own["train_loss"] == other["train_loss"]
        assert own["valid_loss"] == other["valid_loss"]
        assert own["disease accuracy"] == other["accuracy"]
    record = both.predictions().of("disease")
    assert torch.equal(record.outputs, alone.predictions().outputs)
    assert record.ids == alone.predictions().ids


def test_while_the_body_is_frozen_a_second_head_changes_nothing_of_the_first(leaves: Path) -> None:
    both, alone = learner(leaves), learner(leaves, targets=["disease"])
    for found in (both, alone):
        found.freeze()
        found.fit(2, lr=0.01)
    assert store.weights_sha256(state_of_first_head(both)) == store.weights_sha256(
        alone.model.state_dict()
    )


def test_one_target_in_a_list_is_the_column_of_labels(leaves: Path) -> None:
    data = dt.vision.from_csv(leaves, targets=["disease"])
    assert data.targets is None
    assert data.recipe == dt.vision.from_csv(leaves, label_column="disease").recipe
    assert data.fingerprint() == dt.vision.from_csv(leaves, label_column="disease").fingerprint()


# --- against torch by hand ------------------------------------------------------------------------


def test_a_step_is_that_of_two_heads_and_a_sum_written_by_hand(leaves: Path) -> None:
    found = learner(leaves, target_weights={"disease": 2.0, "variety": 0.5})
    inputs, targets = next(iter(found.loaders.train))
    assert (targets.shape[1], targets.dtype) == (2, torch.int64)
    model = found.model.eval()
    body: Any = model.get_submodule("body")
    maps = body(inputs)
    first, second = (model.get_submodule(f"head.heads.{place}")(maps) for place in (0, 1))
    assert first.shape == (len(inputs), 2) and second.shape == (len(inputs), 3)
    by_hand = 2.0 * F.cross_entropy(first, targets[:, 0]) + 0.5 * F.cross_entropy(
        second, targets[:, 1]
    )
    wanted = torch.autograd.grad(by_hand, list(model.parameters()))
    scores = model(inputs)
    assert torch.equal(scores, torch.cat([first, second], dim=1))
    loss = found.loss_fn(scores, targets)
    torch.testing.assert_close(loss, by_hand)
    torch.testing.assert_close(torch.autograd.grad(loss, list(model.parameters())), wanted)


def test_both_heads_learn_and_each_stands_beside_its_own_baselines(leaves: Path) -> None:
    found = learner(leaves, epochs=8)
    found.train()
    data = found.application.data  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    result = found.result()["targets"]
    assert list(result) == BOTH
    for place, (name, classes) in enumerate(zip(BOTH, (DISEASES, VARIETIES), strict=True)):
        train, valid = (data.pictures(part, target=place) for part in ("train", "valid"))
        assert result[name]["classes"] == list(classes)
        low, high = result[name]["interval"]
        assert low < result[name]["accuracy"] <= high
        baselines = result[name]["baselines"]
        assert result[name]["accuracy"] > baselines["majority_class"]["interval"][1]
        majority = majority_class(train, valid, len(classes))
        assert baselines["majority_class"] == majority | {"class": classes[majority["class"]]}
        assert baselines["nearest_mean_image"] == nearest_mean_image(train, valid, len(classes))


# --- metrics and predictions ----------------------------------------------------------------------


def test_each_target_has_its_metrics_by_name_and_its_record(trained: dt.Learner) -> None:
    record = trained.predictions()
    row = trained.history[-1]
    assert {name for name in row if " " in name} == {
        f"{target} {metric}" for target in BOTH for metric in ("accuracy", "error_rate")
    }
    summed = torch.zeros(len(record))
    for name, weight in zip(BOTH, (1.0, 0.5), strict=True):
        part = record.of(name)
        right = (part.outputs.argmax(dim=1) == part.targets).double().mean()
        assert row[f"{name} accuracy"] == pytest.approx(float(right))
        assert row[f"{name} error_rate"] == pytest.approx(1 - float(right))
        torch.testing.assert_close(
            part.losses, F.cross_entropy(part.outputs, part.targets, reduction="none")
        )
        assert torch.equal(part.preds, part.outputs.argmax(dim=1))
        summed += weight * part.losses
    torch.testing.assert_close(record.losses, summed)
    assert row["valid_loss"] == pytest.approx(float(record.losses.mean()))
    worst = record.worst(1)[0]
    assert set(worst["target"]) == set(worst["pred"]) == set(BOTH)
    assert worst["loss"] == float(record.losses.max())


def test_the_record_of_all_targets_has_no_one_answer(trained: dt.Learner) -> None:
    record = trained.predictions()
    for ask in (lambda: record.probs, lambda: record.preds):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert str(caught.value) == (
            "These are predictions of 2 targets, each with scores of its own. Take those of one: "
            "`predictions.of('disease')`."
        )
    with pytest.raises(ConfigError) as caught:
        record.of("varety")
    assert str(caught.value) == (
        "There are no predictions of 'varety'. Did you mean 'variety'? Targets: disease, variety."
    )


def test_further_metrics_are_of_each_target_and_an_object_of_ones_own_is_refused(
    leaves: Path,
) -> None:
    found = learner(leaves, metrics=["f1", dt.metrics.metric("top_2_accuracy")])
    assert [one.name for one in found.metrics] == [
        f"{target} {metric}"
        for target in BOTH
        for metric in ("accuracy", "error_rate", "f1", "top_2_accuracy")
    ]

    class Own:
        name, higher_is_better = "own", True

        def reset(self) -> None: ...

        def update(self, preds: Any, targets: Any) -> None: ...

        def compute(self) -> float:
            return 0.0

    with pytest.raises(ConfigError, match="is one object, and there are several targets"):
        learner(leaves, metrics=[Own()])


def test_an_answer_names_a_class_and_its_probability_for_each_target(
    trained: dt.Learner, folder: Path
) -> None:
    assert trained.run is not None
    picture = folder / "leaves" / "00.png"
    answer = trained.predict(picture)
    assert answer.input == str(picture)
    assert list(answer.targets) == BOTH
    for name, classes in zip(BOTH, (DISEASES, VARIETIES), strict=True):
        found = answer[name]
        assert tuple(found.probabilities) == classes
        assert sum(found.probabilities.values()) == pytest.approx(1.0)
        assert found.probability == max(found.probabilities.values())
    assert answer.to_json()["targets"]["variety"]["label"] == answer["variety"].label
    assert str(answer) == f"disease {answer['disease']}, variety {answer['variety']}"
    assert dt.vision.load(trained.run.folder).predict(picture) == answer


def test_evaluate_measures_both_and_sets_aside_what_it_cannot_know(
    trained: dt.Learner, folder: Path, tmp_path: Path
) -> None:
    rows = [
        (str(folder / "leaves" / "00.png"), "blast", "adt"),
        (str(folder / "leaves" / "03.png"), "tungro", "ir20"),
        (str(folder / "leaves" / "01.png"), "tungro", "wild"),
    ]
    table = write_table(tmp_path / "others.csv", rows)
    found = trained.evaluate(table)
    assert found["items"] == 2
    assert found["trained_on"] == 2
    assert [entry["detail"] for entry in found["quarantined"]] == [
        "The model does not know 'wild' of 'variety'."
    ]
    assert {"loss", "disease accuracy", "variety f1"} <= set(found["metrics"])
    for name in BOTH:
        one = found["targets"][name]
        assert one["accuracy"] == found["metrics"][f"{name} accuracy"] == one["correct"] / 2
        assert one["baselines"]["majority_class"]["accuracy"] == 0.5
    again = dt.vision.evaluate(trained.run.folder, table)  # pyright: ignore[reportOptionalMemberAccess]
    assert again["metrics"] == found["metrics"]


def test_evaluate_of_a_table_without_a_target_says_so(trained: dt.Learner, tmp_path: Path) -> None:
    table = write_table(tmp_path / "one.csv", [("a.png", "blast")], ("image", "disease"))
    with pytest.raises(ConfigError) as caught:
        trained.evaluate(table)
    assert str(caught.value) == f"{table} has no column 'variety'. Columns: image, disease."
    with pytest.raises(ConfigError) as caught:
        trained.evaluate(tmp_path)
    assert str(caught.value) == (
        f"The model tells 2 targets, and {tmp_path} is no CSV. Give one with the columns disease, "
        "variety beside the paths."
    )


# --- runs -----------------------------------------------------------------------------------------


class Cut(Callback):
    """Ends the process, as it were, in the second epoch."""

    def after_batch(self, state: Any) -> None:
        if state.epoch == 1 and state.batches_done == 2:
            raise KeyboardInterrupt


def test_a_cut_run_resumes_to_the_same_bits(leaves: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 5, "target_weights": {"variety": 0.25}, "metrics": ["f1"]}
    whole = learner(leaves, **options)
    whole.train(3)
    cut = learner(leaves, out=tmp_path / "run", callbacks=[Cut()], **options)
    with pytest.raises(KeyboardInterrupt):
        cut.train(3)
    resumed = dt.vision.resume(tmp_path / "run", callbacks=[], progress=False)
    assert store.weights_sha256(resumed.model.state_dict()) == store.weights_sha256(
        whole.model.state_dict()
    )
    own, other = resumed.result(), whole.result()
    assert (own["metrics"], own["targets"]) == (other["metrics"], other["targets"])


def test_a_changed_label_of_the_second_target_is_other_data(folder: Path, tmp_path: Path) -> None:
    rows = [(str(folder / name), *labels) for name, *labels in _rows(folder)]
    table = write_table(tmp_path / "leaves.csv", rows)
    learner(table, out=tmp_path / "run", epochs=1)
    write_table(table, [(*rows[0][:2], "ponni"), *rows[1:]])
    with pytest.raises(RunError, match=r"are not those that .* began with\. Put"):
        dt.vision.resume(tmp_path / "run", progress=False)


def test_the_run_says_what_its_targets_are(trained: dt.Learner) -> None:
    assert trained.run is not None
    record = trained.run.read()
    assert record["task"]["targets"] == {"disease": list(DISEASES), "variety": list(VARIETIES)}
    assert dt.Task.from_json(record["task"]).to_json() == record["task"]
    assert record["settings"]["target_weights"] == {"disease": 1.0, "variety": 0.5}
    assert record["model"]["num_classes"] == [2, 3]
    reasons = {choice["what"]: choice["reason"] for choice in record["choices"]}
    assert reasons["loss"] == "the cross-entropies of 2 targets, added: disease + 0.5 x variety"
    assert reasons["split"] == "20% of every class of disease, the first target, validates"
    described = store.read_json(trained.run.folder / "model" / "model.json")
    assert described["targets"] == [
        {"name": "disease", "classes": list(DISEASES), "weight": 1.0},
        {"name": "variety", "classes": list(VARIETIES), "weight": 0.5},
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"targets": []}, "its 'targets' are not a list of 2 to 1000"),
        ({"weight": -1}, "the 'weight' of 'variety' is not a number from 0 to 1e+09"),
        ({"name": "disease"}, "one of its 'targets' has no name of its own"),
        ({"classes": ["a", "b"]}, "its heads do not give a score for each class of its targets"),
        ({"classes": "abc"}, "its model.json has no 'classes'"),
    ],
)
def test_a_damaged_description_is_refused(
    trained: dt.Learner, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    assert trained.run is not None
    model = tmp_path / "model"
    model.mkdir()
    for file in (trained.run.folder / "model").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    record = json.loads((model / "model.json").read_text())
    if "targets" in change:
        record |= change
    else:
        record["targets"][1] |= change
    store.write_json(model / "model.json", record)
    with pytest.raises(RunError) as caught:
        dt.vision.load(model)
    assert why in str(caught.value)


def test_the_sealed_test_opens_both_targets(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = learner(leaves, test=0.25, epochs=1, out=tmp_path / "run")
    found.train()
    result = dt.vision.test(tmp_path / "run")
    assert result.primary == "disease accuracy"
    assert {f"{name} accuracy" for name in BOTH} <= set(result.metrics)
    assert (result.items, result.look) == (8, 1)
    assert found.test().look == 2


@pytest.mark.parametrize(
    "level",
    ["all", *(pytest.param(level, marks=pytest.mark.slow) for level in ("data", "loop"))],
)
def test_an_ejected_script_has_two_heads_and_the_same_bits(
    trained: dt.Learner, leaves: Path, tmp_path: Path, level: str
) -> None:
    import runpy
    import sys

    script = trained.eject(tmp_path / "leaves.py", level=level)
    text = script.read_text()
    assert ("from drivetrain" in text) == (level != "all")
    assert "# (N, 2) int64: which of its CLASSES each TARGET has" in text or level == "loop"
    argv, sys.argv = sys.argv, [str(script), "--data", str(leaves), "--out", str(tmp_path / "out")]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = argv
    weights = store.read_tensors(tmp_path / "out" / "model.safetensors")
    assert store.weights_sha256(weights) == store.weights_sha256(trained.model.state_dict())


def test_test_time_augmentation_blends_the_probabilities_of_each_target(
    trained: dt.Learner, folder: Path
) -> None:
    from drivetrain.vision.tta import load_with_tta

    assert trained.run is not None
    picture = folder / "leaves" / "00.png"
    plain = trained.predict(picture)
    blended = load_with_tta(trained.run.folder, copies=3).predict(picture)
    for name in BOTH:
        assert sum(blended[name].probabilities.values()) == pytest.approx(1.0)
        assert blended[name].probabilities != plain[name].probabilities


def test_mixed_pictures_are_held_against_both_targets_of_both(leaves: Path) -> None:
    found = learner(leaves, callbacks=["mixup"], augment=False)
    seen: list[tuple[float, float]] = []

    class Look(Callback):
        order = 1000

        def after_loss(self, state: Any) -> None:
            mixup = found.callbacks[0]
            share, partners = float(mixup._shares), mixup._partners
            own = found.loss_fn(state.preds, state.targets)
            other = found.loss_fn(state.preds, state.targets[partners])
            mixed = share * own + (1 - share) * other
            seen.append((state.loss.item(), mixed.item()))

    found.fit(1, callbacks=[Look()])
    assert len(seen) == len(found.loaders.train)  # pyright: ignore[reportArgumentType]
    for loss, expected in seen:
        assert loss == pytest.approx(expected)


# --- tables ---------------------------------------------------------------------------------------


def _rows(folder: Path) -> list[list[str]]:
    with (folder / "leaves.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def test_windows_line_ends_and_paths_give_the_same_data(folder: Path, leaves: Path) -> None:
    rows = [(name.replace("/", "\\"), *labels) for name, *labels in _rows(folder)]
    table = write_table(folder / "windows.csv", rows, ends="\r\n")
    own, other = (dt.vision.from_csv(one, targets=BOTH) for one in (table, leaves))
    assert own.fingerprint() == other.fingerprint()
    assert own.targets == other.targets


def test_a_row_without_a_label_of_each_target_is_set_aside(folder: Path, tmp_path: Path) -> None:
    rows = [(str(folder / name), *labels) for name, *labels in _rows(folder)]
    rows[0] = (rows[0][0], "blast", " ")
    rows[1] = (rows[1][0], "", "adt")
    rows.append((rows[5][0], rows[5][1], "ponni" if rows[5][2] != "ponni" else "adt"))
    data = dt.vision.from_csv(write_table(tmp_path / "t.csv", rows), targets=BOTH)
    details = {entry.reason: entry.detail for entry in data.quarantined}
    texts = [entry.detail for entry in data.quarantined]
    assert "Line 2 has no label in the column 'variety'." in texts
    assert "Line 3 has no label." in texts
    assert (
        details["two-labels"] == f"It is labelled {rows[5][2]!r} and, in line 38, {rows[-1][2]!r}."
    )
    assert len(data.items) == 33


def test_a_class_that_no_training_picture_has_is_set_aside(folder: Path, tmp_path: Path) -> None:
    rows = [
        (str(folder / name), *labels, "valid" if number < 8 else "train")
        for number, (name, *labels) in enumerate(_rows(folder))
    ]
    rows[0] = (*rows[0][:2], "wild", "valid")
    table = write_table(tmp_path / "t.csv", rows, ("image", *BOTH, "split"))
    data = dt.vision.from_csv(table, targets=BOTH)
    assert [entry.detail for entry in data.quarantined] == [
        "Its class 'wild' of 'variety' has no training picture."
    ]
    assert len(data.split.valid) == 7
    assert data.pictures("valid").targets.shape == (7, 2)


def test_a_target_with_one_class_is_refused(folder: Path, tmp_path: Path) -> None:
    rows = [(str(folder / name), disease, "adt") for name, disease, _ in _rows(folder)]
    table = write_table(tmp_path / "t.csv", rows)
    with pytest.raises(DataError) as caught:
        dt.vision.from_csv(table, targets=BOTH)
    assert str(caught.value) == (
        f"The target 'variety' of {table} has one class among the training pictures, 'adt': there is "
        "nothing to tell apart. Leave this target out."
    )


def test_a_target_of_numbers_is_refused(folder: Path, tmp_path: Path) -> None:
    rows = [
        (str(folder / name), disease, f"{1 + number % 9 / 10}")
        for number, (name, disease, _) in enumerate(_rows(folder))
    ]
    table = write_table(tmp_path / "t.csv", rows, ("image", "disease", "age"))
    with pytest.raises(DataError) as caught:
        dt.vision.from_csv(table, targets=["disease", "age"])
    assert str(caught.value) == (
        f"The target 'age' of {table} holds 9 different numbers, such as 1.0, and each would be a class "
        "of its own. Pictures are sorted into classes here, and no number is predicted of them: leave "
        "this target out, or write a few classes in their place."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["disease", "varety"]}, "{table} has no column 'varety'. Did you mean 'variety'? "
         "Columns: image, disease, variety."),
        ({"targets": ["disease", "disease"]},
         "The target 'disease' is given twice. Name each column once."),
        ({"targets": []}, "`targets` are the names of one or more columns of labels. Got []."),
        ({"targets": ["disease", "image"], "path_column": "image"},
         "The column 'image' of {table} is the path of the pictures, and cannot be a target too."),
        ({"targets": ["image", "disease", "variety"]},
         "All columns of {table} are targets: image, disease, variety. One of them has to hold the paths "
         "of the pictures."),
        ({"targets": BOTH, "label_column": "disease"},
         "`targets` and `label_column` both name columns of labels. Give one."),
    ],
)  # fmt: skip
def test_targets_that_cannot_be_are_refused(
    leaves: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        dt.vision.from_csv(leaves, **options)
    assert str(caught.value) == message.format(table=leaves)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_weights": {"varety": 1}},
         "`target_weights` has a weight of 'varety', which is no target. Did you mean 'variety'? "
         "Targets: disease, variety."),
        ({"target_weights": {"variety": -0.5}},
         "The weight of the target 'variety' must be a number from 0 up. Got -0.5."),
        ({"target_weights": [1, 2]}, "`target_weights` gives a number for a target's name, such as "
         "{'variety': 0.5}. Got [1, 2]."),
        ({"target_weights": {"variety": 1}, "targets": "disease"},
         "`target_weights` weighs several targets against each other, and there is one. Name them by "
         "`targets`, or leave the weights out."),
        ({"loss_fn": "focal"},
         "The loss 'focal' is of one target, and there are 2. Leave it out: the sum of their "
         "cross-entropies is used; or give a function of your own, (scores of all targets (B, C), class "
         "indices (B, T)) -> ()."),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(
    leaves: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        learner(leaves, **options)
    assert str(caught.value) == message


def test_targets_of_a_folder_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        learner(folder)
    assert str(caught.value) == (
        f"`targets` are columns of a CSV, and {folder} is none. List the pictures in one, with a column "
        "of labels for each target."
    )


def test_a_loss_of_ones_own_gets_the_scores_of_all_targets(leaves: Path) -> None:
    def own(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return summed_cross_entropy(scores, targets, sizes=(2, 3), weights=(3.0, 1.0))

    found = learner(leaves, loss_fn=own)
    found.fit(1)
    assert found.choices["loss"].value == "own"
    assert found.history[-1]["train_loss"] > 0


@pytest.mark.slow
def test_on_photos_with_trained_weights_a_weight_of_0_recovers_the_bits_too(
    shared_data: Any, tmp_path: Path
) -> None:
    pets = shared_data("pets") / "images"
    rows = [
        (str(picture), breed.name, "cat" if breed.name[0].isupper() else "dog")
        for breed in sorted(pets.iterdir())
        for picture in sorted(breed.glob("*.jpg"))[:20]
    ]
    table = write_table(tmp_path / "pets.csv", rows, ("image", "breed", "species"))
    options: dict[str, Any] = {"size": 64, "num_threads": 1, "batch_size": 16}
    both = learner(
        table, targets=["breed", "species"], target_weights={"species": 0}, epochs=1, **options
    )
    alone = learner(table, targets=["breed"], epochs=1, **options)
    for found in (both, alone):
        found.train()
    assert store.weights_sha256(state_of_first_head(both)) == store.weights_sha256(
        alone.model.state_dict()
    )


# --- the model ------------------------------------------------------------------------------------


def test_the_first_head_and_the_body_are_those_of_a_lone_model_and_heads_differ() -> None:
    alone = create_model("resnet_tiny", num_classes=2, seed=3).model.state_dict()
    both = create_model("resnet_tiny", num_classes=(2, 2, 2), seed=3).model.state_dict()
    for name, value in alone.items():
        assert torch.equal(both[name.replace("head.", "head.heads.0.", 1)], value)
    drawn = [both[f"head.heads.{place}.hidden.weight"] for place in range(3)]
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])
