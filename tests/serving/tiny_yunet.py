"""Writes an ONNX file with YuNet's inputs and outputs that takes a white square for a face.

OpenCV's FaceDetectorYN runs it as it runs YuNet itself, whose weights are not at hand. A cell of
32x32 pixels that is white throughout scores 1; its face is 64 wide and 32 high, in its middle.
"""

import math
import pathlib
import struct


def write(path: pathlib.Path) -> None:
    nodes, weights, outputs = b"", b"", b""
    for stride in (8, 16, 32):
        pooled = f"pooled_{stride}"
        attributes = _ints("kernel_shape", [stride] * 2) + _ints("strides", [stride] * 2)
        nodes += _node("AveragePool", ["input"], pooled, attributes)
        brightness = 1 / (3 * 255) if stride == 32 else 0.0
        for name, matrix, bias in (
            ("cls", [[brightness] * 3], [0]),
            ("obj", [[brightness] * 3], [0]),
            ("bbox", [[0.0] * 3] * 4, [0.5, 0.5, math.log(2), 0]),
            ("kps", [[0.0] * 3] * 10, [0] * 10),
        ):
            output, channels = f"{name}_{stride}", len(bias)
            weights += _tensor(f"{output}_w", [channels, 3, 1, 1], sum(matrix, []))
            weights += _tensor(f"{output}_b", [channels], bias)
            weights += _tensor(f"{output}_s", [3], [1, -1, channels], is_float=False)
            inputs = [pooled, f"{output}_w", f"{output}_b"]
            nodes += _node("Conv", inputs, f"{output}_c", _ints("kernel_shape", [1, 1]))
            nodes += _node("Transpose", [f"{output}_c"], f"{output}_t", _ints("perm", [0, 2, 3, 1]))
            nodes += _node("Reshape", [f"{output}_t", f"{output}_s"], output, b"")
            outputs += _field(12, _value(output, [1, (640 // stride) ** 2, channels]))
    graph_input = _field(11, _value("input", [1, 3, 640, 640]))
    graph = nodes + _field(2, b"graph") + weights + graph_input + outputs
    path.write_bytes(_integer(1, 7) + _field(7, graph) + _field(8, _integer(2, 13)))


# === The few of ONNX's messages (onnx.proto) that this takes, in protobuf's wire format ===


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _ints(name: str, values: list[int]) -> bytes:
    content = b"".join(_integer(8, value) for value in values)
    return _field(5, _field(1, name.encode()) + content + _integer(20, 7))


def _value(name: str, shape: list[int]) -> bytes:
    sizes = b"".join(_field(1, _integer(1, size)) for size in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _integer(1, 1) + _field(2, sizes)))


def _node(kind: str, inputs: list[str], output: str, attributes: bytes) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    names += _field(3, f"{output}_node".encode())
    return _field(1, names + _field(4, kind.encode()) + attributes)


def _tensor(name: str, shape: list[int], values: list, is_float: bool = True) -> bytes:
    sizes = b"".join(_integer(1, size) for size in shape)
    content = struct.pack(f"<{len(values)}{'f' if is_float else 'q'}", *values)
    kind = _integer(2, 1 if is_float else 7)
    return _field(5, sizes + kind + _field(8, name.encode()) + _field(9, content))
