"""What the tour plays with: a folder, a real server in it, and a load on that."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from integration_tests.check.load import read_strokes
from integration_tests.check.recorder import Recorder, Stroke
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.server import Server
from integration_tests.harness.waiting import wait_until
from integration_tests.harness.witness import Account, Witness, flags

PROGRAMS = {
    "server": "reload/server",
    "ctl": "reload/ctl",
    "witness": "integration_tests/witness/witness",
}
HANDLERS = {
    "version1.so": "reload/handlers/echo.so",
    "version2.so": "integration_tests/handlers/echo_v2.so",
}
LOG_LINE = re.compile(
    r"\S+T(?P<time>[\d:.]+)\S* +\w+ +(?P<role>\w+(?: \d+)?) +\d+  (?P<text>.*)"
)
KILLED = r"worker (\d+) was killed by SIGKILL"
COMMAND_SECONDS = 60


class Failed(Exception):
    """The tour can't go on, and why."""


class Stage:
    """The current folder while the tour runs, so that its commands are as short as a reader's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recorder = Recorder()
        self._before = Path.cwd()
        for name, path in PROGRAMS.items():
            (folder / name).symlink_to(runfile(path).resolve())
        for name, path in HANDLERS.items():
            shutil.copyfile(runfile(path), folder / name)
        shutil.copyfile(folder / "version1.so", folder / "handler.so")
        os.chdir(folder)
        os.environ.pop("BUILD_WORKING_DIRECTORY", None)  # where `bazel run` was typed
        self.server: Server | None = None
        self.witness: Witness | None = None
        self.port = 0
        self._timeline = folder / "requests"

    def close(self) -> None:
        """Nothing of it runs after that."""
        self.recorder.stop()
        if self.witness:
            self.witness.kill()
        if self.server and self.server.tree.poll() is None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                self.server.stop_timeout = 2
                self.server.stop()
        if self.server:
            self.server.kill()
        os.chdir(self._before)

    # The server.

    def start_server(self, **settings: Any) -> None:
        self.recorder.mark("start", server_command(settings))
        try:
            self.server = Server(Path("."), Path("."), binary="./server", **settings)
        except (RuntimeError, TimeoutError) as error:
            raise Failed(f"the server did not start: {error}") from None
        self.port = self.server.port
        self.recorder.watch(self.server.tree.guard_pid)
        self.recorder.main_is(self.server.pid)

    def run(self, command: str, mark: str = "", pid: int | None = None) -> tuple[int, str]:
        """Runs what a reader would type: its exit status, and what it said."""
        if mark:
            self.recorder.mark(mark, command, pid)
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
        )
        return done.returncode, done.stdout

    def run_behind(self, request: str) -> Callable[[], str]:
        """Runs a command that asks the server something, as with &; what it said at its end.

        Returns when the request is in a worker's hands.
        """
        before = self._requests()
        asking = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {request}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        wait_until(lambda: self._requests() > before, COMMAND_SECONDS, f"the request of {request}")
        return lambda: asking.communicate(timeout=COMMAND_SECONDS)[0].decode(errors="replace")

    def _requests(self) -> int:
        return sum(slot["requests"] for slot in self.slots())

    def ctl(self, words: str) -> str:
        return f"./ctl --port {self.port} {words}"

    def slots(self) -> list[dict[str, Any]]:
        """Of each: keeper, worker, and what it has counted."""
        status, said = self.run(self.ctl("status --json"))
        if status != 0:
            raise Failed(f"the server gives no account of itself: {said.strip()}")
        return json.loads(said)["slots"]

    def log(self, pattern: str, skip: int = 0, count: int = 0) -> list[str]:
        """Lines of the server's log, without what a reader has no use for; waits for `count`."""
        if count:
            self.server.wait_for_line(pattern, count=skip + count)
        found = [LOG_LINE.fullmatch(line) for line in self.server.lines(pattern)[skip:]]
        return [f"{each['time']} {each['role']}: {each['text']}" for each in found if each]

    def note_deaths(self) -> None:
        """For the timeline: /proc doesn't say how a process ended, the log does."""
        for line in self.log(KILLED):
            self.recorder.note_end(int(re.search(KILLED, line)[1]), "killed by SIGKILL")

    # The load.

    def start_load(self, **settings: Any) -> None:
        self.witness = Witness(
            self.folder / "load", seconds=3600, timeline=self._timeline, **settings
        )
        self.witness.wait_ready()

    def stop_load(self) -> Account:
        """Its whole account; its requests go into the timeline."""
        return self.witness.stop()

    def strokes(self) -> list[Stroke]:
        """All requests, one by one."""
        return read_strokes(self._timeline)


def server_command(settings: dict[str, Any]) -> str:
    return " ".join(["./server", *flags(settings)])


def witness_command(settings: dict[str, Any]) -> str:
    return " ".join(["./witness", *flags(settings)])
