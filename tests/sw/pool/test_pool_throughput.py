"""Throughput of pools and pipelines by the clocks of their boards, time on the line included."""

import threading

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.benchmark.networks.mobile import mobilenet_v2
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.board_device import BoardDevice
from kaniwa.importers import load_model
from kaniwa.isa import Register
from kaniwa.pool import Pipeline, Pool, split
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport

BASE = PRESETS["base"]
ETHERNET = 100e6     # bytes a second: gigabit Ethernet, less its frames
UART = 300e3
HZ = 100e6


class Core(EmulatedCore):
    """A core whose runs take their cycles on the line's clock.

    ``together``: where the cores of a pool wait for one another before each run. Which thread has
    how much of a busy machine would else decide how many inferences each takes.
    """

    transport: ModelTransport
    together: threading.Barrier | None = None

    def _run(self):
        if self.together is not None:
            self.together.wait(timeout=120)
        super()._run()
        self.transport.wait(self.read_register(Register.CYCLES) / HZ)


def boards(count, pace, outside=None, together=None):
    made = []
    for number in range(count):
        core = Core(BASE, outside)
        core.together = together
        core.transport = ModelTransport(
            LinkModel(core, pace=int(min(pace, 2**24 - 1)), outside=outside is not None), pace)
        made.append(BoardDevice(f"board {number}?pace={int(pace)}", BASE,
                                connect=lambda core=core: core.transport))
    return made


@pytest.fixture(scope="module")
def resnet(models):
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    images = np.load(models / "inputs" / "resnet8_ten.npz")["input_1_int8"]
    inputs = [{"input_1_int8": image[None]} for image in images]
    return graph, inputs, [golden.run(graph, x)[graph.outputs[0]] for x in inputs]


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("pace", [UART, ETHERNET])
def test_pool_of_boards(resnet, count, pace):
    graph, inputs, expected = resnet
    program = compile(graph, target=BASE)

    def seconds(number):
        with Pool(boards(number, pace, together=threading.Barrier(number)), program) as pool:
            given = list(pool.map(2 * inputs))
            assert all((g["Identity_int8"] == e).all()
                       for g, e in zip(given, 2 * expected, strict=True))
            return pool.seconds

    assert seconds(1) / seconds(count) >= 0.9 * count


def in_pipeline(graph, count, outside, inputs, expected):
    """Seconds of ``inputs`` on ``count`` boards with a stage each, on lines of gigabit Ethernet."""
    stages = split(graph, count, BASE, pace=ETHERNET, outside=outside)
    with Pipeline(boards(count, ETHERNET, outside), [s.program for s in stages]) as line:
        given = list(line.map(inputs))
        (output,) = line.outputs
        assert all((g[output] == e).all() for g, e in zip(given, expected, strict=True))
        return line.seconds


def test_pipeline_of_boards(resnet):
    assert in_pipeline(resnet[0], 1, None, *resnet[1:]) >= 1.3 * in_pipeline(
        resnet[0], 2, None, *resnet[1:])


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 4])
def test_mobilenet_in_a_pipeline(count, capsys):
    """MobileNetV2 for 224 x 224 with its weights in SDRAM."""
    graph = mobilenet_v2().graph
    rng = np.random.default_rng(1)
    (tensor,) = (graph.tensors[i] for i in graph.inputs)
    inputs = [{tensor.name: rng.integers(-128, 128, tensor.shape).astype(np.int8)}
              for _ in range(4)]
    expected = [golden.run(graph, x)[graph.outputs[0]] for x in inputs]
    outside = "sdram,bytes=4,latency=10"
    one = in_pipeline(graph, 1, outside, inputs, expected)
    several = in_pipeline(graph, count, outside, inputs, expected)
    with capsys.disabled():
        print(f"\n{count} devices: {one / several:.2f} times one")
    assert one / several >= 0.8 * count
