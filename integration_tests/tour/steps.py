"""The tour, step by step: what is typed, what one sees, and why that is worth a look."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from integration_tests.harness.server import READY
from integration_tests.tour.figures import Figures
from integration_tests.tour.screen import Screen
from integration_tests.tour.stage import KILLED, Stage, server_command, witness_command

TICK_SECONDS = 0.2
SLOW_SECONDS = 1.5  # of the request that a stop waits for

HOLDS = "docs/08-master-keeper-worker.md"
SIGNALS = "docs/07-signals.md"
REPLACING = "docs/09-replacing-workers.md"
KILL = "docs/10-kill-9.md"
JUDGING = "docs/13-judging.md"


@dataclass
class Told:
    """A step that was told: for the timeline's page."""

    title: str
    lesson: str
    chapter: str
    begin: float
    end: float


@dataclass
class Tour:
    """One run through all steps; each takes `seconds`."""

    stage: Stage
    screen: Screen
    seconds: float
    figures: Figures = field(default_factory=Figures)
    told: list[Told] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # promises that were not kept
    versions: list[str] = field(default_factory=lambda: ["1"])
    url: str = ""

    def go(self) -> None:
        for step in STEPS:
            step(self)

    # What the steps are made of.

    @contextlib.contextmanager
    def step(self, title: str, lesson: str, chapter: str) -> Iterator[None]:
        """A title, what happens, and what it has shown."""
        begin = self.stage.recorder.now()
        self.screen.title(f"{len(self.told) + 1}/{len(STEPS)}  {title}")
        yield
        self.screen.say()
        self.screen.say(lesson)
        self.screen.say(f"Read on: {chapter}", "output")
        self.told.append(Told(title, lesson, chapter, begin, self.stage.recorder.now()))

    def type(self, command: str, mark: str = "", pid: int | None = None) -> int:
        """Types a command, shows what it says; its exit status."""
        self.screen.command(command)
        status, said = self.stage.run(command, mark, pid)
        if said.strip():
            self.screen.output(said)
        return status

    def expect(self, kept: bool, otherwise: str) -> None:
        """Goes on when a promise was not kept, and says so."""
        if not kept:
            self.broken.append(otherwise)
            self.screen.say(otherwise, "bad")

    def watch(self, each_tick: Callable[[], object] = lambda: None) -> None:
        """The figures, for the time of a step."""
        self.screen.say()
        until = time.monotonic() + self.seconds
        while True:
            each_tick()
            self.figures.update(self.stage.witness.tell())
            self.screen.live(self.lines())
            left = until - time.monotonic()
            # A last look after a moment would have no answers to count.
            if left < TICK_SECONDS / 2 or self.screen.wait(min(TICK_SECONDS, left)):
                break
        self.screen.settle()

    def killed(self) -> int:
        """How many workers, as the server says."""
        return len(self.stage.log(KILLED))

    def lines(self) -> list[str]:
        """The figures as they are now."""
        figures, style = self.figures, self.screen.style
        lost = f"{figures.lost:>9,}"
        closed = f"{figures.closed} of {figures.connections} connections closed"
        lines = [
            f"answered   {figures.account['ok']:>9,}   {figures.rate:,.0f} a second",
            f"lost       {style('bad' if figures.lost else 'good', lost)}   "
            f"{style('bad' if figures.closed else 'good', closed)}",
        ]
        answers = max(1, figures.lately.by_version.total())
        for version in self.versions:
            share = figures.lately.by_version[version] / answers
            color = "good" if version == self.versions[-1] else "old"
            bar = style(color, self.screen.bar(share))
            lines.append(f"version {version}  {share:>9.0%}   {bar}")
        since = figures.since_reload()
        if since is not None:
            old = figures.from_old_code("1")
            count = style("bad" if old else "good", f"{old:>9,}")
            lines.append(f"old code   {count}   of {since.total():,} answers since the reload")
        if killed := self.killed():
            lines.append(f"killed     {killed:>9}   worker{'s' if killed > 1 else ''}")
        pids = figures.lately.by_pid.most_common()
        told = [f"{pid} {count / answers:.0%}" for pid, count in pids[:2]]
        others = [f"{len(pids) - 2} more"] if len(pids) > 2 else []
        return lines + [f"workers               {', '.join(told + others)}"]


def start(tour: Tour) -> None:
    lesson = (
        "The worker runs the code, its keeper holds the connections. Who holds nothing can be "
        "replaced at any time."
    )
    with tour.step("A server starts", lesson, HOLDS):
        settings = {"port": 0, "worker_num": 2, "handler": "handler.so"}
        tour.screen.command(server_command(settings))
        tour.stage.start_server(**settings)
        tour.screen.output("\n".join(tour.stage.log(rf"listening|{READY.pattern}")))
        tour.url = f"{tour.stage.server.url}/whoami"
        tour.type(f"curl -s {tour.url}")
        tour.screen.say()
        slots = tour.stage.slots()
        tour.screen.say(f"master {tour.stage.server.pid}")
        for slot in slots:
            branch = "└─" if slot is slots[-1] else "├─"
            tour.screen.say(f" {branch} keeper {slot['keeper']} ── worker {slot['worker']}")
        until = time.monotonic() + tour.seconds
        while (left := until - time.monotonic()) > 0 and not tour.screen.wait(left):
            pass


