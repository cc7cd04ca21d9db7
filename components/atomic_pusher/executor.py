"""TFX's push, into a temporary folder first: a server never sees half a version."""

import pathlib
from typing import Any

from tfx import types
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from muwnet_fer.components.atomic_pusher import versions

# TFX's names of the properties that it sets where it pushed, there private.
_PUSHED, _DESTINATION, _VERSION = "pushed", "pushed_destination", "pushed_version"


class Executor(executor.Executor):
    """TFX's own executor copies file by file to where servers look."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes a blessed model as a version above all others; its artifact names that version.

        Raises:
          Exception: whatever stopped the copy; there is no new version then.
        """
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination
        )
        serving_model_dir = pathlib.Path(destination.filesystem.base_directory)
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
        finally:
            versions.clear_temporary(serving_model_dir)
