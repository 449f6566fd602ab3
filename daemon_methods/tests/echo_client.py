"""A daemon under test, reached by its pid file and its port."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from integration_tests.harness.waiting import wait_until


@dataclass
class EchoDaemon:
    """An echo server that was started by some method."""

    pid: int
    port: int
    requests: int = field(default=0)

    @staticmethod
    def named_by(pid_file: Path) -> EchoDaemon:
        """Waits until the process that the pid file names listens."""

        def find() -> EchoDaemon | None:
            try:
                pid = int(pid_file.read_text())
                port = listening_port(pid)
            except (OSError, ValueError):
                return None
            return EchoDaemon(pid, port) if port else None

        return wait_until(find, what=f"a server that {pid_file} names")

    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        return is_running(self.pid)

    def serves(self) -> bool:
        """Asks for `/`. A process with a deadly signal pending answers nothing any more."""
        self.requests += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            return connection.getresponse().read() == b"hello\n"
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def last_line(self) -> str:
        """What the server printed for the last request."""
        return f"line {self.requests}: GET /"

    def kill(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)

    def wait_for_end(self) -> None:
        """Waits until it has ended."""
        wait_until(lambda: not self.alive(), what=f"the end of process {self.pid}")


def is_running(pid: int) -> bool:
    """Whether the process exists and has not exited."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listening_port(pid: int) -> int | None:
    """The TCP port on which the process listens; none when it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for connection in psutil.Process(pid).connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return connection.laddr.port
    return None


def port_is_free(port: int) -> bool:
    """Whether nobody listens there."""
    return all(
        connection.laddr.port != port
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    )
