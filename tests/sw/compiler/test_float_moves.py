"""What a quantiser left in float32 between a DEQUANTIZE and a QUANTIZE, on the accelerator.

The models are TFLite files, so golden is also compared with LiteRT.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from builders.files.islands import SCALE, ZERO, Islands, slopes_between

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.rewrite.float_functions import float_functions_folded
from kaniwa.compiler.rewrite.float_moves import moves_on_bytes
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.verify.litert import LiteRT

SIDE, CHANNELS = 8, 16
SHAPE = (1, SIDE, SIDE, CHANNELS)
Middle = Callable[[Islands, int], int]


def behind(middle: Middle) -> tuple[Islands, int]:
    """An input, what a part in float32 makes of it, in int8 again, between two functions of int8:
    the device has work on both sides."""
    b = Islands()
    x = b.tensor("x", SHAPE, scale=SCALE, zero_point=ZERO)
    before = b.tensor("before", SHAPE, scale=SCALE, zero_point=ZERO)
    b.op("RELU_N1_TO_1", (x,), (before,))
    made = middle(b, b.real(before))
    made = made if b.tensors[made].dtype != "float32" else b.bytes_of(made)
    after = b.tensor("after", b.tensors[made].shape, scale=0.04, zero_point=3)
    b.op("RELU", (made,), (after,))
    return b, after


def assert_on_the_device(content: bytes, target: str) -> Graph:
    """All of the model runs there, with golden's results, which are LiteRT's."""
    graph = import_tflite(content, "islands.tflite")
    x = np.random.default_rng(1).integers(-128, 128, SHAPE, np.int8)
    expected = golden.run(graph, [x])
    theirs = LiteRT(content, graph).run([x])
    program = compile(graph, target)
    assert not program.host_ops, [(op.kind, op.why) for op in program.host_ops]
    with devices.open("emulator", target) as device:
        got = Session(program, device).run([x])
    for i in graph.outputs:
        np.testing.assert_array_equal(theirs[i], expected[i])
        np.testing.assert_array_equal(got[graph.tensors[i].name], expected[i])
    return graph


MOVES: dict[str, Middle] = {
    "depth to space": lambda b, x: b.float32("DEPTH_TO_SPACE", (x,), (1, 16, 16, 4), BlockSize=2),
    "two views": lambda b, x: b.float32("SQUEEZE", (
        b.float32("EXPAND_DIMS", (x, b.numbers("axis", 2)), (1, SIDE, 1, SIDE, CHANNELS)),),
        SHAPE, SqueezeDims=[2]),
    "reversed": lambda b, x: b.float32("REVERSE_V2", (x, b.numbers("axes", [2])), SHAPE),
    "repeated": lambda b, x: b.float32("TILE", (x, b.numbers("times", [1, 2, 1, 1])),
                                       (1, 2 * SIDE, SIDE, CHANNELS)),
    "largest": lambda b, x: b.float32("REDUCE_MAX", (x, b.numbers("axes", [1, 2])),
                                      (1, 1, 1, CHANNELS), KeepDims=True),
    "first of two": lambda b, x: b.float32(
        "SPLIT_V", (x, b.numbers("sizes", [12, 4]), b.numbers("axis", 3)),
        (1, SIDE, SIDE, 12), (1, SIDE, SIDE, 4), NumSplits=2),
    "padded": lambda b, x: b.float32("PAD", (x, b.numbers("by", [[0, 0], [1, 2], [2, 1], [0, 0]])),
                                     (1, SIDE + 3, SIDE + 3, CHANNELS)),
    "a move and a function": lambda b, x: b.float32("LOGISTIC", (
        b.float32("TRANSPOSE", (x, b.numbers("order", [0, 2, 1, 3])), SHAPE),), SHAPE),
}


@pytest.mark.parametrize(("name", "target"), [
    (name, target) for name in MOVES for target in ("base", "nano")
    if (name, target) != ("largest", "nano")])      # which has no maxima
def test_moves_between_a_dequantize_and_a_quantize_are_of_bytes(name: str, target: str) -> None:
    b, y = behind(MOVES[name])
    assert_on_the_device(b.build((0,), (y,)), target)


def test_the_smaller_of_two_functions_is_one_of_bytes() -> None:
    """QUANTIZE keeps the order, so the smaller is chosen behind it."""
    b, y = behind(lambda b, x: b.float32("MINIMUM", (
        b.float32("LOGISTIC", (x,), SHAPE), b.float32("RELU", (x,), SHAPE)), SHAPE))
    assert_on_the_device(b.build((0,), (y,)), "base")


def test_a_place_of_the_largest_is_that_of_the_bytes() -> None:
    b = Islands()
    x = b.tensor("x", SHAPE, scale=SCALE, zero_point=ZERO)
    y = b.tensor("places", SHAPE[:-1], "int32")
    b.op("ARG_MAX", (b.real(x), b.numbers("axis", -1)), (y,), OutputType=2)
    assert_on_the_device(b.build((x,), (y,)), "base")


def test_parts_of_a_split_may_have_their_own_steps() -> None:
    b = Islands()
    x = b.tensor("x", SHAPE, scale=SCALE, zero_point=ZERO)
    half = (1, SIDE, SIDE, CHANNELS // 2)
    first = b.float32("SPLIT", (b.numbers("axis", 3), b.real(x)), half, half, NumSplits=2)
    parts = [b.bytes_of(first, 0.03, 5), b.bytes_of(first + 1, 0.09, -20)]
    assert_on_the_device(b.build((x,), parts), "base")


def test_a_quantize_that_changes_nothing_is_no_pass() -> None:
    """The same steps on both sides of a move: only the move is left."""
    for scale, kinds in ((SCALE, ["REVERSE_V2"]), (0.06, ["REVERSE_V2", "LOOKUP"])):
        b, y = behind(lambda b, x, scale=scale: b.bytes_of(
            b.float32("REVERSE_V2", (x, b.numbers("axes", [2])), SHAPE), scale))
        graph = import_tflite(b.build((0,), (y,)), "same.tflite")
        left = float_functions_folded(moves_on_bytes(graph))
        assert [op.kind for op in left.ops] == ["RELU_N1_TO_1", *kinds, "RELU"]


def test_what_stays_in_float32_is_moved_by_the_host() -> None:
    """A result in float32 is the model's own: nothing quantises it again."""
    b = Islands()
    x = b.tensor("x", SHAPE, scale=SCALE, zero_point=ZERO)
    before = b.tensor("before", SHAPE, scale=SCALE, zero_point=ZERO)
    b.op("RELU_N1_TO_1", (x,), (before,))
    y = MOVES["repeated"](b, b.real(before))
    program = compile(import_tflite(b.build((x,), (y,)), "edge.tflite"), "base")
    assert [op.kind for op in program.host_ops] == ["DEQUANTIZE", "TILE"]


