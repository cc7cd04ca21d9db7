"""The site about a run of an output folder, from what ML Metadata and its RunFacts know of it."""

import dataclasses
import json
import pathlib

from muwnet_fer.components.anomaly_gate import executor as anomaly_gate
from muwnet_fer.components.predictor import artifacts as predictor_artifacts
from muwnet_fer.components.report import run_facts, site, sources
from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import figures
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import output_folder, run_list, run_record

Records = dict[str, run_record.NodeRecord]


def write(
    output: output_folder.OutputFolder, run_id: str, compared_id: str | None = None
) -> pathlib.Path:
    """Writes the site about a run in place of the last one; returns the path of its first page.

    Args:
      compared_id: of the run with which to compare it.

    Raises:
      RunError: for a run that is not there.
      ComparisonError: for two that were judged on other faces.
      ValueError: for a run whose facts are not as they were written.
      OSError: where something cannot be read or written; the last site stays.
    """
    site.write(read_sources(output, run_id, compared_id), output.report)
    return output.report / "index.html"


def write_without_artifacts(output: output_folder.OutputFolder, run_id: str) -> pathlib.Path:
    """Writes the site as `write`, of the RunFacts alone: where artifacts cannot be read.

    Raises: as `write`.
    """
    runs = run_list.read(output)
    run = run_list.find(runs, run_id)
    site.write(make_sources({}, None, run, tuple(runs)), output.report)
    return output.report / "index.html"


def read_sources(
    output: output_folder.OutputFolder, run_id: str, compared_id: str | None = None
) -> sources.Sources:
    """Returns what there is of a run; see `write`."""
    runs = run_list.read(output)
    run = run_list.find(runs, run_id)
    thresholds = _read_thresholds(output, run.run_id)
    found = make_sources(read_records(output, run.run_id), thresholds, run, tuple(runs))
    if compared_id is None:
        return found
    return dataclasses.replace(found, compared=read_sources(output, compared_id))


def read_records(output: output_folder.OutputFolder, run_id: str) -> Records:
    """Returns the records of the components that a run got to an end, by name."""
    with run_record.open_metadata(output) as handle:
        records = {
            name: run_record.read_node(handle.store, pipeline_config.PIPELINE_NAME, run_id, name)
            for name in pipeline_config.COMPONENTS
        }
    return {name: record for name, record in records.items() if record and record.succeeded}


def make_sources(
    records: Records,
    thresholds: dict[str, dict[str, float]] | None,
    run: run_facts.RunFacts,
    runs: tuple[run_facts.RunFacts, ...],
) -> sources.Sources:
    """Returns the paths of a run's artifacts; `thresholds` are those of its AnomalyGate.

    What the records do not tell of verdict and version, the run's facts do: ML Metadata may have
    begun anew since.
    """

    def find(name: str, key: str) -> str | None:
        uri = records[name].outputs[key][0].uri if name in records else None
        return uri if uri and pathlib.Path(uri).exists() else None  # it may have been pruned

    evaluator, pusher = records.get("Evaluator"), records.get("Pusher")
    trainer = records.get("Trainer")
    if evaluator:
        blessed = run_record.find_blessed(evaluator)
    else:
        blessed = run.verdict == run_facts.BLESSED if run.verdict else None
    return sources.Sources(
        schema=find("CuratedSchemaGen", "schema"),
        examples=find("Fer2013ExampleGen", "examples"),
        statistics=find("StatisticsGen", "statistics"),
        anomalies=find("ExampleValidator", "anomalies"),
        thresholds=thresholds,
        model=str(run_record.find_model(trainer)) if find("Trainer", "model") else None,
        model_run=find("Trainer", "model_run"),
        predictions=find("Predictor", "predictions"),
        evaluation=find("Evaluator", "evaluation"),
        blessed=blessed,
        pushed_version=run_record.find_version(pusher) if pusher else run.version,
        run=run,
        runs=runs,
    )


def _read_thresholds(
    output: output_folder.OutputFolder, run_id: str
) -> dict[str, dict[str, float]] | None:
    """Returns what a run's AnomalyGate held the splits to, None where it did not get there."""
    with run_record.open_metadata(output) as handle:
        gate = run_record.read_node(
            handle.store, pipeline_config.PIPELINE_NAME, run_id, "AnomalyGate"
        )
    return gate and json.loads(gate.properties[anomaly_gate.THRESHOLDS_KEY])


def count_private_test_reads(output: output_folder.OutputFolder) -> int:
    """Returns how many runs of the folder held a model against PrivateTest.

    The Evaluator does; the Predictor alone does, too, for its predictions are in the report.
    """
    with run_record.open_metadata(output) as handle:
        return run_record.count_runs(
            handle.store, pipeline_config.PIPELINE_NAME, ("Predictor", "Evaluator")
        )


def summarise(output: output_folder.OutputFolder, records: Records) -> dict[str, object]:
    """Returns a run's RunFacts as far as it got: count, verdict, version, figures."""
    found: dict[str, object] = {"private_test_reads": count_private_test_reads(output)}
    if "Predictor" in records:
        (predictions,) = records["Predictor"].outputs["predictions"]
        split = predictor_artifacts.read(predictions.uri, fer2013.PRIVATE_TEST)
        measured = figures.compute(
            split.labels, split.probabilities, split.ten_views, split.seen_in_training == 0
        )
        found["figures"] = {
            "accuracy": measured.accuracy.value,
            "macro_f1": measured.macro_f1.value,
        }
    if "Evaluator" in records:
        blessed = run_record.find_blessed(records["Evaluator"])
        found["verdict"] = run_facts.BLESSED if blessed else run_facts.NOT_BLESSED
    if "Pusher" in records:
        found["version"] = run_record.find_version(records["Pusher"])
    return found
