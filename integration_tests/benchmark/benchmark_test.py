"""The benchmark runs to its end and reports all that it promises. What it measures is not judged."""

import json
import shutil
import subprocess

import pytest

from integration_tests.harness.runfiles import runfile

pytestmark = pytest.mark.skipif(
    shutil.which("wrk") is None, reason="wrk is not installed: run ./setup"
)


def benchmark(*arguments: str) -> subprocess.CompletedProcess:
    command = [str(runfile("integration_tests/benchmark/benchmark")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def tiny(*arguments: str) -> str:
    """Its standard output with the smallest settings that make sense."""
    done = benchmark("--rounds", "1", "--seconds", "0.3", "--idle", "100", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_throughput_is_measured_beside_the_limit() -> None:
    results = json.loads(tiny("--json", "--only", "throughput"))
    found = results["throughput"]["servers"]
    assert {"bare loop", "this server"} <= set(found)
    for name, each in found.items():
        assert each["requests_per_second"] > 0, name
        assert each["errors"] == 0, name
    ratios = found["this server"]["requests_per_second_ratio"]
    assert set(ratios) == set(found) - {"this server"}
    sizes = results["throughput"]["response_bytes"]
    assert sizes["bare loop"] == sizes["this server"]


def test_pauses_and_memory_are_measured_and_nothing_is_lost() -> None:
    results = json.loads(tiny("--json", "--only", "pause", "--only", "memory"))
    rows = results["pause"]["idle_numbers"]
    assert [row["idle"] for row in rows] == [0, 100]
    for row in rows:
        assert row["lost"] == row["closed"] == 0
        for kind in ("quiet", "reload", "kill"):
            assert row[kind]["windows"] > 0
            assert 0 < row[kind]["longest_us"] <= row[kind]["longest_of_all_us"]
    roles = results["memory"]["under_load"]["roles"]
    assert all(roles[role]["Pss"] > 0 for role in ("master", "keeper", "worker"))
    assert results["memory"]["idle_connections"] == 100


def test_the_tables_in_markdown() -> None:
    text = tiny("--markdown", "--only", "hot", "--only", "throughput")
    assert "| this server |" in text
    for part in ("ParseRequest", "WriteHead", "CommitRecord", "AllocateAndFree", "SendAndRecv"):
        assert part in text


def test_what_makes_no_sense_is_said() -> None:
    done = benchmark("--rounds", "0")
    assert done.returncode == 2
    assert "--rounds" in done.stderr
    done = benchmark("--idle", "10000000")
    assert done.returncode != 0
    assert "open files" in done.stderr
    assert "side by side" in benchmark("--help").stdout
