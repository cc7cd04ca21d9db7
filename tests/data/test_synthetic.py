"""Synthetic FER2013: its format, and that expressions need more than pixels or nuisance."""

import collections
import dataclasses
import hashlib

import numpy as np
import pytest
from sklearn import ensemble, linear_model, pipeline, preprocessing

from muwnet_fer.data import drawn_face, fer2013, synthetic

CHANCE = 1 / len(fer2013.EMOTIONS)


@dataclasses.dataclass
class Faces:
    pixels: np.ndarray  # int64 [rows, 2304]
    emotions: np.ndarray  # int64 [rows]
    usages: np.ndarray  # str [rows]


def read_csv(path) -> Faces:
    """Reads a CSV by hand, so that no reader of the project hides a fault of the format."""
    header, *lines = path.read_bytes().decode("ascii").removesuffix("\n").split("\n")
    assert header == "emotion,pixels,Usage"
    emotions, pixels, usages = zip(*(line.split(",") for line in lines), strict=True)
    return Faces(
        np.array([[int(pixel) for pixel in row.split(" ")] for row in pixels]),
        np.array([int(emotion) for emotion in emotions]),
        np.array(usages),
    )


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def linear_classifier():
    return pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(C=1e-3, max_iter=1000)
    )


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Faces:
    path = tmp_path_factory.mktemp("synthetic") / "fer2013.csv"
    synthetic.synthesize(path, rows=3500, seed=1)
    return read_csv(path)


def middle_nuisance() -> drawn_face.Nuisance:
    return drawn_face.Nuisance(*(np.mean(bounds) for bounds in drawn_face.NUISANCE_RANGES.values()))


# === The CSV ===


def test_rows_have_the_format_of_fer2013(faces):
    assert faces.pixels.shape == (3500, fer2013.PIXELS)
    assert faces.pixels.min() >= 0 and faces.pixels.max() <= 255
    assert collections.Counter(faces.usages) == {
        "Training": 2800,
        "PublicTest": 350,
        "PrivateTest": 350,
    }


def test_no_two_rows_share_their_pixels(faces):
    assert len({row.tobytes() for row in faces.pixels}) == len(faces.pixels)


@pytest.mark.parametrize("rows", [synthetic.MINIMUM_ROWS, 79, 1001])
def test_classes_are_balanced_in_every_split(rows):
    plan = synthetic.plan_rows(rows, seed=3)
    assert len(plan) == rows
    for usage in fer2013.SPLIT_OF_USAGE:
        emotions = [row.emotion for row in plan if row.usage == usage]
        counts = np.bincount(emotions, minlength=len(fer2013.EMOTIONS))
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1
        assert emotions != sorted(emotions)


def test_same_arguments_give_the_same_bytes(tmp_path):
    for name, seed in (("first", 5), ("second", 5), ("other_seed", 6)):
        synthetic.synthesize(tmp_path / "new_folder" / name, rows=70, seed=seed)
    first, second, other = (
        digest(tmp_path / "new_folder" / name) for name in ("first", "second", "other_seed")
    )
    assert first == second
    assert first != other


def test_an_error_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "fer2013.csv"
    path.write_text("earlier")
    draw_face, drawn = drawn_face.draw_face, []

    def fail_midway(*arguments):
        assert path.read_text() == "earlier"
        if len(drawn) == 30:
            raise OSError("the disk is full")
        drawn.append(arguments)
        return draw_face(*arguments)

    monkeypatch.setattr(drawn_face, "draw_face", fail_midway)
    with pytest.raises(OSError, match="the disk is full"):
        synthetic.synthesize(path, rows=70, seed=1)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_complete_file_replaces_the_earlier_one(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("earlier")
    synthetic.synthesize(path, rows=70, seed=1)
    assert len(read_csv(path).emotions) == 70
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "rows, seed, message",
    [
        (69, 1, "expected at least 70 rows.* got 69"),
        (0, 1, "expected at least 70 rows.* got 0"),
        (70, -1, "expected a seed of at least 0, got -1"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, rows, seed, message):
    with pytest.raises(ValueError, match=message):
        synthetic.synthesize(tmp_path / "folder" / "fer2013.csv", rows, seed)
    assert not any(tmp_path.iterdir())


# === The faces ===


@pytest.mark.parametrize("emotion", [-1, 7])
def test_a_label_out_of_range_is_refused(emotion):
    with pytest.raises(ValueError, match=f"expected a label in 0..6, got {emotion}"):
        drawn_face.draw_face(emotion, middle_nuisance(), np.random.default_rng(1))


def test_expressions_are_listed_for_every_emotion_and_differ():
    assert set(drawn_face.EXPRESSIONS) == set(fer2013.EMOTIONS)
    assert len(set(drawn_face.EXPRESSIONS.values())) == len(fer2013.EMOTIONS)


def test_only_eyes_brows_and_mouth_change_with_the_emotion():
    # An upright face in the middle; a blur would carry changes over the edges of the boxes.
    nuisance = middle_nuisance()._replace(blur=0.01)
    drawn = np.stack(
        [
            drawn_face.draw_face(emotion, nuisance, np.random.default_rng(seed)).astype(int)
            for seed in range(5)
            for emotion in range(len(fer2013.EMOTIONS))
        ]
    ).reshape(5, len(fer2013.EMOTIONS), fer2013.IMAGE_SIZE, fer2013.IMAGE_SIZE)
    # [48, 48]: the furthest that the emotion alone, under the same random numbers, moves a pixel
    changes = np.ptp(drawn, axis=1).max(axis=0)

    # From pixels to face units, as the drawing has them.
    units = (np.arange(fer2013.IMAGE_SIZE) + 0.5 - fer2013.IMAGE_SIZE / 2) / nuisance.scale
    x, y = np.abs(units), units[:, np.newaxis]
    eyes_and_brows = (x < 0.8) & (y > -0.85) & (y < 0.15)
    mouth = (x < 0.62) & (y > 0.2) & (y < 0.97)
    assert changes[~(eyes_and_brows | mouth)].max() == 0
    assert changes[eyes_and_brows].max() > 50
    assert changes[mouth].max() > 50


def test_crooked_mouths_go_to_both_sides():
    random = np.random.default_rng(1)
    disgust = fer2013.EMOTIONS.index("disgust")
    skews = [drawn_face.sample_expression(disgust, random).mouth_skew for _ in range(200)]
    assert 0.3 < np.mean(np.array(skews) > 0) < 0.7


def test_a_linear_classifier_on_pixels_stays_below_60_percent(faces):
    training, private_test = faces.usages == "Training", faces.usages == "PrivateTest"
    classifier = linear_classifier().fit(faces.pixels[training], faces.emotions[training])
    accuracy = classifier.score(faces.pixels[private_test], faces.emotions[private_test])
    # Well above chance, too: labels that say nothing about the faces would pass the other bound.
    assert CHANCE + 0.05 < accuracy < 0.6


@pytest.mark.parametrize(
    "classifier",
    [
        linear_classifier(),
        ensemble.RandomForestClassifier(100, min_samples_leaf=5, random_state=1),
    ],
    ids=["linear", "forest"],
)
def test_nuisance_says_nothing_about_the_label(classifier):
    plan = synthetic.plan_rows(7000, seed=1)
    nuisances = np.array([row.nuisance for row in plan])
    emotions = np.array([row.emotion for row in plan])
    held_out = np.arange(len(plan)) % 2 == 1
    classifier.fit(nuisances[~held_out], emotions[~held_out])
    assert classifier.score(nuisances[held_out], emotions[held_out]) < CHANCE + 0.05
