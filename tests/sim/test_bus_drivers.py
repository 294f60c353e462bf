"""Both drivers on the Verilated accelerator behind a bus: outputs equal to golden."""

import numpy as np
import pytest
from builders.c_driver import WAIT, CDriver, Result, build, write_model
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.mapped_device import MappedDevice
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError
from kaniwa.isa import Register, Status
from kaniwa.isa.bus import BusRegister

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

CONFIG = PRESETS["nano"]
INFERENCES = 3
TOLERANCE = 0.01     # of the cycle model of compact cores


@pytest.fixture(scope="module")
def network():
    """A small network that all of nano runs, and its program."""
    b = GraphBuilder(7)
    x = b.tensor((1, 9, 7, 5))
    made = b.conv(b.conv(x, 12, (3, 3)), 10, (1, 1))
    graph = b.graph((x,), (made,))
    return graph, compile(graph, CONFIG, require_accelerator=True)


@pytest.fixture(scope="module")
def inputs(network):
    rng = np.random.default_rng(5)
    shape = network[1].inputs[0].shape
    return [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(INFERENCES)]


@pytest.fixture(scope="module")
def window():
    """One accelerator for all tests: a driver that opens it ends what is running."""
    from kaniwa.sim.device.bus_window import SimulatedWindow

    return SimulatedWindow(CONFIG)


def expected(graph, value):
    return golden.run(graph, {graph.tensors[graph.inputs[0]].name: value})[graph.outputs[0]]


def infer(driver, program, value):
    answer = np.empty(program.outputs[0].shape, np.int8)
    assert driver.call("model_run", value, answer) == Result.OK
    return answer


def test_c_driver_polling_and_by_interrupt(network, inputs, window, tmp_path):
    graph, program = network
    driver = CDriver(build(tmp_path, [write_model(tmp_path, program)]), window)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    for value in inputs:
        np.testing.assert_array_equal(infer(driver, program, value), expected(graph, value))
    assert driver.cycles() == pytest.approx(estimate(program).cycles, rel=TOLERANCE)
    assert not window.interrupt
    seen = []

    def wait(device):
        """The clock runs by accesses: to one of a register in place of sleep."""
        while not window.interrupt:
            window.read32(4 * Register.CYCLES)
        seen.append(window.read32(4 * BusRegister.IRQ_STATUS))
        driver.acknowledge()

    driver.device.wait = WAIT(wait)
    np.testing.assert_array_equal(infer(driver, program, inputs[0]), expected(graph, inputs[0]))
    assert seen == [1] and not window.interrupt


def test_c_driver_ends_a_run_that_makes_no_progress(network, inputs, window, tmp_path):
    """A watchdog of a few cycles bites during the first loads."""
    _, program = network
    driver = CDriver(build(tmp_path, [write_model(tmp_path, program)]), window)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    driver.device.watchdog = 1
    answer = np.empty(program.outputs[0].shape, np.int8)
    assert driver.call("model_run", inputs[0], answer) == Result.WATCHDOG_BITE
    assert not window.read32(4 * Register.STATUS) & Status.RUNNING
    driver.device.watchdog = 100_000
    assert driver.call("model_load") == Result.OK
    infer(driver, program, inputs[0])


def test_mapped_device_is_golden_and_counts_cycles(network, inputs, window):
    graph, program = network
    with MappedDevice("uio:simulated", window=window, pause=lambda seconds: None) as device:
        session = Session(program, device)
        for value in inputs:
            (answer,) = session.run([value]).values()
            np.testing.assert_array_equal(answer, expected(graph, value))
            assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=TOLERANCE)


def test_memory_belongs_to_a_run(network, window):
    """The slave refuses what the drivers never do."""
    _, program = network
    with MappedDevice("uio:simulated", window=window, pause=lambda seconds: None) as device:
        Session(program, device)
        window.write32(4 * Register.PROGRAM_ADDRESS, program.program_address)
        window.write32(4 * Register.CONTROL, 1)
        assert window.read32(4 * Register.STATUS) & Status.RUNNING
        with pytest.raises(DeviceError, match="the bus refused a read"):
            device.read(0, 4)
