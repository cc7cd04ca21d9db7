"""promote and rollback beside a server that polls the file, by TensorFlow Serving's rules."""

import contextlib
import pathlib
import re

import pytest
from tensorflow_serving.config import model_server_config_pb2

from muwnet_fer.data import model_config
from muwnet_fer.serving import apis, promotion
from muwnet_fer.tests import commands
from muwnet_fer.tests.serving import server_process, tls


class Lineage:
    """A pipeline's output folder, as far as servers see it."""

    def __init__(self, folder: pathlib.Path, models: list[pathlib.Path]):
        self.workspace = folder
        self.file = folder / "output" / "fer2013" / model_config.FILE_NAME
        self._base_path = self.file.with_name("serving_model")
        self._base_path.mkdir(parents=True)
        self._models = models

    def push(self, version: int, poll_seconds: float = 0, broken: bool = False) -> None:
        path = self.publish(version, broken)
        model_config.label_pushed(
            self.file, model_server_config_pb2.ModelServerConfig, path, poll_seconds
        )

    def publish(self, version: int, broken: bool = False) -> pathlib.Path:
        """Puts a version there that the file does not list; returns its folder."""
        path = server_process.publish(
            self._models[version % len(self._models)], self._base_path, version
        )
        if broken:
            (path / "saved_model.pb").write_bytes(b"broken")
        return path

    def read(self) -> tuple[list[int], dict[str, int]]:
        model = model_config.read(self.file, apis.ModelServerConfig)
        return list(model.model_version_policy.specific.versions), dict(model.version_labels)

    def run(self, *arguments) -> commands.Command:
        return commands.run_command("muwnet-fer", *arguments, cwd=self.workspace)


@pytest.fixture
def lineage(tmp_path, server_models) -> Lineage:
    return Lineage(tmp_path, server_models)


@contextlib.contextmanager
def serve(lineage, *options):
    options = ("--model-config", lineage.file, *options)
    with server_process.serve(*options, cwd=lineage.workspace) as server:
        yield server


def ask_label(server, faces, label: str) -> int:
    """Returns the version that answers for a label."""
    return server.stubs.predict(faces, version_label=label).model_spec.version.value


# === Beside a server ===


def test_a_version_that_the_server_has_not_loaded_is_promoted_in_two_steps(lineage, server_faces):
    lineage.push(1)
    with serve(lineage) as server:
        lineage.publish(2)
        with pytest.raises(Exception, match="NOT_FOUND"):
            server.stubs.predict(server_faces, version=2)
        done = lineage.run("promote", "2", "--label", "stable", "--server", server.address)
        assert done.exit_code == 0, done.output
        assert re.search("step 1 of 2.*\n.*canary 1, previous 1, stable 2", done.output)
        server_process.wait_until(lambda: ask_label(server, server_faces, "stable") == 2)
        assert ask_label(server, server_faces, "canary") == 1
        assert "not currently available" not in server.output  # no step was refused
        assert lineage.run("rollback").exit_code == 0
        server_process.wait_until(lambda: ask_label(server, server_faces, "stable") == 1)
        server_process.wait_until(
            lambda: server.stubs.get_states()[2] == apis.ModelVersionStatus.END
        )
    assert lineage.read() == ([1], {"stable": 1, "canary": 1})


def test_a_server_that_speaks_tls_is_waited_for(lineage, tmp_path):
    lineage.push(1)
    key, certificate = tls.write_pair(tmp_path)
    with serve(lineage, "--tls-key", key, "--tls-certificate", certificate) as server:
        lineage.publish(2)
        promote = ("promote", "2", "--label", "stable", "--server", server.address)
        plain = lineage.run(*promote, "--timeout", "1")
        assert plain.exit_code == 1
        assert f"expected {server.address} to load version 2 within 1 s" in plain.output
        trusted = lineage.run(*promote, "--root-certificates", certificate)
    assert trusted.exit_code == 0, trusted.output
    assert lineage.read()[1]["stable"] == 2


def test_a_pushed_version_becomes_canary_by_itself(lineage, server_faces):
    lineage.push(1)
    with serve(lineage) as server:
        for version in (2, 3):
            lineage.push(version, poll_seconds=1)  # as often as this server looks
            server_process.wait_until(lambda: ask_label(server, server_faces, "canary") != 1)
        server_process.wait_until(lambda: ask_label(server, server_faces, "canary") == 3)
        assert ask_label(server, server_faces, "stable") == 1
        assert "not currently available" not in server.output


def test_a_broken_version_keeps_no_later_one_from_becoming_canary(lineage, server_faces):
    lineage.push(1)
    with serve(lineage) as server:
        lineage.push(2, poll_seconds=1)
        lineage.push(3, poll_seconds=1, broken=True)
        server_process.wait_until(lambda: "not currently available" in server.output)
        said = lineage.run("promote", "3", "--label", "canary")
        assert "canary is 3 already; --server HOST:8500 would ask whether it is" in said.output
        lineage.push(4, poll_seconds=1)
        server_process.wait_until(lambda: ask_label(server, server_faces, "canary") == 4)
        assert ask_label(server, server_faces, "stable") == 1
    assert lineage.read() == ([1, 4], {"stable": 1, "canary": 4})


