"""The model config: TensorFlow Serving's ModelServerConfig as a text file, and what it asks for.

model_config_list {
  config {
    name: "muwnet"
    base_path: "/models/muwnet"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 1 versions: 2 } }
    version_labels { key: "stable" value: 1 }
    version_labels { key: "canary" value: 2 }
  }
}
"""

import dataclasses
import pathlib

from google.protobuf import text_format

from muwnet_fer.serving import apis
from muwnet_fer.serving.server import errors

_PLATFORM = "tensorflow"
_SAVED_MODEL = "saved_model.pb"
_LARGEST_VERSION = 2**63 - 1  # an int64 in every message


@dataclasses.dataclass(frozen=True)
class Model:
    """What the config says of one model.

    Attributes:
      name: that requests use.
      base_path: folder of versions, or of one SavedModel.
      policy: `latest`, `specific` or `all`.
      newest: how many versions `latest` serves.
      versions: those that `specific` serves.
      labels: versions by label.
    """

    name: str
    base_path: pathlib.Path
    policy: str = "latest"
    newest: int = 1
    versions: frozenset[int] = frozenset()
    labels: dict[str, int] = dataclasses.field(default_factory=dict)

    def choose(self, there: dict[int, pathlib.Path]) -> set[int]:
        """Returns which of the versions that are there the policy serves."""
        if self.policy == "all":
            return set(there)
        if self.policy == "specific":
            return self.versions & set(there)
        return set(sorted(there)[-self.newest :])

    def find_absent(self, there: dict[int, pathlib.Path]) -> str:
        """Returns a sentence on versions that the policy serves and that are not there, or ''."""
        absent = sorted(self.versions - set(there))
        if self.policy == "specific" and absent:
            names = ", ".join(map(str, absent))
            return f"Version {names} of servable {self.name} not found under {self.base_path}"
        return "" if there else f"No versions of servable {self.name} under {self.base_path}"


Config = dict[str, Model]


def read(file: pathlib.Path) -> Config:
    """Returns the models of a config file.

    Raises:
      ServingError: for what is no such config.
      OSError: where it cannot be read.
    """
    config = apis.ModelServerConfig()
    try:
        text_format.Parse(file.read_text(encoding="utf-8"), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise errors.invalid_argument(f"Invalid protobuf file: '{file}': {error}") from error
    return parse(config)


def parse(config: apis.ModelServerConfig) -> Config:
    """Returns the models of a config, as TensorFlow Serving's server_core.cc takes them.

    Raises:
      ServingError: see ValidateModelConfigList and GetPlatform there.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise errors.invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
            "ModelConfigList is currently supported"
        )
    models: Config = {}
    for entry in config.model_config_list.config:
        if entry.name in models:
            raise errors.invalid_argument(
                f"Illegal to list model {entry.name} multiple times in config list"
            )
        base_path = pathlib.Path(entry.base_path)
        if not base_path.is_absolute():
            raise errors.invalid_argument(
                f"Expected model {entry.name} to have an absolute path or URI; got "
                f"base_path()={entry.base_path}"
            )
        if not entry.model_platform:
            raise errors.invalid_argument(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                "ModelServerConfig::model_platform."
            )
        if entry.model_platform != _PLATFORM:
            raise errors.invalid_argument(
                f"Model {entry.name} requests unsupported platform {entry.model_platform}"
            )
        policy = entry.model_version_policy
        models[entry.name] = Model(
            entry.name,
            base_path,
            policy.WhichOneof("policy_choice") or "latest",
            max(policy.latest.num_versions, 1),
            frozenset(policy.specific.versions),
            dict(entry.version_labels),
        )
    return models


def list_versions(base_path: pathlib.Path) -> dict[int, pathlib.Path]:
    """Returns the folders named by a number; a SavedModel's own folder is a version as well.

    Raises:
      OSError: where the folder cannot be read.
    """
    if (base_path / _SAVED_MODEL).is_file():
        return {int(base_path.name) if base_path.name.isdecimal() else 1: base_path}
    numbered = {int(p.name): p for p in base_path.iterdir() if p.name.isdecimal()}
    return {version: path for version, path in numbered.items() if version <= _LARGEST_VERSION}
