"""A config that was found, on a device: its cycles beside the modelled ones, its outputs beside
golden's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.explore.trial import compiled

__all__ = ["Confirmed", "confirm"]


@dataclass(frozen=True)
class Confirmed:
    """An inference of a model: cycles ``modelled`` and ``counted`` by the device, and output
    elements ``checked`` against golden with those that differ."""

    model: str
    device: str
    modelled: int
    counted: int
    checked: int
    mismatches: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def confirm(path: str, config: AcceleratorConfig, device: str,
            progress: Callable[[str], None] = lambda text: None) -> Confirmed:
    """One inference of a model on ``device`` ("sim", "emulator"), with inputs of a seed.

    Raises what a device raises: DeviceError, UnsupportedError without its extra.
    """
    from kaniwa import golden
    from kaniwa.cycles.estimate import estimate
    from kaniwa.data.inputs import seeded_inputs
    from kaniwa.driver import devices
    from kaniwa.driver.session import Session
    from kaniwa.verify.diff import same

    program = compiled(path, config)
    (item,) = seeded_inputs(program.inputs, 1)
    progress(f"{program.name} on {device}")
    with devices.open(device, target=config, outside=program.outside,
                      progress=progress) as opened:
        session = Session(program, opened)
        got = session.run(item)
        counted = session.stats.cycles if session.stats else 0
    graph = program.graph
    assert graph is not None     # compiled in this process
    values = golden.run(graph, item)
    checked = mismatches = 0
    for tensor_id in graph.outputs:
        expected = values[tensor_id]
        checked += expected.size
        mismatches += int((~same(got[graph.tensors[tensor_id].name], expected)).sum())
    return Confirmed(program.name, device, estimate(program).cycles, counted, checked, mismatches)
