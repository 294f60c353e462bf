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
    """An inference of a model on a ``config`` (a target or its file): cycles ``modelled`` and
    ``counted`` by the device, and output elements ``checked`` against golden with those that
    differ."""

    config: str
    model: str
    device: str
    modelled: int
    counted: int
    checked: int
    mismatches: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def confirm(path: str, config: AcceleratorConfig, name: str, device: str, outside: str | None,
            progress: Callable[[str], None] = lambda text: None) -> Confirmed:
    """One inference of a model on ``device`` ("sim", "emulator") with a config of this ``name``,
    with inputs of a seed. ``outside``: memory for what has no room on chip, as for ``compile``.

    Raises what a device raises: DeviceError, UnsupportedError without its extra.
    """
    from kaniwa.benchmark.measure import measure
    from kaniwa.data.inputs import seeded_inputs
    from kaniwa.driver import devices

    program = compiled(path, config, outside)
    assert program.graph is not None     # compiled in this process
    progress(f"{program.name} on {device}, {name}")
    with devices.open(device, target=config, outside=program.outside,
                      progress=progress) as opened:
        row = measure(program.graph, program, opened, device, seeded_inputs(program.inputs, 1))
    return Confirmed(name, program.name, device, row["estimate"], row["cycles"], row["checked"],
                     row["mismatches"])
