"""The versions of one model: loaded and warmed up before use, unloaded after their last request."""

import contextlib
import dataclasses
import enum
import gc
import logging
import pathlib
import threading
import time

from muwnet_fer.serving.server import batching, errors, servable

_LOGGER = logging.getLogger(__name__)

_Fingerprint = tuple[tuple[str, int, int], ...]


class State(enum.Enum):
    """Of a version: the numbers are ModelVersionStatus.State's."""

    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """Where a version stands; `error` says why it could not be loaded."""

    state: State
    error: str = ""


@dataclasses.dataclass
class Loaded:
    """A loaded version and the number of requests that use it."""

    servable: servable.Servable
    users: int = 0
    is_retired: bool = False


class LoadedVersions:
    """The loaded versions of a model. Thread-safe; `load`, `unload` and `collect` by one at a time.

    Args:
      name: of the model.
      options: of its batches.
    """

    def __init__(self, name: str, options: batching.BatchingOptions):
        self.name = name
        self._options = options
        self._lock = threading.Lock()  # of the three below, held for moments
        self._loaded: dict[int, Loaded] = {}
        self._statuses: dict[int, VersionStatus] = {}
        self._has_ended = False
        self._broken: dict[int, tuple[_Fingerprint, str]] = {}  # and why

    def list_versions(self) -> set[int]:
        """Returns the versions that can be used."""
        with self._lock:
            return set(self._loaded)

    def get_statuses(self) -> dict[int, VersionStatus]:
        """Returns the statuses of all versions ever seen, in order."""
        with self._lock:
            return {version: self._statuses[version] for version in sorted(self._statuses)}

    def take(self, version: int | None) -> Loaded:
        """Returns a version, which stays loaded until `give_back`; None is the newest.

        Raises:
          ServingError: where it is not loaded.
        """
        with self._lock:
            if not self._loaded or (version is not None and version not in self._loaded):
                raise errors.servable_not_found(self.name, version)
            loaded = self._loaded[max(self._loaded) if version is None else version]
            loaded.users += 1
            return loaded

    def give_back(self, loaded: Loaded) -> None:
        """Ends a use of a version."""
        with self._lock:
            loaded.users -= 1
            self._end_unused(loaded)

    def load(self, version: int, path: pathlib.Path) -> str:
        """Loads a version; returns why it could not be, else ''.

        A broken one is not tried again before its files have changed.
        """
        fingerprint = _fingerprint(path)
        broken, reason = self._broken.get(version, (None, ""))
        if broken == fingerprint:
            return reason
        with self._lock:
            self._statuses[version] = VersionStatus(State.LOADING)
        start = time.monotonic()
        try:
            loaded = Loaded(servable.Servable(path, version, self._options))
        except servable.LoadError as error:
            self._broken[version] = (fingerprint, str(error))
            with self._lock:
                self._statuses[version] = VersionStatus(State.END, str(error))
            served = ", ".join(map(str, sorted(self.list_versions()))) or "none"
            _LOGGER.error("%s %s: %s; serving %s", self.name, version, error, served)
            return str(error)
        self._broken.pop(version, None)
        with self._lock:
            self._loaded[version] = loaded
            self._statuses[version] = VersionStatus(State.AVAILABLE)
        seconds = time.monotonic() - start
        _LOGGER.info("%s %s: loaded and warmed up in %.1f s", self.name, version, seconds)
        return ""

    def unload(self, versions: set[int]) -> None:
        """Keeps new requests from versions; each ends with its last request."""
        for version in sorted(versions):
            with self._lock:
                loaded = self._loaded.pop(version)
                loaded.is_retired = True
                self._statuses[version] = VersionStatus(State.UNLOADING)
                self._end_unused(loaded)

    def collect(self) -> None:
        """Gives the memory of versions that have ended back."""
        with self._lock:
            has_ended, self._has_ended = self._has_ended, False
        if has_ended:
            gc.collect()  # a SavedModel holds itself: its variables would stay for long

    def _end_unused(self, loaded: Loaded) -> None:
        """Lets a version go, where it is retired and nobody uses it; the lock is held."""
        if not loaded.is_retired or loaded.users:
            return
        version = loaded.servable.version
        loaded.servable = None
        self._has_ended = True
        if version not in self._loaded:  # not loaded again meanwhile
            self._statuses[version] = VersionStatus(State.END)
        _LOGGER.info("%s %s: unloaded", self.name, version)


def _fingerprint(path: pathlib.Path) -> _Fingerprint:
    """Returns name, size and time of every file of a version, as far as they are still there."""
    stats = []
    for file in sorted(path.rglob("*")):
        with contextlib.suppress(OSError):
            stats.append((str(file), file.stat().st_size, file.stat().st_mtime_ns))
    return tuple(stats)
