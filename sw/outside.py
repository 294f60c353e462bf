"""Outside memory: the kinds that a program may use, and their names on the command line."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.errors import CompileError
from kaniwa.litedram_modules import CLOCKS, MODULES, PHYS, WIDTHS, module_bytes, port_bytes
from kaniwa.sdram_parts import LOWEST_MHZ, PARTS, RATIOS

__all__ = ["ADDED_OUTSIDE", "Outside", "parse_outside"]

ADDED_OUTSIDE = "sdram"   # that a simulator gives unasked: with the delays of real memory

SDRAM_BYTES, SDRAM_LATENCY = 4, 10
PART_MHZ, PART_RATIO = 100, 1
CHIP = ("part", "clock", "ratio", "mask")      # settings of a part, in this order
MODULE = ("module", "phy", "bytes", "clock")   # settings of LiteDRAM
MODULE_WIDTH, DDR3_WIDTH, MODULE_MHZ = 4, 2, 50
WORDS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Outside:
    """Outside memory that the program may use: ``kind`` is "ideal", "sdram" or "litedram".

    SDRAM has a bus of ``bytes`` in a cycle of the core and a ``latency``, or it is a ``part`` at a
    ``clock`` of its own, in MHz, with ``ratio`` cycles in one of the core. ``masked``: the pins of
    the part for its data mask are wired. LiteDRAM has a ``module`` of ``bytes`` at a ``clock``,
    which is the controller's, and for DDR3 a ``phy``.
    """

    kind: str
    bytes: int = 0       # for sdram
    latency: int = 0
    part: str = ""
    clock: int = 0
    ratio: int = 0
    masked: bool = True
    module: str = ""
    phy: str = ""

    def __str__(self) -> str:
        if self.module:
            return (f"{self.kind},module={self.module}" + f",phy={self.phy}" * bool(self.phy)
                    + f",bytes={self.bytes},clock={self.clock}")
        if self.part:
            return (f"{self.kind},part={self.part},clock={self.clock},ratio={self.ratio}"
                    + ",mask=0" * (not self.masked))
        return self.kind if self.kind == "ideal" else (
            f"{self.kind},bytes={self.bytes},latency={self.latency}")

    @property
    def port_bytes(self) -> int:
        """Bytes of a beat of LiteDRAM's port."""
        return port_bytes(MODULES[self.module], self.bytes)

    @property
    def size(self) -> int | None:
        """Bytes of the part; None where there is no limit but that of addresses."""
        if self.module:
            return module_bytes(MODULES[self.module], self.bytes)
        return PARTS[self.part].size if self.part else None


def parse_outside(text: str | None) -> Outside | None:
    """The outside memory that ``text`` names; raises CompileError for an unknown kind or option."""
    if text is None or text == "none":
        return None
    if not isinstance(text, str):
        raise CompileError("outside memory: expected its name as text, "
                           f"found {type(text).__name__}")
    kind, *settings = text.split(",")
    if kind == "ideal" and not settings:
        return Outside("ideal")
    if kind == "sdram" and any(setting.startswith("part=") for setting in settings):
        return _of_part(text, settings)
    if kind == "litedram":
        return _of_module(text, settings)
    values = {"bytes": SDRAM_BYTES, "latency": SDRAM_LATENCY}
    for setting in settings:
        key, _, value = setting.partition("=")
        if kind != "sdram" or key not in values or not _is_count(value):
            break
        values[key] = int(value)
    else:
        once = len({setting.partition("=")[0] for setting in settings}) == len(settings)
        if kind == "sdram" and once and values["bytes"] in WORDS:
            return Outside("sdram", values["bytes"], values["latency"])
    raise CompileError(f"outside memory must be none, ideal or sdram[,bytes=4,latency=10 | "
                       f",part=NAME,clock={PART_MHZ},ratio={PART_RATIO},mask=1] or "
                       f"litedram,module=NAME[,phy={'|'.join(PHYS)},bytes={MODULE_WIDTH},"
                       f"clock={MODULE_MHZ}], not '{text}'")


def _is_count(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) <= 6


def _values(text: str, settings: list[str], what: str, known: tuple[str, ...]) -> dict[str, str]:
    """The settings that ``what`` takes, by their names."""
    values = dict[str, str]()
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in known or key in values:
            raise CompileError(f"outside memory '{text}': {what} takes {', '.join(known)}, once "
                               f"each, not '{setting}'")
        values[key] = value
    return values


def _of_part(text: str, settings: list[str]) -> Outside:
    """SDRAM that is a part."""
    for setting in settings:
        key = setting.partition("=")[0]
        if key in ("bytes", "latency"):
            raise CompileError(f"outside memory '{text}': a part has its own bus and latency; "
                               f"leave {key} out, or part")
    values = _values(text, settings, "a part", CHIP)
    name = values["part"]
    if name not in PARTS:
        raise CompileError(f"outside memory '{text}': unknown part '{name}'; the parts are "
                           f"{', '.join(PARTS)}")
    clock, ratio = values.get("clock", str(PART_MHZ)), values.get("ratio", str(PART_RATIO))
    highest = PARTS[name].cl3_mhz
    if not _is_count(clock) or not LOWEST_MHZ <= int(clock) <= highest:
        raise CompileError(f"outside memory '{text}': the clock of {name} must be {LOWEST_MHZ} to "
                           f"{highest} MHz, not '{clock}'")
    if not _is_count(ratio) or int(ratio) not in RATIOS:
        raise CompileError(f"outside memory '{text}': ratio, the chip's cycles in one of the core, "
                           f"must be one of {', '.join(map(str, RATIOS))}, not '{ratio}'")
    mask = values.get("mask", "1")
    if mask not in ("0", "1"):
        raise CompileError(f"outside memory '{text}': mask is 1 where the data mask of {name} is "
                           f"wired and 0 where it is not, not '{mask}'")
    return Outside("sdram", PARTS[name].width * int(ratio), part=name, clock=int(clock),
                   ratio=int(ratio), masked=mask == "1")


def _of_module(text: str, settings: list[str]) -> Outside:
    """A module behind LiteDRAM."""
    values = _values(text, settings, "LiteDRAM", MODULE)
    name = values.get("module", "")
    if name not in MODULES:
        raise CompileError(f"outside memory '{text}': unknown module '{name}'; the modules are "
                           f"{', '.join(MODULES)}")
    ddr3, phy = MODULES[name].ddr3, values.get("phy", "")
    if phy and not ddr3:
        raise CompileError(f"outside memory '{text}': {name} is SDR, which takes no phy")
    if ddr3 and phy not in PHYS:
        given = f"not '{phy}'" if phy else "which is not there"
        raise CompileError(f"outside memory '{text}': {name} is DDR3, and phy must be one of "
                           f"{', '.join(PHYS)} for it, {given}")
    width = values.get("bytes", str(DDR3_WIDTH if ddr3 else MODULE_WIDTH))
    widths = [str(count) for count in range(1, WIDTHS[-1] + 1)
              if port_bytes(MODULES[name], count) in WIDTHS]
    if width not in widths:
        raise CompileError(f"outside memory '{text}': bytes, of the chips beside each other, must "
                           f"be one of {', '.join(widths)}, not '{width}'")
    clock = values.get("clock", str(MODULE_MHZ))
    if not _is_count(clock) or int(clock) not in CLOCKS:
        raise CompileError(f"outside memory '{text}': the clock of LiteDRAM must be {CLOCKS[0]} to "
                           f"{CLOCKS[-1]} MHz, not '{clock}'")
    return Outside("litedram", int(width), clock=int(clock), module=name, phy=phy)
