"""Random operators of TFLite files on the accelerator: exact, and none of 8 bits on the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.operator_cases import DRAWS, Cases

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph, check
from kaniwa.importers.tflite.importer import import_tflite

COUNT = 60
LIMITS = ("is computed; make it constant",      # the value around a PADV2
          "it compares 1 values", "leave it to the host")
KINDS = ("PAD", "PADV2", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "RESIZE_NEAREST_NEIGHBOR",
         "TILE", "BROADCAST_TO", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "GATHER",
         "CONCATENATION", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "RESIZE_BILINEAR")
COMPARED = ("ARG_MAX", "ARG_MIN")


def random_operators(kind: str, count: int) -> tuple[Graph, dict[str, np.ndarray]]:
    """Those of 8 bits among so many random cases, side by side, and their inputs."""
    cases = Cases()
    for seed in range(count):
        DRAWS[kind](cases, np.random.default_rng([seed, *kind.encode()]), kind)
    graph = import_tflite(cases.builder.build(cases.inputs, cases.outputs), "cases.tflite")
    values = dict(zip(cases.inputs, cases.arrays, strict=True))
    ops = tuple(op for op in graph.ops
                if all(graph.tensors[i].dtype in ("int8", "uint8")
                       for i in op.inputs if i != -1 and graph.tensors[i].data is None))
    read = {i for op in ops for i in op.inputs}
    graph = check(replace(graph, ops=ops, inputs=tuple(i for i in graph.inputs if i in read),
                          outputs=tuple(i for op in ops for i in op.outputs)))
    return graph, {graph.tensors[i].name: values[i] for i in graph.inputs}


@pytest.mark.parametrize(("kind", "target"), [
    *((kind, target) for kind in KINDS for target in ("base", "nano")),
    *((kind, target) for kind in COMPARED for target in ("base", "small")),       # a maximum
    ("BATCH_MATMUL", "base_vector")])
def test_random_operators_are_exact_on_the_accelerator(kind: str, target: str) -> None:
    config = replace(PRESETS[target], memory_bytes=1 << 22)
    graph, inputs = random_operators(kind, COUNT)
    assert len(graph.ops) >= COUNT // 8
    program = compile(graph, config)
    assert not {op.why for op in program.host_ops
                if not any(limit in op.why for limit in LIMITS)}
    assert len(program.host_ops) < len(graph.ops)
    expected = golden.run(graph, inputs)
    got = Session(program, devices.open("emulator", config)).run(inputs)
    for i in graph.outputs:
        np.testing.assert_array_equal(got[graph.tensors[i].name], expected[i])
