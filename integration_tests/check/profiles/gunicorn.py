"""gunicorn with gthread workers: https://docs.gunicorn.org/en/20.1.0/signals.html"""

from __future__ import annotations

from pathlib import Path

from integration_tests.check.profiles import tools
from integration_tests.check.target import Spec

NAME = "gunicorn"
PACKAGES = ["gunicorn"]


def missing() -> str:
    return tools.missing("gunicorn")


def spec(folder: Path, port: int) -> Spec:
    app = tools.write(folder / "app" / "app.py", tools.WSGI_APP)
    break_, mend = tools.breaking(app, "this is no Python")
    url = f"http://127.0.0.1:{port}"
    return Spec(
        name=NAME,
        version=tools.version("gunicorn", "--version"),
        folder=folder,
        start=f"gunicorn --daemon --chdir {folder}/app --bind 127.0.0.1:{port} --pid {folder}/pid"
        " --workers 2 --worker-class gthread --threads 32 --keep-alive 75"
        f" --access-logfile {folder}/access.log --error-logfile {folder}/error.log app:app",
        url=f"{url}/",
        pid_file=f"{folder}/pid",
        reload=f"gunicorn --check-config --chdir {folder}/app app:app && kill -HUP {{pid}}",
        stop="kill -TERM {pid}",
        break_=break_,
        mend=mend,
        log_file=f"{folder}/access.log",
        rotate="kill -USR1 {pid}",
        slow_url=f"{url}/slow",
        upload_url=f"{url}/upload",
        download_url=f"{url}/download",
        notes=(
            "2 gthread workers of 32 threads, keep-alive for 75 s; its manual strongly recommends a "
            "proxy in front, which these clients don't have: "
            "https://docs.gunicorn.org/en/20.1.0/deploy.html",
            "HUP reloads, TERM is the graceful stop, USR1 opens logs again: "
            "https://docs.gunicorn.org/en/20.1.0/signals.html",
            "--check-config loads the application first: without that, HUP with one that can't be "
            "loaded ends gunicorn: https://docs.gunicorn.org/en/20.1.0/settings.html",
        ),
    )