def load(tour: Tour) -> None:
    lesson = (
        "64 connections are busy, 100 rest, and at the end they shall be the same ones. Each "
        "request is accounted for."
    )
    settings: dict[str, Any] = {
        "url": tour.url, "connections": 64, "idle": 100, "max_rate": 2000, "tally": True,
    }
    with tour.step("Clients come, 2,000 requests a second", lesson, JUDGING):
        tour.screen.command(witness_command(settings))
        tour.stage.start_load(**settings)
        tour.watch()


def deploy(tour: Tour) -> None:
    lesson = (
        "The file was replaced as a whole, by a rename, and nothing has happened yet: workers run "
        "what they have loaded."
    )
    with tour.step("New code is deployed", lesson, REPLACING):
        tour.versions.append("2")
        tour.type("cp version2.so new && mv new handler.so")
        tour.watch()


def reload(tour: Tour) -> None:
    lesson = (
        "All code was replaced under load, and once ctl had returned, not one answer came from the "
        "old code. Many servers close idle connections now, and lose what crosses with the close."
    )
    with tour.step("The workers are replaced", lesson, REPLACING):
        status = tour.type(tour.stage.ctl("reload"), "reload")
        tour.expect(status == 0, "The reload failed.")
        # What the old code sent before is read by the time that the second account is told.
        for _ in range(2):
            tour.figures.update(tour.stage.witness.tell())
        tour.figures.reloaded()
        tour.watch()
        tour.expect(not tour.figures.from_old_code("1"), "Old code answered after the reload.")


def kill(tour: Tour) -> None:
    lesson = (
        "No process can catch kill -9. But the connections were the keeper's, and the requests "
        "were in memory that both share: the next worker went on with them."
    )
    with tour.step("A worker is killed", lesson, KILL):
        worker = tour.stage.slots()[0]["worker"]
        events = r"keeper 0 .*worker \d+ (was killed by SIGKILL|serves)"
        before = len(tour.stage.log(events))
        tour.type(f"kill -9 {worker}", "kill", worker)
        tour.screen.output("\n".join(tour.stage.log(events, skip=before, count=2)))
        tour.watch()


def break_it(tour: Tour) -> None:
    lesson = (
        "The first new worker crashed on half a file, and there the reload ended. ctl says why; "
        "the old workers serve on."
    )
    with tour.step("Broken code is deployed", lesson, REPLACING):
        tour.type("head -c 10000 version2.so > new && mv new handler.so", "break")
        status = tour.type(tour.stage.ctl("reload"), "reload")
        tour.expect(status == 1, f"The reload should have failed; its exit status is {status}.")
        tour.watch()


def storm(tour: Tour) -> None:
    lesson = (
        "The file on the disk is still broken, and yet every new worker runs version 2: a keeper "
        "starts the last code that worked."
    )
    with tour.step("All workers are killed, several times a second", lesson, KILL):
        keepers = ",".join(str(slot["keeper"]) for slot in tour.stage.slots())
        command = f"pkill -9 -P {keepers}"
        tour.screen.command(f"while sleep {TICK_SECONDS}; do {command}; done")
        tour.watch(lambda: tour.stage.run(command, "kill"))


def stop(tour: Tour) -> None:
    lesson = (
        "The request had begun, so it was answered first. Then the server ended, with exit status "
        "0 and no process left."
    )
    with tour.step("The server stops", lesson, SIGNALS):
        tour.screen.say("The load ends: each resting connection is used once more.")
        tour.figures.update(tour.stage.stop_load())
        tour.screen.say()
        tour.screen.live(tour.lines()[:2])
        tour.screen.settle()
        tour.screen.say()
        milliseconds = round(1000 * min(SLOW_SECONDS, tour.seconds))
        slow = f"curl -s '{tour.stage.server.url}/sleep?ms={milliseconds}'"
        tour.screen.command(f"{slow} &")
        answer = tour.stage.run_behind(slow)
        tour.type(tour.stage.ctl("stop"), "stop")
        said = answer()
        tour.screen.output(f"{said.strip()}   (curl)")
        tour.expect(said == "slept\n", "The request that was under way was not answered.")
        ended = tour.stage.server.wait(10)
        tour.expect(ended == 0, f"The server ended with status {ended}.")
        tour.stage.server.tree.wait_gone()


STEPS = [start, load, deploy, reload, kill, break_it, storm, stop]
