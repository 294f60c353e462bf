"""Random networks of int8 and int16: functions, arithmetic, moves, layers and attention of both,
and operators of the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from builders.graphs.wide_builder import FULL, WideBuilder
from kaniwa.graph import Graph

__all__ = ["random_wide"]


def random_wide(seed: int) -> Graph:
    """An input of either type, up to 20 operators, of which each takes what any before made; what
    nobody reads is an output."""
    b = WideBuilder(seed)
    shape = (1, *map(int, b.rng.integers(1, 6, 2)), int(b.rng.choice([3, 8, 12])))
    x = b.tensor(shape) if b.rng.random() < 0.7 else b.wide(shape, 0.0004)
    made = [x]
    for _ in range(int(b.rng.integers(4, 20))):
        a = made[int(b.rng.integers(len(made)))]
        wide = b.tensors[a].dtype == "int16"
        steps: tuple[Callable[..., int], ...] = (
            (_function, _function, _arithmetic, _arithmetic, _moved, _summed, _summed, _attended,
             _narrowed, _absolute)
            if wide else (_widened, _widened, _layer, _moved, _root))
        step = steps[int(b.rng.integers(len(steps)))]
        made.append(step(b, a, made))
    read = {i for op in b.ops for i in op.inputs}
    return b.graph((x,), tuple(i for i in made if i not in read))


def _function(b: WideBuilder, a: int, _: list[int]) -> int:
    kind = str(b.rng.choice(["LOGISTIC", "TANH", "GELU", "EXP", "RELU", "RELU6"]))
    if kind == "EXP" and b.steps(a)[0] > 0.002:      # it would leave float32
        kind = "TANH"
    scale = FULL if kind in ("LOGISTIC", "TANH") else float(b.rng.uniform(0.0002, 0.001))
    return b.function(kind, a, scale)


def _arithmetic(b: WideBuilder, a: int, made: list[int]) -> int:
    """Of what has the same shape, itself perhaps, or of a constant."""
    shape = b.tensors[a].shape
    others = [i for i in made if (b.tensors[i].shape, b.tensors[i].dtype) == (shape, "int16")]
    other = int(b.rng.choice(others))
    if b.rng.random() < 0.4:
        of = shape[int(b.rng.integers(len(shape) + 1)):]
        other = b.wide(of, 0.0003, b.rng.integers(-32768, 32768, of).astype(np.int16))
    pair = (a, other) if b.rng.random() < 0.5 else (other, a)
    return b.arithmetic(str(b.rng.choice(["ADD", "SUB", "MUL"])), *pair, 0.0011,
                        str(b.rng.choice(["NONE", "RELU", "RELU_N1_TO_1"])))


def _moved(b: WideBuilder, a: int, _: list[int]) -> int:
    """Turned, cut, joined with itself, or by another name."""
    tensor, kind = b.tensors[a], int(b.rng.integers(4))
    scale, zero_point = b.steps(a)

    def like(shape: tuple[int, ...]) -> int:
        return (b.wide(shape, scale) if tensor.dtype == "int16"
                else b.tensor(shape, scale, zero_point))

    batch, rows, columns, channels = tensor.shape
    if kind == 0:
        return b.op("TRANSPOSE", (a,), like((batch, columns, rows, channels)),
                    permutation=(0, 2, 1, 3))
    if kind == 1:
        first = int(b.rng.integers(columns))
        return b.op("STRIDED_SLICE", (a,), like((batch, rows, columns - first, channels)),
                    begin=(0, 0, first, 0), end=tensor.shape, stride=(1, 1, 1, 1))
    if kind == 2 and columns < 12:
        return b.op("CONCATENATION", (a, a), like((batch, rows, 2 * columns, channels)), axis=2)
    shape = (batch, 1, rows * columns, channels)
    return b.op("RESHAPE", (a,), like(shape), shape=shape)


def _widened(b: WideBuilder, a: int, _: list[int]) -> int:
    return b.quantize(a, float(b.rng.uniform(0.0002, 0.01)))


def _narrowed(b: WideBuilder, a: int, _: list[int]) -> int:
    return b.quantize(a, float(b.rng.uniform(0.003, 0.1)), int(b.rng.integers(-128, 128)))


def _layer(b: WideBuilder, a: int, _: list[int]) -> int:
    return b.conv(a, int(b.rng.choice([3, 8, 12])), (1, 1))


def _summed(b: WideBuilder, a: int, _: list[int]) -> int:
    """Products with weights, or of values of one axis, or of windows."""
    _, rows, columns, channels = b.tensors[a].shape
    kind, scale = int(b.rng.integers(5)), float(b.rng.uniform(0.001, 0.01))
    if kind == 0:
        return b.wide_conv(a, int(b.rng.choice([3, 8, 12])), (1, 1), scale=scale)
    if kind == 1:
        return b.wide_conv(a, channels, (3, 1), depthwise=1, scale=scale)
    if kind == 2:
        return b.wide_dense(a, int(b.rng.choice([3, 8, 12])), 10 * scale)
    if kind == 3:
        return b.wide_mean(a, (int(b.rng.integers(1, 4)),))
    return b.wide_pool(a, (min(rows, 2), min(columns, 3)), (1, 1),
                       str(b.rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])))


def _attended(b: WideBuilder, a: int, _: list[int]) -> int:
    """Softmax, a normalisation, or a product of rows with one another."""
    kind = int(b.rng.integers(3))
    if kind == 0:
        return b.wide_softmax(a)
    if kind == 1:
        return b.wide_normalised(a, 0.0004)
    return b.wide_product(a, a, float(b.rng.uniform(0.001, 0.01)), adj_y=True)


def _absolute(b: WideBuilder, a: int, _: list[int]) -> int:
    """The host's, of int16."""
    scale, _ = b.steps(a)
    return b.op("ABS", (a,), b.wide(b.tensors[a].shape, scale), "litert_abs")


def _root(b: WideBuilder, a: int, _: list[int]) -> int:
    return b.over_float(a)
