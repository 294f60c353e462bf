"""Outside memory: the kinds that a program may use, and their names on the command line."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.errors import CompileError

__all__ = ["Outside", "parse_outside"]

SDRAM_BYTES, SDRAM_LATENCY = 4, 10


@dataclass(frozen=True)
class Outside:
    """Outside memory that the program may use: ``kind`` is "ideal" or "sdram"."""

    kind: str
    bytes: int = 0       # of a word, for sdram
    latency: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "ideal" else (
            f"{self.kind},bytes={self.bytes},latency={self.latency}")


def parse_outside(text: str | None) -> Outside | None:
    """The outside memory that ``text`` names; raises CompileError for an unknown kind or option."""
    if text is None or text == "none":
        return None
    kind, *settings = text.split(",")
    if kind == "ideal" and not settings:
        return Outside("ideal")
    values = {"bytes": SDRAM_BYTES, "latency": SDRAM_LATENCY}
    for setting in settings:
        key, _, value = setting.partition("=")
        if kind != "sdram" or key not in values or not value.isdecimal() or len(value) > 6:
            break
        values[key] = int(value)
    else:
        if kind == "sdram" and values["bytes"] in (1, 2, 4, 8, 16, 32, 64, 128):
            return Outside("sdram", values["bytes"], values["latency"])
    raise CompileError(f"outside memory must be none, ideal or sdram[,bytes=4,latency=10], "
                       f"not '{text}'")
