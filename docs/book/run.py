"""Runs a chapter's transcripts, and compares or rewrites them."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from docs.book import place
from docs.book.chapter import Block, transcripts, with_content
from docs.book.matching import Names, match, tidy
from integration_tests.harness.runfiles import runfile


def play(chapter: Path, fresh: bool = False) -> list[list[list[str]]]:
    """What each step of each transcript prints. Nothing that it started is left after this."""
    options = ["--fresh"] if fresh else []
    return json.loads(place.output_of(runfile("docs/book/play.py"), str(chapter), *options))


def differences(block: Block, seen: list[list[str]] | None) -> str:
    """What a transcript says and its run does not print, as a diff; empty when there is none."""
    if seen is None:  # it was not run: Block.missing
        return ""
    names = Names()
    for step, lines in zip(block.steps, seen, strict=True):
        found = match(step.expected, lines, names, block.any_order)
        if found is None:
            diff = difflib.unified_diff(
                tidy(step.expected), tidy(lines), "the chapter", "the run", lineterm=""
            )
            where = f"line {block.first + 1}, {step.text or 'what follows'}"
            return "\n".join([where, *diff, "(numbers match by their kind: matching.py)"])
        names = found
    return ""


def rewritten(text: str, seen: list[list[list[str]]]) -> str:
    """The chapter with the transcripts of this run, where they differ."""
    changes = []
    for block, outputs in zip(transcripts(text), seen, strict=True):
        if not differences(block, outputs):
            continue
        content: list[str] = []
        for step, lines in zip(block.steps, outputs, strict=True):
            content += [*step.lines, *tidy(lines)]
        changes.append((block, content))
    return with_content(text, changes)
