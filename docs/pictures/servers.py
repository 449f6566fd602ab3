"""Pictures of the server: who holds which descriptors, where lines go, who is process 1."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from docs.pictures.flow import Bar, bars
from docs.pictures.methods import shown_as_master
from docs.pictures.tree import Moment, Process, look, tree
from integration_tests.check.target import alive
from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.server import Server
from integration_tests.harness.waiting import wait_until
from integration_tests.printing import PRINTS, Printing, printed

LISTENING, CLIENTS = "listens on", "clients' sockets, descriptor:inode"
STOPPED, STOP_SECONDS = "after SIGTERM to process 1", 2
NAMESPACE = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]
PRINTING, ROTATIONS, LINES_A_FILE = 8, 3, 2_000


def slots(folder: Path) -> str:
    columns = {"parent": 296, LISTENING: 352, CLIENTS: 530}
    echo = runfile("reload/handlers/echo.so")
    server = Server(folder, folder, worker_num=2, task_worker_num=2, handler=echo)
    try:
        # The kernel chooses which worker gets a connection: until each has one.
        shown = wait_until(lambda: connected(server), what="clients of both workers")
    finally:
        server.kill()
    return tree(
        "Who holds the connections: keeper and worker share one table of descriptors",
        "Master, two keepers, two workers and the task workers, with the sockets of four clients: "
        "each is in the table that a keeper shares with its worker, and in no other.",
        columns,
        [Moment("Four clients are connected", shown)],
    )


def connected(server: Server) -> list[Process] | None:
    """The processes while clients are connected; none when one worker has got all of them."""
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server.connect()).get("/whoami")
        found = with_sockets(look(server.tree.descendants()), server.port)
    holders = Counter(process.words[CLIENTS] for process in found if process.words[CLIENTS])
    return shown_as_master(found) if len(holders) == 2 else None


def with_sockets(processes: list[Process], port: int) -> list[Process]:
    """With the server's sockets in /proc/PID/fd: those that have the same have the same color."""
    clients, listening = sockets(port)
    found = []
    for process in processes:
        folder = Path(f"/proc/{process.pid}/fd")
        targets = {int(entry.name): os.readlink(entry) for entry in folder.iterdir()}
        words = {LISTENING: listed(targets, listening), CLIENTS: listed(targets, clients)}
        found.append(replace(process, kin=words[CLIENTS], words={**process.words, **words}))
    return found


def sockets(port: int) -> tuple[set[str], set[str]]:
    """Of its clients, and those that listen, as /proc/PID/fd names them."""
    established, listen = "01", "0A"
    found: dict[str, set[str]] = {established: set(), listen: set()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if int(local.partition(":")[2], 16) == port and state in found:
            found[state].add(f"socket:[{rest[5]}]")
    return found[established], found[listen]


def listed(targets: dict[int, str], wanted: set[str]) -> str:
    """Descriptor and inode: 12:56789 where a link is named 12 and goes to socket:[56789]."""
    held = sorted((fd, target) for fd, target in targets.items() if target in wanted)
    return "\N{EN SPACE}".join(f"{fd}:{target[8:-1]}" for fd, target in held)


def output(folder: Path) -> str:
    log = folder / "log"
    server = Server(folder / "server", folder, worker_num=2, handler=runfile(PRINTS), log_file=log)
    try:
        clients = [Printing(server.address) for _ in range(PRINTING)]
        for client in clients:
            client.start()
        for number in range(ROTATIONS, 0, -1):
            wait_until(lambda: log.stat().st_size > 70 * LINES_A_FILE, 30, "something to rotate")
            log.rename(f"{log}.{number}")
            assert server.ctl("reopen").returncode == 0
        expected = sum((client.finish() for client in clients), Counter())
        server.stop()
    finally:
        server.kill()
    files = [Path(f"{log}.{number}") for number in range(ROTATIONS, 0, -1)] + [log]
    found = [printed(file.read_text().splitlines()) for file in files]
    lost = sum((expected - sum(found, Counter())).values())
    assert not lost, lost
    total = sum(expected.values())
    return bars(
        f"{ROTATIONS} rotations under load: {lost} of {total:,} lines lost, none twice",
        "How many lines of two workers each file has, from the oldest to the one in use.",
        [Bar(file.name, by_worker(lines)) for file, lines in zip(files, found, strict=True)],
    )


def by_worker(lines: Counter[tuple[int, int]]) -> dict[str, int]:
    counts = Counter[str]()
    for (pid, _), count in lines.items():
        counts[f"worker {pid}"] += count
    return dict(sorted(counts.items()))


def containers(folder: Path) -> str:
    server = runfile("reload/server").resolve()
    options = f"--port 0 --worker_num 1 --handler {runfile('reload/handlers/echo.so').resolve()}"
    columns = {"parent": 300, STOPPED: 400}
    moments = []
    for number, command in enumerate(["server; exit $?", "exec server"]):
        log = folder / f"log{number}"
        words = command.replace("server", f"{server} {options}")
        with log.open("wb") as output:
            started = ProcessTree([*NAMESPACE, "sh", "-c", words], stdout=output, stderr=output)
        with started:
            wait_until(lambda log=log: "ready" in log.read_text(), 20, "the server to be ready")
            moments.append(Moment(f"sh -c '{command}'", stopped(started), bool(number)))
    return tree(
        "A container is stopped by a SIGTERM to its process 1",
        "Twice the same server in a PID namespace. With a shell as process 1 SIGTERM does nothing; "
        "as process 1 itself the server stops.",
        columns,
        moments,
    )


def stopped(started: ProcessTree) -> list[Process]:
    """The processes, with the pids that they have inside, and who is left after a SIGTERM."""
    inside = {pid: inner for pid in started.descendants() if (inner := pid_inside(pid))}
    first = next(pid for pid, inner in inside.items() if inner == 1)
    found = look(inside)
    os.kill(first, signal.SIGTERM)
    with suppress(TimeoutError):
        wait_until(lambda: not alive(first), STOP_SECONDS)
    processes = []
    for process in found:
        parent = str(inside.get(process.parent, 0))
        words = {"parent": parent, STOPPED: "still there" if alive(process.pid) else "gone"}
        processes.append(
            replace(process, pid=inside[process.pid], parent=int(parent), words=words)
        )
    return shown_as_master(processes)


def pid_inside(pid: int) -> int | None:
    """In the innermost namespace; None when that is this one."""
    status = Path(f"/proc/{pid}/status").read_text()
    pids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return int(pids[-1]) if len(pids) > 1 else None
