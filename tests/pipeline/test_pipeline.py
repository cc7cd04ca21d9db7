"""create_pipeline, read from the compiled IR: order, splits, fingerprints."""

import dataclasses
import json

import pytest
from tfx.dsl.compiler import compiler

from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import pipeline, profiles, source_fingerprint


@pytest.fixture(scope="module")
def config(small_csv, tmp_path_factory):
    output = tmp_path_factory.mktemp("pipeline") / "output"
    return pipeline_config.make_config(str(small_csv), "smoke", str(output))


def compile_nodes(config) -> dict:
    ir = compiler.Compiler().compile(pipeline.create_pipeline(config))
    return {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}


@pytest.fixture(scope="module")
def nodes(config):
    return compile_nodes(config)


def read_parameters(node) -> dict[str, str]:
    return {
        key: value.field_value.string_value
        for key, value in node.parameters.parameters.items()
        if value.field_value.HasField("string_value")
    }


def test_nodes_run_in_the_documented_order(nodes):
    order = list(nodes)
    assert set(order) == {
        "CuratedSchemaGen",
        "Fer2013ExampleGen",
        "StatisticsGen",
        "ExampleValidator",
        "AnomalyGate",
        "Transform",
        "Trainer",
        "LatestBlessedModel",
        "Predictor",
        "Evaluator",
        "Pusher",
    }
    for earlier, later in (
        ("AnomalyGate", "Transform"),
        ("Transform", "Trainer"),
        ("LatestBlessedModel", "Evaluator"),
        ("Evaluator", "Pusher"),
    ):
        assert order.index(earlier) < order.index(later)


def test_the_gate_stands_before_transform_and_trainer(nodes):
    for node_id in ("Transform", "Trainer"):
        assert "AnomalyGate" in nodes[node_id].upstream_nodes
        assert node_id in nodes["AnomalyGate"].downstream_nodes
        # By order alone: no channel carries anything from the gate.
        for spec in nodes[node_id].inputs.inputs.values():
            for channel in spec.channels:
                assert channel.producer_node_query.id != "AnomalyGate"


def test_statistics_know_the_schema(nodes):
    producers = {
        channel.producer_node_query.id
        for channel in nodes["StatisticsGen"].inputs.inputs["schema"].channels
    }
    assert producers == {"CuratedSchemaGen"}


def test_private_test_never_reaches_the_training(nodes):
    splits = json.loads(read_parameters(nodes["Transform"])["splits_config"])
    assert splits == {"analyze": ["train"], "transform": ["train", "public_test"]}
    for node_id in ("Transform", "Trainer"):
        assert "private_test" not in json.dumps(
            {k: v for k, v in read_parameters(nodes[node_id]).items() if k != "custom_config"}
        )
    assert json.loads(read_parameters(nodes["Evaluator"])["example_splits"]) == ["private_test"]


def read_train_splits(config, profile: str) -> list[str]:
    config = dataclasses.replace(config, profile=profiles.PROFILES[profile])
    return json.loads(read_parameters(compile_nodes(config)["Trainer"])["train_args"])["splits"]


def test_experiment_2_trains_on_public_test_too(config):
    assert read_train_splits(config, "paper-1") == ["train"]
    assert read_train_splits(config, "paper-2") == ["train", "public_test"]


def test_every_node_that_runs_our_code_carries_its_fingerprint(config, nodes, monkeypatch):
    monkeypatch.setattr(
        source_fingerprint, "compute", lambda *modules: f"edited {' '.join(modules)}"
    )
    changed = {
        node_id
        for node_id, node in compile_nodes(config).items()
        if read_parameters(node) != read_parameters(nodes[node_id])
    }
    assert changed == {
        "Fer2013ExampleGen",
        "AnomalyGate",
        "Transform",
        "Trainer",
        "Predictor",
        "Evaluator",
    }


def test_an_edit_of_the_schema_imports_it_again(config, nodes, monkeypatch, tmp_path):
    edited = tmp_path / "schema.pbtxt"
    edited.write_text(pipeline.SCHEMA_FILE.read_text() + "# edited\n")
    monkeypatch.setattr(pipeline, "SCHEMA_FILE", edited)
    before = read_parameters(nodes["CuratedSchemaGen"])
    assert read_parameters(compile_nodes(config)["CuratedSchemaGen"]) != before


def test_nothing_that_changes_by_itself_enters_the_cache_key(config, nodes):
    """A commit, a time or a folder in a parameter would train again for nothing."""
    again = compile_nodes(config)
    for node_id, node in nodes.items():
        assert node.parameters == again[node_id].parameters
