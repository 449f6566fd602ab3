"""A chapter as data: its transcripts, and the code that it includes.

A fenced block of kind `console` is a transcript. Its lines:

    $ command          typed at the prompt; a line that ends in \\ goes on in the next, after "> "
    ^C                 a key, pressed once the lines above it have been seen
    [the window is closed]
    anything else      what is printed

A comment before the block sets what is not to be seen in it, in any order and separated by commas:

    <!-- run: window 2, runs on, any order, systemd, needs nginx -->

`window 2`: another terminal, opened when it is first named. `runs on`: the last command does not
give the prompt back. `any order`: the lines may come in another order, as two processes print
them. `systemd`: systemctl and journalctl talk to a systemd of the chapter's own.
`needs nginx`: left out where that is not installed.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

CLOSE = "[the window is closed]"
KEYS = {"^C": "\x03", "^Z": "\x1a", "^\\": "\x1c", "^D": "\x04"}
FENCE = re.compile(r"^(`{3,})(\w*)\s*$")
RUN = re.compile(r"^<!-- run: (.*) -->$")
SOURCE = re.compile(r"^<!-- source: (.*) -->$")


@dataclass
class Step:
    """Something that the reader does, and what is printed then."""

    action: str  # "type", "key" or "close"
    text: str
    lines: list[str]  # as they stand in the file: the command, or the key
    expected: list[str] = field(default_factory=list)


@dataclass
class Block:
    """A fenced block; `first` and `last` are the indexes of its fences."""

    kind: str
    first: int
    last: int
    content: list[str]
    options: list[str] = field(default_factory=list)
    source: str = ""

    @property
    def window(self) -> int:
        return next((int(o.split()[1]) for o in self.options if o.startswith("window ")), 1)

    @property
    def runs_on(self) -> bool:
        return "runs on" in self.options

    @property
    def any_order(self) -> bool:
        return "any order" in self.options

    @property
    def missing(self) -> str:
        """The program that it needs and that is not installed here."""
        needed = [o.split()[1] for o in self.options if o.startswith("needs ")]
        path = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
        return next((name for name in needed if not shutil.which(name, path=path)), "")

    @property
    def steps(self) -> list[Step]:
        return parse_steps(self.content)


class ChapterError(Exception):
    """A mistake in the chapter's own text."""


def parse_steps(content: list[str]) -> list[Step]:
    steps: list[Step] = []
    lines = iter(content)
    for line in lines:
        if line.startswith("$ "):
            taken, text = [line], line[2:]
            while text.endswith("\\"):
                following = next(lines, "")
                if not following.startswith("> "):
                    raise ChapterError(f"after {line!r} a line must begin with '> '")
                taken.append(following)
                text = text[:-1] + following[2:]
            steps.append(Step("type", text, taken))
        elif line in KEYS:
            steps.append(Step("key", line, [line]))
        elif line == CLOSE:
            steps.append(Step("close", line, [line]))
        elif not steps:
            # What a command of an earlier block prints now.
            steps.append(Step("wait", "", [], [line]))
        else:
            steps[-1].expected.append(line)
    return steps


def blocks(text: str) -> list[Block]:
    """Every fenced block, in order."""
    found: list[Block] = []
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        fence = FENCE.match(lines[index])
        if not fence:
            index += 1
            continue
        try:
            end = lines.index(fence[1], index + 1)
        except ValueError:
            raise ChapterError(f"line {index + 1}: the block has no end") from None
        block = Block(fence[2], index, end, lines[index + 1 : end])
        above = lines[index - 1] if index else ""
        if run := RUN.match(above):
            block.options = [word.strip() for word in run[1].split(",")]
        if source := SOURCE.match(above):
            block.source = source[1]
        found.append(block)
        index = end + 1
    return found


def transcripts(text: str) -> list[Block]:
    return [block for block in blocks(text) if block.kind == "console"]


def with_content(text: str, changes: list[tuple[Block, list[str]]]) -> str:
    """The text with other content in some of its blocks."""
    lines = text.splitlines()
    for block, content in sorted(changes, key=lambda change: -change[0].first):
        lines[block.first + 1 : block.last] = content
    return "\n".join(lines) + "\n"


def chapters(folder: Path) -> list[Path]:
    """Every chapter, in the order to read them."""
    return sorted(folder.glob("[0-9][0-9]-*.md"))
