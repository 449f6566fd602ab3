"""Who got which signal: processes by group, and what was done to them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from docs.pictures.tree import BOX, BOX_HEIGHT, MARGIN, ROW, WIDTH, page
from integration_tests.check.markup import Child, node

GROUP_GAP = 14
LETTERS = 12  # of a line above a column
FIRST_COLUMN = MARGIN + BOX + 40


def matrix(
    title: str,
    told: str,
    groups: Sequence[tuple[str, Sequence[str]]],
    events: Mapping[str, Mapping[str, str]],
) -> str:
    """SVG. `groups`: what is said of each, and who is in it; `events`: who got what."""
    column = (WIDTH - MARGIN - FIRST_COLUMN) // len(events)
    middles = {name: FIRST_COLUMN + column * (i + 0.5) for i, name in enumerate(events)}
    parts: list[Child] = [
        node("text", line, class_="caption", x=x, y=60 + 17 * number, text_anchor="middle")
        for name, x in middles.items()
        for number, line in enumerate(textwrap.wrap(name, LETTERS, break_on_hyphens=False))
    ]
    y = 100
    for number, (told_of_it, members) in enumerate(groups):
        parts.append(node("text", told_of_it, class_="note", x=MARGIN, y=y))
        y += 8
        for name in members:
            parts.append(
                node(
                    "g",
                    node("rect", x=MARGIN, y=y, width=BOX, height=BOX_HEIGHT, rx=5),
                    node("text", name, class_="name", x=MARGIN + 10, y=y + 18),
                    class_=f"tint-{number}",
                )
            )
            middle = y + BOX_HEIGHT / 2
            parts.append(
                node(
                    "line", class_="rule", x1=MARGIN + BOX, x2=WIDTH - MARGIN, y1=middle, y2=middle
                )
            )
            for event, hits in events.items():
                if name in hits:
                    parts += _hit(hits[name], middles[event], y)
            y += ROW
        y += GROUP_GAP
    return page(title, told, parts, y + 4)


def _hit(signal: str, x: float, y: float) -> list[Child]:
    return [
        node("rect", class_="hit", x=x - 38, y=y + 2, width=76, height=BOX_HEIGHT - 4, rx=11),
        node("text", signal, class_="on-hit", x=x, y=y + 18, text_anchor="middle"),
    ]
