"""History: all runs of the lineage."""

from typing import Any

import markupsafe

from muwnet_fer.components.report import comparison_plots
from muwnet_fer.components.report import sources as report_sources

TITLE = "History"
_PLOTTED = 40


def collect(sources: report_sources.Sources) -> dict[str, Any]:
    """Returns the runs, the newest first; None where the runner's notes are not at hand."""
    if sources.run is None:
        return {"runs": None}
    return {
        "runs": [
            {
                "id": run.run_id,
                "started": run.started,
                "profile": run.profile,
                "data": run.data_name or run.data_md5,
                "verdict": run.end,
                "failure": run.failure and run.failure.removeprefix(f"{run.end}: "),
                "accuracy": run.figures and run.figures["accuracy"],
                "macro_f1": run.figures and run.figures["macro_f1"],
                "version": run.version,
            }
            for run in reversed(sources.runs)
        ]
    }


def draw(sources: report_sources.Sources, facts: dict[str, Any]) -> dict[str, markupsafe.Markup]:
    """Returns the figures over time, where two runs or more have some."""
    measured = [run for run in reversed(facts["runs"] or ()) if run["accuracy"] is not None]
    if len(measured) < 2:
        return {}
    return {"figures": comparison_plots.draw_history(measured[-_PLOTTED:])}
