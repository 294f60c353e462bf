"""Verilog text of a component or of the whole core."""

import gc
import itertools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.back import verilog
from amaranth.hdl import Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from kaniwa.config import AcceleratorConfig

__all__ = ["elaborating", "ports", "to_verilog", "from_rtlil", "generate"]


_ZEROED_MEMORY = re.compile(
    r"  initial begin\n"
    r"    (?P<name>.+)\[0\] = \d+'[hd]0+;\n"
    r"(?:    (?P=name)\[\d+\] = \d+'[hd]0+;\n)*"
    r"    (?P=name)\[(?P<last>\d+)\] = (?P<zero>\d+'[hd]0+);\n"
    r"  end\n")


@contextmanager
def elaborating() -> Iterator[None]:
    """Around the making of RTLIL, or of blocks that nothing may elaborate: no warnings, and
    Python's cyclic garbage collector rests.

    A netlist is millions of objects, nearly all of which are needed to the end. The collector went
    through them again and again, in a third to a half of the time that ``base`` took. It goes once
    at the end, where Amaranth's warnings of blocks that nothing elaborated are still off. The other
    warnings are the toolchain's own, for example on its version.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            if was_enabled:
                gc.collect()
    finally:
        if was_enabled:
            gc.enable()


def ports(component: wiring.Component) -> dict:
    """The ports for Amaranth's back ends, named ``path__of__member``.

    Amaranth's own list fails where a stream is always ready: its ``ready`` is a constant.
    """
    named = {}
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if isinstance(signal, Signal):
            direction = (PortDirection.Input if member.flow == wiring.In
                         else PortDirection.Output)
            named["__".join(map(str, path))] = (signal, direction)
    return named


def to_verilog(component: wiring.Component, name: str, named=ports) -> str:
    """Verilog of a component and all below it, the same for the same component.

    ``named`` makes the list of its ports, such as ``kaniwa.hw.bus.signatures.bus_ports``.
    Memories of zeros are initialized by a loop, not by a line a word, which would be most of the
    text.
    """
    with elaborating():
        text = verilog.convert(component, name=name, ports=named(component),
                               emit_src=False)
    return _zeroed_by_loops(text)


def from_rtlil(text: str) -> str:
    """Verilog of a design in RTLIL, as ``to_verilog`` makes it."""
    return _zeroed_by_loops(verilog._convert_rtlil_text(text))


def _zeroed_by_loops(text: str) -> str:
    numbers = itertools.count()   # a block's name may come once in a module
    return _ZEROED_MEMORY.sub(lambda initial: _zero_by_loop(initial, next(numbers)), text)


def _zero_by_loop(initial: re.Match, number: int) -> str:
    return (f"  initial begin : zero_memory_{number}\n"
            "    integer i;\n"
            f"    for (i = 0; i <= {initial['last']}; i = i + 1)\n"
            f"      {initial['name']}[i] = {initial['zero']};\n"
            "  end\n")


def generate(config: AcceleratorConfig) -> str:
    """Verilog of the core for ``config``; its top module is ``core``."""
    from kaniwa.hw.core import make_core

    return to_verilog(make_core(config), "core")
