"""The simulated core as a device: Verilator build, shared object, memories in C++."""
