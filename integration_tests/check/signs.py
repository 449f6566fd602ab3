"""The signs of a drawing, and its legend."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from integration_tests.check.checks import BROKEN, HELD, NOT_APPLICABLE
from integration_tests.check.markup import node

# Around (0, 0), at most 12 wide.
MARKS = {
    "reload": "M4.2-2.4A5 5 0 1 0 4.9 1.2M4.9-5.6V-2H1.3",
    "start": "M-3-4.6L4.6 0L-3 4.6Z",
    "stop": "M-3.8-3.8H3.8V3.8H-3.8Z",
    "kill": "M-4-4L4 4M4-4L-4 4",
    "break": "M1.5-6L-2.5 .8H2.5L-1.5 6",
    "mend": "M-5 0H5M0-5V5",
    "rotate": "M-5-2H4.5L1.5-5M5 2H-4.5L-1.5 5",
}
OTHER_MARK = "M-4 0L0-4L4 0L0 4Z"
VERDICTS = {HELD: "M-4.2 .4L-1.2 3.4L4.4-3.4", BROKEN: MARKS["kill"], NOT_APPLICABLE: "M-3.6 0H3.6"}


def legend() -> list[tuple[ET.Element, str]]:
    """Samples of 30 by 14, and what they are."""
    before, after = bar("worker even", 0, 14, 14), bar("worker odd", 16, 14, 14)
    return [
        (bar("main", 0, 30, 14), "main process"),
        (node("g", before, after), "workers; a reload changes the shade"),
        (bar("other", 0, 30, 6), "others"),
        (node("path", class_="answered", d="M4 7h6M14 4h6M20 10h5"), "answered, a sample"),
        (node("path", class_="lost", d="M4 7h18m0-4v8"), "failed, each"),
    ]


def bar(kind: str, x: float, width: float, height: float) -> ET.Element:
    """A process, in a sample that is 14 high."""
    place = {"x": x, "y": (14 - height) / 2, "height": height}
    return node(
        "g",
        node("rect", class_="body", width=width, **place),
        node("rect", class_="edge", width=2, **place),
        class_=f"process {kind}",
    )


def marks_legend(report: dict[str, Any]) -> list[tuple[ET.Element, str]]:
    """The signs of what was done in this run, 14 by 14, and what they mean."""
    kinds = {mark["kind"] for mark in report["timeline"]["marks"]}
    return [
        (node("g", node("path", d=path), class_="glyph", transform="translate(7 7)"), kind)
        for kind, path in MARKS.items()
        if kind in kinds
    ]
