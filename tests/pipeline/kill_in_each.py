"""Runs the pipeline again and again on one output folder, killed in another component each time.

    python kill_in_each.py OUTPUT NODE:MOMENT [NODE:MOMENT ...]

Every run is a child process that kills itself (SIGKILL) in its node. MOMENT is "before" the node's
executor, so many seconds within it, or "after" it, when it is done but ML Metadata does not know
yet. Prints how each ended. TFX is imported once, before the children are made: that saves ten
seconds each.
"""

import os
import signal
import sys
import threading

from tfx.orchestration.portable import launcher

from muwnet_fer.pipeline import local_runner, pipeline, tracked_runner  # noqa: F401


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in(node: str, moment: str) -> None:
    """Patches TFX's launcher to end this process at a moment of a node."""
    launch, run_executor = launcher.Launcher.launch, launcher.Launcher._run_executor

    def run_executor_killed(self, *arguments, **options):
        if self._pipeline_node.node_info.id != node:
            return run_executor(self, *arguments, **options)
        if moment == "before":
            kill()
        if moment != "after":
            threading.Timer(float(moment), kill).start()
        run_executor(self, *arguments, **options)
        kill()

    def launch_killed(self):
        launched = launch(self)
        if self._pipeline_node.node_info.id == node:
            kill()  # a node without executor
        return launched

    launcher.Launcher._run_executor = run_executor_killed
    launcher.Launcher.launch = launch_killed


def main(output: str, *kills: str) -> None:
    for spec in kills:
        child = os.fork()
        if not child:
            kill_in(*spec.split(":"))
            os._exit(local_runner.run(output=output))
        _, status = os.waitpid(child, 0)
        print(f"{spec} ended with {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
