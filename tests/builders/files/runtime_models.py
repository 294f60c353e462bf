"""Models with operators that golden lacks: ONNX Runtime and LiteRT do those on the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from builders.files.onnx_models import OnnxBuilder
from kaniwa.benchmark.networks.tflite_file import PADDING, ModelBuilder

__all__ = ["ONNX_CASES", "TFLITE_CASES", "LiteCase", "onnx_mixed", "tflite_mixed"]

Draw = Callable[[OnnxBuilder], str]


def _map(b: OnnxBuilder) -> str:
    """A quantised map behind a convolution: [1, 4, 6, 6]."""
    x = b.activation((1, 3, 6, 6), 0.02)
    return b.quantized(b.node("Conv", [x, b.weights((4, 3, 3, 3))], pads=[1, 1, 1, 1]), 0.02)


def _one(kind: str, *others: np.ndarray, **attributes: object) -> Draw:
    """``kind`` of the map and constants."""
    return lambda b: b.quantized(
        b.node(kind, [_map(b), *(b.constant(o) for o in others)], **attributes), 0.05)


def _scatter(b: OnnxBuilder) -> str:
    places = np.arange(4).reshape(1, 4, 1, 1)
    return b.node("ScatterElements", [_map(b), b.constant(places), b.constant(
        np.full((1, 4, 1, 1), 0.5, np.float32))], axis=1)


def _choice(b: OnnxBuilder) -> str:
    x = _map(b)
    where = b.node("Greater", [x, b.constant(np.float32(0.1))])
    return b.quantized(b.node("Where", [where, x, b.constant(np.float32(-1))]))


def _of_bytes(b: OnnxBuilder) -> str:
    """An operator on the integers themselves, between QuantizeLinear and DequantizeLinear."""
    x = _map(b)
    q = b.nodes[-1].input[0]
    places = b.constant(np.full((1, 4, 6, 2), 3))
    chosen = b.node("GatherElements", [q, places], axis=3)
    assert x
    return b.node("DequantizeLinear", [chosen, *b.nodes[-2].input[1:]])


def _grid(b: OnnxBuilder) -> str:
    grid = np.linspace(-1, 1, 1 * 3 * 3 * 2).astype(np.float32).reshape(1, 3, 3, 2)
    return b.quantized(b.node("GridSample", [_map(b), b.constant(grid)]))


def _regions(b: OnnxBuilder) -> str:
    boxes = np.array([[0, 0, 4, 4], [1, 1, 5, 5]], np.float32)
    return b.quantized(b.node("RoiAlign", [_map(b), b.constant(boxes), b.constant(
        np.zeros(2, np.int64))], output_height=2, output_width=2))


def _total(b: OnnxBuilder) -> str:
    x = _map(b)
    return b.quantized(b.node("Sum", [x, x, x]))



def _volume(b: OnnxBuilder) -> str:
    """Beyond golden's limits: three spatial dimensions."""
    x = b.activation((1, 3, 4, 4, 4), 0.02)
    y = b.node("Conv", [x, b.weights((2, 3, 2, 2, 2))])
    return b.quantized(b.node("MaxPool", [y], kernel_shape=[2, 2, 2]))


ONNX_CASES: dict[str, Draw] = {
    "Conv": _volume,
    "Hardmax": _one("Hardmax", axis=1),
    "CumSum": _one("CumSum", np.array(2)),
    "LRN": _one("LRN", size=3, alpha=0.1),
    "Trilu": _one("Trilu", upper=0),
    "Det": _one("Det"),
    "Shrink": _one("Shrink", lambd=0.3, bias=0.1),
    "Mod": _one("Mod", np.float32(0.3), fmod=1),
    "ReduceL2": _one("ReduceL2", axes=[1]),
    "ReduceLogSumExp": _one("ReduceLogSumExp", axes=[2, 3], keepdims=0),
    "Atan": _one("Atan"),
    "ScatterElements": _scatter,
    "GatherElements": _of_bytes,
    "Where": _choice,
    "GridSample": _grid,
    "RoiAlign": _regions,
    "Sum": _total,
    "GatherND": _one("GatherND", np.array([[0, 1], [0, 3]])),
}


def onnx_mixed(dtype: str = "int8", own: bool = True) -> bytes:
    """Convolution, an operator of ONNX Runtime, a convolution; with ``own`` an output before."""
    b = OnnxBuilder(5, dtype)
    x = _map(b)
    middle = b.quantized(b.node("LRN", [x], size=3, alpha=0.1), 0.02)
    y = b.quantized(b.node("Conv", [middle, b.weights((5, 4, 1, 1))]), 0.02)
    return b.model(*([x, y] if own else [y]))


