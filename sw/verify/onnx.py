"""``kaniwa verify`` of ONNX models: against ONNX Runtime, or recorded vectors of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.data.inputs import Inputs
from kaniwa.golden import run
from kaniwa.importers import read_model_file
from kaniwa.importers.input_shapes import chosen_shapes
from kaniwa.importers.onnx.model import ImportedOnnx, read_graph
from kaniwa.runtimes import NAMES
from kaniwa.runtimes.behind import behind
from kaniwa.stage import Stage
from kaniwa.verify.onnxruntime import (
    FLOAT_TOLERANCE,
    Difference,
    OnnxRuntime,
    as_long,
    differences,
)
from kaniwa.verify.recorded import RECORDED, RecordedVectors, choose_inputs

__all__ = ["RecordedOnnx", "verify_onnx"]


def verify_onnx(model: str | PathLike[str], against: str, inputs: str | PathLike[str] | int | None,
                layers: bool, progress: Callable[[str], None] | None, uint8: bool,
                limit: int | None) -> dict[str, Any]:
    """As ``kaniwa.verify.litert.verify``, whose parameters were checked.

    The result has also ``near_ties``, differences that the rule allows, and ``end_to_end``: how
    many ``elements`` of the outputs ``differ``, and by how much at most, where golden and the
    reference each compute on from their own values.
    """
    path, data = Path(model), read_model_file(model)
    imported = read_graph(data, path.name, chosen_shapes())
    tally = Tally(imported)
    if against == "recorded":
        recorded = RecordedOnnx(model, imported.graph)
        samples, used, reference = recorded.inputs[:limit], RECORDED, recorded.description
        steps = _against_recorded(recorded, imported, samples, layers, tally)
    else:
        optimized = against.endswith("-optimized")
        names = () if optimized else {o.name for o in imported.origins.values()}
        runtime = OnnxRuntime(data, path.name, names, optimized)
        reference = runtime.description
        samples, used = choose_inputs(model, imported.graph, inputs, uint8, limit,
                                      partial(_seeded, imported))
        steps = (_against_optimized(imported, runtime, samples, tally) if optimized
                 else _against_runtime(imported, runtime, samples, layers, tally))
    for done in steps:
        if progress is not None:
            progress(Stage(f"{done} of {len(samples)} inferences", done, len(samples),
                           "inferences", short=""))
    return {"reference": reference, "inputs": used, "inferences": len(samples), **tally.report}


class RecordedOnnx(RecordedVectors):
    """Recorded vectors of an ONNX model.

    Arrays ``inI_S`` and ``outI_S`` of every sample, and of sample 0 the values ``q:NAME``.
    """

    def values(self, sample: int) -> dict[str, np.ndarray]:
        """The sample's values by name: outputs, and of sample 0 the quantised ones."""
        names = [self.graph.tensors[i].name for i in self.graph.outputs]
        values = {name: self.arrays[f"out{i}_{sample}"] for i, name in enumerate(names)
                  if f"out{i}_{sample}" in self.arrays}
        if sample == 0:
            values |= {name[2:]: array for name, array in self.arrays.items()
                       if name.startswith("q:")}
        return values


