"""TFX's push, into a temporary folder first: a server never sees half a version."""

import pathlib
from typing import Any

from tensorflow_serving.config import model_server_config_pb2
from tfx import types
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import json_utils, proto_utils

from muwnet_fer.components.atomic_pusher import versions
from muwnet_fer.data import model_config

# TFX's names of the properties that it sets where it pushed, there private.
_PUSHED, _DESTINATION, _VERSION = "pushed", "pushed_destination", "pushed_version"
# Of `custom_config`: how often servers look at the model config file; 0 where none does.
POLL_SECONDS_KEY = "poll_seconds"


class Executor(executor.Executor):
    """TFX's own executor copies file by file to where servers look."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes a blessed model as a version above all others; its artifact names that version.

        The file beside the versions that servers poll names it canary.

        Raises:
          ModelConfigError: where that file is none; there is no new version then.
          Exception: whatever stopped the copy; there is no new version then either.
        """
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination
        )
        serving_model_dir = pathlib.Path(destination.filesystem.base_directory)
        config_file = serving_model_dir.with_name(model_config.FILE_NAME)
        if config_file.exists():  # what is wrong with it comes up before a version is there
            model_config.read(config_file, model_server_config_pb2.ModelServerConfig)
        destination.filesystem.base_directory = str(versions.temporary_dir(serving_model_dir))
        redirected = {
            **exec_properties,
            standard_component_specs.PUSH_DESTINATION_KEY: proto_utils.proto_to_json(destination),
        }
        versions.clear_temporary(serving_model_dir)
        try:
            super().Do(input_dict, output_dict, redirected)
            pushed_model = artifact_utils.get_single_instance(
                output_dict[standard_component_specs.PUSHED_MODEL_KEY]
            )
            if pushed_model.get_int_custom_property(_PUSHED):
                complete = pathlib.Path(pushed_model.get_string_custom_property(_DESTINATION))
                version = versions.publish(complete, serving_model_dir)
                pushed_model.set_string_custom_property(_DESTINATION, str(version))
                pushed_model.set_string_custom_property(_VERSION, version.name)
                model_config.label_pushed(
                    config_file,
                    model_server_config_pb2.ModelServerConfig,
                    version,
                    _read_poll_seconds(exec_properties),
                )
        finally:
            versions.clear_temporary(serving_model_dir)


def _read_poll_seconds(exec_properties: dict[str, Any]) -> float:
    custom_config = exec_properties.get(standard_component_specs.CUSTOM_CONFIG_KEY) or "null"
    return (json_utils.loads(custom_config) or {}).get(POLL_SECONDS_KEY, 0)
