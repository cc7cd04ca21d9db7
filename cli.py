"""The `muwnet-fer` command. Imports what a command needs when it runs: `--help` answers at once."""

import contextlib
import functools
import os
import pathlib
import sys

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="muwnet-fer")
def main() -> None:
    """MuWNet on FER2013: from a CSV of faces to a gated, pushed TensorFlow Serving model."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names may be of any bytes


def _private_fraction_option(command):
    return click.option(
        "--private-fraction",
        type=float,
        metavar="F",
        help="For a folder of images: the share of `test` that judges models as private_test.",
    )(command)


@main.command()
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
@_private_fraction_option
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
    help="Weights that `cpu-long` and `lite` learn from, named as for --warm-start.  "
    "[default: cpu-long of the package]",
)
@click.option("--output", metavar="DIR", help="Where the run is kept.  [default: output/<lineage>]")
@click.option("--to", metavar="COMPONENT", help="Ends after this component, such as Trainer.")
def run(**options) -> None:
    """Run the pipeline; what did not change is taken from the cache.

    Exits with 0 when the model was blessed and pushed, or nothing had changed; 1 after a crash;
    2 for a wrong argument, bad data or an output folder in use; 3 at an anomaly in the data; 4 when
    it was not blessed; 130 when interrupted.
    """
    from muwnet_fer.pipeline import local_runner

    sys.exit(local_runner.run(**options))


@main.command()
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
    from muwnet_fer.pipeline import prune as pruning

    sys.exit(pruning.run(keep, output, dry_run))


@main.command()
@click.option(
    "--model-dir",
    type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path),
    metavar="DIR",
    help="Versions in folders named by numbers, or one SavedModel.  [default: what FER2013's "
    "lineage pushed, else what another one did last, else packaged weights, else the sample's]",
)
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
def serve(
    model_dir, model_config, host, port, rest_port, no_rest, tls_key, tls_certificate, **bounds
) -> None:
    """Serve a model by TensorFlow Serving's protocols, gRPC and REST, and a web page.

    New versions are loaded and switched to while requests go on. SIGTERM or SIGINT ends it, after
    the requests under way. Exits with 0, 1 where it cannot start, 2 for a wrong argument.
    """
    if model_dir and model_config:
        raise click.UsageError("expected --model-dir or --model-config, got both")
    if bool(tls_key) != bool(tls_certificate):
        raise click.UsageError("expected --tls-key and --tls-certificate, got one of them")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greetings
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if not model_dir and not model_config:
        served = _choose_model()
        model_dir, model_config = served.base_path, served.config_file
    from muwnet_fer.serving.server import batching, server

    options = server.ServerOptions(
        host=host,
        port=port,
        rest_port=None if no_rest else rest_port,
        tls_key=tls_key,
        tls_certificate=tls_certificate,
        batches=batching.BatchingOptions(
            max_batch_size=bounds["max_batch_size"], timeout=bounds["batch_timeout"] / 1000
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


class _DetectorCommand(click.Command):
    """Takes `--detector haar` and `--detector yunet FILE`: click's options have a fixed length."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for at, word in enumerate(args):
            if word == "--":
                break
            if word == "--detector" and args[at + 1 : at + 2] == ["yunet"]:
                args = [*args[: at + 1], ":".join(args[at + 1 : at + 3]), *args[at + 3 :]]
                break
        return super().parse_args(ctx, args)


