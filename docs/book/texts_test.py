"""Chapters, included sources, links, words and BUILD files are read as they are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.book.chapter import ChapterError, blocks, parse_steps, transcripts, with_content
from docs.book.links import anchors, links, rewritten
from docs.book.sources import excerpt, refreshed
from docs.book.spelling import misspelled, why_not
from docs.book.targets import Targets

CHAPTER = """\
# 1. A title

<!-- run: window 2, runs on -->
```console
$ echo one \\
> two
one two
^C
[the window is closed]
```

<!-- source: a.cc Main -->
```cpp
old
```
"""
SOURCE = """\
// What it does.
int Main(int argc) {
  return argc;
}

int Other() { return 0; }
// begins here
int last = 1;
"""


def test_a_transcript_has_steps_and_what_they_print() -> None:
    block, *others = transcripts(CHAPTER)
    assert not others
    assert (block.window, block.runs_on, block.any_order) == (2, True, False)
    assert [(step.action, step.text, step.expected) for step in block.steps] == [
        ("type", "echo one two", ["one two"]),
        ("key", "^C", []),
        ("close", "[the window is closed]", []),
    ]


def test_mistakes_in_a_chapter_are_said() -> None:
    with pytest.raises(ChapterError, match="must begin with"):
        parse_steps(["$ one \\", "two"])
    with pytest.raises(ChapterError, match="line 2: the block has no end"):
        blocks("text\n```console\n$ ls\n")


def test_only_the_block_that_changes_is_written_anew() -> None:
    first, second = blocks(CHAPTER)
    assert with_content(CHAPTER, [(second, ["new"])]) == CHAPTER.replace("old", "new")
    assert with_content(CHAPTER, [(first, first.content)]) == CHAPTER


def test_a_source_is_copied_with_its_comment(tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text(SOURCE)
    lines = SOURCE.splitlines()
    assert excerpt(tmp_path, "a.cc Main") == lines[:4]
    assert excerpt(tmp_path, 'a.cc "begins here" "last"')[-1] == "int last = 1;"
    assert excerpt(tmp_path, "a.cc") == lines
    fresh = refreshed(CHAPTER, tmp_path)
    assert "\n".join(lines[:4]) in fresh and "old" not in fresh
    assert refreshed(fresh, tmp_path) == fresh


def test_a_python_function_is_copied_with_its_decorator(tmp_path: Path) -> None:
    wanted = ["@decorated(", ")", "def wanted() -> int:", "    return (", "        1", "    )"]
    (tmp_path / "a.py").write_text("\n".join(["first = 1", "", *wanted, "", "", "last = 2"]))
    assert excerpt(tmp_path, "a.py wanted") == wanted


def test_a_table_is_copied_from_below_its_heading(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\n| no |\n\n## Measured\n\n| 1 |\n| 2 |\n\nend\n")
    comment = '<!-- table: a.md "Measured" -->'
    fresh = refreshed(f"{comment}\n\n| old |\n\nmore\n", tmp_path)
    assert fresh == f"{comment}\n\n| 1 |\n| 2 |\n\nmore\n"
    assert refreshed(fresh, tmp_path) == fresh
    with pytest.raises(ChapterError, match="no table is below 'Absent'"):
        refreshed('<!-- table: a.md "Absent" -->\n\n', tmp_path)


@pytest.mark.parametrize("words", ["a.cc Absent", "b.cc", 'a.cc "no such words" "end"'])
def test_a_source_that_is_not_there_is_said(tmp_path: Path, words: str) -> None:
    (tmp_path / "a.cc").write_text(SOURCE)
    with pytest.raises(ChapterError, match=r"source (a|b)\.cc"):
        excerpt(tmp_path, words)


PAGE = """\
# One `code` & more

See [there](other.md#two-words) and
![a picture](pictures/a.svg), [out](https://example.com/).

```
[no](link.md)
```

## Two words
## Two words
"""


def test_links_and_anchors_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    there, picture = links(page)
    assert (there.line, there.words, there.file.name, there.anchor) == (
        3, "there", "other.md", "two-words"
    )  # fmt: skip
    assert (picture.line, picture.picture, picture.words) == (4, True, "a picture")
    assert anchors(page) == {"one-code--more", "two-words", "two-words-1"}
    changed = rewritten(PAGE, str.upper)
    assert "(OTHER.MD#TWO-WORDS)" in changed and "[no](link.md)" in changed


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_misspelled_word_is_found_in_prose_and_nowhere_else() -> None:
    text = "# Right\n\nA wrnog word, `wrnog`, SIGHUP, [wrnog's](wrnog.md).\n\n    wrnog\n\n"
    text += "```\nwrnog\n```\n"
    assert misspelled(text) == [(3, "wrnog"), (3, "wrnog's")]
    assert misspelled("The pid of nginx's daemon") == []


def test_programs_are_found_in_build_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/many.bzl").write_text(
        "def many(names):\n"
        '    [native.cc_binary(name = n, srcs = select({"x": []})) for n in names]\n'
    )
    (tmp_path / "a/BUILD").write_text(
        'load(":many.bzl", "many")\n'
        'load("@rules_cc//cc:defs.bzl", "cc_binary")\n'
        'many(["a", "b"])\n'
        'cc_binary(name = "c.so", linkshared = True)\n'
        'py_test(name = "test", srcs = glob(["*.py"]))\n'
        'alias(name = "short", actual = ":b")\n'
    )
    targets = Targets.of(tmp_path)
    assert targets.programs == {"//a", "//a:b"}
    assert targets.actual("//a:short") == "//a:b"
    assert targets.actual("//a:a") == "//a"
