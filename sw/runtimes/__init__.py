"""The frameworks' own runtimes: on the host they run operators that golden lacks, one at a time."""

from __future__ import annotations

__all__ = ["NAMES"]

# By the rule of such an operator.
NAMES = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT"}
