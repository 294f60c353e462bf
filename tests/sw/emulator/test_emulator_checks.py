"""Programs that the core could not run right are refused, with code and instruction."""

import dataclasses
import re

import numpy as np
import pytest
from builders.instructions.layer_cases import (
    IFM,
    MEMORY_BYTES,
    OFM,
    OPERAND,
    PARAMETERS,
    WEIGHTS,
    random_case,
)

from kaniwa import isa
from kaniwa.config import PRESETS
from kaniwa.emulator.core import Emulator
from kaniwa.errors import DeviceError
from kaniwa.isa import OUTSIDE, Mode
from kaniwa.isa.weight_stream import encode_parameters, encode_tables
from kaniwa.units.vector.builder import Builder

CONFIG = dataclasses.replace(PRESETS["base"], memory_bytes=MEMORY_BYTES)
END = isa.encode({"opcode": isa.Opcode.END})


def run(*instructions, config=CONFIG, image=()):
    emulator = Emulator(config)
    for address, data in dict(image).items():
        emulator.write(address, data)
    emulator.write(0, b"".join(map(isa.encode, instructions)) + END)
    return emulator.run(0)


def refusal(*instructions, config=CONFIG, image=()):
    with pytest.raises(DeviceError) as caught:
        run(*instructions, config=config, image=image)
    return str(caught.value)


def case(**options):
    found = random_case(2, CONFIG, **options)
    return found.values, found.image


CHANGES = [
    ({"steps": 1000}, "steps must follow from the kernel"),
    ({"block_words": 1000}, "block_words must be steps"),
    ({"block_width": 9}, "block_width must be at most the lanes"),
    ({"last_width": 60}, "last_width must be at most block_width"),
    ({"line_pitch": 12}, "line_pitch must be a multiple of lane_bytes"),
    ({"weight_address": WEIGHTS + 8}, "must be multiples of read_bytes"),
    ({"line_pitch": 16, "ifm_row_bytes": 100}, "line_pitch must hold the words of an input row"),
    ({"ifm_rows": 400}, "ifm_rows must end with the last row"),
    ({"add": 1, "table": 1}, "add and table exclude each other"),
    ({"multiply": 1}, "multiply needs add"),
    ({"ofm_pixel_pitch": 0, "ofm_columns": 2}, "store_in_order needs"),
    ({"table": 1}, "used before it is loaded"),
    ({"ifm_wait": 2}, "ifm waits for instruction 1, which does not come before"),
]


@pytest.mark.parametrize("changes, rule", CHANGES, ids=[rule[:40] for _, rule in CHANGES])
def test_illegal_instruction_is_named_with_its_rule(changes, rule):
    values, image = case()
    good = values | {"ofm_address": 0xF000}
    message = refusal(good, values | changes, image=image)
    assert " at instruction 1: " in message
    assert rule in message


