"""The timeline of a run: processes as /proc shows them, marks, and what became of requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from integration_tests.harness import guard
from integration_tests.harness.processes import command_line

SAMPLE_SECONDS = 0.02
BIN_SECONDS = 0.1
# A process may name itself some time after it was forked (setproctitle).
YOUNG_SECONDS = 1.0
# Of the answered requests of one load; those that failed are kept all.
STROKES_OF_A_LOAD = 400

# The witness's words for what became of a request, and the report's.
KINDS = {
    "reset": "closed",
    "truncated": "truncated",
    "wrong": "wrong",
    "refused": "refused",
    "timed_out": "timeout",
}


@dataclass
class Seen:
    """A process that the recorder has seen; times are of CLOCK_MONOTONIC."""

    pid: int
    parent: int
    command: str
    born: float
    died: float | None = None
    end: str = ""
    has_had_children: bool = False


@dataclass(frozen=True)
class Stroke:
    """A request: seconds of CLOCK_MONOTONIC, and the witness's word for its outcome."""

    begin: float
    end: float
    connection: int
    outcome: str

    @property
    def answered(self) -> bool:
        return self.outcome in ("ok", "allowed")


class Recorder:
    """Watches the descendants of some processes in a thread of its own, until stop()."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self._lock = threading.Lock()
        self._roots: set[int] = set()
        self._mains: set[int] = set()
        self._alive: dict[int, Seen] = {}
        self._all: list[Seen] = []
        self._marks: list[dict[str, Any]] = []
        self._strokes: list[tuple[Stroke, str]] = []
        self._answered: dict[int, list[float]] = {}  # by bin: how long each took
        self._failed: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begin

    # What is told to it.

    def watch(self, root: int, itself: bool = False) -> None:
        """From now on the descendants of this process are recorded; `itself`: it, too."""
        with self._lock:
            self._roots.add(-root if itself else root)

    def forget(self, root: int) -> None:
        """Its tree has ended."""
        with self._lock:
            self._roots -= {root, -root}
        self._sample()

    def main_is(self, pid: int) -> None:
        with self._lock:
            self._mains.add(pid)

    def mark(self, kind: str, what: str, pid: int | None = None) -> None:
        """`kind`: reload, kill, stop, start, break, mend or rotate."""
        with self._lock:
            self._marks.append({"at": self.now(), "pid": pid, "what": what, "kind": kind})

    def note_end(self, pid: int, end: str) -> None:
        """How a process ended, for which /proc has no word: "exited 0", "killed by SIGKILL"."""
        with self._lock:
            for seen in reversed(self._all):
                if seen.pid == pid:
                    seen.end = seen.end or end
                    return

    def add(self, strokes: Iterable[Stroke], detail: str = "") -> None:
        """The requests of a load that has ended."""
        answered = []
        with self._lock:
            for stroke in strokes:
                index = int((stroke.end - self.begin) / BIN_SECONDS)
                if stroke.answered:
                    answered.append(stroke)
                    self._answered.setdefault(index, []).append(stroke.end - stroke.begin)
                else:
                    self._failed[index] = self._failed.get(index, 0) + 1
                    self._strokes.append((stroke, detail))
            step = max(1, len(answered) // STROKES_OF_A_LOAD)
            self._strokes += [(stroke, "") for stroke in answered[::step]]

    # What it sees.

    def _watch(self) -> None:
        while True:
            begun = time.monotonic()
            self._sample()
            spent = time.monotonic() - begun
            # A look at a machine with thousands of processes must not become the load itself.
            if self._over.wait(max(SAMPLE_SECONDS - spent, 2 * spent)):
                return

    def _sample(self) -> None:
        with self._lock:
            if not self._roots and not self._alive:
                return
            parents = guard.parents()
            now = time.monotonic()
            found = self._below_roots(parents)
            for pid in self._alive.keys() - found:
                self._alive.pop(pid).died = now
            for pid in found:
                self._see(pid, parents[pid], now)

    def _below_roots(self, parents: dict[int, int]) -> set[int]:
        children: dict[int, list[int]] = {}
        for pid, parent in parents.items():
            children.setdefault(parent, []).append(pid)
        found = {-root for root in self._roots if root < 0 and -root in parents}
        ends = [abs(root) for root in self._roots]
        while ends:
            below = children.get(ends.pop(), [])
            found.update(below)
            ends += below
        return found

    def _see(self, pid: int, parent: int, now: float) -> None:
        seen = self._alive.get(pid)
        if seen is None:
            seen = self._alive[pid] = Seen(pid, parent, command_line(pid), now)
            self._all.append(seen)
            if parent in self._alive:
                self._alive[parent].has_had_children = True
        elif now - seen.born < YOUNG_SECONDS:
            command = command_line(pid)
            seen.command = command if command != "gone" else seen.command

    # The report.

    def timeline(self) -> dict[str, Any]:
        """As the report has it: times in seconds since it began."""
        with self._lock:
            return {
                "processes": [self._process(seen) for seen in self._all],
                "marks": sorted(self._marks, key=lambda mark: mark["at"]),
                "requests": [self._request(*each) for each in sorted(self._strokes, key=_begin)],
                "rate": self._rate(),
            }

    def _time(self, at: float) -> float:
        return round(at - self.begin, 4)

    def _process(self, seen: Seen) -> dict[str, Any]:
        return {
            "pid": seen.pid,
            "parent": seen.parent,
            "role": self._role(seen),
            "command": seen.command,
            "born": self._time(seen.born),
            "died": None if seen.died is None else self._time(seen.died),
            "end": seen.end,
        }

    def _role(self, seen: Seen) -> str:
        if seen.pid in self._mains:
            return "main"
        parents = {each.pid: each.parent for each in self._all}
        ancestor = seen.parent
        while ancestor in parents and ancestor not in self._mains:
            ancestor = parents[ancestor]
        return "worker" if ancestor in self._mains and not seen.has_had_children else "other"

    def _request(self, stroke: Stroke, detail: str) -> dict[str, Any]:
        return {
            "begin": self._time(stroke.begin),
            "end": self._time(stroke.end),
            "connection": stroke.connection,
            "outcome": "answered" if stroke.answered else "failed",
            "kind": KINDS.get(stroke.outcome, ""),
            "detail": detail,
        }

    def _rate(self) -> dict[str, Any]:
        indices = self._answered.keys() | self._failed.keys()
        first, last = (min(indices), max(indices)) if indices else (0, -1)
        span = range(first, last + 1)
        return {
            "bin": BIN_SECONDS,
            "begin": round(first * BIN_SECONDS, 4),
            "answered": [len(self._answered.get(index, [])) for index in span],
            "failed": [self._failed.get(index, 0) for index in span],
            "p99_ms": [_p99_ms(self._answered.get(index, [])) for index in span],
        }


def _begin(each: tuple[Stroke, str]) -> float:
    return each[0].begin


def percentile(times: list[float], share: float) -> float:
    """0 when there is none."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _p99_ms(times: list[float]) -> float:
    return round(1000 * percentile(times, 0.99), 3)
