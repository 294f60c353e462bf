"""Graphs with operators of int16, compiled and run in the emulator against golden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph

__all__ = ["BASE", "CONFIGS", "TWO_LANES", "assert_exact"]

BASE = PRESETS["base_vector"]
TWO_LANES = replace(PRESETS["small"], vector_unit=True, memory_bytes=128 * 1024, name="two_lanes")
# A group of int16 is two words of memory.
WIDE_GROUPS = replace(BASE, requant_lanes=16, out_lanes=16, read_bytes=16, write_bytes=16,
                      name="wide_groups")
CONFIGS = (BASE, TWO_LANES, WIDE_GROUPS)


def assert_exact(graph: Graph, config: AcceleratorConfig) -> None:
    """All on the device, in as much memory as there is, equal to golden."""
    program = compile(graph, config, require_accelerator=True)
    for tensor in program.tensors:
        lanes = config.requant_lanes * np.dtype(tensor.dtype).itemsize
        if tensor.address is not None:      # the last group may reach beyond the tensor
            assert tensor.address + -(-tensor.bytes // lanes) * lanes <= program.local_bytes
    session = Session(program, devices.open("emulator", config))
    rng = np.random.default_rng(len(graph.ops))
    for _ in range(2):
        inputs = {}
        for i in graph.inputs:
            tensor = graph.tensors[i]
            limits = np.iinfo(tensor.dtype)
            values = rng.integers(limits.min, limits.max + 1, tensor.shape).astype(tensor.dtype)
            values.flat[:2] = limits.min, limits.max
            inputs[tensor.name] = values
        expected, outputs = golden.run(graph, inputs), session.run(inputs)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i])
