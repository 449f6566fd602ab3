"""The check finds each fault of a server that is wrong on purpose, names it, and finds no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from integration_tests.check.conftest import Done
from integration_tests.check.faulty import told

# As short as it can be. The longest pause is not what is judged here: the machine may be busy.
SHORT = ["--json", "-", "--seconds", 2, "--reloads", 2, "--connections", 16]
SHORT += ["--patience", 3, "--max_pause", 5]

FOREGROUND = "it stays in the foreground"
# Those that need what nobody told, or a daemon.
NEVER = {
    "daemon.starter": FOREGROUND,
    "daemon.session": FOREGROUND,
    "daemon.terminal": FOREGROUND,
    "daemon.parent": FOREGROUND,
    "daemon.folder": FOREGROUND,
    "daemon.umask": FOREGROUND,
    "daemon.standard_streams": FOREGROUND,
    "daemon.inherited": FOREGROUND,
    "daemon.pid_file": "needs --pid_file",
    "daemon.second_start": FOREGROUND,
    "daemon.survives_ctrl_c": FOREGROUND,
    "daemon.survives_exit": FOREGROUND,
    "daemon.survives_hangup": FOREGROUND,
    "output.rotation": "needs --log_file and --rotate",
    "stop.in_flight": "needs --slow_url",
}
UNSTEADY = "it loses requests without any reload"


def reasons(done: Done) -> dict[str, str]:
    """Of the checks that don't apply; the first words."""
    return {
        name: re.split(r"[,(]", why)[0].strip()
        for name, why in done.with_verdict("not applicable").items()
    }


def test_without_a_fault_everything_is_held(check, tmp_path: Path) -> None:
    done = check(*told(tmp_path), *SHORT)
    assert done.with_verdict("broken") == {}
    assert reasons(done) == NEVER
    assert done.status == 0


def test_idle_connections_that_a_reload_closes(check, tmp_path: Path) -> None:
    done = check(*told(tmp_path, "--close_idle_on_usr1"), *SHORT, "--only", "reload")
    checks = done.checks()
    assert set(done.with_verdict("broken")) == {
        "reload.busy",
        "reload.idle",
        "reload.pipelined",
        "reload.slow",
    }
    assert reasons(done) == {}
    for name in ("reload.busy", "reload.pipelined"):
        figures = checks[name]["figures"]
        assert figures["by_kind"] == {"closed": figures["failed"]} and figures["failed"] > 0
    assert checks["reload.idle"]["detail"].startswith("16 of 16 idle connections closed")
    slow = checks["reload.slow"]["figures"]
    assert slow["by_kind"].keys() <= {"closed"} and slow["connections_closed"] > 0
    assert done.status == 1


@pytest.mark.parametrize(
    "fault, kind",
    [
        ("drop", "closed"),
        ("truncate", "truncated"),
        ("unavailable", "wrong"),
        ("unasked", "unasked"),
        ("stall", "timeout"),
    ],
)
def test_one_request_in_a_thousand(fault: str, kind: str, check, tmp_path: Path) -> None:
    done = check(*told(tmp_path, f"--{fault}_one_in", "1000"), *SHORT, "--only", "reload")
    checks = done.checks()
    assert set(done.with_verdict("broken")) == {"reload.steady"}
    # What a reload loses can't be told apart, and is not judged; that processes go can.
    assert set(done.with_verdict("held")) == {"reload.old_processes"}
    assert set(reasons(done).values()) == {UNSTEADY}
    steady = checks["reload.steady"]
    figures = steady["figures"]
    assert figures["by_kind"] == {kind: figures["failed"]}
    assert abs(figures["failed"] - figures["requests"] / 1000) <= 1
    assert f"{figures['failed']} {kind}" in steady["detail"]
    assert done.status == 1


def test_an_old_process_that_stays(check, tmp_path: Path) -> None:
    done = check(*told(tmp_path, "--keep_old_process"), *SHORT, "--only", "reload,stop")
    checks = done.checks()
    # It outlives the server, too.
    assert set(done.with_verdict("broken")) == {"reload.old_processes", "stop.nothing_left"}
    assert set(reasons(done)) == {"stop.in_flight"}
    figures = checks["reload.old_processes"]["figures"]
    assert figures["after"] >= figures["at_first"] + 2
    for detail in done.with_verdict("broken").values():
        assert "faulty_server" in detail
    assert done.status == 1
