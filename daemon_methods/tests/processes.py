"""Everything that this process starts, daemons included, ended as a whole."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from integration_tests.harness.guard import PR_SET_CHILD_SUBREAPER, kill_descendants


@contextmanager
def adopted_descendants() -> Iterator[None]:
    """Daemons come to this process instead of init, and none of them survives the block.

    A harness ProcessTree has a guard for that, between the test and the program. Here the test
    itself is the guard: a shell needs a terminal of its own, and /proc shall name the test as the
    parent of a daemon.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")
    try:
        yield
    finally:
        kill_descendants()
