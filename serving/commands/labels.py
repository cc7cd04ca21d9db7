"""`muwnet-fer promote` and `rollback`."""

import contextlib
import pathlib
import sys

import click

from muwnet_fer.serving.commands import model_options

_config_option = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="The model config file that servers poll.  [default: output/*/model_config.pbtxt]",
)


@click.command()
@click.argument("version", type=int)
@click.option(
    "--label", type=click.Choice(["stable", "canary"]), required=True, help="What it becomes."
)
@click.option(
    "--server",
    multiple=True,
    metavar="HOST:PORT",
    help="gRPC port of a running server to wait for (repeat for all that poll the file).",
)
@click.option(
    "--timeout", type=float, default=120, show_default=True, help="Seconds to wait for servers."
)
@model_options.root_certificates_option
@_config_option
def promote(version, label, server, timeout, root_certificates, config) -> None:
    """Make the pushed VERSION stable or canary, in the two steps that servers need.

    Servers first load the version, then take the label. Without --server the label moves only where
    the file lists the version already, as it does the canary.

    Exits with 0 when the label has moved; 1 when a server did not load the version, and nothing has
    changed; 2 for a wrong argument or file; 3 when step one is done and the command has to be run
    again.
    """
    from muwnet_fer.serving import promotion

    if root_certificates and not server:
        raise click.UsageError("expected --server with --root-certificates")
    trusted = root_certificates.read() if root_certificates else None
    with _model_config_errors():
        path = _find_model_config(config)
        try:
            moved = promotion.promote(path, version, label, server, timeout, click.echo, trusted)
        except promotion.NotLoadedError as error:
            raise click.ClickException(str(error)) from error
    sys.exit(0 if moved else 3)


@click.command()
@_config_option
def rollback(config: str | None) -> None:
    """Make the version stable again that was so before.

    Exits with 0; 2 for a wrong file, or one that names no version as stable before.
    """
    from muwnet_fer.serving import promotion

    with _model_config_errors():
        promotion.roll_back(_find_model_config(config), click.echo)


def _find_model_config(config: str | None) -> pathlib.Path:
    from muwnet_fer.serving import promotion

    if config is not None:
        return pathlib.Path(config)
    return promotion.find_config_file(pathlib.Path("output"))


@contextlib.contextmanager
def _model_config_errors():
    """Turns what is wrong with the model config file into a message."""
    from muwnet_fer.data import model_config

    try:
        yield
    except (model_config.ModelConfigError, OSError) as error:
        raise click.UsageError(str(error)) from error