def test_a_clamp_within_a_move_keeps_it_in_float32() -> None:
    """MAX_POOL_2D with an activation of its own clamps real values."""
    b, y = behind(lambda b, x: b.float32(
        "MAX_POOL_2D", (x,), (1, 4, 4, CHANNELS), Padding=1, StrideH=2, StrideW=2, FilterHeight=2,
        FilterWidth=2, FusedActivationFunction=3))
    program = compile(import_tflite(b.build((0,), (y,)), "clamp.tflite"), "base")
    assert "MAX_POOL_2D" in {op.kind for op in program.host_ops}


@pytest.mark.parametrize("zero_points", [(-128, -128), (1, -55), (127, 3), (-20, 127), (0, 0)])
@pytest.mark.parametrize("scales", [(0.085, 0.059), (0.5, 1.0), (0.02, 0.5), (0.7, 0.013)])
def test_slopes_of_channels_are_exact_for_every_value(scales: tuple[float, float],
                                                      zero_points: tuple[int, int]) -> None:
    slopes = np.random.default_rng(3).uniform(-0.3, 1.4, 24).astype(np.float32)
    slopes[:4] = 0, 1, 0.25, -0.5
    assert_slopes(slopes, scales, zero_points)


def assert_slopes(slopes: np.ndarray, scales: tuple[float, float],
                  zero_points: tuple[int, int]) -> None:
    """Golden, which LiteRT equals, and the accelerator agree about every int8 in each channel."""
    content = slopes_between(slopes, scales, zero_points)
    graph = import_tflite(content, "slopes.tflite")
    every = np.broadcast_to(np.arange(-128, 128, dtype=np.int8)[:, None], (256, len(slopes)))
    x = every.reshape(1, 256, 1, -1)
    expected = golden.run(graph, [x])[graph.outputs[0]]
    np.testing.assert_array_equal(LiteRT(content, graph).run([x])[graph.outputs[0]], expected)
    for target in ("base", "nano"):
        program = compile(graph, target)
        assert not program.host_ops, [(op.kind, op.why) for op in program.host_ops]
        with devices.open("emulator", target) as device:
            (got,) = Session(program, device).run([x]).values()
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("steps", [(0.7, 0.01, -20, 127), (0.0937398374080658,
                                                          0.06977007538080215, -50, -111)])
def test_halves_that_float32_rounds_either_way_are_exact(
        steps: tuple[float, float, int, int]) -> None:
    """17.5 and 19 / 36 times a step: float32 has some of their halves above the tie, some below."""
    slopes = np.array([0.25, 0.5, -0.39282227, 0.1], np.float32)
    assert_slopes(slopes, steps[:2], steps[2:])


def test_a_move_behind_slopes_is_of_bytes() -> None:
    """QUANTIZE goes up through several moves to what gives them their values."""
    slopes = np.linspace(-0.3, 0.6, CHANNELS, dtype=np.float32).reshape(1, 1, -1)
    b, y = behind(lambda b, x: b.float32("SQUEEZE", (b.float32("EXPAND_DIMS", (
        b.float32("PRELU", (x, b.numbers("alpha", slopes, "float32")), SHAPE),
        b.numbers("axis", 2)), (1, SIDE, 1, SIDE, CHANNELS)),), SHAPE, SqueezeDims=[2]))
    assert_on_the_device(b.build((0,), (y,)), "base")


@pytest.mark.parametrize("kind", ["SQUARE", "FLOOR", "SIN", "SIGN"])
def test_functions_that_litert_does_are_tables_of_its_results(kind: str) -> None:
    """Golden has no kernels for them: it runs LiteRT's, and so does the compiler, for 256 values.
    """
    b, y = behind(lambda b, x: b.float32(kind, (x,), SHAPE))
    graph = assert_on_the_device(b.build((0,), (y,)), "base")
    assert [op.rule for op in graph.ops if op.kind == kind] == ["litert"]
