"""A real systemd as PID 1, in namespaces made for it: nothing of the machine's own is touched.

It has its own processes, mounts, cgroup, network (so a unit can listen on its real port), host name
and IPC. /tmp, /run, /var/log, /var/lib/systemd and /usr/local/bin are empty file systems of its
own, and it knows only the units that it is given. All of it is gone when its PID 1 is.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from integration_tests.harness.waiting import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
SYSTEM_UNITS = Path("/lib/systemd/system")
UNITS = "/run/outside/units"
BOOTED = "booted.target"

# Before anything else the mounts are made private: systemd, and every mount here, would otherwise
# reach the machine. FOLDER is bound before /tmp is covered, in which it may lie.
BOOT = f"""
set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir /run/outside
mount --bind "$FOLDER" /run/outside
for folder in /tmp /var/log /var/lib/systemd /usr/local/bin; do
  mount -t tmpfs -o mode=755 tmpfs "$folder"
done
chmod 1777 /tmp
cp -r /run/outside/bin/. /usr/local/bin/
# A second one in the same place would be refused: mount(2), EBUSY.
umount --recursive --lazy /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i container=test PATH="$PATH" SYSTEMD_UNIT_PATH={UNITS} \\
  {SYSTEMD} --unit={BOOTED} --log-target=journal-or-kmsg --show-status=no
"""

# What units with default dependencies are ordered after or before, without what they would start.
TARGETS = ("sysinit", "basic", "sockets", "multi-user", "shutdown", "network", "final", "umount")
JOURNAL_UNITS = (
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-journald-dev-log.socket",
)


def missing() -> str:
    """Why no systemd can be booted here; empty when one can."""
    if os.geteuid() != 0:
        return "only root can make the namespaces in which systemd runs"
    for tool in (str(SYSTEMD), "systemctl", "journalctl", "unshare", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if _cgroup2() is None:
        return "no cgroup2 file system is mounted and writable"
    probe = subprocess.run(
        ["unshare", "--pid", "--mount", "--net", "--cgroup", "--uts", "--ipc", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode != 0:
        return f"the namespaces cannot be made: {probe.stderr.strip()}"
    return ""


class Systemd:
    """The system manager, and what is asked of it."""

    def __init__(self, folder: Path) -> None:
        """`folder` may hold bin/, which becomes /usr/local/bin, and units/, the units."""
        self.folder = folder
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "units").mkdir(exist_ok=True)
        self._write_targets()
        cgroup2 = _cgroup2()
        assert cgroup2 is not None, missing()
        # Not named after a pid: in another namespace there may be the same one.
        self._cgroup = Path(tempfile.mkdtemp(prefix="graceful.", dir=cgroup2))
        self._log = (folder / "boot.log").open("wb")
        self._process = subprocess.Popen(
            # Should this process be killed, so is everything else.
            ["setpriv", "--pdeathsig", "KILL"]
            + ["sh", "-c", 'echo $$ > "$CGROUP/cgroup.procs" && exec "$@"', "sh"]
            + ["unshare", "--pid", "--mount", "--net", "--cgroup", "--uts", "--ipc"]
            + ["--fork", "--kill-child", "sh", "-c", BOOT],
            env={"PATH": os.environ["PATH"], "FOLDER": folder, "CGROUP": str(self._cgroup)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._pid = wait_until(self._find_init, what="the namespaces of systemd")
            wait_until(self._has_booted, what=f"systemd to boot ({folder}/boot.log)", timeout=60)
            with self.network():
                bring_loopback_up()
        except BaseException:
            self.close()
            raise

    def _write_targets(self) -> None:
        units = self.folder / "units"
        for name in TARGETS:
            text = f"[Unit]\nDescription={name}\nDefaultDependencies=no\n"
            (units / f"{name}.target").write_text(text)
        for name in JOURNAL_UNITS:
            shutil.copy(SYSTEM_UNITS / name, units / name)
        (units / BOOTED).write_text(
            "[Unit]\nDescription=What a test needs\nDefaultDependencies=no\n"
            f"Wants={' '.join(JOURNAL_UNITS)} basic.target\n"
        )

    def _find_init(self) -> int | None:
        if self._process.poll() is not None:
            raise RuntimeError((self.folder / "boot.log").read_text())
        children = psutil.Process(self._process.pid).children()
        return children[0].pid if children and children[0].name() == "systemd" else None

    def _has_booted(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError((self.folder / "boot.log").read_text())
        return self.systemctl("is-active", BOOTED).stdout.strip() == "active"

    def inside(self, *command: str) -> list[str]:
        """The command that runs a command inside."""
        enter = ["nsenter", "--target", str(self._pid), "--mount", "--pid", "--net", "--uts"]
        return [*enter, "--ipc", "--cgroup", "--wd=/", *command]

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a command inside. Its standard error comes with its standard output."""
        return subprocess.run(
            self.inside(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "SYSTEMD_UNIT_PATH": UNITS},
        )

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs systemctl inside."""
        return self.run("systemctl", *arguments)

    def do(self, *arguments: str) -> None:
        """Runs systemctl, which must succeed."""
        result = self.systemctl(*arguments)
        if result.returncode != 0:
            unit = arguments[-1]
            raise AssertionError(f"systemctl {arguments}: {result.stdout}\n{self.journal(unit)}")

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, "MainPID" for one."""
        return self.systemctl("show", "--value", f"--property={name}", unit).stdout.strip()

    def main_pid(self, unit: str) -> int:
        """The pid of the unit's main process as the test sees it; 0 when there is none."""
        inside = int(self.show(unit, "MainPID") or 0)
        return self.outside_pid(inside) if inside else 0

    def outside_pid(self, inside: int) -> int:
        """The pid of a process in the test's own namespace; 0 when there is none."""
        for process in psutil.Process(self._pid).children(recursive=True):
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                continue
            line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
            if int(line.split()[-1]) == inside:
                return process.pid
        return 0

    def journal(self, unit: str) -> str:
        """What the unit has printed so far, and what systemd says of it."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread makes here are in systemd's network."""
        with open("/proc/thread-self/ns/net", "rb") as ours:
            with open(f"/proc/{self._pid}/ns/net", "rb") as theirs:
                _enter_network(theirs.fileno())
            try:
                yield
            finally:
                _enter_network(ours.fileno())

    def close(self) -> None:
        """Kills PID 1, and so, by the kernel's hand, all that it has started."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._log.close()
        # Killed processes leave their cgroups an instant after they are reaped.
        wait_until(self._remove_cgroups, what=f"{self._cgroup} to be empty")

    def _remove_cgroups(self) -> bool:
        folders = [Path(entry[0]) for entry in os.walk(self._cgroup, topdown=False)]
        try:
            for folder in folders:
                folder.rmdir()
        except OSError:
            return False
        return True

    def __enter__(self) -> Systemd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cgroup2() -> Path | None:
    """Where the machine has mounted its cgroup2 hierarchy, if this process may write there."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(folder, os.W_OK):
            return Path(folder)
    return None


def _enter_network(namespace: int) -> None:
    clone_newnet = 0x40000000
    if ctypes.CDLL(None, use_errno=True).setns(namespace, clone_newnet) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def bring_loopback_up() -> None:
    """In the network namespace of this thread: `ip link set lo up`."""
    siocsifflags, up = 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sH14x", b"lo", up))
