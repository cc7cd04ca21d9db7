"""prune: deletes what old runs left, but nothing that a run, a comparison or a server goes on from.

An artifact is marked in ML Metadata, so that neither TFX's cache nor the search for a baseline
offers it, and then deleted: killed in between, the next prune deletes the rest. No TFX here, which
takes ten seconds to import.
"""

import dataclasses
import pathlib
import shutil
import sys
from collections.abc import Iterator

from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tensorflow_serving.config import model_server_config_pb2

from muwnet_fer.components.atomic_pusher import versions
from muwnet_fer.components.report import exit_codes
from muwnet_fer.data import atomic_file, model_config
from muwnet_fer.models.muwnet import checkpoint
from muwnet_fer.pipeline import config as pipeline_config
from muwnet_fer.pipeline import lineage_lock, output_folder

_SYSTEM = ".system"  # TFX's own folder beside a node's artifacts


@dataclasses.dataclass(frozen=True)
class History:
    """What ML Metadata knows of the runs.

    `used` are the artifacts that a run took or made, from the cache too. `live` are those that are
    still offered; an artifact's maker is the execution that ran, not those that took it from the
    cache.
    """

    runs: list[metadata_store_pb2.Context]  # oldest first
    run_of: dict[int, int]  # by execution
    used: dict[int, set[int]]  # by run
    live: dict[int, metadata_store_pb2.Artifact]  # by id
    maker: dict[int, int]  # by artifact


@dataclasses.dataclass(frozen=True)
class Plan:
    """What goes. `runs` counts those that lose an artifact; `paths` are by what they are."""

    runs: int
    artifacts: list[metadata_store_pb2.Artifact]
    paths: dict[str, list[pathlib.Path]]

    def describe(self) -> str:
        """Returns counts and size of what is there, "nothing" if nothing is."""
        counts = {"runs": self.runs, "artifacts": len(self.artifacts)}
        counts |= {name: len(paths) for name, paths in self.paths.items()}
        parts = [f"{name}: {count}" for name, count in counts.items() if count]
        size = sum(_measure(path) for paths in self.paths.values() for path in paths)
        return f"{', '.join(parts)}; {size / 1e6:.1f} MB" if parts else "nothing"


def run(keep: int, output: str | None = None, dry_run: bool = False) -> int:
    """Prunes an output folder, or all under output/, and says so; returns the exit code.

    Args:
      keep: number of newest runs, and of newest pushed versions, that stay; at least 1.
      output: folder of one lineage; None for all under output/.
      dry_run: only says what would go.
    """
    try:
        folders = output_folder.find_claimed(output, pipeline_config.OUTPUT)
    except output_folder.OutputFolderError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    return max(_prune_with_messages(folder, keep, dry_run) for folder in folders)


