"""Putting a handler where the server looks for it, as a deployment does."""

import os
import shutil
from pathlib import Path

from integration_tests.harness.runfiles import runfile

ECHO = "reload/handlers/echo.so"
ECHO_V2 = "integration_tests/handlers/echo_v2.so"


def deploy(handler: str, place: Path) -> Path:
    """Replaces the file at once, by a rename: nobody ever sees half of it."""
    fresh = place.with_name(place.name + ".new")
    shutil.copyfile(runfile(handler), fresh)
    os.rename(fresh, place)
    return place


def overwrite(handler: str, place: Path) -> Path:
    """Writes into the file that is there, as cp does: the same inode, with other bytes."""
    place.write_bytes(Path(runfile(handler)).read_bytes())
    return place
