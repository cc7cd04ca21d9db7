"""The minute's form of `make soak`."""

import numpy as np

from muwnet_fer.tests.serving import soak


def test_a_minute_of_requests_and_new_versions_harms_none(server_models, server_faces, tmp_path):
    done = soak.run(server_models, tmp_path, server_faces, seconds=60, rate=50, push_seconds=5)
    assert done.failures == []
    assert done.late == 0
    assert len(done.milliseconds) == done.requests == 3000
    assert done.versions >= 8
    assert done.growth < 0.05 * np.median(done.memory)
