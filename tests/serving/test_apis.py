"""The checked-in messages are the installed package's, and need no TensorFlow."""

import json
import subprocess
import sys

from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
    prediction_log_pb2,
)

from muwnet_fer.serving import apis, collect_apis


def test_checked_in_file_is_that_of_the_installed_package():
    assert collect_apis.FILE.read_bytes() == collect_apis.collect().SerializeToString(
        deterministic=True
    )


def test_bytes_are_those_of_the_installed_stubs():
    """Each message filled to the leaves, written by ours and read by theirs, and back."""
    for ours, theirs in (
        (apis.PredictRequest, predict_pb2.PredictRequest),
        (apis.PredictResponse, predict_pb2.PredictResponse),
        (apis.GetModelMetadataRequest, get_model_metadata_pb2.GetModelMetadataRequest),
        (apis.GetModelMetadataResponse, get_model_metadata_pb2.GetModelMetadataResponse),
        (apis.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap),
        (apis.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
        (apis.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
        (apis.ReloadConfigRequest, model_management_pb2.ReloadConfigRequest),
        (apis.ReloadConfigResponse, model_management_pb2.ReloadConfigResponse),
        (apis.PredictionLog, prediction_log_pb2.PredictionLog),
    ):
        message, reference = fill(theirs()), ours()
        content = message.SerializeToString(deterministic=True)
        reference.ParseFromString(content)
        assert reference.SerializeToString(deterministic=True) == content
        assert str(reference) == str(message)
        assert content


def fill(message, depth: int = 0):
    """Sets every field of a message, to a few levels."""
    if isinstance(message, any_pb2.Any):
        message.type_url, message.value = "type.googleapis.com/a", b"b"
        return message
    for field in message.DESCRIPTOR.fields:
        repeated = field.label == field.LABEL_REPEATED
        if field.containing_oneof and field.containing_oneof.fields[0] is not field:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            entry = getattr(message, field.name)
            key = "key" if field.message_type.fields_by_name["key"].type == 9 else 1
            value = field.message_type.fields_by_name["value"]
            if value.message_type:
                fill(entry[key], depth + 1)
            else:
                entry[key] = sample(value)
        elif field.message_type:
            if depth < 6:
                child = getattr(message, field.name)
                child = child.add() if repeated else child
                child.SetInParent()
                fill(child, depth + 1)
        elif repeated:
            getattr(message, field.name).append(sample(field))
        else:
            setattr(message, field.name, sample(field))
    return message


def sample(field):
    if field.enum_type:
        return field.enum_type.values[-1].number
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return 1.5
    if field.cpp_type == field.CPPTYPE_BOOL:
        return True
    if field.cpp_type == field.CPPTYPE_STRING:
        return b"bytes" if field.type == field.TYPE_BYTES else "text"
    return 3


def test_importing_the_messages_needs_no_tensorflow():
    script = (
        "import sys, json; import muwnet_fer.serving.tensors; "
        "print(json.dumps([m for m in sys.modules if m.startswith('tensorflow')]))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert json.loads(result.stdout) == [], result.stderr
