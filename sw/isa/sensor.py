"""Registers of the sensor ports in the window of a bus: samples in, results out.

Gateware and drivers have these values; the C driver and ``docs/bus.md`` are held to them by a test.
"""

from __future__ import annotations

import enum

__all__ = ["SENSOR_VERSION", "SENSOR_REGISTERS", "TABLE_INDEX_SHIFT", "OFFERING", "SensorRegister",
           "SensorControl", "SensorState", "SensorEvent"]

SENSOR_VERSION = 1
SENSOR_REGISTERS = 160    # first index; a multiple of 32, so that few bits decide
TABLE_INDEX_SHIFT = 8     # the index's place in a write of SENSOR_TABLE
OFFERING = 8              # bit of SENSOR_STATE: a result is still read from memory


class SensorRegister(enum.IntEnum):
    """Indices of registers; the byte offset in the window is four times the index."""

    SENSOR_VERSION = 160         # reads SENSOR_VERSION; 0: there are no sensor ports
    SENSOR_CONTROL = 161         # SensorControl
    SENSOR_STATE = 162           # SensorState, and OFFERING
    SENSOR_EVENTS = 163          # SensorEvent; writing 1 clears a bit
    SENSOR_IRQ_ENABLE = 164      # SensorEvent; those that reach the interrupt line
    SENSOR_INPUT_ADDRESS = 165   # device address of the input tensor's first byte
    SENSOR_INPUT_LENGTH = 166    # its bytes; 0: no samples are taken
    SENSOR_OUTPUT_ADDRESS = 167  # the same of the output tensor; length 0: nothing is offered
    SENSOR_OUTPUT_LENGTH = 168
    SENSOR_TABLE = 169           # write: an entry of the table, value in bits 7:0, index in 15:8
    SENSOR_BUFFER_BYTES = 170    # bytes of samples that wait while memory is the run's
    SENSOR_FRAMES = 171          # tensors filled since the ports were enabled
    SENSOR_DROPPED = 172         # samples of frames that did not become a tensor
    SENSOR_EARLY = 173           # frames whose last came early; 16 bits
    SENSOR_LATE = 174            # frames that went on behind the tensor's last byte; 16 bits
    SENSOR_MISSED = 175          # frames without room for a sample, with SKIP; 16 bits


class SensorControl(enum.IntFlag):
    """Bits of SENSOR_CONTROL; all but ENABLE are set in the write that enables."""

    ENABLE = 1
    RUN = 2      # run by itself: a full tensor starts the program
    TABLE = 4    # samples go through the table
    COUNT = 8    # frames end by their length; ``last`` is not looked at
    SKIP = 16    # never wait: a frame without room for a sample is left out


class SensorState(enum.IntEnum):
    """What SENSOR_STATE says in its low three bits."""

    OFF = 0
    FILL = 1     # samples go to the input tensor
    FULL = 2     # the tensor is whole; a run is to begin
    RUN = 3
    OFFER = 4    # the output tensor is read
    FAILED = 5   # the run ended with an error; goes on when event FAILED is cleared


class SensorEvent(enum.IntFlag):
    """Bits of SENSOR_EVENTS and SENSOR_IRQ_ENABLE."""

    FULL = 1     # a tensor is whole
    FAILED = 2   # a run ended with an error
    EARLY = 4    # ``last`` came before the tensor was full; the frame is dropped
    LATE = 8     # the tensor was full and ``last`` had not come; the same
    MISSED = 16  # there was no room for a sample; the same
