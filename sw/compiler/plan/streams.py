"""Layers whose weights are activations: streams of weights that a run writes.

A stream is a constant with the headers that the decoder wants; copies of activations are written
between them, and are weights once a VECTOR has waited for that. With an identity matrix for input,
such weights come out as columns: a transposition at the array's rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.geometry import Geometry, Hwc, ScatteredOutput, Stream
from kaniwa.compiler.plan.layers import ArrayLayer, Code, Stage
from kaniwa.compiler.plan.lowering import Lowering
from kaniwa.compiler.plan.operands import source_of
from kaniwa.compiler.plan.rescale import Rescale, bytes_kept
from kaniwa.compiler.plan.staged import StagedLayer
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Tensor
from kaniwa.isa import Mode
from kaniwa.isa.weight_stream import encode_weights

__all__ = ["Stages", "Words", "whole_lanes"]

INT8 = (-128, 127)
ONE = (1, 1)


@dataclass(frozen=True)
class Words:
    """Streams of weights [batch, channels, depth] for blocks of ``lanes`` channels, each with a
    header. ``zero_point``: what the array takes off them, and what fills a channel's last word up.

    With ``split`` the terms of each step of the array are a stream of their own.
    """

    config: AcceleratorConfig
    batch: int
    channels: int
    depth: int
    lanes: int
    zero_point: int = 0
    split: bool = False

    @property
    def steps(self) -> int:
        return -(-self.depth // self.config.dot_width)

    @property
    def blocks(self) -> int:
        return -(-self.channels // self.lanes)

    @property
    def block_bytes(self) -> int:
        words = 1 if self.split else self.steps
        return self.config.read_bytes + words * self.config.tile_bytes

    @property
    def stream_bytes(self) -> int:
        return self.blocks * self.block_bytes

    @property
    def image_bytes(self) -> int:
        return self.stream_bytes * (self.steps if self.split else 1)

    def stream(self, tensor: int, step: int = 0) -> Stream:
        return Stream(tensor, step * self.stream_bytes, self.image_bytes, self.block_bytes)

    def maps(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Channels as maps, for what writes them: first, rows (blocks) and columns of each."""
        while first < last:
            columns = min(self.lanes - first % self.lanes, last - first)
            rows = max((last - first) // self.lanes, 1) if columns == self.lanes else 1
            yield first, rows, columns
            first += rows * columns

    def places(self, first: int) -> ScatteredOutput:
        """Places of the results of such a map: a pixel is a channel here, a channel a weight."""
        width = self.config.dot_width
        start = first // self.lanes * self.block_bytes + first % self.lanes * width
        return ScatteredOutput(
            self.config.read_bytes + start, self.image_bytes, self.block_bytes, width, width,
            self.stream_bytes if self.split else self.config.tile_bytes)

    def template(self, last: Sequence[int] = ()) -> npt.NDArray[np.int8]:
        """The streams with weights of 0, but for the ``last`` ones of each channel."""
        lanes, width = self.config.out_lanes, self.config.dot_width
        steps = 1 if self.split else self.steps
        words = np.zeros((steps * width, lanes), np.int8)
        words[self.depth:] = self.zero_point
        words[self.depth - len(last):self.depth] = np.array(last, np.int8)[:, None]
        split = words.reshape(steps, width, lanes).transpose(0, 2, 1)
        block = encode_weights(split, self.config, ("raw",))
        return np.frombuffer(block * (self.image_bytes // len(block) * self.batch), np.int8)


class Stages:
    """The stages of an operator, and the tensors that they add, as they are made."""

    def __init__(self, lowering: Lowering, batch: int = 1) -> None:
        self.op, self.config, self.batch = lowering.op, lowering.config, batch
        self.where = lowering.where
        self._stored, self._first_id = lowering.stored.inputs, lowering.next_id
        self.stages: list[Stage] = []
        self.tensors: list[Tensor] = []
        self._filled: dict[int, int] = {}

    def finish(self, code: Code | None = None, table: bytes = b"",
               macs: int = 0) -> StagedLayer:
        """The layer of all stages; ``code`` and ``table`` as in ``UnitProgram``, for a stage with
        the operator's program."""
        constants = tuple(t.id for t in self.tensors if t.data is not None)
        return StagedLayer(
            self.op.name, self.op.kind, (*self._stored, *constants), self.op.outputs[0],
            code or (lambda reads, ofm, table: b""), table, source_of(self.op),
            macs=macs, stages=tuple(self.stages), filled=self._filled,
            between=tuple(t.id for t in self.tensors if t.data is None))

    def add(self, layer: ArrayLayer, weights: Stream | None = None,
            parameters: Stream | None = None, advance: int = 0, result_advance: int = 0) -> None:
        """A stage of the array."""
        self.stages.append(Stage(layer, weights, parameters, advance=advance,
                                 result_advance=result_advance))

    def settle(self) -> None:
        """Wait for what came before."""
        self.stages.append(Stage())

    def run_program(self) -> None:
        """The same, and then run the operator's program."""
        self.stages.append(Stage(program=True))

    def layer(self, ifm: int, ofm: int, source: Hwc, made: Hwc, rescale: Rescale | None = None,
              batch: int | None = None) -> ArrayLayer:
        """A dense layer of single pixels; without ``rescale`` its results are its sums."""
        if rescale is None:
            rescale = bytes_kept(made[2], self.config.multiplier_bits, self.where)
        images = self.batch if batch is None else batch
        return ArrayLayer(self.op.name, self.op.kind, Mode.DENSE, ifm, ofm,
                     Geometry(images, source, made, ONE, ONE, ONE, (0, 0)), None,
                     np.zeros(made[2], np.int64), 0, rescale, 0, ())

    def copy(self, layer: ArrayLayer, run: int | None, advance: int = 0, **changes: Any) -> None:
        """A stage that copies bytes: ``layer`` as a depthwise one with weights of 1, for places in
        runs of ``run`` channels; None for a map's, with gaps or without."""
        lanes = 0 if run is None else whole_lanes(self.config.depthwise_lanes, run)
        self.add(replace(layer, mode=Mode.DEPTHWISE, lanes=lanes,
                         weights=np.ones((1, 1, layer.geometry.ofm[2]), np.int8), **changes),
                 advance=advance)

    def pack(self, source: int, to: int, words: Words) -> None:
        """Copies [batch, channels, depth] into a stream."""
        depth = words.depth
        for first, rows, columns in words.maps(0, words.channels):
            batch = self.batch
            if rows * columns == words.channels and words.image_bytes == words.stream_bytes:
                rows, batch = batch * rows, 1
            shape = (rows, columns, depth)
            self.copy(self.layer(source, to, shape, shape, batch=batch), self.config.dot_width,
                      places=words.places(first),
                      source_at=(first * depth, words.channels * depth, columns * depth))

    def repeat(self, source: int, to: int, words: Words, part: tuple[int, int], column: int = 0,
               advance: int = 0, block: int = 0) -> None:
        """Copies the same bytes, first and count, to all channels of a stream, from a ``column`` on
        with which a word begins, or that has the rest behind it in its word: words as rows, then
        what is left. ``advance``: bytes from that of one step to the next, ``block`` from that of
        one block of channels to the next."""
        begin, count = part
        width, config = self.config.dot_width, self.config
        lanes = min(words.lanes, words.channels)
        for first, rows, run in ((0, count // width, width), (count // width, 1, count % width)):
            if rows * run:
                layer = self.layer(source, to, (rows, 1, run), (rows, lanes, run),
                                   batch=words.blocks)
                word, byte = divmod(column, width)
                start = config.read_bytes + (word + first) * config.tile_bytes + byte
                self.copy(
                    replace(layer, geometry=replace(layer.geometry, stride=(1, 0))), run, advance,
                    places=ScatteredOutput(start, words.block_bytes, config.tile_bytes, width, run,
                                           0),
                    source_at=(begin + first * width, block, width))

    def columns(self, stream: int, words: Words, to: int,
                places: Callable[[int, int], Iterator[tuple[int, int, int, ScatteredOutput]]]
                ) -> None:
        """Writes the columns of ``words`` one after the other: each is a pixel.

        ``places``: for columns [first, past the last) the maps that they are, as in ``Words.maps``,
        and where each lies. What the stream has must be complete.
        """
        streams = words.steps if words.split else 1
        width = words.steps * self.config.dot_width // streams     # columns of a stream
        eye = self.constant("identity", np.eye(width, dtype=np.int8))
        for step in range(streams):
            start = step * width
            for first, rows, columns, where in places(start, min(start + width, words.depth)):
                layer = self.layer(eye, to, (rows, columns, width),
                                   (rows, columns, words.channels))
                self.add(replace(layer, lanes=words.lanes, places=where,
                                 source_at=((first - start) * width, 0, columns * width)),
                         words.stream(stream, step))

    def filled(self, name: str, data: npt.NDArray[np.int8], depth: int = 0) -> int:
        """A constant that is written between what stays: ``depth`` weights of each channel, or, 0,
        all that is not a header."""
        made = self.constant(name, data)
        self._filled[made] = depth
        return made

    def constant(self, name: str, data: npt.NDArray[np.int8]) -> int:
        """A tensor with this value."""
        return self._tensor(name, data.shape, data)

    def between(self, name: str, size: int) -> int:
        """A tensor of so many bytes, from one stage to the next."""
        return self._tensor(name, (size,), None)

    def _tensor(self, name: str, shape: tuple[int, ...],
                data: npt.NDArray[np.int8] | None) -> int:
        made = Tensor(self._first_id + len(self.tensors), f"{self.op.name}:{name}", shape, "int8",
                      None, data)
        self.tensors.append(made)
        return made.id


def whole_lanes(most: int, run: int) -> int:
    """Channels of a block: as many as there may be, and whole blocks to a run."""
    return max(n for n in range(1, most + 1) if run % n == 0)
