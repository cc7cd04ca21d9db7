"""Which versions are served: follows the model config and the base paths while requests go on.

What cannot be loaded, or is no config, is reported; what was served before goes on being served.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from muwnet_fer.serving.server import batching, errors, loaded_versions, model_config, servable

_LOGGER = logging.getLogger(__name__)


class ModelManager:
    """The models of a server; thread-safe.

    Args:
      read_config: returns the config that is wanted; is asked again at every poll.
      options: of the batches.
    """

    def __init__(
        self, read_config: Callable[[], model_config.Config], options: batching.BatchingOptions
    ):
        self._read_config = read_config
        self._options = options
        self._lock = threading.Lock()  # of the two below, held for moments
        self._config: model_config.Config = {}
        self._versions: dict[str, loaded_versions.LoadedVersions] = {}
        self._updating = threading.Lock()  # one change of versions at a time
        self._read: model_config.Config = {}
        self._reported: set[str] = set()
        self._reported_before: set[str] = set()
        self._stop = threading.Event()
        self._poller: threading.Thread | None = None

    def start(self, poll_seconds: float = 1.0) -> None:
        """Loads what the config asks for, then follows config and base paths until `close`.

        Labels may name versions that are not loaded yet, as in TensorFlow Serving with
        --allow_version_labels_for_unavailable_models, without which no config with labels starts.

        Raises:
          ServingError: for a bad config, and a model of which no version can be loaded.
          OSError: for a config that cannot be read.
        """
        self._read = self._config = self._read_config()
        self._apply()
        self._poller = threading.Thread(target=self._poll, args=[poll_seconds], daemon=True)
        self._poller.start()

    def close(self) -> None:
        """Ends the polling; what is loaded stays."""
        self._stop.set()
        if self._poller:
            self._poller.join()

    def reload(self, config: model_config.Config) -> None:
        """Takes another config, and returns when its versions are loaded.

        Raises:
          ServingError: where a label names a version that is not available, in which case nothing
            changes, and where a model has no version that can be loaded.
        """
        self._apply(config)

    @contextlib.contextmanager
    def use(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Iterator[servable.Servable]:
        """Gives a version, which stays loaded within the `with`: the newest, unless one is named.

        Raises:
          ServingError: for a model, version or label that there is not.
        """
        with self._lock:  # until the version is taken: a label may be about to move
            version = self._find_version(name, version, label)
            if name not in self._versions:
                raise errors.servable_not_found(name, version)
            versions = self._versions[name]
            loaded = versions.take(version)
        try:
            yield loaded.servable
        finally:
            versions.give_back(loaded)

    def get_statuses(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> dict[int, loaded_versions.VersionStatus]:
        """Returns the statuses of all versions ever seen, or of the one that is named.

        Raises:
          ServingError: for a model, version or label that there is not.
        """
        with self._lock:
            version = self._find_version(name, version, label)
            statuses = self._versions[name].get_statuses() if name in self._versions else {}
        if version is not None:
            statuses = {v: status for v, status in statuses.items() if v == version}
        if not statuses:
            raise errors.no_status(name, version)
        return statuses

    def list_models(self) -> dict[str, list[int]]:
        """Returns the versions that can be used, by model."""
        with self._lock:
            return {name: sorted(self._versions[name].list_versions()) for name in self._config}

    def has_model(self, name: str) -> bool:
        """Returns whether the config lists a model of that name."""
        return name in self._config

    def has_label(self, name: str, label: str) -> bool:
        """Returns whether the config gives a model's version that label."""
        model = self._config.get(name)
        return model is not None and label in model.labels

    def _find_version(self, name: str, version: int | None, label: str | None) -> int | None:
        if label is None:
            return version
        if name not in self._config or label not in self._config[name].labels:
            raise errors.unknown_label(label)
        return self._config[name].labels[label]

    def _poll(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            try:
                self._follow()
            except (OSError, errors.ServingError) as error:
                self._report(str(error))
            except Exception:  # a poller that dies would silently freeze the versions
                _LOGGER.exception("Following the versions failed; trying again")
            self._reported_before, self._reported = self._reported, set()

    def _follow(self) -> None:
        """Takes the config that is wanted, where it changed, and what is new in the base paths."""
        try:
            wanted = self._read_config()
            if wanted != self._read:
                self._apply(wanted)
                self._read = wanted
                _LOGGER.info("The model config is taken over")
        finally:
            self._apply()  # a bad config keeps no new version from being loaded

    def _report(self, problem: str) -> None:
        """Logs a problem once, however many polls it lasts."""
        if problem not in self._reported_before | self._reported:
            _LOGGER.error("%s", problem)
        self._reported.add(problem)

    def _apply(self, wanted: model_config.Config | None = None) -> None:
        """Loads and unloads until what is served is what the config asks for, as far as it can.

        Args:
          wanted: config in place of the one in force.
        """
        with self._updating:
            if wanted is not None:
                self._check_labels(wanted)
            with self._lock:
                config = self._config = self._config if wanted is None else wanted
                for name in config.keys() - self._versions.keys():
                    self._versions[name] = loaded_versions.LoadedVersions(name, self._options)
            for name in self._versions.keys() - config.keys():
                self._versions[name].unload(self._versions[name].list_versions())
            reasons = {name: self._update(model) for name, model in config.items()}
            for versions in self._versions.values():
                versions.collect()
            available = self.list_models()
        missing = {name: why for name, why in reasons.items() if not available[name]}
        if missing:
            raise errors.models_not_available(missing)

    def _check_labels(self, config: model_config.Config) -> None:
        """Refuses a config that moves a label to a version that is not available."""
        available = self.list_models()
        for name, model in config.items():
            before = self._config[name].labels if name in self._config else {}
            for label, version in model.labels.items():
                if version != before.get(label) and version not in available.get(name, ()):
                    raise errors.label_of_unavailable_version(name, version)

    def _update(self, model: model_config.Model) -> str:
        """Loads and unloads a model's versions; returns why one could not be loaded, else ''."""
        versions = self._versions[model.name]
        try:
            there = model_config.list_versions(model.base_path)
        except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
            problem = f"Could not find base path {str(model.base_path)!r}: {error}"
            self._report(problem)
            return problem
        wanted = model.choose(there)
        absent = model.find_absent(there)
        if absent:
            self._report(absent)
        reasons = [absent]
        for version in sorted(wanted - versions.list_versions()):
            reasons.append(versions.load(version, there[version]))
        loaded = versions.list_versions()
        if wanted & loaded:
            versions.unload(loaded - wanted)
        elif not loaded and model.policy == "latest":
            # A server that starts beside a broken version serves the one before it.
            for version in sorted(set(there) - wanted, reverse=True):
                if not versions.load(version, there[version]):
                    break
        return "; ".join(filter(None, reasons))
