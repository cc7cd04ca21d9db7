"""create_pipeline, read from the compiled IR: order, splits, fingerprints."""

import dataclasses
import json
import re

import pytest
from tfx.dsl.compiler import compiler

from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import pipeline, profiles, source_fingerprint, split_thresholds

FINGERPRINTED = {
    "CuratedSchemaGen": "muwnet_fer.components.curated_schema_gen.executor",
    "Fer2013ExampleGen": "muwnet_fer.components.fer2013_example_gen.component",
    "AnomalyGate": "muwnet_fer.components.anomaly_gate.executor",
    "Transform": "muwnet_fer.models.muwnet.preprocessing",
    "Trainer": "muwnet_fer.models.muwnet.trainer",
    "Predictor": "muwnet_fer.components.predictor.executor",
    "Evaluator": "muwnet_fer.pipeline.metrics",
    "Pusher": "muwnet_fer.components.atomic_pusher.executor",
    "Report": "muwnet_fer.components.report.executor",
}


@pytest.fixture(scope="module")
def config(small_csv, tmp_path_factory):
    output = tmp_path_factory.mktemp("pipeline") / "output"
    return pipeline_config.make_config([str(small_csv)], "smoke", str(output))


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
    assert order == list(pipeline_config.COMPONENTS)
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


def test_the_gate_compares_the_statistics_that_were_validated(nodes):
    for key in ("statistics", "schema"):
        ours, theirs = (
            nodes[node_id].inputs.inputs[key].channels[0].producer_node_query
            for node_id in ("AnomalyGate", "ExampleValidator")
        )
        assert ours == theirs


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


def test_every_node_that_runs_our_code_carries_the_fingerprint_of_its_module(config, monkeypatch):
    monkeypatch.setattr(source_fingerprint, "compute", lambda module, files=(): f"edited {module}")
    fingerprints = {
        node_id: set(re.findall(r"edited ([\w.]+)", str(read_parameters(node))))
        for node_id, node in compile_nodes(config).items()
    }
    assert {node_id: found for node_id, found in fingerprints.items() if found} == {
        node_id: {module} for node_id, module in FINGERPRINTED.items()
    }


def test_that_module_is_the_one_the_node_runs(config):
    """What TFX imports by its path, executor or function, is in the fingerprint's reach."""
    found = set()
    for node in pipeline.create_pipeline(config).components:
        paths = [getattr(node.executor_spec, "class_path", "")]
        paths += [node.exec_properties.get(key) or "" for key in ("run_fn", "preprocessing_fn")]
        for path in paths:
            if path.startswith("muwnet_fer."):
                module = path.rpartition(".")[0]
                assert module in source_fingerprint.collect(FINGERPRINTED[node.id])
                found.add(node.id)
    assert found == FINGERPRINTED.keys() - {"Evaluator"}  # whose metric is named in eval_config


def test_an_edit_of_the_schema_imports_it_again(config, nodes, monkeypatch, tmp_path):
    edited = tmp_path / "schema.pbtxt"
    edited.write_text(pipeline.SCHEMA_FILE.read_text() + "# edited\n")
    monkeypatch.setattr(pipeline, "SCHEMA_FILE", edited)
    before = read_parameters(nodes["CuratedSchemaGen"])
    assert read_parameters(compile_nodes(config)["CuratedSchemaGen"]) != before


def test_an_edit_of_a_threshold_runs_gate_and_report_again_and_nothing_else(
    config, nodes, monkeypatch
):
    edited = {**split_thresholds.THRESHOLDS, "contrast": {"min_mean": 11}}
    monkeypatch.setattr(split_thresholds, "THRESHOLDS", edited)
    again = compile_nodes(config)
    changed = {
        node_id for node_id in nodes if nodes[node_id].parameters != again[node_id].parameters
    }
    assert changed == {"AnomalyGate", "Report"}


def test_the_same_bytes_elsewhere_have_the_same_key(config, nodes, small_csv, tmp_path):
    """A CSV that moved, or was downloaded again, trains nothing again; nor does another commit."""
    moved = tmp_path / "folder" / small_csv.name
    moved.parent.mkdir()
    moved.write_bytes(small_csv.read_bytes())
    again = compile_nodes(
        pipeline_config.make_config([str(moved)], "smoke", str(config.output.path))
    )
    for node_id, node in nodes.items():
        assert node.parameters == again[node_id].parameters
