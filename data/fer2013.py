"""Every fact about FER2013, once: columns, splits, labels, feature keys, buckets. Pure Python.

Sources: the header and counts of Kaggle's `fer2013.csv` ("Challenges in Representation
Learning: Facial Expression Recognition Challenge", 2013); Goodfellow et al. 2013,
arXiv:1307.0414.
"""

import bisect

# === The CSV ===

LABEL_COLUMN, PIXELS_COLUMN, USAGE_COLUMN = "emotion", "pixels", "Usage"
COLUMNS = (LABEL_COLUMN, PIXELS_COLUMN, USAGE_COLUMN)

# Usage -> split. Kaggle's names describe its leaderboards: models are selected on PublicTest and
# judged once on PrivateTest.
SPLIT_OF_USAGE = {
    "Training": "train",
    "PublicTest": "public_test",
    "PrivateTest": "private_test",
}
TRAIN, PUBLIC_TEST, PRIVATE_TEST = SPLITS = tuple(SPLIT_OF_USAGE.values())

IMAGE_SIZE = 48  # pixels a side, one grey channel
PIXELS = IMAGE_SIZE * IMAGE_SIZE

# A label is the index into this tuple.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# Rows of each emotion in Kaggle's CSVs.
CLASS_COUNTS = {
    TRAIN: (3995, 436, 4097, 7215, 4830, 3171, 4965),
    PUBLIC_TEST: (467, 56, 496, 895, 653, 415, 607),
    PRIVATE_TEST: (491, 55, 528, 879, 594, 416, 626),
}

# MD5 of the decompressed CSVs that Kaggle hands out.
KAGGLE_MD5 = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
}


def hold_same_rows(md5: str | None, other_md5: str | None) -> bool:
    """Returns whether files hold the same faces: Kaggle's two do."""
    return md5 == other_md5 or {md5, other_md5} <= KAGGLE_MD5.keys()


# === Features of an Example ===

IMAGE_KEY = "image"  # bytes: PNG of the row, pixel-exact
LABEL_KEY = "emotion"  # int64: index into EMOTIONS
ROW_KEY = "row"  # int64: CSV row, 0-based after the header
SEEN_IN_TRAINING_KEY = "seen_in_training"  # int64: 1 where the exact pixels also stand in train

# Statistics of the image, float each: TFDV cannot look into image bytes, but into these.
BRIGHTNESS_KEY, CONTRAST_KEY, SHARPNESS_KEY = STATISTICS_KEYS = (
    "brightness",
    "contrast",
    "sharpness",
)

# Quintiles of each statistic over FER2013's 28,709 train rows, so that each bucket holds a fifth
# of them. Fixed: a slice must mean the same images in every run and for every CSV.
BUCKET_EDGES = {
    BRIGHTNESS_KEY: (101.20, 120.94, 138.29, 158.38),
    CONTRAST_KEY: (42.09, 50.09, 57.09, 65.56),
    SHARPNESS_KEY: (34.72, 41.17, 47.15, 54.70),
}
BUCKETS = ("q1", "q2", "q3", "q4", "q5")  # q1: the fifth with the lowest values


def bucket_key(statistic: str) -> str:
    """Returns the feature key of a statistic's bucket: "brightness" -> "brightness_bucket"."""
    return f"{statistic}_bucket"


def bucket(statistic: str, value: float) -> str:
    """Returns the bucket, one of BUCKETS, in which a statistic's value lies."""
    return BUCKETS[bisect.bisect_right(BUCKET_EDGES[statistic], value)]
