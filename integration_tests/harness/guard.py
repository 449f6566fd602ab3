"""Runs one program and holds every process that comes of it: `guard.py FD PROGRAM [ARGUMENT...]`.

A daemon forks, calls setsid(2) and lets its parent end, so that neither its parent nor its process
group leads back to who started it. But an orphan goes to its nearest ancestor that is a child
subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), and that is this process: whatever the program does,
its descendants remain descendants of the guard. When waitpid(2) says that the guard has no child
left, then nothing of the program is left, and nothing can come any more.

FD is one end of a socket pair. The guard writes a line for each event: `started PID`, `failed
REASON`, `ended STATUS` (as waitpid tells it), `reaped PID STATUS` for an orphan, `empty`. When the other end is closed, which also
happens when the test is killed, the guard kills all that is left, and ends.

A file of its own that imports little: it starts in a few milliseconds, and it inherits nothing.
"""

import ctypes
import os
import select
import signal
import socket
import sys

PR_SET_CHILD_SUBREAPER = 36


def parents() -> dict[int, int]:
    """Each process on this machine and its parent; zombies are left out."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                # The name, in parentheses, may hold anything, spaces and parentheses too.
                state, parent = stat.read().rpartition(b")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in (b"Z", b"X"):
            found[int(name)] = int(parent)
    return found


def descendants(ancestor: int) -> list[int]:
    """The living descendants of a process, as one look at /proc shows them."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    open_ends = [ancestor]
    while open_ends:
        below = children.get(open_ends.pop(), [])
        found += below
        open_ends += below
    return sorted(found)


def kill_descendants() -> None:
    """Kills until waitpid says that there is nothing left; a process may fork meanwhile."""
    while True:
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        select.select([], [], [], 0.001)


def start(arguments: list[str], tell) -> int:
    """Forks and runs the program; no signal is blocked or ignored there, whoever started us."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        try:
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.execvp(arguments[0], arguments)
        except OSError as error:
            os.write(writer, f"{arguments[0]}: {error.strerror}".encode())
        os._exit(127)
    os.close(writer)
    failure = os.read(reader, 4096).decode()
    os.close(reader)
    tell(f"failed {failure}" if failure else f"started {pid}")
    return pid


def reap(program: int, tell) -> bool:
    """Reaps what has ended; False when no child is left."""
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True
            tell(f"ended {status}" if pid == program else f"reaped {pid} {status}")
    except ChildProcessError:
        tell("empty")
        return False


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_CHILD_SUBREAPER")
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)

    def tell(line: str) -> None:
        try:
            control.sendall(line.encode() + b"\n")
        except OSError:  # the test has gone; the end of its socket is seen below
            pass

    wakeup, wakeup_writer = socket.socketpair()
    for end in (wakeup, wakeup_writer):
        end.setblocking(False)
    signal.set_wakeup_fd(wakeup_writer.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)

    program = start(sys.argv[2:], tell)
    # The program's own, not the guard's: a pipe must end when the program does.
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(null, fd)

    any_left = reap(program, tell)
    while True:
        readable, _, _ = select.select([control, wakeup], [], [])
        if control in readable:
            break
        wakeup.recv(4096)
        any_left = any_left and reap(program, tell)
    kill_descendants()


if __name__ == "__main__":
    main()
