"""`muwnet-fer webcam`."""

import click

from muwnet_fer.serving.commands import model_options


@click.command()
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
@model_options.root_certificates_option
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
def webcam(root_certificates, **options) -> None:
    """Recognise the faces that a camera, a video file or a stream shows.

    Keys: q quits, s saves a snapshot, space pauses, m mirrors, e lays emoticons over the faces.

    With --output or --csv each frame of a file is worked on, however long it takes; else a file
    plays at its own speed, and late frames are dropped, like a camera's.

    Exits with 0 at the end of a file, after q and when interrupted; 1 when it cannot go on; 2 for a
    wrong argument.
    """
    if root_certificates and not options["server"]:
        raise click.UsageError("expected --server with --root-certificates")
    trusted = root_certificates.read() if root_certificates else None
    from muwnet_fer.serving import webcam as webcam_command

    try:
        webcam_command.run(
            webcam_command.Options(**options, root_certificates=trusted),
            lambda line: click.echo(line, err=True),
        )
    except KeyboardInterrupt:  # before the loop began, which ends by itself
        pass
    except webcam_command.ERRORS as error:
        raise click.ClickException(str(error)) from error
    except webcam_command.AddressError as error:
        raise click.UsageError(str(error)) from error
