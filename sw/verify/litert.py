"""Golden against its source framework: the LiteRT runner, recorded vectors, and ``verify``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa import golden
from kaniwa.data.inputs import Inputs, seeded_inputs
from kaniwa.errors import InputError, UnsupportedError
from kaniwa.extras import needed
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.runtimes import NAMES
from kaniwa.runtimes.behind import behind
from kaniwa.stage import Stage
from kaniwa.verify.recorded import RECORDED, RecordedVectors, choose_inputs

__all__ = ["WITHOUT_REFERENCE", "LiteRT", "Recorded", "verify"]

# Operators that BUILTIN_REF lacks, with the only kernel that LiteRT has for them.
WITHOUT_REFERENCE = ("ELU",)
# The same of those that golden lacks.
RUN_WITHOUT_REFERENCE = ("CEIL", "ROUND", "SEGMENT_SUM")
Progress = Callable[[str], None]


class LiteRT:
    """LiteRT's interpreter with its reference kernels (BUILTIN_REF), one thread, all tensors kept.

    A model with an operator that has no reference kernel runs on LiteRT's usual ones instead, as
    ``description`` says.
    ``model`` is a path or the content of a file, ``graph`` what the importer made of it (left out
    with a path: it is imported). The importer goes first, for LiteRT can crash on a damaged file.
    With ``optimized`` its default kernels run instead (XNNPACK where it has them), which give no
    tensors but outputs.
    Raises ``UnsupportedError`` where LiteRT is not installed or refuses the model.
    """

    def __init__(
        self,
        model: str | PathLike[str] | bytes,
        graph: Graph | None = None,
        optimized: bool = False,
    ) -> None:
        if not isinstance(model, bytes):
            graph = load_model(model) if graph is None else graph
            model = Path(model).read_bytes()
        assert graph is not None
        with needed("the comparison with LiteRT", "verify"):
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        self.graph = graph
        kernels = OpResolverType.BUILTIN_REF
        if any(op.kind in WITHOUT_REFERENCE or op.rule in NAMES
               and op.kind in RUN_WITHOUT_REFERENCE for op in graph.ops):
            kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        if optimized:
            kernels = OpResolverType.AUTO
        kept = "optimised kernels" if optimized else "all tensors kept"
        self.description = (
            f"LiteRT {metadata.version('ai-edge-litert')}, {kernels.name}, one thread, {kept}"
        )
        self._make = partial(
            Interpreter,
            model_content=model,
            num_threads=1,
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=not optimized,
        )
        try:
            self.reset()
        except (RuntimeError, ValueError) as error:
            raise UnsupportedError(
                f"{graph.name}: LiteRT refuses the model: {' '.join(str(error).split())}"
            ) from None

    def run(
        self,
        inputs: Mapping[str, np.ndarray] | Sequence[np.ndarray],
        tensor_ids: Sequence[int] | None = None,
    ) -> dict[int, np.ndarray]:
        """Run once, with inputs by name or in order; the outputs, or these tensors, by id."""
        for position, i in enumerate(self.graph.inputs):
            key = self.graph.tensors[i].name
            value = inputs[key] if isinstance(inputs, Mapping) else inputs[position]
            self.interpreter.set_tensor(self._index(i), value)
        self.interpreter.invoke()
        wanted = self.graph.outputs if tensor_ids is None else tensor_ids
        return {i: self.interpreter.get_tensor(self._index(i)) for i in wanted}

    def run_cleared(
        self,
        inputs: Mapping[str, np.ndarray] | Sequence[np.ndarray],
        tensor_ids: Sequence[int] | None = None,
    ) -> dict[int, np.ndarray]:
        """Run once as ``run`` does, the model's variables having their initial values before."""
        if self.graph.state:
            self.reset()
        return self.run(inputs, tensor_ids)

    def reset(self) -> None:
        """Give the model's variables their initial values."""
        # LiteRT's own reset leaves out resource variables.
        self.interpreter = self._make()
        file_has = {d["index"]: tuple(d["shape"]) for d in self.interpreter.get_input_details()}
        for i in self.graph.inputs:
            if file_has.get(self._index(i)) != self.graph.tensors[i].shape:
                self.interpreter.resize_tensor_input(self._index(i), self.graph.tensors[i].shape)
        self.interpreter.allocate_tensors()

    def _index(self, tensor_id: int) -> int:
        index = self.graph.tensors[tensor_id].source_index
        assert index is not None  # An importer's graph; passes are not run here.
        return index


