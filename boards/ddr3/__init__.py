"""DDR3 memory of a board: LiteDRAM's controller and PHY, and what surrounds them."""
