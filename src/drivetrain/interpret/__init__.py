"""What a model says and where it errs: functions of a frame and of what predicts it, or of a record.

    predict = model.predict_frame                       # (N,) numbers or (N, C) probabilities of a Frame
    dt.interpret.permutation_importance(predict, frame, targets, score)
    dt.interpret.partial_dependence(predict, frame, "age")

    record = learner.predictions()                      # of pictures, texts, tables, ratings alike
    dt.interpret.confusion(record)
    dt.interpret.slices(record, {"age": ages})
    dt.interpret.ensemble([record, other])              # the mean of two models' records

    dt.interpret.integrated_gradients(model, tokens, lengths)   # which tokens of a text speak for what

Each answer prints itself, draws itself (`.plot()`) and is plain JSON (`.to_json()`). `tabular.explain`
asks them of a model of a table, `text.explain_texts` of a model of texts. Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain._lazy import install

if TYPE_CHECKING:
    from drivetrain.interpret.activation_maps import feature_layers, grad_cam, top_patches
    from drivetrain.interpret.columns import columns_to_drop
    from drivetrain.interpret.comparison import compare_importance
    from drivetrain.interpret.confidence import tree_confidence
    from drivetrain.interpret.domain import out_of_domain
    from drivetrain.interpret.embedding_map import embedding_map
    from drivetrain.interpret.ensembles import Ensemble, Score, ensemble
    from drivetrain.interpret.head_inputs import head_inputs
    from drivetrain.interpret.importance import permutation_importance
    from drivetrain.interpret.mistakes import Confusion, confusion
    from drivetrain.interpret.outliers import outlier_report, with_and_without
    from drivetrain.interpret.partial import partial_dependence
    from drivetrain.interpret.partial_2d import partial_dependence_2d
    from drivetrain.interpret.redundancy import redundant_columns, without_each
    from drivetrain.interpret.reliability import Reliability, reliability
    from drivetrain.interpret.shapley import contributions
    from drivetrain.interpret.slices import Slices, slices
    from drivetrain.interpret.target_ensembles import TargetEnsemble, target_ensemble
    from drivetrain.interpret.thresholds import Thresholds, thresholds
    from drivetrain.interpret.token_page import Explanation, page_of
    from drivetrain.interpret.token_question import find_embedding
    from drivetrain.interpret.tokens import (
        gradient_times_input,
        integrated_gradients,
        leave_one_out,
        occlusion,
    )
    from drivetrain.interpret.waterfall import waterfall

__all__ = [
    "Confusion",
    "Ensemble",
    "Explanation",
    "Reliability",
    "Score",
    "Slices",
    "TargetEnsemble",
    "Thresholds",
    "columns_to_drop",
    "compare_importance",
    "confusion",
    "contributions",
    "embedding_map",
    "ensemble",
    "feature_layers",
    "find_embedding",
    "grad_cam",
    "gradient_times_input",
    "head_inputs",
    "integrated_gradients",
    "leave_one_out",
    "occlusion",
    "out_of_domain",
    "outlier_report",
    "page_of",
    "partial_dependence",
    "partial_dependence_2d",
    "permutation_importance",
    "redundant_columns",
    "reliability",
    "slices",
    "target_ensemble",
    "thresholds",
    "top_patches",
    "tree_confidence",
    "waterfall",
    "with_and_without",
    "without_each",
]

_HOMES = {
    "activation_maps": ("feature_layers", "grad_cam", "top_patches"),
    "columns": ("columns_to_drop",),
    "comparison": ("compare_importance",),
    "confidence": ("tree_confidence",),
    "domain": ("out_of_domain",),
    "embedding_map": ("embedding_map",),
    "ensembles": ("Ensemble", "Score", "ensemble"),
    "head_inputs": ("head_inputs",),
    "importance": ("permutation_importance",),
    "mistakes": ("Confusion", "confusion"),
    "outliers": ("outlier_report", "with_and_without"),
    "partial": ("partial_dependence",),
    "partial_2d": ("partial_dependence_2d",),
    "redundancy": ("redundant_columns", "without_each"),
    "reliability": ("Reliability", "reliability"),
    "shapley": ("contributions",),
    "slices": ("Slices", "slices"),
    "target_ensembles": ("TargetEnsemble", "target_ensemble"),
    "thresholds": ("Thresholds", "thresholds"),
    "token_page": ("Explanation", "page_of"),
    "token_question": ("find_embedding",),
    "tokens": ("gradient_times_input", "integrated_gradients", "leave_one_out", "occlusion"),
    "waterfall": ("waterfall",),
}
"""Module -> the public names that it holds."""

install(__name__, _HOMES)
