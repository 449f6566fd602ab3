"""Brings the book up to date: runs its transcripts again, and copies its sources again.

Only what has changed is rewritten: a number of the same kind (matching.py) is no change, and a
transcript that still holds keeps its `...`.
"""

from __future__ import annotations

import argparse
import sys

from docs.book import place
from docs.book.chapter import ChapterError, chapters
from docs.book.run import play, rewritten
from docs.book.sources import refreshed
from docs.book.workspace import root


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="update", description=__doc__)
    parser.add_argument("chapter", nargs="*", help="only chapters with this in their name")
    parser.add_argument("--sources", action="store_true", help="run nothing, only copy sources")
    parser.add_argument(
        "--fresh", action="store_true", help="expect nothing: for transcripts that are new"
    )
    parser.add_argument("--version", action="version", version="update 1.0")
    arguments = parser.parse_args()
    if not arguments.sources and (reason := place.missing()):
        print(f"update: {reason}; --sources needs none", file=sys.stderr)
        return 1
    for path in [root() / "README.md", *chapters(root() / "docs")]:
        if arguments.chapter and not any(word in path.name for word in arguments.chapter):
            continue
        before = text = path.read_text(encoding="utf-8")
        try:
            text = refreshed(text, root())
            if not arguments.sources:
                text = rewritten(text, play(path, arguments.fresh))
        except (ChapterError, RuntimeError) as error:
            print(f"update: {path.name}: {error}", file=sys.stderr)
            return 1
        if text != before:
            path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {'rewritten' if text != before else 'as it was'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
