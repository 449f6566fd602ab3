"""Pictures of what clients notice (chapters 9 to 11 and 13): runs of the check's, drawn by it."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import Any

from docs.pictures.tree import name_of
from integration_tests.check.checks import CHECKS
from integration_tests.check.cli import judge_server, load_checks
from integration_tests.check.drawing import Span, picture, span
from integration_tests.check.profiles import registry
from integration_tests.check.run import Options, Run
from integration_tests.harness.processes import adopted_descendants
from integration_tests.harness.waiting import wait_until

Report = dict[str, Any]

# The same for both reloads, so that they can be compared: the load, and the length of the excerpt.
CONNECTIONS, RELOADS = 64, 3
BEFORE, AFTER = 0.3, 1.2
JUDGED = ["reload.busy", "reload.slow", "reload.halves", "reload.downloads", "death.worker"]


class Silent:
    """Nobody watches."""

    def on_check(self, *_: object) -> None:
        pass

    def on_result(self, *_: object) -> None:
        pass


def judged(name: str, checks: list[str], folder: Path, **options: Any) -> Report:
    """The report of a run of these checks."""
    load_checks(None, folder)
    chosen = [CHECKS[check] for check in checks]
    return judge_server(registry.make(name, folder), Options(**options), chosen, folder, Silent())


def drawn(report: Report, begin: float, end: float, **more: Any) -> str:
    """The excerpt, with commands that don't name the folders of this machine."""
    timeline = report["timeline"]
    for each in [*timeline["processes"], *timeline["marks"]]:
        for words in {"command", "what"} & each.keys():
            each[words] = re.sub(r"(?<!\S)/\S*/", "", each[words])
    return picture(report, begin, end, **more)


def result(report: Report, check: str) -> Report:
    return next(each for each in report["checks"] if each["name"] == check)


def titled(report: Report, check: str, what: str) -> str:
    """What was done to which server, and what became of all requests of that check."""
    figures = result(report, check)["figures"]
    server = report["target"]["version"].replace("server ", "reload/server ")
    return f"{server}, {what}: {figures['failed']:,} of {figures['requests']:,} requests lost"


def marks(report: Report, kind: str, check: str) -> list[float]:
    begin, end = span(report, check)
    found = report["timeline"]["marks"]
    return [mark["at"] for mark in found if mark["kind"] == kind and begin <= mark["at"] <= end]


def reload(name: str, folder: Path) -> str:
    """Three reloads under load."""
    options = {"seconds": 8, "reloads": RELOADS, "connections": CONNECTIONS}
    report = judged(name, ["reload.busy"], folder, **options)
    first = marks(report, "reload", "reload.busy")[0]
    title = titled(report, "reload.busy", f"{RELOADS} reloads under {CONNECTIONS} connections")
    return drawn(report, first - BEFORE, first + AFTER, title=title)


def reload_ours(folder: Path) -> str:
    return reload("ours", folder)


def reload_nginx(folder: Path) -> str:
    return reload("nginx", folder)


def kill_9(folder: Path) -> str:
    report = judged("ours", ["death.worker"], folder, seconds=2, connections=CONNECTIONS)
    kills = marks(report, "kill", "death.worker")
    title = titled(report, "death.worker", f"kill -9 of {len(kills)} workers")
    return drawn(report, kills[0] - 0.2, kills[-1] + 0.25, title=title)


def judging(folder: Path) -> str:
    report = judged("nginx", JUDGED, folder, seconds=2, reloads=2, connections=CONNECTIONS)
    begin, end = span(report, JUDGED[0])[0], span(report, JUDGED[-1])[1] - 0.02
    spans = [
        Span(each["begin"], each["end"], (each["title"], each["name"]), each["verdict"])
        for each in report["checks"]
    ]
    verdicts = f"{report['held']} held, {report['broken']} broken"
    title = f"{report['target']['version']}, {len(JUDGED)} checks: {verdicts}"
    return drawn(report, begin, end, title=title, spans=spans)


def tasks(folder: Path) -> str:
    spec = registry.make("ours", folder)
    spec = dataclasses.replace(
        spec, start=f"{spec.start} --task_worker_num 2", reload="kill -USR2 {pid}"
    )
    (folder / "run").mkdir()
    run = Run(spec, Options(), folder / "run")
    with adopted_descendants():
        try:
            return tasks_replaced(run)
        finally:
            run.close()


def tasks_replaced(run: Run) -> str:
    """SIGUSR2, while each request is a task of 60 ms."""
    target = run.fresh()

    def task_workers() -> set[int]:
        return {pid for pid in target.workers() if name_of(pid).startswith("tasks ")}

    first = task_workers()
    # Fewer than they could do, so that one request can be told from the next.
    load = {"url": f"{run.spec.url}task?ms=60", "method": "POST", "body": "x", "max_rate": 25}
    with run.load(connections=6, **load) as posted:
        posted.wait_ready()
        begin = run.recorder.now()
        time.sleep(BEFORE)
        target.command("reload", run.spec.reload)
        wait_until(lambda: len(now := task_workers()) == len(first) and not now & first)
        time.sleep(BEFORE)
        end = run.recorder.now()
        outcome = posted.stop()
    report = run.report()
    keeper = target_parent(report, first)
    for process in report["timeline"]["processes"]:
        if process["parent"] == keeper:
            process["name"] = "task worker"
    lost = f"{outcome.failed} of {outcome.requests:,} tasks lost"
    title = f"SIGUSR2 replaces the task workers: {lost}"
    return drawn(report, begin, end, title=title)


def target_parent(report: Report, pids: set[int]) -> int:
    processes = report["timeline"]["processes"]
    return next(process["parent"] for process in processes if process["pid"] in pids)