@main.command(cls=_DetectorCommand)
@click.argument(
    "path", nargs=-1, required=True, type=click.Path(exists=True, path_type=pathlib.Path)
)
@click.option("--server", metavar="HOST:PORT", help="Server to ask, by gRPC.")
@click.option(
    "--model-dir",
    type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path),
    metavar="DIR",
    help="SavedModel, or folder of versions, to load in this process.  [default: what FER2013's "
    "lineage pushed, else what another one did last, else packaged weights, else the sample's]",
)
@click.option(
    "--root-certificates",
    type=click.File("rb"),
    metavar="FILE",
    help="Authorities to trust (PEM): the server is asked by TLS.",
)
@click.option("--json", "as_json", is_flag=True, help="Prints a line of JSON for each file.")
@click.option(
    "--annotate",
    type=click.Path(file_okay=False, path_type=pathlib.Path),
    metavar="DIR",
    help="Writes copies with the faces marked into DIR, under the same names.",
)
@click.option(
    "--detector",
    default="haar",
    metavar="haar|yunet FILE",
    help="What finds the faces: OpenCV's Haar cascade, or YuNet from its ONNX file.  "
    "[default: haar]",
)
def predict(path, server, model_dir, root_certificates, as_json, annotate, detector) -> None:
    """Find the faces in photographs, files or folders of them, and recognise their emotions.

    A file without a face, and one that is no picture, are reported and the others still done.
    Exits with 0 where every file had a face; 1 where one had none, could not be read or written, or
    the model did not answer; 2 for a wrong argument.
    """
    if server and model_dir:
        raise click.UsageError("expected --server or --model-dir, got both")
    if root_certificates and not server:
        raise click.UsageError("expected --server with --root-certificates")
    from muwnet_fer.serving import photographs, prediction
    from muwnet_fer.serving import predict as predicting

    try:
        files = photographs.find(path, annotate)
        copies = photographs.plan_copies(files, annotate) if annotate else {}
        finder = _make_detector(detector)
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not files:
        raise click.ClickException("expected pictures, got folders without any")
    try:
        with _open_model(server, model_dir, root_certificates) as model:
            results = predicting.predict(files, model, finder, copies)
            report = functools.partial(click.echo, err=True)
            sys.exit(predicting.run(results, as_json, click.echo, report))
    except prediction.PredictionError as error:
        raise click.ClickException(str(error)) from error


def _make_detector(kind: str):
    from muwnet_fer.serving import faces

    if kind == "haar":
        return faces.HaarDetector()
    if kind.startswith("yunet:"):
        return faces.YuNetDetector(kind.removeprefix("yunet:"))
    raise click.UsageError(f"expected --detector haar or --detector yunet FILE, got {kind!r}")


@contextlib.contextmanager
def _open_model(server: str | None, model_dir: pathlib.Path | None, root_certificates):
    """Yields what predicts: a client of the server, else a model in this process."""
    if server:
        from muwnet_fer.serving import client

        trusted = root_certificates.read() if root_certificates else None
        try:
            emotions = client.EmotionClient(server, root_certificates=trusted)
        except ValueError as error:
            raise click.UsageError(f"--server: {error}") from error
        with emotions:
            yield emotions
        return
    if model_dir is None:
        from muwnet_fer.serving import promotion

        served = _choose_model()
        model_dir = served.base_path
        if served.config_file:
            with _model_config_errors():
                model_dir = promotion.find_stable(served.config_file)
            click.echo(f"stable   version {model_dir.name}", err=True)
    from muwnet_fer.serving import local_model

    yield local_model.LocalModel(model_dir)


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
        click.echo(f"config   {served.config_file}", err=True)
    return served


_config_option = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="The model config file that servers poll.  [default: output/*/model_config.pbtxt]",
)


@main.command()
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
@_config_option
def promote(
    version: int, label: str, server: tuple[str, ...], timeout: float, config: str | None
) -> None:
    """Make the pushed VERSION stable or canary, in the two steps that servers need.

    Servers first load the version, then take the label. Without --server the label moves only where
    the file lists the version already, as it does the canary.

    Exits with 0 when the label has moved; 1 when a server did not load the version, and nothing has
    changed; 2 for a wrong argument or file; 3 when step one is done and the command has to be run
    again.
    """
    from muwnet_fer.serving import promotion

    with _model_config_errors():
        path = _find_model_config(config)
        try:
            moved = promotion.promote(path, version, label, server, timeout, click.echo)
        except promotion.NotLoadedError as error:
            raise click.ClickException(str(error)) from error
    sys.exit(0 if moved else 3)


@main.command()
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


@main.group()
def data() -> None:
    """Make and look at data."""


