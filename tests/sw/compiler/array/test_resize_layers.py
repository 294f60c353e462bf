"""RESIZE_BILINEAR on the array, exact against golden, and what the host keeps of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.move_case import resized

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError

KIND = "RESIZE_BILINEAR"
SIZES = {
    "double": ((1, 5, 6, 8), (10, 12)),
    "double batches of odd channels": ((2, 4, 3, 11), (8, 6)),
    "double rows alone": ((1, 5, 4, 8), (10, 4)),
    "quadruple": ((1, 3, 5, 8), (12, 20)),
    "eightfold": ((1, 3, 2, 21), (24, 16)),
    "halve": ((1, 8, 12, 8), (4, 6)),
    "spread a pixel": ((1, 1, 1, 16), (8, 4)),
    "nothing": ((1, 3, 4, 8), (3, 4)),
}


def check(name: str, target: str, dtype: str, **way: bool) -> None:
    shape, size = SIZES[name]
    graph = resized(shape, size, dtype, kind=KIND, **way)
    config = replace(PRESETS[target], memory_bytes=1 << 18)
    program = compile(graph, config, require_accelerator=True)
    session = Session(program, devices.open("emulator", config))
    for seed in range(2):
        x = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8).view(dtype)
        (got,) = session.run([x]).values()
        np.testing.assert_array_equal(got, golden.run(graph, [x])[graph.outputs[0]])


@pytest.mark.parametrize("target", ["base", "small", "nano"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("name", SIZES)
def test_bilinear_equals_golden(name: str, dtype: str, target: str) -> None:
    check(name, target, dtype)
    check(name, target, dtype, half_pixel_centers=True)


def test_corners_that_are_a_power_of_two_apart_are_exact() -> None:
    graph = resized((1, 5, 9, 8), (9, 17), kind=KIND, align_corners=True)
    session = Session(compile(graph, require_accelerator=True), devices.open("emulator"))
    x = np.random.default_rng(3).integers(-128, 128, (1, 5, 9, 8)).astype(np.int8)
    (got,) = session.run([x]).values()
    np.testing.assert_array_equal(got, golden.run(graph, [x])[graph.outputs[0]])


@pytest.mark.parametrize(("dtype", "reason"), [
    ("int8", "its pixels have weights of .* fractional bits; resize by a factor of 2, 4 or 8"),
    ("uint8", "its pixels lie between fractions of the others")])
def test_other_distances_are_the_hosts(dtype: str, reason: str) -> None:
    graph = resized((1, 5, 6, 8), (10, 12), dtype, kind=KIND, align_corners=True)
    with pytest.raises(CompileError, match=reason):
        compile(graph, require_accelerator=True)
    assert compile(graph).host_ops
