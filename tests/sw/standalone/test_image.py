"""The image for flash: what a board does with it gives golden's answers, and damage has a name."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.uint8_graphs import uint8
from builders.networks.random_states import random_states

from kaniwa import golden
from kaniwa.boards.board import BOARDS, load_board
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import ConfigError, InputError, ProgramError, UnsupportedError
from kaniwa.export.interface import interface
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.isa import Register
from kaniwa.program.program import Program
from kaniwa.sim.worlds.random_graphs import random_graph, random_input
from kaniwa.standalone.format import FlashState
from kaniwa.standalone.image import (
    class_output,
    flash_image,
    flash_of,
    make_image,
    read_image,
    standalone_interface,
)

SPOTTING = "mlperf_kws_dscnn.tflite"


class Booted:
    """A device of memory full of garbage, after what the gateware does with ``image``.

    It reads the bytes by itself: nothing of ``kaniwa.standalone`` but what the format says.
    """

    def __init__(self, program: Program, image: bytes) -> None:
        self.device = devices.open("emulator", program.config, outside=program.outside)
        noise = np.random.default_rng(5).bytes(program.config.memory_bytes)
        self.device.write(0, noise)
        assert image[:8] == b"kaniwa\0\1"
        assert image[8:16].hex() == bytes.fromhex(program.config.hash)[::-1].hex()
        length = int.from_bytes(image[16:20], "little")
        self.scores_at = int.from_bytes(image[20:24], "little")
        self.scores, *rest = image[24:28]
        assert rest == [0, 0, 0]
        assert len(image) == 28 + length + 4
        assert image[-4:] == zlib.crc32(image[:-4]).to_bytes(4, "little")
        self.registers = {}
        for operation, word, count, data in self._requests(image[28:-4]):
            if operation == 1:
                self.device.write(word, data)
            else:
                self.registers[count] = word
        assert self.registers.keys() == {Register.PROGRAM_ADDRESS, Register.WATCHDOG}

    @staticmethod
    def _requests(body: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        while body:
            assert body[0] in (0x40, 0xC0)
            operation, word, count = body[0] >> 6, int.from_bytes(body[1:5], "little"), body[5]
            size = count if operation == 1 else 0
            assert operation == 3 or 1 <= size <= 244
            assert len(body) >= 6 + size
            yield operation, word, count, body[6:6 + size]
            body = body[6 + size:]

    def run(self) -> None:
        self.device.run(self.registers[Register.PROGRAM_ADDRESS])

    def shown(self) -> int:
        """The class at the pins: the first of the largest scores."""
        values = [value - 256 if value > 127 else value
                  for value in self.device.read(self.scores_at, self.scores)]
        return max(range(len(values)), key=lambda i: (values[i], -i))


def assert_boots(graph: Graph, program: Program, inputs: list[dict[str, np.ndarray]]) -> Booted:
    """A client that writes inputs alone gets golden's values of what the accelerator makes."""
    face = standalone_interface(program)
    board = Booted(program, make_image(program))
    state: dict[int, np.ndarray] = {}
    for given in inputs:
        for port in face.inputs:
            assert port.tensor.address is not None
            board.device.write(port.tensor.address, port.tensor.to_device(given[port.name]))
        board.run()
        values = golden.run(graph, given, state=state)
        for port in face.outputs:
            assert port.tensor.address is not None
            data = board.device.read(port.tensor.address, port.tensor.bytes)
            np.testing.assert_array_equal(port.tensor.from_device(data), values[port.tensor.id])
        if board.scores:
            (port,) = face.outputs
            assert board.shown() == int(np.argmax(values[port.tensor.id]))
    return board


@pytest.mark.parametrize("target", ["nano", "small", "base", "base_vector"])
def test_keyword_spotting_boots_and_shows_its_class(models: Path, target: str) -> None:
    graph = load_model(models / SPOTTING)
    program = compile(graph, target)
    inputs = recorded_inputs(models / SPOTTING, program.inputs)[:3]
    board = assert_boots(graph, program, inputs)
    assert board.scores == 12
    # What a host tells is the class of the softmax: the same where no two scores become equal.
    answers = golden.run(graph, inputs[-1])[graph.outputs[0]].ravel()
    assert np.count_nonzero(answers == answers.max()) == 1
    assert board.shown() == int(np.argmax(answers))


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_boot(seed: int) -> None:
    graph = random_graph(seed, macs=1 << 14)
    program = compile(graph, "base_vector", outside="ideal" if seed % 2 else None)
    assert_boots(graph, program, [random_input(graph, seed)])


