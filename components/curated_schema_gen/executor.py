"""Checks the schema's text and writes it down."""

import pathlib
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

SCHEMA_TEXT_KEY, SCHEMA_KEY = "schema_text", "schema"
_FILE_NAME = "schema.pbtxt"  # where TFX's components look


class Executor(base_executor.BaseExecutor):
    """Writes `schema.pbtxt`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises:
        text_format.ParseError: where the text is no Schema; it names the line.
        """
        text = exec_properties[SCHEMA_TEXT_KEY]
        text_format.Parse(text, schema_pb2.Schema())
        folder = pathlib.Path(artifact_utils.get_single_uri(output_dict[SCHEMA_KEY]))
        (folder / _FILE_NAME).write_text(text, encoding="utf-8")
