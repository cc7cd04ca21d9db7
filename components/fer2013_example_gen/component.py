"""Fer2013ExampleGen: FER2013 -> gzipped TFRecords of Examples, one split a Usage."""

from google.protobuf import struct_pb2
from tfx.components.example_gen import component as example_gen
from tfx.components.example_gen import driver as example_gen_driver
from tfx.components.example_gen import utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from muwnet_fer.components.fer2013_example_gen import executor
from muwnet_fer.data import fer2013
from muwnet_fer.data import source as data_source


class Driver(example_gen_driver.FileBasedDriver):
    """Keys the cache by the data's content; TFX's own fingerprint is of size and time stamp."""

    def resolve_exec_properties(self, exec_properties, pipeline_info, component_info):
        """Returns TFX's resolved properties, the fingerprint replaced by the data's MD5."""
        resolved = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        source = executor.find_source(resolved)
        resolved[utils.FINGERPRINT_PROPERTY_NAME] = data_source.compute_md5(source)
        return resolved


class Fer2013ExampleGen(example_gen.FileBasedExampleGen):
    """Ingests CSVs of one layout, or one folder of images.

    Component `outputs` contains:
    - `examples`: Examples with the splits train, public_test and private_test; beside the splits
      `quarantine.jsonl`, if bad rows were set aside.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        input_base: str,
        pattern: str,
        source_fingerprint: str,
        private_fraction: float | None = None,
        max_bad_rows: int = 0,
        md5: str | None = None,
    ):
        """Args:
        input_base: folder.
        pattern: glob pattern in it, of files and folders as `data.source.find` takes them.
        source_fingerprint: of the modules behind the executor, so that an edit runs it again.
        private_fraction: share of a folder's `test` that becomes private_test; None for CSVs.
        max_bad_rows: how many bad rows are set aside at most; with more, the executor fails.
        md5: of the data that is meant; with other data, the executor fails. None takes any.
        """
        options = struct_pb2.Struct()
        options["source_fingerprint"] = source_fingerprint
        options[executor.PRIVATE_FRACTION_KEY] = private_fraction
        options[executor.MAX_BAD_ROWS_KEY] = max_bad_rows
        options[executor.MD5_KEY] = md5
        custom_config = example_gen_pb2.CustomConfig()
        custom_config.custom_config.Pack(options)
        super().__init__(
            input_base=input_base,
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="all", pattern=pattern)]
            ),
            # Only the names count: the executor splits by Usage, not by hash.
            output_config=example_gen_pb2.Output(
                split_config=example_gen_pb2.SplitConfig(
                    splits=[
                        example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=1)
                        for name in fer2013.SPLITS
                    ]
                )
            ),
            custom_config=custom_config,
        )
