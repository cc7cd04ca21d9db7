"""Runs the pipeline again and again on one output folder, with an error in another component each
time.

    python fail_in_each.py OUTPUT [NODE ...]

Every run is a child process whose NODE raises instead of running. TFX is imported once, before the
children are made. Prints how each ended.
"""

import os
import sys

from tfx.orchestration.portable import launcher

from muwnet_fer.pipeline import local_runner, pipeline, tracked_runner  # noqa: F401


def fail_in(node: str) -> None:
    """Patches TFX's launcher."""
    launch = launcher.Launcher.launch

    def launch_or_fail(self):
        if self._pipeline_node.node_info.id == node:
            raise OSError(f"<b>{node}</b> fails, says this test")
        return launch(self)

    launcher.Launcher.launch = launch_or_fail


def main(output: str, *nodes: str) -> None:
    for node in nodes:
        child = os.fork()
        if not child:
            fail_in(node)
            os._exit(local_runner.run(output=output))
        _, status = os.waitpid(child, 0)
        print(f"{node} ended with {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
