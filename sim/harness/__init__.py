"""The framework of the benches: drivers, monitors, coverage, runner, mutation."""
