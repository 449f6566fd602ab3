"""The servers that stand side by side, each started so that nothing of it is left."""

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Iterator, Optional

from integration_tests.harness.client import RawConnection
from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.server import Server
from integration_tests.harness.waiting import wait_until

BODY = "hello\n"  # what the echo handler answers to GET /

NGINX_CONFIG = """\
worker_processes {workers};
{user}
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  default_type text/plain;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} reuseport;
    location / {{ return 200 "{body}"; }}
  }}
}}
"""


class Contestant:
    """A running server: its name, its URL, and what it has used."""

    def __init__(self, name: str, url: str, tree: ProcessTree) -> None:
        self.name = name
        self.url = url.rstrip("/") + "/"
        self.tree = tree

    def cpu_ns(self) -> int:
        """The time that its processes have spent on processors, the kernel's for them included."""
        total = 0
        for pid in self.tree.descendants():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        return total

    def raw_response(self) -> bytes:
        """The very bytes of its answer to GET /."""
        host, _, port = self.url.removeprefix("http://").rstrip("/").rpartition(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: benchmark\r\n\r\n")
            received = b""
            while not received.endswith(BODY.encode()):
                piece = connection.recv(4096)
                if not piece:
                    raise ConnectionError(f"{self.name} closed after {received!r}")
                received += piece
            return received


def find_nginx() -> Optional[str]:
    """The path of nginx, None where it is not installed; /usr/sbin is not in every PATH."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def find_wrk() -> str:
    """The path of wrk. Raises FileNotFoundError that says what to do."""
    found = shutil.which("wrk")
    if found is None:
        raise FileNotFoundError("wrk is not installed: run ./setup, or apt-get install wrk")
    return found


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a Unix socket, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="gd-benchmark-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def our_server(workers: int, **settings: object) -> Iterator[Server]:
    """//reload:server with the echo handler."""
    with folder() as place:
        server = Server(place / "log", place, worker_num=workers, **settings)
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def ours(workers: int) -> Iterator[Contestant]:
    with our_server(workers) as server:
        yield Contestant("this server", server.url, server.tree)


@contextlib.contextmanager
def bare_loop(workers: int, response: bytes) -> Iterator[Contestant]:
    """The limit (bare_loop.cc), which answers with these bytes."""
    with folder() as place:
        (place / "response").write_bytes(response)
        output = place / "output"
        command = [runfile("integration_tests/benchmark/bare_loop"), str(workers)]
        with output.open("wb") as stream:
            tree = ProcessTree([*command, place / "response"], stdout=stream)
        with tree:
            wait_until(lambda: "ready" in output.read_text(), 10, "the bare loop to be ready")
            found = re.search(r"http://\S+", output.read_text())
            assert found
            yield Contestant("bare loop", found[0], tree)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port: int, tree: ProcessTree, output: Path) -> bool:
    if tree.poll() is not None:
        raise RuntimeError(f"nginx ended with status {tree.poll()}: {output.read_text().strip()}")
    with contextlib.suppress(OSError):
        return RawConnection(("127.0.0.1", port), 1).get("/").body == BODY.encode()
    return False


@contextlib.contextmanager
def nginx(workers: int) -> Iterator[Contestant]:
    """nginx, which answers the same body by itself. It can't be given port 0, so one is picked."""
    program = find_nginx()
    if program is None:
        raise FileNotFoundError("nginx is not installed")
    with folder() as place:
        port = _free_port()
        config = place / "nginx.conf"
        values = {"workers": workers, "files": 20000, "connections": 16000, "port": port}
        body = BODY.replace("\n", "\\n")
        # Its usual change of user needs users that a sandbox does not have.
        user = "user root root;" if os.geteuid() == 0 else ""
        config.write_text(NGINX_CONFIG.format(folder=place, body=body, user=user, **values))
        with (place / "output").open("wb") as output:
            tree = ProcessTree([program, "-c", config], stdout=output, stderr=output)
        with tree:
            wait_until(lambda: _answers(port, tree, place / "output"), 10, "nginx to answer")
            yield Contestant("nginx", f"http://127.0.0.1:{port}", tree)


def settle() -> None:
    """A moment in which what ran before is gone from the processors."""
    time.sleep(0.05)
