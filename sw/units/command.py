"""A unit's instruction: the part of a unit's record that gateware and host code share."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.isa import FIELDS, Opcode

__all__ = ["LAST_OPCODE", "UnitCommand"]

LAST_OPCODE = (1 << FIELDS["opcode"].width) - 1


@dataclass(frozen=True)
class UnitCommand:
    """Name and opcode of a unit's instruction, and the fields that the unit is told.

    ``switch``: the field of the config that switches the unit on; a unit without one is named, in
    lower case, by the config's ``units``. ``tag`` names the counters of every instruction.
    """

    name: str
    opcode: int
    fields: tuple[str, ...]
    switch: str | None = None

    def __post_init__(self) -> None:
        if not Opcode.LAYER < self.opcode <= LAST_OPCODE:
            raise ConfigError(f"the opcode of unit {self.name} must be {Opcode.LAYER + 1}.."
                              f"{LAST_OPCODE}, what its field holds, not {self.opcode}")
        unknown = [name for name in self.fields if name not in FIELDS]
        if unknown:
            raise ConfigError(f"unit {self.name}: no instruction has a field '{unknown[0]}'")

    def is_on(self, config: AcceleratorConfig) -> bool:
        """A core of ``config`` has the unit."""
        if self.switch is None:
            return self.name.lower() in config.units
        return bool(getattr(config, self.switch))
