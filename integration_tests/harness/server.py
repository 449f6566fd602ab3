"""Starting `reload/server`, or a program that speaks like it, and talking to it.

A target that uses it has //reload:server and //reload:ctl in its `data`.
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Any, Optional, Sequence

from integration_tests.harness.client import Address, RawConnection
from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until
from integration_tests.harness.witness import Setting, flags

# Every line of the server begins with time, role and pid; these say what follows somewhere in it.
LISTENING = re.compile(
    r"listening on (?:(?P<url>http://(?P<host>\[[^\]]+\]|[^\s:/]+):(?P<port>\d+))/?"
    r"|unix:(?P<path>\S+))"
)
READY = re.compile(r"\bready\b")


@dataclass
class CtlResult:
    """What `ctl` said, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


class Server:
    """A server in the foreground, every process of it known, every line of it kept."""

    def __init__(
        self,
        folder: Path,
        socket_folder: Path,
        *,
        binary: str = "reload/server",
        prefix: Sequence[str] = (),
        env: Optional[dict[str, str]] = None,
        wait: bool = True,
        ready_timeout: float = 20,
        **settings: Setting,
    ) -> None:
        """`settings` are flags: worker_num=2, daemonize=True, listen=["...", "..."].

        `prefix` is a command that runs the server as its last words, prlimit(1) for one.
        `socket_folder` has a short path, since a Unix socket's has 107 bytes at most. `wait=False`
        is for servers that are not meant to come up.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / "server.log"
        if binary == "reload/server":
            settings.setdefault("control_socket", socket_folder / "control")
        if "listen" not in settings and "config" not in settings:
            settings.setdefault("port", 0)
        self.control_socket: Optional[Setting] = settings.get("control_socket")
        self.log_file: Optional[Setting] = settings.get("log_file")
        self.stop_timeout = 40.0  # more than the server's own max_wait_time
        with self.log_path.open("wb") as log:
            self.tree = ProcessTree(
                [*prefix, runfile(binary), *flags(settings)],
                env={**os.environ, **(env or {})},
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_ready(ready_timeout)

    # The log.

    def log(self) -> str:
        """All that it has said: on its standard output and error, and in its log_file."""
        files = [self.log_path, *([Path(self.log_file)] if self.log_file else [])]
        return "".join(file.read_text(errors="replace") for file in files if file.is_file())

    def lines(self, pattern: str = "") -> list[str]:
        """Its lines in which the regular expression is found."""
        return [line for line in self.log().splitlines() if re.search(pattern, line)]

    def wait_for_line(self, pattern: str, timeout: float = 10, count: int = 1) -> str:
        """Waits until that many lines match; returns the last of them."""

        def found() -> list[str]:
            lines = self.lines(pattern)
            return lines if len(lines) >= count else []

        try:
            return wait_until(found, timeout)[-1]
        except TimeoutError:
            raise TimeoutError(
                f"no line '{pattern}' in {timeout} s; the log:\n{self.log()}"
            ) from None

    def wait_ready(self, timeout: float = 20) -> None:
        """Waits for the line that says so. Raises RuntimeError when it ends instead."""

        def ready_or_ended() -> bool:
            return bool(self.lines(READY.pattern)) or self.tree.poll() is not None

        try:
            wait_until(ready_or_ended, timeout, "the server to be ready")
        except TimeoutError as error:
            self.kill()
            raise TimeoutError(f"{error}; its log:\n{self.log()}") from None
        if not self.lines(READY.pattern):
            status = self.tree.poll()
            self.kill()
            raise RuntimeError(f"the server ended with {status}; its log:\n{self.log()}")

    # Where it listens.

    def addresses(self) -> list[Address]:
        """Every address that it listens on, in its order: (host, port), or a path."""
        found: dict[Address, None] = {}  # a set that keeps its order
        for match in LISTENING.finditer(self.log()):
            if match["path"]:
                found[match["path"]] = None
            else:
                found[match["host"].strip("[]"), int(match["port"])] = None
        return list(found)

    @property
    def address(self) -> Address:
        """The first one."""
        return self.addresses()[0]

    @property
    def urls(self) -> list[str]:
        """The addresses that are URLs, without a slash at the end."""
        found = (match["url"] for match in LISTENING.finditer(self.log()) if match["url"])
        return list(dict.fromkeys(found))

    @property
    def url(self) -> str:
        return self.urls[0]

    @property
    def port(self) -> int:
        return next(address[1] for address in self.addresses() if isinstance(address, tuple))

    def connect(self, timeout: float = 10) -> RawConnection:
        """A raw connection to its first address."""
        return RawConnection(self.address, timeout)

    # Its processes.

    @property
    def pid(self) -> int:
        """Of the process that was started: the master, unless it daemonizes."""
        return self.tree.pid

    def signal(self, number: int) -> None:
        self.tree.signal(number)

    def ctl(self, *arguments: str, timeout: float = 60) -> CtlResult:
        """Runs `ctl --control_socket ... ARGUMENTS`."""
        command = [runfile("reload/ctl"), "--control_socket", self.control_socket, *arguments]
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return CtlResult(done.returncode, done.stdout, done.stderr)

    def status(self) -> dict[str, Any]:
        """What `ctl status --json` says."""
        result = self.ctl("status", "--json")
        assert result.returncode == 0, result
        return json.loads(result.stdout)

    def slots(self) -> list[dict[str, Any]]:
        """The slots, as the status lists them: keeper, worker, generation and what they counted."""
        return self.status()["slots"]

    def workers(self) -> list[int]:
        """The pids of the workers, in the order of their slots."""
        return [slot["worker"] for slot in self.slots()]

    def wait(self, timeout: float = 30) -> int:
        """Waits for its end; the exit status, -N when signal N killed it."""
        return self.tree.wait(timeout)

    def stop(self, number: int = SIGTERM) -> int:
        """Stops it with a signal, waits until no process of it is left; the exit status."""
        self.signal(number)
        status = self.wait(self.stop_timeout)
        self.tree.wait_gone(self.stop_timeout)
        return status

    def kill(self) -> None:
        """For the end of a test: nothing of it is left then."""
        self.tree.kill_all()
