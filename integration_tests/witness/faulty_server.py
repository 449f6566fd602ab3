"""An HTTP server that is wrong on purpose, to prove that its judges see it.

A master that serves, and a worker process that SIGUSR1 replaces; no connection notices. GET answers
`hello`, GET /large some megabytes, a POST its own body, POST /ledger `done` and the body. Without a
flag it makes no mistake; each flag is one fault, and on SIGTERM --report tells how often each was
made. It speaks as the real server does (`listening on ...`, `ready`), so the same harness runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import signal
import sys

FAULTS = {
    "drop": "close the connection instead of answering",
    "truncate": "close the connection in the middle of the answer",
    "wrong": "answer with the body that belongs to the request before",
    "announce_close": "answer with Connection: close, and do so",
    "stall": "never answer",
    "unasked": "answer twice",
    "malformed": "answer with what is not HTTP",
    "unavailable": "answer 503",
}

LARGE = b"x" * 6_000_000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faulty_server", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="127.0.0.1, ::1, or unix:PATH")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--report", help="write how often each fault was made, as JSON, here")
    parser.add_argument("--needs", metavar="FILE", help="SIGUSR1 without this file changes nothing")
    for fault, does in FAULTS.items():
        parser.add_argument(
            f"--{fault}_one_in", type=int, default=0, metavar="N", help=f"{does}, every N requests"
        )
    parser.add_argument(
        "--close_idle_on_usr1",
        action="store_true",
        help="SIGUSR1 closes the connections that rest between two requests",
    )
    parser.add_argument(
        "--keep_old_process",
        action="store_true",
        help="SIGUSR1 starts a new process and leaves the old one, for good",
    )
    return parser.parse_args()


class Worker:
    """A process that only waits for its end: what a reload has to replace."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._wait(reader)
        os.close(reader)

    @staticmethod
    def _wait(reader: int) -> None:
        signal.set_wakeup_fd(-1)
        os.dup2(reader, 0)
        # A connection ends when the last of its descriptors is closed: keep none of them open.
        os.closerange(1, os.sysconf("SC_OPEN_MAX"))
        # The end of the pipe is the end of the master, or of its need for this one.
        stays = os.read(0, 1)
        while stays:
            signal.pause()
        os._exit(0)

    def end(self) -> None:
        os.close(self._writer)

    def keep(self) -> None:
        """It stays, whatever happens to the master."""
        os.write(self._writer, b".")


def take_request(data: bytearray) -> tuple[str, bytes] | None:
    """Cuts one whole request off the front: its request line and its body."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].decode("latin-1").split("\r\n")
    length = 0
    for field in head[1:]:
        name, _, value = field.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    if len(data) < end + 4 + length:
        return None
    body = bytes(data[end + 4 : end + 4 + length])
    del data[: end + 4 + length]
    return head[0], body


class FaultyServer:
    """The master: one loop; what the faults were is in `tally`."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.tally: collections.Counter[str] = collections.Counter(
            {name: 0 for name in ["requests", "answered", "closed_idle", "kept_processes", *FAULTS]}
        )
        self.connections: set[Connection] = set()
        self.body_before = b""
        self.worker = Worker()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Serves until SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGUSR1, self.reload)
        loop.add_signal_handler(signal.SIGCHLD, self.reap)
        print(f"listening on {await self.listen(loop)}", file=sys.stderr, flush=True)
        print("ready", file=sys.stderr, flush=True)
        await self.stopping.wait()
        self.worker.end()
        os.waitpid(self.worker.pid, 0)
        if self.arguments.report:
            with open(self.arguments.report, "w") as report:
                json.dump(self.tally, report)

    async def listen(self, loop: asyncio.AbstractEventLoop) -> str:
        """The URL or path that leads to it."""
        address, port = self.arguments.address, self.arguments.port

        def accepted() -> Connection:
            return Connection(self)

        if address.startswith("unix:"):
            path = address.removeprefix("unix:")
            await loop.create_unix_server(accepted, path, backlog=4096)
            return address
        server = await loop.create_server(accepted, address, port, backlog=4096)
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{server.sockets[0].getsockname()[1]}"

    def reload(self) -> None:
        needs = self.arguments.needs
        if needs and not os.path.exists(needs):
            print(f"not reloaded: {needs} is not there", file=sys.stderr, flush=True)
            return
        old, self.worker = self.worker, Worker()
        if self.arguments.keep_old_process:
            self.tally["kept_processes"] += 1
            old.keep()
        old.end()
        if self.arguments.close_idle_on_usr1:
            for connection in [each for each in self.connections if each.rests()]:
                self.tally["closed_idle"] += 1
                connection.transport.close()
        print("reloaded", file=sys.stderr, flush=True)

    def reap(self) -> None:
        """A worker that was killed has a successor."""
        try:
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                if pid == self.worker.pid:
                    self.worker.end()
                    self.worker = Worker()
        except ChildProcessError:
            pass

    def due_fault(self) -> str | None:
        """For the request that has come now."""
        self.tally["requests"] += 1
        for fault in FAULTS:
            every = getattr(self.arguments, f"{fault}_one_in")
            if every and self.tally["requests"] % every == 0:
                self.tally[fault] += 1
                return fault
        return None


class Connection(asyncio.Protocol):
    """A client's, from its first request to its end."""

    transport: asyncio.Transport

    def __init__(self, server: FaultyServer) -> None:
        self.server = server
        self.buffer = bytearray()
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)

    def rests(self) -> bool:
        """Is it between two requests, and has it neither half a request nor half an answer?"""
        under_way = self.buffer or self.transport.get_write_buffer_size()
        return self.used and not under_way and self.transport.is_reading()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.transport.is_reading() and (request := take_request(self.buffer)):
            self.used = True
            self.answer(self.server.due_fault(), *request)

    def answer(self, fault: str | None, request_line: str, body: bytes) -> None:
        if fault == "drop":
            self.transport.close()
            return
        if fault == "stall":
            self.transport.pause_reading()
            return

        server = self.server
        method, target, _ = request_line.split(" ")
        if method in ("GET", "HEAD"):
            body = LARGE if target == "/large" else b"hello\n"
        elif target == "/ledger":
            body = b"done " + body
        if fault == "wrong":
            body, server.body_before = server.body_before, body
        else:
            server.body_before = body
        status = b"503 Service Unavailable" if fault == "unavailable" else b"200 OK"
        close = b"Connection: close\r\n" if fault == "announce_close" else b""
        answer = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), close)
        if method != "HEAD":
            answer += body
        if fault == "malformed":
            answer = b"no" + answer
        elif fault == "truncate":
            answer = answer[: len(answer) // 2]
        elif fault == "unasked":
            answer += answer
        self.transport.write(answer)
        if fault in ("truncate", "announce_close"):
            self.transport.close()
        if fault in (None, "unasked", "announce_close"):
            server.tally["answered"] += 1


async def main() -> None:
    """The program; what it can't do is said in one line."""
    server = FaultyServer(parse_arguments())
    try:
        await server.run()
    except OSError as error:
        sys.exit(f"faulty_server: {error.strerror}")


if __name__ == "__main__":
    asyncio.run(main())
