"""Random cases of every operator: many one-operator models in one file, golden against LiteRT.

A family's file registers a function that draws one case; ``OperatorInfo.cases`` of the importer's
table says how many there are. Scales are drawn so that LiteRT's C++ is defined.
"""

from __future__ import annotations

import importlib
import pkgutil

from builders.operator_cases.cases import DRAWS, Cases, differences

__all__ = ["DRAWS", "Cases", "differences"]

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
