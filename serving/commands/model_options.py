"""The options by which commands name a model, and the port of a server, once."""

import pathlib

import click


def model_dir_option(help_text: str):
    """Returns `--model-dir`, the default of which the function in click's context chooses."""
    return click.option(
        "--model-dir",
        type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path),
        metavar="DIR",
        help=f"{help_text}  [default: what FER2013's lineage pushed, else what another one did "
        "last, else packaged weights, else the sample's]",
    )


root_certificates_option = click.option(
    "--root-certificates",
    type=click.File("rb"),
    metavar="FILE",
    help="Authorities to trust (PEM): the server is asked by TLS.",
)
