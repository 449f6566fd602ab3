"""What the parts of a request cost, one by one (hot_parts.cc)."""

import json
import subprocess
from statistics import median
from typing import Any

from integration_tests.benchmark.throughput import Progress
from integration_tests.harness.runfiles import runfile


def measure(rounds: int, seconds: float, progress: Progress) -> list[dict[str, Any]]:
    """Nanoseconds of processor time an iteration; medians of repetitions in random order."""
    progress("the parts of a request")
    command = [
        str(runfile("integration_tests/benchmark/hot_parts")),
        f"--benchmark_repetitions={rounds}",
        f"--benchmark_min_time={min(seconds, 1) / 5}",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_format=json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"hot_parts failed: {done.stderr}")
    times: dict[str, list[float]] = {}
    for each in json.loads(done.stdout)["benchmarks"]:
        if each.get("error_occurred"):
            raise RuntimeError(f"hot_parts: {each['name']}: {each['error_message']}")
        if each["run_type"] == "iteration":
            times.setdefault(each["run_name"], []).append(each["cpu_time"])
    return [{"name": name, "cpu_ns": median(each)} for name, each in times.items()]
