"""Programs side by side in the simulated core's memory: switched 100 times, no image moved."""

import dataclasses

import numpy as np
import pytest
from builders.graphs.streaming_convolution import streaming_convolution

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.session import Session
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

# Small enough to build in seconds; that of test_device.py, so that it is built once.
CONFIG = dataclasses.replace(
    PRESETS["small"], line_bytes=2048, ring_bytes=2048, parameter_records=64,
    memory_bytes=64 * 1024, instruction_queue=2, name="tiny")


@pytest.mark.rtl
def test_100_switches_are_exact_and_move_inputs_only(monkeypatch):
    """One program goes on with its state, which stays where it is while the other runs."""
    graphs = [streaming_convolution(), random_graph(3, "conv", macs=1 << 12)]
    programs = []
    for graph in graphs:
        programs.append(from_bytes(to_bytes(compile(graph, CONFIG, behind=programs))))
    assert programs[0].resident and programs[1].local_base == programs[0].local_bytes
    states, written = [{}, {}], []
    with SimDevice(CONFIG, stalls=0.2, seed=1) as device:
        sessions = [Session(program, device) for program in programs]
        sessions[0].run(random_input(graphs[0], 1000))      # takes its cleared state with it
        golden.run(graphs[0], random_input(graphs[0], 1000), state=states[0])
        write = device.write
        monkeypatch.setattr(device, "write", lambda address, data: written.append(
            (address, len(data))) or write(address, data))
        for turn in range(100):
            number = turn % 2
            inputs = random_input(graphs[number], turn)
            values = golden.run(graphs[number], inputs, state=states[number])
            outputs = sessions[number].run(inputs)
            for i in graphs[number].outputs:
                assert np.array_equal(outputs[graphs[number].tensors[i].name], values[i]), turn
    inputs = [[(tensor.address, tensor.bytes) for tensor in program.inputs] for program in programs]
    assert written == 50 * (inputs[0] + inputs[1])
