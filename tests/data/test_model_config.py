"""The file that servers poll: labels move in two steps, and no writer loses another's change."""

import subprocess
import sys
import threading
import time

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from muwnet_fer.data import model_config
from muwnet_fer.serving import apis

THEIRS = model_server_config_pb2.ModelServerConfig


@pytest.fixture
def path(tmp_path):
    return tmp_path / model_config.FILE_NAME


@pytest.fixture
def push(tmp_path, path):
    def push(number: int, poll_seconds: float = 0):
        version = tmp_path / "serving_model" / str(number)
        version.mkdir(parents=True)
        model_config.label_pushed(path, THEIRS, version, poll_seconds)

    return push


def read(path) -> tuple[list[int], dict[str, int]]:
    """Returns the listed versions and the labels, as TensorFlow Serving's own class reads them."""
    (model,) = text_format.Parse(path.read_text(), THEIRS()).model_config_list.config
    return list(model.model_version_policy.specific.versions), dict(model.version_labels)


# === Pushed ===


def test_the_first_version_is_stable_and_canary(push, path, tmp_path):
    push(7)
    assert read(path) == ([7], {"stable": 7, "canary": 7})
    model = model_config.read(path, THEIRS)
    assert (model.name, model.model_platform) == ("muwnet", "tensorflow")
    assert model.base_path == str(tmp_path / "serving_model")


def test_a_later_version_is_canary_and_never_stable(push, path):
    for number in (7, 8, 9):
        push(number)
    assert read(path) == ([7, 9], {"stable": 7, "canary": 9})


def test_servers_see_a_version_listed_before_the_label_moves(push, path):
    push(7)
    pushing = threading.Thread(target=push, args=(8, 0.5))
    started = time.monotonic()
    pushing.start()
    sights = []
    while pushing.is_alive():
        if (sight := read(path)) not in sights:
            sights.append(sight)
    pushing.join()
    took = time.monotonic() - started
    sights.append(read(path))
    listed = ([7, 8], {"stable": 7, "canary": 7})
    labelled = ([7, 8], {"stable": 7, "canary": 8})
    assert [sight for sight in sights if sight in (listed, labelled)][0] == listed
    assert sights[-1] == labelled
    # Whoever looks every half second has seen the first step.
    assert took >= 1


def test_the_canary_before_is_dropped_first_since_servers_may_not_have_it(push, path, monkeypatch):
    for number in (7, 8):
        push(number)
    sights = []
    monkeypatch.setattr(time, "sleep", lambda seconds: sights.append(read(path)))
    push(9)
    assert sights == [([7, 9], {"stable": 7, "canary": 7})]
    assert read(path) == ([7, 9], {"stable": 7, "canary": 9})


def test_a_push_that_is_interrupted_between_the_steps_leaves_nothing_listed(
    push, path, monkeypatch
):
    push(7)

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        push(8)
    assert read(path) == ([7], {"stable": 7, "canary": 7})


def test_a_moved_output_folder_is_noticed_by_the_next_push(push, path, tmp_path):
    push(7)
    with model_config.edit(path, THEIRS) as model:
        model.base_path = "/elsewhere"
    push(8)
    assert model_config.read(path, THEIRS).base_path == str(tmp_path / "serving_model")


# === Labels ===


def test_promoted_canary_is_stable_and_what_was_stable_is_previous(push, path):
    push(7)
    push(8)
    with model_config.edit(path, THEIRS) as model:
        model_config.set_label(model, "stable", 8)
    assert read(path) == ([7, 8], {"stable": 8, "canary": 8, "previous": 7})


def test_rollback_takes_one_step_and_only_back(push, path):
    for number in (7, 8):
        push(number)
        with model_config.edit(path, THEIRS) as model:
            model_config.set_label(model, "stable", number)
    push(9)
    with model_config.edit(path, THEIRS) as model:
        assert model_config.roll_back(model) == 7
    assert read(path) == ([7, 9], {"stable": 7, "canary": 9})
    with pytest.raises(model_config.ModelConfigError, match="expected a version that was stable"):
        with model_config.edit(path, THEIRS) as model:
            model_config.roll_back(model)


def test_every_version_with_a_label_is_listed_whatever_is_moved(push, path):
    """A label of an unlisted version would keep TensorFlow Serving from starting."""
    for number in range(1, 8):
        push(number)
        if number % 2:
            with model_config.edit(path, THEIRS) as model:
                model_config.set_label(model, "stable", number)
        if number % 3 == 0:
            with model_config.edit(path, THEIRS) as model:
                model_config.roll_back(model)
        listed, labels = read(path)
        assert listed == sorted(set(labels.values()))


def test_a_label_goes_to_a_listed_version_only(push, path):
    push(7)
    before = path.read_text()
    with pytest.raises(model_config.ModelConfigError, match=r"listed version of \[7\], got 8"):
        with model_config.edit(path, THEIRS) as model:
            model_config.set_label(model, "canary", 8)
    assert path.read_text() == before


def test_a_version_listed_by_another_stays_when_a_label_moves(push, path):
    push(7)
    push(8)
    with model_config.edit(path, THEIRS) as model:
        model_config.list_version(model, 5)  # step one of somebody's promotion
    with model_config.edit(path, THEIRS) as model:
        model_config.set_label(model, "canary", 7)
    assert read(path) == ([5, 7], {"stable": 7, "canary": 7})


# === The file ===


def test_what_else_stands_in_the_file_stays(push, path):
    push(7)
    with model_config.edit(path, THEIRS) as model:
        model.logging_config.sampling_config.sampling_rate = 0.5
    listed = path.read_text().rstrip().removesuffix("}")
    path.write_text(listed + '  config { name: "other" base_path: "/x" }\n}\n')
    push(8)
    server_config = text_format.Parse(path.read_text(), THEIRS())
    ours, other = server_config.model_config_list.config
    assert ours.logging_config.sampling_config.sampling_rate == 0.5
    assert (other.name, other.base_path) == ("other", "/x")


def test_both_classes_of_the_message_read_and_write_the_same(push, path):
    push(7)
    push(8)
    before = path.read_text()
    with model_config.edit(path, apis.ModelServerConfig) as model:
        assert dict(model.version_labels) == {"stable": 7, "canary": 8}
    assert path.read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        "nonsense {",
        "",
        'model_config_list { config { name: "other" base_path: "/x" } }',
        'model_config_list { config { name: "muwnet" base_path: "/x" } }',
    ],
)
def test_a_file_without_our_model_is_named(path, text):
    path.write_text(text)
    with pytest.raises(model_config.ModelConfigError, match=model_config.FILE_NAME):
        model_config.read(path, THEIRS)


def test_writers_at_the_same_time_lose_nothing(push, path):
    push(1)
    script = (
        "import pathlib, sys\n"
        "from tensorflow_serving.config import model_server_config_pb2 as pb\n"
        "from muwnet_fer.data import model_config\n"
        "for number in range(int(sys.argv[2]), int(sys.argv[2]) + 50):\n"
        "    with model_config.edit(pathlib.Path(sys.argv[1]), pb.ModelServerConfig) as model:\n"
        "        model_config.list_version(model, number)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, path, str(start)]) for start in (100, 200)
    ]
    while any(writer.poll() is None for writer in writers):
        model_config.read(path, THEIRS)  # never half a file
    assert [writer.returncode for writer in writers] == [0, 0]
    assert read(path)[0] == [1, *range(100, 150), *range(200, 250)]
