"""run_record: what is counted, and that reading makes nothing."""

import pytest
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from muwnet_fer.pipeline import output_folder, run_record

COMPLETE, CACHED = metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED


@pytest.fixture
def store() -> metadata_store.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    return metadata_store.MetadataStore(config)


def put_run(store: metadata_store.MetadataStore, run_id: str, states: dict[str, int]) -> None:
    """Writes a run as TFX does: an execution a node, in the contexts of the run and of the node."""

    def make_context(kind: str, name: str) -> metadata_store_pb2.Context:
        type_id = store.put_context_type(metadata_store_pb2.ContextType(name=kind))
        return metadata_store_pb2.Context(type_id=type_id, name=name)

    for node, state in states.items():
        type_id = store.put_execution_type(metadata_store_pb2.ExecutionType(name=node))
        execution = metadata_store_pb2.Execution(type_id=type_id, last_known_state=state)
        contexts = [make_context("pipeline_run", run_id), make_context("node", f"pipe.{node}")]
        store.put_execution(execution, [], contexts, reuse_context_if_already_exist=True)


def test_runs_that_ran_either_node_are_counted_once(store):
    put_run(store, "both", {"Predictor": COMPLETE, "Evaluator": COMPLETE})
    put_run(store, "predicted only", {"Trainer": COMPLETE, "Predictor": COMPLETE})
    put_run(store, "from the cache", {"Predictor": CACHED, "Evaluator": CACHED})
    put_run(store, "judged anew", {"Predictor": CACHED, "Evaluator": COMPLETE})
    put_run(store, "ended before", {"Trainer": COMPLETE})
    assert run_record.count_runs(store, "pipe", ("Predictor", "Evaluator")) == 3
    assert run_record.count_runs(store, "pipe", ("Pusher",)) == 0


def test_reading_where_there_is_nothing_makes_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected ML Metadata at .*metadata.db, got no"):
        run_record.open_metadata(output_folder.OutputFolder(tmp_path))
    assert not list(tmp_path.iterdir())