@dataclass(frozen=True)
class LiteCase:
    """A TFLite operator: ``inputs`` and ``outputs`` as (shape, dtype), then ``constants``.

    ``order`` are the operands among inputs and constants.
    """

    kind: str
    inputs: tuple[tuple[tuple[int, ...], str], ...]
    outputs: tuple[tuple[tuple[int, ...], str], ...]
    constants: tuple[np.ndarray, ...] = ()
    order: tuple[int, ...] | None = None
    options: tuple[str, dict[str, Any]] | None = None

    def model(self) -> bytes:
        """The file."""
        b = ModelBuilder()
        ids = [b.tensor(f"x{i}", shape, dtype) for i, (shape, dtype) in enumerate(self.inputs)]
        operands = ids + [b.tensor(f"c{i}", c.shape, str(c.dtype), data=c)
                          for i, c in enumerate(self.constants)]
        outs = [b.tensor(f"y{i}", shape, dtype) for i, (shape, dtype) in enumerate(self.outputs)]
        name, options = self.options or (None, {})
        b.op(self.kind, [operands[i] for i in self.order or range(len(operands))], outs, name,
             **options)
        return b.build(ids, outs)


F, N, B = "float32", "int32", "bool"
PAIR = ((2, 3), F)
VOLUME = {"Padding": PADDING["VALID"], "StrideD": 1, "StrideH": 1, "StrideW": 1,
          "DilationDFactor": 1, "DilationHFactor": 1, "DilationWFactor": 1}
KERNEL = np.linspace(-1, 1, 48).astype(np.float32).reshape(2, 2, 2, 2, 3)


def _numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def _scalar(value: float, dtype: str = F) -> np.ndarray:
    return np.array(value, dtype)


TFLITE_CASES = (
    *(LiteCase(kind, (PAIR,), (PAIR,)) for kind in (
        "CEIL", "COS", "FLOOR", "ROUND", "SIGN", "SIN", "SQUARE", "ZEROS_LIKE")),
    *(LiteCase(kind, (PAIR, PAIR), (PAIR,)) for kind in ("ADD_N", "ATAN2", "FLOOR_MOD", "POW")),
    *(LiteCase(kind, (((4,), N),) * 2, (((4,), N),)) for kind in ("BITWISE_XOR", "RIGHT_SHIFT")),
    *(LiteCase(kind, (((4,), B),) * 2, (((4,), B),)) for kind in ("LOGICAL_AND", "LOGICAL_OR")),
    LiteCase("LOGICAL_NOT", (((4,), B),), (((4,), B),)),
    LiteCase("BITCAST", (((3,), F),), (((3,), N),)),
    LiteCase("RANK", (PAIR,), (((), N),)),
    LiteCase("BUCKETIZE", (PAIR,), (((2, 3), N),)),
    LiteCase("CUMSUM", (PAIR,), (PAIR,), (_scalar(1, N),), options=(
        "CumsumOptions", {"Exclusive": True, "Reverse": True})),
    LiteCase("LOCAL_RESPONSE_NORMALIZATION", (((1, 2, 2, 8), F),), (((1, 2, 2, 8), F),), options=(
        "LocalResponseNormalizationOptions", {"Radius": 2, "Bias": 1.0, "Alpha": 0.1,
                                              "Beta": 0.75})),
    LiteCase("L2_POOL_2D", (((1, 4, 4, 2), F),), (((1, 2, 2, 2), F),), options=(
        "Pool2DOptions", {"Padding": PADDING["VALID"], "StrideH": 2, "StrideW": 2,
                          "FilterHeight": 2, "FilterWidth": 2})),
    LiteCase("FAKE_QUANT", (PAIR,), (PAIR,), options=(
        "FakeQuantOptions", {"Min": -1.0, "Max": 1.0, "NumBits": 8})),
    LiteCase("MATRIX_DIAG", (PAIR,), (((2, 3, 3), F),)),
    LiteCase("MATRIX_SET_DIAG", (((2, 3, 3), F), PAIR), (((2, 3, 3), F),)),
    LiteCase("SCATTER_ND", (((3, 5), F),), (((4, 5), F),), (
        np.array([[0], [2], [1]], np.int32), _numbers(4, 5)), (1, 0, 2)),
    LiteCase("SEGMENT_SUM", (((4, 5), F),), (((3, 5), F),), (_numbers(0, 0, 1, 2),)),
    *(LiteCase(f"UNSORTED_SEGMENT_{kind}", (((4, 5), F),), (((3, 5), F),), (
        _numbers(2, 0, 1, 0), _scalar(3, N))) for kind in ("SUM", "MAX", "MIN", "PROD")),
    LiteCase("FILL", (((), F),), (((2, 3), F),), (_numbers(2, 3),), (1, 0)),
    LiteCase("ONE_HOT", (((3,), N),), (((3, 4), F),), (
        _scalar(4, N), _scalar(1), _scalar(0)), options=("OneHotOptions", {"Axis": -1})),
    LiteCase("TOPK_V2", (((2, 5), F),), (((2, 2), F), ((2, 2), N)), (_scalar(2, N),)),
    LiteCase("REDUCE_PROD", (PAIR,), (((2,), F),), (_numbers(1),), options=("ReducerOptions", {})),
    *(LiteCase(kind, (((2, 3), B),), (((2, 1), B),), (_numbers(1),), options=(
        "ReducerOptions", {"KeepDims": True})) for kind in ("REDUCE_ALL", "REDUCE_ANY")),
    LiteCase("EMBEDDING_LOOKUP", (((3,), N),), (((3, 3), F),), (
        np.arange(12, dtype=np.float32).reshape(4, 3),)),
    LiteCase("DYNAMIC_UPDATE_SLICE", (((4, 5), F), ((2, 2), F), ((2,), N)), (((4, 5), F),)),
    LiteCase("NON_MAX_SUPPRESSION_V4", (((5, 4), F), ((5,), F)), (((3,), N), ((), N)), (
        _scalar(3, N), _scalar(0.5), _scalar(0.1))),
    LiteCase("NON_MAX_SUPPRESSION_V5", (((5, 4), F), ((5,), F)), (((3,), N), ((3,), F), ((), N)), (
        _scalar(3, N), _scalar(0.5), _scalar(0.1), _scalar(0))),
    LiteCase("CONV_3D", (((1, 4, 4, 4, 2), F),), (((1, 3, 3, 3, 3), F),), (KERNEL,), options=(
        "Conv3DOptions", VOLUME)),
    LiteCase("CONV_3D_TRANSPOSE", (((1, 3, 3, 3, 3), F),), (((1, 4, 4, 4, 2), F),), (
        _numbers(1, 4, 4, 4, 2), KERNEL), (1, 2, 0), ("Conv3DOptions", VOLUME)),
    LiteCase("AudioSpectrogram", (((400, 1), F),), (((1, 3, 65), F),), options=(
        None, {"window_size": 128, "stride": 128, "magnitude_squared": True})),
    LiteCase("Mfcc", (((1, 3, 65), F),), (((1, 3, 13), F),), (_numbers(16000),), options=(
        None, {"upper_frequency_limit": 4000.0, "lower_frequency_limit": 20.0,
               "filterbank_channel_count": 40, "dct_coefficient_count": 13})),
)


