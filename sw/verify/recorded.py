"""Inputs that ``verify`` compares on, and recorded vectors: the same for every model format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from kaniwa.data.inputs import Inputs, load_inputs, recorded_inputs, recorded_paths
from kaniwa.errors import InputError
from kaniwa.graph import Graph

__all__ = ["RECORDED", "RecordedVectors", "choose_inputs"]

SEEDED = 16
RECORDED = "recorded vectors"


def choose_inputs(
    model: str | PathLike[str],
    graph: Graph,
    inputs: str | PathLike[str] | int | None,
    uint8: bool,
    limit: int | None,
    seeded: Callable[[int, int], Inputs],
) -> tuple[Inputs, str]:
    """The inferences to compare on, and in a word what they are.

    ``inputs`` is a file for ``load_inputs``, "recorded", or a seed; without it the recorded vectors
    of ``model`` are used, else 16 inferences that ``seeded`` makes of their number and a seed. At
    most ``limit`` are given.
    """
    count = SEEDED if limit is None else min(limit, SEEDED)
    if isinstance(inputs, int):
        return seeded(count, inputs), f"{count} seeded"
    tensors = [graph.tensors[i] for i in graph.inputs]
    if inputs is not None and inputs != "recorded":
        return load_inputs(inputs, tensors, uint8=uint8, limit=limit), fspath(inputs)
    if inputs == "recorded" or recorded_paths(model)[0].is_file():
        return recorded_inputs(model, tensors)[:limit], RECORDED
    return seeded(count, 0), f"{count} seeded"


class RecordedVectors:
    """Recorded vectors: ``refs/NAME.npz`` (arrays) and ``.json`` (what made them, of which file).

    Raises ``InputError`` where they are missing or were made from another model file.
    """

    def __init__(self, model_path: str | PathLike[str], graph: Graph) -> None:
        self.graph = graph
        self.inputs = recorded_inputs(model_path, [graph.tensors[i] for i in graph.inputs])
        npz, description = recorded_paths(model_path)
        with np.load(npz, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        try:
            facts = json.loads(description.read_text())
            self.description = f"{facts['reference']} (recorded)"
            source = facts["model_sha256"]
            self.take(facts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{description.name}: not a description of recorded vectors: {type(error).__name__}"
            ) from None
        if source != graph.source_sha256:
            raise InputError(f"{npz.name}: recorded from another model file than {graph.name}")

    def take(self, facts: Mapping[str, Any]) -> None:
        """Keep what else a format's description says; it is untrusted."""
