"""TensorFlow Serving's messages and method paths, without importing TensorFlow.

`tensorflow_serving.apis` imports all of it (14 s): these classes are built from a descriptor set of
15 kB (apis.binpb, written by collect_apis.py) in a pool of their own, so that both may live in one
process. They are the same messages on the wire.
"""

import pathlib

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_FILE = pathlib.Path(__file__).with_name("apis.binpb")


def _build_classes() -> dict[str, type]:
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    files = descriptor_pb2.FileDescriptorSet.FromString(_FILE.read_bytes()).file
    for file in files:
        pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name for file in files], pool)


_CLASSES = _build_classes()

TensorProto = _CLASSES["tensorflow.TensorProto"]
TensorShapeProto = _CLASSES["tensorflow.TensorShapeProto"]
SignatureDef = _CLASSES["tensorflow.SignatureDef"]
ModelSpec = _CLASSES["tensorflow.serving.ModelSpec"]
PredictRequest = _CLASSES["tensorflow.serving.PredictRequest"]
PredictResponse = _CLASSES["tensorflow.serving.PredictResponse"]
SignatureDefMap = _CLASSES["tensorflow.serving.SignatureDefMap"]
GetModelMetadataRequest = _CLASSES["tensorflow.serving.GetModelMetadataRequest"]
GetModelMetadataResponse = _CLASSES["tensorflow.serving.GetModelMetadataResponse"]
GetModelStatusRequest = _CLASSES["tensorflow.serving.GetModelStatusRequest"]
GetModelStatusResponse = _CLASSES["tensorflow.serving.GetModelStatusResponse"]
ModelVersionStatus = _CLASSES["tensorflow.serving.ModelVersionStatus"]
ModelServerConfig = _CLASSES["tensorflow.serving.ModelServerConfig"]
ModelConfig = _CLASSES["tensorflow.serving.ModelConfig"]
ReloadConfigRequest = _CLASSES["tensorflow.serving.ReloadConfigRequest"]
ReloadConfigResponse = _CLASSES["tensorflow.serving.ReloadConfigResponse"]
PredictionLog = _CLASSES["tensorflow.serving.PredictionLog"]

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
PREDICT = f"/{PREDICTION_SERVICE}/Predict"
GET_MODEL_METADATA = f"/{PREDICTION_SERVICE}/GetModelMetadata"
GET_MODEL_STATUS = f"/{MODEL_SERVICE}/GetModelStatus"
RELOAD_CONFIG = f"/{MODEL_SERVICE}/HandleReloadConfigRequest"
