"""Decoding is pixel-exact for FER2013's faces, roughly right for other images, loud for none."""

import struct

import cv2
import numpy as np
import pytest
import tensorflow as tf

from muwnet_fer.data import fer2013
from muwnet_fer.models.muwnet import preprocessing
from muwnet_fer.tests.models import image_bombs

SHAPE = (fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE)


def draw_faces(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def encode(image: np.ndarray, extension: str = ".png") -> bytes:
    """Encodes a grey, BGR or BGRA image."""
    return cv2.imencode(extension, image)[1].tobytes()


def decode(*encoded: bytes) -> np.ndarray:
    return preprocessing.decode_images(tf.constant(list(encoded), tf.string)).numpy()


# === Faces of FER2013 ===


def test_grey_faces_come_out_pixel_by_pixel():
    faces = draw_faces(64)
    decoded = decode(*map(encode, faces))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, faces)


def test_every_grey_level_survives():
    levels = np.arange(256, dtype=np.uint8)
    face = np.resize(levels, SHAPE)
    np.testing.assert_array_equal(decode(encode(face))[0], face)


def test_graphs_and_datasets_decode_as_eager_calls_do():
    faces = draw_faces(5)
    encoded = tf.constant([encode(face) for face in faces])
    traced = tf.function(
        preprocessing.decode_images, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    np.testing.assert_array_equal(traced(encoded), faces)
    dataset = tf.data.Dataset.from_tensor_slices(encoded).batch(2).map(preprocessing.decode_images)
    assert dataset.element_spec.shape.as_list() == [None, *SHAPE]
    np.testing.assert_array_equal(np.concatenate(list(dataset.as_numpy_iterator())), faces)


def test_empty_batch_gives_an_empty_batch():
    decoded = preprocessing.decode_images(tf.constant([], tf.string))
    assert decoded.dtype == tf.uint8
    assert decoded.shape == (0, *SHAPE)


# === Other images ===


@pytest.mark.parametrize(
    ("red", "green", "blue"),
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 30, 90), (255, 255, 255)],
)
@pytest.mark.parametrize("form", [".png", ".jpg", "transparent .png"])
def test_colours_become_their_luma(form, red, green, blue):
    image = np.full((60, 60, 3), (blue, green, red), np.uint8)
    if form == "transparent .png":
        image = np.dstack([image, np.full((60, 60), 128, np.uint8)])
    decoded = decode(encode(image, form[-4:]))
    assert decoded.shape == (1, *SHAPE)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    np.testing.assert_allclose(decoded.astype(float), luma, atol=2)


