"""COPY, as host and gateware know it."""

from kaniwa.units.command import UnitCommand

__all__ = ["COMMAND"]

COMMAND = UnitCommand("COPY", 4, ("parameter_address", "parameter_bytes", "ofm_address"))
