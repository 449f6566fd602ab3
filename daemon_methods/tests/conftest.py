"""Fixtures: a process tree that is gone after each test, and a terminal."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


from daemon_methods.tests.terminal import Terminal


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Adopts whatever a test starts, and kills what is left of it."""
    pr_set_child_subreaper = 36
    assert ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) == 0
    yield
    while children := psutil.Process().children(recursive=True):
        for child in children:
            if child.is_running():
                child.send_signal(signal.SIGKILL)
        try:
            while os.waitpid(-1, 0)[0]:
                pass
        except ChildProcessError:
            pass


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Bash on a terminal, in a folder of its own."""
    with Terminal(tmp_path) as opened:
        yield opened