@dataclass
class Tally:
    """Report of ``verify`` on an ONNX model."""

    imported: ImportedOnnx
    tensors: set[int] = field(default_factory=set)
    mismatches: int = 0
    near_ties: int = 0
    first: dict[str, Any] | None = None
    outputs: int = 0
    drifted: int = 0
    largest: float = 0.0
    of_runtime: set[int] = field(default_factory=set)      # results of its operators
    apart_mismatches: int = 0

    def operators(self, inference: int, found: list[Difference], layers: bool) -> None:
        """Add the operators' differences, or only those that make outputs."""
        for d in found:
            if not layers and d.tensor_id not in self.imported.graph.outputs:
                continue
            if d.op.rule in NAMES:
                self.of_runtime.add(d.tensor_id)
                self.apart_mismatches += int(d.wrong.sum())
            else:
                self.tensors.add(d.tensor_id)
                self.mismatches += int(d.wrong.sum())
            self.near_ties += int(d.near_tie.sum())
            if self.first is None and d.wrong.any():
                index = tuple(int(i) for i in np.argwhere(d.wrong)[0])
                self.first = {
                    "inference": inference, "tensor": self.imported.graph.tensors[d.tensor_id].name,
                    "op": f"node {d.op.source_index} {d.op.kind}", "index": list(index),
                    "golden": d.golden[index].item(), "reference": d.reference[index].item()}

    def end_to_end(self, sample: Mapping[str, np.ndarray],
                   reference: Mapping[str, np.ndarray]) -> None:
        """Add how far the outputs drift apart where each side computes on from its own values."""
        graph = self.imported.graph
        ours = run(graph, sample, keep=graph.outputs)
        for i in graph.outputs:
            theirs = as_long(reference[graph.tensors[i].name],
                             graph.tensors[i]).astype(np.float64)
            apart = np.abs(ours[i] - theirs)
            tolerance = FLOAT_TOLERANCE if ours[i].dtype.kind == "f" else 0.0
            self.outputs += apart.size
            self.drifted += int((apart > tolerance * np.maximum(np.abs(theirs), 1.0)).sum())
            self.largest = max(self.largest, float(apart.max()))

    @property
    def report(self) -> dict[str, Any]:
        """For ``verify``'s result."""
        values = {"tensors": len(self.tensors), "mismatches": self.mismatches,
                  "first_mismatch": self.first, "near_ties": self.near_ties,
                  "end_to_end": {"elements": self.outputs, "differ": self.drifted,
                                 "largest": self.largest}}
        apart = behind(self.imported.graph)
        return values if apart is None else values | {"behind": apart.as_dict() | {
            "tensors": len(self.of_runtime), "mismatches": self.apart_mismatches}}


def _against_runtime(imported: ImportedOnnx, runtime: OnnxRuntime, samples: Inputs,
                    layers: bool, tally: Tally) -> Iterator[int]:
    """Compare on every sample; yields how many are done."""
    graph = imported.graph
    for inference, sample in enumerate(samples):
        values = runtime.run(sample)
        given = [sample[graph.tensors[i].name] for i in graph.inputs]
        tally.operators(inference, differences(imported, given, values), layers)
        tally.end_to_end(sample, values)
        yield inference + 1


def _against_optimized(imported: ImportedOnnx, runtime: OnnxRuntime, samples: Inputs,
                      tally: Tally) -> Iterator[int]:
    """Compare the outputs of whole models: the operators of an optimised model are others."""
    for inference, sample in enumerate(samples):
        tally.end_to_end(sample, runtime.run(sample))
        tally.tensors.update(imported.graph.outputs)
        yield inference + 1
    tally.mismatches = tally.drifted


def _against_recorded(recorded: RecordedOnnx, imported: ImportedOnnx, samples: Inputs,
                     layers: bool, tally: Tally) -> Iterator[int]:
    """Compare sample 0 operator by operator, and the outputs of all samples end to end."""
    graph = imported.graph
    for inference, sample in enumerate(samples):
        values = recorded.values(inference)
        if inference == 0:
            given = [sample[graph.tensors[i].name] for i in graph.inputs]
            tally.operators(inference, differences(imported, given, values), layers)
        tally.end_to_end(sample, values)
        yield inference + 1


def _seeded(imported: ImportedOnnx, count: int, seed: int) -> Inputs:
    """``count`` inferences of noise over the range of the quantization that each input meets."""
    graph, generator = imported.graph, np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        sample = {}
        for i in graph.inputs:
            tensor = graph.tensors[i]
            if tensor.dtype != "float32":
                limits = np.iinfo(tensor.dtype)
                sample[tensor.name] = generator.integers(limits.min, limits.max, tensor.shape,
                                                         tensor.dtype, endpoint=True)
                continue
            q = next((graph.tensors[op.outputs[0]].quantization for op in graph.consumers(i)
                      if op.kind == "QUANTIZE"), None)
            low, high = (-1.0, 1.0) if q is None else (
                (edge - q.zero_point) * q.scale for edge in (-128, 127))
            sample[tensor.name] = generator.uniform(low, high, tensor.shape).astype(np.float32)
        samples.append(sample)
    return samples
