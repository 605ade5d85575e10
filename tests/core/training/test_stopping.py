import math
import os
import signal
import time

import pytest
from accelerate import Accelerator
from torch.utils.data import DataLoader

from feller.core.training import stopping
from feller.core.training.stopping import (
    TIME_UP,
    Agreement,
    Stop,
    Stopped,
    heed_no_signal,
    stop_on_signal,
)


@pytest.fixture
def terminal():
    """SIGHUP as a terminal has it, but harmless."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)


def test_the_first_is_noted_and_the_second_ends_at_once(terminal, monkeypatch):
    with stop_on_signal() as stop:
        assert stop.number == 0
        for _ in range(2):  # from the terminal, and from a launcher that passes it on
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.number == signal.SIGHUP
        monkeypatch.setattr(stopping, "ECHO", 0)
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


class Kills:
    """Data of which reading one sends its reader the signals of a cluster."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGINT) * 2:
            os.kill(os.getpid(), number)
        return i


def test_signals_leave_the_processes_that_read_data_alone(terminal):
    loader = DataLoader(Kills(), batch_size=2, num_workers=1, worker_init_fn=heed_no_signal)
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3]]


def test_one_process_agrees_with_itself():
    assert Agreement(Accelerator(cpu=True)).largest(0, 3, 1) == (0, 3, 1)
