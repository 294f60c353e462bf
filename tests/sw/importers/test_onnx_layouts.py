"""Maps of ONNX models that are reshaped within their channels or their pixels."""

from __future__ import annotations

import random
from math import prod
from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder

import kaniwa
from kaniwa.graph import Graph
from kaniwa.importers.onnx.families.movement import layouts
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.verify.diff import diff
from kaniwa.verify.litert import verify

pytest.importorskip("onnxruntime")


def divisors(rng: random.Random, number: int) -> list[int]:
    """Factors of a number, with ones between."""
    factors = []
    while number > 1:
        factor = rng.choice([n for n in range(2, number + 1) if number % n == 0])
        factors.append(factor)
        number //= factor
        if rng.random() < 0.2:
            factors.append(1)
    return factors or [1]


def test_numbers_keep_their_order_in_every_layout() -> None:
    rng, kept = random.Random(1), 0
    for _ in range(400):
        old = tuple(rng.choice([1, 2, 3, 4, 6]) for _ in range(rng.randint(1, 5)))
        new = tuple(divisors(rng, prod(old)))
        form = tuple(rng.sample(range(len(old)), len(old)))
        before, behind = layouts(old, form, new)
        data = np.arange(prod(old)).reshape(old)
        np.testing.assert_array_equal(
            data.transpose(before).reshape([new[axis] for axis in behind]),
            data.reshape(new).transpose(behind))
        kept += [a for a in before if old[a] > 1] == [a for a in form if old[a] > 1]
    assert kept > 40      # nothing moves


def convolved(b: OnnxBuilder, x: str, channels: tuple[int, int], size: int = 1) -> str:
    weights = b.weights((channels[1], channels[0], size, size), axis=0)
    made = b.node("Conv", [x, weights], kernel_shape=[size, size], pads=[size // 2] * 4)
    return b.quantized(made, 0.4)


def shaped(b: OnnxBuilder, x: str, *shape: int) -> str:
    return b.node("Reshape", [x, b.constant(np.array(shape, np.int64))])


def shuffled(b: OnnxBuilder, x: str, groups: int, channels: int, size: tuple[int, int]) -> str:
    """PyTorch's channel shuffle."""
    apart = shaped(b, x, 1, groups, channels // groups, *size)
    moved = b.node("Transpose", [apart], perm=[0, 2, 1, 3, 4])
    return shaped(b, moved, 1, channels, *size)


def compared(b: OnnxBuilder, output: str, path: Path, target: str = "base") -> Graph:
    data = b.model(output)
    path.write_bytes(data)
    found = verify(path, "onnxruntime", layers=True, limit=2)
    assert not found["mismatches"], found["first_mismatch"]
    program = kaniwa.compile(path, target=target)
    assert diff(program, ["golden", "emulator"], b.samples(1.0))["first_difference"] is None
    return import_onnx(data, "m.onnx")


def inner_moves(graph: Graph) -> list[tuple[int, ...]]:
    """The permutations between the first and the last convolution."""
    kinds = [op.kind for op in graph.ops]
    first, last = kinds.index("CONV_2D"), len(kinds) - kinds[::-1].index("CONV_2D")
    return [tuple(op.attributes["permutation"]) for op in graph.ops[first:last]
            if op.kind == "TRANSPOSE" and isinstance(op.attributes["permutation"], tuple)]


@pytest.mark.parametrize("groups, channels", [(2, 16), (3, 12), (4, 32)])
def test_a_channel_shuffle_moves_bytes_within_pixels(groups: int, channels: int,
                                                     tmp_path: Path) -> None:
    b = OnnxBuilder(1)
    x = convolved(b, b.activation((1, 3, 6, 5), 0.05), (3, channels), 3)
    y = convolved(b, shuffled(b, x, groups, channels, (6, 5)), (channels, 8))
    graph = compared(b, y, tmp_path / "m.onnx")
    assert inner_moves(graph) == [(0, 1, 2, 4, 3)]


def test_pixels_in_a_row_are_not_moved(tmp_path: Path) -> None:
    """Patches as a vision transformer flattens them, and back."""
    b = OnnxBuilder(2)
    x = convolved(b, b.activation((1, 3, 6, 5), 0.05), (3, 16), 3)
    tokens = b.node("Transpose", [shaped(b, x, 1, 16, 30)], perm=[0, 2, 1])
    tokens = b.quantized(b.node("Relu", [tokens]), 0.3)
    back = shaped(b, b.node("Transpose", [tokens], perm=[0, 2, 1]), 1, 16, 6, 5)
    graph = compared(b, convolved(b, back, (16, 8)), tmp_path / "m.onnx")
    assert inner_moves(graph) == []


def test_what_mixes_channels_and_pixels_has_the_models_order(tmp_path: Path) -> None:
    b = OnnxBuilder(3)
    x = convolved(b, b.activation((1, 3, 6, 6), 0.05), (3, 16), 3)
    mixed = shaped(b, x, 1, 36, 4, 4)
    compared(b, convolved(b, mixed, (36, 8)), tmp_path / "m.onnx")
    b = OnnxBuilder(4)
    x = convolved(b, b.activation((1, 3, 6, 6), 0.05), (3, 16), 3)
    compared(b, convolved(b, shaped(b, x, 1, 8, 2, 36), (8, 4)), tmp_path / "n.onnx")


def test_heads_are_joined_by_runs(tmp_path: Path) -> None:
    """What attention gives, [heads, tokens, depth], is transposed once, a head's row at a time."""
    b = OnnxBuilder(5)
    heads = b.activation((1, 4, 6, 8), 0.05)
    joined = shaped(b, b.node("Transpose", [b.quantized(b.node("Relu", [heads]), 0.04)],
                              perm=[0, 2, 1, 3]), 1, 6, 32)
    weights = b.weights((32, 8), axis=1)
    y = b.quantized(b.node("MatMul", [joined, weights]), 0.4)
    graph = compared(b, y, tmp_path / "m.onnx")
    assert [op.attributes["permutation"] for op in graph.ops if op.kind == "TRANSPOSE"] == [
        (0, 2, 1, 3)]


@pytest.mark.parametrize("kind", ["Add", "Concat"])
def test_operands_meet_in_the_layout_that_both_have(kind: str, tmp_path: Path) -> None:
    """The skip of a transformer's block, whose input a Transpose made: it is moved once."""
    b = OnnxBuilder(4)
    turned = b.node("Transpose", [b.activation((1, 8, 12), 0.05)], perm=[0, 2, 1])
    x = b.quantized(b.node("Relu", [turned]), 0.05)
    for _ in range(2):
        branch = b.quantized(b.node("MatMul", [x, b.weights((8, 8))]), 0.3)
        joined = b.node(kind, [x, branch], **({"axis": 1} if kind == "Concat" else {}))
        x = b.quantized(joined, 0.05)
    graph = compared(b, x, tmp_path / "m.onnx")
    assert [op.kind for op in graph.ops].count("TRANSPOSE") <= 1
