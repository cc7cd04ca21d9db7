"""What a schema expects of each feature, and what TFDV measured of it, in words."""

from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from muwnet_fer.components.report import sources as report_sources


def collect(sources: report_sources.Sources) -> list[dict[str, Any]] | None:
    """Returns split, feature, `expected` and `measured` of everything that the schema bounds;
    `passed` is ExampleValidator's verdict of the feature, not a second one.
    """
    schema, anomalies = sources.schema_proto, sources.anomalies_by_split
    if schema is None or anomalies is None or sources.statistics_by_split is None:
        return None
    domains = {domain.name: set(domain.value) for domain in schema.string_domain}
    found = []
    for split, statistics in sources.statistics_by_split.items():
        by_name = {of.path.step[0]: of for of in statistics.datasets[0].features}
        rows = statistics.datasets[0].num_examples
        for feature in schema.feature:
            passed = split in anomalies and feature.name not in anomalies[split].anomaly_info
            for expected, measured in _hold(feature, domains, by_name.get(feature.name), rows):
                found.append(
                    {
                        "split": split,
                        "feature": feature.name,
                        "expected": expected,
                        "measured": measured,
                        "passed": passed,
                    }
                )
    return found


def _hold(
    feature: schema_pb2.Feature,
    domains: dict[str, set[str]],
    statistics: statistics_pb2.FeatureNameStatistics | None,
    rows: int,
) -> list[tuple[str, str]]:
    """Returns what is expected and what was measured, a pair for each bound of a feature."""
    if statistics is None:
        return [("in the rows", "in none")]
    kind = statistics.WhichOneof("stats")  # num_stats, string_stats or bytes_stats
    share = getattr(statistics, kind).common_stats.num_non_missing / rows if rows else 0.0
    fraction = feature.presence.min_fraction
    every = "in every row" if fraction == 1 else f"in {fraction:.0%} of the rows or more"
    pairs = [(every, f"in {share:.2%}")]
    values = [bucket.label for bucket in statistics.string_stats.rank_histogram.buckets]
    domain = feature.int_domain if feature.HasField("int_domain") else feature.float_domain
    if feature.HasField("int_domain") or feature.HasField("float_domain"):
        # Whole numbers that stand for classes are counted by value.
        numbers = [float(value) for value in values]
        if statistics.HasField("num_stats"):
            numbers = [statistics.num_stats.min, statistics.num_stats.max]
        high = f"to {domain.max:g}" if domain.HasField("max") else "or more"
        measured = f"{min(numbers):,.7g} to {max(numbers):,.7g}" if numbers else "none"
        pairs.append((f"{domain.min:g} {high}", measured))
    if feature.HasField("unique_constraints"):
        count = feature.unique_constraints.min
        pairs.append((f"{count} different values", f"{statistics.string_stats.unique}"))
    if feature.domain:
        expected = ", ".join(sorted(domains[feature.domain]))
        pairs.append((f"one of {expected}", ", ".join(sorted(values))))
    return pairs
