"""Extras: what a command needs beyond the base install, which is the client."""

import importlib.util

import click

LOCAL, PIPELINE = "local", "pipeline"
# Modules that tell whether an extra is there; they are not imported.
_MODULES = {
    LOCAL: ("tensorflow", "keras", "scipy", "grpc_health", "prometheus_client", "tornado"),
    PIPELINE: ("tfx", "tensorflow_data_validation", "ml_metadata", "kagglehub", "matplotlib"),
}


class MissingExtraError(click.ClickException):
    """An extra that is not installed; the message says which and how it is."""

    exit_code = 2


def require(extra: str, purpose: str) -> None:
    """Raises MissingExtraError where the modules of an extra are not there.

    Args:
      extra: LOCAL or PIPELINE.
      purpose: what it is needed for, such as "run".
    """
    missing = [name for name in _MODULES[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"expected muwnet-fer[{extra}] for {purpose}, got no module {missing[0]!r}: "
            f"pip install 'muwnet-fer[{extra}]'"
        )
