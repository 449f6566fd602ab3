"""Judges any server: `bazel run //integration_tests:check -- --help`."""

import sys

from integration_tests.check.cli import main

if __name__ == "__main__":
    sys.exit(main())
