"""ArgmaxMetrics through TFMA: equal to scikit-learn's on the same predictions."""

import numpy as np
import pandas
import pytest
import tensorflow_model_analysis as tfma
from sklearn import metrics as sklearn_metrics
from tensorflow_model_analysis.proto import config_pb2

from muwnet_fer.data import fer2013
from muwnet_fer.pipeline import metrics


def evaluate(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    frame = pandas.DataFrame({"label": labels, "prediction": list(probabilities)})
    result = tfma.analyze_raw_data(
        frame,
        config_pb2.EvalConfig(
            model_specs=[config_pb2.ModelSpec(label_key="label", prediction_key="prediction")],
            slicing_specs=[config_pb2.SlicingSpec()],
            metrics_specs=[
                config_pb2.MetricsSpec(
                    metrics=[
                        config_pb2.MetricConfig(class_name="ArgmaxMetrics", module=metrics.__name__)
                    ]
                )
            ],
        ),
    )
    return {k: v["doubleValue"] for k, v in result.get_metrics_for_slice(()).items()}


def expect(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    predictions = probabilities.argmax(axis=1)
    by_class = sklearn_metrics.precision_recall_fscore_support(
        labels, predictions, labels=range(7), zero_division=0
    )
    figures = {"accuracy": sklearn_metrics.accuracy_score(labels, predictions)}
    for name, values in zip(("precision", "recall", "f1"), by_class[:3], strict=True):
        figures[f"macro_{name}"] = np.mean(values)
        figures |= {f"{name}_{e}": v for e, v in zip(fer2013.EMOTIONS, values, strict=True)}
    return figures


def test_figures_equal_scikit_learns():
    random = np.random.default_rng(3)
    labels = random.integers(0, 7, 400)
    probabilities = random.dirichlet(np.ones(7), 400)
    probabilities[np.arange(400), labels] += 0.2
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    # Most winners stay below 0.5, where TFMA's own F1Score would count nothing.
    assert (probabilities.max(axis=1) < 0.5).mean() > 0.5
    figures = evaluate(labels, probabilities)
    assert figures == pytest.approx(expect(labels, probabilities), abs=1e-9)
    assert len(figures) == 25


def test_absent_and_never_predicted_classes_count_as_zero():
    labels = np.array([0, 0, 3, 3, 3])
    probabilities = np.eye(7)[[0, 3, 3, 3, 5]]
    figures = evaluate(labels, probabilities)
    assert figures == pytest.approx(expect(labels, probabilities), abs=1e-9)
    assert figures["f1_surprise"] == figures["recall_sad"] == 0
