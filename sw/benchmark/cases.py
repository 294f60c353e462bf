"""The models that are measured, the cycles to reach, and what others need for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaniwa.errors import InputError

__all__ = ["Case", "Peer", "CASES", "PEERS", "VELA", "VELA_VERSION", "models_folder", "pick"]

VELA = "Arm Ethos-U55"
VELA_VERSION = "5.2.0"   # the version that the figures below are of


@dataclass(frozen=True)
class Case:
    """A model on a target. ``bar``: cycles to reach, None where none is set."""

    key: str
    title: str
    file: str
    target: str = "base"
    keep_dead_channels: bool = False
    bar: int | None = None


@dataclass(frozen=True)
class Peer:
    """Another accelerator on a model (a file of CASES), in the terms of its source."""

    file: str
    name: str
    source: str
    cycles: int | None = None
    multipliers: int | None = None
    dsps: int | None = None
    macs_per_dsp: float | None = None
    latency_ms: float | None = None
    clock_mhz: float | None = None

    def as_dict(self, macs: int) -> dict[str, Any]:
        """Plain values; what follows from latency, clock and ``macs`` is computed."""
        cycles = self.cycles
        if cycles is None and self.latency_ms is not None and self.clock_mhz is not None:
            cycles = round(self.latency_ms * self.clock_mhz * 1000)
        per_dsp = self.macs_per_dsp
        if cycles is not None and self.dsps is not None:
            per_dsp = macs / (cycles * self.dsps)
        utilization = macs / (cycles * self.multipliers) if cycles and self.multipliers else None
        return {"name": self.name, "source": self.source, "cycles": cycles,
                "utilization": utilization, "dsps": self.dsps, "macs_per_dsp": per_dsp,
                "rerun": False}


RESNET8, KEYWORDS = "mlperf_ic_resnet8.tflite", "mlperf_kws_dscnn.tflite"
PERSON, WAKEWORD = "mlperf_vww_mbv1_96.tflite", "mlperf_sww_1d.tflite"
ANOMALY, SPEECH = "mlperf_ad_fc_ae.tflite", "tflm_micro_speech.tflite"

CASES = (
    Case("resnet8", "ResNet-8, image classification", RESNET8, bar=104_000),
    Case("keywords", "DS-CNN, keyword spotting", KEYWORDS, bar=26_000),
    Case("person-dense", "MobileNetV1-0.25, person detection, dead channels kept", PERSON,
         keep_dead_channels=True, bar=78_000),
    Case("person", "MobileNetV1-0.25, person detection", PERSON, bar=46_000),
    Case("wakeword", "streaming wakeword", WAKEWORD, bar=8_500),
    Case("anomaly", "autoencoder, anomaly detection", ANOMALY, bar=18_000),
    Case("speech", "TFLM micro speech", SPEECH),
    Case("resnet8-large", "ResNet-8, image classification", RESNET8, target="large", bar=53_000),
)


def _vela(file: str, cycles: int, multipliers: int = 128) -> Peer:
    return Peer(file, f"{VELA}-{multipliers}", f"Vela {VELA_VERSION} estimate, all in SRAM",
                cycles=cycles, multipliers=multipliers)


def _gap9(file: str, milliseconds: float) -> Peer:
    return Peer(file, "GAP9 (ASIC)", f"MLPerf Tiny v1.0, closed: {milliseconds} ms at 370 MHz",
                latency_ms=milliseconds, clock_mhz=370)


FPGACONVNET = "MLPerf Tiny v1.1, closed: latency x clock"

PEERS = (
    _vela(RESNET8, 184_083), _vela(KEYWORDS, 87_678), _vela(PERSON, 210_256),
    _vela(WAKEWORD, 28_629), _vela(ANOMALY, 40_929), _vela(SPEECH, 27_910),
    _vela(RESNET8, 107_151, 256),
    Peer(RESNET8, "fpgaConvNet, ZedBoard", FPGACONVNET, cycles=58_800, dsps=211),
    Peer(KEYWORDS, "fpgaConvNet, ZedBoard", FPGACONVNET, macs_per_dsp=0.305),
    Peer(PERSON, "ANPU, VCU128", "MLPerf Tiny v1.3, closed: latency x clock", cycles=69_000,
         dsps=994),
    _gap9(RESNET8, 0.616), _gap9(KEYWORDS, 0.475), _gap9(PERSON, 1.125), _gap9(ANOMALY, 0.176),
)


def pick(names: str | None) -> list[Case]:
    """The cases that a comma-separated list names, in its order; all for None."""
    if names is None:
        return list(CASES)
    known = {case.key: case for case in CASES}
    for name in names.split(","):
        if name not in known:
            raise InputError(f"unknown model '{name}': give some of {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names.split(","))]


def models_folder(folder: Path | None = None) -> Path:
    """``folder``, else models/ beside the sources, else models/ here; raises InputError."""
    beside = Path(__file__).resolve().parents[2] / "models"
    for candidate in [folder] if folder is not None else [beside, Path("models")]:
        if (candidate / RESNET8).is_file():
            return candidate
    raise InputError(f"{folder or 'models'}: {RESNET8} is not there; name the folder of the "
                     "models with --folder")
