"""Commands that end with the process that began them, even where that one is killed.

As a script, ``PARENT COMMAND...``, this becomes the command. It imports nothing of kaniwa then.
"""

import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["bound"]

PR_SET_PDEATHSIG = 1     # linux/prctl.h; the signal stays set for the command (man 2 prctl)


def bound(command: Sequence[str]) -> list[str]:
    """``command`` as one that ends with this process: else it may go on for minutes, for nobody.

    It has the same process id and exit status. Linux only; elsewhere it is the command as it is.
    The thread that starts it has to outlive it.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _become(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:     # it ended before
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
