import math
import os
import signal
import time

import pytest

from feller.core.training.stopping import TIME_UP, Stop, Stopped, stop_on_signal


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


def test_time_is_up_when_it_is(terminal):
    assert Stop().asked() == 0
    assert Stop(until=math.inf).asked() == 0
    assert Stop(until=time.monotonic() + 100).asked() == 0
    assert Stop(until=time.monotonic()).asked() == TIME_UP
    assert Stop(signal.SIGINT, until=time.monotonic()).asked() == signal.SIGINT
    with stop_on_signal(time.monotonic()) as stop:
        assert stop.asked() == TIME_UP
