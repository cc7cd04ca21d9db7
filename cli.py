"""The `muwnet-fer` command. Imports what a command needs when it runs: `--help` answers at once."""

import sys

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="muwnet-fer")
def main() -> None:
    """MuWNet on FER2013: from a CSV of faces to a gated, pushed TensorFlow Serving model."""


@main.command()
@click.option("--profile", help="smoke, cpu, paper-1 or paper-2.  [default: smoke, cpu on a CSV]")
@click.option(
    "--data",
    metavar="CSV",
    help="FER2013's CSV.  [default: $FER2013_CSV, data/raw/fer2013.csv, or a drawn sample]",
)
@click.option("--output", metavar="DIR", help="Where the run is kept.  [default: output/<lineage>]")
@click.option("--to", metavar="COMPONENT", help="Ends after this component, such as Trainer.")
def run(profile: str | None, data: str | None, output: str | None, to: str | None) -> None:
    """Run the pipeline; what did not change is taken from the cache.

    Exits with 0 when the model was blessed and pushed, or nothing had changed; 1 after a crash;
    2 for a wrong argument or bad data; 3 at an anomaly in the data; 4 when it was not blessed;
    130 when interrupted.
    """
    from muwnet_fer.pipeline import local_runner

    sys.exit(local_runner.run(csv=data, profile=profile, output=output, to=to))


@main.group()
def data() -> None:
    """Make and look at data."""


@data.command()
@click.option("--rows", type=int, default=3500, show_default=True, help="Number of faces.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same file.")
@click.argument("csv", type=click.Path(dir_okay=False))
def synthesize(rows: int, seed: int, csv: str) -> None:
    """Draw faces with known expressions into CSV, in FER2013's format."""
    from muwnet_fer.data import synthetic

    try:
        synthetic.synthesize(csv, rows, seed)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{csv}: {rows} drawn faces")