def _prune_with_messages(folder: output_folder.OutputFolder, keep: int, dry_run: bool) -> int:
    try:
        # No run may begin meanwhile.
        with lineage_lock.hold(folder.path):
            said = prune(folder, keep, dry_run)
        print(f"{folder.path}: {'would remove' if dry_run else 'removed'} {said}")
        return exit_codes.OK
    except (output_folder.OutputFolderError, lineage_lock.LineageBusyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except (OSError, errors.StatusError) as error:
        print(f"error: {error}; prune again for the rest", file=sys.stderr)
        return exit_codes.CRASHED


def prune(folder: output_folder.OutputFolder, keep: int, dry_run: bool = False) -> str:
    """Prunes one output folder; returns what goes, in words.

    Raises:
      OutputFolderError: for a folder that is laid out otherwise than a run does.
      OSError, errors.StatusError: where something could not be deleted or marked.
    """
    if not folder.metadata.exists():
        return "nothing: no run got so far"
    store = _connect(folder.metadata, dry_run)
    plan = make_plan(folder, read_history(store), keep)
    said = plan.describe()
    if not dry_run:
        _carry_out(plan, store)
    return said


def read_history(store: metadata_store.MetadataStore) -> History:
    """Returns what ML Metadata knows of the runs."""
    runs = sorted(store.get_contexts_by_type("pipeline_run"), key=lambda run: run.id)
    run_of, complete = {}, set()
    for run_context in runs:
        for execution in store.get_executions_by_context(run_context.id):
            run_of[execution.id] = run_context.id
            if execution.last_known_state == metadata_store_pb2.Execution.COMPLETE:
                complete.add(execution.id)
    used, maker = {run_context.id: set() for run_context in runs}, {}
    for event in store.get_events_by_execution_ids(run_of) if run_of else ():
        used[run_of[event.execution_id]].add(event.artifact_id)
        if event.type == metadata_store_pb2.Event.OUTPUT and event.execution_id in complete:
            maker[event.artifact_id] = event.execution_id
    live = {
        artifact.id: artifact
        for artifact in store.get_artifacts_by_id(list(maker))
        if artifact.state == metadata_store_pb2.Artifact.LIVE
    }
    return History(runs, run_of, used, live, maker)


def make_plan(folder: output_folder.OutputFolder, history: History, keep: int) -> Plan:
    """Returns what goes; nothing, where no run is known.

    The `keep` newest runs stay, and those that made the newest blessed and the newest pushed model;
    of the versions, the `keep` newest, those that a PushedModel names which stays, and those that
    servers load.

    Raises:
      OutputFolderError: where a link stands for a folder, or the file that servers poll is none.
    """
    if not history.runs:
        return Plan(0, [], {})
    runs = _choose_runs(history, keep)
    executions = _choose_executions(history, runs)
    kept = [a for a in history.live.values() if history.maker[a.id] in executions]
    removed = [a for a in history.live.values() if history.maker[a.id] not in executions]
    removed_ids = {artifact.id for artifact in removed}
    oldest = next(run_context for run_context in history.runs if run_context.id in runs)
    return Plan(
        sum(not used.isdisjoint(removed_ids) for used in history.used.values()),
        removed,
        {
            "folders": [
                path
                for path in _list_execution_folders(folder.pipeline_root)
                if path.name not in map(str, executions)
            ]
            + _list_half_versions(folder.serving_model),
            "versions": [
                path
                for path in versions.list_versions(_refuse_link(folder.serving_model))[:-keep]
                if path.name not in _read_versions(kept) | _read_served(folder)
            ],
            "checkpoints": [
                path for path in _list(folder.checkpoints) if not checkpoint.is_resumable(path)
            ],
            "unfinished files": [
                path
                for parent in (folder.path, folder.sample, *_list(folder.checkpoints))
                for path in atomic_file.list_unfinished(parent)
            ],
            # A run writes its log to its end.
            "logs": [
                path
                for path in _list(folder.logs)
                if path.suffix == ".log"
                and path.lstat().st_mtime * 1000 < oldest.create_time_since_epoch
            ],
        },
    )


def _choose_runs(history: History, keep: int) -> set[int]:
    runs = {run_context.id for run_context in history.runs[-keep:]}
    for type_name, mark in (("ModelBlessing", "blessed"), ("PushedModel", "pushed")):
        marked = [
            artifact.id
            for artifact in history.live.values()
            # Asked for with [], a property that is not there would be made.
            if artifact.type == type_name
            and mark in artifact.custom_properties
            and artifact.custom_properties[mark].int_value == 1
        ]
        if marked:
            runs.add(history.run_of[history.maker[max(marked)]])
    return runs


def _choose_executions(history: History, runs: set[int]) -> set[int]:
    """Returns the makers of all that the runs used.

    An execution's artifacts stay or go together: TFX's cache takes all of them or none.
    """
    used = set().union(*(history.used[run_id] for run_id in runs))
    return {history.maker[artifact_id] for artifact_id in used & history.live.keys()}


def _read_versions(artifacts: list[metadata_store_pb2.Artifact]) -> set[str]:
    """Returns the versions that the PushedModels among the artifacts name."""
    return {
        artifact.custom_properties["pushed_version"].string_value
        for artifact in artifacts
        if "pushed_version" in artifact.custom_properties
    }


def _list_execution_folders(pipeline_root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields <node>/<key>/<execution>, and what <node>/.system/<kind>/ holds."""
    for node in _list(pipeline_root):
        for key in _list(node):
            if key.name != _SYSTEM:
                yield from _list(key)
            else:
                for kind in _list(key):
                    yield from _list(kind)


def _read_served(folder: output_folder.OutputFolder) -> set[str]:
    """Returns the versions that servers load: what is stable may be old."""
    if not folder.model_config.exists():
        return set()
    try:
        model = model_config.read(folder.model_config, model_server_config_pb2.ModelServerConfig)
    except model_config.ModelConfigError as error:
        raise output_folder.OutputFolderError(str(error)) from error
    return set(map(str, model.model_version_policy.specific.versions))


def _list_half_versions(serving_model_dir: pathlib.Path) -> list[pathlib.Path]:
    """Returns what a killed push or prune left beside the versions."""
    temporary = versions.temporary_dir(_refuse_link(serving_model_dir))
    return [temporary] if temporary.exists() else []


def _list(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns what is in a folder, sorted; nothing where there is no folder.

    Raises:
      OutputFolderError: for a link, which may lead out of the output folder.
    """
    return sorted(_refuse_link(folder).iterdir()) if folder.is_dir() else []


def _refuse_link(folder: pathlib.Path) -> pathlib.Path:
    if folder.is_symlink():
        raise output_folder.OutputFolderError(f"expected {folder} to be a folder, got a link")
    return folder


def _connect(path: pathlib.Path, dry_run: bool) -> metadata_store.MetadataStore:
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(path)
    modes = metadata_store_pb2.SqliteMetadataSourceConfig
    connection.sqlite.connection_mode = modes.READONLY if dry_run else modes.READWRITE
    try:
        return metadata_store.MetadataStore(connection)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise output_folder.OutputFolderError(f"cannot read {path}: {reason}") from error


def _carry_out(plan: Plan, store: metadata_store.MetadataStore) -> None:
    # What nobody offers goes first: on a full disk that makes the room in which to mark the rest.
    offered = {pathlib.Path(artifact.uri) for artifact in plan.artifacts}
    marked_first = []
    for name, paths in plan.paths.items():
        for path in paths:
            if name == "versions":
                versions.withdraw(path)
            elif path in offered:
                marked_first.append(path)
            else:
                _delete(path)
    for artifact in plan.artifacts:
        artifact.state = metadata_store_pb2.Artifact.DELETED
    if plan.artifacts:
        store.put_artifacts(plan.artifacts)
    for path in marked_first:
        _delete(path)


def _delete(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _measure(path: pathlib.Path) -> int:
    """Returns the bytes of a file, or of all files in a folder; links count as such."""
    return sum(
        file.lstat().st_size
        for file in (path, *path.rglob("*"))
        if file.is_symlink() or not file.is_dir()
    )
