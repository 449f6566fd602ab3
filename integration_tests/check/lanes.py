"""Which process is drawn where: each in a lane that nobody else has at that time."""

from __future__ import annotations

import math
from typing import Any

ROLES = ("main", "worker", "other")
Process = dict[str, Any]


def end_of(process: Process, end: float) -> float:
    """Where its bar ends, in a picture that ends there."""
    return end if process["died"] is None else min(process["died"], end)


def within(processes: list[Process], begin: float, end: float) -> list[Process]:
    """Those that lived in this time."""
    return [each for each in processes if each["born"] < end and end_of(each, end) >= begin]


def lanes(processes: list[Process], begin: float, end: float) -> list[tuple[str, list[Process]]]:
    """Lanes with their role: the main process on top, workers below, all others last.

    A process follows another of the same parent when it can: a slot's workers are in one line.
    """
    found: list[tuple[str, list[Process]]] = []
    for role in ROLES:
        of_role: list[list[Process]] = []
        for process in sorted(within(processes, begin, end), key=lambda each: each["born"]):
            if process["role"] != role:
                continue
            free = [lane for lane in of_role if end_of(lane[-1], end) <= process["born"]]
            free.sort(key=lambda lane: lane[-1]["parent"] != process["parent"])
            if free:
                free[0].append(process)
            else:
                of_role.append([process])
        found += [(role, lane) for lane in of_role]
    return found


def generation(process: Process, marks: list[dict[str, Any]]) -> int:
    """How many reloads had been asked for when it was born."""
    return sum(mark["kind"] == "reload" and mark["at"] <= process["born"] for mark in marks)


def reload_spans(timeline: dict[str, Any]) -> list[tuple[float, float]]:
    """From each reload that was asked for until the last worker that went before anything else
    was done."""
    marks = timeline["marks"]
    spans = []
    for mark, after in zip(marks, [*(each["at"] for each in marks[1:]), math.inf]):
        gone = [
            process["died"]
            for process in timeline["processes"]
            if process["role"] == "worker"
            and process["died"] is not None
            and process["born"] < mark["at"] < process["died"] < after
        ]
        if mark["kind"] == "reload" and gone:
            spans.append((mark["at"], max(gone)))
    return spans
