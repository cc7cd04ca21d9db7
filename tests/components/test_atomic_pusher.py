"""AtomicPusher: whoever looks, whenever, sees whole versions, and each above all before it."""

import json
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
import tensorflow as tf
from tensorflow_serving.config import model_server_config_pb2
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

from muwnet_fer.components.atomic_pusher import executor, versions
from muwnet_fer.data import model_config

EXTRA_FILES = 1500  # make a copy take a good part of a second


class Doubler(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def double(self, x):
        return 2 * x


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> pathlib.Path:
    """A Model artifact's folder: a SavedModel of many files."""
    folder = tmp_path_factory.mktemp("model")
    saved_model = folder / "Format-Serving"
    tf.saved_model.save(Doubler(), str(saved_model))
    extra = saved_model / "assets.extra"
    extra.mkdir()
    for number in range(EXTRA_FILES):
        (extra / str(number)).write_text("x" * number)
    return folder


def push(
    executor_class: type,
    model_dir: pathlib.Path,
    serving: pathlib.Path,
    blessed: bool = True,
    poll_seconds: float = 0,
) -> standard_artifacts.PushedModel:
    """Pushes as TFX's launcher does; returns the artifact."""
    model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
    pushed_model = standard_artifacts.PushedModel()
    model.uri = str(model_dir)
    blessing.set_int_custom_property("blessed", int(blessed))
    pushed_model.uri = str(serving.parent / "pushed_model")
    executor_class().Do(
        {"model": [model], "model_blessing": [blessing]},
        {"pushed_model": [pushed_model]},
        {
            "push_destination": json.dumps({"filesystem": {"base_directory": str(serving)}}),
            "custom_config": json.dumps({executor.POLL_SECONDS_KEY: poll_seconds}),
        },
    )
    return pushed_model


def list_files(folder: pathlib.Path) -> dict[str, int]:
    """Returns size by relative path."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_one_whole_version(serving: pathlib.Path, model_dir: pathlib.Path) -> pathlib.Path:
    (version,) = serving.iterdir()
    assert version.name.isdecimal()
    assert list_files(version) == list_files(model_dir / "Format-Serving")
    return version


# === Whole or not at all ===


def list_sights(
    executor_class: type, model_dir: pathlib.Path, serving: pathlib.Path
) -> set[tuple[int, int]]:
    """Returns how many files and bytes a server that polls during a push finds in the version."""
    sights, ended = set(), threading.Event()

    def poll():
        while not ended.is_set():
            # As TensorFlow Serving: any folder with a decimal name is a version.
            for path in serving.glob("*"):
                if path.name.isdecimal():
                    sizes = list_files(path).values()
                    sights.add((len(sizes), sum(sizes)))

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        push(executor_class, model_dir, serving)
        time.sleep(0.1)
    finally:
        ended.set()
        poller.join()
    return sights


def test_a_polling_server_sees_whole_versions_only(tmp_path, model_dir):
    sizes = list_files(model_dir / "Format-Serving").values()
    sights = list_sights(executor.Executor, model_dir, tmp_path / "serving")
    assert sights == {(len(sizes), sum(sizes))}


def test_of_tfxs_own_push_it_sees_stages(tmp_path, model_dir):
    """Shows that the test above can fail: this is what AtomicPusher is for."""
    assert len(list_sights(tfx_executor.Executor, model_dir, tmp_path / "serving")) > 2


def test_a_killed_push_leaves_no_version_and_the_next_one_cleans_up(tmp_path, model_dir):
    serving = tmp_path / "serving"
    script = (
        "import pathlib, sys\n"
        "from muwnet_fer.components.atomic_pusher import executor\n"
        "from muwnet_fer.tests.components import test_atomic_pusher as test\n"
        "test.push(executor.Executor, pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(model_dir), str(serving)])
    temporary = versions.temporary_dir(serving)
    while process.poll() is None and len(list(temporary.glob("**/assets.extra/*"))) < 10:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert [path.name for path in serving.iterdir()] == [temporary.name]
    assert 10 <= len(list(temporary.glob("**/assets.extra/*"))) < EXTRA_FILES
    push(executor.Executor, model_dir, serving)
    assert_one_whole_version(serving, model_dir)


def test_an_error_in_the_copy_goes_up_and_leaves_no_version(tmp_path, model_dir):
    broken = model_dir / "Format-Serving" / "assets.extra" / "broken"
    broken.symlink_to("nowhere")
    try:
        with pytest.raises(fileio.NotFoundError):
            push(executor.Executor, model_dir, tmp_path / "serving")
    finally:
        broken.unlink()
    assert list((tmp_path / "serving").iterdir()) == []
    push(executor.Executor, model_dir, tmp_path / "serving")
    assert_one_whole_version(tmp_path / "serving", model_dir)


# === The version and its record ===


def test_the_artifact_names_the_version_which_loads(tmp_path, model_dir):
    serving = tmp_path / "serving"
    before = int(time.time())
    pushed_model = push(executor.Executor, model_dir, serving)
    version = assert_one_whole_version(serving, model_dir)
    assert before <= int(version.name) <= time.time()
    assert pushed_model.get_int_custom_property("pushed") == 1
    assert pushed_model.get_string_custom_property("pushed_destination") == str(version)
    assert pushed_model.get_string_custom_property("pushed_version") == version.name
    assert tf.saved_model.load(str(version)).double(tf.constant(3.0)) == 6
    archived = list_files(pathlib.Path(pushed_model.uri))
    assert archived == list_files(model_dir / "Format-Serving")


def test_a_model_that_was_not_blessed_is_not_pushed(tmp_path, model_dir):
    pushed_model = push(executor.Executor, model_dir, tmp_path / "serving", blessed=False)
    assert pushed_model.get_int_custom_property("pushed") == 0
    assert not pushed_model.has_custom_property("pushed_version")
    assert not (tmp_path / "serving").exists()


@pytest.mark.parametrize("ahead", [0, 1000], ids=["same second", "clock set back"])
def test_a_version_is_above_all_that_are_there(tmp_path, model_dir, ahead):
    serving = tmp_path / "serving"
    now = int(time.time())
    # Whatever second the push falls into, there is a version of it; text order would mislead.
    numbers = [9, *range(now + ahead, now + ahead + 60)]
    for number in numbers:
        (serving / str(number)).mkdir(parents=True)
        (serving / str(number) / "kept").touch()
    pushed_model = push(executor.Executor, model_dir, serving)
    version = serving / str(max(numbers) + 1)
    assert pushed_model.get_string_custom_property("pushed_version") == version.name
    assert list_files(version) == list_files(model_dir / "Format-Serving")
    assert [path.name for path in versions.list_versions(serving)] == [
        *map(str, numbers),
        version.name,
    ]
    for number in numbers:
        assert list_files(serving / str(number)) == {"kept": 0}


# === The file that servers poll ===


def read_labels(serving: pathlib.Path) -> dict[str, int]:
    model = model_config.read(
        serving.parent / model_config.FILE_NAME, model_server_config_pb2.ModelServerConfig
    )
    assert model.base_path == str(serving)
    return dict(model.version_labels)


def test_a_new_version_is_canary_and_the_first_one_stays_stable(tmp_path, model_dir):
    serving = tmp_path / "serving"
    first, second = (
        int(
            push(executor.Executor, model_dir, serving).get_string_custom_property("pushed_version")
        )
        for _ in range(2)
    )
    assert read_labels(serving) == {"stable": first, "canary": second}


def test_what_was_not_pushed_gets_no_label(tmp_path, model_dir):
    serving = tmp_path / "serving"
    push(executor.Executor, model_dir, serving)
    before = read_labels(serving)
    push(executor.Executor, model_dir, serving, blessed=False)
    assert read_labels(serving) == before


def test_a_file_that_is_no_model_config_stops_the_push_before_there_is_a_version(
    tmp_path, model_dir
):
    (tmp_path / model_config.FILE_NAME).write_text("nonsense {")
    with pytest.raises(model_config.ModelConfigError, match=model_config.FILE_NAME):
        push(executor.Executor, model_dir, tmp_path / "serving")
    assert not (tmp_path / "serving").exists()


def test_it_waits_between_the_two_steps_as_long_as_it_is_told(tmp_path, model_dir):
    serving = tmp_path / "serving"
    push(executor.Executor, model_dir, serving, poll_seconds=60)  # the first needs no second step
    started = time.monotonic()
    push(executor.Executor, model_dir, serving, poll_seconds=1)
    assert time.monotonic() - started >= 2


# === Withdrawal ===


def test_a_withdrawn_version_leaves_the_others(tmp_path, model_dir):
    serving = tmp_path / "serving"
    push(executor.Executor, model_dir, serving)
    version = assert_one_whole_version(serving, model_dir)
    (serving / "1").mkdir()
    versions.withdraw(serving / "1")
    assert assert_one_whole_version(serving, model_dir) == version
