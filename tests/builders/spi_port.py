"""A port of Linux for SPI, as the package spidev has it, with a device of a test behind it."""

import errno

from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.spi.transport import SpiTransport

__all__ = ["FakePort", "World"]

MOST_BYTES = 4096        # that spidev takes in a transfer


class FakePort:
    """``spidev.SpiDev`` with the device of its world behind it; a bit takes its time there."""

    def __init__(self, world):
        self._world = world
        self._file = None
        world.ports.append(self)
        self.mode, self.bits_per_word, self.max_speed_hz = 3, 9, 0

    def open_path(self, path):
        self._file = self._world.file.open("rb")
        self._world.opened.append(path)

    def fileno(self):
        return self._file.fileno()

    def xfer2(self, values):
        assert isinstance(values, list) and len(values) <= MOST_BYTES
        assert (self.mode, self.bits_per_word) == (0, 8)
        if self._world.broken:
            raise OSError(errno.EIO, "Input/output error")
        self._world.sizes.append(len(values))
        self._world.clock += 8 * len(values) / self.max_speed_hz
        return list(self._world.model.exchange(bytes(values)))

    def close(self):
        if self._file is not None:
            self._file.close()
            self._file = None


class World:
    """A machine with a port and a device at it, on a clock of its own.

    ``file`` stands for that of the port. ``model`` exchanges bytes with the device.
    """

    def __init__(self, file, model):
        self.file, self.model = file, model
        self.clock, self.rests, self.sizes, self.opened, self.ports = 0.0, [], [], [], []
        self.broken = False

    def rest(self, seconds):
        self.rests.append(seconds)
        self.clock += seconds

    def transport(self, hz=1_000_000):
        return SpiTransport("/dev/spidev0.0", hz, clock=lambda: self.clock, rest=self.rest)

    def board(self, hz=1_000_000, **options):
        return BoardDevice("board", connect=lambda: self.transport(hz), **options)
