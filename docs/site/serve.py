"""Shows the book as a site with search, from this machine alone.

The pages are made anew at each start. Links to sources show them.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from mkdocs import config as mkdocs_config
from mkdocs.commands import build as mkdocs_build
from mkdocs.exceptions import MkDocsException

from docs.book.workspace import root
from docs.site.pages import assemble


def build(folder: Path, site: Path, strict: bool = False) -> None:
    """Makes the site; mkdocs empties what was there. `strict`: a broken link ends it."""
    logging.basicConfig(level=logging.WARNING, format="serve: %(message)s")
    config = str(assemble(root(), folder))
    mkdocs_build.build(mkdocs_config.load_config(config, site_dir=str(site), strict=strict))


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of each file."""

    def log_message(self, *_: object) -> None:
        pass


def show(folder: Path, address: str, port: int) -> None:
    """Makes the site and serves it until a signal that asks to stop."""
    site = folder / "site"
    handler = functools.partial(Quiet, directory=str(site))
    # A port that is taken is said before the work, not after it.
    with http.server.ThreadingHTTPServer((address, port), handler) as server:
        build(folder, site)
        url = f"http://{address}:{server.server_port}/"
        print(f"the book is at {url}; Ctrl-C ends this", flush=True)
        server.serve_forever()


def typed_path(words: str) -> Path:
    """What was typed, from where it was typed: `bazel run` changes the folder."""
    return Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / words


def write_to(site: Path, folder: Path) -> int:
    """Writes the site for another server to show."""
    if site.exists() and (not site.is_dir() or any(site.iterdir())):
        print(f"serve: {site} is there already; name a new folder", file=sys.stderr)
        return 1
    build(folder, site, strict=True)
    print(f"the book is in {site}, for any server of static files")
    return 0


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="serve", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (%(default)s)")
    parser.add_argument("--build", metavar="DIR", help="write the site there, and serve nothing")
    parser.add_argument("--version", action="version", version="serve 1.0")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.build:
                return write_to(typed_path(arguments.build), Path(folder))
            show(Path(folder), arguments.address, arguments.port)
    except KeyboardInterrupt:
        return 0
    except MkDocsException as error:
        print(f"serve: {str(error).strip()}", file=sys.stderr)
        return 1
    except (OSError, OverflowError) as error:
        where = f"{arguments.address}:{arguments.port}"
        print(f"serve: cannot listen on {where}: {error}; try --port 0", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
