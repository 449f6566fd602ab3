"""check compare: what a reload loses, of peers and of our own server, from the command line."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from integration_tests.check import comparison
from integration_tests.check.profiles import registry

# The clients of these lose requests, as they are built; it may take some reloads to see it.
PEERS = ["nginx", "gunicorn"]
ENOUGH_SECONDS = 120


def figures(report: dict[str, Any], check: str) -> dict[str, Any]:
    return next(each for each in report["checks"] if each["name"] == check)["figures"]


def rows(page: str) -> list[list[str]]:
    """Of all tables in Markdown, without the marks."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip(" *`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def assert_well_formed(page: str) -> None:
    """Each row of a table has as many cells as its head, and a line of dashes is below that."""
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        first, dashes, *rest = rows(table)
        assert rest and all(re.fullmatch("-+:?", cell) for cell in dashes)
        assert {len(row) for row in (first, dashes, *rest)} == {len(first)}


def test_peers_lose_requests_in_reloads_and_our_server_none(check, tmp_path: Path) -> None:
    try:
        registry.need(PEERS)
    except registry.Missing as reason:
        pytest.skip(str(reason))
    deadline = time.monotonic() + ENOUGH_SECONDS
    to_see, seen = {*PEERS}, set()
    while to_see - seen and time.monotonic() < deadline:
        names = [*sorted(to_see - seen), "ours"]
        outputs = ["--json", "all.json", "--markdown", "page.md"]
        done = check("compare", *names, "--only", "reload.busy", "--seconds", 1, *outputs)
        assert done.status == 0, done.err
        reports = json.loads((tmp_path / "all.json").read_text())["servers"]
        assert [report["target"]["name"] for report in reports] == names
        busy = {each["target"]["name"]: figures(each, "reload.busy") for each in reports}
        assert all(each["reloads"] == 10 for each in busy.values())
        ours = busy.pop("ours")
        assert (ours["done"], ours["failed"], ours["connections_closed"]) == (10, 0, 0)
        assert ours["requests"] > 1000
        seen |= {name for name, each in busy.items() if each["failed"] > 0}

        page = (tmp_path / "page.md").read_text()
        assert_well_formed(page)
        assert "--markdown page.md" in page and "all.json" not in page
        ours_in_page = next(row for row in rows(page) if row[0].startswith("ours "))
        assert ours_in_page[2:4] == [f"0 of {ours['requests']:,}", "0"]
        assert f"0 of {ours['requests']:,}" in done.out
        number = len(names)
        said = f"{number} of {number}, ours: check 1 of 1, Busy connections survive a reload"
        assert said in done.err.splitlines()
    assert seen == to_see


@pytest.mark.parametrize(
    "words, says",
    [
        (["ngin"], "no profile 'ngin', did you mean nginx?"),
        (["ours", "ours"], "ours is named twice"),
        (["ours", "--only", "relaod"], "did you mean reload?"),
        (["ours", "--markdown", "no/page.md"], "no is not a folder"),
    ],
)
def test_a_wrong_command_line(words: list[str], says: str, check) -> None:
    done = check("compare", *words)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("check: ") and says in done.err
    assert len(done.err.splitlines()) == 1


def test_nothing_starts_when_one_is_not_installed(check, tmp_path: Path, monkeypatch) -> None:
    # What the check itself needs is found, what is in /usr/bin is not.
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3"):
        (tmp_path / "bin" / name).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    done = check("compare", "ours", "uwsgi", "puma")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "check: uwsgi is not installed, puma is not installed; run ./setup --peers, or apt-get "
        "install uwsgi-core uwsgi-plugin-python3 puma\n"
    )


def test_one_that_does_not_start_keeps_no_other_from_its_turn(
    check, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "nginx").write_text("#!/bin/sh\necho out of memory >&2\nexit 3\n")
    (tmp_path / "nginx").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = check("compare", "nginx", "ours", "--only", "stop.port_free", "--json", "-")
    assert done.status == 2
    assert "1 of 2, nginx: it did not start: it ended with status 3" in done.err
    assert "out of memory" in done.err
    assert [each["target"]["name"] for each in done.report["servers"]] == ["ours"]


def report(name: str, checks: dict[str, tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    """A small one: a verdict, a detail and figures by the checks' names."""
    return {
        "target": {
            "name": name,
            "version": f"{name} version (1.2.3)",
            "start": f"/usr/sbin/{name} -c /tmp/check-x/{name}.conf",
            "reload": f"{name} -t -c /tmp/check-x/{name}.conf && kill -HUP {{pid}}",
            "stop": "kill -QUIT {pid}",
            "notes": [f"{name} as it is"],
        },
        "seconds": 1.5,
        "load": "0.1 0.2 0.3",
        "checks": [
            {
                "name": check,
                "group": check.partition(".")[0],
                "title": f"Title of {check}",
                "verdict": verdict,
                "detail": detail,
                "figures": numbers,
            }
            for check, (verdict, detail, numbers) in checks.items()
        ],
    }


BUSY = {"failed": 1234, "requests": 5678, "reloads": 10, "connections_closed": 640}
ANNOUNCED = {**BUSY, "failed": 0, "reloads": 8, "connections_closed_announced": 640}
COMPARISON = {
    "command": "compare one two",
    "about": {"date": "2026-01-02"},
    "servers": [
        report(
            "one",
            {
                "reload.busy": ("broken", "1234 of 5678 | [lost]", BUSY),
                "reload.pause": ("held", "12 ms", {"longest_pause_ms": 12.4}),
                "stop.nothing_left": ("broken", "after 10 s 2 were left: one", {"left": 2}),
            },
        ),
        report(
            "two",
            {
                "reload.busy": ("held", "", ANNOUNCED),
                "reload.pause": ("not applicable", "it says nothing", {}),
                "stop.nothing_left": ("held", "", {"seconds": 0.25}),
            },
        ),
    ],
}


def test_a_page() -> None:
    page = comparison.page(COMPARISON)
    assert_well_formed(page)
    found = rows(page)
    reloads = "one -t -c one.conf && kill -HUP PID"
    lost = ["1,234 of 5,678", "640", "12 ms", "–", "–", "BROKEN"]
    assert ["one 1.2.3", reloads, *lost] in found
    announced = ["0 of 5,678 in 8", "640 (640 announced)", "n/a", "–", "–", "0.2 s"]
    assert ["two 1.2.3", reloads.replace("one", "two"), *announced] in found
    assert ["Title of reload.busy", "broken", "held"] in found
    assert ["Title of reload.pause", "held", "n/a"] in found
    assert ["broken, of 3", "2", "0"] in found
    assert "- *Title of reload.busy*: 1234 of 5678 \\| \\[lost\\]" in page
    assert "- *Title of reload.pause*: it says nothing" in page
    assert "started with `one -c one.conf`" in page
    assert "//integration_tests:check -- compare one two\n" in page
    assert "/tmp/" not in page


def test_tables_for_a_terminal() -> None:
    lines = comparison.tables(COMPARISON).splitlines()
    assert "    reload.busy         BROKEN  held" in lines
    assert any(line.split()[:4] == ["one", "1,234", "of", "5,678"] for line in lines)
    assert max(map(len, lines)) <= 120
