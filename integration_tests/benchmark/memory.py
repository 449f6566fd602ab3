"""Memory as PSS: a page that n processes map counts for 1/n in each (proc(5), smaps_rollup)."""

import re
import time
from pathlib import Path
from typing import Any

from integration_tests.benchmark import servers
from integration_tests.benchmark.throughput import Progress
from integration_tests.harness.server import Server
from integration_tests.harness.witness import Witness

FIELDS = ("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem", "Private_Dirty", "Rss")


def of_process(pid: int) -> dict[str, int]:
    """Bytes, by the kernel's names."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE))
    return {field: int(found[field]) * 1024 for field in FIELDS}


def of_server(server: Server) -> dict[str, Any]:
    """Of each role the process that uses most, and the sum of all."""
    slots = server.slots()
    pids = {
        "master": [server.pid],
        "keeper": [slot["keeper"] for slot in slots],
        "worker": [slot["worker"] for slot in slots],
    }
    memory = {role: [of_process(pid) for pid in group] for role, group in pids.items()}
    most = {role: max(group, key=lambda each: each["Pss"]) for role, group in memory.items()}
    total = sum(each["Pss"] for group in memory.values() for each in group)
    return {"roles": most, "total": total}


def measure(
    workers: int, connections: int, idle: int, seconds: float, progress: Progress
) -> dict[str, Any]:
    """With `connections` busy ones, and what each of `idle` idle ones adds."""
    with servers.folder() as place, servers.our_server(workers) as server:
        at_rest = of_server(server)
        busy = Witness(place / "busy", url=server.url, connections=connections, seconds=3600)
        try:
            busy.wait_ready()
            progress(f"{connections} busy connections")
            time.sleep(seconds)  # what the workers use in time, they use by then
            under_load = of_server(server)
            busy.stop()
            before = of_server(server)
            progress(f"{idle} idle connections")
            resting = Witness(
                place / "idle", url=server.url, connections=1, max_rate=1, idle=idle, seconds=3600
            )
            try:
                resting.wait_ready(120)
                after = of_server(server)
            finally:
                resting.kill()
        finally:
            busy.kill()
    return {
        "workers": workers,
        "connections": connections,
        "at_rest": at_rest,
        "under_load": under_load,
        "idle_connections": idle,
        "bytes_per_idle_connection": (after["total"] - before["total"]) / max(1, idle),
    }
