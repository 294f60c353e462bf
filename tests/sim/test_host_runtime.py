"""Models with an operator of a framework's own runtime between two parts of the simulated core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders.files.runtime_models import onnx_mixed, tflite_mixed

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.session import Session
from kaniwa.importers import load_model
from kaniwa.runtimes import NAMES
from kaniwa.sim.device.simulated_core import SimDevice

pytestmark = pytest.mark.rtl


def test_the_core_works_before_and_behind_the_runtime(tmp_path: Path) -> None:
    models: dict[str, Callable[[], bytes]] = {"a.onnx": onnx_mixed, "b.tflite": tflite_mixed,
                                              "c.onnx": lambda: onnx_mixed("uint8")}
    with SimDevice(PRESETS["nano"]) as device:
        for name, build in models.items():
            (tmp_path / name).write_bytes(build())
            graph = load_model(tmp_path / name)
            assert any(op.rule in NAMES for op in graph.ops)
            program = compile(graph, target="nano")
            assert len(program.runs) == 2
            rng = np.random.default_rng(4)
            inputs = {t.name: rng.normal(0, 1, t.shape).astype(t.dtype) if t.dtype == "float32"
                      else rng.integers(-128, 128, t.shape, t.dtype) for t in program.inputs}
            session = Session(program, device)
            got, expected = session.run(inputs), golden.run(graph, inputs)
            for i in graph.outputs:
                np.testing.assert_array_equal(got[graph.tensors[i].name], expected[i])
            assert session.stats is not None and session.stats.cycles > 0
