"""What the framework answers, beside a model that a script has made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np


def save_recorded(path: Path, x: np.ndarray, labels: np.ndarray, expected: np.ndarray,
                  arrays: dict[str, np.ndarray], facts: dict[str, object]) -> float:
    """Write inputs/NAME.npz (``x``, ``labels``, ``expected``) and refs/NAME.npz (``arrays``) and
    .json (``facts`` and the model's sha256); the share that is right."""
    for folder in ("inputs", "refs"):
        (path.parent / folder).mkdir(exist_ok=True)
    np.savez_compressed(path.parent / "inputs" / f"{path.stem}.npz", x=x,
                        labels=labels.astype(np.int64), expected=expected)
    np.savez_compressed(path.parent / "refs" / f"{path.stem}.npz", **arrays)
    model = {"model": path.name, "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (path.parent / "refs" / f"{path.stem}.json").write_text(
        json.dumps(model | facts, indent=1) + "\n")
    return float((expected.argmax(1) == labels).mean())
