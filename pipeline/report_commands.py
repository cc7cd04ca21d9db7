"""`muwnet-fer report` and `runs`: what runs made, to look at."""

import contextlib
import json
import logging
import os
import warnings
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any

import click

from muwnet_fer.data import extras


def _output_option(command: Callable) -> Callable:
    return click.option(
        "--output",
        metavar="DIR",
        help="One lineage's folder.  [default: that of the newest run under output/]",
    )(command)


@click.command()
@_output_option
@click.option(
    "--run",
    "run_id",
    default="latest",
    show_default=True,
    metavar="ID",
    help="A run's id, or a pushed version.",
)
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Reports about run B, with a page that holds it against run A.",
)
@click.option("--open", "open_page", is_flag=True, help="Opens it in a browser.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "json"]),
    default="html",
    show_default=True,
    help="html writes the site into DIR/report/ and prints its path; json prints its facts.",
)
def report(
    output: str | None, run_id: str, compare: tuple[str, str] | None, open_page: bool, form: str
) -> None:
    """Write the site about a run: data, training, evaluation, gates, history, model card.

    Exits with 0, 1 where it could not be read or written, 2 for a wrong argument.
    """
    extras.require(extras.PIPELINE, "report")
    if compare and run_id != "latest":
        raise click.UsageError("expected --run or --compare, got both")
    if open_page and form == "json":
        raise click.UsageError("expected --open with --format html, got json")
    folder = _find_folder(output)
    _be_quiet()
    from muwnet_fer.components.report import paired, site
    from muwnet_fer.pipeline import run_report

    compared_id, run_id = compare or (None, run_id)
    with _errors_said(folder, run_id, paired.ComparisonError):
        if form == "json":
            facts = site.collect(run_report.read_sources(folder, run_id, compared_id))
            click.echo(json.dumps(facts, indent=1))
            return
        path = run_report.write(folder, run_id, compared_id)
    click.echo(path)
    if open_page and not webbrowser.open(path.as_uri()):
        raise click.ClickException(f"no browser to open {path} in")


@click.group(invoke_without_command=True)
@_output_option
@click.pass_context
def runs(context: click.Context, output: str | None) -> None:
    """List the runs of an output folder, the newest last."""
    extras.require(extras.PIPELINE, "runs")
    context.obj = output
    if context.invoked_subcommand is None:
        from muwnet_fer.pipeline import run_list

        folder = _find_folder(output)
        with _errors_said(folder, "latest"):
            click.echo(run_list.format_table(run_list.read(folder)))


@runs.command()
@click.argument("run_id", metavar="ID")
@click.pass_obj
def show(output: str | None, run_id: str) -> None:
    """Show what led to a run's model, and what became of it.

    ID is a run's, `latest`, or a pushed version.
    """
    _be_quiet()
    from muwnet_fer.pipeline import run_lineage

    folder = _find_folder(output)
    with _errors_said(folder, run_id):
        click.echo(run_lineage.describe(folder, run_id))


def _be_quiet() -> None:
    """Hides what TensorFlow and TFX say of themselves when they are imported and used."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from muwnet_fer.pipeline import run_list

    warnings.filterwarnings("ignore")
    warnings.filterwarnings("default", category=run_list.DamagedRunWarning)


def _find_folder(output: str | None) -> Any:
    from muwnet_fer.pipeline import output_folder, run_list

    try:
        return run_list.find_folder(output)
    except output_folder.OutputFolderError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def _errors_said(folder: Any, run_id: str, *of_arguments: type[Exception]) -> Iterator[None]:
    """Makes messages of what can be wrong with a run.

    Args:
      of_arguments: errors, besides one of a run that is not there, for which the command line is
        to blame.
    """
    from muwnet_fer.pipeline import run_list

    try:
        yield
    except (run_list.RunError, *of_arguments) as error:
        raise click.UsageError(str(error)) from error
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:  # of ML Metadata or TensorFlow, for a damaged store or artifact
        raise click.ClickException(
            f"expected the artifacts of run {run_id} under {folder.path}, got "
            f"{type(error).__name__}: {error}"
        ) from error
