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


_WEIGHTS = ("weights are constant, 8 or 4 bits wide with a scale a tensor or an output channel, or "
            "float32",
            "a bias is constant")
_WINDOW = ("maps have one or two dimensions",)
_MOVED = "movement"


def _functions() -> tuple[OnnxOperator, ...]:
    from kaniwa.importers.onnx.families.functions import FUNCTIONS

    limits = {"PRelu": ("slopes are constants",), "Pow": ("the exponent is one constant",),
              "Log": ("every value of its input has a logarithm, else the result is an error",),
              "Softmax": ("along one axis",), "LogSoftmax": ("along one axis",)}
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
    OnnxOperator("Gemm", ("FULLY_CONNECTED",), "qdq", "Gemm", _WEIGHTS),
    OnnxOperator("MatMul", ("FULLY_CONNECTED", "BATCH_MATMUL"), "qdq", "MatMul", (
        "a constant that is quantised by channel is a matrix and the second operand, or is taken "
        "in float32, on the host",)),
    *(OnnxOperator(kind, (kind.upper(),), "qdq", kind, (
        "a constant that is quantised otherwise than by tensor is taken in float32, on the host",))
      for kind in ("Add", "Sub", "Mul", "Div")),
    OnnxOperator("AveragePool", ("AVERAGE_POOL_2D",), "qdq", "AveragePool", _WINDOW),
    OnnxOperator("GlobalAveragePool", ("AVERAGE_POOL_2D",), "qdq", "GlobalAveragePool", _WINDOW),
    OnnxOperator("ReduceMean", ("AVERAGE_POOL_2D", "MEAN"), "qdq", "ReduceMean", (
        "its axes are constants",)),
    OnnxOperator("LayerNormalization", ("LAYER_NORM",), "qdq_fixed_point", "LayerNormalization", (
        "along the last axis", "Scale and B are constants", "without Mean and InvStdDev")),
    *(OnnxOperator(kind, ("RMS_NORM",), "qdq_fixed_point", kind, (
        "along the last axis", "Scale is a constant", *without))
      for kind, without in (("RMSNormalization", ()),
                            ("SimplifiedLayerNormalization", ("without its second result",)))),
    OnnxOperator("LpNormalization", ("RMS_NORM",), "qdq_fixed_point", "LpNormalization", (
        "p is 2",)),
    *(OnnxOperator(kind, (kind,), "qdq_fixed_point", kind, (
        "W, R and B are constants",
        "activations are Sigmoid and Tanh in their usual places",
        f"without {absent}",
        "sequence_lens is absent, or a constant of all steps"))
      for kind, absent in (("LSTM", "peepholes, clip, layout and input_forget"),
                           ("GRU", "clip and layout"))),
    OnnxOperator("RNN", ("RNN",), "qdq", "RNN", (
        "W, R and B are constants", "activations are Tanh, Relu or Sigmoid",
        "without clip and layout", "sequence_lens is absent, or a constant of all steps")),
    OnnxOperator("LpPool", ("LP_POOL_2D",), "qdq", "LpPool", _WINDOW),
    OnnxOperator("GlobalLpPool", ("LP_POOL_2D",), "qdq", "GlobalLpPool", _WINDOW),
    OnnxOperator("Einsum", ("FULLY_CONNECTED", "BATCH_MATMUL", "EINSUM"), "qdq", "Einsum", (
        "on the accelerator a product of matrices, or of batches of them",)),
    OnnxOperator("NonMaxSuppression", ("NON_MAX_SUPPRESSION",), "onnx", "NonMaxSuppression", (
        "its limits are constants", "a result has as many rows as there may be, -1 behind the "
        "last one")),
    OnnxOperator("MaxPool", ("MAX_POOL_2D",), "exact", "MaxPool", (
        *_WINDOW, "padding is smaller than the kernel")),
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
    OnnxOperator("Gather", ("STRIDED_SLICE", "GATHER"), "exact", "slices", (
        "its indices are constants",)),
    OnnxOperator("Split", ("STRIDED_SLICE",), "exact", "slices", ("its lengths are constants",)),
    OnnxOperator("Pad", ("PAD", "MIRROR_PAD", "PADV2"), "exact", "Pad", (
        "a number that is not 0 is rounded to the result's steps",)),
    OnnxOperator("BatchNormalization", ("DEPTHWISE_CONV_2D", "BATCH_NORM"), "qdq",
                 "BatchNormalization", ("its operands are constants",)),
    *(OnnxOperator(kind, ("GROUP_NORM", "INSTANCE_NORM"), "qdq", kind, (
        "scale and bias are constants",))
      for kind in ("InstanceNormalization", "GroupNormalization")),
    OnnxOperator("Resize", ("RESIZE_NEAREST_NEIGHBOR", "RESIZE"), "exact", "Resize", (
        "without antialias", "scales, sizes and roi are constants")),
    OnnxOperator("Identity", (), "exact", _MOVED),
    OnnxOperator("Where", ("MINIMUM", "MAXIMUM"), "qdq", "Where", (
        "its condition is a constant", "one of its values is a number")),
    *(OnnxOperator(kind, (), "exact", "Where", ("its input is quantised",))
      for kind in ("IsNaN", "IsInf")),
    OnnxOperator("ConvTranspose", ("TRANSPOSE_CONV",), "qdq", "ConvTranspose", (
        *_WINDOW, *_WEIGHTS)),
    *(OnnxOperator(kind, (graph,), "qdq", kind) for kind, graph in (
        ("Max", "MAXIMUM"), ("Min", "MINIMUM"))),
    *(OnnxOperator(kind, (graph,), rule, kind, ("its axes are constants",))
      for kind, graph, rule in (("ReduceMax", "REDUCE_MAX", "exact"),
                                ("ReduceMin", "REDUCE_MIN", "exact"),
                                ("ReduceSum", "SUM", "qdq"))),
    OnnxOperator("ArgMax", ("ARG_MAX",), "exact", "ArgMax"),
    OnnxOperator("ArgMin", ("ARG_MIN",), "exact", "ArgMin"),
    OnnxOperator("TopK", ("TOPK",), "onnx", "TopK", ("k is a constant",)),
    OnnxOperator("DepthToSpace", ("DEPTH_TO_SPACE",), "exact", "DepthToSpace"),
    OnnxOperator("SpaceToDepth", ("SPACE_TO_DEPTH",), "exact", "SpaceToDepth"),
    OnnxOperator("Expand", ("BROADCAST_TO",), "exact", "Expand", ("its shape is a constant",)),
    OnnxOperator("Tile", ("TILE",), "exact", "Tile", ("its repeats are constants",)),
    OnnxOperator("Cast", ("CAST",), "exact", "MatMulInteger"),
    OnnxOperator("DynamicQuantizeLinear", ("DYNAMIC_QUANTIZE",), "onnx", "DynamicQuantizeLinear"),
    *(OnnxOperator(kind, (graph,), "onnx", kind, ("weights and their zero points are constants",))
      for kind, graph in (("MatMulInteger", "FULLY_CONNECTED"), ("ConvInteger", "CONV_2D"))),
    *_functions(),
)
