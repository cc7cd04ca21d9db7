"""`muwnet-fer run` and `prune`. TFX is imported when a run begins."""

import sys

import click

from muwnet_fer.data import commands as data_commands
from muwnet_fer.data import extras


@click.command()
@click.option(
    "--profile",
    help="smoke, cpu, cpu-long, lite, paper-1 or paper-2.  [default: smoke, cpu on data]",
)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="FER2013's CSV (plain, .gz, .zip, .tar.gz), shards of it (repeat, or name their folder), "
    "or a folder of images.  [default: $FER2013_CSV, data/raw/fer2013.csv, or a drawn sample]",
)
@data_commands.private_fraction_option
@click.option(
    "--max-bad-rows",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Sets up to N bad rows aside in quarantine.jsonl.  [default: 0, any stops the run]",
)
@click.option(
    "--warm-start",
    metavar="WEIGHTS",
    help="Starts the training from weights of the package, NAME.json or a pushed version's folder.",
)
@click.option(
    "--teacher",
    multiple=True,
    metavar="WEIGHTS",
    help="Weights to learn from, for a profile that learns from others, named as for --warm-start; "
    "repeat for several.  [default: the profile's own, of the package]",
)
@click.option("--output", metavar="DIR", help="Where the run is kept.  [default: output/<lineage>]")
@click.option("--to", metavar="COMPONENT", help="Ends after this component, such as Trainer.")
def run(**options) -> None:
    """Run the pipeline; what did not change is taken from the cache.

    Exits with 0 when the model was blessed and pushed, or nothing had changed; 1 after a crash;
    2 for a wrong argument, bad data or an output folder in use; 3 at an anomaly in the data; 4 when
    it was not blessed; 130 when interrupted.
    """
    extras.require(extras.PIPELINE, "run")
    from muwnet_fer.pipeline import local_runner

    sys.exit(local_runner.run(**options))


@click.command()
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="Number of newest runs, and of newest versions, that stay.",
)
@click.option("--dry-run", is_flag=True, help="Only says what would go.")
@click.option("--output", metavar="DIR", help="One lineage's folder.  [default: all under output/]")
def prune(keep: int, dry_run: bool, output: str | None) -> None:
    """Delete what old runs left: artifacts, pushed versions, logs.

    The newest blessed model, the newest pushed one and checkpoints that a run could go on from
    stay, however old. Exits with 0, 1 where something could not be deleted, 2 for a wrong argument.
    """
    extras.require(extras.PIPELINE, "prune")
    from muwnet_fer.pipeline import prune as pruning

    sys.exit(pruning.run(keep, output, dry_run))
