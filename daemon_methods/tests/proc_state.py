"""What /proc tells about a process."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from integration_tests.harness.processes import stat_fields


@dataclass(frozen=True)
class ProcState:
    """A process as proc(5) shows it."""

    pid: int
    parent: int
    group: int
    session: int
    terminal: int  # device number of the controlling terminal, 0 for none
    folder: str
    umask: int
    descriptors: dict[int, str]
    ignored: frozenset[str]
    blocked: frozenset[str]

    @staticmethod
    def of(pid: int) -> ProcState:
        """Reads it."""
        proc = Path("/proc") / str(pid)
        fields = stat_fields(pid)
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
        return ProcState(
            pid=pid,
            parent=int(fields[1]),
            group=int(fields[2]),
            session=int(fields[3]),
            terminal=int(fields[4]),
            folder=os.readlink(proc / "cwd"),
            umask=int(status["Umask"], 8),
            descriptors=_descriptors(proc / "fd"),
            ignored=_signals(status["SigIgn"]),
            blocked=_signals(status["SigBlk"]),
        )


def _descriptors(folder: Path) -> dict[int, str]:
    found = {}
    for entry in folder.iterdir():
        # The process runs on, and may close one between both looks.
        with contextlib.suppress(FileNotFoundError):
            found[int(entry.name)] = os.readlink(entry)
    return found


def _signals(mask: str) -> frozenset[str]:
    bits = int(mask, 16)
    return frozenset(s.name for s in signal.Signals if bits >> (s - 1) & 1)
