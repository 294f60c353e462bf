"""Vela's figures of the networks: made anew where it is installed, else as recorded."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaniwa.benchmark.networks.network import NetworkFile
from kaniwa.benchmark.vela import SETTINGS, vela_summary, vela_version

__all__ = ["Figures", "RECORDED"]

RECORDED = Path(__file__).resolve().parents[3] / "bench" / "results" / "vela.json"
MULTIPLIERS = (128, 256)


@dataclass(frozen=True)
class Figures:
    """``version`` and ``options`` of the Vela that made them; ``recorded`` is None where it runs
    here."""

    version: str | None
    options: str
    recorded: dict[str, Any] | None

    @classmethod
    def found(cls) -> Figures:
        """Those of the Vela that is installed, else those of the file beside the sources."""
        version = vela_version()
        if version is not None:
            return cls(version, " ".join(SETTINGS), None)
        if not RECORDED.is_file():
            return cls(None, "", {})
        values = json.loads(RECORDED.read_text())
        return cls(values["version"], values["options"], values["networks"])

    def of(self, key: str, file: NetworkFile) -> dict[str, Any]:
        """For "128" and "256" multipliers the ``cycles`` of an Ethos-U55, and how many of the
        network's operators it leaves to the processor beside it."""
        if self.recorded is not None:
            return dict(self.recorded.get(key, {}))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{key}.tflite"
            path.write_bytes(file.data)
            return {str(count): vela_summary(path, count) for count in MULTIPLIERS}

    def source(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"vela": {"version": self.version, "options": self.options,
                         "rerun": self.recorded is None}}
