"""What a core on a board or a bus is, by its registers, and whether it is the one wanted."""

from __future__ import annotations

from collections.abc import Sequence

from kaniwa.config import PRESETS, AcceleratorConfig, load_target
from kaniwa.errors import DeviceError
from kaniwa.isa import ISA_VERSION, MAGIC, Register

__all__ = ["CAPABILITIES", "capabilities", "identify", "known_targets", "wrong_config"]

CAPABILITIES = range(Register.MAGIC, Register.MEMORY_BYTES + 1)


def identify(name: str, words: Sequence[int],
             target: AcceleratorConfig | None) -> AcceleratorConfig:
    """The config of the core whose registers CAPABILITIES are ``words``: ``target``, or a known
    one.

    Raises DeviceError, which begins with ``name``, where it is no core, or of another version or
    config.
    """
    if words[Register.MAGIC] != MAGIC:
        raise DeviceError(f"{name}: not a kaniwa device (its first register is "
                          f"{words[Register.MAGIC]:#x})")
    if words[Register.VERSION] != ISA_VERSION:
        raise DeviceError(f"{name}: the bitstream has instruction set version "
                          f"{words[Register.VERSION]}, this kaniwa has {ISA_VERSION}: "
                          "build and program the bitstream again")
    found = f"{words[Register.CONFIG_HASH_HIGH]:08x}{words[Register.CONFIG_HASH_LOW]:08x}"
    if target is not None and target.hash != found:
        known = known_targets().get(found)
        raise wrong_config(name, target, found, known.name if known else "unknown")
    config = target or known_targets().get(found)
    if config is None:
        shape = words[Register.SHAPE]
        raise DeviceError(
            f"{name}: the bitstream is of an unknown config {found} ({shape & 255} x "
            f"{shape >> 8 & 255} multipliers): give the TOML file it was built from as target")
    return config


def capabilities(words: Sequence[int]) -> dict[str, int]:
    """The registers CAPABILITIES by their names in small letters."""
    return {register.name.lower(): words[register] for register in Register
            if register in CAPABILITIES}


def known_targets() -> dict[str, AcceleratorConfig]:
    """The presets and the configs that come with the boards, by hash."""
    from kaniwa.boards.board import TARGETS

    configs = [*PRESETS.values(), *map(load_target, sorted(TARGETS.glob("*.toml")))]
    return {config.hash: config for config in reversed(configs)}


def wrong_config(name: str, wanted: AcceleratorConfig, found: str,
                 found_name: str) -> DeviceError:
    """The error that the device's config, of hash ``found``, is not ``wanted``."""
    return DeviceError(f"{name}: the bitstream is of config '{found_name}' ({found}), wanted is "
                       f"'{wanted.name}' ({wanted.hash}): program that bitstream, or compile for "
                       "this one")
