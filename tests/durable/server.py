"""A PostgreSQL server of a test's own, which it may restart, kill and fill up without harm to anybody."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest

__all__ = ["Server", "own_server"]


class Server:
    """One server, which listens on a socket in its own folder."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs = programs
        self._folder = folder
        self._user = user

    @property
    def folder(self) -> Path:
        """A folder that the server may use."""
        return self._folder

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._folder}"

    @property
    def shown(self) -> str:
        """What messages of a store call it."""
        return f"postgresql://postgres@{quote(str(self._folder), safe='')}/postgres"

    def make(self) -> None:
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        # No network; and processes that are killed do not need the disk to have heard of anything.
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{self._folder}'\nfsync = off\n")

    def start(self) -> None:
        self._control("start")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it: in good order, or as a crash does."""
        self._control("stop", "-m", mode)

    def restart(self, mode: Literal["fast", "immediate"] = "fast", away: float = 0.0) -> None:
        """Stop it, and start it again after so many seconds."""
        self.stop(mode)
        time.sleep(away)
        self.start()

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", "-l", self._folder / "log", "-w", *words)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            # The server must not keep the pipes open that this waits for.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            timeout=60,
        )
        assert done.returncode == 0, f"{program} {arguments}: status {done.returncode}"


@contextmanager
def own_server() -> Generator[Server]:
    """A server that has been started. The test is skipped where there are no programs to make one with."""
    programs = _programs()
    if programs is None:
        pytest.skip("no initdb and pg_ctl here: a server of its own cannot be made")
    # The server does not run as root, and cannot look into the folders that pytest makes.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="cnstra-postgres-", dir="/tmp"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = Server(programs, folder, user)
        server.make()
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None
