"""Weights that are numbers: a quantiser has no scale for NaN and infinity."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kaniwa.errors import ModelError

__all__ = ["check_finite"]


def check_finite(path: Path, name: str, values: np.ndarray) -> None:
    """Raise ModelError where the tensor ``name`` has a NaN or an infinity.

    A single number may be infinite: it is no weight, but where a maximum begins.
    """
    if values.dtype.kind == "f" and (values.size > 1 or np.isnan(values).any()):
        count = int(np.count_nonzero(~np.isfinite(values)))
        if count:
            what = "NaN" if np.isnan(values).any() else "infinity"
            raise ModelError(f"{path}: tensor '{name}' has {what} among its weights, {count} of "
                             f"{values.size} are no finite numbers; train or export it anew")
