"""The verdict of a run that reached the Evaluator, read from the artifacts that it recorded."""

import dataclasses
import json
from collections.abc import Sequence

import tabulate
import tensorflow_model_analysis as tfma

from muwnet_fer.components.predictor import artifacts
from muwnet_fer.components.report import model_gates
from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import figures, packaged_weights
from muwnet_fer.pipeline import run_record


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How a run ended.

    `version` is the pushed one, None where nothing was pushed; `unchanged` means that the Pusher's
    part came from the cache, so that no version was written now.
    """

    blessed: bool
    version: str | None
    unchanged: bool
    failed_gates: tuple[str, ...]
    f1_table: str
    private_test: figures.Figures


def read_verdict(records: dict[str, run_record.NodeRecord]) -> Verdict:
    """Returns the verdict of a run.

    Args:
      records: of its nodes, with the Evaluator among them.
    """
    (predictions,) = records["Predictor"].outputs["predictions"]
    split = artifacts.read(predictions.uri, fer2013.PRIVATE_TEST)
    (evaluation,) = records["Evaluator"].outputs["evaluation"]
    pusher = records.get("Pusher")
    return Verdict(
        run_record.find_blessed(records["Evaluator"]),
        pusher and run_record.find_version(pusher),
        pusher is not None and pusher.cached,
        tuple(model_gates.list_failures(tfma.load_validation_result(evaluation.uri))),
        format_table(model_gates.read(evaluation.uri)),
        figures.compute(
            split.labels, split.probabilities, split.ten_views, split.seen_in_training == 0
        ),
    )


def read_public_test_accuracy(trainer: run_record.NodeRecord) -> float:
    """Returns what the model that the Trainer gave, now or earlier, says of its best epoch."""
    manifest = run_record.find_model(trainer) / packaged_weights.SAVED_MODEL_MANIFEST
    return json.loads(manifest.read_text())["public_test_accuracy"]


def format_table(gates: Sequence[model_gates.ModelGate]) -> str:
    """Returns the gated figures beside their floors and those of the blessed model."""
    compared = gates[0].blessed is not None
    rows = []
    for gate in gates:
        row = [gate.name, gate.value, gate.floor, "ok" if gate.reaches_floor else "too low"]
        if compared:
            row += [gate.blessed, gate.change, "ok" if gate.holds else "fell"]
        rows.append(row)
    headers = ["private_test", "candidate", "floor", ""]
    formats = ["", ".3f", ".3f", ""]
    if compared:
        headers += ["blessed", "change", ""]
        formats += [".3f", "+.3f", ""]
    return tabulate.tabulate(rows, headers, floatfmt=formats)


def describe_figures(measured: figures.Figures) -> str:
    """Returns what the gates do not judge, each line a figure with its 95 % interval."""
    lines = [
        ("accuracy", measured.accuracy),
        ("macro F1", measured.macro_f1),
        ("accuracy by ten views", measured.ten_views_accuracy),
        ("macro F1 by ten views", measured.ten_views_macro_f1),
        (
            f"accuracy on {measured.leak_free_rows:,} rows unlike any of train",
            measured.leak_free_accuracy,
        ),
        ("expected calibration error", f"{measured.expected_calibration_error:.3f}"),
    ]
    return tabulate.tabulate(lines, tablefmt="plain", disable_numparse=True, missingval="none")
