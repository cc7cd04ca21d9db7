"""Draws one face: 48x48, an expression of known emotion amid nuisance that knows nothing of it.

Eyes, brows and mouth alone carry the expression. All else (pose, light, tones, hair) is nuisance,
sampled on its own. synthetic.py makes a CSV of such faces.
"""

import collections

import cv2
import numpy as np

from muwnet_fer.data import fer2013

# === What a face varies in ===

# Lengths are in face units: y from -1 (crown) down to 1 (chin), x outwards from the nose.
EXPRESSION_PARTS = (
    "eye_open",  # half the height of the eye
    "eye_bend",  # middle of both lids up: the arcs of laughing eyes
    "eye_slant",  # outer corner down
    "brow_raise",
    "brow_tilt",  # inner end up, outer end down
    "brow_arch",
    "brow_together",  # inner end towards the nose
    "mouth_width",  # half of it
    "mouth_up",  # opening above the line between the lips
    "mouth_down",  # opening below it
    "mouth_corner",  # both corners up
    "mouth_skew",  # one corner up, the other down
    "mouth_box",  # shape of the opening, 0: lens, 1: rectangle
)
Expression = collections.namedtuple("Expression", EXPRESSION_PARTS)
EXPRESSIONS = {
    "angry": Expression(0.07, 0, -0.07, -0.12, -0.13, 0, 0.09, 0.22, 0, 0, -0.03, 0, 0.5),
    "disgust": Expression(0.05, 0.02, -0.02, -0.1, -0.03, 0, 0.03, 0.32, 0.17, 0, -0.1, 0.09, 0.3),
    "fear": Expression(0.18, 0, 0.02, 0.1, 0.11, 0, 0.08, 0.42, 0.07, 0.1, -0.05, 0, 0.9),
    "happy": Expression(0.06, 0.09, 0, 0.04, 0, 0.06, 0, 0.43, 0, 0.2, 0.15, 0, 0.3),
    "sad": Expression(0.08, 0, 0.09, 0.01, 0.14, 0, 0.03, 0.28, 0, 0, -0.2, 0, 0.5),
    "surprise": Expression(0.21, 0, 0, 0.17, 0, 0.11, 0, 0.2, 0.18, 0.22, 0, 0, 0.5),
    "neutral": Expression(0.12, 0, 0, 0, 0, 0.03, 0, 0.31, 0, 0, 0, 0, 0.5),
}
INTENSITIES = (0.75, 1.15)  # of the way from neutral to the expression, for each part
JITTER = 0.008  # standard deviation of what each part does by chance

NUISANCE_RANGES = {
    "rotation": (-15.0, 15.0),  # degrees
    "shift_x": (-4.0, 4.0),  # pixels of the image
    "shift_y": (-4.0, 4.0),
    "scale": (20.0, 26.0),  # pixels of the image per face unit
    "yaw": (-0.25, 0.25),  # perspective: one half of the face wider than the other
    "face_width": (0.76, 0.92),
    "jaw": (0.6, 1.2),  # below 1: square, above: pointed
    "eye_distance": (0.34, 0.40),
    "eye_size": (0.21, 0.25),
    "brow_thickness": (0.035, 0.06),
    "lip_thickness": (0.03, 0.06),
    "hairline": (-1.0, -0.74),
    "hair_volume": (1.0, 1.25),
    "hair_length": (-0.3, 1.2),  # y at which the hair ends
    "skin_tone": (60.0, 215.0),
    "hair_tone": (15.0, 230.0),
    "brow_tone": (0.0, 1.0),  # place among the tones that stand out from the skin
    "lip_tone": (0.0, 1.0),
    "background_tone": (10.0, 245.0),
    "light_angle": (-np.pi, np.pi),
    "light_gradient": (0.0, 0.35),
    "brightness": (-20.0, 20.0),
    "contrast": (0.8, 1.6),
    "blur": (0.2, 0.7),  # standard deviation in pixels
    "noise": (1.0, 8.0),  # standard deviation in grey levels
}
Nuisance = collections.namedtuple("Nuisance", NUISANCE_RANGES)

# === Drawing ===

