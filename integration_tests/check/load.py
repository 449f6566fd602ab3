"""Load from the witness, with every request in the timeline: nothing is measured twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from integration_tests.check.recorder import KINDS, Recorder, Stroke
from integration_tests.harness.witness import Account, Witness

TIMEOUT_SECONDS = 5


def read_strokes(timeline: Path) -> list[Stroke]:
    """What the witness wrote with --timeline: its requests, one by one."""
    strokes = []
    with timeline.open() as lines:
        for line in lines:
            begin, end, connection, outcome = line.split()
            strokes.append(Stroke(int(begin) / 1e6, int(end) / 1e6, int(connection), outcome))
    return strokes


class Load:
    """A witness at work. `finish()` gives what became of its requests."""

    def __init__(self, recorder: Recorder, folder: Path, **settings: Any) -> None:
        self._recorder = recorder
        self._timeline = folder / "timeline"
        folder.mkdir(parents=True)
        settings = {"timeout_ms": TIMEOUT_SECONDS * 1000, "seconds": 3600, **settings}
        self.witness = Witness(folder, timeline=self._timeline, **settings)

    def wait_ready(self) -> None:
        """Waits until each connection has had its first answer, or its first failure."""
        self.witness.wait_ready(4 * TIMEOUT_SECONDS)

    def stop(self) -> Outcome:
        """What is under way is finished first."""
        return self._outcome(self.witness.stop())

    def kill(self) -> None:
        self.witness.kill()

    def _outcome(self, account: Account) -> Outcome:
        strokes = read_strokes(self._timeline)
        self._timeline.unlink()
        self._recorder.add(strokes)
        return Outcome(account, strokes)


class Outcome:
    """The account of a load, and its requests one by one."""

    def __init__(self, account: Account, strokes: list[Stroke]) -> None:
        self.account = account
        self.strokes = strokes
        self.kinds = Counter(KINDS[each.outcome] for each in strokes if not each.answered)
        if account["unasked"]:
            self.kinds["unasked"] = account["unasked"]

    @property
    def requests(self) -> int:
        return len(self.strokes)

    @property
    def failed(self) -> int:
        return sum(self.kinds.values())

    @property
    def closed(self) -> int:
        """Connections that the server closed."""
        return self.account["connections"]["closed"]

    @property
    def unannounced(self) -> int:
        """Of those, the ones whose last response did not say so (Connection: close)."""
        return self.closed - self.account["connections"]["closes_announced"]

    @property
    def longest_pause(self) -> float:
        """Seconds without any answer, under a load that wants one at every moment.

        The witness's own figure is for any load: while nobody listens, it has sent nothing, and
        waits for nothing.
        """
        ends = sorted(each.end for each in self.strokes if each.answered)
        last = max((each.end for each in self.strokes), default=0)
        return max((end - begin for begin, end in zip(ends, [*ends[1:], last])), default=0)

    def failed_before(self, moment: float) -> int:
        """Requests that ended badly before a moment of CLOCK_MONOTONIC."""
        return sum(not each.answered and each.end < moment for each in self.strokes)

    def detail(self) -> str:
        """ "256 of 84422 requests failed: 250 closed, 6 truncated" """
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
        return f"{self.failed} of {self.requests} requests failed" + (f": {kinds}" if kinds else "")

    def figures(self) -> dict[str, Any]:
        connections = self.account["connections"]
        return {
            "requests": self.requests,
            "failed": self.failed,
            "by_kind": dict(self.kinds),
            "connections_closed": self.closed,
            "connections_closed_announced": connections["closes_announced"],
            "requests_per_second": round(self.account["requests_per_second"]),
        }
