"""The repository itself, for what looks at all of its files."""

from pathlib import Path


def root() -> Path:
    """Its top folder: this file is a link to the one there."""
    return Path(__file__).resolve().parents[2]
