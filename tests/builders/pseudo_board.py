"""A board behind a pseudo-terminal, which can be pulled out and put in again: the Python model of
the link over the emulator.
"""

import contextlib
import os
import pty
import select
import termios
import threading
import tty

from builders.files.wrong_baud import resample
from kaniwa.config import PRESETS
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel

__all__ = ["BAUD", "PseudoBoard"]

BAUD = 3_000_000
BAUDS = {getattr(termios, f"B{rate}"): rate for rate in (115_200, 1_000_000, 2_000_000, BAUD)}


class PseudoBoard:
    """A board of ``target`` on the port ``path``, whose pseudo-terminal changes as it is replugged.
    ``cores``: of the target, behind its link.

    ``at``: after so many bytes from the host, once, ``what`` is called.
    """

    def __init__(self, path, target="small", cores=1):
        self.path, self.cores = path, cores
        self.program(target)
        self.noise = None
        self.at, self.what = None, None
        self.plug()

    def program(self, target):
        self.model = LinkModel(*(EmulatedCore(PRESETS[target]) for _ in range(self.cores)),
                               pace=BAUD // 10)

    def plug(self):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.master)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.slave))
        self.pulled = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def pull(self):
        self.pulled.set()

    def unplug(self):
        """From outside; waits until the port has gone."""
        self.pulled.set()
        self.thread.join()

    def replug(self):
        self.unplug()
        self.plug()

    def when(self, count, what):
        self.at, self.what = count, what

    def _serve(self):
        with contextlib.suppress(OSError):
            while not self.pulled.is_set():
                if select.select([self.master], [], [], 0.02)[0]:
                    self._answer(os.read(self.master, 4096))
        os.close(self.slave)
        os.close(self.master)

    def _answer(self, data):
        if self.at is not None:
            self.at -= len(data)
            if self.at <= 0:
                self.at = None
                self.what()
                if self.pulled.is_set():
                    return
        rate = BAUDS[termios.tcgetattr(self.slave)[4]]
        if rate != BAUD:
            data = resample(data, rate, BAUD)
        answer = self.model.receive(data)
        if self.pulled.is_set():
            return
        if self.noise is not None:
            answer = self.noise(answer)
        os.write(self.master, answer if rate == BAUD else resample(answer, BAUD, rate))
