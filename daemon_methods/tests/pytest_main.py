"""What a py_test of this repository runs."""

from __future__ import annotations

import signal
import sys

import pytest


def main(file: str) -> None:
    """Runs pytest on one file and exits with its status. Arguments go to pytest."""
    # Bazel's timeout: end as on Ctrl-C, so that fixtures still clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(pytest.main([file, "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
