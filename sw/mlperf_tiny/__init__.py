"""MLPerf Tiny: its benchmarks, its text protocol for a device of kaniwa, and a runner."""
