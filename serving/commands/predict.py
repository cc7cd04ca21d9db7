"""`muwnet-fer predict`."""

import contextlib
import functools
import pathlib
import sys

import click

from muwnet_fer.data import extras
from muwnet_fer.serving.commands import model_options


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


@click.command(cls=_DetectorCommand)
@click.argument(
    "path", nargs=-1, required=True, type=click.Path(exists=True, path_type=pathlib.Path)
)
@click.option("--server", metavar="HOST:PORT", help="Server to ask, by gRPC.")
@model_options.model_dir_option("SavedModel, or folder of versions, to load in this process.")
@model_options.root_certificates_option
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
@click.pass_obj
def predict(
    choose_model, path, server, model_dir, root_certificates, as_json, annotate, detector
) -> None:
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
        with _open_model(choose_model, server, model_dir, root_certificates) as model:
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
def _open_model(
    choose_model, server: str | None, model_dir: pathlib.Path | None, root_certificates
):
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
    extras.require(extras.LOCAL, "predict without --server")
    if model_dir is None:
        from muwnet_fer.data import model_config
        from muwnet_fer.serving import promotion

        served = choose_model()
        model_dir = served.base_path
        if served.config_file:
            try:
                model_dir = promotion.find_stable(served.config_file)
            except (model_config.ModelConfigError, OSError) as error:
                raise click.UsageError(str(error)) from error
            click.echo(f"stable   version {model_dir.name}", err=True)
    from muwnet_fer.serving import local_model

    model = local_model.LocalModel(model_dir)
    if model.path != model_dir:
        click.echo(f"newest   version {model.path.name}", err=True)
    yield model
