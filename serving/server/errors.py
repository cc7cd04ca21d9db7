"""What a server refuses, with TensorFlow Serving's status codes and, where it has one, its message.

docs/serving.md has the table of them and the places in TensorFlow Serving's sources.
"""

from collections.abc import Collection

import grpc

# tensorflow_serving/model_servers/grpc_status_util.cc: kErrorMessageLimit. A message may quote what
# a client sent, and gRPC's trailers are bounded.
_LONGEST_MESSAGE = 1024

_CODES = {code.value[0]: code for code in grpc.StatusCode}
# What TensorFlow puts before and behind an operation's own words.
_PREAMBLE, _SUFFIX = "<stack traces unavailable>\n", " [Op:"


class ServingError(Exception):
    """A request that cannot be answered: `code` is a grpc.StatusCode, `message` for the client."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        if len(message) > _LONGEST_MESSAGE:
            message = message[:_LONGEST_MESSAGE] + "...TRUNCATED"
        self.message = message


def invalid_argument(message: str) -> ServingError:
    """What the client has to change."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def missing_model_spec() -> ServingError:
    """A request without `model_spec`."""
    return invalid_argument("Missing ModelSpec")


def missing_model_name() -> ServingError:
    """A `model_spec` without a name."""
    return invalid_argument("ModelSpec has no name specified.")


def servable_not_found(name: str, version: int | None) -> ServingError:
    """An unknown model, or a version that is not loaded."""
    wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return ServingError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")


def unknown_label(label: str) -> ServingError:
    """A label that the model config does not give."""
    return invalid_argument(f"Unrecognized servable version label: {label}")


def no_status(name: str, version: int | None) -> ServingError:
    """GetModelStatus for what was never seen."""
    which = "any versions" if version is None else f"version {version}"
    return ServingError(grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {name}")


def unknown_signature(name: str) -> ServingError:
    """A signature that the model does not have."""
    return ServingError(
        grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
    )


def unknown_signature_name(name: str) -> ServingError:
    """The same in a REST request, where the inputs' dtypes are asked for first."""
    return invalid_argument(f'Serving signature name: "{name}" not found in signature def')


def wrong_inputs(sent: Collection[str], expected: Collection[str]) -> ServingError:
    """Inputs whose names are not the signature's."""
    if len(sent) != len(expected):
        return invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(expected)} "
            f"len({_join(sent)}) != len({_join(expected)}). "
            f"Sent extra: {_join(set(sent) - set(expected))}. "
            f"Missing but required: {_join(set(expected) - set(sent))}."
        )
    missing = min(set(expected) - set(sent))
    return invalid_argument(
        f"Signature input alias: {missing} not found in request and no default value provided. "
        f"Inputs expected to be in the request {_join(sent)}"
    )


def unknown_output(name: str, expected: Collection[str]) -> ServingError:
    """An output filter that names what the signature does not give."""
    return invalid_argument(
        f"output tensor alias not found in signature: {name} "
        f"Outputs expected to be in the set {_join(expected)}."
    )


def duplicate_output(name: str) -> ServingError:
    """An output filter that names an output twice."""
    return invalid_argument(f"duplicate output tensor alias: {name}")


def wrong_dtype(position: int, expected: str, got: str) -> ServingError:
    """An input of another dtype than the signature's."""
    return invalid_argument(f"Expects arg[{position}] to be {expected} but {got} is provided")


def unparsable_tensor(name: str, reason: str) -> ServingError:
    """An input whose values do not fit its shape."""
    return invalid_argument(f"tensor parsing error: {name}: {reason}")


def wrong_shape(name: str, expected: str, got: str) -> ServingError:
    """An input of another shape than the signature's."""
    return invalid_argument(f"expected {name} of shape {expected}, got {got}")


def empty_batch(name: str) -> ServingError:
    """An input without a row, which TensorFlow's kernels refuse in words that help nobody."""
    return invalid_argument(f"expected {name} of at least one row, got none")


def too_many_rows(rows: int, limit: int) -> ServingError:
    """More rows than a request may have."""
    return invalid_argument(f"Task size {rows} is larger than maximum input batch size {limit}")


def full_queue() -> ServingError:
    """More requests at once than are allowed to wait: the client may try again."""
    return ServingError(
        grpc.StatusCode.UNAVAILABLE,
        "The batch scheduling queue to which this task was submitted is full",
    )


def deadline_exceeded() -> ServingError:
    """A request that nobody waits for any more."""
    return ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


def label_of_unavailable_version(name: str, version: int) -> ServingError:
    """A model config whose label names a version that is not loaded."""
    return ServingError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"Request to assign label to version {version} of model {name}, which is not currently "
        "available for inference",
    )


def models_not_available(reasons: dict[str, str]) -> ServingError:
    """A model config with models of which no version could be loaded."""
    detail = "".join(f"{{{name} due to error: {reason}}}, " for name, reason in reasons.items())
    return ServingError(
        grpc.StatusCode.UNKNOWN, f"{len(reasons)} model(s) did not become available: {{{detail}}}"
    )


def not_a_message(reason: str) -> ServingError:
    """Bytes that are no message of the method's; INTERNAL, as gRPC itself says in C++."""
    return ServingError(grpc.StatusCode.INTERNAL, f"cannot parse the request: {reason}")


def from_tensorflow(error: Exception) -> ServingError:
    """What TensorFlow raised while it ran a signature: an OpError keeps its code."""
    code = _CODES.get(getattr(error, "error_code", None), grpc.StatusCode.INTERNAL)
    message = getattr(error, "message", None) or str(error)
    return ServingError(code, message.rpartition(_PREAMBLE)[2].partition(_SUFFIX)[0])


def _join(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
