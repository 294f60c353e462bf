"""What the scripts of examples/ must write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kaniwa.importers import load_model
from kaniwa.verify.litert import verify

__all__ = ["assert_writes_a_model_that_runs"]


def assert_writes_a_model_that_runs(root: Path, script: str, model: Path, arguments: list[str],
                                    inferences: int) -> None:
    """``script``, with one epoch, writes ``model`` as the shipped one of this name is made, and
    vectors that golden equals."""
    subprocess.run([sys.executable, root / "examples" / f"{script}.py", "--output", model,
                    "--epochs", "1", *arguments], check=True, capture_output=True)
    assert str(root).encode() not in model.read_bytes(), "the file says where it was made"
    facts = verify(model, "recorded", layers=True)
    assert (facts["inferences"], facts["mismatches"]) == (inferences, 0)
    shipped = load_model(root / "models" / model.name)
    assert [op.kind for op in load_model(model).ops] == [op.kind for op in shipped.ops]
