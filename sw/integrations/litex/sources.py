"""The Verilog of a design for other tools: made once, and kept in the cache folder."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

import kaniwa.generate
from kaniwa.cache_folder import cache_folder, kept_folder
from kaniwa.errors import BuildError
from kaniwa.extras import needed
from kaniwa.files import write_atomic
from kaniwa.generate.design import Design
from kaniwa.generate.files import WAIVERS
from kaniwa.generate.template import render
from kaniwa.generate.verilog import Port, design_verilog

__all__ = ["Sources", "kept_sources"]

PORTS = "ports.json"


@dataclass(frozen=True)
class Sources:
    """A design's files, with the bytes that `kaniwa generate` writes.

    ``verilog``: the one file with all modules. ``waivers``: Verilator's warnings of it that are
    waived. ``ports``: those of its top module, without clk and rst.
    """

    verilog: Path
    waivers: Path
    ports: tuple[Port, ...]


def kept_sources(design: Design) -> Sources:
    """The files of ``design``, made if there are none yet, which takes from seconds to a minute.

    Raises ConfigError for what there is no gateware of, and BuildError without the extra ``sim``
    or where the cache folder cannot be written.
    """
    with needed("generated Verilog", "sim", BuildError):
        folder = cache_folder() / "designs" / f"{design.name}-{_key(design)}"
    try:
        kept_folder(folder, lambda temporary: _make(design, temporary))
    except OSError as error:
        raise BuildError(f"cannot keep the Verilog in {folder.parent}: {error.strerror}; make room "
                         "there, or set KANIWA_CACHE to another folder") from None
    rows = json.loads((folder / PORTS).read_text())
    return Sources(folder / f"{design.name}.v", folder / f"{design.name}.vlt",
                   tuple(Port(**row) for row in rows))


def _key(design: Design) -> str:
    """Digest of all that the files are made from."""
    from kaniwa.sim.device.verilate import gateware_sources, source_texts, unit_sources

    own = Path(kaniwa.generate.__path__[0])
    texts = [*gateware_sources(), *unit_sources(design.config),
             *source_texts([*own.glob("*.py"), *own.glob("templates/*.v*"), Path(__file__)])]
    told = [design.config.hash, *(str(getattr(design, field.name))
                                  for field in dataclasses.fields(design))]
    parts = [*told, importlib.metadata.version("amaranth"), *texts]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _make(design: Design, folder: Path) -> None:
    text, ports, first_line = design_verilog(design)
    write_atomic(folder / f"{design.name}.v", text.encode())
    waivers = render("waivers.vlt", design=design, name=design.name, waivers=WAIVERS,
                     first_line=first_line, last_line=text.count("\n"))
    write_atomic(folder / f"{design.name}.vlt", waivers.encode())
    rows = [dataclasses.asdict(port) for port in ports]
    write_atomic(folder / PORTS, json.dumps(rows).encode())