def test_field_outside_its_range_is_named():
    values, image = case()
    data = bytearray(isa.encode(values))
    field = isa.FIELDS["segments"]
    data[4 * field.word + field.lsb // 8] = 0
    emulator = Emulator(CONFIG)
    emulator.write(0, bytes(data) + END)
    with pytest.raises(DeviceError, match="ILLEGAL_FIELD at instruction 0: segments must"):
        emulator.run(0)


def test_unknown_opcode_is_refused():
    emulator = Emulator(CONFIG)
    emulator.write(0, bytes([7]) + bytes(127))
    with pytest.raises(DeviceError, match="ILLEGAL_OPCODE at instruction 0: opcode 7"):
        emulator.run(0)


@pytest.mark.parametrize("field", ["ifm_address", "ofm_address", "weight_address",
                                   "parameter_address"])
@pytest.mark.parametrize("address", [MEMORY_BYTES - 16, OUTSIDE])
def test_addresses_beyond_memory_are_refused(field, address):
    values, image = case()
    assert "ADDRESS at instruction 0: bytes" in refusal(values | {field: address}, image=image)


def test_missing_unit_is_refused():
    values, image = case(mode=Mode.MAX_POOL)
    config = dataclasses.replace(CONFIG, max_pool=False)
    assert "no max pooling" in refusal(values, config=config, image=image)
    values, image = case(add=True)
    config = dataclasses.replace(CONFIG, elementwise=False)
    assert "no elementwise unit" in refusal(values, config=config, image=image)
    values, image = case(add=True, multiply=True)
    config = dataclasses.replace(CONFIG, elementwise_multiply=False)
    assert "no elementwise multiplier" in refusal(values, config=config, image=image)


def test_factor_beyond_the_multiplier_is_refused():
    values, image = case(add=True)
    message = refusal(values | {"multiply": 1}, image=image)
    assert re.search(rf"table 0 of bank {values['table_bank']} has -?\d+, which multiply takes "
                     r"only within -256\.\.255", message)


def test_unknown_format_is_refused():
    values, image = case()
    image[WEIGHTS] = bytes([9]) + image[WEIGHTS][1:]
    assert "BAD_FORMAT at instruction 0" in refusal(values, image=image)


@pytest.mark.parametrize("which", ["weight", "parameter"])
def test_stream_that_brings_too_little_would_hang(which):
    values, image = case()
    message = refusal(values | {f"{which}_bytes": 0}, image=image)
    assert "WATCHDOG at instruction 0: the weight stream brings 0" in message


def test_stream_that_brings_too_much_is_refused():
    values, image = case()
    assert "the instruction uses" in refusal(values | {"weight_repeat": 2}, image=image)


def consumer(values, **changes):
    """An instruction that reads what ``values`` stores."""
    return values | {"ifm_address": values["ofm_address"], "ofm_address": 0xF000} | changes


def test_unwaited_input_is_refused():
    values, image = case()
    assert "at instruction 1: ifm is written by instruction 0 and not waited for" in refusal(
        values, consumer(values), image=image)


def test_waited_input_is_accepted():
    values, image = case()
    assert run(values, consumer(values, ifm_wait=1), image=image).retired == 2


def test_wait_for_an_earlier_writer_is_not_enough():
    values, image = case()
    assert "written by instruction 1" in refusal(
        values, values, consumer(values, ifm_wait=1), image=image)


def test_unwaited_operand_is_refused():
    values, image = case(add=True)
    first = values | {"ofm_address": OPERAND, "operand_address": IFM + 0x800}
    second = values | {"operand_address": OPERAND, "ofm_address": OFM, "table_bank": 0}
    assert "operand is written by instruction 0 and not waited for" in refusal(
        first, second, image=image)


def test_overwritten_weights_are_refused():
    values, image = case()
    for start, name in ((WEIGHTS, "weight"), (PARAMETERS, "parameter"), (0, "program")):
        assert f"{name} is written by instruction 0 and not waited for" in refusal(
            values | {"ofm_address": start}, image=image)


def test_a_table_in_a_stream_that_the_program_writes_is_refused():
    """The layers behind would go on with what it was before."""
    config = dataclasses.replace(CONFIG, vector_unit=True)
    found = random_case(2, config, add=True)
    program, copy = MEMORY_BYTES - 16, 0xE000
    barrier = {"opcode": isa.Opcode.VECTOR, "parameter_address": program, "parameter_bytes": 16}
    nothing = Builder(config).finish()
    image = found.image | {program: nothing + bytes(16 - len(nothing)),
                           copy: found.image[PARAMETERS]}
    message = refusal(found.values | {"ofm_address": copy}, barrier,
                      found.values | {"parameter_address": copy}, config=config, image=image)
    assert "at instruction 2: a stream that the program writes brings a table" in message


def test_output_may_not_run_into_the_unread_input():
    values, image = case()
    message = refusal(values | {"ofm_address": values["ifm_address"] + values["ifm_pitch"]},
                      image=image)
    assert "the output overwrites input not yet read" in message


def test_output_may_not_overlap_the_operand_in_another_place():
    values, image = case(add=True)
    message = refusal(values | {"ofm_address": OPERAND + 1}, image=image)
    assert "the output overlaps the operand in another place" in message


def test_table_may_not_be_replaced_while_it_is_used():
    values, image = case(table=True)
    assert "tables is loaded while the instruction before uses it" in refusal(
        values, values, image=image)


def test_a_compact_core_may_replace_a_table_for_it_ends_an_instruction_first():
    config = dataclasses.replace(PRESETS["nano"], memory_bytes=MEMORY_BYTES)
    found = random_case(2, config, table=True)
    assert run(found.values, found.values, config=config, image=found.image).retired == 2


def test_table_after_the_parameters_is_refused():
    values, image = case(table=True)
    table = 16 + 1024  # header and payload
    stream = image[PARAMETERS]
    image[PARAMETERS] = stream[table:] + stream[:table]
    assert "a table comes after the parameters" in refusal(values, image=image)


def test_table_of_another_bank_may_come_after_the_parameters():
    values, image = case(table=True)
    other = encode_tables({0: np.zeros(256)}, 1 - values["table_bank"], CONFIG)
    image[PARAMETERS] += other
    values["parameter_bytes"] += len(other)
    assert run(values, image=image).retired == 1


@pytest.mark.parametrize("bias", [2**31 - 1, -2**31])
def test_accumulator_that_wraps_is_refused(bias):
    values, image = case()
    channels = (values["blocks"] - 1) * values["block_width"] + values["last_width"]
    image[PARAMETERS] = encode_parameters([bias] * channels, 1, 0, values["block_width"],
                                          values["blocks"], CONFIG)
    changed = values | {"parameter_bytes": len(image[PARAMETERS])}
    assert "an accumulator of" in refusal(changed, image=image)


LISTED = dataclasses.replace(CONFIG, step_entries=256)


@pytest.mark.parametrize("changes, rule", [
    ({"patch": 1}, "listed needs DENSE without patch"),
    ({"mode": Mode.DEPTHWISE}, "listed needs DENSE without patch"),
    ({"block_words": 255}, "listed needs DENSE without patch, and a target with step_entries"),
    ({"listed": 0}, "block_words must be steps"),
])
def test_lists_of_steps_go_with_their_instruction(changes, rule):
    found = random_case(2, LISTED)
    values = found.values | {"ofm_address": 0xF000} | changes
    if changes.get("patch"):
        values |= {"segment_bytes": 1}
    assert rule in refusal(values, config=LISTED, image=found.image)


def test_a_target_without_lists_refuses_them():
    found = random_case(2, LISTED)
    assert "a target with step_entries" in refusal(found.values, image=found.image)


def test_a_list_that_is_missing_would_hang():
    found = random_case(2, LISTED)
    first = 4 + 4 * -(-found.values["block_words"] // 2)
    behind = 16 + -(-first // 16) * 16     # header and words
    values = found.values | {"parameter_address": PARAMETERS + behind,
                             "parameter_bytes": found.values["parameter_bytes"] - behind}
    assert "brings 0 step lists, the instruction uses 1" in refusal(
        values, config=LISTED, image=found.image)


def test_a_list_of_another_kernel_is_refused():
    found = random_case(2, LISTED)
    data = bytearray(found.image[PARAMETERS])
    data[16 + 5] &= 0x3F       # the first step ends no segment
    data[16 + 7] |= 0x80
    assert "segments end in it, the instruction has" in refusal(
        found.values, config=LISTED, image=found.image | {PARAMETERS: bytes(data)})
