"""What a py_test of this repository runs."""

from __future__ import annotations

import sys

import pytest


def main(file: str) -> None:
    """Runs pytest on one file and exits with its status. Arguments go to pytest."""
    sys.exit(pytest.main([file, "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
