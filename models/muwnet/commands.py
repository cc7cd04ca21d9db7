"""`muwnet-fer weights`: list, check, export or package trained weights."""

import contextlib
import os
import sys

import click

from muwnet_fer.data import extras


@click.group()
def weights() -> None:
    """Trained weights: list, check, export or package them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greetings


_data_option = click.option(
    "--data", metavar="CSV", help="FER2013.  [default: $FER2013_CSV, data/raw/fer2013.csv]"
)


@weights.command(name="list")
def list_weights() -> None:
    """List the weights in the package and what they reach on FER2013."""
    from muwnet_fer.models.muwnet import weights_commands

    with _weights_errors():
        click.echo(weights_commands.format_list())


@weights.command()
@click.argument("name", nargs=-1)
@_data_option
def verify(name: tuple[str, ...], data: str | None) -> None:
    """Measure weights (NAMEs, or all of the package) again and hold them against their manifests.

    Exits with 1 where a figure differs by more than 0.05 points; 2 for a wrong argument.
    """
    extras.require(extras.LOCAL, "weights verify")
    from muwnet_fer.models.muwnet import weights_commands

    source = _find_fer2013(data)
    with _weights_errors():
        sys.exit(0 if weights_commands.verify(name, source, click.echo) else 1)


@weights.command()
@click.argument("version")
@click.argument("name")
@_data_option
@click.option("--to", metavar="DIR", help="Folder.  [default: that of the package]")
@click.option("--replace", is_flag=True, help="Even where there are weights NAME.")
def package(version: str, name: str, data: str | None, to: str | None, replace: bool) -> None:
    """Turn the pushed model in folder VERSION into weights NAME, in half precision, measured.

    VERSION may be weights as well: they are measured again.
    """
    extras.require(extras.LOCAL, "weights package")
    from muwnet_fer.models.muwnet import weights_commands

    source = _find_fer2013(data)
    with _weights_errors():
        click.echo(weights_commands.package(version, name, source, to, replace))


@weights.command()
@click.argument("name")
@click.argument("folder", type=click.Path())
def export(name: str, folder: str) -> None:
    """Write weights NAME as a SavedModel into FOLDER, with a pushed version's signatures."""
    extras.require(extras.LOCAL, "weights export")
    from muwnet_fer.models.muwnet import weights_commands

    if os.path.lexists(folder):
        raise click.ClickException(f"expected {folder} not to be there yet: name another")
    with _weights_errors():
        weights_commands.export(name, folder)
    click.echo(f"{folder}: SavedModel of {name}")


def _find_fer2013(data: str | None):
    from muwnet_fer.data import location

    try:
        source = location.find_source([] if data is None else [data], None)
    except location.LocationError as error:
        raise click.UsageError(str(error)) from error
    if source is None:
        raise click.UsageError("expected FER2013: name it by --data or FER2013_CSV")
    return source


@contextlib.contextmanager
def _weights_errors():
    """Turns what is wrong with weights or data into a message."""
    from muwnet_fer.data import rows
    from muwnet_fer.models.muwnet import packaged_weights

    try:
        yield
    except (packaged_weights.WeightsError, rows.MalformedDataError, OSError) as error:
        raise click.ClickException(str(error)) from error
