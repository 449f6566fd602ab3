"""The units of systemd_unit/, installed as a user would, as one method more."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from daemon_methods.tests.echo_client import EchoDaemon
from daemon_methods.tests.methods import SYSTEMD_UNIT, Method, Running
from daemon_methods.tests.systemd import Systemd
from integration_tests.harness.runfiles import runfile

PORT = 8080  # as the units say: the network is systemd's own


def boot(folder: Path) -> Systemd:
    """A systemd that has the units and their program."""
    (folder / "bin").mkdir()
    shutil.copy(SYSTEMD_UNIT, folder / "bin" / "graceful-echo")
    (folder / "units").mkdir()
    for unit in runfile("daemon_methods/systemd_unit/echo.service").parent.glob("echo*"):
        shutil.copy(unit, folder / "units" / unit.name)
    return Systemd(folder)


@dataclass(frozen=True)
class UnitMethod(Method):
    """`systemctl start echo`, typed in a terminal that reaches this systemd."""

    manager: Systemd | None = None

    @staticmethod
    def of(manager: Systemd) -> UnitMethod:
        """The method, for a systemd that has booted."""
        return UnitMethod("systemd_unit", SYSTEMD_UNIT, fixed_port=PORT, manager=manager)

    def line(self, port: int = PORT, pid_file: bool = False) -> str:
        """The line to type; the port is the unit's, and it needs no pid file."""
        return shlex.join(self._manager().inside("systemctl", "start", "echo"))

    def find(self, folder: Path) -> EchoDaemon:
        """The main process of the unit, now."""
        return EchoDaemon(self._manager().main_pid("echo"), PORT)

    def printed(self, running: Running) -> bool:
        """Whether the last request's line is in the journal."""
        return running.daemon.last_line() in self._manager().journal("echo")

    def _manager(self) -> Systemd:
        assert self.manager is not None
        return self.manager