def test_a_program_with_outside_memory_has_writes_with_bit_31() -> None:
    graph = random_graph(3, "conv", macs=1 << 14)
    program = compile(graph, "xl", outside="ideal")
    assert any(address >> 31 for address, _ in program.images)
    image = read_image(make_image(program))
    assert any(request.word >> 31 for request in image.requests if request.data)
    with devices.open("emulator", program.config, outside="ideal") as device:
        image.load(device)
        for address, data in program.images:
            assert device.read(address, len(data)) == data


def test_uint8_scores_are_compared_as_they_lie_in_memory() -> None:
    build = GraphBuilder(5)
    x = build.tensor((1, 6, 6, 2))
    scores = build.fully_connected(build.reshape(build.conv(x, 8), (1, 288)), 6)
    signed = build.graph((x,), (scores,))
    graph = uint8(signed, {t.id: (t.data.view(np.uint8) ^ 128) for t in signed.tensors
                           if t.data is not None and t.data.dtype == np.int8}, 128)
    assert graph.tensors[graph.outputs[0]].dtype == "uint8"
    inputs = [random_input(graph, seed) for seed in range(8)]
    made = [golden.run(graph, given)[graph.outputs[0]] for given in inputs]
    # On both sides of the middle, so that a comparison with the wrong sign finds another one.
    assert any(values.min() < 128 <= values.max() for values in made)
    assert len({int(values.argmax()) for values in made}) > 1
    program = compile(graph, "base")
    assert read_image(make_image(program)).header.count == 6
    assert_boots(graph, program, inputs)


@pytest.mark.parametrize("seed", [0, 3, 9, 17, 37])
def test_state_that_stays_begins_as_the_model_says(seed: int) -> None:
    """Three inferences in a row: state goes on from what the image wrote."""
    graph = random_states(seed)
    program = compile(graph, "base_vector")
    assert interface(program).states
    assert_boots(graph, program, [random_input(graph, step) for step in range(3)])


@pytest.mark.parametrize("seed", [1, 2, 4, 23, 34])
def test_state_that_a_host_writes_is_refused(seed: int) -> None:
    """Also one that never changes (23, 34): a run uses its memory for something else."""
    with pytest.raises(UnsupportedError, match="cannot start from flash: a host would write its "
                                               "state before each run; compile it"):
        make_image(compile(random_states(seed), "base_vector"))


def test_the_image_is_all_that_a_session_loads(models: Path) -> None:
    program = compile(load_model(models / SPOTTING), "small")
    data = make_image(program)
    image = read_image(data)
    assert image.length == len(data)
    assert image.state_on(program.config) == FlashState.LOADED
    assert image.state_on(PRESETS["base"]) == FlashState.OTHER_CONFIG
    device = devices.open("emulator", "small")
    image.load(device)
    session = Session(program, device, loaded=True)      # compares, and writes nothing
    graph = load_model(models / SPOTTING)
    (given,) = recorded_inputs(models / SPOTTING, program.inputs)[:1]
    (name,) = (tensor.name for tensor in program.outputs)
    np.testing.assert_array_equal(session.run(given)[name],
                                  golden.run(graph, given)[graph.outputs[0]])
    assert make_image(program) == data


def with_crc(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4, "little")


@pytest.fixture(scope="module")
def image() -> bytes:
    return make_image(compile(random_graph(3, "conv", macs=1 << 12), "small"))


def test_an_image_that_was_cut_or_changed_is_refused(image: bytes) -> None:
    for size in (0, 4, 8, 27, 28, 31, len(image) // 2, len(image) - 1):
        with pytest.raises(ProgramError, match=r"^image: (not an image for flash|cut off: )"):
            read_image(image[:size])
    read_image(image + b"\xff" * 100)       # as flash goes on
    for bit in [*range(8 * 28), *range(8 * 28, 8 * len(image), 97)]:
        changed = bytearray(image)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProgramError, match="^image: "):
            read_image(bytes(changed))
    with pytest.raises(ProgramError, match="^flash.bin: not an image for flash"):
        read_image(b"\xff" * 4096, "flash.bin")
    with pytest.raises(ProgramError, match="image format 2, this kaniwa has 1: write it anew"):
        read_image(image[:7] + b"\2" + image[8:])


