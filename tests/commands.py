"""Runs the project's commands as a user would, in processes of their own."""

import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
BIN = pathlib.Path(sys.executable).parent
_LONGEST_SECONDS = 800  # below pytest's limit, which would not say what the command had said


@dataclasses.dataclass(frozen=True)
class Command:
    """A finished process."""

    exit_code: int
    output: str  # standard output and error as one


def run_command(*arguments, cwd: pathlib.Path, **environment: str) -> Command:
    """Runs a command of this environment, with no data or profile but what is given."""
    process = start_command(*arguments, cwd=cwd, **environment)
    try:
        output, _ = process.communicate(timeout=_LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"{arguments} did not end; it said:\n{output}") from None
    return Command(process.returncode, output)


def start_command(*arguments, cwd: pathlib.Path, **environment: str) -> subprocess.Popen:
    """Starts one, in a process group of its own, as a terminal does; its output is one pipe."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name != "FER2013_CSV" and not name.startswith("MUWNET_")
    }
    env |= {"PATH": f"{BIN}{os.pathsep}{env['PATH']}", **environment}
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )


def copy_package(folder: pathlib.Path) -> pathlib.Path:
    """Copies the package into a folder, which as PYTHONPATH makes it the one that is run."""
    package = folder / "muwnet_fer"
    ignored = shutil.ignore_patterns(".*", "output", "__pycache__", "raw", "*.egg-info")
    shutil.copytree(ROOT, package, ignore=ignored)
    return package


def copy_package_without_weights(folder: pathlib.Path) -> pathlib.Path:
    """The same without the trained weights, which are served where there is no other model."""
    package = copy_package(folder)
    shutil.rmtree(package / "models" / "muwnet" / "weights", ignore_errors=True)
    return package


def create_by_tfx(cwd: pathlib.Path, **environment: str) -> Command:
    """Creates the pipeline by TFX's own command, whose home is kept in `cwd`."""
    runner = ROOT / "pipeline" / "local_runner.py"
    command = ("tfx", "pipeline", "create", "--engine=local", f"--pipeline_path={runner}")
    return run_command(*command, cwd=cwd, LOCAL_HOME=str(cwd / "tfx"), **environment)


def run_by_tfx(cwd: pathlib.Path, **environment: str) -> Command:
    """Runs the pipeline that was created there."""
    command = ("tfx", "run", "create", "--engine=local", "--pipeline_name=muwnet-fer")
    return run_command(*command, cwd=cwd, LOCAL_HOME=str(cwd / "tfx"), **environment)
