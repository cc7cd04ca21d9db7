"""`serve` and `predict` where no model is named: the stable version, not the newest one pushed."""

import json
import re

import pytest
import requests

from muwnet_fer.data import model_config
from muwnet_fer.pipeline import output_folder
from muwnet_fer.serving import apis
from muwnet_fer.tests import commands
from muwnet_fer.tests.serving import server_process


@pytest.fixture
def pushed(server_models, tmp_path):
    """A lineage's folder, with version 1 stable and version 2 canary."""
    folder = output_folder.claim(tmp_path / "output" / "fer2013", "fer2013")
    folder.serving_model.mkdir()
    for version in (1, 2):
        path = server_process.publish(server_models[version], folder.serving_model, version)
        model_config.label_pushed(folder.model_config, apis.ModelServerConfig, path, 0)
    return folder


def test_serve_follows_the_pushed_model_config(pushed, tmp_path, server_faces, client_portrait):
    process = commands.start_command(
        *("muwnet-fer", "serve", "--port", "0", "--rest-port", "0"), cwd=tmp_path
    )
    try:
        server = server_process.ServerProcess(process)

        def ask(**version):
            return server.stubs.predict(server_faces, **version).model_spec.version.value

        assert ask(version_label="stable") == 1
        assert ask(version_label="canary") == 2
        assert [read_version(server, label) for label in ("stable", "canary")] == ["1", "2"]
        assert f"config   {pushed.model_config}" in server.output
        assert read_faces(server, client_portrait)["version"] == 1
        promoted = commands.run_command(
            *("muwnet-fer", "promote", "2", "--label", "stable"), cwd=tmp_path
        )
        assert promoted.exit_code == 0, promoted.output
        server_process.wait_until(lambda: ask(version_label="stable") == 2)
        assert read_faces(server, client_portrait)["version"] == 2
    finally:
        process.kill()
        process.wait()


def read_version(server, label: str) -> str:
    url = f"{server.rest}/v1/models/muwnet/labels/{label}/metadata"
    return requests.get(url, timeout=server_process.DEADLINE).json()["model_spec"]["version"]


def read_faces(server, picture):
    response = requests.post(
        f"{server.rest}/faces", data=picture.read_bytes(), timeout=server_process.DEADLINE
    )
    return response.json()


def test_predict_takes_the_stable_version(pushed, tmp_path, client_portrait):
    def ask(*arguments):
        result = commands.run_command(
            *("muwnet-fer", "predict", client_portrait, "--json", *arguments), cwd=tmp_path
        )
        assert result.exit_code == 0, result.output
        lines = [line for line in result.output.splitlines() if line.startswith("{")]
        return result.output, json.loads(lines[0])

    output, found = ask()
    assert re.search(r"stable +version 1$", output, re.MULTILINE)
    assert found == ask("--model-dir", pushed.serving_model / "1")[1]
    assert found != ask("--model-dir", pushed.serving_model / "2")[1]


def test_a_damaged_model_config_is_said(pushed, tmp_path, client_portrait):
    pushed.model_config.write_text("models {}")
    for command, code in (
        (("serve", "--port", "0", "--no-rest"), 1),
        (("predict", client_portrait), 2),
    ):
        result = commands.run_command("muwnet-fer", *command, cwd=tmp_path)
        assert result.exit_code == code, result.output
        assert str(pushed.model_config) in result.output
        assert "Traceback" not in result.output
