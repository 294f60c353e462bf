"""Small configs of different shapes, on which the benches of the array's blocks run."""

from __future__ import annotations

from kaniwa.config import AcceleratorConfig

__all__ = ["CONFIGS", "LONG", "WITH_PACKED"]

# Lines of several proportions: N of one lane or more, read_bytes below, equal to and above N.
CONFIGS: dict[str, AcceleratorConfig] = {
    "nano": AcceleratorConfig(
        out_lanes=4, dot_width=4, product_cycles=1, requant_lanes=1, requant_cycles=4,
        read_bytes=8, write_bytes=2, ring_bytes=256, line_bytes=256, parameter_records=16,
        result_slots=2, step_entries=64, name="nano"),
    "base": AcceleratorConfig(
        ring_bytes=2048, line_bytes=512, parameter_records=16, result_slots=16, phase_windows=True,
        step_entries=128, name="base"),
    "twelve": AcceleratorConfig(
        out_lanes=12, dot_width=8, product_cycles=2, requant_lanes=4, read_bytes=8, write_bytes=4,
        ring_bytes=1024, line_bytes=256, parameter_records=16, result_slots=4, name="twelve"),
    "wide_read": AcceleratorConfig(
        out_lanes=4, dot_width=8, requant_lanes=4, read_bytes=32, write_bytes=4, ring_bytes=256,
        line_bytes=512, parameter_records=16, result_slots=8, max_pool=False, depthwise=False,
        name="wide_read"),
    "wide_dot": AcceleratorConfig(
        out_lanes=2, dot_width=32, requant_lanes=2, read_bytes=16, write_bytes=4, ring_bytes=256,
        line_bytes=256, parameter_records=16, result_slots=4, name="wide_dot"),
}

# What `make test` leaves to `make long`, for benches whose bins the others hit.
LONG = ("wide_read", "wide_dot")

# For blocks in which lanes share activations where multipliers are packed.
WITH_PACKED = CONFIGS | {
    "packed": AcceleratorConfig(
        out_lanes=12, dot_width=16, packed_multipliers=True, phase_windows=True, requant_lanes=4,
        ring_bytes=1024,
        line_bytes=512, parameter_records=16, result_slots=4, name="packed"),
}
