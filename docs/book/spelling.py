"""The spelling of prose, by aspell; words of the trade are in docs/words.txt."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache

from docs.book.links import prose
from integration_tests.harness.runfiles import runfile

# What is no prose in a line of it: code, where a link goes, comments and tags, addresses.
CODE = re.compile(r"(`+).+?\1|\]\([^)]*\)|<!--.*?-->|</?\w[^>]*>|\w+://\S+", re.S)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4,}.*\n+)+")
# Names are no words: handler.h, SIGUSR1, dlopen(3), max_wait, OnRequest, 0x1c.
NAME = re.compile(
    r"[\w-]+\.(?:cc|conf|h|md|py|svg|toml|txt)\b|SIG[A-Z]+|\w+\(\d?\)"
    r"|\w*_\w+|\w*[a-z][A-Z]\w*|\S*\d\S*"
)
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
ASPELL = ["aspell", "list", "--lang=en_US", "--encoding=utf-8"]


def why_not() -> str:
    """Why nothing can be checked here; empty when it can."""
    return "" if shutil.which("aspell") else "aspell is not installed; ./setup does it"


def misspelled(text: str) -> list[tuple[int, str]]:
    """Words that neither aspell nor the list knows, with their lines."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    text = prose(text)
    for no_word in (INDENTED, CODE, NAME):
        text = no_word.sub(blank, text)
    words = [
        (number, word[0])
        for number, line in enumerate(text.splitlines(), start=1)
        for word in WORD.finditer(line)
    ]
    unknown = _unknown(frozenset(word for _, word in words))
    return [(number, word) for number, word in words if word in unknown]


def _unknown(words: frozenset[str]) -> set[str]:
    done = subprocess.run(
        ASPELL, input="\n".join(sorted(words)), capture_output=True, text=True, check=True
    )
    return {word for word in done.stdout.split() if not _stems(word) & _trade()}


def _stems(word: str) -> set[str]:
    """As the list has it: without a genitive, and small but for names."""
    stem = re.sub(r"['’]s$", "", word)
    return {stem, stem[0].lower() + stem[1:]}


@cache
def _trade() -> frozenset[str]:
    return frozenset(runfile("docs/words.txt").read_text(encoding="utf-8").split())
