"""The vector unit's programs: instruction set, text form, emulator, builder and kernels."""
