"""Inferences handed to a pool one by one: each future has its own, whatever happens to others."""

import gc
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from builders.gated_device import WAIT, Gated

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.errors import DeviceError, InputError
from kaniwa.pool import Pool
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CONFIG = PRESETS["small"]
GRAPHS = [random_graph(seed, "conv", macs=1 << 14) for seed in (3, 4)]
INPUTS = [[random_input(graph, seed) for seed in range(6)] for graph in GRAPHS]
EXPECTED = [[golden.run(graph, arrays) for arrays in inputs]
            for graph, inputs in zip(GRAPHS, INPUTS, strict=True)]


@pytest.fixture(scope="module")
def programs():
    return [compile(graph, target=CONFIG) for graph in GRAPHS]


def check(program, outputs, values):
    for tensor in program.outputs:
        np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])


def test_several_programs_and_threads_share_the_devices(programs):
    def ask(number):
        which, item = number % 2, number // 2 % 6
        outputs = pool.submit(INPUTS[which][item], program=which).result(WAIT)
        check(programs[which], outputs, EXPECTED[which][item])

    before = threading.active_count()
    with Pool(["emulator", "emulator"], programs) as pool:
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(ask, range(48)))
        assert sum(s.inferences for s in pool.stats) == 48
        assert all(s.inferences for s in pool.stats)
    assert threading.active_count() == before


def test_inferences_are_independent(programs):
    with Pool(["emulator"], programs) as pool:
        bad = pool.submit([np.zeros(3, np.int8)])
        good = pool.submit(INPUTS[0][0])
        with pytest.raises(InputError, match="expected int8"):
            bad.result(WAIT)
        check(programs[0], good.result(WAIT), EXPECTED[0][0])
        with pytest.raises(DeviceError, match="by submit: open another for map"):
            next(pool.map(INPUTS[0]))


def test_what_is_cancelled_is_not_run(programs):
    device = Gated(CONFIG)
    with Pool([device], programs[0]) as pool:
        first, second, third = (pool.submit(INPUTS[0][n]) for n in range(3))
        assert device.begun.wait(WAIT)
        assert second.cancel() and not first.cancel()
        device.may.set()
        check(programs[0], first.result(WAIT), EXPECTED[0][0])
        check(programs[0], third.result(WAIT), EXPECTED[0][2])
        assert pool.stats[0].inferences == 2


def test_what_is_cancelled_leaves_no_arrays_behind(programs):
    """A device may take long: the queue must not grow by those who gave up."""
    device = Gated(CONFIG)
    with Pool([device], programs[0]) as pool:
        first = pool.submit(INPUTS[0][0])
        assert device.begun.wait(WAIT)
        arrays = {name: array.copy() for name, array in INPUTS[0][1].items()}
        held = [weakref.ref(array) for array in arrays.values()]
        second = pool.submit(arrays)
        assert second.cancel()
        del arrays, second
        gc.collect()
        assert held and not any(ref() is not None for ref in held)
        device.may.set()
        check(programs[0], first.result(WAIT), EXPECTED[0][0])


def test_a_lost_device_hands_its_inference_on(programs, caplog):
    device = Gated(CONFIG)
    device.fails = True
    with Pool([device, "emulator"], programs[0]) as pool:
        given = [pool.submit(arrays) for arrays in INPUTS[0]]
        assert device.begun.wait(WAIT)
        device.may.set()
        for future, values in zip(given, EXPECTED[0], strict=True):
            check(programs[0], future.result(WAIT), values)
        assert [bool(s.lost) for s in pool.stats] == [True, False]
    assert "is lost: the line is gone" in caplog.text


def test_all_devices_lost_is_the_error_of_all_that_wait_and_come(programs):
    device = Gated(CONFIG)
    device.fails = True
    with Pool([device], programs[0]) as pool:
        given = [pool.submit(arrays) for arrays in INPUTS[0]]
        device.may.set()
        for future in [*given, pool.submit(INPUTS[0][0])]:
            with pytest.raises(DeviceError, match="all 1 devices .* are lost; .*the line is gone"):
                future.result(WAIT)


def test_close_ends_what_was_begun_and_cancels_the_rest(programs):
    device = Gated(CONFIG)
    pool = Pool([device], programs[0])
    first, second = (pool.submit(INPUTS[0][n]) for n in range(2))
    assert device.begun.wait(WAIT)
    second.add_done_callback(lambda future: device.may.set())     # by close, which then waits
    pool.close()
    check(programs[0], first.result(0), EXPECTED[0][0])
    with pytest.raises(CancelledError):
        second.result(0)
    with pytest.raises(DeviceError, match="the pool is closed"):
        pool.submit(INPUTS[0][0])


def test_close_does_not_wait_for_ever(programs, caplog):
    device = Gated(CONFIG)
    pool = Pool([device], programs[0])
    first = pool.submit(INPUTS[0][0])
    assert device.begun.wait(WAIT)
    pool.close(limit=0.0)
    assert "an inference did not end within 0 s" in caplog.text and not first.done()
    device.may.set()
    check(programs[0], first.result(WAIT), EXPECTED[0][0])


def test_a_pool_needs_a_program():
    with pytest.raises(DeviceError, match="needs one program or more"):
        Pool(["emulator"], [])


def test_a_program_that_is_not_there_is_refused(programs):
    with Pool((name for name in ["emulator"]), programs) as pool:
        for number in (-1, len(programs)):
            with pytest.raises(InputError, match=f"has programs 0 to .*, not {number}$"):
                pool.submit({}, program=number)
