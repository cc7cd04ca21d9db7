"""The `muwnet-fer` command. Its commands import what they need when they run: `--help` answers at
once.
"""

import pathlib
import sys

import click

from muwnet_fer.data import commands as data_commands
from muwnet_fer.models.muwnet import commands as weights_commands
from muwnet_fer.pipeline import commands as pipeline_commands
from muwnet_fer.pipeline import report_commands
from muwnet_fer.serving.commands import labels, predict, serve, webcam


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="muwnet-fer")
@click.pass_context
def main(context: click.Context) -> None:
    """MuWNet on FER2013: from a CSV of faces to a gated, pushed TensorFlow Serving model."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names may be of any bytes
    # Serving knows no pipeline: which model is served where none is named, is handed to it.
    context.obj = _choose_model


for command in (
    pipeline_commands.run,
    pipeline_commands.prune,
    report_commands.report,
    report_commands.runs,
    serve.serve,
    predict.predict,
    webcam.webcam,
    labels.promote,
    labels.rollback,
    data_commands.data,
    weights_commands.weights,
):
    main.add_command(command)


def _list_labels(config_file: pathlib.Path) -> str:
    from muwnet_fer.data import model_config
    from muwnet_fer.serving import apis

    try:
        model = model_config.read(config_file, apis.ModelServerConfig)
    except (model_config.ModelConfigError, OSError) as error:  # the server says it, too
        return str(error)
    return model_config.format_labels(model) or "no labels"


def _choose_model():
    """Returns the ServedModel to ask where none is named, and says which, on standard error."""
    from muwnet_fer.models.muwnet import packaged_weights
    from muwnet_fer.pipeline import served_model

    try:
        served = served_model.choose_model_dir()
    except (served_model.NoModelError, packaged_weights.WeightsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"model    {served.base_path}: {served.description}", err=True)
    if served.config_file:
        labels = _list_labels(served.config_file)
        click.echo(f"config   {served.config_file}: {labels}", err=True)
    return served
