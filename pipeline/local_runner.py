"""Runs the pipeline on this machine.

    muwnet-fer run
    tfx pipeline create --engine=local --pipeline_path=pipeline/local_runner.py
    tfx run create --engine=local --pipeline_name=muwnet-fer

The `tfx` command passes no arguments: FER2013_CSV names the data, and MUWNET_PROFILE,
MUWNET_OUTPUT, MUWNET_PRIVATE_FRACTION, MUWNET_MAX_BAD_ROWS, MUWNET_WARM_START and MUWNET_TEACHER
(several with colons between) stand for the options.
"""

from __future__ import annotations

import os
import pathlib
import sys
import typing
from collections.abc import Sequence

from muwnet_fer.components.report import exit_codes
from muwnet_fer.data import rows
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import console, failure, interruption, lineage_lock

if typing.TYPE_CHECKING:  # it imports TensorFlow
    from muwnet_fer.pipeline import run_journal


@interruption.repeated()
def run(
    data: Sequence[str] = (),
    profile: str | None = None,
    output: str | None = None,
    private_fraction: float | None = None,
    max_bad_rows: int = 0,
    warm_start: str | None = None,
    teacher: Sequence[str] = (),
    to: str | None = None,
) -> int:
    """Runs the pipeline, or up to the component `to`; returns the exit code.

    Args:
      data, profile, output, private_fraction, max_bad_rows, warm_start, teacher: see
        `config.make_config`.
      to: id of the last component to run, such as Trainer.
    """
    # Before TensorFlow is imported, as by weights that are a SavedModel: about doubles training on
    # CPUs without VNNI, where it is off.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Equal trainings give equal weights: with more such threads TensorFlow adds three or more
    # gradients up in the order in which they come. Each operation still uses all cores.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greetings
    try:
        if to is not None and to not in pipeline_config.COMPONENTS:
            raise pipeline_config.ConfigError(
                f"expected --to to name a component of {', '.join(pipeline_config.COMPONENTS)}, "
                f"got {to!r}"
            )
        config = pipeline_config.make_config(
            data, profile, output, private_fraction, max_bad_rows, warm_start, teacher
        )
        with (
            lineage_lock.hold(config.output.path),
            console.separate_output(config.output.logs) as log_path,
        ):
            exit_code = _run_with_messages(config, to, log_path)
            if exit_code is not None:
                console.LOGGER.info("full log  %s", log_path)
        return exit_code or exit_codes.OK
    except rows.MalformedDataError as error:
        print(f"bad input: {error}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except (pipeline_config.ConfigError, lineage_lock.LineageBusyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except OSError as error:  # of the lock or the log
        print(f"error: cannot write in the output folder: {error}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return exit_codes.INTERRUPTED


def _run_with_messages(
    config: pipeline_config.PipelineConfig, to: str | None, log: pathlib.Path
) -> int | None:
    """Runs, and writes down how it ended; None where TFX only created the pipeline."""
    journal = None
    try:
        with interruption.repeated():
            # TFX takes ten seconds to import: what is wrong with the arguments was said before.
            from muwnet_fer.pipeline import run_journal

            journal = run_journal.RunJournal(config, log)
            exit_code, message = _run(config, to, journal), None
    except BaseException as error:
        exit_code, message = _explain(error)
        console.LOGGER.info("%s", message)
    if journal and journal.facts:
        _write_report(config, journal, exit_code, message)
    return exit_code


def _explain(error: BaseException) -> tuple[int, str]:
    """Turns what ended a run into its exit code and a message."""
    if isinstance(error, rows.MalformedDataError):  # the data changed since the config was made
        return exit_codes.BAD_INPUT, f"bad input: {error}"
    if isinstance(error, KeyboardInterrupt):
        return exit_codes.INTERRUPTED, (
            "interrupted: the same command goes on after the last component done, and a training "
            "after its last whole epoch"
        )
    from muwnet_fer.components.anomaly_gate import executor as anomaly_gate
    from muwnet_fer.models.muwnet import training

    if isinstance(error, anomaly_gate.AnomalyError):
        return exit_codes.ANOMALY, f"anomaly: {error}"
    console.log_traceback()
    if isinstance(error, training.TrainingDivergedError):
        return exit_codes.CRASHED, f"training diverged: {error}"
    # The last resort: a message in place of a traceback.
    crashed = f"crashed: {type(error).__name__}: {error}"
    advice = failure.advise(error)
    return exit_codes.CRASHED, f"stopped: {advice}\n{crashed}" if advice else crashed


def _run(
    config: pipeline_config.PipelineConfig, to: str | None, journal: run_journal.RunJournal
) -> int | None:
    from muwnet_fer.pipeline import pipeline, tracked_runner

    runner = tracked_runner.TrackedLocalDagRunner(config, to, journal)
    records = runner.run(pipeline.create_pipeline(config))
    return None if records is None else _tell_verdict(config, records, to)


def _write_report(config, journal, exit_code: int, message: str | None) -> None:
    """Writes how a run ended, and the site about it; an error here is told and changes nothing."""
    from muwnet_fer.pipeline import run_report

    try:
        journal.end(exit_code, message)  # first: it needs nothing that may be damaged
        records = run_report.read_records(config.output, journal.facts.run_id)
        journal.update(**run_report.summarise(config.output, records))
        path = run_report.write(config.output, journal.facts.run_id)
    except Exception as error:
        console.log_traceback()
        console.LOGGER.info("report    of the run's end alone: %s: %s", type(error).__name__, error)
        try:
            path = run_report.write_without_artifacts(config.output, journal.facts.run_id)
        except Exception as error:
            console.log_traceback()
            console.LOGGER.info("report    not written: %s: %s", type(error).__name__, error)
            return
    console.LOGGER.info("report    %s", path)


def _tell_verdict(config: pipeline_config.PipelineConfig, records: dict, to: str | None) -> int:
    """Prints the verdict; returns the exit code."""
    from tensorflow_serving.config import model_server_config_pb2

    from muwnet_fer.components.atomic_pusher import versions
    from muwnet_fer.data import model_config
    from muwnet_fer.pipeline import profiles, run_record, run_report, verdict

    example_gen = records.get("Fer2013ExampleGen")
    if example_gen and (quarantined := run_record.find_quarantine(example_gen)):
        console.LOGGER.info("set aside %s bad rows: %s", f"{config.data.bad_rows:,}", quarantined)
    if "Evaluator" not in records:
        if "Trainer" in records:
            accuracy = verdict.read_public_test_accuracy(records["Trainer"])
            console.LOGGER.info("PublicTest accuracy of the exported model: %.1f%%", 100 * accuracy)
        console.LOGGER.info("ended after %s as asked; nothing was judged or pushed", to)
        return exit_codes.OK
    result = verdict.read_verdict(records)
    console.LOGGER.info("\n%s\n", result.f1_table)
    console.LOGGER.info("%s\n", verdict.describe_figures(result.private_test))
    reads = run_report.count_private_test_reads(config.output)
    console.LOGGER.info(
        "note      runs that read private_test in this output folder so far: %d", reads
    )
    if low_floors := profiles.explain_low_floors(config.gates):
        console.LOGGER.info("note      %s", low_floors)
    if not result.blessed:
        console.LOGGER.info("verdict   not blessed:")
        for failed_gate in result.failed_gates:
            console.LOGGER.info("          %s", failed_gate)
        earlier = versions.find_newest(config.output.serving_model)
        kept = f"; version {earlier.name} stays the newest" if earlier else ""
        console.LOGGER.info("pushed    nothing%s", kept)
        return exit_codes.NOT_BLESSED
    console.LOGGER.info("verdict   blessed")
    if result.version is None:
        console.LOGGER.info("pushed    nothing: ended after %s as asked", to)
        return exit_codes.OK
    unchanged = "unchanged, " if result.unchanged else ""
    path = config.output.serving_model / result.version
    console.LOGGER.info("pushed    %sversion %s (%s)", unchanged, result.version, path)
    if config.output.model_config.exists():
        model = model_config.read(
            config.output.model_config, model_server_config_pb2.ModelServerConfig
        )
        console.LOGGER.info("labels    %s", model_config.format_labels(model))
    return exit_codes.OK


def run_by_environment() -> int:
    """Runs with the options that the environment names; returns the exit code."""
    options = {}
    for name, convert in (
        ("profile", str),
        ("output", str),
        ("private_fraction", float),
        ("max_bad_rows", int),
        ("warm_start", str),
        ("teacher", lambda names: names.split(os.pathsep)),
    ):
        variable = f"MUWNET_{name.upper()}"
        if value := os.environ.get(variable):
            try:
                options[name] = convert(value)
            except ValueError:
                print(f"error: expected {variable} to be a number, got {value!r}", file=sys.stderr)
                return exit_codes.BAD_INPUT
    return run(**options)


if __name__ == "__main__":
    sys.exit(run_by_environment())
