"""`muwnet-fer data`: make and look at data."""

import os
import pathlib
import sys

import click

from muwnet_fer.data import extras


def private_fraction_option(command):
    """Adds the option that folders of images need."""
    return click.option(
        "--private-fraction",
        type=float,
        metavar="F",
        help="For a folder of images: the share of `test` that judges models as private_test.",
    )(command)


@click.group()
def data() -> None:
    """Make and look at data."""


@data.command()
@click.argument("path", nargs=-1, required=True, type=click.Path(exists=True))
@private_fraction_option
def check(path: tuple[str, ...], private_fraction: float | None) -> None:
    """Count and check the rows of PATH, in any form that `run --data` takes.

    Exits with 0 when a run would take them as they are; 1 when there are bad rows, or nothing that
    is FER2013's form; 2 for a wrong argument.
    """
    from muwnet_fer.data import audit, rows, source

    try:
        found = audit.audit(source.find(list(map(pathlib.Path, path)), private_fraction))
    except rows.MalformedDataError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    click.echo(audit.format_audit(found))
    sys.exit(1 if found.faults.count or found.empty_splits else 0)


@data.command()
@click.option("--rows", type=int, default=3500, show_default=True, help="Number of faces.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same file.")
@click.argument("csv", type=click.Path(dir_okay=False))
def synthesize(rows: int, seed: int, csv: str) -> None:
    """Draw faces with known expressions into CSV, in FER2013's format."""
    from muwnet_fer.data import synthetic

    if os.path.lexists(csv):
        raise click.ClickException(f"expected {csv} not to be there yet, got a file: name another")
    try:
        synthetic.synthesize(csv, rows, seed)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot write {csv}: {error.strerror}") from error
    click.echo(f"{csv}: {rows} drawn faces")


@data.command()
@click.option(
    "--to",
    type=click.Path(dir_okay=False),
    default="data/raw/fer2013.csv",
    show_default=True,
    help="Where the CSV goes; no other file there is overwritten.",
)
def download(to: str) -> None:
    """Download FER2013 from Kaggle, with your credentials there, and check its MD5."""
    extras.require(extras.PIPELINE, "data download")
    from muwnet_fer.data import download as kaggle

    try:
        is_new = kaggle.download(to)
    except (OSError, kaggle.DownloadError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{to}: {'downloaded' if is_new else 'here already'}, MD5 as Kaggle's")
