"""Refusal of float models: golden kernels would run them on the host, and nothing on the device."""

from __future__ import annotations

from kaniwa.errors import UnsupportedError
from kaniwa.program.program import Program

__all__ = ["check_quantized"]


def check_quantized(program: Program) -> None:
    """Raise UnsupportedError where the device has nothing to do since the model is float."""
    floats = [op for op in program.host_ops if op.rule == "float32"]
    if not program.runs and floats:
        raise UnsupportedError(f"{program.name}: is a float model: none of its "
                               f"{len(program.host_ops)} operators can run on the accelerator; "
                               "quantise it to int8 (weights and activations) first")
