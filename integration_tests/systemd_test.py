"""The server under a real systemd: started, reloaded under load, killed, stopped."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from daemon_methods.tests import systemd
from daemon_methods.tests.echo_client import EchoDaemon
from daemon_methods.tests.systemd import Systemd
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until

UNIT = "graceful-server"
URL = "http://127.0.0.1:8080/"  # as the unit says: the network is systemd's own


@pytest.fixture
def manager(tmp_path: Path):
    if reason := systemd.missing():
        pytest.skip(reason)
    folder = tmp_path / "machine"
    (folder / "bin" / "handlers").mkdir(parents=True)
    (folder / "units").mkdir()
    shutil.copy(runfile("reload/server"), folder / "bin" / "graceful-server")
    shutil.copy(runfile("reload/handlers/echo.so"), folder / "bin" / "handlers" / "echo.so")
    shutil.copy(runfile("reload/server.service"), folder / "units" / f"{UNIT}.service")
    with Systemd(folder) as booted, booted.network():
        yield booted


def replaced(manager: Systemd) -> int:
    return manager.journal(UNIT).count("2 workers replaced")


def test_reloads_under_load_lose_nothing(manager: Systemd, start_witness) -> None:
    manager.do("start", UNIT)  # returns when the server is ready
    witness = start_witness(url=URL, connections=32, seconds=60, expect="hello\n")
    witness.wait_ready()
    for count in range(1, 6):
        manager.do("reload", UNIT)
        wait_until(lambda: replaced(manager) == count, what=f"reload {count}")
    account = witness.stop()
    account.assert_nothing_noticed()
    assert account["connections"]["connects"] == 32
    assert manager.show(UNIT, "ActiveState") == "active"


def test_a_killed_master_is_started_again_and_a_stop_is_clean(manager: Systemd) -> None:
    manager.do("start", UNIT)
    first = manager.main_pid(UNIT)
    os.kill(first, signal.SIGKILL)
    wait_until(
        lambda: manager.main_pid(UNIT) not in (0, first)
        and manager.show(UNIT, "ActiveState") == "active",
        timeout=20,
        what="systemd to start it again",
    )
    assert EchoDaemon(manager.main_pid(UNIT), 8080).serves()
    manager.do("stop", UNIT)
    assert manager.show(UNIT, "Result") == "success"
    assert "stopped in" in manager.journal(UNIT)
