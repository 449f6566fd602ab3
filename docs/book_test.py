"""The book as a whole: chapters, programs, sources, pictures, links and spelling.

What is wrong is listed with file and line, all of it at once.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.book.chapter import chapters
from docs.book.links import anchors, links, pages, prose
from docs.book.sources import refreshed
from docs.book.spelling import misspelled, why_not
from docs.book.targets import Targets
from docs.book.workspace import root
from docs.pictures.catalog import PICTURES
from integration_tests.harness.runfiles import runfile

ROOT = root()
DOCS = ROOT / "docs"
CHAPTERS = chapters(DOCS)
TEXTS = pages(ROOT)

# Every chapter has these, in this order, after its question and its picture.
SECTIONS = ["The program", "A run", "What the tests prove", "Break it", "Read on"]
NAMES = [
    "01-terminal",
    "02-nohup",
    "03-daemon-call",
    "04-double-fork",
    "05-config-flag",
    "06-systemd",
    "07-signals",
    "08-master-keeper-worker",
    "09-replacing-workers",
    "10-kill-9",
    "11-tasks",
    "12-output",
    "13-judging",
    "14-choosing",
]
RUN = re.compile(r"bazel run (?:-c opt )?(//[\w/.:-]*\w)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def assert_none(wrong: Iterator[str]) -> None:
    if found := list(wrong):
        pytest.fail("\n".join(found), pytrace=False)


def test_every_chapter_is_there_in_order() -> None:
    assert [path.stem for path in CHAPTERS] == NAMES


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_sections_and_leads_on(path: Path) -> None:
    text = prose(text_of(path))
    assert re.match(rf"# {int(path.name[:2])}\. \S", text), "no title with its number"
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    question = text.partition("## The program")[0]
    assert re.search(r"^!\[[^\]]+\]\(pictures/[\w-]+\.svg\)", question, re.M), "no picture"
    following = [other.name for other in CHAPTERS[CHAPTERS.index(path) + 1 :]][:1]
    last_words = text.partition("## Read on")[2]
    assert all(f"({other})" in last_words for other in following), f"no link to {following}"


def test_the_table_of_contents_has_every_chapter() -> None:
    titles = {path.name: re.match(r"# (.*)", text_of(path))[1] for path in CHAPTERS}
    listed = {link.written: link.words for link in links(DOCS / "README.md")}
    numbered = {file: words for file, words in listed.items() if file[:2].isdigit()}
    assert numbered == titles


def programs() -> tuple[set[str], set[str]]:
    """The programs that a reader runs, and those that are no chapter's."""
    table = json.loads(text_of(runfile("docs/programs.json")))
    return set(table["programs"]), set(table["exempt"])


def test_every_program_is_listed() -> None:
    targets = Targets.of(ROOT)
    told, exempt = programs()
    listed = {targets.actual(label) for label in told | exempt}
    assert_none(f"{label} is not in docs/BUILD" for label in sorted(targets.programs - listed))
    assert_none(f"docs/BUILD has {label}" for label in sorted(listed - targets.programs))


def test_every_program_has_its_chapter_and_every_chapter_its_program() -> None:
    told, exempt = programs()
    typed = {path: set(RUN.findall(text_of(path))) for path in [ROOT / "README.md", *CHAPTERS]}
    assert_none(f"{label} has no chapter" for label in sorted(told - set().union(*typed.values())))
    assert_none(f"{name(path)} has no program" for path, labels in typed.items() if not labels)


def test_every_label_that_a_text_has_is_a_program() -> None:
    targets = Targets.of(ROOT)
    assert_none(
        f"{name(path)}: bazel run {typed}"
        for path in TEXTS
        for typed in RUN.findall(text_of(path))
        if targets.actual(typed) not in targets.programs
    )


def test_every_included_source_is_as_it_is_now() -> None:
    assert_none(
        f"{name(path)}: bazel run //docs:update -- --sources"
        for path in TEXTS
        if refreshed(text_of(path), ROOT) != text_of(path)
    )


def test_every_link_goes_somewhere() -> None:
    def broken() -> Iterator[str]:
        for link in (link for path in TEXTS for link in links(path)):
            known = anchors(link.file) if link.anchor and link.file in TEXTS else {link.anchor}
            if not link.file.exists() or link.anchor not in known:
                yield f"{name(link.page)}:{link.line}: {link.written}"

    assert_none(broken())


def test_every_picture_is_drawn_by_a_run_and_shown() -> None:
    shown = [link for path in TEXTS for link in links(path) if link.picture]
    assert_none(f"{name(link.page)}:{link.line}: no words" for link in shown if not link.words)
    wanted = {DOCS / "pictures" / f"{picture}.svg" for picture in PICTURES}
    files = {link.file for link in shown if link.file.suffix == ".svg"}
    assert_none(f"{name(file)} is drawn by no program" for file in sorted(files - wanted))
    assert_none(f"{name(file)} is shown nowhere" for file in sorted(wanted - files))


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_svg_that_can_be_read_aloud_and_in_the_dark(picture: str) -> None:
    text = text_of(DOCS / "pictures" / f"{picture}.svg")
    svg = xml.fromstring(text)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert (svg.findtext("{*}title") or "").strip()
    assert (svg.findtext("{*}desc") or "").strip()
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http://127.", "")


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_every_word_is_spelled_right() -> None:
    assert_none(
        f"{name(path)}:{line}: {word}; if it is right: docs/words.txt"
        for path in TEXTS
        for line, word in misspelled(text_of(path))
    )