SPECTRA = ("COMPLEX_ABS", "IMAG", "REAL", "CAST")      # complex numbers to real ones


def tflite_spectrum(behind: str, lengths: tuple[int, int] = (1, 16), bins: int = 9) -> bytes:
    """RFFT2D of frames, SQUEEZE, and what makes its results real: complex ones are no outputs."""
    b = ModelBuilder()
    frames = b.tensor("frames", (1, 5, 1, 16), F)
    spectrum = b.tensor("spectrum", (1, 5, 1, bins), "complex64")
    flat, real = b.tensor("flat", (1, 5, bins), "complex64"), b.tensor("real", (1, 5, bins), F)
    b.op("RFFT2D", [frames, b.tensor("lengths", (2,), N, data=_numbers(*lengths))], [spectrum])
    b.op("SQUEEZE", [spectrum], [flat], "SqueezeOptions", SqueezeDims=[2])
    b.op(behind, [flat], [real])
    return b.build([frames], [real])


def tflite_mixed() -> bytes:
    """Convolution, CUMSUM and FLOOR in float32, a convolution; the first is an output, too."""
    b, rng = ModelBuilder(), np.random.default_rng(3)

    def conv(x: int, name: str, channels: int) -> int:
        w = b.tensor(f"{name}:w", (4, 1, 1, channels), scale=0.02, zero_point=0,
                     data=rng.integers(-99, 99, (4, 1, 1, channels), np.int8))
        bias = b.tensor(f"{name}:b", (4,), "int32", scale=0.02 * 0.05, zero_point=0,
                        data=np.zeros(4, np.int32))
        y = b.tensor(name, (1, 4, 4, 4), scale=0.05, zero_point=0)
        b.op("CONV_2D", [x, w, bias], [y], Padding=PADDING["VALID"], StrideH=1, StrideW=1,
             DilationHFactor=1, DilationWFactor=1)
        return y

    x = b.tensor("x", (1, 4, 4, 3), scale=0.05, zero_point=0)
    first = conv(x, "first", 3)
    real = [b.tensor(name, (1, 4, 4, 4), "float32") for name in ("real", "summed", "floor")]
    axis = b.tensor("axis", (), "int32", data=np.array(3, np.int32))
    b.op("DEQUANTIZE", [first], [real[0]])
    b.op("CUMSUM", [real[0], axis], [real[1]], "CumsumOptions")
    b.op("FLOOR", [real[1]], [real[2]])
    steps = b.tensor("steps", (1, 4, 4, 4), scale=0.05, zero_point=0)
    b.op("QUANTIZE", [real[2]], [steps])
    last = conv(steps, "last", 4)
    return b.build([x], [first, last])
