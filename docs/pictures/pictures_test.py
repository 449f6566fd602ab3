"""What a picture shows is what ran."""

from __future__ import annotations

import os
import signal
import subprocess
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.book import place
from docs.pictures.pictures import draw
from docs.pictures.timelines import drawn
from docs.pictures.tree import Moment, look, tree
from integration_tests.check.load import Load
from integration_tests.check.recorder import Recorder
from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.runfiles import runfile
from integration_tests.harness.server import Server
from integration_tests.harness.waiting import wait_until

COLUMNS = {"parent": 300, "process group": 400, "session": 500, "terminal": 600}


def shown(svg: str) -> dict[int, tuple[str, list[str]]]:
    """By pid: the class of a process's row, and its words."""
    rows = xml.fromstring(svg).iterfind(".//{*}g[@data-pid]")
    return {
        int(row.attrib["data-pid"]): (
            row.attrib["class"],
            [text.text or "" for text in row.iterfind("{*}text")],
        )
        for row in rows
    }


def asked(pid: int) -> list[str]:
    """The same by ps(1)."""
    words = ["ps", "-o", "comm=,pid=,ppid=,pgid=,sid=,tty=", "-p", str(pid)]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return found.replace("?", "none").split()


def test_a_tree_shows_every_process_as_it_is(
    process_factory: Callable[..., ProcessTree],
) -> None:
    started = process_factory(["sh", "-c", "setsid sleep 1000 & sleep 10000000000000000 & wait"])
    wait_until(lambda: len(names(started)) == 3 and names(started).count("sleep") == 2)
    before = look(started.descendants())
    facts = {process.pid: asked(process.pid) for process in before}
    # A short command line says more than its first word.
    facts = {pid: [words[1], *words[2:]] for pid, words in facts.items()}
    one = tree("A", "a", COLUMNS, [Moment("before", before)])
    assert {pid: words[1:] for pid, (_, words) in shown(one).items()} == facts

    victim = next(process.pid for process in before if process.name == "sleep 1000")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in started.descendants())
    after = look(started.descendants())
    both = tree("B", "b", COLUMNS, [Moment("before", before), Moment("after", after)])
    last = shown(both)
    assert {pid for pid, (class_, _) in last.items() if class_ == "gone"} == {victim}


def names(started: ProcessTree) -> list[str]:
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in started.descendants()]


def test_a_timeline_shows_every_process_and_no_folder(
    server_factory: Callable[..., Server], tmp_path: Path
) -> None:
    server = server_factory(worker_num=2, handler=runfile("reload/handlers/echo.so"))
    recorder = Recorder()
    recorder.watch(server.tree.guard_pid)
    recorder.main_is(server.pid)
    load = Load(recorder, tmp_path / "load", url=server.url, connections=4, max_rate=200)
    load.wait_ready()

    def seen() -> set[int]:
        return {process["pid"] for process in recorder.timeline()["processes"]}

    before = server.tree.descendants()
    wait_until(lambda: seen() >= set(before), what="the recorder to see the first workers")
    recorder.mark("reload", "ctl reload")
    assert server.ctl("reload").returncode == 0
    after = server.tree.descendants()
    wait_until(lambda: seen() >= set(after), what="the recorder to see the new workers")
    assert load.stop().failed == 0
    end = recorder.now()
    recorder.stop()
    report = {"timeline": recorder.timeline(), "checks": []}
    svg = drawn(report, 0, end, title="A reload")
    assert shown(svg).keys() >= {*before, *after}
    assert str(tmp_path) not in svg and ">0 failed<" in svg


@pytest.mark.skipif(bool(place.missing()), reason=place.missing())
def test_the_daemon_of_the_double_fork_is_what_is_left() -> None:
    rows = shown(draw("double-fork"))
    left = [words for class_, words in rows.values() if class_ != "gone"]
    assert [words[0] for words in left] == ["bash", "double_fork"]
    _, pid, parent, group, session, tty = left[1]
    assert (parent, tty) == ("1", "none")
    assert group == session != pid
