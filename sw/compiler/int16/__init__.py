"""Operators of int16, made of digits in the array and vector programs."""
