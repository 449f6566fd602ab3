"""`--user` and `--group`: what serves has no right of root's, and loses nothing by it."""

import os
import pwd
import signal
from pathlib import Path

import pytest

@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("group", [None, "daemon"])
def test_keepers_and_workers_run_as_the_user(server_factory, tmp_path, group) -> None:
    log = tmp_path / "log"
    server = server_factory(worker_num=1, user="nobody", group=group, log_file=log)
    nobody = pwd.getpwnam("nobody")
    gid = 1 if group else nobody.pw_gid

    def assert_nobody() -> None:
        slot = server.slots()[0]
        for pid in (slot["keeper"], slot["worker"]):
            status = Path(f"/proc/{pid}/status").read_text()
            ids = {line.split()[0]: line.split()[1:] for line in status.splitlines()}
            assert ids["Uid:"] == [str(nobody.pw_uid)] * 4
            assert ids["Gid:"] == [str(gid)] * 4
            assert "0" not in ids["Groups:"], "root's groups stay behind"
            assert int(ids["CapEff:"][0], 16) == 0

    assert_nobody()
    with server.connect() as connection:
        assert connection.get().status == 200
        before = server.workers()
        assert server.ctl("reload").returncode == 0
        assert server.workers() != before
        assert_nobody()
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for_line("killed by SIGKILL")
        assert connection.get().status == 200, "it is recovered without root's rights, too"
        assert_nobody()
    lines = log.read_text()
    assert "keeper 0" in lines and "serves, generation 2" in lines
    assert server.stop() == 0
