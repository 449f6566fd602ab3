"""The profiles: for servers that people use, all that a check needs to know."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import random
import socket
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from integration_tests.check.checks import UsageError
from integration_tests.check.suggest import did_you_mean
from integration_tests.check.target import Spec

NAMES = ["nginx", "apache", "lighttpd", "haproxy", "gunicorn", "uwsgi", "puma", "ours"]


class Missing(UsageError):
    """The server is not installed; the text says what to do."""


def load(name: str) -> ModuleType:
    if name not in NAMES:
        known = ", ".join(NAMES)
        raise UsageError(f"no profile '{name}'{did_you_mean(name, NAMES)}; there are {known}")
    return importlib.import_module(f"integration_tests.check.profiles.{name}")


def need(names: Iterable[str]) -> None:
    """Raises Missing, with all that is not installed."""
    profiles = [load(name) for name in names]
    lacking = [(profile.missing(), profile.PACKAGES) for profile in profiles]
    if whats := [what for what, _ in lacking if what]:
        packages = " ".join(package for what, each in lacking if what for package in each)
        raise Missing(f"{', '.join(whats)}; run ./setup --peers, or apt-get install {packages}")


def make(name: str, folder: Path) -> Spec:
    """The spec of a profile, with all its files in `folder`, on a port that is free."""
    profile = load(name)
    need([name])
    # Whoever starts it is somewhere else than its files.
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return dataclasses.replace(profile.spec(folder, free_port()), folder=elsewhere)


def free_port() -> int:
    """One that no client gets by chance: below those that the kernel gives to clients.

    The server is started on it several times, and in between nobody holds it. Where there is none
    below, the kernel chooses.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    below = range(max(1024, first - 10_000), first)
    for port in [*random.sample(below, min(100, len(below))), 0]:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return probe.getsockname()[1]
    raise OSError("no port is free on 127.0.0.1")
