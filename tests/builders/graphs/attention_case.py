"""Attention as a graph, two products of computed operands with a SOFTMAX between, and its parts."""

from __future__ import annotations

import numpy as np

from kaniwa.graph import Graph, Op, Quantization, Tensor


def attention_graph(heads: int, tokens: int, depth: int) -> Graph:
    """softmax(q k') v, the scores in another shape before the softmax."""
    q = Quantization((0.03,), (5,))
    shapes = {"q": (heads, tokens, depth), "k": (heads, tokens, depth), "v": (heads, tokens, depth),
              "s": (heads, tokens, tokens), "r": (heads * tokens, tokens),
              "p": (heads * tokens, tokens), "w": (heads, tokens, tokens),
              "y": (heads, tokens, depth)}
    scales = {"s": Quantization((0.11,), (-20,)), "r": Quantization((0.11,), (-20,)),
              **dict.fromkeys("pw", Quantization((1 / 256,), (-128,)))}
    tensors = tuple(Tensor(i, name, shape, "int8", scales.get(name, q), None, i)
                    for i, (name, shape) in enumerate(shapes.items()))
    none, second = {"adj_x": False, "adj_y": False}, {"adj_x": False, "adj_y": True}
    rule = "litert_double_rounding"
    ops = (Op("BATCH_MATMUL", "scores", (0, 1), (3,), second, rule, 0),
           Op("RESHAPE", "flat", (3,), (4,), {"shape": shapes["r"]}, "exact", 1),
           Op("SOFTMAX", "softmax", (4,), (5,), {"beta": 1.0}, "litert_softmax", 2),
           Op("RESHAPE", "heads", (5,), (6,), {"shape": shapes["w"]}, "exact", 3),
           Op("BATCH_MATMUL", "sum", (6, 2), (7,), none, rule, 4))
    return Graph("attention", tensors, ops, (0, 1, 2), (7,), "0" * 64)


def softmax_graph(shape: tuple[int, ...], scale: float, beta: float = 1.0) -> Graph:
    """A single SOFTMAX of int8."""
    tensors = (Tensor(0, "x", shape, "int8", Quantization((scale,), (3,)), None),
               Tensor(1, "y", shape, "int8", Quantization((1 / 256,), (-128,)), None))
    op = Op("SOFTMAX", "softmax", (0,), (1,), {"beta": beta}, "litert_softmax", 0)
    return Graph("softmax", tensors, (op,), (0,), (1,), "0" * 64)


def matmul_graph(a: tuple[int, ...], b: tuple[int, ...], adj_x: bool = False,
                 adj_y: bool = False, zero_points: tuple[int, int, int] = (18, -13, -20)) -> Graph:
    """A single BATCH_MATMUL of two int8 inputs."""
    rows = a[-1] if adj_x else a[-2]
    y = (*np.broadcast_shapes(a[:-2], b[:-2]), rows, b[-2] if adj_y else b[-1])
    tensors = tuple(Tensor(i, name, shape, "int8", Quantization((scale,), (zero_point,)), None)
                    for i, (name, shape, scale, zero_point) in enumerate(zip(
                        "aby", (a, b, y), (0.02, 0.03, 0.11), zero_points, strict=True)))
    op = Op("BATCH_MATMUL", "matmul", (0, 1), (2,), {"adj_x": adj_x, "adj_y": adj_y},
            "litert_double_rounding", 0)
    return Graph("matmul", tensors, (op,), (0, 1), (2,), "0" * 64)