@pytest.mark.parametrize("body", [
    b"\x00\0\0\0\0\1",                 # OPEN
    b"\x80\0\0\0\0\4",                 # READ
    b"\x41\0\0\0\0\1a",                # a sequence number
    b"\x40\0\0\0\0\0",                 # a WRITE of nothing
    b"\x40\0\0\0\0\xf5" + bytes(245),  # more than a request of the link has
    b"\x40\0\0\0\0\4abc",              # the last one is cut off
    b"\xc0\0\0\0",
    b"\xc0\0\0\0\0\xff",               # no such register
])
def test_a_body_of_other_requests_is_refused(image: bytes, body: bytes) -> None:
    data = image[:16] + len(body).to_bytes(4, "little") + image[20:28] + body
    with pytest.raises(ProgramError, match="not made by kaniwa flash: no legal requests"):
        read_image(with_crc(data))


@pytest.mark.parametrize("at, value", [(24, 241), (25, 2), (26, 1), (27, 1)])
def test_a_header_that_none_has_is_refused(image: bytes, at: int, value: int) -> None:
    changed = bytearray(image[:-4])
    changed[at] = value
    with pytest.raises(ProgramError, match="not made by kaniwa flash"):
        read_image(with_crc(bytes(changed)))


def chain(channels: int, outputs: int = 1, dense: bool = True) -> Graph:
    b = GraphBuilder(1)
    x = b.tensor((1, 4, 4, 8))
    ends = [b.fully_connected(b.reshape(b.conv(x, 8), (1, 128)), channels) if dense
            else b.conv(x, channels) for _ in range(outputs)]
    return b.graph((x,), tuple(ends))


@pytest.mark.parametrize("graph, count, why", [
    (chain(240), 240, ""),
    (chain(1), 1, ""),
    (chain(241), 0, "the output has 241 values, 240 are the most"),
    (chain(4, outputs=2), 0, "the model has 2 outputs"),
    (chain(8, dense=False), 0, "the output is not one row of scores, one behind the other"),
])
def test_a_class_is_shown_of_one_row_of_scores(graph: Graph, count: int, why: str) -> None:
    program = compile(graph, "base")
    scores = class_output(standalone_interface(program))
    assert (scores.count, scores.why) == (count, why)
    header = read_image(make_image(program)).header
    assert header.count == count
    assert header.address == (0 if scores.port is None else scores.port.tensor.address)


def test_what_a_host_would_do_is_named(models: Path) -> None:
    program = compile(load_model(models / "digits_transformer.tflite"), "small")
    with pytest.raises(UnsupportedError, match=r"^digits_transformer.tflite: cannot start from "
                                               r"flash: the host would run BATCH_MATMUL "):
        make_image(program)


def test_the_flash_has_bitstream_and_image_at_their_places(image: bytes) -> None:
    for name in BOARDS:
        board = load_board(name)
        if board.flash is None:
            with pytest.raises(ConfigError, match=f"^{name} has no flash that kaniwa starts it "
                                                  "from: these have one: icebreaker, .*_sdram$"):
                flash_of(board)
            continue
        assert board.flash_programmers and all("{file}" in c for c in board.flash_programmers)
        flash = flash_of(board)
        content = flash_image(board, b"\1\2\3", image)
        assert content[:3] == b"\1\2\3" and content[flash.offset:] == image
        assert set(content[3:flash.offset]) == {0xFF}
        full = bytes(flash.offset)
        assert flash_image(board, full, image) == full + image
        with pytest.raises(InputError, match=f"the bitstream has {flash.offset + 1:,} bytes, and "
                                             f"the image of {name} begins at {flash.offset:,}"):
            flash_image(board, full + b"\0", image)
        room = flash.bytes - flash.offset
        assert len(flash_image(board, b"", bytes(room))) == flash.bytes
        with pytest.raises(InputError, match=f"the image has {room + 1:,} bytes, and the flash of "
                                             f"{name} {room:,} for it"):
            flash_image(board, b"", bytes(room + 1))
