"""CuratedSchemaGen: TFX's ImportSchemaGen, run again when the schema file's text changes."""

import hashlib
import pathlib

from tfx import types
from tfx.components.schema_gen.import_schema_gen import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs


class CuratedSchemaGenSpec(types.ComponentSpec):
    """ImportSchemaGen's interface and a fingerprint: its own cache key is the path alone."""

    PARAMETERS = {
        **standard_component_specs.ImportSchemaGenSpec.PARAMETERS,
        "source_fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = standard_component_specs.ImportSchemaGenSpec.INPUTS
    OUTPUTS = standard_component_specs.ImportSchemaGenSpec.OUTPUTS


class CuratedSchemaGen(base_component.BaseComponent):
    """Imports a schema written by hand.

    Component `outputs` contains:
    - `schema`: a copy of the file.
    """

    SPEC_CLASS = CuratedSchemaGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, schema_file: pathlib.Path):
        super().__init__(
            CuratedSchemaGenSpec(
                schema_file=str(schema_file),
                source_fingerprint=hashlib.sha256(schema_file.read_bytes()).hexdigest(),
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
