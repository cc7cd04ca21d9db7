"""create_pipeline: the whole flow, top to bottom, one comment a component."""

import dataclasses

from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.common import resolver
from tfx.types import standard_artifacts

from muwnet_fer.components.anomaly_gate import component as anomaly_gate_component
from muwnet_fer.components.anomaly_gate import executor as anomaly_gate_executor
from muwnet_fer.components.atomic_pusher import component as atomic_pusher_component
from muwnet_fer.components.atomic_pusher import executor as atomic_pusher_executor
from muwnet_fer.components.curated_schema_gen import component as curated_schema_gen_component
from muwnet_fer.components.curated_schema_gen import executor as curated_schema_gen_executor
from muwnet_fer.components.fer2013_example_gen import component as example_gen_component
from muwnet_fer.components.predictor import component as predictor_component
from muwnet_fer.components.predictor import executor as predictor_executor
from muwnet_fer.components.report import component as report_component
from muwnet_fer.components.report import executor as report_executor
from muwnet_fer.components.report import site
from muwnet_fer.data import fer2013, model_config
from muwnet_fer.models.muwnet import preprocessing, trainer
from muwnet_fer.pipeline import baseline, evaluation, metrics, source_fingerprint, split_thresholds
from muwnet_fer.pipeline import config as pipeline_config

SCHEMA_FILE = source_fingerprint.ROOT / "data" / "schema.pbtxt"


