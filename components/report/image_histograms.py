"""Statistics of the images by split, from TFDV's artifact."""

from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.data import fer2013


def collect(sources: report_sources.Sources) -> dict[str, dict[str, Any]] | None:
    """Returns by statistic and split: mean, deviation, quartiles, and a histogram of shares."""
    by_split = sources.statistics_by_split
    if by_split is None:
        return None
    return {
        statistic: {split: _describe(measured, statistic) for split, measured in by_split.items()}
        for statistic in fer2013.STATISTICS_KEYS
    }


def _describe(
    measured: statistics_pb2.DatasetFeatureStatisticsList, statistic: str
) -> dict[str, Any]:
    (feature,) = (of for of in measured.datasets[0].features if list(of.path.step) == [statistic])
    numbers = feature.num_stats
    histograms = {of.type: of for of in numbers.histograms}
    standard = histograms[statistics_pb2.Histogram.STANDARD]
    count = sum(bucket.sample_count for bucket in standard.buckets)
    return {
        "mean": numbers.mean,
        "deviation": numbers.std_dev,
        "lowest": numbers.min,
        "median": numbers.median,
        "highest": numbers.max,
        "edges": [standard.buckets[0].low_value, *(of.high_value for of in standard.buckets)],
        "shares": [bucket.sample_count / count for bucket in standard.buckets],
    }
