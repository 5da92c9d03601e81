"""A program in a terminal of a given width, as its user sees it."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


@dataclass(frozen=True, slots=True)
class Session:
    """What a program wrote to the terminal, and its exit status."""

    output: str
    status: int

    @property
    def text(self) -> str:
        """Without colours and cursor movements."""
        return CONTROL.sub("", self.output).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        """What stays on the screen: a line that was overwritten counts once, as it was last."""
        return [line.rsplit("\r", 1)[-1].rstrip() for line in self.text.split("\n")]


def run_in_terminal(
    arguments: Sequence[object],
    *,
    columns: int = 80,
    env: dict[str, str] | None = None,
    rows: int = 40,
    cwd: object = None,
    when: Callable[[str], int | str | None] = lambda output: None,
    timeout: float = 100,
) -> Session:
    """Run ``cnstra`` in a pseudo-terminal.

    Args:
        arguments: of the command line.
        columns, rows: the size of the terminal.
        env: changes of the environment.
        cwd: the current folder.
        when: is shown the output so far, again and again; a signal number that it returns is sent to the program, and
            text is typed.
        timeout: seconds.
    """
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cnstra", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment | {"TERM": "xterm-256color"} | (env or {}),
        cwd=None if cwd is None else str(cwd),
        start_new_session=True,
    )
    os.close(slave)
    output = b""
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # Linux says so when the other end is closed.
                    break
                if not piece:
                    break
                output += piece
            answer = when(output.decode("utf-8", "replace"))
            if isinstance(answer, str):
                os.write(master, answer.encode())
            elif answer is not None:
                process.send_signal(answer)
        status = process.wait(timeout=max(0.1, deadline - time.monotonic()))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(master)
    return Session(output.decode("utf-8", "replace"), status)