def test_one_step_alone_is_refused_until_it_is_rolled_back(lineage, server_faces):
    """What the two steps are for; the server keeps what it has."""
    lineage.push(1)
    with serve(lineage) as server:
        lineage.publish(2)
        with model_config.edit(lineage.file, apis.ModelServerConfig) as model:
            model_config.list_version(model, 2)
            model_config.set_label(model, "stable", 2)
        server_process.wait_until(lambda: "not currently available" in server.output)
        assert ask_label(server, server_faces, "stable") == 1
        assert 2 not in server.stubs.get_states()
        promote = ("promote", "2", "--label", "stable", "--server", server.address)
        refused = lineage.run(*promote, "--timeout", "2")
        assert refused.exit_code == 1
        assert "to load version 2 within 2 s, got NOT_FOUND" in refused.output
        assert lineage.run("rollback").exit_code == 0
        assert lineage.run(*promote).exit_code == 0
        server_process.wait_until(lambda: ask_label(server, server_faces, "stable") == 2)


def test_a_version_that_does_not_load_changes_nothing(lineage, server_faces):
    lineage.push(1)
    before = lineage.read()
    with serve(lineage) as server:
        lineage.publish(2, broken=True)
        failed = lineage.run("promote", "2", "--label", "stable", "--server", server.address)
        assert failed.exit_code == 1
        assert f"expected {server.address} to load version 2" in failed.output
        assert "Traceback" not in failed.output
        assert lineage.read() == before
        assert ask_label(server, server_faces, "stable") == 1


def test_all_named_servers_are_waited_for(lineage):
    lineage.push(1)
    lineage.publish(2)
    before = lineage.read()
    with serve(lineage) as server:
        with pytest.raises(promotion.NotLoadedError, match="127.0.0.1:1 to load .* UNAVAILABLE"):
            promotion.promote(
                lineage.file, 2, "stable", [server.address, "127.0.0.1:1"], 3, lambda line: None
            )
    assert lineage.read() == before


# === Without a server ===


def test_the_canary_is_promoted_at_once(lineage):
    lineage.push(1)
    lineage.push(2)
    assert lineage.run("promote", "2", "--label", "stable").exit_code == 0
    assert lineage.read() == ([1, 2], {"stable": 2, "canary": 2, "previous": 1})
    again = lineage.run("promote", "2", "--label", "stable")
    assert again.exit_code == 0
    assert "stable is 2 already" in again.output
    assert lineage.read() == ([1, 2], {"stable": 2, "canary": 2, "previous": 1})


def test_another_version_is_listed_and_promoted_by_the_second_run(lineage):
    for version in (1, 2, 3):
        lineage.push(version)
    first = lineage.run("promote", "2", "--label", "stable")
    assert first.exit_code == 3
    assert "versions/2 says AVAILABLE, run the same command again" in first.output
    assert lineage.read() == ([1, 2, 3], {"stable": 1, "canary": 3})
    second = lineage.run("promote", "2", "--label", "stable")
    assert second.exit_code == 0
    assert lineage.read() == ([1, 2, 3], {"stable": 2, "canary": 3, "previous": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("promote", "9", "--label", "stable"), "expected a version of 1 in "),
        (("promote", "1", "--label", "prod"), "'prod' is not one of 'stable', 'canary'"),
        (("promote", "1"), "Missing option '--label'"),
        (("rollback",), "expected a version that was stable before"),
        (("rollback", "--config", "nowhere"), "'nowhere' does not exist"),
        (("rollback", "--config", "bad"), "expected a ModelServerConfig in bad"),
    ],
)
def test_mistakes_are_answered_with_exit_code_2(lineage, arguments, message):
    lineage.push(1)
    (lineage.workspace / "bad").write_text("nonsense {")
    before = lineage.file.read_text()
    command = lineage.run(*arguments)
    assert command.exit_code == 2
    assert message in command.output
    assert "Traceback" not in command.output
    assert lineage.file.read_text() == before


def test_a_rollback_to_a_version_that_is_gone_is_refused(lineage):
    lineage.push(1)
    lineage.push(2)
    assert lineage.run("promote", "2", "--label", "stable").exit_code == 0
    (lineage.file.parent / "serving_model" / "1").rename(lineage.workspace / "1")
    command = lineage.run("rollback")
    assert command.exit_code == 2
    assert "expected a version of 2 in " in command.output
    assert lineage.read()[1]["stable"] == 2


@pytest.mark.parametrize("lineages", [0, 2])
def test_the_file_is_found_where_there_is_one_only(tmp_path, lineages):
    for name in ["fer2013", "sample"][:lineages]:
        (tmp_path / "output" / name).mkdir(parents=True)
        (tmp_path / "output" / name / model_config.FILE_NAME).touch()
    command = commands.run_command("muwnet-fer", "rollback", cwd=tmp_path)
    assert command.exit_code == 2
    assert f"expected one {model_config.FILE_NAME}" in command.output
    assert ("sample" in command.output) == bool(lineages)