@pytest.mark.parametrize(("height", "width"), [(480, 480), (90, 200), (300, 48), (12, 20), (1, 1)])
def test_any_size_is_scaled_to_the_face_s(height, width):
    # Left half dark, right half bright.
    image = np.full((height, width), 40, np.uint8)
    image[:, width // 2 :] = 200
    decoded = decode(encode(image))[0].astype(float)
    assert decoded.shape == SHAPE
    if width > 1:
        np.testing.assert_allclose(decoded[:, :20], 40, atol=5)
    np.testing.assert_allclose(decoded[:, -20:], 200, atol=5)


def test_scaling_down_averages_instead_of_picking_pixels():
    # Bright columns, a fifth of all, right where ten columns' middle would be picked.
    stripes = np.zeros((480, 480), np.uint8)
    stripes[:, 4::10] = stripes[:, 5::10] = 255
    decoded = decode(encode(stripes))[0, :, 1:-1]  # the outermost columns average over fewer
    np.testing.assert_allclose(decoded.astype(float), 255 / 5, atol=1)


def test_scaling_rounds_to_the_nearest_level():
    noise = np.random.default_rng(1).integers(0, 256, (480, 480), dtype=np.uint8)
    # Cutting the fractions off would darken the image by half a level.
    assert decode(encode(noise)).mean() == pytest.approx(noise.mean(), abs=0.25)


def test_images_of_all_kinds_share_a_batch():
    face = draw_faces(1)[0]
    photograph = np.full((300, 200, 3), 90, np.uint8)
    decoded = decode(encode(photograph, ".jpg"), encode(face), encode(photograph))
    np.testing.assert_array_equal(decoded[1], face)
    np.testing.assert_allclose(decoded[[0, 2]].astype(float), 90, atol=2)


# === Bytes that are no image ===

PNG = encode(draw_faces(1)[0])


@pytest.mark.parametrize(
    "corrupt",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not an image", id="text"),
        pytest.param(PNG[: len(PNG) // 2], id="truncated PNG"),
        pytest.param(PNG[:20], id="PNG header"),
        pytest.param(PNG[8:], id="PNG without signature"),
        pytest.param(
            encode(draw_faces(1)[0], ".jpg")[:1000],
            id="truncated JPEG",
        ),
    ],
)
def test_bytes_that_are_no_image_are_an_invalid_argument(corrupt):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(PNG, corrupt)


@pytest.mark.parametrize("length", range(len(preprocessing._PNG_START) + 17))
def test_image_of_a_few_bytes_is_an_invalid_argument(length):
    jpeg = encode(draw_faces(1)[0], ".jpg")
    for encoded in (PNG[:length], jpeg[:length], bytes(length)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(encoded)


# === Images that are refused before they are decoded ===

GIF = (
    b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"  # 1x1 of two colours
    b"\x2c\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(GIF, id="GIF"),
        pytest.param(encode(draw_faces(1)[0], ".bmp"), id="BMP"),
        pytest.param(encode(draw_faces(1)[0], ".webp"), id="WebP"),
    ],
)
def test_other_formats_are_refused_by_name_and_place(other):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"expected PNG or JPEG, got[^$]*as image[^$]*1"
    ):
        decode(PNG, other)


def test_gif_of_the_test_above_is_one_that_tensorflow_reads():
    assert tf.io.decode_image(GIF).shape == (1, 1, 1, 3)


@pytest.mark.parametrize(
    ("bomb", "size"),
    [
        pytest.param(image_bombs.draw_png(40_000, 40_000), "40000x40000", id="PNG"),
        pytest.param(image_bombs.draw_png(4096, 4097), "4096x4097", id="PNG a row too high"),
        pytest.param(image_bombs.forge_png(2**32 - 1, 2**32 - 1), "4294967295x", id="PNG 32 bits"),
        pytest.param(image_bombs.forge_png(0, 48), "0x48", id="PNG of no column"),
        pytest.param(image_bombs.forge_jpeg(65_000, 65_000), "65000x65000", id="JPEG"),
        pytest.param(image_bombs.forge_jpeg(4097, 4096), "4097x4096", id="JPEG a column too wide"),
        pytest.param(
            image_bombs.forge_jpeg(65_000, 65_000, comments=9), "65000x65000", id="JPEG, far header"
        ),
    ],
)
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_large_images_are_refused_with_their_size(mode, bomb, size):
    function = preprocessing.decode_images
    if mode == "graph":
        function = tf.function(function, input_signature=[tf.TensorSpec([None], tf.string)])
    expected = f"expected at least 1 and at most 16777216 pixels, got[^$]*{size}[^$]*as image[^$]*2"
    with pytest.raises(tf.errors.InvalidArgumentError, match=expected):
        function(tf.constant([PNG, PNG, bomb]))


def test_largest_image_is_decoded():
    largest = image_bombs.draw_png(4096, 4096)
    np.testing.assert_array_equal(decode(largest, PNG), [np.zeros(SHAPE), draw_faces(1)[0]])


def test_size_is_not_taken_from_a_chunk_before_the_header():
    """libpng skips a chunk that it does not know; the real IHDR would follow it."""
    bomb = image_bombs.draw_png(40_000, 40_000)
    harmless = image_bombs.make_chunk(b"abCD", struct.pack(">II", 48, 48))
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected PNG or JPEG"):
        decode(bomb[:8] + harmless + bomb[8:])


# === Transform's bytes ===


@pytest.mark.parametrize("fill", ["random", 0, 255])
def test_transform_s_bytes_are_the_pixels_and_turn_back_into_them(fill):
    faces = draw_faces(9) if fill == "random" else np.full((9, *SHAPE), fill, np.uint8)
    written = preprocessing._to_bytes(tf.constant(faces))
    assert written.numpy().tolist() == [face.tobytes() for face in faces]
    assert {len(face) for face in written.numpy()} == {2304}
    read = preprocessing.decode_transformed(written)
    assert read.dtype == tf.uint8
    np.testing.assert_array_equal(read, faces)


def test_empty_batch_turns_into_bytes_and_back():
    written = preprocessing._to_bytes(tf.zeros((0, *SHAPE), tf.uint8))
    assert (written.dtype, written.shape) == (tf.string, (0,))
    assert preprocessing.decode_transformed(written).shape == (0, *SHAPE)


# === Through TensorFlow Transform ===


def test_transform_writes_exact_pixels_and_labels(transformed):
    feature_spec = transformed.output.transformed_feature_spec()
    assert feature_spec == {
        "image": tf.io.FixedLenFeature([], tf.string),
        "emotion": tf.io.FixedLenFeature([], tf.int64),
    }
    files = tf.io.gfile.glob(transformed.examples)
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    features = [tf.io.parse_single_example(record, feature_spec) for record in records]
    written = {int(row["emotion"]): row["image"].numpy() for row in features}
    assert len(features) == len(transformed.faces)
    assert written == {i: face.tobytes() for i, face in enumerate(transformed.faces)}


def test_transform_graph_needs_no_label(transformed):
    image = tf.constant([row["image"] for row in transformed.rows])
    features = transformed.output.transform_features_layer()({"image": image})
    assert features.keys() == {"image"}
    np.testing.assert_array_equal(
        preprocessing.decode_transformed(features["image"]), transformed.faces
    )
