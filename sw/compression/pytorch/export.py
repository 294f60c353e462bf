"""Float ONNX files of PyTorch modules, as ``kaniwa quantize`` takes them."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kaniwa.compression.pytorch.held import make_permanent
from kaniwa.errors import InputError, ModelError
from kaniwa.extras import needed
from kaniwa.files import write_atomic
from kaniwa.quantization.quiet import quiet

with needed("export to ONNX", "compress"):
    import torch
    from torch import nn

__all__ = ["export_onnx"]

OPSET = 21     # the first with QuantizeLinear of 4 and 16 bits


@contextmanager
def _without_warnings() -> Iterator[None]:
    """The exporter's loggers have levels of their own, and warn of packages that nobody needs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def export_onnx(module: nn.Module, path: str | os.PathLike[str], sample: np.ndarray,
                input_name: str = "image", output_name: str = "scores") -> None:
    """Write ``module`` to ``path`` in float32, with fixed shapes and all weights in the file.

    ``sample``: an input [1, ...] of float32. Masked and shared weights are stored as they are used,
    those of the step Quantized as they are before rounding: ``kaniwa quantize`` with the same bits
    rounds them to the same integers, as long as no normalisation is folded into them. ``module``
    stays as it is. Raises InputError for a sample that is none,
    ModelError for what PyTorch cannot export, Error for a file that cannot be written.
    """
    values = np.asarray(sample)
    if values.dtype != np.float32 or values.ndim < 2 or values.shape[0] != 1:
        raise InputError(f"sample: expected float32 [1, ...], found {values.dtype} "
                         f"{list(values.shape)}")
    still = make_permanent(copy.deepcopy(module).eval(), rounded=False)
    try:
        with quiet(), _without_warnings():
            program = torch.onnx.export(
                still, (torch.from_numpy(values),), dynamo=True, opset_version=OPSET,
                input_names=[input_name], output_names=[output_name], verbose=False)
    except ImportError:
        raise
    except Exception as error:     # of the exporter, which share no base
        text = str(error).strip().splitlines()
        raise ModelError(f"{Path(path)}: PyTorch cannot export the module: "
                         f"{text[0] if text else type(error).__name__}") from error
    model = program.model_proto
    # The exporter notes the lines of Python that nodes come from, with their folders.
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info,
                 *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    write_atomic(path, model.SerializeToString())
