"""The comparison as a picture, readable on a light page and on a dark one."""

from __future__ import annotations

from xml.sax.saxutils import escape

from daemon_methods.comparison import NO_PROMPT, PROPERTIES, Property

LABEL, COLUMN, ROW, MARGIN = 232, 118, 34, 16

# A viewer that knows nothing of media queries shows the light one, on its own background.
STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.page { fill: #ffffff; } .ink { fill: #1f2328; } .line { stroke: #d1d9e0; }
.good { fill: #d4f4dd; } .half { fill: #fff1c2; } .bad { fill: #ffdcd8; } .none { fill: #eef1f4; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; } .ink { fill: #e6edf3; } .line { stroke: #3d444d; }
  .good { fill: #12472a; } .half { fill: #5c4408; } .bad { fill: #6e1f1b; } .none { fill: #262c36; }
}
"""


def draw(cells: dict[str, dict[str, str]], asked: list[Property] = PROPERTIES) -> str:
    """An SVG document; `cells` by method and question."""
    width = 2 * MARGIN + LABEL + COLUMN * len(cells)
    height = 2 * MARGIN + ROW * (len(asked) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        "<title>Ways to run a server in the background, measured</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
    ]
    for column, method in enumerate(cells):
        parts.append(_text(_x(column) + COLUMN // 2, _y(0), method, "middle", bold=True))
    for row, wanted in enumerate(asked, start=1):
        top = MARGIN + ROW * row
        parts.append(
            f'<line class="line" x1="{MARGIN}" x2="{width - MARGIN}" y1="{top}" y2="{top}"/>'
        )
        parts.append(_text(MARGIN + 4, _y(row), wanted.question, "start"))
        for column, answers in enumerate(cells.values()):
            answer = answers[wanted.question]
            parts.append(
                f'<rect class="{_class(wanted, answer)}" x="{_x(column) + 3}" y="{top + 4}" '
                f'width="{COLUMN - 6}" height="{ROW - 8}" rx="5"/>'
            )
            parts.append(_text(_x(column) + COLUMN // 2, _y(row), answer, "middle"))
    return "\n".join([*parts, "</svg>", ""])


def _class(wanted: Property, answer: str) -> str:
    if answer in wanted.wanted:
        return "good"
    if answer in wanted.half:
        return "half"
    return "none" if answer == NO_PROMPT else "bad"


def _x(column: int) -> int:
    return MARGIN + LABEL + COLUMN * column


def _y(row: int) -> int:
    return MARGIN + ROW * row + ROW // 2 + 5


def _text(x: int, y: int, text: str, anchor: str, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text class="ink" x="{x}" y="{y}" font-size="14" text-anchor="{anchor}"{weight}>'
        f"{escape(text)}</text>"
    )
