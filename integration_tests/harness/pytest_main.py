"""The main of every pytest target (integration_tests/defs.bzl): runs the files in its arguments."""

import os
import signal
import sys

import pytest


def main() -> int:
    # Bazel's time limit: end as on Ctrl-C, so that fixtures still clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = [
        "-p",
        "no:cacheprovider",
        "-p",
        "integration_tests.harness.fixtures",
        "--import-mode=importlib",
        "-ra",  # say why a test was skipped
        "--durations=5",
    ]
    if "TEST_TMPDIR" in os.environ:
        arguments.append("--basetemp=" + os.path.join(os.environ["TEST_TMPDIR"], "pytest"))
    test_filter = os.environ.get("TESTBRIDGE_TEST_ONLY")  # bazel test --test_filter=...
    if test_filter:
        arguments += ["-k", test_filter]
    if "XML_OUTPUT_FILE" in os.environ:
        arguments.append("--junitxml=" + os.environ["XML_OUTPUT_FILE"])
    status = pytest.main([*arguments, *sys.argv[1:]])
    # A filter need not match in every target that `bazel test //...` runs.
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and test_filter:
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
