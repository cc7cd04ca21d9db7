"""Image statistics against figures worked out by hand, and the buckets they fall in."""

import numpy as np
import pytest

from muwnet_fer.data import fer2013, image_statistics, source


def test_flat_image_has_its_level_and_nothing_else():
    statistics = image_statistics.compute_statistics(np.full((48, 48), 200, np.uint8))
    assert statistics == {"brightness": 200.0, "contrast": 0.0, "sharpness": 0.0}


def test_chequered_image_is_the_extreme():
    """Every inner pixel differs by 255 from its four neighbours: Laplacian +-1020."""
    image = (np.indices((48, 48)).sum(axis=0) % 2 * 255).astype(np.uint8)
    statistics = image_statistics.compute_statistics(image)
    assert statistics == {"brightness": 127.5, "contrast": 127.5, "sharpness": 1020.0}


def test_buckets_are_closed_below():
    low, *_, high = fer2013.BUCKET_EDGES["contrast"]
    assert fer2013.bucket("contrast", 0) == "q1"
    assert fer2013.bucket("contrast", low) == "q2"
    assert fer2013.bucket("contrast", np.nextafter(high, 0)) == "q4"
    assert fer2013.bucket("contrast", high) == "q5"


@pytest.mark.real_data
def test_edges_are_the_quintiles_of_fer2013s_train_split(fer2013_csv):
    values = [
        list(image_statistics.compute_statistics(row.image).values())
        for row in source.read_rows(source.find([fer2013_csv]))
        if row.split == fer2013.TRAIN
    ]
    quintiles = np.quantile(values, [0.2, 0.4, 0.6, 0.8], axis=0).T
    for statistic, measured in zip(fer2013.STATISTICS_KEYS, quintiles, strict=True):
        assert fer2013.BUCKET_EDGES[statistic] == pytest.approx(measured, abs=0.005)
