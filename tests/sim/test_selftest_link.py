"""The self-test over the link of the simulated accelerator: gateware from the first byte on."""

import pytest
from amaranth import Cat, Signal

from kaniwa.compiler.pipeline import compile
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.frames import REGISTERS
from kaniwa.driver.link_time import link_time
from kaniwa.driver.session import Session
from kaniwa.hw.memory.system import OnChipMemory
from kaniwa.isa import Register
from kaniwa.selftest.suite import MODEL, selftest
from kaniwa.sim.benches.core.bench_accelerator import CONFIGS
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.device.stream_device import PACE, StreamTransport

pytestmark = pytest.mark.rtl
CONFIG = CONFIGS[0]


@pytest.fixture(scope="module")
def line():
    """The accelerator, built once; it goes on being there from one test to the next."""
    return StreamTransport(CONFIG)


def board(line):
    return BoardDevice("board", target=CONFIG, connect=lambda: line)


def test_the_accelerator_behind_its_byte_stream_passes(line):
    with board(line) as device:
        report = selftest(device, memory="quick")
    assert report.verdict == "PASS (not run: model)"
    link, memory, array, _ = (part.values for part in report.parts)
    assert link["repeated"] == link["damaged"] == link["refused"] == link["timeouts"] == 0
    assert link["line_bytes_per_second"] == PACE and 0.95 < link["write_share"] < 0.96
    assert memory["bytes"] == CONFIG.memory_bytes and memory["faults"] == []
    assert len(array["layers"]) == 8 and len(array["left_out"]) == 3    # of 8 KiB
    assert all(row["cycles"] == row["estimate"] for row in array["layers"])


class StuckMemory(OnChipMemory):
    """Bit 3 of the byte at 0x1235 reads 1, whoever asks."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        width = self._config.read_bytes
        here = Signal(self._config.memory_latency)   # for each cycle from a request to its word
        m.d.sync += here.eq(Cat(self.read.request.payload // width == 0x1235 // width, here))
        with m.If(here[-1]):
            m.d.comb += self.read.response.payload[0x1235 % width * 8 + 3].eq(1)
        return m


def test_a_stuck_bit_of_the_memory_in_the_gateware_is_named():
    with board(StreamTransport(CONFIG, memory=StuckMemory)) as device:
        report = selftest(device, memory="quick")
    assert report.verdict == "FAIL: memory"
    assert report.parts[1].text == "0x1235: bit 3 stuck at 1"


class Timed(BoardDevice):
    """``times`` are those of its exchanges on the line; of looks at the status only the last."""

    def __init__(self, *arguments, **options):
        self.times = {}
        super().__init__(*arguments, **options)

    def _exchange(self, requests, *rest):
        link = self._link
        began = link.now()
        answers = super()._exchange(requests, *rest)
        looking = len(requests) == 1 and requests[0].word == REGISTERS + 4 * Register.STATUS
        self.times["status" if looking else len(self.times)] = link.now() - began
        return answers


def test_an_inference_takes_the_estimated_time_at_the_pins(models):
    """The UART of the simulated iCEBreaker carries both directions at its pace."""
    program = compile(models / MODEL, target="nano")
    sample = recorded_inputs(models / MODEL, program.inputs)[0]
    pins = PinTransport(board_design("icebreaker"))
    with Timed("board", connect=lambda: pins) as device:
        estimate = link_time(program, device.pace)
        device.times.clear()
        session = Session(program, device)
        assert sum(device.times.values()) == pytest.approx(estimate.load_seconds, rel=0.01)
        device.times.clear()
        session.run(sample)
        assert sum(device.times.values()) == pytest.approx(estimate.seconds, rel=0.01)
        assert len(device.times) == estimate.exchanges
