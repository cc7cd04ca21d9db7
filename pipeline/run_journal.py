"""RunJournal: keeps the RunFacts of the run that goes on."""

import dataclasses
import datetime
import pathlib
from typing import Any

from muwnet_fer.components.report import run_facts
from muwnet_fer.models.muwnet import checkpoint, manifest, packaged_weights, trainer
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import source_fingerprint


class RunJournal:
    """Writes `runs/<id>/run.json` at the beginning, after each component, and at the end.

    Args:
      config: of the run.
      log: path of its full log.
    """

    def __init__(self, config: pipeline_config.PipelineConfig, log: pathlib.Path):
        self._config = config
        self._log = log
        self._facts: run_facts.RunFacts | None = None

    @property
    def facts(self) -> run_facts.RunFacts | None:
        """What was written last, None before `begin`."""
        return self._facts

    def begin(self, run_id: str) -> None:
        """Writes what is known before the first component."""
        data = self._config.data
        self._write(
            run_facts.RunFacts(
                run_id=run_id,
                started=_now(),
                lineage=self._config.lineage,
                profile=self._config.profile.name,
                data_md5=data.md5,
                data_name=data.kaggle_name,
                row_counts=data.row_counts,
                bad_rows=data.bad_rows,
                max_bad_rows=self._config.max_bad_rows,
                commit=manifest.read_commit(),
                source_fingerprint=source_fingerprint.compute(trainer.__name__),
                log=str(self._log),
            )
        )

    def add(self, name: str, state: str, seconds: float) -> None:
        """Writes how a component ended: see run_facts.ComponentFacts."""
        ended = run_facts.ComponentFacts(name, state, round(seconds, 2))
        self.update(components=(*self._facts.components, ended))

    def update(self, **changes) -> None:
        """Writes changed facts."""
        self._write(dataclasses.replace(self._facts, **changes))

    def end(self, exit_code: int, failure: str | None) -> None:
        """Writes how the run ended; `failure` is what it said of it."""
        self.update(ended=_now(), exit_code=exit_code, failure=failure)
        last = self._facts.components[-1:]
        if last and last[0].name == "Trainer" and last[0].state in ("failed", "interrupted"):
            self.update(unfinished_training=self._read_training())

    def _read_training(self) -> dict[str, Any] | None:
        """Returns a training as far as it got, None where that is not known."""
        config = self._config
        origins = [of for of in (config.warm_start, *config.teachers) if of]
        try:
            found = checkpoint.read(config.checkpoint_dir / checkpoint.FILE)
            contaminated = config.profile.muwnet.train_on_public_test or (
                packaged_weights.have_seen_public_test(
                    packaged_weights.read(of.name) for of in origins
                )
            )
        except (checkpoint.MisfitError, packaged_weights.WeightsError, OSError):
            return None  # none yet, or one that the Trainer told of
        if found.exported:
            return None  # an earlier run's
        return {
            "history": found.history,
            "resumed_after": found.resumed_after,
            "contaminated": contaminated,
            "muwnet": dataclasses.asdict(config.profile.muwnet),
        }

    def _write(self, facts: run_facts.RunFacts) -> None:
        self._facts = facts
        run_facts.write(facts, self._config.output.runs / facts.run_id)


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
