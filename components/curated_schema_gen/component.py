"""CuratedSchemaGen: a schema written by hand, as an artifact.

TFX's ImportSchemaGen keys its cache by the file's path: an edit of the file would go unseen.
"""

import pathlib

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from muwnet_fer.components.curated_schema_gen import executor


class CuratedSchemaGenSpec(types.ComponentSpec):
    """The schema's text in, the Schema artifact out."""

    PARAMETERS = {
        executor.SCHEMA_TEXT_KEY: component_spec.ExecutionParameter(type=str),
        "source_fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {}
    OUTPUTS = {executor.SCHEMA_KEY: component_spec.ChannelParameter(type=standard_artifacts.Schema)}


class CuratedSchemaGen(base_component.BaseComponent):
    """Imports a schema file (a Schema proto as text).

    Component `outputs` contains:
    - `schema`: the file's content.
    """

    SPEC_CLASS = CuratedSchemaGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, schema_file: pathlib.Path, source_fingerprint: str):
        """Reads the file now: its text, not its path, is the key of the cache."""
        super().__init__(
            CuratedSchemaGenSpec(
                schema_text=schema_file.read_text(encoding="utf-8"),
                source_fingerprint=source_fingerprint,
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
