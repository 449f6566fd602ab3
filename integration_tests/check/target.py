"""The server under test: how it is started, found, told what to do, and ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from integration_tests.check.recorder import Recorder
from integration_tests.harness import guard
from integration_tests.harness.client import RawConnection, Response, request
from integration_tests.harness.processes import ProcessTree, command_line, stat_fields
from integration_tests.harness.waiting import wait_until

COMMAND_SECONDS = 30


@dataclass(frozen=True)
class Spec:
    """All that is known of a server before it runs: what the user or a profile says.

    Commands are for /bin/sh, run in `folder`; `{pid}` in them is the main process. What is empty
    is not known, and the checks that need it don't apply.
    """

    name: str
    start: str
    url: str
    folder: Path
    version: str = ""
    pid_file: str = ""
    reload: str = ""
    stop: str = "kill -TERM {pid}"
    break_: str = ""  # makes the next reload impossible: a broken configuration or code
    mend: str = ""  # takes that back
    log_file: str = ""  # where a line for each request goes
    log_line: str = "GET "  # a regular expression: what such a line has in it
    rotate: str = ""  # has the server open its log_file again
    slow_url: str = ""  # answered after half a second or so
    upload_url: str = ""  # takes a POST with a large body
    download_url: str = ""  # answers with several megabytes
    download_bytes: int = 0  # and that is the answer to a POST of so many bytes
    notes: tuple[str, ...] = ()

    def given(self, flag: str) -> str:
        """What was said with --`flag`."""
        return getattr(self, field_of(flag))


def field_of(flag: str) -> str:
    """The Spec's name for what a flag says: `break` is a word of Python's."""
    return "break_" if flag == "break" else flag


class StartFailed(Exception):
    """The server did not come up; the text has its own last words."""


@dataclass
class Ran:
    """What came of a command."""

    status: int
    output: str
    begin: float  # of CLOCK_MONOTONIC
    seconds: float

    def said(self) -> str:
        """Its last line."""
        return (self.output.strip().splitlines() or [""])[-1]


@dataclass(frozen=True)
class Address:
    """Host and port of a URL, and what to ask for there."""

    host: str
    port: int
    target: str

    @staticmethod
    def of(url: str) -> Address:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Address(parts.hostname or "127.0.0.1", parts.port or 80, target)

    def connect(self, timeout: float = 5) -> RawConnection:
        return RawConnection((self.host, self.port), timeout)

    def free(self) -> bool:
        """Could somebody else listen there now?"""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            # Connections that are closed but not forgotten are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
                probe.listen()
            except OSError:
                return False
        return True


def get(url: str, timeout: float = 5) -> Response | None:
    """A GET on a connection of its own; None when it is not answered."""
    address = Address.of(url)
    with contextlib.suppress(OSError, ValueError, IndexError):
        with address.connect(timeout) as connection:
            connection.send(request("GET", address.target, headers={"Connection": "close"}))
            return connection.read_response(timeout)
    return None


def serves(url: str, timeout: float = 5) -> bool:
    """Does it answer with a success?"""
    response = get(url, timeout)
    return response is not None and 200 <= response.status < 300


def children_of(pid: int, parents: dict[int, int]) -> list[int]:
    return [each for each, parent in parents.items() if parent == pid]


def read_pid(pid_file: str | Path) -> int | None:
    """What a pid file says, when it says a number."""
    try:
        return int(Path(pid_file).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return stat_fields(pid)[0] not in "ZX"
    except OSError:
        return False


def names(pids: Iterable[int]) -> str:
    """What processes are called, for a sentence: each name once, without the folders in it."""
    found = {re.sub(r"(?<!\S)/(\S*/)?(?=\S)", "", command_line(pid)) for pid in pids}
    return ", ".join(sorted(found))[:200]


def environment() -> dict[str, str]:
    """For the server and its commands: administrators' programs are in the PATH, Bazel is not."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BAZEL", "BUILD_", "RUNFILES", "TEST_", "PYTHON", "JAVA_"))
    }
    kept["PATH"] = kept.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
    return kept


