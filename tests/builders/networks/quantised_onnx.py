"""Random float ONNX networks, quantised by ONNX Runtime's own quantiser: a convolution, operators,
a head."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper, load_model_from_string
from onnxruntime import quantization

from builders.files.onnx_models import OnnxBuilder

__all__ = ["OPERATORS", "float_network", "quantised_network"]

Shape = tuple[int, ...]
Step = Callable[["Network", str, Shape], tuple[str, Shape]]


class Network(OnnxBuilder):
    """With float constants."""

    def numbers(self, *shape: int, spread: float = 0.4) -> str:
        return self.constant(self.rng.normal(0, spread, shape).astype(np.float32))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def pick(self, *values: int) -> int:
        return int(self.rng.choice(values))

    def conv(self, x: str, outputs: int, inputs: int, size: int = 3) -> str:
        return self.node("Conv", [x, self.numbers(outputs, inputs, size, size),
                                  self.numbers(outputs)], pads=[size // 2] * 4)


def _plain(kind: str, **attributes: object) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        return b.node(kind, [x], **attributes), shape

    return step


def _positive(kind: str) -> Step:
    """A function of what is at least 0.5."""
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        y = b.node("Add", [b.node("Sigmoid", [x]), b.constant(np.float32(0.5))])
        return b.node(kind, [y]), shape

    return step


def _clip(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("Clip", [x, b.constant(np.float32(-1)), b.constant(np.float32(1.5))]), shape


def _slopes(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("PRelu", [x, b.numbers(shape[1], 1, 1)]), shape


def _power(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("Pow", [x, b.constant(np.float32(b.pick(2, 3)))]), shape


def _arithmetic(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        choice = b.pick(0, 1, 2)
        if kind == "Div":
            other = b.constant(b.rng.uniform(0.5, 2, ((), (shape[1], 1, 1))[choice % 2])
                               .astype(np.float32))
        elif choice == 0:
            other = b.conv(x, shape[1], shape[1])
        else:
            other = b.numbers(*((), (1, shape[1], 1, 1))[choice - 1])
        return b.node(kind, [x, other]), shape

    return step


def _matmul(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    if b.pick(0, 1):
        return b.node("MatMul", [x, b.numbers(shape[3], 6)]), (*shape[:3], 6)
    y = b.node("MatMul", [x, b.node("Transpose", [x], perm=[0, 1, 3, 2])])
    return y, (*shape[:3], shape[2])


def _pool(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        stride, ceil = b.pick(1, 2), b.pick(0, 1)
        options: dict[str, object] = {"kernel_shape": [3, 3], "strides": [stride] * 2,
                                      "pads": [b.pick(0, 1)] * 4}
        if kind != "LpPool":
            options["ceil_mode"] = ceil
        if kind == "AveragePool":
            options["count_include_pad"] = b.pick(0, 1)
        return b.node(kind, [x], **options), ()

    return step


def _overall(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        return b.node(kind, [x]), (*shape[:2], 1, 1)

    return step


def _reduce(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        axes = ([2, 3], [1], [3], [1, 3])[b.pick(0, 1, 2, 3)]
        return b.node(kind, [x, b.integers(*axes)], keepdims=b.pick(0, 1)), ()

    return step


def _position(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        y = b.node(kind, [x], axis=b.pick(1, 3), keepdims=b.pick(0, 1))
        return b.node("Cast", [y], to=1), ()

    return step


def _top(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    values, positions = b.nodes_of("TopK", [x, b.integers(2)], 2, axis=b.pick(1, 3))
    return (values if b.pick(0, 1) else b.node("Cast", [positions], to=1)), ()


def _softmax(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        return b.node(kind, [x], axis=b.pick(1, -1)), shape

    return step


def _layer_norm(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("LayerNormalization", [x, b.numbers(shape[3]), b.numbers(shape[3])]), shape


def _root_norm(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        if kind == "RMSNormalization":
            b.opset = 23
        return b.node(kind, [x, b.numbers(shape[3])], axis=-1, epsilon=1e-5), shape

    return step


def _unit_length(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("LpNormalization", [x], axis=b.pick(1, 3), p=2), shape


def _batch_norm(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    variance = b.constant(b.rng.uniform(0.3, 2, shape[1]).astype(np.float32))
    x = b.node("Relu", [x]) if b.pick(0, 1) else x
    return b.node("BatchNormalization", [
        x, *(b.numbers(shape[1]) for _ in range(3)), variance]), shape


def _instance_norm(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("InstanceNormalization", [x, b.numbers(shape[1]), b.numbers(shape[1])]), shape


def _group_norm(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    count = 2 if b.opset < 21 else shape[1]      # a gain a group, later a channel
    return b.node("GroupNormalization", [x, b.numbers(count), b.numbers(count)],
                  num_groups=2), shape


def _transposed(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    options = {"strides": [b.pick(1, 2)] * 2, "pads": [b.pick(0, 1)] * 4}
    return b.node("ConvTranspose", [x, b.numbers(shape[1], 4, 3, 3), b.numbers(4)], **options), ()


def _variant(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    """A convolution that is depthwise, dilated or of one dimension."""
    which = b.pick(0, 1, 2)
    if which == 0:
        return b.node("Conv", [x, b.numbers(shape[1], 1, 3, 3)], group=shape[1],
                      pads=[1] * 4), shape
    if which == 1:
        return b.node("Conv", [x, b.numbers(6, shape[1], 3, 3)], dilations=[2, 2],
                      auto_pad="VALID"), ()
    flat = b.node("Reshape", [x, b.integers(1, shape[1], -1)])
    return b.node("Conv", [flat, b.numbers(6, shape[1], 3)], strides=[2]), ()


def _extreme(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        others = [b.conv(x, shape[1], shape[1])][:b.pick(0, 1)] + [
            b.constant(np.float32(0.2))][:b.pick(0, 1)]
        return b.node(kind, [x, *others]), shape

    return step


def _concat(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    y = b.node("Concat", [x, b.node("Tanh", [x]), b.numbers(*shape)], axis=b.pick(1, 3))
    return y, ()


def _moved(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        if kind == "Transpose":
            return b.node(kind, [x], perm=[0, *(int(p) + 1 for p in b.rng.permutation(3))]), ()
        if kind == "Flatten":
            return b.node(kind, [x]), ()
        if kind == "Squeeze":
            y = b.node("ReduceMean", [x, b.integers(2)])
            return b.node(kind, [y, b.integers(2)]), ()
        if kind == "Unsqueeze":
            return b.node(kind, [x, b.integers(1)]), ()
        if kind == "Reshape":
            return b.node(kind, [x, b.integers(1, -1, shape[3])]), ()
        return b.node(kind, [x]), shape

    return step


def _cut(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    axis, step = b.pick(1, 2, 3), b.pick(1, 2, -1)
    bounds = (0, 1 << 30) if step > 0 else (-1, -(1 << 30))
    return b.node("Slice", [x, *(b.integers(n) for n in (*bounds, axis, step))]), ()


def _gather(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    chosen = [np.array(1), np.array([0, 2]), np.array([[2, 0], [0, 1]])][b.pick(0, 1, 2)]
    return b.node("Gather", [x, b.constant(chosen)], axis=b.pick(1, 2, 3)), ()


def _split(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    first, second = b.nodes_of("Split", [x, b.integers(2, shape[1] - 2)], 2, axis=1)
    return b.node("Concat", [b.node("Relu", [second]), first], axis=1), shape


def _pad(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    mode = str(b.rng.choice(["constant", "reflect", "edge"]))
    operands = [x, b.integers(0, 0, 1, 2, 0, 0, 2, 1)]
    if mode == "constant" and b.pick(0, 1):
        operands.append(b.constant(np.float32(0.7)))
    return b.node("Pad", operands, mode=mode), ()


def _resize(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    mode = str(b.rng.choice(["nearest", "linear", "cubic"]))
    how = str(b.rng.choice(["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"]))
    scales = b.constant(np.float32([1, 1, *b.rng.choice([0.5, 1.5, 2], 2)]))
    return b.node("Resize", [x, "", scales], mode=mode, coordinate_transformation_mode=how), ()


def _blocks(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        y = b.conv(x, 8, shape[1])
        if kind == "DepthToSpace":
            return b.node(kind, [y], blocksize=2, mode=str(b.rng.choice(["DCR", "CRD"]))), ()
        return b.node(kind, [y], blocksize=2), ()

    return step


def _expand(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    y = b.node("ReduceMax", [x, b.integers(2)])
    return b.node("Expand", [y, b.integers(1, shape[1], 3, shape[3])]), ()


def _choice(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    condition = b.constant(b.rng.random(shape[b.pick(1, 2):]) < 0.7)
    number = b.constant(np.float32(b.rng.choice([-1.0, 0.0, 0.5])))
    values = [x, number] if b.pick(0, 1) else [number, x]
    return b.node("Where", [condition, *values]), ()


def _guard(kind: str) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        return b.node("Where", [b.node(kind, [x]), b.constant(np.float32(0)), x]), ()

    return step


def _tile(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    return b.node("Tile", [x, b.integers(1, 1, 2, 1)]), ()


def _einsum(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    if b.pick(0, 1):
        return b.node("Einsum", [x, b.numbers(shape[3], 5)], equation="nchw,wd->nchd"), ()
    return b.node("Einsum", [x, x], equation="nchw,nkhw->nck"), ()


def _recurrent(kind: str, gates: int) -> Step:
    def step(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
        width, size = shape[1] * shape[3], 6
        rows = b.node("Transpose", [x], perm=[2, 0, 1, 3])
        rows = b.node("Reshape", [rows, b.integers(-1, 1, width)])
        weights = [b.numbers(1, gates * size, n) for n in (width, size)]
        options = {"linear_before_reset": 1} if kind == "GRU" else {}
        y = b.nodes_of(kind, [rows, *weights, b.numbers(1, 2 * gates * size)], 1,
                       hidden_size=size, **options)[0]
        return b.node("Transpose", [y], perm=[1, 2, 0, 3]), ()

    return step


def _boxes(b: Network, x: str, shape: Shape) -> tuple[str, Shape]:
    """A row for each of the best, whatever their overlap."""
    count = 6
    flat = b.node("Gemm", [b.node("Flatten", [x]), b.numbers(prod(shape[1:]), count * 6,
                                                             spread=0.1)])
    parts = b.nodes_of("Split", [flat, b.integers(count * 4, count * 2)], 2, axis=1)
    boxes = b.node("Reshape", [parts[0], b.integers(1, count, 4)])
    scores = b.node("Reshape", [parts[1], b.integers(1, 2, count)])
    y = b.node("NonMaxSuppression", [boxes, scores, b.integers(3), b.constant(np.float32([1]))])
    return b.node("Cast", [y], to=1), ()


FUNCTIONS = ("Relu", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSigmoid", "HardSwish", "Gelu",
             "Exp", "Erf", "Softplus", "Abs", "Neg", "Selu", "Celu", "ThresholdedRelu", "Mish",
             "Softsign", "Sin", "Cos", "Floor", "Ceil", "Round", "Sign")

OPERATORS: dict[str, Step] = {
    **{kind: _plain(kind) for kind in FUNCTIONS},
    **{kind: _positive(kind) for kind in ("Log", "Sqrt", "Reciprocal")},
    "Clip": _clip, "PRelu": _slopes, "Pow": _power,
    **{kind: _arithmetic(kind) for kind in ("Add", "Sub", "Mul", "Div")},
    "MatMul": _matmul, "Conv": _variant, "ConvTranspose": _transposed,
    **{kind: _pool(kind) for kind in ("AveragePool", "MaxPool", "LpPool")},
    **{kind: _overall(kind) for kind in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")},
    **{kind: _reduce(kind) for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum")},
    **{kind: _position(kind) for kind in ("ArgMax", "ArgMin")}, "TopK": _top,
    "Softmax": _softmax("Softmax"), "LogSoftmax": _softmax("LogSoftmax"),
    "LayerNormalization": _layer_norm, "BatchNormalization": _batch_norm,
    **{kind: _root_norm(kind) for kind in ("SimplifiedLayerNormalization", "RMSNormalization")},
    "LpNormalization": _unit_length,
    "InstanceNormalization": _instance_norm, "GroupNormalization": _group_norm,
    "Max": _extreme("Max"), "Min": _extreme("Min"), "Concat": _concat,
    **{kind: _moved(kind) for kind in ("Transpose", "Flatten", "Squeeze", "Unsqueeze", "Reshape",
                                       "Identity")},
    "Slice": _cut, "Gather": _gather, "Split": _split, "Pad": _pad, "Resize": _resize,
    "DepthToSpace": _blocks("DepthToSpace"), "SpaceToDepth": _blocks("SpaceToDepth"),
    "Expand": _expand, "Tile": _tile, "Einsum": _einsum,
    "LSTM": _recurrent("LSTM", 4), "GRU": _recurrent("GRU", 3), "RNN": _recurrent("RNN", 1),
    "NonMaxSuppression": _boxes, "Where": _choice,
    **{kind: _guard(kind) for kind in ("IsNaN", "IsInf")},
}
KINDS = tuple(OPERATORS)


def _before(b: Network, x: str) -> str:
    """What is before the first convolution: nothing, most of the time."""
    which = b.pick(0, 0, 0, 1, 2, 3, 4)
    if which == 1:
        return b.node(str(b.rng.choice(["Relu", "Tanh"])), [x])
    if which == 2:
        return b.node("MaxPool", [x], kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    if which == 3:
        y = b.node("Sub", [x, b.numbers(1, 3, 1, 1)])
        return b.node("Div", [y, b.constant(np.float32([[[0.5]], [[0.7]], [[1.2]]]))])
    return b.node("Pad", [x, b.integers(0, 0, 1, 1, 0, 0, 1, 1)]) if which == 4 else x


def _head(b: Network, x: str, shape: Shape) -> str:
    """A linear layer of all that there is, or of means, and what may be behind it."""
    if 0 in shape:      # as many rows as ONNX Runtime finds
        return x
    if len(shape) == 4 and b.pick(0, 1):
        x, shape = b.node("GlobalAveragePool", [x]), (shape[0], shape[1])
    flat = b.node("Flatten", [x])
    y = b.node("Gemm", [flat, b.numbers(prod(shape[1:]), 5), b.numbers(5)])
    return (b.node("Softmax", [y], axis=1), b.node("Relu", [y]), y)[b.pick(0, 1, 2)]


def float_network(seed: int) -> Network:
    """A network with its inputs and nodes, without a result yet; ``kind`` is the seed's."""
    b = Network(seed, opset=21 if seed % 3 else 20)
    shape = (1, 3, b.pick(6, 8), b.pick(6, 8))
    x = _before(b, b.input(shape))
    channels = b.pick(4, 6, 8)
    x = b.conv(x, channels, 3)
    x = b.node("Relu", [x]) if b.pick(0, 1) else x
    return b


