"""A board that starts from its flash, at its pins: image, inputs over the line, class at LEDs."""

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import Session, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.errors import ConfigError
from kaniwa.sim.board.board_design import board_design
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.board.virtual_board import VirtualBoard
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.standalone.format import FlashState
from kaniwa.standalone.image import flash_image, make_image

CLASSES = 6
# Cycles until it knows of its image: its clock's, three rests of 50 us and two readings.
REST, BYTE_CYCLES = 4000, 16

# The second one has a flash whose clock is no pin of the design.
BOARDS = ["icebreaker", pytest.param("ulx3s_25f", marks=pytest.mark.long)]

pytestmark = [pytest.mark.rtl, pytest.mark.slow]


def classifier():
    """Scores of some classes, of an input with two features."""
    build = GraphBuilder(5)
    x = build.tensor((1, 6, 6, 2))
    y = build.fully_connected(build.reshape(build.conv(x, 8), (1, 288)), CLASSES)
    return build.graph((x,), (y,))


GRAPH = classifier()


class Board:
    """A virtual board just powered up, with ``image`` in its flash, and time to load it."""

    def __init__(self, name, image):
        self.design = board_design(name, standalone=True)
        flash = flash_image(self.design.board, b"", image)
        self.pins = PinTransport(self.design, flash=flash)
        self.wait(3 * REST + 4 * BYTE_CYCLES * len(image))

    def wait(self, cycles):
        end = self.pins.line_cycles + cycles
        while self.pins.line_cycles < end:
            self.pins.read(0.001)

    def open(self):
        return VirtualBoard(self.pins.name, None, self.pins)

    def shown(self):
        """What the last LED and the ones before it tell."""
        numbers = len(self.design.board.class_pins) - 1
        return self.pins.leds() >> numbers, self.pins.leds() % (1 << numbers)

    def runs(self, session):
        """Answers and classes of some inputs are golden's."""
        classes = set()
        for seed in range(4):
            inputs = random_input(GRAPH, seed)
            (found,) = session.run(inputs).values()
            (wanted,) = (golden.run(GRAPH, inputs)[tensor] for tensor in GRAPH.outputs)
            np.testing.assert_array_equal(found, wanted)
            number = int(np.argmax(wanted))
            classes.add(number)
            numbers = len(self.design.board.class_pins) - 1
            yield (1, number % (1 << numbers))
        assert len(classes) > 1


@pytest.fixture(scope="module", params=BOARDS)
def board(request):
    return request.param


@pytest.fixture(scope="module")
def program(board):
    return compile(GRAPH, board_design(board, standalone=True).config)


def test_a_board_starts_from_its_flash(board, program):
    """Nothing but inputs goes to it, and the class is at its LEDs."""
    booted = Board(board, make_image(program))
    with booted.open() as device:
        assert device.flash == FlashState.LOADED
        assert booted.shown()[0] == 0
        session = Session(program, device, loaded=True)
        before = booted.pins.bytes_taken
        for wanted in booted.runs(session):
            assert booted.shown() == wanted
        # Requests of reads to compare memory, inputs, and looks at STATUS; no image.
        assert 2 * (booted.pins.bytes_taken - before) < len(make_image(program))
        booted.pins.power_cycle()
    booted.wait(3 * REST + 4 * BYTE_CYCLES * len(make_image(program)))
    with booted.open() as device:
        assert device.flash == FlashState.LOADED and booted.shown()[0] == 0
        assert list(booted.runs(Session(program, device, loaded=True)))


def changed(kind, program):
    """Another flash than an image for this board."""
    image = bytearray(make_image(program))
    if kind == FlashState.EMPTY:
        return bytes(len(image) * [255])
    if kind == FlashState.OTHER_CONFIG:
        return make_image(compile(GRAPH, "base"))
    image[len(image) // 2] ^= 8
    return bytes(image)


@pytest.mark.parametrize("kind", [FlashState.EMPTY, FlashState.OTHER_CONFIG, FlashState.DAMAGED])
def test_without_an_image_a_host_loads_the_program(board, program, kind):
    booted = Board(board, changed(kind, program))
    with booted.open() as device:
        assert device.flash == kind
        wide = len(booted.design.board.class_pins) > 3
        assert booted.shown() == (0, kind if wide else 0)
        assert list(booted.runs(Session(program, device)))
        assert booted.shown()[0] == 0


def test_an_image_that_was_cut(board, program):
    booted = Board(board, make_image(program)[:-3])
    with booted.open() as device:
        assert device.flash == FlashState.DAMAGED


def test_who_cannot_start_from_flash():
    with pytest.raises(ConfigError, match="tang_nano_9k has no flash that kaniwa starts it from: "
                                          "these have one: icebreaker, ulx3s_25f, "):
        board_design("tang_nano_9k", standalone=True)
    with pytest.raises(ConfigError, match="a board that starts from flash has one core, not 2"):
        board_design("ulx3s_85f", cores=2, standalone=True)
