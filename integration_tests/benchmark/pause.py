"""The pause that a reload and a kill -9 cause: how long requests wait, beside quiet times.

One load, and in it, in turn, windows in which nothing happens, the workers are reloaded, nothing
happens, a worker is killed. What a noisy machine adds, it adds to all of them.
"""

import itertools
import os
import random
import signal
import time
from bisect import bisect_left
from collections import defaultdict
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Callable, NamedTuple

from integration_tests.benchmark import servers
from integration_tests.benchmark.throughput import Progress
from integration_tests.harness.server import Server
from integration_tests.harness.waiting import wait_until
from integration_tests.harness.witness import Witness

WINDOW_US = 100_000
# Requests a second: far below what the machine can do, so that a wait is not a queue's.
RATE = 4000


class Window(NamedTuple):
    """Times on CLOCK_MONOTONIC, as in the witness's timeline."""

    kind: str
    begin_us: int
    end_us: int


class Served(NamedTuple):
    end_us: int
    begin_us: int

    @property
    def wait_us(self) -> int:
        return self.end_us - self.begin_us


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def _until_said(server: Server, pattern: str, act: Callable[[], None]) -> None:
    """Until the server's log has one line more than before that matches."""
    before = len(server.lines(pattern))
    act()
    wait_until(lambda: len(server.lines(pattern)) > before, 60, f"a line '{pattern}'")


def _quiet(_: Server, __: list[int]) -> None:
    pass


def _reload(server: Server, _: list[int]) -> None:
    _until_said(server, "workers replaced in", lambda: server.signal(signal.SIGUSR1))


def _kill(server: Server, workers: list[int]) -> None:
    victim = random.choice(workers)
    _until_said(server, "serves, generation", lambda: os.kill(victim, signal.SIGKILL))


EVENTS: dict[str, Callable[[Server, list[int]], None]] = {
    "quiet": _quiet,
    "reload": _reload,
    "kill": _kill,
}


def _run_windows(server: Server, seconds: float) -> list[Window]:
    """One window after another, at least one of each kind."""
    windows: list[Window] = []
    end_us = _now_us() + seconds * 1e6
    for kind in itertools.cycle(["quiet", "reload", "quiet", "kill"]):
        if kind == "quiet" and len(windows) >= 4 and _now_us() >= end_us:
            return windows
        workers = server.workers()
        time.sleep(0.05)  # the rest of what came before
        begin_us = _now_us()
        EVENTS[kind](server, workers)
        left_us = begin_us + WINDOW_US - _now_us()
        time.sleep(max(0, left_us) / 1e6)
        windows.append(Window(kind, begin_us, _now_us()))
    return windows


def _read_timeline(path: Path) -> list[Served]:
    """The requests of a witness's timeline, in the order in which they were answered."""
    with path.open() as lines:
        fields = (line.split() for line in lines)
        return sorted(Served(int(each[1]), int(each[0])) for each in fields)


def _waits(windows: list[Window], served: list[Served]) -> dict[str, dict[str, list[int]]]:
    """For each kind: the longest wait of each of its windows, and all waits of all of them."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"longest": [], "all": []})
    for window in windows:
        first = bisect_left(served, Served(window.begin_us, 0))
        last = bisect_left(served, Served(window.end_us, 0))
        waits = [each.wait_us for each in served[first:last]]
        found[window.kind]["all"] += waits
        if waits:
            found[window.kind]["longest"].append(max(waits))
    return found


def _once(workers: int, idle: int, connections: int, seconds: float) -> dict[str, Any]:
    with servers.folder() as place, servers.our_server(workers) as server:
        timeline = place / "timeline"
        witness = Witness(
            place / "witness",
            url=server.url,
            connections=connections,
            idle=idle,
            max_rate=RATE,
            seconds=3600,
            timeline=timeline,
        )
        try:
            witness.wait_ready(120)
            windows = _run_windows(server, seconds)
            account = witness.stop()
        finally:
            witness.kill()
        return {
            "waits": _waits(windows, _read_timeline(timeline)),
            "lost": account["lost"] + account["wrong"] + account["unasked"],
            "closed": account["connections"]["closed"],
        }


def _percentile(values: list[int], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else values[0]


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over all windows of all rounds."""
    summary: dict[str, Any] = {name: sum(run[name] for run in runs) for name in ("lost", "closed")}
    for kind in EVENTS:
        longest = [wait for run in runs for wait in run["waits"][kind]["longest"]]
        waits = [wait for run in runs for wait in run["waits"][kind]["all"]]
        summary[kind] = {
            "windows": len(longest),
            "longest_us": median(longest),
            "longest_of_all_us": max(longest),
            "p99_us": _percentile(waits, 99),
        }
    for kind in ("reload", "kill"):
        beyond = summary[kind]["longest_us"] - summary["quiet"]["longest_us"]
        summary[kind]["beyond_quiet_us"] = beyond
    return summary


def measure(
    workers: int,
    idle_numbers: list[int],
    rounds: int,
    connections: int,
    seconds: float,
    progress: Progress,
) -> dict[str, Any]:
    """With each number of idle connections in turn, so many rounds."""
    runs: dict[int, list[dict[str, Any]]] = {idle: [] for idle in idle_numbers}
    for number in range(rounds):
        for idle in idle_numbers:
            progress(f"round {number + 1} of {rounds}: {idle} idle connections")
            runs[idle].append(_once(workers, idle, connections, seconds))
    rows = [{"idle": idle, **_summary(each)} for idle, each in runs.items()]
    return {
        "workers": workers,
        "connections": connections,
        "requests_per_second": RATE,
        "window_ms": WINDOW_US / 1000,
        "idle_numbers": rows,
    }
