"""The witness finds every fault that a server makes, counts it exactly, and finds no other."""

import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Callable

import psutil
import pytest

from integration_tests.harness.one_answer import serve_once
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.server import Server
from integration_tests.harness.waiting import wait_until
from integration_tests.harness.witness import Account

FAULTY_SERVER = "integration_tests/witness/faulty_server"

# Every column that is 0 when nothing is wrong.
NO_FAULT = {
    "reset": 0,
    "truncated": 0,
    "wrong": 0,
    "refused": 0,
    "timed_out": 0,
    "unasked": 0,
    "allowed": {},
    "closes_announced": 0,
    "closes_idle": 0,
    "closes_busy": 0,
    "closes_by_witness": 0,
}


def columns(account: Account) -> dict[str, Any]:
    flat = {**account, **account["connections"]}
    return {name: flat[name] for name in NO_FAULT}


class Faulty:
    """A faulty server under way, and how often it says that it made each fault."""

    def __init__(self, server_factory: Callable[..., Server], folder: Path, **faults: Any) -> None:
        self._report = folder / "faults.json"
        self.server = server_factory(binary=FAULTY_SERVER, report=self._report, **faults)

    @property
    def url(self) -> str:
        return self.server.url

    def stop(self) -> dict[str, int]:
        self.server.signal(signal.SIGTERM)
        assert self.server.wait() == 0
        return json.loads(self._report.read_text())


@pytest.fixture
def faulty(server_factory: Callable[..., Server], tmp_path: Path) -> Callable[..., Faulty]:
    return lambda **faults: Faulty(server_factory, tmp_path, **faults)


