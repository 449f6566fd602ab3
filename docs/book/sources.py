"""Code in a chapter is the code in the repository: copied from the file that its comment names.

    <!-- source: FILE -->                          all of it
    <!-- source: FILE NAME -->                     the function, struct or target with this name
    <!-- source: FILE "first words" "last words" -->  from one line that has them to another
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from docs.book.chapter import ChapterError, blocks, with_content


def excerpt(root: Path, words: str) -> list[str]:
    """The lines that a comment asks for."""
    file, *selection = shlex.split(words)
    try:
        lines = (root / file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ChapterError(f"source {file}: {error.strerror}") from error
    if not selection:
        return lines
    first = _first(file, lines, selection)
    end = selection[1] if len(selection) > 1 else None
    for last in range(first, len(lines)):
        done = end in lines[last] if end else re.match(r"^[})\]]", lines[last])
        if done:
            return _with_comment(lines, first)[0:] + lines[first : last + 1]
    raise ChapterError(f"source {words}: it has no end")


def _first(file: str, lines: list[str], selection: list[str]) -> int:
    word = selection[0]
    for index, line in enumerate(lines):
        if len(selection) > 1 and word in line:
            return index
        if len(selection) == 1 and re.match(rf"^[A-Za-z].*\b{re.escape(word)}\b.*[{{(,]$", line):
            return index
    raise ChapterError(f"source {file}: no line has {word!r}")


def _with_comment(lines: list[str], first: int) -> list[str]:
    start = first
    while start and lines[start - 1].startswith(("//", "#")):
        start -= 1
    return lines[start:first]


def refreshed(text: str, root: Path) -> str:
    """The chapter with every included source as it is now."""
    changes = []
    for block in blocks(text):
        if block.source and (now := excerpt(root, block.source)) != block.content:
            changes.append((block, now))
    return with_content(text, changes) if changes else text
