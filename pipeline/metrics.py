"""ArgmaxMetrics: TFMA's per-class figures of a softmax, as scikit-learn counts them.

TFMA's own F1Score, Precision and Recall with a `class_id` cut that class at 0.5; here a face
counts for the class with the highest probability.
"""

import numpy as np
from tensorflow_model_analysis.metrics import (
    metric_types,
    metric_util,
    multi_class_confusion_matrix_metrics,
)
from tensorflow_model_analysis.proto import config_pb2

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import figures


class ArgmaxMetrics(metric_types.Metric):
    """accuracy, macro_precision, macro_recall, macro_f1; precision_C, recall_C, f1_C by emotion C.

    A figure whose denominator is 0 is 0, as in scikit-learn with zero_division=0.

    Args:
      source_fingerprint: of this module, so that an edit evaluates again.
      name: TFMA's name of the group.
    """

    def __init__(self, source_fingerprint: str = "", name: str = "argmax_metrics"):
        super().__init__(
            metric_util.merge_per_key_computations(_make_computations),
            source_fingerprint=source_fingerprint,
            name=name,
        )


def compute_figures(matrix: np.ndarray) -> dict[str, float]:
    """Returns ArgmaxMetrics' figures of a confusion matrix [label, prediction], counts [7, 7]."""
    by_class = figures.compute_by_class(matrix)
    named = {"accuracy": float(np.trace(matrix) / max(matrix.sum(), 1))}
    for name, values in zip(("precision", "recall", "f1"), by_class, strict=True):
        named[f"macro_{name}"] = float(values.mean())
        for emotion, value in zip(fer2013.EMOTIONS, values, strict=True):
            named[f"{name}_{emotion}"] = float(value)
    return named


def _make_computations(
    source_fingerprint: str = "",
    name: str = "",
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> metric_types.MetricComputations:
    del source_fingerprint, name  # the figures have names of their own
    classes = len(fer2013.EMOTIONS)
    computations = multi_class_confusion_matrix_metrics.multi_class_confusion_matrices(
        thresholds=[0.0],  # the highest probability wins, however low
        eval_config=eval_config,
        model_name=model_name,
        output_name=output_name,
        example_weighted=example_weighted,
    )
    matrices_key = computations[-1].keys[-1]

    def make_key(figure: str) -> metric_types.MetricKey:
        # None, not the default False: thresholds by name look for keys that leave weighting open.
        return metric_types.MetricKey(
            figure, model_name=model_name, output_name=output_name, example_weighted=None
        )

    def compute(metrics) -> dict[metric_types.MetricKey, float]:
        matrix = np.zeros((classes, classes))
        for entry, count in metrics[matrices_key][0.0].items():
            matrix[entry.actual_class_id, entry.predicted_class_id] = count
        return {make_key(name): value for name, value in compute_figures(matrix).items()}

    keys = [make_key(figure) for figure in compute_figures(np.zeros((classes, classes)))]
    return [*computations, metric_types.DerivedMetricComputation(keys=keys, result=compute)]
