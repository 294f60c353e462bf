"""Tools to rewrite operators: new tensors and operators, other names, copies, and sums of int16 as
sums of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.repeats import repeats, times_of
from kaniwa.compiler.int16.sums import parts
from kaniwa.compiler.plan.kinds import VECTOR_KINDS, WIDE, WIDE_BYTES, WIDE_SUMS
from kaniwa.compiler.plan.operands import describe
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import UnsupportedError
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["BROADCAST", "NO_PADDING", "UNIT", "Rewriter"]

UNIT = Quantization((1.0,), (0,))
NO_PADDING = ((0, 0), (0, 0))
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D")
BROADCAST = "BROADCAST"     # the source kind of a copy that the compiler adds


class Rewriter:
    """The operators of a graph and tensors, with what has been added."""

    def __init__(self, graph: Graph, config: AcceleratorConfig,
                 time_multiplexed: frozenset[int] = frozenset(),
                 in_blocks: frozenset[int] = frozenset()) -> None:
        self.graph = graph
        self.config = config
        self.time_multiplexed = time_multiplexed
        self.in_blocks = in_blocks
        self.tensors: list[Tensor] = list(graph.tensors)
        self.ops: list[Op] = []
        self._origins: dict[int, int] = {}     # of tensors that are other names, of one dtype
        self._bytes: dict[int, tuple[int, int]] = {}     # of int16 tensors: high ones, low ones

    def tensor(self, name: str, shape: tuple[int, ...], like: Tensor | None = None,
               data: np.ndarray | None = None, quantization: Quantization | None = None) -> int:
        """A new tensor's id; dtype and quantization are those of ``like`` unless given."""
        new = Tensor(len(self.tensors), name, shape, like.dtype if like else str(data.dtype
                     if data is not None else "int8"),
                     quantization or (like.quantization if like else None), data)
        self.tensors.append(new)
        return new.id

    def emit(self, op: Op, kind: str, inputs: tuple[int, ...], attributes: Mapping[str, object],
             output: int | None = None, rule: str | None = None) -> None:
        """An operator of ``kind`` in place of ``op``, or several for one that sums int16.

        Raises UnsupportedError for what the target lacks.
        """
        if kind in WEIGHTED and self.tensors[inputs[0]].dtype == "int16":
            self._sums(op, kind, inputs, attributes, op.outputs[0] if output is None else output)
            return
        if (reason := missing_unit(kind, self.config)) is not None:
            raise UnsupportedError(f"{describe(self.graph, op)}: {reason}")
        self.ops.append(replace(
            op, kind=kind, inputs=inputs, outputs=op.outputs if output is None else (output,),
            attributes={"source_kind": op.kind, **attributes},
            rule=op.rule if rule is None else rule))

    def _sums(self, op: Op, kind: str, inputs: tuple[int, ...], attributes: Mapping[str, object],
              result: int) -> None:
        """``kind`` of int16, digit by digit of the sums of its high and its low bytes."""
        data = self.tensors[inputs[1]].data
        assert data is not None
        by_channel = data.reshape(len(data), -1) if kind == "CONV_2D" else data.reshape(
            -1, data.shape[-1]).T
        bias = self.tensors[inputs[2]].data if len(inputs) > 2 and inputs[2] != -1 else None
        bias = np.zeros(len(by_channel), np.int64) if bias is None else bias.astype(np.int64)
        digits, powers = list[int](), list[int]()
        y, uncounted = self.tensors[result], {**attributes, "taps": 0, "removed": None}
        high, low = self.bytes_of(op, inputs[0])
        for part in parts(by_channel.astype(np.int64), bias, describe(self.graph, op)):
            made = self.tensor(f"{y.name}:{'high' if part.high else 'low'}{part.digit}", y.shape)
            own = self.tensor(f"{op.name}:bias", part.bias.shape, data=part.bias)
            self.emit(op, kind, (high if part.high else low, inputs[1], own),
                      {**(uncounted if digits else attributes), "digit": part.digit}, made)
            digits.append(made)
            powers.append(part.power)
        self.emit(op, WIDE_SUMS, tuple(digits), {**uncounted, "powers": tuple(powers),
                                                 "operands": inputs[:2]}, result)

    def bytes_of(self, op: Op, source: int) -> tuple[int, int]:
        """The high bytes of an int16 tensor, and the low ones less 128, made once."""
        origin, shape = self._origins.get(source, source), self.tensors[source].shape
        if origin not in self._bytes:
            x = self.tensors[origin]
            high, low = (self.tensor(f"{x.name}:{name}", x.shape, quantization=Quantization(
                (1.0,), (zero,))) for name, zero in (("high", 0), ("low", -128)))
            self._bytes[origin] = high, low
            self.emit(replace(op, outputs=(high, low)), WIDE_BYTES, (origin,),
                      {**op.attributes, "taps": 0})
        high, low = self._bytes[origin]
        return self.reshaped(op, high, shape), self.reshaped(op, low, shape)

    def reshaped(self, op: Op, source: int, shape: tuple[int, ...]) -> int:
        """The id of ``source`` with another shape."""
        return self.named(op, source, shape, self.tensors[source])

    def named(self, op: Op, source: int, shape: tuple[int, ...], like: Tensor) -> int:
        """The id of ``source`` with another shape, and the dtype and steps of ``like``."""
        tensor = self.tensors[source]
        if (tensor.shape, tensor.dtype) == (shape, like.dtype):
            return source
        new = self.tensor(f"{tensor.name}:{'x'.join(map(str, shape))}", shape, like,
                          None if tensor.data is None else tensor.data.reshape(shape))
        if tensor.data is None:
            self.alias(replace(op, attributes={}), source, new)
        return new

    def renamed(self, op: Op, made: int, y: Tensor) -> None:
        """``y`` is another name of ``made``, if it is another tensor."""
        if made != y.id:
            self.alias(replace(op, attributes={}), made, y.id)

    def alias(self, op: Op, source: int, name: int) -> None:
        """A RESHAPE in place of ``op``: ``name`` is another name of ``source``."""
        if self.tensors[name].dtype == self.tensors[source].dtype:
            self._origins[name] = self._origins.get(source, source)
        self.ops.append(replace(op, kind="RESHAPE", inputs=(source,), outputs=(name,), rule="exact",
                                attributes={**op.attributes, "shape": self.tensors[name].shape}))

    def elements(self, op: Op, window: tuple[int, int]) -> list[int]:
        """Of what ``op`` reads in windows, each element of these as a tensor like its result.

        Depthwise convolutions that copy bytes: one weight is 1.
        """
        x, y = self.tensors[op.inputs[0]], self.tensors[op.outputs[0]]
        form, made = replace(x, dtype="int8"), list[int]()
        channels = x.shape[3] * np.dtype(x.dtype).itemsize
        source = self.named(op, x.id, (*x.shape[:3], channels), form)
        for number in range(prod(window)):
            weights = np.zeros((1, *window, channels), np.int8)
            weights[0, number // window[1], number % window[1]] = 1
            one = self.tensor(f"{op.name}:element{number}", weights.shape, None, weights, UNIT)
            copy = self.tensor(f"{y.name}:{number}", (*y.shape[:3], channels), form)
            self.emit(op, "DEPTHWISE_CONV_2D", (source, one), {
                "dilation": (1, 1), **op.attributes, "activation": "NONE", "taps": 0}, copy,
                "litert_double_rounding")
            made.append(self.named(op, copy, y.shape, x))
        return made

    def repeat(self, op: Op, tensor: Tensor, shape: tuple[int, ...]) -> int:
        """What ``tensor`` broadcasts to ``shape``: a convolution that copies a pixel over all
        pixels, a channel over all channels, or both; anything else axis by axis.

        Every window of repeated pixels is the same one: their stride is 0. What is wider than a
        byte is copied byte by byte.
        """
        size, form = np.dtype(tensor.dtype).itemsize, replace(tensor, dtype="int8")
        pixels, channels = prod(shape[:-1]), shape[-1] * size
        made = self.tensor(f"{tensor.name}:broadcast", (1, 1, pixels, channels), form)
        attributes = {"padding": NO_PADDING, "dilation": (1, 1), "taps": 0,
                      "source_kind": BROADCAST}
        if "position" in op.attributes:
            attributes["position"] = op.attributes["position"]
        which = _repeated(tensor.shape, shape)
        if which is None:
            self.repeat_axes(replace(op, attributes=attributes), tensor.id,
                             times_of(tensor.shape, shape), made)
            return self.named(op, made, (1, 1, pixels, shape[-1]), tensor)
        source = self.named(op, tensor.id, (
            1, 1, 1 if which[0] else pixels, size if which[1] else channels), form)
        weights = (np.tile(np.eye(size, dtype=np.int8), (shape[-1], 1))[:, None, None]
                   if which[1] else np.ones((1, 1, 1, channels), np.int8))
        ones = self.tensor(f"{tensor.name}:ones", weights.shape, None, weights, UNIT)
        self.emit(op, "CONV_2D" if which[1] else "DEPTHWISE_CONV_2D", (source, ones),
                  {**attributes, "stride": (1, 0 if which[0] else 1)}, made,
                  "litert_double_rounding")
        return self.named(op, made, (1, 1, pixels, shape[-1]), tensor)

    def repeat_axes(self, op: Op, source: int, times: tuple[int, ...], result: int) -> None:
        """``result`` is ``source`` with each axis so many times: copies, or products with ones."""
        x, y, lanes = self.tensors[source], self.tensors[result], self.config.depthwise_lanes
        form = replace(x, dtype="int8")
        shape = (1,) * (len(times) - len(x.shape)) + x.shape
        steps = repeats(shape, times, np.dtype(x.dtype).itemsize)
        for number, step in enumerate(steps):
            made = self.tensor(f"{y.name}:times{number}", (1, 1, *step.shape), form)
            x_form = self.named(op, source, (1, 1, step.outer, step.run), form)
            weights = step.identities(lanes)
            if weights is None:
                self.emit(op, "COPY", (x_form,), {
                    **op.attributes, "taps": 0, "moves": (step.move(lanes),)}, made)
            else:
                self.pick(op, x_form, weights, made)
            source = made
        self.renamed(op, source, y)

    def pick(self, op: Op, source: int, weights: np.ndarray, result: int) -> None:
        """Bytes of pixels, in another order or several times: products with ``weights`` [results,
        1, 1, bytes] that have a single 1 for each result."""
        ones = self.tensor(f"{self.tensors[result].name}:ones", weights.shape, None, weights, UNIT)
        self.emit(op, "CONV_2D", (source, ones), {
            **op.attributes, "padding": NO_PADDING, "dilation": (1, 1), "stride": (1, 1),
            "taps": 0}, result, "litert_double_rounding")


def _repeated(shape: tuple[int, ...], wide: tuple[int, ...]) -> tuple[bool, bool] | None:
    """Pixels, channels: True if broadcasting ``shape`` to ``wide`` repeats them; None for more."""
    own = (1,) * (len(wide) - len(shape)) + shape
    if own == wide:
        return False, False
    channels = own[-1:] != wide[-1:]
    if own[:-1] == wide[:-1]:
        return False, channels
    return (True, channels) if prod(own[:-1]) == 1 else None


def missing_unit(kind: str, config: AcceleratorConfig) -> str | None:
    """The unit that the target lacks for a kind that ``legalize`` leaves, and the way out."""
    if kind in ("ADD", "MUL", "TABLE") and not config.elementwise:
        return (f"target '{config.name}' has no elementwise unit; use a target with "
                f"elementwise = true")
    if kind == "MUL" and not config.elementwise_multiply:
        return (f"target '{config.name}' has no elementwise multiplier for the product of two "
                f"tensors; use a target with elementwise_multiply = true")
    if kind == "MAX_POOL_2D" and not config.max_pool:
        return f"target '{config.name}' has no max pooling; use a target with max_pool = true"
    if kind in (WIDE, WIDE_BYTES, WIDE_SUMS) and not config.vector_unit:
        return (f"target '{config.name}' has no vector unit, which int16 needs; quantize the model "
                f"to int8, or use a target with vector_unit = true")
    if kind in (*VECTOR_KINDS, "LSTM") and not config.vector_unit:
        return f"target '{config.name}' has no vector unit; use a target with vector_unit = true"
    return None
