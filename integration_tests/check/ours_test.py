"""This repository's own server holds every check."""

from __future__ import annotations

# With the reasons. A check that we don't let apply to ourselves proves nothing.
NOT_APPLICABLE: dict[str, str] = {}


def test_our_own_server_holds_every_check(check) -> None:
    done = check("--profile", "ours", "--json", "-")
    assert done.with_verdict("broken") == {}
    assert done.with_verdict("not applicable") == NOT_APPLICABLE
    assert done.status == 0

    figures = {name: each["figures"] for name, each in done.checks().items()}
    busy = figures["reload.busy"]
    assert (busy["reloads"], busy["done"], busy["connections_closed"]) == (10, 10, 0)
    assert busy["requests"] > 1000 and figures["reload.idle"]["idle"] == 64
    assert figures["output.rotation"]["lines"] > 100


def test_a_rotation_that_is_none_is_found(check) -> None:
    words = ["--rotate", "false", "--only", "output.rotation", "--patience", 2, "--json", "-"]
    done = check("--profile", "ours", *words)
    assert done.status == 1
    detail = done.with_verdict("broken")["output.rotation"]
    assert detail.endswith("/log was not opened again; the command's exit status was 1")