@data.command()
@click.argument("path", nargs=-1, required=True, type=click.Path(exists=True))
@_private_fraction_option
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
    from muwnet_fer.data import download as kaggle

    try:
        is_new = kaggle.download(to)
    except (OSError, kaggle.DownloadError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{to}: {'downloaded' if is_new else 'here already'}, MD5 as Kaggle's")


@main.command()
@click.option(
    "--source",
    default="0",
    show_default=True,
    metavar="N|FILE|URL",
    help="A camera's number, a video file, or the URL of a stream.",
)
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="[default: 127.0.0.1:8500; where none is there, `muwnet-fer serve` is started]",
)
@click.option("--output", metavar="FILE.mp4", help="Records what is shown; a new file.")
@click.option("--csv", metavar="FILE", help="A row for each face and frame; a new file.")
@click.option("--no-display", is_flag=True, help="Opens no window.")
@click.option(
    "--smoothing",
    type=click.FloatRange(min=0, max=60),
    default=0.5,
    show_default=True,
    metavar="S",
    help="Seconds over which a face's probabilities are averaged; 0 for not at all.",
)
@click.option(
    "--max-faces",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="The N largest faces of a frame are looked at.",
)
@click.option(
    "--keys",
    default="",
    metavar="KEYS",
    help="Presses these keys, one a frame; a dot is a frame without: `em...s`.",
)
def webcam(**options) -> None:
    """Recognise the faces that a camera, a video file or a stream shows.

    Keys: q quits, s saves a snapshot, space pauses, m mirrors, e lays emoticons over the faces.

    With --output or --csv each frame of a file is worked on, however long it takes; else a file
    plays at its own speed, and late frames are dropped, like a camera's.

    Exits with 0 at the end of a file, after q and when interrupted; 1 when it cannot go on; 2 for a
    wrong argument.
    """
    from muwnet_fer.serving import webcam as webcam_command

    try:
        webcam_command.run(
            webcam_command.Options(**options), lambda line: click.echo(line, err=True)
        )
    except webcam_command.ERRORS as error:
        raise click.ClickException(str(error)) from error
    except webcam_command.AddressError as error:
        raise click.UsageError(str(error)) from error


@main.group()
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

    click.echo(weights_commands.format_list())


@weights.command()
@click.argument("name", nargs=-1)
@_data_option
def verify(name: tuple[str, ...], data: str | None) -> None:
    """Measure weights (NAMEs, or all of the package) again and hold them against their manifests.

    Exits with 1 where a figure differs by more than 0.05 points; 2 for a wrong argument.
    """
    from muwnet_fer.models.muwnet import weights_commands

    source = _find_fer2013(data)
    with _weights_errors():
        sys.exit(0 if weights_commands.verify(name, source, click.echo) else 1)


@weights.command()
@click.argument("version", type=click.Path(exists=True, file_okay=False))
@click.argument("name")
@_data_option
@click.option("--to", metavar="DIR", help="Folder.  [default: that of the package]")
def package(version: str, name: str, data: str | None, to: str | None) -> None:
    """Turn the pushed model in folder VERSION into weights NAME, in half precision, measured."""
    from muwnet_fer.models.muwnet import weights_commands

    source = _find_fer2013(data)
    with _weights_errors():
        click.echo(weights_commands.package(version, name, source, to))


@weights.command()
@click.argument("name")
@click.argument("folder", type=click.Path())
def export(name: str, folder: str) -> None:
    """Write weights NAME as a SavedModel into FOLDER, with a pushed version's signatures."""
    from muwnet_fer.models.muwnet import weights_commands

    if os.path.lexists(folder):
        raise click.ClickException(f"expected {folder} not to be there yet: name another")
    with _weights_errors():
        weights_commands.export(name, folder)
    click.echo(f"{folder}: SavedModel of {name}")


def _find_fer2013(data: str | None):
    from muwnet_fer.pipeline import config

    try:
        source = config.find_source([] if data is None else [data], None)
    except config.ConfigError as error:
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
