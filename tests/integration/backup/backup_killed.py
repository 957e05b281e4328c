"""Makes or restores a backup again and again, each time killed one step of the disk later.

Run as `backup_killed.py (backup|restore) DIRECTORY`; prints how many times it was killed. Whatever
is wrong after a kill ends it with an exception.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from airssys.wasm import Host, restore

#: What changes the disk.
STEPS = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "shutil.copyfile"}


def killed_after(steps, work):
    """Do some work in a child that is killed before its n-th step; return whether it was."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, status
            return True
        assert os.WEXITSTATUS(status) == 0, status
        return False
    left = [steps]

    def noticed(event, arguments):
        writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        if left[0] > 0 and (event in STEPS or writes):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        with contextlib.redirect_stdout(sys.stderr):
            work(lambda: sys.addaudithook(noticed))
        code = 0
    finally:
        os._exit(code)


def check(host, directory):
    """Fail unless the state is whole."""
    assert host.deployment("acme/calc").call("version") == 1
    assert not list(directory.glob("unfinished-backup-*"))


def backups(directory):
    for steps in range(1, 10_000):
        file = directory / f"backup-{steps}"

        def make(begin, file=file):
            with Host.open_blocking(directory / "state") as host:
                check(host, directory / "state")  # after the kill before this one
                begin()
                host.backup(file)

        killed = killed_after(steps, make)
        if file.exists():

            def look(_begin, file=file):
                restore(file, directory / f"from-{file.name}")

            assert not killed_after(0, look)
        if not killed:
            assert file.exists()
            return steps - 1
    raise AssertionError("it never ends")


def restores(directory):
    for steps in range(1, 10_000):
        target = directory / "restored"

        def make(begin, target=target):
            begin()
            restore(directory / "backup", target)

        if not killed_after(steps, make):
            left = [each.name for each in directory.glob(".restored.*")]
            assert not left, left
            return steps - 1
        if target.exists():

            def look(_begin, target=target):
                with Host.open_blocking(target) as host:
                    check(host, target)

            assert not killed_after(0, look)
            target.rename(directory / f"restored-{steps}")
    raise AssertionError("it never ends")


if __name__ == "__main__":
    what, place = sys.argv[1:]
    print({"backup": backups, "restore": restores}[what](Path(place)))
