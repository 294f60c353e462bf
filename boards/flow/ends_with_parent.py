"""A script, ``PARENT COMMAND...``: becomes a command that ends with the process that began it.

A tool would go on for minutes where its worker was killed.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1     # linux/prctl.h; the signal stays set for the command (man 2 prctl)

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != int(parent):     # it ended before
            sys.exit(1)
    os.execvp(command[0], command)
