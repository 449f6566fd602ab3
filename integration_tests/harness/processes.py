"""Starting programs so that no process of theirs outlives the test."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Iterator, Mapping, Optional, Sequence, Union

from integration_tests.harness import guard
from integration_tests.harness.waiting import wait_readable, wait_until

Argument = Union[str, os.PathLike]


def command_line(pid: int) -> str:
    """The program and arguments of a process; its name when it has none; `gone`."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return arguments or "[" + Path(f"/proc/{pid}/comm").read_text().strip() + "]"
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def stat_fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the state on (proc(5)). Raises OSError when the process is gone."""
    # The name in parentheses before them may hold anything, parentheses too.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class ProcessTree:
    """One program and every process that comes of it, daemons included (see guard.py).

    Use it with `with`, or call kill_all(): then everything has gone, in whatever way the test ends.
    Should the test be killed, the guard still does it.
    """

    def __init__(
        self,
        argv: Sequence[Argument],
        *,
        env: Optional[Mapping[str, str]] = None,
        cwd: Optional[Argument] = None,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = None,
        stderr: Any = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Starts it; the streams are as subprocess.Popen takes them, PIPE included."""
        self.argv = [os.fspath(argument) for argument in argv]
        self._status: Optional[int] = None
        self._empty = False
        self._reaped: dict[int, int] = {}
        self._lines = b""
        self._control, theirs = socket.socketpair()
        # -I -S: nothing of the caller's Python environment, and a start in milliseconds.
        command = [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno()), *self.argv]
        with theirs:
            self._guard = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[theirs.fileno(), *pass_fds],
                start_new_session=True,  # Ctrl-C is for the test, which then ends the rest
            )
        self._control.setblocking(False)
        self.pid = self._await_start()

    def _await_start(self) -> int:
        while b"\n" not in self._lines:
            if not wait_readable(self._control, 30):
                raise TimeoutError(f"no sign of {self.argv[0]} in 30 s")
            if not self._receive():
                raise RuntimeError(f"the guard of {self.argv[0]} has died")
        line, _, self._lines = self._lines.partition(b"\n")
        event, _, rest = line.decode().partition(" ")
        if event == "failed":
            self.kill_all()
            raise FileNotFoundError(f"cannot run {rest}")
        return int(rest)

    def _receive(self) -> bool:
        try:
            received = self._control.recv(4096)
        except BlockingIOError:
            return True
        self._lines += received
        return bool(received)

    def _update(self) -> None:
        """Takes note of what the guard has told."""
        if self._control.fileno() == -1:
            return
        if not self._receive() and not self._empty:
            raise RuntimeError(f"the guard of {self.argv[0]} has died")
        *lines, self._lines = self._lines.split(b"\n")
        for line in lines:
            event, _, rest = line.decode().partition(" ")
            if event == "ended":
                self._status = os.waitstatus_to_exitcode(int(rest))
            elif event == "reaped":
                pid, _, status = rest.partition(" ")
                self._reaped[int(pid)] = os.waitstatus_to_exitcode(int(status))
            elif event == "empty":
                self._empty = True

    @property
    def stdin(self) -> Any:
        return self._guard.stdin

    @property
    def stdout(self) -> Any:
        return self._guard.stdout

    @property
    def stderr(self) -> Any:
        return self._guard.stderr

    @property
    def guard_pid(self) -> int:
        """Of the process above all of them, orphans included; not one of them itself."""
        return self._guard.pid

    def poll(self) -> Optional[int]:
        """The program's exit status, -N when signal N killed it, None while it runs."""
        self._update()
        return self._status

    def status_of(self, pid: int) -> Optional[int]:
        """As poll(), of the program or a daemon of it; also None for one that has a parent."""
        self._update()
        return self._status if pid == self.pid else self._reaped.get(pid)

    def wait(self, timeout: float = 10) -> int:
        """Waits for the program itself, not for what it has left behind."""
        wait_until(lambda: self.poll() is not None, timeout, f"the end of {self.describe()}")
        assert self._status is not None
        return self._status

    def signal(self, number: int) -> None:
        """Sends a signal to the program itself."""
        if self.poll() is not None:
            raise ProcessLookupError(f"{self.argv[0]} has already ended, with {self._status}")
        os.kill(self.pid, number)

    def descendants(self) -> list[int]:
        """Every living process of it: the program, its children, its daemons."""
        self._update()
        if self._empty:
            return []
        # One look may miss the child of a process that ended during it; two alike do not.
        found = guard.descendants(self._guard.pid)
        while (again := guard.descendants(self._guard.pid)) != found:
            found = again
        return found

    def gone(self) -> bool:
        """Is nothing left? Asks the kernel, by way of the guard, and not /proc."""
        self._update()
        return self._empty

    def wait_gone(self, timeout: float = 10) -> None:
        """Waits until nothing is left. Raises TimeoutError that says what is."""
        try:
            wait_until(self.gone, timeout)
        except TimeoutError:
            raise TimeoutError(f"after {timeout} s still there: {self.describe()}") from None

    def assert_nothing_left(self) -> None:
        """Fails when a process of it lives."""
        assert self.gone() or not self.descendants(), f"still there: {self.describe()}"

    def describe(self) -> str:
        """Each living process, with its command line."""
        each = [f"{pid} ({command_line(pid)})" for pid in self.descendants()]
        return ", ".join(each) or "nothing"

    def kill_all(self) -> None:
        """Kills every process of it, and returns when all have gone."""
        try:
            self._update()
        except RuntimeError:  # a guard that has died holds nothing any more
            pass
        self._control.close()
        self._guard.wait()
        self._empty = True
        if self._status is None:
            self._status = -signal.SIGKILL
        for stream in (self._guard.stdin, self._guard.stdout, self._guard.stderr):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:  # what the program has not read is of no interest now
                    pass

    def __enter__(self) -> "ProcessTree":
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.kill_all()


@contextlib.contextmanager
def adopted_descendants() -> Iterator[None]:
    """Daemons come to this process instead of init, and none of them survives the block.

    A ProcessTree has a guard for that, between the test and the program. Here the test itself is
    the guard: a shell needs a terminal of its own, and /proc shall name the test as the parent of
    a daemon.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(guard.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")
    try:
        yield
    finally:
        guard.kill_descendants()
