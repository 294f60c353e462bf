"""A board with several bitstreams in its flash: a host has it start another one, at its pins."""

import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import Session, golden
from kaniwa.boards.board import load_board
from kaniwa.compiler.pipeline import compile
from kaniwa.driver.frames import Operation, Request, encode_request
from kaniwa.errors import DeviceError
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.board.slot_transport import SlotTransport
from kaniwa.sim.board.virtual_board import VirtualBoard
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.standalone.boot import boot
from kaniwa.standalone.format import BOOT, BOOT_KEY, BOOT_KEY_BIT, FlashState
from kaniwa.standalone.image import flash_slots, make_image

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

BOARDS = ["icebreaker", pytest.param("ulx3s_25f", marks=pytest.mark.long)]


def classifier(classes):
    """Scores of so many classes."""
    build = GraphBuilder(classes)
    x = build.tensor((1, 4, 4, 2))
    y = build.fully_connected(build.reshape(build.conv(x, 4), (1, 64)), classes)
    return build.graph((x,), (y,))


GRAPHS = [classifier(3), classifier(5)]


@pytest.fixture(scope="module", params=BOARDS)
def designs(request):
    return [board_design(load_board(request.param).with_slot(slot), standalone=True)
            for slot in (0, 1)]


@pytest.fixture
def no_tools(monkeypatch):
    """What stands for a bitstream is none, so no tool gives it an address."""
    monkeypatch.setattr("kaniwa.boards.families.ecp5_slots.chain",
                        lambda bitstream, following: bitstream)


def powered_up(designs, spoil=None):
    images = [make_image(compile(graph, designs[0].config)) for graph in GRAPHS]
    if spoil is not None:
        damaged = bytearray(images[spoil])
        damaged[len(damaged) // 2] ^= 4
        images[spoil] = bytes(damaged)
    marks = [SlotTransport.mark + b"%d" % slot for slot in range(len(images))]
    flash = flash_slots(designs[0].board, list(zip(marks, images, strict=True)))
    return SlotTransport(designs, flash)


def answers_are_exact(board, slot):
    """The program of ``slot`` is there without being sent, and is that of its model."""
    graph = GRAPHS[slot]
    with VirtualBoard(board.name, None, board) as device:
        assert device.flash == FlashState.LOADED
        session = Session(compile(graph, device.config), device, loaded=True)
        for seed in range(2):
            inputs = random_input(graph, seed)
            wanted = golden.run(graph, inputs)
            for tensor, found in zip(graph.outputs, session.run(inputs).values(), strict=True):
                assert (found == wanted[tensor]).all()


def test_a_host_changes_the_slot(designs, no_tools):
    board = powered_up(designs)
    answers_are_exact(board, 0)
    told = []
    seen = boot(lambda: board, 1, tell=told.append)
    assert [one.slot for one in seen] == board.started == [0, 1]
    assert seen[1].flash == FlashState.LOADED
    assert told[1].startswith("is slot 1, config ") and told[1].endswith(", image loaded")
    answers_are_exact(board, 1)
    boot(lambda: board, 0)
    assert board.started == [0, 1, 0]
    answers_are_exact(board, 0)
    assert len(boot(lambda: board, 0)) == 1 and board.started == [0, 1, 0]


def test_an_empty_slot_and_a_damaged_image(designs, no_tools):
    board = powered_up(designs, spoil=1)
    assert boot(lambda: board, 1)[-1].flash == FlashState.DAMAGED
    started = len(board.started)
    with pytest.raises(DeviceError, match="slot 3 is empty, or the board did not leave"):
        boot(lambda: board, 3)
    # What is empty leads to slot 0; where slots go in turn, the board went round once.
    assert board.started[started:] == ([0, 1] if designs[0].board.flash.program else [0])


def test_damaged_requests_change_nothing(designs, no_tools):
    board = powered_up(designs)
    with VirtualBoard(board.name, None, board):
        frame = bytearray(encode_request(
            Request(Operation.REGISTER, BOOT_KEY << BOOT_KEY_BIT | 1, BOOT), 1))
        for at in range(len(frame) - 1):
            if frame[at] != 16:
                other = bytearray(frame)
                other[at] ^= 16
                board.write(bytes(other))
                board.read(0.02)
        assert board.started == [0]
    assert board.started == [0]
