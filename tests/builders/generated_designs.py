"""The designs whose generated folders several tests look at."""

from __future__ import annotations

from kaniwa.config import PRESETS
from kaniwa.generate.design import BUSES, Design

__all__ = ["KINDS", "design_of"]

SENSOR = "axi4_sensor"
KINDS = (*BUSES, SENSOR)


def design_of(kind: str) -> Design:
    """Target nano behind a bus, with the name `tiny`; SENSOR: with ports for sensors."""
    if kind == SENSOR:
        return Design(PRESETS["nano"], "axi4", name="tiny", sensor=True, sensor_buffer=490)
    return Design(PRESETS["nano"], kind, name="tiny")
