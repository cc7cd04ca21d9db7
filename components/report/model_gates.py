"""The Evaluator's gates and what they were held against, read from its artifact."""

import dataclasses

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import validation_result_pb2

from muwnet_fer.data import fer2013

_CANDIDATE, _BASELINE = "candidate", "baseline"  # TFMA's names where there are two models
FIGURES = ("accuracy", *(f"f1_{emotion}" for emotion in fer2013.EMOTIONS))


@dataclasses.dataclass(frozen=True)
class ModelGate:
    """One gated figure of private_test, `value` None where TFMA did not measure it; `blessed` is
    that of the latest other blessed model, None where there was none to compare with.
    """

    figure: str  # of FIGURES
    value: float | None
    floor: float
    blessed: float | None
    largest_fall: float | None

    @property
    def name(self) -> str:
        """For people: "accuracy", "F1 angry"."""
        return self.figure.replace("f1_", "F1 ")

    @property
    def reaches_floor(self) -> bool:
        """True where the figure is high enough by itself."""
        return self.value is not None and self.value >= self.floor

    @property
    def change(self) -> float | None:
        """The figure minus the blessed model's."""
        return None if None in (self.value, self.blessed) else self.value - self.blessed

    @property
    def holds(self) -> bool:
        """True where the figure did not fall too far."""
        if self.largest_fall is None:
            return True
        return self.change is not None and self.change >= -self.largest_fall


def read(evaluation_uri: str) -> list[ModelGate]:
    """Returns the gates of an Evaluator's artifact in the order of FIGURES."""
    config = tfma.load_eval_result(evaluation_uri).config
    compared = _BASELINE in {spec.name for spec in config.model_specs}
    candidate = _read_overall(evaluation_uri, _CANDIDATE if compared else None)
    baseline = _read_overall(evaluation_uri, _BASELINE) if compared else {}
    (metrics_spec,) = config.metrics_specs
    gates = []
    for figure in FIGURES:
        (of_overall,) = metrics_spec.per_slice_thresholds[figure].thresholds
        threshold = of_overall.threshold
        falls = compared and threshold.HasField("change_threshold")
        gates.append(
            ModelGate(
                figure,
                candidate.get(figure),
                threshold.value_threshold.lower_bound.value,
                baseline.get(figure),
                -threshold.change_threshold.absolute.value if falls else None,
            )
        )
    return gates


def list_failures(validation: validation_result_pb2.ValidationResult) -> list[str]:
    """Returns a sentence for each gate that TFMA found failed."""
    sentences = []
    for in_slice in validation.metric_validations_per_slice:
        for failure in in_slice.failures:
            name = failure.metric_key.name.replace("f1_", "F1 ")
            threshold = failure.metric_threshold
            if not failure.HasField("metric_value"):
                sentences.append(f"{name}: not measured")
                continue
            value = failure.metric_value.double_value.value
            if threshold.HasField("change_threshold"):
                largest = -threshold.change_threshold.absolute.value
                sentences.append(
                    f"{name} fell by {-value:.3f} below the blessed model, at most {largest:.3f}"
                )
            else:
                floor = threshold.value_threshold.lower_bound.value
                sentences.append(f"{name} is {value:.3f}, expected at least {floor:.3f}")
    return sorted(sentences)


def _read_overall(evaluation_uri: str, model_name: str | None) -> dict[str, float]:
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    return {
        name: value["doubleValue"]
        for name, value in result.get_metrics_for_slice(()).items()
        if "doubleValue" in value
    }
