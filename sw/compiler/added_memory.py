"""Outside memory that a simulator gives a program unasked, where the target's own is too small."""

from __future__ import annotations

from typing import Any

from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import MemoryTooSmallError
from kaniwa.graph import Graph
from kaniwa.program.program import Program

__all__ = ["ADDED_OUTSIDE", "compile_with_memory"]

ADDED_OUTSIDE = "sdram"     # memory with the delays of real one


def compile_with_memory(graph: Graph, config: AcceleratorConfig, simulated: bool,
                        **options: Any) -> Program:
    """Compile ``graph``; where it needs outside memory and all devices are ``simulated``, with it.

    ``options`` are those of ``compile``, and so are the errors.
    """
    try:
        return compile(graph, target=config, **options)
    except MemoryTooSmallError:
        if not simulated or config.compact:
            raise
    return compile(graph, target=config, **options | {"outside": ADDED_OUTSIDE})
