"""A client that sends exactly the bytes it is told to: halves, pipelines, malformed requests."""

import fcntl
import socket
import sys
import termios
import time
from dataclasses import dataclass
from typing import Optional, Union

from integration_tests.harness.waiting import wait_readable, wait_until

Address = Union[str, tuple[str, int]]


@dataclass
class Response:
    """A whole response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(
    method: str = "GET", target: str = "/", body: bytes = b"", headers: Optional[dict] = None
) -> bytes:
    """The bytes of a well-formed request."""
    fields = {"Host": "test", **(headers or {})}
    if body:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawConnection:
    """One connection, to ("127.0.0.1", port), ("::1", port) or the path of a Unix socket."""

    def __init__(self, address: Address, timeout: float = 10) -> None:
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._ended = False

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def wait_delivered(self, timeout: float = 10) -> None:
        """Waits until the other side's kernel has confirmed every byte (SIOCOUTQ, tcp(7))."""
        queued = bytearray(4)

        def confirmed() -> bool:
            fcntl.ioctl(self.socket, termios.TIOCOUTQ, queued)  # the same number as SIOCOUTQ
            return not any(queued)

        wait_until(confirmed, timeout, "the bytes to be delivered")

    def pending(self) -> int:
        """Bytes that have come and were not read yet (FIONREAD, ioctl(2))."""
        waiting = bytearray(4)
        fcntl.ioctl(self.socket, termios.FIONREAD, waiting)
        return int.from_bytes(waiting, sys.byteorder)

    def get(self, target: str = "/", timeout: float = 10) -> Response:
        """Sends GET and reads the response."""
        self.send(request("GET", target))
        return self.read_response(timeout)

    def post(self, target: str, body: bytes, timeout: float = 10) -> Response:
        """Sends POST and reads the response."""
        self.send(request("POST", target, body))
        return self.read_response(timeout)

    def read_response(self, timeout: float = 10, head: bool = False) -> Response:
        """The next response; `head`: it answers HEAD. Interim responses (1xx) are responses too.

        Raises TimeoutError, or ConnectionError when the server closes first.
        """
        deadline = time.monotonic() + timeout
        lines = self._until(b"\r\n\r\n", deadline).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if head or status < 200 or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks(deadline)
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]), deadline)
        else:
            body = self._to_the_end(deadline)
        return Response(status, headers, body)

    def closed(self, timeout: float = 10) -> bool:
        """Does the server close it within this time, without another byte?"""
        try:
            self._more(time.monotonic() + timeout)
        except ConnectionError:
            return not self._received
        except TimeoutError:
            return False
        return False

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _more(self, deadline: float) -> None:
        if self._ended:
            raise ConnectionResetError(f"closed after {bytes(self._received)!r}")
        seconds = deadline - time.monotonic()
        if seconds <= 0 or not wait_readable(self.socket, seconds):
            raise TimeoutError(f"no more bytes after {bytes(self._received)!r}")
        received = self.socket.recv(1 << 16)
        self._ended = not received
        if self._ended:
            raise ConnectionResetError(f"closed after {bytes(self._received)!r}")
        self._received += received

    def _until(self, mark: bytes, deadline: float) -> bytes:
        while (end := self._received.find(mark)) < 0:
            self._more(deadline)
        found = bytes(self._received[:end])
        del self._received[: end + len(mark)]
        return found

    def _exactly(self, size: int, deadline: float) -> bytes:
        while len(self._received) < size:
            self._more(deadline)
        found = bytes(self._received[:size])
        del self._received[:size]
        return found

    def _chunks(self, deadline: float) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n", deadline).split(b";")[0], 16):
            body += self._exactly(size, deadline)
            self._exactly(2, deadline)
        while self._until(b"\r\n", deadline):  # the trailer
            pass
        return body

    def _to_the_end(self, deadline: float) -> bytes:
        try:
            while True:
                self._more(deadline)
        except ConnectionError:
            pass
        body = bytes(self._received)
        self._received.clear()
        return body
