"""The server under a real systemd: started, reloaded under load, killed, stopped."""

import json
import os
import re
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from daemon_methods.tests import systemd
from daemon_methods.tests.echo_client import EchoDaemon
from daemon_methods.tests.systemd import Systemd
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until
from integration_tests.printing import PRINTED, PRINTS, Printing

UNIT = "graceful-server"
URL = "http://127.0.0.1:8080/"  # as the unit says: the network is systemd's own


@pytest.fixture
def handler() -> str:
    """What the unit runs; a test may name another."""
    return "reload/handlers/echo.so"


@pytest.fixture
def manager(tmp_path: Path, handler: str):
    if reason := systemd.missing():
        pytest.skip(reason)
    folder = tmp_path / "machine"
    (folder / "bin" / "handlers").mkdir(parents=True)
    (folder / "units").mkdir()
    shutil.copy(runfile("reload/server"), folder / "bin" / "graceful-server")
    shutil.copy(runfile(handler), folder / "bin" / "handlers" / "echo.so")
    shutil.copy(runfile("reload/server.service"), folder / "units" / f"{UNIT}.service")
    with Systemd(folder) as booted, booted.network():
        yield booted


def journal_entries(manager: Systemd) -> list[tuple[str, str]]:
    """(priority, message) of every line that the unit has said."""
    manager.run("journalctl", "--sync")
    entries = manager.run("journalctl", "--output=json", "--unit", UNIT).stdout.splitlines()
    said = (json.loads(entry) for entry in entries)
    return [
        (entry["PRIORITY"], entry["MESSAGE"])
        for entry in said
        if entry.get("_TRANSPORT") == "stdout"
    ]


@pytest.mark.parametrize("handler", [PRINTS])
def test_output_goes_to_the_journal(manager: Systemd) -> None:
    """Every line, once, with its priority and without a second time stamp."""
    manager.do("start", UNIT)
    client = Printing(("127.0.0.1", 8080), lines_each=10)
    for round in range(20):  # the journal takes no more than 10,000 lines in 30 s
        client.once()
        if round == 10:
            manager.do("reload", UNIT)
            wait_until(lambda: replaced(manager) == 1, what="the reload")
    expected = client.finish()
    worker = next(int(pid) for pid, _ in reversed(expected))
    os.kill(manager.outside_pid(worker), signal.SIGKILL)
    died = f"worker {worker} was killed by SIGKILL"
    wait_until(lambda: died in manager.journal(UNIT), what="the death")
    manager.do("stop", UNIT)

    entries = journal_entries(manager)
    found = Counter()
    for priority, message in entries:
        if said := re.fullmatch(r"output \d +(\d+)  " + PRINTED.pattern, message):
            assert said[1] == said[2] and priority == "6"
            found[int(said[2]), int(said[3])] += 1
    assert found == expected
    assert any(died in message and priority == "4" for priority, message in entries)


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
