"""Versions come and go under requests; what cannot be loaded changes nothing."""

import shutil
import weakref

import grpc
import numpy as np
import pytest

from muwnet_fer.serving.server import batching, errors, loaded_versions, model_config, model_manager
from muwnet_fer.tests.serving import server_process

State = loaded_versions.State


class Followed:
    """A manager that polls often, and the config that it reads."""

    def __init__(self, base_path, **model):
        self.base_path = base_path
        self.set(**model)
        self.manager = model_manager.ModelManager(lambda: self.config, batching.BatchingOptions())

    def set(self, **model):
        self.config = {"muwnet": model_config.Model("muwnet", self.base_path, **model)}

    def states(self):
        return {v: s.state for v, s in self.manager.get_statuses("muwnet").items()}

    def wait_for(self, states):
        server_process.wait_until(lambda: self.states() == states)


@pytest.fixture
def follow(tmp_path, server_models):
    """Starts a manager of a folder with version 1."""
    server_process.publish(server_models[0], tmp_path, 1)
    started = []

    def start(**model):
        followed = Followed(tmp_path, **model)
        followed.manager.start(poll_seconds=0.05)
        started.append(followed.manager)
        return followed

    yield start
    for manager in started:
        manager.close()


def test_version_is_unloaded_once_its_last_request_has_ended(follow, server_models, server_faces):
    followed = follow()
    with followed.manager.use("muwnet") as old:
        server_process.publish(server_models[1], followed.base_path, 2)
        followed.wait_for({1: State.UNLOADING, 2: State.AVAILABLE})
        with followed.manager.use("muwnet") as new:
            assert new.version == 2
        with pytest.raises(errors.ServingError, match=r"Specific\(muwnet, 1\)"):
            with followed.manager.use("muwnet", 1):
                pass
        answer = old.signatures["predict_faces"].batcher.submit(server_faces)
        assert answer["probabilities"].shape == (8, 7)
        assert followed.states()[1] == State.UNLOADING
    followed.wait_for({1: State.END, 2: State.AVAILABLE})
    # And it goes: nothing holds its variables any more.
    reference = weakref.ref(old)
    del old
    server_process.wait_until(lambda: reference() is None)


def test_version_that_was_unloaded_may_come_back(follow, server_models):
    followed = follow(policy="specific", versions=frozenset([1]))
    server_process.publish(server_models[1], followed.base_path, 2)
    followed.set(policy="specific", versions=frozenset([2]))
    followed.wait_for({1: State.END, 2: State.AVAILABLE})
    followed.set(policy="specific", versions=frozenset([1]))
    followed.wait_for({1: State.AVAILABLE, 2: State.END})


def test_version_that_comes_back_before_its_last_request_has_ended_stays(follow, server_models):
    followed = follow(policy="specific", versions=frozenset([1]))
    with followed.manager.use("muwnet"):
        server_process.publish(server_models[1], followed.base_path, 2)
        followed.set(policy="specific", versions=frozenset([2]))
        followed.wait_for({1: State.UNLOADING, 2: State.AVAILABLE})
        followed.set(policy="specific", versions=frozenset([1, 2]))
        followed.wait_for({1: State.AVAILABLE, 2: State.AVAILABLE})
    assert followed.states()[1] == State.AVAILABLE


def test_two_models_of_one_broken_folder(follow):
    followed = follow()
    (followed.base_path / "2").mkdir()
    server_process.wait_until(lambda: followed.states().get(2) == State.END)
    other = model_config.Model("other", followed.base_path)
    followed.manager.reload({**followed.config, "other": other})
    assert followed.manager.list_models() == {"muwnet": [1], "other": [1]}
    assert "a SavedModel in" in followed.manager.get_statuses("other")[2].error


def test_all_and_latest_policies(follow, server_models):
    followed = follow(policy="all")
    for version in (2, 3):
        server_process.publish(server_models[0], followed.base_path, version)
    followed.wait_for(dict.fromkeys((1, 2, 3), State.AVAILABLE))
    assert followed.manager.list_models() == {"muwnet": [1, 2, 3]}
    followed.set(newest=2)
    followed.wait_for({1: State.END, 2: State.AVAILABLE, 3: State.AVAILABLE})


def test_folder_that_is_emptied_or_gone_leaves_what_is_served(follow, caplog):
    followed = follow()
    shutil.rmtree(followed.base_path / "1")
    server_process.wait_until(lambda: "No versions of servable muwnet" in caplog.text)
    assert followed.states() == {1: State.AVAILABLE}
    followed.base_path.rename(followed.base_path.with_name("elsewhere"))
    server_process.wait_until(lambda: "Could not find base path" in caplog.text)
    assert followed.states() == {1: State.AVAILABLE}
    followed.base_path.with_name("elsewhere").rename(followed.base_path)


def test_problem_is_reported_once(follow, caplog):
    follow(policy="specific", versions=frozenset([1, 9]))
    message = "Version 9 of servable muwnet not found"
    server_process.wait_until(lambda: message in caplog.text)
    with pytest.raises(AssertionError, match="waited in vain"):
        server_process.wait_until(lambda: caplog.text.count(message) > 1, 0.5)


def test_label_of_the_first_config_may_name_a_version_to_come(follow, server_models):
    """TensorFlow Serving's --allow_version_labels_for_unavailable_models."""
    followed = follow(labels={"stable": 1, "canary": 2}, policy="all")
    with pytest.raises(errors.ServingError, match=r"Specific\(muwnet, 2\)") as caught:
        with followed.manager.use("muwnet", label="canary"):
            pass
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
    # It stands in the way of no other change.
    followed.manager.reload(
        {**followed.config, "other": model_config.Model("other", followed.base_path)}
    )
    server_process.publish(server_models[1], followed.base_path, 2)
    followed.wait_for({1: State.AVAILABLE, 2: State.AVAILABLE})
    with followed.manager.use("muwnet", label="canary") as canary:
        assert canary.version == 2
    with pytest.raises(errors.ServingError, match="label to version 3 of model muwnet"):
        followed.manager.reload(
            {"muwnet": model_config.Model("muwnet", followed.base_path, labels={"canary": 3})}
        )


def test_model_that_leaves_the_config_is_unloaded(follow):
    followed = follow()
    followed.manager.reload({"other": model_config.Model("other", followed.base_path)})
    with pytest.raises(errors.ServingError, match=r"not found for request: Latest\(muwnet\)"):
        with followed.manager.use("muwnet"):
            pass
    assert followed.states() == {1: State.END}
    with followed.manager.use("other") as other:
        rows = np.zeros((1, 48, 48), np.uint8)
        assert len(other.signatures["predict_faces"].batcher.submit(rows)["label"]) == 1


def test_nothing_to_load_is_an_error_at_the_start(tmp_path):
    followed = Followed(tmp_path)
    with pytest.raises(errors.ServingError, match=r"1 model\(s\) .* No versions of servable"):
        followed.manager.start()
    (tmp_path / "4").mkdir()
    with pytest.raises(errors.ServingError, match=f"a SavedModel in {tmp_path / '4'}"):
        followed.manager.start()
