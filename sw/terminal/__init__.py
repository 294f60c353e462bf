"""What a terminal shows beside results: bars while something is done, and the log."""
