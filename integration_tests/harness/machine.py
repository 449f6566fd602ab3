"""The machine that something was measured on, for those who read the figures."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Its processors, its kernel and its system."""
    words = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    system = words.get("PRETTY_NAME", "unknown").strip('"')
    return f"{os.cpu_count()} processors, {_processor()}; Linux {platform.release()}; {system}"


def load() -> str:
    """How many processes ran or waited for a processor, in the last 1, 5 and 15 minutes."""
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
