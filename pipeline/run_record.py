"""What ML Metadata knows of one run: each node's state and outputs."""

import dataclasses
import pathlib
from collections.abc import Iterable

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.utils import path_utils

from muwnet_fer.data import quarantine
from muwnet_fer.pipeline import output_folder

_PIPELINE_RUN = "pipeline_run"
_NODE = "node"


@dataclasses.dataclass(frozen=True)
class NodeRecord:
    """One node's execution: `outputs` holds its artifacts by key, `properties` its parameters."""

    state: int  # metadata_store_pb2.Execution.State
    outputs: dict[str, list[metadata_store_pb2.Artifact]]
    properties: dict[str, str]

    @property
    def cached(self) -> bool:
        """True where the outputs are an earlier run's."""
        return self.state == metadata_store_pb2.Execution.CACHED

    @property
    def succeeded(self) -> bool:
        """True where there are outputs to go on with."""
        return self.cached or self.state == metadata_store_pb2.Execution.COMPLETE


def open_metadata(output: output_folder.OutputFolder) -> metadata.Metadata:
    """Returns an output folder's ML Metadata, to be entered as a context.

    Raises:
      FileNotFoundError: where there is none; to read one must not make one.
    """
    path = output.metadata
    if not path.exists():
        raise FileNotFoundError(f"expected ML Metadata at {path}, got no such file")
    return metadata.Metadata(metadata.sqlite_metadata_connection_config(str(path)))


def find_model(trainer: NodeRecord) -> pathlib.Path:
    """Returns the SavedModel that the Trainer gave, now or in the run it was cached from."""
    (model,) = trainer.outputs["model"]
    return pathlib.Path(path_utils.serving_model_path(model.uri))


def find_quarantine(example_gen: NodeRecord) -> pathlib.Path | None:
    """Returns the file of bad rows beside the Examples, None where none were set aside."""
    (examples,) = example_gen.outputs["examples"]
    path = pathlib.Path(examples.uri, quarantine.FILE_NAME)
    return path if path.exists() else None


def count_runs(
    store: metadata_store.MetadataStore, pipeline_name: str, node_ids: Iterable[str]
) -> int:
    """Returns how many runs ran one of the nodes, failed or not; what came from the cache did not
    run.
    """
    cached = metadata_store_pb2.Execution.CACHED
    runs = set()
    for node_id in node_ids:
        node = store.get_context_by_type_and_name(_NODE, f"{pipeline_name}.{node_id}")
        for execution in store.get_executions_by_context(node.id) if node else ():
            if execution.last_known_state != cached:
                runs.update(
                    context.id
                    for context in store.get_contexts_by_execution(execution.id)
                    if context.type == _PIPELINE_RUN
                )
    return len(runs)


def read_node(
    store: metadata_store.MetadataStore, pipeline_name: str, run_id: str, node_id: str
) -> NodeRecord | None:
    """Returns the record of a node in a run, None where it has none."""
    run = store.get_context_by_type_and_name(_PIPELINE_RUN, run_id)
    node = store.get_context_by_type_and_name(_NODE, f"{pipeline_name}.{node_id}")
    if run is None or node is None:
        return None
    of_node = {execution.id for execution in store.get_executions_by_context(node.id)}
    executions = [e for e in store.get_executions_by_context(run.id) if e.id in of_node]
    if not executions:
        return None
    execution = max(executions, key=lambda execution: execution.id)
    events = [
        event
        for event in store.get_events_by_execution_ids([execution.id])
        if event.type in (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.INTERNAL_OUTPUT)
    ]
    artifacts = {
        artifact.id: artifact
        for artifact in store.get_artifacts_by_id([event.artifact_id for event in events])
    }
    outputs: dict[str, list[metadata_store_pb2.Artifact]] = {}
    for event in events:
        outputs.setdefault(event.path.steps[0].key, []).append(artifacts[event.artifact_id])
    properties = {name: value.string_value for name, value in execution.custom_properties.items()}
    return NodeRecord(execution.last_known_state, outputs, properties)


def find_makers(store: metadata_store.MetadataStore, artifact_ids: list[int]) -> dict[int, str]:
    """Returns the id of the run in which each artifact was made, not taken from the cache."""
    makers = {}
    for event in store.get_events_by_artifact_ids(artifact_ids) if artifact_ids else ():
        if event.type != metadata_store_pb2.Event.OUTPUT:
            continue
        (execution,) = store.get_executions_by_id([event.execution_id])
        if execution.last_known_state == metadata_store_pb2.Execution.COMPLETE:
            contexts = store.get_contexts_by_execution(execution.id)
            makers[event.artifact_id] = next(
                context.name for context in contexts if context.type == _PIPELINE_RUN
            )
    return makers


def find_blessed(evaluator: NodeRecord) -> bool:
    """Returns whether the Evaluator blessed its model."""
    (blessing,) = evaluator.outputs["blessing"]
    return blessing.custom_properties["blessed"].int_value == 1


def find_version(pusher: NodeRecord) -> str | None:
    """Returns the version that the Pusher pushed, None where it pushed nothing."""
    (pushed_model,) = pusher.outputs["pushed_model"]
    if pushed_model.custom_properties["pushed"].int_value != 1:
        return None
    return pushed_model.custom_properties["pushed_version"].string_value
