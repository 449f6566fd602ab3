"""A chapter's transcripts are run, and print what the chapter says."""

import os

import pytest

from docs.book import place
from docs.book.chapter import transcripts
from docs.book.run import differences, play
from integration_tests.harness.runfiles import runfile

CHAPTER = runfile(os.environ["CHAPTER"])


@pytest.mark.skipif(bool(place.missing()), reason=place.missing())
def test_every_transcript_is_what_a_run_prints() -> None:
    found = transcripts(CHAPTER.read_text(encoding="utf-8"))
    assert found, f"{CHAPTER.name} has no transcript"
    seen = play(CHAPTER)
    told = [differences(block, lines) for block, lines in zip(found, seen, strict=True)]
    different = [text for text in told if text]
    assert not different, "\n\n".join([*different, f"bazel run //docs:update -- {CHAPTER.stem}"])
    if missing := sorted({block.missing for block in found if block.missing}):
        pytest.skip(f"only what needs no {' or '.join(missing)} was run: ./setup --peers installs it")
