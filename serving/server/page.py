"""The web page on `/`, and what it asks: POST /faces, a picture's bytes -> its faces' emotions.

Pictures are kept for as long as they are worked on, and nowhere but in memory.
"""

import pathlib
import threading
import time

import numpy as np

from muwnet_fer.data import fer2013
from muwnet_fer.serving import apis, faces, tensors
from muwnet_fer.serving.server import errors, http_handler, metrics
from muwnet_fer.serving.server import service as server_service

MAX_PIXELS = 2**25  # 33 megapixels, 100 MB once decoded
MAX_FACES = 100
_DEADLINE = 30.0  # seconds
_MODEL, _STABLE = "muwnet", "stable"

_FOLDER = pathlib.Path(__file__).with_name("page")
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_SECURITY_HEADERS = {
    # Nothing but this server's own files is loaded or asked, whatever is written into the page.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_of_thread = threading.local()


class Page(http_handler.Handler):
    """The page's files."""

    def get(self) -> None:
        """Writes one."""
        name, content_type = _FILES[self.request.path]
        for header, value in _SECURITY_HEADERS.items():
            self.set_header(header, value)
        self.set_header("Content-Type", content_type)
        self.finish((_FOLDER / name).read_bytes())

    head = get


class Faces(http_handler.Handler):
    """The faces of a picture."""

    async def post(self) -> None:
        """Answers as `find_faces`."""
        self.set_header("Cache-Control", "no-store")
        workers, service = self.context.picture_workers, self.context.service
        self.finish_json(await workers.run(find_faces, service, self.read_body()))


def find_faces(service: server_service.Service, content: bytes) -> dict:
    """Returns a picture's width and height in pixels and its faces, from left to right.

    Each face has `box` (x, y, width, height in pixels), `label` and `probabilities` by emotion.
    The model's version is that with the label `stable` where there is one, else the newest.

    Raises:
      ServingError: for what is no picture, one that is too large, and as `Service.predict`.
    """
    try:
        image = faces.decode_image(content, MAX_PIXELS)
    except faces.ImageError as error:
        raise errors.invalid_argument(str(error)) from error
    boxes = _get_detector().detect(image)
    largest = sorted(boxes, key=lambda box: box.width * box.height, reverse=True)[:MAX_FACES]
    boxes = [box for box in boxes if box in largest]
    height, width = image.shape[:2]
    answer = {"width": width, "height": height, "version": None, "faces": []}
    if boxes:
        response = _predict(service, np.stack([faces.crop(image, box) for box in boxes]))
        answer["version"] = response.model_spec.version.value
        probabilities = tensors.to_array(response.outputs["probabilities"]).tolist()
        answer["faces"] = [
            _describe(box, row) for box, row in zip(boxes, probabilities, strict=True)
        ]
    return answer


def _predict(service: server_service.Service, rows: np.ndarray) -> apis.PredictResponse:
    request = apis.PredictRequest()
    request.model_spec.name = _MODEL
    request.model_spec.signature_name = "predict_faces"
    if service.manager.has_label(_MODEL, _STABLE):
        request.model_spec.version_label = _STABLE
    request.inputs[fer2013.IMAGE_KEY].CopyFrom(tensors.to_proto(rows))
    with metrics.observe_predict(_MODEL, metrics.REST):
        return service.predict(request, time.monotonic() + _DEADLINE)


def _describe(box: faces.Box, row: list[float]) -> dict:
    return {
        "box": {"x": box.x, "y": box.y, "width": box.width, "height": box.height},
        "label": fer2013.EMOTIONS[int(np.argmax(row))],
        "probabilities": dict(zip(fer2013.EMOTIONS, row, strict=True)),
    }


def _get_detector() -> faces.HaarDetector:
    """Returns this thread's own: a detector keeps working memory."""
    if not hasattr(_of_thread, "detector"):
        _of_thread.detector = faces.HaarDetector()
    return _of_thread.detector


ROUTES = [*((path, Page) for path in _FILES), ("/faces", Faces)]
