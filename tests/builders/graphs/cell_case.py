"""Graphs of one LSTM or GRU of ONNX's, in fixed point, with random weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.golden.onnx.recurrent import GATES
from kaniwa.golden.onnx.recurrent_fixed import RULE
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["BACKWARD", "BOTH", "FORWARD", "cell_graph", "inputs_of", "random_cell",
           "with_last_states"]

INT8 = (-128, 127)
FORWARD, BACKWARD, BOTH = (False,), (True,), (False, True)


def cell_graph(kind: str, shape: tuple[int, int, int], size: int, rng: np.random.Generator, *,
               backwards: tuple[bool, ...] = FORWARD, result: str = "Y", spread: float = 1.0,
               step: float = 1 / 127, zero_point: int = 0, bounds: tuple[int, int] = INT8,
               bias: bool = True, states: str = "",
               zero_points: tuple[int, ...] = ()) -> Graph:
    """``shape`` is [steps, batch, features]; ``spread``: about what the largest weights are,
    ``zero_points``: what they may have besides 0; ``states``: the first ones are "constant",
    "computed" inputs, or "mixed", h computed."""
    steps, batch, features = shape
    count, rows = len(backwards), GATES[kind] * size
    tensors: list[Tensor] = []

    def tensor(name: str, shape: tuple[int, ...], scale: float | None = None, zero: int = 0,
               data: np.ndarray | None = None) -> int:
        q = None if scale is None else Quantization((scale,), (zero,))
        tensors.append(Tensor(len(tensors), name, shape, "int8" if q else "float32", q, data))
        return len(tensors) - 1

    def weights(name: str, depth: int) -> int:
        data = rng.integers(-128, 128, (count, rows, depth)).astype(np.int8)
        return tensor(name, data.shape, float(rng.uniform(spread / 600, spread / 128)),
                      int(rng.choice([0, *zero_points])), data)

    def real(name: str, low: float, *shape: int) -> int:
        return tensor(name, shape, data=rng.uniform(low, -low, shape).astype(np.float32))

    x = tensor("x", shape, 0.02, int(rng.integers(-128, 128)))
    operands = [x, weights("W", features), weights("R", size)]
    operands.append(real("B", -0.5, count, 2 * rows) if bias else -1)
    names = ("h", "c") if kind == "LSTM" else ("h",)
    computed = {"computed": names, "mixed": names[:1]}.get(states, ())
    if states:
        operands += [tensor(name, (count, batch, size), scale, int(rng.integers(-10, 10)))
                     if name in computed else real(name, -1.0, count, batch, size)
                     for name, scale in zip(names, (1 / 100, 0.05), strict=False)]
    given = (x, *operands[4:4 + len(computed)])
    y = tensor("y", (*((steps,) if result == "Y" else ()), count, batch, size), step, zero_point)
    op = Op(kind, "cell", tuple(operands), (y,), {
        "backwards": backwards, "result": result, "linear_before_reset": True, "bounds": bounds},
        RULE, 0)
    return Graph("cell", tuple(tensors), (op,), given, (y,), "0" * 64)


def with_last_states(graph: Graph) -> Graph:
    """A cell that gives Y with Y_h, and with an LSTM's Y_c, beside it, in steps of their own."""
    (op,), tensors, ops = graph.ops, list(graph.tensors), list(graph.ops)
    shape = tensors[op.outputs[0]].shape[1:]
    for result, step in (("Y_h", 1 / 100), ("Y_c", 0.03))[:2 if op.kind == "LSTM" else 1]:
        y = Tensor(len(tensors), result, shape, "int8", Quantization((step,), (5,)), None)
        tensors.append(y)
        ops.insert(1, replace(op, outputs=(y.id,), attributes={
            **op.attributes, "result": result, "bounds": (-120, 110)}))
    outputs = tuple(i for o in ops for i in o.outputs)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops), outputs=outputs)


def random_cell(seed: int) -> Graph:
    """Any of the above, small."""
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 6)), int(rng.choice([1, 1, 3])), int(rng.integers(1, 20))
    kind = str(rng.choice(["LSTM", "GRU"]))
    directions = [FORWARD, FORWARD, BACKWARD, BOTH]
    return cell_graph(
        kind, shape, int(rng.integers(1, 40)), rng, backwards=directions[int(rng.integers(4))],
        result=str(rng.choice(["Y", "Y", "Y_h", "Y_c" if kind == "LSTM" else "Y_h"])),
        spread=float(10 ** rng.uniform(-1.5, 0.7)), step=float(10 ** rng.uniform(-2.5, -1.5)),
        zero_point=int(rng.choice([0, rng.integers(-128, 128)])),
        bounds=INT8 if rng.random() < 0.7 else (-100, 90), bias=bool(rng.random() < 0.7),
        states=str(rng.choice(["", "constant", "computed", "mixed"])),
        zero_points=(0, -1, 2, int(rng.integers(-128, 128))))


def inputs_of(graph: Graph, seed: int) -> list[dict[str, np.ndarray]]:
    """int8: all numbers, a few, and those at both ends, as what is saturated."""
    rng, tensors = np.random.default_rng(seed), [graph.tensors[i] for i in graph.inputs]
    values = [np.arange(-128, 128), np.arange(-5, 5), np.array(INT8)]
    return [{t.name: rng.choice(some, t.shape).astype(np.int8) for t in tensors}
            for some in values]
