"""Netlists of builds, synthesized or routed, simulated cell by cell."""
