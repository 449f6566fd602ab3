"""The check as a tool: what it says, what it leaves, and its exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from integration_tests.check.checks import in_order
from integration_tests.check.cli import load_checks
from integration_tests.check.faulty import told
from integration_tests.harness.processes import command_line
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.waiting import wait_until

# No load, and no patience needed.
QUICK = ["--only", "stop.port_free,stop.exit_status"]
README = "integration_tests/check/README.md"
CHECK_ROW = re.compile(r"\| `(\w+\.\w+)` \| ([^|]+) \| ([^|]*) \| \[\w+\]\(\.\./\.\./([^)]+)\) \|")
LISTED = re.compile(r"  (\w+\.\w+) +(.*?)(?:  \[(.*)\])?")


def test_the_readme_and_the_list_have_every_check(check) -> None:
    load_checks(None, Path())
    rows = CHECK_ROW.findall(runfile(README).read_text())
    assert rows == [
        (each.name, each.title, " ".join(f"`--{flag}`" for flag in each.needs), each.chapter)
        for each in in_order()
    ]
    assert all(re.fullmatch(r"docs/\d\d-[a-z0-9-]+\.md", chapter) for *_, chapter in rows)

    done = check("--list")
    assert (done.status, done.err) == (0, "")
    listed = [LISTED.fullmatch(line) for line in done.out.splitlines() if line.startswith(" ")]
    assert [match and match.groups("") for match in listed] == [
        (name, title, needs.replace("`", "")) for name, title, needs, _ in rows
    ]


def test_only_some_of_them(check) -> None:
    done = check("--list", "--only", "output,stop.port_free", "--only", "death.main")
    names = [line.split()[0] for line in done.out.splitlines() if line.startswith(" ")]
    assert names == ["output.rotation", "death.main", "stop.port_free"]


@pytest.mark.parametrize(
    "words, says",
    [
        (["--only", "reload.bus"], "no check or group 'reload.bus', did you mean reload.busy?"),
        (["--only", "relaod"], "did you mean reload?"),
        (["--profile", "ngin"], "no profile 'ngin', did you mean nginx?"),
        (["--relaod", "x"], "unknown argument '--relaod', did you mean --reload?"),
        (["--p", "x"], "--p could match --profile, --pid_file, --patience"),
        (["--start", "true"], "--url is missing"),
        (["--start", "true", "--url", "https://x/"], "'https://x/' is not a URL such as http://"),
        (["--start", "true", "--url", "http://x:y/"], "'http://x:y/' is not a URL such as"),
        (["--profile", "ours", "--break", "true"], "--break and --mend go together"),
        (["--profile", "ours", "--seconds", "nan"], "--seconds must be more than 0"),
        (["--profile", "ours", "--connections", "0"], "--connections must be more than 0"),
        (["--profile", "ours", "--seconds", "long"], "--seconds: invalid float value: 'long'"),
        (["--profile", "ours", "--junit", "no/x.xml"], "no is not a folder"),
        (["--list", "--checks", "nowhere"], "nowhere: no Python file is there"),
    ],
)
def test_a_wrong_command_line(words: list[str], says: str, check) -> None:
    done = check(*words)
    assert (done.status, done.out) == (2, "")
    assert says in done.err and done.err.startswith("check: ")
    assert len(done.err.splitlines()) == 1


def test_a_flag_may_be_half_typed(check) -> None:
    assert check("--li", "--onl", "stop").out == check("--list", "--only", "stop").out


@pytest.mark.parametrize(
    "start, patience, says",
    [
        ("echo out of memory >&2; exit 3", 10, ["ended with status 3", "out of memory"]),
        ("ngnix -c x", 10, ["ended with status 127", "ngnix: not found"]),
        ("exec sleep 100", 0.1, ["does not answer after 0.2 s (is that where it listens?)"]),
        # The patience is for the faulty server, which has to be up by then.
        ("exec {faulty}", 3, ["answers with status 503 after 6 s (name what is answered with 2"]),
    ],
)
def test_a_server_that_does_not_start(
    start: str, patience: float, says: list[str], check, tmp_path: Path
) -> None:
    unavailable = told(tmp_path, "--unavailable_one_in", "1")
    start = start.replace("{faulty}", unavailable[unavailable.index("--start") + 1])
    url = unavailable[unavailable.index("--url") + 1]
    done = check("--start", start, "--url", url, "--patience", patience)
    assert done.status == 2
    assert done.err.startswith("check: the server did not start: ")
    assert all(words in done.err for words in says), done.err
    assert done.err.splitlines()[-1] == f"Try it by hand: cd {tmp_path} && {start}"


def test_another_server_is_not_judged(check) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        done = check("--start", "exec sleep 100", "--url", url)
    assert done.status == 2
    assert f"somebody listens at {url} already" in done.err


def test_the_three_reports(check, tmp_path: Path) -> None:
    outputs = ["--json", "report.json", "--junit", "report.xml", "--seconds", 1, "--seed", 7]
    outputs += ["--connections", 3, "--reloads", 1, "--keep", "kept"]
    only = ["--only", "reload.steady,reload.idle,output,stop.port_free"]
    done = check(*told(tmp_path, "--close_idle_on_usr1"), *outputs, *only)
    assert done.status == 1

    report = json.loads((tmp_path / "report.json").read_text())
    counts = [report[word] for word in ("held", "broken", "not_applicable", "seed")]
    assert counts == [2, 1, 1, 7]
    verdicts = {each["name"]: each for each in report["checks"]}
    assert verdicts["reload.idle"]["detail"].startswith("3 of 3 idle connections closed")

    suite = ET.parse(tmp_path / "report.xml").getroot()[0]
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["4", "1", "1"]
    cases = {case.get("name"): case for case in suite}
    assert cases.keys() == verdicts.keys()
    assert [case for case in cases if len(cases[case])] == ["reload.idle", "output.rotation"]
    failure = cases["reload.idle"].find("failure")
    assert verdicts["reload.idle"]["detail"] in failure.get("message", "")
    assert verdicts["reload.idle"]["why"] in (failure.text or "")

    lines = done.out.splitlines()
    assert "\033" not in done.out and done.err == ""
    assert "  BROKEN  Idle connections survive a reload  [reload.idle]" in lines
    why = verdicts["reload.idle"]["why"]
    assert f"{why} See docs/09-replacing-workers.md." in " ".join(done.out.split())
    assert re.fullmatch(r"2 held, 1 broken, 1 not applicable, in \d+ s", lines[-1])
    assert list(tmp_path.glob("kept/check-*/run/output*"))


def test_a_report_on_the_standard_output_is_alone_there(check, tmp_path: Path) -> None:
    done = check(*told(tmp_path), *QUICK, "--junit", "-")
    assert ET.fromstring(done.out).tag == "testsuites"


def test_nothing_judged_is_no_success(check, tmp_path: Path) -> None:
    done = check(*told(tmp_path), "--only", "output.rotation")
    assert done.status == 2
    assert "needs --log_file and --rotate, which are not given" in done.out
    assert "nothing was judged: none of these checks applies to this server" in done.err


def read_all(terminal: int) -> str:
    """What was written to a pseudo-terminal, whose other side everybody has closed."""
    shown = b""
    try:
        while received := os.read(terminal, 4096):
            shown += received
    except OSError:  # EIO: the end
        pass
    return shown.decode()


@pytest.mark.parametrize("kind, escapes", [("xterm", True), ("dumb", False)])
def test_progress_on_a_terminal(kind, escapes, start_check, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, theirs = pty.openpty()
    started = start_check(*told(tmp_path), *QUICK, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = read_all(terminal)
    os.close(terminal)
    assert started.finish().status == 0
    for words in ("1 of 2: The port is free", "2 of 2: The exit status", "\033[32mheld"):
        assert (words in shown) == escapes
    assert "The port is free" in shown
    assert ("\033" in shown) == escapes


# A server that serves in the background, then one that was typed into a terminal.
@pytest.mark.parametrize(
    "number, only, under_way",
    [
        (signal.SIGINT, "reload.busy", "witness"),
        (signal.SIGTERM, "reload.busy", "witness"),
        (signal.SIGHUP, "reload.busy", "witness"),
        (signal.SIGINT, "daemon.session", "bash --norc"),
    ],
)
def test_ctrl_c_ends_all_that_it_started(
    number: int, only: str, under_way: str, start_check, tmp_path: Path
) -> None:
    started = start_check("--profile", "ours", "--only", only, "--seconds", 60)

    def both_run() -> bool:
        commands = [command_line(pid) for pid in started.tree.descendants()]
        server = any("server --daemonize" in each for each in commands)
        return server and any(under_way in each for each in commands)

    wait_until(both_run, 30, "the check to be at work")
    folder = Path(re.search(r"/tmp/check-\w+", command_lines(started))[0])
    assert folder.is_dir()
    started.tree.signal(number)
    done = started.finish(30)
    assert (done.status, done.err) == (130, "check: stopped\n"), done
    assert not folder.exists()


def command_lines(started) -> str:
    return "\n".join(command_line(pid) for pid in started.tree.descendants())


def test_help_and_version(check) -> None:
    done = check("--help")
    assert (done.status, done.err) == (0, "")
    assert "exit status: 0 when every check that applies held" in " ".join(done.out.split())
    assert re.fullmatch(r"check \d[\d.]*\n", check("--version").out)
