"""`muwnet-fer serve`."""

import os
import pathlib

import click

from muwnet_fer.data import extras
from muwnet_fer.serving.commands import model_options


@click.command()
@model_options.model_dir_option("Versions in folders named by numbers, or one SavedModel.")
@click.option(
    "--model-config",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="TensorFlow Serving's ModelServerConfig as text: models, versions, labels; is followed.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8500,
    show_default=True,
    help="For gRPC; 0 is any free one.",
)
@click.option(
    "--rest-port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="For REST, metrics and the web page; 0 is any free one.",
)
@click.option("--no-rest", is_flag=True, help="Serves gRPC only.")
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Private key (PEM); with --tls-certificate the server speaks TLS.",
)
@click.option(
    "--tls-certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Certificate chain (PEM).",
)
@click.option(
    "--max-batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Faces that are run at once; 1 turns batching off.",
)
@click.option(
    "--batch-timeout",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="MS",
    help="Milliseconds that a batch waits for more requests.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Requests under way at once; more are told to try again.",
)
@click.option(
    "--max-message",
    type=click.IntRange(min=1, max=1024),
    default=16,
    show_default=True,
    metavar="MIB",
    help="Largest request.",
)
@click.pass_obj
def serve(
    choose_model,
    model_dir,
    model_config,
    host,
    port,
    rest_port,
    no_rest,
    tls_key,
    tls_certificate,
    **bounds,
) -> None:
    """Serve a model by TensorFlow Serving's protocols, gRPC and REST, and a web page.

    New versions are loaded and switched to while requests go on. SIGTERM or SIGINT ends it, after
    the requests under way. Exits with 0, 1 where it cannot start, 2 for a wrong argument.
    """
    if model_dir and model_config:
        raise click.UsageError("expected --model-dir or --model-config, got both")
    if bool(tls_key) != bool(tls_certificate):
        raise click.UsageError("expected --tls-key and --tls-certificate, got one of them")
    extras.require(extras.LOCAL, "serve")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greetings
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if not model_dir and not model_config:
        served = choose_model()
        model_dir, model_config = served.base_path, served.config_file
    from muwnet_fer.serving.server import batching, server

    options = server.ServerOptions(
        host=host,
        port=port,
        rest_port=None if no_rest else rest_port,
        tls_key=tls_key,
        tls_certificate=tls_certificate,
        batches=batching.BatchingOptions(
            max_batch_size=bounds["max_batch_size"],
            timeout=bounds["batch_timeout"] / 1000,
        ),
        max_queue_size=bounds["max_queue"],
        max_message_bytes=bounds["max_message"] * 2**20,
    )
    if model_config:
        read_config = server.follow_file(model_config)
    else:
        read_config = server.follow_folder(model_dir)
    try:
        server.run(read_config, options, click.echo)
    except server.ServerError as error:
        raise click.ClickException(str(error)) from error
