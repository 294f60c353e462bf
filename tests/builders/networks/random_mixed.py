"""Random networks of everything: layers, pooling, attention, recurrent cells, frames that are kept,
moves, functions, a part in int16, and operators of the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from builders.graphs.lstm_case import lstm_graph
from builders.graphs.wide_builder import WideBuilder, gated
from kaniwa.golden.onnx.softmax import RULE as FIXED_POINT
from kaniwa.graph import Graph, State, check

__all__ = ["random_mixed"]

LARGEST = 600      # elements of a tensor that grows


def random_mixed(seed: int) -> Graph:
    """An int8 input and up to 14 operators or groups of them, of which each takes what any before
    made; what nobody reads is an output."""
    b = _Builder(seed)
    shape = (1, *map(int, b.rng.integers(1, 7, 2)), int(b.rng.choice([3, 4, 8, 11, 16])))
    x = b.tensor(shape, 0.05, int(b.rng.integers(-128, 128)))
    made = [x]
    for _ in range(int(b.rng.integers(3, 14))):
        a = made[max(int(b.rng.integers(len(made))), int(b.rng.integers(len(made))))]
        step = _STEPS[int(b.rng.integers(len(_STEPS)))]
        made.append(step(b, a, made))
    read = {i for op in b.ops for i in op.inputs}
    outputs = tuple(i for i in made if i not in read)
    variables = tuple(state.tensor for state in b.states)
    graph = b.graph((x, *variables), outputs)
    return check(replace(graph, inputs=(x,), state=tuple(b.states)))


class _Builder(WideBuilder):
    """With variables."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.states: list[State] = []

    def any_scale(self) -> tuple[float, int]:
        """Of an activation."""
        return float(self.rng.uniform(0.02, 0.2)), int(self.rng.integers(-128, 128))

    def lstm(self, x: int, count: int, **form: Any) -> int:
        """A cell that reads [1, steps, depth], and its variables."""
        _, steps, depth = self.tensors[x].shape
        cell = lstm_graph(self.rng, steps, depth, count, time_major=False, **form)
        base = len(self.tensors) - 1
        names = {cell.inputs[0]: x} | {t.id: t.id + base for t in cell.tensors[1:]}
        assert cell.inputs == (0,)
        self.tensors += [replace(t, id=names[t.id], name=f"{t.name}{len(self.ops)}",
                                 source_index=None) for t in cell.tensors[1:]]
        op = cell.ops[0]
        self.ops.append(replace(
            op, name=f"lstm{len(self.ops)}", source_index=len(self.ops),
            inputs=tuple(i if i == -1 else names[i] for i in op.inputs),
            outputs=tuple(names[i] for i in op.outputs)))
        self.states += [replace(s, tensor=names[s.tensor], following=names[s.following])
                        for s in cell.state]
        return names[cell.outputs[0]]


def _conv(b: _Builder, a: int, _: list[int]) -> int:
    _, rows, columns, channels = b.tensors[a].shape
    kernel = int(b.rng.integers(1, 4)), int(b.rng.integers(1, 4))
    depthwise = int(b.rng.random() < 0.3)
    outputs = channels if depthwise else int(b.rng.choice([2, 5, 8, 16, 20]))
    stride = (1, 1) if b.rng.random() < 0.7 else (2, 2)
    pad = None if kernel[0] % 2 and kernel[1] % 2 else 0
    if pad == 0 and (kernel[0] > rows or kernel[1] > columns):
        kernel, pad = (1, 1), None
    return b.requantized(b.conv(a, outputs, kernel, stride, pad=pad, depthwise=depthwise,
                                activation=str(b.rng.choice(["NONE", "RELU"]))), *b.any_scale())


def _dense(b: _Builder, a: int, _: list[int]) -> int:
    channels, outputs = b.tensors[a].shape[-1], int(b.rng.choice([3, 8, 17, 24]))
    y = b.tensor((*b.tensors[a].shape[:-1], outputs), *b.any_scale())
    return b.op("FULLY_CONNECTED", (a, b.weights((outputs, channels)), b.bias(outputs)), y,
                "litert_float_half_away", activation="NONE", keep_num_dims=True)


def _pool(b: _Builder, a: int, _: list[int]) -> int:
    _, rows, columns, _ = b.tensors[a].shape
    return b.pool(a, str(b.rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])),
                  (min(rows, 2), min(columns, 3)))


