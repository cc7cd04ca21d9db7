"""Holds a split against thresholds: distances from train's distributions, and plausible means.

Thresholds are plain JSON, {feature: {kind: value}}. The kinds:

- of a categorical feature, TFDV's comparators with train: `jensen_shannon_divergence` (bits) and
  `infinity_norm` (largest difference of a share). Image statistics are compared by their buckets:
  TFDV's histogram of floats spans smallest to largest, so that one odd image moves every bin.
- of a float, `min_mean`: the lowest plausible mean of a split, train too.
"""

import collections
import dataclasses
import math
from collections.abc import Mapping

import tensorflow_data_validation as tfdv
from scipy import stats
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from muwnet_fer.data import fer2013

JENSEN_SHANNON, INFINITY_NORM, MIN_MEAN = (
    "jensen_shannon_divergence",
    "infinity_norm",
    "min_mean",
)

Thresholds = Mapping[str, Mapping[str, float]]
Counts = collections.Counter[str]  # rows by category

_CHANCE = 1 / 1000  # of pairs of splits that are further apart than chance is said to take them

_EMOTIONS = {str(label): emotion for label, emotion in enumerate(fer2013.EMOTIONS)}


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was measured of a split; an `anomaly` where it did not pass."""

    feature: str
    anomaly: str
    found: str
    passed: bool


def check_thresholds(thresholds: Thresholds, schema: schema_pb2.Schema) -> None:
    """Raises ValueError for a feature that is not in the schema, or a kind that does not fit it."""
    features = {feature.name: feature for feature in schema.feature}
    for name, kinds in thresholds.items():
        if name not in features:
            raise ValueError(
                f"expected thresholds of features in the schema ({', '.join(features)}), "
                f"got {name!r}"
            )
        feature = features[name]
        categorical = feature.type == schema_pb2.BYTES or feature.int_domain.is_categorical
        fitting = (JENSEN_SHANNON, INFINITY_NORM) if categorical else (MIN_MEAN,)
        for kind in kinds:
            if kind not in fitting:
                raise ValueError(
                    f"expected {' or '.join(fitting)} as a threshold of {name}, got {kind!r}"
                )


def measure(
    splits: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList],
    schema: schema_pb2.Schema,
    thresholds: Thresholds,
) -> list[tuple[str, Finding]]:
    """Returns the findings of every split, each with the split's name.

    Args:
      splits: statistics by split, with train among them.
    """
    findings = []
    for split, measured in splits.items():
        of_split = measure_means(measured, thresholds)
        if split != fer2013.TRAIN:
            of_split += compare(measured, splits[fer2013.TRAIN], schema, thresholds)
        findings += [(split, finding) for finding in of_split]
    return findings


def measure_means(
    split: statistics_pb2.DatasetFeatureStatisticsList, thresholds: Thresholds
) -> list[Finding]:
    """Returns a finding for every `min_mean` whose feature the split has."""
    findings = []
    for feature in split.datasets[0].features:
        (name,) = feature.path.step
        lowest = thresholds.get(name, {}).get(MIN_MEAN)
        if lowest is not None and feature.HasField("num_stats"):
            mean = feature.num_stats.mean
            found = f"mean {mean:.4g}, expected at least {lowest:g}"
            findings.append(Finding(name, "implausible mean", found, passed=mean >= lowest))
    return findings


def compare(
    split: statistics_pb2.DatasetFeatureStatisticsList,
    train: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    thresholds: Thresholds,
) -> list[Finding]:
    """Returns a finding for every comparator whose feature both splits have.

    A threshold is raised by `compute_allowance` where a split is small.
    """
    counts, train_counts = _count_categories(split), _count_categories(train)
    compared = schema_pb2.Schema()
    compared.CopyFrom(schema)
    for feature in compared.feature:
        if feature.name in counts.keys() & train_counts.keys():
            for comparator, threshold in thresholds.get(feature.name, {}).items():
                threshold += compute_allowance(
                    comparator, counts[feature.name], train_counts[feature.name]
                )
                getattr(feature.drift_comparator, comparator).threshold = threshold
    validated = tfdv.validate_statistics(split, compared, previous_statistics=train)
    findings = []
    for info in validated.drift_skew_info:
        (name,) = info.path.step
        for measurement in info.drift_measurements:
            found = _describe(name, measurement, counts[name], train_counts[name])
            passed = measurement.value <= measurement.threshold
            findings.append(Finding(name, "differs from train", found, passed))
    return findings


def compute_allowance(comparator: str, counts: Counts, train_counts: Counts) -> float:
    """Returns what small splits add to a threshold; 0 for splits of FER2013's size.

    The smaller two splits are, the further apart chance alone takes them. Of pairs of splits of
    one distribution, n and m rows in k categories, one in 1,000 exceeds

    - a Jensen-Shannon divergence of q(k - 1) * (1/n + 1/m) / (8 ln 2) bits, because to second
      order it is sum((p - q)^2 / (p + q)) / (4 ln 2) (Menendez et al. 1997, "The Jensen-Shannon
      divergence");
    - a difference of sqrt(q(1) * p * (1 - p) * (1/n + 1/m)) in the share p that varies most;

    q(d) being the 99.9 % quantile of chi-squared with d degrees of freedom. What this is more
    than for the labels of FER2013, for whose splits thresholds are stated, is the allowance.

    Args:
      comparator: JENSEN_SHANNON or INFINITY_NORM.
      counts: rows of a split by category.
      train_counts: rows of train by category.
    """
    by_chance = _compute_chance(comparator, counts, train_counts)
    fer2013_train, fer2013_test = (
        Counts(dict(zip(fer2013.EMOTIONS, fer2013.CLASS_COUNTS[split], strict=True)))
        for split in (fer2013.TRAIN, fer2013.PUBLIC_TEST)
    )
    in_fer2013 = _compute_chance(comparator, fer2013_test, fer2013_train)
    return max(0.0, by_chance - in_fer2013)


def _compute_chance(comparator: str, counts: Counts, train_counts: Counts) -> float:
    pooled = counts + train_counts
    spread = 1 / counts.total() + 1 / train_counts.total()
    if comparator == JENSEN_SHANNON:
        freedom = max(1, len(pooled) - 1)
        return stats.chi2.isf(_CHANCE, freedom) * spread / (8 * math.log(2))
    shares = [count / pooled.total() for count in pooled.values()]
    variance = max(share * (1 - share) for share in shares) * spread
    return math.sqrt(stats.chi2.isf(_CHANCE, 1) * variance)


def _count_categories(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
) -> dict[str, Counts]:
    """Returns the rows by category of each categorical feature."""
    counts = {}
    for feature in statistics.datasets[0].features:
        (name,) = feature.path.step
        if buckets := feature.string_stats.rank_histogram.buckets:
            counts[name] = collections.Counter({b.label: b.sample_count for b in buckets})
    return counts


def _describe(
    feature: str,
    measurement: anomalies_pb2.DriftSkewInfo.Measurement,
    counts: Counts,
    train_counts: Counts,
) -> str:
    """Returns distance, threshold, and the category that makes the most of the distance."""
    divergence = measurement.type == measurement.JENSEN_SHANNON_DIVERGENCE
    shares = {
        category: (counts[category] / counts.total(), train_counts[category] / train_counts.total())
        for category in sorted(counts + train_counts)
    }
    parts = {
        category: (share - train_share) ** 2 / (share + train_share if divergence else 1)
        for category, (share, train_share) in shares.items()
    }
    most = max(parts, key=parts.get)
    name = _EMOTIONS.get(most, most) if feature == fer2013.LABEL_KEY else most
    distance = "Jensen-Shannon divergence" if divergence else "difference of a share"
    share, train_share = shares[most]
    return (
        f"{distance} {measurement.value:.3g}, expected at most {measurement.threshold:.3g} "
        f"(most of all {name}: {share:.1%} of the rows, {train_share:.1%} of train's)"
    )
