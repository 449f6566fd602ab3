"""Starts the echo server by every method, measures what comes of it, and prints one table."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from daemon_methods.comparison import NAMES, PROPERTIES, Property, measure, why_not
from daemon_methods.comparison_svg import draw

Cells = dict[str, dict[str, str]]


def as_text(cells: Cells, asked: list[Property]) -> str:
    """A table: a row for each question, a column for each method."""
    rows = [["", *cells]]
    for wanted in asked:
        rows.append([wanted.question, *(answers[wanted.question] for answers in cells.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def parse_arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--svg", metavar="FILE", help="also draw the table to this file")
    parser.add_argument(
        "--method", action="append", choices=NAMES, help="measure only this one; may be repeated"
    )
    parser.add_argument(
        "--question",
        action="append",
        metavar="WORDS",
        help="ask only what has these words in it; may be repeated",
    )
    parser.add_argument("--version", action="version", version="compare 1.0")
    arguments = parser.parse_args()
    words = arguments.question or [""]
    arguments.asked = [p for p in PROPERTIES if any(word in p.question for word in words)]
    if not arguments.asked:
        questions = "\n  ".join(wanted.question for wanted in PROPERTIES)
        parser.error(f"--question {words[-1]!r}: no question has these words:\n  {questions}")
    return arguments


def measure_all(names: list[str], asked: list[Property]) -> Cells:
    """Every cell. Says on standard error how far it is, where somebody watches."""
    cells: Cells = {name: {} for name in names}
    for name in names:
        for wanted in asked:
            if sys.stderr.isatty():
                print(f"\r\033[Kmeasuring {name}: {wanted.question}", end="", file=sys.stderr)
            cells[name][wanted.question] = measure(name, wanted)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return cells


def main() -> int:
    """The program."""
    arguments = parse_arguments()
    # `bazel run` starts it elsewhere.
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."))
    # Opened before the measuring, which takes a minute.
    try:
        picture = open(here / arguments.svg, "w", encoding="utf-8") if arguments.svg else None
    except OSError as error:
        print(f"compare: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    names = arguments.method or NAMES
    skipped = {name: reason for name in names if (reason := why_not(name))}
    cells = measure_all([name for name in names if name not in skipped], arguments.asked)
    for name, reason in skipped.items():
        print(f"compare: {name} is not measured: {reason}", file=sys.stderr)
    if picture is not None:
        with picture:
            picture.write(draw(cells, arguments.asked))
    both = {"methods": cells, "skipped": skipped}
    print(json.dumps(both, indent=2) if arguments.json else as_text(cells, arguments.asked))
    return 0


if __name__ == "__main__":
    sys.exit(main())
