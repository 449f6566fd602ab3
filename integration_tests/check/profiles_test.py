"""A profile (in the environment) against the Debian package that it is for.

What a peer loses is its own affair: what is tested is that all of it was asked, and could be.
"""

from __future__ import annotations

import os
import re

import pytest

from integration_tests.check.checks import HELD
from integration_tests.check.profiles import registry
from integration_tests.check.target import Address

PROFILE = os.environ["PROFILE"]

# Enough to use each command of a profile once.
QUICK = ["--seconds", 0.5, "--reloads", 1, "--patience", 7]

ONE_AFTER_ANOTHER = "not answered without a reload, either"
ONE_PROCESS = "it is one process"
FOREGROUND = "it stays in the foreground"
NOT_APPLICABLE = {
    "haproxy": {"output.rotation": "needs --log_file and --rotate"},
    "lighttpd": {"death.worker": ONE_PROCESS, "death.recovery": ONE_PROCESS},
    "gunicorn": {"reload.pipelined": ONE_AFTER_ANOTHER},
    "uwsgi": {"reload.pipelined": ONE_AFTER_ANOTHER},
    # All but how a failing start ends.
    "puma": {
        f"daemon.{name}": FOREGROUND
        for name in (
            *("starter", "session", "terminal", "parent", "folder", "umask", "standard_streams"),
            *("inherited", "pid_file", "second_start"),
            *("survives_ctrl_c", "survives_exit", "survives_hangup"),
        )
    },
}
# A check that came to no end of its own: see Run._verdict.
CUT_SHORT = re.compile(r"\w+Error: |the server does not start again")


@pytest.fixture(autouse=True)
def installed() -> None:
    try:
        registry.need([PROFILE])
    except registry.Missing as reason:
        pytest.skip(str(reason))


def test_every_check_that_applies_comes_to_its_end(check) -> None:
    done = check("--profile", PROFILE, *QUICK, "--json", "-")
    checks = done.checks()
    expected = NOT_APPLICABLE.get(PROFILE, {})
    found = done.with_verdict("not applicable")
    assert found.keys() == expected.keys(), found
    for name, reason in expected.items():
        assert found[name].startswith(reason)
    assert [each for each in checks.values() if CUT_SHORT.match(each["detail"])] == []
    assert Address.of(done.report["target"]["url"]).free()

    # Each command did what it is for.
    assert checks["reload.steady"]["verdict"] == HELD
    figures = {name: each["figures"] for name, each in checks.items()}
    assert (figures["reload.busy"]["reloads"], figures["reload.busy"]["done"]) == (1, 1)
    begin, end = (checks["reload.busy"][name] for name in ("begin", "end"))
    births = [each["born"] for each in done.report["timeline"]["processes"]]
    assert any(begin < born < end for born in births)
    assert figures["reload.uploads"]["requests"] > figures["reload.uploads"]["failed"]
    assert figures["reload.downloads"]["bytes"] > 2_000_000
    assert figures["reload.broken"]["requests"] > 0
    assert figures["stop.in_flight"]["sent"] > 0
    assert "status" in figures["stop.exit_status"]
    if "output.rotation" not in expected:
        assert figures["output.rotation"]["lines"] > figures["output.rotation"]["lost"]
    assert done.status in (0, 1)
