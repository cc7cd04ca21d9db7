"""Writes apis.binpb: the messages of TensorFlow Serving's protocol, from its installed package.

    python serving/collect_apis.py

Needs tensorflow-serving-api, whose import brings all of TensorFlow; `apis` then needs protobuf
alone. A test holds the file against the installed package.
"""

import pathlib

from google.protobuf import descriptor, descriptor_pb2

FILE = pathlib.Path(__file__).with_name("apis.binpb")


def collect() -> descriptor_pb2.FileDescriptorSet:
    """Returns the files of the messages that `apis` names, without any message that none needs."""
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_management_pb2,
        predict_pb2,
        prediction_log_pb2,
    )

    needed: dict[str, descriptor.FileDescriptor] = {}
    names: set[str] = set()

    def need(described: descriptor.Descriptor | descriptor.EnumDescriptor) -> None:
        if described.full_name in names or described.file.name.startswith("google/protobuf/"):
            return
        names.add(described.full_name)
        needed[described.file.name] = described.file
        if described.containing_type:
            need(described.containing_type)
        for field in getattr(described, "fields", ()):
            if field_type := field.message_type or field.enum_type:
                need(field_type)

    for module, root_names in (
        (predict_pb2, ("PredictRequest", "PredictResponse")),
        (
            get_model_metadata_pb2,
            ("GetModelMetadataRequest", "GetModelMetadataResponse", "SignatureDefMap"),
        ),
        (get_model_status_pb2, ("GetModelStatusRequest", "GetModelStatusResponse")),
        (model_management_pb2, ("ReloadConfigRequest", "ReloadConfigResponse")),
        (prediction_log_pb2, ("PredictionLog",)),
    ):
        for name in root_names:
            need(module.DESCRIPTOR.message_types_by_name[name])
    pruned = {name: _prune(file, names) for name, file in needed.items()}
    files = _order(pruned)
    return descriptor_pb2.FileDescriptorSet(file=files)


def _prune(file: descriptor.FileDescriptor, names: set[str]) -> descriptor_pb2.FileDescriptorProto:
    """Returns the file with the named messages and enums alone, and the imports they need."""
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    for field in (proto.message_type, proto.enum_type):
        kept = [entry for entry in field if f"{proto.package}.{entry.name}" in names]
        del field[:]
        field.extend(kept)
    del proto.service[:]
    del proto.extension[:]
    proto.ClearField("options")  # of the generated code
    # What it imports may hand other files on: name those whose messages are used.
    used = sorted({name for message in proto.message_type for name in _list_types(message)})
    imports = {file.pool.FindFileContainingSymbol(name).name for name in used} - {file.name}
    del proto.dependency[:], proto.public_dependency[:], proto.weak_dependency[:]
    proto.dependency.extend(sorted(imports))
    return proto


def _list_types(message: descriptor_pb2.DescriptorProto) -> list[str]:
    """Returns the full names of the types of a message's fields, nested messages included."""
    own = [field.type_name.lstrip(".") for field in message.field if field.type_name]
    return own + [name for nested in message.nested_type for name in _list_types(nested)]


def _order(
    files: dict[str, descriptor_pb2.FileDescriptorProto],
) -> list[descriptor_pb2.FileDescriptorProto]:
    """Returns the files, each behind those that it imports."""
    ordered: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(name: str) -> None:
        if name in files and name not in ordered:
            for imported in files[name].dependency:
                add(imported)
            ordered[name] = files[name]

    for name in sorted(files):
        add(name)
    return list(ordered.values())


if __name__ == "__main__":
    FILE.write_bytes(collect().SerializeToString(deterministic=True))
