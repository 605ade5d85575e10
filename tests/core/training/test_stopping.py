import os
import signal

import pytest

from feller.core.training.stopping import Stopped, stop_on_signal


@pytest.fixture
def terminal():
    """SIGHUP as a terminal has it, but harmless."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)


def test_the_first_is_noted_and_the_second_ends_at_once(terminal):
    with stop_on_signal() as stop:
        assert stop.number == 0
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.number == signal.SIGHUP
        with pytest.raises(Stopped, match="stopped by SIGHUP") as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught.value.number == signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) is terminal


def test_what_is_ignored_stays_so(terminal):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
    assert stop.number == 0
