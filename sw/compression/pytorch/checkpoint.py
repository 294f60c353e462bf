"""Checkpoints of a recipe: after every epoch, whole or not at all, and of one recipe alone."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from kaniwa.errors import Error, InputError
from kaniwa.extras import needed
from kaniwa.files import write_atomic

with needed("compression of PyTorch modules", "compress"):
    import torch

__all__ = ["load_checkpoint", "save_checkpoint"]

KEYS = {"fingerprint", "step", "epoch", "before", "state", "optimizer"}


def save_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` to ``path``. Raises Error where it cannot be written."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path: str | os.PathLike[str], fingerprint: str) -> dict[str, Any] | None:
    """What was saved, None where there is no file. Tensors and plain values alone are read.

    Raises InputError for a file that is no checkpoint, and for one of another recipe, module or
    data, whose ``fingerprint`` differs.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise Error(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:     # of zip, of pickle and of PyTorch, which share no base
        values = None
    if not isinstance(values, dict) or set(values) != KEYS:
        raise InputError(f"{path}: is no checkpoint; delete it, or name another file")
    if values["fingerprint"] != fingerprint:
        raise InputError(f"{path}: is the checkpoint of another recipe, module or data; "
                         "delete it, or name another file")
    return values
