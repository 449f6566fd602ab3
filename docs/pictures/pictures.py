"""Draws the pictures of the book anew, from real runs: docs/pictures/NAME.svg.

Each run has processes, network and terminals of its own. It takes about two minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from docs.book import place
from docs.book.workspace import root
from docs.pictures.catalog import PICTURES


def draw_inside(name: str) -> None:
    """Prints the picture, in a place of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        print(PICTURES[name](Path(folder)), end="")


def draw(name: str) -> str:
    """The picture, drawn in a place made for it."""
    return place.output_of(Path(__file__), name, "--inside")


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="pictures", description=__doc__)
    parser.add_argument("name", nargs="*", help="only these; all when none is named")
    parser.add_argument("--list", action="store_true", help="print their names, and draw nothing")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version="pictures 1.0")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - set(PICTURES):
        print(f"pictures: no picture {', '.join(sorted(unknown))}; try --list", file=sys.stderr)
        return 2
    if arguments.list:
        print("\n".join(PICTURES))
        return 0
    if arguments.inside:
        return place.run_as_init(draw_inside, *arguments.name)
    if reason := place.missing():
        print(f"pictures: {reason}", file=sys.stderr)
        return 1
    status = 0
    for name in arguments.name or PICTURES:
        begun = time.monotonic()
        try:
            svg = draw(name)
        except RuntimeError as error:
            print(f"pictures: {name}: {error}", file=sys.stderr)
            status = 1
            continue
        (root() / "docs/pictures" / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(f"{name}.svg: {time.monotonic() - begun:.1f} s", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