def test_a_faultless_server_has_a_clean_account(faulty, witness) -> None:
    server = faulty()
    account = witness(
        url=server.url, requests=3000, connections=16, body_size=200, expect="echo"
    )
    tally = server.stop()
    assert columns(account) == NO_FAULT
    assert account["requests"] == account["sent"] == account["ok"] == tally["answered"] == 3000
    assert account["connections"]["connects"] == 16
    latency = account["latency_us"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    account.assert_nothing_noticed()


@pytest.mark.parametrize(
    "fault, found",
    [
        ("drop", ["reset", "closes_busy"]),
        ("truncate", ["truncated", "closes_busy"]),
        ("wrong", ["wrong"]),
        ("announce_close", ["closes_announced"]),
        ("stall", ["timed_out", "closes_by_witness"]),
        ("unasked", ["unasked", "closes_by_witness"]),
        ("malformed", ["wrong", "closes_by_witness"]),
        ("unavailable", ["wrong"]),
    ],
)
def test_each_fault_is_counted_and_no_other(fault: str, found: list[str], faulty, witness) -> None:
    server = faulty(**{f"{fault}_one_in": 100})
    account = witness(
        url=server.url,
        requests=1000,
        connections=8,
        body_size=200,
        expect="echo",
        timeout_ms=500 if fault == "stall" else 10_000,
    )
    tally = server.stop()
    assert tally["requests"] == account["sent"] == 1000
    assert tally[fault] == 10
    assert columns(account) == {**NO_FAULT, **{column: 10 for column in found}}
    assert account["ok"] == tally["answered"]
    assert account["requests"] == account["ok"] + account["lost"] + account["wrong"]


def test_faults_at_once_are_told_apart(faulty, witness) -> None:
    server = faulty(drop_one_in=50, truncate_one_in=70, wrong_one_in=110)
    account = witness(url=server.url, requests=2000, connections=8, body_size=200, expect="echo")
    tally = server.stop()
    found = {name: account[name] for name in ("reset", "truncated", "wrong")}
    assert found == {
        "reset": tally["drop"],
        "truncated": tally["truncate"],
        "wrong": tally["wrong"],
    }
    assert account["ok"] == tally["answered"]
    assert account["connections"]["closed"] == tally["drop"] + tally["truncate"]
    assert "expected" in " ".join(account["descriptions"])


def test_an_allowed_status_has_its_own_column(faulty, start_witness) -> None:
    server = faulty(unavailable_one_in=10)
    witness = start_witness(url=server.url, requests=100, connections=4, allow=503)
    assert columns(witness.finish()) == {**NO_FAULT, "allowed": {"503": 10}}
    assert witness.exit_status == 0


def established(witness) -> list:
    """The connections that are open on both sides, as the witness's kernel knows."""
    connections = psutil.Process(witness.tree.pid).connections()
    return [each for each in connections if each.status == psutil.CONN_ESTABLISHED]


def test_resting_connections_that_are_closed(faulty, start_witness) -> None:
    server = faulty(close_idle_on_usr1=True)
    witness = start_witness(url=server.url, connections=0, idle=50)
    witness.wait_ready()
    server.server.signal(signal.SIGUSR1)
    server.server.wait_for_line("reloaded")
    wait_until(lambda: not established(witness), 10, "every close to arrive")
    account = witness.stop()
    tally = server.stop()
    assert tally["closed_idle"] == 50
    assert columns(account) == {**NO_FAULT, "closes_idle": 50}
    assert account["connections"]["connects"] == 100
    assert account["ok"] == 100  # once at the start and once at the end
    with pytest.raises(AssertionError):
        account.assert_nothing_noticed()


def test_the_keep_alive_race(faulty, start_witness) -> None:
    """A request that crosses with the close of its connection is lost, and counted as that."""
    server = faulty(close_idle_on_usr1=True)
    witness = start_witness(url=server.url, connections=16)
    witness.wait_ready()
    for reloads in range(1, 11):
        server.server.signal(signal.SIGUSR1)
        server.server.wait_for_line("reloaded", count=reloads)
    account = witness.stop()
    tally = server.stop()
    connections = account["connections"]
    assert tally["closed_idle"] > 0
    assert connections["closes_idle"] + connections["closes_busy"] == tally["closed_idle"]
    assert account["reset"] == account["lost"] == connections["closes_busy"]
    assert account["ok"] == tally["answered"]


def test_resting_connections_are_used_when_told(faulty, start_witness) -> None:
    server = faulty()
    witness = start_witness(url=server.url, connections=4, idle=100, body="x", expect="echo")
    witness.wait_ready()
    witness.use_resting()
    witness.use_resting()
    account = witness.stop()
    assert columns(account) == NO_FAULT
    assert account["connections"]["connects"] == 104
    assert account["ok"] == server.stop()["answered"] > 4 * 100
    assert witness.exit_status == 0


def test_it_tells_how_far_it_is(faulty, start_witness) -> None:
    server = faulty(drop_one_in=100)
    witness = start_witness(url=server.url, seconds=3600, connections=8)

    def told() -> Account:
        account = witness.tell()
        return account if account["lost"] > 2 else Account()

    account = wait_until(told, 10, "a third loss")
    assert account["connections"]["closed"] == account["lost"]
    later = wait_until(
        lambda: again if (again := witness.tell())["ok"] > account["ok"] else None, 10
    )
    whole = witness.stop()
    assert later.keys() == whole.keys()
    assert account["requests"] < later["requests"] <= whole["requests"]
    assert whole["lost"] == server.stop()["drop"]


def test_answers_are_counted_by_body(faulty, witness) -> None:
    server = faulty(unavailable_one_in=10)
    settings = dict(url=server.url, connections=4, tally=True, allow=503)
    account = witness(requests=200, **settings)
    assert account["bodies"] == {"hello\n": account["ok"]} == {"hello\n": 180}
    # From 16 bytes on each body is another one.
    account = witness(body_size=20, requests=1200, **settings)
    assert account["bodies"].pop("") == 80
    assert list(account["bodies"].values()) == [1] * 1000


def test_an_old_process_that_stays(faulty) -> None:
    server = faulty(keep_old_process=True)
    before = server.server.tree.descendants()
    server.server.signal(signal.SIGUSR1)
    server.server.wait_for_line("reloaded")
    assert server.stop()["kept_processes"] == 1
    tree = server.server.tree
    wait_until(lambda: len(tree.descendants()) == 1, 10, "one process that stays")
    assert tree.descendants()[0] in before
    with pytest.raises(AssertionError, match="still there"):
        tree.assert_nothing_left()


def test_without_that_fault_nothing_stays(faulty) -> None:
    server = faulty()
    server.server.signal(signal.SIGUSR1)
    server.server.wait_for_line("reloaded")
    server.stop()
    server.server.tree.wait_gone()


def test_each_id_is_answered_or_has_its_reason(faulty, witness, tmp_path: Path) -> None:
    server = faulty(drop_one_in=25, truncate_one_in=40)
    ids_file = tmp_path / "ids"
    account = witness(
        url=f"{server.url}/ledger", requests=100, connections=4, ids="a", ids_file=ids_file
    )
    server.stop()
    assert account["ok"] == 94
    answered = set(account["ids"]["answered"])
    unanswered = {each["id"]: each["reason"] for each in account["ids"]["unanswered"]}
    assert answered | set(unanswered) == {f"a-{number}" for number in range(100)}
    assert sorted(unanswered.values()) == ["reset"] * 4 + ["truncated"] * 2
    lines = {tuple(line.split(" ", 2)) for line in ids_file.read_text().splitlines()}
    assert lines == {("answered", each) for each in answered} | {
        ("unanswered", each, reason) for each, reason in unanswered.items()
    }


def test_pipelined_and_split_requests(faulty, witness) -> None:
    server = faulty()
    settings = dict(url=server.url, connections=4, body_size=100, expect="echo")
    pipelined = witness(requests=1000, pipeline=16, **settings)
    split = witness(requests=40, split_ms=5, **settings)
    large = witness(requests=8, **{**settings, "body_size": 3_000_000})
    for account, requests in ((pipelined, 1000), (split, 40), (large, 8)):
        assert columns(account) == NO_FAULT
        assert account["ok"] == requests
    assert split["seconds"] >= 10 * 0.005
    assert server.stop()["answered"] == 1048


def test_what_is_pipelined_behind_a_close_is_lost(faulty, witness) -> None:
    server = faulty(announce_close_one_in=4)
    account = witness(url=server.url, requests=10, connections=1, pipeline=10)
    # Four are answered, the last of them with the announcement; six are lost with the connection.
    assert server.stop()["requests"] == 4
    assert columns(account) == {**NO_FAULT, "reset": 6, "closes_announced": 1}


@pytest.mark.parametrize(
    "answer, reset, found",
    [
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", False, {"closes_announced": 1}),
        (b"HTTP/1.1 200 OK\r\n\r\ncut", True, {"truncated": 1, "closes_busy": 1}),
        (b"HTTP/1.1 200 OK\r\nContent-", False, {"truncated": 1, "closes_busy": 1}),
        (b"", True, {"reset": 1, "closes_busy": 1}),
    ],
)
def test_how_a_connection_ends(answer: bytes, reset: bool, found: dict, witness) -> None:
    host, port = serve_once(answer, reset)
    account = witness(url=f"http://{host}:{port}/", requests=1, connections=1)
    assert columns(account) == {**NO_FAULT, **found}


def test_every_kind_of_address(faulty, witness, socket_folder: Path) -> None:
    six = faulty(address="::1")
    assert six.url.startswith("http://[::1]:")
    assert columns(witness(url=six.url, requests=10, expect="hello\n")) == NO_FAULT
    path = socket_folder / "http"
    unix = faulty(address=f"unix:{path}")
    assert unix.server.address == str(path)
    assert columns(witness(unix=path, requests=10, expect="hello\n")) == NO_FAULT
    with unix.server.connect() as connection:
        assert connection.get().body == b"hello\n"


def test_methods_bodies_and_statuses(faulty, witness, tmp_path: Path) -> None:
    server = faulty()
    body_file = tmp_path / "body"
    body_file.write_bytes(bytes(range(256)))
    for settings in (
        {"method": "HEAD"},
        {"expect": "hello\n"},
        {"body": f"@{body_file}", "expect": "echo"},
        {"body": "text", "expect": "text"},
        {"body": "text", "expect": "status:200"},
    ):
        account = witness(url=server.url, requests=20, connections=2, **settings)
        assert columns(account) == NO_FAULT, settings
    for settings in ({"expect": "hello"}, {"expect": "status:404"}):
        account = witness(url=server.url, requests=20, connections=2, **settings)
        assert columns(account) == {**NO_FAULT, "wrong": 20}, settings
        assert account["descriptions"]


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_nobody_listens(start_witness) -> None:
    witness = start_witness(url=f"http://127.0.0.1:{unused_port()}/", requests=5, connections=2)
    account = witness.finish()
    assert columns(account) == {**NO_FAULT, "refused": 5}
    assert (account["requests"], account["sent"]) == (5, 0)
    assert witness.exit_status == 1


def test_lost_connections_stay_lost_when_asked(faulty, witness) -> None:
    server = faulty(drop_one_in=10)
    account = witness(url=server.url, seconds=60, connections=4, no_reconnect=True)
    assert server.stop()["drop"] == 4
    assert columns(account) == {**NO_FAULT, "reset": 4, "closes_busy": 4}
    assert account["connections"]["connects"] == 4


def test_one_request_a_connection(faulty, witness) -> None:
    server = faulty()
    account = witness(url=server.url, requests=50, connections=2, close=True)
    assert columns(account) == NO_FAULT
    assert account["ok"] == server.stop()["answered"] == 50
    # The one may connect while the other takes the last request.
    assert account["connections"]["connects"] in (50, 51)


def test_a_signal_ends_the_run_and_the_report_comes(faulty, start_witness) -> None:
    server = faulty()
    witness = start_witness(url=server.url, seconds=3600, connections=8)
    witness.wait_ready()
    account = witness.stop()
    assert columns(account) == NO_FAULT
    assert account["ok"] == server.stop()["answered"]
    assert witness.exit_status == 0


def test_the_timeline_has_every_request(faulty, witness, tmp_path: Path) -> None:
    server = faulty(drop_one_in=100)
    timeline = tmp_path / "timeline"
    account = witness(url=server.url, requests=500, connections=4, timeline=timeline)
    strokes = [line.split() for line in timeline.read_text().splitlines()]
    assert len(strokes) == 500
    assert {int(connection) for _, _, connection, _ in strokes} == {0, 1, 2, 3}
    outcomes = [outcome for _, _, _, outcome in strokes]
    assert (outcomes.count("ok"), outcomes.count("reset")) == (account["ok"], account["reset"])
    assert all(
        account["begun_us"] <= int(begin) <= int(end) <= account["ended_us"]
        for begin, end, _, _ in strokes
    )


def test_a_silent_server_is_a_pause(faulty, witness) -> None:
    server = faulty(stall_one_in=1)
    account = witness(url=server.url, requests=1, connections=1, timeout_ms=300)
    assert account["longest_pause_us"] >= 300_000


def test_the_rate_has_a_limit(faulty, witness) -> None:
    account = witness(url=faulty().url, requests=100, connections=16, max_rate=400)
    assert account["ok"] == 100
    assert account["seconds"] >= 99 / 400


def run_witness(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [runfile("integration_tests/witness/witness"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_table_ends_with_the_sum(faulty) -> None:
    server = faulty(drop_one_in=50)
    result = run_witness("--url", server.url, "--requests", "100", "--connections", "1")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "100 requests, 2 lost, 2 connections closed"
    assert "reset, no byte of a response" in result.stdout


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--bogus"], "--bogus"),
        (["--url", "ftp://x/"], "ftp://x/"),
        (["--url", "http://[::1/"], "a [ without its ]"),
        (["--url", "http://x:y/"], "the port is not a number"),
        (["--expect", "echo"], "--expect echo needs"),
        (["--expect", "status:2000"], "2000"),
        (["--body", "@/no/such/file"], "/no/such/file"),
        (["--connections", "0"], "no connections"),
        (["--ids_file", "x"], "--ids"),
        (["--close", "--pipeline", "2"], "--close"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], says: str) -> None:
    result = run_witness(*arguments)
    assert result.returncode == 2
    assert says in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr


def test_a_failure_names_its_cause() -> None:
    result = run_witness("--unix", "/" + "x" * 200)
    assert (result.returncode, result.stdout) == (1, "")
    assert "longer than the 107 bytes" in result.stderr
    result = run_witness("--timeline", "/no/such/folder/x")
    assert (result.returncode, result.stdout) == (1, "")
    assert "/no/such/folder/x" in result.stderr


def test_help_and_version() -> None:
    for flag in ("--help", "--version"):
        result = run_witness(flag)
        assert (result.returncode, result.stderr) == (0, "")
        assert "witness" in result.stdout
