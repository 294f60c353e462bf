"""A device that tests hold in the middle of an inference, and let fail."""

import threading

from kaniwa.driver.devices import EmulatorDevice
from kaniwa.errors import DeviceError

WAIT = 60.0     # seconds, where a test that fails would wait for ever


class Gated(EmulatorDevice):
    """Says when its run begins, and goes on with it once it may; then it fails where it shall."""

    def __init__(self, config):
        super().__init__(config)
        self.begun, self.may, self.fails = threading.Event(), threading.Event(), False

    def run(self, program_address, tags=()):
        self.begun.set()
        assert self.may.wait(WAIT)
        if self.fails:
            raise DeviceError("the line is gone")
        return super().run(program_address, tags)