class Recorded(RecordedVectors):
    """Recorded vectors of a TensorFlow Lite model, with sha256 of sample 0's tensors by index."""

    def take(self, facts: Mapping[str, Any]) -> None:
        """Keep the digests."""
        self.sha256 = {int(index): str(t["sha256"]) for index, t in facts["tensors"].items()}


@dataclass
class _Comparison:
    """Counts differences and remembers the first; those behind LiteRT's own operators apart."""

    graph: Graph
    tensors: set[int] = field(default_factory=set)
    mismatches: int = 0
    apart_mismatches: int = 0
    first: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.apart = behind(self.graph)

    @property
    def report(self) -> dict[str, Any]:
        """For ``verify``'s result."""
        values: dict[str, Any] = {"tensors": len(self.tensors), "mismatches": self.mismatches,
                                  "first_mismatch": self.first}
        if self.apart is None:
            return values
        own = self.tensors & self.apart.tensors
        return values | {"tensors": len(self.tensors - own), "behind": self.apart.as_dict() | {
            "tensors": len(own), "mismatches": self.apart_mismatches}}

    def arrays(self, inference: int, tensor_id: int, ours: np.ndarray, theirs: np.ndarray) -> None:
        self.tensors.add(tensor_id)
        if ours.shape != theirs.shape:
            self._differ(
                inference, tensor_id, max(ours.size, 1), None, list(ours.shape), list(theirs.shape)
            )
            return
        different = ours != theirs
        if different.any():
            index = tuple(int(i) for i in np.argwhere(different)[0])
            self._differ(
                inference,
                tensor_id,
                int(different.sum()),
                list(index),
                ours[index].item(),
                theirs[index].item(),
            )

    def digests(self, inference: int, tensor_id: int, ours: np.ndarray, sha256: str) -> None:
        """A digest that differs counts as one element: more is not known."""
        self.tensors.add(tensor_id)
        digest = hashlib.sha256(np.ascontiguousarray(ours).tobytes()).hexdigest()
        if digest != sha256:
            self._differ(inference, tensor_id, 1, None, f"sha256 {digest}", f"sha256 {sha256}")

    def _differ(
        self,
        inference: int,
        tensor_id: int,
        count: int,
        index: list[int] | None,
        ours: object,
        theirs: object,
    ) -> None:
        if self.apart is not None and tensor_id in self.apart.tensors:
            self.apart_mismatches += count
        else:
            self.mismatches += count
        if self.first is None:
            op = self.graph.producer(tensor_id)
            self.first = {
                "inference": inference,
                "tensor": self.graph.tensors[tensor_id].name,
                "op": None if op is None else f"op {op.source_index} {op.kind}",
                "index": index,
                "golden": ours,
                "reference": theirs,
            }