@dataclass
class Target:
    """A server that was started, and every process of it."""

    spec: Spec
    recorder: Recorder
    output_path: Path
    start_timeout: float = 20
    starter_timeout: float = 1  # from the first answer to the end of a daemon's starter
    tree: ProcessTree = field(init=False)
    starter_status: int | None = None  # None: it stays in the foreground
    starter_seconds: float = 0
    served_at_once: bool = False  # when the starter had ended
    size: int = 0  # processes, at rest after the start
    _main: int | None = None

    def start(self) -> None:
        """Returns when it serves. Raises StartFailed when it does not."""
        begun = time.monotonic()
        self.recorder.mark("start", self.spec.start)
        with self.output_path.open("wb") as output:
            self.tree = ProcessTree(
                ["/bin/sh", "-c", self.spec.start],
                cwd=self.spec.folder,
                env=environment(),
                stdout=output,
                stderr=output,
            )
        self.recorder.watch(self.tree.guard_pid)
        try:
            self._await_service(begun)
            if self.starter_status:
                raise StartFailed(
                    f"{self.spec.url} answers, but the command that should start the server ended "
                    f"with status {self.starter_status}{self._last_words()}"
                )
            self.recorder.main_is(self.main())
        except StartFailed:
            self.kill()
            raise
        self.size = self._count_at_rest()

    def _await_service(self, begun: float) -> None:
        deadline = begun + self.start_timeout
        while not serves(self.spec.url, 1):
            ended = self._note_starter(begun)
            if ended and self.tree.gone():
                raise StartFailed(f"it ended with status {self.starter_status}{self._last_words()}")
            if time.monotonic() > deadline:
                raise StartFailed(self._why_silent() + self._last_words())
            time.sleep(0.01)
        if self.starter_status is not None:
            return
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self._note_starter(begun), self.starter_timeout)
            self.served_at_once = True  # it served before its starter had ended

    def _note_starter(self, begun: float) -> bool:
        if self.starter_status is None and (status := self.tree.poll()) is not None:
            self.starter_status = status
            self.starter_seconds = time.monotonic() - begun
            self.served_at_once = serves(self.spec.url, 1)
        return self.starter_status is not None

    def _why_silent(self) -> str:
        response = get(self.spec.url, 1)
        what = f"answers with status {response.status}" if response else "does not answer"
        remedy = "name what is answered with 2xx" if response else "is that where it listens?"
        return f"{self.spec.url} {what} after {self.start_timeout:g} s ({remedy})"

    def output(self) -> str:
        """What it and its starter said on the standard output and error."""
        return self.output_path.read_text(errors="replace")

    def _last_words(self) -> str:
        lines = self.output().strip().splitlines()[-10:]
        log = Path(self.spec.log_file) if self.spec.log_file else None
        if not lines and log and log.exists():
            lines = log.read_text(errors="replace").strip().splitlines()[-10:]
        return "; it said:\n  " + "\n  ".join(lines) if lines else "; it said nothing"

    @property
    def daemon(self) -> bool:
        """Has the command that started it ended, and the server not?"""
        return self.starter_status is not None

    def main(self) -> int:
        """The pid that commands get: of the pid file, else of the first process."""
        if self.spec.pid_file:
            path = self.spec.folder / self.spec.pid_file
            try:
                # Once: it may be written anew at any moment.
                self._main = wait_until(
                    lambda: pid if (pid := read_pid(path)) and alive(pid) else None, 5
                )
            except TimeoutError:
                raise StartFailed(f"the pid file {path} names no running process") from None
        elif self._main is None or not alive(self._main):
            self._main = self._first_process()
        return self._main

    def _first_process(self) -> int:
        parents = guard.parents()
        first = children_of(self.tree.guard_pid, parents)
        if not first:
            raise StartFailed("no process of it is left")
        pid = first[0]
        # `sh -c` may wait for the server instead of becoming it.
        while command_line(pid).startswith("/bin/sh -c") and (below := children_of(pid, parents)):
            pid = below[0]
        return pid

    def processes(self) -> list[int]:
        return self.tree.descendants()

    def workers(self) -> list[int]:
        """Descendants of the main process that have no children."""
        parents = guard.parents()
        having = set(parents.values())
        return [pid for pid in guard.descendants(self.main()) if pid not in having]

    def main_status(self, main: int) -> int | None:
        """The exit status of the main process, -N for signal N; None when it is not known."""
        status = self.tree.status_of(main)
        if status is None and not self.daemon and (status := self.tree.poll()) is not None:
            # The shell between tells by its own: sh(1), 128 + N.
            return status if status <= 128 else 128 - status
        return status

    def _count_at_rest(self) -> int:
        """How many processes there are once that number does not change any more."""
        count, since = len(self.processes()), time.monotonic()
        deadline = since + 5
        while time.monotonic() < min(since + 0.3, deadline):
            now = len(self.processes())
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.02)
        return count

    def serves(self) -> bool:
        return serves(self.spec.url)

    def command(self, kind: str, text: str) -> Ran:
        """Runs one of the spec's commands, with a mark of this kind in the timeline."""
        pid = self.main() if "{pid}" in text else None
        text = text.replace("{pid}", str(pid))
        self.recorder.mark(kind, text, pid)
        return run_command(text, self.spec.folder)

    def kill_process(self, pid: int) -> None:
        """kill -9"""
        self.recorder.mark("kill", "SIGKILL", pid)
        os.kill(pid, signal.SIGKILL)
        self.recorder.note_end(pid, "killed by SIGKILL")

    def kill(self) -> None:
        """Nothing of it is left then."""
        self.recorder.forget(self.tree.guard_pid)
        self.tree.kill_all()


def run_command(text: str, folder: Path) -> Ran:
    """Runs a command of the user's to its end."""
    begin = time.monotonic()
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", text],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Ran(-1, f"not done in {COMMAND_SECONDS} s", begin, COMMAND_SECONDS)
    output = done.stdout.decode(errors="replace")
    return Ran(done.returncode, output, begin, time.monotonic() - begin)
