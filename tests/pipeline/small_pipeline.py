"""A pipeline like ours that takes a second: TFX's runner, cache and records are real, and so are
our resolver and Pusher; only what makes the artifacts is small.
"""

import contextlib
import pathlib

import tensorflow_model_analysis as tfma
from tfx import types
from tfx import v1 as tfx
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.orchestration import metadata
from tfx.types import standard_artifacts

from muwnet_fer.components.atomic_pusher import component as atomic_pusher_component
from muwnet_fer.pipeline import baseline, run_record
from muwnet_fer.pipeline import config as pipeline_config

NODES = ("ExampleGen", "Trainer", "LatestBlessedModel", "Evaluator", "Pusher")
_InputExamples = tfx.dsl.components.InputArtifact[standard_artifacts.Examples]
_OutputExamples = tfx.dsl.components.OutputArtifact[standard_artifacts.Examples]
_OutputModel = tfx.dsl.components.OutputArtifact[standard_artifacts.Model]


class KilledError(BaseException):
    """TFX sees as little of it as of a SIGKILL: the execution stays RUNNING, its folders stay."""


@tfx.dsl.components.component
def ExampleGen(examples: _OutputExamples, data: tfx.dsl.components.Parameter[str]):
    """`data` is all there is in the Examples."""
    pathlib.Path(examples.uri, "examples").write_text(data)


@tfx.dsl.components.component
def Trainer(
    examples: _InputExamples, model: _OutputModel, learnt: tfx.dsl.components.Parameter[str]
):
    """`learnt` is all there is in the model; "error" and "killed" are ends without one, and the
    push of "unpushable" fails.
    """
    saved_model = pathlib.Path(model.uri, "Format-Serving")
    saved_model.mkdir()
    (saved_model / "saved_model.pb").write_text(learnt)
    if learnt == "error":
        raise OSError("no space left, says this test")
    if learnt == "killed":
        raise KilledError
    if learnt == "unpushable":
        (saved_model / "assets").symlink_to("nowhere")


class BlessingExecutor(base_beam_executor.BaseBeamExecutor):
    """Blesses every model but those that learnt something "bad"."""

    def Do(self, input_dict, output_dict, exec_properties):
        (model,), (blessing,) = input_dict["model"], output_dict["blessing"]
        learnt = pathlib.Path(model.uri, "Format-Serving", "saved_model.pb").read_text()
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BLESSED_KEY, int("bad" not in learnt)
        )
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)


class Evaluator(tfx.components.Evaluator):
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(BlessingExecutor)


def create_pipeline(
    config: pipeline_config.PipelineConfig, data: str, learnt: str
) -> tfx.dsl.Pipeline:
    example_gen = ExampleGen(data=data)
    trainer = Trainer(examples=example_gen.outputs["examples"], learnt=learnt)
    latest_blessed_model = resolver.Resolver(
        strategy_class=baseline.LatestOtherBlessedModel,
        **{
            baseline.CANDIDATE_KEY: trainer.outputs["model"],
            baseline.MODEL_KEY: types.Channel(type=standard_artifacts.Model),
            baseline.BLESSING_KEY: types.Channel(type=standard_artifacts.ModelBlessing),
        },
    ).with_id("LatestBlessedModel")
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=latest_blessed_model.outputs[baseline.MODEL_KEY],
        eval_config=tfma.EvalConfig(),
    )
    pusher = atomic_pusher_component.AtomicPusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=str(config.output.serving_model)
            )
        ),
    ).with_id("Pusher")
    return tfx.dsl.Pipeline(
        pipeline_name=pipeline_config.PIPELINE_NAME,
        pipeline_root=str(config.output.pipeline_root),
        components=[example_gen, trainer, latest_blessed_model, evaluator, pusher],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(config.output.metadata)
        ),
    )


def run(
    config: pipeline_config.PipelineConfig, learnt: str, data: str = "data"
) -> dict[str, run_record.NodeRecord]:
    """Runs the pipeline, however it ends; returns what ML Metadata has of the nodes."""
    with contextlib.suppress(KilledError, OSError, fileio.NotFoundError):
        tfx.orchestration.LocalDagRunner().run(create_pipeline(config, data, learnt))
    connection = metadata.sqlite_metadata_connection_config(str(config.output.metadata))
    with metadata.Metadata(connection) as handle:
        runs = handle.store.get_contexts_by_type("pipeline_run")
        newest = max(runs, key=lambda context: context.id).name
        records = {
            node_id: run_record.read_node(
                handle.store, pipeline_config.PIPELINE_NAME, newest, node_id
            )
            for node_id in NODES
        }
    return {node_id: record for node_id, record in records.items() if record}
