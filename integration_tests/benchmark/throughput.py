"""Requests a second, side by side: each round gives each server its turn."""

import contextlib
import json
import subprocess
from statistics import median
from typing import Any, Callable

from integration_tests.benchmark import servers
from integration_tests.benchmark.servers import Contestant
from integration_tests.harness.runfiles import runfile

Progress = Callable[[str], None]


def run_wrk(contestant: Contestant, connections: int, seconds: float) -> dict[str, float]:
    """One turn of wrk, with two threads: with one it is wrk that is the limit.

    wrk counts whole seconds only, so a shorter turn is ended with SIGINT.
    """
    whole = max(1, round(seconds))
    command = [servers.find_wrk(), "--threads", "2", "--connections", str(connections)]
    command += ["--duration", f"{whole}s", "--latency"]
    command += ["--script", str(runfile("integration_tests/benchmark/report.lua")), contestant.url]
    before = contestant.cpu_ns()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if seconds < whole:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.send_signal(2)
        output, _ = process.communicate(timeout=whole + 30)
    finally:
        process.kill()
        process.wait()
    said = json.loads(output.strip().splitlines()[-1])
    if said["requests"] == 0:
        raise RuntimeError(f"{contestant.name} answered nothing:\n{output}")
    return {
        "requests_per_second": said["requests"] / (said["microseconds"] / 1e6),
        "cpu_us_per_request": (contestant.cpu_ns() - before) / 1000 / said["requests"],
        "p50_us": said["p50_us"],
        "p99_us": said["p99_us"],
        "errors": said["errors"],
    }


def _summary(turns: list[dict[str, float]], others: dict[str, list[dict[str, float]]]) -> dict:
    """Medians of a server's turns, and of its ratios to the others' turns of the same round."""
    summary: dict[str, Any] = {name: median(turn[name] for turn in turns) for name in turns[0]}
    summary["errors"] = sum(turn["errors"] for turn in turns)
    for name in ("requests_per_second", "cpu_us_per_request"):
        summary[name + "_ratio"] = {
            other: median(ours[name] / theirs[name] for ours, theirs in zip(turns, theirs_all))
            for other, theirs_all in others.items()
        }
    summary["rounds"] = [turn["requests_per_second"] for turn in turns]
    return summary


def in_turn(
    contestants: list[Contestant], rounds: int, connections: int, seconds: float, progress: Progress
) -> dict[str, Any]:
    """Rounds in which each has its turn, each round beginning with another one."""
    turns: dict[str, list[dict[str, float]]] = {each.name: [] for each in contestants}
    for contestant in contestants:  # caches and branch predictors of all are warm alike
        run_wrk(contestant, connections, min(seconds, 0.3))
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            servers.settle()
            turns[contestant.name].append(run_wrk(contestant, connections, seconds))
        latest = ", ".join(
            f"{name} {each[-1]['requests_per_second']:,.0f}" for name, each in turns.items()
        )
        progress(f"round {number + 1} of {rounds}: {latest} requests/s")
    return {
        name: _summary(each, {other: them for other, them in turns.items() if other != name})
        for name, each in turns.items()
    }


def measure(
    workers: int, rounds: int, connections: int, seconds: float, progress: Progress
) -> dict[str, Any]:
    """The bare loop (the limit), this server, and nginx where it is installed."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(servers.ours(workers))
        response = ours.raw_response()
        contestants = [stack.enter_context(servers.bare_loop(workers, response)), ours]
        if servers.find_nginx():
            contestants.append(stack.enter_context(servers.nginx(workers)))
        else:
            progress("nginx is not installed, so it is left out (apt-get install nginx-light)")
        return {
            "workers": workers,
            "connections": connections,
            "response_bytes": {each.name: len(each.raw_response()) for each in contestants},
            "servers": in_turn(contestants, rounds, connections, seconds, progress),
        }


def measure_scaling(
    numbers: list[int], rounds: int, connections: int, seconds: float, progress: Progress
) -> list[dict[str, Any]]:
    """The same with so many workers, without nginx."""
    rows = []
    for workers in numbers:
        progress(f"{workers} workers")
        with servers.ours(workers) as ours:
            with servers.bare_loop(workers, ours.raw_response()) as bare:
                result = in_turn([bare, ours], rounds, connections, seconds, progress)
        rows.append({"workers": workers, "servers": result})
    return rows
