"""What the boards of the ULX3S share: SPI on the header J1, USB, the flash, and the LEDs."""

from kaniwa.boards.board import Flash, Spi, Usb

__all__ = ["FLASH", "FLASH_PROGRAMMERS", "LEDS", "SPI", "USB"]

# No chip of the board is at these.
SPI = Spi(
    ("gpio", 0), cs_n="0+", sck="1+", copi="2+", cipo="3+",
    labels=("GP0", "GP1", "GP2", "GP3"),
    attributes={"IO_TYPE": "LVCMOS33"}, pull_up={"PULLMODE": "UP"})
# The socket US2. Resistors of 27 ohm are in both wires, and one of 1.5 kohm feeds D+ from B12.
USB = Usb("usb")
# PROGRAMN of the FPGA is wired to its ball M4, and has a pull-up.
FLASH = Flash("IS25LP128F", 16 << 20, offset=2 << 20, slot_bytes=4 << 20, program=("program", 0))
FLASH_PROGRAMMERS = (("openFPGALoader", "-b", "ulx3s", "-f", "{file}"),)
LEDS = tuple(("led", number) for number in range(8))
