"""Pins of the ULX3S that its boards share: SPI on the header J1."""

from kaniwa.boards.board import Spi

__all__ = ["SPI"]

# No chip of the board is at these.
SPI = Spi(
    ("gpio", 0), cs_n="0+", sck="1+", copi="2+", cipo="3+",
    labels=("GP0", "GP1", "GP2", "GP3"),
    attributes={"IO_TYPE": "LVCMOS33"}, pull_up={"PULLMODE": "UP"})
