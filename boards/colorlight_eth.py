"""Colorlight i5 with LFE5U-25F, by Ethernet."""

import dataclasses

from kaniwa.boards.board import Ethernet
from kaniwa.boards.colorlight_i5 import BOARD as WITHOUT

BOARD = dataclasses.replace(
    WITHOUT,
    name="colorlight_eth",
    title="Colorlight i5 by Ethernet (Lattice ECP5, LFE5U-25F-6BG381C)",
    # Delays as in colorlight_i5.py of github.com/litex-hub/litex-boards. ``small`` leaves two block
    # RAMs: one for the ring, one for both banks.
    ethernet=Ethernet(receive_ns=2.0, send_ns=0.0, ring_bytes=2048, bank_bytes=1024),
)