def quantised_network(seed: int, folder: Path) -> tuple[str, bytes]:
    """The operator of this seed, and its network as the quantiser writes it, by the seed in one of
    its forms."""
    kind = KINDS[seed % len(KINDS)]
    b = float_network(seed)
    last = b.nodes[-1].output[0]
    shape = _shape_of(b, last)
    y, shape = OPERATORS[kind](b, last, shape)
    shape = shape or _shape_of(b, y)
    # ONNX infers no shape of a GroupNormalization, and the quantiser leaves what has none.
    known = helper.make_tensor_value_info(y, TensorProto.FLOAT, shape)
    if len(shape) == 4 and b.pick(0, 1):
        y, shape = b.conv(y, 4, shape[1], 1), (1, 4, *shape[2:])
    name = y if b.pick(0, 0, 1) else _head(b, y, shape)
    return kind, _quantised(b, (b.model(name), known), seed, folder)


def _shape_of(b: Network, name: str) -> Shape:
    """By shape inference of ONNX."""
    from onnx import shape_inference

    model = shape_inference.infer_shapes(load_model_from_string(b.model(name)), data_prop=True)
    dims = model.graph.output[0].type.tensor_type.shape.dim
    return tuple(d.dim_value for d in dims)


class _Samples(quantization.CalibrationDataReader):    # type: ignore[misc]
    def __init__(self, b: Network) -> None:
        rng = np.random.default_rng(0)
        self.samples: Iterator[dict[str, np.ndarray]] = iter(
            [{name: rng.normal(0, 1, shape).astype(np.float32)
              for name, shape in b.input_shapes.items()} for _ in range(2)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.samples, None)


def _quantised(b: Network, model: tuple[bytes, ValueInfoProto], seed: int,
               folder: Path) -> bytes:
    proto, path = load_model_from_string(model[0]), folder / f"{seed}.onnx"
    if model[1].name != proto.graph.output[0].name:
        proto.graph.value_info.append(model[1])
    types, forms = quantization.QuantType, quantization.QuantFormat
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        if seed % 16 == 15:
            quantization.quantize_dynamic(proto, path, weight_type=types.QInt8)
        else:
            activations = (types.QUInt8, types.QInt8)[b.pick(0, 1)]
            weights = types.QInt8 if activations == types.QInt8 or b.pick(0, 1) else types.QUInt8
            if seed % 16 == 7 and b.opset >= 21:
                activations, weights = (types.QInt16, types.QUInt16)[b.pick(0, 1)], types.QInt8
            quantization.quantize_static(
                proto, path, _Samples(b), quant_format=forms.QOperator if seed % 8 == 3
                else forms.QDQ, activation_type=activations, weight_type=weights,
                per_channel=bool(b.pick(0, 1)),
                extra_options={"ActivationSymmetric": activations == types.QInt8
                               and bool(b.pick(0, 1))})
    logging.disable(logging.NOTSET)
    return path.read_bytes()
