"""The check finds each fault of a server that is wrong on purpose, names it, and finds no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_tests.check.conftest import Done, Started
from integration_tests.check.faulty import told

# As short as it can be. The longest pause is not what is judged here: the machine may be busy.
SHORT = ["--json", "-", "--seconds", 1, "--reloads", 2, "--connections", 16]
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

# These mostly wait for what does not happen, so all of them run at once.
AT_ONCE = {
    "": [],
    "--close_idle_on_usr1": ["--only", "reload"],
    "--restart_on_usr1": ["--only", "reload", "--reloads", 1, "--max_pause", 0.5],
    "--keep_old_process": ["--only", "reload,stop"],
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Started]]:
    """The checks of AT_ONCE, by their server's fault."""
    runs: dict[str, Started] = {}
    try:
        for fault, words in AT_ONCE.items():
            folder = tmp_path_factory.mktemp("at_once")
            runs[fault] = Started(folder, *told(folder, fault), *SHORT, *words)
        yield runs
    finally:
        for run in runs.values():
            run.tree.kill_all()


def reasons(done: Done) -> dict[str, str]:
    """Of the checks that don't apply; the first words."""
    return {
        name: re.split(r"[,(]", why)[0].strip()
        for name, why in done.with_verdict("not applicable").items()
    }


def test_without_a_fault_everything_is_held(started) -> None:
    done = started[""].finish()
    assert done.with_verdict("broken") == {}
    assert reasons(done) == NEVER
    assert done.status == 0


def test_idle_connections_that_a_reload_closes(started) -> None:
    done = started["--close_idle_on_usr1"].finish()
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


def test_a_restart_that_is_called_a_reload(started) -> None:
    done = started["--restart_on_usr1"].finish()
    # Everything of a reload that can be lost is. The one with broken code is refused.
    assert set(done.with_verdict("held")) == {
        "reload.broken",
        "reload.old_processes",
        "reload.steady",
    }
    assert done.with_verdict("not applicable") == {}
    assert done.checks()["reload.new_connections"]["figures"]["by_kind"]["refused"] > 0


def test_an_old_process_that_stays(started) -> None:
    done = started["--keep_old_process"].finish()
    checks = done.checks()
    # It outlives the server, too.
    assert set(done.with_verdict("broken")) == {"reload.old_processes", "stop.nothing_left"}
    assert set(reasons(done)) == {"stop.in_flight"}
    figures = checks["reload.old_processes"]["figures"]
    assert figures["after"] >= figures["at_first"] + 2
    for detail in done.with_verdict("broken").values():
        assert "faulty_server" in detail
    assert done.status == 1


def test_broken_code_that_ends_it(check, tmp_path: Path) -> None:
    fatal = f"if test -e {tmp_path}/code; then kill -USR1 {{pid}}; else kill -9 {{pid}}; fi"
    only = ["--only", "reload.steady,reload.idle,reload.broken"]
    done = check(*told(tmp_path), "--reload", fatal, *SHORT, *only)
    broken = done.with_verdict("broken")
    assert set(broken) == {"reload.broken"}
    assert "it does not serve any more" in broken["reload.broken"]
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
    # A machine that has much else to do still sends some thousand.
    longer = ["--seconds", 8, "--only", "reload"]
    done = check(*told(tmp_path, f"--{fault}_one_in", "1000"), *SHORT, *longer)
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
