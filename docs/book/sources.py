"""Code in a chapter is the code in the repository: copied from the file that its comment names.

    <!-- source: FILE -->                          all of it
    <!-- source: FILE NAME -->                     the function, struct or target with this name
    <!-- source: FILE "first words" "last words" -->  from one line that has them to another

So are tables that were measured, below a heading of another text:

    <!-- table: FILE "Heading" -->
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from docs.book.chapter import ChapterError, blocks, with_content

TABLE = re.compile(r"^(<!-- table: (.*) -->)\n\n(?:\|.*\n)*", re.M)


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
    if len(selection) == 1:
        return lines[_block_begin(lines, first) : _definition_end(lines, first)]
    for last in range(first, len(lines)):
        if selection[1] in lines[last]:
            return lines[first : last + 1]
    raise ChapterError(f"source {words}: it has no end")


def _first(file: str, lines: list[str], selection: list[str]) -> int:
    word = selection[0]
    for index, line in enumerate(lines):
        if len(selection) > 1 and word in line:
            return index
        if len(selection) == 1 and re.match(rf"^[A-Za-z].*\b{re.escape(word)}\b.*[{{(,:]$", line):
            return index
    raise ChapterError(f"source {file}: no line has {word!r}")


def _block_begin(lines: list[str], first: int) -> int:
    """The comment and the decorators above belong to it."""
    while first and lines[first - 1]:
        first -= 1
    return first


def _definition_end(lines: list[str], first: int) -> int:
    """After its closing bracket; in Python, where lines begin at the left again."""
    python = lines[first].endswith(":")
    for last in range(first + 1, len(lines)):
        if python and re.match(r"[^\s)\]}]", lines[last]):
            while not lines[last - 1]:
                last -= 1
            return last
        if not python and re.match(r"[})\]]", lines[last]):
            return last + 1
    return len(lines)


def table(root: Path, words: str) -> list[str]:
    """The lines of the table below a heading."""
    file, heading = shlex.split(words)
    text = (root / file).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n\n((?:\|.*\n)+)", text, re.M)
    if not found:
        raise ChapterError(f"table {file}: no table is below '{heading}'")
    return found[1].splitlines()


def refreshed(text: str, root: Path) -> str:
    """The chapter with every included source and table as it is now."""
    changes = []
    for block in blocks(text):
        if block.source and (now := excerpt(root, block.source)) != block.content:
            changes.append((block, now))
    text = with_content(text, changes) if changes else text
    return TABLE.sub(
        lambda found: "\n".join([found[1], "", *table(root, found[2]), ""]), text
    )
