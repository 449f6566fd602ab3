"""The site is whole, all of it comes from this machine, and its server ends when it is asked to."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pytest

from docs.book.chapter import chapters
from docs.book.workspace import root
from docs.book.links import pages
from integration_tests.harness.processes import ProcessTree
from integration_tests.harness.runfiles import runfile

pytest.importorskip("mkdocs", reason="mkdocs is not installed; ./setup does it")

SERVE = "docs/site/serve"


@dataclass
class Page(HTMLParser):
    """What a page loads, links to and can be linked to by."""

    text: str
    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if "src" in values:
            self.loads.append(values["src"])
        if "href" in values:
            (self.links if tag == "a" else self.loads).append(values["href"])


@pytest.fixture(scope="module", name="site")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    folder = tmp_path_factory.mktemp("serve") / "site"
    done = subprocess.run(
        [runfile(SERVE), "--build", folder], capture_output=True, text=True, check=False
    )
    # Every warning of mkdocs would be here, and ends it.
    assert done.returncode == 0 and not done.stderr, done.stderr
    return folder


@pytest.fixture(scope="module", name="html")
def read(site: Path) -> dict[Path, Page]:
    """Every page of it."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_text_has_a_page_and_can_be_found(site: Path, html: dict[Path, Page]) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"]: entry["text"] for entry in index["docs"]}
    for text in pages(root()):
        name = text.relative_to(root()).with_suffix(".html")
        name = name.with_name("index.html") if name.stem == "README" else name
        assert site / name in html
        assert found.get(str(name)), f"the search finds nothing of {name}"


def test_the_chapters_are_in_the_menu_in_their_order(html: dict[Path, Page], site: Path) -> None:
    menu = re.findall(r"docs/(\d\d-[\w-]+)\.html", "\n".join(html[site / "index.html"].links))
    wanted = [chapter.stem for chapter in chapters(root() / "docs")]
    assert list(dict.fromkeys(menu)) == wanted


def test_nothing_comes_from_another_host(site: Path, html: dict[Path, Page]) -> None:
    loads = [(path, target) for path, page in html.items() for target in page.loads]
    for style in site.rglob("*.css"):
        loads += [(style, target) for target in re.findall(r"url\(([^)]*)\)", style.read_text())]
    assert loads
    strange = [(path, target) for path, target in loads if urlsplit(target.strip("\"'")).netloc]
    assert not strange


def test_every_link_goes_somewhere(site: Path, html: dict[Path, Page]) -> None:
    broken = []
    for path, page in html.items():
        for target in page.links + page.loads:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            here = site if parts.path.startswith("/") else path.parent
            file = (here / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            anchor = unquote(parts.fragment)
            known = html[file].anchors if anchor and file in html else {anchor}
            # The theme makes this one while the page is shown.
            if not file.is_file() or (anchor not in known and anchor != "__skip"):
                broken.append(f"{path.relative_to(site)}: {target}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_says_where_it_is_and_ends_by_a_signal(
    number: int, process_factory: Callable[..., ProcessTree]
) -> None:
    tree = process_factory([runfile(SERVE), "--port", "0"], stdout=subprocess.PIPE)
    address = re.search(r"http://\S+/", tree.stdout.readline().decode())
    assert address
    with urlopen(address[0] + "docs/01-terminal.html", timeout=10) as answer:
        assert answer.status == 200 and b"<h1" in answer.read()
    tree.signal(number)
    assert tree.wait() == 0
    tree.assert_nothing_left()


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = [runfile(SERVE), "--port", str(port)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr and "--port 0" in done.stderr
