"""eval_config: what TFMA measures on private_test, in which slices, and the gates."""

import json

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from muwnet_fer.data import fer2013
from muwnet_fer.pipeline import metrics, profiles

_SLICE_KEYS = (
    fer2013.LABEL_KEY,
    *(fer2013.bucket_key(statistic) for statistic in fer2013.STATISTICS_KEYS),
    fer2013.SEEN_IN_TRAINING_KEY,  # 0 is the leak-free score
)


def make_eval_config(gates: profiles.Gates, source_fingerprint: str) -> config_pb2.EvalConfig:
    """Returns TFMA's configuration; every gate is on the overall slice."""
    thresholds = {"accuracy": _make_thresholds(gates.accuracy)}
    for emotion in fer2013.EMOTIONS:
        drop = gates.largest_drop[emotion]
        thresholds[f"f1_{emotion}"] = _make_thresholds(gates.f1[emotion], drop)
    argmax_metrics = config_pb2.MetricConfig(
        class_name=metrics.ArgmaxMetrics.__name__,
        module=metrics.__name__,
        config=json.dumps({"source_fingerprint": source_fingerprint}),
    )
    confusion_matrix = config_pb2.MetricConfig(
        class_name="MultiClassConfusionMatrixAtThresholds",
        config=json.dumps({"thresholds": [0.0]}),
    )
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name="serving_default",
                prediction_key="probabilities",
                label_key=fer2013.LABEL_KEY,
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[key]) for key in _SLICE_KEYS),
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    argmax_metrics,
                    confusion_matrix,
                    config_pb2.MetricConfig(class_name="ExampleCount"),
                ],
                per_slice_thresholds=thresholds,
            )
        ],
    )


def _make_thresholds(
    floor: float, largest_drop: float | None = None
) -> config_pb2.PerSliceMetricThresholds:
    """Returns a floor, and a largest fall below the baseline; TFMA skips that without one."""
    threshold = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": floor})
    )
    if largest_drop is not None:
        threshold.change_threshold.CopyFrom(
            config_pb2.GenericChangeThreshold(
                direction=tfma.MetricDirection.HIGHER_IS_BETTER,
                absolute={"value": -largest_drop},
            )
        )
    return config_pb2.PerSliceMetricThresholds(
        thresholds=[
            # Without a slicing spec, TFMA holds every slice against the threshold.
            config_pb2.PerSliceMetricThreshold(
                slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold
            )
        ]
    )