SUPERSAMPLING = 4
SUBPIXEL_BITS = 4  # cv2 takes corners as integers, here of 1/16 pixel
TONE_DISTANCE = 55  # least grey levels between the skin and a brow or lip

# Points on the upper half of the unit circle, from left to right.
_ACROSS = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 25))
_ARC = np.sqrt(1 - _ACROSS**2)


def sample_nuisance(random: np.random.Generator) -> Nuisance:
    """Returns floats, each uniform in its range and independent of the others."""
    return Nuisance(*(random.uniform(low, high) for low, high in NUISANCE_RANGES.values()))


def sample_expression(emotion: int, random: np.random.Generator) -> Expression:
    """Returns one variant of an emotion; ValueError if that is no index into EMOTIONS."""
    if not 0 <= emotion < len(fer2013.EMOTIONS):
        raise ValueError(f"expected a label in 0..{len(fer2013.EMOTIONS) - 1}, got {emotion}")
    neutral = np.array(EXPRESSIONS["neutral"])
    change = np.array(EXPRESSIONS[fer2013.EMOTIONS[emotion]]) - neutral
    # Crooked to either side, so that a mirrored face keeps its class.
    change[EXPRESSION_PARTS.index("mouth_skew")] *= random.choice((-1, 1))
    parts = neutral + random.uniform(*INTENSITIES, len(change)) * change
    return Expression(*(parts + random.normal(0, JITTER, len(change))))


def draw_face(emotion: int, nuisance: Nuisance, random: np.random.Generator) -> np.ndarray:
    """Returns a face, uint8 [48, 48]; `random` gives the variant of the expression and the noise.

    Raises ValueError for an emotion that is no index into EMOTIONS.
    """
    expression = sample_expression(emotion, random)
    side = fer2013.IMAGE_SIZE * SUPERSAMPLING
    canvas = np.full((side, side), nuisance.background_tone, np.uint8)
    matrix = _face_to_canvas(nuisance)
    _draw_head(canvas, matrix, nuisance)
    for mirror in (-1, 1):
        _draw_eye_and_brow(canvas, matrix * (mirror, 1, 1), expression, nuisance)
    _draw_mouth(canvas, matrix, expression, nuisance)
    return _photograph(canvas, nuisance, random)


def _face_to_canvas(nuisance: Nuisance) -> np.ndarray:
    """Returns the projective 3x3 matrix from face units to pixels of the canvas."""
    cosine, sine = np.cos(np.deg2rad(nuisance.rotation)), np.sin(np.deg2rad(nuisance.rotation))
    rotate = nuisance.scale * np.array([[cosine, -sine], [sine, cosine]])
    shift = np.array([[nuisance.shift_x], [nuisance.shift_y]]) + fer2013.IMAGE_SIZE / 2
    affine = np.vstack([SUPERSAMPLING * np.hstack([rotate, shift]), (0, 0, 1)])
    return affine @ np.array([[1, 0, 0], [0, 1, 0], [nuisance.yaw, 0, 1]])


def _fill(canvas: np.ndarray, matrix: np.ndarray, x, top, bottom, tone: float) -> None:
    """Fills the area between two curves, each [n] or a number, over x [n]; all in face units."""
    points = np.ones((3, 2, len(x)))
    points[0], points[1, 0], points[1, 1] = x, top, bottom
    points = (matrix @ points.reshape(3, -1)).reshape(points.shape)
    curves = np.rint(points[:2] / points[2] * 2**SUBPIXEL_BITS).astype(np.int32)
    outline = np.hstack([curves[:, 0], curves[:, 1, ::-1]])  # there along one, back along the other
    cv2.fillPoly(canvas, [outline.T], float(tone), cv2.LINE_AA, SUBPIXEL_BITS)


def _standing_out(tone: float, place: float) -> int:
    """Returns the tone at `place` (0..1) among those at least TONE_DISTANCE from `tone`."""
    tones = np.arange(10, 246)
    tones = tones[np.abs(tones - tone) >= TONE_DISTANCE]
    return tones[round(place * (len(tones) - 1))]


