"""Cycle model: the cycles of a program, equal to the RTL's, and their causes."""

from kaniwa.cycles.compiled.place import compiled_folder

# Modules are looked for there first.
if (_folder := compiled_folder()) is not None:
    __path__.insert(0, str(_folder))
