"""What PyTorch's exporter made, as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch


def save_exported(program: torch.onnx.ONNXProgram, path: Path) -> None:
    """Write the model with all weights, without the lines of Python that nodes come from: the
    exporter notes these with their folders."""
    model = program.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info,
                 *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, path)
