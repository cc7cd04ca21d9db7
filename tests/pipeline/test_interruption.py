import contextlib
import signal
import time

import pytest

from muwnet_fer.pipeline import interruption


@pytest.fixture
def _short(monkeypatch):
    monkeypatch.setattr(interruption, "REPEAT_AFTER", 0.2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_is_thrown_away_comes_again(_short, number):
    with pytest.raises(KeyboardInterrupt), interruption.repeated():
        # A finaliser's exception is printed and forgotten, as TensorFlow's callbacks' are.
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        time.sleep(10)


def test_what_ends_within_its_time_is_not_interrupted_again(_short):
    with pytest.raises(KeyboardInterrupt), interruption.repeated():
        signal.raise_signal(signal.SIGTERM)
    time.sleep(0.4)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_background_job_goes_on_ignoring_ctrl_c():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.repeated():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, previous)
