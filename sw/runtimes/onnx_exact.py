"""ONNX Runtime with exact sums of integers, wherever its results are compared.

On x86 processors without VNNI, ONNX Runtime adds two products of uint8 and int8 with saturation to
16 bits, so that large weights give wrong sums. Products of uint8 and uint8 are exact there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["exact_options", "exact_weights"]

# By operator: the inputs that are of the activations' type, weights and the weights' zero point.
PRODUCTS: dict[str, tuple[tuple[int, ...], int, int]] = {
    "QLinearConv": ((0, 2), 3, 5), "QLinearMatMul": ((0, 2), 3, 5), "QGemm": ((0, 2), 3, 5),
    "MatMulInteger": ((0, 2), 1, 3), "ConvInteger": ((0, 2), 1, 3),
    "MatMulIntegerToFloat": ((0, 4), 1, 5), "DynamicQuantizeMatMul": ((), 1, 3)}
MIDDLE = 128


def exact_options(optimized: bool = False) -> Any:
    """SessionOptions of one thread, which log fatal errors alone; with ``optimized`` the graph is.

    What the optimization makes of QuantizeLinear and DequantizeLinear is exact then ("x64quant"
    in ``onnxruntime_session_options_config_keys.h``). Raises ImportError without ``onnxruntime``.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def exact_weights(model: bytes) -> bytes:
    """The model with weights of uint8 in place of int8 where activations are uint8: they and their
    zero point are 128 more. The results are those of the definition, on every processor.

    Raises ImportError without ``onnx``.
    """
    import onnx

    proto = onnx.load_model_from_string(model)
    if not any(node.op_type in PRODUCTS for node in proto.graph.node):
        return model
    rewriting = _Rewriting(onnx, proto)
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for node in nodes:
        rewriting.rewrite(node)
        proto.graph.node.append(node)
    return bytes(proto.SerializeToString())


class _Rewriting:
    """Adds what the changed operands need, before the operator that reads them."""

    def __init__(self, onnx: Any, proto: Any) -> None:
        self._onnx, self._graph, self._made = onnx, proto.graph, dict[str, str]()
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        self._types = {v.name: v.type.tensor_type.elem_type
                       for v in (*inferred.input, *inferred.value_info, *inferred.output)}
        self._constants = {t.name: t for t in proto.graph.initializer}
        self._types |= {name: t.data_type for name, t in self._constants.items()}

    def rewrite(self, node: Any) -> None:
        """Change the operands of a product of uint8 and int8."""
        numbers, kinds = PRODUCTS.get(node.op_type), self._onnx.TensorProto
        if numbers is None:
            return
        activations, weights, zero_point = numbers
        found = {self._types.get(node.input[i], 0) for i in activations if i < len(node.input)}
        signed = bool(activations) and kinds.UINT8 not in found
        if signed or self._types.get(node.input[weights]) != kinds.INT8:
            return
        node.input[weights] = self._moved(node.input[weights])
        while len(node.input) <= zero_point:
            node.input.append("")
        node.input[zero_point] = (self._moved(node.input[zero_point]) if node.input[zero_point]
                                  else self._constant("kaniwa:middle", np.uint8(MIDDLE)))

    def _moved(self, name: str) -> str:
        """The name of tensor ``name`` plus 128, as uint8."""
        if name not in self._made:
            self._made[name] = f"{name}:uint8"
            if name in self._constants:
                values = self._onnx.numpy_helper.to_array(self._constants[name])
                self._constant(self._made[name], (values.astype(np.int16) + MIDDLE).astype(
                    np.uint8))
            else:
                self._compute(name, self._made[name])
        return self._made[name]

    def _constant(self, name: str, value: Any) -> str:
        if name not in self._constants:
            tensor = self._onnx.numpy_helper.from_array(np.asarray(value), name)
            self._graph.initializer.append(tensor)
            self._constants[name] = tensor
        return name

    def _compute(self, name: str, made: str) -> None:
        make, kinds = self._onnx.helper.make_node, self._onnx.TensorProto
        middle = self._constant("kaniwa:middle32", np.int32(MIDDLE))
        self._graph.node.extend([
            make("Cast", [name], [f"{made}:wide"], to=kinds.INT32),
            make("Add", [f"{made}:wide", middle], [f"{made}:sum"]),
            make("Cast", [f"{made}:sum"], [made], to=kinds.UINT8)])
