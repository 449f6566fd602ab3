"""The server as somebody starts it by hand: typed at a shell, on a real terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

from daemon_methods.tests.proc_state import ProcState
from daemon_methods.tests.terminal import Terminal
from integration_tests.check.run import Run
from integration_tests.check.target import (
    Address,
    StartFailed,
    alive,
    children_of,
    environment,
    read_pid,
    serves,
)
from integration_tests.harness import guard
from integration_tests.harness.waiting import wait_until

# What the shell has that no daemon should keep.
UMASK = 0o037
DESCRIPTOR = "/dev/zero"
PREPARE = f"umask {UMASK:03o}; exec 7<{DESCRIPTOR}"


@dataclass
class Started:
    """A server that was typed into a terminal."""

    run: Run
    terminal: Terminal
    children_before: set[int]
    main: int = 0
    status: int = 0
    said: str = ""
    _to_reap: set[int] = field(default_factory=set)

    def type(self) -> None:
        """Types the line that starts it, and waits until it serves."""
        self.terminal.run(f"export PATH='{environment()['PATH']}'; {PREPARE}")
        self.run.recorder.mark("start", f"typed: {self.run.spec.start}")
        self.said = self.terminal.run(self.run.spec.start).strip()
        self.status = self.terminal.status()
        if not self.run.happens(lambda: serves(self.run.spec.url, 1)):
            raise StartFailed(f"typed into a terminal it does not serve; it said: {self.said}")
        self.main = self._find()
        self.run.recorder.watch(self.main, itself=True)
        self.run.recorder.main_is(self.main)

    def _find(self) -> int:
        if self.run.spec.pid_file:
            path = self.run.spec.folder / self.run.spec.pid_file
            wait_until(lambda: (pid := read_pid(path)) and alive(pid), 5, f"a pid in {path}")
            return read_pid(path) or 0
        found = self.own_children() or guard.descendants(self.terminal.shell)
        if not found:
            raise StartFailed("no process of it is found")
        return found[0]

    def own_children(self) -> list[int]:
        """Daemons that came to this process, as they come to init elsewhere."""
        now = set(children_of(os.getpid(), guard.parents()))
        return sorted(now - self.children_before - {self.terminal.shell})

    def processes(self) -> list[int]:
        found = set(self.own_children()) | ({self.main} if self.main else set())
        for pid in list(found):
            found.update(guard.descendants(pid))
        return sorted(pid for pid in found if alive(pid))

    def lives(self) -> bool:
        return alive(self.main) and serves(self.run.spec.url)

    def _killed(self) -> bool:
        """Kills and reaps: a zombie's pid would still look as if it ran, to those who ask kill(2).

        A process that is killed leaves its children to this one, for the next call.
        """
        self._to_reap.update(self.processes())
        for pid in self._to_reap:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._to_reap = {pid for pid in self._to_reap if _is_left(pid)}
        return not self._to_reap and not self.processes()

    def end(self) -> None:
        """Nothing of it is left."""
        self.run.recorder.mark("stop", "the end of this server")
        # The shell first: what it was about to start, or its starter, comes to this process then.
        self.terminal.close()
        with contextlib.suppress(TimeoutError):
            wait_until(self._killed, 5)
        self.run.recorder.forget(self.main)


def _is_left(pid: int) -> bool:
    """Not when it has ended; then it is reaped, if it is this process's child."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    return alive(pid)


@contextlib.contextmanager
def started(run: Run) -> Iterator[Started]:
    """A server started by hand; it has gone, with its terminal, when the block ends."""
    run.end_server()
    before = set(children_of(os.getpid(), guard.parents()))
    try:
        server = Started(run, Terminal(run.spec.folder), before)
    except (pexpect.TIMEOUT, pexpect.EOF) as error:
        raise TimeoutError("a shell on a terminal of its own does not come up") from error
    try:
        server.type()
        yield server
    except (pexpect.TIMEOUT, pexpect.EOF) as error:
        raise TimeoutError(f"the shell did not come back after: {run.spec.start}") from error
    finally:
        server.end()
        with contextlib.suppress(TimeoutError):  # the next start will say so
            wait_until(Address.of(run.spec.url).free, 5)


@dataclass
class Findings:
    """What one start by hand told, for all the checks that look at it."""

    shell: ProcState
    main: ProcState
    daemons_parent: int
    inherited: list[int]
    pid_file_text: str
    pid_file_locked: bool
    second_status: int
    second_said: str
    second_left: int
    first_lives: bool
    pid_file_after: str
    survives: dict[str, bool] = field(default_factory=dict)


def findings(run: Run) -> Findings:
    """Looks, types the line again, presses Ctrl-C, exits the shell; then a window is closed."""
    with started(run) as server:
        found = _look(run, server)
        server.terminal.interrupt()
        found.survives["Ctrl-C"] = server.lives()
        if server.lives():
            server.terminal.exit_shell()
            found.survives["exit"] = server.lives()
    with started(run) as server:
        server.terminal.hang_up()
        found.survives["hangup"] = server.lives()
    return found


def _look(run: Run, server: Started) -> Findings:
    main = ProcState.of(server.main)
    inherited = [
        pid for pid in server.processes() if DESCRIPTOR in ProcState.of(pid).descriptors.values()
    ]
    text, locked = pid_file_text(run), False
    if text:
        locked = is_locked(run.spec.folder / run.spec.pid_file)
    shell = ProcState.of(server.terminal.shell)
    time.sleep(0.2)  # nobody is still being started
    before = len(server.processes())
    said = server.terminal.run(run.spec.start).strip()
    status = server.terminal.status()
    run.happens(lambda: len(server.processes()) <= before)
    return Findings(
        shell=shell,
        main=main,
        daemons_parent=os.getpid(),
        inherited=inherited,
        pid_file_text=text,
        pid_file_locked=locked,
        second_status=status,
        second_said=said,
        second_left=max(0, len(server.processes()) - before),
        first_lives=server.lives(),
        pid_file_after=pid_file_text(run),
    )


def pid_file_text(run: Run) -> str:
    """Empty when there is none."""
    with contextlib.suppress(OSError):
        return (run.spec.folder / run.spec.pid_file).read_text() if run.spec.pid_file else ""
    return ""


def is_locked(path: Path) -> bool:
    """Does another process hold a lock on it, by flock(2) or fcntl(2)?"""
    with path.open("r+b") as file:
        for lock in (fcntl.flock, fcntl.lockf):
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
    return False
