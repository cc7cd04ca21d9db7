"""What a server answers, as messages and apart from how they travel: gRPC and REST both come here.

Each function takes a ModelManager and a request of `apis`, returns the response, and raises
ServingError.
"""

import math
import threading

import numpy as np

from muwnet_fer.serving import apis, tensors
from muwnet_fer.serving.server import errors, model_config, model_manager, servable

_SIGNATURE_DEF = "signature_def"
_UNKNOWN_ERROR = 2


class Service:
    """The answers of the models of one manager.

    Args:
      manager: started.
      max_queue_size: requests that may be under way at once; more are told to come back.
    """

    def __init__(self, manager: model_manager.ModelManager, max_queue_size: int = 64):
        self.manager = manager
        self._places = threading.BoundedSemaphore(max_queue_size)

    def predict(self, request: apis.PredictRequest, deadline: float | None = None):
        """Returns an apis.PredictResponse; `deadline` is by time.monotonic()."""
        if not self._places.acquire(blocking=False):
            raise errors.full_queue()
        try:
            with self.manager.use(**_read_model_spec(request)) as model:
                return _predict(model, request, deadline)
        finally:
            self._places.release()

    def get_input_dtypes(self, request: apis.PredictRequest) -> dict[str, int]:
        """Returns TensorFlow's DataType of each input of the signature that is asked for.

        Raises:
          ServingError: as REST has it; see HttpRestApiHandler::GetInfoMap in
            tensorflow_serving/model_servers/http_rest_api_handler.cc.
        """
        name = request.model_spec.signature_name or servable.DEFAULT_SIGNATURE
        with self.manager.use(**_read_model_spec(request)) as model:
            if name not in model.signatures:
                raise errors.unknown_signature_name(name)
            signature = model.signatures[name]
            return {signature.input: signature.dtype}

    def get_model_metadata(self, request: apis.GetModelMetadataRequest):
        """Returns an apis.GetModelMetadataResponse with all signatures."""
        model_spec = _read_model_spec(request)
        if not request.metadata_field:
            raise errors.invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise errors.invalid_argument(f"Metadata field {field} is not supported")
        response = apis.GetModelMetadataResponse()
        with self.manager.use(**model_spec) as model:
            response.model_spec.name = model_spec["name"]
            response.model_spec.version.value = model.version
            response.metadata[_SIGNATURE_DEF].Pack(model.signature_defs)
        return response

    def get_model_status(self, request: apis.GetModelStatusRequest):
        """Returns an apis.GetModelStatusResponse, the version that is named or all."""
        statuses = self.manager.get_statuses(**_read_model_spec(request))
        response = apis.GetModelStatusResponse()
        for version, status in statuses.items():
            entry = response.model_version_status.add(version=version, state=status.state.value)
            entry.status.error_code = _UNKNOWN_ERROR if status.error else 0
            entry.status.error_message = status.error
        return response

    def reload_config(self, request: apis.ReloadConfigRequest):
        """Returns an apis.ReloadConfigResponse once the config's versions are loaded."""
        self.manager.reload(model_config.parse(request.config))
        return apis.ReloadConfigResponse()


def _read_model_spec(request) -> dict:
    """Returns ModelManager.use's arguments."""
    if not request.HasField("model_spec"):
        raise errors.missing_model_spec()
    model_spec = request.model_spec
    if not model_spec.name:
        raise errors.missing_model_name()
    chosen = model_spec.WhichOneof("version_choice")
    return {
        "name": model_spec.name,
        "version": model_spec.version.value if chosen == "version" else None,
        "label": model_spec.version_label if chosen == "version_label" else None,
    }


def _predict(model: servable.Servable, request: apis.PredictRequest, deadline: float | None):
    name = request.model_spec.signature_name or servable.DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise errors.unknown_signature(name)
    if set(request.inputs) != {signature.input}:
        raise errors.wrong_inputs(list(request.inputs), [signature.input])
    wanted = _choose_outputs(request.output_filter, signature)
    rows = _read_rows(request.inputs[signature.input], signature)
    outputs = signature.batcher.submit(rows, deadline)
    response = apis.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = model.version
    response.model_spec.signature_name = name
    for output in wanted:
        response.outputs[output].CopyFrom(tensors.to_proto(outputs[output]))
    return response


def _choose_outputs(output_filter, signature: servable.Signature) -> list[str]:
    for position, output in enumerate(output_filter):
        if output not in signature.outputs:
            raise errors.unknown_output(output, signature.outputs)
        if output in output_filter[:position]:
            raise errors.duplicate_output(output)
    return list(output_filter) or list(signature.outputs)


def _read_rows(proto: apis.TensorProto, signature: servable.Signature) -> np.ndarray:
    """Returns an input as an array of the signature's dtype, [N, *row_shape], N at least 1."""
    if proto.dtype != signature.dtype:
        raise errors.wrong_dtype(0, *map(_name_dtype, (signature.dtype, proto.dtype)))
    shape = tuple(dimension.size for dimension in proto.tensor_shape.dim)
    if not proto.tensor_shape.unknown_rank and min(shape, default=0) >= 0:
        # Before its values: a tensor of one value repeated may be far larger than its message.
        if len(shape) != 1 + len(signature.row_shape) or shape[1:] != signature.row_shape:
            raise errors.wrong_shape(
                signature.input, _format_shape(("?", *signature.row_shape)), _format_shape(shape)
            )
        if math.prod(shape) == 0:
            raise errors.empty_batch(signature.input)
        signature.batcher.check_size(shape[0])
    try:
        return tensors.to_array(proto)
    except tensors.TensorError as error:
        raise errors.unparsable_tensor(signature.input, str(error)) from error


def _format_shape(shape: tuple) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _name_dtype(number: int) -> str:
    """Returns TensorFlow's name of a dtype, as `float` or `string`."""
    names = apis.TensorProto.DESCRIPTOR.fields_by_name["dtype"].enum_type.values_by_number
    return names[number].name.removeprefix("DT_").lower() if number in names else str(number)
