"""Where a chapter is run: processes, network, terminals and /tmp of its own, as on a new machine.

The first process of the place only reaps. When it ends, the kernel ends all others.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

from daemon_methods.tests.systemd import bring_loopback_up
from integration_tests.harness.processes import ProcessTree

MS_BIND, MS_REC = 4096, 16384
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
UNSHARE += ["--mount-proc"]
# Process ids begin where they look like those of a machine that has run for a while.
LAST_PID = 4100


def missing() -> str:
    """Why no such place can be made here; empty when it can."""
    if os.geteuid() != 0:
        return "only root can make the namespaces in which a chapter runs"
    try:
        probe = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unshare is not installed"
    return f"the namespaces cannot be made: {probe.stderr.strip()}" if probe.returncode else ""


def output_of(script: Path, *arguments: str) -> str:
    """What a script prints that calls run_as_init(), in a place made for it.

    Nothing that it started is left after this. RuntimeError when it fails, with its complaint.
    """
    with ProcessTree(
        [*UNSHARE, sys.executable, str(script), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as tree:
        printed, complaint = tree.stdout.read().decode(), tree.stderr.read().decode()
        if tree.wait() != 0:
            raise RuntimeError(f"it could not be played:\n{complaint}")
    return printed


def mount(
    source: str, target: str, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    encoded = [word.encode() if word else None for word in (source, target, kind)]
    if libc.mount(*encoded, ctypes.c_ulong(flags), data.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


def cover_tmp(keep: list[Path]) -> None:
    """An empty /tmp, but for the folders that hold this repository and what was built of it."""
    inside = [path for path in keep if path.is_relative_to("/tmp")]
    handles = [os.open(path, os.O_PATH) for path in inside]
    mount("tmpfs", "/tmp", "tmpfs", data="mode=1777")
    for path, handle in zip(inside, handles, strict=True):
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{handle}", str(path), flags=MS_BIND | MS_REC)
        os.close(handle)


def furnish() -> None:
    """Called once, by the first process in the namespaces."""
    # Of this file, and of the folder where Bazel builds, by what the links in the runfiles say.
    here = Path(__file__)
    keep = {here.resolve().parents[2]}
    for parent in here.absolute().parents:
        if parent.name == "execroot":
            keep.add(parent.parent.resolve())
    cover_tmp(sorted(keep))
    mount("devpts", "/dev/pts", "devpts", data="newinstance,ptmxmode=0666,mode=0620")
    mount("/dev/pts/ptmx", "/dev/ptmx", flags=MS_BIND)
    bring_loopback_up()
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(LAST_PID))


def run_as_init(function, *arguments: object) -> int:
    """Runs it in a child, and reaps whatever comes to the first process; its exit status."""
    furnish()
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)
