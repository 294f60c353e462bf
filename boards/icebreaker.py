"""iCEBreaker with iCE40UP5K: 5280 LUTs, 30 block RAMs, 4 single-port RAMs, 8 SB_MAC16."""

from kaniwa.boards.board import Board, Flash, Spi

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker (Lattice iCE40UP5K-SG48)",
    family="ice40",
    platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
    device=("--up5k", "--package", "sg48"),
    targets={"nano": 20.25},   # what the PLL makes of 12 MHz next above 20 MHz
    capacity={"lut": 5280, "ff": 5280, "bram": 30, "spram": 4, "dsp": 8},
    link="uart",   # FT2232H, channel B, up to 12 Mbaud
    memory="4 single-port RAMs of 32 KiB (SPRAM)",
    spi=Spi(   # PMOD1A, as Digilent's interface specification has SPI (type 2)
        ("pmod", 0), cs_n="1", sck="4", copi="2", cipo="3",
        labels=("PMOD1A 1", "PMOD1A 4", "PMOD1A 2", "PMOD1A 3"),
        attributes={"IO_STANDARD": "SB_LVCMOS"}, pull_up={"PULLUP": 1}),
    programmers=(("openFPGALoader", "-b", "ice40_generic", "{file}"), ("iceprog", "{file}")),
    flash=Flash("W25Q128JV", 16 << 20, offset=1 << 20, slot_bytes=4 << 20,
                resource="spi_flash_1x"),
    class_pins=(("led_r", 0), ("led_g", 0)),
    flash_programmers=(("openFPGALoader", "-b", "ice40_generic", "-f", "{file}"),
                       ("iceprog", "{file}")),
)
