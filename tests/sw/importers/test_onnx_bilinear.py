"""Linear Resize of ONNX models on the accelerator, exact against golden and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder

import kaniwa
from kaniwa.program.program import Program
from kaniwa.verify.diff import diff
from kaniwa.verify.litert import verify

pytest.importorskip("onnxruntime")

# Coordinates, size, factors or (negative) sizes of the result.
ON_DEVICE = [
    ("half_pixel", (5, 6), (2.0, 2.0)), ("half_pixel", (3, 4), (4.0, 4.0)),
    ("half_pixel", (3, 2), (8.0, 2.0)), ("half_pixel", (8, 12), (0.5, 0.5)),
    ("half_pixel", (4, 6), (2.0, 1.0)), ("pytorch_half_pixel", (5, 6), (2.0, 2.0)),
    ("asymmetric", (5, 6), (2.0, 4.0)), ("half_pixel_symmetric", (5, 6), (2.0, 2.0)),
    ("align_corners", (3, 5), (-5, -9)), ("half_pixel", (1, 1), (8.0, 4.0)),
]
ON_HOST = [("half_pixel", (5, 6), (3.0, 3.0)), ("align_corners", (5, 6), (2.0, 2.0)),
           ("tf_crop_and_resize", (4, 4), (2.0, 2.0))]


def resized(tmp_path: Path, how: str, size: tuple[int, int], factors: tuple[float, float],
            dtype: str = "int8", target: str = "base", steps: float | None = None) -> Program:
    """The program of a convolution and a Resize, which equals golden, and golden ONNX Runtime."""
    b = OnnxBuilder(sum(size), dtype)
    x = b.activation((1, 3, *size), 0.05)
    near = b.quantized(b.node("Conv", [x, b.weights((13, 3, 1, 1), axis=0)]), 0.3)
    wanted = ([b.constant(np.array([1, 1, *factors], np.float32))] if factors[0] > 0 else
              ["", b.constant(np.array([1, 13, *(-int(f) for f in factors)], np.int64))])
    region = b.constant(np.array([0, 0, .1, .1, 1, 1, .8, .9], np.float32)) if "crop" in how else ""
    y = b.node("Resize", [near, region, *wanted], mode="linear",
               coordinate_transformation_mode=how)
    path = tmp_path / "m.onnx"
    path.write_bytes(b.model(b.quantized(y, steps)))
    found = verify(path, "onnxruntime", layers=True, limit=3)
    assert not found["mismatches"], found["first_mismatch"]
    program = kaniwa.compile(path, target=target)
    for _ in range(2):
        assert diff(program, ["golden", "emulator"], b.samples(1.0))["first_difference"] is None
    return program


def on_host(program: Program) -> list[str]:
    return [op.kind for op in program.host_ops if op.kind == "RESIZE"]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("how, size, factors", ON_DEVICE)
def test_powers_of_two_are_the_devices(how: str, size: tuple[int, int],
                                       factors: tuple[float, float], dtype: str,
                                       tmp_path: Path) -> None:
    assert on_host(resized(tmp_path, how, size, factors, dtype)) == []


@pytest.mark.parametrize("target", ["nano", "small", "large"])
def test_every_target_has_it(target: str, tmp_path: Path) -> None:
    assert on_host(resized(tmp_path, "half_pixel", (5, 6), (2.0, 2.0), target=target)) == []


@pytest.mark.parametrize("steps", [0.3, 0.1, 0.9, 0.6])
def test_ties_are_the_rules(steps: float, tmp_path: Path) -> None:
    """Scales whose quotients put sums between two results."""
    assert on_host(resized(tmp_path, "half_pixel", (5, 6), (2.0, 2.0), steps=steps)) == []


@pytest.mark.parametrize("how, size, factors", ON_HOST)
def test_other_weights_are_the_hosts(how: str, size: tuple[int, int],
                                     factors: tuple[float, float], tmp_path: Path) -> None:
    program = resized(tmp_path, how, size, factors)
    assert on_host(program) == ["RESIZE"]
    (why,) = (op.why for op in program.host_ops if op.kind == "RESIZE")
    assert "resize by a factor" in why or "only linear ones of whole maps" in why
