"""The ONNX operators that are taken, for users and tests: each with its limits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CASES", "OnnxOperator", "OPERATORS"]

CASES = 20      # random models of each that the tests compare with ONNX Runtime


@dataclass(frozen=True)
class OnnxOperator:
    """``becomes`` are the graph's operators, of rounding rule ``rule``.

    ``models`` names the tests' random models that contain it. ``limits`` are sentences.
    """

    kind: str
    becomes: tuple[str, ...]
    rule: str
    models: str
    limits: tuple[str, ...] = ()


_WEIGHTS = ("weights are constant, 8 or 4 bits wide, with a scale a tensor or an output channel",
            "a bias is constant")
_WINDOW = ("maps have one or two dimensions",)
_MOVED = "movement"


def _functions() -> tuple[OnnxOperator, ...]:
    from kaniwa.importers.onnx.families.functions import FUNCTIONS

    limits = {"PRelu": ("the slope is one constant",), "Pow": ("the exponent is one constant",),
              "Log": ("every value of its input has a logarithm, else the result is an error",),
              "Softmax": ("along one axis",)}
    return tuple(OnnxOperator(name, (kind,), "qdq_fixed_point" if name == "Softmax" else "qdq",
                              name, limits.get(name, ()))
                 for name, (kind, _) in FUNCTIONS.items())


OPERATORS: tuple[OnnxOperator, ...] = (
    OnnxOperator("QuantizeLinear", ("QUANTIZE",), "onnx", "requantize", (
        "activations are int8 or uint8 with one scale",
        "scales and zero points are constants, float32")),
    OnnxOperator("DequantizeLinear", ("DEQUANTIZE",), "onnx", "requantize", (
        "weights are not quantised by blocks",)),
    OnnxOperator("Conv", ("CONV_2D", "DEPTHWISE_CONV_2D"), "qdq", "Conv", (*_WINDOW, *_WEIGHTS)),
    OnnxOperator("Gemm", ("FULLY_CONNECTED",), "qdq", "Gemm", (
        *_WEIGHTS, "alpha and beta are 1, the input is not transposed")),
    OnnxOperator("MatMul", ("FULLY_CONNECTED", "BATCH_MATMUL"), "qdq", "MatMul", (
        "a constant operand is the second one and a matrix",)),
    *(OnnxOperator(kind, (kind.upper(),), "qdq", kind, (
        "constants are quantised by tensor, one number, or the bias of the node before",))
      for kind in ("Add", "Sub", "Mul", "Div")),
    OnnxOperator("AveragePool", ("AVERAGE_POOL_2D",), "qdq", "AveragePool", (
        *_WINDOW, "ceil_mode is 0, dilations are 1")),
    OnnxOperator("GlobalAveragePool", ("AVERAGE_POOL_2D",), "qdq", "GlobalAveragePool", _WINDOW),
    OnnxOperator("ReduceMean", ("AVERAGE_POOL_2D", "MEAN"), "qdq", "ReduceMean", (
        "its axes are constants",)),
    OnnxOperator("LayerNormalization", ("LAYER_NORM",), "qdq_fixed_point", "LayerNormalization", (
        "along the last axis", "Scale and B are constants", "without Mean and InvStdDev")),
    *(OnnxOperator(kind, (kind,), "qdq_fixed_point", kind, (
        "W, R and B are constants",
        "activations are Sigmoid and Tanh in their usual places",
        f"without {absent}",
        "sequence_lens is absent, or a constant of all steps"))
      for kind, absent in (("LSTM", "peepholes, clip, layout and input_forget"),
                           ("GRU", "clip and layout"))),
    OnnxOperator("MaxPool", ("MAX_POOL_2D",), "exact", "MaxPool", (
        *_WINDOW, "dilations are 1, padding is smaller than the kernel")),
    OnnxOperator("GlobalMaxPool", ("MAX_POOL_2D",), "exact", "GlobalMaxPool", _WINDOW),
    OnnxOperator("Relu", ("QUANTIZE",), "qdq", "requantize"),
    OnnxOperator("Clip", ("QUANTIZE",), "qdq", "requantize", ("its ends are constants",)),
    OnnxOperator("Concat", ("CONCATENATION",), "exact", "Concat"),
    OnnxOperator("Flatten", ("RESHAPE",), "exact", "Flatten"),
    OnnxOperator("Reshape", ("RESHAPE",), "exact", _MOVED, ("its shape is a constant",)),
    OnnxOperator("Squeeze", ("RESHAPE",), "exact", _MOVED, ("its axes are constants",)),
    OnnxOperator("Unsqueeze", ("RESHAPE",), "exact", _MOVED, ("its axes are constants",)),
    OnnxOperator("Transpose", ("TRANSPOSE",), "exact", _MOVED),
    OnnxOperator("Slice", ("STRIDED_SLICE",), "exact", "slices", ("its operands are constants",)),
    OnnxOperator("Gather", ("STRIDED_SLICE",), "exact", "slices", (
        "indices are constants, one or several the same way apart",)),
    OnnxOperator("Split", ("STRIDED_SLICE",), "exact", "slices", ("its lengths are constants",)),
    OnnxOperator("Pad", ("PAD",), "exact", "slices", ("with zeros",)),
    OnnxOperator("Resize", ("RESIZE_NEAREST_NEIGHBOR",), "exact", "slices", (
        "nearest neighbour by whole factors of rows and columns",)),
    OnnxOperator("Identity", (), "exact", _MOVED),
    *_functions(),
)
