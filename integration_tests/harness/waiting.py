"""Waiting for a condition, with a deadline: no test sleeps and hopes."""

import select
import time
from typing import Callable, TypeVar

Value = TypeVar("Value")

POLL_SECONDS = 0.005


def wait_until(condition: Callable[[], Value], timeout: float = 10, what: str = "") -> Value:
    """Asks until `condition` gives something true, and returns that.

    Raises TimeoutError that says what was waited for, and the last value.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            what = what or getattr(condition, "__name__", "a condition")
            raise TimeoutError(f"waited {timeout} s for {what}; last seen: {value!r}")
        time.sleep(POLL_SECONDS)


def wait_readable(source: object, seconds: float) -> bool:
    """Waits until a socket has something to read. As select(2), for descriptors above 1023 too."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))
