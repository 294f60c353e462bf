"""Outside memory that a program gets unasked, where the target's own is too small: that of a
simulator, or of a board."""

from __future__ import annotations

import dataclasses
from typing import Any

from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import MemoryTooSmallError
from kaniwa.graph import Graph
from kaniwa.program.program import Program

__all__ = ["compile_with_memory", "with_ample_memory"]

# More than most models need, and what a compact core may have.
AMPLE_BYTES = 1 << 23


def with_ample_memory(config: AcceleratorConfig) -> AcceleratorConfig:
    """A config that differs by its memory alone, for what of a model does not depend on that."""
    return dataclasses.replace(config, memory_bytes=AMPLE_BYTES)


def compile_with_memory(graph: Graph, config: AcceleratorConfig, added: str | None,
                        **options: Any) -> Program:
    """Compile ``graph``; where it needs outside memory and ``added`` names some, with that.

    ``options`` are those of ``compile``, and so are the errors.
    """
    try:
        return compile(graph, target=config, **options)
    except MemoryTooSmallError:
        if added is None or not config.outside_limit:
            raise
    return compile(graph, target=config, **options | {"outside": added})
