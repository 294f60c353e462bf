"""A host waits for outside memory that is calibrated, and names one that failed."""

from __future__ import annotations

import pytest

from kaniwa.config import PRESETS
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.frames import HAS_OUTSIDE, LINK_REGISTERS, OUTSIDE_WAITS
from kaniwa.driver.link import CALIBRATION_SECONDS
from kaniwa.errors import DeviceError
from kaniwa.isa import OUTSIDE
from kaniwa.sim.board.link_model import Core, EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport

READY, WAITS, FAILED = HAS_OUTSIDE, HAS_OUTSIDE | 1 << OUTSIDE_WAITS, 1 << OUTSIDE_WAITS
FEATURES = LINK_REGISTERS + 7


class Calibrating(LinkModel):
    """A device whose features are ``first`` for ``looks`` looks at them, and ``last`` from then."""

    def __init__(self, last: int, looks: int = 0, first: int = WAITS) -> None:
        super().__init__(EmulatedCore(PRESETS["small"]), outside=True)
        self.looks, self._first, self._last = looks, first, last

    def _read_register(self, core: Core, address: int) -> int:
        if address != FEATURES:
            return super()._read_register(core, address)
        self.looks -= 1
        return self._last if self.looks < 0 else self._first


def board(model: LinkModel) -> BoardDevice:
    return BoardDevice("board", connect=lambda: ModelTransport(model))


@pytest.mark.parametrize("looks", [0, 1, 5])
def test_a_host_waits_while_memory_is_calibrated(looks: int) -> None:
    model = Calibrating(READY, looks)
    with board(model) as device:
        assert device.outside and device.cores == 1
        device._check_span("read", OUTSIDE, 4)
    assert model.looks == -1


@pytest.mark.parametrize("looks", [0, 3])
def test_memory_that_failed_is_named_where_it_is_used(looks: int) -> None:
    with board(Calibrating(FAILED, looks)) as device:
        device.write(64, b"here")
        assert device.read(64, 4) == b"here"
        for use in (lambda: device.read(OUTSIDE, 4), lambda: device.write(OUTSIDE + 8, b"1")):
            with pytest.raises(DeviceError, match="^board: its outside memory gave wrong words "
                                                  "when it was calibrated at power-up, and is "
                                                  "not used: switch the board off and on"):
                use()


def test_memory_that_stays_in_its_calibration_is_no_wait_for_ever() -> None:
    with pytest.raises(DeviceError, match="outside memory is still being calibrated after "
                                          f"{CALIBRATION_SECONDS} s: switch the board off"):
        board(Calibrating(READY, looks=1 << 60))
