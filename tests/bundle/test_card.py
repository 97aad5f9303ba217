"""The model card is what the Hub reads and what a stranger needs; names in it do nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drivetrain.bundle.card import Card, Row, card_text, config

CARD = Card(
    title="pets",
    purpose="Says which of 2 classes a picture shows: cat, dog.",
    pipeline="image-classification",
    classes=("cat", "dog"),
    data=["Pictures: pets; 80 to train, 20 to validate."],
    results=[
        Row("this model", 0.95, (0.76, 0.99)),
        Row("always the most frequent", 0.5, (0.3, 0.7)),
    ],
    measured_on="Measured on the 20 validation pictures.",
    metrics={"error_rate": 0.05},
    limits=["It knows 2 classes."],
    licence="apache-2.0",
    licence_note="Theirs.",
    preparation="It is made small.",
)


def front_matter(text: str) -> dict[str, Any]:
    hub = pytest.importorskip("huggingface_hub", reason="the Hub's client is not installed")
    return hub.ModelCard(text).data.to_dict()


def test_the_hubs_client_reads_the_front_matter() -> None:
    data = front_matter(card_text(CARD))
    assert data["library_name"] == "drivetrain"
    assert data["pipeline_tag"] == "image-classification"
    assert data["license"] == "apache-2.0"
    assert data["tags"] == ["drivetrain", "image-classification"]
    assert data["metrics"] == ["accuracy"]
    (entry,) = data["model-index"]
    assert entry["name"] == "pets"
    assert entry["results"][0]["metrics"] == [{"type": "accuracy", "value": 0.95}]


def test_a_licence_the_hub_does_not_know_is_named_beside() -> None:
    data = front_matter(card_text(replace(CARD, licence="not stated")))
    assert (data["license"], data["license_name"]) == ("other", "not stated")


def test_results_stand_beside_their_baselines_with_intervals() -> None:
    text = card_text(CARD)
    assert "| this model | 0.950 | 0.760 to 0.990 |" in text
    assert "| always the most frequent | 0.500 | 0.300 to 0.700 |" in text
    assert "Measured on the 20 validation pictures. Also: error rate 0.050." in text
    bare = card_text(replace(CARD, results=[], metrics={}))
    assert "It was not measured." in bare
    assert "model-index" not in front_matter(bare)


def test_a_name_can_be_no_more_than_a_name() -> None:
    nasty = 'x"\n---\nlicense: mit\n![a](http://b) <script>alert(1)</script> | y'
    text = card_text(replace(CARD, title=nasty, purpose=nasty, data=[nasty]))
    data = front_matter(text)
    assert data["license"] == "apache-2.0"
    assert data["model-index"][0]["name"] == nasty
    body = text.split("\n---\n", 2)[-1]
    assert "<script>" not in body.replace(r"\<", "")
    assert "![a]" not in body


def test_commands_are_not_broken_over_lines() -> None:
    text = card_text(replace(CARD, limits=["word " * 18 + "`drivetrain verify THIS_FOLDER`"]))
    assert "`drivetrain verify THIS_FOLDER`" in text


def test_the_hubs_config_has_both_maps_of_labels() -> None:
    found = config(
        architecture={"name": "resnet18"},
        classes=("cat", "dog"),
        model_type="drivetrain-vision",
        extra={"image_size": [8, 8]},
    )
    assert found["id2label"] == {"0": "cat", "1": "dog"}
    assert found["label2id"] == {"cat": 0, "dog": 1}
    assert found["num_labels"] == 2
    assert found["image_size"] == [8, 8]
