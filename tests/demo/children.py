"""Work in a process of its own, which may be killed, or become another user."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Do something in a child process.

    Returns:
        Its exit status: 0 when the work is done, 1 when it raised, minus the number of the signal that killed it.
    """
    with warnings.catch_warnings():
        # That some test before this one has left an idle thread behind does no harm to a child that uses none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
