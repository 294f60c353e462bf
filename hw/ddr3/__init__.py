"""Start and calibration of DDR3 memory behind LiteDRAM's controller."""
