"""Overview: what was run on what, how it ended, and how long it took."""

from typing import Any

import markupsafe

from muwnet_fer.components.report import sources as report_sources
from muwnet_fer.data import fer2013

TITLE = "Overview"


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns verdict, data identity, model, and times where they are known."""
    manifest, run = sources.manifest, sources.run
    data_md5 = run.data_md5 if run else manifest and manifest["data_md5"]
    return {
        "verdict": _describe_verdict(sources),
        "passed": sources.blessed,
        "failure": run.failure if run else None,
        "log": run.log if run else None,
        "run": run and {"id": run.run_id, "started": run.started, "ended": run.ended},
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
    if sources.blessed is None:
        return "Not judged"
    return "Blessed" if sources.blessed else "Not blessed"


def _sort_splits(rows: dict[str, int] | None) -> dict[str, int] | None:
    return rows and {split: rows[split] for split in fer2013.SPLITS if split in rows}
