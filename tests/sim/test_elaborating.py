"""Python's garbage collector rests while a netlist is made, and goes on after it."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib.wiring import Component, In, Out

from kaniwa.boards.board import load_board
from kaniwa.boards.flow import top
from kaniwa.boards.flow.build import design_files
from kaniwa.config import PRESETS
from kaniwa.hw.verilog import to_verilog


class Inverter(Component):
    """Notes whether the collector is on where it is elaborated."""

    def __init__(self, refused: bool = False) -> None:
        super().__init__({"a": In(1), "y": Out(1)})
        self.refused = refused
        self.collected: list[bool] = []

    def elaborate(self, platform: Any) -> Module:
        self.collected.append(gc.isenabled())
        if self.refused:
            raise ZeroDivisionError
        m = Module()
        m.d.comb += self.y.eq(~self.a)
        return m


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("enabled", [False, True])
def test_the_collector_is_as_before_after_an_elaboration(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    block = Inverter()
    assert "module inverter" in to_verilog(block, "inverter")
    assert block.collected == [False]
    assert gc.isenabled() is enabled


def test_the_collector_goes_on_after_a_design_that_is_refused() -> None:
    block = Inverter(refused=True)
    with pytest.raises(ZeroDivisionError):
        to_verilog(block, "inverter")
    assert block.collected == [False]
    assert gc.isenabled()


class Wasteful(Inverter):
    """Makes a block that nothing elaborates, in a cycle that only the collector finds."""

    def elaborate(self, platform: Any) -> Module:
        waste: list[Any] = [Inverter()]
        waste.append(waste)
        return super().elaborate(platform)


def test_blocks_that_nothing_elaborates_do_not_warn_later() -> None:
    to_verilog(Wasteful(), "inverter")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        gc.collect()
    assert heard == []


def test_it_rests_for_a_boards_design_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def elaborate(self: Any, platform: Any) -> Module:
        seen.append(gc.isenabled())
        return Module()

    monkeypatch.setattr(top.BoardTop, "elaborate", elaborate)
    board = load_board("icebreaker")
    design_files(board, PRESETS["nano"], board.clock_mhz("nano"))
    assert seen == [False]
    assert gc.isenabled()