def _mean(b: _Builder, a: int, _: list[int]) -> int:
    axes = ((1, 2), (2,), (3,), (1,))[int(b.rng.integers(4))]
    shape = tuple(1 if n in axes else size for n, size in enumerate(b.tensors[a].shape))
    scale, zero_point = b.steps(a)
    return b.op("MEAN", (a,), b.tensor(shape, scale * 0.8, zero_point), "litert_mean", axes=axes,
                keep_dims=True)


def _arithmetic(b: _Builder, a: int, made: list[int]) -> int:
    """Of two of a shape, of one and its mean, or of a constant."""
    shape = b.tensors[a].shape
    kind = str(b.rng.choice(["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"]))
    others = [i for i in made if b.tensors[i].shape == shape]
    other, way = int(b.rng.choice(others)), int(b.rng.integers(3))
    if way == 0:
        other = _mean(b, a, made)
    elif way == 1:
        of = shape[int(b.rng.integers(len(shape) + 1)):]
        other = b.tensor(of, 0.04, 7, b.rng.integers(-128, 128, of).astype(np.int8))
    pair = (a, other) if b.rng.random() < 0.5 else (other, a)
    return b.elementwise(kind, *pair, str(b.rng.choice(["NONE", "RELU"])), *b.any_scale())


def _moved(b: _Builder, a: int, _: list[int]) -> int:
    batch, rows, columns, channels = shape = b.tensors[a].shape
    kind, steps = int(b.rng.integers(5)), b.steps(a)
    if kind == 0:
        return b.op("TRANSPOSE", (a,), b.tensor((batch, columns, rows, channels), *steps),
                    permutation=(0, 2, 1, 3))
    if kind == 1:
        first = int(b.rng.integers(columns))
        return b.op("STRIDED_SLICE", (a,), b.tensor((batch, rows, columns - first, channels),
                                                    *steps),
                    begin=(0, 0, first, 0), end=shape, stride=(1, 1, 1, 1))
    if kind == 2 and 2 * b.size(a) < LARGEST:
        return b.op("CONCATENATION", (a, a), b.tensor((batch, rows, columns, 2 * channels), *steps),
                    axis=3)
    if kind == 3:
        return b.op("REVERSE_V2", (a,), b.tensor(shape, *steps), axes=(2,))
    return b.reshape(a, (batch, 1, rows * columns, channels))


def _grown(b: _Builder, a: int, _: list[int]) -> int:
    """A map with an edge around it, a larger one, or one of blocks of pixels."""
    batch, rows, columns, channels = b.tensors[a].shape
    kind, steps = int(b.rng.integers(5)), b.steps(a)
    larger = b.tensor((batch, 2 * rows, 2 * columns, channels), *steps)
    centers = {"align_corners": False, "half_pixel_centers": bool(b.rng.integers(2))}
    if kind == 0 or 4 * b.size(a) > LARGEST:
        pads = tuple((int(n), int(m)) for n, m in b.rng.integers(0, 2, (2, 2)))
        (top, bottom), (left, right) = pads
        shape = batch, rows + top + bottom, columns + left + right, channels
        return b.op("PAD", (a,), b.tensor(shape, *steps), paddings=((0, 0), *pads, (0, 0)))
    if kind == 1:
        return b.op("RESIZE_NEAREST_NEIGHBOR", (a,), larger, **centers)
    if kind == 2:
        return b.op("RESIZE_BILINEAR", (a,), larger, "litert_bilinear", **centers)
    if kind == 3:
        return b.requantized(b.transpose_conv(a, int(b.rng.choice([3, 8]))), *b.any_scale())
    return b.pool(a, "AVERAGE_POOL_2D", (3, 3), pad=1)


def _softmax(b: _Builder, a: int, _: list[int]) -> int:
    """LiteRT's, or that of a quantised ONNX model."""
    if b.rng.random() < 0.5:
        return b.softmax(a)
    shape = b.tensors[a].shape
    return b.op("SOFTMAX", (a,), b.tensor(shape, float(b.rng.choice([1 / 255, 1 / 100])), -128),
                FIXED_POINT, axis=len(shape) - 1, bounds=(-128, 127))


