"""Which versions are loaded: follows the base paths and the model config while requests go on.

A version is loaded and warmed up before any request reaches it, and unloaded once its last request
has ended. What cannot be loaded is reported, and what was served before goes on being served.
"""

import contextlib
import dataclasses
import enum
import gc
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

from muwnet_fer.serving.server import batching, errors, model_config, servable

_LOGGER = logging.getLogger(__name__)

Fingerprint = tuple[tuple[str, int, int], ...]


class State(enum.Enum):
    """Of a version: the numbers are ModelVersionStatus.State's."""

    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass
class VersionStatus:
    """Where a version stands; `error` says why it could not be loaded."""

    state: State
    error: str = ""


@dataclasses.dataclass
class _Loaded:
    """A loaded version and the number of requests that use it."""

    servable: servable.Servable
    users: int = 0
    retired: bool = False


class ModelManager:
    """The loaded versions by model; thread-safe.

    Args:
      read_config: returns the config that is wanted; is asked again at every poll.
      options: of the batches.
    """

    def __init__(
        self,
        read_config: Callable[[], model_config.Config],
        options: batching.BatchingOptions = batching.BatchingOptions(),  # noqa: B008 (frozen)
    ):
        self._read_config = read_config
        self._options = options
        self._lock = threading.Lock()  # of the three below, held for moments
        self._models: model_config.Config = {}
        self._loaded: dict[str, dict[int, _Loaded]] = {}
        self._statuses: dict[str, dict[int, VersionStatus]] = {}
        self._updating = threading.Lock()  # one change of versions at a time
        self._broken: dict[tuple[str, int], Fingerprint] = {}
        self._read: model_config.Config | None = None
        self._reported: set[str] = set()
        self._reported_before: set[str] = set()
        self._has_ended = threading.Event()
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
        self._read = self._read_config()
        self._models = self._read
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
        with self._lock:
            if label is not None:
                version = self._find_label(name, label)
            versions = self._loaded.get(name, {})
            if not versions or (version is not None and version not in versions):
                raise errors.servable_not_found(name, version)
            loaded = versions[max(versions) if version is None else version]
            loaded.users += 1
        try:
            yield loaded.servable
        finally:
            with self._lock:
                loaded.users -= 1
                ended = loaded.retired and loaded.users == 0
            if ended:
                self._end(name, loaded)

    def get_statuses(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> dict[int, VersionStatus]:
        """Returns the statuses of all versions ever seen, or of the one that is named.

        Raises:
          ServingError: for a model, version or label that there is not.
        """
        with self._lock:
            if label is not None:
                version = self._find_label(name, label)
            statuses = self._statuses.get(name, {})
            if version is not None:
                statuses = {v: status for v, status in statuses.items() if v == version}
            if not statuses:
                raise errors.no_status(name, version)
            return {v: dataclasses.replace(statuses[v]) for v in sorted(statuses)}

    def list_models(self) -> dict[str, list[int]]:
        """Returns the versions that can be used, by model."""
        with self._lock:
            return {name: sorted(self._loaded.get(name, {})) for name in self._models}

    def _find_label(self, name: str, label: str) -> int:
        model = self._models.get(name)
        if model is None or label not in model.labels:
            raise errors.unknown_label(label)
        return model.labels[label]

    def _poll(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            try:
                self._follow()
            except (OSError, errors.ServingError) as error:
                self._report(str(error))
            except Exception:  # a poller that dies would silently freeze the versions
                _LOGGER.exception("Following the versions failed; trying again")
            self._reported_before, self._reported = self._reported, set()
            if self._has_ended.is_set():
                self._has_ended.clear()
                gc.collect()  # a SavedModel holds itself: its variables would stay for long

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

    def _check_labels(self, config: model_config.Config) -> None:
        """Refuses a config that moves a label to a version that is not available."""
        for name, model in config.items():
            before = self._models[name].labels if name in self._models else {}
            for label, version in model.labels.items():
                if version != before.get(label) and version not in self._loaded.get(name, ()):
                    raise errors.label_of_unavailable_version(name, version)

    def _apply(self, wanted: model_config.Config | None = None) -> None:
        """Loads and unloads until what is served is what the config asks for, as far as it can.

        Args:
          wanted: config in place of the one in force.
        """
        with self._updating:
            if wanted is not None:
                self._check_labels(wanted)
            with self._lock:
                config = self._models = self._models if wanted is None else wanted
                for name in config:
                    self._loaded.setdefault(name, {})
            for name in self._loaded.keys() - config.keys():
                self._unload(name, set(self._loaded[name]))
            reasons = {name: self._update(model) for name, model in config.items()}
            missing = {name: why for name, why in reasons.items() if not self._loaded[name]}
            if missing:
                raise errors.models_not_available(missing)

    def _update(self, model: model_config.Model) -> str:
        """Loads and unloads a model's versions; returns why one could not be loaded, else ''."""
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
        for version in sorted(wanted - self._loaded[model.name].keys()):
            reasons.append(self._load(model.name, version, there[version]))
        loaded = set(self._loaded[model.name])
        if wanted & loaded:
            self._unload(model.name, loaded - wanted)
        elif not loaded and model.policy == "latest":
            # A server that starts beside a broken version serves the one before it.
            for version in sorted(set(there) - wanted, reverse=True):
                if not self._load(model.name, version, there[version]):
                    break
        return "; ".join(filter(None, reasons))

    def _load(self, name: str, version: int, path: pathlib.Path) -> str:
        """Loads a version; returns why it could not be, else ''."""
        fingerprint = _fingerprint(path)
        if self._broken.get((name, version)) == fingerprint:
            return self._statuses[name][version].error
        self._set_status(name, version, State.LOADING)
        start = time.monotonic()
        try:
            loaded = _Loaded(servable.Servable(path, version, self._options))
        except servable.LoadError as error:
            self._broken[name, version] = fingerprint  # not tried again before its files change
            self._set_status(name, version, State.END, str(error))
            served = ", ".join(map(str, sorted(self._loaded[name])))
            _LOGGER.error("%s %s: %s; serving %s", name, version, error, served or "none")
            return str(error)
        self._broken.pop((name, version), None)
        with self._lock:
            self._loaded[name] = {**self._loaded[name], version: loaded}
        self._set_status(name, version, State.AVAILABLE)
        seconds = time.monotonic() - start
        _LOGGER.info("%s %s: loaded and warmed up in %.1f s", name, version, seconds)
        return ""

    def _unload(self, name: str, versions: set[int]) -> None:
        """Keeps requests from versions; each ends with its last request."""
        for version in sorted(versions):
            self._set_status(name, version, State.UNLOADING)
            with self._lock:
                loaded = self._loaded[name].pop(version)
                loaded.retired = True
                ended = loaded.users == 0
            if ended:
                self._end(name, loaded)

    def _end(self, name: str, loaded: _Loaded) -> None:
        version = loaded.servable.version
        loaded.servable = None
        self._has_ended.set()
        if version not in self._loaded[name]:  # not loaded again meanwhile
            self._set_status(name, version, State.END)
        _LOGGER.info("%s %s: unloaded", name, version)

    def _set_status(self, name: str, version: int, state: State, error: str = "") -> None:
        with self._lock:
            self._statuses.setdefault(name, {})[version] = VersionStatus(state, error)


def _fingerprint(path: pathlib.Path) -> Fingerprint:
    """Returns name, size and time of every file of a version, as far as they are still there."""
    stats = []
    for file in sorted(path.rglob("*")):
        with contextlib.suppress(OSError):
            stats.append((str(file), file.stat().st_size, file.stat().st_mtime_ns))
    return tuple(stats)
