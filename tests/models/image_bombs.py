"""Small files that say they are large images; no test."""

import struct
import zlib

import cv2
import numpy as np


def draw_png(width: int, height: int) -> bytes:
    """Encodes a whole black image, a bit a pixel, row after row."""
    compressor = zlib.compressobj()
    row = bytes(1 + (width + 7) // 8)  # the filter's number, then the pixels
    rows = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    return _make_png(width, height, rows)


def forge_png(width: int, height: int) -> bytes:
    """Makes a PNG without the pixels of which its header speaks."""
    return _make_png(width, height, zlib.compress(bytes(9)))


def forge_jpeg(width: int, height: int, comments: int = 0) -> bytes:
    """Makes a JPEG of 48x48 say another size, behind `comments` of 64 KB."""
    jpeg = cv2.imencode(".jpg", np.zeros((48, 48), np.uint8))[1].tobytes()
    frame = jpeg.index(b"\xff\xc0")  # marker, length and precision, 5 bytes; height; width
    forged = jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]
    comment = b"\xff\xfe\xff\xff" + bytes(0xFFFF - 2)
    return forged[:2] + comments * comment + forged[2:]


def make_chunk(name: bytes, content: bytes) -> bytes:
    """Makes a chunk of a PNG."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _make_png(width: int, height: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)  # a bit a pixel, grey
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(make_chunk(*chunk) for chunk in chunks)
