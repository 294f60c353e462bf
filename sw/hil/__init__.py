"""Hardware in the loop: everything that a board can be tried with, in a report to compare."""
