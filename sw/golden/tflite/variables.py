"""Variables: the graph's state holds their values, and READ_VARIABLE is another name of one.

VAR_HANDLE, ASSIGN_VARIABLE and CALL_ONCE become state in the importer, and have no kernel.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.registry import Call, kernel

__all__: list[str] = []


@kernel("READ_VARIABLE")
def _read(call: Call) -> np.ndarray:
    return call.value(0).reshape(call.output.shape)
