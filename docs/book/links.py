"""Links between the repository's texts: what a page links to, and which anchors it offers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^()\s]+)(\))")
FENCED = re.compile(r"^(`{3,}).*?^\1\s*$", re.M | re.S)
HEADING = re.compile(r"^#{1,6} (.*?)\s*#*$", re.M)


@dataclass(frozen=True)
class Link:
    """A link to a file of the repository."""

    page: Path
    line: int
    words: str  # what a reader sees of it, or of a picture that can't be shown
    written: str
    file: Path
    anchor: str
    picture: bool


def pages(root: Path) -> list[Path]:
    """Every text of the repository, the front page first."""
    found = [
        path
        for path in root.rglob("*.md")
        if not path.relative_to(root).parts[0].startswith(("bazel-", "."))
    ]
    return sorted(found, key=lambda path: (len(path.relative_to(root).parts), path))


def outside(target: str) -> bool:
    return "://" in target or target.startswith("mailto:")


def prose(text: str) -> str:
    """The text without its fenced blocks; the lines stay where they are."""
    return FENCED.sub(lambda block: "\n" * block[0].count("\n"), text)


def links(page: Path) -> list[Link]:
    """What a page links to inside the repository."""
    found = []
    text = prose(page.read_text(encoding="utf-8"))
    for match in LINK.finditer(text):
        if outside(match[2]):
            continue
        file, _, anchor = match[2].partition("#")
        found.append(
            Link(
                page=page,
                line=text.count("\n", 0, match.start()) + 1,
                words=match[1].lstrip("!")[1:-2],
                written=match[2],
                file=(page.parent / file).resolve() if file else page,
                anchor=anchor,
                picture=match[1].startswith("!"),
            )
        )
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts and the site make them."""
    slugs: set[str] = set()
    for heading in HEADING.findall(prose(page.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        number = 0
        while (unique := f"{slug}-{number}" if number else slug) in slugs:
            number += 1
        slugs.add(unique)
    return slugs


def rewritten(text: str, change: Callable[[str], str]) -> str:
    """The text with each target of a link outside of fenced blocks changed."""
    pieces, end = [], 0
    for fence in FENCED.finditer(text):
        pieces += [_relinked(text[end : fence.start()], change), fence[0]]
        end = fence.end()
    return "".join([*pieces, _relinked(text[end:], change)])


def _relinked(text: str, change: Callable[[str], str]) -> str:
    return LINK.sub(lambda match: match[1] + change(match[2]) + match[3], text)
