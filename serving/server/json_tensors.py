"""REST's JSON <-> Predict's messages, as tensorflow_serving/util/json_tensor.cc has it (00f8ba5).

Requests have `instances`, a list of rows, or `inputs`, a whole tensor; responses `predictions` or
`outputs` in the same form. Bytes are `{"b64": "..."}`.
"""

import base64
import binascii
import json
from collections.abc import Mapping

import numpy as np

from muwnet_fer.serving import apis, tensors
from muwnet_fer.serving.server import errors

ROWS, COLUMNS = "instances", "inputs"
_ANSWERS = {ROWS: "predictions", COLUMNS: "outputs"}
_MOST_DIMENSIONS = 254  # TensorShape::MaxDimensions in tensorflow/core/framework/tensor_shape.h
_LONGEST_QUOTE = 200
_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String"}


def parse(body: bytes) -> dict:
    """Returns a request's JSON object.

    Raises:
      ServingError: for anything else, and a signature's name that is no string.
    """
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise errors.invalid_argument(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise _format_error(document, "Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise _format_error(
            document, "not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def fill_inputs(document: dict, input_dtypes: Mapping[str, int], request) -> str:
    """Fills a PredictRequest's inputs; returns in which form they were, ROWS or COLUMNS.

    Args:
      document: of `parse`.
      input_dtypes: TensorFlow's DataType by input, of the signature.
      request: apis.PredictRequest.

    Raises:
      ServingError: for values that are no such inputs.
    """
    if ROWS in document and COLUMNS in document:
        raise _format_error(
            document,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        )
    if ROWS in document:
        columns, form = _to_columns(document, input_dtypes), ROWS
    elif COLUMNS in document:
        columns, form = _name_columns(document[COLUMNS], input_dtypes), COLUMNS
    else:
        raise errors.invalid_argument("Missing 'inputs' or 'instances' key")
    for name, value in columns.items():
        request.inputs[name].CopyFrom(_to_proto(name, value, input_dtypes[name]))
    return form


def format_response(outputs: Mapping[str, apis.TensorProto], form: str) -> bytes:
    """Returns the outputs as JSON in a request's form; a single output stands without its name."""
    columns = {name: _to_json(name, proto) for name, proto in sorted(outputs.items())}
    if len(columns) == 1:
        (answer,) = columns.values()
    elif form == ROWS:
        rows = zip(*columns.values(), strict=True)
        answer = [dict(zip(columns, row, strict=True)) for row in rows]
    else:
        answer = columns
    return json.dumps({_ANSWERS[form]: answer}).encode()


def _to_columns(document: dict, input_dtypes: Mapping[str, int]) -> dict[str, list]:
    """Returns the instances as a list for each input."""
    rows = document[ROWS]
    if not isinstance(rows, list):
        raise _format_error(document, "Excepting 'instances' to be an list/array")
    if not rows:
        raise _format_error(document, "No values in 'instances' array")
    named = _is_object(rows[0])
    if not named and len(input_dtypes) > 1:
        raise errors.invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    for position, row in enumerate(rows):
        if named != _is_object(row):
            expected = "object but got list" if named else "value/list but got object"
            raise errors.invalid_argument(f"Expecting {expected} at item {position} of input list")
        if named and row.keys() != input_dtypes.keys():
            raise errors.invalid_argument(
                f"Failed to process element: {position} of 'instances' list. JSON object: "
                f"{_quote(row)} keys must be equal to: {','.join(sorted(input_dtypes))}"
            )
    if named:
        return {name: [row[name] for row in rows] for name in input_dtypes}
    return {next(iter(input_dtypes)): rows}


def _name_columns(value, input_dtypes: Mapping[str, int]) -> dict:
    """Returns the value of each input."""
    if not _is_object(value):
        if len(input_dtypes) > 1:
            raise errors.invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        return {next(iter(input_dtypes)): value}
    for name in input_dtypes:
        if name not in value:
            raise errors.invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: value[name] for name in input_dtypes}


def _to_proto(name: str, value, dtype: int) -> apis.TensorProto:
    shape = _find_shape(value)
    if len(shape) > _MOST_DIMENSIONS:
        raise errors.unparsable_tensor(name, f"expected at most {_MOST_DIMENSIONS} dimensions")
    values: list = []
    _flatten(value, shape, 0, dtype, values)
    if dtype == tensors.STRING:
        array = np.array([*values, None], object)[:-1]  # never an array of arrays
    else:
        if values and not 0 <= min(values) <= max(values) <= 255:
            raise errors.unparsable_tensor(
                name, f"expected values of uint8, got {min(values)} to {max(values)}"
            )
        array = np.array(values, np.uint8)
    return tensors.to_proto(array.reshape(shape))


def _find_shape(value) -> list[int]:
    """Returns the shape by the first element of each level, which all others have to follow."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _flatten(value, shape: list[int], level: int, dtype: int, values: list) -> None:
    """Appends the values below a level, in order."""
    if not isinstance(value, list):
        if level != len(shape):
            raise errors.invalid_argument(
                f"JSON Value: {_quote(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        values.append(_read(value, dtype))
        return
    if level >= len(shape):
        raise errors.invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise errors.invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    if dtype == tensors.UINT8 and level == len(shape) - 1 and set(map(type, value)) == {int}:
        values.extend(value)  # what follows would take seconds for a thousand faces
        return
    for element in value:
        _flatten(element, shape, level + 1, dtype, values)


def _read(value, dtype: int) -> int | bytes:
    """Returns a scalar in the signature's dtype."""
    if dtype == tensors.UINT8 and type(value) is int:
        return value
    if dtype == tensors.STRING and isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise errors.invalid_argument(f"JSON Parse error: {error.reason}") from error
    if dtype == tensors.STRING and isinstance(value, dict):
        return _decode_base64(value)
    name = {tensors.UINT8: "uint8", tensors.STRING: "string"}[dtype]
    raise errors.invalid_argument(
        f"JSON Value: {_quote(value)} Type: {_name_type(value)} is not of expected type: {name}"
    )


def _decode_base64(value: dict) -> bytes:
    if _is_object(value):
        raise _format_error(value, "not formatted correctly for base64 data")
    # As absl::Base64Unescape: white space is skipped, and padding may be missing.
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_argument("Unable to base64 decode") from error


def _is_object(value) -> bool:
    """Returns whether a value is an object of names, other than the one that stands for bytes."""
    is_base64 = isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)
    return isinstance(value, dict) and not is_base64


def _to_json(name: str, proto: apis.TensorProto) -> list:
    """Returns a tensor as nested lists; floats with the fewest digits that give the same float."""
    array = tensors.to_array(proto)
    flat = array.ravel()
    if array.dtype == np.float32:
        values = np.array([float(str(value)) for value in flat])
    elif array.dtype == object:
        is_bytes = name.endswith("_bytes")
        texts = [
            _to_base64(value) if is_bytes else value.decode(errors="replace") for value in flat
        ]
        values = np.array([*texts, None], object)[:-1]
    else:
        values = flat
    return values.reshape(array.shape).tolist()


def _to_base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _name_type(value) -> str:
    if isinstance(value, bool):
        return str(value)
    return _JSON_TYPES.get(type(value), "Number")


def _quote(value) -> str:
    """Returns the head of a value, so that a message says what is wrong behind it."""
    try:
        text = json.dumps(value)
    except RecursionError:  # it writes fewer levels than it reads
        text = "(nested too deeply)"
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."


def _format_error(value, problem: str) -> errors.ServingError:
    return errors.invalid_argument(f"JSON Value: {_quote(value)} {problem}")
