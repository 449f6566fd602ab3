"""The timeline of a tour as a page: the whole of it, and each step's events from close by."""

from __future__ import annotations

import bisect
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from typing import Any

from integration_tests.check.drawing import Drawing, Report, Span
from integration_tests.check.markup import Child, node
from integration_tests.check.page import document, drawn, key
from integration_tests.check.recorder import Recorder, Stroke
from integration_tests.tour.steps import Told

PARTS, REQUESTS_OF_A_PART = 100, 10  # of the drawing that has everything
BEFORE_SECONDS, AFTER_SECONDS = 0.15, 0.85  # around what was done in a step


def render(recorder: Recorder, strokes: list[Stroke], steps: list[Told], account: str) -> str:
    """The page."""
    marks = recorder.timeline()["marks"]
    excerpts = [excerpt(step, marks) for step in steps]
    add_strokes(recorder, strokes, [moment for pair in excerpts for moment in pair or ()])
    checks = [{"name": step.title, "begin": step.begin, "end": step.end} for step in steps]
    report = {"checks": checks, "timeline": recorder.timeline()}
    return document(
        "Graceful Daemons: the tour",
        node(
            "header",
            node(
                "div",
                node("p", "Graceful Daemons", class_="kicker"),
                node("h1", "The tour"),
                node("p", account, class_="version"),
            ),
        ),
        node("main", whole(report, steps), sections(report, steps, excerpts)),
    )


def excerpt(step: Told, marks: list[dict[str, Any]]) -> tuple[float, float] | None:
    """The moments around what was done in a step."""
    done = [mark["at"] for mark in marks if step.begin <= mark["at"] <= step.end]
    if not done:
        return None
    return max(step.begin, done[0] - BEFORE_SECONDS), min(step.end, done[0] + AFTER_SECONDS)


def add_strokes(recorder: Recorder, strokes: list[Stroke], bounds: list[float]) -> None:
    """As many loads, one after another: of each the recorder keeps a sample."""
    strokes.sort(key=lambda stroke: stroke.end)
    ends = [stroke.end - recorder.begin for stroke in strokes]
    cuts = [0, *(bisect.bisect(ends, bound) for bound in sorted(bounds)), len(strokes)]
    for first, last in zip(cuts, cuts[1:]):
        recorder.add(strokes[first:last])


def whole(report: Report, steps: list[Told]) -> ET.Element:
    timeline = report["timeline"]
    requests = evenly(timeline["requests"], steps[-1].end)
    shown = {**report, "timeline": {**timeline, "requests": requests}}
    drawing = Drawing(shown, 0, steps[-1].end)
    spans = [
        Span(step.begin, step.end, (step.title, str(number)), link=f"#step{number}")
        for number, step in enumerate(steps, 1)
    ]
    drawing.add_all(spans, requests_height=72, latency=False)
    return node(
        "section",
        node("h2", f"All of it: {steps[-1].end:.0f} seconds"),
        node("figure", drawn(drawing), key(report)),
    )


def evenly(requests: list[dict[str, Any]], end: float) -> list[dict[str, Any]]:
    """Without most of those that are there for what is seen from close by."""
    seen: Counter[int] = Counter()
    found = []
    for request in requests:
        part = int(request["begin"] / end * PARTS)
        seen[part] += request["outcome"] == "answered"
        if request["outcome"] != "answered" or seen[part] <= REQUESTS_OF_A_PART:
            found.append(request)
    return found


def sections(
    report: Report, steps: list[Told], excerpts: list[tuple[float, float] | None]
) -> Iterator[ET.Element]:
    for number, (step, span) in enumerate(zip(steps, excerpts), 1):
        yield node(
            "section",
            node("h2", f"{number}. {step.title}", id=f"step{number}"),
            node("p", f"{step.lesson} ", node("code", step.chapter), class_="lead"),
            close_by(report, *span) if span else None,
        )


def close_by(report: Report, begin: float, end: float) -> Child:
    drawing = Drawing(report, begin, end)
    drawing.add_all(requests_height=168)
    return node("figure", drawn(drawing))