def _layer_norm(b: _Builder, a: int, _: list[int]) -> int:
    """With or without a bias, and sometimes clamped."""
    shape, draw = b.tensors[a].shape, b.rng.normal
    constants = [b.tensor(shape[-1:], None, data=draw(mean, 0.3, shape[-1:]).astype(np.float32))
                 for mean in (1, 0)[:int(b.rng.integers(1, 3))]]
    return b.op("LAYER_NORM", (a, *constants), b.tensor(shape, 0.03, int(b.rng.integers(-9, 9))),
                FIXED_POINT, epsilon=float(b.rng.choice([1e-5, 1e-2])),
                bounds=(-128, int(b.rng.choice([127, 60]))))


def _attention(b: _Builder, a: int, made: list[int]) -> int:
    """Of the pixels to one another, in heads, merged again."""
    _, rows, columns, _ = b.tensors[a].shape
    heads, depth, tokens = int(b.rng.integers(1, 4)), int(b.rng.integers(2, 10)), rows * columns
    other = int(b.rng.choice([i for i in made if b.tensors[i].shape[1:3] == (rows, columns)]))
    q, k, v = (b.split_heads(i, heads, depth) for i in (a, other, other))
    rule = "litert_double_rounding"
    scores = b.op("BATCH_MATMUL", (q, k), b.tensor((1, heads, tokens, tokens), 3.0, -9), rule,
                  adj_x=False, adj_y=True)
    weights = b.softmax(scores) if b.rng.random() < 0.8 else scores
    y = b.op("BATCH_MATMUL", (weights, v), b.tensor((1, heads, tokens, depth), *b.any_scale()),
             rule, adj_x=False, adj_y=False)
    turned = b.op("TRANSPOSE", (y,), b.tensor((1, tokens, heads, depth), *b.steps(y)),
                  permutation=(0, 2, 1, 3))
    return b.reshape(turned, (1, rows, columns, heads * depth))


def _cell(b: _Builder, a: int, _: list[int]) -> int:
    """An LSTM whose steps are the pixels."""
    _, rows, columns, channels = b.tensors[a].shape
    flat = b.reshape(a, (1, rows * columns, channels))
    count, projected = int(b.rng.integers(1, 30)), int(b.rng.choice([0, 0, 5]))
    y = b.lstm(flat, count, coupled=bool(b.rng.random() < 0.3), projected=projected,
               peepholes=bool(b.rng.random() < 0.3))
    return b.reshape(y, (1, rows, columns, projected or count))


def _frames(b: _Builder, a: int, _: list[int]) -> int:
    """What comes behind the columns of the inferences before, which are a variable."""
    _, rows, columns, channels = b.tensors[a].shape
    kept, steps = int(b.rng.integers(1, 4)), b.steps(a)
    shape = (1, rows, kept, channels)
    before = b.tensor(shape, *steps)
    held = b.op("READ_VARIABLE", (before,), b.tensor(shape, *steps))
    frames = b.op("CONCATENATION", (held, a), b.tensor((1, rows, kept + columns, channels), *steps),
                  axis=2)
    following = b.op("STRIDED_SLICE", (frames,), b.tensor(shape, *steps), stride=(1, 1, 1, 1),
                     begin=(0, 0, columns, 0), end=b.tensors[frames].shape)
    b.states.append(State(before, following, b.rng.integers(-128, 128, shape).astype(np.int8)))
    return frames


def _function(b: _Builder, a: int, _: list[int]) -> int:
    return b.relu(a, str(b.rng.choice(["RELU", "RELU6"])))


def _wide(b: _Builder, a: int, _: list[int]) -> int:
    """A part in 16 bits."""
    if b.rng.random() < 0.5:
        return gated(b, a)
    wide = b.wide_conv(b.quantize(a, 0.0005), int(b.rng.choice([3, 8, 12])), (1, 1), scale=0.01)
    if b.rng.random() < 0.5:
        wide = b.wide_normalised(wide, 0.0004)
    return b.quantize(wide, *b.any_scale())


def _root(b: _Builder, a: int, _: list[int]) -> int:
    return b.over_float(a)


_STEPS: tuple[Callable[[_Builder, int, list[int]], int], ...] = (
    _conv, _conv, _dense, _pool, _mean, _arithmetic, _arithmetic, _moved, _moved, _softmax,
    _layer_norm, _attention, _attention, _cell, _cell, _frames, _function, _wide, _wide, _root,
    _grown, _grown)
