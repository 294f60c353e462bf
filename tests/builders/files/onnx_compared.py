"""Golden compared with ONNX Runtime, operator by operator, over the models of a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaniwa.graph import Graph
from kaniwa.importers.onnx.model import read_graph
from kaniwa.verify.onnxruntime import Difference, OnnxRuntime, differences

__all__ = ["Compared"]


@dataclass
class Compared:
    """How many ``elements`` were compared, of which ``near`` are a step off next to a tie."""

    elements: int = 0
    near: int = 0

    def add(self, model: bytes, inputs: Mapping[str, np.ndarray],
            where: object = "") -> tuple[Graph, list[Difference]]:
        """Compare the model's operators on ``inputs`` by name; nothing else may differ."""
        imported = read_graph(model, "test.onnx")
        graph = imported.graph
        runtime = OnnxRuntime(model, "test.onnx", {o.name for o in imported.origins.values()})
        found = differences(imported, [inputs[graph.tensors[i].name] for i in graph.inputs],
                            runtime.run(inputs))
        assert found[-1].tensor_id in graph.outputs, where
        for difference in found:
            assert not difference.wrong.any(), (where, difference.op)
            self.near += int(difference.near_tie.sum())
            self.elements += difference.golden.size
        return graph, found

    def assert_few_next_to_ties(self) -> None:
        """At most one in 500."""
        assert self.near <= self.elements // 500
