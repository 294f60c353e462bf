"""A board with Ethernet simulated at the pins of its PHY, with the host's own driver over UDP.

The ECPIX-5 of these tests has the smallest core that is not compact.
"""

import functools
import random
from collections import Counter

import numpy as np
import pytest
from builders.graphs.inferences import wrong_answers_of

from kaniwa import Session, cli, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.errors import ConfigError, DeviceError
from kaniwa.importers import load_model
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.board.datagram_faults import Datagram, DatagramFaults, FaultyPath
from kaniwa.sim.board.ethernet_pins import EthernetPins
from kaniwa.sim.board.ethernet_transport import EthernetTransport
from kaniwa.sim.worlds.random_graphs import random_graph
from kaniwa.sim.worlds.serial_config import SERIAL

pytestmark = pytest.mark.rtl
NAME = "ecpix5_85f"
GRAPH = random_graph(3, "conv", macs=1 << 12)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)
LINK_CYCLES = 9          # of the core, for a byte
RESNET8_CYCLES = 150_000   # 1.5 ms of the board's clock


class FaultyPins(EthernetPins):
    """Frames have faults in both directions; one that comes to the host damaged is dropped."""

    def __init__(self, design, faults, seed):
        self.there, self.back = FaultyPath(faults, seed), FaultyPath(faults, seed + 1)
        super().__init__(design)

    @property
    def counts(self) -> Counter[str]:
        return self.there.counts + self.back.counts

    def transmit(self, frame):
        for _, content in self.there.pass_on(Datagram(None, frame)):
            super().transmit(content)

    def take(self, frame):
        for _, content in self.back.pass_on(Datagram(None, frame)):
            if self.is_right(content):
                super().take(content)


@pytest.fixture
def pins():
    """An ECPIX-5 just powered up."""
    return EthernetPins(board_design(NAME, SERIAL))


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=SERIAL)


def device(pins):
    line = EthernetTransport(pins)
    return BoardDevice("board", target=SERIAL, connect=lambda: line)


def test_inferences_by_name_are_exact_and_nothing_goes_twice(program):
    with devices.open(f"sim:{NAME}", target=SERIAL) as board:
        session = Session(program, board)
        assert not any(wrong_answers(session, seed) for seed in range(3))
        assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.01)
        assert board.link_statistics.repeated == board.link_statistics.timeouts == 0
        assert board.capabilities["clock_hz"] == 100_000_000
        assert board.pace == board_design(NAME, SERIAL).pace == 40_000


def test_bulk_data_goes_as_fast_as_the_core_takes_and_gives_it(pins):
    data = random.Random(1).randbytes(16 * 1024)
    with device(pins) as board:
        for transfer in (lambda: board.write(0, data), lambda: board.read(0, len(data))):
            before = pins.line_cycles
            result = transfer()
            assert result in (None, data)
            assert len(data) * LINK_CYCLES / (pins.line_cycles - before) >= 0.9
        assert board.link_statistics.repeated == board.link_statistics.timeouts == 0


def test_30_inferences_on_a_bad_network_are_all_right(program):
    faults = DatagramFaults(lost=0.02, doubled=0.02, swapped=0.02, delayed=0.02, cut=0.02,
                            damaged=0.02, garbage=0.02, longest_delay=40)
    pins = FaultyPins(board_design(NAME, SERIAL), faults, 5)
    with device(pins) as board:
        session = Session(program, board)
        assert sum(wrong_answers(session, seed) for seed in range(30)) == 0
        assert board.link_statistics.repeated > 20
    assert pins.counts.keys() >= set(faults.kinds)


def test_a_board_without_power_is_noticed_and_the_next_run_works(pins, program):
    with device(pins) as board:
        session = Session(program, board)
        assert not wrong_answers(session, 1)
        pins.power_cycle()
        with pytest.raises(DeviceError, match="the device was reset: run again$"):
            wrong_answers(session, 2)
        assert not wrong_answers(session, 3)


def test_what_a_board_with_ethernet_has_not_is_refused(capsys):
    with pytest.raises(ConfigError, match=f"^{NAME} is reached by Ethernet: it has no baud"):
        devices.open(f"sim:{NAME}?baud=1000000")
    with pytest.raises(SystemExit, match="1"):
        cli.main(["board-sim", "--board", NAME])
    assert f"kaniwa bridge sim:{NAME}" in capsys.readouterr().err


@pytest.mark.long
def test_resnet8_takes_less_than_its_share_of_the_boards_time(models):
    """Input, inference and output, at the pins."""
    path = models / "mlperf_ic_resnet8.tflite"
    graph, program = load_model(path), compile(path, target="base")
    line = EthernetTransport(EthernetPins(board_design(NAME)))
    with BoardDevice("board", connect=lambda: line) as board:
        session = Session(program, board)
        for inputs in recorded_inputs(path, program.inputs)[:3]:
            before = line.line_cycles
            outputs, values = session.run(inputs), golden.run(graph, inputs)
            assert line.line_cycles - before <= RESNET8_CYCLES
            for tensor in program.outputs:
                np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
        assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.001)
        assert board.link_statistics.repeated == 0
