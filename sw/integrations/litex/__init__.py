"""The accelerator as a peripheral of a LiteX SoC."""

from kaniwa.integrations.litex.peripheral import KaniwaPeripheral, add_kaniwa

__all__ = ["KaniwaPeripheral", "add_kaniwa"]
