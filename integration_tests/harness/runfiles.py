"""Where Bazel has put the programs that a test names in its `data`."""

import os
from pathlib import Path


def runfile(path: str) -> Path:
    """The absolute path of a file, from its path in the workspace: `reload/server`.

    Raises FileNotFoundError that says what to do.
    """
    roots = [Path.cwd()]
    if "TEST_SRCDIR" in os.environ:
        roots.append(Path(os.environ["TEST_SRCDIR"]) / os.environ.get("TEST_WORKSPACE", ""))
    # This file is in the runfiles itself: <root>/integration_tests/harness/runfiles.py.
    roots.append(Path(__file__).absolute().parents[2])
    for root in roots:
        if (root / path).exists():
            return root / path
    directory, _, name = path.rpartition("/")
    raise FileNotFoundError(
        f"{path} is not in the runfiles: add //{directory}:{name} to `data` of the test's target"
    )
