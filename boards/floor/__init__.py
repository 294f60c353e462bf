"""The floor view of a bitstream: where each block of the accelerator lies on the device."""
