"""Fixtures: a process tree that is gone after each test, and a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_methods.tests.terminal import Terminal
from integration_tests.harness.processes import adopted_descendants


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Whatever a test starts is gone when it ends."""
    with adopted_descendants():
        yield


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Bash on a terminal, in a folder of its own."""
    with Terminal(tmp_path) as opened:
        yield opened
