"""CuratedSchemaGen: the text is checked, written and the key of the cache."""

import pathlib

import pytest
from google.protobuf import text_format
from tfx.types import standard_artifacts

from muwnet_fer.components.curated_schema_gen import component, executor

SCHEMA_FILE = pathlib.Path(__file__).parents[2] / "data" / "schema.pbtxt"


def write(text: str, folder: pathlib.Path) -> None:
    schema = standard_artifacts.Schema()
    schema.uri = str(folder)
    executor.Executor().Do({}, {"schema": [schema]}, {"schema_text": text})


def test_the_text_is_the_artifact(tmp_path):
    text = component.CuratedSchemaGen(SCHEMA_FILE, "fingerprint").exec_properties["schema_text"]
    write(text, tmp_path)
    assert (tmp_path / "schema.pbtxt").read_text() == SCHEMA_FILE.read_text() == text


def test_a_text_that_is_no_schema_is_refused(tmp_path):
    with pytest.raises(text_format.ParseError, match='^2:1.*"featur"'):
        write("# a comment\nfeatur { }", tmp_path)
    assert not list(tmp_path.iterdir())
