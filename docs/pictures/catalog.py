"""Every picture of the book by its name: a function that lets it happen and draws it.

Each is called in a place of its own (docs/book/place.py), with an empty folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.pictures import methods, servers, timelines

PICTURES: dict[str, Callable[[Path], str]] = {
    "terminal": methods.terminal_closes,
    "nohup": methods.nohup,
    "daemon-call": methods.daemon_call,
    "double-fork": methods.double_fork,
    "config-flag": methods.config_flag,
    "systemd": methods.systemd,
    "signals": methods.signals,
    "slots": servers.slots,
    "reload-ours": timelines.reload_ours,
    "reload-nginx": timelines.reload_nginx,
    "kill-9": timelines.kill_9,
    "tasks": timelines.tasks,
    "output": servers.output,
    "judging": timelines.judging,
    "choosing": servers.containers,
}