def verify(
    model: str | PathLike[str],
    against: str = "litert",
    inputs: str | PathLike[str] | int | None = None,
    layers: bool = False,
    progress: Progress | None = None,
    uint8: bool = False,
    limit: int | None = None,
) -> dict[str, Any]:
    """Compare golden with a reference on the model file ``model``, element by element.

    ``against`` is "litert" or "onnxruntime", as the model's format has it, or "recorded" (the
    recorded vectors of that model; no framework needed). With "-optimized" behind the framework's
    name its usual kernels and graph optimisation are on, and outputs are compared: nothing is
    claimed of those. ONNX models are compared operator by operator (``kaniwa.verify.onnxruntime``),
    and the result has ``near_ties`` and ``end_to_end`` too.

    ``inputs`` is a file for ``load_inputs``, "recorded", or a seed; without it the recorded
    vectors are used, else 16 seeded inferences. With ``layers`` every computed tensor is
    compared, else the outputs. ``uint8`` is as in ``load_inputs``; at most ``limit`` inferences
    are made. ``progress`` is called with a line of text after each.

    Returns ``reference, inputs, inferences, tensors`` (compared), ``mismatches`` (elements) and
    ``first_mismatch`` (None, or inference, tensor, op, index, golden and reference). Where the
    framework's own runtime does operators, ``behind`` has runtime, operators, tensors and
    mismatches of what depends on them, which the others leave out. Raises the errors of the
    importer, of the inputs, and ``UnsupportedError`` for a reference that is absent.
    """
    framework = "onnxruntime" if Path(model).suffix.lower() == ".onnx" else "litert"
    known = (framework, f"{framework}-optimized", "recorded")
    if against not in known:
        raise UnsupportedError(f"{Path(model).name}: cannot be compared with '{against}'; use "
                               f"{', '.join(known[:-1])} or {known[-1]}")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    if against == "recorded" and inputs not in (None, "recorded"):
        raise InputError("verification against recorded vectors takes no other inputs")
    if framework == "onnxruntime":
        from kaniwa.verify.onnx import verify_onnx

        return verify_onnx(model, against, inputs, layers, progress, uint8, limit)
    graph = load_model(model)
    comparison = _Comparison(graph)
    if against == "recorded":
        recorded = Recorded(model, graph)
        samples, used, reference = recorded.inputs[:limit], RECORDED, recorded.description
        steps = _against_recorded(recorded, samples, comparison, layers)
    else:
        tensors = [graph.tensors[i] for i in graph.inputs]
        samples, used = choose_inputs(model, graph, inputs, uint8, limit,
                                      partial(seeded_inputs, tensors))
        optimized = against.endswith("-optimized")
        litert = LiteRT(model, graph, optimized)
        reference = litert.description
        steps = _against_litert(litert, samples, comparison, layers and not optimized)
    for done in steps:
        if progress is not None:
            progress(Stage(f"{done} of {len(samples)} inferences", done, len(samples),
                           "inferences", short=""))
    return {
        "reference": reference,
        "inputs": used,
        "inferences": len(samples),
        **comparison.report,
    }


def _compared(graph: Graph, layers: bool) -> list[int]:
    """Outputs, or all computed tensors in execution order, so that the first difference leads."""
    return [i for op in graph.ops for i in op.outputs] if layers else list(graph.outputs)


def _against_litert(
    litert: LiteRT, samples: Inputs, comparison: _Comparison, layers: bool
) -> Iterator[int]:
    ids = _compared(litert.graph, layers)
    for inference, sample in enumerate(samples):
        ours = golden.run(litert.graph, sample, keep=ids)
        theirs = litert.run_cleared(sample, ids)
        for i in ids:
            comparison.arrays(inference, i, ours[i], theirs[i])
        yield inference + 1


def _against_recorded(
    recorded: Recorded, samples: Inputs, comparison: _Comparison, layers: bool
) -> Iterator[int]:
    graph = recorded.graph
    for inference, sample in enumerate(samples):
        ours = golden.run(graph, sample)
        if layers and inference == 0:
            for i in [
                *(t.id for t in graph.tensors if t.data is not None),
                *_compared(graph, True),
            ]:
                value = ours[i] if i in ours else graph.tensors[i].data
                assert value is not None
                # A variable's next value has the variable's index.
                index = graph.tensors[i].source_index
                if f"t{index}" in recorded.arrays:
                    comparison.arrays(inference, i, value, recorded.arrays[f"t{index}"])
                elif index in recorded.sha256:
                    comparison.digests(inference, i, value, recorded.sha256[index])
        for position, i in enumerate(graph.outputs):
            expected = recorded.arrays.get(f"out{position}_{inference}")
            if expected is None:
                raise InputError(
                    f"{graph.name}: recorded output out{position}_{inference} is missing"
                )
            comparison.arrays(inference, i, ours[i], expected)
        yield inference + 1
