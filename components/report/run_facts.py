"""RunFacts: what the local runner writes down of a run, for ML Metadata keeps no times or failures.

`output/<lineage>/runs/<id>/run.json`, written as the run begins and at any end of it.
"""

import dataclasses
import json
import pathlib
from typing import Any

from muwnet_fer.components.report import exit_codes
from muwnet_fer.data import atomic_file

FILE_NAME = "run.json"
BLESSED, NOT_BLESSED = "blessed", "not blessed"  # verdicts
# Of a run without a verdict, by exit code; all else failed.
_ENDS = {
    exit_codes.OK: "not judged",
    exit_codes.ANOMALY: "anomaly",
    exit_codes.INTERRUPTED: "interrupted",
    exit_codes.KILLED: "killed",
}


@dataclasses.dataclass(frozen=True)
class ComponentFacts:
    """How one component of a run ended."""

    name: str
    state: str  # done, cached, failed or interrupted
    seconds: float


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """One run. `ended` and `exit_code` are None while it goes on, or of one that was killed."""

    run_id: str
    started: str  # ISO 8601, local time with its offset
    lineage: str
    profile: str
    data_md5: str
    data_name: str | None  # Kaggle's name of the file, None for others
    row_counts: dict[str, int]  # by split
    bad_rows: int  # set aside
    commit: str | None
    source_fingerprint: str | None = None  # of the training's code
    max_bad_rows: int | None = None  # more of them end a run; None of a run that did not say
    components: tuple[ComponentFacts, ...] = ()
    ended: str | None = None
    exit_code: int | None = None
    failure: str | None = None  # the message, as the run printed it
    log: str | None = None  # path of the full log
    private_test_reads: int | None = None  # by runs of this output folder so far
    verdict: str | None = None  # blessed, not blessed, or None where nothing was judged
    version: str | None = None  # pushed
    figures: dict[str, Any] | None = None  # accuracy and macro_f1 on private_test
    # Of a training that failed or was interrupted, as far as it got: `history` and `resumed_after`
    # as in its checkpoint, its configuration `muwnet`, and whether PublicTest is `contaminated`.
    unfinished_training: dict[str, Any] | None = None

    @property
    def end(self) -> str:
        """The verdict, or how else it ended; both where something failed after a blessing."""
        if self.exit_code is None:
            return self.verdict or "under way"
        end = _ENDS.get(self.exit_code, "failed")
        if self.verdict == BLESSED and self.exit_code:
            return f"{self.verdict}, then {end}"
        return self.verdict or end


def write(facts: RunFacts, folder: pathlib.Path) -> None:
    """Writes `run.json` in one step.

    Raises:
      OSError: where it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file.replace(folder / FILE_NAME) as unfinished:
        unfinished.write_text(json.dumps(dataclasses.asdict(facts), indent=1), encoding="utf-8")


def read(folder: pathlib.Path) -> RunFacts:
    """Reads what `write` wrote.

    Raises:
      ValueError: for a file that is something else; the message names it.
      OSError: where it cannot be read.
    """
    path = folder / FILE_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        components = tuple(_make(ComponentFacts, of) for of in values["components"])
        return _make(RunFacts, {**values, "components": components})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected {path} to hold the facts of a run: {error}") from error


def _make(kind: type, values: dict[str, Any]) -> Any:
    """Returns a dataclass, without what a later version of this package may have added."""
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in known})
