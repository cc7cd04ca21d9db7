"""Fer2013ExampleGen: FER2013's CSV -> gzipped TFRecords of Examples, one split a Usage."""

import pathlib

from google.protobuf import struct_pb2
from tfx.components.example_gen import component as example_gen
from tfx.components.example_gen import driver as example_gen_driver
from tfx.components.example_gen import utils
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from muwnet_fer.components.fer2013_example_gen import executor
from muwnet_fer.data import csv_file, fer2013


class Driver(example_gen_driver.FileBasedDriver):
    """Keys the cache by the CSV's content; TFX's own fingerprint is of size and time stamp."""

    def resolve_exec_properties(self, exec_properties, pipeline_info, component_info):
        """Returns TFX's resolved properties, the fingerprint replaced by the CSV's MD5."""
        resolved = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        path = executor.csv_path(resolved)
        resolved[utils.FINGERPRINT_PROPERTY_NAME] = csv_file.identify(path).md5
        return resolved


class Fer2013ExampleGen(example_gen.FileBasedExampleGen):
    """Ingests one CSV.

    Component `outputs` contains:
    - `examples`: Examples with the splits train, public_test and private_test.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = Driver

    def __init__(self, csv: str, source_fingerprint: str):
        """Args:
        csv: path of the CSV.
        source_fingerprint: of the modules behind the executor, so that an edit runs it again.
        """
        path = pathlib.Path(csv).absolute()
        fingerprint = struct_pb2.Struct()
        fingerprint["source_fingerprint"] = source_fingerprint
        custom_config = example_gen_pb2.CustomConfig()
        custom_config.custom_config.Pack(fingerprint)
        super().__init__(
            input_base=str(path.parent),
            # TFX's default pattern takes every file of the folder.
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="csv", pattern=path.name)]
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
