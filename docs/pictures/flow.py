"""Which file has how many lines, and of whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from docs.pictures.tree import BOX_HEIGHT, MARGIN, ROW, WIDTH, page
from integration_tests.check.markup import Child, node

LEFT, SUM = 110, 80


@dataclass(frozen=True)
class Bar:
    """A file, and how many lines of whom are in it."""

    name: str
    parts: Mapping[str, int]


def bars(title: str, told: str, rows: Sequence[Bar]) -> str:
    """SVG."""
    most = max(sum(row.parts.values()) for row in rows)
    writers = list(dict.fromkeys(name for row in rows for name in row.parts))
    parts: list[Child] = []
    x = LEFT
    for number, writer in enumerate(writers):
        parts += [
            node("rect", class_=f"key tint-{number}", x=x, y=56, width=14, height=14, rx=3),
            node("text", writer, class_="note", x=x + 20, y=67),
        ]
        x += 140
    y = 84
    for row in rows:
        parts.append(node("text", row.name, class_="name", x=MARGIN, y=y + 18))
        x = float(LEFT)
        for number, writer in enumerate(writers):
            count = row.parts.get(writer, 0)
            width = (WIDTH - MARGIN - LEFT - SUM) * count / most
            parts.append(
                node(
                    "g",
                    node("rect", x=x, y=y, width=width, height=BOX_HEIGHT),
                    node("text", f"{count:,}", x=x + 8, y=y + 18) if width > 50 else None,
                    class_=f"tint-{number}",
                )
            )
            x += width
        whole = f"{sum(row.parts.values()):,}"
        parts.append(node("text", whole, class_="name", x=x + 10, y=y + 18))
        y += ROW
    return page(title, told, parts, y + 8)
