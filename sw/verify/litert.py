"""Golden against its source framework: the LiteRT runner, recorded vectors, and ``verify``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
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
from kaniwa.parallel.workers import OneProcess, Workers
from kaniwa.runtimes import NAMES
from kaniwa.runtimes.behind import behind
from kaniwa.verify.indices import within_tables
from kaniwa.verify.recorded import RECORDED, RecordedVectors, choose_inputs
from kaniwa.verify.shared import Counts, check_same, put_together, shared

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


class _Comparison:
    """Counts differences and remembers the first; those behind LiteRT's own operators apart."""

    def __init__(self, graph: Graph) -> None:
        self.counts = Counts()
        self._graph = graph
        self._apart = behind(graph)

    def arrays(self, tensor_id: int, ours: np.ndarray, theirs: np.ndarray) -> None:
        self.counts.tensors.add(tensor_id)
        if ours.shape != theirs.shape:
            self._differ(
                tensor_id, max(ours.size, 1), None, list(ours.shape), list(theirs.shape)
            )
            return
        different = ours != theirs
        if different.any():
            index = tuple(int(i) for i in np.argwhere(different)[0])
            self._differ(
                tensor_id,
                int(different.sum()),
                list(index),
                ours[index].item(),
                theirs[index].item(),
            )

    def digests(self, tensor_id: int, ours: np.ndarray, sha256: str) -> None:
        """A digest that differs counts as one element: more is not known."""
        self.counts.tensors.add(tensor_id)
        digest = hashlib.sha256(np.ascontiguousarray(ours).tobytes()).hexdigest()
        if digest != sha256:
            self._differ(tensor_id, 1, None, f"sha256 {digest}", f"sha256 {sha256}")

    def _differ(
        self,
        tensor_id: int,
        count: int,
        index: list[int] | None,
        ours: object,
        theirs: object,
    ) -> None:
        counts, op = self.counts, self._graph.producer(tensor_id)
        counts.kinds["input" if op is None else op.kind] += count
        if self._apart is not None and tensor_id in self._apart.tensors:
            counts.apart_mismatches += count
        else:
            counts.mismatches += count
        if counts.first is None:
            counts.first = {
                "tensor": self._graph.tensors[tensor_id].name,
                "op": None if op is None else f"op {op.source_index} {op.kind}",
                "index": index,
                "golden": ours,
                "reference": theirs,
            }


def _report(graph: Graph, counts: Counts) -> dict[str, Any]:
    """For ``verify``'s result."""
    values: dict[str, Any] = {"tensors": len(counts.tensors), "mismatches": counts.mismatches,
                              "first_mismatch": counts.first,
                              "mismatches_by_operator": dict(+counts.kinds)}
    apart = behind(graph)
    if apart is None:
        return values
    own = counts.tensors & apart.tensors
    return values | {"tensors": len(counts.tensors - own), "behind": apart.as_dict() | {
        "tensors": len(own), "mismatches": counts.apart_mismatches}}


def verify(
    model: str | PathLike[str],
    against: str = "litert",
    inputs: str | PathLike[str] | int | None = None,
    layers: bool = False,
    progress: Progress | None = None,
    uint8: bool = False,
    limit: int | None = None,
    workers: Workers | None = None,
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
    are made, shared out to ``workers`` (``kaniwa.parallel.scheduler``) where these are given.
    ``progress`` is called with a line of text after each.

    Returns ``reference, inputs, inferences, tensors`` (compared), ``mismatches`` (elements),
    ``mismatches_by_operator`` (the kind of what made them) and
    ``first_mismatch`` (None, or inference, tensor, op, index, golden and reference). Where the
    framework's own runtime does operators, ``behind`` has runtime, operators, tensors and
    mismatches of what depends on them, which the others leave out. Raises the errors of the
    importer, of the inputs, and ``UnsupportedError`` for a reference that is absent, or that a
    worker has in another version.
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
    share = partial(put_together, workers or OneProcess(), progress)
    if framework == "onnxruntime":
        from kaniwa.verify.onnx import verify_onnx

        return verify_onnx(model, against, inputs, layers, uint8, limit, share)
    graph = load_model(model)
    if against == "recorded":
        recorded = Recorded(model, graph)
        used, reference = RECORDED, recorded.description
        items: Sequence[Any] = range(len(recorded.inputs[:limit]))
        work = shared(partial(_compare_recorded, recorded, layers))
    else:
        items, used = choose_inputs(model, graph, inputs, uint8, limit, partial(_seeded, graph))
        optimized = against.endswith("-optimized")
        content = Path(model).read_bytes()
        reference = LiteRT(content, graph, optimized).description
        work = shared(partial(_compare_litert, _compared(graph, layers and not optimized)),
                      partial(_open_litert, content, graph, optimized, reference))
    counts = Counts()
    share(counts, work, items)
    return {
        "reference": reference,
        "inputs": used,
        "inferences": len(items),
        **_report(graph, counts),
    }


def _seeded(graph: Graph, count: int, seed: int) -> Inputs:
    """``count`` inferences of noise, indices within the rows of their tables."""
    return within_tables(graph, seeded_inputs([graph.tensors[i] for i in graph.inputs], count,
                                              seed))


def _compared(graph: Graph, layers: bool) -> list[int]:
    """Outputs, or all computed tensors in execution order, so that the first difference leads."""
    return [i for op in graph.ops for i in op.outputs] if layers else list(graph.outputs)


def _open_litert(content: bytes, graph: Graph, optimized: bool, description: str) -> LiteRT:
    """The reference in a process that does inferences."""
    litert = LiteRT(content, graph, optimized)
    check_same(litert.description, description)
    return litert


def _compare_litert(ids: Sequence[int], litert: LiteRT, sample: Mapping[str, np.ndarray]) -> Counts:
    """Compare the tensors ``ids`` of an inference."""
    comparison = _Comparison(litert.graph)
    ours = golden.run(litert.graph, sample, keep=ids)
    theirs = litert.run_cleared(sample, ids)
    for i in ids:
        comparison.arrays(i, ours[i], theirs[i])
    return comparison.counts


def _compare_recorded(recorded: Recorded, layers: bool, inference: int) -> Counts:
    """Compare the outputs of an inference, and with ``layers`` all that is recorded of the first.
    """
    graph = recorded.graph
    comparison = _Comparison(graph)
    ours = golden.run(graph, recorded.inputs[inference])
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
                comparison.arrays(i, value, recorded.arrays[f"t{index}"])
            elif index in recorded.sha256:
                comparison.digests(i, value, recorded.sha256[index])
    for position, i in enumerate(graph.outputs):
        expected = recorded.arrays.get(f"out{position}_{inference}")
        if expected is None:
            raise InputError(
                f"{graph.name}: recorded output out{position}_{inference} is missing"
            )
        comparison.arrays(i, ours[i], expected)
    return comparison.counts
