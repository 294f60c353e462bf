"""Random quantised ONNX networks: what exporters write, in any order, with results that are not
quantised, or only behind what moves them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from onnx import load_model_from_string

from builders.files.onnx_models import OnnxBuilder

__all__ = ["noise", "random_onnx"]

LARGEST = 600      # elements of a tensor that grows
Shape = tuple[int, ...]


class _Network(OnnxBuilder):
    """With the shape of each value."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, "uint8" if seed % 2 else "int8", opset=20)
        self.made: list[tuple[str, Shape]] = []

    def pick(self, last: int = 4) -> tuple[str, Shape]:
        """One of the last values."""
        return self.made[-1 - int(self.rng.integers(min(last, len(self.made))))]

    def like(self, shape: Shape) -> str:
        """A value of this shape."""
        return str(self.rng.choice([name for name, other in self.made if other == shape]))

    def integer(self, low: int, high: int) -> int:
        """From ``low`` to below ``high``."""
        return int(self.rng.integers(low, high))

    def numbers(self, *shape: int) -> str:
        """Constants that are not quantised."""
        return self.constant(self.rng.normal(0, 1, shape).astype(np.float32))


def random_onnx(seed: int) -> bytes:
    """An input and up to 12 steps; the last result is the output."""
    b = _Network(seed)
    shape = (1, *(b.integer(2, 7) for _ in range(b.integer(1, 3))), int(b.rng.choice([4, 8, 12])))
    b.made.append((b.activation(shape, 0.05), shape))
    for _ in range(b.integer(3, 12)):
        x, shape = b.pick()
        step = _STEPS[b.integer(0, len(_STEPS))]
        found = step(b, x, shape)
        if found is not None:
            y, shape = found
            b.made.append((b.quantized(y, b.scale(0.01, 0.06)) if b.rng.random() < 0.8 else y,
                           shape))
    name, _ = b.made[-1]
    return b.model(b.quantized(name, b.scale(0.01, 0.06)))


def noise(data: bytes, seed: int) -> dict[str, np.ndarray]:
    """Random float32 inputs by name for such a network."""
    rng = np.random.default_rng(seed)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim]
              for i in load_model_from_string(data).graph.input}
    return {name: rng.normal(0, 2, shape).astype(np.float32) for name, shape in shapes.items()}


Step = Callable[[_Network, str, Shape], "tuple[str, Shape] | None"]


