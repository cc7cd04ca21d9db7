"""The runs of an output folder, from their RunFacts; no TFX here, which takes seconds to import."""

import dataclasses
import warnings

import tabulate

from muwnet_fer.components.report import exit_codes, run_facts
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import lineage_lock, output_folder

LATEST = "latest"
_SHOWN_RUNS = 5


class DamagedRunWarning(UserWarning):
    """A file that holds the facts of no run."""


class RunError(ValueError):
    """A run that is not there; the message says which are."""


def find(runs: list[run_facts.RunFacts], name: str) -> run_facts.RunFacts:
    """Returns the run of an id, "latest", or the one that pushed the version of that name.

    Raises:
      RunError: where there is none.
    """
    if not runs:
        raise RunError("expected a run, got none in the output folder: muwnet-fer run makes one")
    if name == LATEST:
        return runs[-1]
    for run in runs:  # of several that had one version, the first pushed it
        if name in (run.run_id, run.version):
            return run
    shown = ", ".join(run.run_id for run in runs[-_SHOWN_RUNS:])
    raise RunError(f"expected a run or version of this output folder ({shown}), got {name!r}")


def find_folder(path: str | None) -> output_folder.OutputFolder:
    """Returns the output folder of a path, else the one under output/ with the newest run.

    Raises:
      OutputFolderError: where there is none.
    """
    folders = output_folder.find_claimed(path, pipeline_config.OUTPUT)

    def find_newest(folder: output_folder.OutputFolder) -> str:
        return max((run.name for run in folder.runs.glob("*")), default="")

    return max(folders, key=find_newest)


def read(output: output_folder.OutputFolder) -> list[run_facts.RunFacts]:
    """Returns the facts of all runs, oldest first; warns of files that hold none.

    One that did not write how it ended, and no longer goes on, has the exit code KILLED.

    Raises:
      OSError: where one cannot be read.
    """
    runs = []
    for folder in sorted(path.parent for path in output.runs.glob(f"*/{run_facts.FILE_NAME}")):
        try:
            runs.append(run_facts.read(folder))
        except ValueError as error:  # one damaged file must not hide the others
            warnings.warn(str(error), DamagedRunWarning, stacklevel=2)
    return [
        dataclasses.replace(run, exit_code=exit_codes.KILLED)
        if run.exit_code is None and (run is not runs[-1] or not lineage_lock.is_held(output.path))
        else run
        for run in runs
    ]


def format_table(runs: list[run_facts.RunFacts]) -> str:
    """Returns a table of runs."""
    rows = [
        (
            run.run_id,
            run.started[:16].replace("T", " "),
            run.profile,
            run.data_name or run.data_md5[:8],
            run.end,
            run.figures and f"{run.figures['accuracy']:.3f}",
            run.figures and f"{run.figures['macro_f1']:.3f}",
            run.version,
        )
        for run in runs
    ]
    headers = ("run", "when", "profile", "data", "verdict", "accuracy", "macro F1", "version")
    return tabulate.tabulate(rows, headers, disable_numparse=True)
