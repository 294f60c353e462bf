"""Compiled ADD, SUB and MUL equal LiteRT's reference kernels on the emulator, to the bit."""

import numpy as np
import pytest
from builders.files import tflite_layers as layers

from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.compiler.pipeline import compile
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.driver.session import Session
from kaniwa.errors import UnsupportedError
from kaniwa.importers.tflite.importer import import_tflite

pytest.importorskip("ai_edge_litert")

from kaniwa.verify.litert import LiteRT

EVERY = np.arange(-128, 128).astype(np.int8)


def compared(layer: layers.Layer) -> tuple[np.ndarray, np.ndarray]:
    """What the emulator makes of the layer, and LiteRT."""
    content, arrays = layer
    graph = import_tflite(content, "layer.tflite")
    sample = {graph.tensors[i].name: a for i, a in zip(graph.inputs, arrays, strict=True)}
    output = graph.outputs[0]
    session = Session(compile(graph, "base", outside="ideal"), EmulatorDevice())
    return (session.run(sample)[graph.tensors[output].name],
            LiteRT(content, graph).run(sample, [output])[output])


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_random_elementwise_layers_equal_litert(kind: str) -> None:
    done = 0
    for seed in range(60):
        rng = np.random.default_rng([seed, *kind.encode()])
        try:
            ours, theirs = compared(layers.random_elementwise(rng, kind))
        except UnsupportedError as error:
            assert "is broadcast from" in str(error)
            continue
        assert np.array_equal(ours, theirs), f"{kind}: seed {seed}"
        done += 1
    assert done > 40


@pytest.mark.parametrize("zeros", [(0, 0, 0), (-128, 127, 5)])
@pytest.mark.parametrize("scale", [2.0**-1, 2.0**-4, 2.0**-8, 3 * 2.0**-10, 1.0, 3.0, 0.0123])
def test_every_pair_of_bytes_equals_litert(scale: float, zeros: tuple[int, int, int]) -> None:
    """Products times ``scale``: powers of two have ties, whose rounding tells rules apart."""
    b, shape = ModelBuilder(), [1, 256, 256, 1]
    quantizations = zip("xzy", (0.5, 0.25, 0.125 / scale), zeros, strict=True)
    x, z, y = (b.tensor(n, shape, scale=s, zero_point=zero) for n, s, zero in quantizations)
    b.op("MUL", [x, z], [y], FusedActivationFunction=0)
    pairs = [EVERY.repeat(256).reshape(shape), np.tile(EVERY, 256).reshape(shape)]
    ours, theirs = compared((b.build([x, z], [y]), pairs))
    assert np.array_equal(ours, theirs)