def _dense(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    outputs = int(b.rng.choice([4, 8, 12, 24]))
    y = b.node("MatMul", [b.quantized(x, 0.05), b.weights((shape[-1], outputs))])
    if b.rng.random() < 0.5:
        y = b.node("Add", [y, b.numbers(outputs)])
    return y, (*shape[:-1], outputs)


def _conv(b: _Network, x: str, shape: Shape) -> tuple[str, Shape] | None:
    if len(shape) < 3:
        return None
    rank, outputs = len(shape) - 2, int(b.rng.choice([3, 8, 16]))
    groups = 1
    if b.rng.random() < 0.3:
        groups = outputs = shape[1]
    weights = b.weights((outputs, shape[1] // groups, *[3] * rank), axis=0)
    y = b.node("Conv", [b.quantized(x, 0.05), weights], pads=[1] * 2 * rank, group=groups)
    return y, (1, outputs, *shape[2:])


def _norm(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    constants = [b.numbers(shape[-1]) for _ in range(b.integer(1, 3))]
    return b.node("LayerNormalization", [x, *constants], epsilon=1e-5), shape


def _softmax(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("Softmax", [x], axis=int(b.rng.choice([-1, -1, -2]))), shape


def _function(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    kind = str(b.rng.choice(["Relu", "Sigmoid", "Tanh", "Erf", "Gelu", "HardSwish", "Abs"]))
    return b.node(kind, [x]), shape


def _number(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    kind = str(b.rng.choice(["Mul", "Div", "Add", "Sub", "Pow"]))
    number = 2.0 if kind == "Pow" else float(b.rng.choice([0.25, 1.7, -0.6]))
    return b.node(kind, [x, b.constant(np.float32(number))]), shape


def _arithmetic(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node(str(b.rng.choice(["Add", "Sub", "Mul"])), [x, b.like(shape)]), shape


def _transpose(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    permutation = [0, *(int(p) + 1 for p in b.rng.permutation(len(shape) - 1))]
    return b.node("Transpose", [x], perm=permutation), tuple(shape[p] for p in permutation)


def _reshape(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    rest = prod(shape)
    first = int(b.rng.choice([n for n in range(1, rest + 1) if rest % n == 0]))
    new = (1, first, rest // first)
    return b.node("Reshape", [x, b.constant(np.array(new))]), new


def _cut(b: _Network, x: str, shape: Shape) -> tuple[str, Shape] | None:
    axis = b.integer(1, len(shape))
    size = shape[axis]
    if b.rng.random() < 0.4 and len(shape) > 2:
        y = b.node("Gather", [x, b.constant(np.array(b.integer(-size, size)))], axis=axis)
        return y, shape[:axis] + shape[axis + 1:]
    first = b.integer(0, size)
    bounds = (b.constant(np.array([n])) for n in (first, size, axis))
    return b.node("Slice", [x, *bounds]), (*shape[:axis], size - first, *shape[axis + 1:])


def _concat(b: _Network, x: str, shape: Shape) -> tuple[str, Shape] | None:
    if 2 * prod(shape) > LARGEST or b.rng.random() < 0.2:
        return None
    axis = b.integer(1, len(shape))
    x = b.quantized(x, 0.05)
    if b.rng.random() < 0.4:
        other = b.numbers(*shape)
    else:
        other = b.quantized(b.like(shape), 0.04)
    y = b.node("Concat", [x, other], axis=axis)
    return b.quantized(y, 0.05), (*shape[:axis], 2 * shape[axis], *shape[axis + 1:])


def _mean(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    axis = b.integer(1, len(shape))
    return (b.node("ReduceMean", [x, b.constant(np.array([axis]))], keepdims=1),
            (*shape[:axis], 1, *shape[axis + 1:]))


def _attention(b: _Network, x: str, shape: Shape) -> tuple[str, Shape]:
    tokens, width = prod(shape[:-1]), shape[-1]
    heads, depth = b.integer(1, 3), 4
    x = b.quantized(b.node("Reshape", [x, b.constant(np.array([1, tokens, width]))]), 0.05)
    query, key, value = (b.node("Transpose", [b.node("Reshape", [
        b.quantized(b.node("MatMul", [x, b.weights((width, heads * depth))]), 0.04),
        b.constant(np.array([1, tokens, heads, depth]))])], perm=perm)
        for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    scores = b.quantized(b.node("MatMul", [query, key]), 0.05)
    likely = b.quantized(b.node("Softmax", [scores], axis=-1), 1 / 255)
    mixed = b.quantized(b.node("MatMul", [likely, value]), 0.03)
    merged = b.node("Transpose", [mixed], perm=[0, 2, 1, 3])
    new = (1, tokens, heads * depth)
    return b.node("Reshape", [merged, b.constant(np.array(new))]), new


def _cell(b: _Network, x: str, shape: Shape) -> tuple[str, Shape] | None:
    """An LSTM or a GRU over the rows, in either direction or both; all of its states, or the last
    one."""
    steps, features, size = prod(shape[:-1]), shape[-1], b.integer(3, 10)
    if steps > 10:
        return None
    kind = str(b.rng.choice(["LSTM", "GRU"]))
    direction = str(b.rng.choice(["forward", "forward", "reverse", "bidirectional"]))
    count, rows = 1 + (direction == "bidirectional"), size * (4 if kind == "LSTM" else 3)
    rows_of = b.constant(np.array([steps, 1, features]))
    x = b.quantized(b.node("Reshape", [x, rows_of]), 0.05)
    zero_points = bool(b.rng.random() < 0.5)
    weights = [b.weights((count, rows, depth), zero_points=zero_points)
               for depth in (features, size)]
    options = {} if kind == "LSTM" else {"linear_before_reset": 1}
    every, last, *_ = b.nodes_of(kind, [x, *weights, b.numbers(count, 2 * rows)], 2,
                                 hidden_size=size, direction=direction, **options)
    whole = b.rng.random() < 0.7
    new = (1, steps if whole else 1, count * size)
    if whole and b.rng.random() < 0.4:
        shape = (1, count * size)
        b.made.append((b.node("Reshape", [b.quantized(last, 0.01), b.constant(np.array(shape))]),
                       shape))
    y = b.quantized(every if whole else last, 1 / 127)
    return b.node("Reshape", [y, b.constant(np.array(new))]), new


_STEPS: tuple[Step, ...] = (
    _dense, _dense, _conv, _norm, _norm, _softmax, _function, _function, _number, _number,
    _arithmetic, _transpose, _reshape, _cut, _cut, _concat, _mean, _attention, _cell, _cell)
