"""Biases next to the ends of int32 in ONNX models, beside which products hardly count."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.large_biases import large_biases

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("target", ["base", "nano", "large"])
def test_results_of_channels_that_are_nearly_constant_are_exact(target: str,
                                                                depthwise: bool) -> None:
    for steps in (1e-4, 0.003, 0.3):
        graph = large_biases("qdq", depthwise, steps)
        program = compile(graph, target, require_accelerator=True)
        session = Session(program, devices.open("emulator", target))
        seen = set[int]()
        for seed in range(3):
            rng = np.random.default_rng(seed)
            x = rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape, np.int8)
            (got,) = session.run([x]).values()
            expected = golden.run(graph, [x])[graph.outputs[0]]
            np.testing.assert_array_equal(got, expected)
            seen.update(np.unique(expected[..., 0]).tolist())
        assert len(seen) == 2      # of the channel whose bias is a half


def test_litert_has_sums_of_int32() -> None:
    with pytest.raises(CompileError, match="the accumulator may reach .* beyond int32"):
        compile(large_biases("litert_double_rounding", steps=0.003), require_accelerator=True)
