"""What draws cases: a model that grows by one operator a case, random values and scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.errors import Error
from kaniwa.importers import OPERATORS
from kaniwa.importers.tflite.importer import NO_ENDS, import_tflite

__all__ = ["Cases", "Draw", "DRAWS", "draws", "both", "differences", "values", "scale",
           "zero_point", "input_dtypes", "FUSED", "Rng"]

Rng = np.random.Generator
RUNS = 4  # of a model with state
FUSED = ("NONE", "NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")


@dataclass
class Cases:
    """A model under construction, with the values of its inputs."""

    builder: ModelBuilder = field(default_factory=ModelBuilder)
    inputs: list[int] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    once: ModelBuilder | None = None  # a subgraph that runs before the first inference

    def given(self, array: np.ndarray, constant: bool = False, **quantized: Any) -> int:
        """A tensor with this value: an input of the model, or a constant."""
        name = f"t{len(self.builder.tensors)}"
        index = self.builder.tensor(name, array.shape, str(array.dtype),
                                    data=array if constant else None, **quantized)
        if not constant:
            self.inputs.append(index)
            self.arrays.append(array)
        return index

    def packed(self, array: np.ndarray, **quantized: Any) -> int:
        """A constant of int4 values, two a byte."""
        flat = np.append(array.reshape(-1), np.zeros(array.size % 2, np.int8)).astype(np.uint8) & 15
        name = f"t{len(self.builder.tensors)}"
        data = (flat[::2] | flat[1::2] << 4).astype(np.uint8)
        return self.builder.tensor(name, array.shape, "int4", data=data, **quantized)

    def numbers(self, numbers: Sequence[int] | np.ndarray, dtype: str = "int32") -> int:
        """A constant of integers, a vector unless an array is given."""
        return self.given(np.asarray(numbers, dtype), constant=True)

    def result(self, shape: Sequence[int], dtype: str = "int8", **quantized: Any) -> int:
        """An output of the model."""
        name = f"t{len(self.builder.tensors)}"
        self.outputs.append(self.builder.tensor(name, [int(n) for n in shape], dtype, **quantized))
        return self.outputs[-1]

    def op(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """The operator of the case."""
        self.builder.op(kind, inputs, outputs, **options)


Draw = Callable[[Cases, Rng, str], None]
DRAWS: dict[str, Draw] = {}


def draws(*kinds: str) -> Callable[[Draw], Draw]:
    """Register the decorated function (cases, rng, kind) for these operators."""

    def register(draw: Draw) -> Draw:
        for kind in kinds:
            assert kind not in DRAWS, kind
            DRAWS[kind] = draw
        return draw

    return register


def differences(kind: str, count: int, first: int = 0) -> tuple[int, list[np.ndarray]]:
    """Elements of ``count`` cases of ``kind`` in which golden and LiteRT differ in a bit.

    Also all of LiteRT's outputs. An assertion names the first case that differs or is refused.
    """
    cases = Cases()
    for seed in range(first, first + count):
        DRAWS[kind](cases, np.random.default_rng([seed, *kind.encode()]), kind)
    try:
        ours, theirs = both(cases)
    except Error as error:
        if count == 1:
            raise AssertionError(f"{kind}: seed {first}: {error}") from None
        for seed in range(first, first + count):
            differences(kind, 1, seed)
        raise
    wrong = sum(_different(a, b) for a, b in zip(ours, theirs, strict=True))
    if wrong and count > 1:
        for seed in range(first, first + count):
            found = differences(kind, 1, seed)[0]
            assert found == 0, f"{kind}: seed {seed}: {found} elements differ"
    return wrong, theirs


def both(cases: Cases) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The outputs, as golden and as LiteRT make them."""
    from kaniwa.verify.litert import LiteRT

    others = [] if cases.once is None else [cases.once]
    content = cases.builder.build(cases.inputs, cases.outputs, *others)
    graph = import_tflite(content, "cases.tflite")
    ours, theirs, state, reference = [], [], {}, LiteRT(content, graph)
    for _ in range(RUNS if graph.state else 1):
        values = golden.run(graph, cases.arrays, keep=cases.outputs, state=state)
        ours += [values[i] for i in cases.outputs]
        values = reference.run(cases.arrays, cases.outputs)
        theirs += [values[i] for i in cases.outputs]
    return ours, theirs


def _different(ours: np.ndarray, theirs: np.ndarray) -> int:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return max(ours.size, 1)
    if ours.dtype == np.float32:
        ours, theirs = (np.ascontiguousarray(a).view(np.int32) for a in (ours, theirs))
    return int((ours != theirs).sum())


def values(rng: Rng, shape: Sequence[int], dtype: str = "int8") -> np.ndarray:
    """Values over the whole range; one integer in four is an extreme."""
    shape = tuple(int(n) for n in shape)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype == "float32":
        wide = rng.normal(size=shape) * 2.0 ** rng.integers(-8, 9, shape)
        return np.where(rng.random(shape) < 0.1, np.round(wide), wide).astype(np.float32)
    limits = np.iinfo(dtype)
    drawn = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    extremes = rng.choice(np.array([limits.min, limits.max], dtype), shape)
    return np.asarray(np.where(rng.random(shape) < 0.25, extremes, drawn), dtype)


def input_dtypes(kind: str) -> list[str]:
    """The dtypes that the operator has: those that a model's input may be of."""
    return [dtype for dtype in OPERATORS[kind].rules if dtype not in NO_ENDS]


def zero_point(rng: Rng, dtype: str = "int8") -> int:
    """A zero point of the dtype, often at the end of its range."""
    if dtype == "int16":
        return 0
    limits = np.iinfo(dtype)
    middle = (int(limits.min) + int(limits.max) + 1) // 2
    inside = rng.integers(limits.min, limits.max, endpoint=True)
    return int(rng.choice([limits.min, limits.max, middle, inside]))


def scale(rng: Rng, low: float = -8, high: float = 4) -> float:
    """A float32 scale, log-uniform between powers of two; one in four is a power of two itself."""
    exponent = rng.uniform(low, high)
    return float(np.float32(2.0 ** (round(exponent) if rng.random() < 0.25 else exponent)))