def _draw_head(canvas, matrix, nuisance: Nuisance) -> None:
    skin, hair = nuisance.skin_tone, nuisance.hair_tone
    _fill(canvas, matrix, [-0.5, 0.5], 0.5, 3, 0.75 * skin)  # the neck
    x = nuisance.face_width * _ACROSS
    hair_top = -nuisance.hair_volume * _ARC
    hair_end = np.clip(nuisance.hair_length, hair_top, -hair_top)
    _fill(canvas, matrix, nuisance.hair_volume * x, hair_top, hair_end, hair)
    _fill(canvas, matrix, x, -_ARC, _ARC**nuisance.jaw, skin)
    _fill(canvas, matrix, x, -_ARC, np.maximum(nuisance.hairline, -_ARC), hair)
    _fill(canvas, matrix, [-0.09, 0, 0.09], [0.22, -0.05, 0.22], 0.22, 0.8 * skin)  # the nose


def _draw_eye_and_brow(canvas, matrix, expression: Expression, nuisance: Nuisance) -> None:
    """Draws those at positive x; a mirrored matrix gives the others."""
    x = nuisance.eye_distance + nuisance.eye_size * _ACROSS
    middle = -0.12 + expression.eye_slant * _ACROSS - expression.eye_bend * _ARC**2
    opening = max(expression.eye_open, 0.03) * _ARC
    upper, lower = middle - opening, middle + 0.9 * opening
    _fill(canvas, matrix, x, upper - 0.06, lower + 0.02, 0.3 * nuisance.skin_tone)  # the lids
    _fill(canvas, matrix, x, upper, lower, 240)
    # The iris is round but for what the lids cover.
    radius = 0.5 * nuisance.eye_size
    iris_x = nuisance.eye_distance + radius * _ACROSS
    iris_upper, iris_lower = np.interp(iris_x, x, upper), np.interp(iris_x, x, lower)
    iris = np.clip([-0.12 - radius * _ARC, -0.12 + radius * _ARC], iris_upper, iris_lower)
    _fill(canvas, matrix, iris_x, *iris, 25)

    outwards = np.linspace(0, 1, 9)
    inner = nuisance.eye_distance - 0.24 - expression.brow_together
    x = inner + outwards * (nuisance.eye_distance + 0.27 - inner)
    arch = expression.brow_arch * 4 * outwards * (1 - outwards)
    y = -0.42 - expression.brow_raise - expression.brow_tilt * (1 - 2 * outwards) - arch
    half = nuisance.brow_thickness * (1 - 0.5 * outwards)
    tone = _standing_out(nuisance.skin_tone, nuisance.brow_tone)
    _fill(canvas, matrix, x, y - half, y + half, tone)


def _draw_mouth(canvas, matrix, expression: Expression, nuisance: Nuisance) -> None:
    x = expression.mouth_width * _ACROSS
    corners = expression.mouth_corner * (_ACROSS**2 - 0.5) + expression.mouth_skew * _ACROSS
    profile = _ARC ** (1.5 - 1.2 * expression.mouth_box)
    top = 0.55 - corners - max(expression.mouth_up, 0.01) * profile
    bottom = 0.55 - corners + max(expression.mouth_down, 0.01) * profile
    tone = _standing_out(nuisance.skin_tone, nuisance.lip_tone)
    lip = nuisance.lip_thickness
    _fill(canvas, matrix, 1.1 * x, top - lip, bottom + lip, tone)
    _fill(canvas, matrix, x, top, bottom, 15)
    _fill(canvas, matrix, 0.9 * x, top, top + 0.5 * (bottom - top), 245)  # the teeth


def _photograph(canvas: np.ndarray, nuisance: Nuisance, random) -> np.ndarray:
    """Returns the canvas as uint8 [48, 48], under a light and through a lens."""
    size = (fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE)
    face = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    ramp = np.linspace(-1, 1, fer2013.IMAGE_SIZE)
    across = np.cos(nuisance.light_angle) * ramp
    down = np.sin(nuisance.light_angle) * ramp[:, np.newaxis]
    face *= 1 + nuisance.light_gradient * (across + down)
    face = 128 + nuisance.contrast * (face - 128) + nuisance.brightness
    face = cv2.GaussianBlur(face, (5, 5), nuisance.blur)
    face += random.normal(0, nuisance.noise, face.shape)
    return np.clip(np.rint(face), 0, 255).astype(np.uint8)
