"""``kaniwa verify`` of ONNX models: against ONNX Runtime, or recorded vectors of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.data.inputs import Inputs
from kaniwa.golden import run
from kaniwa.graph import Graph
from kaniwa.importers import read_model_file
from kaniwa.importers.input_shapes import chosen_shapes
from kaniwa.importers.onnx.model import ImportedOnnx, read_graph
from kaniwa.parallel.workers import Work
from kaniwa.runtimes import NAMES
from kaniwa.runtimes.behind import behind
from kaniwa.verify.indices import within_tables
from kaniwa.verify.onnxruntime import (
    FLOAT_TOLERANCE,
    Difference,
    OnnxRuntime,
    as_long,
    differences,
)
from kaniwa.verify.recorded import RECORDED, RecordedVectors, choose_inputs
from kaniwa.verify.shared import Counts, check_same, shared

__all__ = ["RecordedOnnx", "verify_onnx"]


def verify_onnx(model: str | PathLike[str], against: str, inputs: str | PathLike[str] | int | None,
                layers: bool, uint8: bool, limit: int | None,
                share: Callable[[Counts, Work, Sequence[Any]], None]) -> dict[str, Any]:
    """As ``kaniwa.verify.litert.verify``, whose parameters were checked.

    ``share`` adds to counts those of the inferences that a work does.

    The result has also ``near_ties``, differences that the rule allows, and ``end_to_end``: how
    many ``elements`` of the outputs ``differ``, and by how much at most, where golden and the
    reference each compute on from their own values.
    """
    path, data = Path(model), read_model_file(model)
    imported = read_graph(data, path.name, chosen_shapes())
    tally = Tally()
    if against == "recorded":
        recorded = RecordedOnnx(model, imported.graph)
        used, reference = RECORDED, recorded.description
        items: Sequence[Any] = range(len(recorded.inputs[:limit]))
        work = shared(partial(_compare_recorded, recorded, imported, layers))
    else:
        optimized = against.endswith("-optimized")
        names = [] if optimized else sorted({o.name for o in imported.origins.values()})
        reference = OnnxRuntime(data, path.name, names, optimized).description
        items, used = choose_inputs(model, imported.graph, inputs, uint8, limit,
                                    partial(_seeded, imported))
        compare = (partial(_compare_optimized, imported) if optimized
                   else partial(_compare_runtime, imported, layers))
        work = shared(compare, partial(_open, data, path.name, names, optimized, reference))
    share(tally, work, items)
    return {"reference": reference, "inputs": used, "inferences": len(items),
            **_report(imported, tally)}


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
class Tally(Counts):
    """Counts of an ONNX model. ``of_runtime``: results of its framework's own operators."""

    near_ties: int = 0
    outputs: int = 0
    drifted: int = 0
    largest: float = 0.0
    of_runtime: set[int] = field(default_factory=set)

    def add(self, inference: int, other: Any) -> None:
        """Take in what was found in the inference of this number, behind all before it."""
        super().add(inference, other)
        self.near_ties += other.near_ties
        self.outputs += other.outputs
        self.drifted += other.drifted
        self.largest = max(self.largest, other.largest)
        self.of_runtime |= other.of_runtime

    def operators(self, graph: Graph, found: list[Difference], layers: bool) -> None:
        """Add the operators' differences, or only those that make outputs."""
        for d in found:
            if not layers and d.tensor_id not in graph.outputs:
                continue
            if d.op.rule in NAMES:
                self.of_runtime.add(d.tensor_id)
                self.apart_mismatches += int(d.wrong.sum())
            else:
                self.tensors.add(d.tensor_id)
                self.mismatches += int(d.wrong.sum())
            self.kinds[d.op.kind] += int(d.wrong.sum())
            self.near_ties += int(d.near_tie.sum())
            if self.first is None and d.wrong.any():
                index = tuple(int(i) for i in np.argwhere(d.wrong)[0])
                self.first = {
                    "tensor": graph.tensors[d.tensor_id].name,
                    "op": f"node {d.op.source_index} {d.op.kind}", "index": list(index),
                    "golden": d.golden[index].item(), "reference": d.reference[index].item()}

    def end_to_end(self, graph: Graph, sample: Mapping[str, np.ndarray],
                   reference: Mapping[str, np.ndarray]) -> None:
        """Add how far the outputs drift apart where each side computes on from its own values."""
        ours = run(graph, sample, keep=graph.outputs)
        for i in graph.outputs:
            theirs = as_long(reference[graph.tensors[i].name],
                             graph.tensors[i]).astype(np.float64)
            apart = np.abs(ours[i] - theirs)
            tolerance = FLOAT_TOLERANCE if ours[i].dtype.kind == "f" else 0.0
            self.outputs += apart.size
            self.drifted += int((apart > tolerance * np.maximum(np.abs(theirs), 1.0)).sum())
            self.largest = max(self.largest, float(apart.max()))


def _report(imported: ImportedOnnx, tally: Tally) -> dict[str, Any]:
    """For ``verify``'s result."""
    values = {"tensors": len(tally.tensors), "mismatches": tally.mismatches,
              "first_mismatch": tally.first, "mismatches_by_operator": dict(+tally.kinds),
              "near_ties": tally.near_ties,
              "end_to_end": {"elements": tally.outputs, "differ": tally.drifted,
                             "largest": tally.largest}}
    apart = behind(imported.graph)
    return values if apart is None else values | {"behind": apart.as_dict() | {
        "tensors": len(tally.of_runtime), "mismatches": tally.apart_mismatches}}


def _open(data: bytes, name: str, names: Sequence[str], optimized: bool, description: str
          ) -> OnnxRuntime:
    """The reference in a process that does inferences."""
    runtime = OnnxRuntime(data, name, names, optimized)
    check_same(runtime.description, description)
    return runtime


def _compare_runtime(imported: ImportedOnnx, layers: bool, runtime: OnnxRuntime,
                     sample: Mapping[str, np.ndarray]) -> Tally:
    """Compare an inference operator by operator, and its outputs end to end."""
    tally, values = Tally(), runtime.run(sample)
    tally.operators(imported.graph, _differences(imported, sample, values), layers)
    tally.end_to_end(imported.graph, sample, values)
    return tally


def _compare_optimized(imported: ImportedOnnx, runtime: OnnxRuntime,
                       sample: Mapping[str, np.ndarray]) -> Tally:
    """Compare the outputs of the whole model: the operators of an optimised one are others."""
    tally = Tally(set(imported.graph.outputs))
    tally.end_to_end(imported.graph, sample, runtime.run(sample))
    tally.mismatches = tally.drifted
    return tally


def _compare_recorded(recorded: RecordedOnnx, imported: ImportedOnnx, layers: bool,
                      inference: int) -> Tally:
    """Compare inference 0 operator by operator, and the outputs of each end to end."""
    tally, graph = Tally(), imported.graph
    sample, values = recorded.inputs[inference], recorded.values(inference)
    if inference == 0:
        tally.operators(graph, _differences(imported, sample, values), layers)
    tally.end_to_end(graph, sample, values)
    return tally


def _differences(imported: ImportedOnnx, sample: Mapping[str, np.ndarray],
                 values: Mapping[str, np.ndarray]) -> list[Difference]:
    """Every operator of an inference whose result is among the reference's ``values``."""
    graph = imported.graph
    return differences(imported, [sample[graph.tensors[i].name] for i in graph.inputs], values)


def _seeded(imported: ImportedOnnx, count: int, seed: int) -> Inputs:
    """``count`` inferences of noise over the range of the quantization that each input meets, or
    over the rows of the table that it has indices of."""
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
    return within_tables(graph, samples)