def create_pipeline(config: pipeline_config.PipelineConfig) -> tfx.dsl.Pipeline:
    """Returns the pipeline from CSV to pushed model, for any TFX runner."""
    muwnet = config.profile.muwnet
    fingerprint = source_fingerprint.compute

    # Ingests the data into Examples of three splits; more bad rows than allowed stop the run.
    example_gen = example_gen_component.Fer2013ExampleGen(
        input_base=str(config.data_links.parent),
        pattern=f"{config.data_links.name}/*",
        source_fingerprint=fingerprint(example_gen_component.__name__),
        private_fraction=config.data.source.private_fraction,
        max_bad_rows=config.data.bad_rows,  # the config was made with no more than allowed
        md5=config.data.md5,
    )

    # Imports the curated schema, before the statistics: by it `emotion` is a category.
    schema_gen = curated_schema_gen_component.CuratedSchemaGen(
        SCHEMA_FILE, fingerprint(curated_schema_gen_executor.__name__)
    )

    # Computes statistics of every split.
    statistics_gen = tfx.components.StatisticsGen(
        examples=example_gen.outputs["examples"], schema=schema_gen.outputs["schema"]
    )

    # Holds the statistics against the schema; it only reports.
    example_validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    )

    # Stops the run at an anomaly, or where an evaluation split differs from train.
    anomaly_gate = anomaly_gate_component.AnomalyGate(
        anomalies=example_validator.outputs["anomalies"],
        statistics=statistics_gen.outputs["statistics"],
        schema=schema_gen.outputs["schema"],
        thresholds=split_thresholds.THRESHOLDS,
        source_fingerprint=fingerprint(anomaly_gate_executor.__name__),
    )

    # Decodes images to 48x48 faces; private_test stays out of the training's reach.
    transform = tfx.components.Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn=_dotted_path(preprocessing.preprocessing_fn),
        splits_config=tfx.proto.SplitsConfig(
            analyze=[fer2013.TRAIN], transform=[fer2013.TRAIN, fer2013.PUBLIC_TEST]
        ),
        disable_statistics=True,  # of the transformed bytes: nobody reads them
        custom_config={"source_fingerprint": fingerprint(preprocessing.__name__)},
    )
    # No channel leads from the gate to here: without this line TFX may run them in either order.
    transform.add_upstream_node(anomaly_gate)

    # Trains MuWNet, keeps the best epoch by PublicTest, exports the SavedModel.
    trainer_fingerprint = fingerprint(trainer.__name__)
    train_splits = [fer2013.TRAIN]
    if muwnet.train_on_public_test:
        train_splits.append(fer2013.PUBLIC_TEST)
    trainer_node = tfx.components.Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema_gen.outputs["schema"],
        run_fn=_dotted_path(trainer.run_fn),
        train_args=tfx.proto.TrainArgs(splits=train_splits),
        eval_args=tfx.proto.EvalArgs(splits=[fer2013.PUBLIC_TEST]),
        custom_config={
            "muwnet": dataclasses.asdict(muwnet),
            "checkpoint_dir": str(config.checkpoint_dir),
            "warm_start": config.warm_start and dataclasses.asdict(config.warm_start),
            "teachers": [dataclasses.asdict(teacher) for teacher in config.teachers],
            "lineage": {
                "profile": config.profile.name,
                "lineage": config.lineage,
                "data_md5": config.data.md5,
                "rows": config.data.row_counts,
                "private_fraction": config.data.source.private_fraction,
                "bad_rows_set_aside": config.data.bad_rows,
                "source_fingerprint": trainer_fingerprint,
            },
        },
    )
    trainer_node.add_upstream_node(anomaly_gate)

    # Finds the model to compare with.
    latest_blessed_model = resolver.Resolver(
        strategy_class=baseline.LatestOtherBlessedModel,
        **{
            baseline.CANDIDATE_KEY: trainer_node.outputs["model"],
            baseline.MODEL_KEY: types.Channel(type=standard_artifacts.Model),
            baseline.BLESSING_KEY: types.Channel(type=standard_artifacts.ModelBlessing),
        },
    ).with_id("LatestBlessedModel")

    # Writes the candidate's probabilities down, once.
    predictor = predictor_component.Predictor(
        examples=example_gen.outputs["examples"],
        model=trainer_node.outputs["model"],
        splits=[fer2013.PUBLIC_TEST, fer2013.PRIVATE_TEST],
        source_fingerprint=fingerprint(predictor_executor.__name__),
    )

    # Measures the candidate on private_test, by slices, and blesses it if every gate is passed.
    evaluator = tfx.components.Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer_node.outputs["model"],
        baseline_model=latest_blessed_model.outputs[baseline.MODEL_KEY],
        schema=schema_gen.outputs["schema"],
        example_splits=[fer2013.PRIVATE_TEST],
        eval_config=evaluation.make_eval_config(config.gates, fingerprint(metrics.__name__)),
    )

    # Copies a blessed model to where the server looks for new versions.
    pusher = atomic_pusher_component.AtomicPusher(
        model=trainer_node.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=str(config.output.serving_model)
            )
        ),
        custom_config={
            "source_fingerprint": fingerprint(atomic_pusher_executor.__name__),
            atomic_pusher_executor.POLL_SECONDS_KEY: model_config.POLL_SECONDS,
        },
    ).with_id("Pusher")

    # Writes what people look at, blessed or not.
    report = report_component.Report(
        schema=schema_gen.outputs["schema"],
        examples=example_gen.outputs["examples"],
        statistics=statistics_gen.outputs["statistics"],
        anomalies=example_validator.outputs["anomalies"],
        model=trainer_node.outputs["model"],
        model_run=trainer_node.outputs["model_run"],
        predictions=predictor.outputs["predictions"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        pushed_model=pusher.outputs["pushed_model"],
        thresholds=split_thresholds.THRESHOLDS,
        source_fingerprint=fingerprint(report_executor.__name__, files=site.TEMPLATES.iterdir()),
    )

    return tfx.dsl.Pipeline(
        pipeline_name=pipeline_config.PIPELINE_NAME,
        pipeline_root=str(config.output.pipeline_root),
        components=[
            example_gen,
            schema_gen,
            statistics_gen,
            example_validator,
            anomaly_gate,
            transform,
            trainer_node,
            latest_blessed_model,
            predictor,
            evaluator,
            pusher,
            report,
        ],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(config.output.metadata)
        ),
        # Any flag makes every Beam executor build a source distribution of TFX first.
        beam_pipeline_args=[],
    )


def _dotted_path(function) -> str:
    """Names a function as TFX imports it; not `module_file`, which loses package imports."""
    return f"{function.__module__}.{function.__qualname__}"
