"""What a release holds: its manifest, which names each file with its SHA-256."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kaniwa.errors import InputError

__all__ = ["BITSTREAM", "MANIFEST", "REPORT", "SIMULATOR", "Artifact", "Release", "this_platform"]

MANIFEST = "manifest.json"
FORMAT = 1
BITSTREAM, REPORT, SIMULATOR = "bitstream", "report", "simulator"
KINDS = (BITSTREAM, REPORT, SIMULATOR)
# One folder and one name, so that no file of a release can land outside the folder it is kept in.
FILE = re.compile(r"[a-z]+/[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Artifact:
    """A file of a release. ``config``: hash of the accelerator's configuration.

    ``facts``: of a bitstream, its seeds with their clocks in MHz, and what it takes of the device.
    """

    file: str
    kind: str
    target: str
    config: str
    sha256: str
    bytes: int
    board: str | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """A manifest. ``sources``: digest of the gateware and of the simulator's own sources.

    ``platform``: what its simulators run on, as ``this_platform`` has it. ``tools``: versions.
    """

    version: str
    sources: str
    platform: str
    tools: Mapping[str, str]
    artifacts: tuple[Artifact, ...]

    def to_json(self) -> str:
        """The text of the manifest's file."""
        return json.dumps({"format": FORMAT} | dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Release:
        """Read the text of a manifest of the file ``where``; InputError where it is none."""
        number = FORMAT
        try:
            values = json.loads(text)
            number = values.pop("format")
            artifacts = tuple(Artifact(**one) for one in values.pop("artifacts"))
            release = cls(artifacts=artifacts, **values)
            names = [one.file for one in artifacts]
            sound = (len({*names}) == len(names) and all(map(FILE.fullmatch, names))
                     and all(one.kind in KINDS for one in artifacts)
                     and re.fullmatch(r"[0-9a-f]+", release.sources))
        except (ValueError, TypeError, KeyError, AttributeError):
            sound = None
        if number != FORMAT:
            raise InputError(f"{where}: a release of format {number}, this kaniwa reads {FORMAT}; "
                             "take the release of this version")
        if not sound:
            raise InputError(f"{where}: its {MANIFEST} is none of a release")
        return release

    @property
    def runs_here(self) -> bool:
        """True where its simulators run on this machine: same processor, C library not older."""
        kind, _, libc = self.platform.rpartition("-")
        here, _, own = this_platform().rpartition("-")
        return kind == here and _numbers(own) >= _numbers(libc)


def this_platform() -> str:
    """System, processor and C library with its version, for example linux-x86_64-glibc-2.36."""
    library, version = platform.libc_ver()
    return "-".join([platform.system().lower(), platform.machine(), library or "libc",
                     version or "0"])


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
