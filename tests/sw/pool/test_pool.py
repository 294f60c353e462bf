"""Pools: the outputs of one device, whatever devices there are and whatever happens to them."""

import threading

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.devices import EmulatorDevice, GoldenDevice
from kaniwa.errors import DeviceError, InputError
from kaniwa.importers import load_model
from kaniwa.pool import Pool
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
INPUTS = [random_input(GRAPH, seed) for seed in range(12)]
EXPECTED = [golden.run(GRAPH, arrays) for arrays in INPUTS]


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=CONFIG)


class Failing(EmulatorDevice):
    """Fails with its run number ``at``, and with all after it."""

    def __init__(self, at):
        super().__init__(CONFIG)
        self.name = "failing"
        self._left = at

    def run(self, program_address, tags=()):
        if not self._left:
            raise DeviceError("the line is gone")
        self._left -= 1
        return super().run(program_address, tags)


def check(program, given, expected=EXPECTED):
    given = list(given)
    assert len(given) == len(expected)
    for outputs, values in zip(given, expected, strict=True):
        for tensor in program.outputs:
            np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])


def boards(count, pace=300_000.0):
    return [BoardDevice(f"board {n}", connect=lambda n=n: ModelTransport(
        LinkModel(EmulatedCore(CONFIG)), pace, n)) for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_outputs_are_in_order_and_shared_out(program, count):
    with Pool(["emulator"] * count, program) as pool:
        check(program, pool.map(INPUTS))
        counts = [s.inferences for s in pool.stats]
        assert sum(counts) == len(INPUTS) and max(counts) - min(counts) <= 1


@pytest.mark.parametrize("count", [2, 4])
def test_throughput_by_the_clocks_of_boards_and_their_lines(program, count):
    def seconds(devices):
        pool = Pool(devices, program)
        check(program, pool.map(4 * INPUTS), 4 * EXPECTED)
        return pool.seconds

    one, several = seconds(boards(1)), seconds(boards(count))
    assert one / several >= 0.9 * count


def test_a_slower_board_gets_less(program):
    fast, slow = *boards(1, 600_000.0), *boards(1, 150_000.0)
    pool = Pool([fast, slow], program)
    check(program, pool.map(4 * INPUTS), 4 * EXPECTED)
    counts = [s.inferences for s in pool.stats]
    assert sum(counts) == 48 and counts[0] > 2 * counts[1] > 0
    times = [s.seconds for s in pool.stats]
    assert max(times) < 1.3 * min(times)


def test_a_slow_processor_does_not_hold_up_a_board(program):
    """The reference kernels are at their first inference until another device has done 40, which
    waits with its first one until they have begun."""
    begun, many = threading.Event(), threading.Event()

    class Slow(GoldenDevice):
        def run_graph(self, graph, inputs, state=None):
            begun.set()
            assert many.wait(timeout=60)
            return super().run_graph(graph, inputs, state)

    class Quick(EmulatorDevice):
        runs = 0

        def run(self, program_address, tags=()):
            assert begun.wait(timeout=60)
            self.runs += 1
            if self.runs == 40:
                many.set()
            return super().run(program_address, tags)

    pool = Pool([Slow(CONFIG), Quick(CONFIG)], program)
    check(program, pool.map(5 * INPUTS), 5 * EXPECTED)
    slow, quick = pool.stats
    assert slow.inferences >= 1 and quick.inferences >= 40
    assert slow.seconds > 0 and slow.cycles == 0     # by the clock of this machine


def test_a_lost_device_loses_nothing(program, caplog):
    pool = Pool([EmulatorDevice(CONFIG), Failing(2), EmulatorDevice(CONFIG)], program)
    check(program, pool.map(INPUTS))
    assert [bool(s.lost) for s in pool.stats] == [False, True, False]
    assert pool.stats[1].inferences == 2 and sum(s.inferences for s in pool.stats) == len(INPUTS)
    assert "device 1 (failing) is lost: the line is gone" in caplog.text
    check(program, pool.map(INPUTS))     # and it stays lost


def test_all_devices_lost_is_an_error_behind_what_was_done(program):
    pool = Pool([Failing(2), Failing(3)], program)
    given = []
    with pytest.raises(DeviceError, match="all 2 devices of the pool are lost; .*the line is gone"):
        given.extend(pool.map(INPUTS))
    check(program, given, EXPECTED[:len(given)])
    with pytest.raises(DeviceError, match="all 2 devices"):
        next(pool.map(INPUTS))


def test_an_inference_that_fails_twice_is_itself_at_fault(program):
    class Refusing(EmulatorDevice):
        def write(self, address, data):
            if data == INPUTS[5][program.inputs[0].name].tobytes():
                raise DeviceError("illegal")
            super().write(address, data)

    pool = Pool([Refusing(CONFIG) for _ in range(3)], program)
    given = []
    with pytest.raises(DeviceError, match="illegal"):
        for outputs in pool.map(INPUTS):
            given.append(outputs)
    check(program, given, EXPECTED[:5])
    assert sum(bool(s.lost) for s in pool.stats) == 1


def test_inputs_that_do_not_fit_are_an_error_in_their_turn(program):
    bad = dict.fromkeys(INPUTS[0], np.zeros(3, np.int8))
    given = []
    with Pool(["emulator"] * 2, program) as pool, pytest.raises(InputError, match="expected int8"):
        given.extend(pool.map([*INPUTS[:4], bad, *INPUTS[4:]]))
    check(program, given[:4], EXPECTED[:4])


def test_an_abandoned_map_leaves_no_thread(program):
    before = threading.active_count()
    with Pool(["emulator"] * 3, program) as pool:
        results = pool.map(INPUTS * 100)
        next(results)
        results.close()
        assert threading.active_count() == before
        check(program, pool.map(INPUTS))


def test_an_endless_source_is_taken_a_few_ahead(program):
    taken = []

    def source():
        for number in range(1000):
            taken.append(number)
            yield INPUTS[number % len(INPUTS)]

    with Pool(["emulator"] * 2, program) as pool:
        results = pool.map(source())
        next(results)
        assert 6 <= len(taken) < 20     # more where one device is far behind the other
        results.close()


@pytest.fixture(scope="module")
def recurrent(models):
    return compile(load_model(models / "tflm_mnist_lstm.tflite"), target="base")


class Half(EmulatorDevice):
    """Fails in the middle of its second sequence of three."""

    runs = 0

    def run(self, program_address, tags=()):
        self.runs += 1
        if self.runs == 5:
            raise DeviceError("unplugged")
        return super().run(program_address, tags)


def test_sequences_keep_their_state_on_one_device(recurrent):
    assert recurrent.state
    rng = np.random.default_rng(1)
    (tensor,) = recurrent.inputs
    inputs = [[rng.integers(-128, 128, tensor.shape).astype(tensor.dtype)] for _ in range(12)]
    sequences = [inputs[i:i + 3] for i in range(0, 12, 3)]
    with Pool(["emulator"], recurrent) as pool:
        expected = list(pool.sequences(sequences))
        alone = list(pool.map(inputs))
    with Pool(["emulator", Half("base"), "emulator"], recurrent) as pool:
        given = list(pool.sequences(sequences))
    for ours, theirs in zip(given, expected, strict=True):
        for outputs, wanted in zip(ours, theirs, strict=True):
            for name in outputs:
                np.testing.assert_array_equal(outputs[name], wanted[name])
    name = recurrent.outputs[0].name
    assert any((a[name] != b[name]).any() for a, b in zip(
        alone, [outputs for sequence in expected for outputs in sequence], strict=True))


def test_a_closed_pool_says_so_and_keeps_what_it_has_done(program):
    with Pool(["emulator"] * 2, program) as pool:
        check(program, pool.map(INPUTS))
    assert sum(s.inferences for s in pool.stats) == len(INPUTS) and pool.seconds > 0
    pool.close()
    with pytest.raises(DeviceError, match="the pool is closed"):
        next(pool.map(INPUTS))


@pytest.mark.parametrize("devices", ["emulator", [], ()])
def test_a_pool_needs_a_list_of_devices(program, devices):
    with pytest.raises(DeviceError, match="a list of one device or more"):
        Pool(devices, program)


def test_a_device_that_cannot_be_opened_is_named(program):
    with pytest.raises(DeviceError, match=r"device 1 \(serial:/dev/none\): .*no such port"):
        Pool(["emulator", "serial:/dev/none"], program)


def test_a_device_is_given_once(program):
    device = EmulatorDevice(CONFIG)
    with pytest.raises(DeviceError, match=r"device 1 \(emulator\): is in the list twice"):
        Pool([device, device], program)


def test_a_device_of_another_target_is_named(program):
    with pytest.raises(DeviceError, match=r"device 1 \(emulator\): .*compiled for target 'small'"):
        Pool(["emulator", EmulatorDevice("base")], program)
