"""The core with the multipliers of each FPGA family: exact, in the cycles of every other one."""

import dataclasses

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.session import Session
from kaniwa.hw.core import make_core
from kaniwa.hw.multiplier.ecp5 import ecp5_multiplier
from kaniwa.hw.multiplier.ice40 import DualMultiplierIce40
from kaniwa.hw.verilog import to_verilog
from kaniwa.sim.device import simulated_core as device
from kaniwa.sim.device.verilate import build_library
from kaniwa.sim.primitives.models import primitive_models
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

pytestmark = pytest.mark.rtl

SMALL_MEMORIES = {"line_bytes": 2048, "ring_bytes": 4096, "memory_bytes": 64 * 1024}
CORES = {
    "small": (PRESETS["small"], ecp5_multiplier),
    "large": (PRESETS["large"], ecp5_multiplier),
    "narrow_base": (dataclasses.replace(PRESETS["base"], out_lanes=4, requant_lanes=4),
                    ecp5_multiplier),
    "nano": (PRESETS["nano"], lambda config: DualMultiplierIce40),
}
KINDS = ("conv", "depthwise", "fully_connected", "max_pool", "residual")   # the first 3 anywhere


def with_lowest_weights(graph, seed):
    """The graph with a third of its weights -128."""
    rng = np.random.default_rng(seed)
    tensors = []
    for tensor in graph.tensors:
        if tensor.data is not None and tensor.data.dtype == np.int8:
            data = np.where(rng.random(tensor.shape) < 1 / 3, np.int8(-128), tensor.data)
            data.setflags(write=False)
            tensor = dataclasses.replace(tensor, data=data)
        tensors.append(tensor)
    return dataclasses.replace(graph, tensors=tuple(tensors))


@pytest.mark.parametrize("name", [     # large has the blocks of small, more of them
    pytest.param(name, marks=[pytest.mark.long] if name == "large" else []) for name in CORES])
def test_layers_with_weights_of_minus_128_are_exact(name, monkeypatch):
    config, family = CORES[name]
    config = dataclasses.replace(config, **SMALL_MEMORIES, name=f"{name}_blocks")

    def library(config, *, trace, observed, progress):
        assert not observed
        text = to_verilog(make_core(config, multiplier=family(config)), "core")
        models = primitive_models(text)
        assert models
        return build_library(models + text, config, trace=trace, progress=progress)

    monkeypatch.setattr(device, "core_library", library)
    outside = None if config.compact else "ideal"
    kinds = KINDS[:3] if config.compact else KINDS
    with device.SimDevice(config, outside=outside) as core:
        for number, kind in enumerate(kinds):
            graph = with_lowest_weights(random_graph(number, kind, macs=1 << 17), number)
            program = compile(graph, config, outside=outside)
            session = Session(program, core)
            inputs = random_input(graph, number)
            expected = golden.run(graph, inputs)
            outputs = session.run(inputs)
            for tensor in graph.outputs:
                np.testing.assert_array_equal(
                    outputs[graph.tensors[tensor].name], expected[tensor], err_msg=kind)
            assert session.stats.cycles == pytest.approx(estimate(program).cycles, rel=0.01)
