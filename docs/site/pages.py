"""The site's pages: the repository's texts, and a page for every other file that one links to.

On a code host a link to `master.cc` shows the file. The site does the same, offline.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import yaml

from docs.book.chapter import chapters
from docs.book.links import links, outside, pages, rewritten

LANGUAGES = {
    ".cc": "cpp", ".h": "cpp", ".py": "python", ".sh": "bash", ".bash": "bash", ".bzl": "python",
    ".yml": "yaml", ".service": "ini", ".socket": "ini", ".css": "css", "BUILD": "python",
}
DRAWN = {".svg", ".png"}


def assemble(root: Path, folder: Path) -> Path:
    """Writes the pages and mkdocs.yml into an empty folder; the path of mkdocs.yml."""
    texts = pages(root)
    for text in texts:
        write(folder / "pages" / text.relative_to(root), page_of_text(root, text))
    for file in sorted({link.file for text in texts for link in links(text)} - set(texts)):
        if file.suffix in DRAWN:
            target = folder / "pages" / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        elif file.is_dir() and (file / "README.md").exists():
            pass  # its link goes to this page
        elif file.exists():
            write(folder / "pages" / page_name(root, file), page_of_file(root, file))
    settings = yaml.safe_load(Path(__file__).with_name("mkdocs.yml").read_text(encoding="utf-8"))
    settings |= {"docs_dir": "pages", "site_dir": "site", "nav": navigation(root, texts)}
    shutil.copyfile(Path(__file__).with_name("site.css"), folder / "pages/site.css")
    config = folder / "mkdocs.yml"
    write(config, yaml.safe_dump(settings, allow_unicode=True))
    return config


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def page_name(root: Path, file: Path) -> str:
    """Where the site keeps what a link goes to."""
    if file.is_dir():
        file = file / ("README.md" if (file / "README.md").exists() else "folder")
    name = str(file.relative_to(root))
    return name if file.suffix in DRAWN | {".md"} else name + ".md"


def page_of_text(root: Path, text: Path) -> str:
    def change(target: str) -> str:
        file, hash_sign, anchor = target.partition("#")
        if outside(target) or not file:
            return target
        page = root / page_name(root, (text.parent / file).resolve())
        return os.path.relpath(page, text.parent) + hash_sign + anchor

    written = rewritten(text.read_text(encoding="utf-8"), change)
    return re.sub(r"^<details>", '<details markdown="1">', written, flags=re.M)


def page_of_file(root: Path, file: Path) -> str:
    """A source as a page, or the files of a folder."""
    name = file.relative_to(root)
    if file.is_dir():
        files = "".join(f"- {entry.name}\n" for entry in sorted(file.iterdir()))
        return f"# {name}/\n\n{files}"
    language = LANGUAGES.get(file.suffix or file.name, "text")
    fence = "``````"
    return f"# {name}\n\n{fence}{language}\n{file.read_text(encoding='utf-8')}\n{fence}\n"


def title(text: Path) -> str:
    heading = re.search(r"^# (.*)$", text.read_text(encoding="utf-8"), re.M)
    return heading[1].replace("`", "") if heading else text.stem


def navigation(root: Path, texts: list[Path]) -> list[dict[str, object]]:
    """The front page, the chapters in their order, and the rest."""
    named = {text: str(text.relative_to(root)) for text in texts}
    front = root / "README.md"
    book_chapters = chapters(root / "docs")
    contents = root / "docs/README.md"
    rest = [t for t in texts if t not in [front, contents, *book_chapters]]
    book = [{"Contents": named[contents]}] if contents in named else []
    return [
        {"What this is": named[front]},
        {"The book": book + [{title(text): named[text]} for text in book_chapters]},
        {"Reference": [{title(text): named[text]} for text in rest]},
    ]
