"""Overview: what was run on what, how it ended, and how long it took."""

from typing import Any

import markupsafe
import tensorflow_model_analysis as tfma

from muwnet_fer.components.report import model_gates
from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.data import fer2013

TITLE = "Overview"


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns verdict, data identity, model, and times where they are known."""
    manifest, run = sources.manifest, sources.run
    data_md5 = run.data_md5 if run else manifest and manifest["data_md5"]
    return {
        "verdict": _describe_verdict(sources),
        "passed": sources.blessed and not (run and run.exit_code),
        "failed_gates": _list_failed_gates(sources),
        "failure": run.failure if run else None,
        "log": run.log if run else None,
        "run": run
        and {
            "id": run.run_id,
            "profile": run.profile,
            "commit": run.commit,
            "source_fingerprint": run.source_fingerprint,
            "started": run.started,
            "ended": run.ended,
        },
        "data": {
            "md5": data_md5,
            "kaggle_name": fer2013.KAGGLE_MD5.get(data_md5),
            "rows": _sort_splits(run.row_counts if run else manifest and manifest["rows"]),
            "bad_rows": run.bad_rows if run else manifest and manifest["bad_rows_set_aside"],
        },
        "model": manifest
        and {
            "profile": manifest["profile"],
            "parameters": manifest["parameters"],
            "seed": manifest["seed"],
            "commit": manifest["commit"],
            "source_fingerprint": manifest["source_fingerprint"],
            "hardware": manifest["hardware"],
        },
        "pushed_version": sources.pushed_version,
        "components": [
            {"name": facts.name, "state": facts.state, "seconds": facts.seconds}
            for facts in (run.components if run else ())
        ],
    }


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns the page's plots by name: none."""
    return {}


def _describe_verdict(sources: report_sources.Sources) -> str:
    if sources.run:
        return sources.run.end.capitalize()
    return {None: "Not judged", False: "Not blessed", True: "Blessed"}[sources.blessed]


def _list_failed_gates(sources: report_sources.Sources) -> list[str]:
    """Returns a sentence for each of the Evaluator's gates that the model did not pass."""
    if sources.evaluation is None:
        return []
    return model_gates.list_failures(tfma.load_validation_result(sources.evaluation))


def _sort_splits(rows: dict[str, int] | None) -> dict[str, int] | None:
    return rows and {split: rows[split] for split in fer2013.SPLITS if split in rows}
