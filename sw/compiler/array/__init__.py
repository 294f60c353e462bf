"""Layers that the array computes: functions, arithmetic, moves, copies."""
