"""An HTTP server that is wrong on purpose, to prove that the witness sees it.

Without a flag it makes no mistake: GET answers `hello`, a POST its own body, POST /ledger `done`
and the body. Each flag is one fault, and on SIGTERM --report tells how often each was made. It
speaks as the real server does (`listening on ...`, `ready`), so the same harness runs it.
"""

import argparse
import collections
import json
import os
import selectors
import signal
import socket
import sys
from typing import Optional

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


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faulty_server", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="127.0.0.1, ::1, or unix:PATH")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--report", help="write how often each fault was made, as JSON, here")
    for fault, does in FAULTS.items():
        parser.add_argument(
            f"--{fault}_one_in", type=int, default=0, metavar="N", help=f"{does}, every N requests"
        )
    parser.add_argument(
        "--close_idle_on_usr1",
        action="store_true",
        help="SIGUSR1 closes the connections that no request has been read from",
    )
    parser.add_argument(
        "--keep_old_process",
        action="store_true",
        help="SIGUSR1 starts a new process and leaves the old one, for good",
    )
    return parser.parse_args()


def fork_worker() -> int:
    """Starts a process that only waits for its end: what a reload has to replace."""
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        # A connection ends when the last of its descriptors is closed: keep none of them open.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        while True:
            signal.pause()
    return pid


def kill(worker: int) -> None:
    """Ends a worker; not with SIGTERM, which it has a handler for until it gets to run."""
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)


def listen(address: str, port: int) -> tuple[socket.socket, str]:
    """A listening socket, and the URL or path that leads to it."""
    if address.startswith("unix:"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address[len("unix:") :])
        listener.listen(4096)
        name = address
    else:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=4096)
        host = f"[{address}]" if ":" in address else address
        name = f"http://{host}:{listener.getsockname()[1]}"
    listener.setblocking(False)
    return listener, name


def take_request(data: bytearray) -> Optional[tuple[str, bytes]]:
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
    """One process, one loop; what the faults were is in `tally`."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.tally: collections.Counter[str] = collections.Counter(
            {name: 0 for name in ["requests", "answered", "closed_idle", "kept_processes", *FAULTS]}
        )
        self.selector = selectors.DefaultSelector()
        self.buffers: dict[socket.socket, bytearray] = {}
        self.stalled: list[socket.socket] = []
        self.body_before = b""
        self.stopping = False
        self.worker = fork_worker()
        self.listener, self.name = listen(arguments.address, arguments.port)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        # A signal wakes the selector and does its work there, not in a handler.
        self.wakeup, wakeup_writer = socket.socketpair()
        self.wakeup_writer = wakeup_writer
        for end in (self.wakeup, wakeup_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(wakeup_writer.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        self.selector.register(self.wakeup, selectors.EVENT_READ, self.on_signals)

    def run(self) -> None:
        """Serves until SIGTERM."""
        print(f"listening on {self.name}", file=sys.stderr, flush=True)
        print("ready", file=sys.stderr, flush=True)
        while not self.stopping:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener or key.fileobj is self.wakeup:
                    key.data()
                elif key.fileobj in self.buffers:
                    self.serve(key.fileobj)
        kill(self.worker)
        if self.arguments.report:
            with open(self.arguments.report, "w") as report:
                json.dump(self.tally, report)

    def accept(self) -> None:
        try:
            while True:
                connection, _ = self.listener.accept()
                if connection.family != socket.AF_UNIX:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.buffers[connection] = bytearray()
                self.selector.register(connection, selectors.EVENT_READ)
        except BlockingIOError:
            pass

    def close(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        del self.buffers[connection]
        connection.close()

    def on_signals(self) -> None:
        for number in self.wakeup.recv(64):
            if number == signal.SIGUSR1:
                self.reload()
            else:
                self.stopping = True

    def reload(self) -> None:
        old, self.worker = self.worker, fork_worker()
        if self.arguments.keep_old_process:
            self.tally["kept_processes"] += 1
        else:
            kill(old)
        if self.arguments.close_idle_on_usr1:
            for connection in [each for each, data in self.buffers.items() if not data]:
                self.tally["closed_idle"] += 1
                self.close(connection)
        print("reloaded", file=sys.stderr, flush=True)

    def serve(self, connection: socket.socket) -> None:
        data = self.buffers[connection]
        try:
            received = connection.recv(1 << 16)
            if not received:
                self.close(connection)
                return
            data += received
            while connection in self.buffers and (request := take_request(data)):
                self.answer(connection, *request)
        except (ConnectionResetError, BrokenPipeError):
            self.close(connection)

    def due_fault(self) -> Optional[str]:
        for fault in FAULTS:
            every = getattr(self.arguments, f"{fault}_one_in")
            if every and self.tally["requests"] % every == 0:
                return fault
        return None

    def answer(self, connection: socket.socket, request_line: str, body: bytes) -> None:
        self.tally["requests"] += 1
        fault = self.due_fault()
        if fault:
            self.tally[fault] += 1
        if fault == "drop":
            self.close(connection)
            return
        if fault == "stall":
            self.selector.unregister(connection)
            del self.buffers[connection]
            self.stalled.append(connection)
            return

        method, target, _ = request_line.split(" ")
        if method in ("GET", "HEAD"):
            body = b"hello\n"
        elif target == "/ledger":
            body = b"done " + body
        if fault == "wrong":
            body, self.body_before = self.body_before, body
        else:
            self.body_before = body
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
        connection.setblocking(True)
        connection.sendall(answer)
        if fault in ("truncate", "announce_close"):
            self.close(connection)
        if fault in (None, "unasked", "announce_close"):
            self.tally["answered"] += 1


if __name__ == "__main__":
    FaultyServer(parse_arguments()).run()
