"""TrackedLocalDagRunner: TFX's local runner, with a line a component and a verdict at the end."""

import contextlib
import copy
import datetime
import time

from tfx.dsl.compiler import constants
from tfx.orchestration.local import local_dag_runner
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from muwnet_fer.components.atomic_pusher import versions
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import console, run_journal, run_record, run_report

_JUDGING = ("Predictor", "Evaluator", "Pusher")


class ComponentFailedError(RuntimeError):
    """A component that ended without success and without raising."""


class TrackedLocalDagRunner(local_dag_runner.LocalDagRunner):
    """Runs node by node. All that must only happen in a real run hangs on `run_with_ir`: the `tfx`
    command replaces `run` by one that does nothing when it creates a pipeline.

    Args:
      config: of the run.
      to: id of the last node to run, None for all.
      journal: is told what happens.
    """

    def __init__(
        self,
        config: pipeline_config.PipelineConfig,
        to: str | None,
        journal: run_journal.RunJournal,
    ):
        super().__init__()
        self._config = config
        self._to = to
        self._journal = journal

    def run_with_ir(
        self,
        pipeline: pipeline_pb2.Pipeline,
        run_options: pipeline_pb2.RunOptions | None = None,
    ) -> dict[str, run_record.NodeRecord]:
        """Runs the nodes in order, returns their records by node id.

        Raises:
          Exception: whatever a component raised.
          ComponentFailedError: where one failed without raising.
        """
        node_ids = [node.pipeline_node.node_info.id for node in pipeline.nodes]
        self._config.link_data()
        run_id = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")  # a folder's name, too
        # All nodes share one run: the parent class would begin another at every call.
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        for line in self._config.description.splitlines():
            console.LOGGER.info("%s", line)
        self._journal.begin(run_id)
        width = max(map(len, node_ids))
        records = {}
        for node_id in node_ids:
            started = time.monotonic()
            try:
                single = _only(pipeline, node_id)
                if node_id == "Pusher" and not self._serves(records["Trainer"]):
                    # Another model was pushed since, or the version is gone: the cache would say
                    # "unchanged" of what a server does not serve.
                    _disable_cache(single)
                super().run_with_ir(single, run_options)
                records[node_id] = self._read_record(pipeline, run_id, node_id)
            except BaseException as error:
                ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                seconds = time.monotonic() - started
                console.LOGGER.info("%-*s  %s after %.1f s", width, node_id, ended, seconds)
                with contextlib.suppress(OSError):  # a full disk may be what ended it
                    self._journal.add(node_id, ended, seconds)
                raise
            seconds, cached = time.monotonic() - started, records[node_id].cached
            self._journal.add(node_id, "cached" if cached else "done", seconds)
            if node_id in _JUDGING:  # at once: nobody may be left to do so at the end
                self._journal.update(**run_report.summarise(self._config.output, records))
            took = "cached" if cached else f"{seconds:.1f} s"
            console.LOGGER.info("%-*s  %s", width, node_id, took)
            if node_id == self._to:
                break
        return records

    def _serves(self, trainer: run_record.NodeRecord) -> bool:
        """Returns whether the newest pushed version is the model that the Trainer gave."""
        model_dir = run_record.find_model(trainer)
        return versions.is_newest(model_dir, self._config.output.serving_model)

    def _read_record(self, pipeline, run_id: str, node_id: str) -> run_record.NodeRecord:
        with run_record.open_metadata(self._config.output) as handle:
            record = run_record.read_node(handle.store, pipeline.pipeline_info.id, run_id, node_id)
        if record is None or not record.succeeded:
            raise ComponentFailedError(f"{node_id} did not succeed")
        return record


def _disable_cache(pipeline: pipeline_pb2.Pipeline) -> None:
    for node in pipeline.nodes:
        node.pipeline_node.execution_options.caching_options.enable_cache = False


def _only(pipeline: pipeline_pb2.Pipeline, node_id: str) -> pipeline_pb2.Pipeline:
    """Returns a copy in which all other nodes are skipped."""
    copied = copy.deepcopy(pipeline)
    for node in copied.nodes:
        if node.pipeline_node.node_info.id != node_id:
            node.pipeline_node.execution_options.skip.SetInParent()
    return copied
