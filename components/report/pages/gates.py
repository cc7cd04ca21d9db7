"""Gates: every threshold, what was measured, and whether it was passed, in the order they ran."""

from typing import Any

import markupsafe

from muwnet_fer.components.anomaly_gate import split_checks
from muwnet_fer.components.report import model_gates, schema_figures
from muwnet_fer.components.report import sources as report_sources

TITLE = "Gates"


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns a list of findings for each gate, None for those that the run did not get to."""
    return {
        "rows": _describe_bad_rows(sources),
        "schema": list_anomalies(sources),
        "schema_figures": schema_figures.collect(sources),
        "splits": list_split_checks(sources),
        "evaluation": _list_model_gates(sources),
    }


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns the page's plots by name: none."""
    return {}


def _describe_bad_rows(sources: report_sources.Sources) -> dict[str, Any] | None:
    """Returns how many rows were set aside; a run of more than at most does not begin."""
    run = sources.run
    if run is None or run.max_bad_rows is None:
        return None
    return {
        "set_aside": run.bad_rows,
        "at_most": run.max_bad_rows,
        "passed": run.bad_rows <= run.max_bad_rows,
    }


def list_anomalies(sources: report_sources.Sources) -> list[dict[str, Any]] | None:
    """Returns each split and what ExampleValidator found in it."""
    if sources.anomalies_by_split is None:
        return None
    findings = []
    for split, anomalies in sources.anomalies_by_split.items():
        infos = [*sorted(anomalies.anomaly_info.items()), ("", anomalies.dataset_anomaly_info)]
        found = [
            f"{feature}: {reason.description}" if feature else reason.description
            for feature, info in infos
            for reason in info.reason
        ]
        findings.append({"split": split, "anomalies": found, "passed": not found})
    return findings


def list_split_checks(sources: report_sources.Sources) -> list[dict[str, Any]] | None:
    statistics, schema = sources.statistics_by_split, sources.schema_proto
    if statistics is None or schema is None or sources.thresholds is None:
        return None
    return [
        {
            "split": split,
            "feature": finding.feature,
            "found": finding.found,
            "passed": finding.passed,
        }
        for split, finding in split_checks.measure(statistics, schema, sources.thresholds)
    ]


def _list_model_gates(sources: report_sources.Sources) -> list[dict[str, Any]] | None:
    """Returns TFMA's thresholds with the figures that they were held against."""
    if sources.evaluation is None:
        return None
    return [
        {
            "figure": gate.name,
            "value": gate.value,
            "floor": gate.floor,
            "reaches_floor": gate.reaches_floor,
            "blessed": gate.blessed,
            "change": gate.change,
            "largest_fall": gate.largest_fall,
            "holds": gate.holds,
        }
        for gate in model_gates.read(sources.evaluation)
    ]
