"""What `muwnet-fer promote` and `rollback` do: labels move in the file that servers poll.

Why in two steps, is in data/model_config.py.
"""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import grpc

from muwnet_fer.data import model_config
from muwnet_fer.serving import apis, channel

_CLASS = apis.ModelServerConfig
_AVAILABLE, _FAILED = "AVAILABLE", "END"
_ASK_AGAIN_SECONDS = 0.5


class NotLoadedError(RuntimeError):
    """A server that could not load a version, or not in time."""


def find_config_file(output: pathlib.Path) -> pathlib.Path:
    """Returns the only model config file in the folders of all lineages.

    Raises:
      ModelConfigError: where there is none, or more than one.
    """
    found = sorted(output.glob(f"*/{model_config.FILE_NAME}"))
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise model_config.ModelConfigError(
            f"expected one {model_config.FILE_NAME} in the folders of {output}, got {names}: name "
            "one with --config"
        )
    return found[0]


def promote(
    path: pathlib.Path,
    version: int,
    label: str,
    servers: Sequence[str],
    timeout: float,
    echo: Callable[[str], None],
    root_certificates: bytes | None = None,
) -> bool:
    """Moves a label; returns False where only step one is done.

    Args:
      path: of the file.
      version: that gets the label.
      label: model_config.STABLE or CANARY.
      servers: addresses, host:port, of the gRPC ports of all that poll the file. Step two waits
        until they have loaded the version. With none it comes at once where the version is listed.
      timeout: seconds to wait.
      echo: is given a line for each step.
      root_certificates: PEM of the authorities to trust; with it the servers are asked by TLS.

    Raises:
      ModelConfigError: for a version that is not there; see also model_config.read.
      NotLoadedError: where the version is not loaded; the file is as it was.
      OSError: where the file cannot be read or written.
    """
    model = model_config.read(path, _CLASS)
    _check_is_there(model, version)
    if model.version_labels.get(label) == version:
        _wait_until_loaded(servers, version, timeout, root_certificates)
        unasked = "" if servers else "; --server HOST:8500 would ask whether it is loaded"
        echo(f"{path}: {label} is {version} already{unasked}")
        return True
    listed = version in model.model_version_policy.specific.versions
    if not listed:
        with model_config.edit(path, _CLASS) as model:
            model_config.list_version(model, version)
        echo(f"{path}: step 1 of 2, servers load {version} within {model_config.POLL_SECONDS} s")
        if not servers:
            echo(
                f"step 2: when http://SERVER:8501/v1/models/{model_config.MODEL_NAME}/versions/"
                f"{version} says AVAILABLE, run the same command again; with --server HOST:8500 "
                "it would wait itself"
            )
            return False
    try:
        _wait_until_loaded(servers, version, timeout, root_certificates)
    except BaseException:
        if not listed:
            with model_config.edit(path, _CLASS) as model:
                model_config.unlist_version(model, version)
        raise
    with model_config.edit(path, _CLASS) as model:
        model_config.set_label(model, label, version)
        labels = model_config.format_labels(model)
    echo(f"{path}: {labels}")
    return True


def roll_back(path: pathlib.Path, echo: Callable[[str], None]) -> None:
    """Makes the version stable that was so before: servers have it loaded, so one step does.

    Raises:
      ModelConfigError: where there is none; see also model_config.read.
      OSError: where the file cannot be read or written.
    """
    with model_config.edit(path, _CLASS) as model:
        _check_is_there(model, model_config.roll_back(model))
        labels = model_config.format_labels(model)
    echo(f"{path}: {labels}")


def _check_is_there(model, version: int) -> None:
    base_path = pathlib.Path(model.base_path)
    if not (base_path / str(version)).is_dir():
        there = sorted(int(p.name) for p in base_path.glob("*") if p.name.isdecimal())
        raise model_config.ModelConfigError(
            f"expected a version of {', '.join(map(str, there)) or 'none'} in {base_path}, got "
            f"{version}"
        )


def _wait_until_loaded(
    servers: Sequence[str], version: int, timeout: float, root_certificates: bytes | None
) -> None:
    """Returns when all servers have loaded a version; raises NotLoadedError."""
    started = time.monotonic()
    for server in servers:
        with _open_status(server, version, root_certificates) as read_status:
            while (status := read_status()) != _AVAILABLE:
                waited = time.monotonic() - started
                # Before it has read the file again, a server may tell of a failure of long ago.
                has_failed = status.startswith(_FAILED) and waited > 2 * model_config.POLL_SECONDS
                if has_failed or waited > timeout:
                    raise NotLoadedError(
                        f"expected {server} to load version {version} within {timeout:g} s, got "
                        f"{status}"
                    )
                time.sleep(_ASK_AGAIN_SECONDS)


@contextlib.contextmanager
def _open_status(
    server: str, version: int, root_certificates: bytes | None
) -> Iterator[Callable[[], str]]:
    """Yields a function that asks a server for a version's state, in words."""
    request = apis.GetModelStatusRequest()
    request.model_spec.name = model_config.MODEL_NAME
    request.model_spec.version.value = version
    with channel.open_channel(server, root_certificates) as connection:
        get_model_status = connection.unary_unary(
            apis.GET_MODEL_STATUS,
            request_serializer=apis.GetModelStatusRequest.SerializeToString,
            response_deserializer=apis.GetModelStatusResponse.FromString,
        )

        def read_status() -> str:
            try:
                (status,) = get_model_status(request, timeout=5).model_version_status
            except grpc.RpcError as error:
                # A server that is down or has not read the file yet may still come.
                return f"{error.code().name}: {error.details()}"
            if status.state == apis.ModelVersionStatus.END and status.status.error_code:
                return f"{_FAILED}: {status.status.error_message}"
            return apis.ModelVersionStatus.State.Name(status.state)

        yield read_status


def find_stable(config_file: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the version that is stable.

    Raises:
      ModelConfigError: for a file that is no such config, or that calls none stable.
      OSError: where it cannot be read.
    """
    model = model_config.read(config_file, _CLASS)
    if model_config.STABLE not in model.version_labels:
        raise model_config.ModelConfigError(
            f"expected a version with the label {model_config.STABLE} in {config_file}, got "
            f"{model_config.format_labels(model) or 'none'}"
        )
    return pathlib.Path(model.base_path, str(model.version_labels[model_config.STABLE]))
