"""Pictures are read upright, their faces found and cut out; what is no picture is named."""

import io
import os
import pathlib
import struct

import cv2
import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from muwnet_fer.serving import faces
from muwnet_fer.tests.serving import boxes, tiny_yunet

# === Detectors ===


def test_face_of_a_portrait_is_found(client_portrait):
    boxes.assert_near(
        faces.HaarDetector().detect(faces.read_image(client_portrait)), [boxes.PORTRAIT]
    )


@pytest.mark.parametrize("width", [130, 512, 1500, 3000])
def test_faces_are_found_at_any_resolution(client_portrait, width):
    image = faces.read_image(client_portrait)
    scale = width / image.shape[1]
    (box,) = faces.HaarDetector().detect(cv2.resize(image, None, fx=scale, fy=scale))
    middle = (box.x + box.width / 2) / scale, (box.y + box.height / 2) / scale
    np.testing.assert_allclose(middle, (263.5, 216.5), atol=15)
    assert 170 < box.width / scale < 280


def test_several_faces_come_from_left_to_right(client_portrait):
    image = faces.read_image(client_portrait)
    small = cv2.copyMakeBorder(image, 100, 100, 50, 50, cv2.BORDER_REFLECT)
    small = cv2.resize(small, image.shape[1::-1])
    found = faces.HaarDetector().detect(np.hstack([image, small, image]))
    assert [box.x // 512 for box in found] == [0, 1, 2]


def test_pictures_without_a_face_give_none():
    china, flower = sklearn.datasets.load_sample_images().images
    detector = faces.HaarDetector()
    for image in (china, flower, np.zeros((480, 640, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)):
        assert detector.detect(np.ascontiguousarray(image[:, :, ::-1])) == []


def test_faces_below_the_smallest_are_left_out(client_portrait):
    image = faces.read_image(client_portrait)
    assert faces.HaarDetector(smallest=320).detect(image) == []
    assert len(faces.HaarDetector(smallest=200).detect(image)) == 1


def test_boxes_of_the_photographs_are_those_looked_at():
    folder = os.environ.get("MUWNET_MEDIA")
    if not folder:
        pytest.skip("MUWNET_MEDIA is not set")
    detector = faces.HaarDetector()
    for name, expected in boxes.MEDIA.items():
        image = faces.read_image(pathlib.Path(folder, name))
        boxes.assert_near(detector.detect(image), expected)
    capture = cv2.VideoCapture(str(pathlib.Path(folder, "fer_test.mp4")))
    counts = []
    while (frame := capture.read()[1]) is not None:
        counts.append(len(detector.detect(frame)))
    assert len(counts) == 115
    assert counts.count(1) >= 105


def test_yunets_boxes_are_scaled_back(tmp_path):
    tiny_yunet.write(tmp_path / "tiny.onnx")
    detector = faces.YuNetDetector(tmp_path / "tiny.onnx")
    image = np.zeros((400, 640, 3), np.uint8)
    image[96:128, 320:352] = image[64:96, 96:128] = 255
    expected = [faces.Box(80, 64, 64, 32), faces.Box(304, 96, 64, 32)]
    assert detector.detect(image) == expected
    larger = np.kron(image, np.ones((5, 5, 1), np.uint8))
    scaled = [faces.Box(*(5 * value for value in vars(box).values())) for box in expected]
    assert detector.detect(larger) == scaled
    for shape in ((1, 5000, 3), (3, 3, 3)):
        assert detector.detect(np.zeros(shape, np.uint8)) == []


def test_what_is_no_yunet_is_named(tmp_path):
    path = tmp_path / "other.onnx"
    with pytest.raises(ValueError, match="expected YuNet as ONNX, got .*other.onnx"):
        faces.YuNetDetector(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected YuNet as ONNX, got .*other.onnx"):
        faces.YuNetDetector(path)
    tiny_yunet.write(path)
    path.write_bytes(path.read_bytes().replace(b"bbox_8", b"else_8"))  # another network
    with pytest.raises(ValueError, match="expected YuNet as ONNX, got .*other.onnx"):
        faces.YuNetDetector(path)


# === Cutting out ===


def test_square_boxes_are_cut_out_as_they_are(client_portrait):
    image = faces.read_image(client_portrait)
    face = faces.crop(image, faces.Box(160, 100, 96, 96))
    grey = cv2.cvtColor(image[100:196, 160:256], cv2.COLOR_BGR2GRAY)
    assert face.dtype == np.uint8
    np.testing.assert_array_equal(face, cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA))


def test_boxes_of_other_forms_become_squares_around_their_middle():
    image = np.zeros((200, 200, 3), np.uint8)
    image[60:108, 70:118] = 255
    assert (faces.crop(image, faces.Box(80, 60, 28, 48)) == 255).all()
    assert (faces.crop(image, faces.Box(70, 80, 48, 8)) == 255).all()
    assert not (faces.crop(image, faces.Box(81, 60, 28, 48)) == 255).all()


@pytest.mark.parametrize(("x", "y"), [(-24, 0), (0, -24), (76, 0), (0, 76), (-24, 76)])
def test_over_the_edge_goes_on_what_is_at_the_edge(x, y):
    image = np.full((100, 100, 3), 90, np.uint8)
    image[25:75, 25:75] = 0
    assert faces.crop(image, faces.Box(x, y, 48, 48)).max() == 90
    inside = max(0, -x), max(0, -y)
    assert faces.crop(image, faces.Box(x, y, 48, 48))[inside[1] // 2, inside[0] // 2] == 90


# === Reading ===


def encode(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.fixture
def colors() -> Image.Image:
    """Red above left, black elsewhere; wider than high."""
    image = Image.new("RGB", (64, 32))
    image.paste((255, 0, 0), (0, 0, 16, 16))
    return image


@pytest.mark.parametrize("kind", faces.FORMATS)
def test_every_format_is_read_as_bgr(colors, kind):
    image = faces.decode_image(encode(colors, kind))
    assert (image.shape, image.dtype) == ((32, 64, 3), np.uint8)
    np.testing.assert_allclose(image[8, 8], (0, 0, 255), atol=20)
    np.testing.assert_allclose(image[24, 40], 0, atol=20)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "shape", "red"),
    [
        (1, (32, 64), (4, 4)),
        (3, (32, 64), (-4, -4)),
        (6, (64, 32), (4, -4)),
        (8, (64, 32), (-4, 4)),
    ],
)
def test_exif_orientation_is_respected(colors, kind, orientation, shape, red):
    exif = Image.Exif()
    exif[274] = orientation  # EXIF's tag
    image = faces.decode_image(encode(colors, kind, exif=exif))
    assert image.shape[:2] == shape
    np.testing.assert_allclose(image[red], (0, 0, 255), atol=20)


def test_odd_exif_data_is_no_damage(colors):
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2)
    turned = struct.pack("<HHIHH", 274, 3, 1, 6, 0)
    resolution = struct.pack("<HHII", 282, 2, 5, 38) + bytes(4) + b"none\0"  # a text, not a ratio
    content = encode(colors, "JPEG", exif=head + turned + resolution)
    assert faces.decode_image(content).shape[:2] == (64, 32)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_is_read(mode):
    if mode == "I;16":
        source = Image.fromarray(np.full((8, 8), 200 << 8, np.uint16))
    else:
        source = Image.new("L", (8, 8), 200).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = faces.decode_image(encode(source, kind))
    assert image.shape == (8, 8, 3)
    if mode != "1":  # dithered
        np.testing.assert_allclose(image, 200, atol=2)


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"]
)
def test_what_is_no_picture_is_named_with_its_file(tmp_path, content):
    path = tmp_path / "file.jpg"
    path.write_bytes(content)
    with pytest.raises(faces.ImageError, match=r"file.jpg: expected .* got"):
        faces.read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_cut_off_pictures_are_refused(client_portrait, kind):
    content = encode(Image.open(client_portrait), kind)
    with pytest.raises(faces.ImageError, match="expected"):
        faces.decode_image(content[: len(content) // 2])


def test_too_many_pixels_are_refused_before_they_are_decoded():
    content = encode(Image.new("1", (9000, 9000)), "PNG")
    with pytest.raises(faces.ImageError, match="at most 67108864 pixels, got 9000x9000"):
        faces.decode_image(content)
    with pytest.raises(faces.ImageError, match="at most 100 pixels, got 64x32"):
        faces.decode_image(encode(Image.new("L", (64, 32)), "PNG"), max_pixels=100)


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        faces.read_image(tmp_path / "nowhere.jpg")
